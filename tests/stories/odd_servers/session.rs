//! Binding, stream management, and ends of streams.

use waxwing_scripted::{Act, Honest, Point, stream_error};

use crate::row::Sees::{Asks, Online, Tries};
use crate::row::{Row, STILL, row, speaks};
use crate::stream::ended;

const SM: &str = "urn:xmpp:sm:3";
const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

fn bound(content: &str) -> String {
    format!(
        "<iq type='result' id='{{id}}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{content}</bind></iq>"
    )
}

fn binding() -> Vec<Row> {
    let mut rows = Vec::new();
    for (condition, sees, attempts) in [
        ("conflict", Asks("conflict"), 3),
        ("not-allowed", Asks("policy_violation"), 3),
        ("resource-constraint", Asks("policy_violation"), 3),
        ("internal-server-error", Tries("stream_failed"), 2),
    ] {
        rows.push(
            row(format!("A server that refuses the resource with {condition}"), sees, move |honest| {
                honest.at(
                    Point::Bind,
                    Act::end(format!(
                        "<iq type='error' id='{{id}}'><error type='cancel'><{condition} xmlns='{STANZAS}'/></error></iq>"
                    )),
                )
            })
            .connections(attempts),
        );
    }
    for (what, answer) in [
        (
            "binds us to somebody else's address",
            bound("<jid>mallory@{domain}/x</jid>"),
        ),
        (
            "binds us to our name on another server",
            bound("<jid>person@evil.test/x</jid>"),
        ),
        ("binds us to no resource", bound("<jid>{bare}</jid>")),
        ("binds us to what is no address", bound("<jid>@@</jid>")),
        ("binds us to nothing", bound("")),
        (
            "answers another question than for the resource",
            bound("<jid>{bare}/x</jid>").replace("{id}", "x"),
        ),
        (
            "sends a message before the resource is bound",
            "<message from='{friend}'><body>early</body></message>".to_owned(),
        ),
    ] {
        rows.push(
            row(
                format!("A server that {what}"),
                Tries("stream_failed"),
                move |honest| honest.at(Point::Bind, Act::end(answer)),
            )
            .connections(2)
            .unheard("<presence"),
        );
    }
    for (what, resource) in [
        ("another resource than asked for", "bird of theirs"),
        (
            "a resource with a bird newer than Unicode 3.2",
            "\u{1f426}\u{1fae8}",
        ),
        ("a resource with a slash", "one/two"),
    ] {
        rows.push(row(
            format!("A server that gives us {what}"),
            Online(&["still here"]),
            move |honest| {
                let jid = format!("<jid>{{bare}}/{resource}</jid>");
                speaks(honest, "").at(Point::Bind, Act::say(bound(&jid)))
            },
        ));
    }
    rows
}

/// A server that loses the connection once.
fn interrupted(honest: Honest) -> Honest {
    honest
        .at(Point::Presence, Act::add(STILL))
        .on(0..=0, Point::Presence, Act::Close)
}

fn resuming() -> Vec<Row> {
    let mut rows = Vec::new();
    let not_found = format!("<item-not-found xmlns='{STANZAS}'/>");
    for (what, answer, connections) in [
        (
            "does not know the session any more",
            format!("<failed xmlns='{SM}'>{not_found}</failed>"),
            2,
        ),
        (
            "gave the session up but knows how far it got",
            format!("<failed xmlns='{SM}' h='1'>{not_found}</failed>"),
            2,
        ),
        (
            "gave the session up and claims to have had more than was sent",
            format!("<failed xmlns='{SM}' h='4000'/>"),
            2,
        ),
        (
            "resumes without saying how far it got",
            format!("<resumed xmlns='{SM}' previd='{{id}}'/>"),
            3,
        ),
        (
            "resumes and claims to have more than was sent",
            format!("<resumed xmlns='{SM}' previd='{{id}}' h='4000'/>"),
            3,
        ),
        (
            "resumes with a number that is none",
            format!("<resumed xmlns='{SM}' previd='{{id}}' h='-1'/>"),
            3,
        ),
        (
            "answers the resumption with something else",
            "<resumed xmlns='urn:x'/>".to_owned(),
            3,
        ),
    ] {
        rows.push(
            row(
                format!("A server that {what}"),
                Online(&["still here"]),
                move |honest| interrupted(honest).at(Point::Resume, Act::say(answer)),
            )
            .connections(connections),
        );
    }
    rows.push(
        row(
            "A server that breaks off once and resumes",
            Online(&["still here"]),
            |honest| interrupted(honest).at(Point::Resume, Act::add(STILL)),
        )
        .connections(2),
    );
    rows
}

fn managing() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, answer) in [
        (
            "refuses stream management",
            format!("<failed xmlns='{SM}'><unexpected-request xmlns='{STANZAS}'/></failed>"),
        ),
        (
            "manages the stream without a name for the session",
            format!("<enabled xmlns='{SM}'/>"),
        ),
        (
            "manages the stream but resumes nothing",
            format!("<enabled xmlns='{SM}' id='x' resume='false'/>"),
        ),
        (
            "sends a message before it manages the stream",
            format!("<presence from='{{friend}}/x'/><enabled xmlns='{SM}'/>"),
        ),
    ] {
        rows.push(row(
            format!("A server that {what}"),
            Online(&["still here"]),
            move |honest| speaks(honest, "").at(Point::Enable, Act::say(answer)),
        ));
    }
    rows.extend([
        row(
            "A server without stream management",
            Online(&["still here"]),
            |honest| {
                speaks(
                    Honest {
                        acknowledges: false,
                        ..honest
                    },
                    "",
                )
            },
        ),
        row(
            "A server that never answers about stream management",
            Tries("timeout"),
            |honest| honest.at(Point::Enable, Act::Silence),
        ),
        row(
            "A server that acknowledges unasked",
            Online(&["still here"]),
            |honest| speaks(honest, format!("<a xmlns='{SM}' h='0'/>").repeat(3)),
        ),
        row(
            "A server that acknowledges more than was sent",
            Tries("stream_failed"),
            |honest| honest.at(Point::AckRequest, Act::say(format!("<a xmlns='{SM}' h='4000'/>"))),
        )
        .connections(2),
        row(
            "A server that asks 20,000 times what we have",
            Online(&["still here"]),
            |honest| speaks(honest, format!("<r xmlns='{SM}'/>").repeat(20_000)),
        ),
        row(
            "A server whose acknowledgement is no number",
            Online(&["still here"]),
            |honest| {
                speaks(
                    honest,
                    format!(
                        "<a xmlns='{SM}' h='many'/><a xmlns='{SM}'/><enabled xmlns='{SM}'/><b xmlns='{SM}'/>"
                    ),
                )
            },
        ),
    ]);
    rows
}

/// A server that resumes nothing, so that it is always the same that happens.
fn forgetful(honest: Honest) -> Honest {
    Honest {
        acknowledges: false,
        ..honest
    }
}

fn endings() -> Vec<Row> {
    let mut rows = ended("ends the session", |honest, ending| {
        forgetful(honest).at(Point::Presence, Act::end(ending))
    });
    for (again, sees, connections) in [(1..=1, Tries("conflict"), 3), (1..=4, Asks("conflict"), 5)] {
        let times = if again.end() > &1 {
            "and the next three too"
        } else {
            "once"
        };
        let name = format!(
            "A server that makes a session of what broke off, which replaces the one behind it, {times}"
        );
        rows.push(
            row(name, sees, move |honest| {
                forgetful(honest).on(0..=0, Point::Bind, Act::Reset).on(
                    again,
                    Point::Presence,
                    Act::end(stream_error("conflict")),
                )
            })
            .connections(connections),
        );
    }
    for (name, code, text) in [
        (
            "A server that sends a document type in the midst",
            "stream_failed",
            "<!DOCTYPE x>".as_bytes(),
        ),
        (
            "A server that makes entities up in the midst",
            "stream_failed",
            b"<message><body>&bomb;</body></message>",
        ),
        (
            "A server that sends a comment in the midst",
            "stream_failed",
            b"<!-- hello -->",
        ),
        (
            "A server that sends a processing instruction in the midst",
            "stream_failed",
            b"<?php hello ?>",
        ),
        (
            "A server that sends bytes that are no UTF-8 in the midst",
            "stream_failed",
            b"<message><body>\xff\xfe</body></message>",
        ),
        (
            "A server that closes what it did not open",
            "stream_failed",
            b"<message></body></message>",
        ),
        ("A server that talks between stanzas", "stream_failed", b"hello"),
        (
            "A server that ends the stream in order, again and again",
            "disconnected",
            b"</stream:stream>",
        ),
    ] {
        rows.push(
            row(name, Tries(code), move |honest| {
                forgetful(honest).at(Point::Presence, Act::end(text))
            })
            .connections(2)
            .at_most(12),
        );
    }
    rows.extend([
        row(
            "A server that closes right after the login, again and again",
            Tries("disconnected"),
            |honest| forgetful(honest).at(Point::Presence, Act::Close),
        )
        .connections(3)
        .at_most(12),
        row(
            "A server that falls silent after the login",
            Tries("disconnected"),
            |honest| honest.at(Point::Presence, Act::Silence),
        ),
        row(
            "A server without stream management that falls silent after the login",
            Tries("disconnected"),
            |honest| forgetful(honest).at(Point::Presence, Act::Silence),
        ),
        row(
            "A server that sends one stanza without end",
            Tries("stream_failed"),
            |honest| {
                honest.at(
                    Point::Presence,
                    Act::flood("<message from='{friend}/x'>", "<x>x</x>".repeat(2_000)),
                )
            },
        ),
    ]);
    rows
}

pub(crate) fn rows() -> Vec<Row> {
    [binding(), resuming(), managing(), endings()]
        .into_iter()
        .flatten()
        .collect()
}
