//! Whatever a server answers while somebody signs in.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| waxwing_stream::fuzz::login(bytes));
