//! Chats as they are stored, and what can be said of their next message.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use sqlx::types::Json;
use waxwing_omemo::Profile;

use super::accounts::Address;
use super::{Connection, Write, messages, millis};
use crate::error::{Error, Result};
use crate::model::{AccountId, BareJid, Chat, ChatId, EncryptionMode, Lock, MessageId};

/// What is known of the other side's devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Their device list was never read.
    Unknown,
    /// Their server does not give it to us.
    Closed,
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
        (Some(EncryptionMode::Omemo), Reach::NoDevices)
        | (_, Reach::Gone | Reach::NoneTrusted | Reach::Closed) => Lock::Blocked,
    }
}

/// What a chat without a choice counts as.
fn encryption(mode: Option<EncryptionMode>, lock: Lock) -> EncryptionMode {
    mode.unwrap_or(match lock {
        Lock::PlainChosen | Lock::PlainNoDevices => EncryptionMode::None,
        Lock::Encrypted | Lock::Checking | Lock::Undecided | Lock::Blocked => EncryptionMode::Omemo,
    })
}

/// A chat as `select_chats` reads it.
#[derive(Deserialize)]
struct ChatRow {
    id: ChatId,
    account: AccountId,
    address: BareJid,
    name: Option<String>,
    mode: Option<EncryptionMode>,
    unread: u32,
    read_up_to: Option<MessageId>,
    last_message: Option<MessageId>,
    /// In how many namespaces their list was read.
    lists: u32,
    /// Their server does not give us one of them.
    #[serde(deserialize_with = "truth")]
    closed: bool,
    #[serde(deserialize_with = "truth")]
    devices: bool,
    #[serde(deserialize_with = "truth")]
    usable: bool,
    #[serde(deserialize_with = "truth")]
    text_only: bool,
    #[serde(deserialize_with = "truth")]
    known: bool,
    #[serde(deserialize_with = "truth")]
    undecided: bool,
    #[serde(deserialize_with = "truth")]
    ours_undecided: bool,
    #[serde(deserialize_with = "truth")]
    taken_back: bool,
    /// The chat is with ourselves.
    #[serde(deserialize_with = "truth")]
    oneself: bool,
}

/// SQLite's numbers for true and false, which JSON has words for.
fn truth<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<bool, D::Error> {
    Ok(u8::deserialize(from)? != 0)
}

impl ChatRow {
    /// What `account::reach` decides when it comes to sending, told from a few columns so that a thousand chats are listed
    /// at once; a test there holds both against each other.
    fn reach(&self) -> Reach {
        if self.oneself && !self.undecided {
            // Nobody but this device need be able to read it.
            return Reach::Usable;
        }
        let listed = self.lists as usize == Profile::ALL.len();
        match (listed, self.devices, self.usable) {
            (_, true, _) if self.undecided => Reach::Undecided,
            (_, _, true) if self.ours_undecided => Reach::Undecided,
            (_, _, true) => Reach::Usable,
            (_, true, false) => Reach::NoneTrusted,
            (true, false, false) if self.known => Reach::Gone,
            (true, false, false) => Reach::NoDevices,
            (false, false, false) if self.closed => Reach::Closed,
            (false, false, false) => Reach::Unknown,
        }
    }
}

// A key nobody decided about yet is trusted blindly when it is used (blind trust before verification), unless
// another key of that person is verified: then a new key is stored as undecided and waits for a decision.
// All of them are one JSON array, as `select_messages` says.
macro_rules! select_chats {
    ($rest:literal) => {
        concat!(
            "SELECT '[' || coalesce(group_concat(row), '') || ']' FROM (SELECT json_object('id', chat.id,
                'account', chat.account, 'address', chat.address, 'name', contact.name, 'mode', chat.mode,
                'unread', chat.unread, 'read_up_to', chat.read_up_to, 'last_message', chat.last_message,
                'lists', (SELECT count(*) FROM omemo_list l
                    WHERE l.account = chat.account AND l.address = chat.address),
                'closed', EXISTS (SELECT 1 FROM omemo_list_fault f
                    WHERE f.account = chat.account AND f.address = chat.address),
                'devices', EXISTS (SELECT 1 FROM omemo_device d WHERE d.account = chat.account
                    AND d.address = chat.address AND d.omemo1 + d.omemo2 > 0),
                'usable', EXISTS (SELECT 1 FROM omemo_device d LEFT JOIN omemo_trust t ON t.account = d.account
                    AND t.address = d.address AND t.identity = d.identity
                    WHERE d.account = chat.account AND d.address = chat.address AND d.omemo1 + d.omemo2 > 0
                    AND coalesce(t.trust, 'blind') IN ('blind', 'verified')),
                'text_only', EXISTS (SELECT 1 FROM omemo_device d WHERE d.account = chat.account
                    AND d.address = chat.address AND d.omemo1 = 1),
                'known', EXISTS (SELECT 1 FROM omemo_device d WHERE d.account = chat.account
                    AND d.address = chat.address AND d.identity IS NOT NULL),
                'undecided', EXISTS (SELECT 1 FROM omemo_device d JOIN omemo_trust t ON t.account = d.account
                    AND t.address = d.address AND t.identity = d.identity
                    WHERE d.account = chat.account AND d.address = chat.address AND d.omemo1 + d.omemo2 > 0
                    AND t.trust = 'undecided'),
                'ours_undecided', EXISTS (SELECT 1 FROM account JOIN omemo_device d ON d.account = account.id
                    AND d.address = account.address JOIN omemo_trust t ON t.account = d.account
                    AND t.address = d.address AND t.identity = d.identity
                    WHERE account.id = chat.account AND d.omemo1 + d.omemo2 > 0
                    AND t.trust = 'undecided'),
                'taken_back', EXISTS (SELECT 1 FROM omemo_trust t JOIN omemo_device d ON d.account = t.account
                    AND d.address = t.address AND d.identity = t.identity
                    WHERE t.account = chat.account AND t.address = chat.address AND t.taken_back_by IS NOT NULL),
                'oneself', EXISTS (SELECT 1 FROM account
                    WHERE account.id = chat.account AND account.address = chat.address)) AS row
             FROM chat LEFT JOIN contact ON contact.account = chat.account AND contact.address = chat.address ",
            $rest,
            ")"
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
    match find(write, account, address).await? {
        Some(chat) => Ok(chat),
        None => make(write, account, address, now).await,
    }
}

/// Makes the chat with an address, which is not there.
pub(crate) async fn make(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    now: Timestamp,
) -> Result<ChatId> {
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
    .bind(Json(made))
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

/// The chats there are with these people, each with since when it is encrypted for good, if it is.
pub(crate) async fn among(
    db: &mut Connection,
    account: AccountId,
    people: &BTreeSet<&BareJid>,
) -> Result<Vec<(BareJid, ChatId, Option<i64>)>> {
    let names: Vec<&str> = people.iter().map(|address| address.as_str()).collect();
    let Json(chats) = sqlx::query_scalar(
        "SELECT json_group_array(json_array(address, id, iif(mode IS 'omemo', coalesce(latched_at, 0), NULL))) FROM chat
         WHERE account = ? AND address IN (SELECT value FROM json_each(?))",
    )
    .bind(account)
    .bind(Json(names))
    .fetch_one(db)
    .await?;
    Ok(chats)
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
    .bind(Json(names))
    .fetch_all(db)
    .await?)
}

/// What stands behind a chat's id. Errors: `not_found`.
pub(crate) async fn place(db: &mut Connection, chat: ChatId) -> Result<(AccountId, BareJid)> {
    place_of(db, chat).await?.ok_or_else(|| Error::not_found("chat"))
}

/// What stands behind a chat's id, if there is such a chat.
pub(crate) async fn place_of(db: &mut Connection, chat: ChatId) -> Result<Option<(AccountId, BareJid)>> {
    let row: Option<(AccountId, String)> = sqlx::query_as("SELECT account, address FROM chat WHERE id = ?")
        .bind(chat)
        .fetch_optional(db)
        .await?;
    Ok(row.and_then(|(account, address)| Some((account, Address::try_from(address).ok()?.0))))
}

/// Chats of one account or of all, the one with the newest message first. `rev` was taken before.
pub(crate) async fn all(db: &mut Connection, account: Option<AccountId>, rev: i64) -> Result<Vec<Chat>> {
    let Json(rows): Json<Vec<ChatRow>> = sqlx::query_scalar(select_chats!(
        "WHERE ?1 IS NULL OR chat.account = ?1 ORDER BY chat.last_position DESC"
    ))
    .bind(account)
    .fetch_one(&mut *db)
    .await?;
    with_last(db, rows, rev).await
}

/// The chats of these ids, in no order; those that are gone are left out. `rev` was taken before.
pub(crate) async fn some(db: &mut Connection, chats: &[ChatId], rev: i64) -> Result<Vec<Chat>> {
    let Json(rows): Json<Vec<ChatRow>> =
        sqlx::query_scalar(select_chats!("WHERE chat.id IN (SELECT value FROM json_each(?))"))
            .bind(Json(chats))
            .fetch_one(&mut *db)
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
                    .unwrap_or_else(|| row.address.to_string()),
                address: row.address,
                unread: row.unread,
                encryption: encryption(row.mode, lock),
                lock,
                text_only: row.text_only,
                trust_taken_back: row.taken_back,
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

/// Since when the chat is encrypted for good, in milliseconds, if it is. Errors: `not_found`.
pub(crate) async fn latched_since(db: &mut Connection, chat: ChatId) -> Result<Option<i64>> {
    sqlx::query_scalar("SELECT iif(mode IS 'omemo', coalesce(latched_at, 0), NULL) FROM chat WHERE id = ?")
        .bind(chat)
        .fetch_optional(db)
        .await?
        .ok_or_else(|| Error::not_found("chat"))
}

/// Where the first message of `chat` stands that is encrypted, or was meant to be.
macro_rules! first_encrypted {
    () => {
        "(SELECT position FROM message INDEXED BY message_encrypted
          WHERE message.chat = chat.id AND (encryption <> 'none' OR undecryptable = 'malformed')
          ORDER BY position LIMIT 1)"
    };
}

/// Sets the mode as the person chose it. What came plain while that was wanted is never marked. Errors: `not_found`.
pub(crate) async fn set_mode(write: &mut Write, chat: ChatId, mode: EncryptionMode) -> Result<()> {
    let done = sqlx::query(concat!(
        "UPDATE chat SET latched_at = iif(?1 = 'omemo' AND mode IS NOT 'omemo', ?3, latched_at), mode = ?1,
             first_encrypted = ",
        first_encrypted!(),
        " WHERE id = ?2"
    ))
    .bind(mode)
    .bind(chat)
    .bind(millis(Timestamp::now()))
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
    latch_since(write, chat, Timestamp::now()).await
}

/// The same for a message of that time, which may be an older one than those that are known.
pub(crate) async fn latch_since(write: &mut Write, chat: ChatId, at: Timestamp) -> Result<()> {
    sqlx::query(
        "UPDATE chat SET latched_at = min(?2, iif(mode IS NULL, ?2, coalesce(latched_at, 0))), mode = 'omemo'
         WHERE id = ?1 AND (mode IS NULL OR mode = 'omemo' AND latched_at > ?2)",
    )
    .bind(chat)
    .bind(millis(at))
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Marks what came plain behind the chat's first encrypted message and was here before that; gives it. Called when something
/// encrypted was stored, or has changed places. Neither side's clock counts, nor what a message says of its time.
pub(crate) async fn mark_unprotected(write: &mut Write, chat: ChatId) -> Result<Vec<MessageId>> {
    let (mode, known, first): (Option<EncryptionMode>, Option<i64>, Option<i64>) = sqlx::query_as(concat!(
        "SELECT mode, first_encrypted, ",
        first_encrypted!(),
        " FROM chat WHERE id = ?"
    ))
    .bind(chat)
    .fetch_one(&mut **write)
    .await?;
    let until = known.unwrap_or(i64::MAX);
    let (Some(mode), Some(first)) = (mode, first.filter(|first| *first < until)) else {
        return Ok(Vec::new());
    };
    sqlx::query("UPDATE chat SET first_encrypted = ? WHERE id = ?")
        .bind(first)
        .bind(chat)
        .execute(&mut **write)
        .await?;
    if mode == EncryptionMode::None {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar(
        "UPDATE message INDEXED BY message_by_position SET unprotected = 1
         WHERE chat = ? AND position > ? AND position < ? AND direction = 'in' AND encryption = 'none'
             AND unprotected = 0 AND undecryptable IS NULL
         RETURNING id",
    )
    .bind(chat)
    .bind(first)
    .bind(until)
    .fetch_all(&mut **write)
    .await?)
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

/// The person has seen these messages, each the last in its chat, and all before them. True if that is news.
pub(crate) async fn read_up_to(write: &mut Write, read: &[(ChatId, MessageId)]) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE chat SET read_up_to = seen.id,
             unread = (SELECT count(*) FROM message later WHERE later.chat = chat.id AND later.direction = 'in'
                 AND later.position > seen.position)
         FROM (SELECT message.id, message.chat, message.position FROM json_each(?) AS read
             JOIN message ON message.chat = read.value ->> 0 AND message.id = read.value ->> 1) AS seen
         WHERE chat.id = seen.chat AND chat.unread > 0
             AND coalesce((SELECT position FROM message WHERE id = chat.read_up_to), 0) < seen.position",
    )
    .bind(Json(read))
    .execute(&mut **write)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// What was added to a chat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Added {
    chat: ChatId,
    /// The last message, and where it stands.
    last: MessageId,
    position: i64,
    /// The last one before which nothing counts as unread, and where it stands.
    read: Option<MessageId>,
    read_position: Option<i64>,
    unread: usize,
}

impl Added {
    /// The first of them.
    pub(crate) fn first(chat: ChatId, message: MessageId, position: i64, unread: bool) -> Self {
        let none = Self {
            chat,
            last: message,
            position,
            read: None,
            read_position: None,
            unread: 0,
        };
        none.and(message, position, unread)
    }

    /// One more, at a higher position.
    pub(crate) fn and(self, message: MessageId, position: i64, unread: bool) -> Self {
        let read = self.unread == 0 && !unread;
        Self {
            last: message,
            position,
            read: if read { Some(message) } else { self.read },
            read_position: if read { Some(position) } else { self.read_position },
            unread: self.unread + usize::from(unread),
            ..self
        }
    }
}

/// Messages were added to chats. Whatever stands at the end and was read before anything unread came leads the mark of what
/// was read.
pub(crate) async fn advance(write: &mut Write, added: &[Added]) -> Result<()> {
    // SQLite takes much longer to find members by their names.
    let added: Vec<_> = added
        .iter()
        .map(|one| {
            (
                one.chat,
                one.last,
                one.position,
                one.read,
                one.read_position,
                one.unread,
            )
        })
        .collect();
    sqlx::query(
        "UPDATE chat SET unread = chat.unread + added.unread,
             read_up_to = iif(added.read IS NULL OR chat.unread > 0 OR added.read_position < last_position,
                 read_up_to, added.read),
             last_message = iif(last_message IS NULL OR added.position > last_position, added.last, last_message),
             last_position = iif(last_message IS NULL OR added.position > last_position, added.position, last_position)
         FROM (SELECT value ->> 0 AS chat, value ->> 1 AS last, value ->> 2 AS position, value ->> 3 AS read,
             value ->> 4 AS read_position, value ->> 5 AS unread FROM json_each(?)) AS added
         WHERE chat.id = added.chat",
    )
    .bind(Json(added))
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
