//! What goes with each request of `api`, and what comes back where it is no object of `model`.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::model::{
    AccountId, ArchiveDefault, BareJid, ChatId, EncryptionMode, FileId, MessageId, Notify, ProxyKind,
    Sharing, Show, TlsMode, Trust,
};
use crate::secret::Secret;

/// No params, or nothing to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Nothing {}

#[derive(Deserialize, TS)]
pub struct AddAccount {
    #[ts(type = "string")]
    pub address: BareJid,
    #[ts(type = "string")]
    pub password: Secret,
    #[ts(optional)]
    pub host: Option<String>,
    #[ts(optional)]
    pub port: Option<u16>,
    #[ts(optional)]
    pub tls: Option<TlsMode>,
    /// Nothing of the account goes past it, from the first attempt on.
    #[ts(optional)]
    pub proxy: Option<SetProxy>,
}

#[derive(Clone, Debug, Serialize, TS)]
pub struct AddedAccount {
    pub account: AccountId,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct OfAccount {
    pub account: AccountId,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct MaybeOfAccount {
    #[ts(optional)]
    pub account: Option<AccountId>,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct SetAccountEnabled {
    pub account: AccountId,
    pub enabled: bool,
}

#[derive(Deserialize, TS)]
pub struct SetPassword {
    pub account: AccountId,
    #[ts(type = "string")]
    pub password: Secret,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct SetPresence {
    pub account: AccountId,
    /// Any but `offline`: to go offline, disable the account.
    pub show: Show,
    #[ts(optional)]
    pub status: Option<String>,
}

/// Where and how to connect; what is not given goes back to what DNS says, without a proxy.
#[derive(Deserialize, TS)]
pub struct SetConnection {
    pub account: AccountId,
    #[ts(optional)]
    pub host: Option<String>,
    #[ts(optional)]
    pub port: Option<u16>,
    #[ts(optional)]
    pub tls: Option<TlsMode>,
    #[ts(optional)]
    pub proxy: Option<SetProxy>,
}

/// A proxy. A password that is not given stays what it was, as long as host and user stay.
#[derive(Deserialize, TS)]
pub struct SetProxy {
    pub kind: ProxyKind,
    pub host: String,
    pub port: u16,
    #[ts(optional)]
    pub user: Option<String>,
    #[ts(optional, type = "string")]
    pub password: Option<Secret>,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct AcceptCertificate {
    pub account: AccountId,
    /// The one that was shown as refused: 64 hexadecimal digits.
    pub fingerprint: String,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct SetAuthorities {
    pub account: AccountId,
    /// Certificates of authorities in PEM; none takes those away that there are.
    #[ts(optional)]
    pub pem: Option<String>,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct SetArchivePreferences {
    pub account: AccountId,
    pub default: ArchiveDefault,
    /// At most 1,000.
    #[ts(type = "string[]")]
    pub always: Vec<BareJid>,
    /// At most 1,000.
    #[ts(type = "string[]")]
    pub never: Vec<BareJid>,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct SetNotify {
    pub account: AccountId,
    pub notify: Notify,
}

/// Where the person looks.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct SetLooking {
    /// Whether they look at the window.
    pub looking: bool,
    /// The chat that lies open there.
    #[ts(optional)]
    pub chat: Option<ChatId>,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct SetShared {
    pub account: AccountId,
    /// Whether others learn of it.
    pub send: bool,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct SetContactShared {
    pub account: AccountId,
    #[ts(type = "string")]
    pub address: BareJid,
    pub send: Sharing,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct SetActive {
    /// Whether the person is looking at the window.
    pub active: bool,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct SetConsole {
    pub account: AccountId,
    pub on: bool,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct OfContact {
    pub account: AccountId,
    #[ts(type = "string")]
    pub address: BareJid,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct AddContact {
    pub account: AccountId,
    #[ts(type = "string")]
    pub address: BareJid,
    #[ts(optional)]
    pub name: Option<String>,
    /// Left as they are if not given.
    #[ts(optional)]
    pub groups: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct AnswerRequest {
    pub account: AccountId,
    #[ts(type = "string")]
    pub address: BareJid,
    pub accept: bool,
}

#[derive(Clone, Debug, Serialize, TS)]
pub struct OpenedChat {
    pub chat: ChatId,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct OfChat {
    pub chat: ChatId,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct OfMessage {
    pub message: MessageId,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct OfFile {
    pub file: FileId,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct FetchFile {
    pub file: FileId,
    /// The host that the person agreed to ask.
    #[ts(optional)]
    pub host: Option<String>,
    /// So many bytes the person agreed to take.
    #[ts(optional)]
    pub size: Option<u64>,
}

#[derive(Clone, Debug, Serialize, TS)]
pub struct SavedFile {
    pub path: String,
}

#[derive(Clone, Debug, Serialize, TS)]
pub struct GrantedPicture {
    /// What the window loads the picture by.
    pub word: String,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct SetEncryption {
    pub chat: ChatId,
    pub mode: EncryptionMode,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct ListMessages {
    pub chat: ChatId,
    /// Only messages that stand before this one.
    #[ts(optional)]
    pub before: Option<MessageId>,
    /// At most this many, 1 to 1,000; 50 if not given.
    #[ts(optional)]
    pub limit: Option<u32>,
}

#[derive(Clone, Deserialize, TS)]
pub struct SendText {
    pub chat: ChatId,
    pub body: String,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct SetTrust {
    pub account: AccountId,
    #[ts(type = "string")]
    pub address: BareJid,
    /// 64 hexadecimal digits, white space ignored.
    pub fingerprint: String,
    pub trust: Trust,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct OfDevice {
    pub account: AccountId,
    #[ts(type = "string")]
    pub address: BareJid,
    /// 1 to 2^31 - 1.
    pub device: u32,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct OfOwnDevice {
    pub account: AccountId,
    /// 1 to 2^31 - 1.
    pub device: u32,
}

#[derive(Clone, Debug, Deserialize, TS)]
pub struct OfKeyLink {
    pub account: AccountId,
    /// `xmpp:ADDRESS?omemo-sid-DEVICE=FINGERPRINT;…`.
    pub link: String,
}

#[derive(Clone, Deserialize, TS)]
pub struct ReadCode {
    /// 1 to 2,048.
    pub width: u32,
    /// 1 to 2,048.
    pub height: u32,
    /// The brightness of each pixel, row by row, in base64.
    pub pixels: String,
}

#[derive(Clone, Deserialize, TS)]
pub struct Search {
    pub query: String,
    /// At most this many, 1 to 1,000; 50 if not given.
    #[ts(optional)]
    pub limit: Option<u32>,
    #[ts(optional)]
    pub account: Option<AccountId>,
}
