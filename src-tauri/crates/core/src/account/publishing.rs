//! Our device list and bundles on the server, in both namespaces (XEP-0384 §5.3): readable by everybody, the bundle
//! before the list, and the list never overwritten with only ourselves.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use minidom::Element;
use tokio::time::Instant;
use waxwing_omemo::{Bundle, DEVICE_LIST_ITEM, OsEntropy, Profile, xml};

use super::batch::Batch;
use super::devices::ListOutcome;
use super::iq::Ask;
use super::online::Online;
use crate::error::{Code, Error, Result};
use crate::fail::{self, Point};
use crate::model::ListFault;
use crate::store::{Write, omemo};
use crate::xep::pubsub::{self, Access, MaxItems, Shape};
use crate::xep::stanza_error;

/// Other clients of ours may not know each other: after so many repairs of the list in one session we stop fighting.
const REPAIRS: u32 = 3;

/// A server that lists us still has what it took so short a time ago; after that it has to say so before we count on it.
const RECENT: SignedDuration = SignedDuration::from_hours(24);

/// After a prekey was used the bundle goes out at most this often, unless others find only a few in it.
const REFILL_AFTER: Duration = Duration::from_secs(20);
const FEW: usize = 25;

/// So many items a node keeps where the server does not understand `max`.
const MANY: MaxItems = MaxItems::Number(200);

/// One publication under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    what: What,
    attempt: Attempt,
}

/// Something that is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    Bundle(Profile),
    List(Profile),
}

/// How the options are given; servers differ in what they understand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Attempt {
    #[default]
    First,
    /// The node exists with other settings and is being changed (XEP-0060 §7.1.5, precondition-not-met).
    Configuring,
    /// The same for servers that do not know `max_items=max`.
    ConfiguringNumbered,
    /// After it was changed: what is for everybody needs no options any more.
    Configured,
    /// For servers that do not know `max_items=max`.
    Numbered,
    /// Better a bundle that only subscribers can read than none.
    WithoutOptions,
}

impl Attempt {
    /// Whether the node's settings are changed, and nothing is published.
    pub(super) const fn configures(self) -> bool {
        matches!(self, Self::Configuring | Self::ConfiguringNumbered)
    }

    /// Whether the server is told a number of items instead of `max`.
    pub(super) const fn is_numbered(self) -> bool {
        matches!(self, Self::ConfiguringNumbered | Self::Numbered)
    }

    /// What to try after the server refused this one, for a node that shall keep so many items.
    pub(super) fn next(self, max_items: MaxItems, error: &stanza_error::StanzaError) -> Option<Self> {
        let is_otherwise = error.pubsub.as_deref() == Some("precondition-not-met");
        Some(match self {
            Self::First if is_otherwise => Self::Configuring,
            Self::Numbered if is_otherwise => Self::ConfiguringNumbered,
            Self::First if max_items == MaxItems::Max => Self::Numbered,
            Self::Configuring if max_items == MaxItems::Max => Self::ConfiguringNumbered,
            Self::First | Self::Configuring | Self::ConfiguringNumbered | Self::Numbered => {
                Self::WithoutOptions
            }
            Self::Configured | Self::WithoutOptions => return None,
        })
    }
}

impl What {
    fn node(self, device: waxwing_omemo::DeviceId) -> String {
        match self {
            Self::Bundle(profile) => profile.bundle_node(device),
            Self::List(profile) => profile.device_list_node().to_owned(),
        }
    }

    /// Version 2 keeps all bundles in one node, everything else has one item.
    fn max_items(self) -> MaxItems {
        if self == Self::Bundle(Profile::Omemo2) {
            MaxItems::Max
        } else {
            MaxItems::One
        }
    }
}

impl Step {
    pub(super) fn bundle(profile: Profile) -> Self {
        Self {
            what: What::Bundle(profile),
            attempt: Attempt::First,
        }
    }

    pub(super) fn list(profile: Profile) -> Self {
        Self {
            what: What::List(profile),
            attempt: Attempt::First,
        }
    }

    /// The namespace that it is for.
    pub(super) fn profile(self) -> Profile {
        match self.what {
            What::Bundle(profile) | What::List(profile) => profile,
        }
    }

    /// What to do after the server refused it.
    fn next(self, error: &stanza_error::StanzaError) -> Option<Self> {
        let attempt = self.attempt.next(self.what.max_items(), error)?;
        Some(Self { attempt, ..self })
    }
}

impl Online<'_> {
    /// Begins a publication.
    pub(super) async fn publish(&mut self, batch: &mut Batch, step: Step) -> Result<()> {
        let Some(own) = omemo::own(&mut batch.write, self.account).await? else {
            return Ok(());
        };
        let node = step.what.node(own.device);
        let max_items = step.what.max_items();
        if step.attempt.configures() {
            let numbered = step.attempt.is_numbered();
            let payload = pubsub::configure(&node, open(if numbered { MANY } else { max_items }));
            let stanza = self
                .session
                .questions
                .ask(None, "set", payload, Ask::Publish(step))?;
            batch.send.push(stanza);
            return Ok(());
        }
        let options = match step.attempt {
            Attempt::First => Some(max_items),
            Attempt::Numbered => Some(MANY),
            _ => None,
        };
        if let What::Bundle(profile) = step.what {
            let keys = omemo::key_ids(&mut batch.write, self.account, profile).await?;
            self.session.publishing.insert(profile, keys);
        }
        let (item, payload) = match step.what {
            What::Bundle(profile) => (
                profile.bundle_item(own.device),
                self.own_bundle(&mut batch.write, profile, &own).await?,
            ),
            What::List(profile) => (
                DEVICE_LIST_ITEM.to_owned(),
                Some(self.own_list(&mut batch.write, profile, &own).await?),
            ),
        };
        let Some(payload) = payload else { return Ok(()) };
        let payload = pubsub::publish(&node, &item, payload, options.map(open));
        let stanza = self
            .session
            .questions
            .ask(None, "set", payload, Ask::Publish(step))?;
        batch.send.push(stanza);
        Ok(())
    }

    /// Publishes our bundle after a prekey was used: a little later if that was just done, so that nobody keeps us busy with
    /// it by using one after the other.
    pub(super) async fn publish_refilled(&mut self, batch: &mut Batch, profile: Profile) -> Result<()> {
        // What the server has is compared first, and then what differs goes out.
        if !self.session.compared.contains(&profile) {
            return Ok(());
        }
        let now = Instant::now();
        let last = self.session.refilled_at.get(&profile).copied();
        let again = last.map_or(now, |last| last + REFILL_AFTER);
        if again > now && omemo::offered(&mut batch.write, self.account, profile).await? >= FEW {
            let keys_at = self.session.keys_at.map_or(again, |at| at.min(again));
            self.session.keys_at = Some(keys_at);
            return Ok(());
        }
        self.session.refilled_at.insert(profile, now);
        self.publish(batch, Step::bundle(profile)).await
    }

    /// Publishes our bundle, or if our device is `listed` looks first whether the server has it as it should be.
    pub(super) async fn offer_bundle(
        &mut self,
        batch: &mut Batch,
        profile: Profile,
        listed: bool,
        now: Timestamp,
    ) -> Result<()> {
        let keys = omemo::key_ids(&mut batch.write, self.account, profile).await?;
        if !listed {
            self.compared(batch, profile);
            return self.publish(batch, Step::bundle(profile)).await;
        }
        self.ask_own_bundle(batch, profile).await?;
        for step in [Step::bundle(profile), Step::list(profile)] {
            self.ask_who_can_read(batch, step).await?;
        }
        if omemo::is_published(&mut batch.write, self.account, profile, &keys, now - RECENT).await? {
            self.bundle_is_out(batch, profile).await?;
        }
        Ok(())
    }

    /// Nodes of ours may be closed to some of those who want to write to us: another client, or the server, may have made
    /// them so, and servers that do not know the options of a publication take it all the same, without a word. So it is
    /// asked for, once in a session, and once more after a node was changed.
    async fn ask_who_can_read(&mut self, batch: &mut Batch, step: Step) -> Result<()> {
        let is_new = self.session.access_asked.insert(step.what);
        if !is_new && step.attempt != Attempt::Configured {
            return Ok(());
        }
        let Some(own) = omemo::own(&mut batch.write, self.account).await? else {
            return Ok(());
        };
        let payload = pubsub::configuration(&step.what.node(own.device));
        let ask = Ask::WhoCanRead(step);
        batch
            .send
            .push(self.session.questions.ask(None, "get", payload, ask)?);
        Ok(())
    }

    /// The server says who can read a node of ours, or does not: one that is not for everybody is opened, and what it holds
    /// published once more, so that those hear of it who could not before.
    pub(super) async fn who_can_read(
        &mut self,
        batch: &mut Batch,
        step: Step,
        answer: &Element,
    ) -> Result<()> {
        match pubsub::answered_open(answer) {
            Some(true) => {
                self.session.closed.remove(&step.what);
            }
            // It was changed already, as the server said.
            Some(false) if step.attempt == Attempt::Configured => {
                tracing::warn!("the server says that it opened keys of ours, and did not");
                self.session.closed.insert(step.what);
            }
            Some(false) => {
                tracing::warn!("keys of ours could not be read by everybody: they are opened");
                let attempt = Attempt::Configuring;
                self.publish(batch, Step { attempt, ..step }).await?;
            }
            // The node is not there yet, or the server does not say: it is asked when something is published in it.
            None => self.access_unknown(step),
        }
        Ok(())
    }

    /// Who can read a node was not found out.
    pub(super) fn access_unknown(&mut self, step: Step) {
        self.session.access_asked.remove(&step.what);
    }

    pub(super) async fn bundle_is_out(&mut self, batch: &mut Batch, profile: Profile) -> Result<()> {
        self.session.bundles_out.insert(profile);
        self.repair_list(batch, profile).await
    }

    async fn own_bundle(
        &self,
        write: &mut Write,
        profile: Profile,
        own: &omemo::Own,
    ) -> Result<Option<Element>> {
        let signed = omemo::signed_prekeys(write, self.account).await?;
        let prekeys = omemo::prekeys(write, self.account, profile).await?;
        Ok(signed.first().map(|signed| {
            xml::write_bundle(&Bundle::of_own_keys(
                profile,
                &own.identity,
                signed,
                &prekeys,
                &mut OsEntropy,
            ))
        }))
    }

    /// Our devices as they were listed last.
    pub(super) async fn own_listed(&self, write: &mut Write, profile: Profile) -> Result<Vec<xml::Device>> {
        let rows = omemo::devices(write, self.account, &self.own).await?;
        let listed = rows.into_iter().filter(|row| row.listed(profile));
        let devices = listed.map(|row| xml::Device {
            id: row.device,
            label: row.label,
            label_signature: row.label_signature,
        });
        Ok(devices.collect())
    }

    /// The list as it was read, with ourselves on it.
    async fn own_list(&self, write: &mut Write, profile: Profile, own: &omemo::Own) -> Result<Element> {
        let mut devices = self.own_listed(write, profile).await?;
        let ours = xml::Device::labelled(own.device, label(), &own.identity, &mut OsEntropy);
        match devices.iter_mut().find(|device| device.id == own.device) {
            Some(listed) => *listed = ours,
            None => devices.push(ours),
        }
        Ok(xml::write_devices(profile, &devices))
    }

    /// The server answered a publication.
    pub(super) async fn published(&mut self, batch: &mut Batch, step: Step, answer: &Element) -> Result<()> {
        if answer.attr("type") == Some("error") {
            let error = stanza_error::read(answer);
            return match step.next(&error) {
                Some(next) => self.publish(batch, next).await,
                None => {
                    tracing::warn!(condition = error.condition, "keys could not be published");
                    self.cannot_publish(step.profile());
                    self.removals_fail(|| Error::new(Code::Rejected, error.sentence()));
                    Ok(())
                }
            };
        }
        fail::at(Point::Published);
        if step.attempt == Attempt::WithoutOptions {
            tracing::warn!("keys of ours may not be readable by everybody");
            self.session.closed.insert(step.what);
        }
        let configured = step.attempt.configures();
        if !configured {
            self.ask_who_can_read(batch, step).await?;
        }
        match (configured, step.what) {
            (true, _) => {
                self.publish(
                    batch,
                    Step {
                        attempt: Attempt::Configured,
                        ..step
                    },
                )
                .await
            }
            (false, What::Bundle(profile)) => {
                if let Some(keys) = self.session.publishing.remove(&profile) {
                    let now = Timestamp::now();
                    omemo::set_published(&mut batch.write, self.account, profile, &keys, now).await?;
                }
                self.bundle_is_out(batch, profile).await
            }
            (false, What::List(profile)) => {
                self.session.settled.insert(profile);
                omemo::listed(&mut batch.write, self.account, Timestamp::now()).await?;
                self.list_is_out(profile);
                Ok(())
            }
        }
    }

    /// Puts ourselves on our own list if we are not, once our bundle can be had.
    pub(super) async fn repair_list(&mut self, batch: &mut Batch, profile: Profile) -> Result<()> {
        if !self.is_to_be_listed(batch, profile).await? {
            return Ok(());
        }
        // The first time is no repair.
        if self.session.settled.contains(&profile) {
            self.session.repairs += 1;
        }
        self.publish(batch, Step::list(profile)).await
    }

    /// The server sent a list of ours. It was the newest one when that was sent (XEP-0060 §7.1.2.1): a queue of them comes
    /// at once when a connection broke, and who published the first with ourselves on it would take off whom the last one
    /// names. So it is read anew before it is repaired. Whoever publishes in between sends us that too, and the other way
    /// round, so that of two who repair it at once each puts itself on again.
    pub(super) async fn own_list_sent(&mut self, batch: &mut Batch, profile: Profile) -> Result<()> {
        if self.is_to_be_listed(batch, profile).await? && self.session.reading_own.insert(profile) {
            let payload = pubsub::newest(profile.device_list_node());
            let ask = Ask::OwnList(profile);
            let own = self.own.clone();
            batch
                .send
                .push(self.session.questions.ask(Some(&own), "get", payload, ask)?);
        }
        Ok(())
    }

    /// Our list was read anew, so that we may be put on it; none if that could not be.
    pub(super) async fn own_list_read(
        &mut self,
        batch: &mut Batch,
        profile: Profile,
        devices: Option<&[xml::Device]>,
        now: Timestamp,
    ) -> Result<()> {
        self.session.reading_own.remove(&profile);
        let own = self.own.clone();
        match devices {
            Some(devices) => {
                self.device_list(batch, &own, profile, devices, now).await?;
                self.repair_list(batch, profile).await
            }
            // What was sent may be older than what is there: nobody is taken off for it. It is asked for again later.
            None => {
                let failed = ListOutcome::Failed(ListFault::Unreachable);
                self.list_read(&own, profile, failed, false);
                Ok(())
            }
        }
    }

    /// Whether we are not on our own list, and may put ourselves there.
    async fn is_to_be_listed(&mut self, batch: &mut Batch, profile: Profile) -> Result<bool> {
        let Some(own) = omemo::own(&mut batch.write, self.account).await? else {
            return Ok(false);
        };
        let read = self.session.lists.get(&(self.own.clone(), profile));
        if read.is_none_or(|listed| listed.outcome.fault().is_some())
            || !self.session.bundles_out.contains(&profile)
        {
            return Ok(false);
        }
        let ours = omemo::device(&mut batch.write, self.account, &self.own, own.device).await?;
        let labelled =
            |row: &omemo::DeviceRow| profile == Profile::Legacy || row.label.as_deref() == Some(label());
        if ours.is_some_and(|row| row.listed(profile) && labelled(&row)) {
            self.session.settled.insert(profile);
            return Ok(false);
        }
        if self.session.settled.contains(&profile) && self.session.repairs >= REPAIRS {
            tracing::warn!("another client keeps removing this device from the list");
            return Ok(false);
        }
        Ok(true)
    }
}

/// What others see this device called: nothing that tells of its owner or the computer's name.
const fn label() -> &'static str {
    if cfg!(target_os = "linux") {
        "Waxwing (Linux)"
    } else if cfg!(target_os = "macos") {
        "Waxwing (macOS)"
    } else if cfg!(windows) {
        "Waxwing (Windows)"
    } else {
        "Waxwing"
    }
}

fn open(max_items: MaxItems) -> Shape {
    Shape {
        access: Access::Open,
        max_items,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pubsub: Option<&str>) -> stanza_error::StanzaError {
        stanza_error::StanzaError {
            kind: "cancel".to_owned(),
            condition: "conflict".to_owned(),
            pubsub: pubsub.map(str::to_owned),
            text: None,
        }
    }

    /// All attempts that follow when the server refuses each of them in the same way.
    fn attempts(first: Step, error: &stanza_error::StanzaError) -> Vec<Attempt> {
        std::iter::successors(Some(first), |step| step.next(error))
            .map(|step| step.attempt)
            .collect()
    }

    #[test]
    fn a_node_with_other_settings_is_changed_before_it_is_given_up() {
        let error = refused(Some("precondition-not-met"));
        assert_eq!(
            attempts(Step::list(Profile::Legacy), &error),
            [Attempt::First, Attempt::Configuring, Attempt::WithoutOptions]
        );
    }

    #[test]
    fn a_node_for_many_items_with_other_settings_is_changed_with_a_number_where_max_is_not_known() {
        let (max, otherwise) = (refused(None), refused(Some("precondition-not-met")));
        let first = Step::bundle(Profile::Omemo2);
        // The word is refused before the settings are looked at, or behind it.
        for (errors, wanted) in [
            (
                [&max, &otherwise, &max],
                [
                    Attempt::Numbered,
                    Attempt::ConfiguringNumbered,
                    Attempt::WithoutOptions,
                ],
            ),
            (
                [&otherwise, &max, &max],
                [
                    Attempt::Configuring,
                    Attempt::ConfiguringNumbered,
                    Attempt::WithoutOptions,
                ],
            ),
        ] {
            let mut step = Some(first);
            for (error, wanted) in errors.into_iter().zip(wanted) {
                step = step.and_then(|step| step.next(error));
                assert_eq!(step.map(|step| step.attempt), Some(wanted));
            }
        }
    }

    #[test]
    fn a_server_that_does_not_know_the_word_max_gets_a_number() {
        assert_eq!(
            attempts(Step::bundle(Profile::Omemo2), &refused(None)),
            [Attempt::First, Attempt::Numbered, Attempt::WithoutOptions]
        );
        let opened = Step {
            attempt: Attempt::Configuring,
            ..Step::bundle(Profile::Omemo2)
        };
        assert_eq!(
            attempts(opened, &refused(None)),
            [
                Attempt::Configuring,
                Attempt::ConfiguringNumbered,
                Attempt::WithoutOptions
            ]
        );
        assert_eq!(
            attempts(Step::bundle(Profile::Legacy), &refused(None)),
            [Attempt::First, Attempt::WithoutOptions]
        );
    }
}
