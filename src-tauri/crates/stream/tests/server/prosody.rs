//! Against a real Prosody.

use std::collections::HashSet;

use waxwing_stream::{
    CertificateProblem, ConnectError, Disconnected, Incoming, Login, Mechanism, Password, Retry,
    StreamCondition, Tls, Violation,
};

use crate::common::prosody::Prosody;
use crate::common::proxy::Proxy;
use crate::common::{DOMAIN, body, connect, login, message, next, refused};
use waxwing_scripted::Authority;

#[tokio::test]
async fn a_person_signs_in_over_direct_tls_and_over_starttls() {
    let authority = Authority::default();
    let prosody = Prosody::start(&authority, DOMAIN);
    for (port, tls) in [(prosody.direct, Tls::Direct), (prosody.starttls, Tls::StartTls)] {
        let connection = connect(&login("alice", &authority, port, tls)).await.unwrap();
        assert_eq!(connection.bound().to_string(), format!("alice@{DOMAIN}/test"));
        assert_eq!(connection.mechanism(), Mechanism::ScramSha256);
        assert!(connection.acknowledges() && !connection.resumed());
        assert_eq!(
            (
                connection.facts().target.tls,
                connection.facts().tls_version.as_str()
            ),
            (tls, "TLSv1_3")
        );
        assert!(!connection.facts().cipher.is_empty());
        connection.close().await;
    }
}

#[tokio::test]
async fn a_message_goes_from_one_to_the_other_and_is_acknowledged() {
    let authority = Authority::default();
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
    let authority = Authority::default();
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
    let authority = Authority::default();
    let prosody = Prosody::start(&authority, "other.test");
    for (port, tls) in [(prosody.direct, Tls::Direct), (prosody.starttls, Tls::StartTls)] {
        let error = refused(&login("alice", &authority, port, tls)).await;
        assert!(
            matches!(
                &error,
                ConnectError::Certificate {
                    problem: CertificateProblem::WrongName,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(error.retry(), Retry::Ask);
    }
}

#[tokio::test]
async fn what_was_in_flight_when_the_wire_was_cut_arrives_once_and_in_order() {
    let authority = Authority::default();
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

#[tokio::test]
async fn what_a_hostile_contact_sends_changes_nothing() {
    let authority = Authority::default();
    let prosody = Prosody::start(&authority, DOMAIN);
    let mut alice = connect(&login("alice", &authority, prosody.direct, Tls::Direct))
        .await
        .unwrap();
    let mut bob = connect(&login("bob", &authority, prosody.direct, Tls::Direct))
        .await
        .unwrap();
    let to = alice.bound().to_string();
    let deep = format!("{}{}", "<x xmlns='u'>".repeat(200), "</x>".repeat(200));
    let deeper = format!("<x xmlns='u'>{}{}</x>", "<x>".repeat(6_000), "</x>".repeat(6_000));
    let attribute = format!("<x xmlns='u' a='{}'/>", "a".repeat(9_000));
    let many = format!("<x xmlns='u'>{}</x>", "<y/>".repeat(25_000));
    let expected = [
        Violation::Depth,
        Violation::Depth,
        Violation::AttributeLength,
        Violation::Elements,
    ]
    .map(Some);
    let mut seen = Vec::new();
    for (number, content) in [deep, deeper, attribute, many].into_iter().enumerate() {
        let xml = format!("<message xmlns='jabber:client' to='{to}' id='bad'>{content}</message>");
        bob.send_raw(xml.into()).await.unwrap();
        bob.send(&message(&to, &number.to_string())).await.unwrap();
        loop {
            match next(&mut alice).await.expect("the stream stays up") {
                Incoming::Swallowed { violation, header } => {
                    assert_eq!(header.from, Some(bob.bound().to_string()));
                    seen.push(Some(violation));
                }
                Incoming::Stanza(element) if element.attr("id") == Some(number.to_string().as_str()) => break,
                _ => {}
            }
        }
        alice.handled(1);
    }
    assert_eq!(seen, expected);
    // Counted as they were, the session can still be resumed.
    let mut again = login("alice", &authority, prosody.direct, Tls::Direct);
    again.resume = alice.into_resumption();
    assert!(connect(&again).await.unwrap().resumed());
}

#[tokio::test]
async fn a_server_that_was_killed_lets_a_new_session_begin_and_nothing_in_flight_is_forgotten() {
    let authority = Authority::default();
    let mut prosody = Prosody::start(&authority, DOMAIN);
    let proxy = Proxy::to(prosody.direct).await;
    let mut login = login("alice", &authority, proxy.port, Tls::Direct);
    let mut alice = connect(&login).await.unwrap();
    proxy.swallow();
    let number = alice
        .send(&message("bob@waxwing.test", "in flight"))
        .await
        .unwrap();
    proxy.cut();
    while next(&mut alice).await.is_ok() {}
    prosody.kill_and_start_again();
    login.resume = alice.into_resumption();
    let mut alice = connect(&login).await.unwrap();
    assert!(!alice.resumed() && alice.acknowledges());
    assert_eq!(
        alice
            .lost()
            .iter()
            .map(|stanza| stanza.number)
            .collect::<Vec<_>>(),
        [number]
    );
}

#[tokio::test]
async fn the_same_resource_elsewhere_ends_the_older_connection_for_good() {
    let authority = Authority::default();
    let prosody = Prosody::start(&authority, DOMAIN);
    let login = login("alice", &authority, prosody.direct, Tls::Direct);
    let mut first = connect(&login).await.unwrap();
    let _second = connect(&login).await.unwrap();
    let reason = loop {
        if let Err(reason) = next(&mut first).await {
            break reason;
        }
    };
    assert_eq!(reason.retry(), Retry::Ask);
    assert!(
        matches!(
            reason,
            Disconnected::Stream {
                condition: StreamCondition::Conflict,
                ..
            }
        ),
        "{reason}"
    );
}
