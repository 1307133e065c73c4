//! SCRAM (RFC 5802, RFC 7677), with and without channel binding: both sides prove that they know the password.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::hash::Hash;
use crate::offer::Flag;
use crate::{ConnectError, Lie, Password};

/// Fewer make a stolen exchange cheap to guess at, more only burn our time.
const ITERATIONS: std::ops::RangeInclusive<u64> = 4_096..=1_000_000;

/// What an exchange is about.
pub(crate) struct Terms {
    pub(crate) hash: Hash,
    pub(crate) flag: Flag,
    /// What the TLS channel is known by, if it is bound.
    pub(crate) channel: Vec<u8>,
    /// What the server's offer is known by (XEP-0474).
    pub(crate) offer: Vec<u8>,
}

/// Our first message has gone out.
pub(crate) struct First {
    terms: Terms,
    nonce: String,
    bare: String,
}

/// Our proof has gone out.
pub(crate) struct Final {
    signature: Zeroizing<Vec<u8>>,
}

/// RFC 4013, which RFC 5802 §2.2 and RFC 4616 §2 ask for. What it forbids goes as it is, as servers do with what they
/// cannot prepare.
pub(crate) fn prepared(text: &str) -> Zeroizing<String> {
    Zeroizing::new(
        stringprep::saslprep(text)
            .unwrap_or(Cow::Borrowed(text))
            .into_owned(),
    )
}

impl First {
    /// `username` is the local part of the address; `nonce` any printable text without a comma.
    pub(crate) fn new(terms: Terms, username: &str, nonce: String) -> Self {
        let username = prepared(username).replace('=', "=3D").replace(',', "=2C");
        Self {
            terms,
            bare: format!("n={username},r={nonce}"),
            nonce,
        }
    }

    fn header(&self) -> String {
        match self.terms.flag {
            Flag::Bound(binding) => format!("p={},,", binding.name()),
            Flag::ServerCannot => "y,,".to_owned(),
            Flag::ClientCannot => "n,,".to_owned(),
        }
    }

    /// The client's first message.
    pub(crate) fn message(&self) -> String {
        format!("{}{}", self.header(), self.bare)
    }

    /// Answers the server's first message. Costs up to a second of computing: not for the async threads.
    pub(crate) fn answer(
        self,
        challenge: &[u8],
        password: &Password,
    ) -> Result<(String, Final), ConnectError> {
        let challenge = std::str::from_utf8(challenge).map_err(|_| lie(Lie::Malformed))?;
        if challenge.starts_with("e=") {
            return Err(server_error(challenge));
        }
        let (nonce, salt, rounds) = self.read(challenge)?;
        let bound = [self.header().as_bytes(), &self.terms.channel].concat();
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(bound));
        let signed = format!("{},{challenge},{without_proof}", self.bare);
        let (proof, signature) = prove(self.terms.hash, password, &salt, rounds, signed.as_bytes());
        Ok((
            format!("{without_proof},p={}", STANDARD.encode(proof)),
            Final { signature },
        ))
    }

    /// The server's nonce, salt and iteration count.
    fn read<'a>(&self, challenge: &'a str) -> Result<(&'a str, Vec<u8>, u32), ConnectError> {
        let mut parts = challenge.split(',');
        // A leading m= is a mandatory extension, which we know none of; so it fails here, as it must.
        let mut part = |name: &str| {
            let part = parts.next().and_then(|part| part.strip_prefix(name));
            part.ok_or(lie(Lie::Malformed))
        };
        let (nonce, salt, rounds) = (part("r=")?, part("s=")?, part("i=")?);
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(lie(Lie::Nonce));
        }
        let salt = STANDARD.decode(salt).map_err(|_| lie(Lie::Malformed))?;
        let rounds: u64 = rounds.parse().map_err(|_| lie(Lie::Malformed))?;
        if !ITERATIONS.contains(&rounds) {
            return Err(lie(Lie::IterationCount(rounds)));
        }
        let rounds = u32::try_from(rounds).map_err(|_| lie(Lie::IterationCount(rounds)))?;
        // XEP-0474 §5.2, before anything is proven to whoever changed the offer.
        for seen in parts.filter_map(|part| part.strip_prefix("h=")) {
            if STANDARD.decode(seen).ok().as_ref() != Some(&self.terms.offer) {
                return Err(lie(Lie::Offer));
            }
        }
        Ok((nonce, salt, rounds))
    }
}

impl Final {
    /// Checks the server's last message, its own proof.
    pub(crate) fn check(&self, message: &[u8]) -> Result<(), ConnectError> {
        let message = std::str::from_utf8(message).map_err(|_| lie(Lie::Malformed))?;
        let first = message.split(',').next().unwrap_or_default();
        if first.starts_with("e=") {
            return Err(server_error(first));
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

/// RFC 5802 §7, `server-error-value`.
fn server_error(message: &str) -> ConnectError {
    match message.split(',').next().and_then(|m| m.strip_prefix("e=")) {
        Some("channel-bindings-dont-match") => lie(Lie::ChannelBinding),
        // It offered what we did not see.
        Some("server-does-support-channel-binding") => lie(Lie::Offer),
        Some("channel-binding-not-supported" | "unsupported-channel-binding-type") => {
            ConnectError::NoMechanism
        }
        Some("invalid-proof" | "unknown-user") => ConnectError::WrongPassword,
        Some("no-resources") => ConnectError::TemporaryAuthFailure,
        _ => ConnectError::Protocol("the server could not follow the authentication"),
    }
}

/// The client's proof and the server's signature.
fn prove(
    hash: Hash,
    password: &Password,
    salt: &[u8],
    rounds: u32,
    signed: &[u8],
) -> (Vec<u8>, Zeroizing<Vec<u8>>) {
    let salted = hash.stretch(prepared(password.expose()).as_bytes(), salt, rounds);
    let client_key = hash.hmac(&salted, b"Client Key");
    let client_signature = hash.hmac(&hash.digest(&client_key), signed);
    let proof = client_key
        .iter()
        .zip(client_signature.iter())
        .map(|(a, b)| a ^ b)
        .collect();
    let server_key = hash.hmac(&salted, b"Server Key");
    (proof, hash.hmac(&server_key, signed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::Binding;

    const SHA1_NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";
    const SHA1_CHALLENGE: &str = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";

    fn terms(hash: Hash) -> Terms {
        Terms {
            hash,
            flag: Flag::ClientCannot,
            channel: Vec::new(),
            offer: b"offer".to_vec(),
        }
    }

    fn sha1() -> First {
        First::new(terms(Hash::Sha1), "user", SHA1_NONCE.to_owned())
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
        let first = First::new(terms(Hash::Sha256), "user", "rOprNGfwEbeRWgbNEkqO".to_owned());
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
        let first = First::new(terms(Hash::Sha256), "a,r=b=c", "n".to_owned());
        assert_eq!(first.message(), "n,,n=a=2Cr=3Db=3Dc,r=n");
    }

    /// Computed with Python's hashlib from the parts of RFC 7677 §3, with SHA-512 in place of SHA-256.
    #[test]
    fn an_exchange_with_sha_512_comes_out_as_computed_elsewhere() {
        let first = First::new(terms(Hash::Sha512), "user", "rOprNGfwEbeRWgbNEkqO".to_owned());
        let challenge =
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (answer, last) = first
            .answer(challenge.as_bytes(), &Password::from("pencil"))
            .unwrap();
        assert_eq!(
            answer,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ=="
        );
        assert_eq!(
            last.check(
                b"v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw=="
            ),
            Ok(())
        );
    }

    /// Computed with Python's hashlib: the exchange of RFC 5802 §5, bound to the bytes 0 to 31.
    #[test]
    fn a_bound_exchange_comes_out_as_computed_elsewhere() {
        let bound = Terms {
            flag: Flag::Bound(Binding::Exporter),
            channel: (0..32).collect(),
            ..terms(Hash::Sha1)
        };
        let first = First::new(bound, "user", SHA1_NONCE.to_owned());
        assert_eq!(
            first.message(),
            "p=tls-exporter,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"
        );
        let (answer, last) = first
            .answer(SHA1_CHALLENGE.as_bytes(), &Password::from("pencil"))
            .unwrap();
        assert_eq!(
            answer,
            "c=cD10bHMtZXhwb3J0ZXIsLAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,\
             p=i0z2xFi+ITaJvbLXpcWyruGx26U="
        );
        assert_eq!(last.check(b"v=YgmPUhdXTCPY9I7+PKzEdnp1cdo="), Ok(()));
    }

    #[test]
    fn what_was_offered_is_compared_before_anything_is_proven() {
        let with = |more: &str| format!("{SHA1_CHALLENGE}{more}");
        // "offer" and "other" in base64.
        for (more, lied) in [
            ("", None),
            (",h=b2ZmZXI=", None),
            (",x=1,h=b2ZmZXI=", None),
            (",h=b3RoZXI=", Some(Lie::Offer)),
            (",h=", Some(Lie::Offer)),
            (",h=!", Some(Lie::Offer)),
            (",h=b2ZmZXI=,h=b3RoZXI=", Some(Lie::Offer)),
            (",x=1,h=b3RoZXI=", Some(Lie::Offer)),
        ] {
            let answered = sha1().answer(with(more).as_bytes(), &Password::from("pencil"));
            assert_eq!(answered.err(), lied.map(ConnectError::ServerLied), "{more}");
        }
    }

    #[test]
    fn a_server_says_by_its_error_who_is_between() {
        let (_, last) = sha1()
            .answer(SHA1_CHALLENGE.as_bytes(), &Password::from("pencil"))
            .unwrap();
        for (message, error) in [
            ("e=channel-bindings-dont-match", lie(Lie::ChannelBinding)),
            ("e=server-does-support-channel-binding,x=1", lie(Lie::Offer)),
            ("e=unsupported-channel-binding-type", ConnectError::NoMechanism),
            ("e=no-resources", ConnectError::TemporaryAuthFailure),
            ("e=unknown-user", ConnectError::WrongPassword),
        ] {
            assert_eq!(last.check(message.as_bytes()), Err(error.clone()), "{message}");
            assert_eq!(
                sha1().answer(message.as_bytes(), &Password::from("pencil")).err(),
                Some(error)
            );
        }
        let other = last.check(b"e=other-error").unwrap_err();
        assert_eq!(other.code(), "protocol");
    }

    /// RFC 4013 §3, and what it forbids.
    #[test]
    fn passwords_and_names_are_prepared_alike_on_both_sides() {
        for (text, result) in [
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            ("a\u{a0}b", "a b"),
            ("\u{7}", "\u{7}"),
            ("\u{627}1", "\u{627}1"),
        ] {
            assert_eq!(*prepared(text), result, "{text:?}");
        }
        let first = First::new(terms(Hash::Sha256), "m\u{aa}x", "n".to_owned());
        assert_eq!(first.message(), "n,,n=max,r=n");
    }
}
