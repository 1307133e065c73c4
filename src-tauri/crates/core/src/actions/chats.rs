//! Chats: opened, read, locked.

use std::sync::Arc;

use jiff::Timestamp;

use crate::Core;
use crate::account::{Command, command};
use crate::error::{Code, Error, Result};
use crate::model::{AccountId, Chat};
use crate::publish::{Changes, publish};
use crate::request::{MaybeOfAccount, Nothing, OfChat, OfContact, OpenedChat, SetEncryption};
use crate::store::{accounts, chats, reading};

pub(crate) async fn open(core: &Arc<Core>, params: OfContact) -> Result<OpenedChat> {
    let mut write = core.store.write().await?;
    accounts::get(&mut write, params.account).await?;
    let known = chats::find(&mut write, params.account, &params.address).await?;
    let chat = chats::open(&mut write, params.account, &params.address, Timestamp::now()).await?;
    write.commit().await?;
    if known.is_none() {
        publish(core, params.account, Changes::chat(chat)).await?;
    }
    // So that the lock is right before the first word is written; offline it is found out later.
    match command(
        core,
        params.account,
        Command::ReadDevices {
            address: params.address,
        },
    )
    .await
    {
        Err(Error {
            code: Code::NotOnline,
            ..
        })
        | Ok(()) => Ok(OpenedChat { chat }),
        Err(error) => Err(error),
    }
}

pub(crate) async fn list(core: &Arc<Core>, params: MaybeOfAccount) -> Result<Vec<Chat>> {
    let rev = core.store.next_rev();
    let mut db = core.store.read().await?;
    if let Some(account) = params.account {
        accounts::get(&mut db, account).await?;
    }
    chats::all(&mut db, params.account, rev).await
}

pub(crate) async fn mark_read(core: &Arc<Core>, params: OfChat) -> Result<Nothing> {
    let mut write = core.store.write().await?;
    let (account, _) = chats::place(&mut write, params.chat).await?;
    let changed = chats::mark_read(&mut write, params.chat).await?;
    reading::seen(&mut write, params.chat).await?;
    write.commit().await?;
    if changed {
        publish(core, account, Changes::chat(params.chat)).await?;
    }
    tell_read(core, account).await?;
    Ok(Nothing {})
}

/// The account tells others what was read, now or when it is online.
pub(super) async fn tell_read(core: &Core, account: AccountId) -> Result<()> {
    match command(core, account, Command::Read).await {
        Err(Error {
            code: Code::NotOnline,
            ..
        }) => Ok(()),
        told => told,
    }
}

pub(crate) async fn set_encryption(core: &Arc<Core>, params: SetEncryption) -> Result<Nothing> {
    let mut write = core.store.write().await?;
    let (account, _) = chats::place(&mut write, params.chat).await?;
    chats::set_mode(&mut write, params.chat, params.mode).await?;
    write.commit().await?;
    publish(core, account, Changes::chat(params.chat)).await?;
    Ok(Nothing {})
}
