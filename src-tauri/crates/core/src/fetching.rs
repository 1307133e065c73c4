//! Which files are being fetched, and how far that is: what is true only while it lasts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

use crate::model::{FileId, FileState, Message};

/// The files under way. The lock is held for a moment only.
#[derive(Default)]
pub(crate) struct Fetching(Mutex<State>);

#[derive(Default)]
struct State {
    under_way: BTreeMap<FileId, Fetch>,
    /// Tells one attempt from the next.
    last: u64,
}

struct Fetch {
    attempt: u64,
    received: i64,
    task: JoinHandle<()>,
}

impl Fetching {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to fetch a file, unless that is under way. The work is told which attempt it is.
    pub(crate) fn begin<W>(&self, file: FileId, work: impl FnOnce(u64) -> W)
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let mut state = self.state();
        if state.under_way.contains_key(&file) {
            return;
        }
        state.last += 1;
        let attempt = state.last;
        // It can only end once the lock is free.
        let fetch = Fetch {
            attempt,
            received: 0,
            task: tokio::spawn(work(attempt)),
        };
        state.under_way.insert(file, fetch);
    }

    /// So many bytes have come.
    pub(crate) fn received(&self, file: FileId, attempt: u64, bytes: u64) {
        let mut state = self.state();
        if let Some(fetch) = state
            .under_way
            .get_mut(&file)
            .filter(|fetch| fetch.attempt == attempt)
        {
            fetch.received = i64::try_from(bytes).unwrap_or(i64::MAX);
        }
    }

    /// It has ended by itself.
    pub(crate) fn ended(&self, file: FileId, attempt: u64) {
        let mut state = self.state();
        if state
            .under_way
            .get(&file)
            .is_some_and(|fetch| fetch.attempt == attempt)
        {
            state.under_way.remove(&file);
        }
    }

    /// Ends one; nothing of it is left afterwards. False if it was not under way.
    pub(crate) async fn stop(&self, file: FileId) -> bool {
        let Some(fetch) = self.state().under_way.remove(&file) else {
            return false;
        };
        end(fetch).await;
        true
    }

    /// Ends all.
    pub(crate) async fn stop_all(&self) {
        let all = std::mem::take(&mut self.state().under_way);
        for fetch in all.into_values() {
            end(fetch).await;
        }
    }

    /// Shows in a message which of its files are under way.
    pub(crate) fn show_in(&self, message: &mut Message) {
        if message.files.is_empty() {
            return;
        }
        let state = self.state();
        for file in &mut message.files {
            if let Some(fetch) = state.under_way.get(&file.file) {
                file.state = FileState::Fetching;
                file.failure = None;
                file.received = Some(fetch.received);
            }
        }
    }
}

async fn end(fetch: Fetch) {
    fetch.task.abort();
    if let Err(error) = fetch.task.await
        && error.is_panic()
    {
        tracing::error!(%error, "fetching a file failed");
    }
}
