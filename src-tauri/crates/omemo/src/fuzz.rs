//! Ways in for the fuzz targets. Not for anybody else.

use std::sync::LazyLock;

use minidom::Element;

use crate::xml::{
    MAX_DEVICES, MAX_KEYS, MAX_PREKEYS, read_bundle, read_devices, read_encrypted, write_bundle,
    write_devices, write_encrypted,
};
use crate::{
    Bundle, DeviceId, Entropy, IdentityKeyPair, KeyElement, LocalPreKeys, OsEntropy, PreKey, PreKeyId,
    Profile, SessionRecord, SignedPreKey, decrypt_key, encrypt_key, generate_prekeys, prekey_ids, sce,
    start_session,
};

const FROM: &str = "alice@waxwing.test";
const TO: &str = "bob@waxwing.test";

/// The guard in front of the program lets through a depth of 64; elements recurse.
const MAX_ELEMENTS: usize = 500;

/// Envelopes of stanza content encryption (XEP-0420), as whoever has a session may seal them.
pub fn envelope(bytes: &[u8]) {
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
}

/// Key elements as a stranger may send them: read without a session, in both generations.
pub fn wire(bytes: &[u8]) {
    let (identity, signed, one_time) = &*KEYS;
    for profile in Profile::ALL {
        let named = prekey_ids(profile, bytes);
        for is_prekey in [false, true] {
            let key = KeyElement {
                bytes: bytes.to_vec(),
                is_prekey,
            };
            let prekeys = LocalPreKeys { signed, one_time };
            let opened = decrypt_key(profile, None, identity, prekeys, &key, None, &mut OsEntropy);
            let error = opened.err().expect("nobody knows these keys");
            assert!(!error.code().is_empty());
            assert!(
                !is_prekey || named.is_ok() || error == named.expect_err("it is one"),
                "one reading, one error"
            );
        }
    }
}

/// Keys under the ids that the seeds name, so that whole key exchanges are tried and not only looked up.
static KEYS: LazyLock<(IdentityKeyPair, Vec<SignedPreKey>, Vec<PreKey>)> = LazyLock::new(|| {
    let signed = SignedPreKey::from_bytes(PreKeyId(1), 0, &[3; 32]).expect("32 bytes");
    let one_time = (1..5).map(|id| PreKey::from_bytes(PreKeyId(id), &[4; 32]).expect("32 bytes"));
    (
        IdentityKeyPair::from_bytes(&[2; 32]),
        vec![signed],
        one_time.collect(),
    )
});

/// Device lists, bundles and messages as XML: what is read survives being written.
pub fn xml(bytes: &[u8]) {
    let mut elements = bytes.iter().filter(|byte| **byte == b'<');
    if elements.nth(MAX_ELEMENTS).is_some() {
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
}

/// By way of the text that goes over the wire.
fn again(element: &Element) -> Element {
    String::from(element).parse().expect("what we write is XML")
}

/// Whole key elements against stored sessions, made up or altered from real ones. The first byte says which and how.
pub fn session(bytes: &[u8]) {
    opens(bytes);
}

fn opens(bytes: &[u8]) -> bool {
    let Some((head, rest)) = bytes.split_first() else {
        return false;
    };
    let head = usize::from(*head);
    let situation = SITUATIONS.iter().cycle().nth(head % 2);
    let situation = situation.expect("one for each generation");
    let key = situation
        .messages
        .iter()
        .cycle()
        .nth(head / 2 % situation.messages.len());
    let mut key = key.expect("there are some").clone();
    key.is_prekey ^= head & 0x40 != 0;
    if head & 0x80 != 0 {
        key.bytes = rest.to_vec();
    } else {
        alter(&mut key.bytes, rest);
    }
    situation.open(&key)
}

/// Each three bytes alter one place: what is done, where, and with what.
fn alter(bytes: &mut Vec<u8>, edits: &[u8]) {
    for edit in edits.chunks_exact(3).take(8) {
        let &[what, at, with] = edit else { continue };
        let at = usize::from(at) % (bytes.len() + 1);
        match what % 4 {
            0 => bytes.insert(at, with),
            1 => bytes.truncate(at),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= with;
                }
            }
        }
    }
}

/// The same in every run, so that inputs stay valid.
struct Fixed(u64);

impl Entropy for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            [*byte, ..] = self.0.to_be_bytes();
        }
    }
}

/// A device in the middle of a talk, and real messages to it that it has not opened yet.
struct Situation {
    profile: Profile,
    identity: IdentityKeyPair,
    signed: SignedPreKey,
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
    let signed = SignedPreKey::generate(PreKeyId(1), 0, &mut rng);
    let prekeys = generate_prekeys(PreKeyId(1), 4, &mut rng);
    let bundle = Bundle::of_own_keys(profile, &identity, &signed, &prekeys, &mut rng);
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
            signed: std::slice::from_ref(&signed),
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
    /// Whether it opens, which it does once at most.
    fn open(&self, key: &KeyElement) -> bool {
        let record = SessionRecord::from_bytes(&self.stored).expect("it was stored so");
        let local = LocalPreKeys {
            signed: std::slice::from_ref(&self.signed),
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
        let is_open = opened.is_ok();
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
        is_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The committed seeds of a target with their names.
    fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus");
        let files = std::fs::read_dir(folder.join(target)).unwrap();
        let seed = |file: std::fs::DirEntry| {
            let name = file.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(file.path()).unwrap())
        };
        files.map(|file| seed(file.unwrap())).collect()
    }

    #[test]
    fn the_seeds_of_the_fuzzers_break_nothing() {
        let run = |target: &str, run: fn(&[u8])| {
            let seeds = seeds(target);
            assert!(seeds.len() > 5, "{target} has no seeds");
            for (_, seed) in seeds {
                run(&seed);
            }
        };
        run("omemo_envelope", envelope);
        run("omemo_session", session);
        run("omemo_wire", wire);
        run("omemo_xml", xml);
    }

    /// As long as these open, and nothing else does, the fuzzer begins at messages that are nearly good.
    #[test]
    fn the_whole_messages_among_the_seeds_open_and_no_altered_ones() {
        for (name, seed) in seeds("omemo_session") {
            assert_eq!(opens(&seed), name.starts_with("whole"), "{name}");
        }
    }
}
