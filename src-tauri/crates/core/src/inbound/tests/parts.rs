//! What counts in the open, beside something encrypted, and inside of it.

use waxwing_omemo::sce;

use super::*;
use crate::inbound::part::{Part, Place, parts};

const LEGACY: &str = "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='7'>\
    <iv>AAAAAAAAAAAAAAAA</iv></header><payload>AAAA</payload></encrypted>";
const OMEMO2: &str =
    "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='7'/><payload>AAAA</payload></encrypted>";
const OPENPGP: &str = "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:openpgp:0'/>";

const BODY: &str = "<body xmlns='jabber:client'>x</body>";
const REQUEST: &str = "<request xmlns='urn:xmpp:receipts'/>";
const RECEIVED: &str = "<received xmlns='urn:xmpp:receipts' id='7'/>";
const MARKABLE: &str = "<markable xmlns='urn:xmpp:chat-markers:0'/>";
const DISPLAYED: &str = "<displayed xmlns='urn:xmpp:chat-markers:0' id='7'/>";

const VOUCHES: &str = "<trust-message xmlns='urn:xmpp:tm:1' usage='urn:xmpp:atm:1' encryption='urn:xmpp:omemo:2'>\
    <key-owner jid='romeo@montague.lit'><trust>AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=</trust></key-owner>\
    </trust-message>";

fn elements(xml: &str) -> Vec<Element> {
    let outer: Element = format!("<x xmlns='urn:outer'>{xml}</x>")
        .parse()
        .expect("well-formed");
    outer.children().cloned().collect()
}

/// What is read in these places: in the open, beside a text, beside content, inside.
fn read_in(xml: &str) -> [bool; 4] {
    let elements = elements(xml);
    [
        Place::Open,
        Place::BesideText,
        Place::BesideContent,
        Place::Inside,
    ]
    .map(|place| !parts(&elements, place).is_empty())
}

#[test]
fn each_element_counts_where_it_belongs_and_nowhere_else() {
    for (xml, counts) in [
        (BODY, [true, false, false, true]),
        (REQUEST, [true, true, true, true]),
        (MARKABLE, [true, true, true, true]),
        (RECEIVED, [true, true, false, true]),
        (DISPLAYED, [true, true, false, true]),
        (VOUCHES, [false, false, false, true]),
    ] {
        assert_eq!(read_in(xml), counts, "{xml}");
    }
    for nothing in [
        // Without what they need.
        "<body xmlns='jabber:client'/>",
        "<received xmlns='urn:xmpp:receipts'/>",
        "<received xmlns='urn:xmpp:receipts' id=''/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0'/>",
        // By the right name in a wrong namespace, which must be said (XEP-0420, business rules).
        "<body>x</body>",
        "<body xmlns='urn:xmpp:sce:1'>x</body>",
        "<received id='7'/>",
        "<received xmlns='urn:xmpp:carbons:2' id='7'/>",
        "<request xmlns='urn:xmpp:chat-markers:0'/>",
        // What wraps other messages, and what only servers say.
        "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>x</body></message></forwarded>",
        "<message xmlns='jabber:client'><body>x</body></message>",
        "<envelope xmlns='urn:xmpp:sce:1'><content><body xmlns='jabber:client'>x</body></content></envelope>",
        "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='romeo@montague.lit'/>",
        "<origin-id xmlns='urn:xmpp:sid:0' id='1'/>",
        "<delay xmlns='urn:xmpp:delay' stamp='2026-11-20T08:00:00Z'/>",
        "<store xmlns='urn:xmpp:hints'/>",
        "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:otr:0'/>",
        "<something xmlns='urn:example:new'/>",
        LEGACY,
        OMEMO2,
    ] {
        assert_eq!(read_in(nothing), [false; 4], "{nothing}");
    }
}

#[test]
fn of_what_stands_there_twice_the_first_counts() {
    let xml = "<body xmlns='jabber:client'/><body xmlns='jabber:client'>a</body><body xmlns='jabber:client'>b</body>\
        <received xmlns='urn:xmpp:receipts' id='1'/><received xmlns='urn:xmpp:receipts' id='2'/>";
    let read = parts(&elements(xml), Place::Inside);
    let id = "1".to_owned();
    assert_eq!(read, [Part::Body("a".to_owned()), Part::Received { id }]);
}

/// The kinds of decisions that a message with these elements leads to.
fn decisions(inside: &str) -> Vec<&'static str> {
    let message = format!("<message from='juliet@capulet.lit/b' id='1' type='chat'>{inside}</message>");
    read_xml(&message)
        .iter()
        .map(|inbound| match inbound {
            Inbound::Text(text) => match text.content {
                Content::Plain(_) => "plain",
                Content::Encrypted(_) => "encrypted",
                Content::Malformed | Content::Foreign(_) => "unreadable",
            },
            Inbound::Receipt { .. } => "receipt",
            Inbound::Displayed { .. } => "displayed",
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn what_somebody_on_the_way_puts_beside_encrypted_content_is_not_believed() {
    let added = format!("{BODY}{RECEIVED}{DISPLAYED}");
    assert_eq!(decisions(&added), ["receipt", "displayed", "plain"]);
    assert_eq!(
        decisions(&format!("{LEGACY}{added}")),
        ["receipt", "displayed", "encrypted"],
        "the older generation protects nothing but the text"
    );
    assert_eq!(
        decisions(&format!("{OPENPGP}{added}")),
        ["receipt", "displayed", "unreadable"]
    );
    assert_eq!(decisions(&format!("{OMEMO2}{added}")), ["encrypted"]);
    assert_eq!(decisions(&format!("{added}{LEGACY}{OMEMO2}")), ["encrypted"]);
    assert_eq!(
        decisions(&format!("<encrypted xmlns='urn:xmpp:omemo:2'/>{added}")),
        ["unreadable"],
        "content that cannot be read is content all the same"
    );
}

#[test]
fn an_envelope_that_stands_in_the_open_is_nothing() {
    let envelope = format!(
        "<envelope xmlns='urn:xmpp:sce:1'><content>{BODY}{DISPLAYED}</content><from jid='juliet@capulet.lit'/></envelope>"
    );
    assert!(decisions(&envelope).is_empty());
}

/// An encrypted message in the given direction, and what is opened in it.
fn opened(from: &str, to: &str, id: &str, content: &str, time: Option<&str>) -> (Text, Vec<Inbound>) {
    let copy = format!(
        "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
         <message xmlns='jabber:client' from='{from}' to='{to}' {id} type='chat'>{OMEMO2}</message></forwarded></sent>"
    );
    let mut text = if from.starts_with(OWN) {
        one_text(&format!("<message from='{OWN}'>{copy}</message>"))
    } else {
        one_text(&format!(
            "<message from='{from}' {id} type='chat'>{OMEMO2}</message>"
        ))
    };
    let inside = Inside::read(&sce::Envelope {
        content: elements(content),
        time: time.map(str::to_owned),
        to: None,
        from: from.to_owned(),
    });
    let said = inside.add_to(&mut text);
    (text, said)
}

#[test]
fn what_stands_inside_is_decided_as_if_it_stood_in_the_stanza() {
    let all = format!("{BODY}{REQUEST}{MARKABLE}{RECEIVED}{DISPLAYED}");
    let (text, said) = opened("juliet@capulet.lit/b", OWN, "id='1'", &all, None);
    assert_eq!(text.receipt(), Some(("juliet@capulet.lit/b", "1")));
    assert!(text.markable);
    let [
        Inbound::Receipt { from, id },
        Inbound::Displayed { from: seen_by, .. },
    ] = said.as_slice()
    else {
        panic!("{said:?}")
    };
    assert_eq!((from.as_str(), id.as_str()), ("juliet@capulet.lit", "7"));
    assert_eq!(seen_by.as_str(), "juliet@capulet.lit");

    let (text, said) = opened("juliet@capulet.lit/b", OWN, "", &all, None);
    assert_eq!((text.receipt(), text.markable), (None, false), "without an id");
    assert_eq!(said.len(), 2);

    let (text, said) = opened(
        &format!("{OWN}/other"),
        "juliet@capulet.lit",
        "id='1'",
        &all,
        None,
    );
    assert_eq!((text.receipt(), text.markable), (None, false), "our own word");
    let [
        Inbound::ReceiptElsewhere { with, .. },
        Inbound::ReadElsewhere { .. },
    ] = said.as_slice()
    else {
        panic!("{said:?}")
    };
    assert_eq!(with.as_str(), "juliet@capulet.lit");
}

#[test]
fn the_time_inside_counts_only_if_the_message_was_held_back() {
    let at = |time: &str| {
        let (text, _) = opened("juliet@capulet.lit/b", OWN, "", BODY, Some(time));
        text.sent_at.to_string()
    };
    let told = "2026-11-21T12:00:00Z";
    for (inside, shown) in [
        ("2026-11-21T11:59:00Z", told),
        ("2026-11-20T12:00:00Z", told),
        ("2026-11-20T11:59:59Z", "2026-11-20T11:59:59Z"),
        ("2026-11-20T12:59:59+01:00", "2026-11-20T11:59:59Z"),
        ("2099-01-01T00:00:00Z", told),
        ("1970-01-01T00:00:00Z", told),
        ("yesterday", told),
        ("", told),
    ] {
        assert_eq!(at(inside), shown, "{inside}");
    }
}

const SHARING: &str = "<file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'><name>a.txt</name>\
    </file></file-sharing>";
const LINK: &str = "aesgcm://h.example/b.txt#8c3d050e9386ec173861778f\
    68e9af38a97aaf82faa4063b4d0878a61261534410c8a84331eaac851759f587";

/// The body and the names of the files in opened content.
fn opened_files(content: &str) -> (Option<String>, Vec<String>) {
    let inside = Inside::read(&sce::Envelope {
        content: elements(content),
        time: None,
        to: None,
        from: OWN.to_owned(),
    });
    let names = inside.files().map(|file| file.name.clone()).collect();
    (inside.body().map(str::to_owned), names)
}

#[test]
fn a_file_counts_only_inside() {
    assert_eq!(read_in(SHARING), [false, false, false, true]);
    assert!(decisions(&SHARING.repeat(2)).is_empty());
    assert_eq!(decisions(&format!("<body>{LINK}</body>")), ["plain"]);
}

#[test]
fn a_text_that_is_a_link_to_a_file_is_that_file() {
    let body = |text: &str| format!("<body xmlns='jabber:client'>{text}</body>");
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(opened_files(&body(LINK)), (None, names(&["b.txt"])));
    let words = format!("see {LINK}");
    assert_eq!(opened_files(&body(&words)), (Some(words), names(&[])));
    let legacy = Inside::text(LINK.to_owned());
    assert_eq!((legacy.body(), legacy.files().count()), (None, 1));
    let empty = Inside::text(String::new());
    assert_eq!(empty.body(), Some(""), "an empty text is a message all the same");
}

#[test]
fn what_stands_in_for_a_file_is_not_shown_beside_it() {
    let fallback = "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:sfs:0'><body/></fallback>";
    let body = |text: &str| format!("<body xmlns='jabber:client'>{text}</body>{SHARING}");
    for (content, left) in [
        (body("look at that"), Some("look at that")),
        (format!("{}{fallback}", body("look at that")), None),
        (body("https://h.example/a.txt"), None),
        (body(LINK), None),
        (
            body("https://h.example/a.txt is it"),
            Some("https://h.example/a.txt is it"),
        ),
    ] {
        let (text, names) = opened_files(&content);
        assert_eq!((text.as_deref(), names.len()), (left, 1), "{content}");
    }
    let many = SHARING.repeat(100);
    assert_eq!(opened_files(&many).1.len(), 30);
}
