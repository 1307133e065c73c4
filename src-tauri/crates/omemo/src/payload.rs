//! What a message carries besides keys: the sealed body (legacy) or envelope (omemo:2).

use aes_gcm::aead::array::ArraySize;
use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aes::Aes128;
use aes_gcm::{AeadInOut, AesGcm, KeyInit};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::primitives::SealingKeys;
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

/// The IV that we send; 16 bytes are accepted too.
const IV_LENGTH: usize = 12;
/// The length of AES-128 keys and of GCM tags.
const BLOCK: usize = 16;
/// What separates key and tag in omemo:2's key material.
const OMEMO2_KEY: usize = 32;
const OMEMO2_INFO: &[u8] = b"OMEMO Payload";

/// Seals a body (legacy: AES-128-GCM with the tag in the key material) or the bytes of an envelope (omemo:2:
/// AES-256-CBC with HMAC, XEP-0384 §4.4).
pub fn seal_payload(profile: Profile, plaintext: &[u8], rng: &mut impl Entropy) -> Sealed {
    match profile {
        Profile::Legacy => {
            let mut key = random_key::<BLOCK>(rng);
            let mut iv = [0; IV_LENGTH];
            rng.fill(&mut iv);
            let mut payload = plaintext.to_vec();
            let cipher = Gcm::<U12>::new_from_slice(&key).expect("the key has 16 bytes");
            let tag = cipher
                .encrypt_inout_detached(&iv.into(), b"", payload.as_mut_slice().into())
                .expect("bodies are far shorter than GCM's limit");
            key.extend_from_slice(&tag);
            Sealed {
                payload: Some(payload),
                iv: Some(iv.to_vec()),
                key_material: key,
            }
        }
        Profile::Omemo2 => {
            let mut key = random_key::<OMEMO2_KEY>(rng);
            let keys = SealingKeys::derive(&key, OMEMO2_INFO);
            let payload = keys.encrypt(plaintext);
            key.extend(keys.mac(&[&payload]).iter().take(BLOCK));
            Sealed {
                payload: Some(payload),
                iv: None,
                key_material: key,
            }
        }
    }
}

/// An empty message: only keys travel. Answers new sessions, serves as heartbeat and for healing.
pub fn seal_empty(profile: Profile, rng: &mut impl Entropy) -> Sealed {
    match profile {
        Profile::Legacy => {
            let key_material = random_key::<BLOCK>(rng);
            let mut iv = vec![0; IV_LENGTH];
            rng.fill(&mut iv);
            Sealed {
                payload: None,
                iv: Some(iv),
                key_material,
            }
        }
        // XEP-0384 §4.5: 32 zero bytes in place of key and tag.
        Profile::Omemo2 => Sealed {
            payload: None,
            iv: None,
            key_material: Zeroizing::new(vec![0; OMEMO2_KEY]),
        },
    }
}

/// Opens a payload with the key material that [`crate::decrypt_key`] gave. Legacy: vectors of 12 and 16 bytes, and
/// the tag behind the payload instead of in the key material, as very old clients sent it.
pub fn open_payload(
    profile: Profile,
    key_material: &[u8],
    iv: Option<&[u8]>,
    payload: &[u8],
) -> Result<Zeroizing<Vec<u8>>, PayloadError> {
    match profile {
        Profile::Legacy => open_legacy(key_material, iv.ok_or(PayloadError::Malformed("iv"))?, payload),
        Profile::Omemo2 => {
            let (key, tag) = key_material
                .split_at_checked(OMEMO2_KEY)
                .filter(|(_, tag)| tag.len() == BLOCK)
                .ok_or(PayloadError::Malformed("key material"))?;
            let keys = SealingKeys::derive(key, OMEMO2_INFO);
            if !keys.tag_fits(&[payload], tag) {
                return Err(PayloadError::BadTag);
            }
            keys.decrypt(payload).ok_or(PayloadError::Malformed("payload"))
        }
    }
}

type Gcm<N> = AesGcm<Aes128, N>;

fn open_legacy(key_material: &[u8], iv: &[u8], payload: &[u8]) -> Result<Zeroizing<Vec<u8>>, PayloadError> {
    let (key, tag) = key_material
        .split_at_checked(BLOCK)
        .ok_or(PayloadError::Malformed("key material"))?;
    let (ciphertext, tag) = match tag.len() {
        BLOCK => (payload, tag),
        0 => payload
            .len()
            .checked_sub(BLOCK)
            .and_then(|at| payload.split_at_checked(at))
            .ok_or(PayloadError::Malformed("payload"))?,
        _ => return Err(PayloadError::Malformed("key material")),
    };
    match iv.len() {
        12 => open_gcm::<U12>(key, iv, tag, ciphertext),
        16 => open_gcm::<U16>(key, iv, tag, ciphertext),
        _ => Err(PayloadError::Malformed("iv")),
    }
}

fn open_gcm<N: ArraySize>(
    key: &[u8],
    iv: &[u8],
    tag: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, PayloadError> {
    let wrong = |_| PayloadError::Malformed("key material");
    let cipher = Gcm::<N>::new_from_slice(key).map_err(|_| PayloadError::Malformed("key material"))?;
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    cipher
        .decrypt_inout_detached(
            iv.try_into().map_err(wrong)?,
            b"",
            plaintext.as_mut_slice().into(),
            tag.try_into().map_err(wrong)?,
        )
        .map_err(|_| PayloadError::BadTag)?;
    Ok(plaintext)
}

/// A fresh key with room for a tag behind it, so that the vector need not move.
fn random_key<const N: usize>(rng: &mut impl Entropy) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(N + BLOCK));
    key.resize(N, 0);
    rng.fill(&mut key);
    key
}
