//! Blind trust before verification: which keys may be encrypted to.

/// What the person decided about one identity key of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Nobody decided yet; nothing is encrypted to it, what it sends is shown with a mark.
    Undecided,
    /// Trusted without comparison, because no key of this address has ever been verified.
    Blind,
    /// The fingerprint was compared.
    Verified,
    /// Refused by the person.
    Untrusted,
}

/// The trust a key starts with that was never seen before, given all other keys of the same address: blind until
/// one of them was verified, from then on undecided.
pub fn trust_for_new_key(others: &[Trust]) -> Trust {
    if others.contains(&Trust::Verified) {
        Trust::Undecided
    } else {
        Trust::Blind
    }
}

/// Whether messages with content may be encrypted to a key. Empty messages bypass this.
pub const fn may_encrypt_to(trust: Trust) -> bool {
    matches!(trust, Trust::Blind | Trust::Verified)
}

impl Trust {
    /// A stable name for storage.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Blind => "blind",
            Self::Verified => "verified",
            Self::Untrusted => "untrusted",
        }
    }

    /// The reverse of [`Trust::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Undecided, Self::Blind, Self::Verified, Self::Untrusted]
            .into_iter()
            .find(|trust| trust.code() == code)
    }
}
