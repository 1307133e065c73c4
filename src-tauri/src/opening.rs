//! Opening the profile: with the keychain's key, or else with a passphrase that the window asks for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tauri::{AppHandle, Manager};
use tokio::sync::{Mutex, watch};
use waxwing_core::Core;
use waxwing_core::error::{Code, Error, Result};
use waxwing_core::launch::Launch;
use waxwing_core::profile::{KeySource, Opening, Profile};
use waxwing_core::secret::Secret;

/// A keychain may ask the person for its own password first.
const KEYCHAIN_LIMIT: Duration = Duration::from_secs(120);

/// How far the profile is open; every command waits here.
pub(crate) struct Door {
    stage: watch::Sender<Stage>,
    /// The locked profile until it is opened; held while somebody tries.
    profile: Arc<Mutex<Option<Arc<Profile>>>>,
    launch: Launch,
}

#[derive(Clone)]
enum Stage {
    Trying,
    Closed(Opening),
    Open(Arc<Core>),
}

impl Door {
    /// Begins to open the profile; does not wait.
    pub(crate) fn open(app: &AppHandle, launch: Launch) -> Self {
        let (stage, _) = watch::channel(Stage::Trying);
        let door = Self {
            stage,
            profile: Arc::default(),
            launch: launch.clone(),
        };
        let (stage, profile) = (door.stage.clone(), Arc::clone(&door.profile));
        let folder = launch
            .profile
            .clone()
            .map_or_else(|| app.path().app_data_dir(), Ok);
        tauri::async_runtime::spawn(async move {
            let opened = match folder {
                Ok(folder) => first_try(&launch, folder, &profile).await,
                Err(error) => Err(Opening::Failed {
                    fault: Error::new(
                        Code::Storage,
                        format!("there is no folder for the profile: {error}"),
                    ),
                }),
            };
            stage.send_replace(match opened {
                Ok(core) => Stage::Open(core),
                Err(opening) => Stage::Closed(opening),
            });
        });
        door
    }

    /// How it stands, once the first try is over.
    pub(crate) async fn state(&self) -> Opening {
        let mut stage = self.stage.subscribe();
        match stage
            .wait_for(|stage| !matches!(stage, Stage::Trying))
            .await
            .as_deref()
        {
            Ok(Stage::Open(_)) => Opening::Ready,
            Ok(Stage::Closed(opening)) => opening.clone(),
            Ok(Stage::Trying) | Err(_) => Opening::Failed {
                fault: Error::new(Code::Internal, "the profile is not being opened"),
            },
        }
    }

    /// Opens the profile with a passphrase. Errors: those of [`Profile::key`] and [`Core::open`].
    pub(crate) async fn unlock(&self, passphrase: Secret) -> Result<Opening> {
        let mut locked = self.profile.lock().await;
        let Some(profile) = &*locked else {
            return Ok(self.state().await);
        };
        let core = open(
            Arc::clone(profile),
            KeySource::Passphrase(passphrase),
            &self.launch,
        )
        .await?;
        *locked = None;
        self.stage.send_replace(Stage::Open(core));
        Ok(Opening::Ready)
    }

    /// The core, as soon as the profile is open.
    pub(crate) async fn core(&self) -> Result<Arc<Core>> {
        let mut stage = self.stage.subscribe();
        match stage
            .wait_for(|stage| matches!(stage, Stage::Open(_)))
            .await
            .as_deref()
        {
            Ok(Stage::Open(core)) => Ok(Arc::clone(core)),
            _ => Err(Error::new(Code::Internal, "the profile was never opened")),
        }
    }

    /// Ends all connections and closes the database.
    pub(crate) async fn close(&self) {
        let core = match &*self.stage.borrow() {
            Stage::Open(core) => Some(Arc::clone(core)),
            Stage::Trying | Stage::Closed(_) => None,
        };
        if let Some(core) = core {
            core.close().await;
        }
    }
}

async fn first_try(
    launch: &Launch,
    folder: PathBuf,
    locked: &Mutex<Option<Arc<Profile>>>,
) -> std::result::Result<Arc<Core>, Opening> {
    let failed = |fault| Opening::Failed { fault };
    let profile = Arc::new(Profile::lock(&folder).map_err(failed)?);
    let source = launch.key_source().map_err(failed)?;
    let has_passphrase = profile.needs_passphrase().map_err(failed)?;
    if has_passphrase == Some(true) && matches!(source, KeySource::Keychain) {
        *locked.lock().await = Some(profile);
        return Err(Opening::PassphraseNeeded { first: false });
    }
    match open(Arc::clone(&profile), source, launch).await {
        Ok(core) => Ok(core),
        Err(error) if error.code == Code::KeychainUnavailable && has_passphrase.is_none() => {
            tracing::warn!(%error, "no keychain");
            *locked.lock().await = Some(profile);
            Err(Opening::PassphraseNeeded { first: true })
        }
        Err(error) => Err(failed(error)),
    }
}

/// The key first, away from the async threads, then the core.
async fn open(profile: Arc<Profile>, source: KeySource, launch: &Launch) -> Result<Arc<Core>> {
    let keyed = Arc::clone(&profile);
    let finding = tauri::async_runtime::spawn_blocking(move || keyed.key(&source));
    let key = tokio::time::timeout(KEYCHAIN_LIMIT, finding)
        .await
        .map_err(|_| Error::new(Code::KeychainUnavailable, "the keychain does not answer"))?
        .map_err(|error| Error::new(Code::Internal, error.to_string()))??;
    Core::open(
        profile,
        &key,
        launch.ca_file.as_deref(),
        launch.downloads.as_deref(),
    )
    .await
}
