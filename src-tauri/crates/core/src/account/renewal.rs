//! Our own keys over time: new ones while the program runs for weeks, used ones deleted; and the signs that this device is
//! not what the others know any more, since its profile is an older copy of itself or is used by two programs.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use minidom::Element;
use tokio::time::Instant;
use waxwing_omemo::{Bundle, DeviceId, OsEntropy, PreKeyId, Profile, xml};

use super::batch::Batch;
use super::iq::Ask;
use super::keys;
use super::online::Online;
use super::publishing::Step;
use crate::Core;
use crate::error::Result;
use crate::model::{AccountId, Renewed};
use crate::secret::{random_resource, random_uuid};
use crate::store::omemo::{self, Due, What};
use crate::store::{Connection, accounts, archive, chats, sessions};
use crate::xep::pubsub;

/// So often the signed prekey's age is looked at while the account is online.
pub(super) const LOOK_AFTER_KEYS: Duration = Duration::from_secs(6 * 3600);
/// A device that is found to be an older copy of itself twice within this time is used by two programs.
const AGAIN: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A name is given up at most so often, and not when this device has just become another one.
const PARTED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Who sent something within this time hears by itself that the session with it began anew.
const LIVELY: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Ids that we give out stay far below this; what is above was never ours, whatever a server says.
const HIGHEST_ID: u32 = 1 << 30;

/// The server ended our session with a conflict: perhaps since another program that uses a copy of this profile took its
/// name, perhaps since an administrator wished it, which servers tell in the same way. The next session bears another name;
/// if the former one is seen in use then, it was a copy. False if that was done lately.
pub(super) async fn give_up_name(
    core: &Core,
    account: AccountId,
    resource: &str,
    now: Timestamp,
) -> Result<bool> {
    let mut write = core.store.write().await?;
    let renewed = omemo::renewed_at(&mut write, account).await?;
    let given_up = omemo::former_resource(&mut write, account)
        .await?
        .map(|(_, at)| at);
    let lately = |at: Option<Timestamp>| at.is_some_and(|at| within(at, now, PARTED_FOR));
    if lately(renewed) || lately(given_up) {
        return Ok(false);
    }
    accounts::rename(&mut write, account, &random_uuid()?, &random_resource()?).await?;
    omemo::set_former_resource(&mut write, account, resource, now).await?;
    sessions::end(&mut write, account).await?;
    write.commit().await?;
    tracing::warn!("the server ended the session with a conflict: the next one bears another name");
    Ok(true)
}

/// Whether a name was given up so lately that it may be in use elsewhere.
pub(super) async fn suspects_copy(db: &mut Connection, account: AccountId, now: Timestamp) -> Result<bool> {
    let former = omemo::former_resource(db, account).await?;
    Ok(former.is_some_and(|(_, at)| within(at, now, PARTED_FOR)))
}

impl Online<'_> {
    /// A signed prekey that is a week old is replaced, also while the program stays online for longer.
    pub(super) async fn look_after_keys(&mut self, batch: &mut Batch, now: Instant) -> Result<()> {
        if self.session.keys_at.is_none_or(|at| at > now) {
            return Ok(());
        }
        self.session.keys_at = Some(now + LOOK_AFTER_KEYS);
        keys::ensure(&mut batch.write, self.account, Timestamp::now()).await?;
        for profile in Profile::ALL {
            let ids = omemo::key_ids(&mut batch.write, self.account, profile).await?;
            let ever = Timestamp::UNIX_EPOCH;
            if !omemo::is_published(&mut batch.write, self.account, profile, &ids, ever).await? {
                self.publish(batch, Step::bundle(profile)).await?;
            }
        }
        Ok(())
    }

    /// Used prekeys are of no use once all that was missed has been read.
    pub(super) async fn delete_used_keys(&self, batch: &mut Batch, now: Timestamp) -> Result<()> {
        if self.session.caught_up && !self.is_something_missed(batch).await? {
            let before = now + SignedDuration::from_secs(1);
            omemo::delete_used_prekeys(&mut batch.write, self.account, before).await?;
        }
        Ok(())
    }

    /// Whether the archive holds what came while we were away and has not been read yet.
    pub(super) async fn is_something_missed(&self, batch: &mut Batch) -> Result<bool> {
        let gaps = archive::gaps(&mut batch.write, self.account).await?;
        Ok(gaps.iter().any(|gap| gap.after.is_some()))
    }

    /// Asks for what the server has of ours, to compare it with what it should have.
    pub(super) async fn ask_own_bundle(&mut self, batch: &mut Batch, profile: Profile) -> Result<()> {
        let Some(own) = omemo::own(&mut batch.write, self.account).await? else {
            self.compared(batch, profile);
            return Ok(());
        };
        let item = profile.bundle_item(own.device);
        let payload = pubsub::items(&profile.bundle_node(own.device), Some(&item));
        let to = self.own.clone();
        let ask = Ask::OwnBundle(profile);
        batch
            .send
            .push(self.session.questions.ask(Some(&to), "get", payload, ask)?);
        Ok(())
    }

    /// What the server has of ours was looked at, or cannot be: what waits for that may be encrypted.
    pub(super) fn compared(&mut self, batch: &mut Batch, profile: Profile) {
        if self.session.compared.insert(profile) {
            (batch.outbox, batch.due) = (true, true);
        }
    }

    /// What the server has of ours; none if it does not say.
    pub(super) async fn own_bundle_read(
        &mut self,
        batch: &mut Batch,
        profile: Profile,
        answer: Option<&Element>,
        now: Timestamp,
    ) -> Result<()> {
        self.compared(batch, profile);
        let items = answer.map(pubsub::answered_items).unwrap_or_default();
        let read = items.first().map(|(_, bundle)| xml::read_bundle(bundle));
        let Some(Ok(bundle)) = read else {
            // Forgotten, damaged, or not to be found out.
            return self.publish(batch, Step::bundle(profile)).await;
        };
        if let Some((why, beyond)) = self.foreign(batch, &bundle).await? {
            self.want_renewal(batch, why, beyond);
            return self.bundle_is_out(batch, profile).await;
        }
        if self.used_elsewhere(batch, &bundle, now).await? {
            self.want_renewal(batch, Renewed::Restored, (PreKeyId(0), PreKeyId(0)));
            return self.bundle_is_out(batch, profile).await;
        }
        let keys = omemo::key_ids(&mut batch.write, self.account, profile).await?;
        if keys != ids(&bundle) {
            return self.publish(batch, Step::bundle(profile)).await;
        }
        omemo::set_published(&mut batch.write, self.account, profile, &keys, now).await?;
        self.bundle_is_out(batch, profile).await
    }

    /// Whether somebody else published this in the name of this device, and the highest ids of prekeys in it.
    async fn foreign(
        &self,
        batch: &mut Batch,
        bundle: &Bundle,
    ) -> Result<Option<(Renewed, (PreKeyId, PreKeyId))>> {
        let Some(own) = omemo::own(&mut batch.write, self.account).await? else {
            return Ok(None);
        };
        let ours = |id: &PreKeyId| id.0 < HIGHEST_ID;
        let signed = Some(bundle.signed_prekey().id).filter(ours);
        let one_time = bundle.prekeys().iter().map(|key| key.id).filter(ours).max();
        let highest = (signed.unwrap_or(PreKeyId(0)), one_time.unwrap_or(PreKeyId(0)));
        if bundle.identity() != own.identity.public() {
            return Ok(Some((Renewed::Copied, highest)));
        }
        if !omemo::ever_made(
            &mut batch.write,
            self.account,
            bundle.profile(),
            highest.0,
            highest.1,
        )
        .await?
        {
            return Ok(Some((Renewed::Restored, highest)));
        }
        // Two copies that went on from the same place give the same ids to keys of their own.
        let here = omemo::prekeys(&mut batch.write, self.account, bundle.profile()).await?;
        let differs = bundle.prekeys().iter().any(|published| {
            here.iter()
                .any(|key| key.id() == published.id && key.public() != published.public)
        });
        Ok(differs.then_some((Renewed::Restored, highest)))
    }

    /// Whether a later state of this device took prekeys out that were here when the session began: the server has nothing
    /// but what it took last from us, as we know, and lacks some of it. A publication that broke off is none, since a key is
    /// gone here before it is there; nor is a server that was put back, which has keys that are gone here. At most once in a
    /// while, as there may be servers that lose keys.
    async fn used_elsewhere(&self, batch: &mut Batch, bundle: &Bundle, now: Timestamp) -> Result<bool> {
        let last = omemo::renewed_at(&mut batch.write, self.account).await?;
        if last.is_some_and(|at| within(at, now, AGAIN)) {
            return Ok(false);
        }
        let published = omemo::published(&mut batch.write, self.account, bundle.profile()).await?;
        let here = self.session.offered.get(&bundle.profile());
        Ok(published
            .zip(here)
            .is_some_and(|(published, here)| lacks_unused(&published, &ids(bundle), here)))
    }

    /// A message of our own account came by itself, or out of the archive, that this very device is said to have written and
    /// that is not here. False if another device wrote it.
    pub(super) async fn twin_wrote(
        &mut self,
        batch: &mut Batch,
        device: DeviceId,
        live: bool,
    ) -> Result<bool> {
        let own = omemo::own(&mut batch.write, self.account).await?;
        if own.is_none_or(|own| own.device != device) {
            return Ok(false);
        }
        let why = if live { Renewed::Copied } else { Renewed::Restored };
        self.want_renewal(batch, why, (PreKeyId(0), PreKeyId(0)));
        Ok(true)
    }

    /// A session of our own account shows itself. The name that was given up is random: only a copy of this profile bears it.
    pub(super) async fn own_session_seen(&mut self, batch: &mut Batch, resource: &str) -> Result<()> {
        let former = omemo::former_resource(&mut batch.write, self.account).await?;
        if former.is_some_and(|(former, _)| former == resource) {
            tracing::warn!("another program uses a copy of this profile");
            self.want_renewal(batch, Renewed::Copied, (PreKeyId(0), PreKeyId(0)));
        }
        Ok(())
    }

    /// This device is to begin anew as soon as what was missed has been read: the sessions that there are may still open some
    /// of it. Until then nothing is encrypted with them.
    fn want_renewal(&mut self, batch: &mut Batch, why: Renewed, beyond: (PreKeyId, PreKeyId)) {
        if self.session.renewed {
            return;
        }
        let (earlier, known) = self.session.renewal.unwrap_or((why, beyond));
        let highest = (known.0.max(beyond.0), known.1.max(beyond.1));
        let why = if earlier == Renewed::Copied { earlier } else { why };
        self.session.renewal = Some((why, highest));
        batch.due = true;
    }

    /// All sessions and prekeys are dropped: somebody else has gone on with them, so that keys would be used twice. Where
    /// two programs share a device, this one becomes a device of its own.
    pub(super) async fn begin_anew(&mut self, batch: &mut Batch, now: Timestamp) -> Result<()> {
        let Some((why, beyond)) = self.session.renewal.take() else {
            return Ok(());
        };
        self.session.renewed = true;
        let last = omemo::renewed_at(&mut batch.write, self.account).await?;
        let again = last.is_some_and(|at| within(at, now, AGAIN));
        let why = if again { Renewed::Copied } else { why };
        tracing::warn!(why = why.word(), "this device begins anew with its keys");
        let lively = omemo::lively(&mut batch.write, self.account, now - LIVELY).await?;
        omemo::forget_keys(&mut batch.write, self.account, beyond.0, beyond.1).await?;
        if why == Renewed::Copied
            && let Some(own) = omemo::own(&mut batch.write, self.account).await?
        {
            let device = DeviceId::random(&mut OsEntropy);
            omemo::put_own(&mut batch.write, self.account, device, &own.identity).await?;
            omemo::forget_former_resource(&mut batch.write, self.account).await?;
        }
        keys::ensure(&mut batch.write, self.account, now).await?;
        omemo::set_renewed(&mut batch.write, self.account, why, now).await?;
        for due in lively {
            self.tell_of_renewal(batch, due).await?;
        }
        batch.changes.account = true;
        batch.outbox = true;
        self.session.bundles_out.clear();
        self.session.settled.clear();
        self.session.access_asked.clear();
        for profile in Profile::ALL {
            self.publish(batch, Step::bundle(profile)).await?;
        }
        Ok(())
    }

    async fn tell_of_renewal(
        &self,
        batch: &mut Batch,
        (address, device, profile): omemo::Lively,
    ) -> Result<()> {
        let chat = chats::find(&mut batch.write, self.account, &address).await?;
        let acquainted = match chat {
            Some(chat) => batch.acquainted(self.account, &self.own, chat, &address).await?,
            None => address == self.own,
        };
        if !acquainted {
            return Ok(());
        }
        batch.due = true;
        let due = Due {
            address,
            device,
            profile,
            what: What::Heal,
        };
        omemo::put_due(&mut batch.write, self.account, &due).await
    }
}

/// Whether the bundle on the server is the one that was published last but for keys that are still `here`. Ids as the store
/// gives them.
fn lacks_unused(published: &str, there: &str, here: &str) -> bool {
    let all = [published, there, here].map(read_ids);
    let [
        Some((signed, published)),
        Some((signed_there, there)),
        Some((_, here)),
    ] = all
    else {
        return false;
    };
    signed == signed_there
        && there.is_subset(&published)
        && published.difference(&there).any(|id| here.contains(id))
}

/// The ids of the signed prekey and of the others.
pub(super) fn read_ids(ids: &str) -> Option<(&str, BTreeSet<u32>)> {
    let (signed, one_time) = ids.split_once(':')?;
    Some((
        signed,
        one_time.split(',').filter_map(|id| id.parse().ok()).collect(),
    ))
}

/// Whether something was done within this time; a time in the future is long ago, since the clock was wrong then.
pub(super) fn within(at: Timestamp, now: Timestamp, time: SignedDuration) -> bool {
    at <= now && now.duration_since(at) < time
}

/// The ids of a bundle's keys, as the store gives those of ours.
fn ids(bundle: &Bundle) -> String {
    let mut one_time: Vec<u32> = bundle.prekeys().iter().map(|key| key.id.0).collect();
    one_time.sort_unstable();
    let one_time: Vec<String> = one_time.iter().map(u32::to_string).collect();
    format!("{}:{}", bundle.signed_prekey().id, one_time.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prekey_that_is_missing_on_the_server_alone_was_used_by_a_later_state_of_this_device() {
        for (published, there, here, sign, why) in [
            ("1:1,2,3", "1:1,2,3", "1:1,2,3", false, "all is as it was"),
            ("1:1,2,3", "1:1,3", "1:1,2,3", true, "one was used there"),
            ("1:1,2,3", "1:", "1:1,2,3", true, "all were used there"),
            (
                "1:1,2,3",
                "1:1,3",
                "1:1,3",
                false,
                "the answer to a publication was not read",
            ),
            (
                "1:1,2,3",
                "1:1,2,3",
                "1:1,3",
                false,
                "a publication did not arrive",
            ),
            ("1:3,4,5", "1:1,2,3", "1:3,4,5", false, "the server was put back"),
            (
                "2:1,2,3",
                "1:1,3",
                "2:1,2,3",
                false,
                "the server was put back before a new signed key",
            ),
            ("", "1:1", "1:1", false, "nothing is known"),
        ] {
            assert_eq!(lacks_unused(published, there, here), sign, "{why}");
        }
    }

    #[test]
    fn a_time_in_the_future_is_long_ago() {
        let (now, hour) = (Timestamp::UNIX_EPOCH, SignedDuration::from_hours(1));
        assert!(within(now, now, hour));
        assert!(within(now - hour / 2, now, hour));
        assert!(!within(now - hour, now, hour));
        assert!(!within(now + SignedDuration::from_secs(1), now, hour));
    }
}
