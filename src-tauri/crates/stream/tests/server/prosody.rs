//! Against a real Prosody.

use std::collections::HashSet;

use waxwing_stream::{CertificateProblem, ConnectError, Incoming, Login, Mechanism, Password, Retry, Tls};

use crate::common::authority::Authority;
use crate::common::prosody::Prosody;
use crate::common::proxy::Proxy;
use crate::common::{DOMAIN, body, connect, login, message, next, refused};

#[tokio::test]
async fn a_person_signs_in_over_direct_tls_and_over_starttls() {
    let authority = Authority::new();
    let prosody = Prosody::start(&authority, DOMAIN);
    for (port, tls) in [(prosody.direct, Tls::Direct), (prosody.starttls, Tls::StartTls)] {
        let connection = connect(&login("alice", &authority, port, tls)).await.unwrap();
        assert_eq!(connection.bound().to_string(), format!("alice@{DOMAIN}/test"));
        assert_eq!(connection.mechanism(), Mechanism::ScramSha256);
        assert!(connection.acknowledges() && !connection.resumed());
        assert_eq!(
            (connection.facts().tls, connection.facts().tls_version.as_str()),
            (tls, "TLSv1_3")
        );
        assert!(!connection.facts().cipher.is_empty());
        connection.close().await;
    }
}

#[tokio::test]
async fn a_message_goes_from_one_to_the_other_and_is_acknowledged() {
    let authority = Authority::new();
    let prosody = Prosody::start(&authority, DOMAIN);
    let mut alice = connect(&login("alice", &authority, prosody.direct, Tls::Direct))
        .await
        .unwrap();
    let mut bob = connect(&login("bob", &authority, prosody.starttls, Tls::StartTls))
        .await
        .unwrap();
    let number = alice
        .send(&message(&bob.bound().to_string(), "hello"))
        .await
        .unwrap();
    assert_eq!(body(&mut bob).await, "hello");
    bob.handled(1);
    loop {
        if let Incoming::Acked { up_to } = next(&mut alice).await.unwrap() {
            assert_eq!(up_to, number);
            break;
        }
    }
    assert!(alice.into_resumption().unwrap().unacknowledged().is_empty());
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_retried() {
    let authority = Authority::new();
    let prosody = Prosody::start(&authority, DOMAIN);
    let right = login("alice", &authority, prosody.direct, Tls::Direct);
    let wrong = Login {
        password: Password::from("wrong"),
        ..right.clone()
    };
    let nobody = Login {
        address: format!("nobody@{DOMAIN}").parse().unwrap(),
        ..right
    };
    for login in [wrong, nobody] {
        let error = refused(&login).await;
        assert_eq!(error, ConnectError::WrongPassword);
        assert_eq!(error.retry(), Retry::Ask);
    }
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    let prosody = Prosody::start(&authority, "other.test");
    for (port, tls) in [(prosody.direct, Tls::Direct), (prosody.starttls, Tls::StartTls)] {
        let error = refused(&login("alice", &authority, port, tls)).await;
        assert_eq!(error, ConnectError::Certificate(CertificateProblem::WrongName));
        assert_eq!(error.retry(), Retry::Ask);
    }
}

#[tokio::test]
async fn what_was_in_flight_when_the_wire_was_cut_arrives_once_and_in_order() {
    let authority = Authority::new();
    let prosody = Prosody::start(&authority, DOMAIN);
    let proxy = Proxy::to(prosody.direct).await;
    let mut login_alice = login("alice", &authority, proxy.port, Tls::Direct);
    let mut alice = connect(&login_alice).await.unwrap();
    let mut bob = connect(&login("bob", &authority, prosody.direct, Tls::Direct))
        .await
        .unwrap();
    let (to_bob, to_alice) = (bob.bound().to_string(), alice.bound().to_string());

    let mut sent = 0;
    let mut from_bob = HashSet::new();
    for round in 0..4 {
        for step in 0..20 {
            if step == 7 {
                proxy.swallow();
            }
            sent += 1;
            assert_eq!(
                alice.send(&message(&to_bob, &sent.to_string())).await.unwrap().0,
                sent
            );
            bob.send(&message(&to_alice, &format!("{round}-{step}")))
                .await
                .unwrap();
        }
        proxy.cut();
        // What still comes out of the dead connection is stored, as an account would.
        while let Ok(incoming) = next(&mut alice).await {
            if let Incoming::Stanza(element) = incoming {
                assert!(from_bob.insert(element.attr("id").unwrap().to_owned()));
                alice.handled(1);
            }
        }
        login_alice.resume = alice.into_resumption();
        assert!(
            login_alice
                .resume
                .as_ref()
                .is_some_and(|r| !r.unacknowledged().is_empty())
        );
        alice = connect(&login_alice).await.unwrap();
        assert!(alice.resumed());
    }
    for number in 1..=sent {
        tokio::select! {
            text = body(&mut bob) => assert_eq!(text, number.to_string()),
            lost = async { loop { keep(next(&mut alice).await.unwrap(), &mut from_bob); alice.handled(1); } } => lost,
        }
    }
    while from_bob.len() < 80 {
        keep(next(&mut alice).await.unwrap(), &mut from_bob);
    }
    alice.close().await;
    bob.close().await;
}

/// Takes a message of bob's, which must be new.
fn keep(incoming: Incoming, from_bob: &mut HashSet<String>) {
    if let Incoming::Stanza(element) = incoming {
        assert!(
            from_bob.insert(element.attr("id").unwrap().to_owned()),
            "came twice"
        );
    }
}
