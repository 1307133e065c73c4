//! The profile on disk: everything is kept, nothing can be read without the key, one process at a time.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use waxwing_tests::process::{log_tail, signal};
use waxwing_tests::{PASSPHRASE, Peer, Person, Profile, Prosody, SHORT, items};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";

/// What a person sees and does not change by itself: everything but connection, presence and running numbers.
async fn kept(person: &mut Person) -> Value {
    let account = person.account.clone();
    let mut seen = json!({
        "accounts": person.get("list_accounts", json!({})).await,
        "contacts": person.get("list_contacts", json!({ "account": account })).await,
        "chats": person.get("list_chats", json!({})).await,
        "devices": person.get("list_devices", json!({ "account": account, "address": BOB })).await,
    });
    let mut messages = serde_json::Map::new();
    for chat in items(&seen["chats"]) {
        messages.insert(
            chat["chat"].to_string(),
            Value::Array(person.messages(&chat["chat"]).await),
        );
    }
    seen["messages"] = Value::Object(messages);
    without(
        seen,
        &["rev", "state", "error", "presence", "status", "last_seen"],
    )
}

fn without(value: Value, names: &[&str]) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(name, _)| !names.contains(&name.as_str()))
                .map(|(name, field)| (name, without(field, names)))
                .collect(),
        ),
        Value::Array(list) => Value::Array(list.into_iter().map(|item| without(item, names)).collect()),
        other => other,
    }
}

/// An encrypted conversation with something unread, something delivered, something waiting and something plain.
async fn lived_in() -> (Prosody, Person, Peer) {
    let server = Prosody::start_with_friends(&[ALICE, BOB, "carol@waxwing.test"]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in_with(&server, BOB, "omemo1").await;
    let chat = alice.chat_with(BOB).await;
    let sent = alice.send(&chat, "secret-from-alice").await;
    bob.message("secret-from-alice").await;
    alice.delivery(&sent, "delivered").await;
    for body in ["secret-answer-one", "secret-answer-two"] {
        bob.send(ALICE, body, "omemo1").await;
        alice.hears(body).await;
    }
    let carol = alice.plain_chat_with("carol@waxwing.test").await;
    let plain = alice.send(&carol, "plain-to-carol").await;
    alice.delivery(&plain, "sent").await;
    (server, alice, bob)
}

async fn goes_on(alice: &mut Person, bob: &mut Peer) {
    alice.wait_online().await;
    let chat = alice.chat_with(BOB).await;
    alice.send(&chat, "secret-after").await;
    assert_eq!(bob.message("secret-after").await["encryption"], "omemo1");
    bob.send(ALICE, "secret-answer-after", "omemo1").await;
    assert_eq!(alice.hears("secret-answer-after").await["encryption"], "omemo1");
}

#[tokio::test]
async fn a_restart_keeps_everything_and_the_conversation_goes_on() {
    let (mut server, mut alice, mut bob) = lived_in().await;
    let before = kept(&mut alice).await;
    alice.stop().await;
    bob.stop().await;
    // With the server away, all that is shown can only come from the disk.
    server.stop().await;
    alice.start_again().await;
    let after = kept(&mut alice).await;
    assert_eq!(after, before);
    let unread = items(&after["chats"])
        .iter()
        .find(|c| c["address"] == BOB)
        .map(|c| c["unread"].clone());
    assert_eq!(unread, Some(json!(2)));
    server.start_again().await;
    bob.start_again().await;
    goes_on(&mut alice, &mut bob).await;
}

#[tokio::test]
async fn a_crash_keeps_everything_and_the_conversation_goes_on() {
    let (_server, mut alice, mut bob) = lived_in().await;
    let before = kept(&mut alice).await;
    alice.kill().await;
    alice.start_again().await;
    assert_eq!(kept(&mut alice).await, before);
    goes_on(&mut alice, &mut bob).await;
}

#[tokio::test]
async fn a_second_process_on_the_same_profile_says_so_and_exits_with_3() {
    let profile = Profile::with_ca(None);
    let mut first = profile.start().await;
    let mut second = profile.launch();
    assert_eq!(second.ended().await.code(), Some(3));
    assert!(
        log_tail(&profile.log_file()).contains("profile_in_use"),
        "it must say why"
    );
    first.get("list_accounts", json!({})).await;
    first.stop().await;
    profile.start().await.stop().await;
}

#[tokio::test]
async fn after_a_crash_the_profile_is_free_again() {
    let profile = Profile::with_ca(None);
    profile.start().await.kill().await;
    profile.start().await.stop().await;
}

#[tokio::test]
async fn a_wrong_passphrase_opens_nothing_and_harms_nothing() {
    let profile = Profile::with_ca(None);
    let mut first = profile.start().await;
    first
        .get(
            "add_account",
            json!({ "address": ALICE, "password": "x", "host": "127.0.0.1", "port": 1 }),
        )
        .await;
    first.stop().await;

    profile.set_passphrase("not the passphrase");
    let mut refused = profile.launch();
    let status = refused.ended().await;
    assert!(
        !status.success() && status.code() != Some(3),
        "it must end with an error of its own, not {status}"
    );
    assert_eq!(
        refused.events(),
        Vec::<Value>::new(),
        "it must not say that it is ready"
    );
    assert!(
        log_tail(&profile.log_file()).contains("wrong_passphrase"),
        "it must say why"
    );

    profile.set_passphrase(PASSPHRASE);
    let mut again = profile.start().await;
    assert_eq!(items(&again.get("list_accounts", json!({})).await).len(), 1);
    again.stop().await;
}

#[tokio::test]
async fn nothing_on_disk_and_in_the_log_can_be_read_without_the_key() {
    let (_server, mut alice, mut bob) = lived_in().await;
    goes_on(&mut alice, &mut bob).await;
    let directory = alice.profile.directory();
    let told = [
        "secret-",
        "plain-to-carol",
        waxwing_tests::PASSWORD,
        PASSPHRASE,
        ALICE,
        "SQLite format 3",
    ];
    // While it runs the write-ahead log is there too; after the end only the database is.
    for_each_file(&directory, &mut |path, text| {
        for word in told {
            assert!(!text.contains(word), "{} holds {word:?}", path.display());
        }
    });
    alice.stop().await;
    for_each_file(&directory, &mut |path, text| {
        for word in told {
            assert!(!text.contains(word), "{} holds {word:?}", path.display());
        }
    });
    let log = fs::read_to_string(alice.profile.log_file()).expect("the log");
    for word in ["secret-", "plain-to-carol", waxwing_tests::PASSWORD, PASSPHRASE] {
        assert!(
            !log.contains(word),
            "the log holds {word:?} even at its most talkative"
        );
    }
}

fn for_each_file(folder: &Path, look: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).expect("the profile's folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            for_each_file(&path, look);
        } else {
            look(
                &path,
                &String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()),
            );
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_look_into_the_profile() {
    use std::os::unix::fs::PermissionsExt;
    let profile = Profile::with_ca(None);
    let app = profile.start().await;
    let mode = fs::metadata(profile.directory())
        .expect("the profile's folder")
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0, "the folder is open to others: {mode:o}");
    app.stop().await;
}

#[tokio::test]
async fn a_signal_to_end_is_a_clean_stop() {
    let server = Prosody::start(&[ALICE]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let id = alice.process_id().expect("it runs").to_string();
    signal("-TERM", &id).await;
    assert_eq!(alice.ended().await.code(), Some(0));
    waxwing_tests::until(
        "the server sees the stream closed in good order",
        SHORT,
        async || {
            (server.logged("Client disconnected") > 0 || server.logged("c2s stream for") > 0).then_some(())
        },
    )
    .await;
}

#[tokio::test]
async fn several_accounts_live_side_by_side_in_one_profile() {
    let addresses = [ALICE, BOB, "carol@heron.test", "dave@heron.test"];
    let server = Prosody::start_with_friends(&addresses).await;
    let profile = Profile::trusting(&server);
    let mut app = profile.start().await;
    let mut accounts = Vec::new();
    for address in addresses {
        accounts.push(app.sign_in(&server, address).await);
    }
    let wrong = app
        .add_account(
            "eve@heron.test",
            "x",
            server.direct_tls_port,
            waxwing_tests::Tls::Direct,
        )
        .await;
    assert_eq!(
        app.account_until(&wrong, "failed").await["error"]["code"],
        "wrong_password"
    );
    let listed = app.get("list_accounts", json!({})).await;
    let states: Vec<_> = items(&listed)
        .iter()
        .map(|a| a["state"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        states,
        ["online", "online", "online", "online", "failed"],
        "each account has a state of its own"
    );

    let chat = app.open_plain_chat(&accounts[0], BOB).await;
    app.send(&chat, "to my other self").await;
    let heard = app
        .event("the message at the other account", |e| {
            e["message"]["account"] == accounts[1] && e["message"]["body"] == "to my other self"
        })
        .await;
    assert_eq!(heard["message"]["direction"], "in");

    app.get("remove_account", json!({ "account": accounts[1] })).await;
    let left = app.get("list_accounts", json!({})).await;
    assert_eq!(items(&left).len(), 4);
    let chats = app.get("list_chats", json!({})).await;
    assert!(
        items(&chats).iter().all(|c| c["account"] != accounts[1]),
        "a removed account leaves no chats"
    );
    app.call("list_contacts", json!({ "account": accounts[1] }))
        .await
        .expect_err("a removed account is unknown");

    let twice = json!({ "address": ALICE, "password": "x" });
    let error = app
        .call("add_account", twice)
        .await
        .expect_err("an account cannot be added twice");
    assert_eq!(error.code, "account_exists");
    app.stop().await;
    let mut again = profile.start().await;
    for account in [&accounts[0], &accounts[2], &accounts[3]] {
        again.online(account).await;
    }
    again.stop().await;
}
