//! What was encrypted, or was to be, never leaves the program in plain text, whatever becomes of the device lists.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use waxwing_tests::{Fault, LONG, Peer, Person, Prosody, Proxy, Tls, items, until};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";
const CAROL: &str = "carol@waxwing.test";
const LEGACY_LIST: &str = "eu.siacs.conversations.axolotl.devicelist";
const OMEMO2_LIST: &str = "urn:xmpp:omemo:2:devices";

/// The nodes of device lists, of both generations.
const LISTS: [&str; 2] = [LEGACY_LIST, OMEMO2_LIST];

/// What Alice wants nobody but Bob to read.
const SECRET: &str = "nobody-else-may-read-this";

/// Bob has written to Alice encrypted, which latches their chat. Gives the chat.
async fn latched(server: &Prosody) -> (Person, Peer, Value) {
    let mut alice = Person::sign_in(server, ALICE).await;
    let mut bob = Peer::sign_in_with(server, BOB, "omemo1").await;
    bob.send(ALICE, "hello in secret", "omemo1").await;
    let heard = alice.hears("hello in secret").await;
    assert_eq!(heard["encryption"], "omemo1");
    (alice, bob, heard["chat"].clone())
}

async fn delete_lists(who: &mut Peer) {
    for (number, node) in LISTS.iter().enumerate() {
        let delete = format!(
            "<iq type='set' id='delete{number}'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>\
             <delete node='{node}'/></pubsub></iq>"
        );
        who.send_raw(&delete).await;
    }
}

/// Nobody may read the lists any more; the server answers `forbidden`.
async fn close_lists(who: &mut Peer) {
    let form = "http://jabber.org/protocol/pubsub#node_config";
    for (number, node) in LISTS.iter().enumerate() {
        let configure = format!(
            "<iq type='set' id='close{number}'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>\
             <configure node='{node}'><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE' type='hidden'><value>{form}</value></field>\
             <field var='pubsub#access_model'><value>whitelist</value></field></x></configure></pubsub></iq>"
        );
        who.send_raw(&configure).await;
    }
}

/// Waits until it is settled what becomes of a message, and gives it.
async fn settled(person: &mut Person, message: &Value) -> Value {
    let (chat, id) = (message["chat"].clone(), message["message"].clone());
    let find = |list: &Value| items(list).iter().find(|m| m["message"] == id).cloned();
    let params = json!({ "chat": chat, "limit": 1000 });
    let list = person
        .until("the message goes out or fails", "list_messages", params, |list| {
            find(list).is_some_and(|m| m["delivery"] != "waiting")
        })
        .await;
    find(&list).unwrap_or_default()
}

/// Sends the secret, lets it be tried again if it failed, and makes sure that it never was in plain text at the server.
async fn sends_nothing_plain(server: &Prosody, alice: &mut Person, bob: &mut Peer, chat: &Value) -> Value {
    let sent = alice.send(chat, SECRET).await;
    assert_ne!(sent["encryption"], "none", "it was written in a locked chat");
    let mut outcome = settled(alice, &sent).await;
    if outcome["delivery"] == "failed" {
        alice
            .get("retry_message", json!({ "message": sent["message"] }))
            .await;
        outcome = settled(alice, &sent).await;
    }
    assert_ne!(outcome["encryption"], "none", "{outcome}");
    // Behind this, Bob has got whatever was sent to him.
    bob.ask("ping", json!({})).await;
    let leaked = bob
        .events()
        .into_iter()
        .find(|e| e["outer_body"].as_str().is_some_and(|body| body.contains(SECRET)));
    assert_eq!(leaked, None, "Bob's server and Bob got it in plain text");
    assert!(!server.has_stored(SECRET), "the server got it in plain text");
    let chats = alice.get("list_chats", json!({})).await;
    let listed = items(&chats).iter().find(|c| c["chat"] == *chat);
    assert_eq!(
        listed.map(|c| &c["encryption"]),
        Some(&json!("omemo")),
        "the latch was lifted"
    );
    outcome
}

#[tokio::test]
async fn a_latched_chat_stays_encrypted_when_a_stranger_deletes_their_device_lists() {
    let server = Prosody::start(&[ALICE, BOB]).await;
    let (mut alice, mut bob, chat) = latched(&server).await;
    delete_lists(&mut bob).await;
    sends_nothing_plain(&server, &mut alice, &mut bob, &chat).await;
}

#[tokio::test]
async fn a_latched_chat_stays_encrypted_when_a_contact_deletes_their_device_lists() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let (mut alice, mut bob, chat) = latched(&server).await;
    alice.stop().await;
    delete_lists(&mut bob).await;
    alice.start_again().await;
    alice.wait_online().await;
    let outcome = sends_nothing_plain(&server, &mut alice, &mut bob, &chat).await;
    assert_eq!(
        outcome["delivery"], "failed",
        "the server says for certain that there are no devices: {outcome}"
    );
    assert_eq!(outcome["error"]["code"], "no_devices", "{outcome}");
}

#[tokio::test]
async fn a_latched_chat_stays_encrypted_when_the_device_lists_may_not_be_read_any_more() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let (mut alice, mut bob, chat) = latched(&server).await;
    alice.stop().await;
    close_lists(&mut bob).await;
    alice.start_again().await;
    alice.wait_online().await;
    let before = server.logged("type='error'");
    sends_nothing_plain(&server, &mut alice, &mut bob, &chat).await;
    assert!(
        server.logged("type='error'") >= before + LISTS.len(),
        "the server did not refuse the lists, so nothing was shown"
    );
}

#[tokio::test]
async fn lists_that_may_not_be_read_are_no_sign_that_there_are_none() {
    let server = Prosody::start(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in_with(&server, BOB, "omemo1").await;
    close_lists(&mut bob).await;
    let chat = alice.chat_with(BOB).await;
    let sent = alice.send(&chat, SECRET).await;
    let outcome = settled(&mut alice, &sent).await;
    assert_eq!(outcome["delivery"], "failed", "{outcome}");
    assert_eq!(outcome["error"]["code"], "devices_forbidden", "{outcome}");
    assert!(!server.has_stored(SECRET), "the server got it in plain text");
    let report = alice.get("encryption_report", json!({ "chat": chat })).await;
    let theirs = items(&report["lists"])
        .iter()
        .filter(|list| list["ours"] == false);
    let faults: Vec<_> = theirs.map(|list| list["fault"].clone()).collect();
    assert_eq!(faults, [json!("forbidden"), json!("forbidden")], "{report}");
    // Nothing is being asked for any more, also if it was the chat that asked and nobody wrote yet.
    let locked = |list: &Value| {
        let mut chats = items(list).iter();
        chats.any(|c| c["chat"] == chat && c["lock"] == "blocked")
    };
    alice
        .until("the lock says so", "list_chats", json!({}), locked)
        .await;
    // And the person, by their own act, sends it as they please.
    alice
        .get("set_encryption", json!({ "chat": chat, "mode": "none" }))
        .await;
    alice.send(&chat, "everybody may read").await;
    assert_eq!(bob.message("everybody may read").await["encryption"], "none");
}

/// The database is gone with the lock in it, and so are Bob's device lists.
#[tokio::test]
async fn an_encrypted_history_that_cannot_be_read_locks_the_chat_too() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let (mut old_computer, mut bob, _) = latched(&server).await;
    old_computer.stop().await;
    delete_lists(&mut bob).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let chat = alice.chat_with(BOB).await;
    let before = |list: &Value| {
        let mut rows = items(list).iter();
        rows.any(|row| row["undecryptable"]["reason"] == "before_this_device")
    };
    let params = json!({ "chat": chat, "limit": 50 });
    alice
        .until("what was before is told", "list_messages", params, before)
        .await;
    let sent = alice.send(&chat, SECRET).await;
    let outcome = settled(&mut alice, &sent).await;
    assert_eq!(outcome["delivery"], "failed", "{outcome}");
    assert_eq!(outcome["error"]["code"], "no_devices", "{outcome}");
    assert!(!server.has_stored(SECRET), "the server got it in plain text");
}

#[tokio::test]
async fn a_plain_correction_of_what_came_encrypted_corrects_nothing_and_is_marked() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let (mut alice, mut bob, chat) = latched(&server).await;
    let id = bob.send(ALICE, "pay Carol", "omemo1").await;
    let original = alice.hears("pay Carol").await;
    // As whoever stands between can say it in Bob's name.
    bob.send_raw(&format!(
        "<message type='chat' to='{ALICE}' id='forged'><body>pay Mallory</body>\
         <replace xmlns='urn:xmpp:message-correct:0' id='{id}'/></message>"
    ))
    .await;
    let forged = alice.hears("pay Mallory").await;
    assert_eq!(
        (&forged["encryption"], &forged["unprotected"]),
        (&json!("none"), &json!(true))
    );
    let shown = alice.messages(&chat).await;
    let bodies: Vec<_> = shown.iter().map(|m| m["body"].clone()).collect();
    assert_eq!(bodies, ["hello in secret", "pay Carol", "pay Mallory"]);
    assert_eq!(shown[1]["message"], original["message"]);
    assert_eq!(shown[1]["encryption"], "omemo1");
}

/// The page of the archive with what was encrypted comes first, those with what was plain before it afterwards.
#[tokio::test]
async fn what_was_written_before_a_chat_was_encrypted_is_not_told_as_a_danger() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut old_computer = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in_with(&server, BOB, "omemo1").await;
    for number in 0..600 {
        let (id, body) = (format!("before-{number}"), format!("before {number}"));
        let plain = format!("<message type='chat' to='{ALICE}' id='{id}'><body>{body}</body></message>");
        bob.send_raw(&plain).await;
    }
    old_computer.hears("before 599").await;
    another_second().await;
    bob.send(ALICE, "encrypted", "omemo1").await;
    old_computer.hears("encrypted").await;
    bob.send(ALICE, "plain all the same", "none").await;
    old_computer.hears("plain all the same").await;
    old_computer.stop().await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let chat = alice.chat_with(BOB).await;
    let all = |list: &Value| items(list).len() == 602;
    let params = json!({ "chat": chat, "limit": 1000 });
    let list = alice
        .until("all has been read", "list_messages", params, all)
        .await;
    let marked = items(&list).iter().filter(|m| m["unprotected"] == true);
    let marked: Vec<_> = marked.map(|m| m["body"].clone()).collect();
    assert_eq!(marked, ["plain all the same"]);
}

/// Waits until the clock tells another second: servers tell times in whole ones, and what may have come later is marked.
async fn another_second() {
    let second = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .map(|at| at.as_secs())
    };
    let now = second();
    while second() == now {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The server gives a new device what it kept while nobody was there, before the archive tells that the chat is encrypted.
#[tokio::test]
async fn what_came_plain_out_of_offline_storage_is_marked_once_the_archive_tells_that_the_chat_was_encrypted()
{
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut old_computer = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in_with(&server, BOB, "omemo1").await;
    bob.send(ALICE, "not encrypted yet", "none").await;
    old_computer.hears("not encrypted yet").await;
    another_second().await;
    bob.send(ALICE, "encrypted", "omemo1").await;
    old_computer.hears("encrypted").await;
    old_computer.stop().await;
    another_second().await;
    bob.send(ALICE, "plain all the same", "none").await;
    let kept = "the server keeps it for whoever comes";
    until(kept, LONG, async || {
        server.has_stored("plain all the same").then_some(())
    })
    .await;

    let mut alice = Person::sign_in(&server, ALICE).await;
    let plain = alice.hears("plain all the same").await;
    let params = json!({ "chat": plain["chat"], "limit": 1000 });
    // What was written before that is in the archive alone.
    let all = |list: &Value| items(list).iter().any(|m| m["body"] == "not encrypted yet");
    let marked = |list: &Value| -> Vec<Value> {
        let marked = items(list).iter().filter(|m| m["unprotected"] == true);
        marked.map(|m| m["body"].clone()).collect()
    };
    let list = alice
        .until("the archive has been read", "list_messages", params, all)
        .await;
    assert_eq!(items(&list).len(), 3, "{list}");
    assert_eq!(marked(&list), ["plain all the same"], "{list}");
}

#[tokio::test]
async fn a_chat_that_was_locked_offline_sends_nothing_to_somebody_without_devices() {
    let server = Prosody::start_with_friends(&[ALICE, CAROL]).await;
    let proxy = Proxy::to(server.direct_tls_port).await;
    let mut alice = Person::sign_in_at(&server, ALICE, proxy.port, Tls::Direct).await;
    proxy.set(Fault::Refuse);
    let account = alice.account.clone();
    alice.account_until(&account, "connecting").await;
    let chat = alice.chat_with(CAROL).await;
    alice
        .get("set_encryption", json!({ "chat": chat, "mode": "omemo" }))
        .await;
    let sent = alice.send(&chat, SECRET).await;
    assert_ne!(sent["encryption"], "none", "it was written in a locked chat");
    proxy.set(Fault::Pass);
    let outcome = settled(&mut alice, &sent).await;
    assert_eq!(outcome["delivery"], "failed", "{outcome}");
    assert_eq!(outcome["error"]["code"], "no_devices", "{outcome}");
    assert!(
        !server.has_stored(SECRET),
        "the server keeps it for Carol in plain text"
    );
}

#[tokio::test]
async fn what_was_written_unlocked_and_offline_is_encrypted_if_the_chat_is_locked_before_it_goes_out() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let proxy = Proxy::to(server.direct_tls_port).await;
    let mut alice = Person::sign_in_at(&server, ALICE, proxy.port, Tls::Direct).await;
    let mut bob = Peer::sign_in_with(&server, BOB, "omemo1").await;
    let chat = alice.plain_chat_with(BOB).await;
    proxy.set(Fault::Refuse);
    let account = alice.account.clone();
    alice.account_until(&account, "connecting").await;
    let sent = alice.send(&chat, SECRET).await;
    assert_eq!(sent["encryption"], "none", "the chat was not locked yet");
    alice
        .get("set_encryption", json!({ "chat": chat, "mode": "omemo" }))
        .await;
    proxy.set(Fault::Pass);
    let heard = bob.message(SECRET).await;
    assert_eq!(heard["encryption"], "omemo1", "{heard}");
    assert!(!server.has_stored(SECRET), "the server got it in plain text");
    assert_eq!(alice.delivery(&sent, "sent").await["encryption"], "omemo1");
}

#[tokio::test]
async fn a_bundle_of_the_wrong_generation_is_asked_for_once_and_holds_nothing_up() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in_with(&server, BOB, "omemo1").await;
    let own = bob.devices(BOB).await[0]["device"].clone();
    // A whole, valid bundle of the first generation, where one of the second belongs.
    let node = format!("eu.siacs.conversations.axolotl.bundles:{own}");
    let bundle = bob.ask("published", json!({ "of": BOB, "node": node })).await;
    let bundle = bundle.as_str().expect("Bob's own bundle").to_owned();
    let list = "<devices xmlns='urn:xmpp:omemo:2'><device id='4711'/></devices>";
    bob.publish("urn:xmpp:omemo:2:bundles", "4711", &bundle).await;
    bob.publish(OMEMO2_LIST, "current", list).await;
    // A change of devices is told as a change of the chat.
    let chat = alice.chat_with(BOB).await;
    let account = alice.account.clone();
    let listed = |list: &Value| items(list).iter().any(|d| d["device"] == 4711);
    let params = json!({ "account": account, "address": BOB });
    alice
        .until("the device is known", "list_devices", params, listed)
        .await;
    let asked = |server: &Prosody| {
        let log = server.log();
        let of_bob =
            |line: &&str| line.contains("Received[c2s]: <iq") && line.contains(&format!("to='{BOB}'"));
        log.lines().filter(of_bob).count()
    };
    let before = asked(&server);
    for number in 0..10 {
        let body = format!("for the device that works {number}");
        alice.send(&chat, &body).await;
        assert_eq!(bob.message(&body).await["encryption"], "omemo1");
    }
    // The lists and one bundle for each of the two devices, and Bob's own program asking for nothing.
    let questions = asked(&server) - before;
    assert!(
        questions <= 8,
        "{questions} questions about two devices: it asks in a loop"
    );
}

#[tokio::test]
async fn a_bundle_of_the_wrong_generation_fails_a_message_that_no_other_device_can_read() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in_with(&server, BOB, "omemo1").await;
    let own = bob.devices(BOB).await[0]["device"].clone();
    let node = format!("eu.siacs.conversations.axolotl.bundles:{own}");
    let bundle = bob.ask("published", json!({ "of": BOB, "node": node })).await;
    let bundle = bundle.as_str().expect("Bob's own bundle").to_owned();
    let delete = format!(
        "<iq type='set' id='delete'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>\
         <delete node='{LEGACY_LIST}'/></pubsub></iq>"
    );
    bob.send_raw(&delete).await;
    let list = "<devices xmlns='urn:xmpp:omemo:2'><device id='4711'/></devices>";
    bob.publish("urn:xmpp:omemo:2:bundles", "4711", &bundle).await;
    bob.publish(OMEMO2_LIST, "current", list).await;
    alice.restart().await;
    let chat = alice.chat_with(BOB).await;
    let sent = alice.send(&chat, SECRET).await;
    let outcome = settled(&mut alice, &sent).await;
    assert_eq!(outcome["delivery"], "failed", "{outcome}");
    assert_eq!(outcome["error"]["code"], "no_devices", "{outcome}");
    assert!(!server.has_stored(SECRET), "the server got it in plain text");
    assert!(
        alice
            .event_within(|e| e["type"] == "resync", std::time::Duration::ZERO)
            .await
            .is_none(),
        "so many events came that they were dropped"
    );
}

#[tokio::test]
async fn whatever_fails_nothing_of_an_encrypted_chat_leaves_in_plain_text_until_the_person_unlocks_it() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let (mut alice, mut bob, chat) = latched(&server).await;
    let own = bob.devices(BOB).await[0].clone();
    let account = alice.account.clone();
    let trust = |word: &str| {
        let key = &own["fingerprint"];
        json!({ "account": account, "address": BOB, "fingerprint": key, "trust": word })
    };

    alice.get("set_trust", trust("untrusted")).await;
    let outcome = sends_nothing_plain(&server, &mut alice, &mut bob, &chat).await;
    assert_eq!(outcome["error"]["code"], "no_trusted_devices", "{outcome}");
    alice.get("set_trust", trust("blind")).await;

    let bundle = format!(
        "<iq type='set' id='bundle'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>\
         <delete node='eu.siacs.conversations.axolotl.bundles:{}'/></pubsub></iq>",
        own["device"]
    );
    bob.send_raw(&bundle).await;
    let reset = json!({ "account": account, "address": BOB, "device": own["device"] });
    alice.get("reset_session", reset).await;
    // No new session can be begun, and the old one goes on.
    let outcome = sends_nothing_plain(&server, &mut alice, &mut bob, &chat).await;
    assert_eq!(outcome["encryption"], "omemo1", "{outcome}");
    assert_eq!(bob.message(SECRET).await["encryption"], "omemo1");

    delete_lists(&mut bob).await;
    alice.restart().await;
    let outcome = sends_nothing_plain(&server, &mut alice, &mut bob, &chat).await;
    assert_eq!(outcome["error"]["code"], "no_devices", "{outcome}");

    // And the person, by their own act, sends it as they please.
    alice
        .get("set_encryption", json!({ "chat": chat, "mode": "none" }))
        .await;
    alice.send(&chat, "now everybody may read").await;
    assert_eq!(bob.message("now everybody may read").await["encryption"], "none");
}

#[tokio::test]
async fn a_device_list_that_a_stranger_sends_is_not_kept() {
    let mut server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    server.add_user(CAROL, waxwing_tests::PASSWORD);
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let mut carol = Peer::sign_in(&server, CAROL).await;
    for (number, node, list) in [
        (
            1,
            LEGACY_LIST,
            "<list xmlns='eu.siacs.conversations.axolotl'><device id='4711'/></list>",
        ),
        (
            2,
            OMEMO2_LIST,
            "<devices xmlns='urn:xmpp:omemo:2'><device id='4711'/></devices>",
        ),
    ] {
        let item = format!("<item id='current'>{list}</item>");
        let headline = format!(
            "<message type='headline' to='{ALICE}' id='list{number}'>\
             <event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{node}'>{item}</items></event></message>"
        );
        carol.send_raw(&headline).await;
        // Bob's account may: this shows that such a list reaches the program and is understood.
        let published = format!(
            "<iq type='set' id='list{number}'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
             <publish node='{node}'>{item}</publish></pubsub></iq>"
        );
        bob.send_raw(&published).await;
    }
    bob.send(ALICE, "behind the lists", "none").await;
    alice.hears("behind the lists").await;
    // With the server away nothing can be asked for: this is what was kept.
    server.stop().await;
    let account = alice.account.clone();
    alice.account_until(&account, "connecting").await;
    let kept = async |alice: &mut Person, of: &str| {
        let params = json!({ "account": account, "address": of });
        alice.get("list_devices", params).await
    };
    let of_bob = kept(&mut alice, BOB).await;
    assert!(
        items(&of_bob).iter().any(|d| d["device"] == 4711),
        "a contact's list was not understood, so nothing is shown: {of_bob}"
    );
    assert_eq!(
        kept(&mut alice, CAROL).await,
        json!([]),
        "a stranger's list was kept"
    );
    let chats = alice.get("list_chats", json!({})).await;
    assert!(
        items(&chats).iter().all(|c| c["address"] != CAROL),
        "a stranger's list made a chat: {chats}"
    );
}

#[tokio::test]
async fn the_most_talkative_log_holds_no_key_no_secret_and_no_text() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let profile = waxwing_tests::Profile::trusting(&server);
    let mut bob = Peer::sign_in_with(&server, BOB, "omemo1").await;
    let mut command = tokio::process::Command::new(waxwing_tests::program("waxwing-headless"));
    command.args(profile.arguments()).env("WAXWING_LOG", "debug");
    let mut app = waxwing_tests::process::Lines::spawn("waxwing-headless", &mut command, profile.log_file());
    let account = ask(
        &mut app,
        "add_account",
        json!({
            "address": ALICE, "password": waxwing_tests::PASSWORD, "host": "127.0.0.1",
            "port": server.direct_tls_port, "tls": "direct",
        }),
    )
    .await["account"]
        .clone();
    let online =
        |e: &Value| e["params"]["type"] == "account_changed" && e["params"]["account"]["state"] == "online";
    assert!(
        app.take(online, LONG).await.is_some(),
        "the account is not online"
    );
    let chat = ask(
        &mut app,
        "open_chat",
        json!({ "account": account, "address": BOB }),
    )
    .await["chat"]
        .clone();
    ask(&mut app, "send_text", json!({ "chat": chat, "body": SECRET })).await;
    bob.message(SECRET).await;
    for encryption in ["omemo1", "none"] {
        let body = format!("an-answer-{encryption}");
        bob.send(ALICE, &body, encryption).await;
        let heard = |e: &Value| e["params"]["message"]["body"] == body.as_str();
        assert!(app.take(heard, LONG).await.is_some(), "{body:?} has not come");
    }
    ask(&mut app, "search", json!({ "query": "a-rare-word" })).await;
    assert!(app.close(LONG).await.success());

    let log = std::fs::read_to_string(profile.log_file()).expect("the log");
    assert!(
        log.contains(" DEBUG "),
        "the log is not talkative, so nothing is shown:\n{log}"
    );
    for told in [
        SECRET,
        "an-answer-",
        "a-rare-word",
        waxwing_tests::PASSWORD,
        waxwing_tests::PASSPHRASE,
    ] {
        assert!(!log.contains(told), "the log holds {told:?}");
    }
    // A raw database key is written as x'…' with 64 hexadecimal digits.
    let key = log.split("x'").skip(1).any(|rest| {
        let digits = rest.chars().take_while(char::is_ascii_hexdigit).count();
        digits >= 64
    });
    assert!(!key, "the log holds the database's key");
}

async fn ask(app: &mut waxwing_tests::process::Lines, method: &str, params: Value) -> Value {
    let id = app.next_id();
    let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    let mut answer = app.ask(id, &request, LONG).await;
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].take()
}

/// It is sealed for her other devices; without any it is for nobody, and stays here.
#[tokio::test]
async fn a_note_to_oneself_is_encrypted_also_where_there_is_no_other_device() {
    let server = Prosody::start(&[ALICE]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let chat = alice.chat_with(ALICE).await;
    let note = alice.send(&chat, SECRET).await;
    let sent = alice.delivery(&note, "sent").await;
    assert_eq!(
        (&sent["body"], &sent["encryption"]),
        (&json!(SECRET), &json!("omemo1"))
    );
    // The server gives it back, live and out of the archive: it is the one that is here.
    alice.restart().await;
    until("the archive was read", LONG, async || {
        let of_account = json!({ "account": alice.account.clone() });
        let gaps = alice.get("list_accounts", of_account).await;
        items(&items(&gaps)[0]["gaps"]).is_empty().then_some(())
    })
    .await;
    let rows = alice.messages(&chat).await;
    let shown: Vec<_> = rows
        .iter()
        .map(|row| (&row["body"], &row["undecryptable"]))
        .collect();
    assert_eq!(shown, [(&json!(SECRET), &Value::Null)]);
    assert!(
        server.has_stored("This message is encrypted with OMEMO"),
        "it never came there"
    );
    assert!(!server.has_stored(SECRET), "the server has it in the open");
    let chats = alice.get("list_chats", json!({})).await;
    assert_eq!(items(&chats)[0]["encryption"], "omemo", "the chat is locked");
}
