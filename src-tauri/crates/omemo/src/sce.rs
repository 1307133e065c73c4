//! Stanza content encryption (XEP-0420): the envelope that omemo:2 seals.

use minidom::Element;
use thiserror::Error;

use crate::Entropy;

/// The XML namespace of envelopes.
pub const NAMESPACE: &str = "urn:xmpp:sce:1";

/// An opened envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// The children of `<content/>` that are allowed inside; others were dropped.
    pub content: Vec<Element>,
    /// When it was sealed, as the sender says (the raw XEP-0082 text).
    pub time: Option<String>,
    /// Whom it was sealed for, if it says so.
    pub to: Option<String>,
    /// Who sealed it, checked against the stanza.
    pub from: String,
}

/// Why an envelope was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SceError {
    /// Not the XML of an envelope, or beyond the limits of size and depth.
    #[error("malformed envelope: {0}")]
    Malformed(&'static str),
    /// It names another sender than the stanza, or none.
    #[error("the envelope is from somebody else")]
    WrongFrom,
    /// It was sealed for somebody else.
    #[error("the envelope is for somebody else")]
    WrongTo,
}

impl SceError {
    /// A stable, machine-readable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::WrongFrom => "envelope-wrong-from",
            Self::WrongTo => "envelope-wrong-to",
        }
    }
}

/// The bytes of an envelope to seal: `content` with random padding, `now` (unix seconds) and both bare addresses.
pub fn build(_content: Vec<Element>, _from: &str, _to: &str, _now: i64, _rng: &mut impl Entropy) -> Vec<u8> {
    todo!()
}

/// Reads an envelope and checks it against the stanza: `from` must name the bare address `expected_from`; `to`,
/// if there, must name `expected_to` (for a carbon of our own message that is the other person).
pub fn parse(_bytes: &[u8], _expected_from: &str, _expected_to: &str) -> Result<Envelope, SceError> {
    todo!()
}

/// Whether an element may stand in an envelope. What only servers may say or must read does not belong there.
pub fn allowed_inside(_element: &Element) -> bool {
    todo!()
}

/// Whether an element may stand in the stanza next to `<encrypted/>`, unencrypted.
pub fn allowed_outside(_element: &Element) -> bool {
    todo!()
}
