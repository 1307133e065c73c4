//! When a program was started: the bench itself is started in its place, writes down the time and becomes it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

use waxwing_tests::{SHORT, until};

/// The option that makes the bench become another program: `--become FILE PROGRAM ARGUMENTS…`.
pub const FLAG: &str = "--become";

/// A program's start.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// Its process.
    pub process: u32,
    /// Unix time in milliseconds.
    pub at: f64,
}

/// Unix time in milliseconds, comparable to `performance.timeOrigin + performance.now()` in a page.
pub fn now() -> f64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970");
    since.as_secs_f64() * 1_000.0
}

/// Writes down process and time, and becomes the program. Comes back only if that is not possible.
pub fn become_program(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(file), Some(program)) = (arguments.next(), arguments.next()) else {
        return ExitCode::from(2);
    };
    // Debug logs are no part of what people run.
    let mut command = Command::new(&program);
    command.args(arguments).env("WAXWING_LOG", "warn");
    if let Err(error) = std::fs::write(&file, format!("{} {}\n", std::process::id(), now())) {
        eprintln!("{} cannot be written: {error}", Path::new(&file).display());
        return ExitCode::FAILURE;
    }
    eprintln!(
        "{} cannot be started: {}",
        Path::new(&program).display(),
        command.exec()
    );
    ExitCode::FAILURE
}

/// The command line that starts the program and leaves its start in the file.
pub fn command_line(file: &Path, program: &Path, arguments: &[String]) -> (PathBuf, Vec<String>) {
    let text = |path: &Path| path.to_str().expect("the paths are UTF-8").to_owned();
    let mut all = vec![FLAG.to_owned(), text(file), text(program)];
    all.extend_from_slice(arguments);
    (
        std::env::current_exe().expect("the bench knows its own path"),
        all,
    )
}

/// What the program that was started so left in the file.
pub async fn read(file: &Path) -> Started {
    until("the program has been started", SHORT, async || {
        let text = std::fs::read_to_string(file).ok()?;
        let (process, at) = text.strip_suffix('\n')?.split_once(' ')?;
        Some(Started {
            process: process.parse().ok()?,
            at: at.parse().ok()?,
        })
    })
    .await
}
