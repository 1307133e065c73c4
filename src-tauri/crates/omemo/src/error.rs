//! What can go wrong, as closed lists with stable codes.

use thiserror::Error;

/// Something that does not have the form it must have; names the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// Why a key element could not be opened. The record given stays valid and unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecryptError {
    /// This message was opened before: ignore in silence, never heal.
    #[error("this message was received before")]
    Duplicate,
    /// Another message was opened with the key of this one: the sender's disk was set back, or somebody made this up.
    #[error("another message was received with the same key")]
    KeyReused,
    /// A message with this one's number was opened so long ago that it is not known any more whether it was this one or
    /// another: see [`crate::MAX_OPENED`]. Never heal: it may be an old message that was sent once more.
    #[error("a message with the same number was received long ago")]
    LongAgo,
    /// So many messages were missing that the key of this one was given up; or it is one of those around it that were
    /// opened long ago. Never heal.
    #[error("the key of this late message was given up")]
    GivenUp,
    /// No session with that device fits, and the message does not bring a key exchange.
    #[error("no session with this device")]
    NoSession,
    /// The one-time prekey that the key exchange names is not ours any more.
    #[error("the one-time prekey is not known")]
    UnknownPreKey,
    /// The signed prekey that the key exchange names is not ours any more.
    #[error("the signed prekey is not known")]
    UnknownSignedPreKey,
    /// The key exchange names no one-time prekey; such are refused.
    #[error("the key exchange uses no one-time prekey")]
    NoOneTimePreKey,
    /// The device uses another identity key than the pinned one.
    #[error("the identity key of this device changed")]
    IdentityChanged,
    /// Bytes that are no OMEMO message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The message belongs to a chain that is known, and was altered on its way or made up. Never heal.
    #[error("the message was altered")]
    Altered,
    /// The message is for another session, or was altered.
    #[error("the message does not authenticate")]
    BadMac,
    /// The message lies further ahead than the work we allow (see [`crate::MAX_SKIP`]).
    #[error("too many messages are missing before this one")]
    TooManySkipped,
    /// A version of the wire format that is not spoken here.
    #[error("wire format version {0} is not supported")]
    UnsupportedVersion(u8),
    /// None of the keys in the stanza is for this device.
    #[error("not encrypted for this device")]
    NotForThisDevice,
}

impl DecryptError {
    /// A stable, machine-readable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::KeyReused => "key-reused",
            Self::LongAgo => "long-ago",
            Self::Altered => "altered",
            Self::GivenUp => "given-up",
            Self::NoSession => "no-session",
            Self::UnknownPreKey => "unknown-prekey",
            Self::UnknownSignedPreKey => "unknown-signed-prekey",
            Self::NoOneTimePreKey => "no-one-time-prekey",
            Self::IdentityChanged => "identity-changed",
            Self::Malformed(_) => "malformed",
            Self::BadMac => "bad-mac",
            Self::TooManySkipped => "too-many-skipped",
            Self::UnsupportedVersion(_) => "unsupported-version",
            Self::NotForThisDevice => "not-for-this-device",
        }
    }

    /// Whether a new session could repair this, if the message is live and certainly no replay.
    pub const fn healing_helps(self) -> bool {
        matches!(
            self,
            Self::NoSession
                | Self::KeyReused
                | Self::UnknownPreKey
                | Self::UnknownSignedPreKey
                | Self::BadMac
                | Self::TooManySkipped
        )
    }
}

/// Why a session could not be started or used for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EncryptError {
    /// The bundle offers no one-time prekey; its owner would refuse the key exchange, so none is made.
    #[error("the bundle has no one-time prekey")]
    NoOneTimePreKey,
    /// The bundle bears another identity key than the pinned one.
    #[error("the identity key of this device changed")]
    IdentityChanged,
    /// A public key in the bundle is a weak point of the curve.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The sending chain is used up (2^32 messages without an answer): start a new session.
    #[error("the session is used up")]
    Exhausted,
}

impl EncryptError {
    /// A stable, machine-readable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoOneTimePreKey => "no-one-time-prekey",
            Self::IdentityChanged => "identity-changed",
            Self::Malformed(_) => "malformed",
            Self::Exhausted => "exhausted",
        }
    }
}
