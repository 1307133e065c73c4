//! How long to wait before the next attempt to connect.
//!
//! RFC 6120 §3.3 asks for unpredictable and growing waits, so that a server that comes back is not run over by all its
//! clients at once. That holds for [`Retry::BackOff`]: the server was there and had trouble. [`Retry::Soon`] is what a
//! person sees after a tunnel or a lid: no server heard of the attempt, so it wears none down, and a wait that had grown
//! to a minute by then would be what keeps the person offline. Only an outage of some minutes is taken for one that
//! shall not cost battery, or be a server that is down and refuses each attempt.

use std::time::Duration;

use crate::Retry;

/// The longest that a wait can become.
const CAP: Duration = Duration::from_secs(60);
/// The shortest and the longest wait at the beginning of an outage.
const SOON: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(2_500));
/// So many attempts are made soon: with 1.5 seconds between them on average, for two minutes.
const SOON_ATTEMPTS: u32 = 80;

/// The wait before the next attempt after so many failures in a row (0 before the first retry), of which the last asked
/// for `retry`. `entropy` is any random number; the result depends on nothing else. What a person must decide is tried
/// again when they say so; whoever tries before does it no more often than a server in trouble bears.
pub fn pause(retry: Retry, failures: u32, entropy: u64) -> Duration {
    match retry {
        Retry::Soon => soon(failures, entropy),
        Retry::BackOff | Retry::Ask => backoff(failures, entropy),
    }
}

/// The wait after passing trouble of the server ([`Retry::BackOff`]): anything between nothing and
/// 1, 2, 4 … 60 seconds, so that thousands of clients do not come back in step after a server's restart.
pub fn backoff(attempt: u32, entropy: u64) -> Duration {
    between(Duration::ZERO, ceiling(Duration::from_secs(1), attempt), entropy)
}

/// The wait after trouble of the network ([`Retry::Soon`]): between 0.5 and 2.5 seconds for some two minutes, then
/// growing to between 30 and 60 seconds.
fn soon(attempt: u32, entropy: u64) -> Duration {
    let (least, most) = SOON;
    match attempt.checked_sub(SOON_ATTEMPTS) {
        None => between(least, most, entropy),
        Some(late) => {
            let ceiling = ceiling(most, late.saturating_add(1));
            between(ceiling / 2, ceiling, entropy)
        }
    }
}

/// `first`, doubled so many times, but no more than the cap.
fn ceiling(first: Duration, doublings: u32) -> Duration {
    first.saturating_mul(1 << doublings.min(16)).min(CAP)
}

fn between(least: Duration, most: Duration, entropy: u64) -> Duration {
    let span = u64::try_from(most.saturating_sub(least).as_millis()).unwrap_or(u64::MAX - 1);
    least + Duration::from_millis(entropy % (span + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_never_exceeds_its_ceiling_and_uses_the_whole_span() {
        for (attempt, seconds) in [(0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (7, 60), (u32::MAX, 60)] {
            let ceiling = Duration::from_secs(seconds);
            let millis = seconds * 1000;
            assert_eq!(backoff(attempt, 0), Duration::ZERO);
            assert_eq!(backoff(attempt, millis), ceiling);
            assert_eq!(backoff(attempt, millis + 1), Duration::ZERO);
            for entropy in [1, 77, u64::MAX, u64::MAX / 3] {
                assert!(backoff(attempt, entropy) <= ceiling);
            }
        }
    }

    #[test]
    fn while_the_network_is_away_it_is_tried_every_few_seconds_and_then_less_and_less_often() {
        let span = |attempt| {
            let waits = (0..70_000).map(|entropy| soon(attempt, entropy).as_millis());
            waits.fold((u128::MAX, 0), |(least, most), wait| {
                (least.min(wait), most.max(wait))
            })
        };
        for attempt in [0, 1, 40, 79] {
            assert_eq!(span(attempt), (500, 2_500));
        }
        assert_eq!(span(80), (2_500, 5_000));
        assert_eq!(span(82), (10_000, 20_000));
        for attempt in [84, 85, 200, u32::MAX] {
            assert_eq!(span(attempt), (30_000, 60_000));
        }
        let two_minutes: Duration = (0..80)
            .map(|attempt| soon(attempt, u64::from(attempt) * 25))
            .sum();
        assert!((100..140).contains(&two_minutes.as_secs()), "{two_minutes:?}");
    }

    #[test]
    fn the_kind_of_failure_chooses_the_schedule() {
        assert_eq!(pause(Retry::Soon, 3, 7), Duration::from_millis(507));
        assert_eq!(pause(Retry::BackOff, 3, 7), Duration::from_millis(7));
        assert_eq!(pause(Retry::Ask, 3, 7), Duration::from_millis(7));
    }
}
