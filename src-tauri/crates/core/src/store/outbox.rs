//! What is to be sent and not yet confirmed.

use jiff::Timestamp;
use sqlx::FromRow;
use waxwing_stream::StanzaNumber;

use super::accounts::Address;
use super::{Connection, Write, chats, millis, time};
use crate::error::Result;
use crate::model::{AccountId, ChatId, Encryption, EncryptionMode, Lock, Message, MessageId};

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

impl Encrypt {
    /// By what the chat is set to and by what the composer's lock showed.
    pub(crate) fn by(mode: Option<EncryptionMode>, lock: Lock) -> Self {
        match (mode, lock) {
            (Some(EncryptionMode::Omemo), _) | (_, Lock::Encrypted | Lock::Undecided | Lock::Blocked) => {
                Self::Must
            }
            (_, Lock::PlainChosen) => Self::None,
            (_, Lock::PlainNoDevices | Lock::Checking) => Self::May,
        }
    }
}

/// One thing to be sent.
#[derive(Clone, Debug)]
pub(crate) struct OutboxRow {
    pub(crate) id: i64,
    pub(crate) encrypt: Encrypt,
    pub(crate) stanza: Option<Vec<u8>>,
    pub(crate) message: Option<OutboxMessage>,
    /// It came back and is not sent again before this.
    pub(crate) not_before: Option<Timestamp>,
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

/// Queues a message that is stored, to be sent from a time on.
pub(crate) async fn push_message(
    write: &mut Write,
    account: AccountId,
    message: MessageId,
    encrypt: Encrypt,
    not_before: Option<Timestamp>,
) -> Result<()> {
    sqlx::query("INSERT INTO outbox (account, message, encrypt, not_before) VALUES (?, ?, ?, ?)")
        .bind(account)
        .bind(message)
        .bind(encrypt)
        .bind(not_before.map(millis))
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Queues a message again that has been out: never weaker than it was meant to be, unless the person has unlocked the chat
/// since.
pub(crate) async fn queue_again(
    write: &mut Write,
    message: &Message,
    not_before: Option<Timestamp>,
) -> Result<()> {
    let lock = chats::get(write, message.chat, 0).await?.lock;
    let encrypt = match Encrypt::by(chats::mode(write, message.chat).await?, lock) {
        Encrypt::May if message.encryption != Encryption::None => Encrypt::Must,
        encrypt => encrypt,
    };
    push_message(write, message.account, message.message, encrypt, not_before).await
}

/// What was written after a message in the same chat, and has not been out, goes behind it.
pub(crate) async fn put_behind(write: &mut Write, message: MessageId) -> Result<()> {
    // Taken out and put in again: a number that is only changed is given out a second time later on.
    let moved: Vec<(AccountId, MessageId, Encrypt, Option<i64>)> = sqlx::query_as(
        "SELECT outbox.account, outbox.message, outbox.encrypt, outbox.not_before
         FROM outbox JOIN message ON message.id = outbox.message JOIN message AS first ON first.id = ?
         WHERE message.chat = first.chat AND message.position > first.position AND outbox.stanza IS NULL
         ORDER BY outbox.id",
    )
    .bind(message)
    .fetch_all(&mut **write)
    .await?;
    for (account, message, encrypt, not_before) in moved {
        remove_message(write, message).await?;
        push_message(write, account, message, encrypt, not_before.map(time)).await?;
    }
    Ok(())
}

/// Queues a ready stanza that no message stands behind, to be sent in its turn.
pub(crate) async fn push_stanza(write: &mut Write, account: AccountId, stanza: &[u8]) -> Result<()> {
    sqlx::query("INSERT INTO outbox (account, encrypt, stanza) VALUES (?, 'none', ?)")
        .bind(account)
        .bind(stanza)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Queues ready stanzas that are sent at once, with their numbers in the session if it counts them. Gives their rows, in
/// the same order.
pub(crate) async fn push_numbered(
    write: &mut Write,
    account: AccountId,
    stanzas: &[(Option<StanzaNumber>, &str)],
) -> Result<Vec<i64>> {
    if stanzas.is_empty() {
        return Ok(Vec::new());
    }
    let pairs: Vec<(Option<u64>, &str)> = stanzas
        .iter()
        .map(|(number, xml)| (number.map(|number| number.0), *xml))
        .collect();
    let mut rows: Vec<i64> = sqlx::query_scalar(
        "INSERT INTO outbox (account, encrypt, stanza, number)
         SELECT ?1, 'none', CAST(pair.value ->> 1 AS BLOB), pair.value ->> 0 FROM json_each(?2) AS pair
         ORDER BY pair.key RETURNING id",
    )
    .bind(account)
    .bind(sqlx::types::Json(pairs))
    .fetch_all(&mut **write)
    .await?;
    // They are given out in the order of what is put in, and named in any.
    rows.sort_unstable();
    Ok(rows)
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
        not_before: Option<i64>,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT outbox.id, outbox.encrypt, outbox.stanza, outbox.message, message.chat, chat.address, message.body,
             message.origin_id, outbox.not_before
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
            not_before: row.not_before.map(time),
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

/// Stores the ready stanza before its first byte is sent, and behind what the archive will have it.
pub(crate) async fn set_stanza(write: &mut Write, id: i64, stanza: &[u8]) -> Result<()> {
    sqlx::query(
        "UPDATE outbox SET stanza = ?1, (after_id, after_at, after_position) =
             (SELECT newest_id, newest_at, newest_position FROM archive WHERE archive.account = outbox.account)
         WHERE id = ?2",
    )
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

/// Takes a row out whose stanza the server does not bear.
pub(crate) async fn remove(write: &mut Write, id: i64) -> Result<()> {
    sqlx::query("DELETE FROM outbox WHERE id = ?")
        .bind(id)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Takes rows out that the server has, and names the messages behind them.
pub(crate) async fn confirm(write: &mut Write, ids: &[i64]) -> Result<Vec<MessageId>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let messages: Vec<Option<MessageId>> = sqlx::query_scalar(
        "DELETE FROM outbox WHERE id IN (SELECT value FROM json_each(?)) RETURNING message",
    )
    .bind(sqlx::types::Json(ids))
    .fetch_all(&mut **write)
    .await?;
    Ok(messages.into_iter().flatten().collect())
}

/// Whether a message has been out of which nobody knows whether the server has it; not one of these, which are under way.
pub(crate) async fn is_any_doubtful(
    db: &mut Connection,
    account: AccountId,
    under_way: &[i64],
) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE account = ? AND message IS NOT NULL AND stanza IS NOT NULL
             AND id NOT IN (SELECT value FROM json_each(?)))",
    )
    .bind(account)
    .bind(sqlx::types::Json(under_way))
    .fetch_one(db)
    .await?)
}

/// Whether a message is to be sent again because it came back.
pub(crate) async fn goes_again(db: &mut Connection, message: MessageId) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE message = ? AND not_before IS NOT NULL)",
    )
    .bind(message)
    .fetch_one(db)
    .await?)
}

/// Takes a message out whose fate is known.
pub(crate) async fn remove_message(write: &mut Write, message: MessageId) -> Result<()> {
    sqlx::query("DELETE FROM outbox WHERE message = ?")
        .bind(message)
        .execute(&mut **write)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latched_chat_never_sends_plain_text_whatever_the_lock_shows() {
        for lock in [
            Lock::Encrypted,
            Lock::Undecided,
            Lock::Checking,
            Lock::Blocked,
            Lock::PlainNoDevices,
            Lock::PlainChosen,
        ] {
            assert_eq!(
                Encrypt::by(Some(EncryptionMode::Omemo), lock),
                Encrypt::Must,
                "{lock:?}"
            );
        }
    }

    #[test]
    fn a_chat_without_a_choice_does_what_the_lock_shows() {
        for (lock, encrypt) in [
            (Lock::Encrypted, Encrypt::Must),
            (Lock::Undecided, Encrypt::Must),
            (Lock::Blocked, Encrypt::Must),
            (Lock::Checking, Encrypt::May),
            (Lock::PlainNoDevices, Encrypt::May),
        ] {
            assert_eq!(Encrypt::by(None, lock), encrypt, "{lock:?}");
        }
        assert_eq!(
            Encrypt::by(Some(EncryptionMode::None), Lock::PlainChosen),
            Encrypt::None
        );
    }
}
