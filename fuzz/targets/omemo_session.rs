//! Whole key elements against stored sessions, made up or altered from real ones.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| waxwing_omemo::fuzz::session(bytes));
