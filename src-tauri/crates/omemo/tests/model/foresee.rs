//! What must become of a key element: the double ratchet's bookkeeping without its cryptography.

use std::collections::{HashSet, VecDeque};

use waxwing_omemo::{
    DecryptError, HEARTBEAT_AFTER, MAX_ARCHIVED, MAX_CHAINS, MAX_OPENED, MAX_PASSED_OVER, MAX_SKIP,
    MAX_STEPS_PER_MESSAGE, MAX_STORED_KEYS,
};

use super::element::Visible;

/// What is foreseen for a delivery.
pub(crate) enum Foreseen {
    /// It opens, in the session at this place of the record or in a new one.
    Opens { at: Option<usize>, heartbeat: bool },
    /// It fails, with one of these reasons.
    Fails(&'static [DecryptError]),
}

/// Where a message belongs; the model knows the session, other than those who read it.
pub(crate) struct Where<'a> {
    pub(crate) session: usize,
    /// The receiver's ratchet key that the sender's chain was begun with.
    pub(crate) answers: Option<[u8; 32]>,
    pub(crate) is_prekey: bool,
    pub(crate) visible: &'a Visible,
}

/// One record: its sessions, the one in use first.
#[derive(Clone, Default)]
pub(crate) struct Record(Vec<Session>);

#[derive(Clone)]
struct Session {
    number: usize,
    /// The ratchet key that we send with, if we did.
    own: Option<[u8; 32]>,
    /// The newest ratchet key of the other side that we began a chain with.
    answered: Option<[u8; 32]>,
    /// We began it and have opened nothing in it: it repeats its key exchange.
    unanswered: bool,
    /// How many messages were sent in it.
    sent: u64,
    /// How many came in older sessions since more than one was sent in it without an answer.
    passed_over: u32,
    /// The newest is last.
    chains: Vec<Chain>,
    seen: HashSet<[u8; 32]>,
}

#[derive(Clone)]
struct Chain {
    key: [u8; 32],
    next: u64,
    given_up: u64,
    skipped: Vec<u64>,
    heartbeat_reported: bool,
    /// Those that were opened last.
    opened: VecDeque<u64>,
}

/// A message without session, or on a chain that was given up: it fits to nothing.
const FITS_NOTHING: &[DecryptError] = &[DecryptError::BadMac, DecryptError::TooManySkipped];

impl Record {
    /// The session in use, and whether it repeats its key exchange.
    pub(crate) fn current(&self) -> Option<(usize, bool)> {
        self.0.first().map(|session| (session.number, session.unanswered))
    }

    /// The ratchet key of the other side that the session in use answers.
    pub(crate) fn answers(&self) -> Option<[u8; 32]> {
        self.0.first().and_then(|session| session.answered)
    }

    /// Something was sent in the session in use.
    pub(crate) fn sent(&mut self, ratchet_key: [u8; 32]) {
        if let Some(session) = self.0.first_mut() {
            session.own = Some(ratchet_key);
            session.sent += 1;
        }
    }

    /// The session in use of `later` sends with this ratchet key now. It was made when the chain that it answers was opened:
    /// a copy of the disk from since then has it too.
    pub(crate) fn holds_what_was_sent(&mut self, later: &Self, ratchet_key: [u8; 32]) {
        let Some(used) = later.0.first() else {
            return;
        };
        let copied = self
            .0
            .iter_mut()
            .find(|session| session.number == used.number && session.answered == used.answered);
        if let Some(copied) = copied {
            copied.own.get_or_insert(ratchet_key);
        }
    }

    /// A new session takes the first place.
    pub(crate) fn begin(&mut self, session: usize, ours: bool) {
        self.promote(Session {
            unanswered: ours,
            ..Session::new(session)
        });
    }

    /// What becomes of this message; `exchange` says what a new session would meet.
    pub(crate) fn foresee(
        &self,
        message: &Where<'_>,
        exchange: Result<(), &'static [DecryptError]>,
    ) -> Foreseen {
        let at = self.0.iter().position(|one| one.number == message.session);
        match at {
            None if message.is_prekey => match exchange {
                Ok(()) => in_chain(
                    None,
                    message.visible.n,
                    &mut u64::from(MAX_STEPS_PER_MESSAGE),
                    None,
                ),
                Err(errors) => Foreseen::Fails(errors),
            },
            None if self.0.is_empty() => Foreseen::Fails(&[DecryptError::NoSession]),
            None => Foreseen::Fails(FITS_NOTHING),
            Some(at) => self.foresee_in(at, message),
        }
    }

    fn foresee_in(&self, at: usize, message: &Where<'_>) -> Foreseen {
        let (session, visible) = (&self.0[at], message.visible);
        let mut budget = u64::from(MAX_STEPS_PER_MESSAGE);
        let place = session
            .chains
            .iter()
            .position(|chain| chain.key == visible.ratchet_key);
        let Some(place) = place else {
            if session.seen.contains(&visible.ratchet_key) {
                return Foreseen::Fails(FITS_NOTHING);
            }
            // One of the two went back to an older state: their secrets are others.
            if message.answers != session.own {
                return Foreseen::Fails(FITS_NOTHING);
            }
            // Without a key exchange, the sessions before this one are tried in vain.
            let before = if message.is_prekey { 0 } else { at };
            for _ in 0..before {
                in_chain(None, visible.n, &mut budget, None);
            }
            return in_chain(None, visible.n, &mut budget, Some(at));
        };
        let newest = place + 1 == session.chains.len();
        match in_chain(Some(&session.chains[place]), visible.n, &mut budget, Some(at)) {
            Foreseen::Opens { at, heartbeat } => Foreseen::Opens {
                at,
                heartbeat: heartbeat && newest,
            },
            fails @ Foreseen::Fails(_) => fails,
        }
    }

    /// The message was opened, and shows or not that its sender went back.
    pub(crate) fn opened(
        &mut self,
        at: Option<usize>,
        message: &Where<'_>,
        (heartbeat, went_back): (bool, bool),
    ) {
        let stays = at.is_some_and(|at| at > 0) && self.0[0].unanswered && {
            let first = &mut self.0[0];
            first.passed_over += u32::from(!went_back && first.sent > 1);
            went_back || first.passed_over < MAX_PASSED_OVER
        };
        let mut session = match at {
            Some(at) => self.0.remove(at),
            None => Session::new(message.session),
        };
        (session.unanswered, session.passed_over) = (false, 0);
        session.opened(message.visible, heartbeat);
        if stays {
            self.0.insert(at.unwrap_or_default(), session);
            self.keep();
        } else {
            self.promote(session);
        }
    }

    fn promote(&mut self, session: Session) {
        self.0.insert(0, session);
        self.0.truncate(MAX_ARCHIVED + 1);
        self.keep();
    }

    fn keep(&mut self) {
        let mut room = MAX_STORED_KEYS;
        for session in &mut self.0 {
            session.keep(room);
            room -= session.stored();
        }
    }
}

impl Session {
    fn new(number: usize) -> Self {
        Self {
            number,
            own: None,
            answered: None,
            unanswered: false,
            sent: 0,
            passed_over: 0,
            chains: Vec::new(),
            seen: HashSet::new(),
        }
    }

    fn opened(&mut self, visible: &Visible, heartbeat: bool) {
        if self.seen.insert(visible.ratchet_key) {
            (self.own, self.answered) = (None, Some(visible.ratchet_key));
            self.chains.push(Chain {
                key: visible.ratchet_key,
                next: 0,
                given_up: 0,
                skipped: Vec::new(),
                heartbeat_reported: false,
                opened: VecDeque::new(),
            });
        }
        let chain = self
            .chains
            .iter_mut()
            .find(|chain| chain.key == visible.ratchet_key)
            .expect("what opened has a chain");
        if visible.n >= chain.next {
            chain.skipped.extend(chain.next..visible.n);
            chain.next = visible.n + 1;
        } else {
            chain.skipped.retain(|n| *n != visible.n);
        }
        chain.opened.push_back(visible.n);
        if chain.opened.len() > MAX_OPENED {
            chain.opened.pop_front();
        }
        chain.heartbeat_reported |= heartbeat;
        let surplus = self.chains.len().saturating_sub(MAX_CHAINS);
        self.chains.drain(..surplus);
    }

    fn stored(&self) -> usize {
        self.chains.iter().map(|chain| chain.skipped.len()).sum()
    }

    /// Keeps so many keys of missing messages, the newest.
    fn keep(&mut self, room: usize) {
        for _ in room..self.stored() {
            let oldest = self.chains.iter_mut().find(|chain| !chain.skipped.is_empty());
            let chain = oldest.expect("there are more than there is room for");
            chain.given_up = chain.skipped.remove(0) + 1;
        }
    }
}

/// What becomes of message `n` of this chain, or of one that is new.
fn in_chain(chain: Option<&Chain>, n: u64, budget: &mut u64, at: Option<usize>) -> Foreseen {
    let next = chain.map_or(0, |chain| chain.next);
    let heartbeat = n >= u64::from(HEARTBEAT_AFTER) && !chain.is_some_and(|chain| chain.heartbeat_reported);
    if let Some(missing) = n.checked_sub(next) {
        if missing > u64::from(MAX_SKIP) || missing >= *budget {
            return Foreseen::Fails(&[DecryptError::TooManySkipped]);
        }
        *budget -= missing + 1;
        return Foreseen::Opens { at, heartbeat };
    }
    match chain {
        Some(chain) if chain.skipped.contains(&n) => Foreseen::Opens { at, heartbeat },
        Some(chain) if n < chain.given_up => Foreseen::Fails(&[DecryptError::GivenUp]),
        Some(chain) if chain.opened.len() >= MAX_OPENED && !chain.opened.contains(&n) => {
            Foreseen::Fails(&[DecryptError::LongAgo])
        }
        _ => Foreseen::Fails(&[DecryptError::Duplicate]),
    }
}
