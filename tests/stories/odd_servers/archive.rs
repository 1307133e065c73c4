//! Archives that misbehave (XEP-0313): the person reads and writes all the while, and once the archive answers as it
//! should, everything is there once and in order.

use std::cmp::Ordering;
use std::time::Duration;

use waxwing_scripted::{Act, Archive, Honest, Kept, Point, Question, end, end_of, fin, refused};

use crate::row::Sees::Online;
use crate::row::{OddArchive, Row, row};

/// Longer than an archive that failed is left alone.
pub(crate) const LIMIT: Duration = Duration::from_secs(170);
/// What a good archive holds from the beginning.
pub(crate) const ALL: &[&str] = &["one", "two", "three", "four", "five"];
const NONE: &[&str] = &[];
const FRIEND: (&str, &str) = ("{friend}/there", "{bare}");
pub(crate) const ANOTHER: (&str, &str) = ("another@{domain}/x", "{bare}");
/// Said live in the odd session, and archived.
const LIVE: &str = "<message from='{friend}/there' to='{bare}' type='chat'><body>still here</body>\
                    <stanza-id xmlns='urn:xmpp:sid:0' by='{bare}' id='live'/></message>";

/// Nobody knows what is asked for.
const UNKNOWN: &str = "<iq type='error' id='{id}' to='{address}'><error type='cancel'>\
                       <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>";

pub(crate) type Answer = Box<dyn Fn(&Question, &[Kept]) -> Act + Send + Sync>;

pub(crate) fn stamp(number: usize) -> String {
    format!("2026-01-01T{:02}:{:02}:00Z", number / 60 % 24, number % 60)
}

/// What the friend wrote, by the body.
pub(crate) fn of_friend(number: usize, body: &str) -> Kept {
    Kept::message(&format!("id of {body}"), &stamp(number), FRIEND, body)
}

pub(crate) fn all() -> Vec<Kept> {
    ALL.iter()
        .enumerate()
        .map(|(number, body)| of_friend(number, body))
        .collect()
}

fn live() -> Kept {
    Kept::message("live", &stamp(1_200), FRIEND, "still here")
}

pub(crate) fn says(answer: impl Fn(&Question, &[Kept]) -> String + Send + Sync + 'static) -> Answer {
    Box::new(move |question, kept| Act::say(answer(question, kept)))
}

/// The same answer to each question.
fn always(text: String) -> Answer {
    says(move |_, _| text.clone())
}

/// An account that is new here, or one that was there before and knows the first message, meets an odd archive.
fn odd(
    who: Who,
    what: &str,
    sees: &'static [&'static str],
    gaps: usize,
    asked: usize,
    answer: Answer,
) -> Row {
    holding(all(), who, what, sees, gaps, (asked, asked), ALL, answer)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The account is new here: it asks for the newest page.
    New,
    /// It knows the first message, and asks for what came after it.
    Back,
}

#[allow(clippy::too_many_arguments)] // A row of a table.
pub(crate) fn holding(
    base: Vec<Kept>,
    who: Who,
    what: &str,
    sees: &'static [&'static str],
    gaps: usize,
    asked: (usize, usize),
    afterwards: &'static [&'static str],
    answer: Answer,
) -> Row {
    let (begins, whom) = match who {
        Who::New => (0, "whom it meets first"),
        Who::Back => (1, "who comes back"),
    };
    let script = move |honest: Honest| {
        let first = base.first().cloned();
        let kept = [base, vec![live()]].concat();
        let archive = Archive::answering(kept, move |question, kept| {
            match question.connection.cmp(&begins) {
                // And the connection breaks, so that something is missed.
                Ordering::Less => Act::end(question.page(first.as_slice(), true)),
                Ordering::Equal => answer(question, kept),
                Ordering::Greater => Act::say(question.honestly(kept)),
            }
        });
        meets(honest, archive, begins)
    };
    row(
        format!("To one {whom}, an archive that {what}"),
        Online(sees),
        script,
    )
    .connections(begins + 1)
    .archive(OddArchive {
        gaps,
        asked,
        afterwards,
        stays: false,
    })
}

/// A server with this archive that resumes no session; the friend speaks on one connection.
fn meets(honest: Honest, archive: Archive, speaks_on: usize) -> Honest {
    Honest {
        archive: Some(archive),
        acknowledges: false,
        ..honest
    }
    .on(speaks_on..=speaks_on, Point::Presence, Act::add(LIVE))
}

/// Archives that hold more behind what is copied to this device before its presence is known (XEP-0280): what is written
/// to all devices of the account does not come to it yet.
fn copied_early() -> [Row; 2] {
    const COPY: &str = "<message from='{bare}'><received xmlns='urn:xmpp:carbons:2'>\
        <forwarded xmlns='urn:xmpp:forward:0'>\
        <message xmlns='jabber:client' from='{friend}/there' to='{bare}/other' type='chat'><body>three</body>\
        <stanza-id xmlns='urn:xmpp:sid:0' by='{bare}' id='id of three'/></message></forwarded></received></message>";
    const MEANWHILE: &str = "<message from='another@{domain}/x' type='chat'><body>meanwhile</body>\
        <stanza-id xmlns='urn:xmpp:sid:0' by='{bare}' id='meanwhile'/></message>";
    let with_one_live = says(|question, kept| match question.number {
        0 => question.page(&kept[1..2], false) + MEANWHILE,
        _ => question.honestly(kept),
    });
    [
        ("has more behind", 1, says(Question::honestly)),
        ("has more, until something comes live, behind", 2, with_one_live),
    ]
    .map(|(what, asked, script)| {
        let what = format!("{what} what was copied to this device before it was there");
        odd(Who::Back, &what, ALL, 0, asked, script)
            .also(|honest| honest.on(1..=1, Point::Roster, Act::add(COPY)))
    })
}

/// What others of the account's devices send and receive is copied to nobody: a message that comes live stands behind what
/// never comes, and the archive is asked for that in the next session.
fn without_copies() -> Row {
    odd(
        Who::Back,
        "has more than comes live, at a server that copies nothing,",
        &["one", "two", "three"],
        0,
        1,
        says(|question, kept| question.page(&kept[1..3], true)),
    )
    .also(|honest| honest.at(Point::Carbons, Act::say(UNKNOWN)))
}

/// What comes live has no id of the archive's, nor one of its sender's, and stands there once nevertheless.
fn nameless() -> Row {
    const STANZA: &str = "<message xmlns='jabber:client' from='{friend}/there' to='{bare}' type='chat' id='again'>\
                          <body>five</body>";
    let mut base = all();
    base[4].stanza = format!("{STANZA}</message>");
    let live = format!(
        "{STANZA}<delay xmlns='urn:xmpp:delay' stamp='{}'/></message>{LIVE}",
        stamp(4)
    );
    let has_four = says(|question, kept| question.page(&kept[1..4], true));
    let what = "has under another name what came live without one";
    holding(base, Who::Back, what, ALL, 0, (1, 1), ALL, has_four).also(move |honest| {
        // As in `without_copies`, the next session asks for what came live too.
        honest
            .at(Point::Carbons, Act::say(UNKNOWN))
            .on(1..=1, Point::Presence, Act::add(live))
    })
}

/// Pages that lead nowhere.
fn paging() -> Vec<Row> {
    let of_another = |question: &Question| {
        let part = |part: usize| {
            let body = format!("{}.{part}", question.number);
            Kept::message(&format!("endless {body}"), &stamp(0), ANOTHER, &body)
        };
        question.page(&[part(0), part(1)], false)
    };
    let endless = says(move |question, kept| match question.number {
        0 => question.page(&kept[4..], false),
        _ => of_another(question),
    });
    vec![
        odd(
            Who::New,
            "gives the same page for ever",
            &["four", "five"],
            1,
            2,
            says(|question, kept| question.page(&kept[3..], false)),
        ),
        odd(
            Who::Back,
            "gives the same page for ever",
            &["one", "two", "three"],
            1,
            2,
            says(|question, kept| question.page(&kept[1..3], false)),
        ),
        odd(
            Who::New,
            "gives two pages in turn",
            &["two", "three", "four", "five"],
            1,
            3,
            says(|question, kept| {
                let from = if question.number % 2 == 0 { 3 } else { 1 };
                question.page(&kept[from..from + 2], false)
            }),
        ),
        odd(
            Who::Back,
            "gives two pages in turn",
            ALL,
            1,
            3,
            says(|question, kept| {
                let from = if question.number % 2 == 0 { 1 } else { 3 };
                question.page(&kept[from..from + 2], false)
            }),
        ),
        odd(
            Who::Back,
            "begins a page before where it was asked to",
            ALL,
            0,
            2,
            says(|question, kept| match question.number {
                0 => question.page(&kept[..3], false),
                _ => question.page(&kept[1..], true),
            }),
        ),
        holding(
            all(),
            Who::New,
            "always has one page more",
            &["five"],
            1,
            (20, 30),
            ALL,
            endless,
        ),
        holding(
            all(),
            Who::Back,
            "always has one page more",
            &["one"],
            1,
            (20, 30),
            ALL,
            says(move |question, _| of_another(question)),
        ),
        odd(
            Who::Back,
            "always has one page more, with nothing on it",
            &["one"],
            1,
            1,
            says(|question, _| end(false, "x", &format!("empty {}", question.number))),
        ),
        odd(
            Who::New,
            "always has one page more, with nothing on it",
            NONE,
            1,
            1,
            says(|question, _| end(false, &format!("empty {}", question.number), "x")),
        ),
    ]
}

/// Ends of pages that lack something.
fn ends() -> Vec<Row> {
    let mut rows = Vec::new();
    for who in [Who::New, Who::Back] {
        let known: &'static [&'static str] = if who == Who::New { NONE } else { &["one"] };
        rows.extend([
            odd(
                who,
                "ends a page without saying so",
                known,
                1,
                1,
                says(|question, kept| question.results(kept) + "<iq type='result' id='{id}'/>"),
            ),
            odd(
                who,
                "ends a page without saying where",
                ALL,
                0,
                2,
                says(|question, kept| {
                    let whole = question.honestly(kept);
                    match (question.number, &question.after) {
                        (0, None) => question.results(&kept[3..]) + &fin(false, ""),
                        (0, _) => question.results(&kept[1..3]) + &fin(false, ""),
                        _ => whole,
                    }
                }),
            ),
            odd(
                who,
                "has nothing on a page and more to come",
                known,
                1,
                1,
                always(fin(false, "")),
            ),
            odd(
                who,
                "ends the page before its results",
                known,
                1,
                1,
                says(|question, kept| end_of(kept, true) + &question.results(kept)),
            ),
            odd(
                who,
                "ends the page before its results, and has more to come",
                known,
                1,
                1,
                says(|question, kept| end_of(&kept[1..3], false) + &question.results(&kept[1..3])),
            ),
            odd(
                who,
                "gives its pages in reverse",
                ALL,
                0,
                1,
                says(|question, kept| {
                    let kept = if question.after.is_some() {
                        &kept[1..]
                    } else {
                        kept
                    };
                    let reversed: Vec<Kept> = kept.iter().rev().cloned().collect();
                    question.results(&reversed) + &end_of(kept, true)
                }),
            ),
        ]);
    }
    rows
}

/// Answers that are none.
fn refusals() -> Vec<Row> {
    let mut rows = Vec::new();
    for who in [Who::New, Who::Back] {
        let known: &'static [&'static str] = if who == Who::New { NONE } else { &["one"] };
        for condition in [
            "not-allowed",
            "service-unavailable",
            "internal-server-error",
            "resource-constraint",
        ] {
            rows.push(odd(
                who,
                &format!("answers {condition}"),
                known,
                1,
                1,
                always(refused(condition)),
            ));
        }
        rows.push(odd(who, "never answers", known, 1, 1, always(String::new())));
    }
    rows.extend([
        odd(
            Who::Back,
            "does not know any more where to begin",
            ALL,
            0,
            2,
            says(|question, kept| match question.after {
                Some(_) => refused("item-not-found"),
                None => question.honestly(kept),
            }),
        ),
        odd(
            Who::Back,
            "does not find anything, wherever it is to begin",
            &["one"],
            1,
            2,
            always(refused("item-not-found")),
        ),
        odd(
            Who::New,
            "does not know any more what it has just named",
            &["four", "five"],
            1,
            3,
            says(|question, kept| match question.before.as_deref() {
                Some("") => question.page(&kept[3..], false),
                _ => refused("item-not-found"),
            }),
        ),
    ]);
    rows
}

/// Results for somebody else, or by somebody else.
fn strangers() -> Vec<Row> {
    let by = |from: &'static str| {
        says(move |question, kept| {
            let results = question.results(kept);
            results.replace("<message from='{bare}'", &format!("<message from='{from}'"))
                + &end_of(kept, true)
        })
    };
    let forged = |from: &'static str| {
        says(move |question, kept| {
            let forged = Kept::message("forged", &stamp(9), FRIEND, "forged");
            let results = question.results(&[forged]);
            let forged = results.replace("<message from='{bare}'", &format!("<message from='{from}'"));
            forged + &question.honestly(kept)
        })
    };
    let mut rows = vec![
        odd(
            Who::Back,
            "answers another question",
            &["one"],
            1,
            1,
            says(|question, kept| {
                let other = Question {
                    query: "other".to_owned(),
                    ..question.clone()
                };
                other.page(kept, true)
            }),
        ),
        odd(
            Who::Back,
            "answers no question at all",
            &["one"],
            1,
            1,
            says(|question, kept| {
                let page = question.page(kept, true);
                page.replace(&format!(" queryid='{}'", question.query), "")
            }),
        ),
    ];
    for from in ["{friend}", "{bare}/another", "{domain}", "mallory@evil.test/x"] {
        rows.push(odd(
            Who::Back,
            &format!("lets {from} answer"),
            &["one"],
            1,
            1,
            by(from),
        ));
        rows.push(odd(
            Who::Back,
            &format!("lets {from} put something in"),
            ALL,
            0,
            1,
            forged(from),
        ));
    }
    rows
}

/// What is there in one session, and not in the next.
fn changing() -> Vec<Row> {
    let emptied = |what: &str, answers: fn(&Question, &[Kept]) -> String| {
        let script = move |honest: Honest| {
            let archive = Archive::answering(all(), move |question, kept| match question.connection {
                0 => Act::end(question.honestly(&kept[..1])),
                // The five are gone; what was said since is kept.
                _ => Act::say(answers(question, &[vec![live()], kept[5..].to_vec()].concat())),
            });
            meets(honest, archive, 1)
        };
        row(
            format!("An archive that is emptied between two sessions and {what}"),
            Online(&["one"]),
            script,
        )
        .connections(2)
        .archive(OddArchive {
            gaps: 0,
            asked: (1, 2),
            afterwards: &["one"],
            stays: false,
        })
    };
    let of_server = |honest: Honest| {
        let mut archive = Archive::honest(all());
        archive.of_server = true;
        meets(honest, archive, 0)
    };
    let unsure = |honest: Honest| {
        let kept = [all(), vec![live()]].concat();
        let archive = Archive::answering(kept, |question, kept| match question.connection {
            0 => Act::end(question.honestly(&kept[..1])),
            _ => Act::say(question.honestly(kept)),
        });
        let failed = Act::say(refused("internal-server-error"));
        meets(honest, archive, 1).on(1..=1, Point::Disco, failed)
    };
    let recovers = |honest: Honest| {
        let kept = [all(), vec![live()]].concat();
        let archive = Archive::answering(kept, |question, kept| {
            Act::say(match question.number {
                0 => refused("internal-server-error"),
                _ => question.honestly(kept),
            })
        });
        meets(honest, archive, 0)
    };
    vec![
        emptied("does not know what it had", Question::honestly),
        emptied("says that there is nothing", |_, _| end_of(&[], true)),
        row(
            "A server that has an archive, and its accounts have none",
            Online(NONE),
            of_server,
        )
        .unheard("queryid=")
        .archive(OddArchive {
            gaps: 0,
            asked: (0, 0),
            afterwards: NONE,
            stays: false,
        }),
        row(
            "A server that cannot say now that it has an archive",
            Online(&["one"]),
            unsure,
        )
        .connections(2)
        .archive(OddArchive {
            gaps: 1,
            asked: (0, 0),
            afterwards: ALL,
            stays: false,
        }),
        row(
            "An archive that fails and works again after a while",
            Online(ALL),
            recovers,
        )
        .archive(OddArchive {
            gaps: 0,
            asked: (2, 2),
            afterwards: ALL,
            stays: true,
        }),
    ]
}

pub(crate) fn rows() -> Vec<Row> {
    [
        paging(),
        copied_early().into(),
        vec![without_copies(), nameless()],
        ends(),
        refusals(),
        strangers(),
        changing(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
