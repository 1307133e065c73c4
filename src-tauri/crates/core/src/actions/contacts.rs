//! The contact list and requests.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::account::{Command, Reply, command};
use crate::error::{Code, Error, Result};
use crate::model::{AccountId, Contact, ContactRequest};
use crate::request::{AddContact, AnswerRequest, MaybeOfAccount, Nothing, OfAccount, OfContact};
use crate::store::{accounts, contacts, reading};
use crate::{Core, publish};

pub(crate) async fn list(core: &Arc<Core>, params: OfAccount) -> Result<Vec<Contact>> {
    let rev = core.store.next_rev();
    let mut db = core.store.read().await?;
    accounts::get(&mut db, params.account).await?;
    let rows = contacts::all(&mut db, params.account).await?;
    let shares = reading::shares(&mut db, params.account).await?;
    let live = core.live.read().await;
    let live = live.get(&params.account);
    Ok(rows
        .into_iter()
        .map(|row| publish::contact(row, params.account, &shares, live, rev))
        .collect())
}

pub(crate) async fn add(core: &Arc<Core>, params: AddContact) -> Result<Nothing> {
    let own = accounts::get(&mut *core.store.read().await?, params.account)
        .await?
        .address
        .0;
    if params.address == own {
        return Err(Error::invalid("this is the account's own address"));
    }
    // An empty name is taken away; one that is not given stays.
    let name = match params.name {
        Some(name) => Some(super::line(Some(name), 200)?.unwrap_or_default()),
        None => None,
    };
    let groups = params.groups.map(group_names).transpose()?;
    let address = params.address;
    ask(core, params.account, |done| Command::PutContact {
        address,
        name,
        groups,
        done,
    })
    .await
}

pub(crate) async fn remove(core: &Arc<Core>, params: OfContact) -> Result<Nothing> {
    let mut db = core.store.read().await?;
    accounts::get(&mut db, params.account).await?;
    if contacts::get(&mut db, params.account, &params.address)
        .await?
        .is_none()
    {
        return Err(Error::not_found("contact"));
    }
    drop(db);
    let address = params.address;
    ask(core, params.account, |done| Command::RemoveContact {
        address,
        done,
    })
    .await
}

pub(crate) async fn list_requests(core: &Arc<Core>, params: MaybeOfAccount) -> Result<Vec<ContactRequest>> {
    let mut db = core.store.read().await?;
    if let Some(account) = params.account {
        accounts::get(&mut db, account).await?;
    }
    contacts::requests(&mut db, params.account).await
}

pub(crate) async fn answer_request(core: &Arc<Core>, params: AnswerRequest) -> Result<Nothing> {
    let mut db = core.store.read().await?;
    accounts::get(&mut db, params.account).await?;
    let open = contacts::requests(&mut db, Some(params.account)).await?;
    if open.iter().all(|request| request.address != params.address) {
        return Err(Error::not_found("request"));
    }
    drop(db);
    let (address, accept) = (params.address, params.accept);
    ask(core, params.account, |done| Command::AnswerRequest {
        address,
        accept,
        done,
    })
    .await
}

fn group_names(groups: Vec<String>) -> Result<Vec<String>> {
    if groups.len() > 50 {
        return Err(Error::invalid("a contact is in at most 50 groups"));
    }
    let groups: Result<Vec<_>> = groups
        .into_iter()
        .map(|group| super::line(Some(group), 200))
        .collect();
    let mut groups: Vec<String> = groups?.into_iter().flatten().collect();
    groups.sort();
    groups.dedup();
    Ok(groups)
}

/// Has the account's task do something and waits for the server's answer.
async fn ask(core: &Core, account: AccountId, make: impl FnOnce(Reply) -> Command) -> Result<Nothing> {
    let (done, outcome) = oneshot::channel();
    command(core, account, make(done)).await?;
    outcome
        .await
        .map_err(|_| Error::new(Code::Disconnected, "the connection broke before the answer"))??;
    Ok(Nothing {})
}
