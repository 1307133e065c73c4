//! Chats as they are stored, and what can be said of their next message.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use sqlx::FromRow;

use super::accounts::Address;
use super::{Connection, Write, messages};
use crate::error::{Error, Result};
use crate::model::{AccountId, BareJid, Chat, ChatId, EncryptionMode, Lock, MessageId};

/// What is known of the other side's devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Their device list was never read.
    Unknown,
    /// They have no device, and never had one that we knew.
    NoDevices,
    /// They have no device any more.
    Gone,
    /// They have devices, but none that may be encrypted to.
    NoneTrusted,
    /// A key of theirs wants a decision, or one of our own devices does.
    Undecided,
    /// At least one device can be encrypted to.
    Usable,
}

/// What will happen to the next message.
pub(crate) fn lock(mode: Option<EncryptionMode>, reach: Reach) -> Lock {
    match (mode, reach) {
        (Some(EncryptionMode::None), _) => Lock::PlainChosen,
        (_, Reach::Usable) => Lock::Encrypted,
        (_, Reach::Undecided) => Lock::Undecided,
        (_, Reach::Unknown) => Lock::Checking,
        (None, Reach::NoDevices) => Lock::PlainNoDevices,
        (Some(EncryptionMode::Omemo), Reach::NoDevices) | (_, Reach::Gone | Reach::NoneTrusted) => {
            Lock::Blocked
        }
    }
}

/// What a chat without a choice counts as.
fn encryption(mode: Option<EncryptionMode>, lock: Lock) -> EncryptionMode {
    mode.unwrap_or(match lock {
        Lock::PlainChosen | Lock::PlainNoDevices => EncryptionMode::None,
        Lock::Encrypted | Lock::Checking | Lock::Undecided | Lock::Blocked => EncryptionMode::Omemo,
    })
}

#[derive(FromRow)]
struct ChatRow {
    id: ChatId,
    account: AccountId,
    #[sqlx(try_from = "String")]
    address: Address,
    name: Option<String>,
    mode: Option<EncryptionMode>,
    unread: u32,
    read_up_to: Option<MessageId>,
    last_message: Option<MessageId>,
    listed: bool,
    devices: bool,
    usable: bool,
    text_only: bool,
    known: bool,
    undecided: bool,
    ours_undecided: bool,
}

impl ChatRow {
    fn reach(&self) -> Reach {
        match (self.listed, self.devices, self.usable) {
            (_, true, _) if self.undecided => Reach::Undecided,
            (_, _, true) if self.ours_undecided => Reach::Undecided,
            (_, _, true) => Reach::Usable,
            (_, true, false) => Reach::NoneTrusted,
            (true, false, false) if self.known => Reach::Gone,
            (true, false, false) => Reach::NoDevices,
            (false, false, false) => Reach::Unknown,
        }
    }
}

// A key nobody decided about yet is trusted blindly when it is used (blind trust before verification), unless
// another key of that person is verified: then a new key is stored as undecided and waits for a decision.
macro_rules! select_chat {
    ($rest:literal) => {
        concat!(
            "SELECT chat.id, chat.account, chat.address, contact.name, chat.mode, chat.unread, chat.read_up_to,
                chat.last_message,
                (SELECT count(*) FROM omemo_list l WHERE l.account = chat.account AND l.address = chat.address)
                    = 2 AS listed,
                EXISTS (SELECT 1 FROM omemo_device d WHERE d.account = chat.account AND d.address = chat.address
                    AND d.omemo1 + d.omemo2 > 0) AS devices,
                EXISTS (SELECT 1 FROM omemo_device d LEFT JOIN omemo_trust t ON t.account = d.account
                    AND t.address = d.address AND t.identity = d.identity
                    WHERE d.account = chat.account AND d.address = chat.address AND d.omemo1 + d.omemo2 > 0
                    AND coalesce(t.trust, 'blind') IN ('blind', 'verified')) AS usable,
                EXISTS (SELECT 1 FROM omemo_device d WHERE d.account = chat.account AND d.address = chat.address
                    AND d.omemo1 = 1) AS text_only,
                EXISTS (SELECT 1 FROM omemo_device d WHERE d.account = chat.account AND d.address = chat.address
                    AND d.identity IS NOT NULL) AS known,
                EXISTS (SELECT 1 FROM omemo_device d JOIN omemo_trust t ON t.account = d.account
                    AND t.address = d.address AND t.identity = d.identity
                    WHERE d.account = chat.account AND d.address = chat.address AND d.omemo1 + d.omemo2 > 0
                    AND t.trust = 'undecided') AS undecided,
                EXISTS (SELECT 1 FROM account JOIN omemo_device d ON d.account = account.id
                    AND d.address = account.address JOIN omemo_trust t ON t.account = d.account
                    AND t.address = d.address AND t.identity = d.identity
                    WHERE account.id = chat.account AND d.omemo1 + d.omemo2 > 0
                    AND t.trust = 'undecided') AS ours_undecided
             FROM chat LEFT JOIN contact ON contact.account = chat.account AND contact.address = chat.address ",
            $rest
        )
    };
}

/// The chat with an address, made if there is none.
pub(crate) async fn open(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    now: Timestamp,
) -> Result<ChatId> {
    if let Some(chat) = find(write, account, address).await? {
        return Ok(chat);
    }
    Ok(
        sqlx::query_scalar(
            "INSERT INTO chat (account, address, last_position) VALUES (?, ?, ?) RETURNING id",
        )
        .bind(account)
        .bind(address.as_str())
        .bind(now.as_microsecond())
        .fetch_one(&mut **write)
        .await?,
    )
}

/// Takes back chats that were made for something in which nothing was said.
pub(crate) async fn take_back(write: &mut Write, made: &HashSet<ChatId>) -> Result<()> {
    if made.is_empty() {
        return Ok(());
    }
    let made: Vec<ChatId> = made.iter().copied().collect();
    sqlx::query(
        "DELETE FROM chat WHERE id IN (SELECT value FROM json_each(?)) AND last_message IS NULL AND mode IS NULL
             AND NOT EXISTS (SELECT 1 FROM message WHERE message.chat = chat.id)",
    )
    .bind(sqlx::types::Json(made))
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// The chat with an address, if there is one.
pub(crate) async fn find(
    db: &mut Connection,
    account: AccountId,
    address: &BareJid,
) -> Result<Option<ChatId>> {
    Ok(
        sqlx::query_scalar("SELECT id FROM chat WHERE account = ? AND address = ?")
            .bind(account)
            .bind(address.as_str())
            .fetch_optional(db)
            .await?,
    )
}

/// The chats whose next message depends on the keys of these people: all of the account, if it is one of them.
pub(crate) async fn with(
    db: &mut Connection,
    account: AccountId,
    people: &BTreeSet<BareJid>,
) -> Result<Vec<ChatId>> {
    if people.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = people.iter().map(|address| address.as_str()).collect();
    Ok(sqlx::query_scalar(
        "SELECT id FROM chat WHERE account = ?1 AND (address IN (SELECT value FROM json_each(?2))
             OR (SELECT address FROM account WHERE id = ?1) IN (SELECT value FROM json_each(?2)))",
    )
    .bind(account)
    .bind(sqlx::types::Json(names))
    .fetch_all(db)
    .await?)
}

/// What stands behind a chat's id. Errors: `not_found`.
pub(crate) async fn place(db: &mut Connection, chat: ChatId) -> Result<(AccountId, BareJid)> {
    let row: Option<(AccountId, String)> = sqlx::query_as("SELECT account, address FROM chat WHERE id = ?")
        .bind(chat)
        .fetch_optional(db)
        .await?;
    let (account, address) = row.ok_or_else(|| Error::not_found("chat"))?;
    let address = Address::try_from(address).map_err(|_| Error::not_found("chat"))?;
    Ok((account, address.0))
}

/// Chats of one account or of all, the one with the newest message first. `rev` was taken before.
pub(crate) async fn all(db: &mut Connection, account: Option<AccountId>, rev: i64) -> Result<Vec<Chat>> {
    let rows: Vec<ChatRow> = sqlx::query_as(select_chat!(
        "WHERE ?1 IS NULL OR chat.account = ?1 ORDER BY chat.last_position DESC"
    ))
    .bind(account)
    .fetch_all(&mut *db)
    .await?;
    with_last(db, rows, rev).await
}

/// The chats of these ids, in no order; those that are gone are left out. `rev` was taken before.
pub(crate) async fn some(db: &mut Connection, chats: &[ChatId], rev: i64) -> Result<Vec<Chat>> {
    let rows: Vec<ChatRow> =
        sqlx::query_as(select_chat!("WHERE chat.id IN (SELECT value FROM json_each(?))"))
            .bind(sqlx::types::Json(chats))
            .fetch_all(&mut *db)
            .await?;
    with_last(db, rows, rev).await
}

/// One chat. Errors: `not_found`.
pub(crate) async fn get(db: &mut Connection, chat: ChatId, rev: i64) -> Result<Chat> {
    some(db, &[chat], rev)
        .await?
        .pop()
        .ok_or_else(|| Error::not_found("chat"))
}

async fn with_last(db: &mut Connection, rows: Vec<ChatRow>, rev: i64) -> Result<Vec<Chat>> {
    let ids: Vec<MessageId> = rows.iter().filter_map(|row| row.last_message).collect();
    let mut last: std::collections::HashMap<_, _> = messages::some(db, &ids, rev)
        .await?
        .into_iter()
        .map(|message| (message.chat, message))
        .collect();
    Ok(rows
        .into_iter()
        .map(|row| {
            let lock = lock(row.mode, row.reach());
            Chat {
                chat: row.id,
                account: row.account,
                title: row
                    .name
                    .filter(|name| !name.is_empty())
                    .unwrap_or_else(|| row.address.0.to_string()),
                address: row.address.0,
                unread: row.unread,
                encryption: encryption(row.mode, lock),
                lock,
                text_only: row.text_only,
                read_up_to: row.read_up_to,
                last: last.remove(&row.id),
                rev,
            }
        })
        .collect())
}

/// The mode that was chosen, or latched by an encrypted message. Errors: `not_found`.
pub(crate) async fn mode(db: &mut Connection, chat: ChatId) -> Result<Option<EncryptionMode>> {
    sqlx::query_scalar("SELECT mode FROM chat WHERE id = ?")
        .bind(chat)
        .fetch_optional(db)
        .await?
        .ok_or_else(|| Error::not_found("chat"))
}

/// Sets the mode as the person chose it. Errors: `not_found`.
pub(crate) async fn set_mode(write: &mut Write, chat: ChatId, mode: EncryptionMode) -> Result<()> {
    let done = sqlx::query("UPDATE chat SET mode = ? WHERE id = ?")
        .bind(mode)
        .bind(chat)
        .execute(&mut **write)
        .await?;
    if done.rows_affected() == 0 {
        Err(Error::not_found("chat"))
    } else {
        Ok(())
    }
}

/// Latches encryption unless the person chose otherwise.
pub(crate) async fn latch(write: &mut Write, chat: ChatId) -> Result<()> {
    sqlx::query("UPDATE chat SET mode = 'omemo' WHERE id = ? AND mode IS NULL")
        .bind(chat)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Everything in the chat has been seen. True if that changed something.
pub(crate) async fn mark_read(write: &mut Write, chat: ChatId) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE chat SET unread = 0, read_up_to = last_message
         WHERE id = ? AND (unread > 0 OR read_up_to IS NOT last_message)",
    )
    .bind(chat)
    .execute(&mut **write)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The person has seen this message, and all before it. True if that is news.
pub(crate) async fn read_up_to(write: &mut Write, chat: ChatId, message: MessageId) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE chat SET read_up_to = seen.id,
             unread = (SELECT count(*) FROM message later WHERE later.chat = chat.id AND later.direction = 'in'
                 AND later.position > seen.position)
         FROM (SELECT id, position FROM message WHERE chat = ?1 AND id = ?2) AS seen
         WHERE chat.id = ?1 AND chat.unread > 0 AND coalesce((SELECT position FROM message WHERE id = chat.read_up_to), 0)
             < seen.position",
    )
    .bind(chat)
    .bind(message)
    .execute(&mut **write)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Messages were added, at rising positions: each with whether it counts as unread. Whatever stands at the end and was read
/// before anything unread came leads the mark of what was read.
pub(crate) async fn advance(write: &mut Write, chat: ChatId, added: &[(MessageId, i64, bool)]) -> Result<()> {
    let Some((last, position, _)) = added.last() else {
        return Ok(());
    };
    let read = added.iter().take_while(|(.., unread)| !unread).last();
    let unread = added.iter().filter(|(.., unread)| *unread).count();
    sqlx::query(
        "UPDATE chat SET unread = unread + ?2,
             read_up_to = iif(?3 IS NULL OR unread > 0 OR ?4 < last_position, read_up_to, ?3),
             last_message = iif(last_message IS NULL OR ?6 > last_position, ?5, last_message),
             last_position = iif(last_message IS NULL OR ?6 > last_position, ?6, last_position)
         WHERE id = ?1",
    )
    .bind(chat)
    .bind(i64::try_from(unread).unwrap_or(i64::MAX))
    .bind(read.map(|(id, ..)| id))
    .bind(read.map(|(_, position, _)| position))
    .bind(last)
    .bind(position)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Messages have changed places: which one is the last is found out anew.
pub(crate) async fn find_last(write: &mut Write, chat: ChatId) -> Result<()> {
    sqlx::query(
        "UPDATE chat SET last_message = last.id, last_position = last.position
         FROM (SELECT id, position FROM message WHERE chat = ?1 ORDER BY position DESC LIMIT 1) AS last
         WHERE chat.id = ?1",
    )
    .bind(chat)
    .execute(&mut **write)
    .await?;
    Ok(())
}
