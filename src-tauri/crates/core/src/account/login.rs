//! What an account's row means for a login, and what a login teaches about the account.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use waxwing_stream::{
    Connection, Endpoint, FastToken, Login, Mechanism, Password, Proxy, Target, Tls, TokenNews, Trust,
};

use super::online::Left;
use crate::Core;
use crate::error::Result;
use crate::model::{AccountId, ProxyKind, TlsMode};
use crate::secret::Secret;
use crate::store::accounts::{self, AccountRow, Secrets, SignedIn, Token};

/// Everything that the next attempt needs.
pub(super) async fn prepare(core: &Core, account: AccountId, left: &Left) -> Result<Login> {
    let (row, secrets) = read(core, account).await?;
    let tls = row.tls.map(tls);
    let endpoint = (row.host.is_some() || row.port.0.is_some() || tls.is_some()).then(|| Endpoint {
        host: row.host.clone(),
        port: row.port.0,
        tls,
    });
    Ok(Login {
        endpoint,
        proxy: proxy(&row, secrets.proxy_password.as_ref()),
        last_good: last_good(&row, Timestamp::now()),
        trust: Trust {
            authorities: authorities(core, secrets.authorities.as_deref()),
            pinned: row.accepted_certificate(),
        },
        strongest_seen: row.strongest_mechanism.as_deref().and_then(Mechanism::from_name),
        allow_plain: row.plain_allowed,
        password: Password::from(secrets.password.expose()),
        token: secrets.token.map(|token| FastToken {
            mechanism: token.mechanism,
            secret: Password::from(token.secret.expose()),
            expiry: token.expiry,
        }),
        user_agent: secrets.user_agent,
        inactive: !core.active.load(Ordering::Relaxed),
        resume: left.resumption.clone(),
        invalidate_token: false,
        tap: Some(core.consoles.tap(account)),
        address: row.address.0,
        resource: row.resource,
    })
}

/// How hosts other than the account's server are reached: by the same proxy, and judged by the same authorities.
pub(crate) struct Route {
    pub(crate) proxy: Option<Proxy>,
    pub(crate) authorities: Arc<[rustls::pki_types::CertificateDer<'static>]>,
}

/// How an account reaches other hosts.
pub(crate) async fn route(core: &Core, account: AccountId) -> Result<Route> {
    let mut db = core.store.read().await?;
    let row = accounts::get(&mut db, account).await?;
    let secrets = accounts::secrets(&mut db, account).await?;
    Ok(Route {
        proxy: proxy(&row, secrets.proxy_password.as_ref()),
        authorities: authorities(core, secrets.authorities.as_deref()),
    })
}

/// The login by which the token of an account that is about to be removed can be invalidated; none if there is no token,
/// or the account is switched off and its server not to be contacted.
pub(crate) async fn to_invalidate_token(core: &Core, account: AccountId) -> Result<Option<Login>> {
    let login = prepare(core, account, &Left::default()).await?;
    let enabled = accounts::get(&mut *core.store.read().await?, account)
        .await?
        .enabled;
    Ok(Some(Login { tap: None, ..login }).filter(|login| enabled && login.token.is_some()))
}

/// The account's row and secrets; the name of this installation is made when it is first needed.
async fn read(core: &Core, account: AccountId) -> Result<(AccountRow, Secrets)> {
    let mut db = core.store.read().await?;
    let row = accounts::get(&mut db, account).await?;
    let mut secrets = accounts::secrets(&mut db, account).await?;
    drop(db);
    if secrets.user_agent.is_none() {
        let mut write = core.store.write().await?;
        accounts::set_user_agent(&mut write, account, &crate::secret::random_uuid()?).await?;
        write.commit().await?;
        secrets = accounts::secrets(&mut *core.store.read().await?, account).await?;
    }
    Ok((row, secrets))
}

fn proxy(row: &AccountRow, password: Option<&Secret>) -> Option<Proxy> {
    let proxy = row.proxy()?;
    Some(Proxy {
        kind: match proxy.kind {
            ProxyKind::Socks5 => waxwing_stream::ProxyKind::Socks5,
            ProxyKind::Http => waxwing_stream::ProxyKind::HttpConnect,
        },
        host: proxy.host,
        port: proxy.port,
        credentials: proxy
            .user
            .map(|user| (user, Password::from(password.map_or("", Secret::expose)))),
    })
}

/// Where the server was found, as long as that counts.
fn last_good(row: &AccountRow, now: Timestamp) -> Option<Target> {
    let since = row.target_since?;
    let counts = since > now.as_millisecond() - accounts::PLACE_COUNTS_FOR;
    let target = Target {
        host: row.target_host.clone()?,
        port: row.target_port.0?,
        tls: tls(row.target_tls?),
    };
    counts.then_some(target)
}

fn authorities(core: &Core, own: Option<&str>) -> Arc<[rustls::pki_types::CertificateDer<'static>]> {
    let Some(own) = own else {
        return Arc::clone(&core.extra_roots);
    };
    match waxwing_stream::read_authorities(own.as_bytes()) {
        Ok(own) => core.extra_roots.iter().cloned().chain(own).collect(),
        Err(error) => {
            tracing::warn!(%error, "the account's certificate authorities cannot be read");
            Arc::clone(&core.extra_roots)
        }
    }
}

/// How TLS begins, in the stream's terms.
fn tls(mode: TlsMode) -> Tls {
    match mode {
        TlsMode::Direct => Tls::Direct,
        TlsMode::StartTls => Tls::StartTls,
    }
}

/// How TLS began, in the terms of `model`.
pub(super) fn mode(tls: Tls) -> TlsMode {
    match tls {
        Tls::Direct => TlsMode::Direct,
        Tls::StartTls => TlsMode::StartTls,
    }
}

/// Remembers what a login that succeeded taught: the strongest mechanism, the place, the token for next time. True if
/// there is a new token.
pub(super) async fn succeeded(core: &Core, account: AccountId, connection: &mut Connection) -> Result<bool> {
    let news = connection.token();
    let new = matches!(news, TokenNews::New(_));
    let target = &connection.facts().target;
    let learnt = SignedIn {
        mechanism: connection.mechanism().name(),
        host: &target.host,
        port: target.port,
        tls: mode(target.tls),
        now: Timestamp::now().as_millisecond(),
    };
    let mut write = core.store.write().await?;
    accounts::signed_in(&mut write, account, &learnt).await?;
    match news {
        TokenNews::Same => {}
        TokenNews::New(token) => {
            let token = Token {
                mechanism: token.mechanism,
                secret: Secret::from(token.secret.expose().to_owned()),
                expiry: token.expiry,
            };
            accounts::set_token(&mut write, account, Some(&token)).await?;
        }
        TokenNews::Refused => accounts::set_token(&mut write, account, None).await?,
    }
    write.commit().await?;
    Ok(new)
}
