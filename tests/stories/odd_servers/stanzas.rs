//! Odd stanzas while online: what is odd loses only itself.

use waxwing_scripted::{Act, Honest, Point};

use crate::row::Sees::Online;
use crate::row::{Row, row, speaks};

const ROSTER: &str = "jabber:iq:roster";
const ONLY: &[&str] = &["still here"];

fn message(content: &str) -> String {
    format!("<message from='{{friend}}/there' type='chat'>{content}</message>")
}

fn error(condition: &str) -> String {
    format!(
        "<iq type='error' id='{{id}}'><error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         </error></iq>"
    )
}

/// What breaks a limit is thrown away and counted.
fn oversized() -> Vec<Row> {
    let nested = |levels: usize| message(&format!("{}{}", "<x>".repeat(levels), "</x>".repeat(levels)));
    let attributes: Vec<String> = (0..300).map(|number| format!("a{number}=''")).collect();
    let attributes = attributes.join(" ");
    [
        ("nests a message 5,000 levels deep", nested(5_000)),
        ("nests a message 100,000 levels deep", nested(100_000)),
        (
            "sends an attribute of 9,000 bytes",
            message(&format!("<x a='{}'/><body>odd</body>", "a".repeat(9_000))),
        ),
        (
            "sends an element with 300 attributes",
            message(&format!("<x {attributes}/><body>odd</body>")),
        ),
        (
            "sends a message with 30,000 children",
            message(&format!("<body>odd</body>{}", "<x/>".repeat(30_000))),
        ),
        (
            "sends a message of 1.5 MiB",
            message(&format!("<body>{}</body>", "odd".repeat(512 * 1024))),
        ),
    ]
    .into_iter()
    .map(|(what, odd)| {
        row(format!("A server that {what}"), Online(ONLY), |honest| {
            speaks(honest, odd)
        })
        .swallows(1)
    })
    .collect()
}

/// Odd, and read as leniently as RFC 6121 asks.
fn lenient() -> Vec<Row> {
    let body = "<body>odd</body>";
    [
        ("sends an unknown top-level element", "<hello xmlns='urn:x'><world/></hello>".to_owned(), ONLY),
        ("sends a stanza of another namespace", "<message xmlns='jabber:server' from='{friend}/x'><body>odd</body></message>".to_owned(), ONLY),
        ("sends features in the midst", "<stream:features/>".to_owned(), ONLY),
        ("sends a late success of the login", "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>dj1h</success>".to_owned(), ONLY),
        ("sends a message of an unknown type", "<message from='{friend}/x' type='shout'><body>odd</body></message>".to_owned(), &["odd", "still here"]),
        ("sends a message without a type", "<message from='{friend}/x'><body>odd</body></message>".to_owned(), &["odd", "still here"]),
        ("sends a headline", "<message from='{friend}/x' type='headline'><body>odd</body></message>".to_owned(), ONLY),
        ("sends a message with two bodies", message("<body>odd</body><body xml:lang='de'>seltsam</body>"), &["odd", "still here"]),
        ("sends text between the children", message(&format!("hello{body}world<x xmlns='urn:x'/>!")), &["odd", "still here"]),
        ("sends a message from a resource with a bird", "<message from='{friend}/\u{1f426}\u{1fae8}' type='chat'><body>odd</body></message>".to_owned(), &["odd", "still here"]),
        ("sends a message from a resource with a slash and a space", "<message from='{friend}/a/b c' type='chat'><body>odd</body></message>".to_owned(), &["odd", "still here"]),
        ("sends a message from what is no address", "<message from='@@' type='chat'><body>odd</body></message>".to_owned(), ONLY),
        ("sends a message from nobody", format!("<message type='chat'>{body}</message>"), ONLY),
        ("sends a message from our own address", format!("<message from='{{bare}}' type='chat'>{body}</message>"), ONLY),
        ("sends a message from itself", format!("<message from='{{domain}}'>{body}</message>"), ONLY),
        ("sends a message with an empty body", message("<body/>"), ONLY),
        ("sends an error of nothing", format!("<message from='{{friend}}/x' type='error' id='x'>{body}</message><message type='error'/>"), ONLY),
        ("sends a delay from the year 9999", message("<body>odd</body><delay xmlns='urn:xmpp:delay' stamp='9999-99-99T99:99:99Z'/>"), &["odd", "still here"]),
        ("sends an iq of no type", "<iq from='{friend}/x' id='1'><query xmlns='urn:x'/></iq><iq/><iq type='dance'/>".to_owned(), ONLY),
        ("sends an iq with two children", "<iq type='get' from='{friend}/x' id='1'><a xmlns='urn:x'/><b xmlns='urn:x'/></iq>".to_owned(), ONLY),
        ("sends a carbon copy of a carbon copy", "<message from='{bare}'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='{bare}'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='{friend}/x' type='chat'><body>odd</body></message></forwarded></received></message></forwarded></received></message>".to_owned(), ONLY),
        ("passes on a carbon copy of a stranger", "<message from='mallory@evil.test'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='{friend}/x' type='chat'><body>odd</body></message></forwarded></received></message>".to_owned(), ONLY),
        ("sends an archived message that nobody asked for", "<message from='{bare}'><result xmlns='urn:xmpp:mam:2' queryid='1' id='1'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='{friend}/x' type='chat'><body>odd</body></message></forwarded></result></message>".to_owned(), ONLY),
    ]
    .into_iter()
    .map(|(what, odd, bodies)| row(format!("A server that {what}"), Online(bodies), move |honest| speaks(honest, odd)))
    .collect()
}

fn presences() -> Vec<Row> {
    [
        ("sends a presence with priority 200", "<presence from='{friend}/x'><priority>200</priority></presence>"),
        ("sends a presence with an empty show", "<presence from='{friend}/x'><show/></presence>"),
        ("sends a presence with an unknown show", "<presence from='{friend}/x'><show>dancing</show></presence>"),
        ("sends a presence of an unknown type", "<presence from='{friend}/x' type='maybe'/>"),
        ("sends a presence with two states", "<presence from='{friend}/x'><show>away</show><show>dnd</show><status/><status>x</status></presence>"),
        ("sends an error of a presence without an error", "<presence from='{friend}/x' type='error'/>"),
    ]
    .into_iter()
    .map(|(what, odd)| row(format!("A server that {what}"), Online(ONLY), move |honest| speaks(honest, odd)))
    .collect()
}

/// Ids as the archive gives them, which are believed only of our account and only if the server guards them (XEP-0359).
fn stanza_ids() -> Vec<Row> {
    let info = |features: &str| {
        format!(
            "<iq type='result' id='{{id}}' from='{{bare}}'><query xmlns='http://jabber.org/protocol/disco#info'>\
             <identity category='account' type='registered'/>{features}</query></iq>"
        )
    };
    let guards = info("<feature var='urn:xmpp:sid:0'/>");
    let twice = |by: &str| {
        let id = format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='x'/>");
        message(&format!("<body>first</body>{id}")) + &message(&format!("<body>second</body>{id}"))
    };
    let both: &[&str] = &["first", "second", "still here"];
    [
        ("does not guard the archive's ids", info(""), "{bare}", both),
        (
            "guards them of others only",
            info("<feature var='urn:xmpp:sid:1'/>"),
            "{bare}",
            both,
        ),
        (
            "guards them and passes on a contact's",
            guards.clone(),
            "{friend}",
            both,
        ),
        (
            "guards them and passes on a device's",
            guards.clone(),
            "{address}",
            both,
        ),
        (
            "guards them and passes on its own",
            guards.clone(),
            "{domain}",
            both,
        ),
        // Else the others would prove nothing.
        (
            "guards them and sends one message twice",
            guards,
            "{bare}",
            &["first", "still here"],
        ),
    ]
    .into_iter()
    .map(|(what, info, by, sees)| {
        row(format!("A server that {what}"), Online(sees), move |honest| {
            speaks(honest, twice(by)).at(Point::Disco, Act::say(info))
        })
    })
    .collect()
}

/// Answers to our questions that are none, come from others, or never come.
fn answers() -> Vec<Row> {
    let broken = format!(
        "<iq type='result' id='{{id}}'><query xmlns='{ROSTER}'><item jid='@@' subscription='both'/>\
         <item subscription='both'/><item jid='{{friend}}' subscription='sometimes' ask='x'><group/></item>\
         <item jid='other@other.test/with-resource' subscription='to'/><thing/>text</query></iq>"
    );
    let of_stranger = format!(
        "<iq type='result' id='{{id}}' from='mallory@evil.test'><query xmlns='{ROSTER}'>\
         <item jid='evil@evil.test' subscription='both'/></query></iq>"
    );
    let honest_roster = format!(
        "<iq type='result' id='{{id}}'><query xmlns='{ROSTER}'><item jid='{{friend}}' subscription='both'/></query></iq>"
    );
    let push = format!(
        "<iq type='set' id='push' from='mallory@evil.test/x'><query xmlns='{ROSTER}'>\
         <item jid='evil@evil.test' subscription='both'/></query></iq>"
    );
    let at = |point: Point, act: Act| move |honest: Honest| speaks(honest, "").at(point, act);
    vec![
        row(
            "A server whose roster has broken items",
            Online(ONLY),
            at(Point::Roster, Act::say(broken)),
        )
        .contacts(&["friend", "other@other.test"]),
        row(
            "A server that has no roster",
            Online(ONLY),
            at(Point::Roster, Act::say(error("service-unavailable"))),
        )
        .contacts(&[]),
        row(
            "A server that answers for the roster with nothing",
            Online(ONLY),
            at(Point::Roster, Act::say("<iq type='result' id='{id}'/>")),
        ),
        row(
            "A stranger who answers for the roster",
            Online(ONLY),
            at(Point::Roster, Act::say(of_stranger + &honest_roster)),
        )
        .contacts(&["friend"]),
        row("A stranger who pushes a contact", Online(ONLY), move |honest| {
            speaks(honest, push)
        })
        .contacts(&["friend"]),
        row(
            "A server that answers each question twice",
            Online(ONLY),
            at(Point::Roster, Act::say(honest_roster.repeat(2))),
        )
        .contacts(&["friend"]),
        row(
            "A server that never answers for the roster",
            Online(ONLY),
            at(Point::Roster, Act::say("")),
        ),
        row(
            "A server that copies nothing",
            Online(ONLY),
            at(Point::Carbons, Act::say(error("feature-not-implemented"))),
        ),
        row(
            "A server that does not say what it can do",
            Online(ONLY),
            at(Point::Disco, Act::say(error("service-unavailable"))),
        ),
        row(
            "A server that never says what it can do",
            Online(ONLY),
            at(Point::Disco, Act::say("")),
        ),
        row(
            "A server that answers questions that nobody asked",
            Online(ONLY),
            |honest| {
                speaks(
                    honest,
                    "<iq type='result' id='nobody'/><iq type='error' id='asked' from='{domain}'/>"
                        .repeat(1_000),
                )
            },
        ),
        row(
            "A server without personal data",
            Online(ONLY),
            at(Point::Personal, Act::say(error("service-unavailable"))),
        ),
        row(
            "A server that refuses pings",
            Online(ONLY),
            at(Point::Ping, Act::say(error("service-unavailable"))),
        ),
        row(
            "A server that never answers about personal data",
            Online(ONLY),
            at(Point::Personal, Act::say("")),
        ),
    ]
}

pub(crate) fn rows() -> Vec<Row> {
    [oversized(), lenient(), presences(), stanza_ids(), answers()]
        .into_iter()
        .flatten()
        .collect()
}
