//! Encrypted files, held against the ciphers themselves and against what a hostile server or sender can do.

#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail by a panic"
)]

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::consts::{U12, U16};
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use aes::{Aes128, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::{Aead, KeyInit};
use waxwing_omemo::{FileCipher, FileError, FileHash, FileKey, FileOpener};
use zeroize::Zeroizing;

const HASHED: &[u8] = b"The size of a file";

/// The digests of `HASHED`, as Python's hashlib gives them.
const DIGESTS: [(&str, &str); 6] = [
    (
        "sha-256",
        "dbbd62c09555374dab34944651c3019032cede121d0dd5539e4ea6ed7be18782",
    ),
    (
        "sha-512",
        "23c05581dc35d4c40b8d74ba062c6829540461f8dca9b4530b387b708b0b606cfa0b27419695e49be838f54039e22e4c818f0263cd71f74613c849de87303f72",
    ),
    (
        "sha3-256",
        "587b2e76f51d1f541c3e24b93b70b8dd46d99afd5d1bfcaef19a3f5ba5630501",
    ),
    (
        "sha3-512",
        "706d489d9f1e42d13669922e3da8f1407f46b78add6a4ccf8d6c9c10c815ab4cafbabd2f18dfcc64e0255ca5d08c16e628e6a5e321feb0414d88981f9d2a62f7",
    ),
    (
        "blake2b-256",
        "7e8a055d4896f507cc7f87b947df17ba22d451f4920e28e35e374ac8f99ea076",
    ),
    (
        "blake2b-512",
        "3eec4ba9fcbf9aa2ea1d997933893b9a5a1857cda5555241e9f7cc393b304f42aac523689ca4864ea82b55f9680266bf7a42f85985b3d2a9e9d0156de0450f3a",
    ),
];

fn unhex(text: &str) -> Vec<u8> {
    let digit = |digit: &u8| u8::try_from(char::from(*digit).to_digit(16).unwrap()).unwrap();
    let pairs = text.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| pair.iter().fold(0, |byte, next| byte << 4 | digit(next)))
        .collect()
}

fn bytes(length: usize, seed: u8) -> Vec<u8> {
    (0..length)
        .map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed) ^ (at >> 8) as u8)
        .collect()
}

/// What a sender uploads: for GCM with the tag behind it.
fn seal(cipher: FileCipher, key: &[u8], iv: &[u8], file: &[u8]) -> Vec<u8> {
    let gcm128_12 = || AesGcm::<Aes128, U12>::new_from_slice(key).unwrap();
    let gcm256_12 = || AesGcm::<Aes256, U12>::new_from_slice(key).unwrap();
    let gcm256_16 = || AesGcm::<Aes256, U16>::new_from_slice(key).unwrap();
    match (cipher, iv.len()) {
        (FileCipher::Aes128Gcm, _) => gcm128_12().encrypt(iv.try_into().unwrap(), file).unwrap(),
        (FileCipher::Aes256Gcm, 12) => gcm256_12().encrypt(iv.try_into().unwrap(), file).unwrap(),
        (FileCipher::Aes256Gcm, _) => gcm256_16().encrypt(iv.try_into().unwrap(), file).unwrap(),
        (FileCipher::Aes256Cbc, _) => {
            let mut sealed = file.to_vec();
            sealed.resize((file.len() / 16 + 1) * 16, 0);
            cbc::Encryptor::<Aes256>::new_from_slices(key, iv)
                .unwrap()
                .encrypt_padded::<Pkcs7>(&mut sealed, file.len())
                .unwrap();
            sealed
        }
    }
}

fn sha256(file: &[u8]) -> (FileHash, Vec<u8>) {
    use sha2::Digest;
    (FileHash::Sha256, sha2::Sha256::digest(file).to_vec())
}

fn file_key(
    cipher: FileCipher,
    iv: usize,
    size: Option<u64>,
    hashes: Vec<(FileHash, Vec<u8>)>,
) -> Result<FileKey, FileError> {
    let key = if cipher == FileCipher::Aes128Gcm { 16 } else { 32 };
    FileKey::new(cipher, Zeroizing::new(bytes(key, 3)), bytes(iv, 5), size, hashes)
}

fn open(key: &FileKey, sealed: &[u8], pieces: usize) -> Result<Vec<u8>, FileError> {
    let mut opener = FileOpener::new(key);
    let mut out = Vec::new();
    for piece in sealed.chunks(pieces) {
        opener.update(piece, &mut out)?;
    }
    let length = opener.finish(&mut out)?;
    assert_eq!(length, out.len() as u64);
    Ok(out)
}

/// The ciphers with the lengths of their vectors.
const WAYS: [(FileCipher, usize); 4] = [
    (FileCipher::Aes128Gcm, 12),
    (FileCipher::Aes256Gcm, 12),
    (FileCipher::Aes256Gcm, 16),
    (FileCipher::Aes256Cbc, 16),
];

#[test]
fn a_file_opens_whatever_its_length_and_its_pieces() {
    for (cipher, iv) in WAYS {
        for length in (0..=49).chain([255, 256, 4_095, 70_001]) {
            let file = bytes(length, 1);
            let hashes = vec![sha256(&file)];
            for size in [None, Some(length as u64)] {
                let key = file_key(cipher, iv, size, hashes.clone()).unwrap();
                let sealed = seal(cipher, key.key(), key.iv(), &file);
                for pieces in [1, 7, 16, 33, 4_096, 1 << 20] {
                    if pieces == 1 && length > 300 {
                        continue;
                    }
                    assert_eq!(
                        open(&key, &sealed, pieces).as_deref(),
                        Ok(file.as_slice()),
                        "{cipher:?} {iv} {length} in pieces of {pieces}, size {size:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_file_that_was_altered_anywhere_is_refused() {
    for (cipher, iv) in WAYS {
        let file = bytes(50, 1);
        let key = file_key(cipher, iv, None, vec![sha256(&file)]).unwrap();
        let sealed = seal(cipher, key.key(), key.iv(), &file);
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(
                open(&key, &altered, 16),
                Err(FileError::Forged),
                "{cipher:?} at {at}"
            );
        }
        for length in 0..sealed.len() {
            let error = open(&key, &sealed[..length], 16).unwrap_err();
            let truncated = cipher != FileCipher::Aes256Cbc && length < 16
                || cipher == FileCipher::Aes256Cbc && (length == 0 || length % 16 != 0);
            let expected = if truncated {
                FileError::Truncated
            } else {
                FileError::Forged
            };
            assert_eq!(error, expected, "{cipher:?} of {length}");
        }
        let mut longer = sealed.clone();
        longer.extend_from_slice(&sealed);
        assert_eq!(open(&key, &longer, 16), Err(FileError::Forged), "{cipher:?}");
        let other = file_key(cipher, iv, None, vec![sha256(b"another file")]).unwrap();
        assert_eq!(
            open(&other, &sealed, 16),
            Err(FileError::Forged),
            "{cipher:?}: another hash"
        );
    }
}

#[test]
fn where_the_size_is_told_the_tag_may_be_missing_if_a_hash_is_there() {
    let file = bytes(50, 1);
    let (cipher, size) = (FileCipher::Aes256Gcm, Some(50));
    let hashed = file_key(cipher, 12, size, vec![sha256(&file)]).unwrap();
    let bare = file_key(cipher, 12, size, Vec::new()).unwrap();
    let sealed = seal(cipher, hashed.key(), hashed.iv(), &file);
    let without_tag = &sealed[..50];
    let padded = [without_tag, &[0; 30]].concat();
    for pieces in [1, 16, 100] {
        assert_eq!(open(&bare, &sealed, pieces).as_deref(), Ok(file.as_slice()));
        assert_eq!(open(&hashed, without_tag, pieces).as_deref(), Ok(file.as_slice()));
        assert_eq!(
            open(&hashed, &padded, pieces).as_deref(),
            Ok(file.as_slice()),
            "cut off"
        );
        assert_eq!(
            open(&bare, without_tag, pieces),
            Err(FileError::Forged),
            "nothing vouches for it"
        );
        assert_eq!(open(&bare, &padded, pieces), Err(FileError::Forged));
        assert_eq!(
            open(&bare, &sealed[..60], pieces),
            Err(FileError::Forged),
            "half a tag"
        );
        assert_eq!(open(&hashed, &sealed[..49], pieces), Err(FileError::Truncated));
        assert_eq!(open(&hashed, b"", pieces), Err(FileError::Truncated));
        let mut forged = sealed.clone();
        forged[65] ^= 1;
        assert_eq!(
            open(&hashed, &forged, pieces),
            Err(FileError::Forged),
            "a tag that is there counts"
        );
    }
}

#[test]
fn keys_vectors_and_digests_of_wrong_length_are_refused() {
    let new = |cipher, key, iv, hashes| {
        FileKey::new(cipher, Zeroizing::new(bytes(key, 3)), bytes(iv, 5), None, hashes).is_ok()
    };
    for cipher in FileCipher::ALL {
        let (right_key, right_ivs): (usize, &[usize]) = match cipher {
            FileCipher::Aes128Gcm => (16, &[12, 16]),
            FileCipher::Aes256Gcm => (32, &[12, 16]),
            FileCipher::Aes256Cbc => (32, &[16]),
        };
        for key in 0..=64 {
            assert_eq!(
                new(cipher, key, 16, vec![sha256(b"")]),
                key == right_key,
                "{cipher:?} {key}"
            );
        }
        for iv in 0..=64 {
            let right = right_ivs.contains(&iv);
            assert_eq!(
                new(cipher, right_key, iv, vec![sha256(b"")]),
                right,
                "{cipher:?} {iv}"
            );
        }
        let short = vec![(FileHash::Sha256, vec![0; 31])];
        assert!(!new(cipher, right_key, 16, short));
    }
    assert!(
        !new(FileCipher::Aes256Cbc, 32, 16, Vec::new()),
        "nothing would tell a forged file"
    );
}

#[test]
fn hashes_are_what_their_names_say() {
    for (name, digest) in DIGESTS {
        let hash = FileHash::from_name(name).unwrap();
        assert_eq!(hash.length(), digest.len() / 2);
        let hashes = vec![(hash, unhex(digest))];
        let key = file_key(FileCipher::Aes256Cbc, 16, None, hashes).unwrap();
        let sealed = seal(FileCipher::Aes256Cbc, key.key(), key.iv(), HASHED);
        assert_eq!(open(&key, &sealed, 5).as_deref(), Ok(HASHED), "{name}");
    }
    for weak in ["md5", "sha-1", "md2", "sha-224", "SHA-256", ""] {
        assert_eq!(FileHash::from_name(weak), None, "{weak}");
    }
}

#[test]
fn nothing_of_the_key_is_shown() {
    let key = file_key(FileCipher::Aes256Gcm, 12, None, Vec::new()).unwrap();
    assert_eq!(format!("{key:?}"), "FileKey { cipher: Aes256Gcm, .. }");
}
