//! What failed of the attempts to come online, and so what is to be done next.

use std::time::Duration;

use waxwing_stream::Retry;

/// So often the server may find its rules broken before the person is asked.
const BREACHES: u32 = 3;

/// How things have gone since the last good connection.
#[derive(Default)]
pub(super) struct Failures {
    /// Failures of the network.
    network: u32,
    /// Failures of the server.
    server: u32,
    /// Connections one after another that broke as soon as they stood.
    pub(super) brief: u32,
    /// Refused passwords among them.
    pub(super) passwords: u32,
    /// Breaches of the server's rules among them.
    policy: u32,
    /// How long to leave the place to somebody else, after conflicts.
    pub(super) rest: Option<Duration>,
}

impl Failures {
    /// How many of this kind there were before, and one more from now on.
    pub(super) fn count(&mut self, retry: Retry) -> u32 {
        let count = match retry {
            Retry::Soon => &mut self.network,
            Retry::BackOff | Retry::Ask => &mut self.server,
        };
        *count += 1;
        *count - 1
    }

    /// A server that finds its rules broken may mean one thing that we did and not do again; one that finds it every
    /// time is not asked for ever.
    pub(super) fn breach(&mut self) -> Retry {
        self.policy += 1;
        if self.policy < BREACHES {
            Retry::BackOff
        } else {
            Retry::Ask
        }
    }
}
