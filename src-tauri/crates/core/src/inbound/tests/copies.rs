//! Carbons, the archive, and what our devices tell each other.

use super::*;

fn carbon(outer_from: &str, kind: &str, inner: &str) -> String {
    format!(
        "<message from='{outer_from}' to='{OWN}/x'><{kind} xmlns='urn:xmpp:carbons:2'>\
         <forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></{kind}></message>"
    )
}

const FROM_JULIET: &str = "<message xmlns='jabber:client' from='juliet@capulet.lit/b' to='romeo@montague.lit' \
    type='chat'><body>psst</body></message>";
const FROM_ROMEO: &str = "<message xmlns='jabber:client' from='romeo@montague.lit/phone' to='juliet@capulet.lit' \
    type='chat'><body>hush</body></message>";

#[test]
fn a_carbon_copy_counts_only_from_our_own_bare_address() {
    let ours = read_xml(&carbon(OWN, "received", FROM_JULIET));
    assert!(matches!(ours.as_slice(), [Inbound::Text(text)] if text.chat.as_str() == "juliet@capulet.lit"));
    for stranger in [
        "mallory@evil.lit",
        "romeo@montague.lit/evil",
        "montague.lit",
        "romeo@montague.lit.evil.lit",
    ] {
        assert!(
            read_xml(&carbon(stranger, "received", FROM_JULIET)).is_empty(),
            "{stranger}"
        );
        assert!(
            read_xml(&carbon(stranger, "sent", FROM_ROMEO)).is_empty(),
            "{stranger}"
        );
    }
}

#[test]
fn a_spoofed_carbon_does_not_become_a_message_by_its_own_body() {
    let xml =
        carbon("mallory@evil.lit", "received", FROM_JULIET).replace("</message>", "<body>x</body></message>");
    assert!(
        read_xml(&xml)
            .iter()
            .all(|inbound| !matches!(inbound, Inbound::Text(t) if t.chat.as_str() == "juliet@capulet.lit"))
    );
}

#[test]
fn what_another_device_of_ours_sent_stands_in_the_chat_with_whom_it_was_sent_to() {
    let read = read_xml(&carbon(OWN, "sent", FROM_ROMEO));
    let [Inbound::Text(text)] = read.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!(
        (text.chat.as_str(), text.sender.as_str()),
        ("juliet@capulet.lit", OWN)
    );
    assert_eq!((text.direction, body(text)), (Direction::Out, "hush"));
}

#[test]
fn a_sent_carbon_of_somebody_elses_message_is_nothing() {
    assert!(read_xml(&carbon(OWN, "sent", FROM_JULIET)).is_empty());
}

#[test]
fn a_carbon_inside_a_carbon_is_never_unwrapped() {
    let inner =
        carbon(OWN, "received", FROM_JULIET).replacen("<message", "<message xmlns='jabber:client'", 1);
    assert!(read_xml(&carbon(OWN, "received", &inner)).is_empty());
}

#[test]
fn a_bare_forwarded_message_is_nothing() {
    let xml = format!(
        "<message from='{OWN}'><forwarded xmlns='urn:xmpp:forward:0'>{FROM_JULIET}</forwarded></message>"
    );
    assert!(read_xml(&xml).is_empty());
}

#[test]
fn no_receipt_is_sent_for_a_carbon_copy() {
    let inner = FROM_JULIET
        .replace("<body>", "<request xmlns='urn:xmpp:receipts'/><body>")
        .replace(" type=", " id='1' type=");
    let read = read_xml(&carbon(OWN, "received", &inner));
    assert!(
        matches!(read.as_slice(), [Inbound::Text(text)] if text.receipt().is_none()),
        "{read:?}"
    );
}

#[test]
fn only_our_own_devices_say_what_was_read_elsewhere() {
    let marker = |from: &str, to: &str| {
        format!(
            "<message xmlns='jabber:client' from='{from}' to='{to}'>\
             <displayed xmlns='urn:xmpp:chat-markers:0' id='7'/></message>"
        )
    };
    let ours = read_xml(&carbon(
        OWN,
        "sent",
        &marker("romeo@montague.lit/phone", "juliet@capulet.lit"),
    ));
    assert!(
        matches!(ours.as_slice(), [Inbound::ReadElsewhere { with, id }] if with.as_str() == "juliet@capulet.lit" && id == "7"),
        "{ours:?}"
    );
    let theirs = read_xml(&carbon(OWN, "received", &marker("juliet@capulet.lit/b", OWN)));
    assert!(
        matches!(theirs.as_slice(), [Inbound::Displayed { .. }]),
        "{theirs:?}"
    );
    let forged = read_xml(&carbon(OWN, "sent", &marker("juliet@capulet.lit/b", OWN)));
    assert!(forged.is_empty(), "{forged:?}");
}

/// A result as our archive gives it.
fn archived(outer_from: &str, query: &str, inner: &str) -> String {
    format!(
        "<message{outer_from} to='{OWN}/x'><result xmlns='urn:xmpp:mam:2' queryid='{query}' id='a7'>\
         <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-11-20T10:00:00Z'/>{inner}\
         </forwarded></result></message>"
    )
}

#[test]
fn a_result_counts_only_from_the_archive_that_was_asked_and_for_the_open_question() {
    for from in ["", " from='romeo@montague.lit'"] {
        let read = read_xml(&archived(from, "open", FROM_JULIET));
        let [Inbound::Archived(result)] = read.as_slice() else {
            panic!("{read:?}")
        };
        let [Inbound::Text(text)] = result.holds.as_slice() else {
            panic!("{result:?}")
        };
        assert_eq!(
            (result.id.as_str(), text.archive_id.as_deref()),
            ("a7", Some("a7"))
        );
        assert_eq!(text.sent_at.to_string(), "2026-11-20T10:00:00Z");
        assert_eq!(
            (text.chat.as_str(), text.direction),
            ("juliet@capulet.lit", Direction::In)
        );
        assert_eq!(
            text.receipt(),
            None,
            "whoever waited for a receipt got it long ago"
        );
    }
    for (from, query) in [
        ("", "guessed"),
        (" from='romeo@montague.lit/other'", "open"),
        (" from='juliet@capulet.lit'", "open"),
        (" from='montague.lit'", "open"),
        (" from='mallory@evil.lit/x'", "open"),
    ] {
        assert!(
            read_xml(&archived(from, query, FROM_JULIET)).is_empty(),
            "{from} {query}"
        );
    }
    let hidden = carbon(
        OWN,
        "received",
        &archived("", "open", FROM_JULIET).replacen(' ', " xmlns='jabber:client' ", 1),
    );
    assert!(read_xml(&hidden).is_empty(), "in a carbon copy");
}

#[test]
fn an_error_that_a_device_of_ours_answered_with_is_nothing_that_we_wrote() {
    let error = format!(
        "<message xmlns='jabber:client' from='{OWN}/y' to='juliet@capulet.lit' type='error' id='1'><body>hi</body>\
         <error type='cancel'/></message>"
    );
    let read = read_xml(&archived("", "open", &error));
    let [Inbound::Archived(result)] = read.as_slice() else {
        panic!("{read:?}")
    };
    assert!(result.holds.is_empty(), "{result:?}");
}

#[test]
fn a_time_that_cannot_be_is_none_and_loses_nothing() {
    let inner = "<message xmlns='jabber:client' from='juliet@capulet.lit/x' to='romeo@montague.lit'><body>x</body></message>";
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().expect("a time");
    for (stamp, at) in [
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z".parse().ok()),
        ("1999-01-01T00:00:00Z", "1999-01-01T00:00:00Z".parse().ok()),
        ("1998-12-31T23:59:59Z", None),
        ("1970-01-01T00:00:00Z", None),
        ("9999-12-30T00:00:00Z", Some(now)),
        ("9999-99-99T99:99:99Z", None),
        ("", None),
    ] {
        let stanza = archived("", "open", inner).replace("2026-11-20T10:00:00Z", stamp);
        let read = read_xml(&stanza);
        let [Inbound::Archived(result)] = read.as_slice() else {
            panic!("{read:?}")
        };
        let [Inbound::Text(text)] = result.holds.as_slice() else {
            panic!("{result:?}")
        };
        assert_eq!((result.at, text.sent_at), (at, at.unwrap_or(now)), "{stamp}");
    }
}

#[test]
fn the_archive_holds_both_sides_and_nothing_of_others() {
    let inside = |from: &str, to: &str| {
        let inner = format!(
            "<message xmlns='jabber:client' from='{from}' to='{to}' type='chat' id='1'><body>x</body></message>"
        );
        match read_xml(&archived("", "open", &inner)).as_slice() {
            [Inbound::Archived(result)] => match result.holds.as_slice() {
                [] => None,
                [Inbound::Text(text)] => Some((text.chat.to_string(), text.direction)),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    let juliet = "juliet@capulet.lit";
    assert_eq!(
        inside("romeo@montague.lit/x", "juliet@capulet.lit/y"),
        Some((juliet.to_owned(), Direction::Out))
    );
    assert_eq!(
        inside("juliet@capulet.lit/y", OWN),
        Some((juliet.to_owned(), Direction::In))
    );
    assert_eq!(inside("juliet@capulet.lit/y", "nurse@capulet.lit"), None);
    assert_eq!(inside("@", OWN), None);
}

/// An event that says which message of romeo's archive was read in the chat with juliet.
fn displayed(from: &str) -> String {
    format!(
        "<message{from} type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'>\
         <items node='urn:xmpp:mds:displayed:0'><item id='juliet@capulet.lit'>\
         <displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' by='{OWN}' id='a1'/></displayed>\
         </item></items></event></message>"
    )
}

#[test]
fn what_was_read_is_for_our_own_account_to_say() {
    for from in ["", " from='romeo@montague.lit'"] {
        let read = read_xml(&displayed(from).replacen("<message ", "<message  ", 1));
        let [Inbound::ReadUpTo { with, archive_id }] = read.as_slice() else {
            panic!("{from}: {read:?}")
        };
        assert_eq!((with.as_str(), archive_id.as_str()), ("juliet@capulet.lit", "a1"));
    }
    for from in [
        "juliet@capulet.lit",
        "juliet@capulet.lit/balcony",
        "mallory@evil.lit",
        "montague.lit",
        "romeo@montague.lit/phone",
        "romeo@montague.lit.evil.lit",
    ] {
        assert!(
            read_xml(&displayed(&format!(" from='{from}'"))).is_empty(),
            "{from}"
        );
    }
}

#[test]
fn what_was_read_does_not_come_in_a_carbon_copy_or_out_of_the_archive() {
    let event = displayed(" xmlns='jabber:client' from='romeo@montague.lit'");
    for kind in ["received", "sent"] {
        assert!(read_xml(&carbon(OWN, kind, &event)).is_empty(), "{kind}");
    }
    let archived = format!(
        "<message from='{OWN}'><result xmlns='urn:xmpp:mam:2' queryid='open' id='1'>\
         <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-11-21T11:00:00Z'/>{event}\
         </forwarded></result></message>"
    );
    let read = read_xml(&archived);
    let [Inbound::Archived(archived)] = read.as_slice() else {
        panic!("{read:?}")
    };
    assert!(archived.holds.is_empty(), "{archived:?}");
}
