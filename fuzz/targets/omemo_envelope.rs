//! Envelopes of stanza content encryption (XEP-0420), as whoever has a session may seal them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| waxwing_omemo::fuzz::envelope(bytes));
