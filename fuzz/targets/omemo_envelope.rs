//! Envelopes of stanza content encryption (XEP-0420), as whoever has a session may seal them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_omemo::{OsEntropy, sce};

const FROM: &str = "alice@waxwing.test";
const TO: &str = "bob@waxwing.test";

fuzz_target!(|bytes: &[u8]| {
    let envelope = match sce::parse(bytes, FROM, TO) {
        Ok(envelope) => envelope,
        Err(error) => return assert!(!error.code().is_empty()),
    };
    assert!(envelope.content.iter().all(sce::allowed_inside));
    assert!(envelope.from.to_ascii_lowercase().starts_with(FROM));
    // What was read can be sealed again and says the same.
    let built = sce::build(envelope.content.clone(), FROM, TO, 0, &mut OsEntropy).expect("it was XML before");
    let again = sce::parse(&built, FROM, TO).expect("what we build");
    assert_eq!(again.content, envelope.content);
});
