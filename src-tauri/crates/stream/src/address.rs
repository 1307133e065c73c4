//! Our own full address, with any resource that a server of today may give (RFC 7622 §3.4).

use std::fmt;
use std::str::FromStr;

use jid::BareJid;

/// A part of an address has so many bytes at most (RFC 7622 §3.1).
const LONGEST: usize = 1023;

/// An address with its resource. Unlike [`jid::FullJid`] it takes characters newer than Unicode 3.2, such as emoji.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundAddress {
    bare: BareJid,
    text: String,
}

/// This is no address with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no address with a resource")]
pub struct NotBound;

impl BoundAddress {
    /// The account's address.
    pub fn bare(&self) -> &BareJid {
        &self.bare
    }

    /// The resource; at least one character, none of them a control character.
    pub fn resource(&self) -> &str {
        self.text.split_once('/').map_or("", |(_, resource)| resource)
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for BoundAddress {
    type Err = NotBound;

    fn from_str(text: &str) -> Result<Self, NotBound> {
        let (bare, resource) = text.split_once('/').ok_or(NotBound)?;
        let odd = resource.is_empty() || resource.len() > LONGEST || resource.contains(char::is_control);
        if odd {
            return Err(NotBound);
        }
        let bare: BareJid = bare.parse().map_err(|_| NotBound)?;
        let text = format!("{bare}/{resource}");
        Ok(Self { bare, text })
    }
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_taken_as_the_server_gives_them() {
        for resource in [
            "x",
            "Waxwing/1 a",
            "\u{1f986}\u{1fae8}",
            "ﬁ",
            &"x".repeat(LONGEST),
        ] {
            let text = format!("alice@waxwing.test/{resource}");
            let address: BoundAddress = text.parse().unwrap();
            assert_eq!(address.resource(), resource);
            assert_eq!(address.bare().as_str(), "alice@waxwing.test");
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_or_has_no_resource_is_refused() {
        let long = format!("alice@waxwing.test/{}", "x".repeat(LONGEST + 1));
        for text in [
            "",
            "/",
            "alice@waxwing.test",
            "alice@waxwing.test/",
            "@@/x",
            "a@b/\u{0}",
            "a@b/\n",
            &long,
        ] {
            assert_eq!(text.parse::<BoundAddress>(), Err(NotBound), "{text:?}");
        }
    }
}
