//! The session: stream management, resumption, odd and hostile elements, silence.

use std::future::Future;
use std::time::Duration;

use waxwing_stream::{
    Connection, Disconnected, Fatal, Incoming, Login, Retry, StanzaNumber, StreamCondition, Tls, Violation,
};

use crate::common::scripted::{SM, Secure, Server};
use crate::common::{DOMAIN, connect, login, message, next, stanza};
use waxwing_scripted::Authority;

const YEARS: (i32, i32) = (2020, 2090);
pub(crate) const R: &str = "<r xmlns='urn:xmpp:sm:3'/>";

/// A connection to a server whose script begins after it has let the client in.
pub(crate) async fn session<F>(
    features: &'static str,
    script: impl Fn(usize, Secure) -> F + Send + Sync + 'static,
) -> (Server, Login)
where
    F: Future<Output = ()> + Send,
{
    let authority = Authority::default();
    let script = std::sync::Arc::new(script);
    let server = Server::secure(authority.tls(DOMAIN, YEARS), move |number, mut peer| {
        let script = std::sync::Arc::clone(&script);
        async move {
            peer.let_in(features).await;
            script(number, peer).await;
        }
    })
    .await;
    let login = login("alice", &authority, server.port, Tls::Direct);
    (server, login)
}

pub(crate) const WITH_SM: &str = "<sm xmlns='urn:xmpp:sm:3'/>";

pub(crate) async fn over(connection: &mut Connection) -> Disconnected {
    loop {
        if let Err(reason) = next(connection).await {
            return reason;
        }
    }
}

fn sent(number: u64) -> Incoming {
    Incoming::Acked {
        up_to: StanzaNumber(number),
    }
}

#[tokio::test]
async fn only_what_is_stored_is_acknowledged() {
    let (server, login) = session(WITH_SM, |_, mut peer| async move {
        peer.enable().await;
        peer.say(&format!("<message/>{R}")).await;
        peer.hear("<a xmlns='urn:xmpp:sm:3' h='0'/>").await;
        peer.say("<presence/>").await;
        // The late count comes by itself.
        peer.hear("<a xmlns='urn:xmpp:sm:3' h='1'/>").await;
        peer.say(&format!("{R}{R}{R}")).await;
        peer.hear("<a xmlns='urn:xmpp:sm:3' h='1'/>").await;
        peer.say("<iq type='set' id='done'/>").await;
        peer.hear_out().await;
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    assert_eq!(stanza(&mut connection).await.name(), "message");
    assert_eq!(stanza(&mut connection).await.name(), "presence");
    connection.handled(1);
    assert_eq!(stanza(&mut connection).await.name(), "iq");
    server.check();
}

#[tokio::test]
async fn acknowledgements_come_asked_and_unasked_and_the_stanzas_bytes_are_untouched() {
    let raw = "<message xmlns='jabber:client'  to=\"b@c\" ><body>&#x41;</body></message>";
    let (server, login) = session(WITH_SM, move |_, mut peer| async move {
        peer.enable().await;
        assert_eq!(peer.hear(R).await, format!("{raw}{R}"));
        peer.say(&format!("<a xmlns='{SM}' h='0'/><a xmlns='{SM}' h='1'/>"))
            .await;
        peer.hear("two</body></message>").await;
        peer.hear("three</body></message>").await;
        peer.say(&format!("<a xmlns='{SM}' h='2'/><a xmlns='{SM}' h='3'/>"))
            .await;
        peer.hear_out().await;
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    assert_eq!(connection.send_raw(raw.into()).await.unwrap(), StanzaNumber(1));
    assert_eq!(next(&mut connection).await, Ok(sent(1)));
    assert_eq!(
        connection.send(&message("b@c", "two")).await.unwrap(),
        StanzaNumber(2)
    );
    assert_eq!(
        connection.send(&message("b@c", "three")).await.unwrap(),
        StanzaNumber(3)
    );
    assert_eq!(next(&mut connection).await, Ok(sent(2)));
    assert_eq!(next(&mut connection).await, Ok(sent(3)));
    server.check();
}

#[tokio::test]
async fn an_acknowledgement_of_what_was_never_sent_ends_the_stream() {
    let (server, login) = session(WITH_SM, |_, mut peer| async move {
        peer.enable().await;
        peer.hear(R).await;
        peer.say(&format!("<presence/><a xmlns='{SM}' h='2'/>")).await;
        let farewell = peer.hear("</stream:stream>").await;
        assert!(farewell.contains("undefined-condition") && farewell.contains("handled-count-too-high"));
        peer.say("<iq type='set' id='heard'/>").await;
        peer.hear_out().await;
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    connection.send(&message("b@c", "one")).await.unwrap();
    assert_eq!(stanza(&mut connection).await.name(), "presence");
    let ahead = Disconnected::AckAhead {
        acknowledged: 2,
        sent: 1,
    };
    assert_eq!(next(&mut connection).await, Err(ahead.clone()));
    assert_eq!(connection.try_next(), Some(Err(ahead.clone())));
    assert_eq!(connection.send(&message("b@c", "two")).await, Err(ahead));
    let left = connection.into_resumption().unwrap();
    assert_eq!(
        left.unacknowledged().len(),
        1,
        "what was refused is not in flight"
    );
    server.check();
}

#[tokio::test]
async fn a_resumed_session_sends_again_only_what_the_server_has_not_got() {
    let (server, mut login) = session(WITH_SM, |number, mut peer| async move {
        if number == 0 {
            peer.enable().await;
            peer.say("<message id='in'/><presence/>").await;
            peer.hear("three</body></message>").await;
            return;
        }
        peer.hear("<resume xmlns='urn:xmpp:sm:3' h='1' previd='session'/>")
            .await;
        peer.say(&format!(
            "<resumed xmlns='{SM}' h='1' previd='session'/><presence/>"
        ))
        .await;
        let again = peer.hear(R).await;
        assert_eq!(
            again,
            format!(
                "{}{}{R}",
                String::from(&message("b@c", "two")),
                String::from(&message("b@c", "three"))
            )
        );
        peer.say(&format!("<a xmlns='{SM}' h='3'/>")).await;
        peer.hear("four</body></message>").await;
        peer.say(&format!("<a xmlns='{SM}' h='4'/>")).await;
        peer.hear_out().await;
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    assert_eq!(stanza(&mut connection).await.attr("id"), Some("in"));
    connection.handled(1);
    for text in ["one", "two", "three"] {
        connection.send(&message("b@c", text)).await.unwrap();
    }
    assert_eq!(over(&mut connection).await.retry(), Retry::Soon);
    login.resume = connection.into_resumption();

    let mut connection = connect(&login).await.unwrap();
    assert!(connection.resumed() && connection.acknowledges() && connection.lost().is_empty());
    assert_eq!(connection.bound().to_string(), "alice@waxwing.test/test");
    assert_eq!(next(&mut connection).await, Ok(sent(1)));
    assert_eq!(stanza(&mut connection).await.name(), "presence");
    assert_eq!(next(&mut connection).await, Ok(sent(3)));
    assert_eq!(
        connection.send(&message("b@c", "four")).await.unwrap(),
        StanzaNumber(4)
    );
    assert_eq!(next(&mut connection).await, Ok(sent(4)));
    server.check();
}

#[tokio::test]
async fn what_is_sent_when_the_connection_is_known_to_have_broken_goes_out_with_the_session() {
    let (server, mut login) = session(WITH_SM, |number, mut peer| async move {
        if number == 0 {
            peer.enable().await;
            return;
        }
        peer.hear("previd='session'/>").await;
        peer.say(&format!("<resumed xmlns='{SM}' h='0' previd='session'/>"))
            .await;
        let late = peer.hear(R).await;
        assert_eq!(late, format!("{}{R}", String::from(&message("b@c", "late"))));
        peer.say(&format!("<a xmlns='{SM}' h='1'/>")).await;
        peer.hear_out().await;
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    assert!(matches!(over(&mut connection).await, Disconnected::Io(_)));
    assert_eq!(
        connection.send(&message("b@c", "late")).await,
        Ok(StanzaNumber(1))
    );
    login.resume = connection.into_resumption();
    let mut connection = connect(&login).await.unwrap();
    assert_eq!(next(&mut connection).await, Ok(sent(1)));
    server.check();
}

/// Sends three stanzas, loses the connection and the session, and returns the connection after that.
async fn after_a_lost_session(failed: &'static str) -> (Server, Connection) {
    let (server, mut login) = session(WITH_SM, move |number, mut peer| async move {
        if number == 0 {
            peer.enable().await;
            peer.hear("three</body></message>").await;
            return;
        }
        peer.hear("previd='session'/>").await;
        peer.say(failed).await;
        peer.enable().await;
        peer.hear(R).await;
        peer.say(&format!("<a xmlns='{SM}' h='1'/>")).await;
        peer.hear_out().await;
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    for text in ["one", "two", "three"] {
        connection.send(&message("b@c", text)).await.unwrap();
    }
    over(&mut connection).await;
    login.resume = connection.into_resumption();
    let connection = connect(&login).await.unwrap();
    assert!(!connection.resumed() && connection.acknowledges());
    (server, connection)
}

fn numbers(connection: &mut Connection) -> Vec<u64> {
    connection
        .lost()
        .into_iter()
        .map(|stanza| stanza.number.0)
        .collect()
}

#[tokio::test]
async fn a_lost_session_that_the_server_remembers_settles_what_it_had_got() {
    let (server, mut connection) =
        after_a_lost_session("<failed xmlns='urn:xmpp:sm:3' h='2'><item-not-found/></failed>").await;
    assert_eq!(next(&mut connection).await, Ok(sent(2)));
    let lost = connection.lost();
    assert_eq!(lost.len(), 1);
    assert_eq!(
        (lost[0].number, &*lost[0].xml),
        (StanzaNumber(3), &*String::from(&message("b@c", "three")))
    );
    assert_eq!(
        connection.send(&message("b@c", "three")).await.unwrap(),
        StanzaNumber(4)
    );
    assert_eq!(next(&mut connection).await, Ok(sent(4)));
    server.check();
}

#[tokio::test]
async fn a_lost_session_that_the_server_forgot_leaves_everything_to_the_outbox() {
    for failed in [
        "<failed xmlns='urn:xmpp:sm:3'/>",
        "<failed xmlns='urn:xmpp:sm:3' h='999'/>",
    ] {
        let (server, mut connection) = after_a_lost_session(failed).await;
        assert_eq!(numbers(&mut connection), [1, 2, 3]);
        assert_eq!(
            connection.send(&message("b@c", "new")).await.unwrap(),
            StanzaNumber(4)
        );
        assert_eq!(next(&mut connection).await, Ok(sent(4)));
        server.check();
    }
}

#[tokio::test]
async fn a_resumption_that_makes_no_sense_is_given_up_for_a_new_session_at_once() {
    for resumed in [
        "<resumed xmlns='urn:xmpp:sm:3' h='4'/>",
        "<resumed xmlns='urn:xmpp:sm:3'/>",
        "<x xmlns='y'/>",
    ] {
        let (server, mut login) = session(WITH_SM, move |number, mut peer| async move {
            match number {
                0 => {
                    peer.enable().await;
                    peer.hear(R).await;
                }
                1 => {
                    peer.hear("previd='session'/>").await;
                    peer.say(resumed).await;
                    peer.hear_out().await;
                }
                _ => {
                    peer.enable().await;
                    peer.hear_out().await;
                }
            }
        })
        .await;
        let mut connection = connect(&login).await.unwrap();
        connection.send(&message("b@c", "one")).await.unwrap();
        over(&mut connection).await;
        login.resume = connection.into_resumption();
        let mut connection = connect(&login).await.unwrap();
        assert!(!connection.resumed());
        assert_eq!(numbers(&mut connection), [1]);
        server.check();
    }
}

#[tokio::test]
async fn a_server_without_stream_management_is_served_too() {
    let (server, login) = session("", |_, mut peer| async move {
        peer.bind().await;
        let heard = peer.hear("two</body></message>").await;
        assert!(!heard.contains("urn:xmpp:sm"), "{heard}");
        peer.say("<message/>").await;
        peer.hear_out().await;
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    assert!(!connection.acknowledges());
    assert_eq!(
        connection.send(&message("b@c", "one")).await.unwrap(),
        StanzaNumber(1)
    );
    assert_eq!(
        connection.send(&message("b@c", "two")).await.unwrap(),
        StanzaNumber(2)
    );
    stanza(&mut connection).await;
    connection.handled(1);
    assert!(connection.into_resumption().is_none());
    server.check();
}

#[tokio::test]
async fn stanzas_from_before_stream_management_are_handed_out_and_not_counted() {
    let (server, login) = session(WITH_SM, |_, mut peer| async move {
        peer.bind().await;
        peer.hear("resume='true'/>").await;
        peer.say(&format!(
            "<message id='early'/><enabled xmlns='{SM}'/><message id='late'/>{R}"
        ))
        .await;
        peer.hear("h='0'/>").await;
        peer.hear("h='1'/>").await;
        peer.say("<presence/>").await;
        peer.hear_out().await;
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    assert_eq!(stanza(&mut connection).await.attr("id"), Some("early"));
    assert_eq!(stanza(&mut connection).await.attr("id"), Some("late"));
    // Lets the count of nothing go out first.
    assert_eq!(connection.try_next(), None);
    connection.handled(2);
    assert_eq!(stanza(&mut connection).await.name(), "presence");
    server.check();
}

#[tokio::test]
async fn odd_top_level_elements_are_reported_and_kill_nothing() {
    let odd = [
        "<unknown xmlns='urn:x'><a/></unknown>",
        "<message xmlns='jabber:server'/>",
        "<a xmlns='urn:xmpp:sm:3'/>",
        "<a xmlns='urn:xmpp:sm:3' h='-1'/>",
        "<a xmlns='urn:xmpp:sm:3' h='4294967296'/>",
        "<enabled xmlns='urn:xmpp:sm:3'/>",
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<stream:features/>",
        "<features xmlns=''/>",
    ];
    let (server, login) = session(WITH_SM, move |_, mut peer| async move {
        peer.enable().await;
        peer.say(&format!(" \n {} <presence/>", odd.join(" "))).await;
        peer.hear_out().await;
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    for xml in odd {
        let incoming = next(&mut connection).await.unwrap();
        assert!(matches!(incoming, Incoming::Other(_)), "{xml}");
    }
    assert_eq!(stanza(&mut connection).await.name(), "presence");
    server.check();
}

#[tokio::test]
async fn hostile_stanzas_are_swallowed_counted_and_the_next_one_arrives() {
    let (server, login) = session(WITH_SM, |_, mut peer| async move {
        peer.enable().await;
        let deep = format!("{}{}", "<x>".repeat(100_000), "</x>".repeat(100_000));
        let attribute = format!("<x a='{}'/>", "y".repeat(9_000));
        let size = "z".repeat(2 * 1024 * 1024);
        for content in [deep, attribute, size] {
            peer.say(&format!(
                "<message from='m@evil.test/&amp;' id='7' type='chat'>{content}</message>"
            ))
            .await;
        }
        peer.say(&format!("<presence/>{R}")).await;
        peer.hear("h='4'/>").await;
        peer.say("<iq type='set' id='last'/>").await;
        peer.hear_out().await;
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    for expected in [Violation::Depth, Violation::AttributeLength, Violation::Size] {
        let Ok(Incoming::Swallowed { violation, header }) = next(&mut connection).await else {
            panic!("not swallowed")
        };
        assert_eq!(violation, expected);
        assert_eq!(
            (header.name.as_str(), header.id.as_deref(), header.kind.as_deref()),
            ("message", Some("7"), Some("chat"))
        );
        assert_eq!(header.from.as_deref(), Some("m@evil.test/&"));
    }
    assert_eq!(stanza(&mut connection).await.name(), "presence");
    connection.handled(1);
    assert_eq!(stanza(&mut connection).await.attr("id"), Some("last"));
    server.check();
}

#[tokio::test]
async fn what_no_stream_may_hold_ends_it_after_what_came_before() {
    for (bad, fatal, name) in [
        ("<!-- -->", Fatal::RestrictedXml, "restricted-xml"),
        ("<message>&e;</message>", Fatal::RestrictedXml, "restricted-xml"),
        ("<a></b>", Fatal::NotWellFormed, "not-well-formed"),
        ("<x:a/>", Fatal::NotWellFormed, "not-well-formed"),
    ] {
        let (server, login) = session(WITH_SM, move |_, mut peer| async move {
            peer.enable().await;
            peer.say(&format!("<presence/>{bad}<message/>")).await;
            let farewell = peer.hear("</stream:stream>").await;
            assert!(farewell.contains(name), "{farewell}");
            peer.hear_out().await;
        })
        .await;
        let mut connection = connect(&login).await.unwrap();
        assert_eq!(stanza(&mut connection).await.name(), "presence");
        assert_eq!(
            next(&mut connection).await,
            Err(Disconnected::Broken(fatal)),
            "{bad}"
        );
        server.check();
    }
}

#[tokio::test]
async fn an_endless_stanza_ends_the_stream() {
    let (_server, login) = session(WITH_SM, |_, mut peer| async move {
        peer.enable().await;
        peer.say("<message><body>").await;
        let chunk = "x".repeat(64 * 1024);
        while peer.try_say(&chunk).await {}
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    assert_eq!(
        next(&mut connection).await,
        Err(Disconnected::Broken(Fatal::Endless))
    );
}

#[tokio::test]
async fn a_stream_error_keeps_its_meaning() {
    for (condition, expected, retry) in [
        ("conflict", StreamCondition::Conflict, Retry::Ask),
        ("system-shutdown", StreamCondition::SystemShutdown, Retry::BackOff),
        (
            "new-one",
            StreamCondition::Other("new-one".to_owned()),
            Retry::BackOff,
        ),
    ] {
        let (_server, login) = session(WITH_SM, move |_, mut peer| async move {
            peer.enable().await;
            let ns = "xmlns='urn:ietf:params:xml:ns:xmpp-streams'";
            peer.say(&format!(
                "<message/><stream:error><{condition} {ns}/><text {ns}>why</text></stream:error></stream:stream>"
            ))
            .await;
            peer.hear("</stream:stream>").await;
        })
        .await;
        let mut connection = connect(&login).await.unwrap();
        stanza(&mut connection).await;
        let reason = next(&mut connection).await.unwrap_err();
        assert_eq!(reason.retry(), retry);
        assert_eq!(
            reason,
            Disconnected::Stream {
                condition: expected,
                text: "why".to_owned()
            }
        );
    }
}

#[tokio::test]
async fn closing_says_goodbye_and_reports_what_was_stored() {
    let (farewell, mut farewells) = tokio::sync::mpsc::unbounded_channel();
    let (_server, login) = session(WITH_SM, move |_, mut peer| {
        let farewell = farewell.clone();
        async move {
            peer.enable().await;
            peer.say("<message/>").await;
            farewell.send(peer.hear("</stream:stream>").await).unwrap();
            peer.say("</stream:stream>").await;
            peer.hear_out().await;
        }
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    stanza(&mut connection).await;
    connection.handled(1);
    let started = std::time::Instant::now();
    connection.close().await;
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "the server's goodbye was not heard"
    );
    assert_eq!(
        farewells.recv().await.unwrap(),
        format!("<a xmlns='{SM}' h='1'/></stream:stream>")
    );
}
