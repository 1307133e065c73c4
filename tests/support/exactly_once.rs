//! Two programs that write to each other and a third one of the same account as the first, while networks, programs
//! and the server break; afterwards all their histories and the server's archives are held against what was written.
//! `./x soak exactly-once` is the long run of it.

mod check;
mod crew;
mod histories;
mod outcome;
mod plan;
mod scene;

use std::fs;
use std::path::Path;
use std::time::Duration;

pub use self::check::{Findings, Row, check};
pub use self::outcome::{Outcome, View};
use self::plan::Plan;
pub use self::plan::{Encryption, Options};
use self::scene::Scene;

const ALICE: &str = "alice@waxwing.test";
/// Whom Alice writes to, by the place of the talk: both are accounts of Bob's program.
const FRIENDS: [&str; 2] = ["bob@waxwing.test", "heron@waxwing.test"];

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Messages written.
    pub messages: usize,
    /// Faults that have struck.
    pub faults: usize,
    /// Since the first message.
    pub elapsed: Duration,
}

/// Does all of it. If anything is wrong at the end, or it ends early, all profiles and logs are kept in `target/soak/`.
pub async fn run(options: &Options, mut tell: impl FnMut(Progress)) -> Outcome {
    let plan = Plan::draw(options);
    let mut scene = Scene::set(options, &plan).await;
    scene.play(&mut tell).await;
    let mut outcome = scene.end().await;
    if !outcome.is_clean() {
        outcome.kept = Some(scene.keep(&outcome.to_string()));
    }
    scene.over = true;
    outcome
}

/// Copies a folder with all that is in it; what cannot be copied is told.
fn copy(from: &Path, to: &Path) {
    let copied = fs::create_dir_all(to).and_then(|()| {
        for entry in fs::read_dir(from)?.flatten() {
            let target = to.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                copy(&entry.path(), &target);
            } else if kind.is_file() {
                fs::copy(entry.path(), target)?;
            }
        }
        Ok(())
    });
    if let Err(error) = copied {
        eprintln!("{} could not be kept: {error}", from.display());
    }
}
