//! How fast it is: `cargo run --release -p waxwing-omemo --example speed`
//!
//! Prints medians. "Encrypted" is a whole stanza: the payload sealed once, a key for each device, every record read
//! from and written to its stored bytes. "Decrypted" is the same stanza opened by each of its devices, counted per
//! device. Messages go one way with an answer every tenth, so ratchet steps are in.

use std::time::{Duration, Instant};

use waxwing_omemo::{
    Bundle, DeviceId, IdentityKeyPair, KeyElement, LocalPreKeys, OsEntropy, PreKey, PreKeyId, Profile,
    Sealed, SessionRecord, SignedPreKey, decrypt_key, encrypt_key, generate_prekeys, open_payload,
    seal_payload, start_session,
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
    println!(
        "{:8} {:>7} {:>18} {:>18}",
        "", "devices", "encrypted a second", "decrypted a second"
    );
    for profile in Profile::ALL {
        let starts = median((0..RUNS).map(|_| starts(profile)).collect());
        for devices in [1, 5, 20] {
            let mut runs: Vec<_> = (0..RUNS).map(|_| stanzas(profile, devices)).collect();
            let encrypted = median(runs.iter().map(|run| run.0).collect());
            let decrypted = median(runs.drain(..).map(|run| run.1).collect());
            println!(
                "{:8} {devices:>7} {encrypted:>18.0} {decrypted:>18.0}",
                format!("{profile:?}")
            );
        }
        println!(
            "{:8} sessions started and accepted a second: {starts:.0}",
            format!("{profile:?}")
        );
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

fn rate(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

/// Key exchanges made and opened a second, bundle signature included.
fn starts(profile: Profile) -> f64 {
    let count = 50;
    let started = Instant::now();
    (0..count).for_each(|_| drop(chat(profile, 1)));
    rate(count, started.elapsed())
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
        let rng = &mut OsEntropy;
        let bundle = Bundle::of_own_keys(
            profile,
            &receiver.identity,
            &receiver.signed,
            &receiver.prekeys,
            rng,
        );
        let own = DeviceId::random(rng);
        let record = start_session(None, &chat.sender, own, &bundle, None, rng).expect("the bundle is whole");
        let (record, key) = encrypt_key(&record, &chat.sender, &[1; 32]).expect("the session is fresh");
        open(profile, &mut receiver, &key);
        chat.stored.push(record.to_bytes().to_vec());
        chat.receivers.push(receiver);
    }
    answer(&mut chat);
    chat
}

fn open(profile: Profile, receiver: &mut Device, key: &KeyElement) -> Vec<u8> {
    let record = SessionRecord::from_bytes(&receiver.stored).ok();
    let local = LocalPreKeys {
        signed: std::slice::from_ref(&receiver.signed),
        one_time: &receiver.prekeys,
    };
    let opened = decrypt_key(
        profile,
        record.as_ref(),
        &receiver.identity,
        local,
        key,
        None,
        &mut OsEntropy,
    )
    .expect("the message is whole");
    receiver.stored = opened.record.to_bytes().to_vec();
    opened.key_material.to_vec()
}

/// Every receiver sends an empty message back.
fn answer(chat: &mut Chat) {
    for (stored, receiver) in chat.stored.iter_mut().zip(&mut chat.receivers) {
        let record = SessionRecord::from_bytes(&receiver.stored).expect("it was stored so");
        let (record, key) = encrypt_key(&record, &receiver.identity, &[0; 32]).expect("the session is fresh");
        receiver.stored = record.to_bytes().to_vec();
        let record = SessionRecord::from_bytes(stored).expect("it was stored so");
        let local = LocalPreKeys::default();
        let opened = decrypt_key(
            chat.profile,
            Some(&record),
            &chat.sender,
            local,
            &key,
            None,
            &mut OsEntropy,
        )
        .expect("the message is whole");
        *stored = opened.record.to_bytes().to_vec();
    }
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
