//! What the composer's lock shows is told from a few columns (`store::chats`), so that a thousand chats are listed at once.
//! What a message does is decided device by device (`reach`). Here both are held against each other.

use std::collections::BTreeSet;

use tokio::time::Instant;
use waxwing_omemo::xml::Device;
use waxwing_omemo::{DeviceId, IdentityKeyPair, OsEntropy, Profile};

use super::devices::{ListOutcome, Listed, Lists};
use super::encryption::{Outgoing, Prepared, prepare};
use super::reach::{Decision, Route, next, survey};
use crate::error::Code;
use crate::model::{BareJid, Encryption, EncryptionMode, ListFault, Lock, Trust};
use crate::store::omemo::{self, Decided};
use crate::store::outbox::Encrypt;
use crate::store::tests::{Scene, at, scene};
use crate::store::{Write, chats};

/// What is known of a device's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Unseen,
    /// Seen, and nothing was decided about it.
    Seen,
    Trusted(Trust),
}

/// What is known of one device: in which generations it is listed, and its key.
type Known = (&'static [Profile], Key);

const BOTH: &[Profile] = &Profile::ALL;
const LISTED: [&[Profile]; 4] = [&[], &[Profile::Legacy], &[Profile::Omemo2], BOTH];
const KEYS: [Key; 6] = [
    Key::Unseen,
    Key::Seen,
    Key::Trusted(Trust::Blind),
    Key::Trusted(Trust::Verified),
    Key::Trusted(Trust::Undecided),
    Key::Trusted(Trust::Untrusted),
];

fn jid(text: &str) -> BareJid {
    text.parse().expect("an address")
}

/// Stores what is known of somebody's devices; lists were read in these generations only.
async fn know(write: &mut Write, scene: &Scene, of: &BareJid, devices: &[Known], read: &[Profile]) {
    let account = scene.account;
    let ids: Vec<DeviceId> = (7_u32..)
        .take(devices.len())
        .filter_map(|id| id.try_into().ok())
        .collect();
    for (id, (_, key)) in ids.iter().zip(devices) {
        if *key == Key::Unseen {
            continue;
        }
        let trust = *key;
        let identity = IdentityKeyPair::generate(&mut OsEntropy);
        let key = identity.public();
        let pinned = omemo::pin_identity(write, account, of, *id, key, at(0)).await;
        assert_eq!(pinned, Ok(true));
        if let Key::Trusted(trust) = trust {
            let put = omemo::put_trust(write, account, of, key, (trust, Decided::Itself)).await;
            assert_eq!(put, Ok(()));
        }
    }
    for profile in read {
        let listed = ids
            .iter()
            .zip(devices)
            .filter(|(_, (listed, _))| listed.contains(profile));
        let list: Vec<Device> = listed
            .map(|(id, _)| Device {
                id: *id,
                label: None,
                label_signature: None,
            })
            .collect();
        let put = omemo::put_list(write, account, of, *profile, &list, at(0)).await;
        assert_eq!(put, Ok(()));
    }
}

/// What becomes of a message that is written now, if all keys that are wanted can be had.
async fn decided(
    write: &mut Write,
    scene: &Scene,
    to: &BareJid,
    mode: Option<EncryptionMode>,
    (lock, uncertain): (Lock, Option<ListFault>),
) -> Decision {
    let own = jid("romeo@montague.lit");
    let encrypt = Encrypt::by(mode, lock);
    let route = Route {
        own: &own,
        to,
        encrypt,
    };
    if encrypt == Encrypt::None {
        return Decision::Plain;
    }
    let mut survey = survey(write, scene.account, &route, at(0))
        .await
        .expect("looked at");
    let this = omemo::own(write, scene.account)
        .await
        .expect("asked")
        .map(|own| own.device);
    let preferred = survey.preferred;
    for device in survey.theirs.iter_mut().chain(&mut survey.ours) {
        device.row.sessions = [true; 2];
        let this = this.filter(|_| device.of == own);
        device.next = next(&device.row, this, preferred, at(0));
    }
    survey.decide(&route, uncertain)
}

/// What the lock may show where this becomes of a message.
fn agrees(lock: Lock, decision: &Decision) -> bool {
    match (lock, decision) {
        (Lock::Encrypted, Decision::Encrypted)
        | (Lock::Undecided, Decision::Undecided)
        | (Lock::PlainChosen | Lock::PlainNoDevices, Decision::Plain) => true,
        (Lock::Checking, Decision::Fails(fault)) => fault.code == Code::Timeout,
        (Lock::Blocked, Decision::Fails(fault)) => {
            matches!(fault.code, Code::NoDevices | Code::NoTrustedDevices)
        }
        _ => false,
    }
}

/// All that can be known of up to two devices.
fn all_known() -> Vec<Vec<Known>> {
    let one: Vec<Known> = LISTED
        .into_iter()
        .flat_map(|on| KEYS.map(|key| (on, key)))
        .collect();
    let mut all = vec![Vec::new()];
    all.extend(one.iter().map(|device| vec![*device]));
    // Of two, those that differ; the second one is on the list of one generation: which one makes no difference any more.
    let differ = [KEYS[0], KEYS[2], KEYS[4], KEYS[5]];
    let second = differ.map(|key| (LISTED[1], key));
    let first = one.iter().filter(|(_, key)| differ.contains(key));
    all.extend(first.flat_map(|first| second.map(|second| vec![*first, second])));
    all
}

#[tokio::test]
async fn the_lock_shows_what_becomes_of_a_message_whatever_is_known_of_both_sides() {
    let scene = scene().await;
    let own = jid("romeo@montague.lit");
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    let reads: [&[Profile]; 3] = [&[], &[Profile::Legacy], BOTH];
    let ours: [Known; 3] = [
        (BOTH, Key::Trusted(Trust::Blind)),
        (BOTH, Key::Trusted(Trust::Undecided)),
        (BOTH, Key::Trusted(Trust::Untrusted)),
    ];
    for theirs in all_known() {
        for read in reads {
            for (to, ours) in [
                ("juliet@capulet.lit", Some(ours[0])),
                ("juliet@capulet.lit", Some(ours[1])),
            ]
            .into_iter()
            .chain([
                ("juliet@capulet.lit", Some(ours[2])),
                ("romeo@montague.lit", None),
            ]) {
                // Never committed: the next one begins with nothing.
                let mut write = scene.store.write().await.expect("a write");
                let to = jid(to);
                let chat = chats::open(&mut write, scene.account, &to, at(0))
                    .await
                    .expect("a chat");
                know(&mut write, &scene, &to, &theirs, read).await;
                if let Some(ours) = ours {
                    know(&mut write, &scene, &own, &[ours], BOTH).await;
                }
                for mode in [None, Some(EncryptionMode::Omemo), Some(EncryptionMode::None)] {
                    if let Some(mode) = mode {
                        chats::set_mode(&mut write, chat, mode).await.expect("set");
                    }
                    let lock = chats::get(&mut write, chat, 0).await.expect("shown").lock;
                    let uncertain = (read.len() != BOTH.len()).then_some(ListFault::Unreachable);
                    let decision = decided(&mut write, &scene, &to, mode, (lock, uncertain)).await;
                    seen.insert(format!("{lock:?}"));
                    if !agrees(lock, &decision) {
                        wrong.push(format!("{to} {theirs:?} read in {read:?}, ours {ours:?}, {mode:?}: {lock:?}, but {decision:?}"));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ: {:#?}",
        wrong.len(),
        wrong.get(..12).unwrap_or(&wrong)
    );
    assert_eq!(seen.len(), 6, "{seen:?}");
}

/// What came of asking for somebody's lists, in both generations; none if nobody asked.
fn asked(of: &BareJid, outcomes: [Option<ListOutcome>; 2]) -> Lists {
    let now = Instant::now();
    let outcomes = Profile::ALL.into_iter().zip(outcomes);
    outcomes
        .filter_map(|(profile, outcome)| {
            let listed = Listed {
                outcome: outcome?,
                at: now,
                told: true,
            };
            Some(((of.clone(), profile), listed))
        })
        .collect()
}

#[tokio::test]
async fn nothing_plain_comes_of_what_was_ever_encrypted_whatever_is_known_and_whatever_failed() {
    let scene = scene().await;
    let own = jid("romeo@montague.lit");
    let to = jid("juliet@capulet.lit");
    let failed = |fault| Some(ListOutcome::Failed(fault));
    let outcomes = [
        [None, None],
        [Some(ListOutcome::Devices); 2],
        [Some(ListOutcome::Empty); 2],
        [failed(ListFault::Unreachable); 2],
        [failed(ListFault::ServerNotFound); 2],
        [failed(ListFault::Forbidden), Some(ListOutcome::Empty)],
        [Some(ListOutcome::Devices), failed(ListFault::Forbidden)],
    ];
    let (mut plain, mut all) = (Vec::new(), 0);
    for theirs in all_known() {
        let had = theirs.iter().any(|(_, key)| *key != Key::Unseen);
        for read in [&[] as &[Profile], BOTH] {
            let mut write = scene.store.write().await.expect("a write");
            know(&mut write, &scene, &to, &theirs, read).await;
            for outcome in outcomes {
                let mut lists = asked(&to, outcome);
                lists.extend(asked(&own, [Some(ListOutcome::Devices); 2]));
                for encrypt in [Encrypt::Must, Encrypt::May] {
                    if encrypt == Encrypt::May && !had {
                        continue;
                    }
                    let outgoing = Outgoing {
                        own: &own,
                        to: &to,
                        id: "once",
                        body: "for her only",
                        encrypt,
                    };
                    all += 1;
                    // Without a device of its own nothing can be encrypted, which is a failure like any other.
                    let prepared = prepare(&mut write, scene.account, &outgoing, &lists, at(0)).await;
                    if let Ok(Prepared::Ready { stanza, encryption }) = prepared
                        && (encryption == Encryption::None || String::from(&stanza).contains(outgoing.body))
                    {
                        plain.push(format!("{theirs:?} read in {read:?}, {outcome:?}, {encrypt:?}"));
                    }
                }
            }
        }
    }
    assert!(all > 1_000, "{all}");
    assert!(
        plain.is_empty(),
        "{} are plain: {:#?}",
        plain.len(),
        plain.first()
    );
}
