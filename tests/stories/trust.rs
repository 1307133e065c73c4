//! Whose keys are trusted: new keys wait for a decision, links and codes verify, and verified devices tell each other.

use serde_json::{Value, json};
use waxwing_tests::{Peer, Person, Prosody, Scripted, items};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";

/// The devices of somebody, as soon as all of them are as wanted.
async fn devices(person: &mut Person, of: &str, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let params = json!({ "account": person.account, "address": of });
    let list = person
        .until(what, "list_devices", params, |list| wanted(items(list)))
        .await;
    items(&list).to_vec()
}

/// The key of a person's own device.
async fn own_key(person: &mut Person) -> String {
    let own = person.address.clone();
    let known = devices(person, &own, "the own device", |list| {
        list.iter().any(|d| d["own"] == true)
    })
    .await;
    let own = known.iter().find(|d| d["own"] == true).expect("an own device");
    own["fingerprint"].as_str().expect("its key").to_owned()
}

/// How a key is trusted, as soon as it is so.
async fn trusts(person: &mut Person, of: &str, key: &str, trust: &str) {
    devices(person, of, &format!("{key} is {trust}"), |list| {
        list.iter()
            .any(|d| d["fingerprint"] == key && d["trust"] == trust)
    })
    .await;
}

async fn set_trust(person: &mut Person, of: &str, key: &str, trust: &str) {
    let params = json!({ "account": person.account, "address": of, "fingerprint": key, "trust": trust });
    person.get("set_trust", params).await;
}

async fn report(person: &mut Person, chat: &Value) -> Value {
    person.get("encryption_report", json!({ "chat": chat })).await
}

/// Waits until a message has failed, and gives it.
async fn fails(person: &mut Person, message: &Value) -> Value {
    let id = message["message"].clone();
    let find = |list: &Value| {
        let mut all = items(list).iter();
        all.find(|m| m["message"] == id && m["delivery"] == "failed")
            .cloned()
    };
    let params = json!({ "chat": message["chat"], "limit": 1000 });
    let list = person
        .until("the message fails", "list_messages", params, |list| {
            find(list).is_some()
        })
        .await;
    find(&list).unwrap_or_default()
}

/// Waits until the report says so of the next message.
async fn next_is(person: &mut Person, chat: &Value, next: &str) -> Value {
    let params = json!({ "chat": chat });
    person
        .until(
            &format!("the next message is {next}"),
            "encryption_report",
            params,
            |report| report["next"] == next,
        )
        .await
}

/// Waits until the chat's lock is as wanted.
async fn lock_is(person: &mut Person, chat: &Value, lock: &str) {
    person
        .until(&format!("the lock is {lock}"), "list_chats", json!({}), |list| {
            items(list)
                .iter()
                .any(|c| c["chat"] == *chat && c["lock"] == lock)
        })
        .await;
}

#[tokio::test]
async fn a_new_key_after_a_verified_one_is_seen_before_the_next_message_which_waits_for_the_decision() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in_with(&server, BOB, "omemo1").await;
    let chat = alice.chat_with(BOB).await;
    alice.send(&chat, "the first").await;
    bob.message("the first").await;
    let first = devices(&mut alice, BOB, "Bob's key", |list| list.len() == 1).await;
    let first = first[0]["fingerprint"].as_str().expect("a key").to_owned();
    set_trust(&mut alice, BOB, &first, "verified").await;

    let mut phone = Person::sign_in(&server, BOB).await;
    let key = own_key(&mut phone).await;
    // Nothing was written, and it is there to be decided about.
    lock_is(&mut alice, &chat, "undecided").await;
    trusts(&mut alice, BOB, &key, "undecided").await;
    let held = alice.send(&chat, "behind the decision").await;
    let told = next_is(&mut alice, &chat, "undecided").await;
    let reach = |key: &str| {
        let all = items(&told["devices"]);
        let found = all.iter().find(|d| d["device"]["fingerprint"] == key).cloned();
        found.expect("the device is in the report")["device"]["reach"].clone()
    };
    assert_eq!((reach(&key), reach(&first)), (json!("undecided"), json!("ready")));
    bob.ask("ping", json!({})).await;
    assert!(
        bob.events().iter().all(|e| e["body"] != "behind the decision"),
        "it went out before the decision"
    );

    set_trust(&mut alice, BOB, &key, "blind").await;
    assert_eq!(bob.message("behind the decision").await["encryption"], "omemo1");
    phone.hears("behind the decision").await;
    alice.delivery(&held, "sent").await;
    lock_is(&mut alice, &chat, "encrypted").await;
}

/// A message that failed is tried again, and waits for a decision while the archive tells of the one that failed.
#[tokio::test]
async fn a_message_that_is_tried_again_is_not_taken_for_its_own_failed_copy_in_the_archive() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in_with(&server, BOB, "omemo1").await;
    bob.ask("receipts", json!({ "automatic": false })).await;
    let chat = alice.chat_with(BOB).await;
    let message = alice.send(&chat, "to be tried again").await;
    let heard = bob.message("to be tried again").await;
    let first = devices(&mut alice, BOB, "Bob's key", |list| list.len() == 1).await;
    let first = first[0]["fingerprint"].as_str().expect("a key").to_owned();
    set_trust(&mut alice, BOB, &first, "verified").await;
    let (id, from) = (heard["id"].as_str(), heard["from"].as_str());
    let (id, from) = (id.expect("an id"), from.expect("a sender"));
    bob.send_raw(&format!(
        "<message xmlns='jabber:client' type='error' id='{id}' to='{from}'><error type='cancel'>\
         <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    ))
    .await;
    fails(&mut alice, &message).await;
    let account = alice.account.clone();
    let enabled = |on: bool| json!({ "account": account, "enabled": on });
    alice.get("set_account_enabled", enabled(false)).await;
    alice.account_until(&account, "offline").await;
    let mut phone = Person::sign_in(&server, BOB).await;
    let key = own_key(&mut phone).await;
    alice
        .get("retry_message", json!({ "message": message["message"] }))
        .await;
    alice.forget_events();
    alice.get("set_account_enabled", enabled(true)).await;
    alice
        .event("the archive has been read", |e| e["type"] == "caught_up")
        .await;
    trusts(&mut alice, BOB, &key, "undecided").await;
    set_trust(&mut alice, BOB, &key, "blind").await;
    bob.message("to be tried again").await;
    alice.delivery(&message, "sent").await;
}

#[tokio::test]
async fn a_new_key_that_is_refused_gets_nothing_and_the_message_goes_on() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in_with(&server, BOB, "omemo1").await;
    let chat = alice.chat_with(BOB).await;
    alice.send(&chat, "the first").await;
    bob.message("the first").await;
    let first = devices(&mut alice, BOB, "Bob's key", |list| list.len() == 1).await;
    let first = first[0]["fingerprint"].as_str().expect("a key").to_owned();
    set_trust(&mut alice, BOB, &first, "verified").await;
    let mut stranger = Person::sign_in(&server, BOB).await;
    let key = own_key(&mut stranger).await;
    lock_is(&mut alice, &chat, "undecided").await;
    let held = alice.send(&chat, "not for everybody").await;
    set_trust(&mut alice, BOB, &key, "untrusted").await;
    bob.message("not for everybody").await;
    alice.delivery(&held, "sent").await;
    let chats = stranger.get("list_chats", json!({})).await;
    for chat in items(&chats) {
        let messages = stranger.messages(&chat["chat"]).await;
        assert!(
            messages.iter().all(|m| m["body"] != "not for everybody"),
            "the refused device read it"
        );
    }
    // Nobody else is left to be written to.
    set_trust(&mut alice, BOB, &first, "untrusted").await;
    let told = report(&mut alice, &chat).await;
    assert_eq!(told["next"], "no_trusted_devices", "{told}");
    let failed = alice.send(&chat, "for nobody").await;
    let outcome = fails(&mut alice, &failed).await;
    assert_eq!(outcome["error"]["code"], "no_trusted_devices", "{outcome}");
}

#[tokio::test]
async fn the_report_says_what_then_happens() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut desk = Peer::sign_in_with(&server, BOB, "omemo1").await;
    let mut lap = Person::sign_in(&server, BOB).await;
    let chat = alice.chat_with(BOB).await;
    alice.send(&chat, "to both").await;
    desk.message("to both").await;
    lap.hears("to both").await;
    let laps = own_key(&mut lap).await;
    let all = devices(&mut alice, BOB, "both keys", |list| {
        list.iter().all(|d| d["fingerprint"] != Value::Null)
    })
    .await;
    let desks = all
        .iter()
        .find(|d| d["fingerprint"] != laps.as_str())
        .expect("the desk");
    let desks = desks["fingerprint"].as_str().expect("its key").to_owned();
    for (number, (of_desk, of_lap, next)) in [
        ("blind", "blind", "encrypted"),
        ("verified", "blind", "encrypted"),
        ("untrusted", "verified", "encrypted"),
        ("verified", "untrusted", "encrypted"),
        ("untrusted", "untrusted", "no_trusted_devices"),
    ]
    .into_iter()
    .enumerate()
    {
        set_trust(&mut alice, BOB, &desks, of_desk).await;
        set_trust(&mut alice, BOB, &laps, of_lap).await;
        let told = report(&mut alice, &chat).await;
        assert_eq!(told["next"], next, "{of_desk} {of_lap}: {told}");
        let reached = |key: &str| {
            let all = items(&told["devices"]);
            all.iter()
                .any(|d| d["device"]["fingerprint"] == key && d["device"]["reach"] == "ready")
        };
        let (on_desk, on_lap) = (reached(&desks), reached(&laps));
        assert_eq!(
            (on_desk, on_lap),
            (of_desk != "untrusted", of_lap != "untrusted"),
            "{told}"
        );
        let body = format!("message {number}");
        let sent = alice.send(&chat, &body).await;
        if next == "no_trusted_devices" {
            assert_eq!(fails(&mut alice, &sent).await["error"]["code"], next);
            continue;
        }
        if on_desk {
            desk.message(&body).await;
        }
        if on_lap {
            lap.hears(&body).await;
        }
    }
    let got = desk
        .events()
        .into_iter()
        .filter(|e| e["event"] == "message" && e["body"] == "message 2");
    assert_eq!(got.count(), 0, "the desk read what it was refused");
}

#[tokio::test]
async fn a_new_device_of_ones_own_waits_for_a_decision_too() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut desk = Person::sign_in(&server, ALICE).await;
    let mut lap = Person::sign_in(&server, ALICE).await;
    let bob = Person::sign_in(&server, BOB).await;
    let lap_key = own_key(&mut lap).await;
    let chat = desk.chat_with(BOB).await;
    desk.send(&chat, "hello").await;
    trusts(&mut desk, ALICE, &lap_key, "blind").await;
    set_trust(&mut desk, ALICE, &lap_key, "verified").await;
    let mut third = Person::sign_in(&server, ALICE).await;
    let third_key = own_key(&mut third).await;
    lock_is(&mut desk, &chat, "undecided").await;
    trusts(&mut desk, ALICE, &third_key, "undecided").await;
    set_trust(&mut desk, ALICE, &third_key, "untrusted").await;
    lock_is(&mut desk, &chat, "encrypted").await;
    drop(bob);
}

#[tokio::test]
async fn a_link_verifies_the_keys_that_it_names_and_tells_first_what_it_would_do() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Person::sign_in(&server, BOB).await;
    let key = own_key(&mut bob).await;
    let of_bob = json!({ "account": bob.account });
    let own = bob.get("own_code", of_bob).await;
    let link = own["link"].as_str().expect("a link").to_owned();
    assert!(
        link.starts_with(&format!("xmpp:{BOB}?omemo-sid-")) && link.ends_with(&key),
        "{link}"
    );
    assert_eq!(
        items(&own["rows"]).len(),
        own["rows"][0].as_str().map_or(0, str::len)
    );

    // Before his device was ever seen: it counts at first sight.
    let of_link = json!({ "account": alice.account, "link": link });
    let read = alice.get("read_key_link", of_link.clone()).await;
    assert_eq!((&read["address"], &read["ours"]), (&json!(BOB), &json!(false)));
    let standing = read["keys"][0]["standing"].clone();
    assert!(standing == "unseen" || standing == "known", "{read}");
    alice.get("accept_key_link", of_link.clone()).await;
    let chat = alice.chat_with(BOB).await;
    alice.send(&chat, "to a verified device").await;
    bob.hears("to a verified device").await;
    trusts(&mut alice, BOB, &key, "verified").await;
    let again = alice.get("read_key_link", of_link).await;
    assert_eq!(again["keys"][0]["standing"], "verified", "{again}");

    // Another key for the same device is a danger, and costs the known one its trust.
    let (head, _) = link.split_at(link.len() - key.len());
    let forged = format!("{head}{}", "1".repeat(64));
    let of_forged = json!({ "account": alice.account, "link": forged });
    let read = alice.get("read_key_link", of_forged.clone()).await;
    assert_eq!(read["keys"][0]["standing"], "differs", "{read}");
    trusts(&mut alice, BOB, &key, "verified").await;
    alice.get("accept_key_link", of_forged).await;
    trusts(&mut alice, BOB, &key, "untrusted").await;
    let no_keys = json!({ "account": alice.account, "link": "xmpp:x@y.z" });
    let refused = alice.call("read_key_link", no_keys).await;
    assert_eq!(refused.expect_err("no link of keys").code, "no_key_link");
}

/// A link with one device of somebody.
fn link(of: &str, device: &Value) -> String {
    let print = device["fingerprint"].as_str().expect("a key");
    format!("xmpp:{of}?omemo-sid-{}={print}", device["device"])
}

/// One person verifies a device of somebody.
async fn verify(person: &mut Person, of: &str, other: &mut Person) {
    let key = own_key(other).await;
    let known = devices(other, of, "the own device", |list| {
        list.iter().any(|d| d["fingerprint"] == key.as_str())
    })
    .await;
    let device = known
        .iter()
        .find(|d| d["fingerprint"] == key.as_str())
        .expect("the device");
    let params = json!({ "account": person.account, "link": link(of, device) });
    person.get("accept_key_link", params).await;
    trusts(person, of, &key, "verified").await;
}

/// Alice at her desk and with her laptop, and Bob; all of them know each other's devices.
async fn three() -> (Prosody, Person, Person, Person) {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut desk = Person::sign_in(&server, ALICE).await;
    let mut lap = Person::sign_in(&server, ALICE).await;
    let mut bob = Person::sign_in(&server, BOB).await;
    for (person, text) in [(&mut desk, "from the desk"), (&mut lap, "from the lap")] {
        let both = |list: &[Value]| list.iter().filter(|d| d["active"] == true).count() == 2;
        devices(person, ALICE, "both devices are known", both).await;
        let chat = person.chat_with(BOB).await;
        person.send(&chat, text).await;
        bob.hears(text).await;
    }
    desk.hears("from the lap").await;
    lap.hears("from the desk").await;
    (server, desk, lap, bob)
}

/// Nothing of what devices told each other is seen by people: no message and no chat came of it.
async fn nothing_is_seen(person: &mut Person, other: &str, texts: &[&str]) {
    let chats = person.get("list_chats", json!({})).await;
    for chat in items(&chats) {
        assert_eq!(chat["address"], other, "another chat came of it: {chat}");
        for message in person.messages(&chat["chat"]).await {
            let body = message["body"].as_str().unwrap_or_default();
            assert!(texts.contains(&body), "a row came of it: {message}");
        }
    }
}

#[tokio::test]
async fn what_a_person_verifies_or_refuses_counts_on_their_other_verified_devices() {
    let (_server, mut desk, mut lap, mut bob) = three().await;
    verify(&mut desk, ALICE, &mut lap).await;
    verify(&mut lap, ALICE, &mut desk).await;
    let bobs = own_key(&mut bob).await;
    verify(&mut desk, BOB, &mut bob).await;
    trusts(&mut lap, BOB, &bobs, "verified").await;
    set_trust(&mut desk, BOB, &bobs, "untrusted").await;
    trusts(&mut lap, BOB, &bobs, "untrusted").await;
    let texts = ["from the desk", "from the lap"];
    nothing_is_seen(&mut desk, BOB, &texts).await;
    nothing_is_seen(&mut lap, BOB, &texts).await;
    nothing_is_seen(&mut bob, ALICE, &texts).await;
}

#[tokio::test]
async fn a_contact_who_verified_one_device_learns_of_the_others() {
    let (_server, mut desk, mut lap, mut bob) = three().await;
    let laps = own_key(&mut lap).await;
    verify(&mut bob, ALICE, &mut desk).await;
    verify(&mut desk, ALICE, &mut lap).await;
    trusts(&mut bob, ALICE, &laps, "blind").await;
    // With this the desk tells Bob's device which of its others are verified.
    verify(&mut desk, BOB, &mut bob).await;
    trusts(&mut bob, ALICE, &laps, "verified").await;
    // And what it is told of later, too.
    set_trust(&mut desk, ALICE, &laps, "untrusted").await;
    trusts(&mut bob, ALICE, &laps, "untrusted").await;
}

/// Whether somebody's chat with Alice says that trust in a device of hers was taken back, as soon as it does so or not.
async fn chat_tells_of_taken_back_trust(person: &mut Person, tells: bool) {
    let of_alice = |list: &Value| {
        let mut chats = items(list).iter();
        chats.any(|c| c["address"] == ALICE && c["trust_taken_back"] == tells)
    };
    let what = format!("the chat tells of taken back trust: {tells}");
    person.until(&what, "list_chats", json!({}), of_alice).await;
}

#[tokio::test]
async fn that_a_verified_device_of_a_contact_took_trust_back_is_told_until_the_person_has_decided() {
    let (_server, mut desk, mut lap, mut bob) = three().await;
    let (desks, laps) = (own_key(&mut desk).await, own_key(&mut lap).await);
    verify(&mut bob, ALICE, &mut desk).await;
    verify(&mut desk, BOB, &mut bob).await;
    chat_tells_of_taken_back_trust(&mut bob, false).await;
    set_trust(&mut desk, ALICE, &laps, "untrusted").await;

    chat_tells_of_taken_back_trust(&mut bob, true).await;
    let chat = bob.chat_with(ALICE).await;
    let of = |report: &Value, key: &str| -> Value {
        let mut all = items(&report["devices"]).iter();
        let found = all.find(|d| d["device"]["fingerprint"] == key);
        found.expect("the device is in the report")["device"].clone()
    };
    let told = report(&mut bob, &chat).await;
    let (speaker, silenced) = (of(&told, &desks), of(&told, &laps));
    assert_eq!(
        (
            &silenced["reach"],
            &silenced["trust_told"],
            &silenced["taken_back_by"]
        ),
        (&json!("untrusted"), &json!(true), &speaker["device"]),
        "{silenced}"
    );
    bob.restart().await;
    chat_tells_of_taken_back_trust(&mut bob, true).await;

    set_trust(&mut bob, ALICE, &laps, "untrusted").await;
    chat_tells_of_taken_back_trust(&mut bob, false).await;
    let told = report(&mut bob, &chat).await;
    let decided = of(&told, &laps);
    assert_eq!(
        (&decided["trust_told"], &decided["taken_back_by"]),
        (&json!(false), &Value::Null),
        "{decided}"
    );
}

#[tokio::test]
async fn the_word_of_a_device_that_is_not_verified_waits_until_it_is() {
    let (_server, mut desk, mut lap, mut bob) = three().await;
    let bobs = own_key(&mut bob).await;
    let console = json!({ "account": lap.account, "on": true });
    lap.get("set_console", console).await;
    // The desk believes the laptop, and tells it; the laptop does not believe the desk yet.
    verify(&mut desk, ALICE, &mut lap).await;
    verify(&mut desk, BOB, &mut bob).await;
    let told = |entry: &Value| {
        let xml = entry["xml"].as_str().unwrap_or_default();
        entry["way"] == "in"
            && xml.contains("<message")
            && xml.contains("<payload")
            && xml.contains("urn:xmpp:omemo:2")
    };
    let params = json!({ "account": lap.account });
    lap.until("the desk's word has come", "list_console", params, |list| {
        items(list).iter().any(told)
    })
    .await;
    trusts(&mut lap, BOB, &bobs, "blind").await;
    verify(&mut lap, ALICE, &mut desk).await;
    trusts(&mut lap, BOB, &bobs, "verified").await;
}

/// The questions for device lists that went out to somebody.
async fn asked_for_lists(person: &mut Person, of: &str) -> usize {
    let of_account = json!({ "account": person.account });
    let entries = person.get("list_console", of_account).await;
    let out = items(&entries).iter().filter(|entry| entry["way"] == "out");
    let xml = out.filter_map(|entry| entry["xml"].as_str());
    xml.filter(|xml| xml.contains(of) && xml.contains("<items ") && xml.contains("device"))
        .count()
}

#[tokio::test]
async fn whoever_opens_a_strangers_chat_sees_whether_it_can_be_encrypted_and_nobody_is_asked_before() {
    let server = Prosody::start(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in_with(&server, BOB, "omemo1").await;
    let console = json!({ "account": alice.account, "on": true });
    alice.get("set_console", console).await;
    bob.send(ALICE, "do you know me?", "none").await;
    let chat = alice.hears("do you know me?").await["chat"].clone();
    bob.send(ALICE, "it is me", "none").await;
    alice.hears("it is me").await;
    lock_is(&mut alice, &chat, "checking").await;
    assert_eq!(asked_for_lists(&mut alice, BOB).await, 0, "a stranger was asked");

    let look = json!({ "looking": true, "chat": chat });
    alice.get("set_looking", look.clone()).await;
    lock_is(&mut alice, &chat, "encrypted").await;
    alice.get("set_looking", json!({ "looking": false })).await;
    alice.get("set_looking", look).await;
    bob.send(ALICE, "and now?", "none").await;
    alice.hears("and now?").await;
    assert_eq!(
        asked_for_lists(&mut alice, BOB).await,
        2,
        "one list of each generation"
    );
}

#[tokio::test]
async fn a_chat_that_was_opened_offline_says_whether_it_can_be_encrypted_as_soon_as_that_is_known() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let enabled = |on: bool| json!({ "account": alice.account, "enabled": on });
    let (on, off) = (enabled(true), enabled(false));
    alice.get("set_account_enabled", off).await;
    let chat = alice.chat_with(BOB).await;
    alice
        .get("set_looking", json!({ "looking": true, "chat": chat }))
        .await;
    lock_is(&mut alice, &chat, "checking").await;
    let told = report(&mut alice, &chat).await;
    assert_eq!(
        (&told["online"], &told["next"]),
        (&json!(false), &json!("asks")),
        "{told}"
    );
    alice.get("set_account_enabled", on).await;
    // Bob was never there, and has no devices.
    lock_is(&mut alice, &chat, "plain_no_devices").await;
}

/// Alice has talked with Bob, who is no contact, on his old phone.
async fn with_bobs_old_phone() -> (Prosody, Person, Peer, Value) {
    let server = Prosody::start(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in_with(&server, BOB, "omemo1").await;
    bob.send(ALICE, "from the old phone", "omemo1").await;
    let chat = alice.hears("from the old phone").await["chat"].clone();
    alice.send(&chat, "to the old phone").await;
    bob.message("to the old phone").await;
    (server, alice, bob, chat)
}

/// Nobody tells us of a new device of somebody who is no contact, but that device by writing.
#[tokio::test]
async fn who_is_no_contact_and_writes_from_a_new_device_gets_the_answer_there() {
    let (server, mut alice, _bob, chat) = with_bobs_old_phone().await;
    let mut phone = Peer::sign_in_with(&server, BOB, "omemo1").await;
    phone.send(ALICE, "from the new phone", "omemo1").await;
    alice.hears("from the new phone").await;
    alice.send(&chat, "to the new phone").await;
    let answer = phone.message("to the new phone").await;
    assert_eq!(answer["encryption"], "omemo1", "{answer}");
}

#[tokio::test]
async fn a_device_that_writes_and_is_on_no_list_is_named_so_and_its_lists_are_not_asked_for_each_time() {
    let (server, mut alice, mut bob, chat) = with_bobs_old_phone().await;
    let mut phone = Peer::sign_in_with(&server, BOB, "omemo1").await;
    let device = phone.devices(BOB).await[0]["device"].clone();
    let delete = "<iq type='set' id='delete'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>\
        <delete node='eu.siacs.conversations.axolotl.devicelist'/></pubsub></iq>";
    bob.send_raw(delete).await;
    let console = json!({ "account": alice.account, "on": true });
    alice.get("set_console", console).await;
    phone.send(ALICE, "from the new phone", "omemo1").await;
    alice.hears("from the new phone").await;
    let named = |report: &Value| {
        let of_phone = items(&report["devices"])
            .iter()
            .find(|d| d["device"]["device"] == device);
        of_phone.is_some_and(|d| d["device"]["reach"] == "unlisted")
    };
    let params = json!({ "chat": chat });
    alice
        .until("the report names the device", "encryption_report", params, named)
        .await;
    for number in 0..3 {
        let body = format!("is anybody there? {number}");
        phone.send(ALICE, &body, "omemo1").await;
        alice.hears(&body).await;
    }
    assert_eq!(
        asked_for_lists(&mut alice, BOB).await,
        2,
        "one list of each generation"
    );
}

#[tokio::test]
async fn whoever_looks_at_somebodys_devices_again_and_again_does_not_have_the_server_asked_each_time() {
    const LISTS: &str = "urn:xmpp:omemo:2:devices";
    let mut scene = Scripted::sign_in(|honest| honest).await;
    scene.app.online(&scene.account).await;
    let before = scene.server.count(LISTS);
    let (begun, params) = (
        std::time::Instant::now(),
        json!({ "account": scene.account, "address": scene.friend }),
    );
    for _ in 0..300 {
        scene.app.get("list_devices", params.clone()).await;
    }
    scene
        .server
        .until("the server is asked once", |server| server.count(LISTS) > before)
        .await;
    let (asked, seconds) = (scene.server.count(LISTS) - before, begun.elapsed().as_secs());
    assert!(asked as u64 <= 2 + seconds, "asked {asked} times in {seconds} s");
}
