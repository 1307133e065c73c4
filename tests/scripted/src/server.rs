//! A listener whose connections follow a script, and what they heard.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::honest::Honest;
use crate::login::Token;
use crate::peer::Peer;
use crate::session::Sessions;

/// How long [`Server::until`] waits.
const LIMIT: Duration = Duration::from_secs(60);

/// What was said over one connection, while it is being said.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) secured: bool,
    /// Bytes that the server has said.
    pub(crate) said: usize,
    clear: Vec<u8>,
    secure: Vec<u8>,
}

impl Record {
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        if self.secured {
            self.secure.extend(bytes);
        } else {
            self.clear.extend(bytes);
        }
    }
}

/// What a client said over one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Before TLS; what is no UTF-8 is replaced.
    pub clear: String,
    /// Inside TLS.
    pub secure: String,
}

/// What the connections of a server share.
#[derive(Default)]
pub(crate) struct Shared {
    records: Mutex<Vec<Arc<Mutex<Record>>>>,
    pub(crate) sessions: Sessions,
    token: Mutex<Token>,
}

impl Shared {
    pub(crate) fn token(&self) -> MutexGuard<'_, Token> {
        lock(&self.token)
    }
}

/// A listening server; its connections end when it is dropped.
pub struct Server {
    /// The port on 127.0.0.1.
    pub port: u16,
    shared: Arc<Shared>,
    script: Arc<Mutex<Option<Honest>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Plays the script with each connection, all at the same time.
    pub async fn run<F>(script: impl Fn(Peer) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let shared = Arc::<Shared>::default();
        Self::serve(shared, Arc::default(), script).await
    }

    /// Plays an honest server, or one that is so up to a point.
    pub async fn start(honest: Honest) -> Self {
        let shared = Arc::<Shared>::default();
        let script = Arc::new(Mutex::new(Some(honest)));
        let (of_script, of_shared) = (Arc::clone(&script), Arc::clone(&shared));
        Self::serve(shared, script, move |mut peer| {
            let honest = lock(&of_script).clone();
            let shared = Arc::clone(&of_shared);
            async move {
                if let Some(honest) = honest {
                    // That the client left is how each of them ends.
                    let _ = honest.serve(&mut peer, &shared).await;
                }
            }
        })
        .await
    }

    async fn serve<F>(
        shared: Arc<Shared>,
        script: Arc<Mutex<Option<Honest>>>,
        play: impl Fn(Peer) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener
            .local_addr()
            .expect("a bound listener has an address")
            .port();
        let of_task = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((io, _)) = accepted else { continue };
                        let record = Arc::<Mutex<Record>>::default();
                        let number = {
                            let mut records = lock(&of_task.records);
                            records.push(Arc::clone(&record));
                            records.len() - 1
                        };
                        connections.spawn(play(Peer::new(io, number, record)));
                    }
                    Some(_) = connections.join_next(), if !connections.is_empty() => {}
                }
            }
        });
        Self {
            port,
            shared,
            script,
            task,
        }
    }

    /// From the next connection on it is this server, with the sessions of the one before.
    pub fn become_another(&self, honest: Honest) {
        *lock(&self.script) = Some(honest);
    }

    /// Sends a stanza to the client, now or, if it is away, once it has resumed its session.
    pub fn deliver(&self, stanza: impl Into<String>) {
        self.shared.sessions.deliver(stanza.into());
    }

    /// Breaks all connections that are logged in.
    pub fn cut(&self) {
        self.shared.sessions.cut();
    }

    /// How many connections have been made so far.
    pub fn connections(&self) -> usize {
        lock(&self.shared.records).len()
    }

    /// What each connection has said so far, in the order in which they came.
    pub fn heard(&self) -> Vec<Heard> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        lock(&self.shared.records)
            .iter()
            .map(|record| {
                let record = lock(record);
                Heard {
                    clear: text(&record.clear),
                    secure: text(&record.secure),
                }
            })
            .collect()
    }

    /// How many bytes the server has said so far, over all connections.
    pub fn said(&self) -> usize {
        lock(&self.shared.records)
            .iter()
            .map(|record| lock(record).said)
            .sum()
    }

    /// How often a text was said inside TLS, over all connections.
    pub fn count(&self, text: &str) -> usize {
        self.heard()
            .iter()
            .map(|heard| heard.secure.matches(text).count())
            .sum()
    }

    /// Waits until the server has heard enough, or ends the test.
    pub async fn until(&self, what: &str, enough: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !enough(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(
            tokio::time::timeout(LIMIT, waiting).await.is_ok(),
            "the server waited in vain until {what}; it heard {:#?}",
            self.heard()
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
