//! Conversations recorded between two devices of oldmemo and twomemo (see `tests/interop/omemo_offline/record.py`).
//! The crate takes the place of either side and must open all that it opened and send, byte for byte, what it sent.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail by a panic"
)]

mod support;

use serde_json::Value;
use support::{Recorded, unhex};
use waxwing_omemo::{
    DeviceId, IdentityKey, IdentityKeyPair, KeyElement, LocalPreKeys, PreKey, PreKeyId, Profile,
    SessionRecord, SignedPreKey, decrypt_key, encrypt_key, open_payload, prekey_ids, seal_empty,
    seal_payload, start_session, xml,
};

const RECORDS: [(Profile, &str); 2] = [
    (Profile::Legacy, include_str!("vectors/legacy.json")),
    (Profile::Omemo2, include_str!("vectors/omemo2.json")),
];

fn bytes(value: &Value) -> Vec<u8> {
    unhex(value.as_str().expect("hex"))
}

fn number(value: &Value) -> u32 {
    value
        .as_u64()
        .and_then(|number| u32::try_from(number).ok())
        .expect("a number")
}

fn secret(value: &Value) -> [u8; 32] {
    bytes(value).try_into().expect("32 bytes")
}

/// One side of a recorded conversation, played by this crate.
struct Side<'a> {
    profile: Profile,
    name: &'static str,
    conversation: &'a Value,
    identity: IdentityKeyPair,
    signed: Vec<SignedPreKey>,
    prekeys: Vec<PreKey>,
    record: Option<SessionRecord>,
    peer: Option<IdentityKey>,
    opened: usize,
    sent: usize,
}

impl<'a> Side<'a> {
    fn new(profile: Profile, conversation: &'a Value, name: &'static str) -> Self {
        let own = &conversation[name];
        let prekeys = own["prekeys"].as_array().unwrap().iter();
        Self {
            profile,
            name,
            conversation,
            identity: IdentityKeyPair::from_bytes(&secret(&own["identity"])),
            signed: vec![
                SignedPreKey::from_bytes(
                    PreKeyId(number(&own["signed_prekey"][0])),
                    0,
                    &secret(&own["signed_prekey"][1]),
                )
                .unwrap(),
            ],
            prekeys: prekeys
                .map(|key| PreKey::from_bytes(PreKeyId(number(&key[0])), &secret(&key[1])).unwrap())
                .collect(),
            record: None,
            peer: None,
            opened: 0,
            sent: 0,
        }
    }

    fn play(mut self) -> Self {
        let steps = self.conversation["steps"].as_array().unwrap();
        let messages: Vec<&Value> = steps.iter().filter(|step| step["op"] == "send").collect();
        for step in steps {
            let message = messages[number(&step["number"]) as usize];
            let is_own = message["from"] == self.name;
            match step["op"].as_str() {
                Some("send") if is_own => self.send(message),
                Some("open") if !is_own => self.open(message, step),
                _ => {}
            }
            // Restart after every step.
            self.record = self
                .record
                .map(|record| SessionRecord::from_bytes(&record.to_bytes()).unwrap());
        }
        self
    }

    fn send(&mut self, message: &Value) {
        let mut rng = Recorded(bytes(&message["sealing_entropy"]));
        let sealed = match &message["plaintext"] {
            Value::Null => seal_empty(self.profile, &mut rng),
            plaintext => seal_payload(self.profile, &bytes(plaintext), &mut rng),
        };
        if !message["plaintext"].is_null() || self.profile == Profile::Omemo2 {
            assert_eq!(sealed.key_material.as_slice(), bytes(&message["material"]));
            assert_eq!(sealed.payload, message["payload"].as_str().map(unhex));
            assert_eq!(sealed.iv, message["iv"].as_str().map(unhex));
        }
        if self.record.is_none() {
            let peer: minidom::Element = self.conversation["b"]["bundle"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            let bundle = in_recorded_order(&xml::read_bundle(&peer).unwrap());
            let mut entropy = number(&message["prekey_choice"]).to_le_bytes().to_vec();
            entropy.extend(bytes(&message["entropy"]));
            let device = DeviceId::try_from(number(&self.conversation["a"]["device"])).unwrap();
            let mut rng = Recorded(entropy);
            self.record = Some(start_session(None, &self.identity, device, &bundle, None, &mut rng).unwrap());
            assert!(rng.0.is_empty(), "all recorded random bytes are used");
        }
        let (record, key) = encrypt_key(
            self.record.as_ref().unwrap(),
            &self.identity,
            &bytes(&message["material"]),
        )
        .unwrap();
        assert_eq!(key.is_prekey, message["is_prekey"].as_bool().unwrap());
        assert_eq!(
            without_registration(self.profile, &key),
            bytes(&message["key"]),
            "{message}"
        );
        self.record = Some(record);
        self.sent += 1;
    }

    fn open(&mut self, message: &Value, step: &Value) {
        let key = KeyElement {
            bytes: bytes(&message["key"]),
            is_prekey: message["is_prekey"].as_bool().unwrap(),
        };
        let mut rng = Recorded(bytes(&step["entropy"]));
        let local = LocalPreKeys {
            signed: &self.signed,
            one_time: &self.prekeys,
        };
        let record = self.record.as_ref();
        let opened = decrypt_key(
            self.profile,
            record,
            &self.identity,
            local,
            &key,
            self.peer.as_ref(),
            &mut rng,
        )
        .unwrap();
        assert!(rng.0.is_empty(), "all recorded random bytes are used");
        assert_eq!(opened.key_material.as_slice(), bytes(&message["material"]));
        assert_eq!(opened.effects.new_session, record.is_none());
        if opened.effects.new_session {
            let ids = prekey_ids(self.profile, &key.bytes).unwrap();
            assert_eq!(ids.one_time, opened.effects.consumed_prekey);
            assert_eq!(ids.identity, opened.identity);
            self.prekeys.retain(|prekey| Some(prekey.id()) != ids.one_time);
        }
        if let (Some(payload), Some(plaintext)) = (message["payload"].as_str(), message["plaintext"].as_str())
        {
            let iv = message["iv"].as_str().map(unhex);
            let text =
                open_payload(self.profile, &opened.key_material, iv.as_deref(), &unhex(payload)).unwrap();
            assert_eq!(text.as_slice(), unhex(plaintext));
        }
        self.peer = Some(opened.identity);
        self.record = Some(opened.record);
        self.opened += 1;
    }
}

/// The recorder notes its choice as a position in rising order of ids; the XML has them in any order.
fn in_recorded_order(bundle: &waxwing_omemo::Bundle) -> waxwing_omemo::Bundle {
    let mut prekeys = bundle.prekeys().to_vec();
    prekeys.sort_by_key(|key| key.id);
    let (signed, signature) = (*bundle.signed_prekey(), *bundle.signature());
    waxwing_omemo::Bundle::new(bundle.profile(), *bundle.identity(), signed, signature, prekeys).unwrap()
}

/// oldmemo leaves the optional registration id (field 5) out, as nobody reads it; we send ours, as the C libraries do.
fn without_registration(profile: Profile, key: &KeyElement) -> Vec<u8> {
    let mut bytes = key.bytes.clone();
    if profile == Profile::Legacy && key.is_prekey {
        let ours = [5 << 3, 0xe9, 0x07];
        let at = bytes
            .windows(3)
            .rposition(|window| window == ours)
            .expect("the registration id 1001");
        bytes.drain(at..at + 3);
    }
    bytes
}

#[test]
fn in_the_passive_role_all_is_opened_and_answered_with_the_same_bytes() {
    for (profile, text) in RECORDS {
        let conversations: Value = serde_json::from_str(text).unwrap();
        for conversation in conversations.as_array().unwrap() {
            let bob = Side::new(profile, conversation, "b").play();
            assert_eq!((bob.opened, bob.sent), (8, 16));
        }
    }
}

#[test]
fn in_the_active_role_all_is_opened_and_sent_with_the_same_bytes() {
    for (profile, text) in RECORDS {
        let conversations: Value = serde_json::from_str(text).unwrap();
        for (index, conversation) in conversations.as_array().unwrap().iter().enumerate() {
            // The second conversation's active side has an Ed25519 sign bit that our keys never have.
            if profile == Profile::Omemo2 && index == 1 {
                continue;
            }
            let alice = Side::new(profile, conversation, "a").play();
            assert_eq!((alice.opened, alice.sent), (7, 8));
        }
    }
}

#[test]
fn foreign_bundles_verify_with_either_sign_bit_and_not_when_altered() {
    let mut signs = Vec::new();
    for (profile, text) in RECORDS {
        let conversations: Value = serde_json::from_str(text).unwrap();
        for conversation in conversations.as_array().unwrap() {
            for name in ["a", "b"] {
                let text = conversation[name]["bundle"].as_str().unwrap();
                let bundle = xml::read_bundle(&text.parse().unwrap()).unwrap();
                let own = IdentityKeyPair::from_bytes(&secret(&conversation[name]["identity"]));
                assert_eq!(bundle.identity(), own.public(), "one key in both forms");
                assert_eq!(bundle.prekeys().len(), 4);
                signs.push((profile, name, bundle.signature()[63] >> 7));
                for at in [0, 31, 32, 62] {
                    let mut signature = *bundle.signature();
                    signature[at] ^= 1;
                    let signed = *bundle.signed_prekey();
                    let altered = waxwing_omemo::Bundle::new(
                        profile,
                        *bundle.identity(),
                        signed,
                        signature,
                        Vec::new(),
                    );
                    assert!(altered.is_err());
                }
                let written = xml::read_bundle(&xml::write_bundle(&bundle)).unwrap();
                assert_eq!(written, bundle);
            }
        }
    }
    assert!(
        signs.contains(&(Profile::Legacy, "a", 1)),
        "a legacy signature with sign bit 1 is among them"
    );
    assert!(signs.contains(&(Profile::Legacy, "a", 0)));
}

#[test]
fn records_of_all_versions_are_read_and_go_on() {
    let recorded: Value = serde_json::from_str(include_str!("vectors/records.json")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for entry in recorded.as_array().unwrap() {
        let profile = match entry["generation"].as_str().unwrap() {
            "legacy" => Profile::Legacy,
            _ => Profile::Omemo2,
        };
        let identity = IdentityKeyPair::from_bytes(&secret(&entry["identity"]));
        let mut stored = bytes(&entry["record"]);
        assert_eq!(u64::from(stored[0]), entry["version"].as_u64().unwrap());
        seen.insert((profile, stored[0]));
        let open = |stored: &[u8], key: &Value| {
            let record = SessionRecord::from_bytes(stored).unwrap();
            let key = KeyElement {
                bytes: bytes(key),
                is_prekey: false,
            };
            let (local, rng) = (LocalPreKeys::default(), &mut Recorded(vec![7; 64]));
            decrypt_key(profile, Some(&record), &identity, local, &key, None, rng)
        };
        assert_eq!(
            open(&stored, &entry["opened_before"]).err(),
            Some(waxwing_omemo::DecryptError::Duplicate)
        );
        // Another message under the key of that one; earlier versions do not know what they opened.
        if let Some(reused) = entry.get("reused") {
            let failure = open(&stored, reused).err();
            assert_eq!(failure, Some(waxwing_omemo::DecryptError::KeyReused));
        }
        for message in entry["opens"].as_array().unwrap() {
            let opened = open(&stored, &message["key"]).unwrap();
            assert_eq!(
                opened.key_material.as_slice(),
                message["text"].as_str().unwrap().as_bytes()
            );
            stored = opened.record.to_bytes().to_vec();
            assert_eq!(stored[0], 4, "what is stored anew has the newest form");
        }
    }
    let all = Profile::ALL.map(|profile| [1, 2, 3, 4].map(|version| (profile, version)));
    assert_eq!(seen, all.into_iter().flatten().collect());
}
