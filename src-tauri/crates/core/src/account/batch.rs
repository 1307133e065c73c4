//! What a batch of stanzas does: one transaction, and after its commit what is to be sent and told.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use minidom::Element;
use waxwing_omemo::Profile;

use super::devices::Want;
use crate::error::Result;
use crate::inbound::Inbound;
use crate::model::{AccountId, BareJid, ChatId, MessageId};
use crate::notices::News;
use crate::publish::Changes;
use crate::store::archive::Place;
use crate::store::messages::Stored;
use crate::store::sessions::DevicePresence;
use crate::store::{Store, Write, chats, contacts, messages, reading};

/// A transaction under way, with what is to follow its commit.
pub(super) struct Batch {
    pub(super) write: Write,
    pub(super) changes: Changes,
    /// Stanzas to be sent after the commit, in this order.
    pub(super) send: Vec<Element>,
    /// Something was put into the outbox, or what it waited for has come.
    pub(super) outbox: bool,
    /// Rows of the outbox that the server has: out of the pump once this is committed.
    pub(super) confirmed: Vec<i64>,
    /// What contacts' devices show from now on.
    pub(super) presences: Vec<DevicePresence>,
    /// A prekey was used: the bundles on the server are behind in these generations.
    pub(super) bundles_behind: BTreeSet<Profile>,
    /// A device is owed something.
    pub(super) due: bool,
    /// What is to be asked for after the commit.
    pub(super) wants: BTreeSet<Want>,
    /// The first and the last message that came live and stand in the archive, in this batch.
    pub(super) live: Option<(String, Place)>,
    /// Chats that are new. Those in which nothing was said after all are taken back.
    pub(super) made: HashSet<ChatId>,
    /// What was found out in this transaction and cannot change in it by itself.
    found: Found,
    /// What the archive told of is to be acknowledged.
    pub(super) receipts_due: bool,
    /// What opened messages say of others, until those in the same batch are stored.
    pub(super) said_inside: Vec<Inbound>,
    /// A page of the archive is in it. What comes behind that has a transaction of its own.
    pub(super) page: bool,
    /// Everything that the server held for us has been read.
    pub(super) caught_up: bool,
    /// What is new and unread.
    pub(super) news: News,
    /// Chats in which something encrypted was stored, or messages have changed places.
    pub(super) encrypted: BTreeSet<ChatId>,
    /// Messages that were stored one by one, and what follows from them not yet.
    pub(super) fresh: Vec<Stored<'static>>,
}

impl Batch {
    pub(super) async fn begin(store: &Store) -> Result<Self> {
        Ok(Self {
            write: store.write().await?,
            changes: Changes::default(),
            send: Vec::new(),
            outbox: false,
            confirmed: Vec::new(),
            presences: Vec::new(),
            bundles_behind: BTreeSet::new(),
            due: false,
            wants: BTreeSet::new(),
            live: None,
            made: HashSet::new(),
            found: Found::default(),
            receipts_due: false,
            said_inside: Vec::new(),
            page: false,
            caught_up: false,
            news: News::new(),
            encrypted: BTreeSet::new(),
            fresh: Vec::new(),
        })
    }

    /// Does what follows from the messages that were stored, before anything else looks at their chats.
    pub(super) async fn follow(&mut self) -> Result<()> {
        let fresh = std::mem::take(&mut self.fresh);
        messages::follow(&mut self.write, &fresh).await
    }

    /// Marks what came plain in encrypted chats and was stored before that was known, as what lies in offline storage is
    /// that a new device gets before it reads the archive.
    pub(super) async fn mark_unprotected(&mut self) -> Result<()> {
        for chat in std::mem::take(&mut self.encrypted) {
            let marked = chats::mark_unprotected(&mut self.write, chat).await?;
            if !marked.is_empty() {
                self.changes.chats.insert(chat);
                self.changes.messages.extend(marked);
            }
        }
        Ok(())
    }
}

/// Questions to the database that would be asked again for each message.
#[derive(Default)]
struct Found {
    chats: HashMap<BareJid, ChatId>,
    latched: HashMap<ChatId, Option<i64>>,
    acquainted: HashSet<ChatId>,
    receipts: HashMap<ChatId, bool>,
}

impl Batch {
    /// The chat with an address, made if there is none.
    pub(super) async fn chat(
        &mut self,
        account: AccountId,
        address: &BareJid,
        now: Timestamp,
    ) -> Result<ChatId> {
        if let Some(chat) = self.found.chats.get(address) {
            return Ok(*chat);
        }
        let chat = match chats::find(&mut self.write, account, address).await? {
            Some(chat) => chat,
            None => {
                let chat = chats::make(&mut self.write, account, address, now).await?;
                self.made.insert(chat);
                chat
            }
        };
        self.found.chats.insert(address.clone(), chat);
        Ok(chat)
    }

    /// Finds the chats with these people at once.
    pub(super) async fn find_chats(&mut self, account: AccountId, people: &BTreeSet<&BareJid>) -> Result<()> {
        for (address, chat, latched) in chats::among(&mut self.write, account, people).await? {
            self.found.chats.insert(address, chat);
            self.found.latched.insert(chat, latched);
        }
        Ok(())
    }

    /// Whether a chat was encrypted for good at that time; what comes `live` comes now, whatever it says.
    pub(super) async fn was_latched(&mut self, chat: ChatId, (at, live): (Timestamp, bool)) -> Result<bool> {
        let latched = match self.found.latched.get(&chat) {
            Some(latched) => *latched,
            None => {
                let latched = chats::latched_since(&mut self.write, chat).await?;
                self.found.latched.insert(chat, latched);
                latched
            }
        };
        Ok(latched.is_some_and(|since| live || at.as_millisecond() >= since))
    }

    /// Encrypts a chat for good since a message of that time, unless the person chose otherwise.
    pub(super) async fn latch(&mut self, chat: ChatId, at: Timestamp) -> Result<()> {
        self.found.latched.remove(&chat);
        chats::latch_since(&mut self.write, chat, at).await?;
        self.encrypted.insert(chat);
        Ok(())
    }

    /// Whether somebody may learn that we are there: those in the contact list, those we wrote to, and ourselves.
    pub(super) async fn acquainted(
        &mut self,
        account: AccountId,
        own: &BareJid,
        chat: ChatId,
        who: &BareJid,
    ) -> Result<bool> {
        if who == own || self.found.acquainted.contains(&chat) {
            return Ok(true);
        }
        let acquainted = contacts::get(&mut self.write, account, who).await?.is_some()
            || messages::wrote_in(&mut self.write, chat).await?;
        if acquainted {
            self.found.acquainted.insert(chat);
        }
        Ok(acquainted)
    }

    /// A message has become a row.
    pub(super) fn stored(&mut self, chat: ChatId, message: MessageId, unread: bool) {
        self.changes.messages.insert(message);
        self.changes.chats.insert(chat);
        self.changes.account = true;
        if unread {
            *self.news.entry(chat).or_default() += 1;
        }
    }

    /// Whether the other side of a chat gets receipts, if it may learn anything.
    pub(super) async fn sends_receipts(
        &mut self,
        account: AccountId,
        chat: ChatId,
        who: &BareJid,
    ) -> Result<bool> {
        if let Some(sends) = self.found.receipts.get(&chat) {
            return Ok(*sends);
        }
        let sends = reading::sends_receipts(&mut self.write, account, who).await?;
        self.found.receipts.insert(chat, sends);
        Ok(sends)
    }
}
