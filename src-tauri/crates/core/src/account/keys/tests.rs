use waxwing_omemo::{
    Bundle, HEARTBEAT_AFTER, PreKeyId, SessionRecord, encrypt_key, seal_payload, start_session, xml,
};

use super::*;
use crate::account::healing;
use crate::store::tests::{Scene, at, say, scene};

fn jid(text: &str) -> BareJid {
    text.parse().expect("an address")
}

/// Juliet's device, in a session with ours.
struct Juliet {
    identity: IdentityKeyPair,
    device: DeviceId,
    record: SessionRecord,
    own: DeviceId,
    bundle: Bundle,
}

impl Juliet {
    async fn begin(write: &mut Write, scene: &Scene) -> Self {
        let identity = IdentityKeyPair::generate(&mut OsEntropy);
        Self::begin_in(
            Profile::Legacy,
            (identity, DeviceId::random(&mut OsEntropy)),
            write,
            scene,
        )
        .await
    }

    async fn begin_in(
        profile: Profile,
        (identity, device): (IdentityKeyPair, DeviceId),
        write: &mut Write,
        scene: &Scene,
    ) -> Self {
        ensure(write, scene.account, at(0)).await.expect("keys");
        let own = omemo::own(write, scene.account).await.expect("asked");
        let own = own.expect("a device");
        let signed = omemo::signed_prekeys(write, scene.account).await.expect("keys");
        let prekeys = omemo::prekeys(write, scene.account, profile).await;
        let bundle = Bundle::of_own_keys(
            profile,
            &own.identity,
            &signed[0],
            &prekeys.expect("keys"),
            &mut OsEntropy,
        );
        Self {
            record: Self::session(&identity, device, &bundle),
            identity,
            device,
            own: own.device,
            bundle,
        }
    }

    fn session(identity: &IdentityKeyPair, device: DeviceId, bundle: &Bundle) -> SessionRecord {
        let record = start_session(None, identity, device, bundle, None, &mut OsEntropy);
        record.expect("a session")
    }

    /// Another session than before.
    fn begin_again(&mut self) {
        self.record = Self::session(&self.identity, self.device, &self.bundle);
    }

    fn writes(&mut self) -> Encrypted {
        self.seals(b"hello")
    }

    fn seals(&mut self, content: &[u8]) -> Encrypted {
        let profile = self.record.profile();
        let sealed = seal_payload(profile, content, &mut OsEntropy);
        let sealed_key = encrypt_key(&self.record, &self.identity, &sealed.key_material);
        let (record, key) = sealed_key.expect("a key");
        self.record = record;
        Encrypted {
            profile,
            sender: self.device,
            keys: vec![xml::AddressedKey {
                jid: (profile == Profile::Omemo2).then(|| "romeo@montague.lit".into()),
                device: self.own,
                key,
            }],
            iv: sealed.iv,
            payload: sealed.payload,
        }
    }
}

/// Out of the archive.
async fn opened(write: &mut Write, scene: &Scene, encrypted: Encrypted, sent_at: Timestamp) -> Opened {
    arrived(write, scene, encrypted, (sent_at, true)).await
}

async fn arrived(write: &mut Write, scene: &Scene, encrypted: Encrypted, when: (Timestamp, bool)) -> Opened {
    tried(write, scene, encrypted, when).await.0
}

async fn tried(
    write: &mut Write,
    scene: &Scene,
    encrypted: Encrypted,
    when: (Timestamp, bool),
) -> (Opened, Wanted) {
    tried_all(write, scene, &[encrypted], when).await
}

/// All of these are in one stanza.
async fn tried_all(
    write: &mut Write,
    scene: &Scene,
    encrypted: &[Encrypted],
    (sent_at, catching_up): (Timestamp, bool),
) -> (Opened, Wanted) {
    let (own, juliet) = (jid("romeo@montague.lit"), jid("juliet@capulet.lit"));
    let envelope = Envelope {
        own: &own,
        from: &juliet,
        to: &own,
    };
    let arrival = Arrival {
        now: at(1_000),
        sent_at,
        catching_up,
    };
    let opened = open(write, scene.account, &envelope, encrypted, arrival).await;
    opened.expect("tried")
}

#[tokio::test]
async fn a_device_was_last_seen_when_it_wrote_and_not_when_that_was_read() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let write = &mut write;
    let mut juliet = Juliet::begin(write, &scene).await;
    let address = jid("juliet@capulet.lit");
    for (sent, seen) in [(20, 20), (30, 30), (10, 30)] {
        let encrypted = juliet.writes();
        let content = opened(write, &scene, encrypted, at(sent)).await;
        assert!(matches!(content, Opened::Content { .. }));
        let row = omemo::device(write, scene.account, &address, juliet.device).await;
        assert_eq!(row.expect("asked").expect("known").last_seen, Some(at(seen)));
    }
}

#[tokio::test]
async fn what_came_before_is_a_repetition_also_beside_a_key_that_cannot_be_opened() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let write = &mut write;
    let mut juliet = Juliet::begin(write, &scene).await;
    let encrypted = juliet.writes();
    let content = opened(write, &scene, encrypted.clone(), at(0)).await;
    assert!(matches!(content, Opened::Content { .. }));
    juliet.begin_again();
    let mut spoiled = juliet.writes().keys.remove(0);
    // Behind the MAC are only two numbers.
    let in_mac = spoiled.key.bytes.len() - 12;
    spoiled.key.bytes[in_mac] ^= 1;
    for place in [0, 1] {
        let mut again = encrypted.clone();
        again.keys.insert(place, spoiled.clone());
        let repeated = opened(write, &scene, again, at(0)).await;
        assert!(
            matches!(repeated, Opened::Duplicate),
            "the spoiled one at {place}"
        );
    }
}

#[tokio::test]
async fn of_a_stranger_few_devices_are_made_up_by_key_exchanges_and_of_others_more() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let write = &mut write;
    let mut juliet = Juliet::begin(write, &scene).await;
    let address = jid("juliet@capulet.lit");
    let first = juliet.device;
    for number in 1..=STRANGERS_DEVICES {
        let encrypted = juliet.writes();
        let content = opened(write, &scene, encrypted, at(0)).await;
        assert!(matches!(content, Opened::Content { .. }), "device {number}");
        juliet.device = DeviceId::random(&mut OsEntropy);
        juliet.begin_again();
    }
    let further = juliet.writes();
    let refused = opened(write, &scene, further.clone(), at(0)).await;
    let reason = UndecryptableReason::TooManyDevices;
    assert!(matches!(refused, Opened::Undecryptable { reason: why, .. } if why == reason));
    let known = omemo::devices(write, scene.account, &address)
        .await
        .expect("asked");
    assert_eq!(known.len(), STRANGERS_DEVICES);
    let session = omemo::session(write, scene.account, &address, juliet.device, Profile::Legacy).await;
    assert!(session.expect("asked").is_none(), "a session was begun");

    let newest = std::mem::replace(&mut juliet.device, first);
    juliet.begin_again();
    let encrypted = juliet.writes();
    let content = opened(write, &scene, encrypted, at(0)).await;
    assert!(
        matches!(content, Opened::Content { .. }),
        "a known one begins anew"
    );
    juliet.device = newest;
    say(write, scene.chat, "who are you?", at(0)).await;
    let content = opened(write, &scene, further, at(0)).await;
    assert!(
        matches!(content, Opened::Content { .. }),
        "she is no stranger any more"
    );
}

/// The ids of the signed prekeys that are kept on that day, the newest first.
async fn after_days(write: &mut Write, scene: &Scene, day: i64) -> Vec<u32> {
    ensure(write, scene.account, at(day * 24 * 3_600))
        .await
        .expect("keys");
    let signed = omemo::signed_prekeys(write, scene.account).await.expect("keys");
    signed.iter().map(|key| key.id().0).collect()
}

#[tokio::test]
async fn a_signed_prekey_is_replaced_each_week_and_opens_what_began_with_it_for_a_month_more() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let write = &mut write;
    let mut juliet = Juliet::begin(write, &scene).await;
    let begun_early = juliet.writes();
    let first = after_days(write, &scene, 6).await;
    assert_eq!(first.len(), 1, "a week has not passed");
    for day in [7, 14, 21, 28, 35] {
        let all = after_days(write, &scene, day).await;
        assert_eq!(
            all.len(),
            usize::try_from(day / 7 + 1).expect("a number"),
            "day {day}"
        );
        assert_eq!(all.last(), first.last(), "the first one is kept on day {day}");
    }
    let content = opened(write, &scene, begun_early, at(36 * 24 * 3_600)).await;
    assert!(
        matches!(content, Opened::Content { .. }),
        "what was under way for a month"
    );
    juliet.begin_again();
    let too_late = juliet.writes();
    // A month after it was replaced on the seventh day.
    assert_eq!(after_days(write, &scene, 37).await.last(), first.last());
    assert_ne!(after_days(write, &scene, 38).await.last(), first.last());
    let refused = opened(write, &scene, too_late, at(38 * 24 * 3_600)).await;
    let reason = UndecryptableReason::KeyGone;
    assert!(matches!(refused, Opened::Undecryptable { reason: why, .. } if why == reason));
}

/// Two devices that picked the same prekey: while the archive is read both are opened, and of what comes live only the first.
#[tokio::test]
async fn one_prekey_opens_two_key_exchanges_out_of_the_archive_and_one_of_those_that_come_live() {
    for catching_up in [true, false] {
        let scene = scene().await;
        let mut write = scene.store.write().await.expect("a write");
        let write = &mut write;
        let mut juliet = Juliet::begin(write, &scene).await;
        let prekey = juliet.bundle.prekeys()[0];
        let bundle = &juliet.bundle;
        let (signed, signature) = (*bundle.signed_prekey(), *bundle.signature());
        let one = Bundle::new(
            Profile::Legacy,
            *bundle.identity(),
            signed,
            signature,
            vec![prekey],
        );
        juliet.bundle = one.expect("a bundle with one prekey");
        let mut outcomes = Vec::new();
        for _ in 0..2 {
            juliet.device = DeviceId::random(&mut OsEntropy);
            juliet.begin_again();
            let encrypted = juliet.writes();
            let outcome = arrived(write, &scene, encrypted, (at(1_000), catching_up)).await;
            outcomes.push(matches!(outcome, Opened::Content { .. }));
        }
        assert_eq!(outcomes, [true, catching_up], "catching up {catching_up}");
    }
}

#[tokio::test]
async fn a_used_prekey_and_a_new_session_are_seen_to_also_if_the_payload_cannot_be_opened() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let write = &mut write;
    let mut juliet = Juliet::begin(write, &scene).await;
    let mut spoiled = juliet.writes();
    spoiled.payload.as_mut().expect("a payload")[0] ^= 1;
    let (refused, wanted) = tried(write, &scene, spoiled.clone(), (at(0), false)).await;
    let reason = UndecryptableReason::Malformed;
    assert!(matches!(refused, Opened::Undecryptable { reason: why, .. } if why == reason));
    assert_eq!(wanted.bundle_behind, Some(Profile::Legacy));
    assert_eq!(wanted.answer, Some((juliet.device, Profile::Legacy)));
    let (repeated, wanted) = tried(write, &scene, spoiled, (at(0), false)).await;
    assert!(matches!(repeated, Opened::Duplicate));
    assert_eq!((wanted.bundle_behind, wanted.answer), (None, None), "once");
}

#[tokio::test]
async fn prekeys_are_made_anew_below_eighty_and_none_has_the_id_of_one_before() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let write = &mut write;
    ensure(write, scene.account, at(0)).await.expect("keys");
    for profile in Profile::ALL {
        let ids = async |write: &mut Write| -> Vec<u32> {
            ensure(write, scene.account, at(1)).await.expect("keys");
            let keys = omemo::prekeys(write, scene.account, profile).await;
            keys.expect("keys").iter().map(|key| key.id().0).collect()
        };
        let first = ids(write).await;
        assert_eq!(first.len(), PREKEY_COUNT);
        let hide = async |write: &mut Write, id: u32| {
            let hidden = omemo::hide_prekey(write, scene.account, PreKeyId(id), at(1)).await;
            assert_eq!(hidden, Ok(Some(profile)));
        };
        let (used, kept) = first.split_at(PREKEY_COUNT - PREKEY_REFILL_BELOW);
        for id in used {
            hide(write, *id).await;
        }
        assert_eq!(ids(write).await, kept, "there are enough");
        hide(write, kept[0]).await;
        let refilled = ids(write).await;
        assert_eq!(refilled.len(), PREKEY_COUNT);
        let again = refilled.iter().filter(|id| first.contains(id)).count();
        assert_eq!(again, kept.len() - 1, "an id was given twice");
    }
}

#[tokio::test]
async fn whoever_writes_long_without_an_answer_gets_one_empty_message() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let write = &mut write;
    let mut juliet = Juliet::begin(write, &scene).await;
    let mut answered = Vec::new();
    for number in 0..HEARTBEAT_AFTER + 10 {
        let encrypted = juliet.writes();
        let (opened, wanted) = tried(write, &scene, encrypted, (at(0), false)).await;
        assert!(matches!(opened, Opened::Content { .. }), "message {number}");
        if wanted.answer.is_some() {
            answered.push(number);
        }
    }
    assert_eq!(answered, [0, HEARTBEAT_AFTER], "the new session, and then once");
}

#[tokio::test]
async fn of_a_stanza_in_both_generations_the_first_that_opens_is_read_once_and_the_other_one_left_alone() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let write = &mut write;
    let mut older = Juliet::begin(write, &scene).await;
    let same = (older.identity.clone(), older.device);
    let mut newer = Juliet::begin_in(Profile::Omemo2, same, write, &scene).await;
    let body = "<body xmlns='jabber:client'>hello</body>".parse().expect("XML");
    let (from, to) = ("juliet@capulet.lit", "romeo@montague.lit");
    let inside = sce::build(vec![body], from, to, 0, &mut OsEntropy).expect("an envelope");
    let address = jid(from);
    let live = (at(1_000), false);
    let both = [older.writes(), newer.seals(&inside)];
    let (opened, wanted) = tried_all(write, &scene, &both, live).await;
    assert!(
        matches!(&opened, Opened::Content { encryption: Encryption::Omemo1, inside, .. } if inside.body() == Some("hello"))
    );
    assert_eq!(wanted.answer, Some((older.device, Profile::Legacy)));
    assert_eq!(wanted.bundle_behind, Some(Profile::Legacy));
    // As often as it comes, it came before.
    for _ in 0..2 {
        let (again, wanted) = tried_all(write, &scene, &both, live).await;
        assert!(matches!(again, Opened::Duplicate));
        assert_eq!((wanted.answer, wanted.bundle_behind), (None, None));
        let session = omemo::session(write, scene.account, &address, older.device, Profile::Omemo2).await;
        assert!(session.expect("asked").is_none(), "the other one began a session");
    }
    // Where the first one is for others alone or broken, the other one is read, and once as well.
    let (mut for_others, mut broken) = (older.writes(), older.writes());
    for_others.keys[0].device = DeviceId::random(&mut OsEntropy);
    broken.payload.as_mut().expect("a payload")[0] ^= 1;
    for first in [for_others, broken] {
        let both = [first, newer.seals(&inside)];
        let (opened, _) = tried_all(write, &scene, &both, live).await;
        assert!(
            matches!(&opened, Opened::Content { encryption: Encryption::Omemo2, inside, .. } if inside.body() == Some("hello"))
        );
        let (again, _) = tried_all(write, &scene, &both, live).await;
        assert!(matches!(again, Opened::Duplicate));
    }
}

#[test]
fn a_new_session_is_begun_for_just_those_failures_that_it_helps_against() {
    for error in [
        DecryptError::Duplicate,
        DecryptError::KeyReused,
        DecryptError::LongAgo,
        DecryptError::GivenUp,
        DecryptError::NoSession,
        DecryptError::UnknownPreKey,
        DecryptError::UnknownSignedPreKey,
        DecryptError::NoOneTimePreKey,
        DecryptError::IdentityChanged,
        DecryptError::Altered,
        DecryptError::BadMac,
        DecryptError::TooManySkipped,
        DecryptError::UnsupportedVersion(9),
        DecryptError::NotForThisDevice,
    ] {
        assert_eq!(
            reason(error).is_some_and(healing::a_new_session_helps),
            error.healing_helps(),
            "{error:?}"
        );
    }
}
