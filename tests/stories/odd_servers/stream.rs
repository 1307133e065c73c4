//! Streams that are none, before anybody has signed in. Only whoever offers a login hears of the account.

use waxwing_scripted::{Act, Honest, Point, header, mechanisms, stream_error};

use crate::row::Sees::{Asks, Tries};
use crate::row::{Row, row};

/// Stream errors and what the person is told, with the number of attempts if the account stops then.
const CONDITIONS: [(&str, &str, Option<usize>); 11] = [
    ("host-unknown", "server_not_found", Some(1)),
    ("host-gone", "server_not_found", Some(1)),
    ("conflict", "conflict", Some(3)),
    ("not-authorized", "wrong_password", Some(1)),
    ("policy-violation", "policy_violation", Some(3)),
    ("system-shutdown", "server_shutdown", None),
    ("reset", "server_shutdown", None),
    ("resource-constraint", "server_busy", None),
    ("connection-timeout", "disconnected", None),
    ("internal-server-error", "stream_failed", None),
    ("no-such-condition", "stream_failed", None),
];

/// A server that does this with each of the stream errors; the script is given the stream's end.
pub(crate) fn ended(what: &str, script: impl Fn(Honest, &str) -> Honest + Copy + 'static) -> Vec<Row> {
    let mut rows = Vec::new();
    for (condition, code, attempts) in CONDITIONS {
        let sees = if attempts.is_some() {
            Asks(code)
        } else {
            Tries(code)
        };
        let one = row(
            format!("A server that {what} with {condition}"),
            sees,
            move |honest| script(honest, &stream_error(condition)),
        );
        rows.push(one.connections(attempts.unwrap_or(2)));
    }
    rows
}

fn instead_of_a_stream() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let open = header("odd.test");
    let offer = mechanisms(&["SCRAM-SHA-256"]);
    let entity = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>";
    vec![
        (
            "A server that opens its stream twice",
            "stream_failed",
            format!("{open}{open}{offer}").into(),
        ),
        (
            "A server of the time before version 1.0",
            "stream_failed",
            (open.replace(" version='1.0'>", ">") + "<message><body>x</body></message>").into(),
        ),
        (
            "A server that sends a web page",
            "stream_failed",
            b"<html><body>It works!</body></html>".to_vec(),
        ),
        (
            "A server whose features are not UTF-8",
            "stream_failed",
            [open.as_bytes(), b"<stream:features a='\xff\xfe'/>"].concat(),
        ),
        (
            "A server with a document type",
            "stream_failed",
            open.replacen("<stream", &format!("{entity}<stream"), 1).into(),
        ),
        (
            "A server that makes entities up",
            "stream_failed",
            format!("{open}<stream:features>&bomb;</stream:features>").into(),
        ),
        (
            "A server that sends a comment",
            "stream_failed",
            format!("{open}<!-- hello -->{offer}").into(),
        ),
        (
            "A server that sends a processing instruction",
            "stream_failed",
            format!("{open}<?php hello ?>{offer}").into(),
        ),
        (
            "A server that says something else than its features",
            "stream_failed",
            format!("{open}<message><body>x</body></message>").into(),
        ),
        (
            "A server whose features are nested 5,000 levels deep",
            "stream_failed",
            {
                let deep = format!("{}{}", "<x>".repeat(5_000), "</x>".repeat(5_000));
                format!("{open}<stream:features>{deep}</stream:features>").into()
            },
        ),
        (
            "A server whose stream ends as soon as it is open",
            "disconnected",
            format!("{open}</stream:stream>").into(),
        ),
    ]
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, code, answer) in instead_of_a_stream() {
        rows.push(
            row(name, Tries(code), move |honest| {
                honest.at(Point::Header, Act::end(answer))
            })
            .connections(2)
            .unheard("<auth"),
        );
    }
    let early = ended("ends the stream before the login", |honest, ending| {
        let text = header(&honest.domain) + ending;
        honest.at(Point::Header, Act::end(text))
    });
    rows.extend(early.into_iter().map(|row| row.unheard("<auth")));
    rows.extend([
        row(
            "A server that opens a stream and never says what it offers",
            Tries("timeout"),
            |honest| {
                let opening = header(&honest.domain);
                honest.at(Point::Header, Act::say(opening))
            },
        )
        .unheard("<auth"),
        row(
            "A server for servers, where people sign in",
            Tries("stream_failed"),
            |honest| {
                let opening = header(&honest.domain).replace("jabber:client", "jabber:server");
                let bind =
                    "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>";
                let offer = opening.clone() + &mechanisms(&honest.mechanisms);
                honest
                    .at(Point::Header, Act::say(offer))
                    .at(Point::SecondHeader, Act::say(opening + bind))
            },
        )
        .connections(2)
        .unheard("<presence"),
        row(
            "A server that offers no login at all",
            Asks("login_unsupported"),
            |honest| {
                let opening = header(&honest.domain) + "<stream:features/>";
                honest.at(Point::Header, Act::say(opening))
            },
        )
        .unheard("<auth"),
        row(
            "A server whose features never end",
            Tries("stream_failed"),
            |honest| {
                let opening = header(&honest.domain) + "<stream:features>";
                honest.at(
                    Point::Header,
                    Act::flood(opening, "<x xmlns='urn:x'/>".repeat(1_000)),
                )
            },
        )
        .unheard("<auth"),
        row(
            "A server whose stream header never ends",
            Tries("stream_failed"),
            |honest| {
                honest.at(
                    Point::Header,
                    Act::flood("<stream:stream x='", "x".repeat(10_000)),
                )
            },
        )
        .unheard("<auth"),
    ]);
    rows
}
