//! By which way a message is encrypted that we do not speak (XEP-0380).

use minidom::Element;
use waxwing_omemo::Profile;

use super::element::attribute;
use super::ns;

/// The ways that XEP-0380 §4.2 lists, and what messages show of them that have no hint: an element of this name.
const LISTED: [(&str, &str, Option<&str>); 5] = [
    ("urn:xmpp:openpgp:0", "OpenPGP", Some("openpgp")),
    ("jabber:x:encrypted", "OpenPGP (XEP-0027)", Some("x")),
    ("urn:xmpp:omemo:1", "OMEMO 1", Some("encrypted")),
    ("urn:xmpp:omemo:0", "OMEMO 0", Some("encrypted")),
    ("urn:xmpp:otr:0", OTR, None),
];
const OTR: &str = "OTR";
/// How a message in OTR begins: whole, or as one of several pieces.
const OTR_BODIES: [&str; 3] = ["?OTR:", "?OTR,", "?OTR|"];
/// A name has so many characters at most.
const LONGEST: usize = 40;

/// What the hint, or else the message itself, says about its encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// OMEMO, whose elements are missing.
    Omemo,
    /// Another way, by its name.
    Other(String),
}

/// Reads a message that nothing of OMEMO is in. None if it does not look encrypted.
pub(crate) fn read(message: &Element) -> Option<Hint> {
    if let Some(hint) = message.get_child("encryption", ns::EME) {
        let namespace = attribute(hint, "namespace").unwrap_or_default();
        if Profile::ALL
            .iter()
            .any(|profile| profile.namespace() == namespace)
        {
            return Some(Hint::Omemo);
        }
        let listed = LISTED.iter().find(|(listed, ..)| *listed == namespace);
        // XEP-0380 §4.2: of what is listed the name that the sender gives is ignored.
        return Some(Hint::Other(listed.map_or_else(
            || shown(attribute(hint, "name").unwrap_or(namespace)),
            |(_, name, _)| (*name).to_owned(),
        )));
    }
    let by_element = LISTED
        .iter()
        .find(|(namespace, _, element)| element.is_some_and(|name| message.has_child(name, *namespace)));
    let name = by_element.map(|(_, name, _)| *name).or_else(|| {
        let body = message.get_child("body", ns::JABBER_CLIENT)?.text();
        OTR_BODIES
            .iter()
            .any(|begin| body.starts_with(begin))
            .then_some(OTR)
    })?;
    Some(Hint::Other(name.to_owned()))
}

/// A name that somebody else gave: one line, and nothing in it that turns writing around or cannot be seen.
fn shown(name: &str) -> String {
    let plain = |c: &char| c.is_alphanumeric() || " .:/_-+#()".contains(*c);
    let name: String = name.chars().filter(plain).take(LONGEST).collect();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(inside: &str) -> Option<Hint> {
        let message = format!("<message xmlns='jabber:client'>{inside}</message>");
        read(&message.parse().expect("the test's message is well-formed"))
    }

    fn other(name: &str) -> Hint {
        Hint::Other(name.to_owned())
    }

    #[test]
    fn what_is_listed_has_the_name_that_the_specification_gives_it() {
        for (namespace, expected) in [
            ("urn:xmpp:openpgp:0", other("OpenPGP")),
            ("jabber:x:encrypted", other("OpenPGP (XEP-0027)")),
            ("urn:xmpp:otr:0", other("OTR")),
            ("urn:xmpp:omemo:1", other("OMEMO 1")),
            ("eu.siacs.conversations.axolotl", Hint::Omemo),
            ("urn:xmpp:omemo:2", Hint::Omemo),
        ] {
            let xml = format!("<encryption xmlns='urn:xmpp:eme:0' namespace='{namespace}' name='Lie'/>");
            assert_eq!(hint(&xml), Some(expected), "{namespace}");
        }
    }

    #[test]
    fn what_is_not_listed_is_named_by_its_sender_in_harmless_letters() {
        let named = |attributes: &str| hint(&format!("<encryption xmlns='urn:xmpp:eme:0' {attributes}/>"));
        assert_eq!(
            named("namespace='urn:x:new' name='New 2.0'"),
            Some(other("New 2.0"))
        );
        assert_eq!(named("namespace='urn:x:new'"), Some(other("urn:x:new")));
        assert_eq!(
            named("namespace='urn:x' name=' a\u{202e}b\u{200b}&#10;&lt;c '"),
            Some(other("abc"))
        );
        assert_eq!(
            named(&format!("namespace='urn:x' name='{}'", "é".repeat(500))),
            Some(other(&"é".repeat(40)))
        );
        assert_eq!(named(""), Some(other("")));
    }

    #[test]
    fn a_message_without_a_hint_is_known_by_what_is_in_it() {
        for (inside, expected) in [
            (
                "<openpgp xmlns='urn:xmpp:openpgp:0'>x</openpgp><body>note</body>",
                Some(other("OpenPGP")),
            ),
            (
                "<x xmlns='jabber:x:encrypted'>x</x><body>note</body>",
                Some(other("OpenPGP (XEP-0027)")),
            ),
            (
                "<encrypted xmlns='urn:xmpp:omemo:1'/><body>note</body>",
                Some(other("OMEMO 1")),
            ),
            (
                "<body>?OTR:AAMDJ+MVmSfjFZcAAAAAAQAAAAIAAA.</body>",
                Some(other("OTR")),
            ),
            (
                "<body>?OTR|5a73a599|27e31597,00001,00003,x,</body>",
                Some(other("OTR")),
            ),
            ("<body>?OTRv23? this is a question in plain text</body>", None),
            ("<body>what is ?OTR: for</body>", None),
            ("<x xmlns='jabber:x:oob'/><body>text</body>", None),
            ("", None),
        ] {
            assert_eq!(hint(inside), expected, "{inside}");
        }
    }
}
