//! What several tests need: repeatable entropy, devices, hex.
#![allow(dead_code, reason = "each test program uses another part")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test may fail by a panic"
)]

use std::fmt::Write;

use waxwing_omemo::{
    Bundle, DecryptError, Decrypted, DeviceId, Entropy, IdentityKey, IdentityKeyPair, KeyElement,
    LocalPreKeys, PreKey, PreKeyId, Profile, SessionRecord, SignedPreKey, decrypt_key, encrypt_key,
    generate_prekeys, start_session,
};

/// Runs a test in both generations.
pub(crate) fn both(test: impl Fn(Profile)) {
    Profile::ALL.into_iter().for_each(test);
}

/// The same random-looking bytes in every run (xorshift; worth nothing outside of tests).
#[derive(Clone)]
pub(crate) struct Repeatable(u64);

impl Repeatable {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number()).expect("48 bits fit") % limit
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.number() as u8).collect()
    }
}

impl Entropy for Repeatable {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            *byte = self.number() as u8;
        }
    }
}

/// Hands out recorded bytes, and insists that there are enough of them.
pub(crate) struct Recorded(pub(crate) Vec<u8>);

impl Entropy for Recorded {
    fn fill(&mut self, out: &mut [u8]) {
        assert!(
            self.0.len() >= out.len(),
            "more random bytes are asked for than were recorded"
        );
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
    }
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// One device and its side of the sessions with one other device. Every step goes through the stored bytes, as
/// after a restart.
pub(crate) struct Device {
    pub(crate) profile: Profile,
    pub(crate) id: DeviceId,
    pub(crate) identity: IdentityKeyPair,
    pub(crate) signed: Vec<SignedPreKey>,
    pub(crate) prekeys: Vec<PreKey>,
    pub(crate) stored: Option<Vec<u8>>,
    pub(crate) pinned: Option<IdentityKey>,
    pub(crate) rng: Repeatable,
}

impl Device {
    pub(crate) fn new(profile: Profile, seed: u64) -> Self {
        let mut rng = Repeatable::new(seed);
        Self {
            profile,
            id: DeviceId::random(&mut rng),
            identity: IdentityKeyPair::generate(&mut rng),
            signed: vec![SignedPreKey::generate(PreKeyId(1), 0, &mut rng)],
            prekeys: generate_prekeys(PreKeyId(1), 5, &mut rng),
            stored: None,
            pinned: None,
            rng,
        }
    }

    pub(crate) fn record(&self) -> Option<SessionRecord> {
        self.stored
            .as_deref()
            .map(|bytes| SessionRecord::from_bytes(bytes).expect("a stored record can be read"))
    }

    pub(crate) fn keep(&mut self, record: &SessionRecord) {
        self.stored = Some(record.to_bytes().to_vec());
        self.pinned = Some(*record.identity());
    }

    pub(crate) fn bundle(&mut self) -> Bundle {
        let signed = self.signed.last().unwrap();
        Bundle::of_own_keys(self.profile, &self.identity, signed, &self.prekeys, &mut self.rng)
    }

    pub(crate) fn start(&mut self, peer: &mut Device) {
        let bundle = peer.bundle();
        let record = self.record();
        let record = start_session(
            record.as_ref(),
            &self.identity,
            self.id,
            &bundle,
            self.pinned.as_ref(),
            &mut self.rng,
        );
        self.keep(&record.unwrap());
    }

    pub(crate) fn send(&mut self, text: &str) -> KeyElement {
        let (record, key) = encrypt_key(&self.record().unwrap(), &self.identity, text.as_bytes()).unwrap();
        self.keep(&record);
        key
    }

    /// Opens without keeping anything.
    pub(crate) fn peek(&mut self, key: &KeyElement) -> Result<Decrypted, DecryptError> {
        let local = LocalPreKeys {
            signed: &self.signed,
            one_time: &self.prekeys,
        };
        let record = self.record();
        decrypt_key(
            self.profile,
            record.as_ref(),
            &self.identity,
            local,
            key,
            self.pinned.as_ref(),
            &mut self.rng,
        )
    }

    pub(crate) fn open(&mut self, key: &KeyElement) -> Result<Decrypted, DecryptError> {
        let opened = self.peek(key)?;
        self.keep(&opened.record);
        if let Some(id) = opened.effects.consumed_prekey {
            self.prekeys.retain(|prekey| prekey.id() != id);
        }
        Ok(opened)
    }

    pub(crate) fn read(&mut self, key: &KeyElement) -> Result<String, DecryptError> {
        self.open(key)
            .map(|opened| String::from_utf8(opened.key_material.to_vec()).unwrap())
    }
}

/// Two devices with an answered session between them, the same two in every call.
pub(crate) fn acquainted(profile: Profile) -> (Device, Device) {
    acquaint(Device::new(profile, 1), Device::new(profile, 2))
}

/// Gives two devices an answered session.
pub(crate) fn acquaint(mut alice: Device, mut bob: Device) -> (Device, Device) {
    alice.start(&mut bob);
    let key = alice.send("hello");
    assert_eq!(bob.read(&key).unwrap(), "hello");
    let key = bob.send("hello back");
    assert_eq!(alice.read(&key).unwrap(), "hello back");
    (alice, bob)
}
