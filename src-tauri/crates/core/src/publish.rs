//! What changed in the database becomes events. Objects are read after the commit, with a `rev` that was taken before
//! reading, and new messages of the archive are told as they were stored, with one taken before the commit: whatever the
//! order in which readers get to see them, the higher `rev` is never the older state.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use crate::Core;
use crate::error::Result;
use crate::event::Event;
use crate::live::Live;
use crate::model::{
    Account, AccountId, BareJid, Certificate, ChatId, ConnectionState, Contact, ContactRequest, Gap, Message,
    MessageId, Sharing, Show,
};
use crate::notices;
use crate::store::reading::Shares;
use crate::store::{Connection, accounts, archive, chats, contacts, messages, reading};

/// What a transaction changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) messages: BTreeSet<MessageId>,
    /// Messages as they were stored. Those that are among `messages` too have changed since.
    pub(crate) shown: Vec<Message>,
    pub(crate) chats: BTreeSet<ChatId>,
    pub(crate) contacts: BTreeSet<BareJid>,
    pub(crate) contacts_removed: BTreeSet<BareJid>,
    pub(crate) requests: Vec<ContactRequest>,
    pub(crate) requests_answered: BTreeSet<BareJid>,
    /// The account itself, such as its unread count.
    pub(crate) account: bool,
}

impl Changes {
    /// A message of a chat: the chat's last line changes too.
    pub(crate) fn message(message: MessageId, chat: ChatId) -> Self {
        Self {
            messages: [message].into(),
            chats: [chat].into(),
            ..Self::default()
        }
    }

    /// A chat and the account's unread count.
    pub(crate) fn chat(chat: ChatId) -> Self {
        Self {
            chats: [chat].into(),
            account: true,
            ..Self::default()
        }
    }
}

/// Tells the watchers what a committed transaction changed.
pub(crate) async fn publish(core: &Core, account: AccountId, changes: Changes) -> Result<()> {
    let mut db = core.store.read().await?;
    for request in changes.requests {
        core.emit(Event::RequestReceived { request });
    }
    for address in changes.requests_answered {
        core.emit(Event::RequestAnswered { account, address });
    }
    for address in changes.contacts_removed {
        core.emit(Event::ContactRemoved { account, address });
    }
    for message in changes.shown {
        if !changes.messages.contains(&message.message) {
            core.emit(Event::MessageChanged { message });
        }
    }
    let messages: Vec<MessageId> = changes.messages.into_iter().collect();
    if !messages.is_empty() {
        let rev = core.store.next_rev();
        for mut message in messages::some(&mut db, &messages, rev).await? {
            core.fetching.show_in(&mut message);
            core.emit(Event::MessageChanged { message });
        }
    }
    let contacts: Vec<&BareJid> = changes.contacts.iter().collect();
    if !contacts.is_empty() {
        let rev = core.store.next_rev();
        let rows = contacts::some(&mut db, account, &contacts).await?;
        let shares = reading::shares(&mut db, account).await?;
        let live = core.live.read().await;
        for row in rows {
            let contact = contact(row, account, &shares, live.get(&account), rev);
            core.emit(Event::ContactChanged { contact });
        }
    }
    let chats: Vec<ChatId> = changes.chats.into_iter().collect();
    if !chats.is_empty() {
        let rev = core.store.next_rev();
        for chat in chats::some(&mut db, &chats, rev).await? {
            if chat.unread == 0 {
                notices::withdraw(core, account, Some(chat.chat));
            }
            core.emit(Event::ChatChanged { chat });
        }
    }
    if changes.account {
        tell_account(core, &mut db, account).await?;
    }
    Ok(())
}

/// Tells the watchers how an account stands.
pub(crate) async fn account(core: &Core, account: AccountId) -> Result<()> {
    let mut db = core.store.read().await?;
    tell_account(core, &mut db, account).await
}

async fn tell_account(core: &Core, db: &mut Connection, account: AccountId) -> Result<()> {
    let rev = core.store.next_rev();
    let row = accounts::get(db, account).await?;
    let gaps = archive::gaps(db, account).await?;
    let account = show_account(row, &gaps, core.live.read().await.get(&account), rev);
    if account.unread == 0 {
        notices::withdraw(core, account.account, None);
    }
    core.emit(Event::AccountChanged { account });
    Ok(())
}

/// An account's row with the state of its connection. `rev` was taken before both.
pub(crate) fn show_account(
    row: accounts::AccountRow,
    gaps: &[archive::Gap],
    live: Option<&Live>,
    rev: i64,
) -> Account {
    let (proxy, accepted) = (row.proxy(), row.accepted_certificate());
    Account {
        account: row.id,
        address: row.address.0,
        enabled: row.enabled,
        state: live.map_or(ConnectionState::Offline, |live| live.state),
        error: live.and_then(|live| live.error.clone()),
        show: row.show,
        status: row.status,
        color: row.color,
        unread: row.unread,
        proxy,
        refused_certificate: live.and_then(|live| live.refused.as_ref().map(certificate)),
        accepted_certificate: accepted.map(|print| print.to_string()),
        own_authorities: row.own_authorities,
        send_receipts: row.send_receipts,
        send_markers: row.send_markers,
        notify: row.notify,
        plain_allowed: row.plain_allowed,
        renewed: row.renewed,
        gaps: gaps
            .iter()
            .map(|gap| Gap {
                after: gap.low,
                before: gap.high,
            })
            .collect(),
        host: row.host,
        port: row.port.0,
        tls: row.tls,
        rev,
    }
}

/// A server's certificate as it is shown.
pub(crate) fn certificate(shown: &waxwing_stream::Certificate) -> Certificate {
    let time = |seconds| Timestamp::from_second(seconds).unwrap_or_default();
    Certificate {
        fingerprint: shown.fingerprint.to_string(),
        names: shown.names.clone(),
        issuer: shown.issuer.clone(),
        not_before: time(shown.not_before),
        not_after: time(shown.not_after),
        self_signed: shown.self_signed,
    }
}

/// A contact's row with its live presence. `rev` was taken before both.
pub(crate) fn contact(
    row: contacts::ContactRow,
    account: AccountId,
    shares: &HashMap<BareJid, Shares>,
    live: Option<&Live>,
    rev: i64,
) -> Contact {
    let shares = shares.get(&row.address.0);
    let (presence, status) = live.map_or((Show::Offline, None), |live| live.presence(&row.address.0));
    Contact {
        account,
        address: row.address.0,
        name: row.name,
        subscription: row.subscription,
        asked: row.asked,
        groups: row.groups.0,
        send_receipts: shares.map_or(Sharing::AsAccount, |shares| shares.receipts),
        send_markers: shares.map_or(Sharing::AsAccount, |shares| shares.markers),
        presence,
        status,
        rev,
    }
}
