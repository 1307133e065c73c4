//! Alice, Bob and Mallory, and what Mallory and the servers can do to stanzas and to published keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use waxwing_tests::{Peer, Person, Prosody, items};

pub(crate) const ALICE: &str = "alice@waxwing.test";
pub(crate) const BOB: &str = "bob@waxwing.test";
pub(crate) const MALLORY: &str = "mallory@waxwing.test";

/// What differs between the generations of OMEMO.
#[derive(Clone, Copy)]
pub(crate) struct Generation {
    pub(crate) word: &'static str,
    namespace: &'static str,
    pub(crate) list_node: &'static str,
    list: &'static str,
    /// The elements of a bundle.
    signature: &'static str,
    prekey: &'static str,
    /// What marks a message's key as one that comes with a key exchange.
    pub(crate) key_exchange: &'static str,
}

pub(crate) const LEGACY: Generation = Generation {
    word: "omemo1",
    namespace: "eu.siacs.conversations.axolotl",
    list_node: "eu.siacs.conversations.axolotl.devicelist",
    list: "list",
    signature: "signedPreKeySignature",
    prekey: "preKeyPublic",
    key_exchange: "prekey",
};

pub(crate) const OMEMO2: Generation = Generation {
    word: "omemo2",
    namespace: "urn:xmpp:omemo:2",
    list_node: "urn:xmpp:omemo:2:devices",
    list: "devices",
    signature: "spks",
    prekey: "pk",
    key_exchange: "kex",
};

impl Generation {
    /// A list with these devices on it.
    pub(crate) fn list(self, devices: &[Value]) -> String {
        let devices: Vec<String> = devices.iter().map(|id| format!("<device id='{id}'/>")).collect();
        let (name, namespace) = (self.list, self.namespace);
        format!("<{name} xmlns='{namespace}'>{}</{name}>", devices.concat())
    }

    /// The node and the item of a device's bundle.
    pub(crate) fn bundle(self, device: &Value) -> (String, String) {
        if self.word == LEGACY.word {
            (
                format!("{}.bundles:{device}", self.namespace),
                "current".to_owned(),
            )
        } else {
            (format!("{}:bundles", self.namespace), device.to_string())
        }
    }

    /// A bundle with one of its one-time prekeys left.
    pub(crate) fn with_one_prekey(self, bundle: &str) -> String {
        let end = format!("</ns0:{}>", self.prekey);
        let first = bundle.find(&end).expect("a prekey") + end.len();
        let rest = bundle.find("</ns0:prekeys>").expect("the end of the prekeys");
        format!(
            "{}{}",
            bundle.get(..first).unwrap_or_default(),
            bundle.get(rest..).unwrap_or_default()
        )
    }

    /// A bundle that is nested deeper than what may come over the wire.
    pub(crate) fn endless_bundle(self) -> String {
        let (deep, end) = ("<x>".repeat(100), "</x>".repeat(100));
        format!("<bundle xmlns='{}'>{deep}{end}</bundle>", self.namespace)
    }

    /// How many one-time prekeys a bundle offers.
    pub(crate) fn prekeys(self, bundle: &str) -> usize {
        bundle.matches(&format!(":{} ", self.prekey)).count()
    }

    /// A bundle whose signature fits nothing.
    pub(crate) fn wrongly_signed(self, bundle: &str) -> String {
        let at = bundle.find(&format!(":{}", self.signature)).expect("a signature");
        let text = bundle.get(at..).and_then(|rest| rest.find('>'));
        let text = at + text.expect("its text") + 11;
        let (before, after) = bundle.split_at(text);
        let other = if after.starts_with('A') { "B" } else { "A" };
        format!("{before}{other}{}", after.get(1..).expect("a long signature"))
    }

    /// The key element for a device with the number of its message far ahead.
    pub(crate) fn far_ahead(self, element: &str, device: &Value) -> String {
        with_key(element, device, |mut bytes| {
            let (length, counter, tag) = if self.word == LEGACY.word {
                // The version, the ratchet key of 33 bytes with its tag and length, and behind the next tag the counter.
                (None, 37, 0x10)
            } else {
                // The tag of 16 bytes with its tag and length, and behind the message's length the counter.
                (Some(19), 21, 0x08)
            };
            assert_eq!(
                bytes.get(counter - 1),
                Some(&tag),
                "the counter stands elsewhere: {bytes:x?}"
            );
            assert!(bytes[counter] < 128, "the counter is one byte");
            if let Some(at) = length {
                assert!(bytes[at] < 124, "the length is one byte");
                bytes[at] += 4;
            }
            bytes.splice(counter..=counter, [0xff, 0xff, 0xff, 0xff, 0x0f]);
            bytes
        })
    }
}

/// Alice, Bob with two devices, who have talked encrypted; and Mallory, who gets to see all that Bob's second device does.
pub(crate) struct Scene {
    pub(crate) server: Prosody,
    pub(crate) generation: Generation,
    pub(crate) alice: Person,
    pub(crate) bob: Peer,
    pub(crate) reader: Peer,
    pub(crate) mallory: Peer,
    /// Alice's device.
    pub(crate) own: Value,
}

impl Scene {
    pub(crate) async fn set(generation: Generation) -> Self {
        let server = Prosody::start_with_friends(&[ALICE, BOB, MALLORY]).await;
        let word = generation.word;
        let mut bob = Peer::sign_in_with(&server, BOB, word).await;
        let reader = Peer::sign_in_with(&server, BOB, word).await;
        let mallory = Peer::sign_in_with(&server, MALLORY, word).await;
        let alice = Person::sign_in(&server, ALICE).await;
        let own = bob.devices(ALICE).await[0]["device"].clone();
        Self {
            server,
            generation,
            alice,
            bob,
            reader,
            mallory,
            own,
        }
    }

    /// Bob writes, Alice reads; gives the element that went over the wire.
    pub(crate) async fn bob_says(&mut self, body: &str) -> String {
        let id = self.bob.send(ALICE, body, self.generation.word).await;
        self.alice.hears(body).await;
        overheard(&mut self.reader, &id).await
    }

    /// Bob writes and Alice reads, with no other device looking on.
    pub(crate) async fn bob_says_alone(&mut self, body: &str) {
        self.bob.send(ALICE, body, self.generation.word).await;
        self.alice.hears(body).await;
    }

    /// Alice writes, Bob reads.
    pub(crate) async fn alice_says(&mut self, body: &str) {
        let chat = self.alice.chat_with(BOB).await;
        self.alice.send(&chat, body).await;
        assert_eq!(self.bob.message(body).await["encryption"], self.generation.word);
    }

    /// What stands in a chat of Alice's: texts, and in brackets why there is none.
    pub(crate) async fn rows(&mut self, with: &str) -> Vec<String> {
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
    pub(crate) async fn device(&mut self, device: &Value) -> Value {
        let params = json!({ "account": self.alice.account.clone(), "address": BOB });
        let list = self.alice.get("list_devices", params).await;
        let found = items(&list).iter().find(|d| d["device"] == *device).cloned();
        found.expect("Bob's device")
    }

    /// What somebody published of the keys of a device.
    pub(crate) async fn published(&mut self, of: &str, device: &Value) -> String {
        let (node, item) = self.generation.bundle(device);
        // A legacy node holds one item, whatever it is called.
        let item = Some(item).filter(|item| item != "current");
        let params = json!({ "of": of, "node": node, "item": item });
        let bundle = self.mallory.ask("published", params).await;
        bundle.as_str().expect("XML").to_owned()
    }
}

/// The encrypted element of a message that this other device of its sender saw.
pub(crate) async fn overheard(reader: &mut Peer, id: &str) -> String {
    let copy = reader
        .event("the copy", |e| e["carbon"] == "sent" && e["id"] == id)
        .await;
    let xml = copy["xml"].as_str().expect("the stanza");
    let from = xml.find("<encrypted").expect("it is encrypted");
    let to = xml.find("</encrypted>").expect("it is encrypted") + "</encrypted>".len();
    xml.get(from..to).expect("the element").to_owned()
}

/// A message to Alice as Bob's program would send it.
pub(crate) fn stanza(id: &str, element: &str) -> String {
    format!(
        "<message type='chat' to='{ALICE}' id='{id}'>{element}<body>encrypted</body>\
         <encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl'/>\
         <store xmlns='urn:xmpp:hints'/></message>"
    )
}

/// The key element for a device with its bytes changed.
pub(crate) fn with_key(element: &str, device: &Value, change: impl Fn(Vec<u8>) -> Vec<u8>) -> String {
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
