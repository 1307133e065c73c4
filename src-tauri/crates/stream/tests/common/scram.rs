//! The server's side of SCRAM, and the hash functions that it shares with tokens.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::PASSWORD;

const SALT: &[u8] = b"salt of the test";

/// A hash function by its name within that of a mechanism.
#[derive(Clone, Copy)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

impl Hash {
    /// Of a mechanism such as `SCRAM-SHA-1-PLUS`.
    pub(crate) fn of(mechanism: &str) -> Self {
        match mechanism.trim_end_matches("-PLUS") {
            "SCRAM-SHA-1" => Self::Sha1,
            "SCRAM-SHA-256" => Self::Sha256,
            "SCRAM-SHA-512" => Self::Sha512,
            other => panic!("no SCRAM: {other}"),
        }
    }

    pub(crate) fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    pub(crate) fn mac(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        macro_rules! mac {
            ($hash:ty) => {
                Hmac::<$hash>::new_from_slice(key)
                    .unwrap()
                    .chain_update(bytes)
                    .finalize()
                    .into_bytes()
                    .to_vec()
            };
        }
        match self {
            Self::Sha1 => mac!(Sha1),
            Self::Sha256 => mac!(Sha256),
            Self::Sha512 => mac!(Sha512),
        }
    }

    fn stretched(self, rounds: u32) -> Vec<u8> {
        let mut salted = vec![0; self.digest(b"").len()];
        match self {
            Self::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(PASSWORD.as_bytes(), SALT, rounds, &mut salted),
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(PASSWORD.as_bytes(), SALT, rounds, &mut salted),
            Self::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(PASSWORD.as_bytes(), SALT, rounds, &mut salted),
        }
        salted
    }
}

/// One exchange, the client's first message being in.
pub(crate) struct Scram {
    hash: Hash,
    /// The GS2 header: what the client says about channel binding.
    pub(crate) header: String,
    pub(crate) username: String,
    bare: String,
    nonce: String,
    challenge: String,
}

impl Scram {
    pub(crate) fn begin(mechanism: &str, first: &str) -> Self {
        let split = first.match_indices(',').nth(1).unwrap().0 + 1;
        let (header, bare) = first.split_at(split);
        let (username, nonce) = bare.strip_prefix("n=").unwrap().split_once(",r=").unwrap();
        Self {
            hash: Hash::of(mechanism),
            header: header.to_owned(),
            username: username.to_owned(),
            bare: bare.to_owned(),
            nonce: format!("{nonce}server"),
            challenge: String::new(),
        }
    }

    /// The server's first message; `more` are attributes behind, each with its comma.
    pub(crate) fn challenge(&mut self, nonce: Option<&str>, iterations: u64, more: &str) -> String {
        let nonce = nonce.unwrap_or(&self.nonce);
        let salt = STANDARD.encode(SALT);
        self.challenge = format!("r={nonce},s={salt},i={iterations}{more}");
        self.challenge.clone()
    }

    /// Checks the client's proof. `channel` is what the server binds to. Returns its own proof, or its error.
    pub(crate) fn prove(&self, response: &str, channel: &[u8]) -> Result<Vec<u8>, &'static str> {
        let (without_proof, proof) = response.rsplit_once(",p=").unwrap();
        let (bound, nonce) = without_proof
            .strip_prefix("c=")
            .unwrap()
            .split_once(",r=")
            .unwrap();
        assert_eq!(nonce, self.nonce);
        if STANDARD.decode(bound).unwrap() != [self.header.as_bytes(), channel].concat() {
            return Err("channel-bindings-dont-match");
        }
        let salted = self.hash.stretched(4_096);
        let signed = format!("{},{},{without_proof}", self.bare, self.challenge);
        let client_key = self.hash.mac(&salted, b"Client Key");
        let signature = self.hash.mac(&self.hash.digest(&client_key), signed.as_bytes());
        let expected: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        if STANDARD.decode(proof).unwrap() != expected {
            return Err("invalid-proof");
        }
        Ok(self
            .hash
            .mac(&self.hash.mac(&salted, b"Server Key"), signed.as_bytes()))
    }
}
