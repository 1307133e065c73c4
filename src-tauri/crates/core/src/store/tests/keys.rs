//! Keys, devices, and what a chat is latched to.

use waxwing_omemo::{DeviceId, IdentityKey, IdentityKeyPair, OsEntropy, Profile, generate_prekeys, xml};

use super::*;
use crate::model::{BundleFault, Reach, Trust, UndecryptableReason};
use crate::store::omemo::{Due, What};

/// Takes in a device list of the older generation.
pub(crate) async fn list(
    write: &mut Write,
    scene: &Scene,
    of: &BareJid,
    ids: impl IntoIterator<Item = DeviceId>,
) {
    let devices: Vec<xml::Device> = ids
        .into_iter()
        .map(|id| xml::Device {
            id,
            label: None,
            label_signature: None,
        })
        .collect();
    omemo::put_list(write, scene.account, of, Profile::Legacy, &devices, at(0))
        .await
        .expect("stored");
}

/// All stored sessions can be read no more.
pub(crate) async fn damage_sessions(write: &mut Write) {
    let damage = sqlx::query("UPDATE omemo_session SET record = x'ff'").execute(&mut **write);
    damage.await.expect("damaged");
}

#[test]
fn the_lock_says_what_will_happen() {
    use EncryptionMode::{None as Off, Omemo};
    use chats::Reach::{Closed, Gone, NoDevices, NoneTrusted, Undecided, Unknown, Usable};
    for (mode, reach, lock) in [
        (None, Usable, Lock::Encrypted),
        (None, Unknown, Lock::Checking),
        (None, NoDevices, Lock::PlainNoDevices),
        (None, NoneTrusted, Lock::Blocked),
        (None, Undecided, Lock::Undecided),
        (Some(Omemo), Undecided, Lock::Undecided),
        (Some(Off), Undecided, Lock::PlainChosen),
        (Some(Omemo), Usable, Lock::Encrypted),
        (Some(Omemo), Unknown, Lock::Checking),
        // A latched chat never becomes plain by itself.
        (Some(Omemo), NoDevices, Lock::Blocked),
        (Some(Omemo), NoneTrusted, Lock::Blocked),
        // Nor does one with somebody who had devices.
        (None, Gone, Lock::Blocked),
        (Some(Omemo), Gone, Lock::Blocked),
        (Some(Off), Gone, Lock::PlainChosen),
        // Nor does one whose other side may not be asked.
        (None, Closed, Lock::Blocked),
        (Some(Omemo), Closed, Lock::Blocked),
        (Some(Off), Closed, Lock::PlainChosen),
        (Some(Off), Usable, Lock::PlainChosen),
        (Some(Off), NoDevices, Lock::PlainChosen),
    ] {
        assert_eq!(chats::lock(mode, reach), lock, "{mode:?} {reach:?}");
    }
}

#[tokio::test]
async fn a_latch_does_not_undo_a_choice() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    chats::latch(&mut write, scene.chat).await.expect("latched");
    assert_eq!(
        chats::mode(&mut write, scene.chat).await.expect("the mode"),
        Some(EncryptionMode::Omemo)
    );
    chats::set_mode(&mut write, scene.chat, EncryptionMode::None)
        .await
        .expect("chosen");
    chats::latch(&mut write, scene.chat).await.expect("latched");
    assert_eq!(
        chats::mode(&mut write, scene.chat).await.expect("the mode"),
        Some(EncryptionMode::None)
    );
}

/// Messages at the end of a chat, sent in these seconds.
async fn put(write: &mut Write, chat: ChatId, messages: &[(Encryption, i64)]) -> Vec<MessageId> {
    let mut ids = Vec::new();
    for (encryption, seconds) in messages {
        let message = NewMessage {
            encryption: *encryption,
            sent_at: at(*seconds),
            ..text("juliet@capulet.lit", "something", None)
        };
        let stored = add(write, chat, &message, true, at(10)).await;
        ids.push(stored.expect("stored").expect("new"));
    }
    ids
}

/// What is marked now.
async fn marks(write: &mut Write, chat: ChatId) -> Vec<MessageId> {
    let marked = chats::mark_unprotected(write, chat).await;
    let mut marked = marked.expect("marked");
    marked.sort_unstable();
    marked
}

async fn move_to(write: &mut Write, message: MessageId, position: i64) {
    sqlx::query("UPDATE message SET position = ? WHERE id = ?")
        .bind(position)
        .bind(message)
        .execute(&mut **write)
        .await
        .expect("moved");
}

#[tokio::test]
async fn what_came_plain_behind_something_encrypted_is_marked_as_soon_as_that_is_known() {
    use Encryption::{None, Omemo1, Omemo2};
    let scene = scene().await;
    let (mut write, chat) = (scene.store.write().await.expect("a write"), scene.chat);
    // Whatever times they claim.
    let ids = put(
        &mut write,
        chat,
        &[(None, 9), (None, 1), (Omemo1, 5), (None, 5), (None, 3)],
    )
    .await;
    let ours = outgoing("ours", "ours");
    add(&mut write, chat, &ours, false, at(10)).await.expect("stored");
    assert_eq!(marks(&mut write, chat).await, [], "nothing is encrypted yet");

    chats::latch_since(&mut write, chat, at(5))
        .await
        .expect("latched");
    assert_eq!(marks(&mut write, chat).await, ids[3..]);
    assert_eq!(marks(&mut write, chat).await, [], "they are marked");
    let read = messages::some(&mut write, &ids, 0).await.expect("the messages");
    let marked: Vec<_> = read.iter().filter(|m| m.unprotected).map(|m| m.message).collect();
    assert_eq!(marked, ids[3..]);

    // The archive tells of more that was encrypted, and where it belongs.
    let earlier = put(&mut write, chat, &[(Omemo2, 1)]).await;
    assert_eq!(marks(&mut write, chat).await, [], "it stands behind them");
    move_to(&mut write, earlier[0], 1).await;
    assert_eq!(marks(&mut write, chat).await, ids[..2]);
}

#[tokio::test]
async fn a_message_that_was_meant_to_be_encrypted_counts_like_one() {
    let scene = scene().await;
    let (mut write, chat) = (scene.store.write().await.expect("a write"), scene.chat);
    let malformed = NewMessage {
        body: None,
        undecryptable: Some(UndecryptableReason::Malformed),
        sent_at: at(0),
        ..text("juliet@capulet.lit", "", None)
    };
    add(&mut write, chat, &malformed, true, at(1))
        .await
        .expect("stored");
    let plain = put(&mut write, chat, &[(Encryption::None, 2)]).await;
    chats::latch_since(&mut write, chat, at(0))
        .await
        .expect("latched");
    assert_eq!(marks(&mut write, chat).await, plain);
}

#[tokio::test]
async fn what_comes_plain_where_the_person_wants_it_so_is_not_marked_whatever_was_encrypted_before() {
    use Encryption::{None, Omemo2};
    let scene = scene().await;
    let (mut write, chat) = (scene.store.write().await.expect("a write"), scene.chat);
    let before = put(&mut write, chat, &[(None, 1)]).await;
    for mode in [EncryptionMode::None, EncryptionMode::Omemo] {
        let set = chats::set_mode(&mut write, chat, mode).await;
        assert_eq!(set, Ok(()));
        put(&mut write, chat, &[(Omemo2, 1)]).await;
        chats::latch_since(&mut write, chat, at(1))
            .await
            .expect("latched");
        assert_eq!(marks(&mut write, chat).await, [], "{mode:?}");
        put(&mut write, chat, &[(None, 2)]).await;
        assert_eq!(marks(&mut write, chat).await, [], "{mode:?}");
    }
    // But for what stands before that, if the archive tells of something encrypted still earlier.
    let earliest = put(&mut write, chat, &[(Omemo2, 0)]).await;
    move_to(&mut write, earliest[0], 1).await;
    assert_eq!(marks(&mut write, chat).await, before);
}

#[tokio::test]
async fn an_identity_is_pinned_at_first_sight_and_never_overwritten() {
    let scene = scene().await;
    let juliet = jid("juliet@capulet.lit");
    let device = DeviceId::random(&mut OsEntropy);
    let [first, second] = [(); 2].map(|()| *IdentityKeyPair::generate(&mut OsEntropy).public());
    let mut write = scene.store.write().await.expect("a write");
    list(&mut write, &scene, &juliet, [device]).await;
    for (key, pinned) in [(&first, true), (&first, true), (&second, false)] {
        let answer = omemo::pin_identity(&mut write, scene.account, &juliet, device, key, at(0)).await;
        assert_eq!(answer, Ok(pinned));
    }
    // Off the list and on it again: the device and its key stay.
    list(&mut write, &scene, &juliet, []).await;
    let row = omemo::device(&mut write, scene.account, &juliet, device)
        .await
        .expect("asked")
        .expect("known");
    assert!(!row.active());
    assert_eq!(row.identity, Some(first));
}

#[tokio::test]
async fn a_key_keeps_the_sign_of_its_newer_form_as_soon_as_that_was_seen() {
    let scene = scene().await;
    let juliet = jid("juliet@capulet.lit");
    let mut write = scene.store.write().await.expect("a write");
    let device = DeviceId::random(&mut OsEntropy);
    let shown = IdentityKeyPair::generate(&mut OsEntropy).public().with_sign(true);
    let older = IdentityKey::from_curve(&shown.to_bytes()).expect("a key");
    for (seen, sign) in [(older, false), (shown, true), (older, true)] {
        let pinned = omemo::pin_identity(&mut write, scene.account, &juliet, device, &seen, at(0)).await;
        assert_eq!(pinned, Ok(true));
        if !sign {
            let decision = (Trust::Verified, omemo::Decided::Person);
            let put = omemo::put_trust(&mut write, scene.account, &juliet, &seen, decision).await;
            assert_eq!(put, Ok(()));
        }
        let row = omemo::device(&mut write, scene.account, &juliet, device).await;
        let pinned = row.expect("asked").expect("known").identity.expect("a key");
        let trusts = omemo::trusts(&mut write, scene.account, &juliet)
            .await
            .expect("asked");
        let verified = omemo::verified(&mut write, scene.account).await.expect("asked");
        for key in [pinned, trusts[0].key, verified[0].1] {
            assert_eq!((key, key.sign()), (shown, sign));
        }
    }
    // What was said of it before it was seen named its newer form.
    let decision = (Trust::Untrusted, omemo::Decided::Device);
    let name = shown.to_edwards();
    let put = omemo::put_expected(&mut write, scene.account, &juliet, &name, decision).await;
    assert_eq!(put, Ok(()));
    let taken = omemo::take_expected(&mut write, scene.account, &juliet, &older).await;
    assert_eq!(taken, Ok(Some(decision)));
}

#[tokio::test]
async fn of_two_generations_only_a_fault_of_the_one_that_is_used_is_told() {
    let scene = scene().await;
    let juliet = jid("juliet@capulet.lit");
    let mut write = scene.store.write().await.expect("a write");
    let device = DeviceId::random(&mut OsEntropy);
    let listed = xml::Device {
        id: device,
        label: None,
        label_signature: None,
    };
    for profile in Profile::ALL {
        let devices = std::slice::from_ref(&listed);
        let put = omemo::put_list(&mut write, scene.account, &juliet, profile, devices, at(0)).await;
        assert_eq!(put, Ok(()));
    }
    let of_device = (device, Profile::Legacy);
    let missing = Some((BundleFault::Missing, at(1)));
    let noted = omemo::set_bundle_fault(&mut write, scene.account, &juliet, of_device, missing).await;
    assert_eq!(noted, Ok(()));
    let row = omemo::device(&mut write, scene.account, &juliet, device).await;
    let row = row.expect("asked").expect("known");
    for (reach, used, fault) in [
        (Reach::Ready, Some(Profile::Omemo2), None),
        (Reach::Untried, Some(Profile::Omemo2), None),
        (Reach::Untried, Some(Profile::Legacy), Some(BundleFault::Missing)),
        (Reach::NoKeys, None, Some(BundleFault::Missing)),
    ] {
        assert_eq!(row.clone().show(reach, used).bundle_fault, fault, "{used:?}");
    }
}

#[tokio::test]
async fn invented_devices_do_not_pile_up() {
    let scene = scene().await;
    let mallory = jid("mallory@evil.lit");
    let mut write = scene.store.write().await.expect("a write");
    for round in 0..5_u32 {
        let ids = (1..=100).map(|number| DeviceId::try_from(round * 100 + number).expect("an id"));
        list(&mut write, &scene, &mallory, ids).await;
    }
    assert_eq!(
        omemo::devices(&mut write, scene.account, &mallory)
            .await
            .expect("devices")
            .len(),
        100
    );
}

#[tokio::test]
async fn keys_and_ids_of_our_own_are_kept_and_never_used_twice() {
    let scene = scene().await;
    let identity = IdentityKeyPair::generate(&mut OsEntropy);
    let device = DeviceId::random(&mut OsEntropy);
    let mut write = scene.store.write().await.expect("a write");
    omemo::put_own(&mut write, scene.account, device, &identity)
        .await
        .expect("stored");
    let own = omemo::own(&mut write, scene.account)
        .await
        .expect("asked")
        .expect("there");
    assert_eq!((own.device, own.identity.public()), (device, identity.public()));
    let first = omemo::reserve_prekeys(&mut write, scene.account, 3)
        .await
        .expect("reserved");
    let keys = generate_prekeys(first, 3, &mut OsEntropy);
    omemo::put_prekeys(&mut write, scene.account, Profile::Legacy, &keys)
        .await
        .expect("stored");
    let offered = omemo::hide_prekey(&mut write, scene.account, first, at(5)).await;
    assert_eq!(offered, Ok(Some(Profile::Legacy)));
    // Hidden: not to be had, but for what is read of the time before; used once; gone at last.
    for (step, used, there) in [("offered", false, false), ("kept", true, true)] {
        let key = omemo::one_prekey(&mut write, scene.account, first, used).await;
        assert_eq!(key.expect("asked").is_some(), there, "{step}");
    }
    let again = omemo::hide_prekey(&mut write, scene.account, first, at(6)).await;
    assert_eq!(again, Ok(None));
    omemo::delete_used_prekeys(&mut write, scene.account, at(6))
        .await
        .expect("deleted");
    let gone = omemo::one_prekey(&mut write, scene.account, first, true).await;
    assert!(gone.expect("asked").is_none());
    for (profile, count) in [(Profile::Legacy, 2), (Profile::Omemo2, 0)] {
        let offered = omemo::prekeys(&mut write, scene.account, profile).await;
        assert_eq!(offered.expect("prekeys").len(), count, "{profile:?}");
    }
    assert_eq!(
        omemo::reserve_prekeys(&mut write, scene.account, 1)
            .await
            .expect("reserved")
            .0,
        first.0 + 3
    );
}

#[tokio::test]
async fn a_bundle_is_published_as_long_as_its_keys_are_the_same_and_for_a_while() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let account = scene.account;
    let keys = omemo::key_ids(&mut write, account, Profile::Legacy)
        .await
        .expect("ids");
    omemo::set_published(&mut write, account, Profile::Legacy, &keys, at(100))
        .await
        .expect("noted");
    for (profile, keys, since, published) in [
        (Profile::Legacy, keys.as_str(), 100, true),
        (Profile::Legacy, keys.as_str(), 101, false),
        (Profile::Omemo2, keys.as_str(), 100, false),
        (Profile::Legacy, "others", 100, false),
    ] {
        let found = omemo::is_published(&mut write, account, profile, keys, at(since)).await;
        assert_eq!(found, Ok(published), "{profile:?} {keys} {since}");
    }
}

#[tokio::test]
async fn another_key_of_a_device_is_remembered_beside_the_pinned_one_and_the_newest_counts() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let (juliet, device) = (jid("juliet@capulet.lit"), DeviceId::random(&mut OsEntropy));
    let key = || *IdentityKeyPair::generate(&mut OsEntropy).public();
    let (pinned, first, second) = (key(), key(), key());
    let account = scene.account;
    let shown = omemo::showed_other_key(&mut write, account, &juliet, device, (&first, at(1))).await;
    assert_eq!(shown, Ok(()));
    let unknown = omemo::device(&mut write, account, &juliet, device).await;
    assert!(unknown.expect("asked").is_none(), "anybody can invent devices");
    let known = omemo::pin_identity(&mut write, account, &juliet, device, &pinned, at(1)).await;
    assert_eq!(known, Ok(true));
    for (other, when, remembered) in [
        (pinned, 2, None),
        (second, 4, Some((second, at(4)))),
        (first, 3, Some((second, at(4)))),
        (first, 5, Some((first, at(5)))),
    ] {
        let shown = omemo::showed_other_key(&mut write, account, &juliet, device, (&other, at(when))).await;
        assert_eq!(shown, Ok(()));
        let row = omemo::device(&mut write, account, &juliet, device).await;
        let row = row.expect("asked").expect("known");
        assert_eq!((row.identity, row.other), (Some(pinned), remembered), "at {when}");
    }
}

#[tokio::test]
async fn the_name_that_a_session_gave_up_is_remembered_until_it_is_forgotten() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let own = IdentityKeyPair::generate(&mut OsEntropy);
    let device = DeviceId::random(&mut OsEntropy);
    omemo::put_own(&mut write, scene.account, device, &own)
        .await
        .expect("stored");
    assert_eq!(omemo::former_resource(&mut write, scene.account).await, Ok(None));
    let noted = omemo::set_former_resource(&mut write, scene.account, "orchard", at(9)).await;
    assert_eq!(noted, Ok(()));
    let former = omemo::former_resource(&mut write, scene.account).await;
    assert_eq!(former, Ok(Some(("orchard".to_owned(), at(9)))));
    let forgotten = omemo::forget_former_resource(&mut write, scene.account).await;
    assert_eq!(forgotten, Ok(()));
    assert_eq!(omemo::former_resource(&mut write, scene.account).await, Ok(None));
}

#[tokio::test]
async fn a_label_is_shown_unless_its_signature_is_somebody_elses() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let (juliet, device) = (jid("juliet@capulet.lit"), DeviceId::random(&mut OsEntropy));
    let (hers, other) = (
        IdentityKeyPair::generate(&mut OsEntropy),
        IdentityKeyPair::generate(&mut OsEntropy),
    );
    let by = |key| xml::Device::labelled(device, "Balcony", key, &mut OsEntropy);
    let (signed, forged) = (by(&hers), by(&other));
    let unsigned = xml::Device {
        label_signature: None,
        ..signed.clone()
    };
    let renamed = xml::Device {
        label: Some("Romeo's".to_owned()),
        ..signed.clone()
    };
    let shown = async |write: &mut Write, listed: &xml::Device| {
        let all = std::slice::from_ref(listed);
        let put = omemo::put_list(write, scene.account, &juliet, Profile::Omemo2, all, at(0)).await;
        assert_eq!(put, Ok(()));
        let row = omemo::device(write, scene.account, &juliet, device).await;
        row.expect("asked")
            .expect("known")
            .show(Reach::Ready, Some(Profile::Omemo2))
            .label
    };
    assert_eq!(shown(&mut write, &signed).await, None, "its key is not known yet");
    assert_eq!(shown(&mut write, &unsigned).await.as_deref(), Some("Balcony"));
    let pinned = omemo::pin_identity(&mut write, scene.account, &juliet, device, hers.public(), at(0)).await;
    assert_eq!(pinned, Ok(true));
    assert_eq!(shown(&mut write, &signed).await.as_deref(), Some("Balcony"));
    for wrong in [&forged, &renamed] {
        assert_eq!(shown(&mut write, wrong).await, None, "{wrong:?}");
    }
}

/// Names that xeddsa signed under keys of both signs: `record.py` of the tests against other implementations.
#[tokio::test]
async fn a_label_is_shown_by_a_key_of_either_sign_also_if_its_older_form_alone_was_seen() {
    let recorded = include_str!("../../../../omemo/tests/vectors/labels.json");
    let recorded: serde_json::Value = serde_json::from_str(recorded).expect("JSON");
    let bytes = |hex: &serde_json::Value| -> Vec<u8> {
        let pairs = hex.as_str().expect("hexadecimal digits").as_bytes().chunks(2);
        let digits = pairs.map(|pair| std::str::from_utf8(pair).expect("ASCII"));
        digits
            .map(|pair| u8::from_str_radix(pair, 16).expect("a byte"))
            .collect()
    };
    let (scene, juliet) = (scene().await, jid("juliet@capulet.lit"));
    let mut write = scene.store.write().await.expect("a write");
    for (sign, entry) in [(false, &recorded[0]), (true, &recorded[1])] {
        let newer = IdentityKey::from_edwards(&bytes(&entry["edwards"])).expect("a key");
        let older = IdentityKey::from_curve(&bytes(&entry["curve"])).expect("a key");
        assert_eq!((newer, newer.sign(), older.sign()), (older, sign, false));
        let listed = |device, name: &str| xml::Device {
            id: device,
            label: Some(name.to_owned()),
            label_signature: entry["signature"].as_str().map(str::to_owned),
        };
        for seen in [newer, older] {
            let device = DeviceId::random(&mut OsEntropy);
            let pinned = omemo::pin_identity(&mut write, scene.account, &juliet, device, &seen, at(0)).await;
            assert_eq!(pinned, Ok(true));
            for (name, shown) in [("Balcony", Some("Balcony")), ("Orchard", None)] {
                let all = [listed(device, name)];
                let put =
                    omemo::put_list(&mut write, scene.account, &juliet, Profile::Omemo2, &all, at(0)).await;
                assert_eq!(put, Ok(()));
                let row = omemo::device(&mut write, scene.account, &juliet, device).await;
                let label = row.expect("asked").expect("known").show(Reach::Ready, None).label;
                assert_eq!(label.as_deref(), shown, "{sign} {seen:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_a_device_is_owed_is_owed_once_and_a_new_session_answers_too() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let due = |what| Due {
        address: jid("juliet@capulet.lit"),
        device: DeviceId::try_from(7_u32).expect("an id"),
        profile: Profile::Omemo2,
        what,
    };
    for what in [What::Answer, What::Heal, What::Answer] {
        omemo::put_due(&mut write, scene.account, &due(what))
            .await
            .expect("noted");
    }
    let all = omemo::all_due(&mut write, scene.account).await;
    assert_eq!(all, Ok(vec![due(What::Heal)]));
    for (what, was_due) in [(What::Answer, false), (What::Heal, true), (What::Heal, false)] {
        let taken = omemo::take_due(&mut write, scene.account, &due(what)).await;
        assert_eq!(taken, Ok(was_due), "{what:?}");
    }
    for what in [What::Heal, What::Reset, What::Heal] {
        omemo::put_due(&mut write, scene.account, &due(what))
            .await
            .expect("noted");
    }
    let all = omemo::all_due(&mut write, scene.account).await;
    assert_eq!(all, Ok(vec![due(What::Reset)]), "the person's wish stays");
    let (address, of_device) = (
        due(What::Reset).address,
        (due(What::Reset).device, Profile::Omemo2),
    );
    for was_due in [Some(What::Reset), None] {
        let taken = omemo::take_new_session(&mut write, scene.account, &address, of_device).await;
        assert_eq!(taken, Ok(was_due));
    }
}

#[tokio::test]
async fn a_session_that_broke_or_is_unwanted_is_to_be_replaced_until_a_new_one_is_there() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let (juliet, device) = (jid("juliet@capulet.lit"), DeviceId::random(&mut OsEntropy));
    list(&mut write, &scene, &juliet, [device]).await;
    for (what, anew) in [(What::Answer, false), (What::Heal, true), (What::Reset, true)] {
        let due = Due {
            address: juliet.clone(),
            device,
            profile: Profile::Legacy,
            what,
        };
        omemo::put_due(&mut write, scene.account, &due)
            .await
            .expect("noted");
        let row = omemo::device(&mut write, scene.account, &juliet, device).await;
        let row = row.expect("asked").expect("known");
        let each = Profile::ALL.map(|profile| row.goes_anew(profile));
        assert_eq!(each, [anew, false], "{what:?}");
    }
    let of_device = (device, Profile::Legacy);
    let taken = omemo::take_new_session(&mut write, scene.account, &juliet, of_device).await;
    assert_eq!(taken, Ok(Some(What::Reset)));
    let row = omemo::device(&mut write, scene.account, &juliet, device).await;
    let row = row.expect("asked").expect("known");
    assert!(!row.goes_anew(Profile::Legacy));
}
