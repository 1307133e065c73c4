//! Curve25519, XEdDSA, HKDF and HMAC as both generations use them.

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::Scalar;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Entropy, IdentityKey, IdentityKeyPair, Malformed, Profile};

/// Signal's type byte of Curve25519 keys.
const CURVE_TYPE: u8 = 5;
/// The block length of AES.
const BLOCK: usize = 16;

/// Sets and clears the bits of a scalar as RFC 7748 §5 asks.
pub(crate) fn clamp(secret: [u8; 32]) -> [u8; 32] {
    curve25519_dalek::scalar::clamp_integer(secret)
}

/// The Curve25519 public key of a secret.
pub(crate) fn public_key(secret: &[u8; 32]) -> [u8; 32] {
    MontgomeryPoint::mul_base_clamped(*secret).to_bytes()
}

/// The scalar of a secret, reduced.
fn scalar(secret: &[u8; 32]) -> Zeroizing<Scalar> {
    Zeroizing::new(Scalar::from_bytes_mod_order(clamp(*secret)))
}

/// The Ed25519 public key of a secret, sign bit 0.
pub(crate) fn edwards_public_key(secret: &[u8; 32]) -> [u8; 32] {
    let mut bytes = EdwardsPoint::mul_base(&scalar(secret)).compress().to_bytes();
    bytes[31] &= 0x7f;
    bytes
}

/// X25519. Weak public keys, which give an all-zero secret, are refused (RFC 7748 §6.1).
pub(crate) fn agree(secret: &[u8; 32], public: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, Malformed> {
    let shared = Zeroizing::new(MontgomeryPoint(*public).mul_clamped(*secret).to_bytes());
    if bool::from(shared.ct_eq(&[0; 32])) {
        Err(Malformed("public key"))
    } else {
        Ok(shared)
    }
}

/// A public key from the network, with or without Signal's type byte.
pub(crate) fn read_public_key(bytes: &[u8]) -> Result<[u8; 32], Malformed> {
    let wrong = Malformed("public key");
    let key = match bytes.split_first() {
        Some((&CURVE_TYPE, rest)) if bytes.len() == 33 => rest,
        _ => bytes,
    };
    key.try_into().map_err(|_| wrong)
}

/// The key with Signal's type byte before it.
pub(crate) fn prefixed(public: &[u8; 32]) -> [u8; 33] {
    let mut out = [CURVE_TYPE; 33];
    out[1..].copy_from_slice(public);
    out
}

/// The form of a Curve25519 key that this generation sends and signs.
pub(crate) fn encode_public_key(profile: Profile, public: &[u8; 32]) -> Vec<u8> {
    match profile {
        Profile::Legacy => prefixed(public).to_vec(),
        Profile::Omemo2 => public.to_vec(),
    }
}

/// The Ed25519 form with sign bit 0 of a Curve25519 key, unless that is a weak or impossible one.
pub(crate) fn to_edwards(curve: &[u8; 32]) -> Option<[u8; 32]> {
    let point = MontgomeryPoint(*curve).to_edwards(0)?;
    (!point.is_small_order()).then(|| point.compress().to_bytes())
}

/// The Curve25519 form of an Ed25519 key, unless that is a weak or impossible one.
pub(crate) fn to_curve(edwards: &[u8; 32]) -> Option<[u8; 32]> {
    let point = CompressedEdwardsY(*edwards).decompress()?;
    (!point.is_small_order()).then(|| point.to_montgomery().to_bytes())
}

/// Signs by XEdDSA (revision 1, §2.4); the signature's sign bit is 0.
pub(crate) fn sign(identity: &IdentityKeyPair, message: &[u8], rng: &mut impl Entropy) -> [u8; 64] {
    let mut nonce = Zeroizing::new([0; 64]);
    rng.fill(nonce.as_mut_slice());
    let public = identity.public().edwards();
    let mut key = scalar(identity.secret());
    if EdwardsPoint::mul_base(&key).compress().to_bytes()[31] & 0x80 != 0 {
        *key = -*key;
    }
    // The prefix 2^256 - 2 keeps this hash apart from every other use of SHA-512 here.
    let mut prefix = [0xff; 32];
    prefix[0] = 0xfe;
    let r = Zeroizing::new(hash_to_scalar(&[
        &prefix,
        key.as_bytes(),
        message,
        nonce.as_slice(),
    ]));
    let commitment = EdwardsPoint::mul_base(&r).compress().to_bytes();
    let h = hash_to_scalar(&[&commitment, public, message]);
    let s = *r + h * *key;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&commitment);
    signature[32..].copy_from_slice(s.as_bytes());
    signature
}

fn hash_to_scalar(parts: &[&[u8]]) -> Scalar {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    let wide = Zeroizing::new(hash.finalize().into());
    Scalar::from_bytes_mod_order_wide(&wide)
}

/// Checks a signature of an identity key. Legacy signatures made by older libraries carry the sign bit of the
/// Ed25519 key in their last byte; omemo:2 knows the Ed25519 key itself.
pub(crate) fn verify(profile: Profile, identity: &IdentityKey, message: &[u8], signature: &[u8; 64]) -> bool {
    let mut public = *identity.edwards();
    let mut commitment = [0; 32];
    let mut s = [0; 32];
    commitment.copy_from_slice(&signature[..32]);
    s.copy_from_slice(&signature[32..]);
    if profile == Profile::Legacy {
        public[31] = public[31] & 0x7f | s[31] & 0x80;
        s[31] &= 0x7f;
    }
    let Some(point) = CompressedEdwardsY(public).decompress() else {
        return false;
    };
    let Some(s) = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)) else {
        return false;
    };
    let h = hash_to_scalar(&[&commitment, &public, message]);
    let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&-h, &point, &s);
    expected.compress().to_bytes() == commitment
}

/// HKDF with SHA-256 (RFC 5869).
pub(crate) fn hkdf<const N: usize>(salt: &[u8; 32], secret: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand(info, out.as_mut_slice())
        .expect("80 bytes are less than HKDF's limit");
    out
}

/// HMAC with SHA-256 over the joined parts.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// What seals one message or one omemo:2 payload: three secrets drawn from one by HKDF.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct SealingKeys {
    cipher: [u8; 32],
    mac: [u8; 32],
    iv: [u8; 16],
}

impl SealingKeys {
    pub(crate) fn derive(secret: &[u8], info: &[u8]) -> Self {
        let drawn = hkdf::<80>(&[0; 32], secret, info);
        let mut keys = Self {
            cipher: [0; 32],
            mac: [0; 32],
            iv: [0; 16],
        };
        let (cipher, rest) = drawn.split_at(32);
        let (mac, iv) = rest.split_at(32);
        keys.cipher.copy_from_slice(cipher);
        keys.mac.copy_from_slice(mac);
        keys.iv.copy_from_slice(iv);
        keys
    }

    /// HMAC-SHA-256 over the joined parts with the second secret.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        hmac(&self.mac, parts)
    }

    /// Compares a (shortened) tag in constant time.
    pub(crate) fn tag_fits(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.mac(parts)
            .get(..tag.len())
            .is_some_and(|mac| !tag.is_empty() && mac.ct_eq(tag).into())
    }

    /// AES-256-CBC with PKCS#7 padding.
    pub(crate) fn encrypt(&self, plaintext: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(plaintext.len() + BLOCK);
        buffer.extend_from_slice(plaintext);
        buffer.resize((plaintext.len() / BLOCK + 1) * BLOCK, 0);
        cbc::Encryptor::<Aes256>::new(&self.cipher.into(), &self.iv.into())
            .encrypt_padded::<Pkcs7>(&mut buffer, plaintext.len())
            .expect("there is room for the padding");
        buffer
    }

    /// The reverse. Call it only after [`SealingKeys::tag_fits`], or padding errors tell about the plaintext.
    pub(crate) fn decrypt(&self, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let length = cbc::Decryptor::<Aes256>::new(&self.cipher.into(), &self.iv.into())
            .decrypt_padded::<Pkcs7>(&mut buffer)
            .ok()?
            .len();
        buffer.truncate(length);
        Some(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex<const N: usize>(text: &str) -> [u8; N] {
        let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap())
            .collect();
        bytes.try_into().unwrap()
    }

    #[test]
    fn keys_and_agreement_are_those_of_rfc_7748() {
        // §6.1
        let alice = unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
        let bob = unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        let shared = unhex::<32>("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(
            public_key(&alice),
            unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
        );
        assert_eq!(
            public_key(&bob),
            unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        );
        assert_eq!(*agree(&alice, &public_key(&bob)).unwrap(), shared);
        assert_eq!(*agree(&bob, &public_key(&alice)).unwrap(), shared);
    }

    #[test]
    fn agreements_with_any_scalar_and_coordinate_are_those_of_rfc_7748() {
        // §5.2; the second coordinate has its highest bit set, which is ignored.
        for (scalar, coordinate, shared) in [
            (
                "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
                "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
            ),
            (
                "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
                "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
                "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
            ),
        ] {
            assert_eq!(*agree(&unhex(scalar), &unhex(coordinate)).unwrap(), unhex(shared));
        }
    }

    #[test]
    fn agreements_with_weak_points_are_refused() {
        let mut one = [0; 32];
        one[0] = 1;
        for weak in [
            [0; 32],
            one,
            unhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
            unhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ] {
            assert_eq!(agree(&[7; 32], &weak).unwrap_err(), Malformed("public key"));
        }
    }

    #[test]
    fn hkdf_is_that_of_rfc_5869() {
        // Appendix A.3; no salt is 32 zero bytes.
        let drawn = hkdf::<42>(&[0; 32], &[0x0b; 22], b"");
        let expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
        assert_eq!(*drawn, unhex(expected));
        // Appendix A.1; its salt is shorter, which HMAC fills up with zeros.
        let salt = unhex("000102030405060708090a0b0c00000000000000000000000000000000000000");
        let info: [u8; 10] = unhex("f0f1f2f3f4f5f6f7f8f9");
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
        assert_eq!(*hkdf::<42>(&salt, &[0x0b; 22], &info), unhex(expected));
    }

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        // §4.3
        let mac = hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(
            *mac,
            unhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        );
    }

    #[test]
    fn both_forms_of_a_key_turn_into_each_other() {
        for seed in 0..50 {
            let secret = clamp([seed; 32]);
            let (curve, edwards) = (public_key(&secret), edwards_public_key(&secret));
            assert_eq!(to_edwards(&curve), Some(edwards));
            assert_eq!(to_curve(&edwards), Some(curve));
            let mut other_sign = edwards;
            other_sign[31] |= 0x80;
            assert_eq!(to_curve(&other_sign), Some(curve));
        }
    }

    #[test]
    fn tags_of_no_length_or_too_much_never_fit() {
        let keys = SealingKeys::derive(b"secret", b"info");
        let mac = keys.mac(&[b"text"]);
        assert!(keys.tag_fits(&[b"text"], mac.as_slice()));
        assert!(keys.tag_fits(&[b"te", b"xt"], &mac[..8]));
        assert!(!keys.tag_fits(&[b"text"], &[]));
        assert!(!keys.tag_fits(&[b"text"], &[0; 33]));
        assert!(!keys.tag_fits(&[b"test"], &mac[..8]));
    }
}
