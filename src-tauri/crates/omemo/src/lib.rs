//! OMEMO end-to-end encryption (XEP-0384), both generations, without any input or output of its own.
//!
//! One double ratchet with two [`Profile`]s. Every step is a pure function: it takes the stored
//! [`SessionRecord`], leaves it untouched, and returns the next one with what else is to be done. The caller
//! stores the new record in the same transaction as the message it belongs to.

mod bundle;
mod codec;
mod device;
mod entropy;
mod error;
mod file;
mod fingerprint;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
mod identity;
mod payload;
mod prekey;
mod primitives;
mod profile;
mod ratchet;
pub mod sce;
mod session;
mod trust;
mod wipe;
mod wire;
pub mod xml;

pub use bundle::{Bundle, RemotePreKey};
pub use device::DeviceId;
pub use entropy::{Entropy, OsEntropy};
pub use error::{DecryptError, EncryptError, Malformed};
pub use file::{FileCipher, FileError, FileHash, FileKey, FileOpener};
pub use fingerprint::Fingerprint;
pub use identity::{IdentityKey, IdentityKeyPair};
pub use payload::{PayloadError, Sealed, open_payload, seal_empty, seal_payload};
pub use prekey::{
    PREKEY_COUNT, PREKEY_REFILL_BELOW, PreKey, PreKeyId, SIGNED_PREKEY_KEEP_SECONDS,
    SIGNED_PREKEY_ROTATE_SECONDS, SignedPreKey, generate_prekeys,
};
pub use profile::{DEVICE_LIST_ITEM, Profile};
pub use ratchet::{HEARTBEAT_AFTER, MAX_CHAINS, MAX_OPENED, MAX_SKIP, MAX_STORED_KEYS};
pub use session::{
    Decrypted, Effects, KeyElement, LocalPreKeys, MAX_ARCHIVED, MAX_PASSED_OVER, MAX_STEPS_PER_MESSAGE,
    PreKeyIds, SessionRecord, decrypt_key, encrypt_key, prekey_ids, start_session,
};
pub use trust::{Trust, may_encrypt_to, trust_for_new_key};

/// Whatever holds a secret wipes it when it goes: this does not compile otherwise.
const _: () = {
    const fn wiped<T: zeroize::ZeroizeOnDrop>() {}
    wiped::<IdentityKeyPair>();
    wiped::<PreKey>();
    wiped::<SignedPreKey>();
    wiped::<ratchet::Session>();
    wiped::<primitives::SealingKeys>();
    wiped::<sha2::Sha256>();
    wiped::<sha2::Sha512>();
    wiped::<aes::Aes256>();
    wiped::<cbc::Decryptor<aes::Aes256>>();
    wiped::<aes_gcm::Aes128Gcm>();
};
