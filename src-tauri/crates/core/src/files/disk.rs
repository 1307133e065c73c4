//! Files on disk: kept encrypted as they came, opened only on their way to the person.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use waxwing_omemo::{FileError, FileKey, FileOpener};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::profile::make_private_folder;
use crate::secret::random_id;
use crate::xep::file_name;

/// So much is read at once, in bytes.
const PIECE: usize = 256 * 1024;
/// So many files of the same name are told apart by a number.
const NUMBERS: u32 = 999;

/// A file that is written and not complete: gone when this is dropped.
pub(super) struct Unfinished {
    path: PathBuf,
    complete: bool,
}

impl Unfinished {
    /// Makes a new file that only its owner may read.
    pub(super) fn create(path: PathBuf) -> io::Result<(Self, File)> {
        let file = create_new(&path)?;
        let unfinished = Self {
            path,
            complete: false,
        };
        Ok((unfinished, file))
    }

    /// It stays.
    pub(super) fn keep(mut self) {
        self.complete = true;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.complete {
            // Nothing more can be done about it; what is left over is swept at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Why a file could not be opened.
pub(super) enum NotOpened {
    /// What is kept is not there, or not what it was.
    Lost,
    /// Where it was to go to failed.
    Io(io::Error),
}

/// Opens what is kept and hands it to `to`, piece by piece. What went there is to be believed only if this succeeds.
pub(super) fn unseal(
    kept: &Path,
    key: &FileKey,
    mut to: impl FnMut(&[u8]) -> io::Result<()>,
) -> std::result::Result<u64, NotOpened> {
    let mut kept = File::open(kept).map_err(|_| NotOpened::Lost)?;
    let mut opener = FileOpener::new(key);
    let mut piece = vec![0; PIECE];
    let mut opened = Zeroizing::new(Vec::with_capacity(PIECE + 32));
    let lost = |_: FileError| NotOpened::Lost;
    loop {
        let length = kept.read(&mut piece).map_err(|_| NotOpened::Lost)?;
        if length == 0 {
            break;
        }
        opened.clear();
        opener
            .update(piece.get(..length).unwrap_or_default(), &mut opened)
            .map_err(lost)?;
        to(&opened).map_err(NotOpened::Io)?;
    }
    opened.clear();
    let size = opener.finish(&mut opened).map_err(lost)?;
    to(&opened).map_err(NotOpened::Io)?;
    Ok(size)
}

/// Opens what is kept into a new file of this name in a folder, or of the name with a number if there is one already.
/// The file bears its name only when it is whole and checked. Gives its path.
pub(super) fn save(
    kept: &Path,
    key: &FileKey,
    folder: &Path,
    name: &str,
) -> std::result::Result<PathBuf, NotOpened> {
    let random = random_id().map_err(|error| NotOpened::Io(io::Error::other(error)))?;
    let path = folder.join(format!(".waxwing-{random}.part"));
    let (unfinished, mut file) = Unfinished::create(path.clone()).map_err(NotOpened::Io)?;
    unseal(kept, key, |piece| file.write_all(piece))?;
    file.sync_all().map_err(NotOpened::Io)?;
    let target = reserve(folder, name).map_err(NotOpened::Io)?;
    if let Err(error) = fs::rename(&path, &target) {
        let _ = fs::remove_file(&target);
        return Err(NotOpened::Io(error));
    }
    unfinished.keep();
    Ok(target)
}

/// Takes a name that nobody has, by an empty file.
fn reserve(folder: &Path, name: &str) -> io::Result<PathBuf> {
    let names = (2..=NUMBERS).map(|number| file_name::numbered(name, number));
    for name in std::iter::once(name.to_owned()).chain(names) {
        let path = folder.join(name);
        match create_new(&path) {
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

/// Makes a folder that only its owner may look into.
pub(super) fn folder(path: &Path) -> Result<()> {
    make_private_folder(path)
}

/// Removes from the folder of kept files whatever nobody knows, as a fetch that a crash cut short.
pub(super) fn sweep(folder: &Path, known: impl Fn(&str) -> bool) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(&known) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a folder with all that is in it, if it is there.
pub(super) fn clear(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What a failure of the disk is for the person.
pub(super) fn fault(doing: &str, error: &io::Error) -> Error {
    let code = if error.kind() == io::ErrorKind::StorageFull {
        Code::DiskFull
    } else {
        Code::Storage
    };
    Error::new(code, format!("{doing} failed: {}", error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_goes_and_no_name_is_taken_twice() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let (unfinished, _file) = Unfinished::create(path.clone()).expect("made");
        assert!(path.exists() && Unfinished::create(path.clone()).is_err());
        drop(unfinished);
        assert!(!path.exists());
        for name in ["a.txt", "a (2).txt", "a (3).txt"] {
            assert_eq!(
                reserve(folder.path(), "a.txt").expect("a name"),
                folder.path().join(name)
            );
        }
    }

    #[test]
    fn sweeping_leaves_what_is_known() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["known", "unknown"] {
            fs::write(folder.path().join(name), "x").expect("written");
        }
        sweep(folder.path(), |name| name == "known").expect("swept");
        assert!(folder.path().join("known").exists() && !folder.path().join("unknown").exists());
        sweep(&folder.path().join("nowhere"), |_| true).expect("nothing to do");
    }
}
