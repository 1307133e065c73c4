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

/// The name in the certificate that the server shows for a domain; the tests of certificates stand on it.
async fn name_shown(port: u16, domain: &str, starttls: bool) -> String {
    let mut command = tokio::process::Command::new("openssl");
    command.args([
        "s_client",
        "-connect",
        &format!("127.0.0.1:{port}"),
        "-servername",
        domain,
    ]);
    if starttls {
        command.args(["-starttls", "xmpp", "-xmpphost", domain]);
    }
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .expect("openssl is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let subject = text
        .lines()
        .find_map(|line| line.strip_prefix("subject="))
        .expect("a certificate was shown");
    subject.rsplit('=').next().unwrap_or_default().trim().to_owned()
}

#[tokio::test]
async fn the_server_shows_the_certificate_meant_for_each_domain() {
    let server = Prosody::start(&[]).await;
    let shown = [
        ("waxwing.test", "waxwing.test"),
        ("heron.test", "heron.test"),
        ("misnamed.test", "somewhere-else.test"),
    ];
    for (domain, name) in shown {
        assert_eq!(
            name_shown(server.direct_tls_port, domain, false).await,
            name,
            "over direct TLS"
        );
        assert_eq!(
            name_shown(server.starttls_port, domain, true).await,
            name,
            "over STARTTLS"
        );
    }
}
