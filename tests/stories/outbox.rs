//! What was written arrives: once and in order, whatever happens to the connection, the server or the program.

use std::time::Duration;

use serde_json::{Value, json};
use waxwing_scripted::{Act, Honest, Point};
use waxwing_tests::{Fault, Peer, Person, Prosody, Proxy, Scripted, Tls, archived_once, items};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";
const BOTH: [&str; 2] = [ALICE, BOB];

/// Alice behind a proxy that can break her connection, Bob with a good one, and their plain chat.
async fn scene() -> (Prosody, Proxy, Person, Person, Value) {
    let server = Prosody::for_long_talks(false, &[ALICE, BOB]).await;
    let proxy = Proxy::to(server.direct_tls_port).await;
    let mut alice = Person::sign_in_at(&server, ALICE, proxy.port, Tls::Direct).await;
    let bob = Person::sign_in(&server, BOB).await;
    let chat = alice.plain_chat_with(BOB).await;
    (server, proxy, alice, bob, chat)
}

async fn write(person: &mut Person, chat: &Value, range: std::ops::Range<usize>) -> Vec<String> {
    let mut written = Vec::new();
    for number in range {
        let body = format!("line {number:03}");
        person.send(chat, &body).await;
        written.push(body);
    }
    written
}

/// Waits until the last line is there and gives all that the person has received, in order.
async fn received(person: &mut Person, from: &str, last: &str) -> Vec<String> {
    let chat = person.chat_with(from).await;
    let params = json!({ "chat": chat, "limit": 1000 });
    let there = |list: &Value| items(list).iter().any(|m| m["body"] == last);
    person
        .until(&format!("{last:?} has come"), "list_messages", params, there)
        .await;
    bodies(&person.messages(&chat).await)
}

fn bodies(messages: &[Value]) -> Vec<String> {
    messages
        .iter()
        .map(|m| m["body"].as_str().unwrap_or("<none>").to_owned())
        .collect()
}

/// Every message of the chat has at least reached the server.
async fn switch(person: &mut Person, enabled: bool) {
    let params = json!({ "account": person.account, "enabled": enabled });
    person.get("set_account_enabled", params).await;
}

async fn all_sent(person: &mut Person, chat: &Value) {
    let sent = |list: &Value| {
        items(list)
            .iter()
            .all(|m| m["delivery"] == "sent" || m["delivery"] == "delivered")
    };
    person
        .until(
            "everything is sent",
            "list_messages",
            json!({ "chat": chat, "limit": 1000 }),
            sent,
        )
        .await;
}

#[tokio::test]
async fn what_is_written_offline_goes_out_once_and_in_order() {
    let (mut server, proxy, mut alice, mut bob, chat) = scene().await;
    proxy.set(Fault::Refuse);
    let account = alice.account.clone();
    alice.account_until(&account, "connecting").await;
    let written = write(&mut alice, &chat, 0..20).await;
    let waiting = alice.messages(&chat).await;
    assert!(
        waiting.iter().all(|m| m["delivery"] == "waiting"),
        "nothing can have been sent: {waiting:?}"
    );
    proxy.set(Fault::Pass);
    assert_eq!(received(&mut bob, ALICE, "line 019").await, written);
    all_sent(&mut alice, &chat).await;
    archived_once(&mut server, &BOTH, &mut alice, &chat).await;
}

#[tokio::test]
async fn what_is_written_offline_outlives_a_crash() {
    let (mut server, proxy, mut alice, mut bob, chat) = scene().await;
    proxy.set(Fault::Refuse);
    let account = alice.account.clone();
    alice.account_until(&account, "connecting").await;
    let mut written = write(&mut alice, &chat, 0..5).await;
    alice.kill().await;
    alice.start_again().await;
    written.extend(write(&mut alice, &chat, 5..10).await);
    proxy.set(Fault::Pass);
    assert_eq!(received(&mut bob, ALICE, "line 009").await, written);
    all_sent(&mut alice, &chat).await;
    archived_once(&mut server, &BOTH, &mut alice, &chat).await;
}

#[tokio::test]
async fn an_account_that_was_switched_off_sends_when_it_is_switched_on() {
    let (mut server, _proxy, mut alice, mut bob, chat) = scene().await;
    switch(&mut alice, false).await;
    let account = alice.account.clone();
    alice.account_until(&account, "offline").await;
    let written = write(&mut alice, &chat, 0..5).await;
    switch(&mut alice, true).await;
    assert_eq!(received(&mut bob, ALICE, "line 004").await, written);
    archived_once(&mut server, &BOTH, &mut alice, &chat).await;
}

#[tokio::test]
async fn a_connection_cut_in_mid_send_loses_and_doubles_nothing() {
    let (mut server, mut proxy, mut alice, mut bob, chat) = scene().await;
    let mut written = Vec::new();
    // Within the first stanza, between stanzas, and after several of them.
    for (round, bytes) in [1, 90, 333, 700, 1_500, 4_000].into_iter().enumerate() {
        let before = proxy.connections();
        proxy.set(Fault::CutAfter(bytes));
        written.extend(write(&mut alice, &chat, round * 15..round * 15 + 15).await);
        assert!(
            proxy.more_connections_than(before, waxwing_tests::LONG).await,
            "the connection was not made again after a cut behind {bytes} bytes"
        );
        proxy.set(Fault::Pass);
        alice.wait_online().await;
    }
    assert_eq!(received(&mut bob, ALICE, "line 089").await, written);
    all_sent(&mut alice, &chat).await;
    assert_eq!(
        bodies(&alice.messages(&chat).await),
        written,
        "the writer's own chat holds each once too"
    );
    archived_once(&mut server, &BOTH, &mut alice, &chat).await;
}

#[tokio::test]
async fn a_server_that_dies_in_mid_send_loses_and_doubles_nothing() {
    let (mut server, _proxy, mut alice, mut bob, chat) = scene().await;
    let mut written = write(&mut alice, &chat, 0..30).await;
    server.crash().await;
    written.extend(write(&mut alice, &chat, 30..40).await);
    server.start_again().await;
    alice.wait_online().await;
    bob.wait_online().await;
    assert_eq!(received(&mut bob, ALICE, "line 039").await, written);
    all_sent(&mut alice, &chat).await;
    archived_once(&mut server, &BOTH, &mut alice, &chat).await;
}

#[tokio::test]
async fn a_program_that_dies_in_mid_send_loses_and_doubles_nothing() {
    let (mut server, _proxy, mut alice, mut bob, chat) = scene().await;
    let mut written = Vec::new();
    for round in 0..4 {
        written.extend(write(&mut alice, &chat, round * 10..round * 10 + 10).await);
        alice.kill().await;
        alice.start_again().await;
    }
    alice.wait_online().await;
    assert_eq!(received(&mut bob, ALICE, "line 039").await, written);
    all_sent(&mut alice, &chat).await;
    archived_once(&mut server, &BOTH, &mut alice, &chat).await;
}

#[tokio::test]
async fn a_dead_link_is_noticed_soon_after_something_was_sent() {
    let (mut server, proxy, mut alice, mut bob, chat) = scene().await;
    proxy.set(Fault::Stall);
    alice.forget_events();
    let written = write(&mut alice, &chat, 0..3).await;
    let account = alice.account.clone();
    let left = |e: &Value| {
        e["type"] == "account_changed"
            && e["account"]["account"] == account
            && e["account"]["state"] != "online"
    };
    // 12 seconds are promised; the rest is for a busy machine.
    let noticed = alice.event_within(left, Duration::from_secs(30)).await;
    assert!(
        noticed.is_some(),
        "the dead link was not noticed within 30 seconds of sending"
    );
    proxy.set(Fault::Cut);
    proxy.set(Fault::Pass);
    assert_eq!(received(&mut bob, ALICE, "line 002").await, written);
    archived_once(&mut server, &BOTH, &mut alice, &chat).await;
}

#[tokio::test]
async fn messages_sent_while_the_reader_was_away_are_there_in_order_when_they_are_back() {
    let (mut server, _proxy, mut alice, mut bob, chat) = scene().await;
    bob.stop().await;
    let written = write(&mut alice, &chat, 0..25).await;
    all_sent(&mut alice, &chat).await;
    bob.start_again().await;
    assert_eq!(received(&mut bob, ALICE, "line 024").await, written);
    bob.restart().await;
    assert_eq!(
        received(&mut bob, ALICE, "line 024").await,
        written,
        "nothing comes twice at the next start"
    );
    archived_once(&mut server, &BOTH, &mut alice, &chat).await;
}

/// What was heard goes back to whom it came from, with an error.
async fn sends_back(who: &mut Peer, heard: &Value, kind: &str, condition: &str, because: &str) {
    let (id, from) = (heard["id"].as_str(), heard["from"].as_str());
    let (id, from) = (id.expect("an id"), from.expect("a sender"));
    let namespace = "urn:ietf:params:xml:ns:xmpp-stanzas";
    who.send_raw(&format!(
        "<message xmlns='jabber:client' type='error' id='{id}' to='{from}'><error type='{kind}'>\
         <{condition} xmlns='{namespace}'/><text xmlns='{namespace}'>{because}</text></error></message>"
    ))
    .await;
}

/// Bob sends the first message back, with an error that passes.
async fn came_back() -> (Prosody, Person, Peer, Value, String) {
    let server = Prosody::for_long_talks(false, &[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    bob.ask("receipts", json!({ "automatic": false })).await;
    let chat = alice.plain_chat_with(BOB).await;
    let message = alice.send(&chat, "first").await;
    let heard = bob.message("first").await;
    let id = heard["id"].as_str().expect("an id").to_owned();
    alice.delivery(&message, "sent").await;
    sends_back(&mut bob, &heard, "wait", "resource-constraint", "").await;
    let told = |list: &Value| items(list)[0]["delivery"] == "waiting";
    let params = json!({ "chat": chat, "limit": 1000 });
    alice
        .until("it is told that it came back", "list_messages", params, told)
        .await;
    (server, alice, bob, message, id)
}

#[tokio::test]
async fn a_message_that_comes_back_with_an_error_that_passes_goes_out_again_by_itself() {
    let (_server, mut alice, mut bob, message, id) = came_back().await;
    let chat = message["chat"].clone();
    // What is written meanwhile stays behind it, and a restart changes nothing.
    alice.send(&chat, "second").await;
    alice.restart().await;
    let again = bob.next_message().await;
    assert_eq!((&again["body"], &again["id"]), (&json!("first"), &json!(id)));
    assert_eq!(bob.next_message().await["body"], json!("second"));
    all_sent(&mut alice, &chat).await;
}

#[tokio::test]
async fn a_message_that_came_back_and_has_come_nevertheless_is_not_sent_again() {
    let (mut server, mut alice, mut bob, message, id) = came_back().await;
    bob.send_raw(&format!(
        "<message xmlns='jabber:client' to='{ALICE}'><received xmlns='urn:xmpp:receipts' id='{id}'/></message>"
    ))
    .await;
    alice.delivery(&message, "delivered").await;
    // It would stay behind the first one.
    let second = alice.send(&message["chat"], "second").await;
    assert_eq!(bob.next_message().await["body"], json!("second"));
    alice.delivery(&second, "sent").await;
    archived_once(&mut server, &BOTH, &mut alice, &message["chat"]).await;
}

/// Writes a message that comes back and has failed, and is tried again by the person. Gives it as Bob heard it both times.
async fn tried_again(mut alice: Person, mut bob: Peer, chat: &Value, encryption: &str) -> [Value; 2] {
    bob.ask("receipts", json!({ "automatic": false })).await;
    let message = alice.send(chat, "try again").await;
    let first = bob.message("try again").await;
    alice.delivery(&message, "sent").await;
    sends_back(&mut bob, &first, "cancel", "not-acceptable", "no room").await;
    let params = json!({ "chat": chat, "limit": 1000 });
    let failed = |list: &Value| items(list)[0]["delivery"] == "failed";
    let list = alice
        .until("it has failed", "list_messages", params, failed)
        .await;
    assert_eq!(
        items(&list)[0]["error"],
        json!({ "code": "rejected", "text": "not-acceptable: no room" })
    );
    // A restart changes nothing: it is for the person to say.
    alice.restart().await;
    let next = alice.send(chat, "not in its place").await;
    bob.message("not in its place").await;
    alice.delivery(&next, "sent").await;
    let of_message = json!({ "message": message["message"] });
    let waits = alice.get("retry_message", of_message.clone()).await;
    assert_eq!(
        (&waits["delivery"], &waits["error"]),
        (&json!("waiting"), &Value::Null)
    );
    let again = bob.next_message().await;
    for heard in [&first, &again] {
        assert_eq!(
            (&heard["body"], &heard["id"], &heard["encryption"]),
            (&json!("try again"), &message["origin_id"], &json!(encryption))
        );
    }
    let sent = alice.delivery(&message, "sent").await;
    assert_eq!(sent["error"], Value::Null);
    let acknowledged = json!({ "to": again["from"], "message": again["id"] });
    bob.ask("acknowledge", acknowledged).await;
    alice.delivery(&message, "delivered").await;
    assert_eq!(
        bodies(&alice.messages(chat).await),
        ["try again", "not in its place"],
        "it is one message, where it was written"
    );
    let refused = alice.call("retry_message", of_message).await;
    assert_eq!(
        refused.expect_err("it has come").code,
        "invalid_params",
        "what has come is not sent again"
    );
    [first, again]
}

#[tokio::test]
async fn a_plain_message_that_came_back_goes_out_again_when_the_person_says_so() {
    let server = Prosody::for_long_talks(false, &[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let bob = Peer::sign_in(&server, BOB).await;
    let chat = alice.plain_chat_with(BOB).await;
    tried_again(alice, bob, &chat, "none").await;
}

#[tokio::test]
async fn an_encrypted_message_that_came_back_goes_out_again_under_another_key_when_the_person_says_so() {
    for encryption in ["omemo1", "omemo2"] {
        let server = Prosody::for_long_talks(false, &[ALICE, BOB]).await;
        let mut alice = Person::sign_in(&server, ALICE).await;
        let bob = Peer::sign_in_with(&server, BOB, encryption).await;
        let chat = alice.chat_with(BOB).await;
        let [first, again] = tried_again(alice, bob, &chat, encryption).await;
        assert!(first["step"].is_array(), "{first}");
        assert_ne!(first["step"], again["step"], "a message key is used once");
    }
}

#[tokio::test]
async fn without_stream_management_and_archive_what_was_written_right_before_the_end_goes_out_once_too() {
    let mut scene = Scripted::sign_in(|honest| {
        let old = Honest {
            acknowledges: false,
            ..honest
        };
        old.at(Point::Ping, Act::Late(Duration::from_millis(100)))
    })
    .await;
    scene.app.online(&scene.account).await;
    let chat = scene.app.open_plain_chat(&scene.account, &scene.friend).await;
    let mut written = Vec::new();
    for session in 0..3 {
        for line in 0..3 {
            let body = format!("line {line} of session {session}");
            scene.app.send(&chat, &body).await;
            written.push(format!("<body>{body}</body>"));
        }
        // With the last lines on their way.
        scene = scene.restart().await;
        scene.app.online(&scene.account).await;
    }
    scene.app.send(&chat, "the last line").await;
    let server = &scene.server;
    server
        .until("the last line has come", |server| {
            server.count("<body>the last line</body>") > 0
        })
        .await;
    let twice: Vec<&String> = written.iter().filter(|body| server.count(body) != 1).collect();
    assert!(twice.is_empty(), "not once: {twice:?}");
}
