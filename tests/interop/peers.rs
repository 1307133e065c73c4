//! The test's own tools: two foreign peers talk to each other over the test's own server, in both
//! generations of OMEMO. If this fails, no other interop test means anything.

use waxwing_tests::{Peer, Prosody, Tls};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";

async fn talk(encryption: &'static str, alice_tls: Tls) {
    let server = Prosody::start_with_friends(&[ALICE, BOB]).await;
    let mut alice = Peer::sign_in_over(&server, ALICE, alice_tls, "both").await;
    let mut bob = Peer::sign_in_with(&server, BOB, encryption).await;

    let id = alice.send(BOB, "first", encryption).await;
    let seen = bob.message("first").await;
    assert_eq!(seen["encryption"], encryption);
    assert_ne!(
        seen["outer_body"], "first",
        "the text must not stand outside the encryption"
    );
    alice
        .event("the receipt", |e| {
            e["event"] == "receipt" && e["id"] == id.as_str()
        })
        .await;

    bob.send(ALICE, "answer", encryption).await;
    assert_eq!(alice.message("answer").await["encryption"], encryption);

    bob.restart().await;
    alice.send(BOB, "after your restart", encryption).await;
    assert_eq!(bob.message("after your restart").await["encryption"], encryption);
    bob.send(ALICE, "after my restart", encryption).await;
    assert_eq!(alice.message("after my restart").await["encryption"], encryption);
}

#[tokio::test]
async fn two_foreign_peers_talk_in_the_legacy_namespace() {
    talk("omemo1", Tls::Direct).await;
}

#[tokio::test]
async fn two_foreign_peers_talk_in_omemo_2() {
    talk("omemo2", Tls::StartTls).await;
}

#[tokio::test]
async fn plain_text_is_reported_as_plain() {
    let server = Prosody::start(&[ALICE, BOB]).await;
    let mut alice = Peer::sign_in(&server, ALICE).await;
    let mut bob = Peer::sign_in(&server, BOB).await;
    alice.send(BOB, "in the open", "none").await;
    let seen = bob.message("in the open").await;
    assert_eq!(seen["encryption"], "none");
    assert_eq!(seen["outer_body"], "in the open");
}
