//! Waxwing without a window: accounts, contacts, chats, encryption, storage. Start reading at [`Core`], [`api`] and
//! [`event`]; `ARCHITECTURE.md` has the map.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use serde_json::Value;
use tokio::sync::{Mutex, RwLock, broadcast};
use tokio::task::JoinHandle;

mod account;
mod actions;
pub mod api;
pub mod bindings;
mod console;
pub mod error;
pub mod event;
mod fail;
mod fetching;
mod files;
mod inbound;
pub mod launch;
mod live;
pub mod model;
mod notices;
pub mod profile;
mod publish;
pub mod request;
mod rollback;
pub mod secret;
mod store;
mod verification;
mod wake;
mod words;
mod xep;

use crate::account::Running;
use crate::console::Consoles;
use crate::error::{Code, Error, Result};
use crate::event::Event;
#[cfg(feature = "fail-points")]
pub use crate::fail::names as fail_points;
use crate::fetching::Fetching;
use crate::files::Pictures;
use crate::live::Live;
use crate::model::AccountId;
use crate::notices::Notices;
use crate::profile::Profile;
use crate::secret::DatabaseKey;
use crate::store::Store;

/// So many events may be waiting for a reader before it is told to read everything anew.
const EVENTS: usize = 8_192;

/// An open profile with all its accounts.
pub struct Core {
    pub(crate) store: Store,
    pub(crate) events: broadcast::Sender<Event>,
    /// What is true of each account only while it lasts: its connection and its contacts' presence. Written by the
    /// account's own task (and for accounts that have none, by the action that adds or removes them).
    pub(crate) live: RwLock<HashMap<AccountId, Live>>,
    /// The tasks that own the connections; locked only to look one up, to add or to remove one.
    pub(crate) running: Mutex<HashMap<AccountId, Running>>,
    /// Held while an account's task is started or stopped: an account never has two.
    pub(crate) lifecycle: Mutex<()>,
    pub(crate) extra_roots: Arc<[CertificateDer<'static>]>,
    /// What goes over the wires, for those who want to see it.
    pub(crate) consoles: Consoles,
    /// What the person was told of while they did not look.
    pub(crate) notices: Notices,
    /// Whether the person is looking; accounts tell it to servers that can make use of it.
    pub(crate) active: AtomicBool,
    /// Which files are being fetched.
    pub(crate) fetching: Fetching,
    /// The pictures that the window may load.
    pub(crate) pictures: Pictures,
    /// Where files are saved; none on a system that has no such folder.
    pub(crate) downloads: Option<PathBuf>,
    /// Looks after the connections when the machine wakes up; ends with the core.
    watch: OnceLock<JoinHandle<()>>,
    /// Keeps other processes out until the core is gone.
    pub(crate) profile: Arc<Profile>,
}

impl Core {
    /// Opens the profile's database and connects the accounts that are switched on. `ca_file` names certificate
    /// authorities (PEM) to trust besides the system's; `downloads` is where files are saved instead of the person's
    /// usual folder.
    /// Errors: those of the database (`wrong_passphrase`, `database_damaged`, `database_newer`, `disk_full`, `storage`);
    /// `invalid_params` if `ca_file` cannot be used.
    pub async fn open(
        profile: Arc<Profile>,
        key: &DatabaseKey,
        ca_file: Option<&Path>,
        downloads: Option<&Path>,
    ) -> Result<Arc<Self>> {
        let extra_roots = match ca_file {
            Some(file) => waxwing_stream::read_ca_file(file)
                .map_err(|error| Error::invalid(format!("the file of certificate authorities {error}")))?
                .into(),
            None => Arc::from([]),
        };
        let store = match Store::open(&profile.database(), key).await {
            // Nobody has typed a passphrase, so none can be wrong.
            Err(error) if error.code == Code::WrongPassphrase && profile.keychain()?.is_some() => {
                return Err(Error::new(Code::DatabaseDamaged, error.text));
            }
            opened => opened?,
        };
        let core = Arc::new(Self {
            store,
            events: broadcast::Sender::new(EVENTS),
            live: RwLock::default(),
            running: Mutex::default(),
            lifecycle: Mutex::default(),
            extra_roots,
            consoles: Consoles::default(),
            notices: Notices::default(),
            active: AtomicBool::new(true),
            fetching: Fetching::default(),
            pictures: Pictures::default(),
            downloads: downloads.map(Path::to_owned).or_else(dirs::download_dir),
            watch: OnceLock::new(),
            profile,
        });
        if let Err(error) = files::begin(&core).await {
            log_failure("clearing away files", &error);
        }
        rollback::opened(&core.profile, &core.store).await?;
        account::start_all(&core).await?;
        let watch = tokio::spawn(wake::watch(Arc::downgrade(&core)));
        core.watch.get_or_init(|| watch);
        Ok(core)
    }

    /// All events from now on, `ready` first.
    pub fn subscribe(&self) -> Events {
        Events {
            first: Some(Event::Ready {
                version: env!("CARGO_PKG_VERSION").to_owned(),
            }),
            receiver: self.events.subscribe(),
        }
    }

    /// Does what a JSON request asks for; see [`api`].
    pub async fn call(self: &Arc<Self>, method: &str, params: Value) -> Result<Value> {
        api::call(self, method, params).await
    }

    /// A picture that the window was granted, by the word that it was given: its bytes and their type.
    /// Errors: `not_found`.
    pub async fn picture(&self, word: &str) -> Result<(Vec<u8>, String)> {
        files::picture(self, word).await
    }

    /// Ends all connections in order and closes the database.
    pub async fn close(&self) {
        if let Some(watch) = self.watch.get() {
            watch.abort();
        }
        let _one_at_a_time = self.lifecycle.lock().await;
        account::stop_all(self).await;
        files::end(self).await;
        if let Err(error) = rollback::closing(&self.profile, &self.store).await {
            log_failure("noting that the profile was closed", &error);
        }
        self.store.close().await;
    }

    /// Tells the watchers; that nobody watches is no error.
    pub(crate) fn emit(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

/// A reader of events.
pub struct Events {
    first: Option<Event>,
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    /// The next event; [`Event::Resync`] if some were missed; none when the core is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Event::Resync {}),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// Whether nothing is there yet.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// What is already there, without waiting.
    pub fn try_next(&mut self) -> Option<Event> {
        match self.receiver.try_recv() {
            Ok(event) => Some(event),
            Err(broadcast::error::TryRecvError::Lagged(_)) => Some(Event::Resync {}),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => None,
        }
    }
}

/// What went wrong in a place that nobody asked from: it is logged, and the connection goes on or starts anew.
pub(crate) fn log_failure(doing: &'static str, error: &Error) {
    match error.code {
        Code::Storage | Code::DiskFull | Code::DatabaseDamaged => {
            tracing::error!(%error, doing, "storage failed");
        }
        _ => tracing::warn!(%error, doing, "failed"),
    }
}
