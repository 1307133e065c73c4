//! Which devices somebody has, and their bundles: what is asked for in a session, once, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use minidom::Element;
use tokio::time::Instant;
use waxwing_omemo::{DeviceId, Profile};

use super::Reply;
use super::batch::Batch;
use super::iq::Ask;
use super::online::{Online, Session, Stop};
use super::publishing::Step;
use crate::error::{Code, Error, Result};
use crate::model::{BareJid, ChatId, ListFault};
use crate::store::{chats, omemo};
use crate::xep::pubsub;

/// When our keys could not be published, it is tried again after so long.
const PUBLISH_AGAIN: Duration = Duration::from_secs(60);

/// The keys of so many new devices are fetched at once.
const AT_ONCE: u32 = 50;

/// So many questions for the keys of one person's devices are on their way at a time.
const IN_FLIGHT: usize = 20;

/// Something that must be known before a message can be encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Want {
    List {
        of: BareJid,
        profile: Profile,
    },
    Bundle {
        of: BareJid,
        device: DeviceId,
        profile: Profile,
    },
}

impl Want {
    /// Whose device's keys are wanted, if it is keys.
    fn whose_keys(&self) -> Option<&BareJid> {
        match self {
            Self::Bundle { of, .. } => Some(of),
            Self::List { .. } => None,
        }
    }
}

/// What came of asking for a device list in this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListOutcome {
    Devices,
    /// There is certainly no list, or an empty one.
    Empty,
    /// It could not be found out.
    Failed(ListFault),
}

impl ListOutcome {
    /// Why it could not be found out.
    pub(super) const fn fault(self) -> Option<ListFault> {
        match self {
            Self::Failed(fault) => Some(fault),
            Self::Devices | Self::Empty => None,
        }
    }
}

/// An outcome and when it came. What nobody tells us of when it changes is believed for a while only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed {
    pub(super) outcome: ListOutcome,
    pub(super) at: Instant,
    /// Their server tells us of each new list, since we see their presence.
    pub(super) told: bool,
}

/// How long something is believed that nobody tells us of when it changes.
const BELIEVED_FOR: Duration = Duration::from_secs(300);

/// Whoever looks at somebody's devices, and again when the answer changes something, asks the server no more often than this.
pub(super) const LOOKED_LATELY: Duration = Duration::from_secs(1);

/// So many devices are kept in mind that wrote although they are on no list.
const UNLISTED: usize = 1_000;

/// The asked-for lists of this session.
pub(super) type Lists = BTreeMap<(BareJid, Profile), Listed>;

/// Which lists nobody asked for in this session, or too long ago.
pub(super) fn lists_wanted<'a>(
    lists: &Lists,
    of: impl IntoIterator<Item = &'a BareJid>,
    now: Instant,
) -> BTreeSet<Want> {
    let known = |listed: &Listed| {
        (listed.told && listed.outcome == ListOutcome::Devices) || now < listed.at + BELIEVED_FOR
    };
    of.into_iter()
        .flat_map(|of| Profile::ALL.map(|profile| (of.clone(), profile)))
        .filter(|asked| !lists.get(asked).is_some_and(known))
        .map(|(of, profile)| Want::List { of, profile })
        .collect()
}

/// A device of ours that is being taken off our lists, and whoever waits for that.
pub(super) struct Removal {
    /// The lists that are still to be published without it.
    left: BTreeSet<Profile>,
    done: Reply,
}

/// Asks for a device's bundle. A legacy node holds nothing else, and Dino gives the item an id of its own.
fn bundle(profile: Profile, device: DeviceId) -> Element {
    let node = profile.bundle_node(device);
    match profile {
        Profile::Legacy => pubsub::newest(&node),
        Profile::Omemo2 => pubsub::items(&node, Some(&profile.bundle_item(device))),
    }
}

/// Takes out what may be asked for now, and notes that it is.
fn next_wants(to_ask: &mut BTreeSet<Want>, asking: &mut BTreeSet<Want>) -> Vec<Want> {
    to_ask.retain(|want| !asking.contains(want));
    let next = to_ask.extract_if(.., |want| {
        let room = want.whose_keys().is_none_or(|of| {
            let whose = asking.iter().filter_map(Want::whose_keys);
            whose.filter(|asked| *asked == of).count() < IN_FLIGHT
        });
        room && asking.insert(want.clone())
    });
    next.collect()
}

/// A server left a question for somebody's keys without an answer: the others that wait for their turn would take as long
/// each, and are not asked.
pub(super) fn give_up_keys(to_ask: &mut BTreeSet<Want>, of: &BareJid) -> Vec<(DeviceId, Profile)> {
    let given_up = to_ask.extract_if(.., |want| want.whose_keys() == Some(of));
    given_up
        .filter_map(|want| match want {
            Want::Bundle { device, profile, .. } => Some((device, profile)),
            Want::List { .. } => None,
        })
        .collect()
}

impl Online<'_> {
    /// Asks for what is not being asked for already, or as soon as not too many questions are on their way.
    pub(super) async fn ask_for(&mut self, wants: BTreeSet<Want>) -> std::result::Result<(), Stop> {
        let Session { to_ask, asking, .. } = &mut self.session;
        to_ask.extend(wants);
        for want in next_wants(to_ask, asking) {
            let (of, payload, ask) = match want {
                Want::List { of, profile } => {
                    let payload = pubsub::newest(profile.device_list_node());
                    (of.clone(), payload, Ask::DeviceList { of, profile })
                }
                Want::Bundle { of, device, profile } => (
                    of.clone(),
                    bundle(profile, device),
                    Ask::Bundle { of, device, profile },
                ),
            };
            let stanza = self.session.questions.ask(Some(&of), "get", payload, ask)?;
            self.connection.send(&stanza).await?;
        }
        Ok(())
    }

    /// Whoever looks at a chat shall see whether its next message can be encrypted before the first word is written: lists
    /// that were never read are asked for, once in a session. A stranger who merely wrote is asked for nothing.
    pub(super) async fn read_devices_of_open_chat(&mut self) -> std::result::Result<(), Stop> {
        let Some(chat) = self.core.notices.looked_at() else {
            return Ok(());
        };
        let mut db = self.core.store.read().await?;
        // It may have been deleted meanwhile.
        let Some((_, of)) = chats::place_of(&mut db, chat)
            .await?
            .filter(|(of, _)| *of == self.account)
        else {
            return Ok(());
        };
        let mut wants = lists_wanted(&Lists::new(), [&of], Instant::now());
        for profile in Profile::ALL {
            let read = omemo::list_read_at(&mut db, self.account, &of, profile).await?;
            if read.is_some() || self.session.lists.contains_key(&(of.clone(), profile)) {
                wants.remove(&Want::List {
                    of: of.clone(),
                    profile,
                });
            }
        }
        drop(db);
        self.ask_for(wants).await
    }

    /// Fetches the keys of new devices of people with a verified key, so that the decision they want is seen before the next
    /// message is written.
    pub(super) async fn look_at_new_devices(&mut self) -> std::result::Result<(), Stop> {
        if !std::mem::take(&mut self.session.new_devices) {
            return Ok(());
        }
        let mut db = self.core.store.read().await?;
        let unseen = omemo::unseen_of_verified(&mut db, self.account, AT_ONCE).await?;
        drop(db);
        let wants = unseen.into_iter().map(|(of, row)| Want::Bundle {
            of,
            device: row.device,
            profile: if row.omemo1 {
                Profile::Legacy
            } else {
                Profile::Omemo2
            },
        });
        self.ask_for(wants.collect()).await
    }

    /// A question about devices has been answered, or never will be.
    pub(super) fn asked(&mut self, want: &Want) {
        self.session.asking.remove(want);
    }

    /// A device wrote that is on no list of its owner's, as far as we know: they are read again, so that the answer reaches
    /// it. Each device leads to that once in a while only, since the list may not have it then either.
    pub(super) async fn wrote_unlisted(
        &mut self,
        batch: &mut Batch,
        chat: ChatId,
        (of, device): (&BareJid, DeviceId),
    ) -> Result<()> {
        let now = Instant::now();
        let written = &mut self.session.wrote_unlisted;
        written.retain(|_, at| now < *at + BELIEVED_FOR);
        if written.len() >= UNLISTED || written.contains_key(&(of.clone(), device)) {
            return Ok(());
        }
        written.insert((of.clone(), device), now);
        self.session.lists.retain(|(whose, _), _| whose != of);
        // A stranger is asked for nothing before the person answers.
        if batch.acquainted(self.account, &self.own, chat, of).await? {
            batch.wants.extend(lists_wanted(&self.session.lists, [of], now));
        }
        Ok(())
    }

    /// Nobody tells us any more when somebody's devices change.
    pub(super) fn not_told_of_devices(&mut self, of: &BareJid) {
        let theirs = self
            .session
            .lists
            .iter_mut()
            .filter(|((whose, _), _)| whose == of);
        theirs.for_each(|(_, listed)| listed.told = false);
    }

    /// The outcome of a device list, for this session; `told` if we hear of it when it changes.
    pub(super) fn list_read(&mut self, of: &BareJid, profile: Profile, outcome: ListOutcome, told: bool) {
        self.asked(&Want::List {
            of: of.clone(),
            profile,
        });
        if *of == self.own && outcome.fault().is_some() {
            // Nothing can be compared.
            self.session.compared.insert(profile);
            self.cannot_publish(profile);
        }
        self.session.lists.insert(
            (of.clone(), profile),
            Listed {
                outcome,
                at: Instant::now(),
                told,
            },
        );
    }

    /// That somebody has no devices, or could not be asked, is found out anew unless that was `lately`: it may have changed
    /// meanwhile.
    pub(super) fn forget_uncertain_lists(&mut self, of: &BareJid, lately: Duration) {
        let now = Instant::now();
        let stays = |listed: &Listed| listed.outcome == ListOutcome::Devices || now < listed.at + lately;
        self.session
            .lists
            .retain(|(whose, _), listed| whose != of || stays(listed));
    }

    /// Our device could not be put on the list; the account is online all the same, and it is tried again.
    pub(super) fn cannot_publish(&mut self, profile: Profile) {
        self.session.settled.insert(profile);
        self.session.publish_again = Some(Instant::now() + PUBLISH_AGAIN);
    }

    /// Takes another device of ours off our lists, and what it published off the server.
    pub(super) async fn remove_device(
        &mut self,
        device: DeviceId,
        done: Reply,
    ) -> std::result::Result<(), Stop> {
        let mut batch = Batch::begin(&self.core.store).await?;
        let row = omemo::device(&mut batch.write, self.account, &self.own, device).await?;
        let listed = |row: &omemo::DeviceRow| {
            let on_list = Profile::ALL.into_iter().filter(|profile| row.listed(*profile));
            on_list.collect::<BTreeSet<_>>()
        };
        let left = row.as_ref().map(listed).unwrap_or_default();
        // Only a list that was read is published without it: else others of ours would vanish too.
        let read = |profile: &Profile| {
            let list = self.session.lists.get(&(self.own.clone(), *profile));
            list.is_some_and(|listed| listed.outcome.fault().is_none())
        };
        if left.is_empty() || !left.iter().all(read) {
            let error = Error::new(Code::NotOnline, "our own device list is not known");
            let _ = done.send(if left.is_empty() { Ok(()) } else { Err(error) });
            return Ok(());
        }
        omemo::take_off_lists(&mut batch.write, self.account, &self.own, device).await?;
        for profile in &left {
            self.publish(&mut batch, Step::list(*profile)).await?;
            let payload = match profile {
                Profile::Legacy => pubsub::delete(&profile.bundle_node(device)),
                Profile::Omemo2 => {
                    pubsub::retract(&profile.bundle_node(device), &profile.bundle_item(device))
                }
            };
            let withdrawal = self
                .session
                .questions
                .ask(None, "set", payload, Ask::Withdrawal)?;
            batch.send.push(withdrawal);
        }
        self.session.removals.push(Removal { left, done });
        self.finish(batch).await
    }

    /// One of our lists is published as it is here.
    pub(super) fn list_is_out(&mut self, profile: Profile) {
        for removal in &mut self.session.removals {
            removal.left.remove(&profile);
        }
        for removal in self
            .session
            .removals
            .extract_if(.., |removal| removal.left.is_empty())
        {
            let _ = removal.done.send(Ok(()));
        }
    }

    /// A list could not be published.
    pub(super) fn removals_fail(&mut self, error: impl Fn() -> Error) {
        for removal in self.session.removals.drain(..) {
            let _ = removal.done.send(Err(error()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(of: &str, devices: std::ops::Range<u32>) -> BTreeSet<Want> {
        let of: BareJid = of.parse().expect("an address");
        let want = |device| Want::Bundle {
            of: of.clone(),
            device: DeviceId::try_from(device).expect("a device id"),
            profile: Profile::Legacy,
        };
        devices.map(want).collect()
    }

    #[test]
    fn what_nobody_tells_us_of_is_believed_for_a_while_only() {
        let of: BareJid = "juliet@capulet.lit".parse().expect("an address");
        let now = Instant::now();
        let later = now + BELIEVED_FOR;
        for (outcome, told, asked_again) in [
            (ListOutcome::Devices, true, false),
            (ListOutcome::Devices, false, true),
            (ListOutcome::Empty, true, true),
            (ListOutcome::Failed(ListFault::Unreachable), true, true),
        ] {
            let listed = Listed {
                outcome,
                at: now,
                told,
            };
            let lists: Lists = Profile::ALL.map(|profile| ((of.clone(), profile), listed)).into();
            assert!(lists_wanted(&lists, [&of], now).is_empty());
            let wanted = lists_wanted(&lists, [&of], later).len();
            assert_eq!(wanted == 2, asked_again, "{outcome:?} {told}");
        }
    }

    #[test]
    fn few_questions_for_one_persons_keys_are_on_their_way_and_nobody_else_waits_for_them() {
        let (many, few) = ("mallory@evil.lit", "juliet@capulet.lit");
        let (mut to_ask, mut asking) = (keys(many, 1..501), BTreeSet::new());
        to_ask.extend(keys(few, 1..4));
        let first = next_wants(&mut to_ask, &mut asking);
        assert_eq!(first.len(), 23);
        assert!(keys(few, 1..4).iter().all(|want| asking.contains(want)));
        assert!(next_wants(&mut to_ask, &mut asking).is_empty());
        // What is being asked is not asked twice.
        to_ask.extend(keys(few, 1..4));
        asking.remove(&keys(many, 1..2).pop_first().expect("one"));
        assert_eq!(next_wants(&mut to_ask, &mut asking).len(), 1);
        assert_eq!((to_ask.len(), asking.len()), (479, 23));

        to_ask.extend(keys(few, 4..5));
        let of = many.parse().expect("an address");
        assert_eq!(give_up_keys(&mut to_ask, &of).len(), 479);
        assert_eq!(to_ask, keys(few, 4..5), "the others wait for their turn");
    }
}
