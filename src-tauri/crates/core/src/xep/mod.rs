//! Wire formats that xmpp-parsers lacks or is too strict about, one file each, and the namespaces.

pub(crate) mod disco;
pub(crate) mod element;
pub(crate) mod pubsub;
pub(crate) mod stanza_error;

/// Namespaces that are not in `xmpp_parsers::ns`.
pub(crate) mod ns {
    pub(crate) use xmpp_parsers::ns::{
        CAPS, CARBONS, DELAY, DISCO_INFO, EME, FORWARD, JABBER_CLIENT, PING, PUBSUB, PUBSUB_ERRORS,
        PUBSUB_EVENT, PUBSUB_OWNER, RECEIPTS, ROSTER, SID, XMPP_STANZAS,
    };
    /// XEP-0334.
    pub(crate) const HINTS: &str = "urn:xmpp:hints";
    /// XEP-0478.
    pub(crate) const STREAM_LIMITS: &str = "urn:xmpp:stream-limits:0";
    /// XEP-0333.
    pub(crate) const CHAT_MARKERS: &str = "urn:xmpp:chat-markers:0";
    /// XEP-0004.
    pub(crate) const DATA_FORMS: &str = "jabber:x:data";
    /// XEP-0060 §8.2.
    pub(crate) const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
    /// XEP-0060 §7.1.5.
    pub(crate) const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
}
