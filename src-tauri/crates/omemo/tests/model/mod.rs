//! A model of people with several devices in a bad network, and what must be true of it at every step:
//!
//! - no message key seals two messages, but of a device that has not noticed yet that an old disk came back,
//! - no message key opens two messages,
//! - each delivered message opens once, or fails with the reason that the bookkeeping in [`foresee`] foresees,
//! - after a while in which everything arrives, all talk with all again,
//! - nothing that is stored grows without end.
//!
//! Everything comes from the seed, and each step from its own number, so that a run that breaks can be made shorter by
//! leaving steps out.

mod device;
mod element;
mod foresee;
mod world;

use std::collections::BTreeMap;
use std::fmt;

use waxwing_omemo::DecryptError;

use crate::support::Repeatable;
use world::World;

/// So many steps in one world, then another one begins.
const WORLD: usize = 1_000;
/// So often a run that breaks is tried with fewer steps.
const TRIES: usize = 300;

/// What happened.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) worlds: u64,
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    pub(crate) opened: u64,
    pub(crate) sessions: u64,
    pub(crate) healed: u64,
    pub(crate) restored: u64,
    /// Disks that came back, noticed at once or later.
    pub(crate) went_back: u64,
    /// How often the other side saw that.
    pub(crate) seen_going_back: u64,
    /// Empty messages that careless devices took no notice of.
    pub(crate) ignored: u64,
    /// By reason.
    pub(crate) refused: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn count(&mut self, error: Option<DecryptError>) {
        match error {
            None => self.opened += 1,
            Some(error) => *self.refused.entry(error.code()).or_default() += 1,
        }
    }

    /// Refused, but for what came before.
    fn failed(&self) -> u64 {
        let others = self
            .refused
            .iter()
            .filter(|(code, _)| **code != DecryptError::Duplicate.code());
        others.map(|(_, count)| count).sum()
    }

    fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.worlds += 1;
        self.sent += other.sent;
        self.lost += other.lost;
        self.opened += other.opened;
        self.sessions += other.sessions;
        self.healed += other.healed;
        self.restored += other.restored;
        self.went_back += other.went_back;
        self.seen_going_back += other.seen_going_back;
        self.ignored += other.ignored;
        for (code, count) in &other.refused {
            *self.refused.entry(code).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} steps in {} worlds: {} sessions begun, {} messages sent, {} lost, {} opened, {} disks restored and \
             {} noticed at once, {} seen by others, {} repairs, {} empty messages ignored; refused:",
            self.steps,
            self.worlds,
            self.sessions,
            self.sent,
            self.lost,
            self.opened,
            self.went_back,
            self.restored,
            self.seen_going_back,
            self.healed,
            self.ignored
        )?;
        for (code, count) in &self.refused {
            write!(f, " {code} {count}")?;
        }
        Ok(())
    }
}

/// The shortest way that was found to what must not be.
pub(crate) struct Broken {
    seed: u64,
    steps: Vec<usize>,
    what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, steps, what } = self;
        write!(
            f,
            "{what}\nagain with --seed {seed} --steps {WORLD}; these {} steps suffice: {steps:?}",
            steps.len()
        )
    }
}

/// Goes so many steps, in worlds whose seeds count up from this one. `tell` hears of each world that is whole.
pub(crate) fn run(seed: u64, steps: usize, mut tell: impl FnMut(&Tally)) -> Result<Tally, Broken> {
    let mut all = Tally::default();
    for world in 0..steps.div_ceil(WORLD) {
        let seed = seed + world as u64;
        let kept: Vec<usize> = (0..WORLD.min(steps - world * WORLD)).collect();
        match one_world(seed, &kept) {
            Ok(tally) => all.add(&tally),
            Err(failure) => return Err(shortened(seed, kept, failure)),
        }
        tell(&all);
    }
    Ok(all)
}

/// What must not be, and after how many of the steps.
struct Failure {
    after: usize,
    what: String,
}

/// One world, with these of its steps.
fn one_world(seed: u64, steps: &[usize]) -> Result<Tally, Failure> {
    let mut world = World::new(seed);
    for (done, step) in steps.iter().enumerate() {
        let went = world.step(&mut Repeatable::new(mixed(seed, *step as u64)));
        went.map_err(|what| Failure {
            after: done + 1,
            what,
        })?;
    }
    let after = steps.len();
    world.quiet_down().map_err(|what| Failure { after, what })?;
    Ok(world.tally)
}

/// Leaves out steps, in halves, quarters and so on, as long as something still breaks.
fn shortened(seed: u64, mut kept: Vec<usize>, mut failure: Failure) -> Broken {
    kept.truncate(failure.after);
    let (mut length, mut tries) = (kept.len().div_ceil(2), 0);
    while length > 0 && tries < TRIES {
        let mut at = 0;
        while at < kept.len() && tries < TRIES {
            tries += 1;
            let mut fewer = kept.clone();
            fewer.drain(at..(at + length).min(kept.len()));
            match one_world(seed, &fewer) {
                Ok(_) => at += length,
                Err(found) => {
                    fewer.truncate(found.after);
                    (kept, failure) = (fewer, found);
                }
            }
        }
        length /= 2;
    }
    Broken {
        seed,
        steps: kept,
        what: failure.what,
    }
}

/// Numbers that have nothing to do with each other for neighbouring seeds and steps (`SplitMix64`).
fn mixed(seed: u64, step: u64) -> u64 {
    let mut z = seed.wrapping_mul(0xd134_2543_de82_ef95) ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
