//! The keys that others start sessions with.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::primitives;
use crate::{Entropy, IdentityKeyPair, Malformed, Profile};

/// How many one-time prekeys a bundle should offer (XEP-0384 §5.3: about 100).
pub const PREKEY_COUNT: usize = 100;
/// Fill up again when fewer than this are left (XEP-0384 §5.3: at least 25).
pub const PREKEY_REFILL_BELOW: usize = 80;
/// Rotate the signed prekey after this many seconds (XEP-0384 §5.3: a week to a month).
pub const SIGNED_PREKEY_ROTATE_SECONDS: i64 = 7 * 24 * 3600;
/// Keep a signed prekey this many seconds after its replacement, for key exchanges under way.
pub const SIGNED_PREKEY_KEEP_SECONDS: i64 = 31 * 24 * 3600;
/// What was made so many seconds later than now was made while the clock was wrong.
const CLOCK_IS_AHEAD_SECONDS: i64 = 24 * 3600;

/// The id of a prekey. Ours run from 1 to 2^31 - 1 and are never used twice; others may use any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PreKeyId(pub u32);

impl PreKeyId {
    /// The largest id we give out; after it comes 1.
    pub const MAX: u32 = 0x7fff_ffff;

    /// The id after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 == 0 || self.0 >= Self::MAX {
            Self(1)
        } else {
            Self(self.0 + 1)
        }
    }
}

impl fmt::Display for PreKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A one-time prekey of this device.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PreKey {
    #[zeroize(skip)]
    id: PreKeyId,
    secret: [u8; 32],
}

impl PreKey {
    /// A fresh one.
    pub fn generate(id: PreKeyId, rng: &mut impl Entropy) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill(secret.as_mut_slice());
        Self {
            id,
            secret: primitives::clamp(*secret),
        }
    }

    /// From storage.
    pub fn from_bytes(id: PreKeyId, secret: &[u8]) -> Result<Self, Malformed> {
        let secret = <[u8; 32]>::try_from(secret).map_err(|_| Malformed("prekey"))?;
        Ok(Self {
            id,
            secret: primitives::clamp(secret),
        })
    }

    /// The secret, for storage beside the id.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret)
    }

    /// Its id.
    pub const fn id(&self) -> PreKeyId {
        self.id
    }

    /// The public half (Curve25519, 32 bytes).
    pub fn public(&self) -> [u8; 32] {
        primitives::public_key(&self.secret)
    }

    pub(crate) const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

/// `count` fresh prekeys with rising ids from `first` on. Keep the id after the last one for the next call.
pub fn generate_prekeys(first: PreKeyId, count: usize, rng: &mut impl Entropy) -> Vec<PreKey> {
    let first = if first.0 == 0 || first.0 > PreKeyId::MAX {
        PreKeyId(1)
    } else {
        first
    };
    std::iter::successors(Some(first), |id| Some(id.next()))
        .take(count)
        .map(|id| PreKey::generate(id, rng))
        .collect()
}

/// A signed prekey of this device; its signatures are made when a bundle is.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SignedPreKey {
    #[zeroize(skip)]
    id: PreKeyId,
    #[zeroize(skip)]
    created: i64,
    secret: [u8; 32],
}

impl SignedPreKey {
    /// A fresh one, made at `now` (unix seconds).
    pub fn generate(id: PreKeyId, now: i64, rng: &mut impl Entropy) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill(secret.as_mut_slice());
        Self {
            id,
            created: now,
            secret: primitives::clamp(*secret),
        }
    }

    /// From storage.
    pub fn from_bytes(id: PreKeyId, created: i64, secret: &[u8]) -> Result<Self, Malformed> {
        let secret = <[u8; 32]>::try_from(secret).map_err(|_| Malformed("signed prekey"))?;
        Ok(Self {
            id,
            created,
            secret: primitives::clamp(secret),
        })
    }

    /// The secret, for storage beside id and time.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret)
    }

    /// Its id.
    pub const fn id(&self) -> PreKeyId {
        self.id
    }

    /// When it was made (unix seconds).
    pub const fn created(&self) -> i64 {
        self.created
    }

    /// Whether it is time for a new one. One that was made in the future is from when the clock was wrong, and may be old.
    pub const fn rotation_due(&self, now: i64) -> bool {
        let age = now.saturating_sub(self.created);
        age >= SIGNED_PREKEY_ROTATE_SECONDS || age < -CLOCK_IS_AHEAD_SECONDS
    }

    /// Whether it may be deleted, replaced by `next`. Its own age says nothing: after a long time offline an old key
    /// may have been on offer until a moment ago. Nor is it deleted by a time that lies in the future: it is kept until the
    /// clock has come there and a month has passed.
    pub const fn deletion_due(&self, next: &Self, now: i64) -> bool {
        now.saturating_sub(next.created) >= SIGNED_PREKEY_KEEP_SECONDS
    }

    /// The public half (Curve25519, 32 bytes).
    pub fn public(&self) -> [u8; 32] {
        primitives::public_key(&self.secret)
    }

    /// The identity key's XEdDSA signature over the form of the public half that this generation signs: 33
    /// bytes with a leading `0x05` (legacy) or the bare 32 (omemo:2).
    pub fn signature(
        &self,
        profile: Profile,
        identity: &IdentityKeyPair,
        rng: &mut impl Entropy,
    ) -> [u8; 64] {
        identity.sign(&primitives::encode_public_key(profile, &self.public()), rng)
    }

    pub(crate) const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}
