//! What was written against what a history holds.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Display, Formatter};

/// One row of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// The message of this number, as it was written.
    Message(usize),
    /// The same, with its writer, where the server does not have it: waiting or failed.
    Unsent(usize, String),
    /// A row that cannot be read, and why.
    Unreadable(String),
    /// A row that nobody wrote so.
    Strange(String),
}

impl Row {
    /// The message, if it is one.
    pub fn number(&self) -> Option<usize> {
        match self {
            Self::Message(number) | Self::Unsent(number, _) => Some(*number),
            Self::Unreadable(_) | Self::Strange(_) => None,
        }
    }
}

/// What is wrong with a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Messages that were looked for.
    pub wanted: usize,
    /// Those that are not there.
    pub lost: Vec<usize>,
    /// Those that are there again; each time counts.
    pub doubled: Vec<usize>,
    /// Those that stand behind one that was written later.
    pub out_of_order: Vec<usize>,
    /// Those of the writer that the server does not have, and why.
    pub unsent: Vec<String>,
    /// Rows without readable text.
    pub unreadable: Vec<String>,
    /// Rows that nobody wrote.
    pub strange: Vec<String>,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.troubles() == 0
    }

    /// How much is wrong.
    pub fn troubles(&self) -> usize {
        [
            self.lost.len(),
            self.doubled.len(),
            self.out_of_order.len(),
            self.unsent.len(),
            self.unreadable.len(),
            self.strange.len(),
        ]
        .iter()
        .sum()
    }

    /// Adds what is wrong with another history.
    pub fn add(&mut self, other: &Self) {
        self.wanted += other.wanted;
        self.lost.extend(&other.lost);
        self.doubled.extend(&other.doubled);
        self.out_of_order.extend(&other.out_of_order);
        self.unsent.extend_from_slice(&other.unsent);
        self.unreadable.extend_from_slice(&other.unreadable);
        self.strange.extend_from_slice(&other.strange);
    }
}

impl Display for Findings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (what, numbers) in [
            ("lost", &self.lost),
            ("doubled", &self.doubled),
            ("out of order", &self.out_of_order),
        ] {
            if !numbers.is_empty() {
                writeln!(f, "  {what}: {numbers:?}")?;
            }
        }
        for (what, rows) in [
            ("not sent", &self.unsent),
            ("unreadable", &self.unreadable),
            ("strange", &self.strange),
        ] {
            if !rows.is_empty() {
                writeln!(f, "  {what}: {}", rows.join(", "))?;
            }
        }
        Ok(())
    }
}

/// Holds a history against the messages that it should have, in the order in which it should have them. Other messages
/// are not looked at.
pub fn check(wanted: &[usize], history: &[Row]) -> Findings {
    let places: HashMap<usize, usize> = wanted.iter().copied().zip(0..).collect();
    let mut findings = Findings {
        wanted: wanted.len(),
        ..Findings::default()
    };
    let mut seen = HashSet::new();
    let mut furthest = None;
    for row in history {
        match row {
            Row::Unsent(number, why) if places.contains_key(number) => {
                findings.unsent.push(format!("{number} ({why})"));
            }
            Row::Message(_) | Row::Unsent(..) => {}
            Row::Unreadable(why) => findings.unreadable.push(why.clone()),
            Row::Strange(what) => findings.strange.push(what.clone()),
        }
        let Some((number, place)) = row
            .number()
            .and_then(|number| Some((number, *places.get(&number)?)))
        else {
            continue;
        };
        if !seen.insert(number) {
            findings.doubled.push(number);
        } else if furthest.is_some_and(|furthest| place < furthest) {
            findings.out_of_order.push(number);
        } else {
            furthest = Some(place);
        }
    }
    findings.lost = wanted
        .iter()
        .copied()
        .filter(|number| !seen.contains(number))
        .collect();
    findings
}

/// What an archive holds, by the ids that the writers gave their messages. One that nobody's history names is strange.
pub fn archived(ids: &[String], named: &HashMap<String, usize>) -> Vec<Row> {
    let row = |id: &String| match named.get(id) {
        Some(number) => Row::Message(*number),
        None => Row::Strange(format!("{id} stands in the archive and nowhere else")),
    };
    ids.iter().map(row).collect()
}

/// Holds the order of a history, of all messages that `are_meant`, against that of an archive. What else may be wrong with
/// either is not looked at.
pub fn check_order(archive: &[Row], history: &[Row], are_meant: impl Fn(usize) -> bool) -> Findings {
    let mut seen = HashSet::new();
    let numbers = archive.iter().filter_map(Row::number);
    let order: Vec<usize> = numbers
        .filter(|number| are_meant(*number) && seen.insert(*number))
        .collect();
    let findings = check(&order, history);
    Findings {
        wanted: findings.wanted,
        out_of_order: findings.out_of_order,
        ..Findings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(numbers: &[usize]) -> Vec<Row> {
        numbers.iter().copied().map(Row::Message).collect()
    }

    const WRITTEN: [usize; 5] = [2, 3, 5, 8, 13];

    #[test]
    fn a_whole_history_is_clean_also_among_what_others_wrote() {
        let findings = check(&WRITTEN, &history(&[1, 2, 3, 4, 5, 6, 8, 7, 13, 1]));
        assert!(findings.is_clean(), "{findings:?}");
        assert_eq!(findings.wanted, 5);
    }

    #[test]
    fn a_lost_message_is_seen_wherever_it_stood() {
        for lost in WRITTEN {
            let rest: Vec<usize> = WRITTEN.into_iter().filter(|number| *number != lost).collect();
            let findings = check(&WRITTEN, &history(&rest));
            assert_eq!((&findings.lost, findings.troubles()), (&vec![lost], 1));
        }
    }

    #[test]
    fn a_doubled_message_is_seen_each_time_it_comes_again() {
        let findings = check(&WRITTEN, &history(&[2, 3, 3, 5, 8, 13, 3]));
        assert_eq!((&findings.doubled, findings.troubles()), (&vec![3, 3], 2));
    }

    #[test]
    fn swapped_messages_are_seen() {
        let findings = check(&WRITTEN, &history(&[2, 5, 3, 8, 13]));
        assert_eq!((&findings.out_of_order, findings.troubles()), (&vec![3], 1));
        let findings = check(&WRITTEN, &history(&[13, 2, 3, 5, 8]));
        assert_eq!(findings.out_of_order, [2, 3, 5, 8]);
    }

    #[test]
    fn a_message_that_came_late_is_out_of_order_and_not_lost() {
        let findings = check(&WRITTEN, &history(&[2, 3, 8, 13, 5]));
        assert_eq!((&findings.out_of_order, findings.troubles()), (&vec![5], 1));
    }

    #[test]
    fn what_was_not_sent_cannot_be_read_or_was_never_written_is_told() {
        let rows = [
            Row::Message(2),
            Row::Unsent(3, "failed".to_owned()),
            Row::Unreadable("no_session".to_owned()),
            Row::Message(8),
            Row::Strange("who wrote this?".to_owned()),
            Row::Message(13),
            Row::Unsent(7, "waiting".to_owned()),
        ];
        let findings = check(&WRITTEN, &rows);
        assert_eq!(findings.lost, [5]);
        assert_eq!(findings.unsent, ["3 (failed)"]);
        assert_eq!(findings.unreadable, ["no_session"]);
        assert_eq!(findings.strange, ["who wrote this?"]);
        assert_eq!(findings.troubles(), 4);
    }

    #[test]
    fn nothing_at_all_is_everything_lost() {
        assert_eq!(check(&WRITTEN, &[]).lost, WRITTEN);
    }

    #[test]
    fn what_an_archive_holds_and_no_history_names_is_strange_each_time() {
        let ids = ["a", "b", "x", "a", "x"].map(str::to_owned);
        let named = [("a", 2), ("b", 3)].map(|(id, number)| (id.to_owned(), number));
        let rows = archived(&ids, &named.into());
        assert_eq!(
            rows.iter().map(Row::number).collect::<Vec<_>>(),
            [Some(2), Some(3), None, Some(2), None]
        );
        let findings = check(&[2, 3], &rows);
        assert_eq!((findings.strange.len(), &findings.doubled), (2, &vec![2]));
    }

    #[test]
    fn an_order_is_that_of_the_archive_and_not_that_of_the_writing() {
        let archive = history(&[3, 2, 5, 8, 13]);
        assert!(check_order(&archive, &archive, |_| true).is_clean());
        let written = check_order(&archive, &history(&WRITTEN), |_| true);
        assert_eq!((&written.out_of_order, written.wanted), (&vec![3], 5));
        // Of some of them nothing is said.
        let others = check_order(&archive, &history(&WRITTEN), |number| number != 2);
        assert!(others.is_clean(), "{others:?}");
        // What came twice stands where it came first, and what is missing is for others to see.
        let archive = history(&[2, 3, 5, 2]);
        assert!(check_order(&archive, &history(&[2, 5, 5]), |_| true).is_clean());
        let swapped = check_order(&archive, &history(&[3, 5, 2]), |_| true);
        assert_eq!(swapped.out_of_order, [2]);
    }
}
