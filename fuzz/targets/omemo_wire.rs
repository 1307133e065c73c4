//! Key elements as a stranger may send them: read without a session, in both generations.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waxwing_omemo::{
    IdentityKeyPair, KeyElement, LocalPreKeys, OsEntropy, PreKey, PreKeyId, Profile, SignedPreKey,
    decrypt_key, prekey_ids,
};

/// Keys under the ids that the seeds name, so that whole key exchanges are tried and not only looked up.
static KEYS: LazyLock<(IdentityKeyPair, Vec<SignedPreKey>, Vec<PreKey>)> = LazyLock::new(|| {
    let signed = SignedPreKey::from_bytes(PreKeyId(1), 0, &[3; 32]).expect("32 bytes");
    let one_time = (1..5).map(|id| PreKey::from_bytes(PreKeyId(id), &[4; 32]).expect("32 bytes"));
    (
        IdentityKeyPair::from_bytes(&[2; 32]),
        vec![signed],
        one_time.collect(),
    )
});

fuzz_target!(|bytes: &[u8]| {
    let (identity, signed, one_time) = &*KEYS;
    for profile in Profile::ALL {
        let named = prekey_ids(profile, bytes);
        for is_prekey in [false, true] {
            let key = KeyElement {
                bytes: bytes.to_vec(),
                is_prekey,
            };
            let prekeys = LocalPreKeys { signed, one_time };
            let opened = decrypt_key(profile, None, identity, prekeys, &key, None, &mut OsEntropy);
            let error = opened.err().expect("nobody knows these keys");
            assert!(!error.code().is_empty());
            assert!(
                !is_prekey || named.is_ok() || error == named.expect_err("it is one"),
                "one reading, one error"
            );
        }
    }
});
