//! A decision of `inbound` becomes rows, in the batch's transaction.

use jiff::Timestamp;
use minidom::Element;
use waxwing_omemo::Profile;
use waxwing_stream::Header;

use super::batch::Batch;
use super::encryption::{ListOutcome, Want, begin_session, empty_message};
use super::iq::Ask;
use super::keys::{self, Envelope, Opened};
use super::online::Online;
use super::outbox::fail;
use crate::error::{Code, Error, Fault, Result};
use crate::inbound::{Content, Inbound, Query, Sender, Text};
use crate::live::Presence;
use crate::model::{
    BareJid, ChatId, ContactRequest, Delivery, Direction, Encryption, EncryptionMode, MessageId,
    Subscription, UndecryptableReason,
};
use crate::store::archive::{self, Place};
use crate::store::messages::{NewMessage, Stand};
use crate::store::sessions::DevicePresence;
use crate::store::{chats, contacts, messages, omemo, outbox};
use crate::xep::element::{element, wrap};
use crate::xep::{disco, ns, pubsub, stanza_error};

impl Online<'_> {
    /// Does what one decision asks for.
    pub(super) async fn receive(
        &mut self,
        batch: &mut Batch,
        inbound: Inbound,
        stanza: &Element,
        now: Timestamp,
    ) -> Result<()> {
        match inbound {
            Inbound::Text(text) => self.live_text(batch, text, now).await,
            Inbound::ReadElsewhere { with, id } => self.read_elsewhere(batch, &with, &id).await,
            // A receipt in a carbon copy comes behind the message, which no receipt of ours was given for.
            Inbound::ReceiptElsewhere { .. } => Ok(()),
            Inbound::Archived(archived) => {
                self.archived(archived);
                Ok(())
            }
            Inbound::Receipt { from, id } => self.receipt(batch, &from, &id).await,
            Inbound::Displayed { from, id } => self.displayed(batch, &from, &id).await,
            Inbound::Bounce { from, id, fault } => self.bounce(batch, &from, &id, &fault).await,
            Inbound::DeviceList { of, profile, devices } => {
                // Anybody can send one; it is kept of those whom we have to do with.
                if of == self.own || self.is_known(batch, &of).await? {
                    self.device_list(batch, &of, profile, &devices, now).await?;
                }
                Ok(())
            }
            Inbound::Presence {
                from,
                show,
                status,
                priority,
            } => {
                self.contact_presence(
                    batch,
                    from,
                    Presence {
                        show,
                        status,
                        priority,
                    },
                )
                .await
            }
            Inbound::SubscriptionRequest { from } => self.subscription_request(batch, from, now).await,
            Inbound::RequestWithdrawn { from } => {
                if contacts::delete_request(&mut batch.write, self.account, &from).await? {
                    batch.changes.requests_answered.insert(from);
                }
                Ok(())
            }
            Inbound::RosterPush { id, item } => {
                self.roster_item(batch, item).await?;
                batch.send.push(element(
                    "iq",
                    ns::JABBER_CLIENT,
                    &[("type", "result"), ("id", &id)],
                ));
                Ok(())
            }
            Inbound::Asked { id, from, query } => {
                // A stranger gets what an address gets where nobody is (RFC 6121 §8.5.3): it shall not learn that we
                // are there, nor with what program.
                let query = if self.may_ask(batch, from.as_deref()).await? {
                    query
                } else {
                    Query::Unknown
                };
                batch.send.extend(answer(&id, from.as_deref(), query));
                Ok(())
            }
            Inbound::Answer { id, from } => {
                match self.session.questions.answered(&id, from.as_ref(), &self.own) {
                    Some(ask) => self.answered(batch, ask, stanza, now).await,
                    None => Ok(()),
                }
            }
        }
    }

    /// A message as it arrives. Whatever the archive still holds for us stands before it.
    async fn live_text(&mut self, batch: &mut Batch, text: Text, now: Timestamp) -> Result<()> {
        let chat = chats::open(&mut batch.write, self.account, &text.chat, now).await?;
        // Before decrypting: a message key can be used once only.
        if self.known(batch, chat, &text).await?.is_none() {
            let stand = Stand::End(now.as_microsecond());
            let stored = self.new_text(batch, chat, &text, stand, true, now).await?;
            self.reached(batch, &text, stored, now).await?;
        }
        self.acknowledge(batch, chat, &text).await
    }

    /// All of the archive up to this message is known, but for the gaps. What was held back elsewhere says nothing about
    /// that.
    async fn reached(
        &self,
        batch: &mut Batch,
        text: &Text,
        stored: Option<(MessageId, i64)>,
        now: Timestamp,
    ) -> Result<()> {
        let (Some(id), Some((_, position))) = (&text.archive_id, stored) else {
            return Ok(());
        };
        if text.sent_at < now {
            return Ok(());
        }
        let place = Place {
            id: id.clone(),
            at: now,
            position,
        };
        archive::end_before(&mut batch.write, self.account, id).await?;
        archive::set_newest(&mut batch.write, self.account, &place).await
    }

    /// Stores a message that is not known yet. Says where; none if there is nothing to show.
    pub(super) async fn new_text(
        &mut self,
        batch: &mut Batch,
        chat: ChatId,
        text: &Text,
        stand: Stand,
        unread: bool,
        now: Timestamp,
    ) -> Result<Option<(MessageId, i64)>> {
        match self.read_content(batch, chat, text, now).await? {
            Some(message) => self.store_message(batch, chat, &message, stand, unread).await,
            None => Ok(None),
        }
    }

    /// The server has this message of ours.
    pub(super) async fn arrived(&self, batch: &mut Batch, chat: ChatId, message: MessageId) -> Result<()> {
        outbox::remove_message(&mut batch.write, message).await?;
        if messages::advance_delivery(&mut batch.write, message, Delivery::Sent).await? {
            batch.changes.messages.insert(message);
            batch.changes.chats.insert(chat);
        }
        Ok(())
    }

    async fn store_message(
        &self,
        batch: &mut Batch,
        chat: ChatId,
        message: &NewMessage,
        stand: Stand,
        unread: bool,
    ) -> Result<Option<(MessageId, i64)>> {
        let unread = unread && message.direction == Direction::In;
        let stored = messages::insert(&mut batch.write, chat, message, unread, stand).await?;
        if let Some((id, _)) = stored {
            batch.changes.messages.insert(id);
            batch.changes.chats.insert(chat);
            batch.changes.account = true;
        }
        // Whoever answers on another device has read what stands before.
        if message.direction == Direction::Out && matches!(stand, Stand::End(_)) {
            chats::mark_read(&mut batch.write, chat).await?;
        }
        Ok(stored)
    }

    /// Another device of ours has shown this message to the person, and with it all before it.
    pub(super) async fn read_elsewhere(&self, batch: &mut Batch, with: &BareJid, id: &str) -> Result<()> {
        let Some(chat) = chats::find(&mut batch.write, self.account, with).await? else {
            return Ok(());
        };
        match messages::received_as(&mut batch.write, chat, id).await? {
            Some(message) => self.read_up_to(batch, chat, message).await,
            None => Ok(()),
        }
    }

    pub(super) async fn read_up_to(&self, batch: &mut Batch, chat: ChatId, message: MessageId) -> Result<()> {
        if chats::read_up_to(&mut batch.write, chat, message).await? {
            batch.changes.chats.insert(chat);
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
        let chat = chats::open(&mut batch.write, self.account, &from.bare, now).await?;
        let message = NewMessage {
            sender: from.bare.clone(),
            direction: Direction::In,
            body: None,
            sent_at: now,
            delivery: Delivery::Delivered,
            encryption: Encryption::None,
            trust: None,
            device: None,
            unprotected: false,
            undecryptable: Some(UndecryptableReason::TooLarge),
            stanza_id: header.id.clone(),
            origin_id: None,
            archive_id: None,
        };
        let stand = Stand::End(now.as_microsecond());
        self.store_message(batch, chat, &message, stand, true).await?;
        Ok(())
    }

    /// What is to be stored; none if there is nothing to show.
    async fn read_content(
        &mut self,
        batch: &mut Batch,
        chat: ChatId,
        text: &Text,
        now: Timestamp,
    ) -> Result<Option<NewMessage>> {
        let mut message = NewMessage {
            sender: text.sender.clone(),
            direction: text.direction,
            body: None,
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
            stanza_id: text.stanza_id.clone(),
            origin_id: text.origin_id.clone(),
            archive_id: text.archive_id.clone(),
        };
        match &text.content {
            Content::Plain(body) => {
                let latched = chats::mode(&mut batch.write, chat).await? == Some(EncryptionMode::Omemo);
                message.unprotected = latched && text.direction == Direction::In;
                message.body = Some(body.clone());
            }
            Content::Unreadable { unsupported } => {
                message.undecryptable = Some(if *unsupported {
                    UndecryptableReason::Unsupported
                } else {
                    UndecryptableReason::Malformed
                });
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
                let (opened, wanted) =
                    keys::open(&mut batch.write, self.account, &envelope, encrypted, now).await?;
                batch.bundles_behind |= wanted.bundles_behind;
                if let Some((device, profile)) = wanted.answer
                    && self.acquainted(batch, chat, &text.sender).await?
                {
                    let empty =
                        empty_message(&mut batch.write, self.account, &text.sender, device, profile).await?;
                    if let Some(empty) = empty {
                        let stanza = String::from(&empty);
                        outbox::push_stanza(&mut batch.write, self.account, stanza.as_bytes()).await?;
                        batch.outbox = true;
                    }
                }
                match opened {
                    Opened::Nothing | Opened::Duplicate => return Ok(None),
                    Opened::Body {
                        body,
                        encryption,
                        device,
                        trust,
                    } => {
                        message.body = Some(body);
                        message.encryption = encryption;
                        message.device = Some(device.get());
                        message.trust = Some(trust);
                        chats::latch(&mut batch.write, chat).await?;
                    }
                    Opened::Undecryptable {
                        encryption,
                        device,
                        reason,
                    } => {
                        message.encryption = encryption;
                        message.device = Some(device.get());
                        message.undecryptable = Some(reason);
                    }
                }
            }
        }
        Ok(Some(message))
    }

    /// Sends a receipt for what is stored, also when it came again: the first receipt may have been lost.
    pub(super) async fn acknowledge(&self, batch: &mut Batch, chat: ChatId, text: &Text) -> Result<()> {
        let (Some(to), Some(id)) = (&text.receipt_to, &text.stanza_id) else {
            return Ok(());
        };
        if !self.acquainted(batch, chat, &text.sender).await? {
            return Ok(());
        }
        let message = element("message", ns::JABBER_CLIENT, &[("to", to), ("type", "chat")]);
        let received = element("received", ns::RECEIPTS, &[("id", id)]);
        batch
            .send
            .push(wrap(message, [received, Element::bare("store", ns::HINTS)]));
        Ok(())
    }

    /// Nothing tells a stranger that we are there before the person answers: only those in the contact list, those we
    /// wrote to, and ourselves.
    async fn acquainted(&self, batch: &mut Batch, chat: ChatId, who: &BareJid) -> Result<bool> {
        Ok(*who == self.own
            || contacts::get(&mut batch.write, self.account, who)
                .await?
                .is_some()
            || messages::wrote_in(&mut batch.write, chat).await?)
    }

    /// Our message came back with an error.
    pub(super) async fn bounce(
        &self,
        batch: &mut Batch,
        from: &BareJid,
        id: &str,
        fault: &Fault,
    ) -> Result<()> {
        let Some((message, chat)) = self.own_message(batch, from, id).await? else {
            return Ok(());
        };
        fail(&mut batch.write, message, chat, fault, &mut batch.changes).await
    }

    pub(super) async fn receipt(&self, batch: &mut Batch, from: &BareJid, id: &str) -> Result<()> {
        let Some((message, chat)) = self.own_message(batch, from, id).await? else {
            return Ok(());
        };
        if messages::advance_delivery(&mut batch.write, message, Delivery::Delivered).await? {
            batch.changes.messages.insert(message);
            batch.changes.chats.insert(chat);
        }
        Ok(())
    }

    /// They have seen this message, and with it all before it (XEP-0333 §2).
    pub(super) async fn displayed(&self, batch: &mut Batch, from: &BareJid, id: &str) -> Result<()> {
        let Some((message, chat)) = self.own_message(batch, from, id).await? else {
            return Ok(());
        };
        let seen = messages::seen_up_to(&mut batch.write, chat, message).await?;
        if !seen.is_empty() {
            batch.changes.chats.insert(chat);
        }
        batch.changes.messages.extend(seen);
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

    /// Our own account and server, and contacts.
    async fn may_ask(&self, batch: &mut Batch, from: Option<&str>) -> Result<bool> {
        let Some(from) = from else { return Ok(true) };
        let Some(from) = Sender::read(from) else {
            return Ok(false);
        };
        let ours = from.bare == self.own || from.bare.as_str() == self.own.domain().as_str();
        Ok(ours
            || contacts::get(&mut batch.write, self.account, &from.bare)
                .await?
                .is_some())
    }

    async fn is_known(&self, batch: &mut Batch, who: &BareJid) -> Result<bool> {
        Ok(contacts::get(&mut batch.write, self.account, who)
            .await?
            .is_some()
            || chats::find(&mut batch.write, self.account, who).await?.is_some())
    }

    async fn device_list(
        &mut self,
        batch: &mut Batch,
        of: &BareJid,
        profile: Profile,
        devices: &[waxwing_omemo::xml::Device],
        now: Timestamp,
    ) -> Result<()> {
        omemo::put_list(&mut batch.write, self.account, of, profile, devices, now).await?;
        let outcome = if devices.is_empty() {
            ListOutcome::Empty
        } else {
            ListOutcome::Devices
        };
        self.list_read(of, profile, outcome);
        batch.outbox = true;
        match chats::find(&mut batch.write, self.account, of).await? {
            Some(chat) => batch.changes.chats.insert(chat),
            None => batch.changes.contacts.insert(of.clone()),
        };
        if *of == self.own {
            self.repair_list(batch, profile).await?;
        }
        Ok(())
    }

    /// Only contacts' presence is kept: strangers could fill the memory with theirs.
    async fn contact_presence(&self, batch: &mut Batch, from: Sender, presence: Presence) -> Result<()> {
        if contacts::get(&mut batch.write, self.account, &from.bare)
            .await?
            .is_none()
        {
            return Ok(());
        }
        let resource = from.resource.unwrap_or_default();
        if let Some(live) = self.core.live.write().await.get_mut(&self.account) {
            live.set_presence(from.bare.clone(), resource.clone(), presence.clone());
        }
        batch.presences.push(DevicePresence {
            address: from.bare.clone(),
            resource,
            show: presence.show,
            status: presence.status,
            priority: presence.priority,
        });
        batch.changes.contacts.insert(from.bare);
        Ok(())
    }

    async fn subscription_request(&mut self, batch: &mut Batch, from: BareJid, now: Timestamp) -> Result<()> {
        let contact = contacts::get(&mut batch.write, self.account, &from).await?;
        let answer = contact.is_some_and(|contact| {
            // Whom we asked ourselves may see us too; who may already has only forgotten.
            contact.asked || contact.subscription != Subscription::None
        });
        if answer {
            let subscribed = [("type", "subscribed"), ("to", from.as_str())];
            batch
                .send
                .push(element("presence", ns::JABBER_CLIENT, &subscribed));
        } else if contacts::put_request(&mut batch.write, self.account, &from, now).await? {
            let request = ContactRequest {
                account: self.account,
                address: from,
                received_at: now,
            };
            batch.changes.requests.push(request);
        }
        Ok(())
    }

    /// The answer to a question of ours.
    async fn answered(
        &mut self,
        batch: &mut Batch,
        ask: Ask,
        answer: &Element,
        now: Timestamp,
    ) -> Result<()> {
        let failed = answer.attr("type") == Some("error");
        match ask {
            Ask::Roster if failed => {
                tracing::warn!(
                    error = stanza_error::read(answer).condition,
                    "the roster could not be read"
                );
                Ok(())
            }
            Ask::Roster => self.roster(batch, answer).await,
            Ask::Carbons => {
                if failed {
                    tracing::info!("the server offers no carbon copies");
                }
                Ok(())
            }
            Ask::OwnFeatures => {
                let stanza_ids = !failed && disco::has_feature(answer, ns::SID);
                self.session.stanza_ids = stanza_ids;
                archive::set_stanza_ids(&mut batch.write, self.account, stanza_ids).await?;
                // A server that is asked for the archive first need not send what it kept for us as well.
                batch.greet = true;
                let archive = !failed && disco::has_feature(answer, ns::MAM);
                self.catch_up(batch, archive).await
            }
            Ask::CaughtUp => {
                batch.caught_up = true;
                Ok(())
            }
            Ask::Archive => self.archive_page(batch, answer, now).await,
            Ask::Change(done) => {
                let error = || Error::new(Code::Rejected, stanza_error::read(answer).sentence());
                let _ = done.send(if failed { Err(error()) } else { Ok(()) });
                Ok(())
            }
            Ask::Fence { rows } => self.confirm(batch, rows).await,
            Ask::Publish(step) => self.published(batch, step, answer).await,
            Ask::ForReport(part) => {
                self.reported(part, Some(answer).filter(|_| !failed));
                Ok(())
            }
            Ask::DeviceList { of, profile } => {
                self.device_list_answer(batch, &of, profile, answer, now).await
            }
            Ask::Bundle { of, device, profile } => {
                self.asked(&Want::Bundle {
                    of: of.clone(),
                    device,
                    profile,
                });
                batch.outbox = true;
                let begun = match pubsub::answered_items(answer).first() {
                    Some((_, bundle)) if !failed => {
                        begin_session(&mut batch.write, self.account, &of, device, profile, bundle).await?
                    }
                    _ => false,
                };
                self.bundle_outcome(batch, &of, device, begun, now).await
            }
        }
    }

    async fn device_list_answer(
        &mut self,
        batch: &mut Batch,
        of: &BareJid,
        profile: Profile,
        answer: &Element,
        now: Timestamp,
    ) -> Result<()> {
        match self.listed_devices(batch, of, profile, answer).await? {
            Some(devices) => {
                self.device_list(batch, of, profile, &devices, now).await?;
                if *of == self.own {
                    self.publish(batch, super::publishing::Step::bundle(profile))
                        .await?;
                }
            }
            None => {
                self.list_read(of, profile, ListOutcome::Failed);
                batch.outbox = true;
            }
        }
        Ok(())
    }

    /// The devices that an answer names. None if it does not say: then what was known stays, and our own list is not
    /// overwritten.
    async fn listed_devices(
        &self,
        batch: &mut Batch,
        of: &BareJid,
        profile: Profile,
        answer: &Element,
    ) -> Result<Option<Vec<waxwing_omemo::xml::Device>>> {
        if answer.attr("type") == Some("error") {
            let nothing = match stanza_error::read(answer).condition.as_str() {
                "item-not-found" => true,
                // A server without personal eventing; or a list that is not there, or not for us, which some servers do
                // not tell apart. Whoever closes it cannot be encrypted to. As far as nothing speaks against it: known
                // devices stay, and a chat that was encrypted stays so.
                "service-unavailable" | "feature-not-implemented" | "forbidden" | "not-authorized" => {
                    *of != self.own
                        && omemo::devices(&mut batch.write, self.account, of)
                            .await?
                            .is_empty()
                }
                _ => false,
            };
            return Ok(nothing.then(Vec::new));
        }
        let items = pubsub::answered_items(answer);
        let Some((_, list)) = items.first() else {
            return Ok(Some(Vec::new()));
        };
        match waxwing_omemo::xml::read_devices(list) {
            Ok((read_as, devices)) if read_as == profile => Ok(Some(devices)),
            _ => {
                tracing::warn!("a device list cannot be read");
                Ok(None)
            }
        }
    }

    async fn bundle_outcome(
        &mut self,
        batch: &mut Batch,
        of: &BareJid,
        device: waxwing_omemo::DeviceId,
        begun: bool,
        now: Timestamp,
    ) -> Result<()> {
        let failed_at = (!begun).then_some(now);
        omemo::set_failed(&mut batch.write, self.account, of, device, failed_at).await?;
        if let Some(chat) = chats::find(&mut batch.write, self.account, of).await? {
            batch.changes.chats.insert(chat);
        }
        Ok(())
    }

    /// Nobody answered in time.
    pub(super) async fn unanswered(&mut self, batch: &mut Batch, ask: Ask) -> Result<()> {
        batch.outbox = true;
        match ask {
            Ask::Change(done) => {
                let _ = done.send(Err(Error::new(
                    Code::Timeout,
                    "the server did not answer in time",
                )));
            }
            Ask::DeviceList { of, profile } => self.list_read(&of, profile, ListOutcome::Failed),
            Ask::Bundle { of, device, profile } => {
                self.asked(&Want::Bundle {
                    of: of.clone(),
                    device,
                    profile,
                });
                self.bundle_outcome(batch, &of, device, false, Timestamp::now())
                    .await?;
            }
            Ask::Archive => self.archive_unanswered(batch),
            Ask::OwnFeatures => {
                tracing::warn!("the server does not say what it can do");
                batch.greet = true;
                self.archive_unanswered(batch);
            }
            Ask::Roster | Ask::Carbons | Ask::CaughtUp | Ask::Fence { .. } => {
                tracing::warn!("the server left a question without an answer");
            }
            Ask::ForReport(part) => self.reported(part, None),
            Ask::Publish(step) => {
                tracing::warn!("the server left a publication without an answer");
                self.cannot_publish(step.profile());
            }
        }
        Ok(())
    }
}

/// What an IQ that asks us is answered.
fn answer(id: &str, from: Option<&str>, query: Query) -> Option<Element> {
    let mut attributes = vec![("type", "result"), ("id", id)];
    attributes.extend(from.map(|from| ("to", from)));
    let result = element("iq", ns::JABBER_CLIENT, &attributes);
    let unknown = Some(stanza_error::answer(from, id, "service-unavailable"));
    match query {
        Query::Ping => Some(result),
        Query::Disco(query) => disco::info(&query).map_or(unknown, |info| Some(wrap(result, [info]))),
        Query::Unknown => unknown,
    }
}
