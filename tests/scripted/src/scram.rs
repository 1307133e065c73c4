//! The server's side of SCRAM (RFC 5802, RFC 7677), honest or not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

const SALT: &[u8] = b"salt of the test";
const ROUNDS: u32 = 4_096;

/// What the hash of a mechanism is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Sha1,
    Sha256,
}

/// What the server does; the default is honest.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The iteration count that it names.
    pub iterations: u64,
    /// Names a nonce that does not continue the client's.
    pub foreign_nonce: bool,
    /// Takes this for its first message.
    pub challenge: Option<String>,
    pub proof: Proof,
}

/// How the server proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Right,
    Wrong,
    Missing,
    /// Right, but as one more challenge (RFC 6120 §6.4.5).
    InChallenge,
    /// `<success/>` right away, without any challenge.
    Skipped,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            iterations: ROUNDS.into(),
            foreign_nonce: false,
            challenge: None,
            proof: Proof::Right,
        }
    }
}

/// An exchange under way: the server's first message, and what the client's proof is held against.
pub(crate) struct First {
    hash: Hash,
    bare: String,
    pub(crate) challenge: String,
}

impl Hash {
    /// Of a mechanism without channel binding.
    pub fn named(mechanism: &str) -> Option<Self> {
        match mechanism {
            "SCRAM-SHA-1" => Some(Self::Sha1),
            "SCRAM-SHA-256" => Some(Self::Sha256),
            _ => None,
        }
    }

    fn mac(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => {
                let mac = Hmac::<Sha1>::new_from_slice(key).expect("a key of any length");
                mac.chain_update(bytes).finalize().into_bytes().to_vec()
            }
            Self::Sha256 => {
                let mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
                mac.chain_update(bytes).finalize().into_bytes().to_vec()
            }
        }
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
        }
    }

    fn salted(self, password: &str) -> Vec<u8> {
        match self {
            Self::Sha1 => {
                let mut salted = [0; 20];
                pbkdf2::pbkdf2_hmac::<Sha1>(password.as_bytes(), SALT, ROUNDS, &mut salted);
                salted.to_vec()
            }
            Self::Sha256 => {
                let mut salted = [0; 32];
                pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), SALT, ROUNDS, &mut salted);
                salted.to_vec()
            }
        }
    }
}

impl Exchange {
    /// The answer to the client's first message; none if that is no such message.
    pub(crate) fn first(&self, hash: Hash, message: &str) -> Option<First> {
        let bare = message.splitn(3, ',').nth(2)?.to_owned();
        let nonce = bare.split("r=").nth(1)?;
        let nonce = if self.foreign_nonce {
            "somebodyelses".to_owned()
        } else {
            format!("{nonce}server")
        };
        let honest = format!("r={nonce},s={},i={}", STANDARD.encode(SALT), self.iterations);
        Some(First {
            hash,
            bare,
            challenge: self.challenge.clone().unwrap_or(honest),
        })
    }
}

impl First {
    /// Checks the client's proof and gives the server's own; none if the client does not know the password.
    pub(crate) fn last(&self, response: &str, password: &str) -> Option<Vec<u8>> {
        let (without_proof, proof) = response.rsplit_once(",p=")?;
        let proof = STANDARD.decode(proof).ok()?;
        let signed = format!("{},{},{without_proof}", self.bare, self.challenge);
        let salted = self.hash.salted(password);
        let key = self.hash.mac(&salted, b"Client Key");
        let signature = self.hash.mac(&self.hash.digest(&key), signed.as_bytes());
        let expected: Vec<u8> = key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        let server_key = self.hash.mac(&salted, b"Server Key");
        (proof == expected).then(|| self.hash.mac(&server_key, signed.as_bytes()))
    }
}

/// A SASL element with its text in base64.
pub(crate) fn element(name: &str, text: &str) -> String {
    format!(
        "<{name} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</{name}>",
        STANDARD.encode(text)
    )
}

/// The text of a SASL element.
pub(crate) fn decode(encoded: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()
}

/// The server's last message.
pub(crate) fn proof(signature: &[u8]) -> String {
    format!("v={}", STANDARD.encode(signature))
}
