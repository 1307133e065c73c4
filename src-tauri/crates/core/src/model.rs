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

id!(
    /// A file of a message.
    FileId
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
    /// What a proxy speaks.
    ProxyKind {
        /// RFC 1928, with names resolved by the proxy.
        Socks5 = "socks5",
        /// The method CONNECT (RFC 9110 §9.3.6).
        Http = "http",
    }
);
words!(
    /// Whose messages the server keeps (XEP-0441).
    ArchiveDefault { Always = "always", Never = "never", Contacts = "roster" }
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
    /// Whether one contact learns something: as it is set for the account, or otherwise.
    Sharing { AsAccount = "as_account", On = "on", Off = "off" }
);
words!(
    /// What is told of new messages while the person does not look.
    Notify {
        /// Who wrote, and what.
        Text = "text",
        /// Who wrote.
        Name = "name",
        /// Nothing.
        Off = "off",
    }
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
        /// It waits: a new key of theirs or of ours wants a decision first, since another one was verified.
        Undecided = "undecided",
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
    pub proxy: Option<Proxy>,
    /// The certificate that the last attempt refused, for the person to accept; there with a `certificate_…` error.
    pub refused_certificate: Option<Certificate>,
    /// The SHA-256 of the certificate that the person accepted, in 64 hexadecimal digits.
    pub accepted_certificate: Option<String>,
    /// Whether the account has certificate authorities of its own.
    pub own_authorities: bool,
    /// Whether others learn that their messages reached this device (XEP-0184).
    pub send_receipts: bool,
    /// Whether contacts learn that their messages were read (XEP-0333).
    pub send_markers: bool,
    /// What is told of new messages while the person does not look.
    pub notify: Notify,
    /// Whether the person allowed the password itself to be sent to this server, inside TLS.
    pub plain_allowed: bool,
    /// Why this account's device for encryption began anew, until the person has seen it.
    pub renewed: Option<Renewed>,
    /// What the server's archive holds and has not been read yet, oldest first.
    pub gaps: Vec<Gap>,
    pub rev: i64,
}

words!(
    /// Why the account's device for encryption began anew, with new keys for others to begin with.
    Renewed {
        /// The profile is an older copy of what it was: others have gone on since.
        Restored = "restored",
        /// Another program uses the same device, as a copied profile does. This one has become a device of its own.
        Copied = "copied",
    }
);

/// Messages may be missing in the account's chats: behind those at `after` and before those at `before`, which are
/// positions like those of messages. 0 is the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Gap {
    #[ts(type = "number")]
    pub after: i64,
    #[ts(type = "number")]
    pub before: i64,
}

/// The way to a server through a proxy. Its password is not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Proxy {
    pub kind: ProxyKind,
    pub host: String,
    pub port: u16,
    pub user: Option<String>,
}

/// A server's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Certificate {
    /// SHA-256 in 64 lower-case hexadecimal digits.
    pub fingerprint: String,
    /// The host names that it is made out for.
    pub names: Vec<String>,
    pub issuer: String,
    #[ts(type = "string")]
    pub not_before: Timestamp,
    #[ts(type = "string")]
    pub not_after: Timestamp,
    /// Issued by itself.
    pub self_signed: bool,
}

/// How an account is connected, for those who want to know.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
pub struct ConnectionReport {
    pub account: AccountId,
    /// None while there is no connection.
    pub connection: Option<ConnectionFacts>,
    /// How often the connection was lost since the program was started.
    pub lost: u32,
    /// How many stanzas broke a limit and were thrown away since the program was started.
    pub swallowed: u32,
    /// What the server can do, and what it lacks (XEP-0479); empty while there is no connection.
    pub features: Vec<ServerFeature>,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
pub struct ConnectionFacts {
    pub host: String,
    pub port: u16,
    /// The IP address and port that this led to; of the proxy, if there is one.
    pub peer: String,
    pub proxied: bool,
    pub tls: TlsMode,
    /// `TLSv1_2` or `TLSv1_3`.
    pub tls_version: String,
    pub cipher: String,
    pub certificate: Option<Certificate>,
    /// The certificate is believed only because the person accepted it.
    pub pinned: bool,
    /// The SASL mechanism.
    pub mechanism: String,
    /// What binds the login to the TLS channel.
    pub channel_binding: Option<String>,
    /// XEP-0388.
    pub sasl2: bool,
    /// XEP-0386.
    pub bind2: bool,
    /// The session before went on (XEP-0198 §5).
    pub resumed: bool,
    /// This session can go on after a break.
    pub resumable: bool,
    /// Waits for the server's answer from the opening of the stream until messages could be sent.
    pub round_trips: u32,
    /// Milliseconds from the first attempt until messages could be sent.
    pub took_ms: u32,
    /// Milliseconds that the server took to answer a ping just now.
    pub ping_ms: Option<u32>,
    #[ts(type = "string")]
    pub since: Timestamp,
    pub resource: String,
    /// The server's name and version, in its own words (XEP-0092).
    pub software: Option<String>,
}

words!(
    /// Something that a server can do for its people.
    FeatureName {
        DirectTls = "direct_tls",
        StreamManagement = "stream_management",
        ClientState = "client_state",
        Carbons = "carbons",
        Archive = "archive",
        PersonalEvents = "personal_events",
        OpenBundles = "open_bundles",
        Blocking = "blocking",
        Upload = "upload",
        Rooms = "rooms",
        Push = "push",
        Sasl2 = "sasl2",
        Bind2 = "bind2",
        Fast = "fast",
        ChannelBinding = "channel_binding",
        AvatarConversion = "avatar_conversion",
        BookmarkConversion = "bookmark_conversion",
        ExternalServices = "external_services",
    }
);

/// Whether a server can do something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct ServerFeature {
    pub feature: FeatureName,
    /// Such as `XEP-0313`.
    pub specification: String,
    /// Asked for by the compliance suites (XEP-0479), for instant messaging or at the core.
    pub expected: bool,
    pub present: bool,
}

words!(
    /// Which way something went over the wire.
    Way { In = "in", Out = "out" }
);

/// What went over the wire at once: an element or a stream's header, with secrets masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct ConsoleEntry {
    /// Rising.
    pub number: i64,
    #[ts(type = "string")]
    pub at: Timestamp,
    pub way: Way,
    pub xml: String,
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
    /// Whether they learn that their messages reached this device.
    pub send_receipts: Sharing,
    /// Whether they learn that their messages were read.
    pub send_markers: Sharing,
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
    /// The next message, if it is encrypted, goes in the older generation, which protects nothing but its text.
    pub text_only: bool,
    /// A verified device of theirs has taken back the trust in another one, and the person has not decided about that yet.
    pub trust_taken_back: bool,
    /// The newest message that the person has seen; the unread line stands behind it.
    pub read_up_to: Option<MessageId>,
    pub last: Option<Message>,
    pub rev: i64,
}

/// Something new, to be told outside of the window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Notice {
    pub account: AccountId,
    /// The chat; none for a summary of several.
    pub chat: Option<ChatId>,
    /// The chat's title.
    pub title: Option<String>,
    /// What was written last, cut short; none if it shall not be shown, or cannot be.
    pub text: Option<String>,
    /// The name of the file that was sent last, where there is no text.
    pub file: Option<String>,
    /// So many messages are new.
    pub messages: u32,
    /// In so many chats.
    pub chats: u32,
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
    /// None if it could not be decrypted, or tells of files only.
    pub body: Option<String>,
    /// Encrypted files that it tells of.
    pub files: Vec<File>,
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

words!(
    /// How a file stands.
    FileState {
        /// It lies with the server, and nobody asked for it yet.
        Offered = "offered",
        Fetching = "fetching",
        /// It is here, and it is what its sender encrypted.
        Ready = "ready",
        Failed = "failed",
    }
);
words!(
    /// Why a file could not be had.
    FileFailure {
        /// Its sender offers it in no encrypted way that Waxwing knows.
        NotEncrypted = "not_encrypted",
        /// The server has it no more.
        Gone = "gone",
        /// The server does not give it to us.
        Refused = "refused",
        /// The server failed, or does not do what a web server does.
        ServerFailed = "server_failed",
        /// The server was not reached, or fell silent.
        Unreachable = "unreachable",
        /// Nobody vouches for the server's certificate.
        Certificate = "certificate",
        /// The account's proxy did not let us through.
        ProxyFailed = "proxy_failed",
        /// The server sends us on to another host, for which the person has to agree.
        Elsewhere = "elsewhere",
        /// The server sends us on to where nothing is protected.
        Insecure = "insecure",
        /// It is larger than was told or agreed to.
        TooLarge = "too_large",
        /// It ended too early.
        Truncated = "truncated",
        /// It is not what its sender encrypted.
        Forged = "forged",
        DiskFull = "disk_full",
        /// It could not be written.
        NotStored = "not_stored",
        /// It was here, and is not any more or not as it was.
        Lost = "lost",
    }
);

/// An encrypted file that a message tells of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct File {
    pub file: FileId,
    /// Harmless on every system.
    pub name: String,
    /// As its sender says.
    pub media_type: Option<String>,
    /// In bytes: as its sender or the server says, and once it is here as it is.
    pub size: Option<i64>,
    pub state: FileState,
    /// So many bytes have come, while it is being fetched.
    pub received: Option<i64>,
    pub failure: Option<FileFailure>,
    /// Whom fetching it asks.
    pub host: Option<String>,
    /// It is here, and the window can show it.
    pub picture: Option<Picture>,
    /// Opening it may run something.
    pub program: bool,
}

/// How large a picture is, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
}

/// Why a message could not be decrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Undecryptable {
    /// The sending device's id.
    pub device: u32,
    /// A stable code.
    pub reason: UndecryptableReason,
    /// What it is encrypted with, as far as anybody says; there only if the reason is `unsupported`.
    pub method: Option<String>,
    /// How many messages this stands for: those from before this device follow each other as one.
    pub count: u32,
    /// The session that it broke with has been replaced: what is sent from now on can be read.
    pub repaired: bool,
}

words!(
    /// Why a message could not be decrypted, as a stable code.
    UndecryptableReason {
        /// It was written before others could encrypt to this device.
        BeforeThisDevice = "before_this_device",
        /// It was encrypted, but not for this device.
        NotForThisDevice = "not_for_this_device",
        /// The sender used an encrypted session that this device does not have.
        NoSession = "no_session",
        /// The sender used a one-time key that this device no longer has.
        KeyGone = "key_gone",
        /// Another message was locked with the same key before: the sender's program went back to an older state.
        KeyReused = "key_reused",
        /// Too many messages of the sending device are missing before it.
        TooFarAhead = "too_far_ahead",
        /// It came so long after others that its key had been given up; or it is an old message once more.
        TooLate = "too_late",
        /// We wrote it on this very device, but the copy of the profile that is in use does not have it.
        WrittenHere = "written_here",
        /// The sending device's identity key is not the one known for it.
        IdentityChanged = "identity_changed",
        /// It begins a session with one device more than are kept of its sender.
        TooManyDevices = "too_many_devices",
        /// It was damaged, forged or not understood.
        Malformed = "malformed",
        /// Its content belongs to another sender or another chat.
        WrongPlace = "wrong_place",
        /// It broke a limit that protects the connection, and was thrown away.
        TooLarge = "too_large",
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
    /// Another device that is verified said how far its key is trusted (XEP-0450), and not the person here.
    pub trust_told: bool,
    /// The device of the same person that took the trust in its key back, until the person here has decided about that.
    pub taken_back_by: Option<u32>,
    pub protocols: Vec<Encryption>,
    /// On the newest device list.
    pub active: bool,
    /// This very installation.
    pub own: bool,
    pub label: Option<String>,
    /// When it was first heard of; none if that was long ago.
    #[ts(type = "string | null")]
    pub first_seen: Option<Timestamp>,
    /// When it last sent something that could be read.
    #[ts(type = "string | null")]
    pub last_seen: Option<Timestamp>,
    /// The last of its messages that could not be read.
    pub last_failure: Option<DeviceFailure>,
    /// When a session with it that broke was last replaced.
    #[ts(type = "string | null")]
    pub last_repaired: Option<Timestamp>,
    /// Whether the next message that is encrypted reaches it.
    pub reach: Reach,
    /// Why its keys could not be had or used when they were last asked for; none if they could, or need not be. Where it is
    /// reached all the same, a session was to be replaced, and the one that there was goes on.
    pub bundle_fault: Option<BundleFault>,
    /// Another key than the one it is known by that was shown last in its name.
    pub other_key: Option<OtherKey>,
}

/// A key that was shown in the name of a device and is not the one that the device is known by. It was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct OtherKey {
    /// 64 lower-case hexadecimal digits.
    pub fingerprint: String,
    #[ts(type = "string")]
    pub at: Timestamp,
}

/// A message of a device that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
pub struct DeviceFailure {
    pub reason: UndecryptableReason,
    /// When it came.
    #[ts(type = "string")]
    pub at: Timestamp,
}

words!(
    /// Whether the next message reaches a device.
    Reach {
        /// It will.
        Ready = "ready",
        /// It will if its keys can be had; they were not asked for yet.
        Untried = "untried",
        /// Its keys could not be had or used; they are asked for again after a while.
        NoKeys = "no_keys",
        /// Not before the person decides about its key.
        Undecided = "undecided",
        /// Its key is not trusted.
        Untrusted = "untrusted",
        /// It is on no device list any more.
        Inactive = "inactive",
        /// It wrote lately, and is on no device list.
        Unlisted = "unlisted",
        /// It is this very installation.
        ThisDevice = "this_device",
    }
);

words!(
    /// Why the keys that a device publishes are of no use.
    BundleFault {
        /// There are none.
        Missing = "missing",
        /// They may not be read.
        Forbidden = "forbidden",
        /// Its server did not answer, or with an error that passes.
        Unreachable = "unreachable",
        /// They are damaged or wrongly signed.
        Malformed = "malformed",
        /// No one-time key is left.
        NoOneTimeKeys = "no_one_time_keys",
        /// They are not those of the key that is known for the device.
        IdentityChanged = "identity_changed",
        /// Its owner has had too many devices.
        TooManyDevices = "too_many_devices",
    }
);

words!(
    /// Why a device list could not be read.
    ListFault {
        /// It may not be read by us.
        Forbidden = "forbidden",
        /// Their server cannot be found.
        ServerNotFound = "server_not_found",
        /// Their server did not answer, or with an error that passes.
        Unreachable = "unreachable",
    }
);

/// What others verify this device by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct OwnCode {
    /// `xmpp:ADDRESS?omemo-sid-DEVICE=FINGERPRINT;…`, with this device and those of ours that are verified.
    pub link: String,
    /// The same as a QR code, row by row: `1` for each dark square.
    pub rows: Vec<String>,
}

words!(
    /// How a key that a link names stands to what is known.
    KeyStanding {
        /// It is known and verified.
        Verified = "verified",
        /// It is known and not verified.
        Known = "known",
        /// Another key is known for the device.
        Differs = "differs",
        /// It was never seen.
        Unseen = "unseen",
        /// It is this very device's.
        ThisDevice = "this_device",
    }
);

/// What a link says of somebody's keys, and what accepting it would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct KeyLinkReading {
    #[ts(type = "string")]
    pub address: BareJid,
    /// They are keys of our own account.
    pub ours: bool,
    pub keys: Vec<LinkedKey>,
}

/// A key that a link names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct LinkedKey {
    pub device: u32,
    /// 64 lower-case hexadecimal digits.
    pub fingerprint: String,
    pub standing: KeyStanding,
}

words!(
    /// What becomes of the next message of a chat.
    NextMessage {
        /// It is encrypted to the devices whose reach says so.
        Encrypted = "encrypted",
        /// It is not encrypted.
        Plain = "plain",
        /// It waits until devices and keys that are being asked for are known.
        Asks = "asks",
        /// It waits for a decision about a key.
        Undecided = "undecided",
        /// It fails: whether the other side has devices could not be found out.
        Unknown = "unknown",
        /// It fails: their server does not say which devices they have.
        Forbidden = "forbidden",
        /// It fails: their server cannot be found.
        ServerNotFound = "server_not_found",
        /// It fails: no device of theirs can be encrypted to.
        NoDevices = "no_devices",
        /// It fails: their devices are not trusted.
        NoTrustedDevices = "no_trusted_devices",
    }
);

/// How the encryption of a chat stands, device by device: what sending decides by, at this moment.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
pub struct EncryptionReport {
    pub chat: ChatId,
    /// None of what stands here was asked for anew if it is false: it is what was known last.
    pub online: bool,
    pub next: NextMessage,
    /// When device lists were read, of both sides and in both generations.
    pub lists: Vec<ListReport>,
    /// When the server last took this device's own keys, in both generations.
    pub published: Vec<Published>,
    /// Those of the other side first.
    pub devices: Vec<DeviceReport>,
}

/// A device list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct ListReport {
    /// Of our own account.
    pub ours: bool,
    pub protocol: Encryption,
    /// None if it never was.
    #[ts(type = "string | null")]
    pub read_at: Option<Timestamp>,
    /// It could not be read in this session.
    pub failed: bool,
    /// Why it could not be read when it was asked for last.
    pub fault: Option<ListFault>,
}

/// This device's keys at the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Published {
    pub protocol: Encryption,
    /// None if it never took them.
    #[ts(type = "string | null")]
    pub at: Option<Timestamp>,
    /// The server would not make them readable by everybody: who is no contact may not be able to encrypt to this device.
    pub closed: bool,
}

/// One device in a report.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
pub struct DeviceReport {
    /// Of our own account.
    pub ours: bool,
    pub device: Device,
    /// The generation in which it is written to; none if it is not.
    pub protocol: Option<Encryption>,
    /// When keys that could not be had are asked for again.
    #[ts(type = "string | null")]
    pub again_at: Option<Timestamp>,
}

/// What the server keeps of an account's messages (XEP-0441).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct ArchivePreferences {
    /// What goes for everybody who is named in neither list.
    pub default: ArchiveDefault,
    /// With these, all is kept.
    #[ts(type = "string[]")]
    pub always: Vec<BareJid>,
    /// With these, nothing is kept.
    #[ts(type = "string[]")]
    pub never: Vec<BareJid>,
}
