//! What the archive keeps (XEP-0441).

use minidom::Element;
use xmpp_parsers::jid::{BareJid, Jid};

use super::element::{attribute, element, text, wrap};
use super::ns;

/// The preferences as they stand on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// `always`, `never` or `roster`, or whatever stood there.
    pub(crate) default: String,
    pub(crate) always: Vec<BareJid>,
    pub(crate) never: Vec<BareJid>,
}

/// The payload that asks for them.
pub(crate) fn question() -> Element {
    Element::bare("prefs", ns::MAM)
}

/// The payload that sets them.
pub(crate) fn write(preferences: &Preferences) -> Element {
    let list = |name: &str, addresses: &[BareJid]| {
        wrap(
            Element::bare(name, ns::MAM),
            addresses
                .iter()
                .map(|address| text("jid", ns::MAM, address.as_str())),
        )
    };
    wrap(
        element("prefs", ns::MAM, &[("default", &preferences.default)]),
        [
            list("always", &preferences.always),
            list("never", &preferences.never),
        ],
    )
}

/// Reads what an answer says; none if it says nothing. What is no address is passed by.
pub(crate) fn read(answer: &Element) -> Option<Preferences> {
    let prefs = answer.get_child("prefs", ns::MAM)?;
    let list = |name: &str| {
        let children = prefs
            .get_child(name, ns::MAM)
            .into_iter()
            .flat_map(Element::children);
        let mut addresses: Vec<BareJid> = children
            .filter(|child| child.is("jid", ns::MAM))
            .filter_map(|child| Jid::new(child.text().trim()).ok())
            .map(Jid::into_bare)
            .collect();
        addresses.sort();
        addresses.dedup();
        addresses
    };
    Some(Preferences {
        default: attribute(prefs, "default")?.to_owned(),
        always: list("always"),
        never: list("never"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let address = |text: &str| text.parse::<BareJid>().expect("an address");
        let preferences = Preferences {
            default: "roster".to_owned(),
            always: vec![address("a@b.test"), address("c@d.test")],
            never: vec![address("e@f.test")],
        };
        let answer = wrap(element("iq", ns::JABBER_CLIENT, &[]), [write(&preferences)]);
        assert_eq!(read(&answer), Some(preferences));
    }

    #[test]
    fn odd_addresses_are_passed_by_and_an_answer_without_a_default_is_none() {
        let read = |inside: &str| {
            let xml = format!("<iq xmlns='jabber:client'>{inside}</iq>");
            read(&xml.parse().expect("well formed"))
        };
        let odd = "<prefs xmlns='urn:xmpp:mam:2' default='never'><always><jid>@@</jid><jid> a@b.test/x </jid><x/>\
                   <jid>a@b.test</jid></always></prefs>";
        let found = read(odd).expect("preferences");
        assert_eq!(found.default, "never");
        assert_eq!(found.always, ["a@b.test".parse::<BareJid>().expect("an address")]);
        assert!(found.never.is_empty());
        assert_eq!(read("<prefs xmlns='urn:xmpp:mam:2'/>"), None);
        assert_eq!(read("<prefs xmlns='urn:xmpp:mam:1' default='always'/>"), None);
        assert_eq!(read(""), None);
    }
}
