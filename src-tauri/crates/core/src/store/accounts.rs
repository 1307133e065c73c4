//! Accounts as they are stored.

use sqlx::FromRow;
use waxwing_stream::Fingerprint;

use super::reading::Shared;
use super::{Connection, Write};
use crate::error::{Code, Error, Result};
use crate::model::{AccountId, BareJid, Notify, Proxy, ProxyKind, Renewed, Show, TlsMode};
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
    pub(crate) proxy_kind: Option<ProxyKind>,
    pub(crate) proxy_host: Option<String>,
    #[sqlx(try_from = "Option<i64>")]
    pub(crate) proxy_port: Port,
    pub(crate) proxy_user: Option<String>,
    pub(crate) accepted_certificate: Option<Vec<u8>>,
    pub(crate) own_authorities: bool,
    pub(crate) plain_allowed: bool,
    pub(crate) password_proven: bool,
    pub(crate) target_host: Option<String>,
    #[sqlx(try_from = "Option<i64>")]
    pub(crate) target_port: Port,
    pub(crate) target_tls: Option<TlsMode>,
    /// Unix milliseconds.
    pub(crate) target_since: Option<i64>,
    pub(crate) unread: u32,
    pub(crate) send_receipts: bool,
    pub(crate) send_markers: bool,
    pub(crate) notify: Notify,
    /// Why its device for encryption began anew, until the person has seen it.
    pub(crate) renewed: Option<Renewed>,
}

impl AccountRow {
    /// The proxy, without its password.
    pub(crate) fn proxy(&self) -> Option<Proxy> {
        Some(Proxy {
            kind: self.proxy_kind?,
            host: self.proxy_host.clone()?,
            port: self.proxy_port.0?,
            user: self.proxy_user.clone(),
        })
    }

    /// The certificate that the person accepted.
    pub(crate) fn accepted_certificate(&self) -> Option<Fingerprint> {
        let bytes = self.accepted_certificate.as_deref()?;
        Some(Fingerprint(bytes.try_into().ok()?))
    }
}

/// What only the login needs to know of an account.
pub(crate) struct Secrets {
    pub(crate) password: Secret,
    pub(crate) proxy_password: Option<Secret>,
    /// PEM.
    pub(crate) authorities: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) token: Option<Token>,
}

/// What stands for the password (XEP-0484).
pub(crate) struct Token {
    pub(crate) mechanism: String,
    pub(crate) secret: Secret,
    /// Unix seconds.
    pub(crate) expiry: Option<i64>,
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
             proxy_kind, proxy_host, proxy_port, proxy_user, accepted_certificate, \
             authorities IS NOT NULL AS own_authorities, plain_allowed, password_proven, \
             target_host, target_port, target_tls, target_since, send_receipts, send_markers, notify, \
             (SELECT renewed FROM omemo_own WHERE omemo_own.account = account.id) AS renewed, \
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

/// What only the login needs. Errors: `not_found`.
pub(crate) async fn secrets(db: &mut Connection, account: AccountId) -> Result<Secrets> {
    #[derive(FromRow)]
    struct Row {
        password: String,
        proxy_password: Option<String>,
        authorities: Option<String>,
        user_agent: Option<String>,
    }
    let row: Option<Row> =
        sqlx::query_as("SELECT password, proxy_password, authorities, user_agent FROM account WHERE id = ?")
            .bind(account)
            .fetch_optional(&mut *db)
            .await?;
    let row = row.ok_or_else(|| Error::not_found("account"))?;
    let token: Option<(String, String, Option<i64>)> =
        sqlx::query_as("SELECT mechanism, secret, expiry FROM token WHERE account = ?")
            .bind(account)
            .fetch_optional(db)
            .await?;
    Ok(Secrets {
        password: Secret::from(row.password),
        proxy_password: row.proxy_password.map(Secret::from),
        authorities: row.authorities,
        user_agent: row.user_agent,
        token: token.map(|(mechanism, secret, expiry)| Token {
            mechanism,
            secret: Secret::from(secret),
            expiry,
        }),
    })
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

/// Replaces the password; what stood for the old one goes. Errors: `not_found`.
pub(crate) async fn set_password(write: &mut Write, account: AccountId, password: &Secret) -> Result<()> {
    set_token(write, account, None).await?;
    let done = sqlx::query("UPDATE account SET password = ?, password_proven = 0 WHERE id = ?")
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

/// Whether receipts and markers are sent, for all contacts about whom nothing else is chosen. Errors: `not_found`.
pub(crate) async fn set_shared(
    write: &mut Write,
    account: AccountId,
    what: Shared,
    send: bool,
) -> Result<()> {
    let sql = match what {
        Shared::Receipts => "UPDATE account SET send_receipts = ? WHERE id = ?",
        Shared::Markers => "UPDATE account SET send_markers = ? WHERE id = ?",
    };
    let done = sqlx::query(sql)
        .bind(send)
        .bind(account)
        .execute(&mut **write)
        .await?;
    found(done.rows_affected())
}

/// Sets what is told of new messages. Errors: `not_found`.
pub(crate) async fn set_notify(write: &mut Write, account: AccountId, notify: Notify) -> Result<()> {
    let done = sqlx::query("UPDATE account SET notify = ? WHERE id = ?")
        .bind(notify)
        .bind(account)
        .execute(&mut **write)
        .await?;
    found(done.rows_affected())
}

/// Where and how to connect.
pub(crate) struct NewConnection<'a> {
    pub(crate) host: Option<&'a str>,
    pub(crate) port: Option<u16>,
    pub(crate) tls: Option<TlsMode>,
    pub(crate) proxy: Option<&'a Proxy>,
    pub(crate) proxy_password: Option<&'a Secret>,
}

/// Sets where and how to connect. Errors: `not_found`.
pub(crate) async fn set_connection(
    write: &mut Write,
    account: AccountId,
    new: &NewConnection<'_>,
) -> Result<()> {
    let done = sqlx::query(
        "UPDATE account SET host = ?, port = ?, tls = ?, proxy_kind = ?, proxy_host = ?, proxy_port = ?,
             proxy_user = ?, proxy_password = ?, target_host = NULL, target_port = NULL, target_tls = NULL,
             target_since = NULL
         WHERE id = ?",
    )
    .bind(new.host)
    .bind(new.port)
    .bind(new.tls)
    .bind(new.proxy.map(|proxy| proxy.kind))
    .bind(new.proxy.map(|proxy| proxy.host.as_str()))
    .bind(new.proxy.map(|proxy| proxy.port))
    .bind(new.proxy.and_then(|proxy| proxy.user.as_deref()))
    .bind(new.proxy_password.map(Secret::expose))
    .bind(account)
    .execute(&mut **write)
    .await?;
    found(done.rows_affected())
}

/// Accepts one certificate, or none any more. Errors: `not_found`.
pub(crate) async fn set_accepted_certificate(
    write: &mut Write,
    account: AccountId,
    certificate: Option<Fingerprint>,
) -> Result<()> {
    let done = sqlx::query("UPDATE account SET accepted_certificate = ? WHERE id = ?")
        .bind(certificate.map(|fingerprint| fingerprint.0.to_vec()))
        .bind(account)
        .execute(&mut **write)
        .await?;
    found(done.rows_affected())
}

/// Sets the account's own certificate authorities, in PEM. Errors: `not_found`.
pub(crate) async fn set_authorities(write: &mut Write, account: AccountId, pem: Option<&str>) -> Result<()> {
    let done = sqlx::query("UPDATE account SET authorities = ? WHERE id = ?")
        .bind(pem)
        .bind(account)
        .execute(&mut **write)
        .await?;
    found(done.rows_affected())
}

/// Forgets the strongest mechanism, and allows the password itself to be sent if that is what is on offer.
/// Errors: `not_found`.
pub(crate) async fn allow_weaker_login(write: &mut Write, account: AccountId, plain: bool) -> Result<()> {
    let done = sqlx::query(
        "UPDATE account SET strongest_mechanism = NULL, plain_allowed = plain_allowed OR ? WHERE id = ?",
    )
    .bind(plain)
    .bind(account)
    .execute(&mut **write)
    .await?;
    found(done.rows_affected())
}

/// The password itself may not be sent any more. Errors: `not_found`.
pub(crate) async fn forbid_plain(write: &mut Write, account: AccountId) -> Result<()> {
    let done = sqlx::query("UPDATE account SET plain_allowed = 0 WHERE id = ?")
        .bind(account)
        .execute(&mut **write)
        .await?;
    found(done.rows_affected())
}

/// Keeps or drops what stands for the password.
pub(crate) async fn set_token(write: &mut Write, account: AccountId, token: Option<&Token>) -> Result<()> {
    sqlx::query("DELETE FROM token WHERE account = ?")
        .bind(account)
        .execute(&mut **write)
        .await?;
    if let Some(token) = token {
        sqlx::query("INSERT INTO token (account, mechanism, secret, expiry) VALUES (?, ?, ?, ?)")
            .bind(account)
            .bind(&token.mechanism)
            .bind(token.secret.expose())
            .bind(token.expiry)
            .execute(&mut **write)
            .await?;
    }
    Ok(())
}

/// Gives this installation another id and its sessions another name. What the server knows under the old ones is another
/// program's from now on.
pub(crate) async fn rename(
    write: &mut Write,
    account: AccountId,
    user_agent: &str,
    resource: &str,
) -> Result<()> {
    sqlx::query("UPDATE account SET user_agent = ?, resource = ? WHERE id = ?")
        .bind(user_agent)
        .bind(resource)
        .bind(account)
        .execute(&mut **write)
        .await?;
    set_token(write, account, None).await
}

/// Names this installation of the account for good.
pub(crate) async fn set_user_agent(write: &mut Write, account: AccountId, user_agent: &str) -> Result<()> {
    sqlx::query("UPDATE account SET user_agent = coalesce(user_agent, ?) WHERE id = ?")
        .bind(user_agent)
        .bind(account)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// What a login that succeeded teaches.
pub(crate) struct SignedIn<'a> {
    /// The strongest mechanism that the server offered.
    pub(crate) mechanism: &'a str,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) tls: TlsMode,
    /// Unix milliseconds.
    pub(crate) now: i64,
}

/// For so long a place is preferred to others that DNS names, so that the order in DNS is followed once a day.
pub(crate) const PLACE_COUNTS_FOR: i64 = 24 * 3_600 * 1_000;

/// Remembers what a login taught. A place keeps the time at which the server was found there by the order in DNS.
pub(crate) async fn signed_in(write: &mut Write, account: AccountId, login: &SignedIn<'_>) -> Result<()> {
    sqlx::query(
        "UPDATE account SET strongest_mechanism = ?1, password_proven = 1,
             target_since = iif(target_host IS ?2 AND target_port IS ?3 AND target_tls IS ?4
                 AND target_since > ?5 - ?7, target_since, ?5),
             target_host = ?2, target_port = ?3, target_tls = ?4
         WHERE id = ?6",
    )
    .bind(login.mechanism)
    .bind(login.host)
    .bind(login.port)
    .bind(login.tls)
    .bind(login.now)
    .bind(account)
    .bind(PLACE_COUNTS_FOR)
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
