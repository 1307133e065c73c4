//! The roster and subscriptions, both ways (RFC 6121 §2 and §3).

use std::collections::HashMap;

use minidom::Element;
use sqlx::types::Json;

use super::Reply;
use super::batch::Batch;
use super::iq::Ask;
use super::online::{Online, Stop};
use crate::error::Result;
use crate::inbound::{RosterItem, roster_items};
use crate::model::{BareJid, Subscription};
use crate::store::accounts::Address;
use crate::store::chats;
use crate::store::contacts::{self, ContactRow};
use crate::xep::element::{element, text, wrap};
use crate::xep::ns;

impl Online<'_> {
    /// The whole roster: what is not on it any more is removed, only what differs is written and told.
    pub(super) async fn roster(&mut self, batch: &mut Batch, answer: &Element) -> Result<()> {
        if !answer.has_child("query", ns::ROSTER) {
            tracing::warn!("the server answered without a roster");
            return Ok(());
        }
        let mut stored: HashMap<BareJid, ContactRow> = contacts::all(&mut batch.write, self.account)
            .await?
            .into_iter()
            .map(|row| (row.address.0.clone(), row))
            .collect();
        for item in roster_items(answer) {
            let same = match (stored.remove(&item.address), row(&item)) {
                (Some(old), Some(new)) => old == new,
                _ => false,
            };
            if !same {
                self.roster_item(batch, item).await?;
            }
        }
        for address in stored.into_keys() {
            self.roster_item(batch, RosterItem { address, entry: None })
                .await?;
        }
        Ok(())
    }

    /// One item as it is now.
    pub(super) async fn roster_item(&mut self, batch: &mut Batch, item: RosterItem) -> Result<()> {
        match row(&item) {
            Some(row) => {
                contacts::put(&mut batch.write, self.account, &row).await?;
                if !row.sees_them() {
                    self.not_told_of_devices(&item.address);
                }
                // Answered here or on another device.
                if matches!(row.subscription, Subscription::From | Subscription::Both)
                    && contacts::delete_request(&mut batch.write, self.account, &item.address).await?
                {
                    batch.changes.requests_answered.insert(item.address.clone());
                }
                batch.changes.contacts_removed.remove(&item.address);
                batch.changes.contacts.insert(item.address.clone());
            }
            None => {
                contacts::delete(&mut batch.write, self.account, &item.address).await?;
                self.not_told_of_devices(&item.address);
                batch.changes.contacts.remove(&item.address);
                batch.changes.contacts_removed.insert(item.address.clone());
            }
        }
        // The chat's title is the contact's name.
        batch
            .changes
            .chats
            .extend(chats::find(&mut batch.write, self.account, &item.address).await?);
        Ok(())
    }

    pub(super) async fn put_contact(
        &mut self,
        address: BareJid,
        name: Option<String>,
        groups: Option<Vec<String>>,
        done: Reply,
    ) -> std::result::Result<(), Stop> {
        let known = contacts::get(&mut *self.core.store.read().await?, self.account, &address).await?;
        let name = name.or_else(|| known.as_ref().and_then(|row| row.name.clone()));
        let groups =
            groups.unwrap_or_else(|| known.as_ref().map(|row| row.groups.0.clone()).unwrap_or_default());
        let mut attributes = vec![("jid", address.as_str())];
        attributes.extend(
            name.as_deref()
                .filter(|name| !name.is_empty())
                .map(|name| ("name", name)),
        );
        let item = wrap(
            element("item", ns::ROSTER, &attributes),
            groups.iter().map(|group| text("group", ns::ROSTER, group)),
        );
        let query = wrap(Element::bare("query", ns::ROSTER), [item]);
        let change = self
            .session
            .questions
            .ask(None, "set", query, Ask::Change(done))?;
        self.connection.send(&change).await?;
        let sees_them = known.is_some_and(|row| row.asked || row.sees_them());
        if !sees_them {
            self.subscription("subscribe", &address).await?;
        }
        Ok(())
    }

    pub(super) async fn remove_contact(
        &mut self,
        address: &BareJid,
        done: Reply,
    ) -> std::result::Result<(), Stop> {
        // Removing the item ends both subscriptions (RFC 6121 §2.5.2).
        let item = element(
            "item",
            ns::ROSTER,
            &[("jid", address.as_str()), ("subscription", "remove")],
        );
        let query = wrap(Element::bare("query", ns::ROSTER), [item]);
        let change = self
            .session
            .questions
            .ask(None, "set", query, Ask::Change(done))?;
        self.connection.send(&change).await?;
        Ok(())
    }

    /// Accepting is mutual: we ask to see them too.
    pub(super) async fn answer_request(
        &mut self,
        address: &BareJid,
        accept: bool,
        done: Reply,
    ) -> std::result::Result<(), Stop> {
        let mut batch = Batch::begin(&self.core.store).await?;
        if contacts::delete_request(&mut batch.write, self.account, address).await? {
            batch.changes.requests_answered.insert(address.clone());
        }
        let known = contacts::get(&mut batch.write, self.account, address).await?;
        self.finish(batch).await?;
        if accept {
            self.subscription("subscribed", address).await?;
            let sees_them = known.is_some_and(|row| row.asked || row.sees_them());
            if !sees_them {
                self.subscription("subscribe", address).await?;
            }
        } else {
            self.subscription("unsubscribed", address).await?;
        }
        let _ = done.send(Ok(()));
        Ok(())
    }

    async fn subscription(&mut self, kind: &str, address: &BareJid) -> std::result::Result<(), Stop> {
        let presence = element(
            "presence",
            ns::JABBER_CLIENT,
            &[("type", kind), ("to", address.as_str())],
        );
        self.connection.send(&presence).await?;
        Ok(())
    }
}

fn row(item: &RosterItem) -> Option<ContactRow> {
    item.entry.as_ref().map(|entry| ContactRow {
        address: Address(item.address.clone()),
        name: entry.name.clone(),
        subscription: entry.subscription,
        asked: entry.asked,
        groups: Json(entry.groups.clone()),
    })
}
