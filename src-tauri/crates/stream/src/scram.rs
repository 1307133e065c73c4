//! SCRAM without channel binding (RFC 5802, RFC 7677): both sides prove that they know the password.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{ConnectError, Lie, Mechanism, Password};

/// Fewer make a stolen exchange cheap to guess at, more only burn our time.
const ITERATIONS: std::ops::RangeInclusive<u64> = 4_096..=1_000_000;
/// "No channel binding", in the header and in its base64 form.
const GS2: &str = "n,,";
const GS2_BASE64: &str = "biws";

/// Our first message has gone out.
pub(crate) struct First {
    mechanism: Mechanism,
    nonce: String,
    bare: String,
}

/// Our proof has gone out.
pub(crate) struct Final {
    signature: Vec<u8>,
}

impl First {
    /// `username` is the local part of the address; `nonce` any printable text without a comma.
    pub(crate) fn new(mechanism: Mechanism, username: &str, nonce: String) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        Self {
            mechanism,
            bare: format!("n={username},r={nonce}"),
            nonce,
        }
    }

    /// The client's first message.
    pub(crate) fn message(&self) -> String {
        format!("{GS2}{}", self.bare)
    }

    /// Answers the server's first message. Costs up to a second of computing: not for the async threads.
    pub(crate) fn answer(
        self,
        challenge: &[u8],
        password: &Password,
    ) -> Result<(String, Final), ConnectError> {
        let challenge = std::str::from_utf8(challenge).map_err(|_| lie(Lie::Malformed))?;
        let mut parts = challenge.split(',');
        // A leading m= is a mandatory extension, which we know none of; so it fails here, as it must.
        let nonce = parts
            .next()
            .and_then(|p| p.strip_prefix("r="))
            .ok_or(lie(Lie::Malformed))?;
        let salt = parts
            .next()
            .and_then(|p| p.strip_prefix("s="))
            .ok_or(lie(Lie::Malformed))?;
        let rounds = parts
            .next()
            .and_then(|p| p.strip_prefix("i="))
            .ok_or(lie(Lie::Malformed))?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(lie(Lie::Nonce));
        }
        let salt = STANDARD.decode(salt).map_err(|_| lie(Lie::Malformed))?;
        let rounds: u64 = rounds.parse().map_err(|_| lie(Lie::Malformed))?;
        if !ITERATIONS.contains(&rounds) {
            return Err(lie(Lie::IterationCount(rounds)));
        }
        let rounds = u32::try_from(rounds).map_err(|_| lie(Lie::IterationCount(rounds)))?;
        let without_proof = format!("c={GS2_BASE64},r={nonce}");
        let signed = format!("{},{challenge},{without_proof}", self.bare);
        let (proof, signature) = prove(self.mechanism, password, &salt, rounds, signed.as_bytes());
        Ok((
            format!("{without_proof},p={}", STANDARD.encode(proof)),
            Final { signature },
        ))
    }
}

impl Final {
    /// Checks the server's last message, its own proof.
    pub(crate) fn check(&self, message: &[u8]) -> Result<(), ConnectError> {
        let message = std::str::from_utf8(message).map_err(|_| lie(Lie::Malformed))?;
        let first = message.split(',').next().unwrap_or_default();
        if first.starts_with("e=") {
            return Err(ConnectError::WrongPassword);
        }
        let signature = first.strip_prefix("v=").and_then(|v| STANDARD.decode(v).ok());
        let signature = signature.ok_or(lie(Lie::Signature))?;
        if bool::from(signature.ct_eq(&self.signature)) {
            Ok(())
        } else {
            Err(lie(Lie::Signature))
        }
    }
}

fn lie(lie: Lie) -> ConnectError {
    ConnectError::ServerLied(lie)
}

/// The client's proof and the server's signature.
fn prove(
    mechanism: Mechanism,
    password: &Password,
    salt: &[u8],
    rounds: u32,
    signed: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    // RFC 5802 §2.2 asks for SASLprep; what it forbids goes as it is, as servers do with what they cannot prepare.
    let prepared = stringprep::saslprep(password.expose()).map(|p| Zeroizing::new(p.into_owned()));
    let password = prepared.as_ref().map_or(password.expose(), |p| p.as_str());
    if mechanism == Mechanism::ScramSha1 {
        let mut salted = Zeroizing::new([0; 20]);
        pbkdf2::pbkdf2_hmac::<Sha1>(password.as_bytes(), salt, rounds, salted.as_mut());
        keys(&*salted, signed, hmac_sha1, |bytes| Sha1::digest(bytes).to_vec())
    } else {
        let mut salted = Zeroizing::new([0; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, rounds, salted.as_mut());
        keys(&*salted, signed, hmac_sha256, |bytes| {
            Sha256::digest(bytes).to_vec()
        })
    }
}

fn keys(
    salted: &[u8],
    signed: &[u8],
    hmac: fn(&[u8], &[u8]) -> Vec<u8>,
    hash: fn(&[u8]) -> Vec<u8>,
) -> (Vec<u8>, Vec<u8>) {
    let client_key = Zeroizing::new(hmac(salted, b"Client Key"));
    let client_signature = hmac(&hash(&client_key), signed);
    let proof = client_key
        .iter()
        .zip(client_signature)
        .map(|(a, b)| a ^ b)
        .collect();
    let server_key = Zeroizing::new(hmac(salted, b"Server Key"));
    (proof, hmac(&server_key, signed))
}

fn hmac_sha1(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.chain_update(bytes).finalize().into_bytes().to_vec()
}

fn hmac_sha256(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.chain_update(bytes).finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA1_NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";
    const SHA1_CHALLENGE: &str = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";

    fn sha1() -> First {
        First::new(Mechanism::ScramSha1, "user", SHA1_NONCE.to_owned())
    }

    fn refused(challenge: &str) -> Lie {
        match sha1().answer(challenge.as_bytes(), &Password::from("pencil")) {
            Err(ConnectError::ServerLied(lie)) => lie,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("was answered"),
        }
    }

    #[test]
    fn the_exchange_of_rfc_5802_section_5_comes_out_as_printed() {
        let first = sha1();
        assert_eq!(first.message(), "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL");
        let (answer, last) = first
            .answer(SHA1_CHALLENGE.as_bytes(), &Password::from("pencil"))
            .unwrap();
        assert_eq!(
            answer,
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
        );
        assert_eq!(last.check(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="), Ok(()));
    }

    #[test]
    fn the_exchange_of_rfc_7677_section_3_comes_out_as_printed() {
        let first = First::new(Mechanism::ScramSha256, "user", "rOprNGfwEbeRWgbNEkqO".to_owned());
        let challenge =
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (answer, last) = first
            .answer(challenge.as_bytes(), &Password::from("pencil"))
            .unwrap();
        assert_eq!(
            answer,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(
            last.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
            Ok(())
        );
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let (_, last) = sha1()
            .answer(SHA1_CHALLENGE.as_bytes(), &Password::from("pencil"))
            .unwrap();
        for message in [
            "v=rmF9pqV8S7suAoZWja4dJRkFsKE=",
            "v=",
            "v=rmF9",
            "",
            "v=!",
            "x=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ] {
            assert_eq!(
                last.check(message.as_bytes()),
                Err(lie(Lie::Signature)),
                "{message}"
            );
        }
        assert_eq!(last.check(b"e=invalid-proof"), Err(ConnectError::WrongPassword));
    }

    #[test]
    fn a_nonce_that_does_not_continue_ours_is_refused() {
        assert_eq!(refused("r=somebodyelses,s=QSXCR+Q6sek8bf92,i=4096"), Lie::Nonce);
        assert_eq!(
            refused(&format!("r={SHA1_NONCE},s=QSXCR+Q6sek8bf92,i=4096")),
            Lie::Nonce
        );
    }

    #[test]
    fn iteration_counts_outside_the_bounds_are_refused_before_any_work() {
        for count in [0, 1, 4_095, 1_000_001, 2_147_483_648, u64::MAX] {
            let challenge = format!("r={SHA1_NONCE}x,s=QSXCR+Q6sek8bf92,i={count}");
            assert_eq!(refused(&challenge), Lie::IterationCount(count));
        }
    }

    #[test]
    fn what_is_no_scram_message_is_refused() {
        for challenge in [
            "",
            "r=",
            "m=ext,r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXC,i=4096",
            "r=fyko+d2lbbFgONRv9qkxdawLx",
            "r=fyko+d2lbbFgONRv9qkxdawLx,s=*,i=4096",
            "r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXC,i=-1",
        ] {
            assert!(
                matches!(refused(challenge), Lie::Malformed | Lie::Nonce),
                "{challenge}"
            );
        }
    }

    #[test]
    fn a_username_cannot_smuggle_fields_in() {
        let first = First::new(Mechanism::ScramSha256, "a,r=b=c", "n".to_owned());
        assert_eq!(first.message(), "n,,n=a=2Cr=3Db=3Dc,r=n");
    }
}
