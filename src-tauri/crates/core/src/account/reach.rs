//! Whom the next message of a chat reaches, and why not: the one decision that sending carries out and that the
//! encryption report shows, so that the two cannot differ.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use waxwing_omemo::{DeviceId, Profile, may_encrypt_to};

use super::devices::{Lists, Want, lists_wanted};
use super::renewal::within;
use crate::error::{Code, Fault, Result};
use crate::model::{AccountId, BareJid, Device, ListFault, Reach, Trust};
use crate::store::Connection;
use crate::store::omemo::{self, DeviceRow, Own};
use crate::store::outbox::Encrypt;

/// A bundle that could not be had is asked for again after so long.
pub(super) const BUNDLE_RETRY: Duration = Duration::from_secs(600);
/// And after so long while the device is new: some publish the list first and the bundle behind it.
const NEW_BUNDLE_RETRY: Duration = Duration::from_secs(20);
/// For so long after it was first heard of a device is new.
const NEW_FOR: Duration = Duration::from_secs(300);

/// For so long it is told of a device that wrote although it is on no list.
const LATELY: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What the next message does with one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is encrypted to it, in a session that is there.
    Encrypts(Profile),
    /// The device's bundle is asked for first, to begin a session with.
    Begins(Profile),
    /// Nobody decided yet about its key, and the message waits until somebody does.
    Waits,
    /// The person refused its key.
    Distrusted,
    /// Its bundle could not be had a short while ago.
    WithoutKeys,
    /// It is on no list any more.
    NotListed,
    /// It is on no list, and wrote to us lately all the same.
    Unlisted,
    /// It is this very device, which reads what it writes.
    ThisDevice,
}

/// Decides about one device. `preferred` is the generation for those that speak both: it is used as long as it works.
pub(super) fn next(row: &DeviceRow, this: Option<DeviceId>, preferred: Profile, now: Timestamp) -> Next {
    if this == Some(row.device) {
        return Next::ThisDevice;
    }
    if !row.active() {
        let lately = row.wrote_unlisted.is_some_and(|at| within(at, now, LATELY));
        return if lately { Next::Unlisted } else { Next::NotListed };
    }
    match row.trust {
        Some(Trust::Undecided) => return Next::Waits,
        Some(trust) if !may_encrypt_to(trust.into()) => return Next::Distrusted,
        _ => {}
    }
    let mut generations = Profile::ALL;
    generations.sort_by_key(|profile| *profile != preferred);
    for profile in generations.into_iter().filter(|profile| row.listed(*profile)) {
        // One that is to be replaced, since it broke or the person wishes it, goes on only if the device's keys cannot be
        // had.
        let anew = !row.has_session(profile) || row.goes_anew(profile);
        if anew && may_ask(row, profile, now) {
            return Next::Begins(profile);
        }
        if row.has_session(profile) {
            return Next::Encrypts(profile);
        }
    }
    Next::WithoutKeys
}

/// When a bundle that could not be had is asked for again.
fn asked_again(row: &DeviceRow, profile: Profile) -> Option<Timestamp> {
    let (_, at) = row.fault(profile)?;
    let new_until = row.first_seen.and_then(|seen| seen.checked_add(NEW_FOR).ok());
    let retry = if new_until.is_some_and(|until| at < until) {
        NEW_BUNDLE_RETRY
    } else {
        BUNDLE_RETRY
    };
    at.checked_add(retry).ok()
}

/// Whether a bundle may be asked for: one that could not be had a short while ago may not. What was noted in the future is
/// long ago: the clock was wrong then.
pub(super) fn may_ask(row: &DeviceRow, profile: Profile, now: Timestamp) -> bool {
    let is_ahead = row.fault(profile).is_some_and(|(_, at)| at > now);
    is_ahead || asked_again(row, profile).is_none_or(|at| at <= now)
}

impl Next {
    /// The word for it.
    pub(super) fn reach(self) -> Reach {
        match self {
            Self::Encrypts(_) => Reach::Ready,
            Self::Begins(_) => Reach::Untried,
            Self::Waits => Reach::Undecided,
            Self::Distrusted => Reach::Untrusted,
            Self::WithoutKeys => Reach::NoKeys,
            Self::NotListed => Reach::Inactive,
            Self::Unlisted => Reach::Unlisted,
            Self::ThisDevice => Reach::ThisDevice,
        }
    }

    /// The generation in which the device is written to.
    pub(super) fn profile(self) -> Option<Profile> {
        match self {
            Self::Encrypts(profile) | Self::Begins(profile) => Some(profile),
            _ => None,
        }
    }
}

/// The generation for those who speak both: everybody's installed clients speak the legacy one; version 2 is for people of
/// whose devices none does.
fn preferred(rows: &[DeviceRow]) -> Profile {
    let mut listed = rows.iter().filter(|row| row.active()).peekable();
    if listed.peek().is_none() || listed.any(|row| row.omemo1) {
        Profile::Legacy
    } else {
        Profile::Omemo2
    }
}

/// What the person sees of somebody's devices. `this` is our own one, where they are ours.
pub(crate) fn show_devices(rows: Vec<DeviceRow>, this: Option<&Own>, now: Timestamp) -> Vec<Device> {
    let preferred = preferred(&rows);
    let id = this.map(|this| this.device);
    let shown = rows.into_iter().map(|row| {
        let next = next(&row, id, preferred, now);
        row.show(next.reach(), next.profile())
    });
    let mut devices: Vec<Device> = shown.collect();
    if let Some(this) = this {
        if devices.iter().all(|device| !device.own) {
            devices.push(this.show());
        }
        for device in devices.iter_mut().filter(|device| device.own) {
            device.be_this(this.identity.public());
        }
    }
    devices
}

/// A device with what becomes of it.
pub(super) struct Surveyed {
    pub(super) of: BareJid,
    pub(super) row: DeviceRow,
    pub(super) next: Next,
}

/// All devices of both sides.
pub(super) struct Survey {
    /// Of the other side; none in a chat with oneself.
    pub(super) theirs: Vec<Surveyed>,
    pub(super) ours: Vec<Surveyed>,
    pub(super) preferred: Profile,
}

/// What becomes of the message as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It goes out unencrypted, as the person chose or since nobody there could decrypt.
    Plain,
    /// It is encrypted to the devices for which [`Next`] says so.
    Encrypted,
    /// These must be known first.
    Wants(BTreeSet<Want>),
    /// It waits for a decision about a key.
    Undecided,
    /// It does not go out.
    Fails(Fault),
}

/// Who writes to whom, and what was promised.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route<'a> {
    pub(super) own: &'a BareJid,
    pub(super) to: &'a BareJid,
    pub(super) encrypt: Encrypt,
}

impl Route<'_> {
    /// What can be said before anybody's devices are looked at.
    pub(super) fn decide(&self, lists: &Lists, now: Instant) -> Option<Decision> {
        if self.encrypt == Encrypt::None {
            return Some(Decision::Plain);
        }
        let wants = lists_wanted(lists, [self.to, self.own], now);
        (!wants.is_empty()).then_some(Decision::Wants(wants))
    }

    /// The other side has no devices: plain text only if that is certain and nothing was encrypted here before.
    /// Whoever could read encrypted messages once gets nothing else without the person's word.
    fn without_devices(&self, uncertain: Option<ListFault>, had_devices: bool) -> Decision {
        let encrypt = if had_devices { Encrypt::Must } else { self.encrypt };
        let (code, text) = match (encrypt, uncertain) {
            (Encrypt::May | Encrypt::None, None) => return Decision::Plain,
            (Encrypt::Must, None) => (Code::NoDevices, "the other side has no devices for encryption"),
            (_, Some(ListFault::Forbidden)) => (
                Code::DevicesForbidden,
                "the other side's server does not say which devices it has",
            ),
            (_, Some(ListFault::ServerNotFound)) => {
                (Code::ServerNotFound, "the other side's server cannot be found")
            }
            (_, Some(ListFault::Unreachable)) => (
                Code::Timeout,
                "it could not be found out whether the other side can read encrypted messages",
            ),
        };
        Decision::Fails(Fault::new(code, text))
    }
}

/// Why it is not certain which devices somebody has; none if it is. What passes is told only if nothing else is in the way.
pub(super) fn uncertain(lists: &Lists, of: &BareJid) -> Option<ListFault> {
    let faults = Profile::ALL.into_iter().filter_map(|profile| {
        let listed = lists.get(&(of.clone(), profile));
        listed.map_or(Some(ListFault::Unreachable), |listed| listed.outcome.fault())
    });
    faults.min()
}

/// Looks at all devices that a message from `own` to `to` concerns.
pub(super) async fn survey(
    db: &mut Connection,
    account: AccountId,
    route: &Route<'_>,
    now: Timestamp,
) -> Result<Survey> {
    let (own, to) = (route.own, route.to);
    let this = omemo::own(db, account).await?.map(|own| own.device);
    let mut theirs = Vec::new();
    if to != own {
        theirs = omemo::devices(db, account, to).await?;
    }
    let ours = omemo::devices(db, account, own).await?;
    let preferred = preferred(&theirs);
    let each = |of: &BareJid, rows: Vec<DeviceRow>, this| {
        let surveyed = rows.into_iter().map(|row| Surveyed {
            of: of.clone(),
            next: next(&row, this, preferred, now),
            row,
        });
        surveyed.collect()
    };
    Ok(Survey {
        theirs: each(to, theirs, None),
        ours: each(own, ours, this),
        preferred,
    })
}

impl Survey {
    /// What becomes of the message. New keys are looked at before anything waits for a decision, so that all of them
    /// can be decided about at once.
    pub(super) fn decide(&self, route: &Route<'_>, uncertain: Option<ListFault>) -> Decision {
        let to_ourselves = route.to == route.own;
        if !to_ourselves && !self.theirs.iter().any(|device| device.row.active()) {
            return route.without_devices(
                uncertain,
                self.theirs.iter().any(|device| device.row.identity.is_some()),
            );
        }
        let wants: BTreeSet<Want> = self.all().filter_map(Surveyed::wanted).collect();
        if !wants.is_empty() {
            return Decision::Wants(wants);
        }
        // Nobody is asked to decide about a device of ours for a message that then reaches nobody.
        let may_be_reached = |device: &Surveyed| matches!(device.next, Next::Encrypts(_) | Next::Waits);
        if to_ourselves || self.theirs.iter().any(may_be_reached) {
            let waits = self.all().any(|device| device.next == Next::Waits);
            return if waits {
                Decision::Undecided
            } else {
                Decision::Encrypted
            };
        }
        let distrusted = |device: &Surveyed| device.next == Next::Distrusted;
        Decision::Fails(Fault::new(
            if self.theirs.iter().any(distrusted) {
                Code::NoTrustedDevices
            } else {
                Code::NoDevices
            },
            "none of their devices can be encrypted to",
        ))
    }

    /// Those who get the message, and in which generation.
    pub(super) fn reached(&self) -> impl Iterator<Item = (&BareJid, DeviceId, Profile)> {
        self.all().filter_map(|device| match device.next {
            Next::Encrypts(profile) => Some((&device.of, device.row.device, profile)),
            _ => None,
        })
    }

    fn all(&self) -> impl Iterator<Item = &Surveyed> {
        self.theirs.iter().chain(&self.ours)
    }
}

impl Surveyed {
    /// When its keys, which could not be had, are asked for again.
    pub(super) fn again_at(&self) -> Option<Timestamp> {
        let listed = Profile::ALL
            .into_iter()
            .filter(|profile| self.row.listed(*profile));
        let again = listed.filter_map(|profile| asked_again(&self.row, profile)).min();
        again.filter(|_| self.next == Next::WithoutKeys)
    }

    fn wanted(&self) -> Option<Want> {
        match self.next {
            Next::Begins(profile) => Some(Want::Bundle {
                of: self.of.clone(),
                device: self.row.device,
                profile,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use waxwing_omemo::OsEntropy;

    use super::*;
    use crate::model::{BundleFault, DeviceFailure, UndecryptableReason};
    use crate::store::Write;
    use crate::store::tests::keys::list;
    use crate::store::tests::{Scene, at as after, scene};

    const NOW: i64 = 1_700_000_000;

    fn row(omemo1: bool, omemo2: bool, trust: Option<Trust>, has_session: bool) -> DeviceRow {
        DeviceRow {
            device: DeviceId::try_from(7_u32).expect("a device id"),
            omemo1,
            omemo2,
            identity: None,
            trust,
            label: None,
            label_signature: None,
            first_seen: None,
            last_seen: None,
            failure: None,
            healed_at: None,
            wrote_unlisted: None,
            sessions: [has_session; 2],
            faults: [None; 2],
            anew: [false; 2],
            other: None,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a time")
    }

    fn decide(row: &DeviceRow) -> Next {
        next(row, None, Profile::Legacy, at(NOW))
    }

    #[test]
    fn trust_decides_before_anything_is_asked_for_or_sent() {
        const READY: Next = Next::Encrypts(Profile::Legacy);
        const BEGINS: Next = Next::Begins(Profile::Legacy);
        for (trust, with_session, without) in [
            (None, READY, BEGINS),
            (Some(Trust::Blind), READY, BEGINS),
            (Some(Trust::Verified), READY, BEGINS),
            (Some(Trust::Undecided), Next::Waits, Next::Waits),
            (Some(Trust::Untrusted), Next::Distrusted, Next::Distrusted),
        ] {
            let with = decide(&row(true, true, trust, true));
            assert_eq!(with, with_session, "{trust:?} with a session");
            let with = decide(&row(true, true, trust, false));
            assert_eq!(with, without, "{trust:?} without a session");
        }
    }

    #[test]
    fn a_device_is_written_to_in_a_generation_that_lists_it() {
        for (omemo1, omemo2, preferred, wanted) in [
            (true, false, Profile::Omemo2, Next::Encrypts(Profile::Legacy)),
            (false, true, Profile::Legacy, Next::Encrypts(Profile::Omemo2)),
            (true, true, Profile::Legacy, Next::Encrypts(Profile::Legacy)),
            (true, true, Profile::Omemo2, Next::Encrypts(Profile::Omemo2)),
            (false, false, Profile::Legacy, Next::NotListed),
        ] {
            let row = row(omemo1, omemo2, None, true);
            assert_eq!(
                next(&row, None, preferred, at(NOW)),
                wanted,
                "{omemo1} {omemo2} {preferred:?}"
            );
        }
    }

    #[test]
    fn a_bundle_that_could_not_be_had_is_not_asked_for_again_at_once() {
        let mut row = row(true, false, None, false);
        for (ago, wanted) in [
            (0, Next::WithoutKeys),
            (599, Next::WithoutKeys),
            (600, Next::Begins(Profile::Legacy)),
        ] {
            row.faults = [Some((BundleFault::Missing, at(NOW - ago))), None];
            assert_eq!(decide(&row), wanted, "{ago} seconds ago");
        }
        for (seen_ago, failed_ago, wanted) in [
            (30, 19, Next::WithoutKeys),
            (30, 20, Next::Begins(Profile::Legacy)),
            (330, 31, Next::Begins(Profile::Legacy)),
            (330, 30, Next::WithoutKeys),
        ] {
            row.first_seen = Some(at(NOW - seen_ago));
            row.faults = [Some((BundleFault::Missing, at(NOW - failed_ago))), None];
            assert_eq!(decide(&row), wanted, "new {seen_ago} seconds ago, {failed_ago}");
        }
        row.faults = [Some((BundleFault::Missing, at(NOW + 1_000_000))), None];
        assert_eq!(decide(&row), Next::Begins(Profile::Legacy), "the clock was ahead");
        // The other generation is a way round.
        row.faults = [Some((BundleFault::Missing, at(NOW))), None];
        row.omemo2 = true;
        assert_eq!(decide(&row), Next::Begins(Profile::Omemo2));
        row.sessions = [true, false];
        assert_eq!(decide(&row), Next::Encrypts(Profile::Legacy));
    }

    #[test]
    fn a_session_that_is_to_be_replaced_is_used_only_if_no_new_one_can_be_begun() {
        let mut row = row(true, false, None, true);
        row.anew = [true, false];
        assert_eq!(decide(&row), Next::Begins(Profile::Legacy));
        row.faults = [Some((BundleFault::Missing, at(NOW))), None];
        assert_eq!(decide(&row), Next::Encrypts(Profile::Legacy));
    }

    #[test]
    fn this_very_device_is_never_written_to() {
        let row = row(true, true, Some(Trust::Verified), true);
        assert_eq!(
            next(&row, Some(row.device), Profile::Legacy, at(NOW)),
            Next::ThisDevice
        );
    }

    fn survey(theirs: &[Next], ours: &[Next]) -> Survey {
        let devices = |all: &[Next]| {
            all.iter()
                .map(|next| Surveyed {
                    of: "juliet@capulet.lit".parse().expect("an address"),
                    row: row(true, true, None, false),
                    next: *next,
                })
                .collect()
        };
        Survey {
            theirs: devices(theirs),
            ours: devices(ours),
            preferred: Profile::Legacy,
        }
    }

    /// The decision about a message from Romeo, who may send it in no other way than encrypted.
    fn decided(survey: &Survey, to: &str) -> Decision {
        let own = "romeo@montague.lit".parse().expect("an address");
        let to = to.parse().expect("an address");
        let route = Route {
            own: &own,
            to: &to,
            encrypt: Encrypt::Must,
        };
        survey.decide(&route, true)
    }

    fn to_juliet(survey: &Survey) -> Decision {
        decided(survey, "juliet@capulet.lit")
    }

    const READY: Next = Next::Encrypts(Profile::Legacy);

    #[test]
    fn a_message_waits_for_each_undecided_key_of_either_side() {
        for (theirs, ours) in [
            (&[READY, Next::Waits][..], &[][..]),
            (&[READY], &[Next::Waits]),
            (&[Next::Waits], &[READY]),
        ] {
            assert_eq!(
                to_juliet(&survey(theirs, ours)),
                Decision::Undecided,
                "{theirs:?} {ours:?}"
            );
        }
    }

    #[test]
    fn nothing_goes_out_that_nobody_on_the_other_side_can_read() {
        for (theirs, code) in [
            (&[][..], Code::NoDevices),
            (&[Next::WithoutKeys], Code::NoDevices),
            (&[Next::Distrusted], Code::NoTrustedDevices),
            (&[Next::WithoutKeys, Next::Distrusted], Code::NoTrustedDevices),
        ] {
            assert!(
                matches!(to_juliet(&survey(theirs, &[READY])), Decision::Fails(fault) if fault.code == code),
                "{theirs:?}"
            );
        }
        let others = [READY, Next::Distrusted, Next::WithoutKeys, Next::NotListed];
        assert_eq!(
            to_juliet(&survey(&others, &[Next::ThisDevice])),
            Decision::Encrypted
        );
        assert_eq!(
            decided(&survey(&[], &[Next::ThisDevice]), "romeo@montague.lit"),
            Decision::Encrypted,
            "a note to oneself"
        );
    }

    #[test]
    fn keys_are_asked_for_before_anything_is_decided() {
        let begins = Next::Begins(Profile::Omemo2);
        assert!(
            matches!(to_juliet(&survey(&[begins, Next::Waits], &[])), Decision::Wants(wants) if wants.len() == 1)
        );
    }

    #[test]
    fn plain_text_needs_certainty_that_there_are_no_devices_and_that_nothing_else_was_promised() {
        let (own, to) = (
            "romeo@montague.lit".parse().expect("an address"),
            "juliet@capulet.lit".parse().expect("an address"),
        );
        for (encrypt, certain, plain) in [
            (Encrypt::May, true, true),
            (Encrypt::May, false, false),
            (Encrypt::Must, true, false),
            (Encrypt::Must, false, false),
        ] {
            let route = Route {
                own: &own,
                to: &to,
                encrypt,
            };
            assert_eq!(
                survey(&[], &[]).decide(&route, certain) == Decision::Plain,
                plain,
                "{encrypt:?} {certain}"
            );
        }
    }

    async fn shown(write: &mut Write, scene: &Scene, of: &BareJid, device: DeviceId) -> Device {
        let row = omemo::device(write, scene.account, of, device).await;
        let row = row.expect("asked").expect("known");
        let mut all = show_devices(vec![row], None, after(7));
        all.pop().expect("the device")
    }

    #[tokio::test]
    async fn of_a_device_it_is_known_what_failed_and_whether_the_next_message_reaches_it() {
        let scene = scene().await;
        let juliet: BareJid = "juliet@capulet.lit".parse().expect("an address");
        let device = DeviceId::random(&mut OsEntropy);
        let (account, of_device) = (scene.account, (device, Profile::Legacy));
        let mut write = scene.store.write().await.expect("a write");
        list(&mut write, &scene, &juliet, [device]).await;
        let first = shown(&mut write, &scene, &juliet, device).await;
        assert_eq!((first.active, first.first_seen), (true, Some(after(0))));
        assert_eq!(first.reach, Reach::Untried);

        let fault = Some((BundleFault::Missing, after(1)));
        let noted = omemo::set_bundle_fault(&mut write, account, &juliet, of_device, fault).await;
        assert_eq!(noted, Ok(()));
        for (at, reason, kept) in [
            (5, UndecryptableReason::NoSession, UndecryptableReason::NoSession),
            // What the archive tells of an earlier time is no news.
            (4, UndecryptableReason::Malformed, UndecryptableReason::NoSession),
            (6, UndecryptableReason::KeyGone, UndecryptableReason::KeyGone),
        ] {
            let at = after(at);
            let noted = omemo::failed(
                &mut write,
                account,
                &juliet,
                device,
                &DeviceFailure { reason, at },
            )
            .await;
            assert_eq!(noted, Ok(()));
            let now = shown(&mut write, &scene, &juliet, device).await;
            assert_eq!(now.last_failure.map(|failure| failure.reason), Some(kept));
            assert_eq!((now.active, now.bundle_fault), (true, Some(BundleFault::Missing)));
            assert_eq!(now.reach, Reach::NoKeys);
        }
        omemo::forget_faults(&mut write, account, &juliet)
            .await
            .expect("forgotten");
        omemo::take_off_lists(&mut write, account, &juliet, device)
            .await
            .expect("taken off");
        let gone = shown(&mut write, &scene, &juliet, device).await;
        assert_eq!((gone.active, gone.reach), (false, Reach::Inactive));
        list(&mut write, &scene, &juliet, [device]).await;
        let again = shown(&mut write, &scene, &juliet, device).await;
        assert_eq!((again.active, again.bundle_fault), (true, None));
        assert_eq!(again.reach, Reach::Untried);
    }
}
