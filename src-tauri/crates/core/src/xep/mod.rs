//! Wire formats that xmpp-parsers lacks or is too strict about, one file each, and the namespaces.

pub(crate) mod aesgcm;
pub(crate) mod disco;
pub(crate) mod displayed;
pub(crate) mod element;
pub(crate) mod eme;
pub(crate) mod fallback;
pub(crate) mod file_name;
pub(crate) mod file_sharing;
pub(crate) mod mam;
pub(crate) mod mam_prefs;
pub(crate) mod pubsub;
pub(crate) mod stanza_error;
pub(crate) mod trust_message;

/// Namespaces that are not in `xmpp_parsers::ns`.
pub(crate) mod ns {
    pub(crate) use xmpp_parsers::ns::{
        BLOCKING, BOOKMARKS2_COMPAT as BOOKMARK_CONVERSION, CAPS, CARBONS, CSI, DELAY, DISCO_INFO,
        DISCO_ITEMS, EME, FORWARD, HTTP_UPLOAD as UPLOAD, JABBER_CLIENT, MAM, MUC, PING, PUBSUB,
        PUBSUB_ERRORS, PUBSUB_EVENT, PUBSUB_OWNER, PUSH, RECEIPTS, ROSTER, RSM, SID, VERSION, XMPP_STANZAS,
    };
    /// XEP-0447.
    pub(crate) const FILE_SHARING: &str = "urn:xmpp:sfs:0";
    /// XEP-0446.
    pub(crate) const FILE_METADATA: &str = "urn:xmpp:file:metadata:0";
    /// XEP-0448.
    pub(crate) const ENCRYPTED_FILES: &str = "urn:xmpp:esfs:0";
    /// XEP-0103.
    pub(crate) const URL_DATA: &str = "http://jabber.org/protocol/url-data";
    /// XEP-0300.
    pub(crate) const HASHES: &str = "urn:xmpp:hashes:2";
    /// XEP-0428.
    pub(crate) const FALLBACK: &str = "urn:xmpp:fallback:0";
    /// XEP-0334.
    pub(crate) const HINTS: &str = "urn:xmpp:hints";
    /// XEP-0478.
    pub(crate) const STREAM_LIMITS: &str = "urn:xmpp:stream-limits:0";
    /// XEP-0398.
    pub(crate) const AVATAR_CONVERSION: &str = "urn:xmpp:pep-vcard-conversion:0";
    /// XEP-0215.
    pub(crate) const EXTERNAL_SERVICES: &str = "urn:xmpp:extdisco:2";
    /// XEP-0333.
    pub(crate) const CHAT_MARKERS: &str = "urn:xmpp:chat-markers:0";
    /// XEP-0490: a node's name, and its payload's namespace.
    pub(crate) const DISPLAYED: &str = "urn:xmpp:mds:displayed:0";
    /// XEP-0434.
    pub(crate) const TRUST_MESSAGES: &str = "urn:xmpp:tm:1";
    /// XEP-0450.
    pub(crate) const ATM: &str = "urn:xmpp:atm:1";
    /// XEP-0004.
    pub(crate) const DATA_FORMS: &str = "jabber:x:data";
    /// XEP-0060 §8.2.
    pub(crate) const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
    /// XEP-0060 §7.1.5.
    pub(crate) const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
}
