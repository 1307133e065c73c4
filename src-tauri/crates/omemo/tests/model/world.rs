//! Two people with up to three devices each, a network that loses, doubles and disorders, and disks that come back.

use std::collections::HashSet;

use waxwing_omemo::{
    Bundle, DecryptError, Decrypted, KeyElement, MAX_ARCHIVED, MAX_STORED_KEYS, Profile, prekey_ids,
};

use super::Tally;
use super::device::{Device, Peer};
use super::element::{self, Visible};
use super::foresee::{Foreseen, Record, Where};
use crate::support::Repeatable;

/// A session that broke is replaced at most once in so many steps.
const HEAL_EVERY: u64 = 40;
/// All plaintexts begin with this block (see [`Visible::first_block`]).
const OPENING: &[u8; 16] = b"always the same!";
/// How often all may write to all until everything opens at once.
const QUIET_ROUNDS: usize = 8;
/// When a careless device notices that an old disk came back.
const NEVER: u64 = u64::MAX;

/// What is on its way to one device.
#[derive(Clone)]
struct Element {
    number: u64,
    from: usize,
    to: usize,
    profile: Profile,
    key: KeyElement,
    session: usize,
    answers: Option<[u8; 32]>,
    is_repetition: bool,
    is_empty: bool,
}

pub(crate) struct World {
    devices: Vec<Device>,
    /// What the server shows, by device.
    bundles: Vec<[(Profile, Bundle); 2]>,
    under_way: Vec<Element>,
    /// By number of the session, who began it.
    sessions: Vec<usize>,
    numbers: u64,
    clock: u64,
    /// The first block of everything that was ever sealed.
    sealed: HashSet<[u8; 16]>,
    /// Of those that were sealed with keys that a device on an old disk used again.
    reused: HashSet<[u8; 16]>,
    opened: HashSet<u64>,
    /// The first block of everything that was opened, but for what was forgotten with a disk.
    opened_with: HashSet<[u8; 16]>,
    pub(crate) tally: Tally,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Repeatable::new(seed);
        // Two of them would never mend what is broken between them.
        let careless = chance.below(2) == 0;
        let mut devices: Vec<_> = (0..2 + chance.below(4))
            .map(|place| Device::new(chance.number(), place == 0 && careless))
            .collect();
        let bundles = devices.iter_mut().map(Device::publish).collect();
        Self {
            devices,
            bundles,
            under_way: Vec::new(),
            sessions: Vec::new(),
            numbers: 0,
            clock: 0,
            sealed: HashSet::new(),
            reused: HashSet::new(),
            opened: HashSet::new(),
            opened_with: HashSet::new(),
            tally: Tally::default(),
        }
    }

    /// One thing happens.
    pub(crate) fn step(&mut self, chance: &mut Repeatable) -> Result<(), String> {
        self.clock += 1;
        self.tally.steps += 1;
        let (who, some) = (
            chance.below(self.devices.len()),
            chance.below(self.under_way.len().max(1)),
        );
        let profile = Profile::ALL[chance.below(2)];
        match chance.below(1_000) {
            0..300 => self.write(who, profile)?,
            300..400 => self.deliver(some)?,
            400..760 => self.deliver(0)?,
            760..800 => self.lose(some),
            800..840 => self.repeat(some),
            840..880 => self.devices[who].restart(),
            880..930 => self.publish(who),
            930..935 if self.devices[who].notices_at.is_none() => self.devices[who].rotate(),
            935..960 => self.devices[who].turn_archive(),
            960..970 => self.devices[who].back_up(),
            970..972 => self.restore(who),
            972..974 => {
                let noticed = self.clock + chance.below(80) as u64;
                self.go_back(who, noticed);
            }
            974..984 => self.begin_again(who, profile, chance)?,
            984..985 => self.burst(who, profile, chance)?,
            _ => self.deliver_all_to(who)?,
        }
        while self.under_way.len() > 150 {
            self.deliver(0)?;
        }
        self.notice();
        self.hold_bounds(who)
    }

    /// Somebody writes to all other devices, as one message is for all of them.
    fn write(&mut self, who: usize, profile: Profile) -> Result<(), String> {
        for other in (0..self.devices.len()).filter(|other| *other != who) {
            self.say(who, (other, profile))?;
        }
        Ok(())
    }

    /// Long monologues, of which much is lost.
    fn burst(&mut self, who: usize, profile: Profile, chance: &mut Repeatable) -> Result<(), String> {
        let other = self.other(who, chance);
        // More than all keys of missing messages that are kept.
        for _ in 0..chance.below(3_000) {
            let before = self.under_way.len();
            self.say(who, (other, profile))?;
            if chance.below(100) != 0 {
                self.tally.lost += 1;
                self.under_way.truncate(before);
            }
        }
        self.say(who, (other, profile))
    }

    fn other(&self, who: usize, chance: &mut Repeatable) -> usize {
        (who + 1 + chance.below(self.devices.len() - 1)) % self.devices.len()
    }

    fn say(&mut self, who: usize, peer: Peer) -> Result<(), String> {
        self.send(who, peer, false)
    }

    fn send(&mut self, who: usize, peer: Peer, is_empty: bool) -> Result<(), String> {
        if !self.devices[who].has_session(peer) {
            self.start(who, peer)?;
        }
        self.numbers += 1;
        let mut material = OPENING.to_vec();
        material.extend(self.numbers.to_be_bytes());
        let key = self.devices[who].encrypt(peer, &material)?;
        let visible = element::read(peer.1, &key);
        if !self.sealed.insert(visible.first_block) {
            // Nobody can keep a device from it that does not know where it was.
            self.reused.insert(visible.first_block);
            if self.devices[who].notices_at.is_none() {
                return Err(format!(
                    "message {} is sealed with a key that was used before",
                    self.numbers
                ));
            }
        }
        let record = self.devices[who].records.get(&peer);
        let record = record.ok_or("no session is known")?;
        let (session, repeats_exchange) = record.current().ok_or("no session is in use")?;
        let answers = record.answers();
        self.devices[who].sent(peer, visible.ratchet_key);
        if key.is_prekey != repeats_exchange {
            return Err(format!(
                "message {}: key exchange {}",
                self.numbers, key.is_prekey
            ));
        }
        self.tally.sent += 1;
        self.under_way.push(Element {
            number: self.numbers,
            from: who,
            to: peer.0,
            profile: peer.1,
            key,
            session,
            answers,
            is_repetition: false,
            is_empty,
        });
        Ok(())
    }

    fn start(&mut self, who: usize, peer: Peer) -> Result<(), String> {
        let bundles = &self.bundles[peer.0];
        let (_, bundle) = bundles
            .iter()
            .find(|(profile, _)| *profile == peer.1)
            .ok_or("no bundle")?;
        self.devices[who].start(peer, bundle)?;
        let session = self.sessions.len();
        self.sessions.push(who);
        self.devices[who]
            .records
            .entry(peer)
            .or_default()
            .begin(session, true);
        self.tally.sessions += 1;
        Ok(())
    }

    fn begin_again(&mut self, who: usize, profile: Profile, chance: &mut Repeatable) -> Result<(), String> {
        let peer = (self.other(who, chance), profile);
        self.start(who, peer)?;
        self.say(who, peer)
    }

    fn lose(&mut self, at: usize) {
        if at < self.under_way.len() {
            self.under_way.remove(at);
            self.tally.lost += 1;
        }
    }

    fn repeat(&mut self, at: usize) {
        if let Some(element) = self.under_way.get(at) {
            let repetition = Element {
                is_repetition: true,
                ..element.clone()
            };
            self.under_way.push(repetition);
        }
    }

    /// A device on an old disk publishes nothing until it notices, since it compares first.
    fn publish(&mut self, who: usize) {
        if self.devices[who].notices_at.is_none() {
            self.bundles[who] = self.devices[who].publish();
        }
    }

    fn restore(&mut self, who: usize) {
        if self.go_back(who, self.clock) && !self.devices[who].careless {
            self.notice();
            self.tally.restored += 1;
        }
    }

    /// An old disk comes back, which is noticed later.
    fn go_back(&mut self, who: usize, noticed: u64) -> bool {
        let Some(forgotten) = self.devices[who].go_back() else {
            return false;
        };
        for (number, first_block) in forgotten {
            self.opened.remove(&number);
            self.opened_with.remove(&first_block);
        }
        let is_careless = self.devices[who].careless;
        self.devices[who].notices_at = Some(if is_careless { NEVER } else { noticed });
        self.tally.went_back += 1;
        true
    }

    /// Those on an old disk who notice it by now begin anew.
    fn notice(&mut self) {
        for who in 0..self.devices.len() {
            if self.devices[who].notices_at.is_some_and(|at| at <= self.clock) {
                self.devices[who].begin_anew();
                self.publish(who);
            }
        }
    }

    fn deliver_all_to(&mut self, who: usize) -> Result<(), String> {
        while let Some(at) = self.under_way.iter().position(|element| element.to == who) {
            self.deliver(at)?;
        }
        Ok(())
    }

    fn deliver(&mut self, at: usize) -> Result<(), String> {
        if at >= self.under_way.len() {
            return Ok(());
        }
        let element = self.under_way.remove(at);
        if element.is_empty && self.devices[element.to].careless {
            self.tally.ignored += 1;
            return Ok(());
        }
        let visible = element::read(element.profile, &element.key);
        let place = Where {
            session: element.session,
            answers: element.answers,
            is_prekey: element.key.is_prekey,
            visible: &visible,
        };
        let foreseen = self.foresee(&element, &place)?;
        let device = &mut self.devices[element.to];
        let result = device.open((element.from, element.profile), &element.key);
        self.tally.count(result.as_ref().err().copied());
        match (foreseen, result) {
            (Foreseen::Opens { at, heartbeat }, Ok(opened)) => {
                let record = device.records.entry((element.from, element.profile)).or_default();
                record.opened(at, &place, (heartbeat, opened.effects.peer_went_back));
                self.accept(&element, &visible, &opened, at.is_none(), heartbeat)
            }
            (Foreseen::Fails(reasons), Err(reason)) if reasons.contains(&reason) => {
                self.refuse(&element, &visible, reason)
            }
            // Another message had its key.
            (Foreseen::Fails([DecryptError::Duplicate]), Err(reason @ DecryptError::KeyReused))
                if self.reused.contains(&visible.first_block) =>
            {
                self.refuse(&element, &visible, reason)
            }
            (Foreseen::Opens { .. }, Err(reason)) => Err(format!(
                "message {} should open and does not: {reason}",
                element.number
            )),
            (Foreseen::Fails(reasons), Ok(_)) => Err(format!(
                "message {} opens and should fail: {reasons:?}",
                element.number
            )),
            (Foreseen::Fails(reasons), Err(reason)) => Err(format!(
                "message {} fails with {reason:?}, not {reasons:?}",
                element.number
            )),
        }
    }

    fn foresee(&self, element: &Element, place: &Where<'_>) -> Result<Foreseen, String> {
        let device = &self.devices[element.to];
        let exchange = if element.key.is_prekey {
            let ids = prekey_ids(element.profile, &element.key.bytes).map_err(|error| error.to_string())?;
            device.exchange(ids.signed, ids.one_time.ok_or("no one-time prekey is named")?)
        } else {
            Ok(())
        };
        let record = device.records.get(&(element.from, element.profile));
        Ok(match record {
            Some(record) => record.foresee(place, exchange),
            None => Record::default().foresee(place, exchange),
        })
    }

    fn accept(
        &mut self,
        element: &Element,
        visible: &Visible,
        opened: &Decrypted,
        is_new: bool,
        heartbeat: bool,
    ) -> Result<(), String> {
        let number = element.number;
        if opened.key_material[16..] != number.to_be_bytes() {
            return Err(format!("message {number} opens as another one"));
        }
        if !self.opened.insert(number) {
            return Err(format!("message {number} opens a second time"));
        }
        if !self.opened_with.insert(visible.first_block) {
            return Err(format!(
                "message {number} opens with a key that opened another one"
            ));
        }
        let receiver = &mut self.devices[element.to];
        receiver.opened_since.push((number, visible.first_block));
        let effects = opened.effects;
        if effects.new_session != is_new || effects.consumed_prekey.is_some() != is_new {
            return Err(format!("message {number} begins a session {is_new}: {effects:?}"));
        }
        if effects.heartbeat_wanted != heartbeat {
            return Err(format!(
                "message {number}, {} of its chain: {effects:?}",
                visible.n
            ));
        }
        if is_new || heartbeat {
            self.send(element.to, (element.from, element.profile), true)?;
        }
        if effects.peer_went_back {
            self.tally.seen_going_back += 1;
            self.heal(element, false)?;
        }
        Ok(())
    }

    fn refuse(&mut self, element: &Element, visible: &Visible, reason: DecryptError) -> Result<(), String> {
        let was_opened = self.opened.contains(&element.number);
        let is_reused = self.reused.contains(&visible.first_block);
        if reason == DecryptError::Duplicate && !was_opened && !is_reused {
            return Err(format!(
                "message {} was never opened and is called a duplicate",
                element.number
            ));
        }
        if reason.healing_helps() {
            self.heal(element, was_opened)?;
        }
        Ok(())
    }

    /// The session with whoever sent this is replaced, if it came live and that was not done just before.
    fn heal(&mut self, element: &Element, was_opened: bool) -> Result<(), String> {
        let peer = (element.from, element.profile);
        let device = &mut self.devices[element.to];
        let healed_at = device.healed_at.get(&peer);
        let is_due = healed_at.is_none_or(|at| self.clock >= at + HEAL_EVERY);
        let is_live = !element.is_repetition && !was_opened && !device.is_catching_up();
        if is_live && is_due && !device.careless {
            device.healed_at.insert(peer, self.clock);
            self.tally.healed += 1;
            self.start(element.to, peer)?;
            self.send(element.to, peer, true)?;
        }
        Ok(())
    }

    /// Nothing grows without end.
    fn hold_bounds(&self, who: usize) -> Result<(), String> {
        let device = &self.devices[who];
        let (record, prekeys) = (device.largest_record(), device.prekey_count());
        if record > (MAX_ARCHIVED + 1) * 700 + MAX_STORED_KEYS * 36 || prekeys > 500 {
            return Err(format!("a record of {record} bytes, {prekeys} prekeys"));
        }
        Ok(())
    }

    /// Everything arrives, in order; then all write to all until each message opens at once. A device on an old disk that never
    /// notices it must be mended by the others.
    pub(crate) fn quiet_down(&mut self) -> Result<(), String> {
        for who in 0..self.devices.len() {
            let device = &mut self.devices[who];
            let notices = device.notices_at.filter(|at| *at != NEVER);
            device.notices_at = notices.map(|_| self.clock).or(device.notices_at);
        }
        self.notice();
        for device in &mut self.devices {
            if device.is_catching_up() {
                device.turn_archive();
            }
        }
        self.talk_again()?;
        if self.devices[0].careless {
            // At last an old disk comes back once more, which nobody but the others notices.
            self.devices[0].back_up();
            // Twice there and back, so that it has not the keys that the others write to.
            for _ in 0..2 {
                self.all_write(1)?;
            }
            self.go_back(0, NEVER);
            self.talk_again()?;
        }
        Ok(())
    }

    /// Each one writes so often before anybody else does, and all of it arrives. Gives the numbers.
    fn all_write(&mut self, times: usize) -> Result<Vec<u64>, String> {
        let mut written = Vec::new();
        for who in (0..self.devices.len()).flat_map(|who| std::iter::repeat_n(who, times)) {
            for profile in Profile::ALL {
                self.write(who, profile)?;
            }
            written.extend(self.under_way.iter().map(|element| element.number));
            while !self.under_way.is_empty() {
                self.deliver(0)?;
            }
        }
        Ok(written)
    }

    /// All write to all until each message opens at once.
    fn talk_again(&mut self) -> Result<(), String> {
        for _ in 0..QUIET_ROUNDS {
            while !self.under_way.is_empty() {
                self.deliver(0)?;
            }
            for who in 0..self.devices.len() {
                self.bundles[who] = self.devices[who].publish();
            }
            self.clock += HEAL_EVERY;
            let failed = self.tally.failed();
            let written = self.all_write(2)?;
            if self.tally.failed() == failed && written.iter().all(|number| self.opened.contains(number)) {
                return Ok(());
            }
        }
        Err("they do not talk again after all has arrived".to_owned())
    }
}
