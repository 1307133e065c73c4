//! The only SQL. One writer, several readers, everything encrypted by SQLCipher.

pub(crate) mod accounts;
pub(crate) mod archive;
pub(crate) mod chats;
pub(crate) mod contacts;
pub(crate) mod epoch;
pub(crate) mod files;
pub(crate) mod messages;
pub(crate) mod omemo;
pub(crate) mod outbox;
pub(crate) mod reading;
pub(crate) mod receipts;
pub(crate) mod search;
pub(crate) mod sessions;
pub(crate) mod too_early;

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Sqlite, SqliteConnection, Transaction};

use crate::error::{Code, Error, Result};
use crate::secret::DatabaseKey;

/// A write that becomes true when it is committed. There is one at a time.
pub(crate) type Write = Transaction<'static, Sqlite>;

/// The writer keeps so much of the database in memory, in negative KiB as SQLite wants it: whatever comes in touches pages all
/// over the indexes, and each that is not kept is read, checked and decrypted again.
const CACHE: &str = "-8192";

/// After so many pages of 4 KiB the write-ahead log goes into the database. Pages that are written again and again until then,
/// as those of indexes are, go there once.
const CHECKPOINT: &str = "4000";

/// The profile's database.
pub(crate) struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    rev: AtomicI64,
}

impl Store {
    /// Opens the database, makes it if there is none and brings it up to date.
    /// Errors: `wrong_passphrase` if the key does not open it, `database_damaged`, `database_newer`, `disk_full`.
    pub(crate) async fn open(file: &Path, key: &DatabaseKey) -> Result<Self> {
        #[cfg(test)]
        tests::wait_for_database_threads_at_end();
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            // Must come first: SQLCipher reads nothing before it knows the key.
            .pragma("key", key.pragma())
            // It reports a wrong key on standard error otherwise; the error that sqlx returns says it too.
            .pragma("cipher_log_level", "NONE")
            .pragma("secure_delete", "ON")
            // Statements are logged otherwise, the one with the key among them.
            .disable_statement_logging()
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A message that was acknowledged, and a ratchet that was advanced, survive a power cut.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10));
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(
                options
                    .clone()
                    .pragma("cache_size", CACHE)
                    .pragma("wal_autocheckpoint", CHECKPOINT),
            )
            .await
            .map_err(wrong_key)?;
        sqlx::migrate!("./migrations").run(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options.read_only(true))
            .await?;
        // Starting from the clock keeps it rising from one start to the next; 2^53 microseconds are year 2255.
        Ok(Self {
            writer,
            readers,
            rev: AtomicI64::new(Timestamp::now().as_microsecond()),
        })
    }

    /// Begins the one write; waits for the one under way.
    pub(crate) async fn write(&self) -> Result<Write> {
        const BEGIN: &str = "BEGIN IMMEDIATE";
        match self.writer.begin_with(BEGIN).await {
            // SQLite has rolled back by itself, as it does when the disk is full, and the connection still counts that
            // transaction: nothing could ever be written over it again.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                self.writer.acquire().await?.close().await?;
                Ok(self.writer.begin_with(BEGIN).await?)
            }
            begun => Ok(begun?),
        }
    }

    /// A connection that sees what is committed.
    pub(crate) async fn read(&self) -> Result<PoolConnection<Sqlite>> {
        Ok(self.readers.acquire().await?)
    }

    /// The next `rev`. Whoever shows an object takes it before reading the object: then of two readings the one
    /// with the higher `rev` is never the older.
    pub(crate) fn next_rev(&self) -> i64 {
        self.rev.fetch_add(1, Ordering::SeqCst)
    }

    /// Closes all connections; the write-ahead log is merged into the database file.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// SQLCipher cannot tell a wrong key from a file that is not a database (`SQLITE_NOTADB`).
fn wrong_key(error: sqlx::Error) -> Error {
    match Error::from(error) {
        Error {
            code: Code::DatabaseDamaged,
            ..
        } => Error::new(
            Code::WrongPassphrase,
            "the key does not open the database, or the file is damaged",
        ),
        other => other,
    }
}

/// Milliseconds since 1970 as the database has them.
pub(crate) fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// The time of a column; a time outside the calendar becomes its beginning.
pub(crate) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// What store functions read from: a reader or a write under way.
pub(crate) type Connection = SqliteConnection;

#[cfg(test)]
pub(crate) mod tests;

#[cfg(test)]
async fn test_store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(
        &folder.path().join("waxwing.db"),
        &DatabaseKey::random().expect("random bytes"),
    )
    .await
    .expect("a fresh database opens");
    (folder, store)
}
