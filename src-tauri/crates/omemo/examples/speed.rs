//! How fast it is: `cargo run --release -p waxwing-omemo --example speed`
//!
//! Prints medians. "Encrypted" is a whole stanza: the payload sealed once, a key for each device, every record read
//! from and written to its stored bytes. "Decrypted" is the same stanza opened by each of its devices, counted per
//! device. Messages go one way with an answer every tenth, so ratchet steps are in. A session is begun and accepted: the
//! bundle's signature checked, the key exchange made, sent and opened. Then the dearest message that somebody who once
//! talked to us can send: on an unknown chain, far ahead, with all sessions that are archived to be tried.

use std::time::{Duration, Instant};

use waxwing_omemo::{
    Bundle, DecryptError, Decrypted, DeviceId, IdentityKeyPair, KeyElement, LocalPreKeys, MAX_ARCHIVED,
    MAX_SKIP, OsEntropy, PreKey, PreKeyId, Profile, Sealed, SessionRecord, SignedPreKey, decrypt_key,
    encrypt_key, generate_prekeys, open_payload, seal_payload, start_session,
};

const RUNS: usize = 9;
const STANZAS: usize = 200;
const TEXT: &[u8] = b"A message of a usual length, as people write them to each other all day long.";

struct Device {
    identity: IdentityKeyPair,
    signed: SignedPreKey,
    prekeys: Vec<PreKey>,
    stored: Vec<u8>,
}

fn device() -> Device {
    Device {
        identity: IdentityKeyPair::generate(&mut OsEntropy),
        signed: SignedPreKey::generate(PreKeyId(1), 0, &mut OsEntropy),
        prekeys: generate_prekeys(PreKeyId(1), 4, &mut OsEntropy),
        stored: Vec::new(),
    }
}

/// The sender, its stored record for each receiver, and the receivers.
struct Chat {
    profile: Profile,
    sender: IdentityKeyPair,
    stored: Vec<Vec<u8>>,
    receivers: Vec<Device>,
}

fn main() {
    for profile in Profile::ALL {
        let starts = median((0..RUNS).map(|_| starts(profile)).collect());
        println!("{profile:?} sessions a second: {starts:.0}");
        println!(
            "{profile:?} milliseconds for the dearest message: {:.2}",
            dearest(profile)
        );
        println!("{profile:?} devices, stanzas encrypted a second, keys decrypted a second:");
        for devices in [1, 5, 20] {
            let mut runs: Vec<_> = (0..RUNS).map(|_| stanzas(profile, devices)).collect();
            let encrypted = median(runs.iter().map(|run| run.0).collect());
            let decrypted = median(runs.drain(..).map(|run| run.1).collect());
            println!("{profile:?} {devices} {encrypted:.0} {decrypted:.0}");
        }
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

fn rate(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

/// Sessions begun and accepted a second.
fn starts(profile: Profile) -> f64 {
    let count = 50;
    let sender = IdentityKeyPair::generate(&mut OsEntropy);
    let receivers: Vec<_> = (0..count).map(|_| device()).collect();
    let bundles: Vec<_> = receivers
        .iter()
        .map(|receiver| bundle(profile, receiver))
        .collect();
    let started = Instant::now();
    for (mut receiver, bundle) in receivers.into_iter().zip(bundles) {
        begin(&sender, &mut receiver, &bundle, None);
    }
    rate(count, started.elapsed())
}

fn bundle(profile: Profile, of: &Device) -> Bundle {
    Bundle::of_own_keys(profile, &of.identity, &of.signed, &of.prekeys, &mut OsEntropy)
}

/// Reads the bundle, begins a session beside those there are and has its first message opened. Gives the sender's record.
fn begin(
    sender: &IdentityKeyPair,
    receiver: &mut Device,
    bundle: &Bundle,
    record: Option<&SessionRecord>,
) -> SessionRecord {
    let profile = bundle.profile();
    let (identity, signed, signature) = (*bundle.identity(), *bundle.signed_prekey(), *bundle.signature());
    let read = Bundle::new(profile, identity, signed, signature, bundle.prekeys().to_vec());
    let (own, rng) = (DeviceId::random(&mut OsEntropy), &mut OsEntropy);
    let record = start_session(record, sender, own, &read.expect("it is signed"), None, rng);
    let (record, key) =
        encrypt_key(&record.expect("it is whole"), sender, &[1; 32]).expect("the session is fresh");
    open(profile, receiver, &key);
    record
}

/// Milliseconds until the dearest message is refused, the median of some.
fn dearest(profile: Profile) -> f64 {
    let (eve, mut receiver) = (IdentityKeyPair::generate(&mut OsEntropy), device());
    let bundle = bundle(profile, &receiver);
    let mut record = None;
    for _ in 0..=MAX_ARCHIVED {
        record = Some(begin(&eve, &mut receiver, &bundle, record.as_ref()));
    }
    // A chain that no session knows, as far ahead as any will go.
    let mut unrelated = chat(profile, 1);
    let keys = (0..MAX_SKIP).filter_map(|_| encrypt(&mut unrelated).1.pop());
    let key = keys.last().expect("it was encrypted to one device");
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let started = Instant::now();
        assert!(try_open(profile, &receiver, &key).is_err(), "it fits no session");
        times.push(started.elapsed().as_secs_f64() * 1_000.0);
    }
    median(times)
}

/// A chat in which every receiver has answered.
fn chat(profile: Profile, devices: usize) -> Chat {
    let mut chat = Chat {
        profile,
        sender: IdentityKeyPair::generate(&mut OsEntropy),
        stored: Vec::new(),
        receivers: Vec::new(),
    };
    for _ in 0..devices {
        let mut receiver = device();
        let bundle = bundle(profile, &receiver);
        let record = begin(&chat.sender, &mut receiver, &bundle, None);
        chat.stored.push(record.to_bytes().to_vec());
        chat.receivers.push(receiver);
    }
    answer(&mut chat);
    chat
}

fn open(profile: Profile, receiver: &mut Device, key: &KeyElement) -> Vec<u8> {
    let opened = try_open(profile, receiver, key).expect("the message is whole");
    receiver.stored = opened.record.to_bytes().to_vec();
    opened.key_material.to_vec()
}

fn try_open(profile: Profile, receiver: &Device, key: &KeyElement) -> Result<Decrypted, DecryptError> {
    let record = SessionRecord::from_bytes(&receiver.stored).ok();
    let local = LocalPreKeys {
        signed: std::slice::from_ref(&receiver.signed),
        one_time: &receiver.prekeys,
    };
    decrypt_key(
        profile,
        record.as_ref(),
        &receiver.identity,
        local,
        key,
        None,
        &mut OsEntropy,
    )
}

/// Every receiver sends an empty message back.
fn answer(chat: &mut Chat) {
    for (stored, receiver) in chat.stored.iter_mut().zip(&mut chat.receivers) {
        let mut record = SessionRecord::from_bytes(stored).expect("it was stored so");
        answer_one(chat.profile, receiver, &chat.sender, &mut record);
        *stored = record.to_bytes().to_vec();
    }
}

fn answer_one(profile: Profile, receiver: &mut Device, sender: &IdentityKeyPair, record: &mut SessionRecord) {
    let own = SessionRecord::from_bytes(&receiver.stored).expect("it was stored so");
    let (own, key) = encrypt_key(&own, &receiver.identity, &[0; 32]).expect("the session is fresh");
    receiver.stored = own.to_bytes().to_vec();
    let (local, rng) = (LocalPreKeys::default(), &mut OsEntropy);
    let opened = decrypt_key(profile, Some(record), sender, local, &key, None, rng);
    *record = opened.expect("the message is whole").record;
}

fn encrypt(chat: &mut Chat) -> (Sealed, Vec<KeyElement>) {
    let sealed = seal_payload(chat.profile, TEXT, &mut OsEntropy);
    let mut keys = Vec::with_capacity(chat.stored.len());
    for stored in &mut chat.stored {
        let record = SessionRecord::from_bytes(stored).expect("it was stored so");
        let (record, key) =
            encrypt_key(&record, &chat.sender, &sealed.key_material).expect("the session is fresh");
        *stored = record.to_bytes().to_vec();
        keys.push(key);
    }
    (sealed, keys)
}

/// Stanzas encrypted, and stanzas decrypted, a second.
fn stanzas(profile: Profile, devices: usize) -> (f64, f64) {
    let mut chat = chat(profile, devices);
    let (mut encrypting, mut decrypting) = (Duration::ZERO, Duration::ZERO);
    for number in 0..STANZAS {
        let started = Instant::now();
        let (sealed, keys) = encrypt(&mut chat);
        encrypting += started.elapsed();
        let payload = sealed.payload.unwrap_or_default();
        let started = Instant::now();
        for (receiver, key) in chat.receivers.iter_mut().zip(&keys) {
            let material = open(profile, receiver, key);
            let text = open_payload(profile, &material, sealed.iv.as_deref(), &payload).expect("it is whole");
            assert_eq!(text.as_slice(), TEXT);
        }
        decrypting += started.elapsed();
        if number % 10 == 9 {
            answer(&mut chat);
        }
    }
    (rate(STANZAS, encrypting), rate(STANZAS * devices, decrypting))
}
