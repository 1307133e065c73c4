//! What a person sees, as plain data. The window, the headless program and the tests read these very types;
//! `ui/src/core/generated/` is made from them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;
pub use xmpp_parsers::jid::BareJid;

use crate::error::Fault;
use crate::words::words;

/// Declares a database id as a type of its own, so that no id can stand in for another.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        #[ts(type = "number")]
        pub struct $name(pub i64);
    };
}

id!(
    /// An account of this profile.
    AccountId
);
id!(
    /// A conversation of one account with one address.
    ChatId
);
id!(
    /// A message row.
    MessageId
);

words!(
    /// Where an account's connection stands.
    ConnectionState { Offline = "offline", Connecting = "connecting", Online = "online", Failed = "failed" }
);
words!(
    /// How the connection to an explicit host is secured (RFC 6120 §5, XEP-0368).
    TlsMode { Direct = "direct", StartTls = "starttls" }
);
words!(
    /// Availability as RFC 6121 §4.7.2.1 names it, in rising order of how well the person can be reached.
    Show { Offline = "offline", Dnd = "dnd", Xa = "xa", Away = "away", Available = "available", Chat = "chat" }
);
words!(
    /// Who sees whose presence (RFC 6121 §2.1.2.5).
    Subscription { None = "none", To = "to", From = "from", Both = "both" }
);
words!(
    /// Whether we received or wrote a message.
    Direction { In = "in", Out = "out" }
);
words!(
    /// How far an outgoing message has come; a received one is `delivered`.
    Delivery { Waiting = "waiting", Sent = "sent", Delivered = "delivered", Read = "read", Failed = "failed" }
);
words!(
    /// How one message was protected on its way.
    Encryption {
        /// Not end-to-end encrypted.
        None = "none",
        /// OMEMO in the namespace `eu.siacs.conversations.axolotl`.
        Omemo1 = "omemo1",
        /// OMEMO in the namespace `urn:xmpp:omemo:2`.
        Omemo2 = "omemo2",
    }
);
words!(
    /// What a chat is set to.
    EncryptionMode { Omemo = "omemo", None = "none" }
);
words!(
    /// How far a device's key is trusted (XEP-0384 §5.10; blind trust before verification).
    Trust { Undecided = "undecided", Blind = "blind", Verified = "verified", Untrusted = "untrusted" }
);
words!(
    /// What will happen to the next message of a chat.
    Lock {
        /// It will be encrypted.
        Encrypted = "encrypted",
        /// It will not be encrypted, because the person chose so.
        PlainChosen = "plain_chosen",
        /// It will not be encrypted, because the other side has no device that could read it.
        PlainNoDevices = "plain_no_devices",
        /// Not known yet: the other side's devices are being asked for, before anything is sent.
        Checking = "checking",
        /// It cannot be sent: the chat is encrypted and no trusted device can be reached.
        Blocked = "blocked",
    }
);

/// An account: address, connection and own presence.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
pub struct Account {
    pub account: AccountId,
    #[ts(type = "string")]
    pub address: BareJid,
    pub enabled: bool,
    pub state: ConnectionState,
    /// Why the last attempt failed; kept while trying again.
    pub error: Option<Fault>,
    /// The presence that was asked for; what others see while `state` is online.
    pub show: Show,
    pub status: Option<String>,
    /// Index of the account's colour among those the window offers, 0 to 7.
    pub color: u8,
    /// Unread messages in all chats of the account.
    pub unread: u32,
    /// Explicitly set host; none means that DNS is asked.
    pub host: Option<String>,
    pub port: Option<u16>,
    pub tls: Option<TlsMode>,
    pub rev: i64,
}

/// One entry of an account's roster with its live presence.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
pub struct Contact {
    pub account: AccountId,
    #[ts(type = "string")]
    pub address: BareJid,
    pub name: Option<String>,
    pub subscription: Subscription,
    /// We asked to see their presence and wait for the answer (RFC 6121 §2.1.2.2).
    pub asked: bool,
    pub groups: Vec<String>,
    pub presence: Show,
    pub status: Option<String>,
    pub rev: i64,
}

/// Somebody asks to see our presence (RFC 6121 §3.1.3).
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
pub struct ContactRequest {
    pub account: AccountId,
    #[ts(type = "string")]
    pub address: BareJid,
    #[ts(type = "string")]
    pub received_at: Timestamp,
}

/// A conversation of one account with one address.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
pub struct Chat {
    pub chat: ChatId,
    pub account: AccountId,
    #[ts(type = "string")]
    pub address: BareJid,
    /// The contact's name, else the address.
    pub title: String,
    pub unread: u32,
    pub encryption: EncryptionMode,
    pub lock: Lock,
    /// The newest message that the person has seen; the unread line stands behind it.
    pub read_up_to: Option<MessageId>,
    pub last: Option<Message>,
    pub rev: i64,
}

/// One message of a chat.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
pub struct Message {
    pub message: MessageId,
    pub chat: ChatId,
    pub account: AccountId,
    #[ts(type = "string")]
    pub from: BareJid,
    pub direction: Direction,
    /// None if it could not be decrypted.
    pub body: Option<String>,
    #[ts(type = "string")]
    pub sent_at: Timestamp,
    /// The order within the chat, which is that of arrival: microseconds since 1970, never the same twice.
    pub position: i64,
    pub delivery: Delivery,
    pub encryption: Encryption,
    /// Trust in the sending device's key when the message was decrypted.
    pub trust: Option<Trust>,
    /// Plain text that arrived in an encrypted chat.
    pub unprotected: bool,
    pub undecryptable: Option<Undecryptable>,
    /// Why it failed.
    pub error: Option<Fault>,
    /// XEP-0359 §4.
    pub origin_id: Option<String>,
    /// XEP-0359 §3, given by our own archive.
    pub archive_id: Option<String>,
    pub rev: i64,
}

/// Why a message could not be decrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Undecryptable {
    /// The sending device's id.
    pub device: u32,
    /// A stable code.
    pub reason: UndecryptableReason,
}

words!(
    /// Why a message could not be decrypted, as a stable code.
    UndecryptableReason {
        /// It was encrypted, but not for this device.
        NotForThisDevice = "not_for_this_device",
        /// The sender used an encrypted session that this device does not have.
        NoSession = "no_session",
        /// The sender used a one-time key that this device no longer has.
        KeyGone = "key_gone",
        /// The sending device's identity key is not the one known for it.
        IdentityChanged = "identity_changed",
        /// It was damaged, forged or not understood.
        Malformed = "malformed",
        /// Its content belongs to another sender or another chat.
        WrongPlace = "wrong_place",
        /// Encrypted by a way that Waxwing does not speak.
        Unsupported = "unsupported",
    }
);

/// A device of a contact, or of ourselves, that takes part in encryption.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
pub struct Device {
    pub device: u32,
    /// 64 lower-case hexadecimal digits, or none while the device's key is not known yet.
    pub fingerprint: Option<String>,
    pub trust: Trust,
    pub protocols: Vec<Encryption>,
    /// On the newest device list.
    pub active: bool,
    /// This very installation.
    pub own: bool,
    pub label: Option<String>,
    #[ts(type = "string | null")]
    pub last_seen: Option<Timestamp>,
}
