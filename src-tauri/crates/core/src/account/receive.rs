//! A decision of `inbound` becomes rows, in the batch's transaction.

use jiff::Timestamp;
use minidom::Element;
use waxwing_omemo::Profile;

use super::batch::Batch;
use super::devices::ListOutcome;
use super::online::Online;
use crate::error::Result;
use crate::inbound::{Inbound, Query, Sender};
use crate::live::Presence;
use crate::model::{AccountId, BareJid, ContactRequest, Show, Subscription};
use crate::store::sessions::DevicePresence;
use crate::store::{Connection, chats, contacts, messages, omemo};
use crate::xep::element::{element, wrap};
use crate::xep::{disco, ns, stanza_error};

/// So many devices of a stranger are kept.
pub(super) const STRANGERS_DEVICES: usize = 20;

impl Online<'_> {
    /// Does what one decision asks for.
    pub(super) async fn receive(
        &mut self,
        batch: &mut Batch,
        inbound: Inbound,
        stanza: &Element,
        now: Timestamp,
    ) -> Result<()> {
        if !matches!(inbound, Inbound::Text(_)) {
            batch.follow().await?;
        }
        match inbound {
            Inbound::Text(text) => self.live_text(batch, text, now).await,
            Inbound::ReadUpTo { with, archive_id } => {
                self.displayed_elsewhere(batch, &with, &archive_id).await
            }
            // A receipt in a carbon copy comes behind the message, which no receipt of ours was given for.
            Inbound::ReceiptElsewhere { .. } => Ok(()),
            Inbound::Archived(archived) => {
                self.archived(archived);
                Ok(())
            }
            said @ (Inbound::Receipt { .. }
            | Inbound::Displayed { .. }
            | Inbound::Bounce { .. }
            | Inbound::ReadElsewhere { .. }) => self.said_of_message(batch, said, false).await,
            Inbound::DeviceList { of, profile, devices } => {
                // Anybody can send one; it is kept of those whom we have to do with.
                if of == self.own || self.is_known(batch, &of).await? {
                    self.device_list(batch, &of, profile, &devices, now).await?;
                }
                if of == self.own {
                    self.own_list_sent(batch, profile).await?;
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

    pub(super) async fn device_list(
        &mut self,
        batch: &mut Batch,
        of: &BareJid,
        profile: Profile,
        devices: &[waxwing_omemo::xml::Device],
        now: Timestamp,
    ) -> Result<()> {
        let others;
        let kept = if *of == self.own && devices.is_empty() {
            // Nobody who has a device publishes that: the server has forgotten the list, or a client was careless with it.
            // Our other devices may not be there to put themselves on it again.
            let own = omemo::own(&mut batch.write, self.account).await?;
            let mut listed = self.own_listed(&mut batch.write, profile).await?;
            listed.retain(|device| own.as_ref().is_none_or(|own| device.id != own.device));
            others = listed;
            &others
        } else if has_to_do_with(&mut batch.write, self.account, &self.own, of).await? {
            devices
        } else {
            devices.get(..STRANGERS_DEVICES).unwrap_or(devices)
        };
        omemo::put_list(&mut batch.write, self.account, of, profile, kept, now).await?;
        let outcome = if kept.is_empty() {
            ListOutcome::Empty
        } else {
            ListOutcome::Devices
        };
        let contact = contacts::get(&mut batch.write, self.account, of).await?;
        let told = *of == self.own || contact.is_some_and(|row| row.sees_them());
        self.list_read(of, profile, outcome, told);
        self.session.new_devices = true;
        batch.outbox = true;
        match chats::find(&mut batch.write, self.account, of).await? {
            Some(chat) => batch.changes.chats.insert(chat),
            None => batch.changes.contacts.insert(of.clone()),
        };
        if *of == self.own {
            batch.changes.account = true;
        }
        Ok(())
    }

    /// Only contacts' presence is kept: strangers could fill the memory with theirs.
    async fn contact_presence(&mut self, batch: &mut Batch, from: Sender, presence: Presence) -> Result<()> {
        if let Some(resource) = from.resource.as_deref()
            && from.bare == self.own
            && presence.show != Show::Offline
        {
            self.own_session_seen(batch, resource).await?;
        }
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
}

/// Ourselves, contacts, and whom we wrote to.
pub(super) async fn has_to_do_with(
    db: &mut Connection,
    account: AccountId,
    own: &BareJid,
    who: &BareJid,
) -> Result<bool> {
    if who == own || contacts::get(db, account, who).await?.is_some() {
        return Ok(true);
    }
    match chats::find(db, account, who).await? {
        Some(chat) => messages::wrote_in(db, chat).await,
        None => Ok(false),
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
