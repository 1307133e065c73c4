//! Encrypted files: fetched when the person asks for it, checked, kept encrypted as they came, and opened only to be
//! shown, saved or handed to another program.

mod disk;
mod http;
mod picture;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::fs;
use tokio::io::AsyncWriteExt;
use url::Url;
use waxwing_omemo::{FileError, FileKey, FileOpener};

use self::disk::NotOpened;
use crate::account::{self, Route};
use crate::error::{Code, Error, Result};
use crate::model::{AccountId, Direction, FileFailure, FileId, FileState};
use crate::publish::{Changes, publish};
use crate::secret::random_id;
use crate::store::files::{self, Sealed};
use crate::store::{contacts, messages};
use crate::xep::file_sharing;
use crate::{Core, log_failure};

/// Files larger than this, in bytes, or of unknown size and turning out so, need the person's word.
const UNASKED: u64 = 50 << 20;
/// No file is larger, whatever the person says.
const MOST: u64 = 4 << 30;
/// What may stand behind the file itself: a tag, and something that hides its size.
const BEHIND: u64 = 64 * 1024;
/// How often it is told how far a file has come.
const TOLD_EVERY: Duration = Duration::from_millis(250);
/// So many pictures can be shown at once.
const SHOWN: usize = 200;

/// What the person agreed to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agreed {
    /// To ask this host.
    pub(crate) host: Option<String>,
    /// To take so many bytes.
    pub(crate) size: Option<u64>,
}

/// How a file is to be fetched.
struct Plan {
    key: FileKey,
    sources: Vec<Url>,
    /// Who may be asked.
    hosts: Vec<String>,
    /// So many bytes are taken at most.
    limit: u64,
}

/// Why a file could not be fetched, with what was found out.
struct Failure {
    why: FileFailure,
    /// Where the server sends us on to.
    host: Option<String>,
    /// How large it is.
    size: Option<u64>,
}

impl From<FileFailure> for Failure {
    fn from(why: FileFailure) -> Self {
        Self {
            why,
            host: None,
            size: None,
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::from(match error {
            FileError::Truncated => FileFailure::Truncated,
            FileError::TooLong => FileFailure::TooLarge,
            FileError::Forged | FileError::BadKey(_) => FileFailure::Forged,
        })
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        tracing::warn!(kind = %error.kind(), "a file could not be written");
        Self::from(if error.kind() == std::io::ErrorKind::StorageFull {
            FileFailure::DiskFull
        } else {
            FileFailure::NotStored
        })
    }
}

/// A file that is here and checked.
struct Kept {
    unfinished: disk::Unfinished,
    stored: String,
    size: u64,
    picture: Option<picture::Known>,
}

/// Clears away what an end in disorder left behind.
pub(crate) async fn begin(core: &Core) -> Result<()> {
    let known = files::stored(&mut *core.store.read().await?).await?;
    let (kept, opened) = (core.profile.files(), core.profile.opened());
    on_disk("clearing away", move || {
        disk::clear(&opened)?;
        disk::sweep(&kept, |name| known.contains(name))
    })
    .await
}

/// Ends what is under way, and removes what other programs were handed.
pub(crate) async fn end(core: &Core) {
    core.fetching.stop_all().await;
    let opened = core.profile.opened();
    if let Err(error) = on_disk("clearing away", move || disk::clear(&opened)).await {
        log_failure("removing opened files", &error);
    }
}

/// Fetches a file. Errors: `not_agreed` if the person has to say first that this host may be asked or that so much may
/// come, `too_large`, `not_supported` if nothing opens it, `invalid_params` if it is here.
pub(crate) async fn fetch(core: &Arc<Core>, file: FileId, agreed: &Agreed) -> Result<()> {
    let mut db = core.store.read().await?;
    let sealed = files::get(&mut db, file).await?;
    // Nobody learns that we are here by sending us a file (product.md: nothing is fetched from strangers).
    let acquainted = sealed.direction == Direction::Out
        || contacts::get(&mut db, sealed.account, &sealed.with)
            .await?
            .is_some()
        || messages::wrote_in(&mut db, sealed.chat).await?;
    drop(db);
    let plan = plan(&sealed, acquainted, agreed)?;
    let route = account::route(core, sealed.account).await?;
    core.fetching.begin(file, |attempt| {
        let core = Arc::clone(core);
        async move {
            let outcome = fetch_any(&core, &sealed, &plan, &route, attempt).await;
            if let Err(error) = conclude(&core, &sealed, outcome, attempt).await {
                core.fetching.ended(sealed.file, attempt);
                log_failure("keeping a file", &error);
            }
        }
    });
    tell(core, file).await
}

/// Ends the fetching of a file, if it is under way.
pub(crate) async fn cancel(core: &Core, file: FileId) -> Result<()> {
    files::get(&mut *core.store.read().await?, file).await?;
    if core.fetching.stop(file).await {
        tell(core, file).await?;
    }
    Ok(())
}

fn plan(sealed: &Sealed, acquainted: bool, agreed: &Agreed) -> Result<Plan> {
    if sealed.state == FileState::Ready {
        return Err(Error::invalid("the file is here already"));
    }
    let key = sealed
        .key
        .clone()
        .ok_or_else(|| Error::new(Code::NotSupported, "nothing opens this file"))?;
    let agrees = agreed.host.is_some() && agreed.host == sealed.host;
    let elsewhere = sealed.failure == Some(FileFailure::Elsewhere);
    if (!acquainted || elsewhere) && !agrees {
        return Err(Error::new(
            Code::NotAgreed,
            "the person has not agreed to ask this host",
        ));
    }
    let told = sealed.size.into_iter().chain(key.size()).max();
    let allowed = agreed.size.unwrap_or(UNASKED).clamp(UNASKED, MOST);
    match told {
        Some(told) if told > MOST => return Err(Error::new(Code::TooLarge, "no file is as large as this")),
        Some(told) if told > allowed => {
            return Err(Error::new(
                Code::NotAgreed,
                "the person has not agreed to take so much",
            ));
        }
        _ => {}
    }
    let mut sources: Vec<Url> = sealed
        .sources
        .iter()
        .filter_map(|url| Url::parse(url).ok())
        .collect();
    let mut hosts: Vec<String> = agreed.host.iter().cloned().collect();
    if acquainted {
        hosts.extend(sources.iter().map(file_sharing::host));
    } else if !elsewhere {
        sources.retain(|url| Some(file_sharing::host(url)) == agreed.host);
    } else {
        // Whom it was asked of before was agreed to then.
        hosts.extend(sources.iter().take(1).map(file_sharing::host));
        sources.truncate(1);
    }
    Ok(Plan {
        limit: key.size().unwrap_or(allowed) + BEHIND,
        key,
        sources,
        hosts,
    })
}

/// The first place that has it will do; of several failures the last one is told.
async fn fetch_any(
    core: &Core,
    sealed: &Sealed,
    plan: &Plan,
    route: &Route,
    attempt: u64,
) -> std::result::Result<Kept, Failure> {
    let mut outcome = Err(Failure::from(FileFailure::Gone));
    for url in &plan.sources {
        outcome = fetch_from(core, sealed, plan, route, url, attempt).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

async fn fetch_from(
    core: &Core,
    sealed: &Sealed,
    plan: &Plan,
    route: &Route,
    url: &Url,
    attempt: u64,
) -> std::result::Result<Kept, Failure> {
    let too_large = |size: Option<u64>| Failure {
        size,
        ..Failure::from(FileFailure::TooLarge)
    };
    let mut body = http::get(url, route, |host| plan.hosts.iter().any(|known| known == host)).await?;
    if let Some(length) = body.length.filter(|length| *length > plan.limit) {
        // What was told of the file is not what the server has; only where nothing was told, there is something to learn.
        return Err(too_large(plan.key.size().is_none().then_some(length)));
    }
    let stored = random_id().map_err(|_| FileFailure::NotStored)?;
    let folder = core.profile.files();
    disk::folder(&folder).map_err(|_| FileFailure::NotStored)?;
    let (unfinished, file) = disk::Unfinished::create(folder.join(&stored))?;
    let mut file = fs::File::from_std(file);
    let mut opening = Opening::new(&plan.key);
    let (mut received, mut told) = (0, Instant::now());
    while let Some(piece) = body.next().await? {
        received += piece.len() as u64;
        if received > plan.limit {
            return Err(too_large(None));
        }
        opening.take(&piece)?;
        file.write_all(&piece).await?;
        if told.elapsed() >= TOLD_EVERY {
            told = Instant::now();
            core.fetching.received(sealed.file, attempt, received);
            if let Err(error) = tell(core, sealed.file).await {
                log_failure("telling how far a file is", &error);
            }
        }
    }
    let (size, picture) = opening.finish()?;
    file.sync_all().await?;
    Ok(Kept {
        unfinished,
        stored,
        size,
        picture,
    })
}

/// Opens a file only to see whether it is the right one, and whether it is a picture.
struct Opening {
    opener: FileOpener,
    opened: Vec<u8>,
    /// The file itself, as long as it may be a picture.
    picture: Option<Vec<u8>>,
}

impl Opening {
    fn new(key: &FileKey) -> Self {
        Self {
            opener: FileOpener::new(key),
            opened: Vec::new(),
            picture: Some(Vec::new()),
        }
    }

    fn take(&mut self, piece: &[u8]) -> std::result::Result<(), FileError> {
        self.opened.clear();
        self.opener.update(piece, &mut self.opened)?;
        look(&mut self.picture, &self.opened);
        Ok(())
    }

    fn finish(mut self) -> std::result::Result<(u64, Option<picture::Known>), FileError> {
        self.opened.clear();
        let size = self.opener.finish(&mut self.opened)?;
        look(&mut self.picture, &self.opened);
        Ok((size, self.picture.as_deref().and_then(picture::read)))
    }
}

fn look(picture: &mut Option<Vec<u8>>, opened: &[u8]) {
    let Some(file) = picture else { return };
    file.extend_from_slice(opened);
    if file.len() > picture::LARGEST || file.len() >= picture::ENOUGH && picture::kind(file).is_none() {
        *picture = None;
    }
}

/// Stores what came of it, and tells.
async fn conclude(
    core: &Core,
    sealed: &Sealed,
    outcome: std::result::Result<Kept, Failure>,
    attempt: u64,
) -> Result<()> {
    let mut write = core.store.write().await?;
    match outcome {
        Ok(kept) => {
            files::ready(&mut write, sealed.file, &kept.stored, kept.size, kept.picture).await?;
            write.commit().await?;
            kept.unfinished.keep();
        }
        Err(failure) => {
            tracing::info!(why = failure.why.word(), "a file could not be fetched");
            let host = failure.host.as_deref();
            files::failed(&mut write, sealed.file, failure.why, host, failure.size).await?;
            write.commit().await?;
        }
    }
    core.fetching.ended(sealed.file, attempt);
    tell(core, sealed.file).await
}

/// Tells how a file stands, by its message.
async fn tell(core: &Core, file: FileId) -> Result<()> {
    let sealed = files::get(&mut *core.store.read().await?, file).await?;
    let mut changes = Changes::default();
    changes.messages.insert(sealed.message);
    publish(core, sealed.account, changes).await
}

/// What opens a file that is here.
struct Here {
    sealed: Sealed,
    key: FileKey,
    path: PathBuf,
}

async fn here(core: &Core, file: FileId) -> Result<Here> {
    let mut sealed = files::get(&mut *core.store.read().await?, file).await?;
    match (sealed.key.take(), sealed.stored.take()) {
        (Some(key), Some(stored)) => Ok(Here {
            sealed,
            key,
            path: core.profile.files().join(stored),
        }),
        _ => Err(Error::new(Code::NotFound, "the file has not been fetched")),
    }
}

/// Opens a file into a folder of the person's. Gives its path.
pub(crate) async fn save(core: &Core, file: FileId) -> Result<PathBuf> {
    let here = here(core, file).await?;
    let folder = core
        .downloads
        .clone()
        .ok_or_else(|| Error::new(Code::Storage, "this system has no folder for downloads"))?;
    save_into(core, here, folder).await
}

/// Opens a file for another program, in a folder of its own that is removed when Waxwing ends. Gives its path.
pub(crate) async fn hand_over(core: &Core, file: FileId) -> Result<PathBuf> {
    let here = here(core, file).await?;
    let opened = core.profile.opened();
    disk::folder(&opened)?;
    let folder = opened.join(random_id()?);
    disk::folder(&folder)?;
    save_into(core, here, folder).await
}

async fn save_into(core: &Core, here: Here, folder: PathBuf) -> Result<PathBuf> {
    let Here { sealed, key, path } = here;
    let name = sealed.name.clone();
    let saved = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&folder).map_err(NotOpened::Io)?;
        disk::save(&path, &key, &folder, &name)
    });
    match saved
        .await
        .map_err(|_| Error::new(Code::Internal, "saving a file broke off"))?
    {
        Ok(path) => Ok(path),
        Err(not_opened) => Err(why_not(core, &sealed, not_opened).await?),
    }
}

/// What the person is told. A file that is lost can be fetched again.
async fn why_not(core: &Core, sealed: &Sealed, not_opened: NotOpened) -> Result<Error> {
    match not_opened {
        NotOpened::Io(error) => Ok(disk::fault("writing the file", &error)),
        NotOpened::Lost => {
            let mut write = core.store.write().await?;
            files::failed(&mut write, sealed.file, FileFailure::Lost, None, None).await?;
            write.commit().await?;
            tell(core, sealed.file).await?;
            Ok(Error::not_found("file on disk any more"))
        }
    }
}

/// The pictures that the window may load, each by a word that nobody can guess.
#[derive(Default)]
pub(crate) struct Pictures(Mutex<VecDeque<(String, FileId)>>);

impl Pictures {
    fn grant(&self, file: FileId) -> Result<String> {
        let token = random_id()?;
        let mut granted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        granted.push_back((token.clone(), file));
        if granted.len() > SHOWN {
            granted.pop_front();
        }
        Ok(token)
    }

    fn of(&self, token: &str) -> Option<FileId> {
        let granted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        granted
            .iter()
            .find(|(known, _)| known == token)
            .map(|(_, file)| *file)
    }
}

/// Allows the window to load a picture. Gives the word to load it by. Errors: `not_found` if it is no picture.
pub(crate) async fn grant(core: &Core, file: FileId) -> Result<String> {
    let here = here(core, file).await?;
    if here.sealed.picture.is_none() {
        return Err(Error::not_found("picture"));
    }
    core.pictures.grant(file)
}

/// A picture that was granted, opened in memory, with its type.
pub(crate) async fn picture(core: &Core, token: &str) -> Result<(Vec<u8>, String)> {
    let file = core
        .pictures
        .of(token)
        .ok_or_else(|| Error::not_found("picture"))?;
    let Here { sealed, key, path } = here(core, file).await?;
    let opened = tokio::task::spawn_blocking(move || {
        let mut picture = Vec::new();
        disk::unseal(&path, &key, |piece| {
            picture.extend_from_slice(piece);
            Ok(())
        })
        .map(|_| picture)
    });
    match opened
        .await
        .map_err(|_| Error::new(Code::Internal, "opening a picture broke off"))?
    {
        Ok(picture) => {
            let kind = sealed.picture.ok_or_else(|| Error::not_found("picture"))?;
            Ok((picture, kind))
        }
        Err(not_opened) => Err(why_not(core, &sealed, not_opened).await?),
    }
}

/// An account is about to be removed: nothing of it is fetched any more. Gives what is to be removed with it.
pub(crate) async fn leave(core: &Core, account: AccountId) -> Result<Vec<PathBuf>> {
    let of_account = files::of_account(&mut *core.store.read().await?, account).await?;
    let mut kept = Vec::new();
    for (file, stored) in of_account {
        core.fetching.stop(file).await;
        kept.extend(stored.map(|stored| core.profile.files().join(stored)));
    }
    Ok(kept)
}

/// Removes files that no message tells of any more.
pub(crate) async fn remove(kept: Vec<PathBuf>) -> Result<()> {
    on_disk("removing files", move || {
        kept.iter().try_for_each(|path| disk::remove(path))
    })
    .await
}

async fn on_disk(
    doing: &'static str,
    work: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<()> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::new(Code::Internal, "work on disk broke off"))?
        .map_err(|error| disk::fault(doing, &error))
}

#[cfg(test)]
mod tests {
    use waxwing_omemo::FileCipher;
    use zeroize::Zeroizing;

    use super::*;
    use crate::model::{ChatId, MessageId};

    fn sealed(told: Option<u64>) -> Sealed {
        let key = Zeroizing::new(vec![1; 32]);
        Sealed {
            file: FileId(1),
            message: MessageId(1),
            chat: ChatId(1),
            account: AccountId(1),
            with: "juliet@capulet.lit".parse().expect("an address"),
            direction: Direction::In,
            name: "a".to_owned(),
            size: told,
            state: FileState::Offered,
            failure: None,
            host: Some("one.example".to_owned()),
            sources: ["https://one.example/a", "https://two.example/a"]
                .map(str::to_owned)
                .into(),
            key: FileKey::new(FileCipher::Aes256Gcm, key, vec![2; 12], told, Vec::new()).ok(),
            stored: None,
            picture: None,
        }
    }

    fn agreed(host: Option<&str>, size: Option<u64>) -> Agreed {
        Agreed {
            host: host.map(str::to_owned),
            size,
        }
    }

    /// Who may be asked, and how much is taken; or the code of the refusal.
    fn planned(
        sealed: &Sealed,
        acquainted: bool,
        agreed: &Agreed,
    ) -> std::result::Result<(Vec<String>, u64), Code> {
        let plan = plan(sealed, acquainted, agreed).map_err(|error| error.code)?;
        assert!(
            plan.sources
                .iter()
                .all(|url| plan.hosts.contains(&file_sharing::host(url)))
        );
        Ok((plan.sources.iter().map(file_sharing::host).collect(), plan.limit))
    }

    #[test]
    fn who_may_be_asked_depends_on_who_sent_it_and_what_was_agreed_to() {
        let both = || vec!["one.example".to_owned(), "two.example".to_owned()];
        let one = || vec!["one.example".to_owned()];
        let file = sealed(Some(10));
        for (acquainted, host, hosts) in [
            (true, None, Ok(both())),
            (false, None, Err(Code::NotAgreed)),
            (false, Some("two.example"), Err(Code::NotAgreed)),
            (false, Some("one.example"), Ok(one())),
        ] {
            let planned = planned(&file, acquainted, &agreed(host, None));
            assert_eq!(planned.map(|(hosts, _)| hosts), hosts, "{acquainted} {host:?}");
        }
        let moved = Sealed {
            host: Some("cdn.example".to_owned()),
            failure: Some(FileFailure::Elsewhere),
            ..sealed(Some(10))
        };
        for acquainted in [true, false] {
            for host in [None, Some("one.example")] {
                assert_eq!(
                    planned(&moved, acquainted, &agreed(host, None)),
                    Err(Code::NotAgreed)
                );
            }
            let plan = plan(&moved, acquainted, &agreed(Some("cdn.example"), None)).expect("agreed");
            assert!(plan.hosts.contains(&"cdn.example".to_owned()));
            assert_eq!(plan.hosts.contains(&"two.example".to_owned()), acquainted);
        }
    }

    #[test]
    fn how_much_is_taken_depends_on_what_was_told_and_agreed_to() {
        for (told, size, limit) in [
            (Some(10), None, Ok(10 + BEHIND)),
            (Some(10), Some(u64::MAX), Ok(10 + BEHIND)),
            (Some(UNASKED), None, Ok(UNASKED + BEHIND)),
            (Some(UNASKED + 1), None, Err(Code::NotAgreed)),
            (Some(UNASKED + 1), Some(UNASKED), Err(Code::NotAgreed)),
            (Some(UNASKED + 1), Some(UNASKED + 1), Ok(UNASKED + 1 + BEHIND)),
            (Some(MOST), Some(MOST), Ok(MOST + BEHIND)),
            (Some(MOST + 1), Some(u64::MAX), Err(Code::TooLarge)),
            (None, None, Ok(UNASKED + BEHIND)),
            (None, Some(5), Ok(UNASKED + BEHIND)),
            (None, Some(u64::MAX), Ok(MOST + BEHIND)),
        ] {
            let planned = planned(&sealed(told), true, &agreed(None, size));
            assert_eq!(planned.map(|(_, limit)| limit), limit, "{told:?} {size:?}");
        }
        // What the server said meanwhile counts too.
        let found = Sealed {
            size: Some(UNASKED + 1),
            ..sealed(None)
        };
        assert_eq!(planned(&found, true, &agreed(None, None)), Err(Code::NotAgreed));
        let agreed_size = agreed(None, Some(UNASKED + 1));
        assert_eq!(
            planned(&found, true, &agreed_size).map(|(_, limit)| limit),
            Ok(UNASKED + 1 + BEHIND)
        );
    }

    #[test]
    fn what_is_here_or_cannot_be_opened_is_not_fetched() {
        let here = Sealed {
            state: FileState::Ready,
            ..sealed(None)
        };
        assert_eq!(planned(&here, true, &Agreed::default()), Err(Code::InvalidParams));
        let unopened = Sealed {
            key: None,
            ..sealed(None)
        };
        assert_eq!(
            planned(&unopened, true, &Agreed::default()),
            Err(Code::NotSupported)
        );
    }
}
