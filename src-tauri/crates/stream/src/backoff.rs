//! How long to wait before the next attempt to connect.

use std::time::Duration;

use crate::Retry;

/// The longest that a wait can become.
const CAP: Duration = Duration::from_secs(60);

/// The wait before attempt number `attempt` (0 is the first retry): anything between nothing and
/// 1, 2, 4 … 60 seconds, so that thousands of clients do not come back in step after a server's restart.
/// `entropy` is any random number; the result depends on nothing else.
pub fn backoff(attempt: u32, entropy: u64) -> Duration {
    let ceiling = Duration::from_secs(1 << attempt.min(6)).min(CAP);
    let millis = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(entropy % (millis + 1))
}

/// The wait before the next attempt after so many failures in a row. See [`Retry`].
pub fn pause(retry: Retry, failures: u32, entropy: u64) -> Duration {
    match retry {
        Retry::Soon if failures < 60 => Duration::from_millis(500 + entropy % 2_000),
        Retry::Soon => backoff(failures - 60, entropy),
        Retry::BackOff | Retry::Ask => backoff(failures, entropy),
    }
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
}
