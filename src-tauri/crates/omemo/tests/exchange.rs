//! How sessions begin: key exchanges, prekeys and identities, with every step going through stored bytes.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail by a panic"
)]

mod support;

use support::{Device, Repeatable, acquainted, both};
use waxwing_omemo::{
    Bundle, DecryptError, EncryptError, IdentityKeyPair, PreKeyId, Profile, SignedPreKey, prekey_ids,
    start_session,
};

#[test]
fn the_key_exchange_is_repeated_until_the_first_answer_and_makes_one_session() {
    both(|profile| {
        let (mut alice, mut bob) = (Device::new(profile, 1), Device::new(profile, 2));
        alice.start(&mut bob);
        let keys: Vec<_> = (0..4).map(|number| alice.send(&number.to_string())).collect();
        assert!(keys.iter().all(|key| key.is_prekey));
        assert!(alice.record().unwrap().is_unanswered());
        let ids = prekey_ids(profile, &keys[0].bytes).unwrap();
        assert_eq!(ids.identity, *alice.identity.public());
        assert_eq!(
            ids.registration,
            (profile == Profile::Legacy).then(|| alice.id.get())
        );
        let base_keys: Vec<_> = keys
            .iter()
            .map(|key| prekey_ids(profile, &key.bytes).unwrap().base_key)
            .collect();
        assert!(base_keys.windows(2).all(|pair| pair[0] == pair[1]));
        // The second arrives first.
        let opened = bob.open(&keys[1]).unwrap();
        assert!(opened.effects.new_session);
        assert_eq!(bob.prekeys.len(), 4);
        for number in [0, 3, 2] {
            let opened = bob.open(&keys[number]).unwrap();
            assert_eq!(opened.key_material.as_slice(), number.to_string().as_bytes());
            assert_eq!(opened.effects, waxwing_omemo::Effects::default());
        }
        assert_eq!(bob.record().unwrap().archived(), 0);
        let answer = bob.send("answer");
        assert!(!answer.is_prekey);
        alice.read(&answer).unwrap();
        assert!(!alice.record().unwrap().is_unanswered());
        assert!(!alice.send("later").is_prekey);
    });
}

#[test]
fn both_may_start_at_the_same_time_and_lose_nothing() {
    both(|profile| {
        let (mut alice, mut bob) = (Device::new(profile, 1), Device::new(profile, 2));
        alice.start(&mut bob);
        bob.start(&mut alice);
        let (from_alice, from_bob) = (alice.send("a0"), bob.send("b0"));
        let second_from_alice = alice.send("a1");
        assert_eq!(bob.read(&from_alice).unwrap(), "a0");
        assert_eq!(alice.read(&from_bob).unwrap(), "b0");
        assert_eq!(bob.read(&second_from_alice).unwrap(), "a1");
        assert_eq!(alice.record().unwrap().archived(), 1);
        assert_eq!(bob.record().unwrap().archived(), 1);
        // Both at once again and again: each message opens, and no more sessions come up.
        for round in 0..6 {
            let (from_alice, from_bob) = (alice.send(&format!("a{round}")), bob.send(&format!("b{round}")));
            assert_eq!(alice.read(&from_bob).unwrap(), format!("b{round}"));
            assert_eq!(bob.read(&from_alice).unwrap(), format!("a{round}"));
        }
        let key = alice.send("now one after the other");
        bob.read(&key).unwrap();
        let key = bob.send("yes");
        alice.read(&key).unwrap();
        assert!(!alice.send("settled").is_prekey);
        assert_eq!(alice.record().unwrap().archived(), 1);
    });
}

#[test]
fn a_bundle_without_one_time_prekeys_is_refused() {
    both(|profile| {
        let (mut alice, mut bob) = (Device::new(profile, 1), Device::new(profile, 2));
        bob.prekeys.clear();
        let bundle = bob.bundle();
        let started = start_session(None, &alice.identity, alice.id, &bundle, None, &mut alice.rng);
        assert_eq!(started.err(), Some(EncryptError::NoOneTimePreKey));
    });
}

#[test]
fn a_key_exchange_without_one_time_prekey_is_refused() {
    both(|profile| {
        let (mut alice, mut bob) = (Device::new(profile, 1), Device::new(profile, 2));
        alice.start(&mut bob);
        let mut key = alice.send("first");
        // Field 1, a one-byte id, comes first (in legacy after the version byte).
        let at = usize::from(profile == Profile::Legacy);
        assert_eq!(key.bytes[at], 1 << 3);
        key.bytes.drain(at..at + 2);
        assert_eq!(prekey_ids(profile, &key.bytes).unwrap().one_time, None);
        assert_eq!(bob.read(&key), Err(DecryptError::NoOneTimePreKey));
    });
}

#[test]
fn unknown_prekeys_are_told_apart() {
    both(|profile| {
        let (mut alice, mut bob) = (Device::new(profile, 1), Device::new(profile, 2));
        alice.start(&mut bob);
        let key = alice.send("first");
        let (signed, prekeys) = (bob.signed.split_off(0), bob.prekeys.clone());
        assert_eq!(bob.read(&key), Err(DecryptError::UnknownSignedPreKey));
        bob.signed = signed;
        bob.prekeys.clear();
        assert_eq!(bob.read(&key), Err(DecryptError::UnknownPreKey));
        bob.prekeys = prekeys;
        assert_eq!(bob.read(&key).unwrap(), "first");
    });
}

#[test]
fn a_rotated_signed_prekey_still_opens_what_was_started_with_the_old_one() {
    both(|profile| {
        let (mut alice, mut bob) = (Device::new(profile, 1), Device::new(profile, 2));
        alice.start(&mut bob);
        let rotated = SignedPreKey::generate(PreKeyId(2), 1_000, &mut bob.rng);
        bob.signed.push(rotated);
        let key = alice.send("first");
        assert_eq!(bob.read(&key).unwrap(), "first");
    });
}

#[test]
fn a_changed_identity_is_refused_in_both_directions() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let mut impostor = Device::new(profile, 66);
        impostor.start(&mut alice);
        let key = impostor.send("I am Bob");
        let before = alice.stored.clone();
        assert_eq!(alice.read(&key), Err(DecryptError::IdentityChanged));
        assert_eq!(alice.stored, before);
        // Also when only the pinned key is left, and also when only the record is.
        let stored = alice.stored.take();
        assert_eq!(alice.read(&key), Err(DecryptError::IdentityChanged));
        alice.stored = stored;
        let pinned = alice.pinned.take();
        assert_eq!(alice.read(&key), Err(DecryptError::IdentityChanged));
        alice.pinned = pinned;
        let bundle = impostor.bundle();
        let record = alice.record();
        let started = start_session(
            record.as_ref(),
            &alice.identity,
            alice.id,
            &bundle,
            alice.pinned.as_ref(),
            &mut alice.rng,
        );
        assert_eq!(started.err(), Some(EncryptError::IdentityChanged));
        let key = bob.send("I am still here");
        assert_eq!(alice.read(&key).unwrap(), "I am still here");
    });
}

#[test]
fn a_record_of_another_identity_than_the_pinned_one_opens_nothing() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let key = bob.send("from the old identity");
        alice.pinned = Some(*Device::new(profile, 9).identity.public());
        assert_eq!(alice.read(&key), Err(DecryptError::NoSession));
    });
}

#[test]
fn a_bundle_signed_by_somebody_else_cannot_be_made() {
    both(|profile| {
        let mut bob = Device::new(profile, 2);
        let bundle = bob.bundle();
        let stranger = *IdentityKeyPair::generate(&mut Repeatable::new(5)).public();
        let (signed, signature) = (*bundle.signed_prekey(), *bundle.signature());
        assert!(Bundle::new(profile, stranger, signed, signature, Vec::new()).is_err());
        assert!(Bundle::new(profile, *bundle.identity(), signed, signature, Vec::new()).is_ok());
        let other = if profile == Profile::Legacy {
            Profile::Omemo2
        } else {
            Profile::Legacy
        };
        assert!(Bundle::new(other, *bundle.identity(), signed, signature, Vec::new()).is_err());
    });
}
