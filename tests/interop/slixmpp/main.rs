//! Waxwing and another implementation of OMEMO, live over a server: both generations, both directions, first
//! messages and answers, after a restart of either side, with two devices on each side.

mod devices;

use serde_json::{Value, json};
use waxwing_tests::{Peer, Person, Prosody, items};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";

/// Alice uses Waxwing; Bob uses slixmpp and knows these generations.
async fn scene(protocols: &'static str) -> (Prosody, Person, Peer) {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let bob = Peer::sign_in_with(&server, BOB, protocols).await;
    let alice = Person::sign_in(&server, ALICE).await;
    (server, alice, bob)
}

/// Alice writes and Bob reads, encrypted this way and in no other.
async fn to_bob(alice: &mut Person, bob: &mut Peer, body: &str, encryption: &str) {
    let chat = alice.chat_with(BOB).await;
    let written = alice.send(&chat, body).await;
    let seen = bob.message(body).await;
    assert_eq!(seen["encryption"], encryption, "as Bob sees it");
    assert_ne!(seen["outer_body"], body, "the text stands outside the encryption");
    let xml = seen["xml"].as_str().unwrap_or_default();
    assert!(
        !xml.contains(body),
        "the text stands somewhere in the stanza: {xml}"
    );
    // Archives are to keep it (XEP-0334), and those who cannot open it learn what it is (XEP-0380).
    let namespace = match encryption {
        "omemo1" => "eu.siacs.conversations.axolotl",
        _ => "urn:xmpp:omemo:2",
    };
    for (tag, says) in [
        ("<encryption ", ["urn:xmpp:eme:0", namespace, "name=\"OMEMO\""]),
        ("<store ", ["urn:xmpp:hints"; 3]),
    ] {
        let tags = xml.split(tag).skip(1).filter_map(|rest| rest.split('>').next());
        let found = tags
            .filter(|tag| says.iter().all(|part| tag.contains(part)))
            .count();
        assert_eq!(found, 1, "{tag}{says:?} in {xml}");
    }
    let told = alice.delivery(&written, "delivered").await;
    assert_eq!(told["encryption"], encryption, "as Alice's own row says");
}

/// Bob writes and Alice reads.
async fn to_alice(alice: &mut Person, bob: &mut Peer, body: &str, encryption: &str) {
    let id = bob.send(ALICE, body, encryption).await;
    let heard = alice.hears(body).await;
    assert_eq!(heard["encryption"], encryption);
    assert_eq!((&heard["from"], &heard["direction"]), (&json!(BOB), &json!("in")));
    bob.event("Alice's receipt", |e| {
        e["event"] == "receipt" && e["id"] == id.as_str()
    })
    .await;
}

async fn bob_begins(encryption: &'static str) {
    let (server, mut alice, mut bob) = scene(encryption).await;
    to_alice(&mut alice, &mut bob, "first-from-bob", encryption).await;
    to_alice(&mut alice, &mut bob, "second-from-bob", encryption).await;
    to_bob(&mut alice, &mut bob, "answer-from-alice", encryption).await;
    to_alice(&mut alice, &mut bob, "third-from-bob", encryption).await;
    for number in 0..10 {
        to_bob(
            &mut alice,
            &mut bob,
            &format!("alice-goes-on-{number}"),
            encryption,
        )
        .await;
        to_alice(&mut alice, &mut bob, &format!("bob-goes-on-{number}"), encryption).await;
    }
    assert!(
        !server.has_stored("-from-") && !server.has_stored("-goes-on-"),
        "the server could read it"
    );
}

async fn alice_begins(encryption: &'static str) {
    let (server, mut alice, mut bob) = scene(encryption).await;
    to_bob(&mut alice, &mut bob, "first-from-alice", encryption).await;
    to_bob(&mut alice, &mut bob, "second-from-alice", encryption).await;
    to_alice(&mut alice, &mut bob, "answer-from-bob", encryption).await;
    to_bob(&mut alice, &mut bob, "third-from-alice", encryption).await;
    assert!(!server.has_stored("-from-"), "the server could read it");
}

async fn both_restart(encryption: &'static str) {
    let (_server, mut alice, mut bob) = scene(encryption).await;
    to_bob(&mut alice, &mut bob, "before any restart", encryption).await;
    alice.restart().await;
    to_bob(
        &mut alice,
        &mut bob,
        "after Alice's restart, before any answer",
        encryption,
    )
    .await;
    to_alice(&mut alice, &mut bob, "after Alice's restart, back", encryption).await;
    bob.restart().await;
    to_alice(&mut alice, &mut bob, "after Bob's restart", encryption).await;
    to_bob(&mut alice, &mut bob, "after Bob's restart, back", encryption).await;
    alice.kill().await;
    alice.start_again().await;
    alice.wait_online().await;
    to_alice(&mut alice, &mut bob, "after Alice's crash", encryption).await;
    to_bob(&mut alice, &mut bob, "after Alice's crash, back", encryption).await;
}

async fn one_is_away(encryption: &'static str) {
    let (_server, mut alice, mut bob) = scene(encryption).await;
    to_bob(&mut alice, &mut bob, "while both are there", encryption).await;
    alice.stop().await;
    for number in 0..5 {
        bob.send(ALICE, &format!("while Alice is away {number}"), encryption)
            .await;
    }
    alice.start_again().await;
    for number in 0..5 {
        assert_eq!(
            alice.hears(&format!("while Alice is away {number}")).await["encryption"],
            encryption
        );
    }
    bob.stop().await;
    let chat = alice.chat_with(BOB).await;
    for number in 0..5 {
        let written = alice.send(&chat, &format!("while Bob is away {number}")).await;
        alice.delivery(&written, "sent").await;
    }
    bob.start_again().await;
    for number in 0..5 {
        assert_eq!(
            bob.message(&format!("while Bob is away {number}")).await["encryption"],
            encryption
        );
    }
    to_alice(&mut alice, &mut bob, "both are there again", encryption).await;
}

async fn five_in_a_row(encryption: &'static str) {
    let (_server, mut alice, mut bob) = scene(encryption).await;
    let chat = alice.chat_with(BOB).await;
    let mut said = Vec::new();
    for round in ["first", "second"] {
        let five = |who: &str| {
            (1..=5)
                .map(|number| format!("{round} {number} from {who}"))
                .collect::<Vec<_>>()
        };
        for body in five("Alice") {
            alice.send(&chat, &body).await;
        }
        for body in five("Alice") {
            let seen = bob.next_message().await;
            assert_eq!(
                (&seen["body"], &seen["encryption"]),
                (&json!(body), &json!(encryption))
            );
        }
        for body in five("Bob") {
            bob.send(ALICE, &body, encryption).await;
        }
        for body in five("Bob") {
            assert_eq!(alice.hears(&body).await["encryption"], encryption);
        }
        said.extend([five("Alice"), five("Bob")].concat());
        let bodies: Vec<_> = alice
            .messages(&chat)
            .await
            .iter()
            .map(|m| m["body"].clone())
            .collect();
        assert_eq!(bodies, said, "in this order");
    }
}

#[tokio::test]
async fn bob_begins_in_the_legacy_namespace() {
    bob_begins("omemo1").await;
}

#[tokio::test]
async fn bob_begins_in_omemo_2() {
    bob_begins("omemo2").await;
}

#[tokio::test]
async fn alice_begins_in_the_legacy_namespace() {
    alice_begins("omemo1").await;
}

#[tokio::test]
async fn alice_begins_in_omemo_2() {
    alice_begins("omemo2").await;
}

#[tokio::test]
async fn a_restart_of_either_side_harms_nothing_in_the_legacy_namespace() {
    both_restart("omemo1").await;
}

#[tokio::test]
async fn a_restart_of_either_side_harms_nothing_in_omemo_2() {
    both_restart("omemo2").await;
}

#[tokio::test]
async fn what_is_written_while_the_other_is_away_is_read_later_in_the_legacy_namespace() {
    one_is_away("omemo1").await;
}

#[tokio::test]
async fn what_is_written_while_the_other_is_away_is_read_later_in_omemo_2() {
    one_is_away("omemo2").await;
}

#[tokio::test]
async fn five_of_each_in_a_row_are_read_in_order_in_the_legacy_namespace() {
    five_in_a_row("omemo1").await;
}

#[tokio::test]
async fn five_of_each_in_a_row_are_read_in_order_in_omemo_2() {
    five_in_a_row("omemo2").await;
}

#[tokio::test]
async fn to_somebody_who_speaks_both_the_legacy_namespace_is_used_and_both_are_read() {
    let (_server, mut alice, mut bob) = scene("both").await;
    to_bob(&mut alice, &mut bob, "from Alice", "omemo1").await;
    to_alice(&mut alice, &mut bob, "from Bob the old way", "omemo1").await;
    to_alice(&mut alice, &mut bob, "from Bob the new way", "omemo2").await;
    to_bob(&mut alice, &mut bob, "from Alice again", "omemo1").await;
}

#[tokio::test]
async fn two_devices_of_bob_both_read_what_alice_writes() {
    let (server, mut alice, mut desk) = scene("omemo1").await;
    let mut phone = Peer::sign_in_with(&server, BOB, "omemo2").await;
    let account = alice.account.clone();
    let both = |list: &Value| items(list).iter().filter(|d| d["active"] == true).count() == 2;
    let params = json!({ "account": account, "address": BOB });
    alice
        .until("both devices are known", "list_devices", params, both)
        .await;
    let chat = alice.chat_with(BOB).await;
    alice.send(&chat, "for all your devices").await;
    assert_eq!(desk.message("for all your devices").await["encryption"], "omemo1");
    assert_eq!(
        phone.message("for all your devices").await["encryption"],
        "omemo2"
    );
}

#[tokio::test]
async fn keys_that_lie_in_an_item_with_another_id_than_usual_are_found() {
    let (_server, mut alice, mut bob) = scene("omemo1").await;
    let device = bob.devices(BOB).await[0]["device"].clone();
    let node = format!("eu.siacs.conversations.axolotl.bundles:{device}");
    let bundle = bob.ask("published", json!({ "of": BOB, "node": node })).await;
    // The node keeps one item: this one takes the other's place, as Dino has it.
    let publish = format!(
        "<iq type='set' id='anew'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'>\
         <item id='an-id-of-its-own'>{}</item></publish></pubsub></iq>",
        bundle.as_str().expect("the bundle as XML")
    );
    bob.send_raw(&publish).await;
    to_bob(&mut alice, &mut bob, "the first one", "omemo1").await;
    to_alice(&mut alice, &mut bob, "the answer", "omemo1").await;
}

#[tokio::test]
async fn both_see_the_same_fingerprints() {
    let (_server, mut alice, mut bob) = scene("both").await;
    to_bob(&mut alice, &mut bob, "hello", "omemo1").await;
    let of = |list: &[Value]| -> Vec<Value> { list.iter().map(|d| d["fingerprint"].clone()).collect() };
    let account = alice.account.clone();
    for address in [ALICE, BOB] {
        let hers = alice
            .get("list_devices", json!({ "account": account, "address": address }))
            .await;
        assert_eq!(items(&hers).len(), 1, "{address} has one device: {hers}");
        assert_eq!(
            of(items(&hers)),
            of(&bob.devices(address).await),
            "the fingerprint of {address}"
        );
    }
}

#[tokio::test]
async fn a_chat_that_was_encrypted_never_sends_plain_text_by_itself() {
    let (server, mut alice, mut bob) = scene("omemo1").await;
    to_bob(&mut alice, &mut bob, "once encrypted", "omemo1").await;

    // Bob's program withdraws everything that Alice could encrypt for.
    let device = bob.devices(BOB).await[0]["device"].clone();
    let nodes = [
        "eu.siacs.conversations.axolotl.devicelist".to_owned(),
        format!("eu.siacs.conversations.axolotl.bundles:{device}"),
    ];
    for (number, node) in nodes.iter().enumerate() {
        let delete = format!(
            "<iq type='set' id='withdraw{number}'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>\
             <delete node='{node}'/></pubsub></iq>"
        );
        bob.send_raw(&delete).await;
    }
    let chat = alice.chat_with(BOB).await;
    alice.send(&chat, "never-in-the-open-one").await;
    alice.restart().await;
    alice.send(&chat, "never-in-the-open-two").await;
    let settled = |list: &Value| {
        items(list)
            .iter()
            .filter(|m| m["body"].as_str().is_some_and(|b| b.starts_with("never-")))
            .all(|m| m["delivery"] == "failed" || (m["encryption"] != "none" && m["delivery"] != "waiting"))
    };
    let params = json!({ "chat": chat, "limit": 100 });
    alice
        .until(
            "both went out encrypted or failed",
            "list_messages",
            params,
            settled,
        )
        .await;
    // What is not encrypted any more comes in order behind them, so nothing plain can still be on its way.
    bob.send(ALICE, "still there", "none").await;
    alice.hears("still there").await;
    for event in bob.events() {
        assert!(
            !event["outer_body"].to_string().contains("never-in-the-open"),
            "it was sent in the open: {event}"
        );
    }
    assert!(
        !server.has_stored("never-in-the-open"),
        "it reached the server in the open"
    );
    let chats = alice.get("list_chats", json!({})).await;
    assert_eq!(items(&chats)[0]["encryption"], "omemo", "the chat stays locked");
}

#[tokio::test]
async fn plain_text_in_an_encrypted_chat_is_marked() {
    let (_server, mut alice, mut bob) = scene("omemo1").await;
    to_alice(&mut alice, &mut bob, "encrypted", "omemo1").await;
    bob.send(ALICE, "suddenly in the open", "none").await;
    let heard = alice.hears("suddenly in the open").await;
    assert_eq!(
        (&heard["encryption"], &heard["unprotected"]),
        (&json!("none"), &json!(true))
    );
}

#[tokio::test]
async fn what_cannot_be_decrypted_is_a_row_with_its_reason() {
    let (_server, mut alice, mut bob) = scene("omemo1").await;
    to_alice(&mut alice, &mut bob, "readable", "omemo1").await;
    let account = alice.account.clone();
    let own = alice
        .get("list_devices", json!({ "account": account, "address": ALICE }))
        .await;
    let rid = items(&own)[0]["device"].clone();
    let sid = bob.devices(BOB).await[0]["device"].clone();
    let stanza = |id: &str, sid: &Value, keys: &str| {
        format!(
            "<message type='chat' to='{ALICE}' id='{id}'><encrypted xmlns='eu.siacs.conversations.axolotl'>\
             <header sid='{sid}'>{keys}<iv>AAAAAAAAAAAAAAAA</iv></header><payload>AAAA</payload></encrypted>\
             <body>You cannot read this.</body><store xmlns='urn:xmpp:hints'/></message>"
        )
    };
    let cases = [
        (
            "not-for-us",
            &sid,
            "<key rid='4711'>MwohBQ==</key>".to_owned(),
            "not_for_this_device",
        ),
        (
            "garbage",
            &sid,
            format!("<key rid='{rid}'>MwohBQ==</key>"),
            "malformed",
        ),
        (
            "stranger",
            &json!(31337),
            format!("<key rid='{rid}'>MwohBQ==</key>"),
            "",
        ),
    ];
    for (id, device, keys, reason) in cases {
        bob.send_raw(&stanza(id, device, &keys)).await;
        let row = alice
            .event(&format!("a row for {id}"), |e| {
                e["type"] == "message_changed" && !e["message"]["undecryptable"].is_null()
            })
            .await["message"]
            .take();
        assert_eq!(
            row["body"],
            Value::Null,
            "the fallback text must not be shown: {row}"
        );
        assert_eq!(row["undecryptable"]["device"], *device);
        let told = row["undecryptable"]["reason"].as_str().unwrap_or_default();
        assert!(
            !told.is_empty() && (reason.is_empty() || told == reason),
            "{id} was told as {told:?}"
        );
        alice.forget_events();
    }
    to_alice(&mut alice, &mut bob, "readable again", "omemo1").await;
    to_bob(&mut alice, &mut bob, "and back", "omemo1").await;
}

#[tokio::test]
async fn a_message_that_comes_twice_is_read_once() {
    let (server, mut alice, mut bob) = scene("omemo1").await;
    let mut reader = Peer::sign_in_with(&server, BOB, "omemo1").await;
    to_alice(&mut alice, &mut bob, "hello", "omemo1").await;
    // The copy that Bob's other device gets is, byte for byte, what Alice got.
    let sent = bob.send(ALICE, "only once", "omemo1").await;
    alice.hears("only once").await;
    let copy = reader
        .event("the copy", |e| e["carbon"] == "sent" && e["id"] == sent.as_str())
        .await;
    let xml = copy["xml"].as_str().expect("the stanza").to_owned();
    let inner = xml
        .find("<encrypted")
        .and_then(|from| xml.find("</encrypted>").map(|to| &xml[from..to + 12]));
    let replay = format!(
        "<message type='chat' to='{ALICE}' id='replay'>{}</message>",
        inner.expect("an encrypted element")
    );
    bob.send_raw(&replay).await;
    to_alice(&mut alice, &mut bob, "afterwards", "omemo1").await;
    let chat = alice.chat_with(BOB).await;
    let bodies: Vec<_> = alice
        .messages(&chat)
        .await
        .iter()
        .map(|m| m["body"].clone())
        .collect();
    assert_eq!(bodies, vec!["hello", "only once", "afterwards"]);
}

#[tokio::test]
async fn a_key_that_is_not_trusted_gets_nothing() {
    let (_server, mut alice, mut bob) = scene("omemo1").await;
    to_bob(&mut alice, &mut bob, "for you", "omemo1").await;
    let fingerprint = bob.devices(BOB).await[0]["fingerprint"].clone();
    let account = alice.account.clone();
    let trust =
        |word: &str| json!({ "account": account, "address": BOB, "fingerprint": fingerprint, "trust": word });
    alice.get("set_trust", trust("untrusted")).await;
    let chat = alice.chat_with(BOB).await;
    let refused = alice.send(&chat, "not for you").await;
    let id = refused["message"].clone();
    let failed = |list: &Value| {
        items(list)
            .iter()
            .any(|m| m["message"] == id && m["delivery"] == "failed")
    };
    let params = json!({ "chat": chat, "limit": 10 });
    let list = alice
        .until("the message has failed", "list_messages", params, failed)
        .await;
    let row = items(&list)
        .iter()
        .find(|m| m["message"] == id)
        .cloned()
        .unwrap_or_default();
    assert_eq!(row["error"]["code"], "no_trusted_devices");
    alice.get("set_trust", trust("verified")).await;
    to_bob(&mut alice, &mut bob, "for you again", "omemo1").await;
    for event in bob.events() {
        assert_ne!(event["body"], "not for you");
    }
}

/// What breaks off the reading of what was missed.
enum Breaks {
    Session,
    Program,
}

#[tokio::test]
async fn what_comes_live_before_a_thousand_missed_messages_were_read_is_opened_once_they_are() {
    comes_too_early(Breaks::Session).await;
}

#[tokio::test]
async fn what_came_live_before_a_thousand_missed_messages_were_read_is_opened_after_a_kill_too() {
    comes_too_early(Breaks::Program).await;
}

/// More stands before it than is skipped at once, and the archive brings all of that after it.
async fn comes_too_early(breaks: Breaks) {
    let (mut server, mut alice, mut bob) = scene("omemo1").await;
    to_alice(&mut alice, &mut bob, "at first", "omemo1").await;
    to_bob(&mut alice, &mut bob, "and back", "omemo1").await;
    // Her phone is there all the time, so that the server keeps nothing for later but in the archive.
    let mut phone = Peer::sign_in_with(&server, ALICE, "omemo2").await;
    let enabled = |on: bool| json!({ "account": alice.account.clone(), "enabled": on });
    let (on, off) = (enabled(true), enabled(false));
    let is_there = |e: &Value, presence: &str| {
        let of_waxwing = e["resource"]
            .as_str()
            .is_some_and(|name| name.starts_with("waxwing"));
        e["event"] == "presence" && e["from"] == ALICE && e["presence"] == presence && of_waxwing
    };
    bob.event("Alice is there", |e| is_there(e, "available")).await;
    alice.get("set_account_enabled", off).await;
    bob.event("Alice is away", |e| is_there(e, "offline")).await;
    for number in 0..2_000 {
        let id = format!("plain-{number}");
        let plain = format!("<message type='chat' to='{ALICE}' id='{id}'><body>{id}</body></message>");
        bob.send_raw(&plain).await;
    }
    for number in 0..1_010 {
        bob.send(ALICE, &format!("missed-{number}"), "omemo1").await;
    }
    bob.ask("ping", json!({})).await;
    alice.get("set_account_enabled", on).await;
    bob.event("Alice is there again", |e| is_there(e, "available"))
        .await;
    bob.send(ALICE, "while she reads", "omemo1").await;
    alice
        .event("it came too early", |e| {
            e["type"] == "message_changed" && e["message"]["undecryptable"]["reason"] == "too_far_ahead"
        })
        .await;
    // They are read in another session than the one that it came in.
    match breaks {
        Breaks::Session => {
            server.stop().await;
            server.start_again().await;
            phone.restart().await;
            bob.restart().await;
        }
        Breaks::Program => {
            alice.kill().await;
            alice.start_again().await;
        }
    }
    let heard = alice.hears("while she reads").await;
    assert_eq!(
        (&heard["encryption"], &heard["undecryptable"]),
        (&json!("omemo1"), &Value::Null)
    );
    let rows = alice.messages(&heard["chat"]).await;
    let last: Vec<_> = rows
        .iter()
        .rev()
        .take(3)
        .rev()
        .map(|row| row["body"].clone())
        .collect();
    assert_eq!(
        last,
        [
            json!("missed-1008"),
            json!("missed-1009"),
            json!("while she reads")
        ]
    );
    let found = alice.get("search", json!({ "query": "while she reads" })).await;
    assert_eq!(items(&found).len(), 1, "its words can be found");
    let of_bob = json!({ "account": alice.account.clone(), "address": BOB });
    let devices = alice.get("list_devices", of_bob).await;
    assert_eq!(
        items(&devices)[0]["last_repaired"],
        Value::Null,
        "nothing was broken"
    );
    to_bob(&mut alice, &mut bob, "all is well", "omemo1").await;
    phone.stop().await;
}
