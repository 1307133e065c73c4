//! How far the person has read, on this device and on others, and who may learn of it.

use std::collections::BTreeMap;

use sqlx::FromRow;

use super::accounts::Address;
use super::{Connection, Write};
use crate::error::Result;
use crate::model::{AccountId, BareJid, ChatId, MessageId, Sharing};

/// What is chosen for one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub(crate) struct Shares {
    pub(crate) receipts: Sharing,
    pub(crate) markers: Sharing,
}

/// What can be told or kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    /// That a message reached this device (XEP-0184).
    Receipts,
    /// That a message was read (XEP-0333).
    Markers,
}

/// What is chosen for those about whom something is chosen.
pub(crate) async fn shares(
    db: &mut Connection,
    account: AccountId,
) -> Result<std::collections::HashMap<BareJid, Shares>> {
    #[derive(FromRow)]
    struct Row {
        #[sqlx(try_from = "String")]
        address: Address,
        #[sqlx(flatten)]
        shares: Shares,
    }
    let rows: Vec<Row> = sqlx::query_as("SELECT address, receipts, markers FROM sharing WHERE account = ?")
        .bind(account)
        .fetch_all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.address.0, row.shares)).collect())
}

/// Chooses for one person.
pub(crate) async fn set_share(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    what: Shared,
    sharing: Sharing,
) -> Result<()> {
    let sql = match what {
        Shared::Receipts => {
            "INSERT INTO sharing (account, address, receipts) VALUES (?1, ?2, ?3)
             ON CONFLICT (account, address) DO UPDATE SET receipts = ?3"
        }
        Shared::Markers => {
            "INSERT INTO sharing (account, address, markers) VALUES (?1, ?2, ?3)
             ON CONFLICT (account, address) DO UPDATE SET markers = ?3"
        }
    };
    sqlx::query(sql)
        .bind(account)
        .bind(address.as_str())
        .bind(sharing)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Whether receipts go to this person, if they may learn anything at all.
pub(crate) async fn sends_receipts(
    db: &mut Connection,
    account: AccountId,
    address: &BareJid,
) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "SELECT CASE coalesce((SELECT receipts FROM sharing WHERE account = ?1 AND address = ?2), 'as_account')
             WHEN 'on' THEN 1 WHEN 'off' THEN 0 ELSE send_receipts END
         FROM account WHERE id = ?1",
    )
    .bind(account)
    .bind(address.as_str())
    .fetch_optional(db)
    .await?
    .unwrap_or_default())
}

// Whether the other side of a chat may learn what was read: those in the contact list, unless it is switched off.
macro_rules! may_mark {
    () => {
        "EXISTS (SELECT 1 FROM contact JOIN account ON account.id = contact.account
             LEFT JOIN sharing ON sharing.account = contact.account AND sharing.address = contact.address
             WHERE contact.account = chat.account AND contact.address = chat.address
             AND CASE coalesce(sharing.markers, 'as_account')
                 WHEN 'on' THEN 1 WHEN 'off' THEN 0 ELSE account.send_markers END)"
    };
}

/// The person has read the chat to its end on this device. Whoever may not learn of it now will not later.
pub(crate) async fn seen(write: &mut Write, chat: ChatId) -> Result<()> {
    sqlx::query(concat!(
        "UPDATE chat SET seen = last_position, marked = iif(",
        may_mark!(),
        ", marked, last_position) WHERE id = ? AND last_message IS NOT NULL AND seen < last_position"
    ))
    .bind(chat)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Another device of ours has told the other side that everything up to this message was read, and so our other
/// devices: what waits here to say the same is not sent any more.
pub(crate) async fn marked_elsewhere(write: &mut Write, chat: ChatId, message: MessageId) -> Result<()> {
    sqlx::query(
        "UPDATE chat SET marked = max(marked, message.position), synced = max(synced, message.position)
         FROM message WHERE chat.id = ?1 AND message.id = ?2 AND message.chat = ?1",
    )
    .bind(chat)
    .bind(message)
    .execute(&mut **write)
    .await?;
    drop_markers(write, chat, message).await
}

/// Takes markers for this message and for earlier ones out of the outbox, unless they are under way.
async fn drop_markers(write: &mut Write, chat: ChatId, message: MessageId) -> Result<()> {
    sqlx::query(
        "DELETE FROM outbox WHERE number IS NULL AND marks IN (
             SELECT id FROM message WHERE chat = ?1
             AND position <= (SELECT position FROM message WHERE id = ?2))",
    )
    .bind(chat)
    .bind(message)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// What has been read in a chat, and the other side does not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToMark {
    pub(crate) chat: ChatId,
    pub(crate) address: BareJid,
    /// Up to here everything has been dealt with once the marker is in the outbox.
    seen: i64,
    /// The newest message that wants a marker, with the id of its stanza; none if there is nothing to say.
    pub(crate) newest: Option<(MessageId, String)>,
}

/// The chats in which something was read that the other side does not know of.
pub(crate) async fn to_mark(db: &mut Connection, account: AccountId) -> Result<Vec<ToMark>> {
    #[derive(FromRow)]
    struct Row {
        chat: ChatId,
        #[sqlx(try_from = "String")]
        address: Address,
        seen: i64,
        message: Option<MessageId>,
        stanza_id: Option<String>,
    }
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "SELECT chat.id AS chat, chat.address, chat.seen, message.id AS message, message.stanza_id
         FROM chat LEFT JOIN message ON message.id = (SELECT newest.id FROM message newest
             WHERE newest.chat = chat.id AND newest.position > chat.marked AND newest.position <= chat.seen
             AND newest.direction = 'in' AND newest.markable ORDER BY newest.position DESC LIMIT 1) AND ",
        may_mark!(),
        " WHERE chat.account = ? AND chat.seen > chat.marked"
    ))
    .bind(account)
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ToMark {
            chat: row.chat,
            address: row.address.0,
            seen: row.seen,
            newest: row.message.zip(row.stanza_id),
        })
        .collect())
}

/// Puts the marker into the outbox, if there is one to be sent, instead of one that waits there for the same chat. From
/// then on the other side counts as told.
pub(crate) async fn mark(
    write: &mut Write,
    account: AccountId,
    read: &ToMark,
    stanza: Option<&[u8]>,
) -> Result<()> {
    if let (Some((message, _)), Some(stanza)) = (&read.newest, stanza) {
        drop_markers(write, read.chat, *message).await?;
        // Like every stanza of the outbox it knows behind what the archive will have it.
        sqlx::query(
            "INSERT INTO outbox (account, encrypt, stanza, marks, after_id, after_at, after_position)
             SELECT ?1, 'none', ?2, ?3, newest_id, newest_at, newest_position
             FROM (SELECT 1) LEFT JOIN archive ON archive.account = ?1",
        )
        .bind(account)
        .bind(stanza)
        .bind(message)
        .execute(&mut **write)
        .await?;
    }
    sqlx::query("UPDATE chat SET marked = max(marked, ?) WHERE id = ?")
        .bind(read.seen)
        .bind(read.chat)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// What has been read in a chat, and our other devices do not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToSync {
    pub(crate) chat: ChatId,
    pub(crate) address: BareJid,
    /// Up to here everything has been dealt with once that is published.
    pub(crate) seen: i64,
    /// The newest received message that our archive knows.
    pub(crate) archive_id: String,
}

/// One chat in which something was read that our other devices do not know of. What one of them has read may be newer
/// as long as that message is not here and something is missed.
pub(crate) async fn to_sync(db: &mut Connection, account: AccountId) -> Result<Option<ToSync>> {
    #[derive(FromRow)]
    struct Row {
        chat: ChatId,
        #[sqlx(try_from = "String")]
        address: Address,
        seen: i64,
        archive_id: String,
    }
    let row: Option<Row> = sqlx::query_as(
        "SELECT chat.id AS chat, chat.address, chat.seen, message.archive_id
         FROM chat JOIN message ON message.id = (SELECT newest.id FROM message newest
             WHERE newest.chat = chat.id AND newest.position > chat.synced AND newest.position <= chat.seen
             AND newest.direction = 'in' AND newest.archive_id IS NOT NULL ORDER BY newest.position DESC LIMIT 1)
         WHERE chat.account = ?1 AND chat.seen > chat.synced
         AND NOT (EXISTS (SELECT 1 FROM displayed d WHERE d.account = ?1 AND d.address = chat.address)
             AND EXISTS (SELECT 1 FROM gap WHERE gap.account = ?1 AND gap.after_id IS NOT NULL))
         ORDER BY chat.last_position DESC LIMIT 1",
    )
    .bind(account)
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| ToSync {
        chat: row.chat,
        address: row.address.0,
        seen: row.seen,
        archive_id: row.archive_id,
    }))
}

/// Our other devices know what was read up to this position.
pub(crate) async fn synced(write: &mut Write, chat: ChatId, seen: i64) -> Result<()> {
    sqlx::query("UPDATE chat SET synced = max(synced, ?) WHERE id = ?")
        .bind(seen)
        .bind(chat)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// The message of a chat with that id in our archive, and where it stands.
pub(crate) async fn archived_as(
    db: &mut Connection,
    chat: ChatId,
    archive_id: &str,
) -> Result<Option<(MessageId, i64)>> {
    Ok(
        sqlx::query_as("SELECT id, position FROM message WHERE chat = ? AND archive_id = ?")
            .bind(chat)
            .bind(archive_id)
            .fetch_optional(db)
            .await?,
    )
}

/// Another device has read up to a message that is not here yet.
pub(crate) async fn put_displayed(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    archive_id: &str,
) -> Result<()> {
    sqlx::query("INSERT OR REPLACE INTO displayed (account, address, archive_id) VALUES (?, ?, ?)")
        .bind(account)
        .bind(address.as_str())
        .bind(archive_id)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// What was read elsewhere is known here, or something newer is.
pub(crate) async fn delete_displayed(write: &mut Write, account: AccountId, address: &BareJid) -> Result<()> {
    sqlx::query("DELETE FROM displayed WHERE account = ? AND address = ?")
        .bind(account)
        .bind(address.as_str())
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Takes out what other devices have read up to and has come here since: chat, message and its position.
pub(crate) async fn displayed_here(
    write: &mut Write,
    account: AccountId,
) -> Result<Vec<(ChatId, MessageId, i64)>> {
    let here: Vec<(ChatId, MessageId, i64, String)> = sqlx::query_as(
        "SELECT chat.id, message.id, message.position, displayed.address FROM displayed
         JOIN chat ON chat.account = displayed.account AND chat.address = displayed.address
         JOIN message ON message.chat = chat.id AND message.archive_id = displayed.archive_id
         WHERE displayed.account = ?",
    )
    .bind(account)
    .fetch_all(&mut **write)
    .await?;
    if here.is_empty() {
        return Ok(Vec::new());
    }
    let addresses: Vec<&str> = here.iter().map(|(.., address)| address.as_str()).collect();
    sqlx::query("DELETE FROM displayed WHERE account = ? AND address IN (SELECT value FROM json_each(?))")
        .bind(account)
        .bind(sqlx::types::Json(addresses))
        .execute(&mut **write)
        .await?;
    Ok(here
        .into_iter()
        .map(|(chat, message, position, _)| (chat, message, position))
        .collect())
}

/// So much more was missed, and is to be summed up.
pub(crate) async fn miss(write: &mut Write, messages: &BTreeMap<ChatId, u32>) -> Result<()> {
    let pairs: Vec<(ChatId, u32)> = messages.iter().map(|(chat, count)| (*chat, *count)).collect();
    sqlx::query(
        "INSERT INTO missed (chat, messages) SELECT value ->> 0, value ->> 1 FROM json_each(?) WHERE true
         ON CONFLICT (chat) DO UPDATE SET messages = missed.messages + excluded.messages",
    )
    .bind(sqlx::types::Json(pairs))
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// What was missed and is not summed up yet.
pub(crate) async fn missed(db: &mut Connection, account: AccountId) -> Result<BTreeMap<ChatId, u32>> {
    let rows: Vec<(ChatId, u32)> = sqlx::query_as(
        "SELECT missed.chat, missed.messages FROM missed JOIN chat ON chat.id = missed.chat WHERE chat.account = ?",
    )
    .bind(account)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().collect())
}

/// The person was told of it.
pub(crate) async fn summed_up(write: &mut Write, account: AccountId) -> Result<()> {
    sqlx::query("DELETE FROM missed WHERE chat IN (SELECT id FROM chat WHERE account = ?)")
        .bind(account)
        .execute(&mut **write)
        .await?;
    Ok(())
}
