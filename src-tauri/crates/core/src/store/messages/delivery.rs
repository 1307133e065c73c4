//! How far messages came: what confirmations, errors and the person make of them.

use crate::error::{Error, Fault, Result};
use crate::model::{ChatId, Delivery, Direction, MessageId};
use crate::store::{Connection, Write};

/// Moves an outgoing message on to `to`, if that is further than where it is (waiting, sent, delivered, read).
/// A failed message may still turn out to have been delivered. True if it moved.
pub(crate) async fn advance_delivery(write: &mut Write, message: MessageId, to: Delivery) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE message SET delivery = ?2, error_code = NULL, error_text = NULL
         WHERE id = ?1 AND direction = 'out' AND CASE ?2
             WHEN 'sent' THEN delivery = 'waiting'
             WHEN 'delivered' THEN delivery IN ('waiting', 'sent', 'failed')
             WHEN 'read' THEN delivery <> 'read'
             ELSE 0 END",
    )
    .bind(message)
    .bind(to)
    .execute(&mut **write)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The other side has seen everything up to this message; gives those for which that is news.
pub(crate) async fn seen_up_to(
    write: &mut Write,
    chat: ChatId,
    message: MessageId,
) -> Result<Vec<MessageId>> {
    Ok(sqlx::query_scalar(
        "UPDATE message SET delivery = 'read', error_code = NULL, error_text = NULL
         WHERE chat = ?1 AND direction = 'out' AND delivery IN ('sent', 'delivered')
             AND position <= (SELECT position FROM message WHERE id = ?2)
         RETURNING id",
    )
    .bind(chat)
    .bind(message)
    .fetch_all(&mut **write)
    .await?)
}

/// The outgoing message of a chat that a receipt or an error names by the stanza's id.
pub(crate) async fn sent_as(db: &mut Connection, chat: ChatId, stanza_id: &str) -> Result<Option<MessageId>> {
    called(db, chat, stanza_id, Direction::Out).await
}

/// The received message of a chat that a marker names by the stanza's id.
pub(crate) async fn received_as(
    db: &mut Connection,
    chat: ChatId,
    stanza_id: &str,
) -> Result<Option<MessageId>> {
    called(db, chat, stanza_id, Direction::In).await
}

/// The last message of a chat whose stanza had this id. Where that is its origin id too, it is found by that.
async fn called(
    db: &mut Connection,
    chat: ChatId,
    stanza_id: &str,
    direction: Direction,
) -> Result<Option<MessageId>> {
    Ok(sqlx::query_scalar(
        "SELECT id FROM message WHERE id IN (
             SELECT id FROM message
             WHERE chat = ?1 AND stanza_id = ?2 AND direction = ?3 AND stanza_id IS NOT origin_id
             UNION ALL SELECT message.id FROM chat JOIN account ON account.id = chat.account
                 JOIN message ON message.chat = chat.id AND message.origin_id = ?2 AND message.stanza_id = ?2
                     AND message.sender = iif(?3 = 'out', account.address, chat.address)
             WHERE chat.id = ?1 AND message.direction = ?3)
         ORDER BY position DESC LIMIT 1",
    )
    .bind(chat)
    .bind(stanza_id)
    .bind(direction)
    .fetch_optional(db)
    .await?)
}

/// A message could not be sent, or came back. One that the other side has confirmed stays as it is.
pub(crate) async fn fail(write: &mut Write, message: MessageId, fault: &Fault) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE message SET delivery = 'failed', error_code = ?, error_text = ?
         WHERE id = ? AND direction = 'out' AND delivery IN ('waiting', 'sent')",
    )
    .bind(fault.code)
    .bind(&fault.text)
    .bind(message)
    .execute(&mut **write)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A message came back. Gives how often it has by now; none if it is not under way, or known to have arrived, or came
/// back before and this may be the same error `again`.
pub(crate) async fn came_back(write: &mut Write, message: MessageId, again: bool) -> Result<Option<u32>> {
    Ok(sqlx::query_scalar(
        "UPDATE message SET returned = returned + 1
         WHERE id = ? AND direction = 'out' AND delivery IN ('waiting', 'sent') AND (returned = 0 OR NOT ?)
         RETURNING returned",
    )
    .bind(message)
    .bind(again)
    .fetch_optional(&mut **write)
    .await?)
}

/// A message that came back waits until it is sent again.
pub(crate) async fn wait_for_another_try(write: &mut Write, message: MessageId) -> Result<()> {
    sqlx::query("UPDATE message SET delivery = 'waiting' WHERE id = ?")
        .bind(message)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// A failed message waits again. Errors: `invalid_params` if it has not failed.
pub(crate) async fn wait_again(write: &mut Write, message: MessageId) -> Result<()> {
    let done = sqlx::query(
        "UPDATE message SET delivery = 'waiting', error_code = NULL, error_text = NULL
         WHERE id = ? AND direction = 'out' AND delivery = 'failed'",
    )
    .bind(message)
    .execute(&mut **write)
    .await?;
    if done.rows_affected() == 0 {
        return Err(Error::invalid("only a failed message can be sent again"));
    }
    Ok(())
}
