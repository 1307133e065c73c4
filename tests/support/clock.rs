//! A clock of a program's own, which a test sets (Debian's libfaketime); time that is measured, not read, goes on as it is.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

/// How far the clock of the programs that have it is ahead of the true one.
pub struct Clock {
    file: PathBuf,
}

impl Clock {
    /// A clock that tells the true time; it lies in the folder.
    pub fn in_folder(folder: &Path) -> Self {
        let clock = Self {
            file: folder.join("clock"),
        };
        clock.set_days_ahead(0);
        clock
    }

    /// Sets the clock so many days ahead of the true time, or back from it.
    pub fn set_days_ahead(&self, days: i64) {
        // In one step: it may be read at any time.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{days:+}d\n")).expect("the clock can be written");
        fs::rename(new, &self.file).expect("the clock can be set");
    }

    /// Has a program read this clock.
    pub(crate) fn give_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}

/// Where the library lies; its folder is named after the processor.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("Debian has /usr/lib").flatten();
    folders
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .find(|library| library.exists())
        .expect("libfaketime is installed by ./x setup")
}
