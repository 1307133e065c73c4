//! Bundles: what a device publishes so that others can start sessions with it (XEP-0384 §5.3.2).

use crate::primitives;
use crate::{Entropy, IdentityKey, IdentityKeyPair, Malformed, PreKey, PreKeyId, Profile, SignedPreKey};

/// The public half of a one-time prekey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemotePreKey {
    /// Its id, any number.
    pub id: PreKeyId,
    /// Curve25519, 32 bytes.
    pub public: [u8; 32],
}

/// A bundle whose signature was checked. There is no other way to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    profile: Profile,
    identity: IdentityKey,
    signed_prekey: RemotePreKey,
    signature: [u8; 64],
    prekeys: Vec<RemotePreKey>,
}

impl Bundle {
    /// Checks the signature over the signed prekey; an error names the part that is wrong.
    pub fn new(
        profile: Profile,
        identity: IdentityKey,
        signed_prekey: RemotePreKey,
        signature: [u8; 64],
        prekeys: Vec<RemotePreKey>,
    ) -> Result<Self, Malformed> {
        let signed = primitives::encode_public_key(profile, &signed_prekey.public);
        if !primitives::verify(profile, &identity, &signed, &signature) {
            return Err(Malformed("bundle signature"));
        }
        Ok(Self {
            profile,
            identity,
            signed_prekey,
            signature,
            prekeys,
        })
    }

    /// Our own bundle, ready to publish.
    pub fn of_own_keys(
        profile: Profile,
        identity: &IdentityKeyPair,
        signed_prekey: &SignedPreKey,
        prekeys: &[PreKey],
        rng: &mut impl Entropy,
    ) -> Self {
        Self {
            profile,
            identity: *identity.public(),
            signed_prekey: RemotePreKey {
                id: signed_prekey.id(),
                public: signed_prekey.public(),
            },
            signature: signed_prekey.signature(profile, identity, rng),
            prekeys: prekeys
                .iter()
                .map(|key| RemotePreKey {
                    id: key.id(),
                    public: key.public(),
                })
                .collect(),
        }
    }

    /// Which generation it belongs to.
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// The device's identity key.
    pub const fn identity(&self) -> &IdentityKey {
        &self.identity
    }

    /// The signed prekey.
    pub const fn signed_prekey(&self) -> &RemotePreKey {
        &self.signed_prekey
    }

    /// The signature over it.
    pub const fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// The one-time prekeys.
    pub fn prekeys(&self) -> &[RemotePreKey] {
        &self.prekeys
    }
}
