//! Stanza in, decision out. The names say the rules.

mod copies;
mod parts;
mod people;

use jiff::Timestamp;
use minidom::Element;
use waxwing_omemo::xml;

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
    assert_eq!(with.receipt(), Some(("a@b.c/d", "1")));
    let no_id = one_text(&format!(
        "<message from='a@b.c/d'><body>x</body>{request}</message>"
    ));
    assert_eq!(no_id.receipt(), None);
    let unasked = one_text("<message from='a@b.c/d' id='1'><body>x</body></message>");
    assert_eq!(unasked.receipt(), None);
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
fn of_both_generations_the_older_one_is_opened_first_in_whatever_order_they_stand() {
    let of = |profile: Profile, device: u32| {
        let namespace = profile.namespace();
        format!("<encrypted xmlns='{namespace}'><header sid='{device}'/><payload>AAAA</payload></encrypted>")
    };
    let [older, newer] = [of(Profile::Legacy, 1), of(Profile::Omemo2, 2)];
    let second = of(Profile::Legacy, 3);
    for both in
        [[&older, &newer, &second], [&newer, &older, &second]].map(|all| all.map(String::as_str).concat())
    {
        let text = one_text(&format!(
            "<message from='a@b.c'>{both}<body>fallback</body></message>"
        ));
        let Content::Encrypted(read) = &text.content else {
            panic!("{:?}", text.content)
        };
        let read: Vec<_> = read.iter().map(|one| (one.profile, one.sender.get())).collect();
        assert_eq!(read, [(Profile::Legacy, 1), (Profile::Omemo2, 2)], "{both}");
    }
}

#[test]
fn an_encrypted_element_that_cannot_be_read_is_a_row_and_not_its_fallback() {
    let text = one_text(
        "<message from='a@b.c'><encrypted xmlns='urn:xmpp:omemo:2'/><body>fallback</body></message>",
    );
    assert!(matches!(text.content, Content::Malformed), "{:?}", text.content);
}

#[test]
fn a_message_encrypted_by_another_way_is_a_row_and_not_its_fallback() {
    let eme = "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:openpgp:0'/>";
    let text = one_text(&format!(
        "<message from='a@b.c'>{eme}<body>fallback</body></message>"
    ));
    assert!(
        matches!(&text.content, Content::Foreign(name) if name == "OpenPGP"),
        "{:?}",
        text.content
    );
    let eme = "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:omemo:2'/>";
    let text = one_text(&format!(
        "<message from='a@b.c'>{eme}<body>fallback</body></message>"
    ));
    assert!(matches!(text.content, Content::Malformed), "{:?}", text.content);
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

#[test]
fn a_device_list_is_for_the_account_to_tell_and_not_for_a_program_of_it() {
    for profile in Profile::ALL {
        let (node, payload) = (profile.device_list_node(), xml::write_devices(profile, &[]));
        let event = format!(
            "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{node}'><item id='current'>{}</item>\
             </items></event>",
            String::from(&payload)
        );
        for (from, believed) in [
            ("juliet@capulet.lit", true),
            ("juliet@capulet.lit/balcony", false),
            ("romeo@montague.lit", true),
            ("romeo@montague.lit/phone", false),
        ] {
            let read = read_xml(&format!(
                "<message from='{from}' type='headline'>{event}</message>"
            ));
            let is_list = matches!(read.as_slice(), [Inbound::DeviceList { .. }]);
            assert_eq!(is_list, believed, "{from} {node}: {read:?}");
        }
    }
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
