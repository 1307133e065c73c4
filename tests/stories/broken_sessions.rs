//! Sessions that break while something is owed: it is paid in the next one.

use std::ops::RangeBounds;
use std::time::Duration;

use serde_json::json;
use waxwing_scripted::{Act, Archive, Honest, Kept, Point, Question, refused};
use waxwing_tests::{Scripted, items};

/// What the friend says live and wants a receipt for.
const SAID: &str = "<message from='{friend}/there' to='{bare}' type='chat' id='said'><body>said</body>\
                    <request xmlns='urn:xmpp:receipts'/></message>";
const ENABLED: &str = "<enabled xmlns='urn:xmpp:sm:3' id='brief' resume='true'/>";
const FORGOTTEN: &str = "<failed xmlns='urn:xmpp:sm:3'>\
                         <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";

/// As Prosody 0.12 says it of what came while it shut down, and was thrown away.
const COUNTED: &str = "<failed xmlns='urn:xmpp:sm:3' h='{handled}'>\
                       <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";

/// A server without stream management, so that each session is a new one.
fn forgetful(honest: Honest) -> Honest {
    Honest {
        acknowledges: false,
        ..honest
    }
}

/// What the friend wrote, archived, with a receipt wanted; its body is its id.
fn archived(minute: usize, id: &str) -> Kept {
    Kept {
        id: format!("id of {id}"),
        stamp: format!("2026-01-01T00:{minute:02}:00Z"),
        stanza: format!(
            "<message xmlns='jabber:client' from='{{friend}}/there' to='{{bare}}' type='chat' id='{id}'><body>{id}</body>\
             <request xmlns='urn:xmpp:receipts'/></message>"
        ),
    }
}

fn receipt(id: &str) -> String {
    format!("<received xmlns='urn:xmpp:receipts' id='{id}'/>")
}

/// How often the server heard a receipt for this, from this connection on.
fn receipts(scene: &Scripted, connection: usize, id: &str) -> usize {
    let heard = scene.server.heard();
    let said = heard.iter().skip(connection);
    said.map(|heard| heard.secure.matches(&receipt(id)).count()).sum()
}

/// Waits for the receipt for what was said live, in one of these connections.
async fn receipt_has_come(scene: &Scripted, connections: impl RangeBounds<usize>) {
    let came = |server: &waxwing_scripted::Server| {
        let heard = server.heard();
        let mut heard = heard
            .iter()
            .enumerate()
            .filter(|(at, _)| connections.contains(at));
        heard.any(|(_, heard)| heard.secure.contains(&receipt("said")))
    };
    scene.server.until("the receipt has come", came).await;
}

#[tokio::test]
async fn a_receipt_that_the_server_may_not_have_goes_out_in_the_next_session() {
    let scene = Scripted::sign_in(|honest| {
        forgetful(honest)
            .on(0..=0, Point::Presence, Act::add(SAID))
            .on(0..=0, Point::Message, Act::Reset)
    })
    .await;
    receipt_has_come(&scene, 1..=1).await;
}

#[tokio::test]
async fn a_receipt_outlives_a_session_that_breaks_while_it_begins() {
    let scene = Scripted::sign_in(|honest| {
        honest
            .on(0..=0, Point::Presence, Act::add(SAID))
            .on(0..=0, Point::Message, Act::Reset)
            .at(Point::Resume, Act::say(FORGOTTEN))
            .on(1..=1, Point::Enable, Act::end(ENABLED))
            .on(2..=2, Point::Enable, Act::Reset)
    })
    .await;
    receipt_has_come(&scene, 3..).await;
}

/// An archive of three, of which the client knows the first; its second question for the rest ends like this.
fn interrupted(honest: Honest, end: Act) -> Honest {
    let kept = vec![archived(0, "one"), archived(1, "two"), archived(2, "three")];
    let archive = Archive::answering(kept, move |question, kept| {
        match (question.connection, question.number) {
            // And the connection breaks, so that something is missed.
            (0, _) => Act::end(question.page(&kept[..1], true)),
            (1, 0) => Act::say(question.page(&kept[1..2], false)),
            (1, _) => end.clone(),
            _ => Act::say(question.honestly(kept)),
        }
    });
    Honest {
        archive: Some(archive),
        ..forgetful(honest)
    }
}

async fn both_are_acknowledged(scene: &Scripted) {
    for id in ["two", "three"] {
        scene
            .server
            .until(&format!("there is a receipt for {id}"), |_| {
                receipts(scene, 2, id) > 0
            })
            .await;
        assert_eq!(receipts(scene, 0, id), 1, "{id}");
    }
}

#[tokio::test]
async fn what_was_missed_is_acknowledged_though_the_session_broke_in_the_midst_of_it() {
    let scene = Scripted::sign_in(|honest| interrupted(honest, Act::Reset)).await;
    both_are_acknowledged(&scene).await;
}

#[tokio::test]
async fn what_was_missed_is_acknowledged_though_the_program_was_killed_in_the_midst_of_it() {
    let scene = Scripted::sign_in(|honest| interrupted(honest, Act::Silence)).await;
    scene
        .server
        .until("a page is stored and the next one asked for", |server| {
            server
                .heard()
                .get(1)
                .is_some_and(|heard| heard.secure.matches("queryid=").count() > 1)
        })
        .await;
    let scene = scene.kill().await;
    both_are_acknowledged(&scene).await;
}

/// Two were missed, and are stored; then this, instead of word of what other devices have read.
async fn missed_two(instead: Act) -> Scripted {
    Scripted::sign_in(|honest| {
        let kept = vec![archived(0, "one"), archived(1, "two"), archived(2, "three")];
        let archive = Archive::answering(kept, |question, kept| match question.connection {
            0 => Act::end(question.page(&kept[..1], true)),
            _ => Act::say(question.honestly(kept)),
        });
        let honest = Honest {
            archive: Some(archive),
            ..forgetful(honest)
        };
        honest.on(1..=1, Point::Displayed, instead)
    })
    .await
}

/// Waits for the summary of what was missed.
async fn both_are_summed_up(scene: &mut Scripted) {
    let told = scene
        .app
        .event("what was missed is told", |event| event["type"] == "notify")
        .await;
    assert_eq!(told["notice"]["messages"], 2);
}

#[tokio::test]
async fn the_summary_of_what_was_missed_outlives_a_session_that_breaks_before_it_can_be_told() {
    let mut scene = missed_two(Act::Reset).await;
    both_are_summed_up(&mut scene).await;
    assert_eq!(scene.server.connections(), 3, "what this is about");
}

#[tokio::test]
async fn the_summary_of_what_was_missed_outlives_a_program_that_is_killed_before_it_can_be_told() {
    let scene = missed_two(Act::Silence).await;
    scene
        .server
        .until("it asks what other devices have read", |server| {
            let heard = server.heard();
            heard
                .get(1)
                .is_some_and(|heard| heard.secure.contains("<items node='urn:xmpp:mds:displayed:0'"))
        })
        .await;
    let mut scene = scene.kill().await;
    both_are_summed_up(&mut scene).await;
}

/// The answer says that there is an archive, which is asked when the connection is gone already.
#[tokio::test]
async fn what_is_asked_when_the_connection_has_just_broken_is_asked_when_the_session_goes_on() {
    let mut scene = Scripted::sign_in(|honest| {
        let archive = Archive::answering(vec![archived(0, "one")], |question, kept| {
            Act::say(question.honestly(kept))
        });
        Honest {
            archive: Some(archive),
            ..honest
        }
        .on(0..=0, Point::Disco, Act::BreakBehind)
    })
    .await;
    let caught_up = scene
        .app
        .event("the archive has been read", |event| event["type"] == "caught_up");
    // A question that nobody answers is given up after half a minute, and the archive asked again later still.
    tokio::time::timeout(Duration::from_secs(20), caught_up)
        .await
        .expect("the archive is asked at once");
    let heard = scene.server.heard();
    assert!(heard[1].secure.contains("<resume "), "what this is about");
}

/// A server at which the connection breaks when it has archived what is written first, before anybody could confirm it;
/// then the archive answers like this.
async fn wrote_and_broke_off(answer: Option<fn(&Question, &[Kept]) -> Act>) -> (Scripted, serde_json::Value) {
    let mut scene = Scripted::sign_in(|honest| {
        let archive = answer.map(|answer| {
            Archive::answering(vec![archived(0, "one")], move |question, kept| {
                match question.connection {
                    0 => Act::say(question.honestly(kept)),
                    _ => answer(question, kept),
                }
            })
        });
        Honest {
            archive,
            ..forgetful(honest)
        }
        .on(0..=0, Point::Archived, Act::Reset)
    })
    .await;
    scene.app.online(&scene.account).await;
    scene
        .app
        .event("the archive has been read", |event| event["type"] == "caught_up")
        .await;
    let chat = scene.app.open_plain_chat(&scene.account, &scene.friend).await;
    let message = scene.app.send(&chat, "once").await;
    (scene, message)
}

const ONCE: &str = "<body>once</body>";

#[tokio::test]
async fn an_archive_that_fails_once_is_asked_again_before_anything_is_sent_twice() {
    let (mut scene, message) = wrote_and_broke_off(Some(|question, kept| match question.number {
        0 => Act::say(refused("internal-server-error")),
        _ => Act::say(question.honestly(kept)),
    }))
    .await;
    scene.app.delivery(&message, "sent").await;
    // What is written behind it comes behind what would be sent again.
    let chat = message["chat"].clone();
    let last = scene.app.send(&chat, "the last line").await;
    scene.app.delivery(&last, "sent").await;
    assert_eq!(scene.server.count(ONCE), 1);
}

#[tokio::test]
async fn an_archive_that_always_fails_keeps_nothing_from_being_sent() {
    let (scene, _) = wrote_and_broke_off(Some(|_, _| Act::say(refused("internal-server-error")))).await;
    scene
        .server
        .until("it is sent again", |server| server.count(ONCE) > 1)
        .await;
    let heard = scene.server.heard();
    assert_eq!(heard[1].secure.matches("queryid=").count(), 4);
}

/// Whoever tells of the message while the archive fails, which would have it sent again.
async fn is_told_of(tells: fn(&Question, &[Kept]) -> Act, stage: &str) {
    let (mut scene, message) = wrote_and_broke_off(Some(tells)).await;
    scene.app.delivery(&message, stage).await;
    // It is not sent again when the archive is given up either, and no time before: what waits would wait with it.
    let last = scene.app.send(&message["chat"], "the last line").await;
    scene.app.delivery(&last, "sent").await;
    assert_eq!(scene.server.count(ONCE), 1);
    let chat = message["chat"].clone();
    let rows = scene.app.messages(&chat).await;
    let rows = rows.iter().filter(|row| row["body"] == "once").count();
    assert_eq!(rows, 1, "rows with what came back");
}

#[tokio::test]
async fn a_copy_of_what_nobody_confirmed_says_that_the_server_has_it() {
    let tells = |_: &Question, kept: &[Kept]| {
        let written = kept.last().expect("what was written is archived");
        let copy = format!(
            "<message from='{{bare}}' to='{{address}}' type='chat'><sent xmlns='urn:xmpp:carbons:2'>\
             <forwarded xmlns='urn:xmpp:forward:0'>{}</forwarded></sent></message>",
            written.stanza
        );
        Act::say(copy + &refused("internal-server-error"))
    };
    is_told_of(tells, "sent").await;
}

#[tokio::test]
async fn a_receipt_for_what_nobody_confirmed_says_that_it_has_come() {
    let tells = |_: &Question, kept: &[Kept]| {
        let written = &kept.last().expect("what was written is archived").stanza;
        let id = waxwing_scripted::id_of(written);
        let received = format!(
            "<message from='{{friend}}/there' to='{{bare}}' type='chat'>\
             <received xmlns='urn:xmpp:receipts' id='{id}'/></message>"
        );
        Act::say(received + &refused("internal-server-error"))
    };
    is_told_of(tells, "delivered").await;
}

#[tokio::test]
async fn where_there_is_no_archive_what_may_have_been_lost_is_sent_again_at_once() {
    let (scene, _) = wrote_and_broke_off(None).await;
    scene
        .server
        .until("it is sent again", |server| server.count(ONCE) > 1)
        .await;
    assert_eq!(scene.server.count("queryid="), 0);
}

#[tokio::test]
async fn what_comes_before_a_new_session_has_begun_is_acknowledged_once() {
    let scene = Scripted::sign_in(|honest| {
        honest
            .on(0..=0, Point::Presence, Act::Reset)
            .at(Point::Resume, Act::say(FORGOTTEN))
            .on(1..=1, Point::Enable, Act::add(SAID))
    })
    .await;
    scene
        .server
        .until("the receipt has come", |_| receipts(&scene, 1, "said") > 0)
        .await;
    // It comes behind whatever is sent when all has been read.
    scene
        .server
        .until("all has been read", |server| {
            server.heard()[1].secure.contains("urn:xmpp:mds:displayed:0")
        })
        .await;
    assert_eq!(receipts(&scene, 1, "said"), 1);
}

#[tokio::test]
async fn a_server_that_never_says_that_all_has_come_keeps_nothing_from_being_told() {
    let mut scene = Scripted::sign_in(|honest| honest.at(Point::Ping, Act::say(""))).await;
    scene
        .app
        .event("all that waited counts as told", |event| {
            event["type"] == "caught_up"
        })
        .await;
    assert_eq!(scene.server.connections(), 1, "what this is about");
}

/// The server takes a message in, ends the session, and counts the message among those it had of it. How often it hears the
/// message in the sessions after that.
async fn counted_and_forgotten(archive: Option<Archive>) -> (Scripted, usize) {
    let missed = archive.as_ref().map_or(0, |archive| archive.kept.len());
    let mut scene = Scripted::sign_in(|honest| Honest {
        archive,
        ..honest
            .on(0..=0, Point::Message, Act::Reset)
            .at(Point::Resume, Act::say(COUNTED))
    })
    .await;
    let friend = scene.friend.clone();
    let chat = scene.app.open_plain_chat(&scene.account, &friend).await;
    let page = json!({ "chat": chat, "limit": 10 });
    scene
        .app
        .until("what was missed is there", "list_messages", page, |list| {
            items(list).len() == missed
        })
        .await;
    let message = scene.app.send(&chat, "hello").await;
    scene.app.delivery(&message, "sent").await;
    let heard = scene.server.heard();
    let later = heard.iter().skip(1);
    let times = later
        .map(|heard| heard.secure.matches("<body>hello</body>").count())
        .sum();
    (scene, times)
}

#[tokio::test]
async fn what_a_server_counted_and_its_archive_does_not_have_is_sent_again() {
    // Nothing that comes while the server runs is kept.
    let kept = vec![archived(0, "one")];
    let archive = Archive::answering(kept, |question, kept| Act::say(question.honestly(&kept[..1])));
    let (_scene, times) = counted_and_forgotten(Some(archive)).await;
    assert_eq!(times, 1);
}

#[tokio::test]
async fn what_a_server_without_an_archive_counted_is_not_sent_again() {
    let (_scene, times) = counted_and_forgotten(None).await;
    assert_eq!(times, 0);
}
