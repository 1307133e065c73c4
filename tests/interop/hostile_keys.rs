//! Somebody who means harm and knows OMEMO: what Alice sees of each attempt, and that her chats go on all the same.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use waxwing_tests::{LONG, Peer, Person, Prosody, items, until};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";
const MALLORY: &str = "mallory@waxwing.test";
const LEGACY: &str = "eu.siacs.conversations.axolotl";

/// Alice, Bob with two devices, who have talked encrypted; and Mallory, who gets to see all that Bob's second device does.
struct Scene {
    server: Prosody,
    alice: Person,
    bob: Peer,
    reader: Peer,
    mallory: Peer,
    /// Alice's device.
    own: Value,
}

impl Scene {
    async fn set() -> Self {
        let server = Prosody::start_with_friends(&[ALICE, BOB, MALLORY]).await;
        let mut bob = Peer::sign_in_with(&server, BOB, "omemo1").await;
        let reader = Peer::sign_in_with(&server, BOB, "omemo1").await;
        let mallory = Peer::sign_in_with(&server, MALLORY, "omemo1").await;
        let alice = Person::sign_in(&server, ALICE).await;
        let own = bob.devices(ALICE).await[0]["device"].clone();
        Self {
            server,
            alice,
            bob,
            reader,
            mallory,
            own,
        }
    }

    /// Bob writes, Alice reads; gives the element that went over the wire.
    async fn bob_says(&mut self, body: &str) -> String {
        let id = self.bob.send(ALICE, body, "omemo1").await;
        self.alice.hears(body).await;
        let copy = self
            .reader
            .event("the copy", |e| e["carbon"] == "sent" && e["id"] == id.as_str())
            .await;
        let xml = copy["xml"].as_str().expect("the stanza");
        let from = xml.find("<encrypted").expect("it is encrypted");
        let to = xml.find("</encrypted>").expect("it is encrypted") + "</encrypted>".len();
        xml.get(from..to).expect("the element").to_owned()
    }

    /// Bob writes and Alice reads, with no other device looking on.
    async fn bob_says_alone(&mut self, body: &str) {
        self.bob.send(ALICE, body, "omemo1").await;
        self.alice.hears(body).await;
    }

    /// Alice writes, Bob reads.
    async fn alice_says(&mut self, body: &str) {
        let chat = self.alice.chat_with(BOB).await;
        self.alice.send(&chat, body).await;
        assert_eq!(self.bob.message(body).await["encryption"], "omemo1");
    }

    /// What stands in a chat of Alice's: texts, and in brackets why there is none.
    async fn rows(&mut self, with: &str) -> Vec<String> {
        let chat = self.alice.chat_with(with).await;
        let rows = self.alice.messages(&chat).await;
        let shown = |row: &Value| match row["body"].as_str() {
            Some(body) => body.to_owned(),
            None => format!(
                "({})",
                row["undecryptable"]["reason"].as_str().unwrap_or_default()
            ),
        };
        rows.iter().map(shown).collect()
    }

    /// What Alice is shown of Bob's device.
    async fn device(&mut self, device: &Value) -> Value {
        let params = json!({ "account": self.alice.account.clone(), "address": BOB });
        let list = self.alice.get("list_devices", params).await;
        let found = items(&list).iter().find(|d| d["device"] == *device).cloned();
        found.expect("Bob's device")
    }
}

fn stanza(id: &str, element: &str) -> String {
    format!("<message type='chat' to='{ALICE}' id='{id}'>{element}<store xmlns='urn:xmpp:hints'/></message>")
}

/// Publishes one item that everybody may read.
async fn publish(who: &mut Peer, node: &str, payload: &str) {
    let options = "<publish-options><x xmlns='jabber:x:data' type='submit'>\
        <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
        <field var='pubsub#access_model'><value>open</value></field></x></publish-options>";
    let stanza = format!(
        "<iq type='set' id='publish'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'>\
         <item id='current'>{payload}</item></publish>{options}</pubsub></iq>"
    );
    who.send_raw(&stanza).await;
}

/// The key element for a device with its bytes changed.
fn with_key(element: &str, device: &Value, change: impl Fn(Vec<u8>) -> Vec<u8>) -> String {
    let rid = element.find(&format!("rid=\"{device}\"")).expect("a key for it");
    let (before, rest) = element.split_at(rid);
    let start = rest.find('>').expect("its text") + 1;
    let end = start
        + rest
            .get(start..)
            .and_then(|text| text.find('<'))
            .expect("its end");
    let text = rest.get(start..end).expect("its text");
    let bytes = change(STANDARD.decode(text.trim()).expect("Base64"));
    let (open, close) = (
        rest.get(..start).expect("the tag"),
        rest.get(end..).expect("the rest"),
    );
    format!("{before}{open}{}{close}", STANDARD.encode(bytes))
}

#[tokio::test]
async fn a_key_exchange_that_is_played_again_shows_nothing_and_harms_nothing() {
    let mut scene = Scene::set().await;
    let first = scene.bob_says("the first one, with the key exchange").await;
    assert!(first.contains("prekey="), "it brings no key exchange: {first}");
    scene.alice_says("an answer").await;
    scene.bob_says("the session goes on").await;
    for number in 0..5 {
        let again = stanza(&format!("again-{number}"), &first);
        scene.bob.send_raw(&again).await;
    }
    scene.bob_says("afterwards").await;
    scene.alice_says("and back").await;
    let rows = scene.rows(BOB).await;
    let expected = [
        "the first one, with the key exchange",
        "an answer",
        "the session goes on",
        "afterwards",
        "and back",
    ];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn what_bob_wrote_means_nothing_when_mallory_sends_it() {
    let mut scene = Scene::set().await;
    let from_bob = scene.bob_says("for Alice alone").await;
    scene.mallory.send_raw(&stanza("stolen", &from_bob)).await;
    scene.mallory.send(ALICE, "afterwards", "omemo1").await;
    scene.alice.hears("afterwards").await;
    let rows = scene.rows(MALLORY).await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(
        rows[0].starts_with('('),
        "Mallory's chat shows what Bob wrote: {rows:?}"
    );
    assert_eq!(scene.rows(BOB).await, ["for Alice alone"]);
    scene.bob_says("the session with Bob is whole").await;
}

#[tokio::test]
async fn a_counter_that_is_far_ahead_is_a_row_at_once_and_the_next_message_is_read() {
    let mut scene = Scene::set().await;
    scene.bob_says("one").await;
    scene.alice_says("two").await;
    let element = scene.bob_says("three").await;
    let own = scene.own.clone();
    // The version, the ratchet key of 33 bytes with its tag and length, and behind the next tag the counter.
    let ahead = with_key(&element, &own, |mut bytes| {
        assert_eq!(
            bytes.get(36),
            Some(&0x10),
            "the counter stands elsewhere: {bytes:x?}"
        );
        bytes.splice(37..38, [0xff, 0xff, 0xff, 0xff, 0x0f]);
        bytes
    });
    let began = std::time::Instant::now();
    scene.bob.send_raw(&stanza("ahead", &ahead)).await;
    scene.bob_says("four").await;
    assert!(
        began.elapsed() < waxwing_tests::SHORT,
        "it cost {:?}",
        began.elapsed()
    );
    assert_eq!(
        scene.rows(BOB).await,
        ["one", "two", "three", "(no_session)", "four"]
    );
}

#[tokio::test]
async fn another_identity_under_a_known_device_is_never_encrypted_to_and_is_told() {
    let mut scene = Scene::set().await;
    scene.reader.stop().await;
    scene.bob_says_alone("hello").await;
    scene.alice_says("hello Bob").await;
    let device = scene.bob.devices(BOB).await[0]["device"].clone();
    let hers = scene.mallory.devices(MALLORY).await[0]["device"].clone();
    // Bob's server serves Mallory's keys for Bob's device.
    let node = format!("{LEGACY}.bundles:{hers}");
    let swapped = scene
        .mallory
        .ask("published", json!({ "of": MALLORY, "node": node }))
        .await;
    let own_list = format!("<list xmlns='{LEGACY}'><device id='{device}'/></list>");
    publish(&mut scene.bob, &format!("{LEGACY}.devicelist"), &own_list).await;
    publish(
        &mut scene.bob,
        &format!("{LEGACY}.bundles:{device}"),
        swapped.as_str().expect("a bundle"),
    )
    .await;
    let pinned = scene.device(&device).await["fingerprint"].clone();

    let reset = json!({ "account": scene.alice.account.clone(), "address": BOB, "device": device });
    scene.alice.get("reset_session", reset).await;
    let told = json!({ "account": scene.alice.account.clone(), "address": BOB });
    scene
        .alice
        .until("the swap is told", "list_devices", told, |list| {
            items(list).iter().any(|d| {
                d["device"] == device && d["bundle_fault"] == "identity_changed" && d["reach"] == "no_keys"
            })
        })
        .await;
    assert_eq!(
        scene.device(&device).await["fingerprint"],
        pinned,
        "the known key stays"
    );
    let chat = scene.alice.chat_with(BOB).await;
    let sent = scene.alice.send(&chat, "not-for-mallory").await;
    let page = json!({ "chat": chat, "limit": 10 });
    let has_failed = |m: &Value| m["message"] == sent["message"] && m["delivery"] == "failed";
    let list = scene
        .alice
        .until("the message fails", "list_messages", page, |list| {
            items(list).iter().any(has_failed)
        })
        .await;
    let failed = items(&list).iter().find(|m| has_failed(m)).expect("it was there");
    assert_eq!(failed["error"]["code"], "no_devices", "{failed}");
    assert!(
        !scene.server.has_stored("not-for-mallory"),
        "it left in plain text"
    );
}

#[tokio::test]
async fn a_bundle_with_a_wrong_signature_is_told_and_the_message_goes_to_the_other_device() {
    let mut scene = Scene::set().await;
    let broken = scene.reader.devices(BOB).await[0]["device"].clone();
    let node = format!("{LEGACY}.bundles:{broken}");
    let bundle = scene
        .bob
        .ask("published", json!({ "of": BOB, "node": node }))
        .await;
    let bundle = bundle.as_str().expect("a bundle");
    let at = bundle.find("signedPreKeySignature").expect("a signature");
    let text = at
        + bundle
            .get(at..)
            .and_then(|rest| rest.find('>'))
            .expect("its text")
        + 11;
    let (before, after) = bundle.split_at(text);
    let other = if after.starts_with('A') { "B" } else { "A" };
    let spoiled = format!("{before}{other}{}", after.get(1..).expect("a long signature"));
    scene.reader.stop().await;
    publish(&mut scene.bob, &node, &spoiled).await;

    scene.alice_says("for the device that works").await;
    let shown = scene.device(&broken).await;
    assert_eq!(
        (&shown["bundle_fault"], &shown["reach"]),
        (&json!("malformed"), &json!("no_keys")),
        "{shown}"
    );
}

#[tokio::test]
async fn a_list_of_ten_thousand_devices_holds_nothing_up() {
    let mut scene = Scene::set().await;
    scene.bob_says("before").await;
    let real = scene.bob.devices(BOB).await[0]["device"].clone();
    let invented: Vec<String> = (1..=10_000).map(|id| format!("<device id='{id}'/>")).collect();
    let invented = invented.concat();
    let list = format!("<list xmlns='{LEGACY}'><device id='{real}'/>{invented}</list>");
    publish(&mut scene.bob, &format!("{LEGACY}.devicelist"), &list).await;
    let params = json!({ "account": scene.alice.account.clone(), "address": BOB });
    let known = scene
        .alice
        .until("some of them are known", "list_devices", params, |list| {
            items(list).len() > 100
        })
        .await;
    assert!(
        items(&known).len() <= 600,
        "{} devices are kept",
        items(&known).len()
    );
    let of_account = json!({ "account": scene.alice.account.clone() });
    let console = json!({ "account": scene.alice.account.clone(), "on": true });
    scene.alice.get("set_console", console).await;
    scene.alice_says("to whom it may concern").await;
    let entries = scene.alice.get("list_console", of_account).await;
    let (asked, at_once) = questions_for_keys(items(&entries));
    assert!((100..=500).contains(&asked), "{asked} questions");
    assert!(at_once <= 20, "{at_once} questions at once");
    scene.bob_says_alone("still there").await;
    assert!(scene.alice.lives());
}

/// How many questions for keys went out, and how many of them were on their way at a time at most.
fn questions_for_keys(entries: &[Value]) -> (usize, usize) {
    let (mut asked, mut at_once) = (0, 0);
    let mut open = HashSet::new();
    for entry in entries {
        let xml = entry["xml"].as_str().unwrap_or_default();
        let id = xml.split(&['\'', '"']).collect::<Vec<_>>();
        let id = id
            .windows(2)
            .find(|pair| pair[0].ends_with(" id="))
            .map(|pair| pair[1].to_owned());
        let Some(id) = id.filter(|_| xml.starts_with("<iq")) else {
            continue;
        };
        if entry["way"] == "in" {
            open.remove(&id);
        } else if xml.contains(".bundles:") && xml.contains("type='get'") | xml.contains("type=\"get\"") {
            asked += 1;
            open.insert(id);
            at_once = at_once.max(open.len());
        }
    }
    (asked, at_once)
}

#[tokio::test]
async fn whoever_uses_up_prekeys_does_not_have_each_of_them_told_to_the_server() {
    let mut scene = Scene::set().await;
    let mut devices = Vec::new();
    for _ in 0..4 {
        devices.push(Peer::sign_in_with(&scene.server, MALLORY, "omemo1").await);
    }
    let of_account = json!({ "account": scene.alice.account.clone() });
    let console = json!({ "account": scene.alice.account.clone(), "on": true });
    scene.alice.get("set_console", console).await;
    for (number, device) in devices.iter_mut().enumerate() {
        let body = format!("in a new session {number}");
        device.send(ALICE, &body, "omemo1").await;
        scene.alice.hears(&body).await;
    }
    let published = |entries: &Value| {
        let out = items(entries).iter().filter(|entry| entry["way"] == "out");
        let all = out.filter_map(|entry| entry["xml"].as_str());
        all.filter(|xml| xml.contains("<publish ") && xml.contains(&format!("{LEGACY}.bundles:")))
            .count()
    };
    let entries = scene.alice.get("list_console", of_account).await;
    assert!(published(&entries) <= 1, "{} publications", published(&entries));
    // A little later all of them are gone.
    let node = format!("{LEGACY}.bundles:{}", scene.own);
    let bob = &mut scene.bob;
    until("none of them is offered any more", LONG, async || {
        let xml = bob.ask("published", json!({ "of": ALICE, "node": node })).await;
        let count = xml.as_str().expect("XML").matches(":preKeyPublic ").count();
        (count == 96).then_some(())
    })
    .await;
}
