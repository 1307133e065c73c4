//! Trust in keys: what is decided before they are seen, what devices say, and what the lock makes of it.

use waxwing_omemo::{DeviceId, IdentityKey, IdentityKeyPair, OsEntropy, Profile, xml};

use super::*;
use crate::model::Trust;
use crate::store::omemo::{Decided, Hearsay};

const OWN: &str = "romeo@montague.lit";
const JULIET: &str = "juliet@capulet.lit";

fn key() -> IdentityKey {
    *IdentityKeyPair::generate(&mut OsEntropy).public()
}

fn id(number: u32) -> DeviceId {
    DeviceId::try_from(number).expect("a device id")
}

/// Somebody has these devices, and nobody has seen their keys.
async fn lists(write: &mut Write, scene: &Scene, of: &str, ids: &[u32]) {
    let devices: Vec<xml::Device> = ids
        .iter()
        .map(|number| xml::Device {
            id: id(*number),
            label: None,
            label_signature: None,
        })
        .collect();
    for profile in Profile::ALL {
        omemo::put_list(write, scene.account, &jid(of), profile, &devices, at(0))
            .await
            .expect("stored");
    }
}

/// A device's key is seen and trusted like this.
async fn trusted(write: &mut Write, scene: &Scene, of: &str, device: u32, trust: Trust) -> IdentityKey {
    let (of, key) = (jid(of), key());
    let pinned = omemo::pin_identity(write, scene.account, &of, id(device), &key, at(0)).await;
    assert_eq!(pinned, Ok(true));
    let decision = (trust, Decided::Itself);
    omemo::put_trust(write, scene.account, &of, &key, decision)
        .await
        .expect("stored");
    key
}

async fn lock(write: &mut Write, scene: &Scene) -> Lock {
    chats::get(write, scene.chat, 0).await.expect("the chat").lock
}

#[tokio::test]
async fn the_lock_waits_for_each_undecided_key_that_counts() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    lists(&mut write, &scene, JULIET, &[1, 2]).await;
    trusted(&mut write, &scene, JULIET, 1, Trust::Verified).await;
    assert_eq!(lock(&mut write, &scene).await, Lock::Encrypted);
    trusted(&mut write, &scene, JULIET, 2, Trust::Undecided).await;
    assert_eq!(lock(&mut write, &scene).await, Lock::Undecided);
    // A device that is on no list any more gets nothing, whatever its key.
    lists(&mut write, &scene, JULIET, &[1]).await;
    assert_eq!(lock(&mut write, &scene).await, Lock::Encrypted);
    lists(&mut write, &scene, OWN, &[8]).await;
    trusted(&mut write, &scene, OWN, 8, Trust::Undecided).await;
    assert_eq!(lock(&mut write, &scene).await, Lock::Undecided, "one of our own");
    chats::set_mode(&mut write, scene.chat, EncryptionMode::None)
        .await
        .expect("chosen");
    assert_eq!(lock(&mut write, &scene).await, Lock::PlainChosen);
}

#[tokio::test]
async fn a_key_that_was_named_in_either_form_is_known_at_first_sight_and_once() {
    let scene = scene().await;
    let (account, juliet) = (scene.account, jid(JULIET));
    let mut write = scene.store.write().await.expect("a write");
    let [by_curve, by_edwards, by_both, unknown] = [(); 4].map(|()| key());
    let good = (Trust::Verified, Decided::Person);
    let bad = (Trust::Untrusted, Decided::Device);
    for (name, decision) in [
        (by_curve.to_bytes(), good),
        (by_edwards.to_edwards(), good),
        (by_both.to_bytes(), good),
        (by_both.to_edwards(), bad),
    ] {
        omemo::put_expected(&mut write, account, &juliet, &name, decision)
            .await
            .expect("stored");
    }
    for (key, expected) in [
        (&by_curve, Some(good)),
        (&by_curve, None),
        (&by_edwards, Some(good)),
        (&by_both, Some(bad)),
        (&unknown, None),
    ] {
        let taken = omemo::take_expected(&mut write, account, &juliet, key).await;
        assert_eq!(taken, Ok(expected));
    }
}

#[tokio::test]
async fn of_what_devices_say_about_unseen_keys_only_so_much_is_kept_and_all_that_the_person_says() {
    let scene = scene().await;
    let (account, juliet) = (scene.account, jid(JULIET));
    let mut write = scene.store.write().await.expect("a write");
    let keys: Vec<IdentityKey> = (0..202).map(|_| key()).collect();
    let word = (Trust::Verified, Decided::Device);
    for key in &keys[..201] {
        omemo::put_expected(&mut write, account, &juliet, &key.to_bytes(), word)
            .await
            .expect("stored");
    }
    let refused = (Trust::Untrusted, Decided::Device);
    let own_word = (Trust::Verified, Decided::Person);
    for (key, decision) in [(&keys[0], refused), (&keys[201], own_word)] {
        omemo::put_expected(&mut write, account, &juliet, &key.to_bytes(), decision)
            .await
            .expect("stored");
    }
    for (at, expected) in [
        (0, Some(refused)),
        (199, Some(word)),
        (200, None),
        (201, Some(own_word)),
    ] {
        let taken = omemo::take_expected(&mut write, account, &juliet, &keys[at]).await;
        assert_eq!(taken, Ok(expected), "{at}");
    }
}

#[tokio::test]
async fn what_a_device_says_is_kept_within_limits_and_taken_out_once() {
    let scene = scene().await;
    let (account, juliet) = (scene.account, jid(JULIET));
    let speaker = key();
    let mut write = scene.store.write().await.expect("a write");
    let word = |number: u8, trusted| Hearsay {
        address: jid(JULIET),
        key: [number; 32],
        trusted,
    };
    for said in [word(1, true), word(2, true), word(3, true)] {
        omemo::put_hearsay(&mut write, account, (&juliet, &speaker), &said, 2)
            .await
            .expect("stored");
    }
    let taken = omemo::take_hearsay(&mut write, account, &juliet, &key()).await;
    assert_eq!(taken, Ok(Vec::new()), "another device said nothing");
    let mut taken = omemo::take_hearsay(&mut write, account, &juliet, &speaker)
        .await
        .expect("taken");
    taken.sort_by_key(|said| said.key);
    assert_eq!(taken, [word(1, true), word(2, true)]);
    let again = omemo::take_hearsay(&mut write, account, &juliet, &speaker).await;
    assert_eq!(again, Ok(Vec::new()));
}

#[tokio::test]
async fn what_is_to_be_told_waits_in_its_order() {
    let scene = scene().await;
    let (account, juliet, hers) = (scene.account, jid(JULIET), key());
    let now = (at(0), std::time::Duration::ZERO);
    let mut write = scene.store.write().await.expect("a write");
    for (only, content) in [(None, "<a/>"), (Some(&hers), "<b/>")] {
        omemo::put_telling(&mut write, account, &juliet, only, content, None)
            .await
            .expect("stored");
    }
    let all = omemo::tellings(&mut write, account, now, 10)
        .await
        .expect("tellings");
    let shown: Vec<_> = all
        .iter()
        .map(|one| (one.only_key, one.content.as_str()))
        .collect();
    assert_eq!(shown, [(None, "<a/>"), (Some(hers), "<b/>")]);
    omemo::take_telling(&mut write, all[0].id).await.expect("told");
    let left = omemo::tellings(&mut write, account, now, 10)
        .await
        .expect("tellings");
    assert_eq!(left.iter().map(|one| one.id).collect::<Vec<_>>(), [all[1].id]);
}

#[tokio::test]
async fn new_devices_of_people_with_a_verified_key_are_to_be_looked_at() {
    let scene = scene().await;
    let account = scene.account;
    let mut write = scene.store.write().await.expect("a write");
    lists(&mut write, &scene, JULIET, &[1, 2, 3]).await;
    lists(&mut write, &scene, "nurse@capulet.lit", &[4]).await;
    trusted(&mut write, &scene, JULIET, 1, Trust::Blind).await;
    let unseen = async |write: &mut Write| -> Vec<u32> {
        let unseen = omemo::unseen_of_verified(write, account, 10)
            .await
            .expect("asked");
        unseen.iter().map(|(_, row)| row.device.get()).collect()
    };
    assert_eq!(unseen(&mut write).await, Vec::<u32>::new(), "nobody is verified");
    trusted(&mut write, &scene, JULIET, 2, Trust::Verified).await;
    assert_eq!(unseen(&mut write).await, [3]);
    let fault = Some((crate::model::BundleFault::Missing, at(0)));
    omemo::set_bundle_fault(&mut write, account, &jid(JULIET), (id(3), Profile::Legacy), fault)
        .await
        .expect("noted");
    assert_eq!(
        unseen(&mut write).await,
        Vec::<u32>::new(),
        "its keys cannot be had"
    );
}

#[tokio::test]
async fn a_chat_that_was_made_for_nothing_is_taken_back() {
    let scene = scene().await;
    let mut write = scene.store.write().await.expect("a write");
    let account = scene.account;
    let mut made = std::collections::HashSet::new();
    for address in ["a@x.lit", "b@x.lit", "c@x.lit"] {
        let chat = chats::open(&mut write, account, &jid(address), at(0))
            .await
            .expect("a chat");
        made.insert(chat);
        match address {
            "b@x.lit" => chats::latch(&mut write, chat).await.expect("latched"),
            "c@x.lit" => {
                let stand = Stand::End(at(0).as_microsecond());
                messages::insert(&mut write, chat, &text(address, "hello", None), true, stand)
                    .await
                    .expect("stored");
            }
            _ => {}
        }
    }
    chats::take_back(&mut write, &made).await.expect("taken back");
    for (address, there) in [("a@x.lit", false), ("b@x.lit", true), ("c@x.lit", true)] {
        let found = chats::find(&mut write, account, &jid(address))
            .await
            .expect("asked");
        assert_eq!(found.is_some(), there, "{address}");
    }
}
