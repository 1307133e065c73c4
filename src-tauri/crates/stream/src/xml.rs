//! Writing the few elements that the stream itself needs.

use jid::BareJid;
use minidom::Element;

pub(crate) const CLIENT: &str = "jabber:client";
pub(crate) const STREAM: &str = "http://etherx.jabber.org/streams";
pub(crate) const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
pub(crate) const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
pub(crate) const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
pub(crate) const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
pub(crate) const SASL2: &str = "urn:xmpp:sasl:2";
pub(crate) const SASL_CB: &str = "urn:xmpp:sasl-cb:0";
pub(crate) const FAST: &str = "urn:xmpp:fast:0";
pub(crate) const BIND2: &str = "urn:xmpp:bind:0";
pub(crate) const CARBONS: &str = "urn:xmpp:carbons:2";
pub(crate) const CSI: &str = "urn:xmpp:csi:0";
pub(crate) const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
pub(crate) const SM: &str = "urn:xmpp:sm:3";
pub(crate) const PING: &str = "urn:xmpp:ping";

/// Text for between tags and for attribute values, without what XML cannot hold.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&apos;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => {}
            control if control.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}

/// The opening of a stream to `domain` (RFC 6120 §4.7). Who it is `from` is for the server only, inside TLS.
pub(crate) fn stream_header(domain: &str, from: Option<&BareJid>) -> String {
    let from = from.map(|from| format!(" from='{}'", escape(from.as_str())));
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAM}' to='{}'{} version='1.0' \
         xml:lang='en'>",
        escape(domain),
        from.unwrap_or_default()
    )
}

/// Whether this is a message, presence or iq, which stream management counts.
pub(crate) fn is_stanza(element: &Element) -> bool {
    element.ns() == CLIENT && matches!(element.name(), "message" | "presence" | "iq")
}

/// A server's words for a log or an error, bounded.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(256).collect()
}
