//! Bob's disk came back from yesterday, and his program does not notice.

use std::fs;

use serde_json::{Value, json};
use waxwing_tests::{Peer, Person, Prosody, items};

use crate::{ALICE, BOB, scene, talk, to_alice, to_bob, unread_for};

/// Bob is back on yesterday's disk, and has written to Alice since.
async fn bob_on_an_older_copy(encryption: &'static str) -> (Prosody, Person, Peer) {
    let (server, mut alice, mut bob) = scene(encryption).await;
    talk(&mut alice, &mut bob, "at first", encryption).await;
    bob.stop().await;
    let copy = bob.state_file().with_extension("copy");
    fs::copy(bob.state_file(), &copy).expect("a copy of Bob's keys");
    bob.start_again().await;
    to_alice(&mut alice, &mut bob, "with the next key", encryption).await;
    talk(&mut alice, &mut bob, "later", encryption).await;
    bob.stop().await;
    fs::copy(&copy, bob.state_file()).expect("Bob's keys are there");
    bob.start_again().await;
    (server, alice, bob)
}

/// His disk comes back from yesterday, and his program does not notice: what he writes uses keys that Alice has used up.
async fn the_other_side_puts_back_an_older_copy(encryption: &'static str) {
    let (_server, mut alice, mut bob) = bob_on_an_older_copy(encryption).await;

    bob.send(ALICE, "that cannot be read", encryption).await;
    bob.event("Alice's empty message", |e| e["event"] == "empty")
        .await;
    let rows = unread_for(&mut alice, "key_reused").await;
    assert_eq!(rows.len(), 1, "what was lost is one row");
    assert_eq!(rows[0]["undecryptable"]["repaired"], true);
    talk(&mut alice, &mut bob, "at last", encryption).await;
}

#[tokio::test]
async fn the_other_side_put_back_an_older_copy_and_that_is_mended_at_once_in_the_legacy_namespace() {
    the_other_side_puts_back_an_older_copy("omemo1").await;
}

#[tokio::test]
async fn the_other_side_put_back_an_older_copy_and_that_is_mended_at_once_in_omemo_2() {
    the_other_side_puts_back_an_older_copy("omemo2").await;
}

/// His program takes no notice of empty messages besides, and he writes on before Alice answers.
async fn an_older_copy_writes_on_in_the_session_that_was_replaced(encryption: &'static str) {
    let (_server, mut alice, mut bob) = bob_on_an_older_copy(encryption).await;
    bob.ask("ignore_empty", json!({})).await;

    bob.send(ALICE, "that cannot be read", encryption).await;
    bob.event("Alice's empty message", |e| e["event"] == "ignored")
        .await;
    to_alice(&mut alice, &mut bob, "on the chain that he had left", encryption).await;
    to_alice(&mut alice, &mut bob, "and once more", encryption).await;
    to_bob(&mut alice, &mut bob, "in the new session", encryption).await;
    talk(&mut alice, &mut bob, "at last", encryption).await;
}

#[tokio::test]
async fn what_an_older_copy_writes_on_does_not_undo_the_repair_in_the_legacy_namespace() {
    an_older_copy_writes_on_in_the_session_that_was_replaced("omemo1").await;
}

#[tokio::test]
async fn what_an_older_copy_writes_on_does_not_undo_the_repair_in_omemo_2() {
    an_older_copy_writes_on_in_the_session_that_was_replaced("omemo2").await;
}

/// When Alice last replaced a session with Bob's device.
async fn last_repaired(alice: &mut Person) -> Value {
    let of_bob = json!({ "account": alice.account.clone(), "address": BOB });
    let list = alice.get("list_devices", of_bob).await;
    items(&list)[0]["last_repaired"].clone()
}

/// What he wrote while Alice was away says nothing of how his device stands by now.
async fn what_an_older_copy_wrote_waits_in_the_archive(encryption: &'static str) {
    let (server, mut alice, mut bob) = bob_on_an_older_copy(encryption).await;
    alice.stop().await;
    // Her phone takes it, so that the server keeps nothing for whoever comes first but in the archive.
    let other = if encryption == "omemo1" {
        "omemo2"
    } else {
        "omemo1"
    };
    let mut phone = Peer::sign_in_with(&server, ALICE, other).await;
    bob.send(ALICE, "that cannot be read", encryption).await;
    bob.send(ALICE, "on the chain that he had left", encryption).await;
    alice.start_again().await;
    alice.hears("on the chain that he had left").await;
    alice
        .event("all has been read", |e| e["type"] == "caught_up")
        .await;
    // A session that is to be replaced would be so before that goes out, which he cannot read in the one that there is.
    let chat = alice.chat_with(BOB).await;
    alice.send(&chat, "in the session that there is").await;
    let is_empty = |e: &Value| e["event"] == "empty";
    let seen = bob
        .event("what Alice sends", |e| is_empty(e) || e["event"] == "message")
        .await;
    assert!(!is_empty(&seen), "the archive had a session replaced");
    assert_ne!(seen["error"], Value::Null, "{seen}");
    let rows = unread_for(&mut alice, "key_reused").await;
    assert_eq!(rows.len(), 1, "what was lost is one row");
    assert_eq!(rows[0]["undecryptable"]["repaired"], false);
    assert_eq!(last_repaired(&mut alice).await, Value::Null);

    to_alice(&mut alice, &mut bob, "live, and on the same chain", encryption).await;
    bob.event("Alice's empty message", is_empty).await;
    assert_ne!(last_repaired(&mut alice).await, Value::Null);
    talk(&mut alice, &mut bob, "at last", encryption).await;
    assert!(
        !bob.events().iter().any(is_empty),
        "the session was replaced once more"
    );
    phone.stop().await;
}

#[tokio::test]
async fn what_an_older_copy_wrote_replaces_no_session_when_the_archive_brings_it_in_the_legacy_namespace() {
    what_an_older_copy_wrote_waits_in_the_archive("omemo1").await;
}

#[tokio::test]
async fn what_an_older_copy_wrote_replaces_no_session_when_the_archive_brings_it_in_omemo_2() {
    what_an_older_copy_wrote_waits_in_the_archive("omemo2").await;
}
