//! Device lists, bundles and messages as XML: what is read survives being written.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| waxwing_omemo::fuzz::xml(bytes));
