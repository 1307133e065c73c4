//! Before TLS stands, and certificates. No byte of a password may be asked for or sent.

use waxwing_scripted::{Act, Authority, Begins, Honest, Point, VALID, header, mechanisms};

use crate::row::Sees::{Asks, Tries};
use crate::row::{Row, row, row_by};

const NS: &str = "urn:ietf:params:xml:ns:xmpp-tls";

fn by_starttls(honest: Honest) -> Honest {
    Honest {
        begins: Begins::StartTls,
        ..honest
    }
}

/// Certificates that must not be believed, over both ways.
fn certificates() -> Vec<Row> {
    let mut rows = Vec::new();
    for begins in [Begins::Direct, Begins::StartTls] {
        let way = match begins {
            Begins::Direct => "direct TLS",
            Begins::StartTls => "STARTTLS",
        };
        for (what, code) in [
            ("is made out for another name", "certificate_wrong_name"),
            ("has expired", "certificate_expired"),
            ("is not valid yet", "certificate_expired"),
            ("is signed by nobody we know", "certificate_unknown_issuer"),
            ("is signed by itself", "certificate_unknown_issuer"),
        ] {
            let script = move |honest: Honest, authority: &Authority| {
                let domain = honest.domain.clone();
                let tls = match what {
                    "is made out for another name" => authority.tls("evil.test", VALID),
                    "has expired" => authority.tls(&domain, (2000, 2010)),
                    "is not valid yet" => authority.tls(&domain, (2080, 2090)),
                    "is signed by nobody we know" => Authority::new("Nobody").tls(&domain, VALID),
                    _ => Authority::self_signed(&domain),
                };
                Honest {
                    tls,
                    begins,
                    ..honest
                }
            };
            rows.push(
                row_by(
                    format!("A certificate that {what}, over {way}"),
                    Asks(code),
                    script,
                )
                .unheard("<"),
            );
        }
    }
    rows
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = certificates();
    for (name, answer) in [
        (
            "A server that speaks XMPP in the clear where TLS should be",
            header("odd.test").into_bytes(),
        ),
        ("A server that answers TLS with garbage", vec![0xa5; 200]),
        (
            "A web server behind the port",
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        ),
        // A fatal alert of version 1.1: protocol_version.
        ("A server that knows only TLS 1.1", vec![0x15, 3, 2, 0, 2, 2, 70]),
    ] {
        rows.push(
            row(name, Tries("tls_failed"), move |honest| {
                honest.at(Point::Accepted, Act::end(answer))
            })
            .connections(2),
        );
    }
    rows.extend([
        row(
            "A server that closes every connection at once",
            Tries("tls_failed"),
            |honest| honest.at(Point::Accepted, Act::Close),
        )
        .connections(2),
        row(
            "A server that accepts and says nothing",
            Tries("timeout"),
            |honest| honest.at(Point::Accepted, Act::Silence),
        )
        .connections(2),
        row(
            "A server without TLS that wants a password",
            Asks("tls_unavailable"),
            |honest| {
                let offer = header(&honest.domain) + &mechanisms(&["PLAIN", "SCRAM-SHA-256"]);
                by_starttls(honest).at(Point::ClearHeader, Act::say(offer))
            },
        ),
        row(
            "A server that refuses TLS after it was asked for",
            Asks("tls_unavailable"),
            |honest| by_starttls(honest).at(Point::StartTls, Act::end(format!("<failure xmlns='{NS}'/>"))),
        ),
        row(
            "A server that answers the wish for TLS with a success of the login",
            Asks("tls_unavailable"),
            |honest| {
                let success = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
                by_starttls(honest).at(Point::StartTls, Act::end(success))
            },
        ),
        row(
            "A server that opens a stream in the clear and falls silent",
            Tries("timeout"),
            |honest| {
                let opening = header(&honest.domain);
                by_starttls(honest).at(Point::ClearHeader, Act::say(opening))
            },
        ),
        row("A server that never goes on to TLS", Tries("timeout"), |honest| {
            by_starttls(honest).at(Point::StartTls, Act::Silence)
        }),
        row(
            "A server that breaks off when TLS is asked for",
            Tries("unreachable"),
            |honest| by_starttls(honest).at(Point::StartTls, Act::Close),
        )
        .connections(2),
    ]);
    for (what, injected) in [
        ("the features of a stream", "<stream:features/>"),
        (
            "the success of a login",
            "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        ),
        ("half a tag", "<"),
        ("a word", "x"),
    ] {
        rows.push(row(
            format!("Somebody between who puts {what} behind <proceed/>"),
            Tries("stream_failed"),
            move |honest| {
                let both = format!("<proceed xmlns='{NS}'/>{injected}");
                by_starttls(honest).at(Point::StartTls, Act::end(both))
            },
        ));
    }
    rows
}
