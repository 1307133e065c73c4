//! Messages that Bob did not write, or not now, or not to Alice.

use serde_json::{Value, json};
use waxwing_tests::{LONG, Peer, until};

use crate::scene::{ALICE, BOB, Generation, LEGACY, MALLORY, OMEMO2, Scene, overheard, stanza};

async fn a_key_exchange_is_played_again(generation: Generation) {
    let mut scene = Scene::set(generation).await;
    let first = scene.bob_says("the first one, with the key exchange").await;
    let mark = format!("{}=", generation.key_exchange);
    assert!(first.contains(&mark), "it brings no key exchange: {first}");
    scene.alice_says("an answer").await;
    scene.bob_says("the session goes on").await;
    for number in 0..5 {
        let again = stanza(&format!("again-{number}"), &first);
        scene.bob.send_raw(&again).await;
    }
    scene.bob_says("afterwards").await;
    scene.alice_says("and back").await;
    let rows = scene.rows(BOB).await;
    let expected = [
        "the first one, with the key exchange",
        "an answer",
        "the session goes on",
        "afterwards",
        "and back",
    ];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn a_key_exchange_that_is_played_again_shows_nothing_and_harms_nothing_in_the_legacy_namespace() {
    a_key_exchange_is_played_again(LEGACY).await;
}

#[tokio::test]
async fn a_key_exchange_that_is_played_again_shows_nothing_and_harms_nothing_in_omemo_2() {
    a_key_exchange_is_played_again(OMEMO2).await;
}

async fn mallory_sends_what_bob_wrote(generation: Generation) {
    let mut scene = Scene::set(generation).await;
    let from_bob = scene.bob_says("for Alice alone").await;
    scene.mallory.send_raw(&stanza("stolen", &from_bob)).await;
    scene.mallory.send(ALICE, "afterwards", generation.word).await;
    scene.alice.hears("afterwards").await;
    let rows = scene.rows(MALLORY).await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(
        rows[0].starts_with('('),
        "Mallory's chat shows what Bob wrote: {rows:?}"
    );
    assert_eq!(scene.rows(BOB).await, ["for Alice alone"]);
    scene.bob_says("the session with Bob is whole").await;
}

#[tokio::test]
async fn what_bob_wrote_means_nothing_when_mallory_sends_it_in_the_legacy_namespace() {
    mallory_sends_what_bob_wrote(LEGACY).await;
}

#[tokio::test]
async fn what_bob_wrote_means_nothing_when_mallory_sends_it_in_omemo_2() {
    mallory_sends_what_bob_wrote(OMEMO2).await;
}

async fn a_counter_is_far_ahead(generation: Generation) {
    let mut scene = Scene::set(generation).await;
    scene.bob_says("one").await;
    scene.alice_says("two").await;
    let element = scene.bob_says("three").await;
    let ahead = generation.far_ahead(&element, &scene.own);
    let began = std::time::Instant::now();
    scene.bob.send_raw(&stanza("ahead", &ahead)).await;
    scene.bob_says("four").await;
    assert!(
        began.elapsed() < waxwing_tests::SHORT,
        "it cost {:?}",
        began.elapsed()
    );
    assert_eq!(
        scene.rows(BOB).await,
        ["one", "two", "three", "(too_far_ahead)", "four"]
    );
}

#[tokio::test]
async fn a_counter_that_is_far_ahead_is_a_row_at_once_and_the_next_message_is_read() {
    a_counter_is_far_ahead(LEGACY).await;
}

#[tokio::test]
async fn a_counter_of_omemo_2_that_is_far_ahead_is_a_row_at_once_and_the_next_message_is_read() {
    a_counter_is_far_ahead(OMEMO2).await;
}

/// The server, or whoever sits in it, takes a message of Mallory's for one of Bob's known device.
async fn another_identity_writes(generation: Generation) {
    let mut scene = Scene::set(generation).await;
    scene.bob_says("before").await;
    let device = scene.bob.devices(BOB).await[0]["device"].clone();
    let known = scene.device(&device).await;
    assert_eq!(known["other_key"], Value::Null, "{known}");

    let mut looking_on = Peer::sign_in_with(&scene.server, MALLORY, generation.word).await;
    let id = scene.mallory.send(ALICE, "mine", generation.word).await;
    scene.alice.hears("mine").await;
    let element = overheard(&mut looking_on, &id).await;
    let hers = scene.mallory.devices(MALLORY).await[0].clone();
    let (from, to) = (format!("sid=\"{}\"", hers["device"]), format!("sid=\"{device}\""));
    assert!(element.contains(&from), "{element}");
    scene
        .bob
        .send_raw(&stanza("swapped", &element.replace(&from, &to)))
        .await;
    scene.bob_says("afterwards").await;

    assert_eq!(
        scene.rows(BOB).await,
        ["before", "(identity_changed)", "afterwards"]
    );
    let shown = scene.device(&device).await;
    assert_eq!(shown["fingerprint"], known["fingerprint"], "the known key stays");
    assert_eq!(shown["other_key"]["fingerprint"], hers["fingerprint"], "{shown}");
    assert_eq!(shown["last_failure"]["reason"], "identity_changed", "{shown}");
    assert_eq!(shown["reach"], "ready");
    scene.alice_says("to Bob alone").await;

    // Once the person has decided which key is the right one, there is nothing to compare any more.
    let decided = json!({
        "account": scene.alice.account.clone(), "address": BOB, "fingerprint": known["fingerprint"], "trust": "verified",
    });
    scene.alice.get("set_trust", decided).await;
    let shown = scene.device(&device).await;
    assert_eq!(
        (&shown["trust"], &shown["other_key"]),
        (&json!("verified"), &Value::Null),
        "{shown}"
    );
}

#[tokio::test]
async fn a_key_exchange_with_another_identity_is_refused_and_its_key_is_shown_in_the_legacy_namespace() {
    another_identity_writes(LEGACY).await;
}

#[tokio::test]
async fn a_key_exchange_with_another_identity_is_refused_and_its_key_is_shown_in_omemo_2() {
    another_identity_writes(OMEMO2).await;
}

/// Somebody lays out one prekey of Alice's twice, so that two devices of Bob's begin their sessions with it.
async fn a_prekey_is_used_again(generation: Generation) {
    let mut scene = Scene::set(generation).await;
    let mut phone = Peer::sign_in_with(&scene.server, ALICE, generation.word).await;
    let own = scene.own.clone();
    let (node, item) = generation.bundle(&own);
    let offered = generation.with_one_prekey(&scene.published(ALICE, &own).await);
    phone.publish(&node, &item, &offered).await;
    scene.bob_says_alone("with the prekey").await;
    until("Alice's own bundle is there again", LONG, async || {
        let bundle = scene.published(ALICE, &own).await;
        (generation.prekeys(&bundle) == 99).then_some(())
    })
    .await;
    phone.publish(&node, &item, &offered).await;
    scene
        .reader
        .send(ALICE, "with the same one", generation.word)
        .await;

    scene
        .reader
        .event("Alice's empty message in a new session", |e| {
            e["event"] == "empty"
        })
        .await;
    scene
        .reader
        .send(ALICE, "in the new session", generation.word)
        .await;
    scene.alice.hears("in the new session").await;
    let rows = scene.rows(BOB).await;
    assert_eq!(rows, ["with the prekey", "(key_gone)", "in the new session"]);
    let device = scene.reader.devices(BOB).await[0]["device"].clone();
    let shown = scene.device(&device).await;
    assert_eq!(shown["last_failure"]["reason"], "key_gone", "{shown}");
    assert_ne!(shown["last_repaired"], Value::Null, "{shown}");
}

#[tokio::test]
async fn a_prekey_that_was_used_opens_no_second_session_and_a_new_one_is_begun_in_the_legacy_namespace() {
    a_prekey_is_used_again(LEGACY).await;
}

#[tokio::test]
async fn a_prekey_that_was_used_opens_no_second_session_and_a_new_one_is_begun_in_omemo_2() {
    a_prekey_is_used_again(OMEMO2).await;
}

/// The older generation says nothing of for which chat a text is.
#[tokio::test]
async fn what_bob_wrote_for_another_chat_is_a_row_that_says_so_and_not_its_text() {
    let mut scene = Scene::set(OMEMO2).await;
    scene.bob_says("before").await;
    let misplaced = json!({
        "to": ALICE, "body": "between Mallory and me", "encryption": "omemo2", "addressed_to": MALLORY,
    });
    scene.bob.ask("send", misplaced).await;
    scene.bob_says("afterwards").await;
    assert_eq!(scene.rows(BOB).await, ["before", "(wrong_place)", "afterwards"]);
    let device = scene.bob.devices(BOB).await[0]["device"].clone();
    let shown = scene.device(&device).await;
    assert_eq!(shown["last_failure"]["reason"], "wrong_place", "{shown}");
    assert_eq!(shown["last_repaired"], Value::Null, "nothing was to be repaired");
}

async fn keys_are_for_others_alone(generation: Generation) {
    let mut scene = Scene::set(generation).await;
    let element = scene.bob_says("before").await;
    let (own, other) = (format!("rid=\"{}\"", scene.own), "rid=\"4711\"");
    assert!(element.contains(&own), "{element}");
    let for_others = element.replace(&own, other);
    scene.bob.send_raw(&stanza("for-others", &for_others)).await;
    // Nothing says in the open that there is something to read. In the older generation it is there all the same; in
    // version 2 it is as what devices tell each other.
    let bare = |id: &str, element: &str| {
        format!(
            "<message type='chat' to='{ALICE}' id='{id}'>{element}<store xmlns='urn:xmpp:hints'/></message>"
        )
    };
    scene.bob.send_raw(&bare("without-a-word", &for_others)).await;
    // What devices move their ratchets with has nothing for people in it.
    let (from, to) = (element.find("<payload"), element.find("</payload>"));
    let (from, to) = (
        from.expect("a payload"),
        to.expect("its end") + "</payload>".len(),
    );
    let payload = element.get(from..to).expect("the payload");
    scene
        .bob
        .send_raw(&bare("empty", &for_others.replace(payload, "")))
        .await;
    scene.bob_says("afterwards").await;
    let shown = if generation.word == LEGACY.word { 2 } else { 1 };
    let rows = [
        vec!["before"],
        vec!["(not_for_this_device)"; shown],
        vec!["afterwards"],
    ];
    assert_eq!(scene.rows(BOB).await, rows.concat());
}

#[tokio::test]
async fn a_message_with_keys_for_others_alone_is_a_row_that_says_so_in_the_legacy_namespace() {
    keys_are_for_others_alone(LEGACY).await;
}

#[tokio::test]
async fn a_message_with_keys_for_others_alone_is_a_row_that_says_so_in_omemo_2() {
    keys_are_for_others_alone(OMEMO2).await;
}
