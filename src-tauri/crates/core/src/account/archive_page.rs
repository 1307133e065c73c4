//! A page of the archive while it comes in (XEP-0313 §4, XEP-0059), and what can be made of one that is not as it
//! should be: nothing is passed by that a better answer would have.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::inbound::{Archived, Inbound};
use crate::xep::mam;

/// More than a page holds is not kept, whatever the server sends.
const MOST: usize = 1_000;

/// A page under way.
pub(super) struct Reading {
    /// The id of the question, which results carry.
    pub(super) query: String,
    /// The id of the stanza that asked.
    pub(super) stanza: String,
    pub(super) page: mam::Page,
    pub(super) gap: i64,
    messages: VecDeque<Archived>,
    /// How many came.
    seen: usize,
    /// More came than is kept.
    overfull: bool,
    /// Something broke a limit and was thrown away, which may have been a result.
    swallowed: bool,
}

impl Reading {
    pub(super) fn new(query: String, stanza: String, page: mam::Page, gap: i64) -> Self {
        Self {
            query,
            stanza,
            page,
            gap,
            messages: VecDeque::new(),
            seen: 0,
            overfull: false,
            swallowed: false,
        }
    }

    /// Takes a result. Of too many those are kept that stand next to what is known. False if it was one too many.
    pub(super) fn take(&mut self, archived: Archived) -> bool {
        self.seen += 1;
        let room = self.messages.len() < MOST;
        if room {
            self.messages.push_back(archived);
        } else {
            self.overfull = true;
            if !self.is_onwards() {
                self.messages.pop_front();
                self.messages.push_back(archived);
            }
        }
        room
    }

    /// So many of the last results come again.
    pub(super) fn come_again(&mut self, last: usize) {
        self.seen = self.seen.saturating_sub(last);
        if self.is_onwards() {
            self.messages.truncate(self.seen);
            self.overfull = self.seen > self.messages.len();
        } else {
            self.messages.truncate(self.messages.len().saturating_sub(last));
        }
    }

    fn is_onwards(&self) -> bool {
        matches!(self.page, mam::Page::After(_) | mam::Page::Since { .. })
    }

    /// Something that broke a limit was thrown away.
    pub(super) fn swallow(&mut self) {
        self.swallowed = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The page has ended: its messages, oldest first and each with a time, and its end as far as it is to be
    /// believed. None if nothing came though there is something. `since` is when the message before the page was
    /// archived, if that is known.
    pub(super) fn whole(
        self,
        end: mam::End,
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<(Vec<Archived>, mam::End)> {
        let names = end.first.is_some() && end.last.is_some();
        let complete = end.complete && end.first.is_none() && end.last.is_none();
        if self.messages.is_empty() && !complete && !(self.swallowed && names) {
            return None;
        }
        let mut messages = Vec::from(self.messages);
        if self.overfull {
            // The end is that of what was not kept: it goes on from what was.
            let end = mam::End {
                complete: false,
                first: None,
                last: None,
            };
            date(&mut messages, since, now);
            return Some((messages, end));
        }
        if is_reversed(&messages, &end) {
            messages.reverse();
        }
        date(&mut messages, since, now);
        Some((messages, end))
    }
}

/// Whether the results came newest first: the end names them the other way round.
fn is_reversed(messages: &[Archived], end: &mam::End) -> bool {
    let first = messages.first().map(|message| &message.id);
    let last = messages.last().map(|message| &message.id);
    first != last && end.first.as_ref() == last && end.last.as_ref() == first
}

/// Who has no time gets that of the message before, or behind where there is none.
fn date(messages: &mut [Archived], since: Option<Timestamp>, now: Timestamp) {
    let first = messages.iter().find_map(|message| message.at);
    let mut last = first.or(since).unwrap_or(now);
    for message in messages {
        if let Some(at) = message.at {
            last = at;
            continue;
        }
        message.at = Some(last);
        for inbound in &mut message.holds {
            if let Inbound::Text(text) = inbound {
                text.sent_at = last;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn result(id: usize, second: Option<i64>) -> Archived {
        Archived {
            id: id.to_string(),
            at: second.map(at),
            holds: Vec::new(),
        }
    }

    fn reading(page: mam::Page, ids: impl IntoIterator<Item = usize>) -> Reading {
        let mut reading = Reading::new("q".to_owned(), "s".to_owned(), page, 1);
        for id in ids {
            reading.take(result(id, Some(1)));
        }
        reading
    }

    fn end(complete: bool, named: Option<(usize, usize)>) -> mam::End {
        mam::End {
            complete,
            first: named.map(|(first, _)| first.to_string()),
            last: named.map(|(_, last)| last.to_string()),
        }
    }

    /// The ids of the page's messages, if there is a page.
    fn ids(reading: Reading, end: mam::End) -> Option<Vec<usize>> {
        let (messages, _) = reading.whole(end, None, at(9))?;
        Some(messages.iter().filter_map(|m| m.id.parse().ok()).collect())
    }

    #[test]
    fn of_too_many_results_those_are_kept_that_stand_next_to_what_is_known() {
        let after = || mam::Page::After("0".to_owned());
        let before = || mam::Page::Before("0".to_owned());
        for (page, kept) in [
            (after(), 0..1_000),
            (before(), 500..1_500),
            (mam::Page::Newest, 500..1_500),
        ] {
            let (messages, end) = reading(page, 0..1_500)
                .whole(end(true, Some((0, 1_499))), None, at(9))
                .expect("a page");
            let ids: Vec<usize> = messages.iter().filter_map(|m| m.id.parse().ok()).collect();
            assert_eq!(ids, kept.collect::<Vec<_>>());
            assert_eq!(
                end,
                self::end(false, None),
                "what was left out is asked for again"
            );
        }
        let (messages, end) = reading(after(), 0..1_000)
            .whole(end(true, Some((0, 999))), None, at(9))
            .expect("a page");
        assert_eq!((messages.len(), end.complete), (1_000, true));
    }

    #[test]
    fn what_comes_again_is_neither_doubled_nor_left_out() {
        for page in [mam::Page::After("0".to_owned()), mam::Page::Newest] {
            for (came, last) in [(10, 3), (10, 10), (1_500, 200), (1_500, 700), (1_500, 1_500)] {
                let mut reading = reading(page.clone(), 0..came);
                reading.come_again(last);
                for id in came - last..came + 5 {
                    reading.take(result(id, Some(1)));
                }
                let ids = ids(reading, end(true, Some((0, came + 4)))).expect("a page");
                let whole: Vec<usize> = match page {
                    mam::Page::After(_) => (0..ids.len()).collect(),
                    _ => (came + 5 - ids.len()..came + 5).collect(),
                };
                assert_eq!(ids, whole, "{page:?} {came} {last}");
                assert!(ids.len() >= 15.min(came), "{page:?} {came} {last}");
            }
        }
    }

    #[test]
    fn a_page_without_results_is_one_only_if_there_is_nothing_or_they_were_too_large() {
        let empty = |swallowed| {
            let mut reading = reading(mam::Page::Newest, []);
            if swallowed {
                reading.swallow();
            }
            reading
        };
        for (swallowed, complete, named, is_one) in [
            (false, true, None, true),
            (false, false, None, false),
            (false, true, Some((1, 2)), false),
            (false, false, Some((1, 2)), false),
            (true, true, Some((1, 2)), true),
            (true, false, Some((1, 2)), true),
            (true, false, None, false),
        ] {
            let page = ids(empty(swallowed), end(complete, named));
            assert_eq!(page.is_some(), is_one, "{swallowed} {complete} {named:?}");
        }
    }

    #[test]
    fn results_that_came_newest_first_are_turned_round() {
        let three = || reading(mam::Page::Newest, [3, 2, 1]);
        assert_eq!(ids(three(), end(true, Some((1, 3)))), Some(vec![1, 2, 3]));
        assert_eq!(ids(three(), end(true, Some((3, 1)))), Some(vec![3, 2, 1]));
        assert_eq!(ids(three(), end(true, None)), Some(vec![3, 2, 1]));
        let one = reading(mam::Page::Newest, [1]);
        assert_eq!(ids(one, end(true, Some((1, 1)))), Some(vec![1]));
    }

    #[test]
    fn a_message_without_a_time_has_that_of_its_neighbour() {
        for (times, since, dated) in [
            ([Some(1), None, Some(3)], None, [1, 1, 3]),
            ([None, Some(2), None], Some(1), [2, 2, 2]),
            ([None, None, None], Some(5), [5, 5, 5]),
            ([None, None, None], None, [9, 9, 9]),
        ] {
            let mut reading = reading(mam::Page::Newest, []);
            for (id, time) in times.into_iter().enumerate() {
                reading.take(result(id, time));
            }
            let (messages, _) = reading
                .whole(end(true, None), since.map(at), at(9))
                .expect("a page");
            let found: Vec<_> = messages.iter().map(|m| m.at).collect();
            assert_eq!(found, dated.map(|second| Some(at(second))), "{times:?}");
        }
    }
}
