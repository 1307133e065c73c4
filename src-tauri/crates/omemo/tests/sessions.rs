//! What sessions promise, in both generations, with every step going through stored bytes.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail by a panic"
)]

mod support;

use support::{Device, Repeatable, acquaint, acquainted, both};
use waxwing_omemo::{
    DecryptError, HEARTBEAT_AFTER, KeyElement, MAX_ARCHIVED, MAX_CHAINS, MAX_OPENED, MAX_PASSED_OVER,
    MAX_SKIP, MAX_STORED_KEYS, PreKeyId, Profile, SessionRecord, seal_empty,
};

#[test]
fn a_message_opens_once_and_its_repetition_is_a_duplicate() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let key = alice.send("once");
        assert_eq!(bob.read(&key).unwrap(), "once");
        let before = bob.stored.clone();
        assert_eq!(bob.read(&key), Err(DecryptError::Duplicate));
        assert_eq!(bob.stored, before);
    });
}

#[test]
fn a_peer_whose_disk_was_set_back_is_told_from_one_that_repeats_itself() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let yesterday = alice.stored.clone();
        let before: Vec<_> = (0..3).map(|number| alice.send(&number.to_string())).collect();
        for key in &before {
            assert!(!bob.open(key).unwrap().effects.peer_went_back);
        }
        let answer = bob.send("answer");
        alice.read(&answer).unwrap();
        let next = alice.send("in the next chain");
        assert!(!bob.open(&next).unwrap().effects.peer_went_back);

        // What she sends then uses keys that are used up; what he had is a repetition still.
        alice.stored = yesterday;
        for old in &before {
            let stored = bob.stored.clone();
            let key = alice.send("after she went back");
            assert_eq!(bob.read(&key), Err(DecryptError::KeyReused));
            assert!(DecryptError::KeyReused.healing_helps());
            assert_eq!(bob.read(old), Err(DecryptError::Duplicate));
            assert_eq!(bob.stored, stored);
        }
        // Then keys that nobody used.
        let key = alice.send("farther than she came");
        assert!(bob.open(&key).unwrap().effects.peer_went_back);
    });
}

#[test]
fn of_a_long_chain_so_many_messages_are_told_apart_as_the_limit_says() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let yesterday = alice.stored.clone();
        for _ in 0..=MAX_OPENED {
            let key = alice.send("x");
            bob.read(&key).unwrap();
        }
        let size = bob.stored.as_ref().unwrap().len();
        alice.stored = yesterday;
        assert_eq!(bob.read(&alice.send("y")), Err(DecryptError::LongAgo));
        assert!(!DecryptError::LongAgo.healing_helps(), "it may be a repetition");
        assert_eq!(bob.read(&alice.send("y")), Err(DecryptError::KeyReused));
        for _ in 1..MAX_OPENED {
            alice.send("y");
        }
        bob.read(&alice.send("z")).unwrap();
        assert_eq!(bob.stored.unwrap().len(), size);
    });
}

#[test]
fn a_message_that_was_altered_is_told_from_one_that_fits_no_session() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        bob.read(&alice.send("the chain is known")).unwrap();
        let (mut stranger, _) = acquaint(Device::new(profile, 77), Device::new(profile, 78));
        assert_eq!(bob.read(&stranger.send("for others")), Err(DecryptError::BadMac));
        let whole = alice.send("whole");
        let mut altered = whole.clone();
        // The first byte of its tag, or the last one.
        let at = match profile {
            Profile::Legacy => altered.bytes.len() - 1,
            Profile::Omemo2 => 2,
        };
        altered.bytes[at] ^= 1;
        assert_eq!(bob.read(&altered), Err(DecryptError::Altered));
        assert_eq!(bob.read(&whole).unwrap(), "whole");
    });
}

#[test]
fn a_repeated_first_message_is_a_duplicate_even_after_its_prekey_is_gone() {
    both(|profile| {
        let (mut alice, mut bob) = (Device::new(profile, 1), Device::new(profile, 2));
        alice.start(&mut bob);
        let key = alice.send("first");
        assert!(bob.open(&key).unwrap().effects.new_session);
        assert_eq!(bob.read(&key), Err(DecryptError::Duplicate));
        bob.stored = None;
        assert_eq!(bob.read(&key), Err(DecryptError::UnknownPreKey));
    });
}

#[test]
fn messages_open_in_any_order_over_several_chains() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let mut late = Vec::new();
        for round in 0..MAX_CHAINS - 1 {
            let keys: Vec<_> = (0..4)
                .map(|number| alice.send(&format!("{round}.{number}")))
                .collect();
            assert_eq!(bob.read(&keys[3]).unwrap(), format!("{round}.3"));
            assert_eq!(bob.read(&keys[1]).unwrap(), format!("{round}.1"));
            late.extend([
                (keys[2].clone(), format!("{round}.2")),
                (keys[0].clone(), format!("{round}.0")),
            ]);
            let answer = bob.send("answer");
            assert_eq!(alice.read(&answer).unwrap(), "answer");
        }
        for (key, text) in late {
            assert_eq!(bob.read(&key).unwrap(), text);
            assert_eq!(bob.read(&key), Err(DecryptError::Duplicate));
        }
    });
}

#[test]
fn a_chain_that_was_cut_short_by_a_ratchet_step_can_still_be_finished() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let keys: Vec<_> = (0..3).map(|number| alice.send(&number.to_string())).collect();
        assert_eq!(bob.read(&keys[0]).unwrap(), "0");
        let answer = bob.send("answer");
        alice.read(&answer).unwrap();
        let next = alice.send("next chain");
        assert_eq!(bob.read(&next).unwrap(), "next chain");
        assert_eq!(bob.read(&keys[2]).unwrap(), "2");
        assert_eq!(bob.read(&keys[1]).unwrap(), "1");
    });
}

#[test]
fn as_many_messages_may_be_missing_as_the_limit_says_and_not_one_more() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let keys: Vec<_> = (0..MAX_SKIP + 2).map(|_| alice.send("x")).collect();
        let before = bob.stored.clone();
        assert_eq!(
            bob.read(&keys[MAX_SKIP as usize + 1]),
            Err(DecryptError::TooManySkipped)
        );
        assert_eq!(bob.stored, before);
        bob.read(&keys[MAX_SKIP as usize]).unwrap();
        bob.read(&keys[0]).unwrap();
        bob.read(&keys[MAX_SKIP as usize + 1]).unwrap();
    });
}

#[test]
fn stored_keys_are_bounded_and_what_came_too_late_is_told_from_what_came_twice() {
    let (mut alice, mut bob) = acquainted(Profile::Omemo2);
    let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        firsts.push(alice.send("first"));
        let skipped = MAX_SKIP as usize - 1;
        (0..skipped).for_each(|_| drop(alice.send("x")));
        lasts.push(alice.send("last"));
        bob.read(&lasts[lasts.len() - 1]).unwrap();
    }
    assert_eq!(bob.read(&firsts[0]), Err(DecryptError::GivenUp));
    assert_eq!(bob.read(&firsts[1]), Err(DecryptError::GivenUp));
    assert_eq!(bob.read(&firsts[2]).unwrap(), "first");
    assert_eq!(bob.read(&firsts[2]), Err(DecryptError::Duplicate));
    assert_eq!(bob.read(&lasts[3]), Err(DecryptError::Duplicate));
    assert!(bob.stored.unwrap().len() < 1_000 + MAX_STORED_KEYS * 36);
}

#[test]
fn stored_keys_are_bounded_over_all_sessions_of_a_record() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let mut firsts = Vec::new();
        for _ in 0..5 {
            bob.prekeys = Device::new(profile, 2).prekeys;
            alice.start(&mut bob);
            firsts.push(alice.send("first"));
            (0..MAX_SKIP - 1).for_each(|_| drop(alice.send("x")));
            let last = alice.send("last");
            bob.read(&last).unwrap();
        }
        assert!(bob.stored.as_ref().unwrap().len() < 4_000 + MAX_STORED_KEYS * 36);
        let results: Vec<_> = firsts.iter().map(|key| bob.read(key)).collect();
        assert_eq!(results[0], Err(DecryptError::GivenUp));
        assert_eq!(results[4].as_deref(), Ok("first"));
    });
}

#[test]
fn a_record_in_daily_use_is_small() {
    both(|profile| {
        let (alice, bob) = acquainted(profile);
        assert!(alice.stored.unwrap().len() < 600);
        assert!(bob.stored.unwrap().len() < 600);
    });
}

#[test]
fn messages_of_a_replaced_session_still_open() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let late = alice.send("sent before the repair");
        bob.start(&mut alice);
        let repair = bob.send("repair");
        assert!(repair.is_prekey);
        assert!(alice.open(&repair).unwrap().effects.new_session);
        assert_eq!(bob.read(&late).unwrap(), "sent before the repair");
        let key = alice.send("on the new session");
        assert_eq!(bob.read(&key).unwrap(), "on the new session");
    });
}

/// Her disk was set back, and her program takes no notice of empty messages: she goes on in the session that there was.
#[test]
fn a_session_in_place_of_a_broken_one_stays_in_use_while_the_other_side_has_not_taken_it_up() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let yesterday = alice.stored.clone();
        bob.read(&alice.send("one")).unwrap();
        let answer = bob.send("two");
        alice.read(&answer).unwrap();
        bob.read(&alice.send("three")).unwrap();
        alice.stored = yesterday;
        assert_eq!(bob.read(&alice.send("lost")), Err(DecryptError::KeyReused));
        bob.start(&mut alice);
        drop(bob.send("an empty message that she ignores"));
        for number in 0..2 * MAX_PASSED_OVER {
            let key = alice.send("on the chain that she had left");
            assert!(bob.open(&key).unwrap().effects.peer_went_back, "{number}");
            assert!(bob.record().unwrap().is_unanswered(), "{number}");
            // Whatever is sent, she could not open it in the old session.
            drop(bob.send("lost on its way"));
        }
        let key = bob.send("an answer");
        assert!(key.is_prekey);
        assert_eq!(alice.read(&key).unwrap(), "an answer");
        let key = alice.send("in the new session");
        assert_eq!(bob.read(&key).unwrap(), "in the new session");
        assert!(!bob.record().unwrap().is_unanswered());
    });
}

/// Nothing speaks against the old session, and the other side goes on in it whatever it is sent in the new one.
#[test]
fn a_session_that_the_other_side_cannot_take_up_gives_way_to_the_one_before_after_a_while() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        bob.start(&mut alice);
        drop(bob.send("an empty message that she ignores"));
        for _ in 0..2 * MAX_PASSED_OVER {
            let key = alice.send("before anything was said in the new session");
            bob.read(&key).unwrap();
        }
        assert!(bob.send("something that she cannot open").is_prekey);
        for _ in 1..MAX_PASSED_OVER {
            let key = alice.send("what did you say?");
            bob.read(&key).unwrap();
            assert!(bob.record().unwrap().is_unanswered());
        }
        let key = alice.send("I cannot read that");
        bob.read(&key).unwrap();
        let key = bob.send("in the old session again");
        assert!(!key.is_prekey);
        assert_eq!(alice.read(&key).unwrap(), "in the old session again");
    });
}

#[test]
fn no_more_sessions_are_archived_than_the_limit_says() {
    let (mut alice, mut bob) = acquainted(Profile::Legacy);
    let oldest = bob.send("oldest");
    let mut newer = None;
    for round in 0..=MAX_ARCHIVED {
        alice.start(&mut bob);
        if round == 0 {
            let key = alice.send("second");
            bob.read(&key).unwrap();
            newer = Some(bob.send("newer"));
        }
    }
    assert_eq!(alice.record().unwrap().archived(), MAX_ARCHIVED);
    assert_eq!(
        alice.read(&oldest),
        Err(DecryptError::BadMac),
        "its session was given up"
    );
    assert_eq!(alice.read(&newer.unwrap()).unwrap(), "newer");
}

#[test]
fn a_message_without_any_session_says_so() {
    both(|profile| {
        let (mut alice, _) = acquainted(profile);
        let key = alice.send("to Bob");
        assert_eq!(Device::new(profile, 3).read(&key), Err(DecryptError::NoSession));
    });
}

#[test]
fn a_message_altered_in_any_byte_does_not_open_and_changes_nothing() {
    both(|profile| {
        let (mut alice, mut bob) = (Device::new(profile, 1), Device::new(profile, 2));
        alice.start(&mut bob);
        let first = alice.send("first");
        for at in 0..first.bytes.len() {
            let mut altered = first.clone();
            altered.bytes[at] ^= 4;
            // A few bytes are not covered by the tag: the registration id, which nobody believes, and the minor
            // half of the version byte.
            if let Ok(text) = bob.peek(&altered) {
                assert_eq!(text.key_material.as_slice(), b"first");
                assert_eq!(profile, Profile::Legacy);
            }
        }
        assert!(bob.stored.is_none());
        bob.read(&first).unwrap();
        let answer = bob.send("answer");
        alice.read(&answer).unwrap();
        let key = alice.send("second");
        for at in 0..key.bytes.len() {
            let mut altered = key.clone();
            altered.bytes[at] ^= 4;
            if let Ok(text) = bob.peek(&altered) {
                assert_eq!(text.key_material.as_slice(), b"second");
                panic!("byte {at} is not covered");
            }
        }
        assert_eq!(bob.read(&key).unwrap(), "second");
    });
}

#[test]
fn a_truncated_message_never_opens() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let key = alice.send("whole");
        for length in 0..key.bytes.len() {
            let cut = KeyElement {
                bytes: key.bytes[..length].to_vec(),
                is_prekey: key.is_prekey,
            };
            assert!(bob.peek(&cut).is_err());
        }
        bob.read(&key).unwrap();
    });
}

#[test]
fn another_version_of_the_wire_format_is_named() {
    let (mut alice, mut bob) = acquainted(Profile::Legacy);
    let mut key = alice.send("x");
    key.bytes[0] = 0x44;
    assert_eq!(bob.read(&key), Err(DecryptError::UnsupportedVersion(4)));
}

#[test]
fn a_heartbeat_is_wanted_once_per_ratchet_key() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        for _ in 0..2 {
            let mut wanted = Vec::new();
            for number in 0..HEARTBEAT_AFTER + 10 {
                let key = alice.send("and another");
                if bob.open(&key).unwrap().effects.heartbeat_wanted {
                    wanted.push(number);
                }
            }
            assert_eq!(wanted, [HEARTBEAT_AFTER]);
            let sealed = seal_empty(profile, &mut bob.rng);
            assert!(sealed.payload.is_none());
            let record = bob.record().unwrap();
            let (record, beat) =
                waxwing_omemo::encrypt_key(&record, &bob.identity, &sealed.key_material).unwrap();
            bob.keep(&record);
            assert_eq!(alice.open(&beat).unwrap().key_material, sealed.key_material);
        }
    });
}

#[test]
fn a_restored_snapshot_opens_again_what_came_after_it() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let snapshot = bob.stored.clone();
        let keys: Vec<_> = (0..3).map(|number| alice.send(&number.to_string())).collect();
        for key in &keys {
            bob.read(key).unwrap();
        }
        bob.stored = snapshot;
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(bob.read(key).unwrap(), number.to_string());
        }
        let answer = bob.send("answer");
        assert_eq!(alice.read(&answer).unwrap(), "answer");
    });
}

#[test]
fn a_failed_step_leaves_the_record_as_it_was_and_a_kept_copy_stays_valid() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let record = bob.record().unwrap();
        let before = record.to_bytes();
        let key = alice.send("x");
        bob.peek(&key).unwrap();
        waxwing_omemo::encrypt_key(&record, &bob.identity, b"unsent").unwrap();
        assert_eq!(record.to_bytes(), before);
        bob.read(&key).unwrap();
    });
}

#[test]
fn records_survive_their_stored_form_byte_for_byte() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        alice.start(&mut bob);
        let keys: Vec<_> = (0..5).map(|_| alice.send("x")).collect();
        bob.read(&keys[4]).unwrap();
        for bytes in [alice.stored.unwrap(), bob.stored.unwrap()] {
            let again = SessionRecord::from_bytes(&bytes).unwrap().to_bytes();
            assert_eq!(again.as_slice(), bytes);
            for length in 0..bytes.len() {
                assert!(SessionRecord::from_bytes(&bytes[..length]).is_err());
            }
            assert!(SessionRecord::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
            let mut newer = bytes.clone();
            newer[0] += 1;
            assert!(SessionRecord::from_bytes(&newer).is_err());
        }
    });
}

#[test]
fn a_record_of_one_generation_is_no_record_of_the_other() {
    let (mut alice, bob) = acquainted(Profile::Legacy);
    let key = alice.send("x");
    let opened = waxwing_omemo::decrypt_key(
        Profile::Omemo2,
        bob.record().as_ref(),
        &bob.identity,
        waxwing_omemo::LocalPreKeys::default(),
        &key,
        None,
        &mut Repeatable::new(1),
    );
    assert!(opened.is_err());
}

#[test]
fn the_work_for_one_message_is_bounded_over_a_full_archive() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        for _ in 0..MAX_ARCHIVED {
            bob.prekeys = Device::new(profile, 2).prekeys;
            alice.start(&mut bob);
            let key = alice.send("again");
            bob.read(&key).unwrap();
        }
        assert_eq!(bob.record().unwrap().archived(), MAX_ARCHIVED);
        // On an unknown chain: every session has to be tried, if each is cheap enough.
        let (mut stranger, _) = acquaint(Device::new(profile, 77), Device::new(profile, 78));
        let near = stranger.send("the first of its chain");
        assert_eq!(bob.read(&near), Err(DecryptError::BadMac));
        (0..MAX_SKIP - 2).for_each(|_| drop(stranger.send("x")));
        let far = stranger.send("the last of the allowed");
        assert_eq!(
            bob.read(&far),
            Err(DecryptError::TooManySkipped),
            "the steps are used up after four sessions"
        );
        let key = alice.send("the chat goes on");
        assert_eq!(bob.read(&key).unwrap(), "the chat goes on");
    });
}

#[test]
fn absurd_counters_are_refused_at_once() {
    both(|profile| {
        let (mut alice, mut bob) = acquainted(profile);
        let key = alice.send("x");
        for counter in [
            &[0xff, 0xff, 0xff, 0xff, 0x0f][..],
            &[0xfe, 0xff, 0xff, 0xff, 0x0f],
            &[0xff, 0x7f],
        ] {
            let mut forged = key.clone();
            // Where the one byte of the counter stands, and in omemo:2 the length of what it is in.
            let at = if profile == Profile::Legacy { 37 } else { 21 };
            assert_eq!(
                forged.bytes[at - 1..=at],
                [
                    if profile == Profile::Legacy {
                        2 << 3
                    } else {
                        1 << 3
                    },
                    0
                ]
            );
            forged.bytes.splice(at..=at, counter.iter().copied());
            if profile == Profile::Omemo2 {
                forged.bytes[19] += u8::try_from(counter.len()).unwrap() - 1;
            }
            assert_eq!(bob.read(&forged), Err(DecryptError::TooManySkipped));
        }
        assert_eq!(bob.read(&key).unwrap(), "x");
    });
}

#[test]
fn random_talks_with_loss_disorder_repetition_and_new_sessions_open_every_message_once() {
    both(|profile| {
        for seed in 0..12 {
            let mut chance = Repeatable::new(1_000 + seed);
            let mut sides = [
                Device::new(profile, 2 * seed + 100),
                Device::new(profile, 2 * seed + 101),
            ];
            let mut under_way: Vec<(usize, KeyElement, String, bool)> = Vec::new();
            let mut opened = 0;
            for number in 0..120 {
                let sender = chance.below(2);
                let [first, second] = &mut sides;
                let (own, peer) = if sender == 0 {
                    (first, second)
                } else {
                    (second, first)
                };
                if own.stored.is_none() || chance.below(40) == 0 {
                    // A bundle of one fresh prekey, so that no two exchanges under way name the same.
                    let fresh = waxwing_omemo::PreKey::generate(PreKeyId(1_000 + number), &mut peer.rng);
                    let older = std::mem::replace(&mut peer.prekeys, vec![fresh]);
                    own.start(peer);
                    peer.prekeys.extend(older);
                }
                let text = number.to_string();
                let key = own.send(&text);
                under_way.push((1 - sender, key, text, false));
                while under_way.len() > 6 {
                    let at = chance.below(under_way.len());
                    let (to, key, text, seen) = under_way[at].clone();
                    let result = sides[to].read(&key);
                    if seen {
                        assert_eq!(result, Err(DecryptError::Duplicate), "{profile:?} {seed} {text}");
                        under_way.swap_remove(at);
                        continue;
                    }
                    assert_eq!(result.as_ref(), Ok(&text), "{profile:?} {seed}");
                    opened += 1;
                    match chance.below(5) {
                        0 => under_way[at].3 = true,
                        _ => drop(under_way.swap_remove(at)),
                    }
                }
            }
            assert!(opened >= 110, "{opened}");
        }
    });
}
