//! Encryption after one side lost its state: databases that are gone or older than what the other side knows, sessions
//! that broke, devices that came later; with another implementation of OMEMO on the other side, in both generations.

mod older_copy;

use std::fs;

use serde_json::{Value, json};
use waxwing_tests::{LONG, Peer, Person, Prosody, items, until};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";
const CAROL: &str = "carol@waxwing.test";

/// Alice uses Waxwing; Bob uses slixmpp and knows these generations.
async fn scene(protocols: &'static str) -> (Prosody, Person, Peer) {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let bob = Peer::sign_in_with(&server, BOB, protocols).await;
    let alice = Person::sign_in(&server, ALICE).await;
    (server, alice, bob)
}

async fn to_bob(alice: &mut Person, bob: &mut Peer, body: &str, encryption: &str) {
    let chat = alice.chat_with(BOB).await;
    alice.send(&chat, body).await;
    assert_eq!(bob.message(body).await["encryption"], encryption, "{body}");
}

async fn to_alice(alice: &mut Person, bob: &mut Peer, body: &str, encryption: &str) {
    bob.send(ALICE, body, encryption).await;
    assert_eq!(alice.hears(body).await["encryption"], encryption, "{body}");
}

/// A few messages each way.
async fn talk(alice: &mut Person, bob: &mut Peer, when: &str, encryption: &str) {
    for number in 0..3 {
        to_bob(alice, bob, &format!("from Alice {when} {number}"), encryption).await;
        to_alice(alice, bob, &format!("from Bob {when} {number}"), encryption).await;
    }
}

/// The account as it is shown.
async fn account(alice: &mut Person) -> Value {
    let id = alice.account.clone();
    let list = alice.get("list_accounts", json!({})).await;
    let found = items(&list).iter().find(|a| a["account"] == id).cloned();
    found.expect("the account")
}

/// The rows of the chat with Bob that have this reason.
async fn unread_for(alice: &mut Person, reason: &str) -> Vec<Value> {
    let chat = alice.chat_with(BOB).await;
    let rows = alice.messages(&chat).await;
    let of_reason = |row: &&Value| row["undecryptable"]["reason"] == reason;
    rows.iter().filter(of_reason).cloned().collect()
}

/// What can be read in the chat with Bob.
async fn texts(alice: &mut Person) -> Vec<String> {
    let chat = alice.chat_with(BOB).await;
    let rows = alice.messages(&chat).await;
    let texts = rows.iter().filter_map(|row| row["body"].as_str());
    texts.map(str::to_owned).collect()
}

async fn an_older_copy_is_restored(encryption: &'static str) {
    let (_server, mut alice, mut bob) = scene(encryption).await;
    talk(&mut alice, &mut bob, "at first", encryption).await;
    alice.stop().await;
    alice.profile.back_up();
    alice.start_again().await;
    alice.wait_online().await;
    talk(&mut alice, &mut bob, "later", encryption).await;
    let device = bob.devices(ALICE).await[0]["device"].clone();

    alice.stop().await;
    alice.profile.restore();
    alice.start_again().await;
    alice.wait_online().await;
    let of_account = json!({ "account": alice.account.clone() });
    let account_id = alice.account.clone();
    let renewed = |list: &Value| {
        items(list)
            .iter()
            .any(|a| a["account"] == account_id && a["renewed"] == "restored")
    };
    alice
        .until("the person is told", "list_accounts", json!({}), renewed)
        .await;
    let written = unread_for(&mut alice, "written_here").await;
    assert_eq!(
        written.len(),
        3,
        "what Alice wrote later with this device: {written:?}"
    );
    assert_eq!(
        unread_for(&mut alice, "not_for_this_device").await,
        Vec::<Value>::new()
    );
    // Bob hears of the new session by himself, and nothing that he writes from then on is lost.
    bob.event("Alice's empty message", |e| e["event"] == "empty")
        .await;
    talk(&mut alice, &mut bob, "at last", encryption).await;
    assert_eq!(
        bob.devices(ALICE).await[0]["device"],
        device,
        "it is the same device as before"
    );
    alice.get("renewal_seen", of_account).await;
    assert_eq!(account(&mut alice).await["renewed"], Value::Null);
}

#[tokio::test]
async fn an_older_copy_of_a_profile_begins_anew_by_itself_in_the_legacy_namespace() {
    an_older_copy_is_restored("omemo1").await;
}

#[tokio::test]
async fn an_older_copy_of_a_profile_begins_anew_by_itself_in_omemo_2() {
    an_older_copy_is_restored("omemo2").await;
}

async fn a_profile_is_used_twice(encryption: &'static str) {
    let (_server, mut alice, mut bob) = scene(encryption).await;
    talk(&mut alice, &mut bob, "at first", encryption).await;
    alice.stop().await;
    let mut twin = alice.twin().await;
    twin.wait_online().await;
    alice.start_again().await;
    alice.wait_online().await;

    // What one of them writes the other one sees as its own, and becomes a device of its own.
    to_bob(&mut alice, &mut bob, "from the first computer", encryption).await;
    let copied = |list: &Value| items(list).iter().any(|account| account["renewed"] == "copied");
    twin.until("the copy is noticed", "list_accounts", json!({}), copied)
        .await;
    let account = alice.account.clone();
    let of_alice = json!({ "account": account, "address": ALICE });
    let two = |list: &Value| items(list).iter().filter(|d| d["active"] == true).count() == 2;
    for person in [&mut alice, &mut twin] {
        person
            .until("two devices", "list_devices", of_alice.clone(), two)
            .await;
    }
    until("Bob knows both devices", LONG, async || {
        (bob.devices(ALICE).await.len() == 2).then_some(())
    })
    .await;
    // Both read all that is written from then on, by Bob and by each other.
    for round in 0..3 {
        let body = format!("from Bob to both {round}");
        bob.send(ALICE, &body, encryption).await;
        assert_eq!(alice.hears(&body).await["encryption"], encryption);
        assert_eq!(twin.hears(&body).await["encryption"], encryption);
        let (mut writing, mut reading) = (&mut alice, &mut twin);
        for who in ["first", "second"] {
            let body = format!("from the {who} computer {round}");
            to_bob(writing, &mut bob, &body, encryption).await;
            assert_eq!(reading.hears(&body).await["encryption"], encryption, "{body}");
            (writing, reading) = (reading, writing);
        }
    }
}

#[tokio::test]
async fn a_profile_that_two_programs_use_becomes_two_devices_in_the_legacy_namespace() {
    a_profile_is_used_twice("omemo1").await;
}

#[tokio::test]
async fn a_profile_that_two_programs_use_becomes_two_devices_in_omemo_2() {
    a_profile_is_used_twice("omemo2").await;
}

/// Servers tell a session that an administrator ended as they tell one that was replaced.
#[tokio::test]
async fn a_session_that_an_administrator_ended_makes_no_new_device_of_this_one() {
    let (server, mut alice, mut bob) = scene("omemo1").await;
    talk(&mut alice, &mut bob, "at first", "omemo1").await;
    let device = bob.devices(ALICE).await[0]["device"].clone();
    let account_id = alice.account.clone();
    alice.forget_events();
    server.end_sessions().await;
    alice
        .event("the session was ended with a conflict", |e| {
            e["type"] == "account_changed" && e["account"]["error"]["code"] == "conflict"
        })
        .await;
    alice.online(&account_id).await;
    bob.restart().await;
    talk(&mut alice, &mut bob, "afterwards", "omemo1").await;
    assert_eq!(account(&mut alice).await["renewed"], Value::Null);
    let devices = bob.devices(ALICE).await;
    assert_eq!(devices.len(), 1, "{devices:?}");
    assert_eq!(devices[0]["device"], device);
}

/// The server ends all sessions with a conflict; gives how the account stands then.
async fn conflict(server: &Prosody, alice: &mut Person) -> Value {
    alice.forget_events();
    server.end_sessions().await;
    let ended = |e: &Value| e["type"] == "account_changed" && e["account"]["error"]["code"] == "conflict";
    let told = alice.event("the session was ended with a conflict", ended).await;
    told["account"]["state"].clone()
}

#[tokio::test]
async fn who_is_thrown_out_comes_back_and_only_after_the_third_time_leaves_the_place_to_others_for_a_while() {
    let server = Prosody::start(&[ALICE]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let account_id = alice.account.clone();
    for time in ["first", "second"] {
        let state = conflict(&server, &mut alice).await;
        assert_eq!(state, "connecting", "the {time} time");
        alice.online(&account_id).await;
    }
    assert_eq!(conflict(&server, &mut alice).await, "failed");
    // The person takes the place back at any time.
    for enabled in [false, true] {
        let params = json!({ "account": account_id, "enabled": enabled });
        alice.get("set_account_enabled", params).await;
    }
    alice.online(&account_id).await;
    assert_eq!(conflict(&server, &mut alice).await, "connecting");
    alice.online(&account_id).await;
}

/// Whoever threw us out may use a copy of this profile, which shows itself among what was missed at the latest.
#[tokio::test]
async fn after_a_conflict_nothing_is_encrypted_before_all_that_was_missed_has_been_read() {
    let (server, mut alice, mut bob) = scene("omemo1").await;
    talk(&mut alice, &mut bob, "at first", "omemo1").await;
    let account_id = alice.account.clone();
    conflict(&server, &mut alice).await;
    alice.online(&account_id).await;
    bob.restart().await;
    talk(&mut alice, &mut bob, "in between", "omemo1").await;

    let enabled = |on: bool| json!({ "account": account_id.clone(), "enabled": on });
    alice.get("set_account_enabled", enabled(false)).await;
    // More than two pages of her archive.
    for number in 0..600 {
        let id = format!("missed-{number}");
        let plain = format!("<message type='chat' to='{ALICE}' id='{id}'><body>{id}</body></message>");
        bob.send_raw(&plain).await;
    }
    bob.ask("ping", json!({})).await;
    let chat = alice.chat_with(BOB).await;
    alice.send(&chat, "not before that").await;
    let console = json!({ "account": account_id, "on": true });
    alice.get("set_console", console).await;
    alice.get("set_account_enabled", enabled(true)).await;
    bob.message("not before that").await;
    let of_account = json!({ "account": account_id });
    let told = alice.get("list_console", of_account).await;
    let place = |way: &str, what: &str| {
        let fits = |entry: &Value| {
            entry["way"] == way && entry["xml"].as_str().is_some_and(|xml| xml.contains(what))
        };
        items(&told).iter().rposition(fits)
    };
    let (read, sealed) = (place("in", "complete='true'"), place("out", "<encrypted "));
    assert!(
        read.is_some() && read < sealed,
        "read {read:?}, encrypted {sealed:?}"
    );
}

async fn a_database_is_gone(encryption: &'static str) {
    let (server, mut alice, mut bob) = scene(encryption).await;
    talk(&mut alice, &mut bob, "on the old computer", encryption).await;
    alice.stop().await;

    let mut alice = Person::sign_in(&server, ALICE).await;
    // One quiet line for what the old computer read and wrote, and no wall.
    let chat = alice.chat_with(BOB).await;
    let one_line = |list: &Value| {
        let rows = items(list);
        rows.len() == 1
            && rows[0]["undecryptable"]["reason"] == "before_this_device"
            && rows[0]["undecryptable"]["count"] == 6
    };
    let params = json!({ "chat": chat, "limit": 50 });
    alice
        .until("one line for six messages", "list_messages", params, one_line)
        .await;
    talk(&mut alice, &mut bob, "on the new computer", encryption).await;
    let rows = alice.messages(&chat).await;
    assert_eq!(rows.len(), 7, "one line and what was said since: {rows:?}");
}

#[tokio::test]
async fn a_new_computer_reads_what_comes_and_says_in_one_line_what_was_before_in_the_legacy_namespace() {
    a_database_is_gone("omemo1").await;
}

#[tokio::test]
async fn a_new_computer_reads_what_comes_and_says_in_one_line_what_was_before_in_omemo_2() {
    a_database_is_gone("omemo2").await;
}

async fn the_other_side_lost_its_keys(encryption: &'static str) {
    let (_server, mut alice, mut bob) = scene(encryption).await;
    talk(&mut alice, &mut bob, "at first", encryption).await;
    bob.stop().await;
    fs::remove_file(bob.state_file()).expect("Bob's keys are there");
    bob.start_again().await;
    talk(&mut alice, &mut bob, "afterwards", encryption).await;
}

#[tokio::test]
async fn the_other_side_lost_its_keys_and_is_read_as_a_new_device_in_the_legacy_namespace() {
    the_other_side_lost_its_keys("omemo1").await;
}

#[tokio::test]
async fn the_other_side_lost_its_keys_and_is_read_as_a_new_device_in_omemo_2() {
    the_other_side_lost_its_keys("omemo2").await;
}

async fn sessions_are_reset_while_something_is_under_way(encryption: &'static str) {
    let (_server, mut alice, mut bob) = scene(encryption).await;
    talk(&mut alice, &mut bob, "at first", encryption).await;
    let device = bob.devices(BOB).await[0]["device"].clone();
    alice.stop().await;
    bob.send(ALICE, "in the session that will be gone", encryption)
        .await;
    alice.start_again().await;
    let account = alice.account.clone();
    let before = texts(&mut alice).await;
    assert!(before.len() >= 6, "what was said at first: {before:?}");
    alice
        .get(
            "reset_session",
            json!({ "account": account, "address": BOB, "device": device }),
        )
        .await;
    bob.event("Alice's empty message", |e| e["event"] == "empty")
        .await;
    talk(&mut alice, &mut bob, "afterwards", encryption).await;
    // What was said before can be read as it could, also after a restart.
    alice.restart().await;
    let all = texts(&mut alice).await;
    assert!(all.starts_with(&before), "{before:?} became {all:?}");
    // It came before or after the reset; if it could not be read, its row says so and that all is well again.
    for row in unread_for(&mut alice, "no_session").await {
        assert_eq!(row["undecryptable"]["repaired"], true, "{row}");
    }
    let list = alice
        .get("list_devices", json!({ "account": account, "address": BOB }))
        .await;
    let known = items(&list)
        .iter()
        .find(|d| d["device"] == device)
        .expect("his device");
    assert_ne!(known["last_repaired"], Value::Null);
    assert_eq!(known["reach"], "ready");
}

#[tokio::test]
async fn encryption_with_a_device_is_reset_by_the_person_in_the_legacy_namespace() {
    sessions_are_reset_while_something_is_under_way("omemo1").await;
}

#[tokio::test]
async fn encryption_with_a_device_is_reset_by_the_person_in_omemo_2() {
    sessions_are_reset_while_something_is_under_way("omemo2").await;
}

/// The `<encrypted/>` element of a stanza.
fn encrypted(xml: &str) -> &str {
    let from = xml.find("<encrypted").expect("it is encrypted");
    let to = xml.find("</encrypted>").expect("it is encrypted");
    xml.get(from..to + "</encrypted>".len()).expect("the element")
}

/// The same with another ratchet key in the key element for this device, so that no session fits it.
fn for_no_session(element: &str, device: &Value) -> String {
    let rid = element
        .find(&format!("rid=\"{device}\""))
        .expect("a key for the device");
    let key = rid
        + element
            .get(rid..)
            .and_then(|rest| rest.find('>'))
            .expect("its text")
        + 1;
    let (before, after) = element.split_at(key + 12);
    let other = if after.starts_with('A') { "B" } else { "A" };
    format!("{before}{other}{}", after.get(1..).expect("a long key"))
}

#[tokio::test]
async fn a_session_that_broke_is_replaced_at_the_next_message_and_not_again_for_hours() {
    let (server, mut alice, mut bob) = scene("omemo1").await;
    let mut reader = Peer::sign_in_with(&server, BOB, "omemo1").await;
    talk(&mut alice, &mut bob, "at first", "omemo1").await;
    let sent = bob.send(ALICE, "the last one that fits", "omemo1").await;
    alice.hears("the last one that fits").await;
    let copy = reader
        .event("the copy", |e| e["carbon"] == "sent" && e["id"] == sent.as_str())
        .await;
    let own = bob.devices(ALICE).await[0]["device"].clone();
    let broken = for_no_session(encrypted(copy["xml"].as_str().expect("the stanza")), &own);
    let stanza = |id: &str| {
        format!(
            "<message type='chat' to='{ALICE}' id='{id}'>{broken}<store xmlns='urn:xmpp:hints'/></message>"
        )
    };

    bob.send_raw(&stanza("broken-one")).await;
    let repaired = |e: &Value| {
        let unread = &e["message"]["undecryptable"];
        e["type"] == "message_changed" && unread["reason"] == "no_session" && unread["repaired"] == true
    };
    alice.event("the row says that all is well again", repaired).await;
    bob.event("Alice's empty message", |e| e["event"] == "empty")
        .await;
    talk(&mut alice, &mut bob, "afterwards", "omemo1").await;

    // Whoever breaks it again and again sees nothing happen.
    bob.send_raw(&stanza("broken-two")).await;
    talk(&mut alice, &mut bob, "at last", "omemo1").await;
    let rows = unread_for(&mut alice, "no_session").await;
    let repaired: Vec<_> = rows
        .iter()
        .map(|row| row["undecryptable"]["repaired"].clone())
        .collect();
    assert_eq!(repaired, [json!(true), json!(false)]);
    assert!(
        !bob.events().iter().any(|e| e["event"] == "empty"),
        "the session was replaced once more"
    );
}

#[tokio::test]
async fn a_device_of_ours_is_taken_off_the_lists_and_gets_nothing_more() {
    let (server, mut alice, mut bob) = scene("both").await;
    let mut phone = Peer::sign_in_with(&server, ALICE, "both").await;
    let account = alice.account.clone();
    let id = phone.devices(ALICE).await[0]["device"].clone();
    let of_alice = json!({ "account": account, "address": ALICE });
    let active = |list: &Value| items(list).iter().filter(|d| d["active"] == true).count();
    alice
        .until(
            "both devices are listed",
            "list_devices",
            of_alice.clone(),
            |list| {
                active(list) == 2
                    && items(list)
                        .iter()
                        .all(|d| d["protocols"].as_array().is_some_and(|p| p.len() == 2))
            },
        )
        .await;
    let chat = alice.chat_with(BOB).await;
    alice.send(&chat, "for the phone too").await;
    assert_eq!(phone.message("for the phone too").await["error"], Value::Null);

    phone.stop().await;
    let off = json!({ "account": account, "device": id });
    alice.get("remove_device", off).await;
    let list = alice.get("list_devices", of_alice).await;
    assert_eq!(active(&list), 1, "{list}");
    assert_eq!(items(&list).len(), 2, "it is still shown");
    // Others see it too, in both generations.
    for device in bob.devices(ALICE).await {
        let protocols = device["active"].as_array().map_or(0, Vec::len);
        assert_eq!(protocols, if device["device"] == id { 0 } else { 2 }, "{device}");
    }
    let seen = alice.send(&chat, "not for the phone").await;
    bob.message("not for the phone").await;
    alice.delivery(&seen, "delivered").await;
}

#[tokio::test]
async fn a_one_time_key_is_offered_in_one_generation_only_and_never_again() {
    let (_server, mut alice, mut bob) = scene("both").await;
    let device = bob.devices(ALICE).await[0]["device"].clone();
    let legacy = format!("eu.siacs.conversations.axolotl.bundles:{device}");
    let ids = |xml: &str, name: &str| -> Vec<String> {
        let parts = xml.split(name).skip(1);
        parts
            .filter_map(|rest| rest.split('"').nth(1).map(str::to_owned))
            .collect()
    };
    let mut offered = Vec::new();
    for (node, name) in [
        (legacy.as_str(), ":preKeyPublic preKeyId="),
        ("urn:xmpp:omemo:2:bundles", ":pk id="),
    ] {
        let xml = bob.ask("published", json!({ "of": ALICE, "node": node })).await;
        let here = ids(xml.as_str().expect("XML"), name);
        assert_eq!(here.len(), 100, "{node}: {xml}");
        offered.push(here);
    }
    assert!(
        offered[0].iter().all(|id| !offered[1].contains(id)),
        "a key is offered in both generations"
    );
    to_alice(&mut alice, &mut bob, "uses one up", "omemo1").await;
    let waits = async |bob: &mut Peer| {
        let xml = bob.ask("published", json!({ "of": ALICE, "node": legacy })).await;
        ids(xml.as_str().expect("XML"), ":preKeyPublic preKeyId=")
    };
    let gone = waxwing_tests::until(
        "the used key is not offered any more",
        waxwing_tests::LONG,
        async || {
            let now = waits(&mut bob).await;
            offered[0].iter().any(|id| !now.contains(id)).then_some(now)
        },
    )
    .await;
    assert!(gone.len() >= 80, "there are enough left: {}", gone.len());
}

/// What went over Alice's wire with something encrypted in it, and nothing else.
fn sealed(list: &Value) -> Vec<String> {
    let out = items(list).iter().filter(|entry| entry["way"] == "out");
    let all = out.filter_map(|entry| entry["xml"].as_str());
    all.filter(|xml| xml.starts_with("<message") && xml.contains("<encrypted"))
        .map(str::to_owned)
        .collect()
}

/// The server shows no more of what the device did since than that it offers one prekey less.
#[tokio::test]
async fn an_older_copy_encrypts_nothing_before_it_has_seen_what_the_server_has_of_it() {
    let server = Prosody::start_with_friends(&[ALICE, BOB, CAROL]).await;
    let mut bob = Peer::sign_in_with(&server, BOB, "omemo1").await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    talk(&mut alice, &mut bob, "at first", "omemo1").await;
    let of_account = json!({ "account": alice.account.clone() });
    let enabled = |on: bool| json!({ "account": alice.account.clone(), "enabled": on });
    let (on, off) = (enabled(true), enabled(false));
    let console = json!({ "account": alice.account.clone(), "on": true });
    alice.get("set_account_enabled", off).await;
    alice.stop().await;
    alice.profile.back_up();
    alice.start_again().await;
    alice.get("set_account_enabled", on.clone()).await;
    alice.wait_online().await;
    let mut carol = Peer::sign_in_with(&server, CAROL, "omemo1").await;
    carol.send(ALICE, "hello", "omemo1").await;
    alice.hears("hello").await;
    let device = bob.devices(ALICE).await[0]["device"].clone();
    let node = format!("eu.siacs.conversations.axolotl.bundles:{device}");
    until("one is offered no more", LONG, async || {
        let xml = bob.ask("published", json!({ "of": ALICE, "node": node })).await;
        let count = xml.as_str().expect("XML").matches(":preKeyPublic ").count();
        (count < 100).then_some(())
    })
    .await;
    alice.stop().await;

    alice.profile.restore();
    alice.start_again().await;
    alice.get("set_console", console).await;
    let chat = alice.chat_with(BOB).await;
    alice.send(&chat, "in a new session").await;
    alice.get("set_account_enabled", on).await;
    assert_eq!(bob.message("in a new session").await["encryption"], "omemo1");
    let told = alice.get("list_console", of_account).await;
    for xml in sealed(&told) {
        let exchanges = xml.matches("prekey=").count();
        assert_eq!(xml.matches("<key ").count(), exchanges, "an old session: {xml}");
    }
    assert_eq!(account(&mut alice).await["renewed"], "restored");
}
