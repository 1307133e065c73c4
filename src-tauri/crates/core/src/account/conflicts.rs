//! How often a server may end our sessions with `conflict`: two programs that take each other's place do not fight for
//! ever, and a server that does so now and then keeps nobody away.

use std::time::Duration;

use tokio::time::Instant;
use waxwing_stream::Retry;

use super::{Failures, Task, renewal};
use crate::log_failure;

/// So many conflicts one after another are enough: somebody else wants the place, or wants nobody there.
const ENOUGH: u32 = 3;
/// After so long without one the next counts as the first.
const QUIET: Duration = Duration::from_secs(3_600);
/// The other side has its peace for so long at first, and twice as long each time after that.
const REST: Duration = Duration::from_secs(3_600);
/// But no longer than this.
const LONGEST_REST: Duration = Duration::from_secs(24 * 3_600);

/// The conflicts of one account's sessions while the program runs.
#[derive(Debug, Default)]
pub(super) struct Conflicts {
    count: u32,
    /// When an attempt was free to be made after the last of them.
    free_since: Option<Instant>,
}

impl Conflicts {
    /// There was another one: how long the account rests, unless the person says otherwise; none if it comes again soon.
    pub(super) fn another(&mut self, now: Instant) -> Option<Duration> {
        if self.free_since.is_some_and(|free| now >= free + QUIET) {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        let rest = self.count.checked_sub(ENOUGH).map(|further| {
            let doubled = REST.saturating_mul(1 << further.min(16));
            doubled.min(LONGEST_REST)
        });
        self.free_since = Some(now + rest.unwrap_or_default());
        rest
    }

    /// The person wants another attempt.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Task {
    /// Comes again under another name. Not twice in a row: then it is a server that lets everybody in only once, or somebody
    /// there who wants nobody in.
    pub(super) async fn give_up_name(&mut self) {
        let left = std::mem::take(&mut self.left);
        let Some(resource) = left.resource else { return };
        let now = jiff::Timestamp::now();
        if let Err(error) = renewal::give_up_name(&self.core, self.account, &resource, now).await {
            log_failure("giving up the name of the session", &error);
        }
    }

    /// Somebody else has the place: it is tried again soon, and if it happens again and again, much later.
    pub(super) fn conflict(&mut self, failures: &mut Failures) -> Retry {
        failures.rest = self.conflicts.another(Instant::now());
        if failures.rest.is_some() {
            Retry::Ask
        } else {
            Retry::BackOff
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// The hours of rest after conflicts, each so long after the account was free to come again.
    fn rests(
        conflicts: &mut Conflicts,
        now: &mut Instant,
        after: Duration,
        count: usize,
    ) -> Vec<Option<u64>> {
        let each = (0..count).map(|_| {
            *now += after;
            let rest = conflicts.another(*now);
            *now += rest.unwrap_or_default();
            rest.map(|rest| rest.as_secs() / 3_600)
        });
        each.collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_ends_the_session_once_a_day_or_once_an_hour_keeps_nobody_away() {
        let (mut conflicts, mut now) = (Conflicts::default(), Instant::now());
        for between in [24 * HOUR, HOUR] {
            assert_eq!(rests(&mut conflicts, &mut now, between, 50), [None; 50]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_fights_for_the_place_rests_longer_and_longer_and_begins_anew_after_a_quiet_hour() {
        let (mut conflicts, mut now) = (Conflicts::default(), Instant::now());
        let minute = HOUR / 60;
        let growing = [
            None,
            None,
            Some(1),
            Some(2),
            Some(4),
            Some(8),
            Some(16),
            Some(24),
            Some(24),
        ];
        assert_eq!(rests(&mut conflicts, &mut now, minute, 9), growing);
        assert_eq!(rests(&mut conflicts, &mut now, 59 * minute, 1), [Some(24)]);
        assert_eq!(rests(&mut conflicts, &mut now, HOUR, 1), [None]);
        assert_eq!(rests(&mut conflicts, &mut now, minute, 2), [None, Some(1)]);
        conflicts.forget();
        assert_eq!(rests(&mut conflicts, &mut now, minute, 3), [None, None, Some(1)]);
    }
}
