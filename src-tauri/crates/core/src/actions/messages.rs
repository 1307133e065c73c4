//! Messages: read in pages, written, sent again.

use std::sync::Arc;

use jiff::Timestamp;
use waxwing_omemo::xml::without_forbidden;

use crate::Core;
use crate::error::{Code, Error, Result};
use crate::fail::{self, Point};
use crate::model::{AccountId, Delivery, Direction, Encryption, Lock, Message, MessageId};
use crate::publish::{Changes, publish};
use crate::request::{ListMessages, OfMessage, SendText};
use crate::store::messages::{self, NewMessage, Stand};
use crate::store::outbox::{self, Encrypt};
use crate::store::{accounts, chats, omemo, reading};

/// Longer texts do not pass the servers' usual limits once they are encrypted, in bytes.
const LONGEST: usize = 64 * 1024;

pub(crate) async fn list(core: &Arc<Core>, params: ListMessages) -> Result<Vec<Message>> {
    let limit = super::page_size(params.limit)?;
    let rev = core.store.next_rev();
    let mut db = core.store.read().await?;
    chats::place(&mut db, params.chat).await?;
    let mut page = messages::page(&mut db, params.chat, params.before, limit, rev).await?;
    for message in &mut page {
        core.fetching.show_in(message);
    }
    Ok(page)
}

pub(crate) async fn send_text(core: &Arc<Core>, params: SendText) -> Result<Message> {
    let body = without_forbidden(&params.body);
    if body.trim().is_empty() {
        return Err(Error::new(Code::EmptyMessage, "there is nothing to send"));
    }
    if body.len() > LONGEST {
        return Err(Error::new(Code::TooLarge, "a message has at most 64 KiB of text"));
    }
    let now = Timestamp::now();
    let mut write = core.store.write().await?;
    let (account, _) = chats::place(&mut write, params.chat).await?;
    let lock = chats::get(&mut write, params.chat, 0).await?.lock;
    let id = crate::secret::random_id()?;
    let new = NewMessage {
        sender: accounts::get(&mut write, account).await?.address.0,
        direction: Direction::Out,
        body: Some(body),
        files: Vec::new(),
        sent_at: now,
        delivery: Delivery::Waiting,
        // What it will be; how it was encrypted in the end is known when it is made ready.
        encryption: match lock {
            Lock::PlainChosen | Lock::PlainNoDevices => Encryption::None,
            Lock::Encrypted | Lock::Checking | Lock::Undecided | Lock::Blocked => Encryption::Omemo1,
        },
        trust: None,
        device: None,
        unprotected: false,
        undecryptable: None,
        method: None,
        stanza_id: Some(id.clone()),
        origin_id: Some(id),
        archive_id: None,
        markable: false,
    };
    let stand = Stand::End(now.as_microsecond());
    let (message, _) = messages::insert(&mut write, params.chat, &new, false, stand)
        .await?
        .ok_or_else(|| Error::new(Code::Internal, "the message could not be stored"))?;
    let mode = chats::mode(&mut write, params.chat).await?;
    outbox::push_message(&mut write, account, message, Encrypt::by(mode, lock), None).await?;
    // Whoever answers has read what stands before.
    chats::mark_read(&mut write, params.chat).await?;
    reading::seen(&mut write, params.chat).await?;
    fail::at(Point::SendUnstored);
    write.commit().await?;
    fail::at(Point::SendStored);
    super::chats::tell_read(core, account).await?;
    queued(core, account, message, params.chat).await
}

pub(crate) async fn retry(core: &Arc<Core>, params: OfMessage) -> Result<Message> {
    let mut write = core.store.write().await?;
    let message = messages::get(&mut write, params.message, 0).await?;
    messages::wait_again(&mut write, params.message).await?;
    let (account, address) = chats::place(&mut write, message.chat).await?;
    omemo::forget_faults(&mut write, account, &address).await?;
    // From now on: what the archive has of it is the one that failed.
    outbox::queue_again(&mut write, &message, Some(Timestamp::now())).await?;
    write.commit().await?;
    queued(core, message.account, params.message, message.chat).await
}

async fn queued(
    core: &Core,
    account: AccountId,
    message: MessageId,
    chat: crate::model::ChatId,
) -> Result<Message> {
    publish(
        core,
        account,
        Changes {
            account: true,
            ..Changes::message(message, chat)
        },
    )
    .await?;
    if let Some(running) = core.running.lock().await.get(&account) {
        running.wake_outbox();
    }
    let rev = core.store.next_rev();
    messages::get(&mut *core.store.read().await?, message, rev).await
}
