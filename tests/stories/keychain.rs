//! The profile's key in the system's keychain: a real Secret Service on a session bus of its own.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use waxwing_tests::{Peer, Person, Profile, Prosody, Tls, items, program, within_keychain};

/// Starts the program in a keychain whose entries lie in the folder, with one question and nothing more to do.
async fn open_with_keychain(entries: &Path, profile: &Path) -> Output {
    let mut session = within_keychain(entries, &program("waxwing-headless"));
    session
        .arg("--profile")
        .arg(profile)
        .arg("--keychain")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = session.spawn().expect("dbus-run-session is installed");
    let question = br#"{"jsonrpc":"2.0","id":1,"method":"list_accounts"}"#;
    let mut input = child.stdin.take().expect("its input");
    input.write_all(question).await.expect("it listens");
    input.write_all(b"\n").await.expect("it listens");
    drop(input);
    tokio::time::timeout(waxwing_tests::LONG, child.wait_with_output())
        .await
        .expect("the keychain answers in time")
        .expect("it runs")
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test]
async fn the_key_lies_in_the_keychain_and_only_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (entries, profile) = (folder.path().join("entries"), folder.path().join("profile"));
    fs::create_dir(&entries).expect("a folder for the keychain");
    for _ in 0..2 {
        let output = open_with_keychain(&entries, &profile).await;
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains(r#""result":[]"#), "{}", said(&output));
    }
    let key_file = fs::read_to_string(profile.join("key.json")).expect("a key file");
    assert!(key_file.contains("keychain"), "{key_file}");
    let digits = key_file
        .split(|c: char| !c.is_ascii_hexdigit())
        .map(str::len)
        .max();
    assert!(digits < Some(64), "a key stands in {key_file}");
    let database = fs::read(profile.join("waxwing.db")).expect("a database");
    assert!(
        !database.starts_with(b"SQLite format 3"),
        "the database is not encrypted"
    );
}

#[tokio::test]
async fn a_lost_keychain_is_told_and_never_taken_for_a_first_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let (entries, other, profile) = (
        folder.path().join("entries"),
        folder.path().join("other"),
        folder.path().join("profile"),
    );
    for keychain in [&entries, &other] {
        fs::create_dir(keychain).expect("a folder for a keychain");
    }
    let first = open_with_keychain(&entries, &profile).await;
    assert!(first.status.success(), "{}", said(&first));
    let before = fs::read(profile.join("waxwing.db")).expect("a database");
    let lost = open_with_keychain(&other, &profile).await;
    assert!(!lost.status.success());
    assert!(said(&lost).contains("key_missing"), "{}", said(&lost));
    assert_eq!(before, fs::read(profile.join("waxwing.db")).expect("still there"));
    let found = open_with_keychain(&entries, &profile).await;
    assert!(found.status.success(), "{}", said(&found));
}

#[tokio::test]
async fn a_database_that_the_right_key_does_not_open_is_damaged_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (entries, profile) = (folder.path().join("entries"), folder.path().join("profile"));
    fs::create_dir(&entries).expect("a folder for the keychain");
    let first = open_with_keychain(&entries, &profile).await;
    assert!(first.status.success(), "{}", said(&first));
    let database = profile.join("waxwing.db");
    let mut bytes = fs::read(&database).expect("a database");
    bytes.iter_mut().take(4096).for_each(|byte| *byte ^= 0x55);
    fs::write(&database, &bytes).expect("written");
    let damaged = open_with_keychain(&entries, &profile).await;
    assert!(!damaged.status.success());
    assert!(said(&damaged).contains("database_damaged"), "{}", said(&damaged));
    assert_eq!(bytes, fs::read(&database).expect("still there"));
}

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";

/// Why the account's device began anew, if it did and the person has not seen it yet.
async fn renewed(alice: &mut Person) -> Value {
    let list = alice.get("list_accounts", json!({})).await;
    items(&list)[0]["renewed"].clone()
}

/// Kills the program, which runs as a child of what gives it its keychain.
async fn crash(alice: &mut Person) {
    let session = alice.process_id().expect("it runs");
    let children = fs::read_to_string(format!("/proc/{session}/task/{session}/children")).expect("Linux");
    let is_waxwing = |id: &&str| {
        fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.starts_with("waxwing"))
    };
    let program = children
        .split_whitespace()
        .find(is_waxwing)
        .expect("it is the child");
    assert!(waxwing_tests::process::signal("-KILL", program).await);
    alice.ended().await;
    alice.kill().await;
}

/// Alice, whose profile's key lies in a keychain.
async fn with_keychain(server: &Prosody) -> Person {
    let mut profile = Profile::trusting(server);
    profile.use_keychain();
    Person::sign_in_with(profile, ALICE, server.direct_tls_port, Tls::Direct).await
}

/// She has written to Bob.
async fn acquainted() -> (Prosody, Person, Peer) {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let mut alice = with_keychain(&server).await;
    let chat = alice.chat_with(BOB).await;
    alice.send(&chat, "at first").await;
    bob.message("at first").await;
    (server, alice, bob)
}

/// Nothing on the server tells that this profile is an older copy: what the device received since has no trace there.
#[tokio::test]
async fn a_profile_that_was_put_back_is_noticed_by_the_keychain_alone() {
    let (_server, mut alice, mut bob) = acquainted().await;
    bob.send(ALICE, "an answer", "omemo1").await;
    alice.hears("an answer").await;

    // Restarts are no reason to begin anew, orderly ones or not.
    alice.restart().await;
    crash(&mut alice).await;
    alice.start_again().await;
    alice.wait_online().await;
    alice.stop().await;
    alice.profile.back_up();
    alice.start_again().await;
    alice.wait_online().await;
    assert_eq!(renewed(&mut alice).await, Value::Null);
    alice.stop().await;

    alice.profile.restore();
    alice.start_again().await;
    alice.wait_online().await;
    let told = |list: &Value| items(list)[0]["renewed"] == "restored";
    alice
        .until("the person is told", "list_accounts", json!({}), told)
        .await;
    bob.event("an empty message in a new session", |e| e["event"] == "empty")
        .await;
    bob.send(ALICE, "in the new session", "omemo1").await;
    alice.hears("in the new session").await;
    let chat = alice.chat_with(BOB).await;
    alice.send(&chat, "from the new session").await;
    bob.message("from the new session").await;

    // Once is enough.
    let of_account = json!({ "account": alice.account.clone() });
    alice.get("renewal_seen", of_account).await;
    alice.restart().await;
    bob.send(ALICE, "and on", "omemo1").await;
    alice.hears("and on").await;
    assert_eq!(renewed(&mut alice).await, Value::Null);
}

/// The ids of the person's active devices, as somebody else knows them.
async fn active_devices(bob: &mut Peer) -> Vec<u64> {
    let all = bob.devices(ALICE).await;
    let active = all.iter().filter(|d| {
        d["active"]
            .as_array()
            .is_some_and(|protocols| !protocols.is_empty())
    });
    let mut ids: Vec<u64> = active.filter_map(|d| d["device"].as_u64()).collect();
    ids.sort_unstable();
    ids
}

/// Starts the program on a profile, writes to Bob, is answered, and ends it. Gives why its device began anew.
async fn one_run(person: &mut Person, bob: &mut Peer, round: &str) -> Value {
    person.start_again().await;
    person.wait_online().await;
    let chat = person.chat_with(BOB).await;
    let body = format!("from {round}");
    person.send(&chat, &body).await;
    bob.message(&body).await;
    let body = format!("to {round}");
    bob.send(ALICE, &body, "omemo1").await;
    person.hears(&body).await;
    let why = renewed(person).await;
    let of_account = json!({ "account": person.account.clone() });
    person.get("renewal_seen", of_account).await;
    person.stop().await;
    why
}

#[tokio::test]
async fn two_copies_of_a_profile_beside_one_keychain_part_once_and_for_good() {
    let (_server, mut alice, mut bob) = acquainted().await;
    alice.stop().await;
    let mut copy = alice.copied();

    assert_eq!(one_run(&mut alice, &mut bob, "the profile").await, Value::Null);
    assert_eq!(one_run(&mut copy, &mut bob, "the copy").await, "copied");
    let devices = active_devices(&mut bob).await;
    assert_eq!(devices.len(), 2, "the copy is a device of its own");
    for round in ["the second run", "the third run"] {
        assert_eq!(one_run(&mut alice, &mut bob, round).await, Value::Null, "{round}");
        let round = format!("{round} of the copy");
        assert_eq!(one_run(&mut copy, &mut bob, &round).await, Value::Null, "{round}");
    }
    assert_eq!(active_devices(&mut bob).await, devices, "no others came of it");
}

async fn set_enabled(alice: &mut Person, enabled: bool) {
    let params = json!({ "account": alice.account.clone(), "enabled": enabled });
    alice.get("set_account_enabled", params).await;
    let account = alice.account.clone();
    let state = if enabled { "online" } else { "offline" };
    alice.account_until(&account, state).await;
}

/// Verifies the only key of somebody that is known and not this device's own.
async fn verify(alice: &mut Person, of: &str) {
    let params = json!({ "account": alice.account.clone(), "address": of });
    let has_key = |d: &&Value| d["own"] == false && d["fingerprint"] != Value::Null;
    let list = alice
        .until("the key is known", "list_devices", params, |list| {
            items(list).iter().any(|d| has_key(&d))
        })
        .await;
    let device = items(&list).iter().find(has_key).expect("it was there");
    let params = json!({ "account": alice.account.clone(), "address": of, "fingerprint": device["fingerprint"],
                         "trust": "verified" });
    alice.get("set_trust", params).await;
}

/// Nothing is sealed with the sessions of an older copy, also not what waits to be told to verified devices.
#[tokio::test]
async fn what_an_older_copy_still_had_to_tell_is_told_in_new_sessions() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut bob = Peer::sign_in_with(&server, BOB, "omemo2").await;
    let _phone = Peer::sign_in_with(&server, ALICE, "omemo2").await;
    let mut alice = with_keychain(&server).await;
    let chat = alice.chat_with(BOB).await;
    for body in ["one", "two"] {
        alice.send(&chat, body).await;
        assert_eq!(bob.message(body).await["encryption"], "omemo2");
        bob.send(ALICE, body, "omemo2").await;
        alice.hears(body).await;
    }
    verify(&mut alice, BOB).await;
    set_enabled(&mut alice, false).await;
    // Bob's device is to hear of this.
    verify(&mut alice, ALICE).await;
    alice.stop().await;
    alice.profile.back_up();
    alice.start_again().await;
    set_enabled(&mut alice, true).await;
    bob.send(ALICE, "and on", "omemo2").await;
    alice.hears("and on").await;
    alice.stop().await;

    alice.profile.restore();
    alice.start_again().await;
    let of_account = json!({ "account": alice.account.clone() });
    let console = json!({ "account": alice.account.clone(), "on": true });
    alice.get("set_console", console).await;
    set_enabled(&mut alice, true).await;
    let with_keys = |entry: &Value| -> Option<String> {
        let xml = entry["xml"].as_str().unwrap_or_default();
        let sealed = entry["way"] == "out" && xml.contains("<message") && xml.contains("<encrypted");
        sealed.then(|| xml.to_owned())
    };
    let told = alice
        .until("Bob is told", "list_console", of_account, |list| {
            let all = items(list).iter().filter_map(with_keys);
            all.into_iter()
                .any(|xml| xml.contains(BOB) && xml.contains("<payload"))
        })
        .await;
    for xml in items(&told).iter().filter_map(with_keys) {
        assert_eq!(
            xml.matches("<key ").count(),
            xml.matches("kex=").count(),
            "it goes on with a session: {xml}"
        );
    }
}
