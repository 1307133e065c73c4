//! How an account connects: where to, through what, whom it trusts; and how it is connected.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;
use waxwing_stream::Fingerprint;

use crate::account::{self, Command, command};
use crate::error::{Error, Result};
use crate::model::{AccountId, ConnectionReport, ConsoleEntry, Proxy};
use crate::request::{
    AcceptCertificate, Nothing, OfAccount, SetActive, SetAuthorities, SetConnection, SetConsole, SetProxy,
};
use crate::store::Write;
use crate::store::accounts::{self, NewConnection};
use crate::{Core, publish};

/// PEM of so many bytes at most is kept for an account.
const AUTHORITIES: usize = 256 * 1024;

/// A host name or IP address as a person types it. Errors: `invalid_params`.
pub(super) fn host(host: Option<&str>) -> Result<Option<&str>> {
    let host = host.map(str::trim).filter(|host| !host.is_empty());
    if host.is_some_and(|host| host.len() > 255 || host.contains(|c: char| c.is_whitespace() || c == '/')) {
        return Err(Error::invalid("the host is a name or an IP address"));
    }
    Ok(host)
}

/// A TCP port. Errors: `invalid_params`.
pub(super) fn port(port: Option<u16>) -> Result<Option<u16>> {
    match port {
        Some(0) => Err(Error::invalid("a port is 1 to 65,535")),
        port => Ok(port),
    }
}

pub(crate) async fn set(core: &Arc<Core>, params: SetConnection) -> Result<Nothing> {
    let (host, port) = (host(params.host.as_deref())?, port(params.port)?);
    let proxy = params.proxy.as_ref().map(read_proxy).transpose()?;
    let _one_at_a_time = core.lifecycle.lock().await;
    let mut write = core.store.write().await?;
    let given = params.proxy.as_ref().and_then(|proxy| proxy.password.clone());
    let before = accounts::get(&mut write, params.account).await?.proxy();
    let kept = match (&proxy, before) {
        (Some(now), Some(before))
            if given.is_none() && now.host == before.host && now.user == before.user =>
        {
            accounts::secrets(&mut write, params.account)
                .await?
                .proxy_password
        }
        _ => None,
    };
    let new = NewConnection {
        host,
        port,
        tls: params.tls,
        proxy: proxy.as_ref(),
        proxy_password: given.as_ref().or(kept.as_ref()),
    };
    accounts::set_connection(&mut write, params.account, &new).await?;
    connect_anew(core, params.account, write).await
}

/// A proxy as it was filled in. Errors: `invalid_params`.
pub(super) fn read_proxy(proxy: &SetProxy) -> Result<Proxy> {
    Ok(Proxy {
        kind: proxy.kind,
        host: host(Some(&proxy.host))?
            .ok_or_else(|| Error::invalid("a proxy has a host"))?
            .to_owned(),
        port: port(Some(proxy.port))?.ok_or_else(|| Error::invalid("a proxy has a port"))?,
        // RFC 1929: a length of one byte.
        user: super::line(proxy.user.clone(), 255)?,
    })
}

pub(crate) async fn accept_certificate(core: &Arc<Core>, params: AcceptCertificate) -> Result<Nothing> {
    let fingerprint = Fingerprint::parse(&params.fingerprint)
        .ok_or_else(|| Error::invalid("a fingerprint has 64 hexadecimal digits"))?;
    // Only what was shown can be accepted.
    let shown = core.live.read().await.get(&params.account).is_some_and(|live| {
        live.refused
            .as_ref()
            .is_some_and(|c| c.fingerprint == fingerprint)
    });
    if !shown {
        return Err(Error::not_found("refused certificate"));
    }
    let _one_at_a_time = core.lifecycle.lock().await;
    let mut write = core.store.write().await?;
    accounts::set_accepted_certificate(&mut write, params.account, Some(fingerprint)).await?;
    connect_anew(core, params.account, write).await
}

pub(crate) async fn forget_certificate(core: &Arc<Core>, params: OfAccount) -> Result<Nothing> {
    let _one_at_a_time = core.lifecycle.lock().await;
    let mut write = core.store.write().await?;
    accounts::set_accepted_certificate(&mut write, params.account, None).await?;
    connect_anew(core, params.account, write).await
}

pub(crate) async fn set_authorities(core: &Arc<Core>, params: SetAuthorities) -> Result<Nothing> {
    let pem = params.pem.as_deref().filter(|pem| !pem.trim().is_empty());
    if let Some(pem) = pem {
        if pem.len() > AUTHORITIES {
            return Err(Error::invalid("the certificates are more than 256 KiB"));
        }
        waxwing_stream::read_authorities(pem.as_bytes())
            .map_err(|error| Error::invalid(format!("the text of certificates {error}")))?;
    }
    let _one_at_a_time = core.lifecycle.lock().await;
    let mut write = core.store.write().await?;
    accounts::set_authorities(&mut write, params.account, pem).await?;
    connect_anew(core, params.account, write).await
}

pub(crate) async fn allow_weaker_login(core: &Arc<Core>, params: OfAccount) -> Result<Nothing> {
    let weaker = core
        .live
        .read()
        .await
        .get(&params.account)
        .and_then(|live| live.weaker_login);
    let Some(weaker) = weaker else {
        return Err(Error::not_found("refused login"));
    };
    let _one_at_a_time = core.lifecycle.lock().await;
    let mut write = core.store.write().await?;
    accounts::allow_weaker_login(&mut write, params.account, weaker.plain).await?;
    connect_anew(core, params.account, write).await
}

pub(crate) async fn forbid_plain_login(core: &Arc<Core>, params: OfAccount) -> Result<Nothing> {
    let _one_at_a_time = core.lifecycle.lock().await;
    let mut write = core.store.write().await?;
    accounts::forbid_plain(&mut write, params.account).await?;
    connect_anew(core, params.account, write).await
}

/// Commits a change of how the account connects, and connects anew. The caller holds [`Core::lifecycle`].
async fn connect_anew(core: &Arc<Core>, account: AccountId, mut write: Write) -> Result<Nothing> {
    let enabled = accounts::get(&mut write, account).await?.enabled;
    write.commit().await?;
    publish::account(core, account).await?;
    if enabled && !account::start(core, account).await {
        command(core, account, Command::Reconnect).await?;
    }
    Ok(Nothing {})
}

pub(crate) async fn report(core: &Arc<Core>, params: OfAccount) -> Result<ConnectionReport> {
    accounts::get(&mut *core.store.read().await?, params.account).await?;
    let (done, reported) = oneshot::channel();
    // Whoever is not connected has less to tell.
    let connected = match command(core, params.account, Command::Report { done }).await {
        Ok(()) => reported.await.ok(),
        Err(_) => None,
    };
    let (lost, swallowed) = core
        .live
        .read()
        .await
        .get(&params.account)
        .map_or((0, 0), |live| (live.lost, live.swallowed));
    let (connection, features) = connected.map_or((None, Vec::new()), |report| {
        (Some(report.connection), report.features)
    });
    Ok(ConnectionReport {
        account: params.account,
        connection,
        lost,
        swallowed,
        features,
    })
}

pub(crate) async fn set_console(core: &Arc<Core>, params: SetConsole) -> Result<Nothing> {
    accounts::get(&mut *core.store.read().await?, params.account).await?;
    if params.on {
        core.consoles.begin(params.account, core.events.clone());
    } else {
        core.consoles.end(params.account);
    }
    Ok(Nothing {})
}

pub(crate) async fn list_console(core: &Arc<Core>, params: OfAccount) -> Result<Vec<ConsoleEntry>> {
    accounts::get(&mut *core.store.read().await?, params.account).await?;
    Ok(core.consoles.entries(params.account))
}

pub(crate) async fn set_active(core: &Arc<Core>, params: SetActive) -> Result<Nothing> {
    if core.active.swap(params.active, Ordering::Relaxed) != params.active {
        account::tell_all(core, || Command::Activity).await;
    }
    Ok(Nothing {})
}

pub(crate) async fn check(core: &Arc<Core>, _: Nothing) -> Result<Nothing> {
    account::tell_all(core, || Command::Check).await;
    Ok(Nothing {})
}
