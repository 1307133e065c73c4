//! Messages that came before others that they build on, as they came.

use jiff::Timestamp;
use sqlx::FromRow;

use super::accounts::Address;
use super::{Connection, Write, time};
use crate::error::Result;
use crate::model::{AccountId, ChatId, Direction, MessageId};

/// A message that waits for others, and what is told in the open of it.
#[derive(Debug)]
pub(crate) struct TooEarly {
    pub(crate) message: MessageId,
    pub(crate) chat: ChatId,
    pub(crate) with: Address,
    pub(crate) direction: Direction,
    pub(crate) sent_at: Timestamp,
    pub(crate) markable: bool,
    pub(crate) stanza_id: Option<String>,
    /// What holds its encrypted content.
    pub(crate) stanza: String,
}

/// Keeps what a stored message holds.
pub(crate) async fn keep(write: &mut Write, message: MessageId, stanza: &str) -> Result<()> {
    sqlx::query("INSERT OR REPLACE INTO too_early (message, stanza) VALUES (?, ?)")
        .bind(message)
        .bind(stanza)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// How many wait.
pub(crate) async fn count(db: &mut Connection, account: AccountId) -> Result<u32> {
    Ok(sqlx::query_scalar(
        "SELECT count(*) FROM too_early JOIN message ON message.id = too_early.message
             JOIN chat ON chat.id = message.chat
         WHERE chat.account = ?",
    )
    .bind(account)
    .fetch_one(db)
    .await?)
}

/// Takes all of them out, in the order of their chats.
pub(crate) async fn take(write: &mut Write, account: AccountId) -> Result<Vec<TooEarly>> {
    #[derive(FromRow)]
    struct Row {
        message: MessageId,
        chat: ChatId,
        #[sqlx(try_from = "String")]
        address: Address,
        direction: Direction,
        sent_at: i64,
        markable: bool,
        stanza_id: Option<String>,
        stanza: String,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT too_early.message, message.chat, chat.address, message.direction, message.sent_at, message.markable,
             message.stanza_id, too_early.stanza
         FROM too_early JOIN message ON message.id = too_early.message JOIN chat ON chat.id = message.chat
         WHERE chat.account = ? ORDER BY message.chat, message.position",
    )
    .bind(account)
    .fetch_all(&mut **write)
    .await?;
    let taken: Vec<MessageId> = rows.iter().map(|row| row.message).collect();
    sqlx::query("DELETE FROM too_early WHERE message IN (SELECT value FROM json_each(?))")
        .bind(sqlx::types::Json(taken))
        .execute(&mut **write)
        .await?;
    let early = rows.into_iter().map(|row| TooEarly {
        message: row.message,
        chat: row.chat,
        with: row.address,
        direction: row.direction,
        sent_at: time(row.sent_at),
        markable: row.markable,
        stanza_id: row.stanza_id,
        stanza: row.stanza,
    });
    Ok(early.collect())
}
