//! How Waxwing is started, the same for the window and for the headless program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::profile::KeySource;
use crate::secret::Secret;

/// What stood on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// The profile's folder.
    pub profile: Option<PathBuf>,
    /// A file whose first line is the passphrase.
    pub passphrase_file: Option<PathBuf>,
    /// Certificate authorities (PEM) to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Where files are saved instead of the person's usual folder.
    pub downloads: Option<PathBuf>,
    /// `--help` was asked for.
    pub help: bool,
    /// What is not an option, such as a link that was clicked.
    pub rest: Vec<OsString>,
}

/// The options in words.
pub const USAGE: &str = "[--profile DIR] [--passphrase-file FILE | --keychain] [--ca-file PEM]
    [--downloads DIR]

  --profile DIR           where accounts, keys and history lie; made if missing
  --passphrase-file FILE  the first line of FILE opens the profile's database
  --keychain              the key lies in the system's keychain (the default)
  --ca-file PEM           certificate authorities to trust besides the system's
  --downloads DIR         where files are saved, instead of the usual folder";

/// Begins a program of this name: what it logs goes to standard error, as `WAXWING_LOG` says, and its options are read.
/// Errors: the code to end with at once, after help (0) or wrong options (2); the person has been told.
pub fn begin(program: &str) -> std::result::Result<Launch, ExitCode> {
    tracing_subscriber::fmt()
        // A log that cannot be written is no reason to fail.
        .log_internal_errors(false)
        .with_env_filter(
            EnvFilter::try_from_env("WAXWING_LOG").unwrap_or_else(|_| "warn,waxwing=info".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    match Launch::read(std::env::args_os().skip(1)) {
        Ok(launch) if launch.help => {
            println!("{program} {USAGE}");
            Err(ExitCode::SUCCESS)
        }
        Ok(launch) => Ok(launch),
        Err(error) => {
            eprintln!("{error}\n{program} {USAGE}");
            Err(ExitCode::from(2))
        }
    }
}

impl Launch {
    /// Reads the arguments behind the program's name. Errors: `invalid_params` with what is wrong.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self> {
        use lexopt::Arg::{Long, Short, Value};
        let wrong = |error: lexopt::Error| Error::invalid(error.to_string());
        let mut launch = Self::default();
        let mut keychain = false;
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(wrong)? {
            match argument {
                Long("profile") => launch.profile = Some(parser.value().map_err(wrong)?.into()),
                Long("passphrase-file") => {
                    launch.passphrase_file = Some(parser.value().map_err(wrong)?.into());
                }
                Long("ca-file") => launch.ca_file = Some(parser.value().map_err(wrong)?.into()),
                Long("downloads") => launch.downloads = Some(parser.value().map_err(wrong)?.into()),
                Long("keychain") => keychain = true,
                Long("help") | Short('h') => launch.help = true,
                Value(value) => launch.rest.push(value),
                other => return Err(wrong(other.unexpected())),
            }
        }
        if keychain && launch.passphrase_file.is_some() {
            return Err(Error::invalid(
                "--keychain and --passphrase-file exclude each other",
            ));
        }
        Ok(launch)
    }

    /// Where the key comes from. Errors: `passphrase_needed` if the passphrase file cannot be read or is empty.
    pub fn key_source(&self) -> Result<KeySource> {
        self.passphrase_file
            .as_deref()
            .map_or(Ok(KeySource::Keychain), passphrase)
    }
}

fn passphrase(file: &Path) -> Result<KeySource> {
    let unreadable = |why: String| Error::new(Code::PassphraseNeeded, format!("the passphrase file {why}"));
    let text = Zeroizing::new(
        std::fs::read_to_string(file).map_err(|error| unreadable(format!("cannot be read: {error}")))?,
    );
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(KeySource::Passphrase(Secret::from(line.to_owned()))),
        _ => Err(unreadable("is empty".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Launch> {
        Launch::read(arguments.iter().map(OsString::from))
    }

    #[test]
    fn options_are_read_and_links_kept() {
        let launch = read(&["--profile", "p", "--ca-file=c.pem", "xmpp:romeo@example.org"]).expect("reads");
        assert_eq!(launch.profile, Some("p".into()));
        assert_eq!(launch.ca_file, Some("c.pem".into()));
        assert_eq!(launch.rest, ["xmpp:romeo@example.org"]);
    }

    #[test]
    fn unknown_incomplete_and_contradicting_options_are_errors() {
        for arguments in [
            &["--nonsense"][..],
            &["--profile"],
            &["--keychain", "--passphrase-file", "f"],
        ] {
            assert_eq!(
                read(arguments).map_err(|e| e.code),
                Err(Code::InvalidParams),
                "{arguments:?}"
            );
        }
    }
}
