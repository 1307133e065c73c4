//! What goes along with a login by XEP-0388: binding, stream management, resumption.

use waxwing_stream::{Connection, Incoming, Login, Resumption, StanzaNumber};

use crate::common::host::{CSI, Host, Lie};
use crate::common::scripted::SM;
use crate::common::{connect, message, next, refused};
use crate::login::at;

const BIND2: &str = "urn:xmpp:bind:0";
const CARBONS: &str = "urn:xmpp:carbons:2";
const SASL2: &str = "urn:xmpp:sasl:2";
const BOUND: &str = "<bound xmlns='urn:xmpp:bind:0'/>";

#[tokio::test]
async fn a_login_with_everything_along_takes_three_round_trips() {
    let host = Host::new();
    let (server, mut login) = at(&host).await;
    login.inactive = true;
    let connection = connect(&login).await.unwrap();
    assert_eq!(connection.bound().to_string(), "alice@waxwing.test/Waxwing/1");
    assert!(connection.acknowledges() && !connection.resumed());
    let facts = connection.facts();
    assert!(facts.sasl2 && facts.bind2 && facts.carbons);
    assert_eq!(facts.round_trips, 3);
    assert!(connection.features().has_child("csi", CSI));
    let stored = connection.session(0).unwrap();
    assert_eq!(
        (stored.id.as_str(), stored.location.as_deref()),
        ("session", Some("[::1]:5222"))
    );
    connection.close().await;

    let request = host.memory().requests[0].clone();
    let agent = request.get_child("user-agent", SASL2).unwrap();
    assert_eq!(agent.attr("id"), login.user_agent.as_deref());
    assert_eq!(agent.get_child("software", SASL2).unwrap().text(), "Waxwing");
    let bind = request.get_child("bind", BIND2).unwrap();
    assert_eq!(bind.get_child("tag", BIND2).unwrap().text(), "Waxwing");
    assert_eq!(bind.get_child("enable", SM).unwrap().attr("resume"), Some("true"));
    assert!(bind.has_child("enable", CARBONS) && bind.has_child("inactive", CSI));
    assert!(!request.has_child("resume", SM));
    server.check();
}

#[tokio::test]
async fn the_classic_way_takes_six_round_trips_and_says_as_much() {
    let host = Host::classic();
    let (server, mut login) = at(&host).await;
    let connection = connect(&login).await.unwrap();
    let facts = connection.facts();
    assert!(!facts.sasl2 && !facts.bind2 && !facts.carbons);
    assert_eq!(facts.round_trips, 6);
    assert_eq!(connection.bound().resource(), "test");
    assert!(connection.acknowledges());
    login.resume = connection.into_resumption();
    let connection = connect(&login).await.unwrap();
    assert!(connection.resumed());
    assert_eq!(connection.facts().round_trips, 5);
    server.check();
}

#[tokio::test]
async fn only_what_is_offered_is_asked_for_and_the_rest_comes_after() {
    for (host, trips, bind2, carbons, managed) in [
        (
            Host {
                bind2: false,
                ..Host::new()
            },
            5,
            false,
            false,
            true,
        ),
        (
            Host {
                inline: vec![],
                ..Host::new()
            },
            4,
            true,
            false,
            true,
        ),
        (
            Host {
                inline: vec![CARBONS],
                ..Host::new()
            },
            4,
            true,
            true,
            true,
        ),
        (
            Host {
                inline: vec![SM],
                ..Host::new()
            },
            3,
            true,
            false,
            true,
        ),
        (
            Host {
                inline: vec![],
                manages: false,
                ..Host::new()
            },
            3,
            true,
            false,
            false,
        ),
        (
            Host {
                bind2: false,
                manages: false,
                ..Host::new()
            },
            4,
            false,
            false,
            false,
        ),
    ] {
        let host = Host {
            resumes_inline: false,
            ..host
        };
        let (server, mut login) = at(&host).await;
        login.inactive = true;
        let connection = connect(&login).await.unwrap();
        let facts = connection.facts();
        assert_eq!(
            (facts.round_trips, facts.bind2, facts.carbons),
            (trips, bind2, carbons)
        );
        assert_eq!(connection.acknowledges(), managed);
        server.check();
    }
}

#[tokio::test]
async fn a_person_who_is_not_looking_is_told_of_at_once_on_every_way() {
    for host in [
        Host::new(),
        Host::classic(),
        Host {
            bind2: false,
            resumes_inline: false,
            ..Host::new()
        },
        Host {
            inline: vec![CSI],
            ..Host::new()
        },
    ] {
        let (told, mut telling) = tokio::sync::mpsc::unbounded_channel();
        let authority = waxwing_scripted::Authority::default();
        let server = host
            .listen_and(&authority, false, move |mut peer| {
                let told = told.clone();
                async move {
                    told.send(peer.hear_out().await).unwrap();
                }
            })
            .await;
        let mut login = Login {
            inactive: true,
            ..crate::common::login("alice", &authority, server.port, waxwing_stream::Tls::Direct)
        };
        for resumed in [false, true] {
            let connection = connect(&login).await.unwrap();
            assert_eq!(connection.resumed(), resumed);
            assert!(connection.features().has_child("csi", CSI));
            login.resume = connection.into_resumption();
            let after = telling.recv().await.unwrap();
            let memory = host.memory();
            let request = memory.requests.last().unwrap();
            let along = request
                .get_child("bind", BIND2)
                .is_some_and(|bind| bind.has_child("inactive", CSI));
            assert_eq!(
                after.contains("<inactive xmlns='urn:xmpp:csi:0'/>"),
                resumed || !along,
                "{after}"
            );
        }
    }
}

#[tokio::test]
async fn somebody_elses_login_is_not_taken_for_ours() {
    for identifier in [
        "mallory@waxwing.test/Waxwing/1",
        "alice@evil.test/Waxwing/1",
        "alice@waxwing.test",
        "waxwing.test/x",
        "alice@waxwing.test.evil.test/x",
        "@",
        "",
    ] {
        let host = Host::lying(Lie::Identifier(identifier));
        let (server, login) = at(&host).await;
        assert_eq!(refused(&login).await.code(), "protocol", "{identifier}");
        server.check();
    }
    let host = Host {
        bind2: false,
        ..Host::lying(Lie::Identifier("mallory@waxwing.test"))
    };
    let (server, login) = at(&host).await;
    assert_eq!(refused(&login).await.code(), "protocol");
    server.check();
}

#[tokio::test]
async fn a_session_that_nobody_asked_for_is_refused() {
    let resumed = Host::lying(Lie::Begin("<resumed xmlns='urn:xmpp:sm:3' h='0' previd='x'/>"));
    let bound = Host {
        bind2: false,
        ..Host::lying(Lie::Begin(BOUND))
    };
    for host in [resumed, bound] {
        let (server, login) = at(&host).await;
        assert_eq!(refused(&login).await.code(), "protocol");
        server.check();
    }
}

/// A session with three stanzas that the server did not acknowledge.
async fn three_sent(login: &Login) -> Resumption {
    let mut connection = connect(login).await.unwrap();
    for text in ["one", "two", "three"] {
        connection.send(&message("b@c", text)).await.unwrap();
    }
    connection.into_resumption().unwrap()
}

fn numbers(connection: &mut Connection) -> Vec<u64> {
    connection
        .lost()
        .into_iter()
        .map(|stanza| stanza.number.0)
        .collect()
}

async fn acked(connection: &mut Connection) -> StanzaNumber {
    match next(connection).await {
        Ok(Incoming::Acked { up_to }) => up_to,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_session_goes_on_along_with_the_login() {
    let host = Host::new();
    let authority = waxwing_scripted::Authority::default();
    let (said, mut saying) = tokio::sync::mpsc::unbounded_channel();
    let server = host
        .listen_and(&authority, false, move |mut peer| {
            let said = said.clone();
            async move {
                said.send(peer.hear_out().await).unwrap();
            }
        })
        .await;
    let mut login = crate::common::login("alice", &authority, server.port, waxwing_stream::Tls::Direct);
    login.resume = Some(three_sent(&login).await);
    saying.recv().await.unwrap();
    host.memory().session = Some(2);
    let mut connection = connect(&login).await.unwrap();
    assert!(connection.resumed() && connection.lost().is_empty());
    assert_eq!(connection.bound().to_string(), "alice@waxwing.test/Waxwing/1");
    let facts = connection.facts();
    assert!(facts.sasl2 && !facts.bind2);
    assert_eq!(facts.round_trips, 3);
    assert_eq!(acked(&mut connection).await, StanzaNumber(2));
    let stored = connection.session(0).unwrap();
    assert_eq!(
        (stored.id.as_str(), stored.location.as_deref()),
        ("session", Some("[::1]:5222"))
    );
    connection.request_ack().await;
    drop(connection);
    let after = saying.recv().await.unwrap();
    assert!(after.contains("three") && !after.contains("two"), "{after}");
    let request = host.memory().requests.last().unwrap().clone();
    let resume = request.get_child("resume", SM).unwrap();
    assert_eq!(
        (resume.attr("previd"), resume.attr("h")),
        (Some("session"), Some("0"))
    );
    server.check();
}

#[tokio::test]
async fn a_session_that_is_gone_is_replaced_along_with_the_login() {
    let enabled =
        "<bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3' id='new' resume='1'/></bound>";
    let unmanaged = "<bound xmlns='urn:xmpp:bind:0'><failed xmlns='urn:xmpp:sm:3'><internal-server-error \
                     xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed></bound>";
    let remembered = "<failed xmlns='urn:xmpp:sm:3' h='2'><item-not-found \
                      xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";
    let forgotten = "<failed xmlns='urn:xmpp:sm:3'/>";
    for (failed, bound, up_to, lost, managed) in [
        (remembered, enabled, Some(2), &[3][..], true),
        (forgotten, enabled, None, &[1, 2, 3], true),
        (
            "<failed xmlns='urn:xmpp:sm:3' h='999'/>",
            enabled,
            None,
            &[1, 2, 3],
            true,
        ),
        (remembered, unmanaged, Some(2), &[3], false),
        // A server that does not say a word about it.
        ("", enabled, None, &[1, 2, 3], true),
    ] {
        let honest = Host::new();
        let (server, mut login) = at(&honest).await;
        login.resume = Some(three_sent(&login).await);
        server.check();
        let begin: &'static str = Box::leak(format!("{failed}{bound}").into_boxed_str());
        let (server, there) = at(&Host::lying(Lie::Begin(begin))).await;
        let login = Login {
            resume: login.resume,
            ..there
        };
        let mut connection = connect(&login).await.unwrap();
        assert!(!connection.resumed());
        assert_eq!(connection.acknowledges(), managed, "{begin}");
        assert!(connection.facts().bind2);
        assert_eq!(connection.facts().round_trips, 3);
        if let Some(number) = up_to {
            assert_eq!(acked(&mut connection).await, StanzaNumber(number));
        }
        assert_eq!(numbers(&mut connection), lost, "{begin}");
        let sent = connection.send(&message("b@c", "new")).await.unwrap();
        assert_eq!(sent, StanzaNumber(4));
        server.check();
    }
}

#[tokio::test]
async fn a_resumption_that_makes_no_sense_is_given_up_for_a_new_session_at_once() {
    for resumed in [
        "<resumed xmlns='urn:xmpp:sm:3' h='4'/>",
        "<resumed xmlns='urn:xmpp:sm:3'/>",
        "<resumed xmlns='urn:xmpp:sm:3' h='-1'/>",
    ] {
        let (server, login) = at(&Host::new()).await;
        let resume = three_sent(&login).await;
        server.check();
        let host = Host {
            resumed: Some(resumed),
            ..Host::new()
        };
        let (server, there) = at(&host).await;
        let mut connection = connect(&Login {
            resume: Some(resume),
            ..there
        })
        .await
        .unwrap();
        assert!(!connection.resumed());
        assert_eq!(numbers(&mut connection), [1, 2, 3]);
        assert_eq!(host.memory().headers.len(), 2);
        server.check();
    }
}

#[tokio::test]
async fn a_session_that_can_only_be_resumed_after_the_login_is_not_replaced_by_it() {
    let host = Host {
        resumes_inline: false,
        ..Host::new()
    };
    let (server, mut login) = at(&host).await;
    login.resume = Some(three_sent(&login).await);
    assert!(host.memory().requests[0].has_child("bind", BIND2));
    let connection = connect(&login).await.unwrap();
    assert!(connection.resumed());
    assert_eq!(connection.facts().round_trips, 4);
    drop(connection);
    host.memory().session = None;
    let mut connection = connect(&login).await.unwrap();
    assert!(!connection.resumed() && connection.acknowledges());
    assert_eq!(numbers(&mut connection), [1, 2, 3]);
    assert_eq!(connection.facts().round_trips, 6);
    server.check();
}
