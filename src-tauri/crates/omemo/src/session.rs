//! Sessions with one remote device in one generation.

use zeroize::Zeroizing;

use crate::{
    Bundle, DecryptError, DeviceId, EncryptError, Entropy, IdentityKey, IdentityKeyPair, Malformed, PreKey,
    PreKeyId, Profile, SignedPreKey,
};

/// How many replaced sessions a record keeps for late messages.
pub const MAX_ARCHIVED: usize = 40;
/// How many chain steps one message may cost over all sessions of a record.
pub const MAX_STEPS_PER_MESSAGE: u32 = 4_000;

/// All sessions with one remote device in one generation, and the identity key they are pinned to. Stored by
/// (remote address, device, profile).
#[derive(Clone)]
pub struct SessionRecord {
    profile: Profile,
    identity: IdentityKey,
}

impl SessionRecord {
    /// The bytes to store; secret.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        todo!()
    }

    /// From storage.
    pub fn from_bytes(_bytes: &[u8]) -> Result<Self, Malformed> {
        todo!()
    }

    /// The generation spoken.
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// The identity key of the remote device that this record is pinned to.
    pub const fn identity(&self) -> &IdentityKey {
        &self.identity
    }

    /// Whether the session in use still waits for its first answer (so messages repeat the key exchange).
    pub fn is_unanswered(&self) -> bool {
        todo!()
    }

    /// How many replaced sessions are kept.
    pub fn archived(&self) -> usize {
        todo!()
    }
}

/// One `<key>` element's content, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyElement {
    /// The bytes that travel in Base64.
    pub bytes: Vec<u8>,
    /// Whether they hold a key exchange (`prekey='true'` in legacy, `kex='true'` in omemo:2).
    pub is_prekey: bool,
}

/// What a key exchange names, to load the right keys before opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreKeyIds {
    /// The signed prekey.
    pub signed: PreKeyId,
    /// The one-time prekey; exchanges without one are refused.
    pub one_time: Option<PreKeyId>,
    /// The sender's device id as the exchange tells it (legacy's registration id, unauthenticated).
    pub registration: Option<u32>,
    /// The sender's identity key.
    pub identity: IdentityKey,
    /// The exchange's ephemeral key: the same in every repetition of it.
    pub base_key: [u8; 32],
}

/// Our own prekeys: all of them, or just those that [`prekey_ids`] named.
#[derive(Clone, Copy, Default)]
pub struct LocalPreKeys<'a> {
    /// The signed prekeys still kept.
    pub signed: &'a [SignedPreKey],
    /// The one-time prekeys still kept.
    pub one_time: &'a [PreKey],
}

/// What opening a key element gave.
pub struct Decrypted {
    /// The record to store in place of the old one.
    pub record: SessionRecord,
    /// For [`crate::open_payload`].
    pub key_material: Zeroizing<Vec<u8>>,
    /// The sender's identity key, to be pinned if none was.
    pub identity: IdentityKey,
    /// What else is to be done.
    pub effects: Effects,
}

/// What is to be done after a message was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Remove this one-time prekey, in the same transaction, and republish the bundle with a new one. During
    /// catch-up of an archive hide it instead and remove it at the end.
    pub consumed_prekey: Option<PreKeyId>,
    /// The peer started this session: answer with an empty message, so that it stops repeating the exchange.
    pub new_session: bool,
    /// The peer sent long without an answer: send an empty message. Reported once per ratchet key.
    pub heartbeat_wanted: bool,
}

/// Starts a session as the active side (X3DH) with a randomly picked prekey. An older record's sessions are kept
/// as archived ones. Refused: a bundle without one-time prekeys, and one whose identity key is not the pinned one.
pub fn start_session(
    _record: Option<&SessionRecord>,
    _identity: &IdentityKeyPair,
    _own_device: DeviceId,
    _bundle: &Bundle,
    _pinned: Option<&IdentityKey>,
    _rng: &mut impl Entropy,
) -> Result<SessionRecord, EncryptError> {
    todo!()
}

/// Encrypts key material for the device of this record. Store the new record before anything is sent.
pub fn encrypt_key(
    _record: &SessionRecord,
    _identity: &IdentityKeyPair,
    _key_material: &[u8],
) -> Result<(SessionRecord, KeyElement), EncryptError> {
    todo!()
}

/// What a key exchange names. Only for elements with `is_prekey`.
pub fn prekey_ids(_profile: Profile, _bytes: &[u8]) -> Result<PreKeyIds, DecryptError> {
    todo!()
}

/// Opens a key element. `pinned` is the identity key that storage holds for the sending device, if any.
/// On an error nothing changed: the given record stays the valid one.
pub fn decrypt_key(
    _profile: Profile,
    _record: Option<&SessionRecord>,
    _identity: &IdentityKeyPair,
    _prekeys: LocalPreKeys<'_>,
    _key: &KeyElement,
    _pinned: Option<&IdentityKey>,
    _rng: &mut impl Entropy,
) -> Result<Decrypted, DecryptError> {
    todo!()
}
