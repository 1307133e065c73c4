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
mod tests;
