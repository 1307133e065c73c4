//! What an expert sees of the XML, and what nobody sees.

use tokio::sync::broadcast::{Receiver, channel};
use waxwing_stream::{Element, Incoming, Seen, Tls, TokenNews, Way};

use crate::common::host::{Host, Offer};
use crate::common::{PASSWORD, connect, login, message, next, refused};
use waxwing_scripted::Authority;

fn all(seeing: &mut Receiver<Seen>) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Ok(one) = seeing.try_recv() {
        seen.push(one);
    }
    seen
}

/// How the XML begins, both ways.
fn heads(seen: &[Seen]) -> Vec<String> {
    let head = |one: &Seen| {
        let way = if one.way == Way::In { '<' } else { '>' };
        let xml = one.xml.trim_start_matches("<?xml version='1.0'?>");
        let name = xml.split([' ', '>', '/']).find(|part| part.len() > 1);
        format!("{way}{}", name.unwrap_or_default().trim_start_matches('<'))
    };
    seen.iter().map(head).collect()
}

#[tokio::test]
async fn everything_is_seen_both_ways_and_no_secret_of_a_login_ever_appears() {
    let plain = Offer {
        mechanisms: vec!["PLAIN"],
        bindings: None,
    };
    for host in [
        Host::new(),
        Host::classic(),
        Host {
            offer: plain.clone(),
            ..Host::new()
        },
        Host {
            offer: plain,
            ..Host::classic()
        },
    ] {
        let authority = Authority::default();
        let server = host.listen(&authority, false).await;
        let (tap, mut seeing) = channel(256);
        let mut login = login("alice", &authority, server.port, Tls::Direct);
        login.user_agent = Some("d4565fa7-4d72-4749-b3d3-740edbf87770".to_owned());
        login.tap = Some(tap);
        let mut connection = connect(&login).await.unwrap();
        if let TokenNews::New(token) = connection.token() {
            login.token = Some(token);
        }
        connection.close().await;
        connect(&login).await.unwrap().close().await;
        login.password = "wrong password".into();
        login.token = None;
        refused(&login).await;

        let seen = all(&mut seeing);
        let xml: String = seen.iter().map(|one| &*one.xml).collect();
        let authenticate = if host.sasl2 { ">authenticate" } else { ">auth" };
        let heads = heads(&seen);
        assert_eq!(
            heads[..4],
            [">stream:stream", "<stream:stream", "<features", authenticate],
            "{heads:?}"
        );
        assert!(heads.iter().any(|head| head == "<success") && heads.iter().any(|head| head == "<failure"));
        assert!(heads.iter().any(|head| head == ">stream:stream"));
        let mut secrets = vec![
            PASSWORD.to_owned(),
            "wrong password".to_owned(),
            "secret-token".to_owned(),
        ];
        for request in &host.memory().requests {
            // What was really sent in base64.
            let payload = request
                .get_child("initial-response", request.ns().as_str())
                .unwrap_or(request);
            secrets.push(payload.text());
        }
        assert!(secrets.iter().all(|secret| secret.len() > 10));
        for secret in secrets {
            assert!(!xml.contains(&secret), "{secret} in {xml}");
        }
        for name in ["challenge", "response", "initial-response", "additional-data"] {
            for part in xml.split(&format!("<{name}")).skip(1) {
                let text = part.split_once('>').unwrap();
                assert!(
                    text.0.ends_with('/') || text.1.starts_with("***<") || text.1.starts_with("</"),
                    "{part}"
                );
            }
        }
        server.check();
    }
}

#[tokio::test]
async fn stanzas_are_seen_as_they_come_and_go_without_the_passwords_in_them() {
    let host = Host::new();
    let authority = Authority::default();
    let server = host
        .listen_and(&authority, false, |mut peer| async move {
            peer.hear("</message>").await;
            peer.say(
                "<iq type='result' id='r'><query xmlns='jabber:iq:register'><username>alice</username>\
                 <password>geheim1</password></query></iq>\
                 <message><x xmlns='jabber:x:conference' jid='room@muc' password='geheim2'/>\
                 <x xmlns='jabber:x:data' type='form'><field var='a' type='text-private'><value>geheim3</value></field>\
                 <field var='b'><value>offen</value></field></x></message>\
                 <iq type='result' id='s'><slot xmlns='urn:xmpp:http:upload:0'><put url='https://u'>\
                 <header name='Authorization'>geheim4</header></put></slot></iq>",
            )
            .await;
            peer.hear_out().await;
        })
        .await;
    let (tap, mut seeing) = channel(256);
    let mut login = login("alice", &authority, server.port, Tls::Direct);
    login.tap = Some(tap);
    let mut connection = connect(&login).await.unwrap();
    all(&mut seeing);
    let change: Element = "<iq xmlns='jabber:client' type='set' id='c'><query xmlns='jabber:iq:register'>\
                           <username>alice</username><password>geheim5</password></query></iq>"
        .parse()
        .unwrap();
    connection.send(&change).await.unwrap();
    connection.send(&message("b@c", "visible")).await.unwrap();
    for _ in 0..3 {
        while !matches!(next(&mut connection).await.unwrap(), Incoming::Stanza(_)) {}
    }
    let seen = all(&mut seeing);
    assert_eq!(heads(&seen), [">iq", ">r", ">message", "<iq", "<message", "<iq"]);
    let xml: String = seen.iter().map(|one| &*one.xml).collect();
    assert!(!xml.contains("geheim"), "{xml}");
    assert_eq!(xml.matches("***").count(), 5, "{xml}");
    assert!(xml.contains("visible") && xml.contains("offen") && xml.contains("<username>alice"));
    connection.close().await;
    let heads = heads(&all(&mut seeing));
    assert_eq!(heads.first().map(String::as_str), Some(">a"));
    assert!(heads.contains(&">stream:stream".to_owned()), "{heads:?}");
    server.check();
}

#[tokio::test]
async fn a_long_stanza_is_cut_and_an_unread_tap_holds_nothing_up() {
    let host = Host::new();
    let authority = Authority::default();
    let server = host.listen(&authority, false).await;
    let (tap, mut seeing) = channel(2);
    let mut login = login("alice", &authority, server.port, Tls::Direct);
    login.tap = Some(tap);
    let mut connection = connect(&login).await.unwrap();
    let body = "ä".repeat(100_000);
    let long = format!("<message xmlns='jabber:client'><body>{body}</body></message>");
    connection.send_raw(long.into()).await.unwrap();
    let lengths: Vec<usize> = std::iter::from_fn(|| match seeing.try_recv() {
        Ok(one) => Some(one.xml.len()),
        Err(tokio::sync::broadcast::error::TryRecvError::Lagged(_)) => Some(0),
        Err(_) => None,
    })
    .collect();
    assert!(
        lengths.iter().any(|length| (65_530..=65_536).contains(length)),
        "{lengths:?}"
    );
    assert!(lengths.iter().all(|length| *length <= 65_536));
    server.check();
}
