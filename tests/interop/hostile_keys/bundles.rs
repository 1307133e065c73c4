//! Keys and device lists that are not what they seem.

use std::collections::HashSet;

use serde_json::{Value, json};
use waxwing_tests::{LONG, Peer, items, until};

use crate::scene::{ALICE, BOB, Generation, LEGACY, MALLORY, OMEMO2, Scene, stanza, with_key};

/// Bob's server serves Mallory's keys for Bob's device, in a generation in which Alice knows it.
async fn another_identity_is_served(generation: Generation) {
    let mut scene = Scene::set(generation).await;
    scene.reader.stop().await;
    scene.bob_says_alone("hello").await;
    scene.alice_says("hello Bob").await;
    let device = scene.bob.devices(BOB).await[0]["device"].clone();
    let hers = scene.mallory.devices(MALLORY).await[0].clone();
    let swapped = scene.published(MALLORY, &hers["device"]).await;
    let whole = scene.published(BOB, &device).await;
    let list = generation.list(std::slice::from_ref(&device));
    scene.bob.publish(generation.list_node, "current", &list).await;
    let (node, item) = generation.bundle(&device);
    scene.bob.publish(&node, &item, &swapped).await;
    let pinned = scene.device(&device).await["fingerprint"].clone();

    let reset = json!({ "account": scene.alice.account.clone(), "address": BOB, "device": device });
    scene.alice.get("reset_session", reset.clone()).await;
    let told = json!({ "account": scene.alice.account.clone(), "address": BOB });
    let changed = |d: &Value| d["device"] == device && d["bundle_fault"] == "identity_changed";
    scene
        .alice
        .until("the swap is told", "list_devices", told.clone(), |list| {
            items(list).iter().any(changed)
        })
        .await;
    let shown = scene.device(&device).await;
    assert_eq!(shown["fingerprint"], pinned, "the known key stays");
    assert_eq!(shown["other_key"]["fingerprint"], hers["fingerprint"], "{shown}");
    // The session with Bob goes on; Mallory's key gets nothing.
    assert_eq!(shown["reach"], "ready", "{shown}");
    scene.alice_says("still to Bob").await;

    // Whatever Bob's device does by itself, it stays shown; when the person has the device looked at once more, and it
    // shows the key that it always had, there is nothing to compare any more.
    scene.bob.publish(&node, &item, &whole).await;
    scene.bob_says_alone("and from Bob").await;
    let shown = scene.device(&device).await;
    assert_eq!(shown["other_key"]["fingerprint"], hers["fingerprint"], "{shown}");
    scene.alice.get("reset_session", reset).await;
    let well = |d: &Value| d["device"] == device && !d["last_repaired"].is_null();
    scene
        .alice
        .until("the session is replaced", "list_devices", told, |list| {
            items(list).iter().any(well)
        })
        .await;
    let shown = scene.device(&device).await;
    assert_eq!(
        (&shown["fingerprint"], &shown["other_key"]),
        (&pinned, &Value::Null),
        "{shown}"
    );
}

#[tokio::test]
async fn another_identity_under_a_known_device_is_never_encrypted_to_and_its_key_is_shown_in_the_legacy_namespace()
 {
    another_identity_is_served(LEGACY).await;
}

#[tokio::test]
async fn another_identity_under_a_known_device_is_never_encrypted_to_and_its_key_is_shown_in_omemo_2() {
    another_identity_is_served(OMEMO2).await;
}

/// Bob set his program up anew under the number that his device had; Alice compares the new key, before she saw it or after.
async fn a_new_key_is_compared(generation: Generation, shown_first: bool) {
    let mut scene = Scene::set(generation).await;
    scene.reader.stop().await;
    scene.bob_says_alone("hello").await;
    let device = scene.bob.devices(BOB).await[0]["device"].clone();
    let hers = scene.mallory.devices(MALLORY).await[0].clone();
    let swapped = scene.published(MALLORY, &hers["device"]).await;
    let list = generation.list(std::slice::from_ref(&device));
    scene.bob.publish(generation.list_node, "current", &list).await;
    let (node, item) = generation.bundle(&device);
    scene.bob.publish(&node, &item, &swapped).await;
    let account = scene.alice.account.clone();
    let told = json!({ "account": account, "address": BOB });
    let print = hers["fingerprint"].as_str().expect("a key").to_owned();
    let link = json!({ "account": account, "link": format!("xmpp:{BOB}?omemo-sid-{device}={print}") });
    let reset = json!({ "account": account, "address": BOB, "device": device });
    if shown_first {
        scene.alice.get("reset_session", reset).await;
        let changed = |d: &Value| d["device"] == device && d["bundle_fault"] == "identity_changed";
        let all = |list: &Value| items(list).iter().any(changed);
        scene
            .alice
            .until("the new key is told", "list_devices", told.clone(), all)
            .await;
        scene.alice.get("accept_key_link", link.clone()).await;
    } else {
        scene.alice.get("accept_key_link", link.clone()).await;
        scene.alice.get("reset_session", reset).await;
    }
    let new =
        |d: &Value| d["device"] == device && d["fingerprint"] == print.as_str() && d["trust"] == "verified";
    let all = |list: &Value| items(list).iter().any(new);
    scene
        .alice
        .until("the new key takes the old one's place", "list_devices", told, all)
        .await;
    let chat = scene.alice.chat_with(BOB).await;
    let sent = scene.alice.send(&chat, "to the new key").await;
    assert_eq!(
        scene.alice.delivery(&sent, "sent").await["encryption"],
        generation.word
    );
    let shown = scene.device(&device).await;
    assert_eq!(
        (&shown["reach"], &shown["bundle_fault"], &shown["other_key"]),
        (&json!("ready"), &Value::Null, &Value::Null),
        "{shown}"
    );
    let again = scene.alice.get("read_key_link", link).await;
    assert_eq!(again["keys"][0]["standing"], "verified", "{again}");
}

#[tokio::test]
async fn the_new_key_of_a_device_takes_the_old_ones_place_when_the_person_has_compared_it_in_the_legacy_namespace()
 {
    a_new_key_is_compared(LEGACY, true).await;
}

#[tokio::test]
async fn the_new_key_of_a_device_takes_the_old_ones_place_when_the_person_has_compared_it_in_omemo_2() {
    a_new_key_is_compared(OMEMO2, true).await;
}

#[tokio::test]
async fn a_key_that_the_person_compared_takes_the_old_ones_place_when_the_device_shows_it_in_the_legacy_namespace()
 {
    a_new_key_is_compared(LEGACY, false).await;
}

#[tokio::test]
async fn a_key_that_the_person_compared_takes_the_old_ones_place_when_the_device_shows_it_in_omemo_2() {
    a_new_key_is_compared(OMEMO2, false).await;
}

/// The same where there is no session: in a generation in which nobody has written yet.
async fn another_identity_is_served_in_the_other_generation(known: Generation, other: Generation) {
    let mut scene = Scene::set(known).await;
    scene.reader.stop().await;
    scene.bob_says_alone("hello").await;
    let device = scene.bob.devices(BOB).await[0]["device"].clone();
    let pinned = scene.device(&device).await["fingerprint"].clone();
    let mut mallory = Peer::sign_in_with(&scene.server, MALLORY, other.word).await;
    let hers = mallory.devices(MALLORY).await[0].clone();
    scene.generation = other;
    let swapped = scene.published(MALLORY, &hers["device"]).await;
    let (node, item) = other.bundle(&device);
    scene.bob.publish(&node, &item, &swapped).await;
    let list = other.list(std::slice::from_ref(&device));
    scene.bob.publish(other.list_node, "current", &list).await;
    scene
        .bob
        .publish(known.list_node, "current", &known.list(&[]))
        .await;

    let told = json!({ "account": scene.alice.account.clone(), "address": BOB });
    let only_there = |d: &Value| d["device"] == device && d["protocols"] == json!([other.word]);
    scene
        .alice
        .until("the lists are known", "list_devices", told, |list| {
            items(list).iter().any(only_there)
        })
        .await;
    let chat = scene.alice.chat_with(BOB).await;
    let sent = scene.alice.send(&chat, "not-for-mallory").await;
    let page = json!({ "chat": chat, "limit": 10 });
    let has_failed = |m: &Value| m["message"] == sent["message"] && m["delivery"] == "failed";
    let list = scene
        .alice
        .until("the message fails", "list_messages", page, |list| {
            items(list).iter().any(has_failed)
        })
        .await;
    let failed = items(&list).iter().find(|m| has_failed(m)).expect("it was there");
    assert_eq!(failed["error"]["code"], "no_devices", "{failed}");
    assert!(
        !scene.server.has_stored("not-for-mallory"),
        "it left in plain text"
    );
    let shown = scene.device(&device).await;
    assert_eq!(
        (&shown["bundle_fault"], &shown["reach"], &shown["fingerprint"]),
        (&json!("identity_changed"), &json!("no_keys"), &pinned),
        "{shown}"
    );
    assert_eq!(shown["other_key"]["fingerprint"], hers["fingerprint"], "{shown}");
}

#[tokio::test]
async fn another_identity_under_a_known_device_begins_no_session_in_omemo_2() {
    another_identity_is_served_in_the_other_generation(LEGACY, OMEMO2).await;
}

#[tokio::test]
async fn another_identity_under_a_known_device_begins_no_session_in_the_legacy_namespace() {
    another_identity_is_served_in_the_other_generation(OMEMO2, LEGACY).await;
}

async fn a_bundle_is_wrongly_signed(generation: Generation) {
    let mut scene = Scene::set(generation).await;
    let broken = scene.reader.devices(BOB).await[0]["device"].clone();
    let spoiled = generation.wrongly_signed(&scene.published(BOB, &broken).await);
    scene.reader.stop().await;
    let (node, item) = generation.bundle(&broken);
    scene.bob.publish(&node, &item, &spoiled).await;

    scene.alice_says("for the device that works").await;
    let shown = scene.device(&broken).await;
    assert_eq!(
        (&shown["bundle_fault"], &shown["reach"]),
        (&json!("malformed"), &json!("no_keys")),
        "{shown}"
    );
}

#[tokio::test]
async fn a_bundle_with_a_wrong_signature_is_told_and_the_message_goes_to_the_other_device() {
    a_bundle_is_wrongly_signed(LEGACY).await;
}

#[tokio::test]
async fn a_bundle_of_omemo_2_with_a_wrong_signature_is_told_and_the_message_goes_to_the_other_device() {
    a_bundle_is_wrongly_signed(OMEMO2).await;
}

/// The person wants a new session, and the keys for it are not to be had.
async fn a_session_is_not_replaced(generation: Generation) {
    let mut scene = Scene::set(generation).await;
    scene.bob_says("before").await;
    scene.alice_says("hello Bob").await;
    let device = scene.bob.devices(BOB).await[0]["device"].clone();
    let whole = scene.published(BOB, &device).await;
    let (node, item) = generation.bundle(&device);
    let spoiled = generation.wrongly_signed(&whole);
    scene.reader.publish(&node, &item, &spoiled).await;
    let reset = json!({ "account": scene.alice.account.clone(), "address": BOB, "device": device });
    scene.alice.get("reset_session", reset.clone()).await;
    let told = json!({ "account": scene.alice.account.clone(), "address": BOB });
    scene
        .alice
        .until("the person is told why", "list_devices", told.clone(), |list| {
            let fault = |d: &Value| d["device"] == device && d["bundle_fault"] == "malformed";
            items(list).iter().any(fault)
        })
        .await;
    assert_eq!(
        scene.device(&device).await["reach"],
        "ready",
        "the old session goes on"
    );
    scene.alice_says("in the old session").await;
    scene.bob_says("back in the old session").await;

    scene.reader.publish(&node, &item, &whole).await;
    scene.alice.get("reset_session", reset).await;
    scene
        .bob
        .event("Alice's empty message", |e| e["event"] == "empty")
        .await;
    scene
        .alice
        .until("nothing is wrong any more", "list_devices", told, |list| {
            let well = |d: &Value| d["device"] == device && d["bundle_fault"].is_null();
            items(list)
                .iter()
                .any(|d| well(d) && !d["last_repaired"].is_null())
        })
        .await;
    scene.alice_says("in the new session").await;
    scene.bob_says("back in the new session").await;
}

#[tokio::test]
async fn a_session_that_cannot_be_replaced_goes_on_and_the_person_is_told_in_the_legacy_namespace() {
    a_session_is_not_replaced(LEGACY).await;
}

#[tokio::test]
async fn a_session_that_cannot_be_replaced_goes_on_and_the_person_is_told_in_omemo_2() {
    a_session_is_not_replaced(OMEMO2).await;
}

/// A session broke, and the keys for a new one cannot be had for a while.
async fn a_broken_session_waits_for_keys(generation: Generation) {
    let mut scene = Scene::set(generation).await;
    scene.bob_says("before").await;
    scene.alice_says("hello Bob").await;
    let element = scene.bob_says("the last one that fits").await;
    let device = scene.bob.devices(BOB).await[0]["device"].clone();
    let whole = scene.published(BOB, &device).await;
    let (node, item) = generation.bundle(&device);
    // Alice's program throws it away before it is read, and so has no answer.
    scene
        .reader
        .publish(&node, &item, &generation.endless_bundle())
        .await;
    let own = scene.own.clone();
    let broken = with_key(&element, &own, |mut bytes| {
        bytes[30] ^= 1;
        bytes
    });
    scene.bob.send_raw(&stanza("broken", &broken)).await;
    let told = json!({ "account": scene.alice.account.clone(), "address": BOB });
    let unreachable = |d: &Value| d["device"] == device && d["bundle_fault"] == "unreachable";
    scene
        .alice
        .until("the keys cannot be had", "list_devices", told.clone(), |list| {
            items(list).iter().any(unreachable)
        })
        .await;
    assert_eq!(
        scene.rows(BOB).await.last().map(String::as_str),
        Some("(no_session)")
    );
    let shown = scene.device(&device).await;
    assert_eq!(
        shown["last_repaired"],
        Value::Null,
        "nothing was replaced: {shown}"
    );
    scene.alice_says("in the session that there is").await;

    scene.reader.publish(&node, &item, &whole).await;
    let chat = scene.alice.chat_with(BOB).await;
    scene
        .alice
        .get("read_devices_again", json!({ "chat": chat }))
        .await;
    // Also if nobody writes.
    let repaired = |d: &Value| d["device"] == device && !d["last_repaired"].is_null();
    scene
        .alice
        .until("the session is replaced", "list_devices", told, |list| {
            items(list).iter().any(repaired)
        })
        .await;
    scene.alice_says("in a new one").await;
    scene.bob_says("back in the new one").await;
}

#[tokio::test]
async fn a_session_that_broke_is_replaced_as_soon_as_its_keys_can_be_had_in_the_legacy_namespace() {
    a_broken_session_waits_for_keys(LEGACY).await;
}

#[tokio::test]
async fn a_session_that_broke_is_replaced_as_soon_as_its_keys_can_be_had_in_omemo_2() {
    a_broken_session_waits_for_keys(OMEMO2).await;
}

async fn a_list_is_endless(generation: Generation) {
    let mut scene = Scene::set(generation).await;
    scene.bob_says("before").await;
    let real = scene.bob.devices(BOB).await[0]["device"].clone();
    let all: Vec<Value> = [real].into_iter().chain((1..=10_000).map(Value::from)).collect();
    scene
        .bob
        .publish(generation.list_node, "current", &generation.list(&all))
        .await;
    let params = json!({ "account": scene.alice.account.clone(), "address": BOB });
    let known = scene
        .alice
        .until("some of them are known", "list_devices", params, |list| {
            items(list).len() > 100
        })
        .await;
    assert!(
        items(&known).len() <= 600,
        "{} devices are kept",
        items(&known).len()
    );
    let of_account = json!({ "account": scene.alice.account.clone() });
    let console = json!({ "account": scene.alice.account.clone(), "on": true });
    scene.alice.get("set_console", console).await;
    scene.alice_says("to whom it may concern").await;
    let entries = scene.alice.get("list_console", of_account).await;
    let (asked, at_once) = questions_for_keys(items(&entries));
    assert!((100..=500).contains(&asked), "{asked} questions");
    assert!(at_once <= 20, "{at_once} questions at once");
    scene.bob_says_alone("still there").await;
    assert!(scene.alice.lives());
}

#[tokio::test]
async fn a_list_of_ten_thousand_devices_holds_nothing_up_in_the_legacy_namespace() {
    a_list_is_endless(LEGACY).await;
}

#[tokio::test]
async fn a_list_of_ten_thousand_devices_holds_nothing_up_in_omemo_2() {
    a_list_is_endless(OMEMO2).await;
}

async fn a_stranger_lists_many_devices(generation: Generation) {
    const CAROL: &str = "carol@waxwing.test";
    let mut scene = Scene::set(generation).await;
    scene.server.add_user(CAROL, waxwing_tests::PASSWORD);
    let mut carol = Peer::sign_in_with(&scene.server, CAROL, generation.word).await;
    let all: Vec<Value> = (1..=400).map(Value::from).collect();
    carol
        .publish(generation.list_node, "current", &generation.list(&all))
        .await;
    // A change of devices is told as a change of the chat.
    scene.alice.chat_with(CAROL).await;
    let params = json!({ "account": scene.alice.account.clone(), "address": CAROL });
    let known = scene
        .alice
        .until("some of them are known", "list_devices", params, |list| {
            !items(list).is_empty()
        })
        .await;
    assert_eq!(items(&known).len(), 20);
}

#[tokio::test]
async fn of_a_stranger_few_devices_are_kept_in_the_legacy_namespace() {
    a_stranger_lists_many_devices(LEGACY).await;
}

#[tokio::test]
async fn of_a_stranger_few_devices_are_kept_in_omemo_2() {
    a_stranger_lists_many_devices(OMEMO2).await;
}

/// How many questions for keys went out, and how many of them were on their way at a time at most.
fn questions_for_keys(entries: &[Value]) -> (usize, usize) {
    let (mut asked, mut at_once) = (0, 0);
    let mut open = HashSet::new();
    for entry in entries {
        let xml = entry["xml"].as_str().unwrap_or_default();
        let id = xml.split(&['\'', '"']).collect::<Vec<_>>();
        let id = id
            .windows(2)
            .find(|pair| pair[0].ends_with(" id="))
            .map(|pair| pair[1].to_owned());
        let Some(id) = id.filter(|_| xml.starts_with("<iq")) else {
            continue;
        };
        if entry["way"] == "in" {
            open.remove(&id);
        } else if xml.contains("bundles") && xml.contains("type='get'") | xml.contains("type=\"get\"") {
            asked += 1;
            open.insert(id);
            at_once = at_once.max(open.len());
        }
    }
    (asked, at_once)
}

async fn prekeys_are_used_up(generation: Generation) {
    let mut scene = Scene::set(generation).await;
    let mut devices = Vec::new();
    for _ in 0..4 {
        devices.push(Peer::sign_in_with(&scene.server, MALLORY, generation.word).await);
    }
    let of_account = json!({ "account": scene.alice.account.clone() });
    let console = json!({ "account": scene.alice.account.clone(), "on": true });
    scene.alice.get("set_console", console).await;
    for (number, device) in devices.iter_mut().enumerate() {
        let body = format!("in a new session {number}");
        device.send(ALICE, &body, generation.word).await;
        scene.alice.hears(&body).await;
    }
    let own = scene.own.clone();
    let (node, _) = generation.bundle(&own);
    let published = |entries: &Value| {
        let out = items(entries).iter().filter(|entry| entry["way"] == "out");
        let all = out.filter_map(|entry| entry["xml"].as_str());
        all.filter(|xml| xml.contains("<publish ") && xml.contains(&node))
            .count()
    };
    let entries = scene.alice.get("list_console", of_account).await;
    assert!(published(&entries) <= 1, "{} publications", published(&entries));
    // A little later all of them are gone.
    until("none of them is offered any more", LONG, async || {
        let bundle = scene.published(ALICE, &own).await;
        (generation.prekeys(&bundle) == 96).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_uses_up_prekeys_does_not_have_each_of_them_told_to_the_server_in_the_legacy_namespace() {
    prekeys_are_used_up(LEGACY).await;
}

#[tokio::test]
async fn whoever_uses_up_prekeys_does_not_have_each_of_them_told_to_the_server_in_omemo_2() {
    prekeys_are_used_up(OMEMO2).await;
}

/// Somebody else's keys lie under the number of Alice's device: another program has taken it, or her server served it so.
async fn another_identity_lies_under_our_own_number(generation: Generation) {
    let mut scene = Scene::set(generation).await;
    scene.bob_says_alone("before").await;
    let mut phone = Peer::sign_in_with(&scene.server, ALICE, generation.word).await;
    let (own, hers) = (scene.own.clone(), scene.mallory.devices(MALLORY).await[0].clone());
    let foreign = scene.published(MALLORY, &hers["device"]).await;
    let of_alice = json!({ "account": scene.alice.account.clone(), "address": ALICE });
    let this = |list: &Value| items(list).iter().find(|d| d["own"] == true).cloned();
    let before = scene.alice.get("list_devices", of_alice.clone()).await;
    let print = this(&before).expect("this device")["fingerprint"].clone();
    scene.alice.stop().await;
    let (node, item) = generation.bundle(&own);
    phone.publish(&node, &item, &foreign).await;

    scene.alice.start_again().await;
    let copied = |list: &Value| items(list)[0]["renewed"] == "copied";
    scene
        .alice
        .until("she is told", "list_accounts", json!({}), copied)
        .await;
    let after = scene.alice.get("list_devices", of_alice).await;
    let now = this(&after).expect("this device");
    assert_ne!(now["device"], own, "it goes on under the number");
    assert_eq!(now["fingerprint"], print, "it is her key still");
    // What lies there is whose it is.
    assert_eq!(scene.published(ALICE, &own).await, foreign);
    // Whoever wrote lately hears of the new number by himself, and finds it on the list.
    let from_there = |e: &Value| e["event"] == "empty" && e["device"] == now["device"];
    scene
        .bob
        .event("the empty message of the new device", from_there)
        .await;
    until("Bob knows the new device", LONG, async || {
        let devices = scene.bob.devices(ALICE).await;
        let listed = |d: &Value| d["device"] == now["device"] && d["active"] != json!([]);
        devices.iter().any(listed).then_some(())
    })
    .await;
    scene.bob_says_alone("to the new number").await;
    scene.alice_says("from the new number").await;
    phone.stop().await;
}

#[tokio::test]
async fn another_identity_under_our_own_number_makes_another_device_of_this_one_in_the_legacy_namespace() {
    another_identity_lies_under_our_own_number(LEGACY).await;
}

#[tokio::test]
async fn another_identity_under_our_own_number_makes_another_device_of_this_one_in_omemo_2() {
    another_identity_lies_under_our_own_number(OMEMO2).await;
}
