//! Encrypted files that messages tell of: what opens them, how they stand, and where they lie.

use std::collections::HashSet;

use serde::Deserialize;
use sqlx::FromRow;
use sqlx::types::Json;
use waxwing_omemo::{FileCipher, FileHash, FileKey};
use zeroize::Zeroizing;

use super::accounts::Address;
use super::{Connection, Write};
use crate::error::{Error, Result};
use crate::model::{
    AccountId, BareJid, ChatId, Direction, File, FileFailure, FileId, FileState, MessageId, Picture,
};
use crate::secret::{hex, unhex_all};

/// A file that a new message tells of.
#[derive(Clone, Debug)]
pub(crate) struct NewFile {
    pub(crate) name: String,
    pub(crate) media_type: Option<String>,
    /// Opening it may run something.
    pub(crate) program: bool,
    /// What opens it; none if there is no way that we take.
    pub(crate) key: Option<FileKey>,
    /// Where it lies, as URLs.
    pub(crate) sources: Vec<String>,
    /// Whom the first of them asks.
    pub(crate) host: Option<String>,
}

/// A file as messages show it: one object of the array that the query makes.
#[derive(Debug, Deserialize)]
pub(super) struct Shown {
    id: FileId,
    name: String,
    media_type: Option<String>,
    size: Option<i64>,
    state: FileState,
    failure: Option<FileFailure>,
    host: Option<String>,
    picture: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    program: u8,
}

/// The files of a message, in its order.
pub(super) fn show(mut files: Vec<Shown>) -> Vec<File> {
    files.sort_by_key(|file| file.id);
    files.into_iter().map(Shown::show).collect()
}

impl Shown {
    fn show(self) -> File {
        File {
            file: self.id,
            program: self.program != 0,
            name: self.name,
            media_type: self.media_type,
            size: self.size,
            state: self.state,
            received: None,
            failure: self.failure,
            host: self.host,
            picture: self
                .picture
                .and(self.width.zip(self.height))
                .map(|(width, height)| Picture { width, height }),
        }
    }
}

/// Everything about one file.
pub(crate) struct Sealed {
    pub(crate) file: FileId,
    pub(crate) message: MessageId,
    pub(crate) chat: ChatId,
    pub(crate) account: AccountId,
    /// With whom the chat is.
    pub(crate) with: BareJid,
    pub(crate) direction: Direction,
    pub(crate) name: String,
    pub(crate) size: Option<u64>,
    pub(crate) state: FileState,
    pub(crate) failure: Option<FileFailure>,
    pub(crate) host: Option<String>,
    pub(crate) sources: Vec<String>,
    pub(crate) key: Option<FileKey>,
    /// Its name in the folder of files.
    pub(crate) stored: Option<String>,
    /// The type of the picture that it is.
    pub(crate) picture: Option<String>,
}

#[derive(FromRow)]
struct Row {
    id: FileId,
    message: MessageId,
    chat: ChatId,
    account: AccountId,
    #[sqlx(try_from = "String")]
    address: Address,
    direction: Direction,
    name: String,
    size: Option<i64>,
    told_size: Option<i64>,
    state: FileState,
    failure: Option<FileFailure>,
    host: Option<String>,
    sources: Json<Vec<String>>,
    cipher: Option<String>,
    key: Option<Vec<u8>>,
    iv: Option<Vec<u8>>,
    hashes: Json<Vec<(String, String)>>,
    stored: Option<String>,
    picture: Option<String>,
}

/// Stores the files of a message.
pub(crate) async fn insert(write: &mut Write, message: MessageId, files: &[NewFile]) -> Result<()> {
    for (place, file) in (0_i64..).zip(files) {
        let key = file.key.as_ref();
        let size = key
            .and_then(FileKey::size)
            .and_then(|size| i64::try_from(size).ok());
        let hashes: Vec<(&str, String)> = key
            .map_or(&[][..], FileKey::hashes)
            .iter()
            .map(|(hash, digest)| (hash.name(), hex(digest).to_string()))
            .collect();
        let (state, failure) = match key {
            Some(_) => (FileState::Offered, None),
            None => (FileState::Failed, Some(FileFailure::NotEncrypted)),
        };
        sqlx::query(
            "INSERT INTO file (message, place, name, media_type, size, told_size, state, failure, host, sources,
                cipher, key, iv, hashes, program)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )
        .bind(message)
        .bind(place)
        .bind(&file.name)
        .bind(&file.media_type)
        .bind(size)
        .bind(state)
        .bind(failure)
        .bind(&file.host)
        .bind(Json(&file.sources))
        .bind(key.map(|key| key.cipher().namespace()))
        .bind(key.map(FileKey::key))
        .bind(key.map(FileKey::iv))
        .bind(Json(hashes))
        .bind(file.program)
        .execute(&mut **write)
        .await?;
    }
    Ok(())
}

/// One file. Errors: `not_found`.
pub(crate) async fn get(db: &mut Connection, file: FileId) -> Result<Sealed> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT file.id, message, message.chat, chat.account, chat.address, direction, name, size, told_size, state,
            failure, file.host, sources, cipher, key, iv, hashes, stored, picture
         FROM file JOIN message ON message.id = file.message JOIN chat ON chat.id = message.chat
         WHERE file.id = ?",
    )
    .bind(file)
    .fetch_optional(db)
    .await?;
    let row = row.ok_or_else(|| Error::not_found("file"))?;
    Ok(Sealed {
        key: key(&row),
        file: row.id,
        message: row.message,
        chat: row.chat,
        account: row.account,
        with: row.address.0,
        direction: row.direction,
        name: row.name,
        size: row.size.and_then(|size| u64::try_from(size).ok()),
        state: row.state,
        failure: row.failure,
        host: row.host,
        sources: row.sources.0,
        stored: row.stored,
        picture: row.picture,
    })
}

fn key(row: &Row) -> Option<FileKey> {
    let named = row.cipher.as_deref()?;
    let cipher = FileCipher::ALL
        .into_iter()
        .find(|cipher| cipher.namespace() == named)?;
    let hashes = row
        .hashes
        .iter()
        .filter_map(|(name, digest)| Some((FileHash::from_name(name)?, unhex_all(digest)?)))
        .collect();
    let size = row.told_size.and_then(|size| u64::try_from(size).ok());
    FileKey::new(
        cipher,
        Zeroizing::new(row.key.clone()?),
        row.iv.clone()?,
        size,
        hashes,
    )
    .ok()
}

/// A file is here, checked, under this name in the folder of files.
pub(crate) async fn ready(
    write: &mut Write,
    file: FileId,
    stored: &str,
    size: u64,
    picture: Option<(&str, Picture)>,
) -> Result<()> {
    sqlx::query(
        "UPDATE file SET state = 'ready', failure = NULL, stored = ?2, size = ?3, picture = ?4, width = ?5, height = ?6
         WHERE id = ?1",
    )
    .bind(file)
    .bind(stored)
    .bind(i64::try_from(size).unwrap_or(i64::MAX))
    .bind(picture.map(|(kind, _)| kind))
    .bind(picture.map(|(_, picture)| picture.width))
    .bind(picture.map(|(_, picture)| picture.height))
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// A file could not be had, or is here no longer; what was found out about where it is and how large is kept.
pub(crate) async fn failed(
    write: &mut Write,
    file: FileId,
    failure: FileFailure,
    host: Option<&str>,
    size: Option<u64>,
) -> Result<()> {
    sqlx::query(
        "UPDATE file SET state = 'failed', failure = ?2, host = coalesce(?3, host), size = coalesce(?4, size),
            stored = NULL, picture = NULL
         WHERE id = ?1",
    )
    .bind(file)
    .bind(failure)
    .bind(host)
    .bind(size.map(|size| i64::try_from(size).unwrap_or(i64::MAX)))
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// The names of all that lies in the folder of files.
pub(crate) async fn stored(db: &mut Connection) -> Result<HashSet<String>> {
    let names: Vec<String> = sqlx::query_scalar("SELECT stored FROM file WHERE stored IS NOT NULL")
        .fetch_all(db)
        .await?;
    Ok(names.into_iter().collect())
}

/// All files of an account, and under which names those that are here lie in the folder of files.
pub(crate) async fn of_account(
    db: &mut Connection,
    account: AccountId,
) -> Result<Vec<(FileId, Option<String>)>> {
    Ok(sqlx::query_as(
        "SELECT file.id, stored FROM file JOIN message ON message.id = file.message
             JOIN chat ON chat.id = message.chat
         WHERE chat.account = ?",
    )
    .bind(account)
    .fetch_all(db)
    .await?)
}
