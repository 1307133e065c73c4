//! One task per account owns its connection: it connects, tries again, and while online selects over a closed set:
//! what comes from the server, commands, a full outbox, time.

mod answers;
mod archive;
mod archive_page;
mod archive_preferences;
mod batch;
mod conflicts;
mod devices;
mod doctor;
mod encryption;
mod failures;
mod faults;
mod healing;
mod iq;
mod keys;
mod login;
mod message;
mod online;
mod outbox;
mod presence;
mod publishing;
mod reach;
#[cfg(test)]
mod reach_and_lock;
mod reading;
mod receive;
mod renewal;
mod report;
mod roster;
mod session;
mod too_early;
mod untold;
mod vouching;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use waxwing_omemo::DeviceId;
use waxwing_stream::{ConnectError, Connection, Disconnected, Login, Retry, StreamCondition};

use self::conflicts::Conflicts;
pub(crate) use self::doctor::{Patient, encryption_report};
use self::failures::Failures;
pub(crate) use self::login::{Route, route, to_invalidate_token};
use self::online::{End, Left, Online};
pub(crate) use self::reach::show_devices;
pub(crate) use self::report::Report;
pub(crate) use self::vouching::{decide as decide_trust, expect as expect_trust};
use crate::error::{Code, Error, Fault, Result};
use crate::model::{AccountId, ArchivePreferences, BareJid, ConnectionState, EncryptionReport};
use crate::store::accounts;
use crate::{Core, log_failure, publish};

/// A password that was good before is tried so often before the person is asked.
const PASSWORDS: u32 = 3;
/// A server that is slow makes a session of an attempt that was given up at most so much later.
const LATE: Duration = Duration::from_secs(120);
/// Attempts that somebody writing a message sets off keep this distance.
const AT_LEAST: Duration = Duration::from_secs(2);
/// After so long an attempt to connect is given up if the network is another one by then.
const STALE: Duration = Duration::from_secs(15);
/// A connection that breaks sooner than this was hardly one.
const BRIEF: Duration = Duration::from_secs(5);
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
    /// The person looks at a chat.
    LooksAtChat,
    /// Send devices what they are owed.
    PayDue,
    /// Take another device of ours off our own lists.
    RemoveDevice {
        device: DeviceId,
        done: Reply,
    },
    /// Say how the encryption of a chat stands.
    EncryptionReport {
        patient: Patient,
        done: oneshot::Sender<Result<EncryptionReport>>,
    },
    /// Read the device lists of somebody and our own again, and keys that could not be had.
    ReadDevicesAgain {
        address: BareJid,
    },
    /// Publish our own keys again.
    RepublishKeys,
    /// Find out what the server keeps, after setting it if it is given.
    ArchivePreferences {
        set: Option<ArchivePreferences>,
        done: oneshot::Sender<Result<ArchivePreferences>>,
    },
    /// Say how the account is connected.
    Report {
        done: oneshot::Sender<Report>,
    },
    /// Something was read on this device.
    Read,
    /// The person began or ceased to look.
    Activity,
    /// The machine woke up or the network changed: see at once whether the connection lives.
    Check,
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

/// Tells all accounts that have a task.
pub(crate) async fn tell_all(core: &Core, command: impl Fn() -> Command) {
    let all: Vec<_> = core
        .running
        .lock()
        .await
        .values()
        .map(|running| running.commands.clone())
        .collect();
    for commands in all {
        // A task that is just ending needs to know nothing more.
        let _ = commands.send(command()).await;
    }
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
        given_up: None,
        conflicts: Conflicts::default(),
    };
    let own = Arc::clone(core);
    let task = tokio::spawn(async move {
        // In a task of its own, so that its failure is seen and shown.
        match tokio::spawn(task.run()).await {
            Ok(()) => tracing::info!(account = account.0, "the account's task has ended"),
            Err(error) => {
                tracing::error!(account = account.0, %error, "the account's task failed");
                let fault = Fault::new(Code::Internal, "the account's task failed");
                set_state(&own, account, ConnectionState::Failed, Set(Some(fault))).await;
            }
        }
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
    /// When an attempt was last given up of which the server may still make a session.
    given_up: Option<Instant>,
    conflicts: Conflicts,
}

/// What a task without a connection is told.
enum Told {
    Stop,
    /// Something changed that may make the next attempt succeed.
    Reconnect,
    /// The machine woke up or the network changed.
    Check,
}

impl Task {
    async fn run(mut self) {
        let mut failures = Failures::default();
        match session::restore(&self.core, self.account).await {
            Ok(left) => self.left = left,
            Err(error) => log_failure("reading the last session", &error),
        }
        loop {
            self.set_state(ConnectionState::Connecting, Keep).await;
            let login = match login::prepare(&self.core, self.account, &self.left).await {
                Ok(login) => login,
                Err(error) => {
                    log_failure("reading the account", &error);
                    self.set_state(ConnectionState::Connecting, Set(Some(error)))
                        .await;
                    let failed = failures.count(Retry::BackOff);
                    match self.pause(Retry::BackOff, failed, Instant::now(), None).await {
                        Some(Told::Stop) => break,
                        _ => continue,
                    }
                }
            };
            let began = Instant::now();
            let connected = {
                let mut connecting = Box::pin(waxwing_stream::connect(&login));
                loop {
                    tokio::select! {
                        connected = &mut connecting => break Ok(connected),
                        told = self.told() => match told {
                            // A young attempt finds its way over the new network by itself.
                            Told::Check if began.elapsed() < STALE => {}
                            told => break Err(told),
                        },
                    }
                }
            };
            let connected = match connected {
                Ok(connected) => connected,
                Err(Told::Stop) => break,
                Err(Told::Reconnect | Told::Check) => {
                    self.given_up = Some(Instant::now());
                    continue;
                }
            };
            let retry = match connected {
                Ok(connection) => {
                    let since = Instant::now();
                    let end = self.serve(login, connection).await;
                    if since.elapsed() >= STABLE {
                        failures = Failures::default();
                    }
                    match end {
                        End::Stopped => break,
                        End::Again => continue,
                        End::Failed => {
                            // What was taken in and not stored is forgotten again.
                            match session::restore(&self.core, self.account).await {
                                Ok(left) => self.left = left,
                                Err(error) => log_failure("reading the last session", &error),
                            }
                            Retry::BackOff
                        }
                        End::Lost(lost) => {
                            failures.brief = if since.elapsed() < BRIEF {
                                failures.brief + 1
                            } else {
                                0
                            };
                            self.lost(&lost, &mut failures).await
                        }
                    }
                }
                Err(error) => self.refused(&error, &mut failures).await,
            };
            let rest = failures.rest.take();
            match self.pause(retry, failures.count(retry), began, rest).await {
                Some(Told::Stop) => break,
                Some(Told::Reconnect) => {
                    failures = Failures::default();
                    self.conflicts.forget();
                }
                Some(Told::Check) | None => {}
            }
        }
        self.set_state(ConnectionState::Offline, Set(None)).await;
    }

    async fn serve(&mut self, login: Login, connection: Connection) -> End {
        let Left {
            session, restored, ..
        } = std::mem::take(&mut self.left);
        let online = Online {
            core: &self.core,
            account: self.account,
            own: login.address,
            connection,
            session,
            since: jiff::Timestamp::now(),
            active: !login.inactive,
        };
        let (end, left) = online.run(&mut self.commands, &self.outbox, restored).await;
        self.left = left;
        end
    }

    /// Waits for a command that matters while there is no connection.
    async fn told(&mut self) -> Told {
        loop {
            match self.commands.recv().await {
                None | Some(Command::Stop) => return Told::Stop,
                Some(Command::Reconnect) => return Told::Reconnect,
                Some(Command::Check) => return Told::Check,
                // What is stored is shown and told, and devices are read, once there is a connection. Whoever wants a report
                // hears by the dropped channel that there is none.
                Some(
                    Command::Presence
                    | Command::ReadDevices { .. }
                    | Command::LooksAtChat
                    | Command::PayDue
                    | Command::ReadDevicesAgain { .. }
                    | Command::RepublishKeys
                    | Command::EncryptionReport { .. }
                    | Command::Read
                    | Command::Activity
                    | Command::Report { .. },
                ) => {}
                Some(Command::ArchivePreferences { done, .. }) => {
                    let _ = done.send(Err(Error::new(Code::NotOnline, "the account is not online")));
                }
                Some(
                    Command::PutContact { done, .. }
                    | Command::RemoveContact { done, .. }
                    | Command::AnswerRequest { done, .. }
                    | Command::RemoveDevice { done, .. },
                ) => {
                    let _ = done.send(Err(Error::new(Code::NotOnline, "the account is not online")));
                }
            }
        }
    }

    /// Waits before the next attempt: for a while, or until somebody says so, or writes a message, or the network is
    /// another one. None if the while is over. Whom the person has to tell waits for that, or no longer than a `rest`.
    async fn pause(
        &mut self,
        retry: Retry,
        failures: u32,
        began: Instant,
        rest: Option<Duration>,
    ) -> Option<Told> {
        if retry == Retry::Ask {
            let over = rest.map(|rest| began.max(Instant::now()) + rest);
            let over = async {
                match over {
                    Some(over) => tokio::time::sleep_until(over).await,
                    None => std::future::pending().await,
                }
            };
            tokio::pin!(over);
            loop {
                tokio::select! {
                    told = self.told() => match told {
                        // That would change nothing.
                        Told::Check => {}
                        told => return Some(told),
                    },
                    () = &mut over => return None,
                }
            }
        }
        let mut entropy = [0; 8];
        if let Err(error) = crate::secret::fill(&mut entropy) {
            log_failure("jitter", &error);
        }
        let wait = waxwing_stream::pause(retry, failures, u64::from_le_bytes(entropy));
        let outbox = Arc::clone(&self.outbox);
        let written = async {
            outbox.notified().await;
            // However much is written, attempts keep a distance.
            tokio::time::sleep_until(began + AT_LEAST).await;
        };
        tokio::select! {
            told = self.told() => Some(told),
            () = tokio::time::sleep(wait) => None,
            () = written => {
                // The message still waits to be sent.
                self.outbox.notify_one();
                None
            }
        }
    }

    async fn refused(&mut self, error: &ConnectError, failures: &mut Failures) -> Retry {
        tracing::warn!(account = self.account.0, code = error.code(), "connecting failed");
        let (proven, pinned) = match self.row().await {
            Ok(row) => (row.password_proven, row.accepted_certificate().is_some()),
            Err(error) => {
                log_failure("reading the account", &error);
                (false, false)
            }
        };
        let retry = match error {
            // The person who has just typed it is there and wants to know. A password that was good before may be
            // refused because the server has trouble.
            ConnectError::WrongPassword if proven && failures.passwords + 1 < PASSWORDS => {
                failures.passwords += 1;
                Retry::BackOff
            }
            ConnectError::Policy(_) => failures.breach(),
            ConnectError::ResourceConflict
            | ConnectError::Stream {
                condition: StreamCondition::Conflict,
                ..
            } => self.conflict(failures),
            other => other.retry(),
        };
        if retry != Retry::Ask {
            self.given_up = Some(Instant::now());
        }
        {
            let mut live = self.core.live.write().await;
            let live = live.entry(self.account).or_default();
            live.refused = match error {
                ConnectError::Certificate { presented, .. } => presented.as_deref().cloned(),
                _ => None,
            };
            live.weaker_login = faults::weaker_login(error);
        }
        self.troubled(retry, faults::of_connect(error, pinned)).await;
        retry
    }

    async fn row(&self) -> Result<accounts::AccountRow> {
        accounts::get(&mut *self.core.store.read().await?, self.account).await
    }

    async fn lost(&mut self, lost: &Disconnected, failures: &mut Failures) -> Retry {
        tracing::warn!(
            account = self.account.0,
            code = lost.code(),
            "the connection was lost"
        );
        if let Some(live) = self.core.live.write().await.get_mut(&self.account) {
            live.lost = live.lost.saturating_add(1);
        }
        let retry = match lost {
            Disconnected::Stream {
                condition: StreamCondition::PolicyViolation,
                ..
            } => failures.breach(),
            // Replaced by a session of our own that came late, not by another client of the same name: nobody fights.
            Disconnected::Stream {
                condition: StreamCondition::Conflict,
                ..
            } if self.given_up.take().is_some_and(|at| at.elapsed() < LATE) => Retry::BackOff,
            // Or by one that goes on with a copy of this profile, which shows itself then; or an administrator ended it.
            Disconnected::Stream {
                condition: StreamCondition::Conflict,
                ..
            } => {
                self.give_up_name().await;
                self.conflict(failures)
            }
            // Not the network: the server lets us in and throws us out.
            other if other.retry() == Retry::Soon && failures.brief > 1 => Retry::BackOff,
            other => other.retry(),
        };
        self.troubled(retry, faults::of_loss(lost)).await;
        retry
    }

    async fn troubled(&self, retry: Retry, fault: Fault) {
        let state = match retry {
            Retry::Soon | Retry::BackOff => ConnectionState::Connecting,
            Retry::Ask => ConnectionState::Failed,
        };
        self.set_state(state, Set(Some(fault))).await;
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
        if state == ConnectionState::Online {
            live.refused = None;
            live.weaker_login = None;
        }
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
