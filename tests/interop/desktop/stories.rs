//! What happens between Alice, who uses Waxwing, and Bob, who uses another messenger.

use std::fs;

use serde_json::{Value, json};
use waxwing_tests::{LONG, Person, items, until};

use crate::client::{Client, Town};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";
/// Stands in every message, and must stand nowhere on the server.
const MARK: &str = "pebble";

/// A device's number, as all programs write it.
type Device = u64;

/// The two, each signed in on one device, and knowing each other's.
struct Scene {
    town: Town,
    alice: Person,
    bob: Client,
}

impl Scene {
    async fn with(program: &'static str) -> Self {
        let town = Town::of_friends(&[ALICE, BOB]).await;
        let mut alice = Person::sign_in(&town.server, ALICE).await;
        let mut bob = Client::sign_in(&town, program, BOB).await;
        bob.announce().await;
        devices(&mut alice, BOB, 1).await;
        bob.knows(ALICE, &devices(&mut alice, ALICE, 1).await).await;
        Self { town, alice, bob }
    }

    /// Alice writes and Bob reads.
    async fn alice_writes(&mut self, words: &str) {
        let body = format!("{MARK} {words}");
        let chat = self.alice.chat_with(BOB).await;
        let written = self.alice.send(&chat, &body).await;
        self.bob.reads(ALICE, &body).await;
        let told = self.alice.delivery(&written, "delivered").await;
        assert_eq!(told["encryption"], "omemo1", "as Alice's own row says");
    }

    /// Bob writes and Alice reads.
    async fn bob_writes(&mut self, words: &str) {
        let body = format!("{MARK} {words}");
        self.bob.say(ALICE, &body).await;
        heard(&mut self.alice, &body, BOB, "in").await;
    }

    /// Both ways, and back again.
    async fn talk(&mut self, when: &str) {
        self.alice_writes(&format!("from Alice {when}")).await;
        self.bob_writes(&format!("from Bob {when}")).await;
        self.alice_writes(&format!("from Alice again {when}")).await;
        self.bob_writes(&format!("from Bob again {when}")).await;
    }

    /// Nothing came that was not waited for, nothing is a row without words, and the server could read nothing.
    async fn end(mut self) {
        let chat = self.alice.chat_with(BOB).await;
        for message in self.alice.messages(&chat).await {
            assert_eq!(
                (&message["encryption"], &message["undecryptable"]),
                (&json!("omemo1"), &Value::Null),
                "as Alice has it: {message}"
            );
        }
        self.end_for_bob().await;
    }

    /// The same where Alice has rows without words, which the story has looked at.
    async fn end_for_bob(mut self) {
        assert_eq!(self.bob.received(), Vec::<Value>::new(), "Bob got more than that");
        assert!(!self.town.server.has_stored(MARK), "the server could read it");
        self.bob.stop().await;
    }
}

/// The devices of somebody once so many of them are known and in use.
async fn devices(person: &mut Person, of: &str, count: usize) -> Vec<Device> {
    let active = |list: &Value| -> Vec<Device> {
        let used = items(list).iter().filter(|d| d["active"] == true);
        used.filter_map(|d| d["device"].as_u64()).collect()
    };
    let what = format!("{count} devices of {of} are known");
    // Without a chat nothing tells that a list has come.
    until(&what, LONG, async || {
        let params = json!({ "account": person.account, "address": of });
        let list = person.get("list_devices", params).await;
        (active(&list).len() == count).then(|| active(&list))
    })
    .await
}

/// One of Alice's programs gets a message, encrypted.
async fn heard(person: &mut Person, body: &str, from: &str, direction: &str) {
    let message = person.hears(body).await;
    assert_eq!(
        (&message["encryption"], &message["from"], &message["direction"]),
        (&json!("omemo1"), &json!(from), &json!(direction)),
        "as Alice has it: {message}"
    );
}

pub async fn alice_begins_and_bob_answers(program: &'static str) {
    let mut scene = Scene::with(program).await;
    scene.alice_writes("the first one").await;
    scene.bob_writes("the answer").await;
    scene.talk("later").await;
    scene.end().await;
}

pub async fn bob_begins_and_alice_answers(program: &'static str) {
    let mut scene = Scene::with(program).await;
    scene.bob_writes("the first one").await;
    scene.alice_writes("the answer").await;
    scene.talk("later").await;
    scene.end().await;
}

pub async fn five_of_each_in_a_row_are_read_in_order(program: &'static str) {
    let mut scene = Scene::with(program).await;
    for round in ["first", "second"] {
        let row = |who: &str| {
            (1..=5)
                .map(|n| format!("{MARK} {round} {n} from {who}"))
                .collect::<Vec<_>>()
        };
        let chat = scene.alice.chat_with(BOB).await;
        for body in row("Alice") {
            scene.alice.send(&chat, &body).await;
        }
        for body in row("Alice") {
            scene.bob.reads(ALICE, &body).await;
        }
        for body in row("Bob") {
            scene.bob.say(ALICE, &body).await;
        }
        for body in row("Bob") {
            heard(&mut scene.alice, &body, BOB, "in").await;
        }
        let all: Vec<_> = scene
            .alice
            .messages(&chat)
            .await
            .iter()
            .map(|m| m["body"].clone())
            .collect();
        let expected: Vec<_> = [row("Alice"), row("Bob")]
            .concat()
            .into_iter()
            .map(Value::from)
            .collect();
        assert!(all.ends_with(&expected), "not in this order: {all:?}");
    }
    scene.end().await;
}

pub async fn a_restart_of_either_side_harms_nothing(program: &'static str) {
    let mut scene = Scene::with(program).await;
    scene.alice_writes("before any restart").await;
    scene.alice.restart().await;
    scene
        .alice_writes("after Alice's restart, before any answer")
        .await;
    scene.bob.restart().await;
    scene.alice_writes("after Bob's restart, before any answer").await;
    scene.bob_writes("after both restarts").await;
    scene.alice.restart().await;
    scene.talk("after Alice's second restart").await;
    scene.bob.restart().await;
    scene.talk("after Bob's second restart").await;
    scene.end().await;
}

pub async fn what_is_written_while_the_other_is_away_is_read_later(program: &'static str) {
    let mut scene = Scene::with(program).await;
    scene.talk("while both are there").await;
    let row = |who: &str| {
        (1..=3)
            .map(|n| format!("{MARK} {n} while {who} is away"))
            .collect::<Vec<_>>()
    };

    scene.bob.stop().await;
    let chat = scene.alice.chat_with(BOB).await;
    for body in row("Bob") {
        let written = scene.alice.send(&chat, &body).await;
        scene.alice.delivery(&written, "sent").await;
    }
    scene.bob.start().await;
    for body in row("Bob") {
        scene.bob.reads(ALICE, &body).await;
    }

    scene.alice.stop().await;
    for body in row("Alice") {
        scene.bob.say(ALICE, &body).await;
    }
    scene.alice.start_again().await;
    for body in row("Alice") {
        heard(&mut scene.alice, &body, BOB, "in").await;
    }
    scene.talk("when both are there again").await;
    scene.end().await;
}

pub async fn all_devices_of_both_read_everything(program: &'static str) {
    let mut scene = Scene::with(program).await;
    let first = devices(&mut scene.alice, BOB, 1).await;
    let mut other_alice = Person::sign_in(&scene.town.server, ALICE).await;
    let mut other_bob = Client::sign_in(&scene.town, program, BOB).await;
    for alice in [&mut scene.alice, &mut other_alice] {
        let (hers, mut his) = (devices(alice, ALICE, 2).await, devices(alice, BOB, 2).await);
        his.retain(|device| !first.contains(device));
        scene.bob.knows(BOB, &his).await;
        other_bob.knows(BOB, &first).await;
        for bob in [&mut scene.bob, &mut other_bob] {
            bob.knows(ALICE, &hers).await;
        }
    }
    for round in ["first", "second"] {
        for writer in ["desk", "phone"] {
            let body = format!("{MARK} {round} from Alice's {writer}");
            let (writing, copied) = match writer {
                "desk" => (&mut scene.alice, &mut other_alice),
                _ => (&mut other_alice, &mut scene.alice),
            };
            let chat = writing.chat_with(BOB).await;
            writing.send(&chat, &body).await;
            heard(copied, &body, ALICE, "out").await;
            scene.bob.reads(ALICE, &body).await;
            other_bob.reads(ALICE, &body).await;

            let body = format!("{MARK} {round} from Bob's {writer}");
            let (writing, copied) = match writer {
                "desk" => (&mut scene.bob, &mut other_bob),
                _ => (&mut other_bob, &mut scene.bob),
            };
            writing.say(ALICE, &body).await;
            copied.reads(BOB, &body).await;
            heard(&mut scene.alice, &body, BOB, "in").await;
            heard(&mut other_alice, &body, BOB, "in").await;
        }
    }
    assert_eq!(
        other_bob.received(),
        Vec::<Value>::new(),
        "Bob got more than that"
    );
    other_bob.stop().await;
    scene.end().await;
}

pub async fn bob_goes_on_after_losing_his_keys(program: &'static str) {
    let mut scene = Scene::with(program).await;
    scene.talk("before").await;
    scene.bob.stop().await;
    scene.bob.lose_keys().await;
    scene.bob.start().await;
    let hers = devices(&mut scene.alice, ALICE, 1).await;
    devices(&mut scene.alice, BOB, 2).await;
    scene.bob.knows(ALICE, &hers).await;
    scene.talk("afterwards").await;
    scene.bob.restart().await;
    scene.talk("after a restart").await;
    scene.end().await;
}

pub async fn alice_goes_on_after_losing_her_profile(program: &'static str) {
    let mut scene = Scene::with(program).await;
    scene.talk("before").await;
    scene.alice.stop().await;
    scene.alice = Person::sign_in(&scene.town.server, ALICE).await;
    let hers = devices(&mut scene.alice, ALICE, 2).await;
    devices(&mut scene.alice, BOB, 1).await;
    scene.bob.knows(ALICE, &hers).await;
    scene.bob_writes("afterwards, from Bob at first").await;
    scene.talk("afterwards").await;
    scene.alice.restart().await;
    scene.talk("after a restart").await;
    // What was before is one row, whatever there was.
    assert_eq!(told(&mut scene.alice).await, ["before_this_device"]);
    scene.end_for_bob().await;
}

/// Why Alice's rows without words have none; all of them were encrypted.
async fn told(person: &mut Person) -> Vec<String> {
    let chat = person.chat_with(BOB).await;
    let rows = person.messages(&chat).await;
    for row in &rows {
        assert_eq!(row["encryption"], "omemo1", "as Alice has it: {row}");
    }
    let reasons = rows
        .iter()
        .filter_map(|row| row["undecryptable"]["reason"].as_str());
    reasons.map(str::to_owned).collect()
}

/// Waits until Alice has replaced the session with Bob's device. The report says so then, and so does the row of his
/// message if she could not read that.
async fn repaired(person: &mut Person) {
    let log = person.profile.log_file();
    // Where the message could be read, only the log tells the end of it.
    until("the session has been replaced", LONG, async || {
        let text = fs::read_to_string(&log).ok()?;
        text.contains("a broken encrypted session was replaced")
            .then_some(())
    })
    .await;
    let params = json!({ "account": person.account, "address": BOB });
    let report = person.get("list_devices", params).await;
    let told = |device: &Value| !device["last_repaired"].is_null();
    assert!(items(&report).iter().any(told), "{report}");
    let chat = person.chat_with(BOB).await;
    for row in person.messages(&chat).await {
        let unread = &row["undecryptable"];
        assert!(unread.is_null() || unread["repaired"] == true, "{row}");
    }
}

/// Bob puts back an old copy of all his files. His program does nothing about it; hers does when he writes. She cannot
/// read that if his program has fetched from the archive what the copy does not know, and can if it asks no archive,
/// like Profanity, and goes on in a chain of which she still has the keys.
pub async fn bob_goes_on_after_putting_back_an_old_copy(program: &'static str) {
    let mut scene = Scene::with(program).await;
    scene.talk("before").await;
    scene.bob.stop().await;
    scene.bob.back_up().await;
    scene.bob.start().await;
    scene.talk("that the copy does not know").await;
    scene.bob.stop().await;
    scene.bob.restore().await;
    scene.bob.start().await;
    let asks_the_archive = program != "profanity";
    if asks_the_archive {
        let again = format!("{MARK} from Alice that the copy does not know");
        scene.bob.stores(&again).await;
    }
    let body = format!("{MARK} from the copy");
    scene.bob.say_at_last(ALICE, &body).await;
    repaired(&mut scene.alice).await;
    scene.talk("afterwards").await;
    scene.bob.restart().await;
    scene.talk("after a restart").await;
    let chat = scene.alice.chat_with(BOB).await;
    let rows = scene.alice.messages(&chat).await;
    let unread = rows.iter().filter(|row| !row["undecryptable"].is_null()).count();
    let read = rows.iter().filter(|row| row["body"] == body.as_str()).count();
    let expected = if asks_the_archive { (1, 0) } else { (0, 1) };
    assert_eq!((unread, read), expected, "{rows:?}");
    assert_eq!(rows.len(), 17, "nothing is lost or doubled: {rows:?}");
    scene.end_for_bob().await;
}

/// Alice puts back an old copy of her profile, whose key is in no keychain: what the server has tells her.
pub async fn alice_goes_on_after_putting_back_an_old_copy(program: &'static str) {
    let mut scene = Scene::with(program).await;
    scene.talk("before").await;
    scene.alice.stop().await;
    scene.alice.profile.back_up();
    scene.alice.start_again().await;
    scene.alice.wait_online().await;
    scene.talk("that the copy does not know").await;
    scene.alice.stop().await;
    scene.alice.profile.restore();
    scene.alice.start_again().await;
    scene.alice.wait_online().await;
    let renewed = |list: &Value| items(list)[0]["renewed"] == "restored";
    scene
        .alice
        .until("the person is told", "list_accounts", json!({}), renewed)
        .await;
    scene.talk("afterwards").await;
    scene.alice.restart().await;
    scene.talk("after a restart").await;
    // What she wrote in between is lost to the copy, and told so. Of Bob's it opens the first, which answers the ratchet
    // that it still has, and not the next, which answers a later one.
    let lost = told(&mut scene.alice).await;
    assert_eq!(
        lost,
        ["written_here", "written_here", "no_session"],
        "what the copy does not know"
    );
    let chat = scene.alice.chat_with(BOB).await;
    let rows = scene.alice.messages(&chat).await.len();
    assert_eq!(rows, 16, "nothing is lost or doubled");
    scene.end_for_bob().await;
}
