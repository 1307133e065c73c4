//! A profile's folder: one process at a time, one database, and where its key comes from.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use zeroize::Zeroizing;

use crate::error::{Code, Error, Fault, Result};
use crate::secret::{DatabaseKey, Secret, fill, hex, unhex, unhex_all};

mod keychain;

/// How opening the profile stands, for the window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Opening {
    Ready,
    /// There is no keychain; `first` if a passphrase is to be chosen.
    PassphraseNeeded {
        first: bool,
    },
    Failed {
        fault: Fault,
    },
}

/// Where the key of the database comes from.
pub enum KeySource {
    /// The operating system's keychain.
    Keychain,
    /// A passphrase that the person knows.
    Passphrase(Secret),
}

/// `key.json`: how the key is found. Holds no secret.
#[derive(Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case", deny_unknown_fields)]
enum KeyFile {
    Keychain {
        /// Names the entry in the keychain.
        entry: String,
    },
    /// Argon2id (RFC 9106) with these parameters.
    Passphrase {
        salt: String,
        memory_kib: u32,
        iterations: u32,
        lanes: u32,
    },
}

/// A profile's folder, locked against other processes until it is dropped.
pub struct Profile {
    folder: PathBuf,
    // Held, not read: the lock ends with it.
    _lock: File,
}

impl Profile {
    /// Makes the folder if it is missing and locks it. Errors: `profile_in_use`, `storage`.
    pub fn lock(folder: &Path) -> Result<Self> {
        make_private_folder(folder)?;
        let lock =
            File::create(folder.join("lock")).map_err(|error| io("the profile's lock file", &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                folder: folder.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                Code::ProfileInUse,
                "this profile is in use by another Waxwing",
            )),
            Err(TryLockError::Error(error)) => Err(io("locking the profile", &error)),
        }
    }

    /// The database's file.
    pub fn database(&self) -> PathBuf {
        self.folder.join("waxwing.db")
    }

    /// Where the folder lies, by which a copy of it is told from itself.
    pub(crate) fn place(&self) -> String {
        let folder = self.folder.canonicalize();
        let folder = folder.as_ref().unwrap_or(&self.folder);
        folder.to_string_lossy().into_owned()
    }

    /// The folder of files that were fetched, encrypted as they came.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    /// The folder of files that other programs were handed, for as long as Waxwing runs.
    pub(crate) fn opened(&self) -> PathBuf {
        self.folder.join("opened")
    }

    /// Whether the key was made from a passphrase; none if the profile is new.
    pub fn needs_passphrase(&self) -> Result<Option<bool>> {
        Ok(self
            .key_file()?
            .map(|file| matches!(file, KeyFile::Passphrase { .. })))
    }

    /// The keychain that has the profile's key; none if the key comes from a passphrase.
    pub(crate) fn keychain(&self) -> Result<Option<Keychain>> {
        Ok(match self.key_file()? {
            Some(KeyFile::Keychain { entry }) => Some(Keychain { entry }),
            Some(KeyFile::Passphrase { .. }) | None => None,
        })
    }

    /// The database's key: found, or made if the profile is new. Takes about half a second with a passphrase; not for
    /// an async thread. Errors: `passphrase_needed`, `keychain_unavailable`, `key_missing`, `storage`.
    pub fn key(&self, source: &KeySource) -> Result<DatabaseKey> {
        match (self.key_file()?, source) {
            (None, KeySource::Keychain) => {
                let key = DatabaseKey::random()?;
                let entry = Self::new_entry()?;
                // In the keychain first: a key file that names no key would lock the person out.
                keychain::store(&entry, hex(key.0.as_slice()).as_str())?;
                self.write_key_file(&KeyFile::Keychain { entry })?;
                Ok(key)
            }
            (None, KeySource::Passphrase(passphrase)) => {
                let mut salt = [0; 16];
                fill(&mut salt)?;
                let file = KeyFile::Passphrase {
                    salt: hex(&salt).to_string(),
                    memory_kib: 65_536,
                    iterations: 3,
                    lanes: 1,
                };
                let key = derive(passphrase, &file)?;
                self.write_key_file(&file)?;
                Ok(key)
            }
            (Some(KeyFile::Keychain { entry }), KeySource::Keychain) => {
                let stored = keychain::load(&entry)?.map(Zeroizing::new).ok_or_else(|| {
                    Error::new(Code::KeyMissing, "the keychain has no key for this profile")
                })?;
                unhex(&stored).map(DatabaseKey).ok_or_else(|| {
                    Error::new(
                        Code::KeyMissing,
                        "the keychain's entry for this profile is not a key",
                    )
                })
            }
            (Some(file @ KeyFile::Passphrase { .. }), KeySource::Passphrase(passphrase)) => {
                derive(passphrase, &file)
            }
            (Some(KeyFile::Passphrase { .. }), KeySource::Keychain) => Err(Error::new(
                Code::PassphraseNeeded,
                "this profile is protected by a passphrase",
            )),
            (Some(KeyFile::Keychain { .. }), KeySource::Passphrase(_)) => Err(Error::new(
                Code::WrongPassphrase,
                "this profile's key is in the keychain, not made from a passphrase",
            )),
        }
    }

    fn key_file(&self) -> Result<Option<KeyFile>> {
        let text = match std::fs::read(self.folder.join("key.json")) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return if self.database().exists() {
                    Err(Error::new(
                        Code::KeyMissing,
                        "key.json is missing beside the database",
                    ))
                } else {
                    Ok(None)
                };
            }
            Err(error) => return Err(io("reading key.json", &error)),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|_| Error::new(Code::KeyMissing, "key.json cannot be understood"))
    }

    fn write_key_file(&self, file: &KeyFile) -> Result<()> {
        let text = serde_json::to_vec_pretty(file)
            .map_err(|error| Error::new(Code::Internal, format!("key.json could not be written: {error}")))?;
        let (new, path) = (self.folder.join("key.json.new"), self.folder.join("key.json"));
        let written = File::create(&new).and_then(|mut file| {
            std::io::Write::write_all(&mut file, &text)?;
            file.sync_all()?;
            std::fs::rename(&new, &path)
        });
        written.map_err(|error| io("writing key.json", &error))
    }

    fn new_entry() -> Result<String> {
        let mut name = [0; 8];
        fill(&mut name)?;
        Ok(hex(&name).to_string())
    }
}

/// The keychain with this profile's key in it. Each call waits for the system; not for an async thread.
pub(crate) struct Keychain {
    entry: String,
}

impl Keychain {
    /// The count that was last stored under this name. Errors: `keychain_unavailable`.
    pub(crate) fn epoch(&self, name: &str) -> Result<Option<i64>> {
        Ok(keychain::load(&self.epoch_entry(name))?.and_then(|text| text.parse().ok()))
    }

    /// Errors: `keychain_unavailable`.
    pub(crate) fn set_epoch(&self, name: &str, epoch: i64) -> Result<()> {
        keychain::store(&self.epoch_entry(name), &epoch.to_string())
    }

    /// An entry of its own, so that the one with the key is never written again.
    fn epoch_entry(&self, name: &str) -> String {
        format!("{}.epoch.{name}", self.entry)
    }
}

/// Makes a folder that only its owner may look into, if it is missing.
#[cfg(unix)]
pub(crate) fn make_private_folder(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| io("making the profile's folder", &error))
}

/// Makes a folder if it is missing.
#[cfg(not(unix))]
pub(crate) fn make_private_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| io("making the profile's folder", &error))
}

fn derive(passphrase: &Secret, file: &KeyFile) -> Result<DatabaseKey> {
    let KeyFile::Passphrase {
        salt,
        memory_kib,
        iterations,
        lanes,
    } = file
    else {
        return Err(Error::new(Code::Internal, "no parameters for the passphrase"));
    };
    let broken = || Error::new(Code::KeyMissing, "key.json has parameters that cannot be used");
    let salt: Vec<u8> = unhex_all(salt).ok_or_else(broken)?;
    // Bounded, since the file may have been tampered with: 1 GiB and 16 rounds.
    if *memory_kib > 1_048_576 || *iterations > 16 {
        return Err(broken());
    }
    let params = Params::new(*memory_kib, *iterations, *lanes, Some(32)).map_err(|_| broken())?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose().as_bytes(), &salt, key.as_mut_slice())
        .map_err(|_| broken())?;
    Ok(DatabaseKey(key))
}

fn io(doing: &str, error: &std::io::Error) -> Error {
    let code = if error.kind() == std::io::ErrorKind::StorageFull {
        Code::DiskFull
    } else {
        Code::Storage
    };
    Error::new(code, format!("{doing} failed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> KeySource {
        KeySource::Passphrase(Secret::from(text.to_owned()))
    }

    #[test]
    fn the_same_passphrase_gives_the_same_key_and_another_one_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let profile = Profile::lock(folder.path()).expect("locks");
        let made = profile.key(&passphrase("correct horse")).expect("a key is made");
        let found = profile.key(&passphrase("correct horse")).expect("a key is found");
        let other = profile
            .key(&passphrase("battery staple"))
            .expect("a key is derived");
        assert_eq!(made.pragma(), found.pragma());
        assert_ne!(made.pragma(), other.pragma());
    }

    #[test]
    fn a_second_lock_on_the_same_profile_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let _first = Profile::lock(folder.path()).expect("locks");
        assert_eq!(
            Profile::lock(folder.path()).err().map(|e| e.code),
            Some(Code::ProfileInUse)
        );
    }

    #[test]
    fn a_database_without_its_key_file_is_never_taken_for_a_first_run() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("waxwing.db"), b"something").expect("writes");
        let profile = Profile::lock(folder.path()).expect("locks");
        assert_eq!(
            profile.key(&passphrase("x")).err().map(|e| e.code),
            Some(Code::KeyMissing)
        );
    }

    #[test]
    fn a_key_file_with_absurd_parameters_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let profile = Profile::lock(folder.path()).expect("locks");
        for text in [
            "",
            "{}",
            "[]",
            r#"{"source":"passphrase"}"#,
            r#"{"source":"passphrase","salt":"00","memory_kib":4294967295,"iterations":1,"lanes":1}"#,
            r#"{"source":"passphrase","salt":"zz","memory_kib":64,"iterations":1,"lanes":1}"#,
        ] {
            std::fs::write(folder.path().join("key.json"), text).expect("writes");
            assert_eq!(
                profile.key(&passphrase("x")).err().map(|e| e.code),
                Some(Code::KeyMissing),
                "{text}"
            );
        }
    }
}
