//! Real Prosody, real peers, for tests.
