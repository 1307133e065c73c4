//! The counting of stream management (XEP-0198 §4 and §5), free of input and output.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::{BoundAddress, Disconnected, StanzaNumber, Unacknowledged};

/// What is needed to go on with a stream-managed session on a new connection (XEP-0198 §5).
#[derive(Clone)]
pub struct Resumption {
    /// The session's name at the server; without it there is nothing to go on with, only stanzas to account for.
    pub(crate) id: Option<String>,
    /// Where the server would like to be resumed.
    pub(crate) location: Option<String>,
    /// The address that the session was bound to.
    pub(crate) bound: BoundAddress,
    pub(crate) base: u64,
    pub(crate) sent: u64,
    pub(crate) handled: u32,
    pub(crate) unacknowledged: Vec<Unacknowledged>,
    /// It comes from storage: the server may have had stanzas that were sent and not stored.
    pub(crate) restored: bool,
}

/// A session as it is stored, so that the next process goes on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// The session's name at the server.
    pub id: String,
    /// Where the server would like to be resumed.
    pub location: Option<String>,
    /// The address that it was bound to.
    pub bound: BoundAddress,
    /// The number that the server's count 0 stands for.
    pub base: u64,
    /// How many of the server's stanzas are stored, modulo 2^32.
    pub handled: u32,
}

impl Resumption {
    /// Goes on with a stored session. `unacknowledged` is what was stored of what was sent, oldest first. Stanzas that
    /// were sent without being stored leave gaps between the numbers; [`crate::Connection::resent`] closes them.
    pub fn restore(session: StoredSession, unacknowledged: Vec<Unacknowledged>) -> Self {
        let sent = unacknowledged.last().map_or(session.base, |last| last.number.0);
        Self {
            id: Some(session.id),
            location: session.location,
            bound: session.bound,
            base: session.base,
            sent: sent.max(session.base),
            handled: session.handled,
            unacknowledged,
            restored: true,
        }
    }

    /// What the server may not have, oldest first.
    pub fn unacknowledged(&self) -> &[Unacknowledged] {
        &self.unacknowledged
    }
}

/// How a stanza that was handed out counts once it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A stanza of the session.
    Stanza,
    /// A stanza of the session that nobody will store.
    Swallowed,
    /// A stanza from before stream management was enabled.
    Early,
}

/// Both directions' counts.
pub(crate) struct Ledger {
    /// Whether the other side counts too.
    managed: bool,
    /// The number that the server's count 0 stands for.
    base: u64,
    sent: u64,
    unacknowledged: VecDeque<Unacknowledged>,
    /// Stored stanzas, modulo 2^32.
    handled: u32,
    /// Arrived and not stored yet, oldest first.
    arrived: VecDeque<Arrival>,
    /// See [`Resumption::restored`]; until the server has said how far it got.
    restored: bool,
    /// The last stanza that the server of such a session has, until the gaps are closed.
    settled_at: Option<u64>,
}

impl Ledger {
    /// A fresh session, its first stanza following number `sent`.
    pub(crate) fn new(managed: bool, sent: u64) -> Self {
        Self {
            managed,
            base: sent,
            sent,
            unacknowledged: VecDeque::new(),
            handled: 0,
            arrived: VecDeque::new(),
            restored: false,
            settled_at: None,
        }
    }

    /// The session goes on.
    pub(crate) fn resume(resumption: Resumption) -> Self {
        Self {
            managed: true,
            base: resumption.base,
            sent: resumption.sent,
            unacknowledged: resumption.unacknowledged.into(),
            handled: resumption.handled,
            arrived: VecDeque::new(),
            restored: resumption.restored,
            settled_at: None,
        }
    }

    pub(crate) fn into_resumption(
        self,
        bound: BoundAddress,
        id: Option<String>,
        location: Option<String>,
    ) -> Option<Resumption> {
        self.managed.then(|| Resumption {
            id,
            location,
            bound,
            base: self.base,
            sent: self.sent,
            handled: self.handled,
            unacknowledged: self.unacknowledged.into(),
            restored: self.restored,
        })
    }

    /// The number that the server's count 0 stands for.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    pub(crate) fn managed(&self) -> bool {
        self.managed
    }

    /// The last number given out.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn unacknowledged(&self) -> impl Iterator<Item = &Unacknowledged> {
        self.unacknowledged.iter()
    }

    /// Numbers an outgoing stanza.
    pub(crate) fn send(&mut self, xml: Arc<str>) -> StanzaNumber {
        self.sent += 1;
        let number = StanzaNumber(self.sent);
        if self.managed {
            self.unacknowledged.push_back(Unacknowledged { number, xml });
        }
        number
    }

    /// The server has `h` of our stanzas. Returns the last one if that is news.
    pub(crate) fn acknowledged(&mut self, h: u32) -> Result<Option<StanzaNumber>, Disconnected> {
        if std::mem::take(&mut self.restored) {
            return Ok(self.settle_restored(h));
        }
        let outstanding = u64::try_from(self.unacknowledged.len()).unwrap_or(u64::MAX);
        let before = self.sent - outstanding;
        let news = h.wrapping_sub(low(before - self.base));
        if news > u32::MAX / 2 {
            return Ok(None); // An older count, overtaken.
        }
        if u64::from(news) > outstanding {
            return Err(Disconnected::AckAhead {
                acknowledged: h,
                sent: low(self.sent - self.base),
            });
        }
        for _ in 0..news {
            self.unacknowledged.pop_front();
        }
        Ok((news > 0).then(|| StanzaNumber(before + u64::from(news))))
    }

    /// The first count after a session came from storage: the server may have had more than was stored.
    fn settle_restored(&mut self, h: u32) -> Option<StanzaNumber> {
        let lowest = self
            .unacknowledged
            .front()
            .map_or(self.sent, |first| first.number.0 - 1);
        let news = h.wrapping_sub(low(lowest - self.base));
        let has = if news > u32::MAX / 2 {
            // What was sent before and not stored did not get there either.
            lowest
                .saturating_sub(u64::from(news.wrapping_neg()))
                .max(self.base)
        } else {
            lowest + u64::from(news)
        };
        let before = self.unacknowledged.len();
        self.unacknowledged.retain(|stanza| stanza.number.0 > has);
        self.sent = self.sent.max(has);
        self.settled_at = Some(has);
        (self.unacknowledged.len() < before).then_some(StanzaNumber(has))
    }

    /// A session that came from storage goes on: what the server lacks follows right behind what it has, under new
    /// numbers, since stanzas between may never have been stored.
    pub(crate) fn close_gaps(&mut self) {
        let Some(has) = self.settled_at.take() else { return };
        self.sent = has;
        for stanza in &mut self.unacknowledged {
            self.sent += 1;
            stanza.number = StanzaNumber(self.sent);
        }
    }

    pub(crate) fn arrived(&mut self, arrival: Arrival) {
        self.arrived.push_back(arrival);
    }

    /// `count` more stanzas are stored. What was swallowed before or right after them counts with them.
    pub(crate) fn stored(&mut self, count: u32) {
        let mut left = count;
        while let Some(arrival) = self.arrived.front() {
            match arrival {
                Arrival::Swallowed => self.handled = self.handled.wrapping_add(1),
                _ if left == 0 => return,
                Arrival::Stanza => {
                    left -= 1;
                    self.handled = self.handled.wrapping_add(1);
                }
                Arrival::Early => left -= 1,
            }
            self.arrived.pop_front();
        }
        if left > 0 {
            tracing::warn!(left, "more stanzas reported as stored than were handed out");
        }
    }

    /// What our count will be when `count` more stanzas are stored.
    pub(crate) fn handled_with(&self, count: u32) -> u32 {
        let mut left = count;
        let mut handled = self.handled;
        for arrival in &self.arrived {
            match arrival {
                Arrival::Swallowed => handled = handled.wrapping_add(1),
                _ if left == 0 => break,
                Arrival::Stanza => {
                    left -= 1;
                    handled = handled.wrapping_add(1);
                }
                Arrival::Early => left -= 1,
            }
        }
        handled
    }

    /// Our count for the server.
    pub(crate) fn handled(&self) -> u32 {
        self.handled
    }

    /// Stanzas that arrived and are not stored.
    pub(crate) fn waiting(&self) -> usize {
        self.arrived.len()
    }
}

/// Counts go round at 2^32 (XEP-0198 §4).
fn low(count: u64) -> u32 {
    u32::try_from(count & u64::from(u32::MAX)).expect("the mask leaves 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(stanzas: u64) -> Ledger {
        let mut ledger = Ledger::new(true, 0);
        for number in 1..=stanzas {
            assert_eq!(ledger.send(number.to_string().into()), StanzaNumber(number));
        }
        ledger
    }

    fn bound() -> BoundAddress {
        "a@b/c".parse().unwrap()
    }

    fn left(ledger: &Ledger) -> Vec<u64> {
        ledger.unacknowledged().map(|u| u.number.0).collect()
    }

    #[test]
    fn an_acknowledgement_takes_the_oldest_stanzas_away() {
        let mut ledger = ledger(5);
        assert_eq!(ledger.acknowledged(0), Ok(None));
        assert_eq!(ledger.acknowledged(2), Ok(Some(StanzaNumber(2))));
        assert_eq!(left(&ledger), [3, 4, 5]);
        assert_eq!(ledger.acknowledged(2), Ok(None));
        assert_eq!(ledger.acknowledged(1), Ok(None));
        assert_eq!(ledger.acknowledged(5), Ok(Some(StanzaNumber(5))));
        assert!(left(&ledger).is_empty());
    }

    #[test]
    fn an_acknowledgement_of_what_was_never_sent_is_an_error() {
        let mut ledger = ledger(3);
        assert_eq!(
            ledger.acknowledged(4),
            Err(Disconnected::AckAhead {
                acknowledged: 4,
                sent: 3
            })
        );
        assert_eq!(left(&ledger), [1, 2, 3]);
    }

    #[test]
    fn counts_go_round_at_two_to_the_32nd() {
        let mut ledger = ledger(0);
        ledger.base = 7;
        ledger.sent = 7 + u64::from(u32::MAX);
        ledger.send("a".into());
        ledger.send("b".into());
        assert_eq!(
            ledger.acknowledged(0),
            Ok(Some(StanzaNumber(8 + u64::from(u32::MAX))))
        );
        assert_eq!(
            ledger.acknowledged(1),
            Ok(Some(StanzaNumber(9 + u64::from(u32::MAX))))
        );
        ledger.handled = u32::MAX;
        ledger.arrived(Arrival::Stanza);
        ledger.stored(1);
        assert_eq!(ledger.handled(), 0);
    }

    #[test]
    fn numbers_go_on_after_a_failed_resumption() {
        let resumption = ledger(3)
            .into_resumption(bound(), Some("id".to_owned()), None)
            .unwrap();
        let mut ledger = Ledger::new(true, resumption.sent);
        assert_eq!(ledger.send("x".into()), StanzaNumber(4));
        assert_eq!(ledger.acknowledged(1), Ok(Some(StanzaNumber(4))));
    }

    #[test]
    fn without_stream_management_stanzas_are_numbered_but_not_kept() {
        let mut ledger = Ledger::new(false, 0);
        assert_eq!(ledger.send("x".into()), StanzaNumber(1));
        assert!(left(&ledger).is_empty());
        assert!(ledger.into_resumption(bound(), None, None).is_none());
    }

    #[test]
    fn only_stored_stanzas_are_acknowledged_and_swallowed_ones_come_along_in_order() {
        use Arrival::{Early, Stanza, Swallowed};
        let mut ledger = ledger(0);
        for arrival in [Early, Stanza, Swallowed, Swallowed, Stanza, Stanza, Swallowed] {
            ledger.arrived(arrival);
        }
        ledger.stored(0);
        assert_eq!(ledger.handled(), 0);
        assert_eq!(ledger.handled_with(1), 0);
        ledger.stored(1);
        assert_eq!(ledger.handled(), 0, "the early one does not count");
        assert_eq!(ledger.handled_with(1), 3);
        ledger.stored(1);
        assert_eq!(ledger.handled(), 3);
        ledger.stored(2);
        assert_eq!((ledger.handled(), ledger.waiting()), (6, 0));
        ledger.stored(9);
        assert_eq!(ledger.handled(), 6);
    }

    fn restored(numbers: &[u64]) -> Ledger {
        let stored = StoredSession {
            id: "id".to_owned(),
            location: None,
            bound: bound(),
            base: 10,
            handled: 7,
        };
        let unacknowledged = numbers.iter().map(|number| Unacknowledged {
            number: StanzaNumber(*number),
            xml: number.to_string().into(),
        });
        Ledger::resume(Resumption::restore(stored, unacknowledged.collect()))
    }

    #[test]
    fn a_stored_session_goes_on_behind_what_the_server_has_and_closes_the_gaps() {
        // 12 and 15 were sent and not stored.
        for (h, news, kept, next) in [
            (0, None, &["11", "13", "14"][..], 14),
            (1, Some(11), &["13", "14"], 14),
            (2, Some(12), &["13", "14"], 15),
            (3, Some(13), &["14"], 15),
            (5, Some(15), &[], 16),
        ] {
            let mut ledger = restored(&[11, 13, 14]);
            assert_eq!(ledger.handled(), 7);
            assert_eq!(ledger.acknowledged(h), Ok(news.map(StanzaNumber)), "{h}");
            ledger.close_gaps();
            let xml: Vec<&str> = ledger.unacknowledged().map(|u| &*u.xml).collect();
            assert_eq!(xml, kept, "{h}");
            let after = u64::from(h) + 10;
            let numbers: Vec<u64> = (1..).map(|n| after + n).take(kept.len()).collect();
            assert_eq!(left(&ledger), numbers, "{h}");
            assert_eq!(ledger.send("x".into()), StanzaNumber(next), "{h}");
            // From here on as in any session.
            let all = u32::try_from(next - 10).unwrap();
            assert!(ledger.acknowledged(all + 1).is_err());
            assert_eq!(ledger.acknowledged(all), Ok(Some(StanzaNumber(next))));
        }
        let mut nothing_stored = restored(&[]);
        assert_eq!(nothing_stored.acknowledged(3), Ok(None));
        nothing_stored.close_gaps();
        assert_eq!(nothing_stored.send("x".into()), StanzaNumber(14));
    }

    #[test]
    fn what_is_stored_goes_out_again_where_the_server_lacks_even_what_was_sent_before_it() {
        // 11 and 12 were sent and not stored.
        for (h, numbers) in [(0, [11, 12]), (1, [12, 13]), (2, [13, 14])] {
            let mut ledger = restored(&[13, 14]);
            assert_eq!(ledger.acknowledged(h), Ok(None), "{h}");
            assert_eq!(left(&ledger), [13, 14], "{h}");
            ledger.close_gaps();
            assert_eq!(left(&ledger), numbers, "{h}");
            assert_eq!(ledger.acknowledged(h + 2), Ok(Some(StanzaNumber(numbers[1]))));
        }
    }

    #[test]
    fn a_stored_session_that_is_lost_keeps_the_numbers_of_what_was_not_received() {
        let mut ledger = restored(&[11, 13, 14]);
        assert_eq!(ledger.acknowledged(6), Ok(Some(StanzaNumber(16))));
        assert!(left(&ledger).is_empty());
        assert_eq!(ledger.sent(), 16);
        let mut ledger = restored(&[11, 13, 14]);
        assert_eq!(ledger.acknowledged(2), Ok(Some(StanzaNumber(12))));
        assert_eq!(left(&ledger), [13, 14]);
        assert_eq!(ledger.sent(), 14);
    }
}
