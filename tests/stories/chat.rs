//! One-to-one chats: both ways, delivery, other devices, unread, search.

use serde_json::{Value, json};
use waxwing_tests::{Peer, Person, Prosody, items};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";

async fn friends() -> (Prosody, Person, Person) {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let alice = Person::sign_in(&server, ALICE).await;
    let bob = Person::sign_in(&server, BOB).await;
    (server, alice, bob)
}

/// The delivery states of one message in the order in which they were told.
fn stages(person: &Person, message: &Value) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for event in person.events() {
        if event["type"] == "message_changed" && event["message"]["message"] == message["message"] {
            let stage = event["message"]["delivery"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            if told.last() != Some(&stage) {
                told.push(stage);
            }
        }
    }
    told
}

#[tokio::test]
async fn a_plain_message_is_waiting_then_sent_then_delivered() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    bob.ask("receipts", json!({ "automatic": false })).await;
    let chat = alice.plain_chat_with(BOB).await;

    let echo = alice.send(&chat, "Guten Morgen").await;
    assert_eq!(
        (&echo["direction"], &echo["body"]),
        (&json!("out"), &json!("Guten Morgen"))
    );
    assert_eq!(
        (&echo["delivery"], &echo["encryption"]),
        (&json!("waiting"), &json!("none"))
    );
    assert_eq!(echo["from"], ALICE);

    let seen = bob.message("Guten Morgen").await;
    assert_eq!(seen["wants_receipt"], true, "a receipt must be asked for");
    alice.delivery(&echo, "sent").await;
    bob.ask(
        "acknowledge",
        json!({ "to": seen["from"], "message": seen["id"] }),
    )
    .await;
    let delivered = alice.delivery(&echo, "delivered").await;
    assert!(
        delivered["rev"].as_i64() > echo["rev"].as_i64(),
        "a changed row must have a higher rev"
    );
    assert_eq!(stages(&alice, &echo), ["waiting", "sent", "delivered"]);
    let shown = |list: &Value| items(list).iter().any(|c| c["last"]["delivery"] == "delivered");
    alice
        .until("the chat list says delivered too", "list_chats", json!({}), shown)
        .await;
    let told = |e: &Value| e["type"] == "chat_changed" && e["chat"]["last"]["delivery"] == "delivered";
    let event = alice.event_within(told, std::time::Duration::from_secs(10)).await;
    assert!(
        event.is_some(),
        "nobody was told that the chat's last message is delivered"
    );
}

#[tokio::test]
async fn two_people_write_to_each_other_encrypted_by_default() {
    let (server, mut alice, mut bob) = friends().await;
    let hers = alice.chat_with(BOB).await;
    let sent = alice.send(&hers, "only-for-bob-4711").await;
    let heard = bob.hears("only-for-bob-4711").await;
    assert_eq!(
        heard["encryption"], "omemo1",
        "the generation that every program speaks is the default"
    );
    assert_eq!(
        (&heard["direction"], &heard["from"]),
        (&json!("in"), &json!(ALICE))
    );
    assert_eq!(
        heard["trust"], "blind",
        "a new key is trusted blindly before anything is verified"
    );
    let delivered = alice.delivery(&sent, "delivered").await;
    assert_eq!(delivered["encryption"], "omemo1");

    let his = heard["chat"].clone();
    for number in 0..5 {
        let text = format!("only-for-alice-{number}");
        bob.send(&his, &text).await;
        assert_eq!(alice.hears(&text).await["encryption"], "omemo1");
        let text = format!("only-for-bob-{number}");
        alice.send(&hers, &text).await;
        assert_eq!(bob.hears(&text).await["encryption"], "omemo1");
    }
    assert!(
        !server.has_stored("only-for-"),
        "the server must not be able to read any of it"
    );
}

#[tokio::test]
async fn what_another_device_of_ours_writes_and_receives_appears_here_too() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut desk = Person::sign_in(&server, ALICE).await;
    let mut lap = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    let chat = desk.plain_chat_with(BOB).await;
    desk.send(&chat, "written at the desk").await;
    let copy = lap.hears("written at the desk").await;
    assert_eq!(
        (&copy["direction"], &copy["from"]),
        (&json!("out"), &json!(ALICE))
    );
    bob.message("written at the desk").await;

    bob.send(ALICE, "for all your devices", "none").await;
    for device in [&mut desk, &mut lap] {
        let heard = device.hears("for all your devices").await;
        assert_eq!((&heard["direction"], &heard["from"]), (&json!("in"), &json!(BOB)));
    }
}

#[tokio::test]
async fn an_encrypted_message_reaches_the_own_other_device() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut desk = Person::sign_in(&server, ALICE).await;
    let mut lap = Person::sign_in(&server, ALICE).await;
    let mut bob = Person::sign_in(&server, BOB).await;
    // Each of the two must know of the other before it can encrypt for it.
    for device in [&mut desk, &mut lap] {
        let account = device.account.clone();
        let both = |list: &Value| items(list).iter().filter(|d| d["active"] == true).count() == 2;
        device
            .until(
                "both devices are known",
                "list_devices",
                json!({ "account": account, "address": ALICE }),
                both,
            )
            .await;
    }
    let chat = desk.chat_with(BOB).await;
    desk.send(&chat, "for Bob and my lap").await;
    assert_eq!(bob.hears("for Bob and my lap").await["encryption"], "omemo1");
    let copy = lap.hears("for Bob and my lap").await;
    assert_eq!(
        (&copy["direction"], &copy["encryption"]),
        (&json!("out"), &json!("omemo1"))
    );

    let his = bob.chat_with(ALICE).await;
    bob.send(&his, "for both of you").await;
    for device in [&mut desk, &mut lap] {
        assert_eq!(device.hears("for both of you").await["encryption"], "omemo1");
    }

    // What each device answered to a new session was for one device only, said nothing, and came before this.
    let lap_chat = lap.chat_with(BOB).await;
    lap.send(&lap_chat, "written at the lap").await;
    bob.hears("written at the lap").await;
    desk.hears("written at the lap").await;
    bob.send(&his, "the end").await;
    for (device, chat) in [(&mut desk, &chat), (&mut lap, &lap_chat)] {
        device.hears("the end").await;
        let messages = device.messages(chat).await;
        let bodies: Vec<&Value> = messages.iter().map(|message| &message["body"]).collect();
        assert_eq!(
            bodies,
            [
                "for Bob and my lap",
                "for both of you",
                "written at the lap",
                "the end"
            ]
        );
    }
}

#[tokio::test]
async fn unread_messages_are_counted_until_they_are_read() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    for number in 1..=3 {
        bob.send(ALICE, &format!("number {number}"), "none").await;
        let heard = alice.hears(&format!("number {number}")).await;
        let chat = heard["chat"].clone();
        let counted = |list: &Value| {
            items(list)
                .iter()
                .any(|c| c["chat"] == chat && c["unread"] == number)
        };
        alice
            .until("it is counted", "list_chats", json!({}), counted)
            .await;
    }
    let chats = alice.get("list_chats", json!({})).await;
    let chat = &items(&chats)[0];
    assert_eq!((&chat["address"], &chat["title"]), (&json!(BOB), &json!(BOB)));
    assert_eq!(chat["last"]["body"], "number 3");
    alice.get("mark_read", json!({ "chat": chat["chat"] })).await;
    alice
        .until("nothing is unread", "list_chats", json!({}), |list| {
            items(list).iter().all(|c| c["unread"] == 0)
        })
        .await;
    alice.restart().await;
    let chats = alice.get("list_chats", json!({})).await;
    assert_eq!(items(&chats)[0]["unread"], 0, "what was read stays read");
}

#[tokio::test]
async fn pages_of_messages_follow_each_other_without_gap_or_overlap() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    for number in 0..25 {
        bob.send(ALICE, &format!("line {number:02}"), "none").await;
    }
    let last = alice.hears("line 24").await;
    let chat = last["chat"].clone();
    let mut pages: Vec<Value> = Vec::new();
    let mut before = Value::Null;
    loop {
        let mut params = json!({ "chat": chat, "limit": 10 });
        if !before.is_null() {
            params["before"] = before.clone();
        }
        let page = alice.get("list_messages", params).await;
        let Some(oldest) = items(&page).first() else { break };
        before = oldest["message"].clone();
        pages.splice(0..0, items(&page).to_vec());
    }
    let bodies: Vec<_> = pages
        .iter()
        .map(|m| m["body"].as_str().unwrap_or_default().to_owned())
        .collect();
    let wanted: Vec<_> = (0..25).map(|number| format!("line {number:02}")).collect();
    assert_eq!(bodies, wanted);
}

#[tokio::test]
async fn a_message_is_found_by_its_words_newest_first() {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    for text in [
        "The Waxwing eats berries",
        "a heron eats fish",
        "waxwing BERRIES again",
        "写一封信给我",
    ] {
        bob.send(ALICE, text, "none").await;
        alice.hears(text).await;
    }
    let found = alice.get("search", json!({ "query": "berries waxwing" })).await;
    let bodies: Vec<_> = items(&found).iter().map(|m| m["body"].clone()).collect();
    assert_eq!(bodies, vec!["waxwing BERRIES again", "The Waxwing eats berries"]);
    let found = alice.get("search", json!({ "query": "封信" })).await;
    assert_eq!(
        items(&found).len(),
        1,
        "words of languages without spaces are found too"
    );
    for harmless in ["\"", "a OR", "NEAR(", "*", "' OR 1=1 --", "(((", "-"] {
        alice.get("search", json!({ "query": harmless })).await;
    }
}

#[tokio::test]
async fn a_message_to_somebody_who_does_not_exist_is_told_as_failed() {
    let server = Prosody::start(&[ALICE]).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let chat = alice.plain_chat_with("nobody@heron.test").await;
    let sent = alice.send(&chat, "hello?").await;
    let id = sent["message"].clone();
    let failed = |list: &Value| {
        items(list)
            .iter()
            .any(|m| m["message"] == id && m["delivery"] == "failed")
    };
    let list = alice
        .until(
            "the message has failed",
            "list_messages",
            json!({ "chat": chat }),
            failed,
        )
        .await;
    assert!(
        items(&list)[0]["error"]["code"].is_string(),
        "the reason must be told: {list}"
    );
}
