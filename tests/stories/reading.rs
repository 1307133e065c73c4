//! What is read on one device is read on all (XEP-0490), and those learn of it who may (XEP-0333).

use std::time::Duration;

use serde_json::{Value, json};
use waxwing_tests::{Peer, Person, Prosody, Proxy, Tls, items};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";
const MALLORY: &str = "mallory@waxwing.test";

async fn unread(person: &mut Person, with: &str, wanted: u64) {
    let of = |list: &Value| {
        let chat = items(list).iter().find(|c| c["address"] == with).cloned();
        chat.map_or(0, |chat| chat["unread"].as_u64().expect("a count"))
    };
    let what = format!("{wanted} unread messages of {with}");
    person
        .until(&what, "list_chats", json!({}), |list| of(list) == wanted)
        .await;
}

async fn read(person: &mut Person, with: &str) {
    let chat = person.plain_chat_with(with).await;
    person.get("mark_read", json!({ "chat": chat })).await;
}

async fn marked(peer: &mut Peer, id: &str) {
    peer.event("the marker", |e| e["event"] == "marker" && e["id"] == id)
        .await;
}

/// Everything that was to be sent before has arrived.
async fn nothing_more(person: &mut Person, peer: &mut Peer, word: &str) {
    let chat = person.plain_chat_with(&peer.address.clone()).await;
    person.send(&chat, word).await;
    peer.message(word).await;
    assert_eq!(peer.markers(), [""; 0], "before {word:?}");
}

#[tokio::test]
async fn reading_here_clears_the_other_device_and_tells_the_sender_once() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut desk = Person::sign_in(&server, ALICE).await;
    let mut laptop = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    bob.send_markable(ALICE, "one").await;
    let last = bob.send_markable(ALICE, "two").await;
    bob.send(ALICE, "and no answer to that, please", "none").await;
    for device in [&mut desk, &mut laptop] {
        unread(device, BOB, 3).await;
    }
    read(&mut desk, BOB).await;
    marked(&mut bob, &last).await;
    unread(&mut laptop, BOB, 0).await;
    // What was read there need not be told again from here, and what was told is not told again.
    read(&mut laptop, BOB).await;
    read(&mut desk, BOB).await;
    nothing_more(&mut laptop, &mut bob, "from the laptop").await;
    nothing_more(&mut desk, &mut bob, "from the desk").await;
    // The other way round, by an answer.
    let next = bob.send_markable(ALICE, "three").await;
    desk.hears("three").await;
    laptop.hears("three").await;
    let chat = laptop.plain_chat_with(BOB).await;
    laptop.send(&chat, "an answer").await;
    marked(&mut bob, &next).await;
    unread(&mut desk, BOB, 0).await;
    assert!(server.has_stored("whitelist"), "only our own devices can read it");
}

#[tokio::test]
async fn what_is_switched_off_is_not_told_and_our_other_devices_know_all_the_same() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut desk = Person::sign_in(&server, ALICE).await;
    let mut laptop = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let account = desk.account.clone();
    for (method, params) in [
        ("set_markers", json!({ "account": account, "send": false })),
        ("set_receipts", json!({ "account": account, "send": false })),
    ] {
        desk.get(method, params).await;
    }
    // The laptop's receipts do not count here.
    let other = laptop.account.clone();
    laptop
        .get("set_receipts", json!({ "account": other, "send": false }))
        .await;
    bob.send_markable(ALICE, "one").await;
    desk.hears("one").await;
    unread(&mut laptop, BOB, 1).await;
    read(&mut desk, BOB).await;
    unread(&mut laptop, BOB, 0).await;
    nothing_more(&mut desk, &mut bob, "no word of it").await;
    assert!(
        bob.events().iter().all(|e| e["event"] != "receipt"),
        "no receipt either"
    );
    // One contact may know; what was read before stays untold.
    let send = |send: &str| json!({ "account": account, "address": BOB, "send": send });
    desk.get("set_contact_markers", send("on")).await;
    desk.get("set_contact_receipts", send("on")).await;
    nothing_more(&mut desk, &mut bob, "nothing of what was").await;
    let second = bob.send_markable(ALICE, "two").await;
    desk.hears("two").await;
    bob.event("the receipt", |e| {
        e["event"] == "receipt" && e["id"] == second.as_str()
    })
    .await;
    read(&mut desk, BOB).await;
    marked(&mut bob, &second).await;
    // Or one may not, where the others may.
    desk.get("set_markers", json!({ "account": account, "send": true }))
        .await;
    desk.get("set_contact_markers", send("off")).await;
    bob.send_markable(ALICE, "three").await;
    desk.hears("three").await;
    read(&mut desk, BOB).await;
    nothing_more(&mut desk, &mut bob, "the end").await;
}

#[tokio::test]
async fn a_stranger_never_learns_what_was_read() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    server.add_user(MALLORY, waxwing_tests::PASSWORD);
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut mallory = Peer::sign_in(&server, MALLORY).await;
    mallory.send_markable(ALICE, "psst").await;
    alice.hears("psst").await;
    read(&mut alice, MALLORY).await;
    // Not even one who is answered.
    nothing_more(&mut alice, &mut mallory, "who are you?").await;
}

#[tokio::test]
async fn what_is_read_without_a_connection_is_told_later() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut desk = Person::sign_in(&server, ALICE).await;
    let mut laptop = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    bob.send_markable(ALICE, "one").await;
    let last = bob.send_markable(ALICE, "two").await;
    desk.hears("two").await;
    unread(&mut laptop, BOB, 2).await;
    let account = desk.account.clone();
    let enabled = |on: bool| json!({ "account": account, "enabled": on });
    desk.get("set_account_enabled", enabled(false)).await;
    read(&mut desk, BOB).await;
    desk.stop().await;
    desk.start_again().await;
    desk.get("set_account_enabled", enabled(true)).await;
    marked(&mut bob, &last).await;
    unread(&mut laptop, BOB, 0).await;
    nothing_more(&mut desk, &mut bob, "that was all").await;
}

#[tokio::test]
async fn a_device_that_was_off_learns_what_was_read_meanwhile() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut desk = Person::sign_in(&server, ALICE).await;
    let mut laptop = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    // So that nothing but the node can tell it.
    let account = desk.account.clone();
    desk.get("set_markers", json!({ "account": account, "send": false }))
        .await;
    bob.send(ALICE, "hello", "none").await;
    unread(&mut laptop, BOB, 1).await;
    laptop.stop().await;
    bob.send(ALICE, "one", "none").await;
    bob.send(ALICE, "two", "none").await;
    let two = desk.hears("two").await;
    read(&mut desk, BOB).await;
    let node = server.stored(ALICE, "pep_urn%3axmpp%3amds%3adisplayed%3a0", "list");
    let id = two["archive_id"].as_str().expect("it is in the archive");
    waxwing_tests::until("the node has it", waxwing_tests::LONG, async || {
        std::fs::read_to_string(&node)
            .is_ok_and(|items| items.contains(id))
            .then_some(())
    })
    .await;
    bob.send(ALICE, "three", "none").await;
    desk.hears("three").await;
    laptop.start_again().await;
    laptop.hears("three").await;
    unread(&mut laptop, BOB, 1).await;
}

#[tokio::test]
async fn killed_between_reading_and_telling_it_tells_once() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    for round in 0..6 {
        let body = format!("number {round}");
        let id = bob.send_markable(ALICE, &body).await;
        alice.hears(&body).await;
        read(&mut alice, BOB).await;
        if round % 2 == 1 {
            // It may be on its way, or there, with nobody who confirms it.
            marked(&mut bob, &id).await;
        }
        alice.kill().await;
        alice.start_again().await;
        if round % 2 == 0 {
            marked(&mut bob, &id).await;
        }
        nothing_more(&mut alice, &mut bob, &format!("round {round} is over")).await;
    }
}

#[tokio::test]
async fn what_the_server_has_told_is_not_told_again_in_a_new_session() {
    let mut server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    // Confirmations are a while on their way.
    let proxy = Proxy::slow(server.direct_tls_port, Duration::from_millis(600)).await;
    let mut alice = Person::sign_in_at(&server, ALICE, proxy.port, Tls::Direct).await;
    alice
        .event("the archive has been read", |e| e["type"] == "caught_up")
        .await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let id = bob.send_markable(ALICE, "once").await;
    alice.hears("once").await;
    read(&mut alice, BOB).await;
    marked(&mut bob, &id).await;
    // Nobody has told Alice that the server has it, and the server forgets her session, but not what it archived.
    alice.kill().await;
    server.crash().await;
    server.start_again().await;
    bob.restart().await;
    alice.start_again().await;
    nothing_more(&mut alice, &mut bob, "the end").await;
}

#[tokio::test]
async fn nobody_else_says_what_was_read() {
    let server = Prosody::start_with_friends(&[ALICE, BOB, MALLORY]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let mut mallory = Peer::sign_in(&server, MALLORY).await;
    let id = bob.send_markable(ALICE, "for you").await;
    let message = alice.hears("for you").await;
    let archive_id = message["archive_id"].as_str().expect("it is in the archive");
    let chat = alice.plain_chat_with(BOB).await;
    let written = alice.send(&chat, "read me").await;
    bob.message("read me").await;
    // Answering has read it; another one has not been.
    bob.send_markable(ALICE, "and another one").await;
    let message = alice.hears("and another one").await;
    let newer = message["archive_id"].as_str().expect("it is in the archive");
    let stanza_id = written["origin_id"].as_str().expect("an id");
    for id in [archive_id, newer] {
        mallory
            .send_raw(&format!(
                "<message to='{ALICE}' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'>\
                 <items node='urn:xmpp:mds:displayed:0'><item id='{BOB}'><displayed xmlns='urn:xmpp:mds:displayed:0'>\
                 <stanza-id xmlns='urn:xmpp:sid:0' by='{ALICE}' id='{id}'/></displayed></item></items></event></message>"
            ))
            .await;
    }
    for id in [stanza_id, &id] {
        mallory
            .send_raw(&format!(
                "<message to='{ALICE}' type='chat'><displayed xmlns='urn:xmpp:chat-markers:0' id='{id}'/></message>"
            ))
            .await;
    }
    mallory.send(ALICE, "done", "none").await;
    alice.hears("done").await;
    unread(&mut alice, BOB, 1).await;
    let written = alice.messages(&chat).await;
    let read_me = written
        .iter()
        .find(|m| m["body"] == "read me")
        .expect("it is there");
    assert_ne!(read_me["delivery"], json!("read"));
    // Whoever may say it is believed.
    bob.send_raw(&format!(
        "<message to='{ALICE}' type='chat'><displayed xmlns='urn:xmpp:chat-markers:0' id='{stanza_id}'/></message>"
    ))
    .await;
    alice.delivery(read_me, "read").await;
}

#[tokio::test]
async fn a_node_that_everybody_could_read_is_closed_before_anything_is_put_there() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    // Another program of Alice's has made it so, and what it says is read.
    let mut phone = Peer::sign_in(&server, ALICE).await;
    phone
        .send_raw(
            "<iq type='set' id='open'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
             <publish node='urn:xmpp:mds:displayed:0'><item id='somebody@waxwing.test'>\
             <displayed xmlns='urn:xmpp:mds:displayed:0'>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='alice@waxwing.test' id='long-gone'/></displayed>\
             </item></publish></pubsub></iq>",
        )
        .await;
    assert!(!server.has_stored("whitelist"));
    let mut desk = Person::sign_in(&server, ALICE).await;
    let mut laptop = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    bob.send(ALICE, "hello", "none").await;
    desk.hears("hello").await;
    unread(&mut laptop, BOB, 1).await;
    read(&mut desk, BOB).await;
    unread(&mut laptop, BOB, 0).await;
    assert!(server.has_stored("whitelist"));
    // And a program that knows markers only is understood too.
    let id = bob.send_markable(ALICE, "again").await;
    unread(&mut desk, BOB, 1).await;
    phone
        .send_raw(&format!(
            "<message to='{BOB}' type='chat'><displayed xmlns='urn:xmpp:chat-markers:0' id='{id}'/></message>"
        ))
        .await;
    unread(&mut desk, BOB, 0).await;
}
