//! Archives that answer as they should and hold what is odd (XEP-0313).

use waxwing_scripted::{Kept, Question};

use crate::archive::{ALL, ANOTHER, Answer, Who, all, holding, of_friend, says, stamp};
use crate::row::Row;

/// Pages of at most this size, as an honest archive gives them.
fn in_steps(size: usize) -> Answer {
    says(move |question, kept| {
        let question = Question {
            max: size,
            ..question.clone()
        };
        question.honestly(kept)
    })
}

/// An archive that always was as it is: what it holds is odd.
fn contents(what: &str, base: &[Kept], shown: &'static [&'static str]) -> Vec<Row> {
    let mut rows = Vec::new();
    for who in [Who::New, Who::Back] {
        for size in [1, 2, 250] {
            rows.push(holding(
                base.to_vec(),
                who,
                &format!("{what}, {size} on a page"),
                shown,
                0,
                (1, base.len() + 3),
                shown,
                in_steps(size),
            ));
        }
    }
    rows
}

/// The usual ones with odd ones between them, but not as the first one.
fn among(odd: Vec<Kept>) -> Vec<Kept> {
    let mut base = all();
    base.splice(2..2, odd);
    base
}

fn odd_times() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, stamp) in [
        ("does not say when", ""),
        ("says what is no time", "yesterday"),
        ("is of the year 1970", "1970-01-01T00:00:00Z"),
        ("is of the year 9999", "9999-12-30T00:00:00Z"),
        ("has a time that cannot be", "9999-99-99T99:99:99Z"),
    ] {
        let mut base = all();
        for kept in &mut base[2..4] {
            stamp.clone_into(&mut kept.stamp);
        }
        rows.extend(contents(&format!("{what} for some messages"), &base, ALL));
        for kept in &mut base {
            stamp.clone_into(&mut kept.stamp);
        }
        rows.extend(contents(&format!("{what} for any message"), &base, ALL));
    }
    rows
}

fn odd_ids() -> Vec<Row> {
    let twice = {
        let mut base = all();
        let two = base[1].clone();
        base.insert(2, two);
        base
    };
    let named = |id: &str| {
        let mut base = all();
        for (number, kept) in base.iter_mut().enumerate() {
            kept.id = format!("{id}{number}");
        }
        base
    };
    let mut long = all();
    long[2].id = "l".repeat(10_000);
    let mut rows = contents("has ids of 2,000 characters", &named(&"l".repeat(2_000)), ALL);
    rows.extend(contents(
        "has ids that are markup and blanks",
        &named("<a b='&\"'>\t \r\n]]>"),
        ALL,
    ));
    rows.push(holding(
        twice,
        Who::Back,
        "gives one message twice on a page",
        ALL,
        0,
        (1, 1),
        ALL,
        in_steps(250),
    ));
    rows.extend(contents(
        "has an id of 10,000 characters",
        &long,
        &["one", "two", "four", "five"],
    ));
    rows
}

fn odd_messages() -> Vec<Row> {
    let odd = |name: &str, stanza: &str| Kept {
        id: format!("odd {name}"),
        stamp: stamp(1),
        stanza: stanza.to_owned(),
    };
    let message = |kind: &str| {
        format!(
            "<message xmlns='jabber:client' from='{{friend}}/x' to='{{bare}}' type='{kind}' id='odd'><body>odd</body>\
             </message>"
        )
    };
    let of_others = Kept::message("of others", &stamp(1), ("mallory@evil.test/x", "{friend}"), "odd");
    let kinds = ["error", "groupchat", "headline"].map(|kind| odd(kind, &message(kind)));
    let stanzas = [
        "",
        "<iq xmlns='jabber:client' type='get' from='{friend}/x' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<presence xmlns='jabber:client' from='{friend}/x' type='subscribe'/>",
        "<message xmlns='jabber:server' from='{friend}/x' to='{bare}'><body>odd</body></message>",
        "<message xmlns='jabber:client'><body>odd</body></message>",
        "<message xmlns='jabber:client' from='@@' to='@@'><body>odd</body></message>",
        "<odd xmlns='urn:x'/>",
    ];
    let stanzas = stanzas.iter().enumerate();
    let stanzas = stanzas.map(|(number, stanza)| odd(&number.to_string(), stanza));
    [
        ("holds a message of others", vec![of_others]),
        ("holds what is no message to a person", kinds.to_vec()),
        ("holds what is no message", stanzas.collect()),
    ]
    .into_iter()
    .flat_map(|(what, odd)| contents(what, &among(odd), ALL))
    .collect()
}

/// A clock that is far ahead of ours, as it seems where ours is far behind, and more pages than lead nowhere at most.
fn of_tomorrow() -> Row {
    let places = [0, 30, 60, 90, 119];
    let base: Vec<Kept> = (0..120)
        .map(|number| {
            let mut kept = match places.iter().position(|place| *place == number) {
                Some(place) => of_friend(number, ALL[place]),
                None => Kept::message(&number.to_string(), &stamp(number), ANOTHER, &number.to_string()),
            };
            kept.stamp = kept.stamp.replacen("2026", "2099", 1);
            kept
        })
        .collect();
    let what = "has a clock far ahead of ours and many pages";
    holding(base, Who::Back, what, ALL, 0, (59, 61), ALL, in_steps(2))
}

/// More on a page than was asked for.
fn overfull() -> Vec<Row> {
    // The friend's are where something could be cut off.
    let places = [0, 999, 1_000, 2_500, 4_999];
    let base: Vec<Kept> = (0..5_000)
        .map(|number| match places.iter().position(|place| *place == number) {
            Some(place) => of_friend(number / 10, ALL[place]),
            None => Kept::message(
                &number.to_string(),
                &stamp(number / 10),
                ANOTHER,
                &number.to_string(),
            ),
        })
        .collect();
    [Who::New, Who::Back]
        .into_iter()
        .map(|who| {
            let what = "has no end of a page";
            let whole = in_steps(usize::MAX);
            holding(base.clone(), who, what, ALL, 0, (1, 12), ALL, whole)
        })
        .collect()
}

pub(crate) fn rows() -> Vec<Row> {
    [
        odd_times(),
        odd_ids(),
        odd_messages(),
        overfull(),
        vec![of_tomorrow()],
    ]
    .into_iter()
    .flatten()
    .collect()
}
