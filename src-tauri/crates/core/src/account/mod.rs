//! One task per account owns its connection: it connects, tries again, and while online selects over a closed set:
//! what comes from the server, commands, a full outbox, time.

mod batch;
mod encryption;
mod iq;
mod keys;
mod online;
mod outbox;
mod publishing;
mod receive;
mod roster;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use waxwing_stream::{
    ConnectError, Connection, Disconnected, Endpoint, Login, Mechanism, Password, Retry, Tls, Trust,
};

use self::online::{End, Left, Online};
use crate::error::{Code, Error, Fault, Result};
use crate::model::{AccountId, BareJid, ConnectionState, TlsMode};
use crate::store::accounts;
use crate::{Core, log_failure, publish};

/// Only after so long a connection counts as good, and the next failure as the first one again.
const STABLE: Duration = Duration::from_secs(60);

/// What an account's task can be told.
pub(crate) enum Command {
    /// Show the presence that is stored.
    Presence,
    /// Adds or renames a contact; without groups they stay.
    PutContact {
        address: BareJid,
        name: Option<String>,
        groups: Option<Vec<String>>,
        done: Reply,
    },
    RemoveContact {
        address: BareJid,
        done: Reply,
    },
    AnswerRequest {
        address: BareJid,
        accept: bool,
        done: Reply,
    },
    /// Find out which devices somebody has.
    ReadDevices {
        address: BareJid,
    },
    /// Password or settings changed: try at once.
    Reconnect,
    Stop,
}

/// Where the outcome of a command goes.
pub(crate) type Reply = oneshot::Sender<Result<()>>;

/// The task of one account.
pub(crate) struct Running {
    commands: mpsc::Sender<Command>,
    outbox: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Running {
    /// Something was put into the outbox.
    pub(crate) fn wake_outbox(&self) {
        self.outbox.notify_one();
    }
}

/// Sends a command to an account's task. Errors: `not_online` if it has none.
pub(crate) async fn command(core: &Core, account: AccountId, command: Command) -> Result<()> {
    let commands = core
        .running
        .lock()
        .await
        .get(&account)
        .map(|running| running.commands.clone());
    let gone = || Error::new(Code::NotOnline, "the account is not online");
    commands.ok_or_else(gone)?.send(command).await.map_err(|_| gone())
}

/// Starts the tasks of all accounts that are switched on.
pub(crate) async fn start_all(core: &Arc<Core>) -> Result<()> {
    let rows = accounts::all(&mut *core.store.read().await?).await?;
    let _one_at_a_time = core.lifecycle.lock().await;
    for row in rows.into_iter().filter(|row| row.enabled) {
        start(core, row.id).await;
    }
    Ok(())
}

/// Starts an account's task. False if it has one already. The caller holds [`Core::lifecycle`].
pub(crate) async fn start(core: &Arc<Core>, account: AccountId) -> bool {
    let mut running = core.running.lock().await;
    if running
        .get(&account)
        .is_some_and(|running| !running.task.is_finished())
    {
        return false;
    }
    let (commands, inbox) = mpsc::channel(64);
    let outbox = Arc::new(Notify::new());
    let task = Task {
        core: Arc::clone(core),
        account,
        commands: inbox,
        outbox: Arc::clone(&outbox),
        left: Left::default(),
    };
    let task = tokio::spawn(async move {
        task.run().await;
        tracing::info!(account = account.0, "the account's task has ended");
    });
    running.insert(
        account,
        Running {
            commands,
            outbox,
            task,
        },
    );
    true
}

/// Ends an account's task and its connection, and waits for it. The caller holds [`Core::lifecycle`].
pub(crate) async fn stop(core: &Core, account: AccountId) {
    let running = core.running.lock().await.remove(&account);
    if let Some(running) = running {
        end(running).await;
    }
}

/// Ends all tasks at the same time.
pub(crate) async fn stop_all(core: &Core) {
    let running: Vec<Running> = core
        .running
        .lock()
        .await
        .drain()
        .map(|(_, running)| running)
        .collect();
    futures::future::join_all(running.into_iter().map(end)).await;
}

async fn end(running: Running) {
    // The task listens for commands wherever it waits; if it is gone already, so is the receiver.
    let _ = running.commands.send(Command::Stop).await;
    if let Err(error) = running.task.await {
        tracing::error!(%error, "an account's task failed");
    }
}

struct Task {
    core: Arc<Core>,
    account: AccountId,
    commands: mpsc::Receiver<Command>,
    outbox: Arc<Notify>,
    /// What the last connection left for the next one.
    left: Left,
}

/// What a task without a connection is told.
enum Told {
    Stop,
    Reconnect,
}

impl Task {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            self.set_state(ConnectionState::Connecting, Keep).await;
            let login = match self.login().await {
                Ok(login) => login,
                Err(error) => {
                    log_failure("reading the account", &error);
                    self.set_state(ConnectionState::Failed, Set(Some(error))).await;
                    return;
                }
            };
            let connected = tokio::select! {
                connected = waxwing_stream::connect(&login) => connected,
                told = self.told() => match told {
                    Told::Stop => break,
                    Told::Reconnect => continue,
                },
            };
            let retry = match connected {
                Ok(connection) => {
                    let since = Instant::now();
                    let end = self.serve(login.address, connection).await;
                    if since.elapsed() >= STABLE {
                        failures = 0;
                    }
                    match end {
                        End::Stopped => break,
                        End::Again => continue,
                        End::Failed => Retry::BackOff,
                        End::Lost(lost) => self.lost(&lost).await,
                    }
                }
                Err(error) => self.refused(&error).await,
            };
            match self.pause(retry, failures).await {
                Some(Told::Stop) => break,
                Some(Told::Reconnect) => failures = 0,
                None => failures += 1,
            }
        }
        self.set_state(ConnectionState::Offline, Set(None)).await;
    }

    async fn serve(&mut self, own: BareJid, connection: Connection) -> End {
        let Left { session, .. } = std::mem::take(&mut self.left);
        let online = Online {
            core: &self.core,
            account: self.account,
            own,
            connection,
            session,
        };
        let (end, left) = online.run(&mut self.commands, &self.outbox).await;
        self.left = left;
        end
    }

    async fn login(&self) -> Result<Login> {
        let mut db = self.core.store.read().await?;
        let row = accounts::get(&mut db, self.account).await?;
        let password = accounts::password(&mut db, self.account).await?;
        let tls = row.tls.map(|tls| match tls {
            TlsMode::Direct => Tls::Direct,
            TlsMode::StartTls => Tls::StartTls,
        });
        let endpoint = (row.host.is_some() || row.port.0.is_some() || tls.is_some()).then_some(Endpoint {
            host: row.host,
            port: row.port.0,
            tls,
        });
        Ok(Login {
            address: row.address.0,
            password: Password::from(password.expose()),
            resource: row.resource,
            endpoint,
            proxy: None,
            last_good: None,
            trust: Trust {
                authorities: Arc::clone(&self.core.extra_roots),
                pinned: None,
            },
            strongest_seen: row.strongest_mechanism.as_deref().and_then(Mechanism::from_name),
            allow_plain: true,
            token: None,
            user_agent: None,
            inactive: false,
            resume: self.left.resumption.clone(),
            tap: None,
        })
    }

    /// Waits for a command that matters while there is no connection.
    async fn told(&mut self) -> Told {
        loop {
            match self.commands.recv().await {
                None | Some(Command::Stop) => return Told::Stop,
                Some(Command::Reconnect) => return Told::Reconnect,
                // The stored presence is shown, and devices are read, once there is a connection.
                Some(Command::Presence | Command::ReadDevices { .. }) => {}
                Some(
                    Command::PutContact { done, .. }
                    | Command::RemoveContact { done, .. }
                    | Command::AnswerRequest { done, .. },
                ) => {
                    let _ = done.send(Err(Error::new(Code::NotOnline, "the account is not online")));
                }
            }
        }
    }

    /// Waits before the next attempt: for a while, or until somebody says so. None if the while is over.
    async fn pause(&mut self, retry: Retry, failures: u32) -> Option<Told> {
        match retry {
            Retry::Ask => Some(self.told().await),
            Retry::Soon | Retry::BackOff => {
                let mut entropy = [0; 8];
                if let Err(error) = crate::secret::fill(&mut entropy) {
                    log_failure("jitter", &error);
                }
                let wait = waxwing_stream::backoff(failures, u64::from_le_bytes(entropy));
                tokio::time::timeout(wait, self.told()).await.ok()
            }
        }
    }

    async fn refused(&mut self, error: &ConnectError) -> Retry {
        tracing::warn!(account = self.account.0, code = error.code(), "connecting failed");
        let retry = error.retry();
        let state = match retry {
            Retry::Soon | Retry::BackOff => ConnectionState::Connecting,
            Retry::Ask => ConnectionState::Failed,
        };
        self.set_state(state, Set(Some(connect_fault(error)))).await;
        retry
    }

    async fn lost(&mut self, lost: &Disconnected) -> Retry {
        tracing::warn!(
            account = self.account.0,
            code = lost.code(),
            "the connection was lost"
        );
        let retry = lost.retry();
        let state = match retry {
            Retry::Soon | Retry::BackOff => ConnectionState::Connecting,
            Retry::Ask => ConnectionState::Failed,
        };
        self.set_state(state, Set(Some(lost_fault(lost)))).await;
        retry
    }

    async fn set_state(&self, state: ConnectionState, error: ErrorChange) {
        set_state(&self.core, self.account, state, error).await;
    }
}

/// Whether a change of state changes the error beside it.
enum ErrorChange {
    Keep,
    Set(Option<Fault>),
}
use ErrorChange::{Keep, Set};

async fn set_state(core: &Core, account: AccountId, state: ConnectionState, error: ErrorChange) {
    let mut changes = publish::Changes {
        account: true,
        ..publish::Changes::default()
    };
    {
        let mut live = core.live.write().await;
        let live = live.entry(account).or_default();
        let was_online = live.state == ConnectionState::Online;
        live.state = state;
        if let Set(error) = error {
            live.error = error;
        }
        if was_online != (state == ConnectionState::Online) {
            changes.contacts = live.presences.keys().cloned().collect();
        }
    }
    // The account may have been removed meanwhile.
    if let Err(error) = publish::publish(core, account, changes).await {
        tracing::debug!(%error, "the state of an account could not be shown");
    }
}

fn connect_fault(error: &ConnectError) -> Fault {
    use waxwing_stream::CertificateProblem as Certificate;
    let code = match error {
        ConnectError::Dns(_) | ConnectError::NoServer | ConnectError::HostUnknown => Code::ServerNotFound,
        ConnectError::Unreachable(_) | ConnectError::Io(_) => Code::Unreachable,
        ConnectError::Timeout(_) => Code::Timeout,
        ConnectError::Certificate { problem, .. } => match problem {
            Certificate::UnknownIssuer => Code::CertificateUnknownIssuer,
            Certificate::WrongName => Code::CertificateWrongName,
            Certificate::Expired | Certificate::NotYetValid => Code::CertificateExpired,
            Certificate::Revoked | Certificate::Other(_) => Code::CertificateInvalid,
        },
        ConnectError::Proxy(_) | ConnectError::ProxyRefused => Code::Unreachable,
        ConnectError::PlainOnly => Code::LoginUnsupported,
        ConnectError::Tls(_) => Code::TlsFailed,
        ConnectError::NoEncryption => Code::TlsUnavailable,
        ConnectError::WrongPassword => Code::WrongPassword,
        ConnectError::AccountDisabled => Code::AccountDisabled,
        ConnectError::Downgrade { .. } => Code::LoginWeakened,
        ConnectError::NoMechanism => Code::LoginUnsupported,
        ConnectError::ServerLied(_) => Code::ServerUntrustworthy,
        ConnectError::ResourceConflict => Code::Conflict,
        ConnectError::Policy(_) => Code::PolicyViolation,
        ConnectError::TemporaryAuthFailure | ConnectError::Stream { .. } | ConnectError::Protocol(_) => {
            Code::StreamFailed
        }
    };
    Fault::new(code, error.to_string())
}

fn lost_fault(lost: &Disconnected) -> Fault {
    use waxwing_stream::StreamCondition as Condition;
    let code = match lost {
        Disconnected::Stream { condition, .. } => match condition {
            Condition::Conflict => Code::Conflict,
            Condition::PolicyViolation => Code::PolicyViolation,
            Condition::SystemShutdown | Condition::Reset => Code::ServerShutdown,
            Condition::NotAuthorized => Code::WrongPassword,
            Condition::HostGone | Condition::HostUnknown => Code::ServerNotFound,
            _ => Code::StreamFailed,
        },
        Disconnected::Closed | Disconnected::Io(_) | Disconnected::Silent => Code::Disconnected,
        Disconnected::Broken(_) | Disconnected::AckAhead { .. } => Code::StreamFailed,
    };
    Fault::new(code, lost.to_string())
}
