//! The server's side of SCRAM (RFC 5802, RFC 7677), honest or not, and the hash functions that tokens share with it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

const SALT: &[u8] = b"salt of the test";
const ROUNDS: u32 = 4_096;

/// What the hash of a mechanism is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Sha1,
    Sha256,
    Sha512,
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

impl Exchange {
    /// The server's first message; `more` are attributes behind, each with its comma.
    pub(crate) fn challenge(&self, scram: &mut Scram, more: &str) -> String {
        let nonce = self.foreign_nonce.then_some("somebodyelses");
        let honest = scram.challenge(nonce, self.iterations, more);
        self.challenge.clone().unwrap_or(honest)
    }
}

impl Hash {
    /// Of a mechanism such as `SCRAM-SHA-1-PLUS`.
    pub fn named(mechanism: &str) -> Option<Self> {
        match mechanism.strip_suffix("-PLUS").unwrap_or(mechanism) {
            "SCRAM-SHA-1" => Some(Self::Sha1),
            "SCRAM-SHA-256" => Some(Self::Sha256),
            "SCRAM-SHA-512" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// HMAC with this hash.
    pub fn mac(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        macro_rules! mac {
            ($hash:ty) => {
                Hmac::<$hash>::new_from_slice(key)
                    .expect("a key of any length")
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

    /// The hash itself.
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    fn salted(self, password: &str) -> Vec<u8> {
        let mut salted = vec![0; self.digest(b"").len()];
        let password = password.as_bytes();
        match self {
            Self::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, SALT, ROUNDS, &mut salted),
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, SALT, ROUNDS, &mut salted),
            Self::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, SALT, ROUNDS, &mut salted),
        }
        salted
    }
}

/// One exchange, the client's first message being in.
#[derive(Clone, Debug)]
pub struct Scram {
    hash: Hash,
    /// The GS2 header: what the client says about channel binding.
    pub header: String,
    /// As it was written, with `=2C` and `=3D`.
    pub username: String,
    bare: String,
    nonce: String,
    challenge: String,
}

impl Scram {
    /// Reads the client's first message; none if it is no such message.
    pub fn begin(mechanism: &str, first: &str) -> Option<Self> {
        let split = first.match_indices(',').nth(1)?.0 + 1;
        let (header, bare) = first.split_at(split);
        let (username, nonce) = bare.strip_prefix("n=")?.split_once(",r=")?;
        Some(Self {
            hash: Hash::named(mechanism)?,
            header: header.to_owned(),
            username: username.to_owned(),
            bare: bare.to_owned(),
            nonce: format!("{nonce}server"),
            challenge: String::new(),
        })
    }

    /// The type of channel binding that the client names.
    pub fn binding(&self) -> Option<&str> {
        self.header.strip_prefix("p=")?.strip_suffix(",,")
    }

    /// The server's first message; `more` are attributes behind, each with its comma.
    pub fn challenge(&mut self, nonce: Option<&str>, iterations: u64, more: &str) -> String {
        let nonce = nonce.unwrap_or(&self.nonce);
        let salt = STANDARD.encode(SALT);
        self.challenge = format!("r={nonce},s={salt},i={iterations}{more}");
        self.challenge.clone()
    }

    /// Checks the client's proof. `channel` is what the server binds to. Gives its own proof, or the error by its name
    /// in RFC 5802 §7.
    pub fn prove(&self, response: &str, password: &str, channel: &[u8]) -> Result<Vec<u8>, &'static str> {
        let parts = response.rsplit_once(",p=").and_then(|(without_proof, proof)| {
            let (bound, nonce) = without_proof.strip_prefix("c=")?.split_once(",r=")?;
            Some((
                without_proof,
                STANDARD.decode(proof).ok()?,
                STANDARD.decode(bound).ok()?,
                nonce,
            ))
        });
        let (without_proof, proof, bound, nonce) = parts.ok_or("invalid-encoding")?;
        if nonce != self.nonce {
            return Err("other-error");
        }
        if bound != [self.header.as_bytes(), channel].concat() {
            return Err("channel-bindings-dont-match");
        }
        let salted = self.hash.salted(password);
        let signed = format!("{},{},{without_proof}", self.bare, self.challenge);
        let client_key = self.hash.mac(&salted, b"Client Key");
        let signature = self.hash.mac(&self.hash.digest(&client_key), signed.as_bytes());
        let expected: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        if proof != expected {
            return Err("invalid-proof");
        }
        let server_key = self.hash.mac(&salted, b"Server Key");
        Ok(self.hash.mac(&server_key, signed.as_bytes()))
    }
}

/// What a server says of its offer within the exchange, hashed (XEP-0474): mechanisms, and the types of channel binding
/// if it names some.
pub fn protection(hash: Hash, mechanisms: &[&str], bindings: Option<&[&str]>) -> String {
    let sorted = |names: &[&str]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names.join("\x1e")
    };
    let mut text = sorted(mechanisms);
    if let Some(bindings) = bindings {
        text = format!("{text}\x1f{}", sorted(bindings));
    }
    format!(",h={}", STANDARD.encode(hash.digest(text.as_bytes())))
}
