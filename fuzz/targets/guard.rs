//! Whatever a server sends, at whatever places it is torn apart: read through the guard.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| waxwing_stream::fuzz::guard(bytes));
