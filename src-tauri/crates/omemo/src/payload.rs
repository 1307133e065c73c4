//! What a message carries besides keys: the sealed body (legacy) or envelope (omemo:2).

use thiserror::Error;
use zeroize::Zeroizing;

use crate::{Entropy, Profile};

/// A sealed payload. `key_material` is what [`crate::encrypt_key`] then encrypts for each device.
#[derive(Clone)]
pub struct Sealed {
    /// The ciphertext; `None` in an empty message.
    pub payload: Option<Vec<u8>>,
    /// The initialisation vector, legacy only (12 bytes).
    pub iv: Option<Vec<u8>>,
    /// Key with authentication tag: 32 bytes (legacy) or 48 (omemo:2).
    pub key_material: Zeroizing<Vec<u8>>,
}

/// Why a payload could not be opened although the key could.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// Key, tag or initialisation vector have impossible lengths.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// The payload was altered.
    #[error("the payload does not authenticate")]
    BadTag,
}

impl PayloadError {
    /// A stable, machine-readable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::BadTag => "bad-mac",
        }
    }
}

/// Seals a body (legacy) or the bytes of an envelope (omemo:2).
pub fn seal_payload(_profile: Profile, _plaintext: &[u8], _rng: &mut impl Entropy) -> Sealed {
    todo!()
}

/// An empty message: only keys travel. Answers new sessions, serves as heartbeat and for healing.
pub fn seal_empty(_profile: Profile, _rng: &mut impl Entropy) -> Sealed {
    todo!()
}

/// Opens a payload with the key material that [`crate::decrypt_key`] gave.
pub fn open_payload(
    _profile: Profile,
    _key_material: &[u8],
    _iv: Option<&[u8]>,
    _payload: &[u8],
) -> Result<Zeroizing<Vec<u8>>, PayloadError> {
    todo!()
}
