//! What can go wrong, in the words that the caller acts on.

use std::fmt;

use crate::{Certificate, Mechanism};

/// What the caller shall do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The network is at fault, which costs no server anything: try again within seconds.
    Soon,
    /// Passing trouble of the server: try again after [`crate::backoff`].
    BackOff,
    /// Trying again changes nothing: stop and ask the person.
    Ask,
}

/// The step of connecting that took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Looking up the server's name.
    Dns,
    /// Opening the TCP connection.
    Tcp,
    /// The TLS handshake, with STARTTLS before it.
    Tls,
    /// Stream header, authentication, resumption, bind.
    Login,
}

/// Why a certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateProblem {
    /// Signed by nobody we trust (also: self-signed).
    UnknownIssuer,
    /// Made out for another name than the account's domain.
    WrongName,
    /// Its time is over.
    Expired,
    /// Its time has not come yet (or this machine's clock is wrong).
    NotYetValid,
    /// Withdrawn by its issuer.
    Revoked,
    /// Anything else, in the TLS library's words.
    Other(String),
}

impl CertificateProblem {
    /// A stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownIssuer => "unknown-issuer",
            Self::WrongName => "wrong-name",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::Revoked => "revoked",
            Self::Other(_) => "other",
        }
    }
}

/// How a server failed to prove that it knows the account (RFC 5802): it is not the server it claims to be, or broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// The proof of its own knowledge is wrong or missing.
    Signature,
    /// Its nonce does not continue ours.
    Nonce,
    /// An iteration count outside 4,096 to 1,000,000.
    IterationCount(u64),
    /// A challenge that is no SCRAM message.
    Malformed,
    /// It saw other login mechanisms or channel bindings on offer than we did: somebody between changed them (XEP-0474).
    Offer,
    /// It is at another end of TLS than ours: somebody is between (RFC 5802 §6).
    ChannelBinding,
}

/// A stream error's condition (RFC 6120 §4.9.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamCondition {
    /// Another client took this resource.
    Conflict,
    /// The server saw nothing of us for too long.
    ConnectionTimeout,
    /// The server no longer serves this domain.
    HostGone,
    /// The server does not serve this domain.
    HostUnknown,
    /// The account may not be here any more: password changed or account removed.
    NotAuthorized,
    /// The server's rules were broken.
    PolicyViolation,
    /// The server closes this stream to restart it.
    Reset,
    /// The server has no room.
    ResourceConstraint,
    /// The server wants us elsewhere: a host, perhaps with a port (RFC 6120 §4.9.3.19).
    SeeOtherHost(String),
    /// The server goes down.
    SystemShutdown,
    /// Any other, by its element's name.
    Other(String),
}

impl StreamCondition {
    /// From the condition element's name.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "conflict" => Self::Conflict,
            "connection-timeout" => Self::ConnectionTimeout,
            "host-gone" => Self::HostGone,
            "host-unknown" => Self::HostUnknown,
            "not-authorized" => Self::NotAuthorized,
            "policy-violation" => Self::PolicyViolation,
            "reset" => Self::Reset,
            "resource-constraint" => Self::ResourceConstraint,
            "system-shutdown" => Self::SystemShutdown,
            other => Self::Other(other.chars().take(64).collect()),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Conflict
            | Self::HostGone
            | Self::HostUnknown
            | Self::NotAuthorized
            | Self::PolicyViolation => Retry::Ask,
            _ => Retry::BackOff,
        }
    }
}

impl fmt::Display for StreamCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Conflict => "conflict",
            Self::ConnectionTimeout => "connection-timeout",
            Self::HostGone => "host-gone",
            Self::HostUnknown => "host-unknown",
            Self::NotAuthorized => "not-authorized",
            Self::PolicyViolation => "policy-violation",
            Self::Reset => "reset",
            Self::ResourceConstraint => "resource-constraint",
            Self::SeeOtherHost(_) => "see-other-host",
            Self::SystemShutdown => "system-shutdown",
            Self::Other(name) => name,
        })
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The name lookup failed.
    #[error("the name lookup failed: {0}")]
    Dns(String),
    /// The domain says that it has no XMPP service, or its name leads nowhere.
    #[error("no XMPP server found for this domain")]
    NoServer,
    /// No target accepted a TCP connection.
    #[error("no server could be reached: {0}")]
    Unreachable(String),
    /// The server's certificate was refused.
    #[error("the server's certificate was refused: {}", .problem.code())]
    Certificate {
        /// Why.
        problem: CertificateProblem,
        /// What it shows, if it could be read and the person may accept it.
        presented: Option<Box<Certificate>>,
    },
    /// The proxy cannot be reached, or does not do what a proxy does.
    #[error("the proxy failed: {0}")]
    Proxy(String),
    /// The proxy wants another user name or password.
    #[error("the proxy refused its user name or password")]
    ProxyRefused,
    /// TLS failed otherwise.
    #[error("no secure connection: {0}")]
    Tls(String),
    /// The server offers no encryption, or refused it.
    #[error("the server offers no encryption")]
    NoEncryption,
    /// The server refused address and password.
    #[error("wrong address or password")]
    WrongPassword,
    /// The account exists but is locked.
    #[error("the account is disabled")]
    AccountDisabled,
    /// The server cannot check passwords right now.
    #[error("the server cannot check the password right now")]
    TemporaryAuthFailure,
    /// The server offers no way to authenticate that we accept.
    #[error("no acceptable way to authenticate")]
    NoMechanism,
    /// The server wants the password itself, and [`crate::Login::allow_plain`] does not allow it.
    #[error("the server wants the password itself")]
    PlainOnly,
    /// The server offers only weaker ways to authenticate than it did before.
    #[error("the server offers {offered:?} only, where it offered {remembered:?} before")]
    Downgrade {
        /// The strongest on offer now.
        offered: Mechanism,
        /// What [`crate::Login::strongest_seen`] holds.
        remembered: Mechanism,
    },
    /// The server could not prove that it is the account's server.
    #[error("the server could not prove itself: {0:?}")]
    ServerLied(Lie),
    /// The server refused our resource.
    #[error("another device uses this resource")]
    ResourceConflict,
    /// The server's rules forbid this login.
    #[error("the server's rules forbid it: {0}")]
    Policy(String),
    /// The server does not serve this domain.
    #[error("the server does not serve this domain")]
    HostUnknown,
    /// Another stream error.
    #[error("the server ended the stream: {condition} {text}")]
    Stream {
        /// The condition.
        condition: StreamCondition,
        /// The server's own words, at most 256 characters.
        text: String,
    },
    /// The server did what the protocol forbids.
    #[error("the server broke the protocol: {0}")]
    Protocol(&'static str),
    /// A step took too long.
    #[error("timed out: {0:?}")]
    Timeout(Step),
    /// The connection broke before the server had proven itself.
    #[error("the connection broke: {0}")]
    Io(String),
    /// The server that had proven itself broke off in the midst of the login.
    #[error("the login was broken off: {0}")]
    BrokenOff(String),
}

impl ConnectError {
    /// A stable name for the kind of failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::NoServer => "no-server",
            Self::Unreachable(_) => "unreachable",
            Self::Certificate { .. } => "certificate",
            Self::Proxy(_) => "proxy",
            Self::ProxyRefused => "proxy-refused",
            Self::PlainOnly => "plain-only",
            Self::Tls(_) => "tls",
            Self::NoEncryption => "no-encryption",
            Self::WrongPassword => "wrong-password",
            Self::AccountDisabled => "account-disabled",
            Self::TemporaryAuthFailure => "temporary-auth-failure",
            Self::NoMechanism => "no-mechanism",
            Self::Downgrade { .. } => "downgrade",
            Self::ServerLied(_) => "server-lied",
            Self::ResourceConflict => "resource-conflict",
            Self::Policy(_) => "policy",
            Self::HostUnknown => "host-unknown",
            Self::Stream { .. } => "stream-error",
            Self::Protocol(_) => "protocol",
            Self::Timeout(_) => "timeout",
            Self::Io(_) => "io",
            Self::BrokenOff(_) => "broken-off",
        }
    }

    /// Whether trying again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Dns(_)
            | Self::Unreachable(_)
            | Self::Proxy(_)
            | Self::Timeout(Step::Dns | Step::Tcp | Step::Tls)
            | Self::Io(_) => Retry::Soon,
            Self::NoServer
            | Self::Tls(_)
            | Self::TemporaryAuthFailure
            | Self::Protocol(_)
            | Self::BrokenOff(_)
            | Self::Timeout(Step::Login) => Retry::BackOff,
            Self::Stream { condition, .. } => condition.retry(),
            Self::Certificate { .. }
            | Self::ProxyRefused
            | Self::PlainOnly
            | Self::NoEncryption
            | Self::WrongPassword
            | Self::AccountDisabled
            | Self::NoMechanism
            | Self::Downgrade { .. }
            | Self::ServerLied(_)
            | Self::ResourceConflict
            | Self::Policy(_)
            | Self::HostUnknown => Retry::Ask,
        }
    }
}

/// What a server may not send at all; it ends the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// A comment, processing instruction, document type or foreign entity (RFC 6120 §11.1).
    #[error("restricted XML")]
    RestrictedXml,
    /// Not well-formed.
    #[error("not well-formed")]
    NotWellFormed,
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A stanza that was being swallowed does not end.
    #[error("an endless stanza")]
    Endless,
}

/// Why an established connection is over. Staying so: [`crate::Connection::next`] repeats it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disconnected {
    /// The server closed the stream in order.
    #[error("the server closed the stream")]
    Closed,
    /// The server ended the stream with an error.
    #[error("the server ended the stream: {condition} {text}")]
    Stream {
        /// The condition.
        condition: StreamCondition,
        /// The server's own words, at most 256 characters.
        text: String,
    },
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(String),
    /// Nothing came for too long: 12 seconds after something was sent, 40 seconds otherwise.
    #[error("the server fell silent")]
    Silent,
    /// The server sent what no stream may hold.
    #[error("the server sent a broken stream: {0}")]
    Broken(Fatal),
    /// The server acknowledged more stanzas than were sent (XEP-0198 §5).
    #[error("the server acknowledged {acknowledged} stanzas of {sent}")]
    AckAhead {
        /// The server's count.
        acknowledged: u32,
        /// Ours.
        sent: u32,
    },
}

impl Disconnected {
    /// A stable name for the kind of failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Stream { .. } => "stream-error",
            Self::Io(_) => "io",
            Self::Silent => "silent",
            Self::Broken(_) => "broken-stream",
            Self::AckAhead { .. } => "ack-ahead",
        }
    }

    /// Whether connecting again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Stream { condition, .. } => condition.retry(),
            Self::Io(_) | Self::Silent => Retry::Soon,
            Self::Closed | Self::Broken(_) | Self::AckAhead { .. } => Retry::BackOff,
        }
    }
}

/// A file of certificate authorities could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CaFileError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is not PEM.
    #[error("is not PEM")]
    NotPem,
    /// It holds no certificate.
    #[error("holds no certificate")]
    Empty,
}
