//! Sessions that broke are replaced, and devices get the empty messages that they are owed (XEP-0384 §4.6): both only
//! once the archive has been read, since what it holds may still belong to the session that there is.

use jiff::{SignedDuration, Timestamp};
use waxwing_omemo::{DeviceId, Profile};

use super::batch::Batch;
use super::devices::Want;
use super::encryption::empty_message;
use super::online::Online;
use super::reach::may_ask;
use super::renewal::within;
use crate::error::Result;
use crate::fail::{self, Point};
use crate::inbound::Text;
use crate::model::{BareJid, BundleFault, ChatId, DeviceFailure, Encryption, Trust, UndecryptableReason};
use crate::store::omemo::{self, Due, What};
use crate::store::{chats, messages, outbox};

/// A device's session is replaced by itself at most this often: two programs that both believe theirs to be broken would
/// replace it for ever. One that could not be replaced is tried again sooner, when its keys may be asked for again.
const HEAL_AFTER: SignedDuration = SignedDuration::from_hours(3);

impl Online<'_> {
    /// What the person is told of a message that could not be read.
    pub(super) async fn why_unreadable(
        &mut self,
        batch: &mut Batch,
        arrived: (ChatId, &Text, bool),
        of_device: (DeviceId, Encryption),
        reason: UndecryptableReason,
        now: Timestamp,
    ) -> Result<UndecryptableReason> {
        let (_, text, live) = arrived;
        if text.sender == self.own && self.twin_wrote(batch, of_device.0, live).await? {
            return Ok(UndecryptableReason::WrittenHere);
        }
        if reason == UndecryptableReason::NotForThisDevice {
            let since = omemo::listed_at(&mut batch.write, self.account).await?;
            if since.is_none_or(|since| text.sent_at < since) {
                return Ok(UndecryptableReason::BeforeThisDevice);
            }
        }
        self.could_not_read(batch, arrived, of_device, reason, now)
            .await?;
        Ok(reason)
    }

    /// Something that a device sent could not be read: that is noted, and if it came live the session is replaced, if
    /// that helps and was not tried just before.
    async fn could_not_read(
        &self,
        batch: &mut Batch,
        (chat, text, live): (ChatId, &Text, bool),
        (device, encryption): (DeviceId, Encryption),
        reason: UndecryptableReason,
        now: Timestamp,
    ) -> Result<()> {
        let sender = &text.sender;
        let at = text.sent_at;
        omemo::failed(
            &mut batch.write,
            self.account,
            sender,
            device,
            &DeviceFailure { reason, at },
        )
        .await?;
        if !live || !a_new_session_helps(reason) || self.is_too_early(batch, Some(reason)) {
            return Ok(());
        }
        let of_device = (device, omemo::profile(encryption)?);
        self.heal(batch, chat, text, of_device, now).await
    }

    /// The session with the device that sent this is replaced, unless that was tried just before.
    pub(super) async fn heal(
        &self,
        batch: &mut Batch,
        chat: ChatId,
        text: &Text,
        of_device: (DeviceId, Profile),
        now: Timestamp,
    ) -> Result<()> {
        let (sender, device) = (&text.sender, of_device.0);
        let row = omemo::device(&mut batch.write, self.account, sender, device).await?;
        let Some(row) = row.filter(|row| row.trust != Some(Trust::Untrusted)) else {
            return Ok(());
        };
        if just_before(row.healed_at, text.sent_at, now)
            || !may_ask(&row, of_device.1, now)
            || !batch.acquainted(self.account, &self.own, chat, sender).await?
        {
            return Ok(());
        }
        self.owe(batch, sender, of_device, What::Heal).await
    }

    /// A device is to be sent something as soon as it may be.
    pub(super) async fn owe(
        &self,
        batch: &mut Batch,
        address: &BareJid,
        (device, profile): (DeviceId, Profile),
        what: What,
    ) -> Result<()> {
        batch.due = true;
        let due = Due {
            address: address.clone(),
            device,
            profile,
            what,
        };
        omemo::put_due(&mut batch.write, self.account, &due).await
    }

    /// Makes ready what is due, and notes which bundles are wanted for it.
    pub(super) async fn pay_due(&self, batch: &mut Batch, now: Timestamp) -> Result<()> {
        for due in omemo::all_due(&mut batch.write, self.account).await? {
            let of_device = (due.device, due.profile);
            match due.what {
                What::Answer => {
                    omemo::take_due(&mut batch.write, self.account, &due).await?;
                    self.send_empty(batch, &due.address, of_device).await?;
                    fail::at(Point::RatchetAnswered);
                }
                What::Heal | What::Reset => {
                    let row = omemo::device(&mut batch.write, self.account, &due.address, due.device).await?;
                    // One that could not be reached is left alone for a while, whatever else is due.
                    if row.is_none_or(|row| may_ask(&row, due.profile, now)) {
                        batch.wants.insert(Want::Bundle {
                            of: due.address,
                            device: due.device,
                            profile: due.profile,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// A bundle was asked for, and it began a session or not: if a session was to be replaced, the device hears of it.
    pub(super) async fn heal_with(
        &self,
        batch: &mut Batch,
        of: &BareJid,
        (device, profile): (DeviceId, Profile),
        begun: std::result::Result<(), BundleFault>,
        now: Timestamp,
    ) -> Result<()> {
        // It stays due: it is tried again before the next message that is written to the device, when somebody has its keys
        // looked for again, in the next session with the server, or once it is known that sessions are ours alone.
        if begun == Err(BundleFault::Unreachable) || !self.session.may_encrypt() {
            return Ok(());
        }
        let was_due = omemo::take_new_session(&mut batch.write, self.account, of, (device, profile)).await?;
        if was_due.is_none() || begun.is_err() {
            return Ok(());
        }
        if was_due == Some(What::Reset) {
            // The person had the device looked at, and it has signed with the key that it always had.
            let row = omemo::device(&mut batch.write, self.account, of, device).await?;
            if let Some(key) = row.and_then(|row| row.identity) {
                omemo::forget_other_keys(&mut batch.write, self.account, of, &key).await?;
            }
        }
        self.send_empty(batch, of, (device, profile)).await?;
        omemo::healed(&mut batch.write, self.account, of, device, now).await?;
        for message in messages::repaired(&mut batch.write, self.account, of, device.get()).await? {
            batch.changes.messages.insert(message);
        }
        batch
            .changes
            .chats
            .extend(chats::find(&mut batch.write, self.account, of).await?);
        tracing::info!("a broken encrypted session was replaced");
        Ok(())
    }

    async fn send_empty(
        &self,
        batch: &mut Batch,
        to: &BareJid,
        (device, profile): (DeviceId, Profile),
    ) -> Result<()> {
        let empty = empty_message(&mut batch.write, self.account, to, device, profile).await?;
        if let Some(empty) = empty {
            let stanza = String::from(&empty);
            outbox::push_stanza(&mut batch.write, self.account, stanza.as_bytes()).await?;
            batch.outbox = true;
        }
        Ok(())
    }
}

/// A session was lost, here or there; anything else would be the same with a new one ([`DecryptError::healing_helps`]).
///
/// [`DecryptError::healing_helps`]: waxwing_omemo::DecryptError::healing_helps
pub(super) const fn a_new_session_helps(reason: UndecryptableReason) -> bool {
    matches!(
        reason,
        UndecryptableReason::NoSession
            | UndecryptableReason::KeyGone
            | UndecryptableReason::KeyReused
            | UndecryptableReason::TooFarAhead
    )
}

/// Whether the session that a message could not be read in was replaced since, or too short a time ago to do so again.
fn just_before(healed_at: Option<Timestamp>, sent_at: Timestamp, now: Timestamp) -> bool {
    // What was noted in the future is long ago: the clock was wrong then.
    let healed_at = healed_at.filter(|healed| *healed <= now);
    healed_at.is_some_and(|healed| sent_at <= healed || within(healed, now, HEAL_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::at;

    #[test]
    fn a_session_is_not_replaced_again_for_hours_unless_the_clock_was_ahead() {
        let (now, hour) = (at(1_000_000), 3_600);
        for (healed, sent, just, why) in [
            (None, 1_000_000, false, "never"),
            (Some(1_000_000 - 2 * hour), 1_000_000, true, "two hours ago"),
            (Some(1_000_000 - 3 * hour), 1_000_000, false, "three hours ago"),
            (
                Some(1_000_000 - 4 * hour),
                1_000_000 - 5 * hour,
                true,
                "since it was sent",
            ),
            (Some(1_000_000 + 9 * hour), 1_000_000, false, "in the future"),
        ] {
            assert_eq!(just_before(healed.map(at), at(sent), now), just, "{why}");
        }
    }
}
