//! An archive that fails, or does not come to an end: what was not read stays a gap, and is tried again.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Archive, since};
use crate::account::archive_page::Reading;
use crate::account::batch::Batch;
use crate::account::online::Online;
use crate::error::Result;
use crate::store::archive::Gap;
use crate::store::outbox;
use crate::xep::mam;

/// After so many pages on end that lead no further in time, a server is not believed to come to an end.
const FRUITLESS: u32 = 20;
/// After a failure the archive is left alone for so long.
const AGAIN: Duration = Duration::from_secs(120);
/// And for so long after the first ones in a session, if something waits for what the archive knows. Then that is sent
/// without knowing.
const SOON: [Duration; 3] = [
    Duration::from_secs(2),
    Duration::from_secs(8),
    Duration::from_secs(20),
];

impl Archive {
    /// Whether a page of this session ended at this id before, or too many led nowhere; the archive is then to be left
    /// alone.
    pub(super) fn goes_in_circles(&mut self, end: &str, fruitful: bool) -> bool {
        self.fruitless = if fruitful { 0 } else { self.fruitless + 1 };
        let circles = !self.ends.insert(end.to_owned()) || self.fruitless >= FRUITLESS;
        if circles {
            tracing::warn!("the archive does not come to an end");
        }
        circles
    }
}

impl Online<'_> {
    /// The message at the gap's edge is not in the archive any more: its time leads on, or the archive's end.
    pub(super) async fn page_refused(
        &mut self,
        batch: &mut Batch,
        reading: &Reading,
        gap: &Gap,
        condition: &str,
        now: Timestamp,
    ) -> Result<()> {
        // What is known already is met again, and passed by.
        let other = match (&reading.page, &gap.after) {
            (mam::Page::After(_), Some((_, at))) => Some(mam::Page::Since {
                start: since(*at, now),
                after: None,
            }),
            (mam::Page::Before(_), None) => Some(mam::Page::Newest),
            _ => None,
        };
        match other.filter(|_| condition == "item-not-found") {
            // A server that refuses what it has just named is not asked in circles.
            Some(page) if self.session.archive.ends.insert(format!("refused {}", gap.id)) => {
                self.session.archive.latest = None;
                self.ask_archive(batch, page, gap.id)
            }
            _ => {
                tracing::warn!(condition, "the archive cannot be read");
                self.archive_unanswered(batch).await
            }
        }
    }

    /// What was not read now stays a gap, and is tried again later. It is soon at first, if something waits to be sent of
    /// which only the archive knows whether the server has it.
    pub(in crate::account) async fn archive_unanswered(&mut self, batch: &mut Batch) -> Result<()> {
        let mut wait = None;
        if !self.session.archive.vouched {
            let under_way = self.session.pump.under_way();
            if outbox::is_any_doubtful(&mut batch.write, self.account, &under_way).await? {
                wait = SOON.get(self.session.archive.failures).copied();
            }
        }
        let archive = &mut self.session.archive;
        archive.reading = None;
        archive.failures += 1;
        archive.again = Some(Instant::now() + wait.unwrap_or(AGAIN));
        if wait.is_none() && !std::mem::replace(&mut archive.vouched, true) {
            batch.outbox = true;
        }
        self.archive_settled(batch);
        Ok(())
    }

    /// Tries again after a failure.
    pub(in crate::account) async fn archive_again(&mut self, batch: &mut Batch, now: Instant) -> Result<()> {
        if self.session.archive.again.is_none_or(|at| at > now) {
            return Ok(());
        }
        self.session.archive.again = None;
        self.session.archive.ends.clear();
        self.session.archive.fruitless = 0;
        self.session.archive.latest = None;
        self.next_gap(batch).await
    }
}
