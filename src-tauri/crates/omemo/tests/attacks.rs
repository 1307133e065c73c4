//! What a hostile person, device or server may try, each attempt by name.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail by a panic"
)]

mod support;

use minidom::Element;
use support::{Device, Repeatable, acquaint, acquainted, both};
use waxwing_omemo::sce::{self, SceError};
use waxwing_omemo::xml::{self, MAX_DEVICES, MAX_PREKEYS};
use waxwing_omemo::{
    Bundle, DecryptError, Decrypted, DeviceId, EncryptError, KeyElement, LocalPreKeys, PayloadError, Profile,
    RemotePreKey, decrypt_key, open_payload, seal_payload, start_session,
};

#[test]
fn a_replayed_message_is_a_duplicate_and_no_reason_to_begin_anew() {
    both(|profile| {
        let (mut alice, mut bob) = (Device::new(profile, 1), Device::new(profile, 2));
        alice.start(&mut bob);
        let mut seen = vec![alice.send("first")];
        bob.read(&seen[0]).unwrap();
        for _ in 0..3 {
            let answer = bob.send("answer");
            alice.read(&answer).unwrap();
            seen.push(alice.send("more"));
            bob.read(&seen[seen.len() - 1]).unwrap();
        }
        let before = bob.stored.clone();
        for key in &seen {
            let error = bob.read(key).unwrap_err();
            assert_eq!(error, DecryptError::Duplicate);
            assert!(!error.healing_helps());
        }
        assert_eq!(bob.stored, before);
    });
}

#[test]
fn a_one_time_prekey_serves_one_key_exchange_whoever_comes_second() {
    both(|profile| {
        let (mut alice, mut bob, mut eve) = (
            Device::new(profile, 1),
            Device::new(profile, 2),
            Device::new(profile, 3),
        );
        bob.prekeys.truncate(1);
        alice.start(&mut bob);
        eve.start(&mut bob);
        let (first, second) = (alice.send("first"), eve.send("second"));
        // Alice herself, with the same bundle once more.
        alice.start(&mut bob);
        let third = alice.send("third");
        assert_eq!(
            bob.open(&first).unwrap().effects.consumed_prekey.map(|id| id.0),
            Some(1)
        );
        assert_eq!(bob.read(&third), Err(DecryptError::UnknownPreKey));
        let (record, pinned) = (bob.stored.take(), bob.pinned.take());
        assert_eq!(bob.read(&second), Err(DecryptError::UnknownPreKey));
        (bob.stored, bob.pinned) = (record, pinned);
        let answer = bob.send("to the first session");
        assert_eq!(alice.read(&answer).unwrap(), "to the first session");
    });
}

#[test]
fn a_prekey_that_is_kept_while_an_archive_is_read_opens_no_message_twice() {
    both(|profile| {
        let (mut alice, mut bob) = (Device::new(profile, 1), Device::new(profile, 2));
        alice.start(&mut bob);
        let key = alice.send("first");
        let opened = bob.peek(&key).unwrap();
        bob.keep(&opened.record);
        assert_eq!(bob.prekeys.len(), 5, "it is kept");
        assert_eq!(bob.read(&key), Err(DecryptError::Duplicate));
    });
}

#[test]
fn another_identity_under_a_known_device_id_is_refused_even_if_all_sessions_are_lost() {
    both(|profile| {
        let (mut alice, bob) = acquainted(profile);
        let mut swapped = Device::new(profile, 66);
        swapped.id = bob.id;
        swapped.start(&mut alice);
        let key = swapped.send("I am Bob");
        let (prekeys, record) = (alice.prekeys.len(), alice.stored.take());
        assert_eq!(alice.read(&key), Err(DecryptError::IdentityChanged));
        assert!(!DecryptError::IdentityChanged.healing_helps());
        assert_eq!(alice.prekeys.len(), prekeys);
        alice.stored = record;
        let (bundle, record) = (swapped.bundle(), alice.record());
        let started = start_session(
            record.as_ref(),
            &alice.identity,
            alice.id,
            &bundle,
            None,
            &mut alice.rng,
        );
        assert_eq!(started.err(), Some(EncryptError::IdentityChanged));
    });
}

#[test]
fn a_key_exchange_in_the_name_of_an_identity_whose_secret_one_does_not_have_opens_nothing() {
    both(|profile| {
        let (mut alice, bob) = acquainted(profile);
        let mut eve = Device::new(profile, 66);
        eve.start(&mut alice);
        let mut key = eve.send("I am Bob");
        let [own, claimed] = [&eve, &bob].map(|device| public_form(profile, device));
        let at = key.bytes.windows(32).position(|window| window == own).unwrap();
        key.bytes[at..at + 32].copy_from_slice(&claimed);
        let (before, prekeys) = (alice.stored.clone(), alice.prekeys.len());
        assert_eq!(alice.read(&key), Err(DecryptError::BadMac));
        assert_eq!((alice.stored, alice.prekeys.len()), (before, prekeys));
    });
}

/// The identity key as key exchanges hold it, without Signal's type byte.
fn public_form(profile: Profile, device: &Device) -> [u8; 32] {
    let bundle = Bundle::of_own_keys(
        profile,
        &device.identity,
        &device.signed[0],
        &[],
        &mut Repeatable::new(1),
    );
    let (_, identity, _) = parts(&bundle);
    identity[identity.len() - 32..].try_into().unwrap()
}

/// Signed prekey, identity and signature as the bundle's XML has them.
fn parts(bundle: &Bundle) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let element = xml::write_bundle(bundle);
    let names = match bundle.profile() {
        Profile::Legacy => ["signedPreKeyPublic", "identityKey", "signedPreKeySignature"],
        Profile::Omemo2 => ["spk", "ik", "spks"],
    };
    let [signed, identity, signature] = names.map(|name| {
        let text = element
            .children()
            .find(|child| child.name() == name)
            .unwrap()
            .text();
        unbase64(&text)
    });
    (signed, identity, signature)
}

fn unbase64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

#[test]
fn our_own_message_sent_back_to_us_does_not_open() {
    both(|profile| {
        let (mut alice, mut bob) = (Device::new(profile, 1), Device::new(profile, 2));
        alice.start(&mut bob);
        let exchange = alice.send("first");
        assert_eq!(alice.read(&exchange), Err(DecryptError::IdentityChanged));
        bob.read(&exchange).unwrap();
        let answer = bob.send("answer");
        assert_eq!(bob.read(&answer), Err(DecryptError::BadMac));
        alice.read(&answer).unwrap();
        let later = alice.send("later");
        assert_eq!(alice.read(&later), Err(DecryptError::BadMac));
        assert_eq!(bob.read(&later).unwrap(), "later");
    });
}

#[test]
fn a_key_element_for_somebody_else_does_not_open_and_harms_no_session() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let (_, mut carol) = acquaint(Device::new(profile, 1), Device::new(profile, 3));
        let key = carol.send("for Alice, from Carol");
        assert_eq!(bob.read(&key), Err(DecryptError::BadMac));
        assert_eq!(
            alice.read(&key),
            Err(DecryptError::BadMac),
            "as if it were from Bob"
        );
        let mut stranger = Device::new(profile, 4);
        stranger.start(&mut carol);
        let exchange = stranger.send("for Carol");
        bob.pinned = None;
        let record = bob.stored.take();
        assert!(matches!(
            bob.read(&exchange),
            Err(DecryptError::BadMac | DecryptError::UnknownPreKey)
        ));
        bob.stored = record;
        let key = alice.send("for Bob");
        assert_eq!(bob.read(&key).unwrap(), "for Bob");
    });
}

#[test]
fn a_message_of_one_generation_is_none_of_the_other_even_between_the_same_two_identities() {
    both(|profile| {
        let other = if profile == Profile::Legacy {
            Profile::Omemo2
        } else {
            Profile::Legacy
        };
        let (mut alice, bob) = (Device::new(profile, 1), Device::new(other, 2));
        let mut same_bob = Device::new(profile, 2);
        alice.start(&mut same_bob);
        let key = alice.send("x");
        let local = LocalPreKeys {
            signed: &bob.signed,
            one_time: &bob.prekeys,
        };
        let opened = decrypt_key(
            other,
            None,
            &bob.identity,
            local,
            &key,
            None,
            &mut Repeatable::new(1),
        );
        assert!(opened.is_err());
        assert_eq!(same_bob.read(&key).unwrap(), "x");
    });
}

#[test]
fn of_ten_thousand_devices_a_bounded_part_is_kept_in_both_generations() {
    let devices = (1..=10_000)
        .map(|id| format!("<device id='{id}'/>"))
        .collect::<Vec<_>>()
        .concat();
    for list in [
        format!("<list xmlns='eu.siacs.conversations.axolotl'>{devices}</list>"),
        format!("<devices xmlns='urn:xmpp:omemo:2'>{devices}</devices>"),
    ] {
        let (_, kept) = xml::read_devices(&list.parse().unwrap()).unwrap();
        assert_eq!(kept.len(), MAX_DEVICES);
        assert_eq!(kept[0].id.get(), 1, "the first ones");
    }
}

#[test]
fn a_bundle_that_is_not_signed_by_its_identity_key_cannot_be_read() {
    both(|profile| {
        let (mut bob, mut eve) = (Device::new(profile, 2), Device::new(profile, 3));
        let (good, theirs) = (bob.bundle(), eve.bundle());
        let other_generation = if profile == Profile::Legacy {
            Profile::Omemo2
        } else {
            Profile::Legacy
        };
        let signed_as_other = bob.signed[0].signature(other_generation, &bob.identity, &mut bob.rng);
        let mut negated = *good.signature();
        negated[63] ^= 0x80;
        for (what, identity, signed, signature) in [
            (
                "Eve's prekey",
                *good.identity(),
                *theirs.signed_prekey(),
                *good.signature(),
            ),
            (
                "Eve's signature",
                *good.identity(),
                *good.signed_prekey(),
                *theirs.signature(),
            ),
            (
                "Eve's key and signature",
                *good.identity(),
                *theirs.signed_prekey(),
                *theirs.signature(),
            ),
            (
                "Bob's keys, Eve's identity",
                *theirs.identity(),
                *good.signed_prekey(),
                *good.signature(),
            ),
            ("no signature", *good.identity(), *good.signed_prekey(), [0; 64]),
            (
                "signed for the other generation",
                *good.identity(),
                *good.signed_prekey(),
                signed_as_other,
            ),
            ("the other sign", *good.identity(), *good.signed_prekey(), negated),
        ] {
            let made = Bundle::new(profile, identity, signed, signature, good.prekeys().to_vec());
            assert!(made.is_err(), "{what}");
        }
        assert_eq!(xml::read_bundle(&xml::write_bundle(&good)), Ok(good));
    });
}

#[test]
fn a_bundle_with_weak_keys_starts_no_session() {
    both(|profile| {
        let (mut alice, mut bob) = (Device::new(profile, 1), Device::new(profile, 2));
        let good = bob.bundle();
        let weak = vec![RemotePreKey {
            id: good.prekeys()[0].id,
            public: [0; 32],
        }];
        let (signed, signature) = (*good.signed_prekey(), *good.signature());
        let bundle = Bundle::new(profile, *good.identity(), signed, signature, weak).unwrap();
        let started = start_session(None, &alice.identity, alice.id, &bundle, None, &mut alice.rng);
        assert!(matches!(started.err(), Some(EncryptError::Malformed(_))));
    });
}

#[test]
fn of_a_bundle_with_ten_thousand_prekeys_a_bounded_part_is_kept() {
    both(|profile| {
        let namespace = profile.namespace();
        let mut element = xml::write_bundle(&Device::new(profile, 2).bundle());
        let list = element.get_child_mut("prekeys", namespace).unwrap();
        let key = list.children().next().unwrap().text();
        for id in 10..10_010 {
            let prekey = match profile {
                Profile::Legacy => {
                    format!("<preKeyPublic xmlns='{namespace}' preKeyId='{id}'>{key}</preKeyPublic>")
                }
                Profile::Omemo2 => format!("<pk xmlns='{namespace}' id='{id}'>{key}</pk>"),
            };
            list.append_child(prekey.parse().unwrap());
        }
        assert_eq!(xml::read_bundle(&element).unwrap().prekeys().len(), MAX_PREKEYS);
    });
}

/// Opens an omemo:2 message whole: key, payload, envelope.
fn open_whole(
    reader: &mut Device,
    key: &KeyElement,
    payload: &[u8],
    from: &str,
    to: &str,
) -> Result<sce::Envelope, SceError> {
    let opened: Decrypted = reader.peek(key).unwrap();
    let envelope = open_payload(Profile::Omemo2, &opened.key_material, None, payload).unwrap();
    sce::parse(&envelope, from, to)
}

#[test]
fn a_message_for_another_chat_is_refused_although_it_opens() {
    const ALICE: &str = "alice@waxwing.test";
    const BOB: &str = "bob@waxwing.test";
    let (mut alice, mut bob) = acquainted(Profile::Omemo2);
    let body: Element = "<body xmlns='jabber:client'>yes, do it</body>".parse().unwrap();
    let envelope = sce::build(vec![body.clone()], ALICE, BOB, 0, &mut alice.rng).unwrap();
    let sealed = seal_payload(Profile::Omemo2, &envelope, &mut alice.rng);
    let record = alice.record().unwrap();
    let (record, key) = waxwing_omemo::encrypt_key(&record, &alice.identity, &sealed.key_material).unwrap();
    alice.keep(&record);
    let payload = sealed.payload.unwrap();
    // A server that moves it into the chat with Carol, or into a room, or tells it from somebody else.
    for (from, to, expected) in [
        (ALICE, "carol@waxwing.test", SceError::WrongTo),
        (ALICE, "room@muc.waxwing.test", SceError::WrongTo),
        ("carol@waxwing.test", BOB, SceError::WrongFrom),
    ] {
        assert_eq!(
            open_whole(&mut bob, &key, &payload, from, to).err(),
            Some(expected)
        );
    }
    let whole = open_whole(&mut bob, &key, &payload, ALICE, BOB).unwrap();
    assert_eq!(whole.content, [body]);
}

#[test]
fn a_payload_next_to_the_key_of_another_message_does_not_open() {
    both(|profile| {
        let mut rng = Repeatable::new(1);
        let (one, other) = (
            seal_payload(profile, b"yes", &mut rng),
            seal_payload(profile, b"no", &mut rng),
        );
        let swapped = open_payload(
            profile,
            &one.key_material,
            one.iv.as_deref(),
            other.payload.as_deref().unwrap(),
        );
        assert_eq!(swapped.err(), Some(PayloadError::BadTag));
    });
}

#[test]
fn whoever_names_our_device_a_thousand_times_is_heard_only_as_often_as_keys_are_asked_for() {
    const US: &str = "us@example.org";
    let device = DeviceId::try_from(7_u32).unwrap();
    both(|profile| {
        let mut keys = "<key rid='7'>AAAA</key>".repeat(10_000);
        if profile == Profile::Omemo2 {
            keys = format!("<keys jid='{US}'>{keys}</keys>");
        }
        let message = format!(
            "<encrypted xmlns='{}'><header sid='1'>{keys}</header></encrypted>",
            profile.namespace()
        );
        let encrypted = xml::read_encrypted(&message.parse().unwrap()).unwrap();
        assert_eq!(encrypted.keys.len(), xml::MAX_KEYS);
        assert_eq!(encrypted.keys_for(US, device).take(4).count(), 4);
    });
}
