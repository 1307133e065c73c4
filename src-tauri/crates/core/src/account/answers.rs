//! What our questions were answered, or that nobody answered.

use jiff::Timestamp;
use minidom::Element;
use waxwing_omemo::{DeviceId, Profile};

use super::archive_preferences;
use super::batch::Batch;
use super::devices::{ListOutcome, Want, give_up_keys};
use super::encryption::begin_session;
use super::iq::Ask;
use super::online::Online;
use crate::error::{Code, Error, Result};
use crate::model::{BareJid, BundleFault, ListFault, Trust};
use crate::store::archive::{self};
use crate::store::{chats, omemo};
use crate::xep::{disco, ns, pubsub, stanza_error};

impl Online<'_> {
    /// The answer to a question of ours.
    pub(super) async fn answered(
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
            Ask::OwnBundle(profile) => self.own_bundle_read(batch, profile, Some(answer), now).await,
            // What is on no list is of no use to anybody, whether it could be deleted or not.
            Ask::Withdrawal => Ok(()),
            Ask::Carbons => {
                if failed {
                    tracing::info!("the server offers no carbon copies");
                    self.session.archive.no_copies_come();
                }
                Ok(())
            }
            // It may say so later: what it has is not taken for nothing.
            Ask::OwnFeatures if failed && !stanza_error::read(answer).is_unsupported() => {
                self.unanswered(batch, ask).await
            }
            Ask::OwnFeatures => {
                let stanza_ids = !failed && disco::has_feature(answer, ns::SID);
                self.session.stanza_ids = stanza_ids;
                self.session.publish_options = !failed && disco::has_feature(answer, ns::PUBLISH_OPTIONS);
                archive::set_stanza_ids(&mut batch.write, self.account, stanza_ids).await?;
                self.greet(batch).await?;
                let archive = !failed && disco::has_feature(answer, ns::MAM);
                self.catch_up(batch, archive).await
            }
            Ask::CaughtUp => {
                batch.caught_up = true;
                Ok(())
            }
            Ask::Archive => {
                self.archive_page(batch, answer, now).await?;
                self.displayed_here(batch).await
            }
            Ask::Displayed => self.displayed_known(batch, answer).await,
            Ask::PublishDisplayed => self.displayed_published(batch, answer).await,
            Ask::Change(done) => {
                let error = || Error::new(Code::Rejected, stanza_error::read(answer).sentence());
                let _ = done.send(if failed { Err(error()) } else { Ok(()) });
                Ok(())
            }
            Ask::ArchivePreferences(done) => {
                let _ = done.send(archive_preferences::answered(answer));
                Ok(())
            }
            Ask::Fence { rows } => self.confirm(batch, rows).await,
            Ask::OwnList(profile) => {
                let own = self.own.clone();
                let read = self.listed_devices(batch, &own, profile, answer).await?;
                self.own_list_read(batch, profile, read.ok().as_deref(), now)
                    .await
            }
            Ask::Publish(step) => self.published(batch, step, answer).await,
            Ask::WhoCanRead(step) => self.who_can_read(batch, step, answer).await,
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
                let of_device = (device, profile);
                let begun = match pubsub::answered_items(answer).first() {
                    Some((_, bundle)) if !failed => {
                        begin_session(&mut batch.write, self.account, &of, of_device, bundle, now).await?
                    }
                    _ if failed => Err(bundle_fault(&stanza_error::read(answer).condition)),
                    _ => Err(BundleFault::Missing),
                };
                self.bundle_outcome(batch, &of, of_device, begun, now).await
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
            Ok(devices) => {
                self.device_list(batch, of, profile, &devices, now).await?;
                if *of == self.own {
                    self.repair_list(batch, profile).await?;
                    let own = omemo::own(&mut batch.write, self.account).await?;
                    let listed = own.is_some_and(|own| devices.iter().any(|device| device.id == own.device));
                    self.offer_bundle(batch, profile, listed, now).await?;
                }
            }
            Err(fault) => {
                omemo::set_list_fault(&mut batch.write, self.account, of, profile, fault).await?;
                self.list_read(of, profile, ListOutcome::Failed(fault), false);
                // The chat says that nothing is being asked for any more.
                batch
                    .changes
                    .chats
                    .extend(chats::find(&mut batch.write, self.account, of).await?);
                (batch.outbox, batch.due) = (true, true);
            }
        }
        Ok(())
    }

    /// The devices that an answer names, or why it does not say: then what was known stays, and our own list is not
    /// overwritten.
    async fn listed_devices(
        &self,
        batch: &mut Batch,
        of: &BareJid,
        profile: Profile,
        answer: &Element,
    ) -> Result<std::result::Result<Vec<waxwing_omemo::xml::Device>, ListFault>> {
        if answer.attr("type") == Some("error") {
            let condition = stanza_error::read(answer).condition;
            let nothing = match condition.as_str() {
                "item-not-found" => true,
                // A server without personal eventing, as far as nothing speaks against it: known devices stay, and a chat
                // that was encrypted stays so. A list that is not for us is one all the same.
                "service-unavailable" | "feature-not-implemented" => {
                    *of != self.own
                        && omemo::devices(&mut batch.write, self.account, of)
                            .await?
                            .is_empty()
                }
                _ => false,
            };
            return Ok(if nothing {
                Ok(Vec::new())
            } else {
                Err(list_fault(&condition))
            });
        }
        let items = pubsub::answered_items(answer);
        let Some((_, list)) = items.first() else {
            return Ok(Ok(Vec::new()));
        };
        match waxwing_omemo::xml::read_devices(list) {
            Ok((read_as, devices)) if read_as == profile => Ok(Ok(devices)),
            _ => {
                tracing::warn!("a device list cannot be read");
                Ok(Err(ListFault::Unreachable))
            }
        }
    }

    async fn bundle_outcome(
        &mut self,
        batch: &mut Batch,
        of: &BareJid,
        (device, profile): (DeviceId, Profile),
        begun: std::result::Result<(), BundleFault>,
        now: Timestamp,
    ) -> Result<()> {
        let fault = begun.err().map(|fault| (fault, now));
        omemo::set_bundle_fault(&mut batch.write, self.account, of, (device, profile), fault).await?;
        self.heal_with(batch, of, (device, profile), begun, now).await?;
        // There may be more than are looked at at once.
        self.session.new_devices = true;
        let row = omemo::device(&mut batch.write, self.account, of, device).await?;
        let undecided = row.is_some_and(|row| row.trust == Some(Trust::Undecided));
        let chats = if *of == self.own && undecided {
            // A new key of our own wants a decision in all of them.
            chats::with(&mut batch.write, self.account, &[of.clone()].into()).await?
        } else {
            let chat = chats::find(&mut batch.write, self.account, of).await?;
            chat.into_iter().collect()
        };
        batch.changes.chats.extend(chats);
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
            Ask::ArchivePreferences(done) => {
                let _ = done.send(Err(Error::new(
                    Code::Timeout,
                    "the server did not answer in time",
                )));
            }
            Ask::DeviceList { of, profile } => {
                self.list_read(&of, profile, ListOutcome::Failed(ListFault::Unreachable), false);
                batch.due = true;
            }
            Ask::Bundle { of, device, profile } => {
                self.asked(&Want::Bundle {
                    of: of.clone(),
                    device,
                    profile,
                });
                let mut given_up = give_up_keys(&mut self.session.to_ask, &of);
                given_up.push((device, profile));
                for of_device in given_up {
                    let unreachable = Err(BundleFault::Unreachable);
                    self.bundle_outcome(batch, &of, of_device, unreachable, Timestamp::now())
                        .await?;
                }
            }
            Ask::Archive => self.archive_unanswered(batch).await?,
            Ask::Displayed | Ask::PublishDisplayed => self.displayed_unanswered(),
            Ask::OwnFeatures => {
                tracing::warn!("the server does not say what it can do");
                self.greet(batch).await?;
                self.archive_unanswered(batch).await?;
            }
            Ask::CaughtUp => {
                tracing::warn!("the server does not say when all that waited has come");
                batch.caught_up = true;
            }
            Ask::Carbons => {
                tracing::warn!("the server does not say whether it copies what goes to other devices");
                self.session.archive.no_copies_come();
            }
            Ask::WhoCanRead(step) => self.access_unknown(step),
            Ask::Roster | Ask::Withdrawal | Ask::Fence { .. } => {
                tracing::warn!("the server left a question without an answer");
            }
            Ask::ForReport(part) => self.reported(part, None),
            Ask::OwnBundle(profile) => {
                self.own_bundle_read(batch, profile, None, Timestamp::now())
                    .await?;
            }
            Ask::OwnList(profile) => {
                self.own_list_read(batch, profile, None, Timestamp::now()).await?;
            }
            Ask::Publish(step) => {
                tracing::warn!("the server left a publication without an answer");
                self.cannot_publish(step.profile());
                self.removals_fail(|| Error::new(Code::Timeout, "the server did not answer in time"));
            }
        }
        Ok(())
    }
}

/// Why a device list could not be had, by the condition of the error.
fn list_fault(condition: &str) -> ListFault {
    match condition {
        "remote-server-not-found" => ListFault::ServerNotFound,
        _ if is_forbidden(condition) => ListFault::Forbidden,
        _ => ListFault::Unreachable,
    }
}

/// Whether a node may not be read by us (XEP-0060 §6.5.9).
fn is_forbidden(condition: &str) -> bool {
    matches!(condition, "forbidden" | "not-authorized" | "not-allowed")
}

/// Why a bundle could not be had, by the condition of the error.
fn bundle_fault(condition: &str) -> BundleFault {
    match condition {
        "item-not-found" => BundleFault::Missing,
        _ if is_forbidden(condition) => BundleFault::Forbidden,
        _ => BundleFault::Unreachable,
    }
}
