//! The roster and pending requests as they are stored.

use jiff::Timestamp;
use sqlx::FromRow;
use sqlx::types::Json;

use super::accounts::Address;
use super::{Connection, Write, millis, time};
use crate::error::Result;
use crate::model::{AccountId, BareJid, ContactRequest, Subscription};

/// A roster item (RFC 6121 §2.1.2).
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(crate) struct ContactRow {
    #[sqlx(try_from = "String")]
    pub(crate) address: Address,
    pub(crate) name: Option<String>,
    pub(crate) subscription: Subscription,
    pub(crate) asked: bool,
    pub(crate) groups: Json<Vec<String>>,
}

impl ContactRow {
    /// Their presence comes to us, and with it what their server tells of their devices.
    pub(crate) const fn sees_them(&self) -> bool {
        matches!(self.subscription, Subscription::To | Subscription::Both)
    }
}

/// All contacts of an account.
pub(crate) async fn all(db: &mut Connection, account: AccountId) -> Result<Vec<ContactRow>> {
    Ok(sqlx::query_as(
        "SELECT address, name, subscription, asked, groups FROM contact WHERE account = ? ORDER BY address",
    )
    .bind(account)
    .fetch_all(db)
    .await?)
}

/// One contact, if it is on the roster.
pub(crate) async fn get(
    db: &mut Connection,
    account: AccountId,
    address: &BareJid,
) -> Result<Option<ContactRow>> {
    Ok(sqlx::query_as(
        "SELECT address, name, subscription, asked, groups FROM contact WHERE account = ? AND address = ?",
    )
    .bind(account)
    .bind(address.as_str())
    .fetch_optional(db)
    .await?)
}

/// Those of these addresses that are on the roster.
pub(crate) async fn some(
    db: &mut Connection,
    account: AccountId,
    addresses: &[&BareJid],
) -> Result<Vec<ContactRow>> {
    Ok(sqlx::query_as(
        "SELECT address, name, subscription, asked, groups FROM contact
         WHERE account = ? AND address IN (SELECT value FROM json_each(?))",
    )
    .bind(account)
    .bind(sqlx::types::Json(addresses))
    .fetch_all(db)
    .await?)
}

/// Adds or replaces a contact.
pub(crate) async fn put(write: &mut Write, account: AccountId, contact: &ContactRow) -> Result<()> {
    sqlx::query(
        "INSERT INTO contact (account, address, name, subscription, asked, groups) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (account, address) DO UPDATE SET name = excluded.name,
             subscription = excluded.subscription, asked = excluded.asked, groups = excluded.groups",
    )
    .bind(account)
    .bind(contact.address.0.as_str())
    .bind(contact.name.as_deref())
    .bind(contact.subscription)
    .bind(contact.asked)
    .bind(&contact.groups)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Removes a contact.
pub(crate) async fn delete(write: &mut Write, account: AccountId, address: &BareJid) -> Result<()> {
    sqlx::query("DELETE FROM contact WHERE account = ? AND address = ?")
        .bind(account)
        .bind(address.as_str())
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Remembers that somebody asks to see our presence. True if that is news.
pub(crate) async fn put_request(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    now: Timestamp,
) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO contact_request (account, address, received_at) VALUES (?, ?, ?)
         ON CONFLICT (account, address) DO NOTHING",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(millis(now))
    .execute(&mut **write)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Forgets a request. True if there was one.
pub(crate) async fn delete_request(write: &mut Write, account: AccountId, address: &BareJid) -> Result<bool> {
    let done = sqlx::query("DELETE FROM contact_request WHERE account = ? AND address = ?")
        .bind(account)
        .bind(address.as_str())
        .execute(&mut **write)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Requests of one account or of all, oldest first.
pub(crate) async fn requests(db: &mut Connection, account: Option<AccountId>) -> Result<Vec<ContactRequest>> {
    #[derive(FromRow)]
    struct Row {
        account: AccountId,
        #[sqlx(try_from = "String")]
        address: Address,
        received_at: i64,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT account, address, received_at FROM contact_request
         WHERE ?1 IS NULL OR account = ?1 ORDER BY received_at, address",
    )
    .bind(account)
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ContactRequest {
            account: row.account,
            address: row.address.0,
            received_at: time(row.received_at),
        })
        .collect())
}
