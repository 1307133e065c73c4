//! Accounts: added, switched on and off, removed.

use std::sync::Arc;
use std::time::Duration;

use super::connection;
use crate::account::{self, Command, command};
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::model::{Account, ConnectionState, Show};
use crate::request::{
    AddAccount, AddedAccount, Nothing, OfAccount, SetAccountEnabled, SetPassword, SetPresence,
};
use crate::store::accounts::{self, NewAccount, NewConnection};
use crate::store::archive;
use crate::{Core, files, log_failure, notices, publish};

pub(crate) async fn add(core: &Arc<Core>, params: AddAccount) -> Result<AddedAccount> {
    if params.address.node().is_none() {
        return Err(Error::new(
            Code::InvalidAddress,
            "an address has a name before the @",
        ));
    }
    if params.password.expose().is_empty() {
        return Err(Error::invalid("the password is empty"));
    }
    let (host, port) = (
        connection::host(params.host.as_deref())?,
        connection::port(params.port)?,
    );
    let proxy = params.proxy.as_ref().map(connection::read_proxy).transpose()?;
    let resource = crate::secret::random_resource()?;
    let new = NewAccount {
        address: &params.address,
        password: &params.password,
        resource: &resource,
        host,
        port,
        tls: params.tls,
    };
    let mut write = core.store.write().await?;
    let account = accounts::insert(&mut write, &new).await?;
    if let Some(given) = &params.proxy {
        // In the same transaction: not even the first attempt may go past the proxy.
        let connection = NewConnection {
            host,
            port,
            tls: params.tls,
            proxy: proxy.as_ref(),
            proxy_password: given.password.as_ref(),
        };
        accounts::set_connection(&mut write, account, &connection).await?;
    }
    write.commit().await?;
    publish::account(core, account).await?;
    let _one_at_a_time = core.lifecycle.lock().await;
    account::start(core, account).await;
    Ok(AddedAccount { account })
}

pub(crate) async fn list(core: &Arc<Core>, _: Nothing) -> Result<Vec<Account>> {
    let rev = core.store.next_rev();
    let mut db = core.store.read().await?;
    let mut list = Vec::new();
    for row in accounts::all(&mut db).await? {
        let gaps = archive::gaps(&mut db, row.id).await?;
        let live = core.live.read().await;
        let live = live.get(&row.id);
        list.push(publish::show_account(row, &gaps, live, rev));
    }
    Ok(list)
}

pub(crate) async fn set_enabled(core: &Arc<Core>, params: SetAccountEnabled) -> Result<Nothing> {
    let _one_at_a_time = core.lifecycle.lock().await;
    let mut write = core.store.write().await?;
    accounts::set_enabled(&mut write, params.account, params.enabled).await?;
    write.commit().await?;
    if params.enabled {
        let online = core.live.read().await.get(&params.account).map(|live| live.state)
            == Some(ConnectionState::Online);
        // One that waits tries again; one that is online stays so.
        if !account::start(core, params.account).await && !online {
            command(core, params.account, Command::Reconnect).await?;
        }
    } else {
        account::stop(core, params.account).await;
    }
    publish::account(core, params.account).await?;
    Ok(Nothing {})
}

pub(crate) async fn set_password(core: &Arc<Core>, params: SetPassword) -> Result<Nothing> {
    if params.password.expose().is_empty() {
        return Err(Error::invalid("the password is empty"));
    }
    let _one_at_a_time = core.lifecycle.lock().await;
    let mut write = core.store.write().await?;
    accounts::set_password(&mut write, params.account, &params.password).await?;
    let enabled = accounts::get(&mut write, params.account).await?.enabled;
    write.commit().await?;
    if enabled && !account::start(core, params.account).await {
        command(core, params.account, Command::Reconnect).await?;
    }
    Ok(Nothing {})
}

/// So long the removal of an account may take because its server is told. A server that cannot be reached keeps a token
/// that nobody has any more, until it ends by itself.
const LAST_WORD: Duration = Duration::from_secs(4);

pub(crate) async fn remove(core: &Arc<Core>, params: OfAccount) -> Result<Nothing> {
    accounts::get(&mut *core.store.read().await?, params.account).await?;
    let one_at_a_time = core.lifecycle.lock().await;
    let last = account::to_invalidate_token(core, params.account).await;
    let last = last.unwrap_or_else(|error| {
        log_failure("reading the token", &error);
        None
    });
    account::stop(core, params.account).await;
    let kept = files::leave(core, params.account).await?;
    let mut write = core.store.write().await?;
    accounts::delete(&mut write, params.account).await?;
    write.commit().await?;
    if let Err(error) = files::remove(kept).await {
        log_failure("removing files", &error);
    }
    core.live.write().await.remove(&params.account);
    core.consoles.remove(params.account);
    notices::withdraw_all(core, params.account);
    core.emit(Event::AccountRemoved {
        account: params.account,
    });
    drop(one_at_a_time);
    if let Some(login) = last {
        match tokio::time::timeout(LAST_WORD, waxwing_stream::invalidate_token(&login)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::info!(code = error.code(), "the token could not be invalidated"),
            Err(_) => tracing::info!("the token could not be invalidated in time"),
        }
    }
    Ok(Nothing {})
}

pub(crate) async fn set_presence(core: &Arc<Core>, params: SetPresence) -> Result<Nothing> {
    if params.show == Show::Offline {
        return Err(Error::invalid("to go offline, disable the account"));
    }
    let status = super::line(params.status, 500)?;
    let mut write = core.store.write().await?;
    accounts::set_presence(&mut write, params.account, params.show, status.as_deref()).await?;
    write.commit().await?;
    publish::account(core, params.account).await?;
    // An account that is switched off shows it when it is switched on.
    match command(core, params.account, Command::Presence).await {
        Err(Error {
            code: Code::NotOnline,
            ..
        })
        | Ok(()) => Ok(Nothing {}),
        Err(error) => Err(error),
    }
}
