//! What goes over an account's wire, kept only while somebody wants to see it. Secrets are masked before it gets here.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::AbortHandle;
use waxwing_stream::{Seen, Tap};

use crate::event::Event;
use crate::model::{AccountId, ConsoleEntry, Way};

/// So many entries are kept for each account.
const ENTRIES: usize = 1_000;
/// And so many bytes of XML.
const BYTES: usize = 8 * 1024 * 1024;
/// So many may be on their way from the wire to here.
const UNDER_WAY: usize = 1_024;

/// The consoles of all accounts.
#[derive(Default)]
pub(crate) struct Consoles(Mutex<HashMap<AccountId, Console>>);

struct Console {
    /// What the account's connections write to. While nobody listens they do nothing.
    tap: Tap,
    listening: Option<Listening>,
}

struct Listening {
    entries: Arc<Mutex<VecDeque<ConsoleEntry>>>,
    task: AbortHandle,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Consoles {
    /// Where an account's connections write to.
    pub(crate) fn tap(&self, account: AccountId) -> Tap {
        self.with(account, |console| console.tap.clone())
    }

    /// Begins to keep what is seen, and to tell it. Nothing changes if it has begun already.
    pub(crate) fn begin(&self, account: AccountId, events: broadcast::Sender<Event>) {
        self.with(account, |console| {
            if console.listening.is_some() {
                return;
            }
            let entries = Arc::new(Mutex::new(VecDeque::new()));
            let task = listen(account, console.tap.subscribe(), Arc::clone(&entries), events);
            console.listening = Some(Listening {
                entries,
                task: tokio::spawn(task).abort_handle(),
            });
        });
    }

    /// Forgets everything and keeps nothing more.
    pub(crate) fn end(&self, account: AccountId) {
        self.with(account, |console| console.listening = None);
    }

    /// The account is gone.
    pub(crate) fn remove(&self, account: AccountId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&account);
    }

    /// What was kept, the oldest first.
    pub(crate) fn entries(&self, account: AccountId) -> Vec<ConsoleEntry> {
        self.with(account, |console| match &console.listening {
            Some(listening) => {
                let entries = listening.entries.lock().unwrap_or_else(PoisonError::into_inner);
                entries.iter().cloned().collect()
            }
            None => Vec::new(),
        })
    }

    fn with<T>(&self, account: AccountId, work: impl FnOnce(&mut Console) -> T) -> T {
        let mut consoles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(consoles.entry(account).or_insert_with(|| Console {
            tap: Tap::new(UNDER_WAY),
            listening: None,
        }))
    }
}

/// Keeps and tells what is seen, in portions.
async fn listen(
    account: AccountId,
    mut seen: broadcast::Receiver<Seen>,
    kept: Arc<Mutex<VecDeque<ConsoleEntry>>>,
    events: broadcast::Sender<Event>,
) {
    let mut number = 0;
    loop {
        let mut portion = match seen.recv().await {
            Ok(first) => vec![first],
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        while portion.len() < 100 {
            match seen.try_recv() {
                Ok(next) => portion.push(next),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let at = Timestamp::now();
        let entries: Vec<ConsoleEntry> = portion
            .into_iter()
            .map(|seen| {
                number += 1;
                ConsoleEntry {
                    number,
                    at,
                    way: match seen.way {
                        waxwing_stream::Way::In => Way::In,
                        waxwing_stream::Way::Out => Way::Out,
                    },
                    xml: seen.xml.to_string(),
                }
            })
            .collect();
        {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(entries.iter().cloned());
            let mut bytes: usize = kept.iter().map(|entry| entry.xml.len()).sum();
            while kept.len() > ENTRIES || bytes > BYTES {
                bytes -= kept.pop_front().map_or(bytes, |entry| entry.xml.len());
            }
        }
        // That nobody watches is no error.
        let _ = events.send(Event::ConsoleSeen { account, entries });
    }
}
