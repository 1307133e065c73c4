//! Accounts as they are stored.

use sqlx::FromRow;

use super::{Connection, Write};
use crate::error::{Code, Error, Result};
use crate::model::{AccountId, BareJid, Show, TlsMode};
use crate::secret::Secret;

/// An account's row without its password.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct AccountRow {
    pub(crate) id: AccountId,
    #[sqlx(try_from = "String")]
    pub(crate) address: Address,
    pub(crate) enabled: bool,
    pub(crate) resource: String,
    pub(crate) host: Option<String>,
    #[sqlx(try_from = "Option<i64>")]
    pub(crate) port: Port,
    pub(crate) tls: Option<TlsMode>,
    pub(crate) show: Show,
    pub(crate) status: Option<String>,
    pub(crate) color: u8,
    pub(crate) strongest_mechanism: Option<String>,
    pub(crate) unread: u32,
}

/// A bare JID in a column.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Address(pub(crate) BareJid);

impl TryFrom<String> for Address {
    type Error = xmpp_parsers::jid::Error;
    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// A TCP port in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Port(pub(crate) Option<u16>);

impl From<Option<i64>> for Port {
    fn from(port: Option<i64>) -> Self {
        Self(port.and_then(|port| u16::try_from(port).ok()))
    }
}

/// What a new account is made of.
pub(crate) struct NewAccount<'a> {
    pub(crate) address: &'a BareJid,
    pub(crate) password: &'a Secret,
    pub(crate) resource: &'a str,
    pub(crate) host: Option<&'a str>,
    pub(crate) port: Option<u16>,
    pub(crate) tls: Option<TlsMode>,
}

macro_rules! select_account {
    ($rest:literal) => {
        concat!(
            "SELECT id, address, enabled, resource, host, port, tls, show, status, color, strongest_mechanism, \
             (SELECT coalesce(sum(unread), 0) FROM chat WHERE chat.account = account.id) AS unread FROM account ",
            $rest
        )
    };
}

/// All accounts, oldest first.
pub(crate) async fn all(db: &mut Connection) -> Result<Vec<AccountRow>> {
    Ok(sqlx::query_as(select_account!("ORDER BY id"))
        .fetch_all(db)
        .await?)
}

/// One account. Errors: `not_found`.
pub(crate) async fn get(db: &mut Connection, account: AccountId) -> Result<AccountRow> {
    sqlx::query_as(select_account!("WHERE id = ?"))
        .bind(account)
        .fetch_optional(db)
        .await?
        .ok_or_else(|| Error::not_found("account"))
}

/// The account's password. Errors: `not_found`.
pub(crate) async fn password(db: &mut Connection, account: AccountId) -> Result<Secret> {
    sqlx::query_scalar::<_, String>("SELECT password FROM account WHERE id = ?")
        .bind(account)
        .fetch_optional(db)
        .await?
        .map(Secret::from)
        .ok_or_else(|| Error::not_found("account"))
}

/// Adds an account with the colour that is used least. Errors: `account_exists`.
pub(crate) async fn insert(write: &mut Write, new: &NewAccount<'_>) -> Result<AccountId> {
    sqlx::query_scalar(
        "WITH RECURSIVE colors (color) AS (SELECT 0 UNION ALL SELECT color + 1 FROM colors WHERE color < 7)
         INSERT INTO account (address, password, resource, host, port, tls, color)
         VALUES (?, ?, ?, ?, ?, ?, (
             SELECT color FROM colors
             ORDER BY (SELECT count(*) FROM account WHERE account.color = colors.color), color LIMIT 1
         ))
         ON CONFLICT (address) DO NOTHING RETURNING id",
    )
    .bind(new.address.as_str())
    .bind(new.password.expose())
    .bind(new.resource)
    .bind(new.host)
    .bind(new.port)
    .bind(new.tls)
    .fetch_optional(&mut **write)
    .await?
    .ok_or_else(|| Error::new(Code::AccountExists, "this account has been added already"))
}

/// Switches an account on or off. Errors: `not_found`.
pub(crate) async fn set_enabled(write: &mut Write, account: AccountId, enabled: bool) -> Result<()> {
    let done = sqlx::query("UPDATE account SET enabled = ? WHERE id = ?")
        .bind(enabled)
        .bind(account)
        .execute(&mut **write)
        .await?;
    found(done.rows_affected())
}

/// Replaces the password. Errors: `not_found`.
pub(crate) async fn set_password(write: &mut Write, account: AccountId, password: &Secret) -> Result<()> {
    let done = sqlx::query("UPDATE account SET password = ? WHERE id = ?")
        .bind(password.expose())
        .bind(account)
        .execute(&mut **write)
        .await?;
    found(done.rows_affected())
}

/// Sets the presence that is to be shown. Errors: `not_found`.
pub(crate) async fn set_presence(
    write: &mut Write,
    account: AccountId,
    show: Show,
    status: Option<&str>,
) -> Result<()> {
    let done = sqlx::query("UPDATE account SET show = ?, status = ? WHERE id = ?")
        .bind(show)
        .bind(status)
        .bind(account)
        .execute(&mut **write)
        .await?;
    found(done.rows_affected())
}

/// Remembers the strongest mechanism the server ever offered.
pub(crate) async fn set_strongest_mechanism(write: &mut Write, account: AccountId, name: &str) -> Result<()> {
    sqlx::query("UPDATE account SET strongest_mechanism = ? WHERE id = ?")
        .bind(name)
        .bind(account)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Deletes an account and all that hangs on it. Errors: `not_found`.
pub(crate) async fn delete(write: &mut Write, account: AccountId) -> Result<()> {
    sqlx::query(
        "DELETE FROM message_words WHERE rowid IN (
             SELECT message.id FROM message JOIN chat ON chat.id = message.chat
             WHERE chat.account = ? AND message.body IS NOT NULL)",
    )
    .bind(account)
    .execute(&mut **write)
    .await?;
    let done = sqlx::query("DELETE FROM account WHERE id = ?")
        .bind(account)
        .execute(&mut **write)
        .await?;
    found(done.rows_affected())
}

fn found(rows: u64) -> Result<()> {
    if rows == 0 {
        Err(Error::not_found("account"))
    } else {
        Ok(())
    }
}
