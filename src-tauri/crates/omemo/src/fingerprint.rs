//! Fingerprints as people compare them: the Curve25519 form of an identity key in lower-case hex.

use std::fmt;
use std::str::FromStr;

use crate::Malformed;

/// The 32 bytes of an identity key's Curve25519 form. `Display` gives 64 lower-case hex digits without gaps, as
/// verification links (`omemo-sid-…`) want them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Eight groups of eight digits, separated by blanks, for the screen.
    pub fn blocks(&self) -> String {
        let mut text = String::with_capacity(71);
        for (index, byte) in self.0.iter().enumerate() {
            if index > 0 && index % 4 == 0 {
                text.push(' ');
            }
            push_hex(&mut text, *byte);
        }
        text
    }
}

fn push_hex(text: &mut String, byte: u8) {
    for nibble in [byte >> 4, byte & 15] {
        text.extend(char::from_digit(u32::from(nibble), 16));
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(64);
        self.0.iter().for_each(|byte| push_hex(&mut text, *byte));
        f.write_str(&text)
    }
}

impl FromStr for Fingerprint {
    type Err = Malformed;

    /// Reads 64 hex digits in either case; blanks, colons and dashes between them are skipped. The 66 digits of
    /// a key with Signal's leading `05` are understood too.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong = Malformed("fingerprint");
        let mut nibbles = Vec::with_capacity(66);
        for letter in text
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, ':' | '-'))
        {
            let digit = letter
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
                .ok_or(wrong)?;
            if nibbles.len() == 66 {
                return Err(wrong);
            }
            nibbles.push(digit);
        }
        let bytes: Vec<u8> = nibbles
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, nibble| byte << 4 | nibble))
            .collect();
        let key = match (nibbles.len(), bytes.split_first()) {
            (66, Some((5, key))) => key,
            (64, _) => &bytes,
            _ => return Err(wrong),
        };
        key.try_into().map(Self).map_err(|_| wrong)
    }
}
