//! Waxwing.
