//! What is told outside of the window, and what is not because the person looks at it.

use std::sync::Arc;

use super::encryption::if_online;
use crate::Core;
use crate::account::{Command, command};
use crate::error::Result;
use crate::event::Event;
use crate::publish;
use crate::request::{Nothing, OfChat, SetLooking, SetNotify};
use crate::store::{accounts, chats};

pub(crate) async fn set_looking(core: &Arc<Core>, params: SetLooking) -> Result<Nothing> {
    let place = match params.chat {
        Some(chat) => Some(chats::place(&mut *core.store.read().await?, chat).await?),
        None => None,
    };
    core.notices.look(params.looking, params.chat);
    if let Some((account, _)) = place.filter(|_| params.looking) {
        if_online(command(core, account, Command::LooksAtChat).await)?;
    }
    Ok(Nothing {})
}

pub(crate) async fn set_notify(core: &Arc<Core>, params: SetNotify) -> Result<Nothing> {
    let mut write = core.store.write().await?;
    accounts::set_notify(&mut write, params.account, params.notify).await?;
    write.commit().await?;
    publish::account(core, params.account).await?;
    Ok(Nothing {})
}

pub(crate) async fn show_chat(core: &Arc<Core>, params: OfChat) -> Result<Nothing> {
    chats::place(&mut *core.store.read().await?, params.chat).await?;
    core.emit(Event::ChatWanted { chat: params.chat });
    Ok(Nothing {})
}
