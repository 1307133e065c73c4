//! The operating system's keychain: Secret Service on Linux, Keychain on macOS, Credential Manager on Windows.

use keyring_core::{Entry, Error as KeychainError};

use crate::error::{Code, Error, Result};

const SERVICE: &str = "org.waxwing.Waxwing";

/// Stores a secret under a name. Errors: `keychain_unavailable`.
pub(super) fn store(name: &str, secret: &str) -> Result<()> {
    entry(name)?
        .set_password(secret)
        .map_err(|error| unavailable(&error))
}

/// Finds a secret; none if there is none by that name. Errors: `keychain_unavailable`.
pub(super) fn load(name: &str) -> Result<Option<String>> {
    match entry(name)?.get_password() {
        Ok(secret) => Ok(Some(secret)),
        Err(KeychainError::NoEntry) => Ok(None),
        Err(error) => Err(unavailable(&error)),
    }
}

fn entry(name: &str) -> Result<Entry> {
    if keyring_core::get_default_store().is_none() {
        #[cfg(target_os = "linux")]
        let store = zbus_secret_service_keyring_store::Store::new();
        #[cfg(target_os = "macos")]
        let store = apple_native_keyring_store::keychain::Store::new();
        #[cfg(windows)]
        let store = windows_native_keyring_store::Store::new();
        keyring_core::set_default_store(store.map_err(|error| unavailable(&error))?);
    }
    Entry::new(SERVICE, name).map_err(|error| unavailable(&error))
}

fn unavailable(error: &KeychainError) -> Error {
    Error::new(
        Code::KeychainUnavailable,
        format!("the keychain cannot be used: {error}"),
    )
}
