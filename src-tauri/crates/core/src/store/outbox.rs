//! What is to be sent and not yet confirmed.

use sqlx::FromRow;

use super::accounts::Address;
use super::{Connection, Write};
use crate::error::Result;
use crate::model::{AccountId, ChatId, MessageId};

/// What may happen to a message on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "TEXT", rename_all = "snake_case")]
pub(crate) enum Encrypt {
    /// It is encrypted or it fails.
    Must,
    /// It is encrypted if the other side has devices, and plain otherwise.
    May,
    /// It is plain, as the person chose.
    None,
}

/// One thing to be sent.
#[derive(Clone, Debug)]
pub(crate) struct OutboxRow {
    pub(crate) id: i64,
    pub(crate) encrypt: Encrypt,
    pub(crate) stanza: Option<Vec<u8>>,
    pub(crate) message: Option<OutboxMessage>,
}

/// The message that a row of the outbox stands for.
#[derive(Clone, Debug)]
pub(crate) struct OutboxMessage {
    pub(crate) message: MessageId,
    pub(crate) chat: ChatId,
    pub(crate) address: Address,
    pub(crate) body: String,
    pub(crate) origin_id: String,
}

/// Queues a message that is stored.
pub(crate) async fn push_message(
    write: &mut Write,
    account: AccountId,
    message: MessageId,
    encrypt: Encrypt,
) -> Result<()> {
    sqlx::query("INSERT INTO outbox (account, message, encrypt) VALUES (?, ?, ?)")
        .bind(account)
        .bind(message)
        .bind(encrypt)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Queues a ready stanza that no message stands behind.
pub(crate) async fn push_stanza(write: &mut Write, account: AccountId, stanza: &[u8]) -> Result<()> {
    sqlx::query("INSERT INTO outbox (account, encrypt, stanza) VALUES (?, 'none', ?)")
        .bind(account)
        .bind(stanza)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// The rows behind `after`, oldest first.
pub(crate) async fn behind(
    db: &mut Connection,
    account: AccountId,
    after: i64,
    limit: u32,
) -> Result<Vec<OutboxRow>> {
    #[derive(FromRow)]
    struct Row {
        id: i64,
        encrypt: Encrypt,
        stanza: Option<Vec<u8>>,
        message: Option<MessageId>,
        chat: Option<ChatId>,
        address: Option<String>,
        body: Option<String>,
        origin_id: Option<String>,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT outbox.id, outbox.encrypt, outbox.stanza, outbox.message, message.chat, chat.address, message.body,
             message.origin_id
         FROM outbox LEFT JOIN message ON message.id = outbox.message LEFT JOIN chat ON chat.id = message.chat
         WHERE outbox.account = ? AND outbox.id > ? ORDER BY outbox.id LIMIT ?",
    )
    .bind(account)
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| OutboxRow {
            id: row.id,
            encrypt: row.encrypt,
            stanza: row.stanza,
            message: (|| {
                Some(OutboxMessage {
                    message: row.message?,
                    chat: row.chat?,
                    address: Address::try_from(row.address?).ok()?,
                    body: row.body.unwrap_or_default(),
                    origin_id: row.origin_id?,
                })
            })(),
        })
        .collect())
}

/// Stores the ready stanza before its first byte is sent.
pub(crate) async fn set_stanza(write: &mut Write, id: i64, stanza: &[u8]) -> Result<()> {
    sqlx::query("UPDATE outbox SET stanza = ? WHERE id = ?")
        .bind(stanza)
        .bind(id)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// The message behind a row, and its chat.
pub(crate) async fn message(db: &mut Connection, id: i64) -> Result<Option<(MessageId, ChatId)>> {
    Ok(sqlx::query_as(
        "SELECT message.id, message.chat FROM outbox JOIN message ON message.id = outbox.message WHERE outbox.id = ?",
    )
    .bind(id)
    .fetch_optional(db)
    .await?)
}

/// Takes rows out that the server has, and names the messages behind them.
pub(crate) async fn confirm(write: &mut Write, ids: &[i64]) -> Result<Vec<MessageId>> {
    let messages: Vec<Option<MessageId>> = sqlx::query_scalar(
        "DELETE FROM outbox WHERE id IN (SELECT value FROM json_each(?)) RETURNING message",
    )
    .bind(sqlx::types::Json(ids))
    .fetch_all(&mut **write)
    .await?;
    Ok(messages.into_iter().flatten().collect())
}

/// Takes a message out whose fate is known.
pub(crate) async fn remove_message(write: &mut Write, message: MessageId) -> Result<()> {
    sqlx::query("DELETE FROM outbox WHERE message = ?")
        .bind(message)
        .execute(&mut **write)
        .await?;
    Ok(())
}
