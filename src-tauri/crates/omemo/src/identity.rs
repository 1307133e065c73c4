//! Identity keys: one pair serves both generations.

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::codec::{Reader, Writer};
use crate::primitives;
use crate::{Entropy, Fingerprint, Malformed, Profile};

/// This device's long-term key. The secret is a Curve25519 scalar; as an Ed25519 key its sign bit is 0 (XEdDSA).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct IdentityKeyPair {
    secret: [u8; 32],
    #[zeroize(skip)]
    public: IdentityKey,
}

impl IdentityKeyPair {
    /// A fresh pair.
    pub fn generate(rng: &mut impl Entropy) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill(secret.as_mut_slice());
        Self::from_bytes(&secret)
    }

    /// The pair of this secret scalar (any 32 bytes; clamped as X25519 does).
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        let secret = Zeroizing::new(primitives::clamp(*secret));
        Self {
            public: IdentityKey::of_secret(&secret),
            secret: *secret,
        }
    }

    /// The secret scalar, for storage.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret)
    }

    /// The public half.
    pub fn public(&self) -> &IdentityKey {
        &self.public
    }

    /// An XEdDSA signature of this key over any bytes, such as a device's label (omemo:2 `labelsig`).
    pub fn sign(&self, message: &[u8], rng: &mut impl Entropy) -> [u8; 64] {
        primitives::sign(self, message, rng)
    }

    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

/// The public long-term key of a device. Two are equal when their Curve25519 forms are.
#[derive(Clone, Copy, Debug)]
pub struct IdentityKey {
    curve: [u8; 32],
    edwards: [u8; 32],
}

impl PartialEq for IdentityKey {
    fn eq(&self, other: &Self) -> bool {
        self.curve.ct_eq(&other.curve).into()
    }
}

impl Eq for IdentityKey {}

impl IdentityKey {
    fn of_secret(secret: &[u8; 32]) -> Self {
        Self {
            curve: primitives::public_key(secret),
            edwards: primitives::edwards_public_key(secret),
        }
    }

    /// The key of this Curve25519 form, as pinned in storage ([`IdentityKey::to_bytes`]) or sent by legacy
    /// devices; with or without Signal's leading `0x05`. Weak points are refused.
    pub fn from_curve(bytes: &[u8]) -> Result<Self, Malformed> {
        let curve = primitives::read_public_key(bytes)?;
        let edwards = primitives::to_edwards(&curve).ok_or(Malformed("identity key"))?;
        Ok(Self { curve, edwards })
    }

    /// The key of this Ed25519 form (32 bytes), as omemo:2 sends it. Weak points are refused.
    pub fn from_edwards(bytes: &[u8]) -> Result<Self, Malformed> {
        let edwards = <[u8; 32]>::try_from(bytes).map_err(|_| Malformed("identity key"))?;
        let curve = primitives::to_curve(&edwards).ok_or(Malformed("identity key"))?;
        Ok(Self { curve, edwards })
    }

    /// The Curve25519 form, 32 bytes: what to pin in storage.
    pub const fn to_bytes(&self) -> [u8; 32] {
        self.curve
    }

    /// The Ed25519 form, 32 bytes: how omemo:2 names the key.
    pub const fn to_edwards(&self) -> [u8; 32] {
        self.edwards
    }

    /// The sign of the Ed25519 form. Of a key that was seen in its Curve25519 form only it is not known, and false.
    pub const fn sign(&self) -> bool {
        self.edwards[31] & 0x80 != 0
    }

    /// The same key with this sign of its Ed25519 form, which storage keeps beside the Curve25519 form.
    #[must_use]
    pub const fn with_sign(mut self, sign: bool) -> Self {
        self.edwards[31] = self.edwards[31] & 0x7f | if sign { 0x80 } else { 0 };
        self
    }

    /// What people compare.
    pub const fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.curve)
    }

    /// Whether this key made that signature; legacy signatures may carry a sign bit of their own.
    pub fn has_signed(&self, profile: Profile, message: &[u8], signature: &[u8; 64]) -> bool {
        primitives::verify(profile, self, message, signature)
    }

    pub(crate) const fn curve(&self) -> &[u8; 32] {
        &self.curve
    }

    pub(crate) const fn edwards(&self) -> &[u8; 32] {
        &self.edwards
    }

    /// The form that travels: 33 bytes with a leading `0x05` (legacy) or the Ed25519 form (omemo:2).
    pub(crate) fn encode(&self, profile: Profile) -> Vec<u8> {
        match profile {
            Profile::Legacy => primitives::prefixed(&self.curve).to_vec(),
            Profile::Omemo2 => self.edwards.to_vec(),
        }
    }

    pub(crate) fn decode(profile: Profile, bytes: &[u8]) -> Result<Self, Malformed> {
        match profile {
            Profile::Legacy => Self::from_curve(bytes),
            Profile::Omemo2 => Self::from_edwards(bytes),
        }
    }

    /// Both forms, since deriving one from the other costs more than all the rest of reading a record.
    pub(crate) fn write(&self, out: &mut Writer) {
        out.bytes(&self.curve);
        out.bytes(&self.edwards);
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            curve: input.array()?,
            edwards: input.array()?,
        })
    }
}
