//! What the server's archive holds comes to every device, once and in order (XEP-0313).

use std::time::Duration;

use serde_json::{Value, json};
use waxwing_tests::{Peer, Person, Profile, Prosody, Proxy, Tls};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";

async fn bodies(person: &mut Person, with: &str) -> Vec<String> {
    let chat = person.plain_chat_with(with).await;
    let page = person
        .get("list_messages", json!({ "chat": chat, "limit": 1000 }))
        .await;
    waxwing_tests::items(&page)
        .iter()
        .map(|m| m["body"].as_str().unwrap_or("(none)").to_owned())
        .collect()
}

/// Waits until the chat holds just this.
async fn has_all(person: &mut Person, with: &str, wanted: &[String]) {
    let chat = person.plain_chat_with(with).await;
    let count = |page: &Value| waxwing_tests::items(page).len();
    let params = json!({ "chat": chat, "limit": 1000 });
    person
        .until("the rest of the archive", "list_messages", params, |page| {
            count(page) >= wanted.len()
        })
        .await;
    assert_eq!(bodies(person, with).await, wanted);
}

async fn caught_up(person: &mut Person) {
    person
        .event("the archive has been read", |e| e["type"] == "caught_up")
        .await;
}

fn lines(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("line {number}")).collect()
}

/// Some messengers send again what nobody confirmed when they start anew, and have no id for it but the stanza's.
#[tokio::test]
async fn what_is_sent_again_under_an_id_made_by_chance_is_one_message_on_every_device() {
    const WANTED: [&str; 4] = ["once", "counted", "counted", "last"];
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut desk = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    for (id, body) in [
        ("0d4fb4b1-6f2b-4c55-9d5e-1f3c2a9be0aa", "once"),
        // One that began to count anew says the same again.
        ("client_1", "counted"),
    ] {
        let stanza = format!("<message type='chat' to='{ALICE}' id='{id}'><body>{body}</body></message>");
        bob.send_raw(&stanza).await;
        bob.send_raw(&stanza).await;
    }
    bob.send(ALICE, "last", "none").await;
    desk.hears("last").await;
    assert_eq!(bodies(&mut desk, BOB).await, WANTED);
    let mut laptop = Person::sign_in(&server, ALICE).await;
    caught_up(&mut laptop).await;
    assert_eq!(bodies(&mut laptop, BOB).await, WANTED);
}

#[tokio::test]
async fn a_new_device_sees_the_newest_page_and_a_device_that_was_away_everything() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut desk = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    for line in lines(0..300) {
        bob.send(ALICE, &line, "none").await;
    }
    desk.hears("line 299").await;
    let chat = desk.plain_chat_with(BOB).await;
    desk.send(&chat, "an answer").await;
    bob.message("an answer").await;
    desk.stop().await;

    // Another device of Alice's, which has nothing yet: the rest follows by itself.
    let mut laptop = Person::sign_in(&server, ALICE).await;
    caught_up(&mut laptop).await;
    let mut all = lines(0..300);
    all.push("an answer".to_owned());
    let first = bodies(&mut laptop, BOB).await;
    assert!(all.ends_with(&first), "{first:?}");
    has_all(&mut laptop, BOB, &all).await;

    // While the desk is off, the laptop talks on.
    for line in lines(300..900) {
        bob.send(ALICE, &line, "none").await;
    }
    laptop.hears("line 899").await;
    let chat = laptop.plain_chat_with(BOB).await;
    laptop.send(&chat, "from the laptop").await;
    bob.message("from the laptop").await;

    desk.start_again().await;
    caught_up(&mut desk).await;
    let mut all = lines(0..300);
    all.push("an answer".to_owned());
    all.extend(lines(300..900));
    all.push("from the laptop".to_owned());
    assert_eq!(bodies(&mut desk, BOB).await, all);
    let chat = desk.plain_chat_with(BOB).await;
    let page = desk
        .get("list_messages", json!({ "chat": chat, "limit": 1 }))
        .await;
    let last: &Value = &waxwing_tests::items(&page)[0];
    assert_eq!(
        (&last["direction"], &last["delivery"]),
        (&json!("out"), &json!("delivered")),
        "the receipt is in the archive too"
    );

    // Nothing comes twice.
    desk.restart().await;
    caught_up(&mut desk).await;
    assert_eq!(bodies(&mut desk, BOB).await, all);
}

#[tokio::test]
async fn killed_again_and_again_while_it_catches_up_it_has_everything_once_and_in_order() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    caught_up(&mut alice).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    bob.send(ALICE, "line 0", "none").await;
    alice.hears("line 0").await;
    alice.stop().await;
    for line in lines(1..700) {
        bob.send(ALICE, &line, "none").await;
    }
    // At another place each time: as soon as this many are there.
    let mut interrupted = 0;
    for seen in [1, 60, 200, 201, 450] {
        alice.start_again().await;
        let chat = alice.plain_chat_with(BOB).await;
        let params = json!({ "chat": chat, "limit": 1000 });
        alice
            .until("some of the archive", "list_messages", params, |page| {
                waxwing_tests::items(page).len() > seen
            })
            .await;
        alice.kill().await;
        alice.start_again().await;
        let count = bodies(&mut alice, BOB).await.len();
        interrupted += usize::from(count < 700);
        alice.kill().await;
    }
    assert!(interrupted > 0, "it was always done before");
    alice.start_again().await;
    has_all(&mut alice, BOB, &lines(0..700)).await;
}

#[tokio::test]
async fn what_the_server_has_already_is_not_sent_again_in_a_new_session() {
    let mut server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    // Confirmations are a while on their way.
    let proxy = Proxy::slow(server.direct_tls_port, Duration::from_millis(600)).await;
    let mut alice = Person::sign_in_at(&server, ALICE, proxy.port, Tls::Direct).await;
    caught_up(&mut alice).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let chat = alice.plain_chat_with(BOB).await;
    alice.send(&chat, "once").await;
    bob.message("once").await;
    // Nobody has told Alice that the server has it, and the server forgets her session.
    alice.kill().await;
    server.kill().await;
    server.start_again().await;
    bob.restart().await;
    alice.start_again().await;
    let written = alice.messages(&chat).await;
    assert_eq!(written[0]["delivery"], json!("waiting"));
    alice.wait_online().await;
    alice.send(&chat, "the end").await;
    assert_eq!(bob.next_message().await["body"], json!("the end"));
    alice.delivery(&written[0], "sent").await;
    assert_eq!(bodies(&mut alice, BOB).await, ["once", "the end"]);
}

#[tokio::test]
async fn when_the_archive_was_purged_its_time_leads_on() {
    after_a_purge_everything_comes_if_the_clock_was_ahead_by(0).await;
}

#[tokio::test]
async fn when_the_archive_was_purged_and_the_clock_was_wrong_everything_comes_nevertheless() {
    for days in [-400, 3] {
        after_a_purge_everything_comes_if_the_clock_was_ahead_by(days).await;
    }
}

async fn after_a_purge_everything_comes_if_the_clock_was_ahead_by(days: i64) {
    let mut server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut profile = Profile::trusting(&server);
    profile.clock().set_days_ahead(days);
    let mut alice = Person::sign_in_with(profile, ALICE, server.direct_tls_port, Tls::Direct).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    bob.send(ALICE, "before", "none").await;
    alice.hears("before").await;
    alice.stop().await;
    bob.stop().await;
    server.stop().await;
    server.purge_archive(ALICE);
    server.start_again().await;
    bob.start_again().await;
    // Her telephone takes them, so that the server does not keep them for whoever comes first.
    let mut telephone = Peer::sign_in(&server, ALICE).await;
    for line in ["one", "two", "three"] {
        bob.send(ALICE, line, "none").await;
    }
    telephone.stop().await;
    alice.profile.clock().set_days_ahead(0);
    alice.start_again().await;
    caught_up(&mut alice).await;
    assert_eq!(
        bodies(&mut alice, BOB).await,
        ["before", "one", "two", "three"],
        "{days} days"
    );
}

#[tokio::test]
async fn the_person_chooses_what_the_server_keeps() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut desk = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let account = json!({ "account": desk.account });
    let first = desk.get("archive_preferences", account.clone()).await;
    assert_eq!(first, json!({ "default": "always", "always": [], "never": [] }));
    bob.send(ALICE, "kept", "none").await;
    desk.hears("kept").await;

    let wish = json!({ "default": "always", "always": ["carol@waxwing.test"], "never": [BOB] });
    let mut params = wish.clone();
    params["account"] = desk.account.clone();
    assert_eq!(desk.get("set_archive_preferences", params.clone()).await, wish);
    bob.send(ALICE, "not kept", "none").await;
    desk.hears("not kept").await;
    desk.restart().await;
    assert_eq!(desk.get("archive_preferences", account.clone()).await, wish);

    // A new device gets from the archive what the server was to keep.
    let mut laptop = Person::sign_in(&server, ALICE).await;
    caught_up(&mut laptop).await;
    assert_eq!(bodies(&mut laptop, BOB).await, ["kept"]);

    params["always"] = json!([BOB]);
    let refused = desk.call("set_archive_preferences", params).await;
    assert_eq!(refused.expect_err("in both lists").code, "invalid_params");
    let off = json!({ "account": desk.account, "enabled": false });
    desk.get("set_account_enabled", off).await;
    let refused = desk.call("archive_preferences", account).await;
    assert_eq!(refused.expect_err("not online").code, "not_online");
}

#[tokio::test]
async fn what_a_new_account_misses_before_anything_has_ever_come_is_new_too() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    caught_up(&mut alice).await;
    let chat = alice.plain_chat_with(BOB).await;
    alice.send(&chat, "hello?").await;
    bob.message("hello?").await;
    alice.stop().await;
    // Her telephone takes them, so that the server does not keep them for whoever comes first.
    let mut telephone = Peer::sign_in(&server, ALICE).await;
    for line in ["one", "two"] {
        bob.send(ALICE, line, "none").await;
    }
    telephone.stop().await;
    alice.start_again().await;
    caught_up(&mut alice).await;
    assert_eq!(bodies(&mut alice, BOB).await, ["hello?", "one", "two"]);
    let chats = alice.get("list_chats", json!({})).await;
    assert_eq!(waxwing_tests::items(&chats)[0]["unread"], 2);
}
