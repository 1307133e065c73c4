//! Garbage from the network: typed errors, never a panic, never much work.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail by a panic"
)]

mod support;

use minidom::Element;
use support::{Device, Repeatable, acquainted};
use waxwing_omemo::{
    DeviceId, Fingerprint, KeyElement, Profile, SessionRecord, open_payload, prekey_ids, sce, xml,
};

#[test]
fn garbage_of_every_length_is_refused_as_a_key_element() {
    for profile in Profile::ALL {
        let (_, mut bob) = acquainted(profile);
        let mut chance = Repeatable::new(3);
        for length in 0..3_000 {
            let mut bytes = chance.bytes(length);
            // Half of them with the right version byte, so that more than its check is met.
            if let (0, Some(first)) = (length % 2, bytes.first_mut()) {
                *first = 0x33;
            }
            assert!(prekey_ids(profile, &bytes).is_err());
            for is_prekey in [false, true] {
                assert!(
                    bob.peek(&KeyElement {
                        bytes: bytes.clone(),
                        is_prekey
                    })
                    .is_err()
                );
            }
        }
        let huge = KeyElement {
            bytes: vec![0x33; 1 << 20],
            is_prekey: true,
        };
        assert!(bob.peek(&huge).is_err());
    }
}

#[test]
fn real_messages_with_random_damage_are_refused_or_unharmed() {
    for profile in Profile::ALL {
        let (mut alice, mut bob) = (Device::new(profile, 1), Device::new(profile, 2));
        alice.start(&mut bob);
        let first = alice.send("text");
        let (mut carol, mut dave) = acquainted(profile);
        let later = carol.send("text");
        let mut chance = Repeatable::new(4);
        for _ in 0..3_000 {
            for (receiver, key) in [(&mut bob, &first), (&mut dave, &later)] {
                let damaged = KeyElement {
                    bytes: damage(&key.bytes, &mut chance),
                    ..key.clone()
                };
                if let Ok(opened) = receiver.peek(&damaged) {
                    assert_eq!(opened.key_material.as_slice(), b"text");
                }
                let mislabelled = KeyElement {
                    is_prekey: !key.is_prekey,
                    ..damaged
                };
                assert!(receiver.peek(&mislabelled).is_err());
            }
        }
        assert_eq!(bob.read(&first).unwrap(), "text");
        assert_eq!(dave.read(&later).unwrap(), "text");
    }
}

/// Flips, cuts, doubles, inserts.
fn damage(bytes: &[u8], chance: &mut Repeatable) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=chance.below(3) {
        let at = chance
            .below(bytes.len().max(1))
            .min(bytes.len().saturating_sub(1));
        match chance.below(4) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << chance.below(8),
            1 => bytes.truncate(at),
            2 => bytes.insert(at, chance.bytes(1)[0]),
            _ => bytes.extend_from_within(at..),
        }
    }
    bytes
}

#[test]
fn damaged_records_are_refused_or_usable_without_panic() {
    for profile in Profile::ALL {
        let (mut alice, mut bob) = acquainted(profile);
        let stored = bob.stored.clone().unwrap();
        let key = alice.send("x");
        let mut chance = Repeatable::new(5);
        for _ in 0..2_000 {
            let damaged = damage(&stored, &mut chance);
            if SessionRecord::from_bytes(&damaged).is_ok() {
                bob.stored = Some(damaged);
                let _ = bob.peek(&key);
                let record = bob.record().unwrap();
                let _ = waxwing_omemo::encrypt_key(&record, &bob.identity, b"x");
            }
            let length = chance.below(700);
            assert!(SessionRecord::from_bytes(&chance.bytes(length)).is_err());
        }
    }
}

#[test]
fn random_xml_is_read_without_panic() {
    const NAMES: [&str; 20] = [
        "encrypted",
        "header",
        "keys",
        "key",
        "iv",
        "payload",
        "list",
        "devices",
        "device",
        "bundle",
        "spk",
        "spks",
        "ik",
        "prekeys",
        "pk",
        "identityKey",
        "signedPreKeyPublic",
        "signedPreKeySignature",
        "preKeyPublic",
        "envelope",
    ];
    const ATTRIBUTES: [&str; 9] = [
        "id",
        "sid",
        "rid",
        "jid",
        "kex",
        "prekey",
        "preKeyId",
        "signedPreKeyId",
        "label",
    ];
    const VALUES: [&str; 8] = ["1", "0", "true", "-1", "4294967296", "", "a@b", "\u{202e}☃"];
    fn element(chance: &mut Repeatable, namespace: &str, depth: usize) -> String {
        let name = NAMES[chance.below(NAMES.len())];
        let mut text = format!("<{name} xmlns='{namespace}'");
        let first = chance.below(ATTRIBUTES.len());
        for attribute in ATTRIBUTES.iter().skip(first).take(chance.below(4)) {
            text.extend([" ", attribute, "='", VALUES[chance.below(VALUES.len())], "'"]);
        }
        text += ">";
        for _ in 0..chance.below(4) {
            if depth < 4 {
                text += &element(chance, namespace, depth + 1);
            }
            text += ["", "AAAA", "Aw==", "?", " \n", "MzMzMzMz"][chance.below(6)];
        }
        text + "</" + name + ">"
    }
    let mut chance = Repeatable::new(6);
    let mut read = 0;
    for _ in 0..6_000 {
        let namespace = [
            "eu.siacs.conversations.axolotl",
            "urn:xmpp:omemo:2",
            sce::NAMESPACE,
        ][chance.below(3)];
        let text = element(&mut chance, namespace, 0);
        let element: Element = text.parse().unwrap();
        read += usize::from(xml::read_devices(&element).is_ok());
        assert!(xml::read_bundle(&element).is_err());
        if let Ok(encrypted) = xml::read_encrypted(&element) {
            read += encrypted
                .keys_for("a@b", DeviceId::try_from(1_u32).unwrap())
                .count();
            xml::write_encrypted(&encrypted);
        }
        let _ = sce::parse(text.as_bytes(), "a@b", "a@b");
    }
    assert!(read > 100, "{read}: the generator hits real forms");
}

#[test]
fn garbage_is_no_envelope_no_payload_and_no_fingerprint() {
    let mut chance = Repeatable::new(7);
    for length in 0..2_000 {
        let bytes = chance.bytes(length);
        assert!(sce::parse(&bytes, "a@b", "c@d").is_err());
        for profile in Profile::ALL {
            for key in [0, 16, 32, 48, length] {
                let key = chance.bytes(key);
                assert!(open_payload(profile, &key, Some(&bytes[..length.min(12)]), &bytes).is_err());
            }
        }
        assert!(String::from_utf8_lossy(&bytes).parse::<Fingerprint>().is_err());
    }
}
