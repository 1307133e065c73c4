//! Secrets and randomness: what is wiped from memory and never shown.

use serde::Deserialize;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Code, Error, Result};

/// A secret on its way in: wiped after use, never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The raw key of the database (SQLCipher, 256 bits). Wiped after use.
pub struct DatabaseKey(pub(crate) Zeroizing<[u8; 32]>);

impl DatabaseKey {
    /// A fresh key. Errors: `internal` if the operating system has no randomness.
    pub fn random() -> Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        fill(key.as_mut_slice())?;
        Ok(Self(key))
    }

    /// The value for `PRAGMA key`, as a raw key.
    pub fn pragma(&self) -> String {
        format!("\"x'{}'\"", hex(self.0.as_slice()).as_str())
    }
}

/// Random words for ids that nobody shall guess: 128 bits in hexadecimal digits.
pub(crate) fn random_id() -> Result<String> {
    let mut bytes = [0; 16];
    fill(&mut bytes)?;
    Ok(hex(&bytes).to_string())
}

/// The name of this installation's sessions with a server, which no other installation bears.
pub(crate) fn random_resource() -> Result<String> {
    let id: String = random_id()?.chars().take(8).collect();
    Ok(format!("waxwing-{id}"))
}

/// A random UUID (RFC 9562 §5.4).
pub(crate) fn random_uuid() -> Result<String> {
    let mut bytes = [0_u8; 16];
    fill(&mut bytes)?;
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0b11 << 62) | (0x4 << 76) | (0b10 << 62);
    let digits = format!("{number:032x}");
    let mut groups = Vec::new();
    let mut rest = digits.as_str();
    for length in [8, 4, 4, 4, 12] {
        let (group, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
        groups.push(group);
        rest = behind;
    }
    Ok(groups.join("-"))
}

/// Random bytes. Errors: `internal` if the operating system has none.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes)
        .map_err(|error| Error::new(Code::Internal, format!("the system has no randomness: {error}")))
}

/// Lower-case hexadecimal digits, wiped after use.
pub(crate) fn hex(bytes: &[u8]) -> Zeroizing<String> {
    use std::fmt::Write;
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        write!(*text, "{byte:02x}").expect("writing to a string does not fail");
    }
    text
}

/// The bytes of hexadecimal digits.
pub(crate) fn unhex_all(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = Zeroizing::new(digits?);
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect(),
    )
}

/// A key of 256 bits from hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut bytes = unhex_all(text)?;
    let key = bytes.as_slice().try_into().ok().map(Zeroizing::new);
    bytes.zeroize();
    key
}
