//! One-time prekeys that were used: kept for what the archive still holds, and gone afterwards.

use serde_json::{Value, json};
use waxwing_tests::{LONG, Peer, Person, Prosody, items, until};

use super::scene::{ALICE, BOB, Generation, LEGACY, MALLORY, OMEMO2};

const CAROL: &str = "carol@waxwing.test";

/// What the server offers of Alice's keys.
async fn offered(phone: &mut Peer, (node, item): &(String, String)) -> String {
    // A legacy node holds one item, whatever it is called.
    let item = Some(item).filter(|item| *item != "current");
    let params = json!({ "of": ALICE, "node": node, "item": item });
    let bundle = phone.ask("published", params).await;
    bundle.as_str().expect("XML").to_owned()
}

/// While Alice is away only one of her prekeys is on offer, and these people write. When she comes back the server has what
/// she published.
async fn write_with_the_same_prekey(
    phone: &mut Peer,
    (node, item): &(String, String),
    (one, all): (&str, &str),
    writers: &mut [(&mut Peer, &str)],
    encryption: &str,
) {
    phone.publish(node, item, one).await;
    for (writer, body) in writers {
        writer.send(ALICE, body, encryption).await;
        writer.ask("ping", json!({})).await;
    }
    phone.publish(node, item, all).await;
}

/// Two people who picked the same prekey while Alice was away are both read; who does so after that is told as one whose
/// key is gone, also out of the archive.
async fn a_used_prekey_goes_when_all_was_read(generation: Generation) {
    let server = Prosody::start_with_friends(&[ALICE, BOB, CAROL, MALLORY]).await;
    let word = generation.word;
    let mut phone = Peer::sign_in_with(&server, ALICE, word).await;
    let mut alice = Person::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in_with(&server, BOB, word).await;
    let mut carol = Peer::sign_in_with(&server, CAROL, word).await;
    let mut mallory = Peer::sign_in_with(&server, MALLORY, word).await;
    let of_alice = json!({ "account": alice.account.clone(), "address": ALICE });
    let devices = alice.get("list_devices", of_alice).await;
    let own = items(&devices).iter().find(|device| device["own"] == true);
    let place = generation.bundle(&own.expect("her own")["device"]);
    let at_first = offered(&mut phone, &place).await;
    let one = generation.with_one_prekey(&at_first);

    alice.stop().await;
    let mut writers = [(&mut bob, "from Bob"), (&mut carol, "from Carol")];
    write_with_the_same_prekey(&mut phone, &place, (&one, &at_first), &mut writers, word).await;
    alice.start_again().await;
    for body in ["from Bob", "from Carol"] {
        assert_eq!(alice.hears(body).await["encryption"], word);
    }
    let without_it = until("it is on offer no more", LONG, async || {
        Some(offered(&mut phone, &place).await).filter(|bundle| *bundle != at_first)
    })
    .await;

    alice.stop().await;
    let mut writers = [(&mut mallory, "too late")];
    write_with_the_same_prekey(&mut phone, &place, (&one, &without_it), &mut writers, word).await;
    alice.start_again().await;
    let chat = alice.chat_with(MALLORY).await;
    let told = |rows: &Value| {
        let rows: Vec<_> = items(rows)
            .iter()
            .map(|row| (&row["body"], &row["undecryptable"]["reason"]))
            .collect();
        rows == [(&Value::Null, &json!("key_gone"))]
    };
    let params = json!({ "chat": chat, "limit": 1000 });
    alice
        .until("what came too late is told so", "list_messages", params, told)
        .await;
}

#[tokio::test]
async fn a_used_prekey_is_kept_until_the_archive_was_read_and_gone_then_in_the_legacy_namespace() {
    a_used_prekey_goes_when_all_was_read(LEGACY).await;
}

#[tokio::test]
async fn a_used_prekey_is_kept_until_the_archive_was_read_and_gone_then_in_omemo_2() {
    a_used_prekey_goes_when_all_was_read(OMEMO2).await;
}
