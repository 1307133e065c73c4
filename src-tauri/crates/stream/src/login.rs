//! Who signs in where.

use std::sync::Arc;

use jid::BareJid;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::{Fingerprint, Resumption, Tap};

/// A password. It has no `Debug` and is wiped from memory when dropped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes the password over.
    pub fn new(password: String) -> Self {
        Self(Zeroizing::new(password))
    }

    /// The secret itself, to be proven or stored.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Password {
    fn from(password: &str) -> Self {
        Self::new(password.to_owned())
    }
}

/// How TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// With the first byte (XEP-0368).
    Direct,
    /// After `<starttls/>` (RFC 6120 §5).
    StartTls,
}

/// Where to connect instead of what DNS says. Each part may be left to its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or IP literal; without it the account's domain.
    pub host: Option<String>,
    /// Port; without it 5223 for direct TLS and 5222 for STARTTLS.
    pub port: Option<u16>,
    /// How TLS begins; without it direct TLS is tried first, then STARTTLS.
    pub tls: Option<Tls>,
}

/// A way through which the server is reached. Nothing is then asked of the local DNS.
#[derive(Clone)]
pub struct Proxy {
    /// What it speaks.
    pub kind: ProxyKind,
    /// Host name or IP literal of the proxy.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User name and password, if it wants some.
    pub credentials: Option<(String, Password)>,
}

/// What a proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// RFC 1928, with names resolved by the proxy, as Tor needs it.
    Socks5,
    /// The method CONNECT (RFC 9110 §9.3.6).
    HttpConnect,
}

/// One place where a server can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host name or IP literal.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How TLS begins there.
    pub tls: Tls,
}

/// Whose certificates are believed besides those that the system believes.
#[derive(Clone, Default)]
pub struct Trust {
    /// Certificate authorities.
    pub authorities: Arc<[CertificateDer<'static>]>,
    /// The one certificate of the server itself that the person accepted.
    pub pinned: Option<Fingerprint>,
}

/// How the password is proven, weakest first. The order is that of strength: bound to the TLS channel is stronger than
/// any not bound one, and the longer hash is stronger among equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// RFC 4616, the password itself, only ever inside verified TLS.
    Plain,
    /// RFC 5802.
    ScramSha1,
    /// RFC 7677.
    ScramSha256,
    /// As RFC 7677, with SHA-512.
    ScramSha512,
    /// RFC 5802 with channel binding.
    ScramSha1Plus,
    /// RFC 7677 with channel binding.
    ScramSha256Plus,
    /// As RFC 7677, with SHA-512 and channel binding.
    ScramSha512Plus,
}

impl Mechanism {
    const ALL: [Self; 7] = [
        Self::Plain,
        Self::ScramSha1,
        Self::ScramSha256,
        Self::ScramSha512,
        Self::ScramSha1Plus,
        Self::ScramSha256Plus,
        Self::ScramSha512Plus,
    ];

    /// The registered SASL name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha512Plus => "SCRAM-SHA-512-PLUS",
        }
    }

    /// From the registered SASL name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.name() == name)
    }
}

/// What stands for the password on later logins (XEP-0484). It has no `Debug` and is wiped from memory when dropped.
#[derive(Clone)]
pub struct FastToken {
    /// The mechanism that it was issued for, such as `HT-SHA-256-EXPR`.
    pub mechanism: String,
    /// The token itself.
    pub secret: Password,
    /// Unix seconds after which it is worth nothing.
    pub expiry: Option<i64>,
}

/// Everything that one connection needs to come about.
#[derive(Clone)]
pub struct Login {
    /// The account.
    pub address: BareJid,
    /// Its password.
    pub password: Password,
    /// The resource to ask for, chosen once per installation.
    pub resource: String,
    /// Explicit host, port or kind of TLS.
    pub endpoint: Option<Endpoint>,
    /// The way to the server, if not directly.
    pub proxy: Option<Proxy>,
    /// Where the server was found the last time; it is tried first if DNS still names it, or if DNS does not answer.
    pub last_good: Option<Target>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// The strongest mechanism that this account's server ever offered ([`crate::Connection::mechanism`]).
    pub strongest_seen: Option<Mechanism>,
    /// Whether the password itself may be sent to a server that offers nothing better.
    pub allow_plain: bool,
    /// What stands for the password.
    pub token: Option<FastToken>,
    /// Tells the server to invalidate the token once it has let us in by it (XEP-0484 §3.7). Then nothing but the token is
    /// tried; see [`crate::invalidate_token`].
    pub invalidate_token: bool,
    /// Names this installation of this account (XEP-0388 §2.3, a UUID made once for each account).
    pub user_agent: Option<String>,
    /// Whether the person is not looking (XEP-0352), told as early as possible.
    pub inactive: bool,
    /// What the previous connection left ([`crate::Connection::into_resumption`]).
    pub resume: Option<Resumption>,
    /// Who wants to see the XML.
    pub tap: Option<Tap>,
}

/// What became of the token.
#[derive(Clone, Default)]
pub enum TokenNews {
    /// Nothing.
    #[default]
    Same,
    /// The server gave a new one.
    New(FastToken),
    /// The server does not take it any more.
    Refused,
}
