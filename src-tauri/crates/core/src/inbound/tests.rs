//! Stanza in, decision out. The names say the rules.

use jiff::Timestamp;
use minidom::Element;

use super::*;
use crate::error::Code;

const OWN: &str = "romeo@montague.lit";

/// Reads a stanza as the account romeo@montague.lit would get it.
fn read_xml(xml: &str) -> Vec<Inbound> {
    read_with(xml, true)
}

fn read_with(xml: &str, stanza_ids: bool) -> Vec<Inbound> {
    let stanza: Element = xml
        .replacen(' ', " xmlns='jabber:client' ", 1)
        .parse()
        .expect("the test's stanza is well-formed");
    let own: BareJid = OWN.parse().expect("an address");
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().expect("a time");
    read(
        &stanza,
        &Context {
            own: &own,
            stanza_ids,
            archive_query: Some("open"),
            now,
        },
    )
}

fn one_text(xml: &str) -> Text {
    match read_xml(xml).as_slice() {
        [Inbound::Text(text)] => text.clone(),
        other => panic!("expected one text, got {other:?}"),
    }
}

fn body(text: &Text) -> &str {
    match &text.content {
        Content::Plain(body) => body,
        other => panic!("expected plain text, got {other:?}"),
    }
}

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
fn a_message_belongs_to_the_chat_with_its_senders_bare_address() {
    let text = one_text("<message from='juliet@capulet.lit/b' id='1' type='chat'><body>hi</body></message>");
    assert_eq!(
        (text.chat.as_str(), text.sender.as_str()),
        ("juliet@capulet.lit", "juliet@capulet.lit")
    );
    assert_eq!((text.direction, body(&text)), (Direction::In, "hi"));
}

#[test]
fn an_unknown_message_type_counts_as_normal() {
    for kind in ["normal", "chat", "", "nonsense"] {
        assert_eq!(
            body(&one_text(&format!(
                "<message from='a@b.c' type='{kind}'><body>x</body></message>"
            ))),
            "x"
        );
    }
}

#[test]
fn group_chats_and_headlines_make_no_chat() {
    for kind in ["groupchat", "headline"] {
        assert!(
            read_xml(&format!(
                "<message from='a@b.c/d' type='{kind}'><body>x</body></message>"
            ))
            .is_empty()
        );
    }
}

#[test]
fn a_message_without_anything_to_show_is_nothing() {
    for inside in [
        "",
        "<body/>",
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        "<thread>t</thread>",
    ] {
        assert!(
            read_xml(&format!("<message from='a@b.c' type='chat'>{inside}</message>")).is_empty(),
            "{inside}"
        );
    }
}

#[test]
fn a_sender_with_an_odd_resource_is_read_and_one_with_a_broken_address_is_not() {
    assert_eq!(
        one_text("<message from='a@b.c/😀🫠' type='chat'><body>x</body></message>")
            .sender
            .as_str(),
        "a@b.c"
    );
    for from in ["@", "a@", "a b@c", "/x"] {
        assert!(
            read_xml(&format!("<message from='{from}'><body>x</body></message>")).is_empty(),
            "{from}"
        );
    }
}

#[test]
fn a_receipt_names_the_sender_and_the_message() {
    let read = read_xml("<message from='a@b.c/d'><received xmlns='urn:xmpp:receipts' id='7'/></message>");
    let [Inbound::Receipt { from, id }] = read.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!((from.as_str(), id.as_str()), ("a@b.c", "7"));
}

#[test]
fn a_marker_says_what_was_seen() {
    let read =
        read_xml("<message from='a@b.c/d'><displayed xmlns='urn:xmpp:chat-markers:0' id='7'/></message>");
    let [Inbound::Displayed { from, id }] = read.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!((from.as_str(), id.as_str()), ("a@b.c", "7"));
}

#[test]
fn a_second_encrypted_element_of_the_same_generation_is_not_looked_at() {
    let encrypted = "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='7'><iv>AAAAAAAAAAAAAAAA</iv></header>\
        <payload>AAAA</payload></encrypted>";
    let text = one_text(&format!(
        "<message from='a@b.c'>{encrypted}{encrypted}{encrypted}</message>"
    ));
    assert!(
        matches!(&text.content, Content::Encrypted(read) if read.len() == 1),
        "{:?}",
        text.content
    );
}

#[test]
fn a_receipt_is_wanted_only_if_the_message_says_so_and_has_an_id() {
    let request = "<request xmlns='urn:xmpp:receipts'/>";
    let with = one_text(&format!(
        "<message from='a@b.c/d' id='1'><body>x</body>{request}</message>"
    ));
    assert_eq!(with.receipt_to.as_deref(), Some("a@b.c/d"));
    let no_id = one_text(&format!(
        "<message from='a@b.c/d'><body>x</body>{request}</message>"
    ));
    assert_eq!(no_id.receipt_to, None);
}

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
        matches!(read.as_slice(), [Inbound::Text(text)] if text.receipt_to.is_none()),
        "{read:?}"
    );
}

#[test]
fn an_archive_id_is_believed_only_from_our_account_and_only_if_the_server_guards_it() {
    let message = |by: &str| {
        format!(
            "<message from='a@b.c'><body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='9'/></message>"
        )
    };
    assert_eq!(one_text(&message(OWN)).archive_id.as_deref(), Some("9"));
    assert_eq!(one_text(&message("a@b.c")).archive_id, None);
    let unguarded = read_with(&message(OWN), false);
    assert!(matches!(unguarded.as_slice(), [Inbound::Text(text)] if text.archive_id.is_none()));
}

#[test]
fn a_delayed_message_has_its_own_time_but_never_one_in_the_future() {
    let at = |stamp: &str| {
        let delay = format!("<delay xmlns='urn:xmpp:delay' stamp='{stamp}'/>");
        one_text(&format!("<message from='a@b.c'><body>x</body>{delay}</message>"))
            .sent_at
            .to_string()
    };
    assert_eq!(at("2026-11-20T08:00:00Z"), "2026-11-20T08:00:00Z");
    assert_eq!(at("2099-01-01T00:00:00Z"), "2026-11-21T12:00:00Z");
    assert_eq!(at("yesterday"), "2026-11-21T12:00:00Z");
}

#[test]
fn a_plain_body_beside_something_encrypted_is_never_shown() {
    let encrypted = "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='7'><iv>AAAAAAAAAAAAAAAA</iv></header>\
        <payload>AAAA</payload></encrypted>";
    let text = one_text(&format!(
        "<message from='a@b.c'>{encrypted}<body>fallback</body></message>"
    ));
    assert!(
        matches!(text.content, Content::Encrypted(_)),
        "{:?}",
        text.content
    );
}

#[test]
fn an_encrypted_element_that_cannot_be_read_is_a_row_and_not_its_fallback() {
    let text = one_text(
        "<message from='a@b.c'><encrypted xmlns='urn:xmpp:omemo:2'/><body>fallback</body></message>",
    );
    assert!(
        matches!(text.content, Content::Unreadable { unsupported: false }),
        "{:?}",
        text.content
    );
}

#[test]
fn a_message_encrypted_by_another_way_is_a_row_and_not_its_fallback() {
    let eme = "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:openpgp:0'/>";
    let text = one_text(&format!(
        "<message from='a@b.c'>{eme}<body>fallback</body></message>"
    ));
    assert!(
        matches!(text.content, Content::Unreadable { unsupported: true }),
        "{:?}",
        text.content
    );
}

#[test]
fn a_device_list_speaks_only_for_whom_it_comes_from() {
    let event = "<event xmlns='http://jabber.org/protocol/pubsub#event'>\
        <items node='eu.siacs.conversations.axolotl.devicelist'><item id='current'>\
        <list xmlns='eu.siacs.conversations.axolotl'><device id='5'/><device id='0'/><device id='x'/></list>\
        </item></items></event>";
    let read = read_xml(&format!(
        "<message from='juliet@capulet.lit' type='headline'>{event}</message>"
    ));
    let [Inbound::DeviceList { of, profile, devices }] = read.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!((of.as_str(), *profile), ("juliet@capulet.lit", Profile::Legacy));
    assert_eq!(
        devices.iter().map(|device| device.id.get()).collect::<Vec<_>>(),
        [5]
    );
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

#[test]
fn only_a_message_with_an_id_can_be_marked_as_read() {
    let markable = "<body>x</body><markable xmlns='urn:xmpp:chat-markers:0'/>";
    assert!(one_text(&format!("<message from='a@b.c' id='7'>{markable}</message>")).markable);
    assert!(!one_text(&format!("<message from='a@b.c'>{markable}</message>")).markable);
    assert!(!one_text("<message from='a@b.c' id='7'><body>x</body></message>").markable);
}

#[test]
fn a_device_list_in_another_lists_node_is_nothing() {
    let event = "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:omemo:2:devices'>\
        <item id='current'><list xmlns='eu.siacs.conversations.axolotl'><device id='5'/></list></item></items></event>";
    assert!(read_xml(&format!("<message from='juliet@capulet.lit'>{event}</message>")).is_empty());
}

#[test]
fn an_error_bounce_says_which_message_and_why() {
    let read = read_xml(
        "<message from='a@b.c' id='1' type='error'><body>x</body><error type='cancel'>\
         <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
    );
    let [
        Inbound::Bounce {
            from,
            id,
            passes,
            fault,
        },
    ] = read.as_slice()
    else {
        panic!("{read:?}")
    };
    assert_eq!((from.as_str(), id.as_str(), *passes), ("a@b.c", "1", false));
    assert_eq!(
        (fault.code, fault.text.as_str()),
        (Code::Rejected, "service-unavailable")
    );
}

#[test]
fn an_error_bounce_without_a_reason_is_one_all_the_same() {
    let read = read_xml("<message from='a@b.c' id='1' type='error'/>");
    assert!(
        matches!(read.as_slice(), [Inbound::Bounce { passes: false, .. }]),
        "{read:?}"
    );
}

#[test]
fn an_error_that_passes_is_told_from_others() {
    let read = read_xml(
        "<message from='a@b.c' id='1' type='error'><error type='wait'>\
         <resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
    );
    assert!(
        matches!(read.as_slice(), [Inbound::Bounce { passes: true, .. }]),
        "{read:?}"
    );
}

#[test]
fn a_roster_push_counts_only_from_our_own_account() {
    let push = |from: &str| {
        read_xml(&format!(
            "<iq {from} id='1' type='set'><query xmlns='jabber:iq:roster'><item jid='a@b.c' subscription='both'/>\
             </query></iq>"
        ))
    };
    for from in ["", "from='romeo@montague.lit'"] {
        assert!(
            matches!(push(from).as_slice(), [Inbound::RosterPush { .. }]),
            "{from}"
        );
    }
    for from in [
        "from='mallory@evil.lit'",
        "from='romeo@montague.lit/evil'",
        "from='montague.lit'",
    ] {
        assert!(
            matches!(
                push(from).as_slice(),
                [Inbound::Asked {
                    query: Query::Unknown,
                    ..
                }]
            ),
            "{from} must get an error and change nothing"
        );
    }
}

#[test]
fn an_odd_roster_item_loses_only_itself() {
    let iq: Element = "<iq xmlns='jabber:client' type='result'><query xmlns='jabber:iq:roster'>\
        <item jid='a@b.c' name='A' subscription='both'><group>G</group><group/></item>\
        <item jid='@broken' subscription='both'/><item subscription='both'/>\
        <item jid='d@e.f' subscription='married' ask='subscribe'/><item jid='g@h.i'><odd xmlns='x'/></item>\
        </query></iq>"
        .parse()
        .expect("well-formed");
    let items = roster_items(&iq);
    let addresses: Vec<_> = items.iter().map(|item| item.address.as_str()).collect();
    assert_eq!(addresses, ["a@b.c", "d@e.f", "g@h.i"]);
    let entries: Vec<_> = items.into_iter().filter_map(|item| item.entry).collect();
    assert_eq!(entries[0].groups, ["G"]);
    assert_eq!(entries[1].subscription, crate::model::Subscription::None);
    assert!(entries[1].asked);
}

#[test]
fn every_show_is_read_and_an_odd_one_is_available() {
    for (xml, expected) in [
        ("", Show::Available),
        ("<show>chat</show>", Show::Chat),
        ("<show>away</show>", Show::Away),
        ("<show> xa </show>", Show::Xa),
        ("<show>dnd</show>", Show::Dnd),
        ("<show>online</show>", Show::Available),
        ("<show/>", Show::Available),
    ] {
        let read = read_xml(&format!(
            "<presence from='a@b.c/d'>{xml}<priority>200</priority></presence>"
        ));
        assert!(
            matches!(read.as_slice(), [Inbound::Presence { show, priority: 0, .. }] if *show == expected),
            "{xml}"
        );
    }
}

#[test]
fn presence_that_ends_or_fails_is_offline() {
    for kind in ["unavailable", "error"] {
        let read = read_xml(&format!("<presence from='a@b.c/d' type='{kind}'/>"));
        assert!(
            matches!(
                read.as_slice(),
                [Inbound::Presence {
                    show: Show::Offline,
                    ..
                }]
            ),
            "{kind}"
        );
    }
}

#[test]
fn requests_are_told_from_presence_and_unknown_types_are_nothing() {
    let subscribe = read_xml("<presence from='a@b.c' type='subscribe'/>");
    assert!(
        matches!(subscribe.as_slice(), [Inbound::SubscriptionRequest { from }] if from.as_str() == "a@b.c")
    );
    assert!(read_xml("<presence from='a@b.c' type='nonsense'/>").is_empty());
}

#[test]
fn a_long_status_text_is_cut() {
    let read = read_xml(&format!(
        "<presence from='a@b.c/d'><status>{}</status></presence>",
        "é".repeat(5_000)
    ));
    let [
        Inbound::Presence {
            status: Some(status), ..
        },
    ] = read.as_slice()
    else {
        panic!("{read:?}")
    };
    assert_eq!(status.chars().count(), 1_000);
}

#[test]
fn a_question_is_answered_and_one_without_id_is_not() {
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    let read = read_xml(&format!("<iq from='a@b.c/d' id='1' type='get'>{ping}</iq>"));
    assert!(
        matches!(
            read.as_slice(),
            [Inbound::Asked {
                query: Query::Ping,
                ..
            }]
        ),
        "{read:?}"
    );
    assert!(read_xml(&format!("<iq from='a@b.c/d' type='get'>{ping}</iq>")).is_empty());
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
            text.receipt_to, None,
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
