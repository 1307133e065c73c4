//! Logins that must not succeed, or not so.

use waxwing_scripted::{Act, Exchange, Honest, Point, Proof, header, mechanisms};

use crate::row::Sees::{Asks, Online, Tries};
use crate::row::{Row, row, speaks};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

fn failure(condition: &str) -> String {
    format!("<failure xmlns='{SASL}'><{condition}/><text>because</text></failure>")
}

/// How an exchange goes wrong that shows that the server is not the account's.
fn lies() -> Vec<(&'static str, Exchange)> {
    let honest = Exchange::default;
    let challenge = |text: &str| Exchange {
        challenge: Some(text.to_owned()),
        ..honest()
    };
    vec![
        (
            "names another one's nonce",
            Exchange {
                foreign_nonce: true,
                ..honest()
            },
        ),
        (
            "wants one single iteration",
            Exchange {
                iterations: 1,
                ..honest()
            },
        ),
        (
            "wants 2,147,483,648 iterations",
            Exchange {
                iterations: 1 << 31,
                ..honest()
            },
        ),
        (
            "proves itself wrongly",
            Exchange {
                proof: Proof::Wrong,
                ..honest()
            },
        ),
        (
            "proves nothing",
            Exchange {
                proof: Proof::Missing,
                ..honest()
            },
        ),
        (
            "lets us in before we have proven anything",
            Exchange {
                proof: Proof::Skipped,
                ..honest()
            },
        ),
        ("sends a challenge that is none", challenge("hello")),
        ("sends an empty challenge", challenge("")),
        (
            "wants an extension that nobody knows",
            challenge("m=x,r=abc,s=QSXC,i=4096"),
        ),
    ]
}

/// Signs in once and is thrown out, so that the program has seen what the server can do.
fn known(honest: Honest) -> Honest {
    honest.on(0..=0, Point::Presence, Act::Close)
}

fn offering(honest: Honest, names: &[&str]) -> Honest {
    let offer = header(&honest.domain) + &mechanisms(names);
    known(honest).on(1..=usize::MAX, Point::Header, Act::say(offer))
}

fn not_known(names: &'static [&'static str]) -> impl FnOnce(Honest) -> Honest {
    move |honest| Honest {
        mechanisms: names.to_vec(),
        ..honest
    }
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, exchange) in lies() {
        rows.push(
            row(
                format!("A server that {what}"),
                Asks("server_untrustworthy"),
                |honest| Honest { exchange, ..honest },
            )
            .unheard("<bind"),
        );
    }
    for (condition, sees, attempts) in [
        ("not-authorized", Asks("wrong_password"), 1),
        ("credentials-expired", Asks("wrong_password"), 1),
        ("invalid-authzid", Asks("wrong_password"), 1),
        ("account-disabled", Asks("account_disabled"), 1),
        ("mechanism-too-weak", Asks("login_unsupported"), 1),
        ("invalid-mechanism", Asks("login_unsupported"), 1),
        ("temporary-auth-failure", Tries("server_busy"), 2),
        ("encryption-required", Tries("stream_failed"), 2),
        ("aborted", Tries("stream_failed"), 2),
        ("malformed-request", Tries("stream_failed"), 2),
        ("no-such-condition", Tries("stream_failed"), 2),
    ] {
        rows.push(
            row(
                format!("A server that refuses the login with {condition}"),
                sees,
                move |honest| honest.at(Point::Auth, Act::end(failure(condition))),
            )
            .connections(attempts)
            .unheard("<bind"),
        );
    }
    rows.extend([
        row(
            "A server that no longer takes a password that it took before",
            Asks("wrong_password"),
            |honest| known(honest).on(1..=usize::MAX, Point::Auth, Act::end(failure("not-authorized"))),
        )
        .connections(4),
        row(
            "A server that offers only the password itself after it knew better",
            Asks("login_weakened"),
            |honest| offering(honest, &["PLAIN"]),
        )
        .connections(2),
        row(
            "A server that offers only SHA-1 after it knew better",
            Asks("login_weakened"),
            |honest| offering(honest, &["PLAIN", "SCRAM-SHA-1"]),
        )
        .connections(2),
        row(
            "A server that offers no login that we know",
            Asks("login_unsupported"),
            not_known(&["EXTERNAL", "DIGEST-MD5"]),
        )
        .unheard("<auth"),
        row(
            "A server that proves itself in one more challenge",
            Online(&["still here"]),
            |honest| {
                let exchange = Exchange {
                    proof: Proof::InChallenge,
                    ..Exchange::default()
                };
                speaks(Honest { exchange, ..honest }, "")
            },
        ),
        row(
            "A server that answers the login in no known language",
            Tries("stream_failed"),
            |honest| honest.at(Point::Auth, Act::end("<challenge xmlns='urn:x'>YQ==</challenge>")),
        )
        .connections(2),
        row(
            "A server whose challenge is not base64",
            Asks("server_untrustworthy"),
            |honest| {
                honest.at(
                    Point::Auth,
                    Act::end(format!("<challenge xmlns='{SASL}'>!!!</challenge>")),
                )
            },
        ),
        row(
            "A server that sends its challenge again and again",
            Asks("server_untrustworthy"),
            |honest| {
                honest.at(
                    Point::Response,
                    Act::end(format!("<challenge xmlns='{SASL}'>cj1h</challenge>")),
                )
            },
        ),
        row(
            "A server that falls silent in the midst of the login",
            Tries("timeout"),
            |honest| honest.at(Point::Auth, Act::Silence),
        ),
        row(
            "A server that breaks off in the midst of the login",
            Tries("disconnected"),
            |honest| honest.at(Point::Auth, Act::Close),
        )
        .connections(2)
        .at_most(12),
        row(
            "A server that wants the password itself",
            Asks("plain_only"),
            not_known(&["PLAIN"]),
        )
        .unheard("<auth"),
        row(
            "A server that lets us in and never opens the stream anew",
            Tries("timeout"),
            |honest| honest.at(Point::SecondHeader, Act::Silence),
        ),
    ]);
    rows
}
