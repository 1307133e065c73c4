//! The stream-managed session of an account (XEP-0198), so that a program that was ended in its midst goes on with it.

use sqlx::FromRow;
use sqlx::types::Json;
use waxwing_stream::{StanzaNumber, StoredSession};

use super::{Connection, Write};
use crate::error::Result;
use crate::model::{AccountId, BareJid, Show};

/// What was sent and is not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SentStanza {
    pub(crate) number: u64,
    /// The outbox row that it is of.
    pub(crate) row: i64,
    pub(crate) xml: String,
}

/// What a device of a contact showed.
pub(crate) struct DevicePresence {
    pub(crate) address: BareJid,
    pub(crate) resource: String,
    pub(crate) show: Show,
    pub(crate) status: Option<String>,
    pub(crate) priority: i8,
}

/// Numbers stand in the database as SQLite has them, signed; ours stay far below.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The session that goes on, if there is one.
pub(crate) async fn get(db: &mut Connection, account: AccountId) -> Result<Option<StoredSession>> {
    #[derive(FromRow)]
    struct Row {
        id: String,
        location: Option<String>,
        bound: String,
        base: i64,
        handled: i64,
    }
    let row: Option<Row> =
        sqlx::query_as("SELECT id, location, bound, base, handled FROM session WHERE account = ?")
            .bind(account)
            .fetch_optional(db)
            .await?;
    Ok(row.and_then(|row| {
        Some(StoredSession {
            id: row.id,
            location: row.location,
            bound: row.bound.parse().ok()?,
            base: unsigned(row.base),
            handled: u32::try_from(row.handled).ok()?,
        })
    }))
}

/// A new session begins: nothing of the one before is left.
pub(crate) async fn begin(
    write: &mut Write,
    account: AccountId,
    session: Option<&StoredSession>,
) -> Result<()> {
    end(write, account).await?;
    let Some(session) = session else { return Ok(()) };
    sqlx::query(
        "INSERT INTO session (account, id, location, bound, base, handled) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(account)
    .bind(&session.id)
    .bind(&session.location)
    .bind(session.bound.as_str())
    .bind(signed(session.base))
    .bind(session.handled)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// The session is over, in order or not.
pub(crate) async fn end(write: &mut Write, account: AccountId) -> Result<()> {
    sqlx::query("DELETE FROM session WHERE account = ?")
        .bind(account)
        .execute(&mut **write)
        .await?;
    sqlx::query("UPDATE outbox SET number = NULL WHERE account = ? AND number IS NOT NULL")
        .bind(account)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// How many of the server's stanzas are stored; in the transaction that stores them.
pub(crate) async fn set_handled(write: &mut Write, account: AccountId, handled: u32) -> Result<()> {
    sqlx::query("UPDATE session SET handled = ? WHERE account = ?")
        .bind(handled)
        .bind(account)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Gives rows of the outbox their numbers, before they are sent.
pub(crate) async fn number_rows(write: &mut Write, rows: &[(i64, StanzaNumber)]) -> Result<()> {
    let pairs: Vec<(i64, i64)> = rows
        .iter()
        .map(|(row, number)| (*row, signed(number.0)))
        .collect();
    sqlx::query(
        "UPDATE outbox SET number = pair.value ->> 1 FROM json_each(?) AS pair WHERE outbox.id = pair.value ->> 0",
    )
    .bind(Json(pairs))
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Takes the numbers back from rows that were to be sent and were not, because the connection broke.
pub(crate) async fn only_sent(write: &mut Write, account: AccountId, sent: &[i64]) -> Result<()> {
    sqlx::query(
        "UPDATE outbox SET number = NULL WHERE account = ? AND number IS NOT NULL
             AND id NOT IN (SELECT value FROM json_each(?))",
    )
    .bind(account)
    .bind(Json(sent))
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// All that was sent in the session and is not acknowledged, oldest first.
pub(crate) async fn stanzas(db: &mut Connection, account: AccountId) -> Result<Vec<SentStanza>> {
    let rows: Vec<(i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT number, id, stanza FROM outbox WHERE account = ? AND number IS NOT NULL AND stanza IS NOT NULL
         ORDER BY number",
    )
    .bind(account)
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(number, row, xml)| SentStanza {
            number: unsigned(number),
            row,
            xml: String::from_utf8_lossy(&xml).into_owned(),
        })
        .collect())
}

/// Keeps what contacts' devices show; `offline` takes a device away, and with an empty resource all of them. Nothing
/// happens if there is no session to go on with.
pub(crate) async fn put_presences(
    write: &mut Write,
    account: AccountId,
    presences: &[DevicePresence],
) -> Result<()> {
    let (gone, there): (Vec<_>, Vec<_>) = presences.iter().partition(|device| device.show == Show::Offline);
    let gone: Vec<(&str, &str)> = gone
        .iter()
        .map(|device| (device.address.as_str(), device.resource.as_str()))
        .collect();
    let there: Vec<(&str, &str, &str, Option<&str>, i8)> = there
        .iter()
        .map(|device| {
            (
                device.address.as_str(),
                device.resource.as_str(),
                device.show.word(),
                device.status.as_deref(),
                device.priority,
            )
        })
        .collect();
    if !gone.is_empty() {
        sqlx::query(
            "DELETE FROM session_presence WHERE account = ?1 AND EXISTS (
                 SELECT 1 FROM json_each(?2) AS device WHERE device.value ->> 0 = address
                 AND device.value ->> 1 IN (resource, ''))",
        )
        .bind(account)
        .bind(Json(gone))
        .execute(&mut **write)
        .await?;
    }
    if !there.is_empty() {
        sqlx::query(
            "INSERT OR REPLACE INTO session_presence (account, address, resource, show, status, priority)
             SELECT session.account, device.value ->> 0, device.value ->> 1, device.value ->> 2, device.value ->> 3,
                 device.value ->> 4
             FROM session, json_each(?) AS device WHERE session.account = ?",
        )
        .bind(Json(there))
        .bind(account)
        .execute(&mut **write)
        .await?;
    }
    Ok(())
}

/// What contacts' devices showed when the session was last heard of.
pub(crate) async fn presences(db: &mut Connection, account: AccountId) -> Result<Vec<DevicePresence>> {
    let rows: Vec<(String, String, Show, Option<String>, i8)> = sqlx::query_as(
        "SELECT address, resource, show, status, priority FROM session_presence WHERE account = ?",
    )
    .bind(account)
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|(address, resource, show, status, priority)| {
            Some(DevicePresence {
                address: address.parse().ok()?,
                resource,
                show,
                status,
                priority,
            })
        })
        .collect())
}
