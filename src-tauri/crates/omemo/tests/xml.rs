//! The XML of both generations, as it comes from the field.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail by a panic"
)]

mod support;

use minidom::Element;
use serde_json::Value;
use support::{Device, Repeatable, unhex};
use waxwing_omemo::xml::{
    AddressedKey, Device as Listed, Encrypted, MAX_DEVICES, MAX_KEYS, has_signed_label, is_writable,
    read_bundle, read_devices, read_encrypted, without_forbidden, write_bundle, write_devices,
    write_encrypted,
};
use waxwing_omemo::{
    DEVICE_LIST_ITEM, DeviceId, IdentityKey, KeyElement, Malformed, Profile, open_payload, sce, seal_payload,
};

fn parse(text: &str) -> Element {
    text.parse().unwrap()
}

fn device(id: u32) -> DeviceId {
    DeviceId::try_from(id).unwrap()
}

#[test]
fn nodes_and_items_are_called_as_the_specifications_say() {
    let id = device(31415);
    assert_eq!(
        Profile::Legacy.device_list_node(),
        "eu.siacs.conversations.axolotl.devicelist"
    );
    assert_eq!(
        Profile::Legacy.bundle_node(id),
        "eu.siacs.conversations.axolotl.bundles:31415"
    );
    assert_eq!(Profile::Legacy.bundle_item(id), "current");
    assert_eq!(Profile::Omemo2.device_list_node(), "urn:xmpp:omemo:2:devices");
    assert_eq!(Profile::Omemo2.bundle_node(id), "urn:xmpp:omemo:2:bundles");
    assert_eq!(Profile::Omemo2.bundle_item(id), "31415");
    assert_eq!(DEVICE_LIST_ITEM, "current");
    for profile in Profile::ALL {
        assert_eq!(Profile::from_namespace(profile.namespace()), Some(profile));
    }
    assert_eq!(Profile::from_namespace("urn:xmpp:omemo:1"), None);
}

#[test]
fn device_ids_outside_the_range_are_refused() {
    for wrong in [0, 0x8000_0000, u32::MAX] {
        assert!(DeviceId::try_from(wrong).is_err());
        assert!(wrong.to_string().parse::<DeviceId>().is_err());
    }
    assert!(DeviceId::try_from(-1_i64).is_err());
    assert!("1e3".parse::<DeviceId>().is_err());
    assert_eq!(DeviceId::try_from(0x7fff_ffff_i64).unwrap().get(), 0x7fff_ffff);
}

#[test]
fn of_a_device_list_the_good_entries_are_kept_once() {
    let list = parse(
        "<list xmlns='eu.siacs.conversations.axolotl'><device id='4'/><device id='x'/><device/><device id='0'/>
         <device id='99999999999'/><other id='5'/><device xmlns='urn:other' id='6'/><device id=' 7 '/><device id='4'/></list>",
    );
    let (profile, devices) = read_devices(&list).unwrap();
    assert_eq!(profile, Profile::Legacy);
    assert_eq!(
        devices.iter().map(|device| device.id.get()).collect::<Vec<_>>(),
        [4, 7]
    );
}

#[test]
fn labels_come_with_omemo_2_and_survive_writing() {
    let list = parse(
        "<devices xmlns='urn:xmpp:omemo:2'><device id='1' label='Phone &amp; more' labelsig='c2ln'/><device id='2'/></devices>",
    );
    let (profile, devices) = read_devices(&list).unwrap();
    assert_eq!(devices[0].label.as_deref(), Some("Phone & more"));
    assert_eq!(devices[0].label_signature.as_deref(), Some("c2ln"));
    assert_eq!(
        devices[1],
        Listed {
            id: device(2),
            label: None,
            label_signature: None
        }
    );
    assert_eq!(
        read_devices(&write_devices(profile, &devices)).unwrap(),
        (profile, devices.clone())
    );
    let (_, legacy) = read_devices(&write_devices(Profile::Legacy, &devices)).unwrap();
    assert_eq!(legacy[0].label, None);
    let long = "é".repeat(1_000);
    let list = format!("<devices xmlns='urn:xmpp:omemo:2'><device id='1' label='{long}'/></devices>");
    assert_eq!(
        read_devices(&parse(&list)).unwrap().1[0]
            .label
            .as_ref()
            .unwrap()
            .chars()
            .count(),
        200
    );
}

#[test]
fn of_a_label_the_signature_is_kept_only_with_the_whole_label_and_if_it_can_be_one() {
    for (label, signature, kept) in [
        ("a", "c".repeat(88), true),
        ("a", "c".repeat(8_000), false),
        (&"a".repeat(201), "c".repeat(88), false),
    ] {
        let list = format!(
            "<devices xmlns='urn:xmpp:omemo:2'><device id='1' label='{label}' labelsig='{signature}'/></devices>"
        );
        let (_, devices) = read_devices(&parse(&list)).unwrap();
        assert_eq!(devices[0].label_signature, kept.then_some(signature));
    }
}

/// As xeddsa signed it: `record.py` of the tests against other implementations.
#[test]
fn a_label_is_signed_by_the_key_of_its_very_sign_and_by_no_other() {
    let recorded: Value = serde_json::from_str(include_str!("vectors/labels.json")).unwrap();
    let mut signs = Vec::new();
    for entry in recorded.as_array().unwrap() {
        let text = |name: &str| entry[name].as_str().unwrap();
        let key = IdentityKey::from_edwards(&unhex(text("edwards"))).unwrap();
        let (label, signature) = (text("label"), text("signature"));
        assert!(has_signed_label(&key, label, signature));
        assert!(!has_signed_label(&key.with_sign(!key.sign()), label, signature));
        assert!(!has_signed_label(&key, "Orchard", signature));
        signs.push(u8::from(key.sign()));
    }
    assert_eq!(signs, [0, 1]);
}

#[test]
fn of_an_endless_device_list_a_bounded_part_is_kept() {
    let devices = (1..5_000)
        .map(|id| format!("<device id='{id}'/>"))
        .collect::<Vec<_>>()
        .concat();
    let list = parse(&format!("<devices xmlns='urn:xmpp:omemo:2'>{devices}</devices>"));
    assert_eq!(read_devices(&list).unwrap().1.len(), MAX_DEVICES);
}

#[test]
fn elements_of_another_name_or_namespace_are_refused() {
    for text in [
        "<devices xmlns='eu.siacs.conversations.axolotl'/>",
        "<list xmlns='urn:xmpp:omemo:2'/>",
        "<list xmlns='jabber:client'/>",
        "<encrypted xmlns='urn:xmpp:omemo:1'><header sid='1'/></encrypted>",
    ] {
        assert!(read_devices(&parse(text)).is_err());
        assert!(read_bundle(&parse(text)).is_err());
        assert!(read_encrypted(&parse(text)).is_err());
    }
    let empty = parse("<list xmlns='eu.siacs.conversations.axolotl'/>");
    assert_eq!(read_devices(&empty).unwrap(), (Profile::Legacy, Vec::new()));
}

#[test]
fn a_bundle_survives_writing_and_loses_only_its_bad_prekeys() {
    for profile in Profile::ALL {
        let bundle = Device::new(profile, 1).bundle();
        let text = String::from(&write_bundle(&bundle));
        assert_eq!(read_bundle(&parse(&text)).unwrap(), bundle);
        let name = if profile == Profile::Legacy {
            "preKeyPublic"
        } else {
            "pk"
        };
        let id = if profile == Profile::Legacy {
            "preKeyId"
        } else {
            "id"
        };
        let bad = format!(
            "<{name} {id}='77'>!!</{name}><{name} {id}='78'/><{name}>AAAA</{name}><{name} {id}='1'>AAAA</{name}></prekeys>"
        );
        let spoilt = text.replace("</prekeys>", &bad);
        assert_eq!(read_bundle(&parse(&spoilt)).unwrap(), bundle);
        let wrapped = text.replace("==</", "=\n =</").replace('>', ">\n\t");
        assert_eq!(read_bundle(&parse(&wrapped)).unwrap(), bundle);
    }
}

#[test]
fn a_bundle_with_a_part_missing_or_altered_names_that_part() {
    for profile in Profile::ALL {
        let bundle = Device::new(profile, 1).bundle();
        let whole = write_bundle(&bundle);
        for child in whole.children() {
            let mut less = whole.clone();
            less.remove_child(child.name(), child.ns().as_str()).unwrap();
            let read = read_bundle(&less);
            if child.name() == "prekeys" {
                assert!(read.unwrap().prekeys().is_empty());
            } else {
                assert!(read.is_err());
            }
        }
        let other = Device::new(profile, 2).bundle();
        let name = if profile == Profile::Legacy {
            "identityKey"
        } else {
            "ik"
        };
        let mut mixed = whole.clone();
        mixed.remove_child(name, profile.namespace()).unwrap();
        mixed.append_child(
            write_bundle(&other)
                .get_child(name, profile.namespace())
                .unwrap()
                .clone(),
        );
        assert_eq!(read_bundle(&mixed), Err(Malformed("bundle signature")));
    }
}

#[test]
fn weak_identity_keys_are_refused() {
    for byte in [0, 1] {
        let mut weak = [0; 32];
        weak[0] = byte;
        assert!(waxwing_omemo::IdentityKey::from_curve(&weak).is_err());
    }
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert!(waxwing_omemo::IdentityKey::from_edwards(&neutral).is_err());
    assert!(waxwing_omemo::IdentityKey::from_curve(&[9; 31]).is_err());
}

fn sample(profile: Profile) -> Encrypted {
    let key = |jid: &str, id, is_prekey| AddressedKey {
        jid: (profile == Profile::Omemo2).then(|| jid.into()),
        device: device(id),
        key: KeyElement {
            bytes: vec![1, 2, 3],
            is_prekey,
        },
    };
    Encrypted {
        profile,
        sender: device(27183),
        keys: vec![
            key("alice@example.org", 1, false),
            key("bob@example.org", 1, true),
            key("bob@example.org", 2, false),
        ],
        iv: (profile == Profile::Legacy).then(|| vec![7; 12]),
        payload: Some(vec![8; 40]),
    }
}

#[test]
fn messages_survive_writing_in_both_generations() {
    for profile in Profile::ALL {
        for payload in [None, Some(vec![8; 40])] {
            let encrypted = Encrypted {
                payload,
                ..sample(profile)
            };
            let text = String::from(&write_encrypted(&encrypted));
            assert_eq!(read_encrypted(&parse(&text)).unwrap(), encrypted);
        }
    }
}

#[test]
fn in_legacy_all_keys_with_our_device_id_are_given_and_in_omemo_2_those_of_our_address() {
    let legacy = sample(Profile::Legacy);
    let keys: Vec<_> = legacy.keys_for("bob@example.org", device(1)).collect();
    assert_eq!(keys.len(), 2);
    let omemo2 = sample(Profile::Omemo2);
    let keys: Vec<_> = omemo2.keys_for("bob@example.org", device(1)).collect();
    assert_eq!(keys, [&omemo2.keys[1].key]);
    assert_eq!(omemo2.keys_for("carol@example.org", device(1)).count(), 0);
    assert_eq!(legacy.keys_for("bob@example.org", device(3)).count(), 0);
}

#[test]
fn thousands_of_keys_for_one_long_address_hold_it_once() {
    let keys = "<key rid='1'>AAAA</key>".repeat(6_000);
    let jid = "a".repeat(8_000);
    let message = parse(&format!(
        "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'><keys jid='{jid}'>{keys}</keys></header></encrypted>"
    ));
    let keys = read_encrypted(&message).unwrap().keys;
    assert_eq!(keys.len(), MAX_KEYS);
    let places: std::collections::BTreeSet<_> = keys
        .iter()
        .map(|key| key.jid.as_deref().unwrap().as_ptr())
        .collect();
    assert_eq!(places.len(), 1);
}

#[test]
fn the_mark_of_a_key_exchange_is_an_xml_boolean() {
    for (value, expected) in [
        ("1", true),
        ("true", true),
        ("0", false),
        ("false", false),
        ("yes", false),
    ] {
        let text = format!(
            "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'><key prekey='{value}' rid='2'>AQ</key></header></encrypted>"
        );
        assert_eq!(
            read_encrypted(&parse(&text)).unwrap().keys[0].key.is_prekey,
            expected
        );
        let text = format!(
            "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'><keys jid='a@b'><key kex='{value}' rid='2'>AQ==</key></keys></header></encrypted>"
        );
        let read = read_encrypted(&parse(&text)).unwrap();
        assert_eq!(
            read.keys[0].key,
            KeyElement {
                bytes: vec![1],
                is_prekey: expected
            }
        );
        assert_eq!(read.payload, None);
    }
}

#[test]
fn a_message_loses_only_its_bad_keys_but_is_refused_without_a_sender_or_with_a_spoilt_payload() {
    let text = "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'><key rid='2'>@</key><key>AQ==</key>
                <key rid='3'>AQ==</key><key rid='0'>AQ==</key></header><payload/></encrypted>";
    let read = read_encrypted(&parse(text)).unwrap();
    assert_eq!(read.keys.len(), 1);
    assert_eq!((read.payload, read.iv), (Some(Vec::new()), None));
    for spoilt in [
        text.replace("sid='1'", ""),
        text.replace("<payload/>", "<payload>@</payload>"),
        text.replace("header", "head"),
    ] {
        assert!(read_encrypted(&parse(&spoilt)).is_err());
    }
}

#[test]
fn payloads_open_with_either_length_of_vector_and_with_the_tag_in_either_place() {
    let mut rng = Repeatable::new(1);
    let sealed = seal_payload(Profile::Legacy, b"text", &mut rng);
    let (iv, payload) = (sealed.iv.unwrap(), sealed.payload.unwrap());
    let open =
        |key: &[u8], iv: Option<&[u8]>, payload: &[u8]| open_payload(Profile::Legacy, key, iv, payload);
    assert_eq!(
        open(&sealed.key_material, Some(&iv), &payload)
            .unwrap()
            .as_slice(),
        b"text"
    );
    let (key, tag) = sealed.key_material.split_at(16);
    let tagged = [payload.as_slice(), tag].concat();
    assert_eq!(open(key, Some(&iv), &tagged).unwrap().as_slice(), b"text");
    // Recorded with another implementation of AES-GCM: 16-byte vector, key 00..0f, vector 10..1f.
    let key: Vec<u8> = (0..16).collect();
    let long_iv: Vec<u8> = (16..32).collect();
    let recorded = support::unhex(LONG_IV);
    assert_eq!(
        open(&key, Some(&long_iv), &recorded).unwrap().as_slice(),
        "sechzehn ✓".as_bytes()
    );
    for (key, iv, payload) in [
        (key.as_slice(), None, recorded.as_slice()),
        (&key, Some(&long_iv[..11]), &recorded),
        (&key[..15], Some(&long_iv[..]), &recorded),
        (&key, Some(&long_iv[..]), &recorded[..15]),
        (&key, Some(&long_iv[..]), &recorded[1..]),
    ] {
        assert!(open(key, iv, payload).is_err());
    }
}

const LONG_IV: &str = "b6fb94de07d74ce6f6fa5f1156aa32f0fe60e78b7426971caf0d59b6";

#[test]
fn an_altered_payload_does_not_open() {
    for profile in Profile::ALL {
        let sealed = seal_payload(profile, b"some text", &mut Repeatable::new(1));
        let (iv, payload) = (sealed.iv, sealed.payload.unwrap());
        for at in 0..payload.len() {
            let mut altered = payload.clone();
            altered[at] ^= 1;
            assert!(open_payload(profile, &sealed.key_material, iv.as_deref(), &altered).is_err());
        }
        for at in 0..sealed.key_material.len() {
            let mut key = sealed.key_material.clone();
            key[at] ^= 1;
            assert!(open_payload(profile, &key, iv.as_deref(), &payload).is_err());
            assert!(open_payload(profile, &key[..at], iv.as_deref(), &payload).is_err());
        }
    }
}

fn body(text: &str) -> Element {
    Element::builder("body", "jabber:client").append(text).build()
}

#[test]
fn an_envelope_gives_back_its_content_and_who_sealed_it_when() {
    let mut rng = Repeatable::new(1);
    let bytes = sce::build(
        vec![body("hi <&>")],
        "alice@example.org",
        "bob@example.org",
        1_795_267_544,
        &mut rng,
    );
    let bytes = bytes.unwrap();
    let envelope = sce::parse(&bytes, "alice@example.org/phone", "Bob@example.org").unwrap();
    assert_eq!(envelope.content, [body("hi <&>")]);
    assert_eq!(envelope.time.as_deref(), Some("2026-11-21T13:25:44Z"));
    assert_eq!(
        (envelope.from.as_str(), envelope.to.as_deref()),
        ("alice@example.org", Some("bob@example.org"))
    );
    let lengths: Vec<_> = (0..50)
        .map(|_| {
            sce::build(vec![body("hi")], "a@b", "c@d", 0, &mut rng)
                .unwrap()
                .len()
        })
        .collect();
    assert!(
        lengths.iter().max().unwrap() - lengths.iter().min().unwrap() > 100,
        "padding hides the length"
    );
}

#[test]
fn times_are_written_as_calendar_dates() {
    for (now, expected) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (951_868_799, "2000-02-29T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
    ] {
        let bytes = sce::build(Vec::new(), "a@b", "c@d", now, &mut Repeatable::new(1)).unwrap();
        assert_eq!(
            sce::parse(&bytes, "a@b", "c@d").unwrap().time.as_deref(),
            Some(expected)
        );
    }
}

#[test]
fn an_envelope_of_or_for_somebody_else_is_refused() {
    let bytes = sce::build(
        vec![body("hi")],
        "alice@example.org",
        "bob@example.org",
        0,
        &mut Repeatable::new(1),
    );
    let bytes = bytes.unwrap();
    let refused = |from, to| sce::parse(&bytes, from, to).unwrap_err();
    assert_eq!(
        refused("mallory@example.org", "bob@example.org"),
        sce::SceError::WrongFrom
    );
    assert_eq!(
        refused("alice@example.org", "carol@example.org"),
        sce::SceError::WrongTo
    );
    let content = "<envelope xmlns='urn:xmpp:sce:1'><content/>AFFIX</envelope>";
    let parse = |affix| sce::parse(content.replace("AFFIX", affix).as_bytes(), "a@b", "c@d");
    assert_eq!(parse(""), Err(sce::SceError::WrongFrom));
    assert_eq!(parse("<from/>"), Err(sce::SceError::WrongFrom));
    assert_eq!(parse("<from jid=''/>"), Err(sce::SceError::WrongFrom));
    assert!(parse("<from jid='a@b'/>").is_ok());
    assert_eq!(parse("<from jid='a@b'/><to/>"), Err(sce::SceError::WrongTo));
}

#[test]
fn an_envelope_with_parts_twice_in_other_places_or_of_other_names_is_held_to_its_own() {
    let (from, content) = ("<from jid='a@b'/>", "<content/>");
    let parse = |inside: String| {
        let text = format!("<envelope xmlns='urn:xmpp:sce:1'>{inside}</envelope>");
        sce::parse(text.as_bytes(), "a@b", "c@d").map(|envelope| envelope.content.len())
    };
    for part in [
        from,
        content,
        "<rpad>x</rpad>",
        "<time stamp='2026-11-21T12:00:00Z'/>",
        "<to jid='c@d'/>",
    ] {
        let rest = if part == from {
            content.to_owned()
        } else if part == content {
            from.to_owned()
        } else {
            format!("{from}{content}")
        };
        assert_eq!(parse(format!("{rest}{part}")), Ok(0), "{part} once");
        let twice = parse(format!("{rest}{part}{part}"));
        assert_eq!(twice, Err(sce::SceError::Malformed("repeated part")), "{part}");
    }
    for (inside, outcome) in [
        // Padding and time protect nothing any more once it is here.
        (format!("{from}{content}"), Ok(0)),
        (format!("{from}{content}<to jid='C@D/phone'/>"), Ok(0)),
        (
            format!("{from}{content}<to jid='x@d'/>"),
            Err(sce::SceError::WrongTo),
        ),
        (
            format!("{content}<from jid='x@b'/>"),
            Err(sce::SceError::WrongFrom),
        ),
        (
            format!("{content}<from jid='a@b.evil'/>"),
            Err(sce::SceError::WrongFrom),
        ),
        (
            format!("{content}<from xmlns='urn:other' jid='a@b'/>"),
            Err(sce::SceError::WrongFrom),
        ),
        // A part counts in its own place only.
        (
            format!("<content>{from}</content>"),
            Err(sce::SceError::WrongFrom),
        ),
        (from.to_owned(), Err(sce::SceError::Malformed("content"))),
        (
            format!("{from}<content xmlns='urn:other'/>"),
            Err(sce::SceError::Malformed("content")),
        ),
        (
            format!("{from}<x><content/></x>"),
            Err(sce::SceError::Malformed("content")),
        ),
        // An envelope in an envelope is none.
        (
            format!("{from}<content><envelope>{from}{content}</envelope></content>"),
            Ok(0),
        ),
        (
            format!("{from}{content}<body xmlns='jabber:client'>beside</body>"),
            Ok(0),
        ),
        (
            format!("{from}<content><body xmlns='jabber:client'>in</body></content>"),
            Ok(1),
        ),
    ] {
        assert_eq!(parse(inside.clone()), outcome, "{inside}");
    }
}

#[test]
fn what_only_servers_may_say_is_dropped_from_an_envelope() {
    let inside = "<envelope xmlns='urn:xmpp:sce:1'><from jid='a@b'/><content><body xmlns='jabber:client'>x</body>
        <stanza-id xmlns='urn:xmpp:sid:0' id='1' by='me@here'/><delay xmlns='urn:xmpp:delay' stamp='x'/>
        <received xmlns='urn:xmpp:carbons:2'/><received xmlns='urn:xmpp:receipts' id='4'/></content></envelope>";
    let envelope = sce::parse(inside.as_bytes(), "a@b", "c@d").unwrap();
    let names: Vec<_> = envelope
        .content
        .iter()
        .map(|element| (element.name(), element.ns()))
        .collect();
    assert_eq!(
        names,
        [
            ("body", "jabber:client".to_owned()),
            ("received", "urn:xmpp:receipts".to_owned())
        ]
    );
    let outside = |text| sce::allowed_outside(&parse(text));
    assert!(outside("<store xmlns='urn:xmpp:hints'/>"));
    assert!(outside("<origin-id xmlns='urn:xmpp:sid:0' id='1'/>"));
    assert!(!outside("<replace xmlns='urn:xmpp:message-correct:0' id='1'/>"));
    assert!(!outside("<body xmlns='jabber:client'>x</body>"));
}

#[test]
fn envelopes_that_are_too_deep_too_many_or_no_xml_are_refused() {
    let deep = format!("{}{}", "<a xmlns='x'>".repeat(200_000), "</a>".repeat(200_000));
    assert_eq!(
        sce::parse(deep.as_bytes(), "a@b", "c@d"),
        Err(sce::SceError::Malformed("depth"))
    );
    let many = format!("<a xmlns='x'>{}</a>", "<b/>".repeat(200_000));
    assert_eq!(
        sce::parse(many.as_bytes(), "a@b", "c@d"),
        Err(sce::SceError::Malformed("size"))
    );
    for text in [
        "",
        "<",
        "plain",
        "<envelope xmlns='urn:xmpp:sce:1'>",
        "<envelope/>",
        "<p:a/>",
        "<!DOCTYPE a><a/>",
    ] {
        assert!(sce::parse(text.as_bytes(), "a@b", "c@d").is_err(), "{text}");
    }
}

#[test]
fn texts_that_xml_cannot_hold_are_refused_or_cleaned_before_they_are_written() {
    for text in ["\u{0}", "a\u{1f}", "\u{fffe}", "\u{ffff}"] {
        let mut rng = Repeatable::new(1);
        let nested = Element::builder("a", "urn:a").append(body(text)).build();
        let attribute = minidom::rxml::NcName::try_from("id").unwrap();
        let attributed = Element::builder("a", "urn:a").attr(attribute, text).build();
        for content in [body(text), nested, attributed] {
            let built = sce::build(vec![content], "a@b", "c@d", 0, &mut rng);
            assert_eq!(built, Err(sce::SceError::Malformed("characters")));
        }
        assert!(sce::build(Vec::new(), text, "c@d", 0, &mut rng).is_err());
        let listed = Listed {
            id: device(1),
            label: Some(format!("x{text}y")),
            label_signature: None,
        };
        let _ = String::from(&write_devices(Profile::Omemo2, &[listed]));
    }
    assert!(is_writable("\t\r\n ü \u{fffd}\u{10ffff}"));
    assert_eq!(without_forbidden("a\u{0}b\u{ffff}"), "ab");
    let all: String = ('\u{0}'..'\u{3000}')
        .chain('\u{d700}'..='\u{10100}')
        .chain('\u{10ff00}'..=char::MAX)
        .filter(|c| is_writable(&c.to_string()))
        .collect();
    let bytes = sce::build(vec![body(&all)], "a@b", "c@d", 0, &mut Repeatable::new(1)).unwrap();
    assert!(sce::parse(&bytes, "a@b", "c@d").is_ok());
}
