//! Servers of today: SASL2 with Bind2 and tokens (XEP-0388, 0386, 0484), and logins bound to the TLS channel.

use waxwing_scripted::{Act, Exchange, Honest, Modern, Point, Proof};

use crate::row::Sees::{Asks, Online, Tries};
use crate::row::{Row, STILL, row, speaks};

const ONLY: &[&str] = &["still here"];
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const SASL2: &str = "urn:xmpp:sasl:2";
const BY_PASSWORD: &str = "mechanism='SCRAM-SHA-512-PLUS'";
const BY_TOKEN: &str = "mechanism='HT-SHA-256-EXPR'><initial";

fn today(honest: Honest) -> Honest {
    speaks(honest.of_today(), "")
}

fn with(honest: Honest, change: impl FnOnce(&mut Modern)) -> Honest {
    let mut modern = honest.modern.clone().unwrap_or_default();
    change(&mut modern);
    Honest {
        modern: Some(modern),
        ..honest
    }
}

/// Loses the connection once, and the session with it: the second login is by the token that the first one brought.
fn twice(honest: Honest) -> Honest {
    let forgetful = Honest {
        acknowledges: false,
        ..today(honest)
    };
    forgetful.on(0..=0, Point::Presence, Act::Close)
}

fn failure(condition: &str) -> String {
    format!("<failure xmlns='{SASL2}'><{condition} xmlns='{SASL}'/><text>because</text></failure>")
}

fn passwords() -> Vec<Row> {
    let proof = |proof: Proof| {
        move |honest| Honest {
            exchange: Exchange {
                proof,
                ..Exchange::default()
            },
            ..today(honest)
        }
    };
    let second = format!(
        "<continue xmlns='{SASL2}'><additional-data>dj1h</additional-data><tasks><task>HOTP-MOON</task></tasks>\
         <text>Look at the moon</text></continue>"
    );
    vec![
        row("A server of today", Online(ONLY), today)
            .hears(BY_PASSWORD, 1)
            // Bind2 has turned them on.
            .hears("<enable xmlns='urn:xmpp:carbons:2'/>", 1)
            .unheard("carbons:2'/></iq>"),
        row(
            "A server of today that proves itself wrongly",
            Asks("server_untrustworthy"),
            proof(Proof::Wrong),
        )
        .unheard("<presence"),
        row(
            "A server of today that proves nothing",
            Asks("server_untrustworthy"),
            proof(Proof::Missing),
        )
        .unheard("<presence"),
        row(
            "A server of today that lets us in before we have proven anything",
            Asks("server_untrustworthy"),
            proof(Proof::Skipped),
        )
        .unheard("<presence"),
        row(
            "A server of today that proves itself in one more challenge",
            Online(ONLY),
            proof(Proof::InChallenge),
        ),
        row(
            "A server of today that wants a second proof, of which nobody has heard",
            Asks("login_unsupported"),
            |honest| today(honest).at(Point::Response, Act::end(second)),
        )
        .unheard("<presence"),
        row(
            "A server of today that does not take the password",
            Asks("wrong_password"),
            |honest| today(honest).at(Point::Response, Act::end(failure("not-authorized"))),
        ),
        row(
            "A server of today that falls silent in the midst of the login",
            Tries("timeout"),
            |honest| today(honest).at(Point::Response, Act::Silence),
        ),
    ]
}

fn bindings() -> Vec<Row> {
    let strongest = &["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"][..];
    let stripped = Some(vec!["SCRAM-SHA-256"]);
    let cut = stripped.clone();
    let known = stripped.clone();
    vec![
        row(
            "Somebody between who takes channel binding out of the offer",
            Asks("server_untrustworthy"),
            move |honest| Honest {
                seen: stripped,
                ..today(honest)
            },
        )
        .unheard("<presence"),
        row(
            "Somebody between who does so where the server does not say what it offered",
            Asks("server_untrustworthy"),
            move |honest| Honest {
                seen: cut,
                protects_offer: false,
                ..today(honest)
            },
        )
        .unheard("<presence"),
        row(
            "A server that offers no channel binding any more",
            Asks("login_weakened"),
            move |honest| {
                let weaker = Honest {
                    seen: known,
                    bindings: None,
                    modern: None,
                    ..today(honest.clone())
                };
                let offer = weaker.opening();
                let classic = Honest {
                    modern: None,
                    ..twice(honest)
                };
                classic.on(1..=usize::MAX, Point::Header, Act::say(offer))
            },
        )
        .connections(2),
        row(
            "A server that binds only by what we do not have",
            Online(ONLY),
            move |honest| Honest {
                mechanisms: strongest.to_vec(),
                bindings: Some(vec!["tls-unique", "tls-moon"]),
                ..today(honest)
            },
        )
        .hears("mechanism='SCRAM-SHA-256'", 1),
        row(
            "A server that offers bound logins only, by what we do not have",
            Asks("login_unsupported"),
            |honest| Honest {
                mechanisms: vec!["SCRAM-SHA-256-PLUS"],
                bindings: Some(vec!["tls-unique"]),
                ..today(honest)
            },
        )
        .unheard("<auth"),
        row(
            "A server that says in the exchange that it offered something else",
            Asks("server_untrustworthy"),
            |honest| Honest {
                seen: Some(vec!["SCRAM-SHA-1", "SCRAM-SHA-512-PLUS"]),
                ..today(honest)
            },
        )
        .unheard("<presence"),
    ]
}

fn sessions() -> Vec<Row> {
    let stranger =
        |identifier: &'static str| move |honest| with(today(honest), |modern| modern.identifier = identifier);
    let mut rows = Vec::new();
    for (what, identifier) in [
        ("lets us in as somebody else", "mallory@{domain}/x"),
        ("lets us in at another server", "person@evil.test/x"),
        ("lets us in as what is no address", "@@"),
        ("lets us in without saying as whom", ""),
        ("binds us to no resource along with the login", "{bare}"),
    ] {
        rows.push(
            row(
                format!("A server of today that {what}"),
                Tries("stream_failed"),
                stranger(identifier),
            )
            .connections(2)
            .unheard("<presence"),
        );
    }
    rows.extend([
        row(
            "A server of today that gives us a resource with a bird",
            Online(ONLY),
            stranger("{bare}/\u{1f426}\u{1fae8}"),
        ),
        row(
            "A server of today that does not say that it has bound a resource",
            Online(ONLY),
            |honest| with(today(honest), |modern| modern.bound = false),
        )
        .hears("<resource>", 1),
        row(
            "A server of today that breaks off once and resumes along with the login",
            Online(ONLY),
            |honest| {
                today(honest)
                    .on(0..=0, Point::Presence, Act::Close)
                    .on(1..=1, Point::Token, Act::add(STILL))
            },
        )
        .connections(2)
        .hears(BY_PASSWORD, 1)
        .hears(BY_TOKEN, 1)
        .hears("<resume ", 1)
        .quietly(),
    ]);
    rows
}

fn tokens() -> Vec<Row> {
    let refused =
        |condition: &'static str| move |honest| twice(honest).at(Point::Token, Act::say(failure(condition)));
    let mut rows = vec![
        row("A server of today to which we come back", Online(ONLY), twice)
            .connections(2)
            .hears(BY_PASSWORD, 1)
            .hears(BY_TOKEN, 1)
            .quietly(),
    ];
    for (what, condition) in [
        ("does not know the token any more", "not-authorized"),
        ("says that the token has expired", "credentials-expired"),
        ("wants a count with each token", "malformed-request"),
        ("does not take the token for what it is", "invalid-mechanism"),
    ] {
        rows.push(
            row(
                format!("A server of today that {what}"),
                Online(ONLY),
                refused(condition),
            )
            .connections(2)
            .hears(BY_PASSWORD, 2)
            .hears(BY_TOKEN, 1)
            .quietly(),
        );
    }
    for (what, act) in [
        ("hangs up at the sight of a token", Act::Close),
        ("answers a token with nonsense", Act::end("<x xmlns='urn:x'/>")),
        (
            "wants a second proof behind a token",
            Act::end(format!(
                "<continue xmlns='{SASL2}'><tasks><task>HOTP-MOON</task></tasks></continue>"
            )),
        ),
    ] {
        rows.push(
            row(
                format!("A server of today that {what}"),
                Online(ONLY),
                move |honest| twice(honest).at(Point::Token, act),
            )
            .connections(3)
            .hears(BY_PASSWORD, 2)
            .hears(BY_TOKEN, 1)
            .quietly(),
        );
    }
    for (what, proof) in [
        ("proves the token wrongly", Proof::Wrong),
        ("does not prove the token", Proof::Missing),
    ] {
        rows.push(
            row(
                format!("A server of today that {what}"),
                Asks("server_untrustworthy"),
                move |honest| with(twice(honest), |modern| modern.proof = proof),
            )
            .connections(2)
            .hears(BY_PASSWORD, 1),
        );
    }
    rows.extend([
        row(
            "A server of today whose account is disabled when we come back",
            Asks("account_disabled"),
            refused("account-disabled"),
        )
        .connections(2)
        .hears(BY_PASSWORD, 1),
        row(
            "A server of today whose tokens have ended when they are given",
            Online(ONLY),
            |honest| with(twice(honest), |modern| modern.expiry = "2001-01-01T00:00:00Z"),
        )
        .connections(2)
        .hears(BY_PASSWORD, 2)
        .hears(BY_TOKEN, 0)
        .quietly(),
        row(
            "A server of today that gives another token each time",
            Online(ONLY),
            |honest| {
                let rotating = with(twice(honest), |modern| modern.rotates = true);
                rotating.on(0..=2, Point::Presence, Act::Close)
            },
        )
        .connections(4)
        .hears(BY_PASSWORD, 1)
        .hears(BY_TOKEN, 3)
        .quietly(),
        row(
            "A server of today that gives tokens that bind to nothing",
            Online(ONLY),
            |honest| with(twice(honest), |modern| modern.tokens = vec!["HT-SHA-256-NONE"]),
        )
        .connections(2)
        .hears(BY_PASSWORD, 2)
        .hears("mechanism='HT-", 0)
        .quietly(),
    ]);
    rows
}

pub(crate) fn rows() -> Vec<Row> {
    [passwords(), bindings(), sessions(), tokens()]
        .into_iter()
        .flatten()
        .collect()
}
