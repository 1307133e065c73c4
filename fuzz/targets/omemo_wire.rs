//! Key elements as a stranger may send them: read without a session, in both generations.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| waxwing_omemo::fuzz::wire(bytes));
