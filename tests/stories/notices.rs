//! What is told outside of the window: what is new and not being looked at, once, until it is read anywhere.

use serde_json::{Value, json};
use waxwing_tests::{Peer, Person, Prosody};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";
const CAROL: &str = "carol@waxwing.test";

fn is_notice(event: &Value) -> bool {
    event["type"] == "notify" || event["type"] == "notify_withdrawn"
}

async fn next(person: &mut Person) -> Value {
    person.event("something to be told", is_notice).await
}

async fn read(person: &mut Person, chat: &Value) {
    person.get("mark_read", json!({ "chat": chat })).await;
}

/// Waits for a message, and sees that nothing is told of it or of anything before it.
async fn in_silence(person: &mut Person, peer: &mut Peer, body: &str) {
    peer.send(ALICE, body, "none").await;
    person.hears(body).await;
    let chat = person.plain_chat_with(&peer.address.clone()).await;
    person
        .event("the unread count", |e| {
            e["type"] == "chat_changed" && e["chat"]["chat"] == chat && e["chat"]["last"]["body"] == body
        })
        .await;
    // What is told comes right behind it, before the answer to this.
    peer.ask("ping", json!({})).await;
    person.get("list_chats", json!({})).await;
    let told: Vec<Value> = person.events().into_iter().filter(is_notice).collect();
    assert_eq!(told, [json!(null); 0], "at {body:?}");
}

#[tokio::test]
async fn what_comes_is_told_until_it_is_read_here_or_elsewhere() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut desk = Person::sign_in(&server, ALICE).await;
    let mut laptop = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    bob.send(ALICE, "hello", "none").await;
    let told = next(&mut desk).await;
    let chat = desk.plain_chat_with(BOB).await;
    let account = desk.account.clone();
    assert_eq!(
        told["notice"],
        json!({ "account": account, "chat": chat, "title": BOB, "text": "hello", "messages": 1, "chats": 1, "file": null })
    );
    bob.send(ALICE, "are you there?", "none").await;
    let told = next(&mut desk).await;
    assert_eq!(told["notice"]["text"], "are you there?");
    assert_eq!(told["notice"]["messages"], 2);
    let withdrawn = json!({ "type": "notify_withdrawn", "account": account, "chat": chat });
    read(&mut desk, &chat).await;
    assert_eq!(next(&mut desk).await, withdrawn);
    assert_eq!(next(&mut laptop).await["notice"]["text"], "hello");
    laptop
        .event("it was read on the desk", |e| e["type"] == "notify_withdrawn")
        .await;
    // And the other way round.
    bob.send(ALICE, "and now?", "none").await;
    assert_eq!(next(&mut desk).await["notice"]["text"], "and now?");
    laptop.hears("and now?").await;
    let there = laptop.plain_chat_with(BOB).await;
    read(&mut laptop, &there).await;
    assert_eq!(next(&mut desk).await, withdrawn);
}

#[tokio::test]
async fn what_is_looked_at_or_silenced_is_not_told() {
    let server = Prosody::start_with_friends(&[ALICE, BOB, CAROL]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let mut carol = Peer::sign_in(&server, CAROL).await;
    let account = alice.account.clone();
    let chat = alice.plain_chat_with(BOB).await;
    alice
        .event("the archive has been read", |e| e["type"] == "caught_up")
        .await;
    alice
        .get("set_looking", json!({ "looking": true, "chat": chat }))
        .await;
    in_silence(&mut alice, &mut bob, "you see this").await;
    carol.send(ALICE, "but not this", "none").await;
    assert_eq!(next(&mut alice).await["notice"]["title"], CAROL);
    alice
        .get("set_looking", json!({ "looking": false, "chat": chat }))
        .await;
    bob.send(ALICE, "nor this", "none").await;
    assert_eq!(next(&mut alice).await["notice"]["text"], "nor this");
    alice
        .get("set_notify", json!({ "account": account, "notify": "name" }))
        .await;
    bob.send(ALICE, "a secret", "none").await;
    let told = next(&mut alice).await;
    assert_eq!(
        (&told["notice"]["title"], &told["notice"]["text"]),
        (&json!(BOB), &json!(null))
    );
    let presence = |show: &str| json!({ "account": account, "show": show });
    alice.get("set_presence", presence("dnd")).await;
    in_silence(&mut alice, &mut bob, "hush").await;
    alice.get("set_presence", presence("available")).await;
    alice
        .get("set_notify", json!({ "account": account, "notify": "off" }))
        .await;
    in_silence(&mut alice, &mut bob, "hush, hush").await;
}

#[tokio::test]
async fn what_was_missed_is_one_summary_without_what_was_read_elsewhere() {
    let server = Prosody::start_with_friends(&[ALICE, BOB, CAROL, "dave@waxwing.test"]).await;
    let mut desk = Person::sign_in(&server, ALICE).await;
    let mut laptop = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let mut carol = Peer::sign_in(&server, CAROL).await;
    let mut dave = Peer::sign_in(&server, "dave@waxwing.test").await;
    bob.send(ALICE, "before", "none").await;
    desk.hears("before").await;
    desk.stop().await;
    for number in 0..3 {
        bob.send(ALICE, &format!("bob {number}"), "none").await;
    }
    for number in 0..2 {
        carol.send(ALICE, &format!("carol {number}"), "none").await;
    }
    dave.send(ALICE, "read on the laptop", "none").await;
    laptop.hears("read on the laptop").await;
    let chat = laptop.plain_chat_with("dave@waxwing.test").await;
    read(&mut laptop, &chat).await;
    let node = server.stored(ALICE, "pep_urn%3axmpp%3amds%3adisplayed%3a0", "list");
    waxwing_tests::until("the node has it", waxwing_tests::LONG, async || {
        node.exists().then_some(())
    })
    .await;
    desk.start_again().await;
    let told = next(&mut desk).await;
    let account = desk.account.clone();
    assert_eq!(
        told["notice"],
        json!({ "account": account, "chat": null, "title": null, "text": null, "messages": 5, "chats": 2, "file": null })
    );
    in_silence_but(&mut desk, &mut bob).await;
    for address in [BOB, CAROL] {
        let chat = desk.plain_chat_with(address).await;
        read(&mut desk, &chat).await;
    }
    desk.event("the summary is withdrawn", |e| {
        e["type"] == "notify_withdrawn" && e["chat"].is_null()
    })
    .await;
}

/// The next thing that is told is of what comes next.
async fn in_silence_but(person: &mut Person, peer: &mut Peer) {
    peer.send(ALICE, "and live", "none").await;
    assert_eq!(next(person).await["notice"]["text"], "and live");
}
