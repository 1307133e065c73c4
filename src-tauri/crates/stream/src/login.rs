//! Who signs in where.

use std::sync::Arc;

use jid::BareJid;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::Resumption;

/// A password. It has no `Debug` and is wiped from memory when dropped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes the password over.
    pub fn new(password: String) -> Self {
        Self(Zeroizing::new(password))
    }

    pub(crate) fn expose(&self) -> &str {
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

/// How the password is proven, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// RFC 4616, the password itself, only ever inside verified TLS.
    Plain,
    /// RFC 5802.
    ScramSha1,
    /// RFC 7677.
    ScramSha256,
}

impl Mechanism {
    /// The registered SASL name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::ScramSha256 => "SCRAM-SHA-256",
        }
    }

    /// From the registered SASL name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Plain, Self::ScramSha1, Self::ScramSha256]
            .into_iter()
            .find(|m| m.name() == name)
    }
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
    /// Certificate authorities to trust besides the system's.
    pub extra_roots: Arc<[CertificateDer<'static>]>,
    /// The strongest mechanism that this account's server ever offered ([`crate::Connection::mechanism`]).
    pub strongest_seen: Option<Mechanism>,
    /// What the previous connection left ([`crate::Connection::into_resumption`]).
    pub resume: Option<Resumption>,
}
