//! Two devices of each side, of which every one reads what any of the four writes.

use serde_json::{Value, json};
use waxwing_tests::{LONG, Peer, Person, Prosody, items, until};

use crate::{ALICE, BOB, scene};

/// Two devices of each, all four signed in and knowing each other.
struct Devices {
    desk: Person,
    phone: Person,
    bobs_desk: Peer,
    bobs_phone: Peer,
    /// The full one.
    address_of_desk: String,
    encryption: &'static str,
}

impl Devices {
    async fn of_both(encryption: &'static str) -> (Prosody, Self) {
        let (server, desk, mut bobs_desk) = scene(encryption).await;
        let there = |e: &Value| e["event"] == "presence" && e["from"] == ALICE && e["presence"] != "offline";
        let seen = bobs_desk.event("Alice's desk", there).await;
        let address_of_desk = format!("{ALICE}/{}", seen["resource"].as_str().expect("a resource"));
        let phone = Person::sign_in(&server, ALICE).await;
        let bobs_phone = Peer::sign_in_with(&server, BOB, encryption).await;
        let mut devices = Self {
            desk,
            phone,
            bobs_desk,
            bobs_phone,
            address_of_desk,
            encryption,
        };
        devices.know_each_other().await;
        (server, devices)
    }

    async fn know_each_other(&mut self) {
        for alice in [&mut self.desk, &mut self.phone] {
            for address in [ALICE, BOB] {
                let what = format!("two devices of {address} are known to Alice");
                // Without a chat nothing tells that a list has come.
                until(&what, LONG, async || {
                    let params = json!({ "account": alice.account, "address": address });
                    let list = alice.get("list_devices", params).await;
                    let active = items(&list).iter().filter(|d| d["active"] == true);
                    (active.count() == 2).then_some(())
                })
                .await;
            }
        }
        for bob in [&mut self.bobs_desk, &mut self.bobs_phone] {
            for address in [ALICE, BOB] {
                let what = format!("two devices of {address} are known to Bob");
                until(&what, LONG, async || {
                    bob.ask("refresh", json!({ "address": address })).await;
                    (bob.devices(address).await.len() == 2).then_some(())
                })
                .await;
            }
        }
    }

    /// One of Alice's programs writes: her other one has a copy, and both of Bob's read it.
    async fn alice_writes(&mut self, at_the_phone: bool, words: &str) {
        let body = format!("everywhere-{words}");
        let (writing, copied) = if at_the_phone {
            (&mut self.phone, &mut self.desk)
        } else {
            (&mut self.desk, &mut self.phone)
        };
        let chat = writing.chat_with(BOB).await;
        let written = writing.send(&chat, &body).await;
        heard_by_alice(copied, &body, ALICE, "out", self.encryption).await;
        for bob in [&mut self.bobs_desk, &mut self.bobs_phone] {
            read_by_bob(bob, &body, &Value::Null, self.encryption).await;
        }
        writing.delivery(&written, "delivered").await;
    }

    /// One of Bob's programs writes to an address of Alice, bare or full: his other one has a copy, and both of hers
    /// read it.
    async fn bob_writes(&mut self, at_the_phone: bool, to: &str, words: &str) {
        let body = format!("everywhere-{words}");
        let (writing, copied) = if at_the_phone {
            (&mut self.bobs_phone, &mut self.bobs_desk)
        } else {
            (&mut self.bobs_desk, &mut self.bobs_phone)
        };
        writing.send(to, &body, self.encryption).await;
        read_by_bob(copied, &body, &json!("sent"), self.encryption).await;
        for alice in [&mut self.desk, &mut self.phone] {
            heard_by_alice(alice, &body, BOB, "in", self.encryption).await;
        }
    }

    /// Each of the four writes, and Bob's desk once more to Alice's desk alone, of which her phone has a copy.
    async fn everybody_writes(&mut self, when: &str) {
        self.alice_writes(false, &format!("{when}-from-the-desk")).await;
        self.bob_writes(false, ALICE, &format!("{when}-from-bobs-desk"))
            .await;
        self.alice_writes(true, &format!("{when}-from-the-phone")).await;
        self.bob_writes(true, ALICE, &format!("{when}-from-bobs-phone"))
            .await;
        let desk = self.address_of_desk.clone();
        self.bob_writes(false, &desk, &format!("{when}-to-the-desk-alone"))
            .await;
    }
}

async fn heard_by_alice(alice: &mut Person, body: &str, from: &str, direction: &str, encryption: &str) {
    let heard = alice.hears(body).await;
    assert_eq!(
        (&heard["encryption"], &heard["from"], &heard["direction"]),
        (&json!(encryption), &json!(from), &json!(direction)),
        "as Alice has it: {heard}"
    );
}

async fn read_by_bob(bob: &mut Peer, body: &str, carbon: &Value, encryption: &str) {
    // Empty messages, which other devices are sent to confirm a session, hold nothing for this one.
    let has_payload = |e: &Value| e["xml"].as_str().is_some_and(|xml| xml.contains("<payload"));
    let seen = bob
        .event("a message", |e| e["event"] == "message" && has_payload(e))
        .await;
    assert_eq!(
        (&seen["body"], &seen["carbon"], &seen["encryption"]),
        (&json!(body), carbon, &json!(encryption)),
        "as Bob has it: {seen}"
    );
}

async fn two_devices_of_each(encryption: &'static str) {
    let (server, mut devices) = Devices::of_both(encryption).await;
    devices.everybody_writes("first").await;
    devices.phone.restart().await;
    devices.bobs_phone.restart().await;
    devices.everybody_writes("after-a-restart").await;

    // What one device of each misses waits for it, the copies of what its own person wrote among it.
    devices.phone.stop().await;
    devices.bobs_phone.stop().await;
    let chat = devices.desk.chat_with(BOB).await;
    devices.desk.send(&chat, "everywhere-missed-from-the-desk").await;
    read_by_bob(
        &mut devices.bobs_desk,
        "everywhere-missed-from-the-desk",
        &Value::Null,
        encryption,
    )
    .await;
    devices
        .bobs_desk
        .send(ALICE, "everywhere-missed-from-bobs-desk", encryption)
        .await;
    let desk = &mut devices.desk;
    heard_by_alice(desk, "everywhere-missed-from-bobs-desk", BOB, "in", encryption).await;
    devices.phone.start_again().await;
    devices.bobs_phone.start_again().await;
    let phone = &mut devices.phone;
    heard_by_alice(phone, "everywhere-missed-from-the-desk", ALICE, "out", encryption).await;
    heard_by_alice(phone, "everywhere-missed-from-bobs-desk", BOB, "in", encryption).await;
    // slixmpp asks no archive, and the server keeps nothing for a device while another one is there.
    devices.everybody_writes("afterwards").await;

    for alice in [&mut devices.desk, &mut devices.phone] {
        let chat = alice.chat_with(BOB).await;
        let rows = alice.messages(&chat).await;
        assert_eq!(rows.len(), 17, "each once: {rows:?}");
        assert!(rows.iter().all(|row| row["undecryptable"].is_null()), "{rows:?}");
    }
    assert!(!server.has_stored("everywhere-"), "the server could read it");
}

#[tokio::test]
async fn all_devices_of_both_read_everything_in_the_legacy_namespace() {
    two_devices_of_each("omemo1").await;
}

#[tokio::test]
async fn all_devices_of_both_read_everything_in_omemo_2() {
    two_devices_of_each("omemo2").await;
}
