//! Whole key elements against stored sessions, made up or altered from real ones.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waxwing_omemo::{
    Bundle, DeviceId, Entropy, IdentityKeyPair, KeyElement, LocalPreKeys, PreKey, PreKeyId, Profile,
    SessionRecord, SignedPreKey, decrypt_key, encrypt_key, generate_prekeys, start_session,
};

/// The same in every run, so that inputs stay valid.
struct Fixed(u64);

impl Entropy for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = self.0.to_be_bytes()[0];
        }
    }
}

/// A device in the middle of a talk, and real messages to it that it has not opened yet.
struct Situation {
    profile: Profile,
    identity: IdentityKeyPair,
    signed: [SignedPreKey; 1],
    prekeys: Vec<PreKey>,
    stored: Vec<u8>,
    messages: Vec<KeyElement>,
}

static SITUATIONS: LazyLock<Vec<Situation>> =
    LazyLock::new(|| Profile::ALL.into_iter().map(situation).collect());

fn situation(profile: Profile) -> Situation {
    let mut rng = Fixed(7);
    let (peer, identity) = (
        IdentityKeyPair::generate(&mut rng),
        IdentityKeyPair::generate(&mut rng),
    );
    let signed = [SignedPreKey::generate(PreKeyId(1), 0, &mut rng)];
    let prekeys = generate_prekeys(PreKeyId(1), 4, &mut rng);
    let bundle = Bundle::of_own_keys(profile, &identity, &signed[0], &prekeys, &mut rng);
    let device = DeviceId::random(&mut rng);
    let start = |record: Option<&SessionRecord>, rng: &mut Fixed| {
        start_session(record, &peer, device, &bundle, None, rng).expect("the bundle is whole")
    };
    let send = |record: &mut SessionRecord, by: &IdentityKeyPair, text: &[u8]| {
        let (next, key) = encrypt_key(record, by, text).expect("the session is whole");
        *record = next;
        key
    };
    let open = |record: Option<&SessionRecord>, by: &IdentityKeyPair, key: &KeyElement, rng: &mut Fixed| {
        let local = LocalPreKeys {
            signed: &signed,
            one_time: &prekeys,
        };
        decrypt_key(profile, record, by, local, key, None, rng)
            .expect("the message is whole")
            .record
    };
    // Two answered chains, messages missing on both, and one of a session that begins anew.
    let mut theirs = start(None, &mut rng);
    let first = send(&mut theirs, &peer, b"first");
    let mut ours = open(None, &identity, &first, &mut rng);
    let mut messages = vec![send(&mut theirs, &peer, b"text")];
    let third = send(&mut theirs, &peer, b"third");
    ours = open(Some(&ours), &identity, &third, &mut rng);
    let answer = send(&mut ours, &identity, b"answer");
    theirs = open(Some(&theirs), &peer, &answer, &mut rng);
    messages.extend((0..3).map(|_| send(&mut theirs, &peer, b"text")));
    let mut anew = start(Some(&theirs), &mut rng);
    messages.push(send(&mut anew, &peer, b"text"));
    Situation {
        profile,
        identity,
        signed,
        prekeys,
        stored: ours.to_bytes().to_vec(),
        messages,
    }
}

impl Situation {
    fn open(&self, key: &KeyElement) {
        let record = SessionRecord::from_bytes(&self.stored).expect("it was stored so");
        let local = LocalPreKeys {
            signed: &self.signed,
            one_time: &self.prekeys,
        };
        let opened = decrypt_key(
            self.profile,
            Some(&record),
            &self.identity,
            local,
            key,
            None,
            &mut Fixed(9),
        );
        assert_eq!(
            record.to_bytes().as_slice(),
            self.stored,
            "the given record stays as it was"
        );
        if let Ok(opened) = opened {
            assert_eq!(
                opened.key_material.as_slice(),
                b"text",
                "only what was sent opens"
            );
            let stored = opened.record.to_bytes();
            let again = SessionRecord::from_bytes(&stored).expect("what is stored can be read");
            assert_eq!(again.to_bytes(), stored);
            let local = LocalPreKeys::default();
            let second = decrypt_key(
                self.profile,
                Some(&again),
                &self.identity,
                local,
                key,
                None,
                &mut Fixed(9),
            );
            assert!(second.is_err(), "nothing opens twice");
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((head, rest)) = bytes.split_first() else {
        return;
    };
    let head = usize::from(*head);
    let situation = &SITUATIONS[head % 2];
    let mut key = situation.messages[head / 2 % situation.messages.len()].clone();
    key.is_prekey ^= head & 0x40 != 0;
    if head & 0x80 != 0 {
        key.bytes = rest.to_vec();
    } else {
        alter(&mut key.bytes, rest);
    }
    situation.open(&key);
});

/// Each three bytes alter one place: what is done, where, and with what.
fn alter(bytes: &mut Vec<u8>, edits: &[u8]) {
    for edit in edits.chunks_exact(3).take(8) {
        let at = usize::from(edit[1]) % (bytes.len() + 1);
        match edit[0] % 4 {
            0 => bytes.insert(at, edit[2]),
            1 => bytes.truncate(at),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= edit[2];
                }
            }
        }
    }
}
