//! Device lists, bundles and messages as XML: what is read survives being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use minidom::Element;
use waxwing_omemo::xml::{
    MAX_DEVICES, MAX_KEYS, MAX_PREKEYS, read_bundle, read_devices, read_encrypted, write_bundle,
    write_devices, write_encrypted,
};

/// The guard in front of the program lets through a depth of 64; elements recurse.
const MAX_ELEMENTS: usize = 500;

fuzz_target!(|bytes: &[u8]| {
    if bytes.iter().filter(|byte| **byte == b'<').count() > MAX_ELEMENTS {
        return;
    }
    let Some(element) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.parse::<Element>().ok())
    else {
        return;
    };
    if let Ok((profile, devices)) = read_devices(&element) {
        assert!(devices.len() <= MAX_DEVICES);
        assert_eq!(
            read_devices(&again(&write_devices(profile, &devices))),
            Ok((profile, devices))
        );
    }
    if let Ok(bundle) = read_bundle(&element) {
        assert!(bundle.prekeys().len() <= MAX_PREKEYS);
        assert_eq!(read_bundle(&again(&write_bundle(&bundle))), Ok(bundle));
    }
    if let Ok(encrypted) = read_encrypted(&element) {
        assert!(encrypted.keys.len() <= MAX_KEYS);
        for key in &encrypted.keys {
            let jid = key.jid.as_deref().unwrap_or("a@b");
            assert!(encrypted.keys_for(jid, key.device).any(|found| *found == key.key));
        }
        let read = read_encrypted(&again(&write_encrypted(&encrypted))).expect("what was written");
        // Addresses are put in order; how many keys there are stays the same.
        assert_eq!(
            (read.keys.len(), read.sender, read.iv),
            (encrypted.keys.len(), encrypted.sender, encrypted.iv)
        );
        assert_eq!(read.payload, encrypted.payload);
    }
});

/// By way of the text that goes over the wire.
fn again(element: &Element) -> Element {
    String::from(element).parse().expect("what we write is XML")
}
