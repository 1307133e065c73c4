//! How far our devices have read (XEP-0490), and markers for the other side (XEP-0333).

use minidom::Element;
use xmpp_parsers::jid::BareJid;

use super::element::{attribute, element, wrap};
use super::ns;

/// What an item of our node holds: the message with this id in our own archive, and all before it, has been read.
pub(crate) fn write(own: &BareJid, archive_id: &str) -> Element {
    let id = element("stanza-id", ns::SID, &[("by", own.as_str()), ("id", archive_id)]);
    wrap(Element::bare("displayed", ns::DISPLAYED), [id])
}

/// Whose chat an item is about, and up to which message of our own archive it was read. None for group chats, whose ids
/// are not our archive's, and for what cannot be read.
pub(crate) fn read(item: &str, payload: &Element, own: &BareJid) -> Option<(BareJid, String)> {
    if !payload.is("displayed", ns::DISPLAYED) {
        return None;
    }
    let id = payload.get_child("stanza-id", ns::SID)?;
    if id.attr("by") != Some(own.as_str()) {
        return None;
    }
    Some((item.parse().ok()?, attribute(id, "id")?.to_owned()))
}

/// Tells somebody that their message with this id, and all before it, has been read. It is plain in encrypted chats too,
/// as it is everywhere: the server sees that something was read, and when.
pub(crate) fn marker(to: &BareJid, id: &str) -> Element {
    let message = element(
        "message",
        ns::JABBER_CLIENT,
        &[("to", to.as_str()), ("type", "chat")],
    );
    wrap(
        message,
        [
            element("displayed", ns::CHAT_MARKERS, &[("id", id)]),
            // So that our other devices and theirs find it in their archives.
            Element::bare("store", ns::HINTS),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> BareJid {
        "romeo@montague.lit".parse().expect("an address")
    }

    fn item(xml: &str) -> Element {
        xml.parse().expect("well-formed")
    }

    #[test]
    fn what_is_written_is_read() {
        let read = read("juliet@capulet.lit", &write(&own(), "a1"), &own());
        let (with, id) = read.expect("it can be read");
        assert_eq!((with.as_str(), id.as_str()), ("juliet@capulet.lit", "a1"));
    }

    #[test]
    fn ids_of_other_archives_and_odd_items_say_nothing() {
        let good = "<displayed xmlns='urn:xmpp:mds:displayed:0'>\
            <stanza-id xmlns='urn:xmpp:sid:0' by='romeo@montague.lit' id='a1'/></displayed>";
        assert!(read("juliet@capulet.lit", &item(good), &own()).is_some());
        for id in ["", "@", "juliet@capulet.lit/balcony", "a b@c.d"] {
            assert!(read(id, &item(good), &own()).is_none(), "{id}");
        }
        for xml in [
            good.replace("by='romeo@montague.lit'", "by='juliet@capulet.lit'"),
            good.replace("by='romeo@montague.lit'", ""),
            good.replace("id='a1'", ""),
            good.replace("id='a1'", "id=''"),
            good.replace("urn:xmpp:sid:0", "urn:x"),
            good.replace("urn:xmpp:mds:displayed:0", "urn:xmpp:chat-markers:0"),
            "<displayed xmlns='urn:xmpp:mds:displayed:0'/>".to_owned(),
        ] {
            assert!(read("juliet@capulet.lit", &item(&xml), &own()).is_none(), "{xml}");
        }
    }
}
