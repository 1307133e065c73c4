//! Real Prosody, real foreign peers, the real programs: what the stories, interop and window tests stand on.
//!
//! Whatever fails here ends the test with the last words of the processes that took part.
#![allow(
    clippy::panic,
    reason = "this is test code: a failed expectation ends the test"
)]

mod archived;
mod clock;
mod disk;
mod draws;
pub mod exactly_once;
pub mod fail_points;
mod headless;
mod keychain;
mod peer;
mod person;
pub mod process;
mod prosody;
mod proxy;
pub mod reconnects;
mod scripted;
pub mod web;
pub mod window;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use archived::archived_once;
pub use clock::Clock;
pub use disk::Disk;
pub use draws::Draws;
pub use headless::{Headless, PASSPHRASE, Profile, RpcError, items, program};
pub use keychain::within_keychain;
pub use peer::{Peer, Tls};
pub use person::Person;
pub use prosody::{DOMAIN, MISNAMED_DOMAIN, OTHER_DOMAIN, Prosody, RosterItem};
pub use proxy::{Fault, Proxy};
pub use scripted::Scripted;
pub use waxwing_scripted::Authority;

/// The password of every account, unless a test says otherwise.
pub const PASSWORD: &str = "correct horse battery staple";
/// Limit for what takes a blink on an idle machine.
pub const SHORT: Duration = Duration::from_secs(30);
/// Limit for what needs several round trips, on a machine that compiles meanwhile.
pub const LONG: Duration = Duration::from_secs(90);

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the workspace")
        .to_owned()
}

/// Looks again and again until there is an answer; for conditions of the outside world that send no event.
pub async fn until<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(limit, looking).await {
        Ok(found) => found,
        Err(_) => panic!("waited {limit:?} in vain until {what}"),
    }
}
