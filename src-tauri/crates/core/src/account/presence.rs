//! What a session begins with, and what the server is told of us.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use minidom::Element;
use tokio::time::Instant;
use waxwing_omemo::Profile;

use super::batch::Batch;
use super::devices::lists_wanted;
use super::iq::Ask;
use super::renewal::LOOK_AFTER_KEYS;
use super::{ErrorChange, keys, set_state};
use crate::error::Result;
use crate::model::{ConnectionState, Show};
use crate::store::{accounts, omemo};
use crate::xep::element::{text, wrap};
use crate::xep::{disco, ns};

use super::online::{Online, Stop};
impl Online<'_> {
    /// Asks for all that a new session needs. Our presence follows when the server has said what it can do.
    pub(super) async fn introduce(&mut self) -> std::result::Result<(), Stop> {
        let mut batch = Batch::begin(&self.core.store).await?;
        keys::ensure(&mut batch.write, self.account, Timestamp::now()).await?;
        let listed = keys::listed_before(&mut batch.write, self.account, &self.own).await?;
        for profile in Profile::ALL {
            let keys = omemo::key_ids(&mut batch.write, self.account, profile).await?;
            self.session.offered.insert(profile, keys);
        }
        let own = self.own.clone();
        for (to, kind, payload, ask) in [
            (None, "get", Element::bare("query", ns::ROSTER), Ask::Roster),
            (None, "set", Element::bare("enable", ns::CARBONS), Ask::Carbons),
            (
                Some(&own),
                "get",
                Element::bare("query", ns::DISCO_INFO),
                Ask::OwnFeatures,
            ),
        ] {
            // Bind2 has turned them on already (XEP-0386).
            if matches!(ask, Ask::Carbons) && self.connection.facts().carbons {
                continue;
            }
            batch
                .send
                .push(self.session.questions.ask(to, kind, payload, ask)?);
        }
        self.finish(batch).await?;
        let wants = lists_wanted(&self.session.lists, [&own], Instant::now());
        self.ask_for(wants).await?;
        self.session.begun = true;
        self.session.keys_at = Some(Instant::now() + LOOK_AFTER_KEYS);
        // A device that nobody knows yet is online when others can encrypt to it: a moment later.
        if listed {
            self.announce().await;
        }
        Ok(())
    }

    /// Shows our presence for the first time, before the archive is asked: what is written from then on comes by itself.
    pub(super) async fn greet(&mut self, batch: &mut Batch) -> Result<()> {
        let presence = self.presence().await?;
        if self.session.presence.as_ref() != Some(&presence) {
            batch.send.push(presence.clone());
            self.session.presence = Some(presence);
        }
        Ok(())
    }

    /// Without an archive we have caught up when everything that the server kept for us has come: it comes before the
    /// answer to this.
    pub(super) fn ask_for_the_end(&mut self, batch: &mut Batch) -> Result<()> {
        let ping = Element::bare("ping", ns::PING);
        let ping = self.session.questions.ask(None, "get", ping, Ask::CaughtUp)?;
        batch.send.push(ping);
        Ok(())
    }

    pub(super) async fn announce(&mut self) {
        self.session.announced = true;
        set_state(
            self.core,
            self.account,
            ConnectionState::Online,
            ErrorChange::Set(None),
        )
        .await;
    }

    /// Tells the server whether the person is looking, if it wants to know (XEP-0352).
    pub(super) async fn show_activity(&mut self) -> std::result::Result<(), Stop> {
        let active = self.core.active.load(Ordering::Relaxed);
        if active != self.active && self.connection.features().has_child("csi", ns::CSI) {
            let name = if active { "active" } else { "inactive" };
            self.connection.send_other(&Element::bare(name, ns::CSI)).await?;
        }
        self.active = active;
        Ok(())
    }

    /// Sends our presence if the server has another one of us.
    pub(super) async fn show_presence(&mut self) -> std::result::Result<(), Stop> {
        let presence = self.presence().await?;
        if self.session.presence.as_ref() != Some(&presence) {
            self.connection.send(&presence).await?;
            self.session.presence = Some(presence);
        }
        Ok(())
    }

    pub(super) async fn presence(&self) -> Result<Element> {
        let row = accounts::get(&mut *self.core.store.read().await?, self.account).await?;
        let show = match row.show {
            Show::Available | Show::Offline => None,
            other => Some(text("show", ns::JABBER_CLIENT, other.word())),
        };
        let status = row
            .status
            .map(|status| text("status", ns::JABBER_CLIENT, &status));
        let children = show.into_iter().chain(status).chain([disco::caps()]);
        Ok(wrap(Element::bare("presence", ns::JABBER_CLIENT), children))
    }
}
