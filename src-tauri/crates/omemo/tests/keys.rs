//! Identity keys, prekeys, signatures, fingerprints and trust.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail by a panic"
)]

mod support;

use serde_json::Value;
use support::{Recorded, Repeatable, hex, unhex};
use waxwing_omemo::{
    DecryptError, DeviceId, Entropy, Fingerprint, IdentityKey, IdentityKeyPair, Malformed, OsEntropy, PreKey,
    PreKeyId, Profile, SIGNED_PREKEY_KEEP_SECONDS, SIGNED_PREKEY_ROTATE_SECONDS, SignedPreKey, Trust,
    generate_prekeys, may_encrypt_to, trust_for_new_key,
};

fn pair(text: &str) -> IdentityKeyPair {
    IdentityKeyPair::from_bytes(&unhex(text).try_into().unwrap())
}

#[test]
fn signatures_are_byte_for_byte_those_of_another_implementation() {
    let recorded: Value = serde_json::from_str(include_str!("vectors/signatures.json")).unwrap();
    let mut seen = [0, 0];
    for entry in recorded.as_array().unwrap() {
        let text = |name: &str| unhex(entry[name].as_str().unwrap());
        let identity = pair(entry["secret"].as_str().unwrap());
        assert_eq!(identity.public().to_bytes().as_slice(), text("curve"));
        let signature = identity.sign(&text("message"), &mut Recorded(text("nonce")));
        assert_eq!(signature.as_slice(), text("signature"));
        for profile in Profile::ALL {
            assert!(
                identity
                    .public()
                    .has_signed(profile, &text("message"), &signature)
            );
            assert!(!identity.public().has_signed(profile, b"other", &signature));
        }
        seen[usize::try_from(entry["sign_bit"].as_u64().unwrap()).unwrap()] += 1;
    }
    assert_eq!(seen, [3, 3]);
}

#[test]
fn a_signature_with_the_group_order_added_is_refused() {
    // XEdDSA §2.5: the second half must be reduced, or one signature would have several forms.
    const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let identity = pair(&"42".repeat(32));
    let mut signature = identity.sign(b"text", &mut Repeatable::new(1));
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(unhex(ORDER)) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert!(!identity.public().has_signed(Profile::Omemo2, b"text", &signature));
    assert!(!identity.public().has_signed(Profile::Legacy, b"text", &signature));
}

#[test]
fn an_identity_survives_its_stored_form() {
    let identity = IdentityKeyPair::generate(&mut Repeatable::new(1));
    let again = IdentityKeyPair::from_bytes(&identity.to_bytes());
    assert_eq!(again.public(), identity.public());
    let pinned = identity.public().to_bytes();
    assert_eq!(&IdentityKey::from_curve(&pinned).unwrap(), identity.public());
    let prefixed = [&[5], pinned.as_slice()].concat();
    assert_eq!(&IdentityKey::from_curve(&prefixed).unwrap(), identity.public());
    assert!(IdentityKey::from_curve(&[&[6], pinned.as_slice()].concat()).is_err());
}

#[test]
fn the_fingerprint_is_the_curve_form_in_lower_case_hex() {
    let identity = pair("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    let fingerprint = identity.public().fingerprint();
    let expected = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
    assert_eq!(fingerprint.to_string(), expected);
    assert_eq!(hex(&fingerprint.0), expected);
    assert_eq!(
        fingerprint.blocks(),
        "8520f009 8930a754 748b7ddc b43ef75a 0dbf3a0d 26381af4 eba4a98e aa9b4e6a"
    );
}

#[test]
fn a_key_has_one_fingerprint_in_both_generations_whatever_its_sign() {
    let recorded: Value = serde_json::from_str(include_str!("vectors/derivations.json")).unwrap();
    let mut signs = Vec::new();
    for entry in recorded["keys"].as_array().unwrap() {
        let text = |name: &str| unhex(entry[name].as_str().unwrap());
        let legacy = IdentityKey::from_curve(&text("curve")).unwrap();
        let omemo2 = IdentityKey::from_edwards(&text("edwards")).unwrap();
        assert_eq!(legacy, omemo2);
        assert_eq!(legacy.fingerprint().to_string(), entry["curve"].as_str().unwrap());
        assert_eq!(omemo2.fingerprint(), legacy.fingerprint());
        assert_eq!(pair(entry["secret"].as_str().unwrap()).public(), &legacy);
        signs.push(text("edwards")[31] >> 7);
    }
    assert_eq!(signs, [0, 1]);
}

#[test]
fn a_fingerprint_is_read_from_any_usual_form_and_from_no_other() {
    let expected = Fingerprint([0xab; 32]);
    let plain = "ab".repeat(32);
    let spaced = expected.blocks();
    let (upper, prefixed) = (plain.to_uppercase(), format!("05{plain}"));
    let (dashes, colons) = (spaced.replace(' ', "-"), spaced.replace(' ', ":\n"));
    for text in [&plain, &spaced, &upper, &prefixed, &dashes, &colons] {
        assert_eq!(text.parse::<Fingerprint>(), Ok(expected), "{text}");
    }
    let wrong = Err(Malformed("fingerprint"));
    for text in [
        "",
        "ab",
        &"ab".repeat(31),
        &format!("06{plain}"),
        &format!("{plain}ab0"),
        &plain.replace("ab", "xy"),
    ] {
        assert_eq!(text.parse::<Fingerprint>(), wrong, "{text}");
    }
}

#[test]
fn prekey_ids_are_never_zero_and_wrap_before_the_largest_number() {
    let mut rng = Repeatable::new(1);
    let ids = |keys: &[PreKey]| keys.iter().map(|key| key.id().0).collect::<Vec<_>>();
    assert_eq!(ids(&generate_prekeys(PreKeyId(0), 3, &mut rng)), [1, 2, 3]);
    assert_eq!(
        ids(&generate_prekeys(PreKeyId(PreKeyId::MAX), 3, &mut rng)),
        [PreKeyId::MAX, 1, 2]
    );
    assert_eq!(ids(&generate_prekeys(PreKeyId(u32::MAX), 1, &mut rng)), [1]);
    assert!(generate_prekeys(PreKeyId(5), 0, &mut rng).is_empty());
}

#[test]
fn prekeys_survive_their_stored_form() {
    let mut rng = Repeatable::new(1);
    let key = PreKey::generate(PreKeyId(9), &mut rng);
    let again = PreKey::from_bytes(key.id(), key.to_bytes().as_slice()).unwrap();
    assert_eq!(again.public(), key.public());
    assert!(PreKey::from_bytes(PreKeyId(9), &[0; 31]).is_err());
    let signed = SignedPreKey::generate(PreKeyId(1), 1_000, &mut rng);
    let again =
        SignedPreKey::from_bytes(signed.id(), signed.created(), signed.to_bytes().as_slice()).unwrap();
    assert_eq!((again.public(), again.created()), (signed.public(), 1_000));
    assert!(SignedPreKey::from_bytes(PreKeyId(1), 0, &[0; 33]).is_err());
}

#[test]
fn signed_prekeys_are_rotated_by_age_and_deleted_a_month_after_that() {
    let mut rng = Repeatable::new(1);
    let key = SignedPreKey::generate(PreKeyId(1), 1_000, &mut rng);
    assert!(!key.rotation_due(1_000 + SIGNED_PREKEY_ROTATE_SECONDS - 1));
    assert!(key.rotation_due(1_000 + SIGNED_PREKEY_ROTATE_SECONDS));
    // Offline for long: it was on offer all the time.
    let replaced = 1_000 + 2 * SIGNED_PREKEY_KEEP_SECONDS;
    let next = SignedPreKey::generate(PreKeyId(2), replaced, &mut rng);
    assert!(!key.deletion_due(&next, replaced));
    assert!(!key.deletion_due(&next, replaced + SIGNED_PREKEY_KEEP_SECONDS - 1));
    assert!(key.deletion_due(&next, replaced + SIGNED_PREKEY_KEEP_SECONDS));
    assert!(
        !key.rotation_due(0),
        "a clock that went back a little rotates nothing"
    );
    // Made while the clock was years ahead: it would be on offer until then.
    let years = 1_000 + 3 * 365 * 24 * 3_600;
    let ahead = SignedPreKey::generate(PreKeyId(3), years, &mut rng);
    assert!(ahead.rotation_due(1_000));
    let right = SignedPreKey::generate(PreKeyId(4), 1_000, &mut rng);
    assert!(!ahead.deletion_due(&right, 1_000));
    assert!(ahead.deletion_due(&right, 1_000 + SIGNED_PREKEY_KEEP_SECONDS));
    assert!(!right.rotation_due(1_000));
}

#[test]
fn device_ids_and_keys_of_the_operating_system_differ() {
    let mut rng = OsEntropy;
    assert_ne!(DeviceId::random(&mut rng), DeviceId::random(&mut rng));
    let (one, two) = (
        IdentityKeyPair::generate(&mut rng),
        IdentityKeyPair::generate(&mut rng),
    );
    assert_ne!(one.public(), two.public());
    let mut bytes = [0; 64];
    rng.fill(&mut bytes);
    assert_ne!(bytes, [0; 64]);
}

#[test]
fn new_keys_are_trusted_blindly_until_one_was_verified() {
    use Trust::{Blind, Undecided, Untrusted, Verified};
    for (others, expected) in [
        (&[][..], Blind),
        (&[Blind, Blind], Blind),
        (&[Untrusted, Undecided], Blind),
        (&[Blind, Verified], Undecided),
        (&[Untrusted, Verified], Undecided),
    ] {
        assert_eq!(trust_for_new_key(others), expected);
    }
    assert!(may_encrypt_to(Blind) && may_encrypt_to(Verified));
    assert!(!may_encrypt_to(Undecided) && !may_encrypt_to(Untrusted));
    for trust in [Undecided, Blind, Verified, Untrusted] {
        assert_eq!(Trust::from_code(trust.code()), Some(trust));
    }
    assert_eq!(Trust::from_code("compromised"), None);
}

#[test]
fn codes_of_errors_are_distinct() {
    let all = [
        DecryptError::Duplicate,
        DecryptError::KeyReused,
        DecryptError::LongAgo,
        DecryptError::Altered,
        DecryptError::GivenUp,
        DecryptError::NoSession,
        DecryptError::UnknownPreKey,
        DecryptError::UnknownSignedPreKey,
        DecryptError::NoOneTimePreKey,
        DecryptError::IdentityChanged,
        DecryptError::Malformed(Malformed("x")),
        DecryptError::BadMac,
        DecryptError::TooManySkipped,
        DecryptError::UnsupportedVersion(4),
        DecryptError::NotForThisDevice,
    ];
    let codes: std::collections::BTreeSet<_> = all.iter().map(|error| error.code()).collect();
    assert_eq!(codes.len(), all.len());
    assert!(!DecryptError::Duplicate.healing_helps() && !DecryptError::IdentityChanged.healing_helps());
    assert!(!DecryptError::GivenUp.healing_helps() && !DecryptError::Altered.healing_helps());
    assert!(DecryptError::BadMac.healing_helps() && DecryptError::NoSession.healing_helps());
}
