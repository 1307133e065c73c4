//! The one error type of core, and the codes that the window acts on.

use serde::Serialize;
use ts_rs::TS;

use crate::words::words;

words!(
    /// What went wrong, as a stable code: the window maps it to words and to an action.
    Code {
        // A request that makes no sense.
        InvalidParams = "invalid_params",
        InvalidRequest = "invalid_request",
        UnknownMethod = "unknown_method",
        NotFound = "not_found",
        InvalidAddress = "invalid_address",
        AccountExists = "account_exists",
        EmptyMessage = "empty_message",
        TooLarge = "too_large",
        NotOnline = "not_online",
        NoKeyLink = "no_key_link",
        // Reaching the server.
        ServerNotFound = "server_not_found",
        Unreachable = "unreachable",
        Timeout = "timeout",
        CertificateUnknownIssuer = "certificate_unknown_issuer",
        CertificateWrongName = "certificate_wrong_name",
        CertificateExpired = "certificate_expired",
        CertificateInvalid = "certificate_invalid",
        CertificateChanged = "certificate_changed",
        ProxyFailed = "proxy_failed",
        ProxyRefused = "proxy_refused",
        TlsFailed = "tls_failed",
        TlsUnavailable = "tls_unavailable",
        // Signing in.
        WrongPassword = "wrong_password",
        AccountDisabled = "account_disabled",
        LoginWeakened = "login_weakened",
        PlainOnly = "plain_only",
        LoginUnsupported = "login_unsupported",
        ServerUntrustworthy = "server_untrustworthy",
        // While signed in.
        Conflict = "conflict",
        PolicyViolation = "policy_violation",
        ServerShutdown = "server_shutdown",
        ServerBusy = "server_busy",
        StreamFailed = "stream_failed",
        Disconnected = "disconnected",
        // Sending.
        Rejected = "rejected",
        NotSupported = "not_supported",
        NoDevices = "no_devices",
        NoTrustedDevices = "no_trusted_devices",
        DevicesForbidden = "devices_forbidden",
        // Fetching files.
        NotAgreed = "not_agreed",
        // The profile on disk.
        ProfileInUse = "profile_in_use",
        PassphraseNeeded = "passphrase_needed",
        WrongPassphrase = "wrong_passphrase",
        KeychainUnavailable = "keychain_unavailable",
        KeyMissing = "key_missing",
        DatabaseDamaged = "database_damaged",
        DatabaseNewer = "database_newer",
        DiskFull = "disk_full",
        Storage = "storage",
        Internal = "internal",
    }
);

/// A code with a sentence for experts and logs. The sentence holds no secrets, no bodies and no addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS, thiserror::Error)]
#[error("{text}")]
pub struct Fault {
    pub code: Code,
    pub text: String,
}

/// What every function of core fails with.
pub type Error = Fault;
/// A result of core.
pub type Result<T> = std::result::Result<T, Error>;

impl Fault {
    /// A fault with its sentence.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
    /// Nothing by that id.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }
    /// A parameter outside what makes sense.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::new(Code::InvalidParams, text)
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        // Extended result codes of SQLite: the low byte is the primary code.
        let primary = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<i32>().ok())
            .map(|code| code & 0xff);
        match primary {
            Some(13) => Self::new(Code::DiskFull, "the disk is full"),
            Some(11 | 26) => Self::new(Code::DatabaseDamaged, "the database file is damaged"),
            _ => Self::new(Code::Storage, format!("the database failed: {error}")),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for Fault {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError;
        match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => Self::new(
                Code::DatabaseNewer,
                "the database was written by a newer version of Waxwing",
            ),
            MigrateError::Execute(inner) | MigrateError::ExecuteMigration(inner, _) => inner.into(),
            other => Self::new(
                Code::Storage,
                format!("bringing the database up to date failed: {other}"),
            ),
        }
    }
}
