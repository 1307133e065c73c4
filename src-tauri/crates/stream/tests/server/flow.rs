//! The flow of bytes: bursts, full buffers, silence.

use std::time::Duration;

use tokio::time::Instant;
use waxwing_stream::{Connection, Disconnected, Element, Incoming, Tls};

use crate::common::scripted::{SM, Secure};
use crate::common::{connect, login, message, next, refused, stanza};
use crate::session::{R, WITH_SM, over, session};
use waxwing_scripted::Authority;

#[tokio::test]
async fn a_burst_is_taken_without_waiting() {
    let (server, login) = session(WITH_SM, |_, mut peer| async move {
        peer.enable().await;
        peer.say(&"<message/>".repeat(50)).await;
        peer.hear_out().await;
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    let mut taken = 0;
    while taken < 50 {
        next(&mut connection).await.unwrap();
        taken += 1;
        while let Some(incoming) = connection.try_next() {
            incoming.unwrap();
            taken += 1;
        }
    }
    assert_eq!(connection.try_next(), None);
    server.check();
}

#[tokio::test]
async fn dropping_the_wait_loses_nothing() {
    let (server, login) = session(WITH_SM, |_, mut peer| async move {
        peer.enable().await;
        for number in 0..40 {
            let xml = format!("<message id='{number}'><body>text</body></message>");
            let (one, two) = xml.split_at(number);
            peer.say(one).await;
            tokio::task::yield_now().await;
            peer.say(two).await;
        }
        peer.hear_out().await;
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    let mut number = 0;
    let deadline = Instant::now() + crate::common::LIMIT;
    while number < 40 {
        assert!(Instant::now() < deadline);
        tokio::select! {
            biased;
            incoming = connection.next() => {
                let Ok(Incoming::Stanza(element)) = incoming else { panic!("{incoming:?}") };
                assert_eq!(element.attr("id"), Some(number.to_string().as_str()));
                number += 1;
            }
            () = tokio::task::yield_now() => {}
        }
    }
    server.check();
}

#[tokio::test]
async fn two_sides_that_both_write_do_not_wait_for_each_other() {
    let (server, login) = session(WITH_SM, |_, mut peer| async move {
        peer.enable().await;
        let body = "s".repeat(512 * 1024);
        for _ in 0..16 {
            peer.say(&format!("<message><body>{body}</body></message>")).await;
        }
        peer.hear("last</body></message>").await;
        peer.hear_out().await;
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    let big: Element = format!(
        "<message xmlns='jabber:client'><body>{}</body></message>",
        "c".repeat(512 * 1024)
    )
    .parse()
    .unwrap();
    let sending = async {
        for _ in 0..16 {
            connection.send(&big).await.unwrap();
        }
        connection.send(&message("b@c", "last")).await.unwrap();
    };
    tokio::time::timeout(crate::common::LIMIT, sending)
        .await
        .expect("the sending comes to an end");
    for _ in 0..16 {
        stanza(&mut connection).await;
    }
    server.check();
}

/// How long, by the clock that jumps while all wait, until the connection is given up.
async fn given_up_after(connection: &mut Connection) -> (Disconnected, Duration) {
    let start = Instant::now();
    let reason = loop {
        if let Err(reason) = connection.next().await {
            break reason;
        }
    };
    (reason, start.elapsed())
}

#[tokio::test]
async fn a_server_that_does_not_answer_a_stanza_is_given_up_after_12_seconds() {
    let (_server, login) = session(WITH_SM, |_, mut peer| async move {
        peer.enable().await;
        peer.hear_quietly().await;
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    tokio::time::pause();
    connection.send(&message("b@c", "one")).await.unwrap();
    let (reason, after) = given_up_after(&mut connection).await;
    assert_eq!(reason, Disconnected::Silent);
    assert!((11..13).contains(&after.as_secs()), "{after:?}");
}

#[tokio::test]
async fn a_server_that_reads_slowly_gets_more_time_for_much_but_no_more_than_40_seconds() {
    for (kilobytes, seconds) in [(64, 19), (900, 39)] {
        let (_server, login) = session(WITH_SM, |_, mut peer| async move {
            peer.enable().await;
            peer.hear_quietly().await;
        })
        .await;
        let mut connection = connect(&login).await.unwrap();
        tokio::time::pause();
        let body = "x".repeat(kilobytes * 1024);
        let xml = format!("<message xmlns='jabber:client'><body>{body}</body></message>");
        connection.send_raw(xml.into()).await.unwrap();
        let (reason, after) = given_up_after(&mut connection).await;
        assert_eq!(reason, Disconnected::Silent);
        assert!((seconds..seconds + 2).contains(&after.as_secs()), "{after:?}");
        tokio::time::resume();
    }
}

/// A session that is taken up again; what the server says in it, and whether the next connection asks for it.
async fn taken_up<F>(says: impl Fn(Secure) -> F + Clone + Send + Sync + 'static) -> (Duration, bool)
where
    F: Future<Output = ()> + Send,
{
    let (asks, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let (_server, mut login) = session(WITH_SM, move |number, mut peer| {
        let (says, asks) = (says.clone(), asks.clone());
        async move {
            match number {
                0 => peer.enable().await,
                1 => {
                    peer.hear("previd='session'/>").await;
                    peer.say(&format!("<resumed xmlns='{SM}' h='0' previd='session'/>"))
                        .await;
                    says(peer).await;
                }
                _ => {
                    let first = peer.element().await.unwrap();
                    asks.send(first.name() == "resume").unwrap();
                }
            }
        }
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    over(&mut connection).await;
    login.resume = connection.into_resumption();
    let mut connection = connect(&login).await.unwrap();
    assert!(connection.resumed());
    tokio::time::pause();
    let (reason, after) = given_up_after(&mut connection).await;
    assert_eq!(reason, Disconnected::Silent);
    tokio::time::resume();
    login.resume = connection.into_resumption();
    refused(&login).await;
    (after, asked.recv().await.unwrap())
}

#[tokio::test]
async fn a_session_that_is_taken_up_and_never_heard_in_is_given_up_at_once() {
    let (after, again) = taken_up(|mut peer| async move { peer.hear_quietly().await }).await;
    assert!((11..13).contains(&after.as_secs()), "{after:?}");
    assert!(!again, "it is taken up once more");
}

#[tokio::test]
async fn a_server_that_speaks_in_a_session_and_does_not_hear_is_noticed_within_a_minute() {
    let (after, again) = taken_up(|mut peer| async move {
        while peer.try_say("<presence/>").await {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    })
    .await;
    assert!((59..62).contains(&after.as_secs()), "{after:?}");
    assert!(!again, "it is taken up once more");
}

#[tokio::test]
async fn a_session_that_was_taken_up_and_heard_in_is_gone_on_with_after_a_silence() {
    let (_, again) = taken_up(|mut peer| async move {
        peer.hear(R).await;
        peer.say(&format!("<a xmlns='{SM}' h='0'/>")).await;
        peer.hear_quietly().await;
    })
    .await;
    assert!(again, "a new one is begun");
}

#[test]
fn a_connection_and_the_way_to_it_can_be_moved_between_threads() {
    fn movable<T: Send>(value: T) -> T {
        value
    }
    let authority = Authority::default();
    let login = login("alice", &authority, 1, Tls::Direct);
    drop(movable(waxwing_stream::connect(&login)));
    let _: fn(Connection) -> Connection = movable::<Connection>;
}

#[tokio::test]
async fn a_server_that_falls_silent_is_asked_and_given_up_within_40_seconds() {
    for (features, probe) in [
        (WITH_SM, "<r xmlns='urn:xmpp:sm:3'/>"),
        ("", "<ping xmlns='urn:xmpp:ping'/>"),
    ] {
        let (asked, mut asking) = tokio::sync::mpsc::unbounded_channel();
        let (_server, login) = session(features, move |_, mut peer| {
            let asked = asked.clone();
            async move {
                if features.is_empty() {
                    peer.bind().await;
                } else {
                    peer.enable().await;
                }
                peer.hear(probe).await;
                asked.send(()).unwrap();
                peer.hear_quietly().await;
            }
        })
        .await;
        let mut connection = connect(&login).await.unwrap();
        tokio::time::pause();
        let (reason, after) = given_up_after(&mut connection).await;
        assert_eq!(reason, Disconnected::Silent);
        assert!((25..41).contains(&after.as_secs()), "{after:?}");
        asking.recv().await.expect("the server was asked");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn an_answered_probe_is_a_sign_of_life_and_stays_inside() {
    let (server, login) = session("", |_, mut peer| async move {
        peer.bind().await;
        let ping = peer.hear("<ping xmlns='urn:xmpp:ping'/></iq>").await;
        let id = ping
            .split("id='")
            .nth(1)
            .unwrap()
            .split('\'')
            .next()
            .unwrap()
            .to_owned();
        peer.say(&format!("<iq type='result' id='{id}'/><message/>"))
            .await;
        peer.hear_out().await;
    })
    .await;
    let mut connection = connect(&login).await.unwrap();
    connection.request_ack().await;
    assert_eq!(stanza(&mut connection).await.name(), "message");
    server.check();
}
