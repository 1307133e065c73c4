//! A disk of a profile's own, which a test fills: a file system in memory that only the programs of the profile see.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// What makes the file system and keeps it until its input ends. Both need no rights where Linux lets everybody have a
/// user namespace; where it does not, tests run as root.
const KEEP: &str = "mount -t tmpfs -o size=$2,mode=700 tmpfs \"$1\" && echo && exec cat";

/// A small disk, which lives as long as this.
pub struct Disk {
    /// The process whose name spaces have it.
    keeper: Child,
    /// Where the programs see it.
    folder: PathBuf,
}

impl Disk {
    /// An empty disk of so many bytes at a folder, which must be there.
    pub async fn of(bytes: u64, folder: &Path) -> Self {
        let mut keeper = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", KEEP, "sh"])
            .arg(folder)
            .arg(bytes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Debian has unshare");
        let mut output = keeper.stdout.take().expect("it is a pipe");
        output
            .read_u8()
            .await
            .expect("this system lets nobody but root have a user namespace with a disk of its own");
        Self {
            keeper,
            folder: folder.to_owned(),
        }
    }

    /// Has a program see the disk.
    pub(crate) fn give_to(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--user",
                "--mount",
                "--preserve-credentials",
                "--target",
                &self.keeper(),
            ])
            .arg("--")
            .arg(program);
        command
    }

    /// Takes all the room that is left, to the last byte.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("a file on the disk");
        for size in [65_536, 4_096, 1] {
            let piece = vec![0; size];
            while filler.write_all(&piece).is_ok() {}
        }
    }

    /// Gives that room back.
    pub fn make_room(&self) {
        fs::remove_file(self.filler()).expect("the disk was full");
    }

    /// The file that takes the room.
    fn filler(&self) -> PathBuf {
        let folder = self.folder.strip_prefix("/").expect("folders are absolute");
        Path::new("/proc")
            .join(self.keeper())
            .join("root")
            .join(folder)
            .join("filler")
    }

    fn keeper(&self) -> String {
        self.keeper.id().expect("it runs until it is dropped").to_string()
    }
}
