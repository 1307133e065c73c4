//! What a server's certificate says, in terms that can be shown to a person.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

/// At most so many of a certificate's names are shown.
const NAMES: usize = 16;
/// And so many characters of each.
const LENGTH: usize = 256;

/// The SHA-256 of a certificate's DER form.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of a certificate's DER form.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// From 64 hexadecimal digits; colons and white space are ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let mut digits = text.chars().filter(|c| *c != ':' && !c.is_whitespace());
        let mut bytes = [0; 32];
        for byte in &mut bytes {
            let high = digits.next()?.to_digit(16)?;
            let low = digits.next()?.to_digit(16)?;
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        digits.next().is_none().then_some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    /// 64 lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A server's own certificate; its words, each at most 256 characters, at most 16 names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What identifies it.
    pub fingerprint: Fingerprint,
    /// The host names that it is made out for.
    pub names: Vec<String>,
    /// Who issued it; the common name, or else the whole name.
    pub issuer: String,
    /// Unix seconds.
    pub not_before: i64,
    /// Unix seconds.
    pub not_after: i64,
    /// Issued by itself.
    pub self_signed: bool,
}

impl Certificate {
    /// Reads the DER form. None if it is no certificate.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        Some(Self {
            fingerprint: Fingerprint::of(der),
            names: names(&parsed),
            issuer: common_name(parsed.issuer()).unwrap_or_else(|| plain(&parsed.issuer().to_string())),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            // A name alone proves nothing, and many makers of certificates give all of them the same.
            self_signed: parsed.subject().as_raw() == parsed.issuer().as_raw()
                && parsed.verify_signature(None).is_ok(),
        })
    }
}

/// The alternative names, or where there are none the common name, which nobody believes any more (RFC 6125 §6.4.4) but
/// which tells a person whose certificate it is meant to be.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names: Vec<_> = alternatives
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(plain(name)),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .filter(|name| !name.is_empty())
        .take(NAMES)
        .collect();
    if names.is_empty() {
        common_name(certificate.subject()).into_iter().collect()
    } else {
        names
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).to_string());
    }
    Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string())
}

fn common_name(name: &X509Name<'_>) -> Option<String> {
    let text = plain(name.iter_common_name().next()?.as_str().ok()?);
    (!text.is_empty()).then_some(text)
}

/// A stranger's words without what would change how they are shown: controls, directions, what has no width.
fn plain(text: &str) -> String {
    let shown = |c: &char| {
        !c.is_control()
            && !matches!(*c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}')
    };
    text.chars().filter(shown).take(LENGTH).collect()
}

#[cfg(test)]
mod tests;
