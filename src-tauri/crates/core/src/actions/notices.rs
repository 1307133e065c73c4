//! What is told outside of the window, and what is not because the person looks at it.

use std::sync::Arc;

use crate::Core;
use crate::error::Result;
use crate::event::Event;
use crate::publish;
use crate::request::{Nothing, OfChat, SetLooking, SetNotify};
use crate::store::{accounts, chats};

pub(crate) async fn set_looking(core: &Arc<Core>, params: SetLooking) -> Result<Nothing> {
    if let Some(chat) = params.chat {
        chats::place(&mut *core.store.read().await?, chat).await?;
    }
    core.notices.look(params.looking, params.chat);
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
