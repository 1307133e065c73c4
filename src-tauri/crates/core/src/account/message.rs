//! Messages become rows: read, decrypted, stored, confirmed; and what others say of ours.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use minidom::Element;
use waxwing_stream::Header;

use super::batch::Batch;
use super::keys::{self, Arrival, Envelope, Opened};
use super::online::Online;
use super::outbox::fail;
use crate::error::{Fault, Result};
use crate::fail::{self, Point};
use crate::inbound::{Content, Inbound, Sender, Text};
use crate::model::{BareJid, ChatId, Delivery, Direction, Encryption, MessageId, UndecryptableReason};
use crate::store::archive::{self, Place};
use crate::store::files::NewFile;
use crate::store::messages::{NewMessage, Sought, Stand, Stored};
use crate::store::omemo::What;
use crate::store::{chats, contacts, messages, outbox, reading, receipts};
use crate::xep::element::{element, wrap};
use crate::xep::file_sharing::{self, SharedFile};
use crate::xep::{file_name, ns};

/// A message that comes back with an error that passes is sent again after these pauses; then it has failed.
const RETURNS: [SignedDuration; 5] = [
    SignedDuration::from_secs(10),
    SignedDuration::from_secs(30),
    SignedDuration::from_mins(2),
    SignedDuration::from_mins(5),
    LONGEST_PAUSE,
];
pub(super) const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(15);

/// A file as it is stored.
fn new_file(file: &SharedFile) -> NewFile {
    let (key, sources) = match &file.way {
        Some(way) => (Some(way.key.clone()), way.sources.as_slice()),
        None => (None, &[][..]),
    };
    NewFile {
        program: file_name::is_program(&file.name),
        name: file.name.clone(),
        media_type: file.media_type.clone(),
        host: sources.first().map(file_sharing::host),
        sources: sources.iter().map(ToString::to_string).collect(),
        key,
    }
}

impl Online<'_> {
    /// A message as it arrives. Whatever the archive still holds for us stands before it.
    pub(super) async fn live_text(
        &mut self,
        batch: &mut Batch,
        mut text: Text,
        now: Timestamp,
    ) -> Result<()> {
        let chat = batch.chat(self.account, &text.chat, now).await?;
        // Before decrypting: a message key can be used once only. What is plain is found to be there when it is stored.
        let plain = matches!(text.content, Content::Plain(_));
        if plain || !self.is_stored(batch, chat, &text).await? {
            let stand = Stand::End(now.as_microsecond());
            let stored = match self.read_content(batch, chat, (&mut text, true), now).await? {
                Some(message) => {
                    let early = self.is_too_early(batch, message.undecryptable);
                    let stored = self.store_message(batch, chat, message, stand).await?;
                    if let Some((id, _)) = stored {
                        self.session.archive.came(id);
                        if early {
                            self.keep_too_early(batch, id, &text).await?;
                        }
                    }
                    stored
                }
                None => None,
            };
            if plain && stored.is_none() {
                self.is_stored(batch, chat, &text).await?;
            }
            for inbound in std::mem::take(&mut batch.said_inside) {
                batch.follow().await?;
                self.said_of_message(batch, inbound, false).await?;
            }
            // What was held back somewhere says nothing about what stands before it.
            if let (Some(id), Some((_, position))) = (&text.archive_id, stored)
                && text.sent_at >= now
            {
                let first = batch.live.take().map_or_else(|| id.clone(), |(first, _)| first);
                let (id, at) = (id.clone(), now);
                batch.live = Some((first, Place { id, at, position }));
            }
        }
        self.acknowledge(batch, chat, &text).await
    }

    /// All of the archive up to the last message that came live is known, but for the gaps.
    pub(super) async fn reached(&self, batch: &mut Batch) -> Result<()> {
        let live = batch.live.take();
        let Some((first, place)) = live.filter(|_| self.session.archive.has_no_hole()) else {
            return Ok(());
        };
        archive::end_before(&mut batch.write, self.account, &first).await?;
        archive::set_newest(&mut batch.write, self.account, &place).await
    }

    /// Whether a message is stored already. What came back from the server need not be sent to it again.
    async fn is_stored(&self, batch: &mut Batch, chat: ChatId, text: &Text) -> Result<bool> {
        let sought = Sought {
            chat,
            sender: &text.sender,
            origin_id: text.origin_id.as_deref(),
            archive_id: text.archive_id.as_deref(),
            // What comes live again has an id, or is not the same.
            likeness: None,
        };
        let known = messages::known(&mut batch.write, &[sought]).await?;
        if let (Some(known), Direction::Out) = (known.get(&0), text.direction) {
            self.arrived(batch, chat, known.message).await?;
        }
        Ok(!known.is_empty())
    }

    /// The server has this message of ours.
    pub(super) async fn arrived(&self, batch: &mut Batch, chat: ChatId, message: MessageId) -> Result<()> {
        if outbox::goes_again(&mut batch.write, message).await? {
            // What the archive has is the one that came back.
            return Ok(());
        }
        outbox::remove_message(&mut batch.write, message).await?;
        if messages::advance_delivery(&mut batch.write, message, Delivery::Sent).await? {
            batch.changes.messages.insert(message);
            batch.changes.chats.insert(chat);
        }
        Ok(())
    }

    /// Stores what came live. Says where; none if it is there already.
    async fn store_message(
        &self,
        batch: &mut Batch,
        chat: ChatId,
        message: NewMessage,
        stand: Stand,
    ) -> Result<Option<(MessageId, i64)>> {
        let stored = messages::insert_row(&mut batch.write, chat, &message, stand).await?;
        let unread = message.direction == Direction::In;
        if let Some((id, position)) = stored {
            batch.stored(chat, id, unread);
            batch.fresh.push(Stored {
                chat,
                message: id,
                position,
                unread,
                new: Cow::Owned(message),
            });
        }
        // Whoever answers on another device has read what stands before.
        if !unread {
            batch.follow().await?;
            chats::mark_read(&mut batch.write, chat).await?;
        }
        Ok(stored)
    }

    /// Another device of ours has shown this message to the person, and with it all before it.
    async fn read_elsewhere(&self, batch: &mut Batch, with: &BareJid, id: &str) -> Result<()> {
        let Some(chat) = chats::find(&mut batch.write, self.account, with).await? else {
            return Ok(());
        };
        match messages::received_as(&mut batch.write, chat, id).await? {
            Some(message) => {
                reading::marked_elsewhere(&mut batch.write, chat, message).await?;
                self.read_up_to(batch, &[(chat, message)]).await
            }
            None => Ok(()),
        }
    }

    pub(super) async fn read_up_to(&self, batch: &mut Batch, read: &[(ChatId, MessageId)]) -> Result<()> {
        if chats::read_up_to(&mut batch.write, read).await? {
            batch.changes.chats.extend(read.iter().map(|(chat, _)| *chat));
            batch.changes.account = true;
        }
        Ok(())
    }

    /// A message was thrown away unread. If a contact wrote it, the chat says so; nobody else can fill the list with rows.
    pub(super) async fn too_large(
        &mut self,
        batch: &mut Batch,
        from: &Sender,
        header: &Header,
        now: Timestamp,
    ) -> Result<()> {
        let to_us = matches!(header.kind.as_deref(), None | Some("chat" | "normal"));
        let contact = contacts::get(&mut batch.write, self.account, &from.bare).await?;
        if !to_us || contact.is_none() {
            return Ok(());
        }
        let chat = batch.chat(self.account, &from.bare, now).await?;
        let message = NewMessage {
            sender: from.bare.clone(),
            direction: Direction::In,
            body: None,
            files: Vec::new(),
            sent_at: now,
            delivery: Delivery::Delivered,
            encryption: Encryption::None,
            trust: None,
            device: None,
            unprotected: false,
            undecryptable: Some(UndecryptableReason::TooLarge),
            method: None,
            stanza_id: header.id.clone(),
            origin_id: None,
            archive_id: None,
            markable: false,
        };
        let stand = Stand::End(now.as_microsecond());
        self.store_message(batch, chat, message, stand).await?;
        Ok(())
    }

    /// What is to be stored; none if there is nothing to show. What else was said is left in the batch. It came `live`, or
    /// the archive tells of it.
    pub(super) async fn read_content(
        &mut self,
        batch: &mut Batch,
        chat: ChatId,
        (text, live): (&mut Text, bool),
        now: Timestamp,
    ) -> Result<Option<NewMessage>> {
        let mut message = NewMessage {
            sender: text.sender.clone(),
            direction: text.direction,
            body: None,
            files: Vec::new(),
            sent_at: text.sent_at,
            delivery: match text.direction {
                Direction::In => Delivery::Delivered,
                Direction::Out => Delivery::Sent,
            },
            encryption: Encryption::None,
            trust: None,
            device: None,
            unprotected: false,
            undecryptable: None,
            method: None,
            stanza_id: text.stanza_id.clone(),
            origin_id: text.origin_id.clone(),
            archive_id: text.archive_id.clone(),
            markable: text.markable,
        };
        match &text.content {
            Content::Plain(body) => {
                message.unprotected =
                    text.direction == Direction::In && batch.was_latched(chat, (text.sent_at, live)).await?;
                message.body = Some(body.clone());
            }
            Content::Malformed => {
                message.undecryptable = Some(UndecryptableReason::Malformed);
                batch.latch(chat, text.sent_at.min(now)).await?;
            }
            Content::Foreign(name) => {
                message.undecryptable = Some(UndecryptableReason::Unsupported);
                message.method = Some(name.clone());
            }
            Content::Encrypted(encrypted) => {
                let to = match text.direction {
                    Direction::In => &self.own,
                    Direction::Out => &text.chat,
                };
                let envelope = Envelope {
                    own: &self.own,
                    from: &text.sender,
                    to,
                };
                let arrival = Arrival {
                    now,
                    sent_at: text.sent_at,
                    catching_up: !live || !self.session.caught_up,
                };
                let (opened, wanted) =
                    keys::open(&mut batch.write, self.account, &envelope, encrypted, arrival).await?;
                self.trust_changed(batch, &wanted.trust_of).await?;
                batch.bundles_behind.extend(wanted.bundle_behind);
                if let Some(device) = wanted.unlisted {
                    self.wrote_unlisted(batch, chat, (&text.sender, device)).await?;
                }
                if let Some(of_device) = wanted.answer
                    && batch
                        .acquainted(self.account, &self.own, chat, &text.sender)
                        .await?
                {
                    self.owe(batch, &text.sender, of_device, What::Answer).await?;
                }
                if let Some(of_device) = wanted.heal.filter(|_| !arrival.catching_up) {
                    self.heal(batch, chat, text, of_device, now).await?;
                }
                match opened {
                    Opened::Nothing | Opened::Duplicate => return Ok(None),
                    // In the older generation a payload is somebody's words, also if nothing says so in the open. In
                    // version 2 it may as well be what devices tell each other (XEP-0450), for some of them only and with
                    // nothing in it for people; what is for people says so there (XEP-0380).
                    Opened::Undecryptable {
                        reason: UndecryptableReason::NotForThisDevice,
                        encryption: Encryption::Omemo2,
                        ..
                    } if !text.announced => return Ok(None),
                    Opened::Content {
                        inside,
                        encryption,
                        device,
                        trust,
                    } => {
                        fail::at(Point::RatchetDecrypted);
                        batch.said_inside.extend(inside.add_to(text));
                        message.body = inside.body().map(str::to_owned);
                        message.files = inside.files().map(new_file).collect();
                        if message.body.is_none() && message.files.is_empty() {
                            return Ok(None);
                        }
                        message.sent_at = text.sent_at;
                        message.markable = text.markable;
                        message.encryption = encryption;
                        message.device = Some(device.get());
                        message.trust = Some(trust);
                        batch.latch(chat, text.sent_at.min(now)).await?;
                    }
                    Opened::Undecryptable {
                        encryption,
                        device,
                        reason,
                    } => {
                        message.encryption = encryption;
                        message.device = Some(device.get());
                        let arrived = (chat, &*text, live);
                        let of_device = (device, encryption);
                        let reason = self
                            .why_unreadable(batch, arrived, of_device, reason, now)
                            .await?;
                        message.undecryptable = Some(reason);
                        // It was encrypted all the same: whoever forgot all else with their database does not forget this.
                        batch.latch(chat, text.sent_at.min(now)).await?;
                    }
                }
            }
        }
        Ok(Some(message))
    }

    /// What waited for a decision about these people's keys may go out, and what their chats say of it changes.
    async fn trust_changed(&self, batch: &mut Batch, of: &BTreeSet<BareJid>) -> Result<()> {
        let chats = chats::with(&mut batch.write, self.account, of).await?;
        batch.changes.chats.extend(chats);
        batch.outbox |= !of.is_empty();
        Ok(())
    }

    /// Sends a receipt for what is stored, also when it came again: the first receipt may have been lost.
    pub(super) async fn acknowledge(&self, batch: &mut Batch, chat: ChatId, text: &Text) -> Result<()> {
        match text.receipt() {
            Some(receipt) => self.give_receipt(batch, chat, &text.sender, receipt).await,
            None => Ok(()),
        }
    }

    /// What the archive told of has all been read: what no other device of ours has acknowledged is now.
    pub(super) async fn give_receipts(&self, batch: &mut Batch) -> Result<()> {
        for due in receipts::take(&mut batch.write, self.account).await? {
            let receipt = (due.recipient.as_str(), due.stanza_id.as_str());
            self.give_receipt(batch, due.chat, &due.sender, receipt).await?;
        }
        Ok(())
    }

    /// Sends a receipt for a message of theirs in a chat to that address, naming that id, if they may have one.
    async fn give_receipt(
        &self,
        batch: &mut Batch,
        chat: ChatId,
        sender: &BareJid,
        (to, id): (&str, &str),
    ) -> Result<()> {
        if !batch.acquainted(self.account, &self.own, chat, sender).await?
            || !batch.sends_receipts(self.account, chat, sender).await?
        {
            return Ok(());
        }
        let message = element("message", ns::JABBER_CLIENT, &[("to", to), ("type", "chat")]);
        let received = element("received", ns::RECEIPTS, &[("id", id)]);
        batch
            .send
            .push(wrap(message, [received, Element::bare("store", ns::HINTS)]));
        Ok(())
    }

    /// What others and our other devices say about a message that is known, by itself or, `again`, out of the archive.
    pub(super) async fn said_of_message(
        &mut self,
        batch: &mut Batch,
        inbound: Inbound,
        again: bool,
    ) -> Result<()> {
        match inbound {
            Inbound::Receipt { from, id } => self.receipt(batch, &from, &id).await,
            Inbound::Displayed { from, id } => self.displayed(batch, &from, &id).await,
            Inbound::Bounce {
                from,
                id,
                passes,
                fault,
            } => self.bounce(batch, &from, &id, (passes, again), &fault).await,
            Inbound::ReadElsewhere { with, id } => self.read_elsewhere(batch, &with, &id).await,
            _ => Ok(()),
        }
    }

    /// Our message came back with an error. One that passes is no failure yet: it goes out again, later each time. The
    /// archive may tell of it `again`.
    async fn bounce(
        &mut self,
        batch: &mut Batch,
        from: &BareJid,
        id: &str,
        (passes, again): (bool, bool),
        fault: &Fault,
    ) -> Result<()> {
        let Some((message, chat)) = self.own_message(batch, from, id).await? else {
            return Ok(());
        };
        let Some(times) = messages::came_back(&mut batch.write, message, again).await? else {
            return Ok(());
        };
        let pause = RETURNS.get(times.saturating_sub(1) as usize);
        if let Some(pause) = pause.filter(|_| passes) {
            outbox::remove_message(&mut batch.write, message).await?;
            messages::wait_for_another_try(&mut batch.write, message).await?;
            let message = messages::get(&mut batch.write, message, 0).await?;
            let not_before = Timestamp::now() + *pause;
            outbox::queue_again(&mut batch.write, &message, Some(not_before)).await?;
            outbox::put_behind(&mut batch.write, message.message).await?;
            batch.changes.messages.insert(message.message);
            batch.changes.chats.insert(chat);
            batch.outbox = true;
            return Ok(());
        }
        fail(&mut batch.write, message, chat, fault, &mut batch.changes).await
    }

    async fn receipt(&self, batch: &mut Batch, from: &BareJid, id: &str) -> Result<()> {
        let Some((message, chat)) = self.own_message(batch, from, id).await? else {
            return Ok(());
        };
        self.has_come(batch, (message, chat), Delivery::Delivered).await
    }

    /// They have seen this message, and with it all before it (XEP-0333 §2).
    async fn displayed(&self, batch: &mut Batch, from: &BareJid, id: &str) -> Result<()> {
        let Some((message, chat)) = self.own_message(batch, from, id).await? else {
            return Ok(());
        };
        self.has_come(batch, (message, chat), Delivery::Read).await?;
        let seen = messages::seen_up_to(&mut batch.write, chat, message).await?;
        if !seen.is_empty() {
            batch.changes.chats.insert(chat);
        }
        batch.changes.messages.extend(seen);
        Ok(())
    }

    /// They have this message: it need not be sent again.
    async fn has_come(
        &self,
        batch: &mut Batch,
        (message, chat): (MessageId, ChatId),
        delivery: Delivery,
    ) -> Result<()> {
        outbox::remove_message(&mut batch.write, message).await?;
        if messages::advance_delivery(&mut batch.write, message, delivery).await? {
            batch.changes.messages.insert(message);
            batch.changes.chats.insert(chat);
        }
        Ok(())
    }

    /// Our message with that stanza id in the chat with `with`: nobody else can say anything about it.
    async fn own_message(
        &self,
        batch: &mut Batch,
        with: &BareJid,
        stanza_id: &str,
    ) -> Result<Option<(crate::model::MessageId, ChatId)>> {
        let Some(chat) = chats::find(&mut batch.write, self.account, with).await? else {
            return Ok(None);
        };
        Ok(messages::sent_as(&mut batch.write, chat, stanza_id)
            .await?
            .map(|message| (message, chat)))
    }
}
