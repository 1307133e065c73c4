//! Stanza errors (RFC 6120 §8.3), read leniently.

use minidom::Element;

use super::element::{attribute, element, wrap};
use super::ns;

/// What an `<error/>` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StanzaError {
    /// `cancel`, `wait`, `modify`, `auth`, `continue` or whatever stood there.
    pub(crate) kind: String,
    /// The condition's element name; `undefined-condition` if there is none.
    pub(crate) condition: String,
    /// A condition of publish-subscribe beside it (XEP-0060 §16.3).
    pub(crate) pubsub: Option<String>,
    /// The server's own words.
    pub(crate) text: Option<String>,
}

impl StanzaError {
    /// For experts: condition and words.
    pub(crate) fn sentence(&self) -> String {
        match &self.text {
            Some(text) => format!("{}: {text}", self.condition),
            None => self.condition.clone(),
        }
    }

    /// Whether whoever was asked does not know such questions (RFC 6120 §8.3.3); anything else may pass.
    pub(crate) fn is_unsupported(&self) -> bool {
        ["service-unavailable", "feature-not-implemented", "item-not-found"]
            .contains(&self.condition.as_str())
    }
}

/// The error in a stanza of type `error`; something usable even if it is malformed.
pub(crate) fn read(stanza: &Element) -> StanzaError {
    let error = stanza.children().find(|child| child.name() == "error");
    let mut read = StanzaError {
        kind: error
            .and_then(|e| attribute(e, "type"))
            .unwrap_or("cancel")
            .to_owned(),
        condition: "undefined-condition".to_owned(),
        pubsub: None,
        text: None,
    };
    for child in error.into_iter().flat_map(Element::children) {
        if child.is("text", ns::XMPP_STANZAS) {
            read.text = Some(child.text().chars().take(256).collect());
        } else if child.has_ns(ns::XMPP_STANZAS) {
            child.name().clone_into(&mut read.condition);
        } else if child.has_ns(ns::PUBSUB_ERRORS) {
            read.pubsub = Some(child.name().to_owned());
        }
    }
    read
}

/// The answer to an IQ that we do not serve.
pub(crate) fn answer(to: Option<&str>, id: &str, condition: &str) -> Element {
    let error = wrap(
        element("error", ns::JABBER_CLIENT, &[("type", "cancel")]),
        [Element::bare(condition, ns::XMPP_STANZAS)],
    );
    let mut attributes = vec![("type", "error"), ("id", id)];
    attributes.extend(to.map(|to| ("to", to)));
    wrap(element("iq", ns::JABBER_CLIENT, &attributes), [error])
}
