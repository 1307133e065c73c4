//! Encrypted files (XEP-0454, XEP-0448), opened piece by piece: what comes out is to be believed only after
//! [`FileOpener::finish`] said so.

use std::fmt;

use aes::cipher::block_padding::{Padding, Pkcs7};
use aes::cipher::{BlockCipherEncrypt, BlockModeDecrypt, KeyInit, KeyIvInit, StreamCipher};
use aes::{Aes128, Aes256, Block};
use ctr::Ctr32BE;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use sha2::digest::DynDigest;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// The length of a block and of a tag, in bytes.
const BLOCK: usize = 16;

/// How a file is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileCipher {
    /// AES-128 in Galois/Counter Mode.
    Aes128Gcm,
    /// AES-256 in Galois/Counter Mode, the only one of XEP-0454.
    Aes256Gcm,
    /// AES-256 in Cipher Block Chaining with the padding of PKCS#7.
    Aes256Cbc,
}

impl FileCipher {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Aes128Gcm, Self::Aes256Gcm, Self::Aes256Cbc];

    /// Its namespace (XEP-0448 §4).
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "urn:xmpp:ciphers:aes-128-gcm-nopadding:0",
            Self::Aes256Gcm => "urn:xmpp:ciphers:aes-256-gcm-nopadding:0",
            Self::Aes256Cbc => "urn:xmpp:ciphers:aes-256-cbc-pkcs7:0",
        }
    }

    const fn key_length(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::Aes256Cbc => 32,
        }
    }

    /// Old clients took vectors of 16 bytes for GCM too.
    const fn takes_iv(self, length: usize) -> bool {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => length == 12 || length == BLOCK,
            Self::Aes256Cbc => length == BLOCK,
        }
    }
}

/// A hash function that is good enough to know a file by (XEP-0300, XEP-0414).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileHash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA3-256.
    Sha3With256,
    /// SHA3-512.
    Sha3With512,
    /// `BLAKE2b` with 256 bits.
    Blake2b256,
    /// `BLAKE2b` with 512 bits.
    Blake2b512,
}

impl FileHash {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Sha256,
        Self::Sha512,
        Self::Sha3With256,
        Self::Sha3With512,
        Self::Blake2b256,
        Self::Blake2b512,
    ];

    /// Its name in XEP-0300.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
            Self::Sha3With256 => "sha3-256",
            Self::Sha3With512 => "sha3-512",
            Self::Blake2b256 => "blake2b-256",
            Self::Blake2b512 => "blake2b-512",
        }
    }

    /// The one of this name; weak and unknown ones are none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.name() == name)
    }

    /// The length of its digests, in bytes.
    pub const fn length(self) -> usize {
        match self {
            Self::Sha256 | Self::Sha3With256 | Self::Blake2b256 => 32,
            Self::Sha512 | Self::Sha3With512 | Self::Blake2b512 => 64,
        }
    }

    fn start(self) -> Box<dyn DynDigest + Send + Sync> {
        match self {
            Self::Sha256 => Box::new(sha2::Sha256::default()),
            Self::Sha512 => Box::new(sha2::Sha512::default()),
            Self::Sha3With256 => Box::new(sha3::Sha3_256::default()),
            Self::Sha3With512 => Box::new(sha3::Sha3_512::default()),
            Self::Blake2b256 => Box::new(blake2::Blake2b::<sha2::digest::consts::U32>::default()),
            Self::Blake2b512 => Box::new(blake2::Blake2b512::default()),
        }
    }
}

/// Why a file was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FileError {
    /// Key, vector or size are not what the cipher takes, or nothing says what the file must be.
    #[error("what the file is opened with is of no use: {0}")]
    BadKey(&'static str),
    /// It ends too early.
    #[error("the file ends too early")]
    Truncated,
    /// It is longer than the cipher can be.
    #[error("the file is too long")]
    TooLong,
    /// It is not what its sender encrypted.
    #[error("the file is not the one that was sent")]
    Forged,
}

/// Everything that opens a file and tells the right one. Wiped after use, and never shown.
#[derive(Clone)]
pub struct FileKey {
    cipher: FileCipher,
    key: Zeroizing<Vec<u8>>,
    iv: Vec<u8>,
    size: Option<u64>,
    hashes: Vec<(FileHash, Vec<u8>)>,
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKey")
            .field("cipher", &self.cipher)
            .finish_non_exhaustive()
    }
}

/// So many hashes of a file are checked; more would only cost work.
const MAX_HASHES: usize = 3;

impl FileKey {
    /// Checks that these go together. `size` and `hashes` are those of the file itself; hashes are needed where nothing
    /// else tells a forged file (XEP-0448 §4), digests of wrong length are errors.
    pub fn new(
        cipher: FileCipher,
        key: Zeroizing<Vec<u8>>,
        iv: Vec<u8>,
        size: Option<u64>,
        mut hashes: Vec<(FileHash, Vec<u8>)>,
    ) -> Result<Self, FileError> {
        if key.len() != cipher.key_length() {
            return Err(FileError::BadKey("key length"));
        }
        if !cipher.takes_iv(iv.len()) {
            return Err(FileError::BadKey("vector length"));
        }
        if hashes.iter().any(|(hash, digest)| digest.len() != hash.length()) {
            return Err(FileError::BadKey("digest length"));
        }
        if cipher == FileCipher::Aes256Cbc && hashes.is_empty() {
            return Err(FileError::BadKey("no hash"));
        }
        hashes.truncate(MAX_HASHES);
        Ok(Self {
            cipher,
            key,
            iv,
            size,
            hashes,
        })
    }

    /// How it is encrypted.
    pub const fn cipher(&self) -> FileCipher {
        self.cipher
    }

    /// The key itself, to be stored.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The initialisation vector.
    pub fn iv(&self) -> &[u8] {
        &self.iv
    }

    /// The file's size, if it was told.
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// The file's digests.
    pub fn hashes(&self) -> &[(FileHash, Vec<u8>)] {
        &self.hashes
    }
}

/// A file that is being opened.
pub struct FileOpener {
    mode: Mode,
    hashes: Vec<(Box<dyn DynDigest + Send + Sync>, Vec<u8>)>,
    /// How much of the file itself may still come.
    left: Option<u64>,
    /// How much of the file itself came.
    opened: u64,
}

enum Mode {
    Gcm(Box<Gcm>),
    Cbc(Box<Cbc>),
}

impl FileOpener {
    /// Begins to open a file.
    pub fn new(key: &FileKey) -> Self {
        let mode = match key.cipher {
            FileCipher::Aes128Gcm | FileCipher::Aes256Gcm => Mode::Gcm(Box::new(Gcm::new(key))),
            FileCipher::Aes256Cbc => Mode::Cbc(Box::new(Cbc::new(key))),
        };
        Self {
            mode,
            hashes: key
                .hashes
                .iter()
                .map(|(hash, digest)| (hash.start(), digest.clone()))
                .collect(),
            left: key.size,
            opened: 0,
        }
    }

    /// Takes the next piece of the encrypted file and puts what it opens to behind `out`.
    pub fn update(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), FileError> {
        let from = out.len();
        match &mut self.mode {
            Mode::Gcm(gcm) => gcm.update(piece, out)?,
            Mode::Cbc(cbc) => cbc.update(piece, out),
        }
        self.keep(out, from);
        Ok(())
    }

    /// The encrypted file has ended. Puts what is left behind `out`; gives the size of the whole if it is the file that
    /// was sent.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<u64, FileError> {
        let from = out.len();
        let checked = match &mut self.mode {
            Mode::Gcm(gcm) => gcm.finish()?,
            Mode::Cbc(cbc) => {
                cbc.finish(out)?;
                false
            }
        };
        self.keep(out, from);
        if self.left.is_some_and(|left| left > 0) {
            return Err(FileError::Truncated);
        }
        if !checked && self.hashes.is_empty() {
            return Err(FileError::Forged);
        }
        for (hash, expected) in self.hashes {
            if *hash.finalize() != *expected {
                return Err(FileError::Forged);
            }
        }
        Ok(self.opened)
    }

    /// What is beyond the size is cut off (XEP-0448 §3.2).
    fn keep(&mut self, out: &mut Vec<u8>, from: usize) {
        let came = out.len().saturating_sub(from);
        let kept = self
            .left
            .map_or(came, |left| usize::try_from(left).unwrap_or(usize::MAX).min(came));
        out.truncate(from + kept);
        let kept_bytes = out.get(from..).unwrap_or_default();
        for (hash, _) in &mut self.hashes {
            hash.update(kept_bytes);
        }
        let kept = kept as u64;
        self.left = self.left.map(|left| left - kept);
        self.opened += kept;
    }
}

/// Galois/Counter Mode (NIST SP 800-38D) without additional data, the tag behind the file.
struct Gcm {
    keystream: Keystream,
    /// What the digest of the ciphertext is masked with.
    mask: Block,
    digest: Digest,
    /// How much of the ciphertext may still come if its length is known.
    left: Option<u64>,
    /// What may be the tag.
    tail: Vec<u8>,
    /// More came than ciphertext and tag.
    longer: bool,
}

enum Keystream {
    Aes128(Ctr32BE<Aes128>),
    Aes256(Ctr32BE<Aes256>),
}

impl Keystream {
    fn apply(&mut self, bytes: &mut [u8]) -> Result<(), FileError> {
        match self {
            Self::Aes128(stream) => stream.try_apply_keystream(bytes),
            Self::Aes256(stream) => stream.try_apply_keystream(bytes),
        }
        .map_err(|_| FileError::TooLong)
    }
}

impl Gcm {
    fn new(key: &FileKey) -> Self {
        const FITS: &str = "FileKey::new checked the lengths";
        let mut hash_key = Block::default();
        match key.cipher {
            FileCipher::Aes128Gcm => Aes128::new_from_slice(&key.key)
                .expect(FITS)
                .encrypt_block(&mut hash_key),
            _ => Aes256::new_from_slice(&key.key)
                .expect(FITS)
                .encrypt_block(&mut hash_key),
        }
        let first = first_counter(&hash_key, &key.iv);
        let mut keystream = match key.cipher {
            FileCipher::Aes128Gcm => {
                Keystream::Aes128(Ctr32BE::new_from_slices(&key.key, &first).expect(FITS))
            }
            _ => Keystream::Aes256(Ctr32BE::new_from_slices(&key.key, &first).expect(FITS)),
        };
        let mut mask = Block::default();
        keystream
            .apply(&mut mask)
            .expect("the first block is not too far");
        let digest = Digest::new(&hash_key);
        hash_key.zeroize();
        Self {
            keystream,
            mask,
            digest,
            left: key.size,
            tail: Vec::with_capacity(BLOCK),
            longer: false,
        }
    }

    fn update(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), FileError> {
        let Some(left) = &mut self.left else {
            // The end is not known: what came last may be the tag.
            self.tail.extend_from_slice(piece);
            let ciphertext = self.tail.len().saturating_sub(BLOCK);
            let ciphertext: Vec<u8> = self.tail.drain(..ciphertext).collect();
            return self.decrypt(&ciphertext, out);
        };
        let here = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
        *left -= here as u64;
        let (ciphertext, behind) = piece.split_at_checked(here).unwrap_or((piece, &[]));
        let room = BLOCK - self.tail.len();
        self.longer |= behind.len() > room;
        self.tail.extend(behind.iter().take(room));
        self.decrypt(ciphertext, out)
    }

    fn decrypt(&mut self, ciphertext: &[u8], out: &mut Vec<u8>) -> Result<(), FileError> {
        self.digest.update(ciphertext);
        let from = out.len();
        out.extend_from_slice(ciphertext);
        self.keystream.apply(out.get_mut(from..).unwrap_or_default())
    }

    /// Whether there is a tag, which then is right; without one hashes must do (XEP-0448 §4).
    fn finish(&mut self) -> Result<bool, FileError> {
        match (self.left, self.tail.len()) {
            // The file was padded, or bears no tag.
            (Some(_), _) if self.longer => return Ok(false),
            (Some(_), length) if length < BLOCK => return Ok(false),
            (None, length) if length < BLOCK => return Err(FileError::Truncated),
            _ => {}
        }
        let mut tag = self.digest.finish();
        for (byte, mask) in tag.iter_mut().zip(&self.mask) {
            *byte ^= mask;
        }
        if bool::from(tag.as_slice().ct_eq(&self.tail)) {
            Ok(true)
        } else {
            Err(FileError::Forged)
        }
    }
}

/// The counter block before the first one (NIST SP 800-38D §7.1).
fn first_counter(hash_key: &Block, iv: &[u8]) -> Block {
    if iv.len() == 12 {
        let mut counter = Block::default();
        for (byte, iv) in counter.iter_mut().zip(iv.iter().chain(&[0, 0, 0, 1])) {
            *byte = *iv;
        }
        return counter;
    }
    let mut digest = GHash::new(hash_key);
    digest.update_padded(iv);
    digest.update(&[lengths(0, iv.len() as u64)]);
    digest.finalize()
}

/// The last block of a digest: how long the two parts are, in bits.
fn lengths(additional: u64, ciphertext: u64) -> Block {
    let bits = u128::from(additional * 8) << 64 | u128::from(ciphertext.wrapping_mul(8));
    bits.to_be_bytes().into()
}

/// GHASH over pieces of any length.
struct Digest {
    hash: GHash,
    partial: Vec<u8>,
    length: u64,
}

impl Digest {
    fn new(key: &Block) -> Self {
        Self {
            hash: GHash::new(key),
            partial: Vec::with_capacity(BLOCK),
            length: 0,
        }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if !self.partial.is_empty() {
            let missing = (BLOCK - self.partial.len()).min(bytes.len());
            let (first, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
            self.partial.extend_from_slice(first);
            bytes = rest;
            if self.partial.len() < BLOCK {
                return;
            }
            self.hash.update_padded(&self.partial);
            self.partial.clear();
        }
        let whole = bytes.len() - bytes.len() % BLOCK;
        let (whole, rest) = bytes.split_at_checked(whole).unwrap_or((bytes, &[]));
        self.hash.update_padded(whole);
        self.partial.extend_from_slice(rest);
    }

    fn finish(&mut self) -> Block {
        self.hash.update_padded(&self.partial);
        self.hash.update(&[lengths(0, self.length)]);
        self.hash.clone().finalize()
    }
}

/// Cipher Block Chaining; the last block is held back until it is known to be the last.
struct Cbc {
    decryptor: cbc::Decryptor<Aes256>,
    held: Vec<u8>,
}

impl Cbc {
    fn new(key: &FileKey) -> Self {
        Self {
            decryptor: cbc::Decryptor::new_from_slices(&key.key, &key.iv)
                .expect("FileKey::new checked the lengths"),
            held: Vec::with_capacity(BLOCK),
        }
    }

    fn update(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(piece);
        let whole = self.held.len().saturating_sub(1) / BLOCK * BLOCK;
        for mut block in self
            .held
            .drain(..whole)
            .collect::<Vec<_>>()
            .chunks_exact(BLOCK)
            .map(block)
        {
            self.decryptor.decrypt_block(&mut block);
            out.extend_from_slice(&block);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), FileError> {
        if self.held.len() != BLOCK {
            return Err(FileError::Truncated);
        }
        let mut last = block(&self.held);
        self.decryptor.decrypt_block(&mut last);
        let unpadded = Pkcs7::raw_unpad(&last).map_err(|_| FileError::Forged)?;
        out.extend_from_slice(unpadded);
        Ok(())
    }
}

fn block(bytes: &[u8]) -> Block {
    let mut block = Block::default();
    for (to, from) in block.iter_mut().zip(bytes) {
        *to = *from;
    }
    block
}
