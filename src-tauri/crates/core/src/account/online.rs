//! An account while it is online.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use minidom::Element;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use waxwing_omemo::{DeviceId, PreKeyId, Profile};
use waxwing_stream::{Connection, Disconnected, Header, Incoming, Resumption, StreamCondition, Violation};

use super::archive::Archive;
use super::batch::Batch;
use super::devices::{LOOKED_LATELY, Lists, Removal, Want, lists_wanted};
use super::iq::Questions;
use super::outbox::Pump;
use super::reading::Reading;
use super::report::Pending;
use super::untold::Untold;
use super::{Command, ErrorChange, keys, publishing, renewal, session, set_state};
use crate::error::{Error, Result};
use crate::fail::{self, Point};
use crate::inbound::{self, Context, Inbound, Sender};
use crate::model::{AccountId, BareJid, ConnectionState, Renewed};
use crate::store::archive;
use crate::store::chats;
use crate::store::omemo;
use crate::store::sessions::{self, SentStanza};
use crate::store::too_early;
use crate::xep::ns;
use crate::{Core, log_failure};

/// So many stanzas are stored in one transaction at most.
const BATCH: usize = 512;
/// And after this time no further one is taken into it: large stanzas take long, and all accounts share one writer.
const BATCH_TIME: Duration = Duration::from_millis(50);
/// How long to wait for the server's last acknowledgements when ending.
const FAREWELL: Duration = Duration::from_secs(2);

/// How a connection ended.
pub(super) enum End {
    /// The task is to end.
    Stopped,
    /// The person wants another attempt, at once.
    Again,
    /// Storage failed; another attempt after a while.
    Failed,
    Lost(Disconnected),
}

/// Why the loop is left.
pub(super) enum Stop {
    Stopped,
    Again,
    Lost(Disconnected),
    Storage(Error),
}

impl From<Disconnected> for Stop {
    fn from(lost: Disconnected) -> Self {
        Self::Lost(lost)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Storage(error)
    }
}

/// What the next connection goes on with.
#[derive(Default)]
pub(super) struct Left {
    pub(super) resumption: Option<Resumption>,
    pub(super) session: Session,
    /// The session comes from the database, with what was sent in it and not acknowledged.
    pub(super) restored: Option<Vec<SentStanza>>,
    /// The name of the session, if the connection stood.
    pub(super) resource: Option<String>,
}

/// What is known and under way in one session with the server. It outlives the connection, since a resumed stream goes
/// on with the same session; a new stream begins a new one.
#[derive(Default)]
pub(super) struct Session {
    pub(super) questions: Questions,
    pub(super) pump: Pump,
    /// Roster, carbons and presence were asked for.
    pub(super) begun: bool,
    /// The presence that the server has of us.
    pub(super) presence: Option<Element>,
    /// How far our archive has been read.
    pub(super) archive: Archive,
    /// What our devices are told of what was read.
    pub(super) reading: Reading,
    /// What watchers are told a little later.
    pub(super) untold: Untold,
    /// Whether archive ids can be believed.
    pub(super) stanza_ids: bool,
    /// Whether the server heeds what a publication says of who may read it.
    pub(super) publish_options: bool,
    /// Device lists that were asked for.
    pub(super) lists: Lists,
    /// Devices that wrote although they were on no list, and when the lists were read again for it.
    pub(super) wrote_unlisted: BTreeMap<(BareJid, DeviceId), Instant>,
    /// There may be devices whose keys are to be looked at before anybody writes to them.
    pub(super) new_devices: bool,
    /// Questions about devices without an answer yet.
    pub(super) asking: BTreeSet<Want>,
    /// Questions about devices that wait until others have been answered.
    pub(super) to_ask: BTreeSet<Want>,
    /// The keys of the bundles that are being published.
    pub(super) publishing: HashMap<Profile, String>,
    /// Namespaces in which it was compared what the server has of ours, as far as it can be found out: until then this
    /// may be an older copy, and nothing is encrypted.
    pub(super) compared: HashSet<Profile>,
    /// The keys of our bundles when the session began.
    pub(super) offered: HashMap<Profile, String>,
    /// What the server took of ours without making it readable by everybody.
    pub(super) closed: HashSet<publishing::What>,
    /// Nodes of ours that the server was asked about who can read them.
    pub(super) access_asked: HashSet<publishing::What>,
    /// When a bundle last went out since a prekey had been used.
    pub(super) refilled_at: HashMap<Profile, Instant>,
    /// Namespaces in which our bundle can be had.
    pub(super) bundles_out: HashSet<Profile>,
    /// Namespaces in which our device is on the list, or cannot be put there.
    pub(super) settled: HashSet<Profile>,
    /// Lists of ours that are being read anew, so that we may be put on them.
    pub(super) reading_own: HashSet<Profile>,
    /// When to try again to put our device on the list.
    pub(super) publish_again: Option<Instant>,
    /// Everything that the server held for us has been read in this session.
    pub(super) caught_up: bool,
    /// So many that came live before that wait, since too much of their senders was still missing before them.
    pub(super) too_early: u32,
    /// Why this device is to begin anew, and the highest ids of prekeys that others know of it.
    pub(super) renewal: Option<(Renewed, (PreKeyId, PreKeyId))>,
    /// It did in this session.
    pub(super) renewed: bool,
    /// Another program may use a copy of this profile: whether it is there is known when all has been read.
    pub(super) suspects_copy: bool,
    /// When to look after our keys again.
    pub(super) keys_at: Option<Instant>,
    /// Whether the window was told that the account is online.
    pub(super) announced: bool,
    /// Devices of ours that are being taken off our lists.
    pub(super) removals: Vec<Removal>,
    /// How often we put ourselves back on the device list.
    pub(super) repairs: u32,
    /// How many of the server's stanzas are stored, as the database has it.
    counted: Option<u32>,
    /// The server gave something that stands for the password (XEP-0484).
    pub(super) has_token: bool,
    /// What is being found out for somebody who wants to know how we are connected.
    pub(super) report: Option<Pending>,
}

impl Session {
    /// A session of which nothing is known yet but what the server said in earlier ones.
    pub(super) async fn begin(db: &mut crate::store::Connection, account: AccountId) -> Result<Self> {
        let why = omemo::renewal(db, account).await?;
        Ok(Self {
            stanza_ids: archive::stanza_ids(db, account).await?,
            renewal: why.map(|why| (why, (PreKeyId(0), PreKeyId(0)))),
            too_early: too_early::count(db, account).await?,
            suspects_copy: renewal::suspects_copy(db, account, Timestamp::now()).await?,
            ..Self::default()
        })
    }

    /// Whether our sessions are ours alone, as far as can be known.
    pub(super) fn may_encrypt(&self) -> bool {
        self.renewal.is_none()
            && self.compared.len() == Profile::ALL.len()
            && (self.caught_up || !self.suspects_copy)
    }
}

/// One connection and the session that it carries.
pub(super) struct Online<'a> {
    pub(super) core: &'a Arc<Core>,
    pub(super) account: AccountId,
    pub(super) own: BareJid,
    pub(super) connection: Connection,
    pub(super) session: Session,
    pub(super) since: Timestamp,
    /// Whether the server thinks that the person is looking.
    pub(super) active: bool,
}

impl Online<'_> {
    /// Lives until the connection ends or the task is told to end.
    pub(super) async fn run(
        mut self,
        commands: &mut mpsc::Receiver<Command>,
        outbox: &Notify,
        restored: Option<Vec<SentStanza>>,
    ) -> (End, Left) {
        let stop = match self.begin(restored).await {
            Ok(()) => self.serve(commands, outbox).await,
            Err(stop) => stop,
        };
        self.session.questions.fail_changes();
        self.session.removals.clear();
        let end = match stop {
            Stop::Stopped => {
                self.farewell().await;
                self.tell_untold().await;
                self.connection.close().await;
                if let Err(error) = session::end(self.core, self.account).await {
                    log_failure("ending the session", &error);
                }
                return (End::Stopped, Left::default());
            }
            Stop::Again => End::Again,
            Stop::Lost(lost) => {
                if let Disconnected::Stream {
                    condition: StreamCondition::PolicyViolation,
                    ..
                } = &lost
                {
                    self.give_up_oldest(&lost).await;
                }
                End::Lost(lost)
            }
            Stop::Storage(error) => {
                log_failure("serving the account", &error);
                let error = ErrorChange::Set(Some(error));
                set_state(self.core, self.account, ConnectionState::Connecting, error).await;
                End::Failed
            }
        };
        self.tell_untold().await;
        let resource = self.connection.bound().resource().to_owned();
        (
            end,
            Left {
                resource: Some(resource),
                resumption: self.connection.into_resumption(),
                session: self.session,
                restored: None,
            },
        )
    }

    async fn serve(&mut self, commands: &mut mpsc::Receiver<Command>, outbox: &Notify) -> Stop {
        loop {
            let deadlines = [
                self.session.questions.deadline(),
                self.session.publish_again,
                self.session.keys_at,
                self.session.archive.again(),
                self.session.pump.again().map(instant),
                self.session.reading.publish_at(),
                self.session.untold.due(),
            ];
            let deadline = deadlines
                .into_iter()
                .flatten()
                .min()
                .unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            let done = tokio::select! {
                incoming = self.connection.next() => match incoming {
                    Ok(first) => self.take(first).await,
                    Err(lost) => Err(Stop::Lost(lost)),
                },
                command = commands.recv() => match command {
                    None | Some(Command::Stop) => Err(Stop::Stopped),
                    Some(command) => self.command(command).await,
                },
                () = outbox.notified() => self.pump().await,
                // A long outbox goes out page by page, so that everything else gets its turn.
                () = std::future::ready(()), if self.session.pump.has_more() => self.pump_page().await,
                () = tokio::time::sleep_until(deadline) => self.expire().await,
            };
            if let Err(stop) = done {
                return stop;
            }
        }
    }

    /// Takes in what came and all that came right behind it, in one transaction.
    pub(super) async fn take(&mut self, first: Incoming) -> std::result::Result<(), Stop> {
        let now = Timestamp::now();
        let Some(first) = self.hold_results(first, now) else {
            return Ok(());
        };
        let mut batch = Batch::begin(&self.core.store).await?;
        let until = Instant::now() + BATCH_TIME;
        let mut handled = self.session.archive.take_held();
        let mut next = Some(first);
        let mut count = 0;
        while let Some(incoming) = next.take() {
            if matches!(incoming, Incoming::Stanza(_)) {
                handled += 1;
            }
            self.apply(&mut batch, incoming, now).await?;
            count += 1;
            if count < BATCH && !batch.page && Instant::now() < until {
                // A disconnection is repeated by the next call, after this batch is stored.
                next = self.connection.try_next().and_then(std::result::Result::ok);
            }
        }
        if !batch.bundles_behind.is_empty() {
            self.refill(&mut batch, now).await?;
        }
        self.finish_handled(batch, handled).await
    }

    /// Takes in what the archive tells of the page under way, which is stored when it has ended, and all of it that came
    /// right behind it. Gives what else came.
    fn hold_results(&mut self, first: Incoming, now: Timestamp) -> Option<Incoming> {
        let mut next = Some(first);
        for _ in 0..BATCH {
            let Some(Incoming::Stanza(stanza)) = &next else {
                break;
            };
            if !self.session.archive.is_result(stanza) {
                break;
            }
            let Ok([Inbound::Archived(archived)]) = <[_; 1]>::try_from(self.read(stanza, now)) else {
                break;
            };
            self.archived(archived);
            self.session.archive.hold();
            next = self.connection.try_next().and_then(std::result::Result::ok);
        }
        next
    }

    fn read(&self, stanza: &Element, now: Timestamp) -> Vec<Inbound> {
        let context = Context {
            own: &self.own,
            stanza_ids: self.session.stanza_ids,
            archive_query: self.session.archive.query(),
            now,
        };
        inbound::read(stanza, &context)
    }

    pub(super) async fn apply(
        &mut self,
        batch: &mut Batch,
        incoming: Incoming,
        now: Timestamp,
    ) -> Result<()> {
        match incoming {
            Incoming::Stanza(stanza) => {
                for inbound in self.read(&stanza, now) {
                    self.receive(batch, inbound, &stanza, now).await?;
                }
                Ok(())
            }
            Incoming::Acked { up_to } => {
                let rows = self.session.pump.up_to(up_to);
                self.confirm(batch, rows).await
            }
            Incoming::Swallowed { violation, header } => self.swallowed(batch, violation, &header, now).await,
            Incoming::Other(element) => {
                tracing::debug!(name = element.name(), "an unknown top-level element was ignored");
                Ok(())
            }
        }
    }

    /// A stanza broke a limit and was thrown away. If it was the answer to a question, there will be no other.
    async fn swallowed(
        &mut self,
        batch: &mut Batch,
        violation: Violation,
        header: &Header,
        now: Timestamp,
    ) -> Result<()> {
        tracing::warn!(
            ?violation,
            name = header.name,
            "a stanza broke a limit and was thrown away"
        );
        if let Some(live) = self.core.live.write().await.get_mut(&self.account) {
            live.swallowed = live.swallowed.saturating_add(1);
        }
        let from = header.from.as_deref().and_then(Sender::read);
        if header.name == "message" && from.as_ref().is_none_or(|from| from.bare == self.own) {
            self.session.archive.swallowed();
        }
        if let Some(from) = from.as_ref().filter(|_| header.name == "message") {
            self.too_large(batch, from, header, now).await?;
        }
        let id = header.id.as_deref().filter(|_| header.name == "iq");
        match id.and_then(|id| self.session.questions.answered(id, from.as_ref(), &self.own)) {
            Some(ask) => self.unanswered(batch, ask).await,
            None => Ok(()),
        }
    }

    async fn refill(&mut self, batch: &mut Batch, now: Timestamp) -> Result<()> {
        keys::ensure(&mut batch.write, self.account, now).await?;
        fail::at(Point::BundleRefilled);
        for profile in std::mem::take(&mut batch.bundles_behind) {
            self.publish_refilled(batch, profile).await?;
        }
        self.delete_used_keys(batch, now).await
    }

    pub(super) async fn finish(&mut self, batch: Batch) -> std::result::Result<(), Stop> {
        self.finish_handled(batch, 0).await
    }

    /// Commits, acknowledges, sends and tells, in this order. The session's counts are part of the transaction.
    async fn finish_handled(&mut self, mut batch: Batch, handled: u32) -> std::result::Result<(), Stop> {
        batch.follow().await?;
        if batch.caught_up || batch.receipts_due {
            self.open_too_early(&mut batch, Timestamp::now()).await?;
        }
        self.reached(&mut batch).await?;
        batch.mark_unprotected().await?;
        if batch.receipts_due {
            self.give_receipts(&mut batch).await?;
        }
        if batch.caught_up {
            self.ask_displayed(&mut batch).await?;
        }
        chats::take_back(&mut batch.write, &batch.made).await?;
        if batch.caught_up {
            self.session.caught_up = true;
            batch.outbox |= self.session.suspects_copy;
            self.delete_used_keys(&mut batch, Timestamp::now()).await?;
        }
        if (batch.caught_up || batch.due) && self.session.caught_up {
            self.begin_anew(&mut batch, Timestamp::now()).await?;
            if self.session.may_encrypt() {
                self.pay_due(&mut batch, Timestamp::now()).await?;
            }
        }
        let Batch {
            mut write,
            changes,
            send,
            outbox,
            caught_up,
            confirmed,
            presences,
            news,
            wants,
            made,
            ..
        } = batch;
        let send: Vec<Arc<str>> = send.iter().map(|stanza| String::from(stanza).into()).collect();
        if let Some(session) = self.connection.session(handled) {
            // Also what was swallowed counts, with nothing to be stored.
            if self.session.counted != Some(session.handled) {
                sessions::set_handled(&mut write, self.account, session.handled).await?;
                self.session.counted = Some(session.handled);
            }
            if !presences.is_empty() {
                sessions::put_presences(&mut write, self.account, &presences).await?;
            }
        }
        let send = self.keep_messages(&mut write, send).await?;
        self.keep_missed(&mut write, &news).await?;
        let received = handled > 0 && !(changes.messages.is_empty() && changes.shown.is_empty());
        fail::when(Point::AckRead, || !confirmed.is_empty());
        fail::when(Point::ReceiveRead, || received);
        write.commit().await.map_err(Error::from)?;
        fail::when(Point::AckCommitted, || !confirmed.is_empty());
        fail::when(Point::ReceiveCommitted, || received);
        fail::when(Point::PageCommitted, || {
            received && self.session.archive.query().is_some()
        });
        self.session.pump.confirmed(&confirmed);
        self.connection.handled(handled);
        fail::when(Point::ReceiveHandled, || received);
        fail::when(Point::CaughtUp, || caught_up);
        // Nobody can have opened a chat that was not told.
        let more = self.session.archive.is_catching_up() && made.is_empty();
        self.tell(changes, more).await?;
        if !self.session.announced && self.session.settled.len() == Profile::ALL.len() {
            self.announce().await;
        }
        self.tell_news(news).await?;
        if caught_up {
            self.core.emit(crate::event::Event::CaughtUp {
                account: self.account,
            });
        }
        self.send_committed(send).await?;
        self.ask_for(wants).await?;
        if outbox {
            self.pump().await?;
        }
        self.look_at_new_devices().await?;
        self.go_on_with_report().await
    }

    /// Sends a question whose answer may come before the batch is committed. If the connection is gone, whoever reads from
    /// it next learns of that.
    pub(super) async fn send_ahead(&mut self, question: &Element) {
        if let Err(gone) = self.connection.send(question).await {
            tracing::debug!(%gone, "a question was not sent");
        }
    }

    /// Sends what a batch left to be sent.
    async fn send_committed(&mut self, send: Vec<(Arc<str>, Option<i64>)>) -> std::result::Result<(), Stop> {
        let says = |what: &str| send.iter().any(|(xml, _)| xml.contains(what));
        fail::when(Point::ReceiptNumbered, || says(ns::RECEIPTS));
        fail::when(Point::PublishCommitted, || says("<publish "));
        let mut rows = Vec::new();
        for (xml, row) in &send {
            let number = self.connection.send_raw(Arc::clone(xml)).await?;
            if let Some(row) = *row {
                self.session.pump.sent(number, row);
                rows.push(row);
            }
        }
        fail::when(Point::ReceiptSent, || says(ns::RECEIPTS));
        fail::when(Point::PublishSent, || says("<publish "));
        self.fence(rows).await
    }

    async fn expire(&mut self) -> std::result::Result<(), Stop> {
        let now = Instant::now();
        let expired = self.session.questions.expired(now);
        let mut batch = Batch::begin(&self.core.store).await?;
        for ask in expired {
            self.unanswered(&mut batch, ask).await?;
        }
        self.archive_again(&mut batch, now).await?;
        batch.outbox |= self
            .session
            .pump
            .again()
            .is_some_and(|time| time <= Timestamp::now());
        self.publish_displayed(&mut batch, now).await?;
        self.look_after_keys(&mut batch, now).await?;
        self.finish(batch).await?;
        if self.session.publish_again.is_some_and(|at| at <= now) {
            self.session.publish_again = None;
            let own = self.own.clone();
            self.session.lists.retain(|(of, _), _| *of != own);
            let wants = lists_wanted(&self.session.lists, [&own], now);
            self.ask_for(wants).await?;
        }
        Ok(())
    }

    async fn command(&mut self, command: Command) -> std::result::Result<(), Stop> {
        match command {
            Command::Presence => self.show_presence().await,
            Command::ReadDevices { address } => {
                self.forget_uncertain_lists(&address, LOOKED_LATELY);
                let wants = lists_wanted(&self.session.lists, [&address], Instant::now());
                self.ask_for(wants).await
            }
            Command::LooksAtChat => self.read_devices_of_open_chat().await,
            Command::PayDue => {
                let mut batch = Batch::begin(&self.core.store).await?;
                batch.due = true;
                self.finish(batch).await
            }
            Command::RemoveDevice { device, done } => self.remove_device(device, done).await,
            Command::EncryptionReport { patient, done } => self.report_encryption(patient, done).await,
            Command::ReadDevicesAgain { address } => self.read_devices_again(&address).await,
            Command::RepublishKeys => self.republish_keys().await,
            Command::PutContact {
                address,
                name,
                groups,
                done,
            } => self.put_contact(address, name, groups, done).await,
            Command::RemoveContact { address, done } => self.remove_contact(&address, done).await,
            Command::AnswerRequest {
                address,
                accept,
                done,
            } => self.answer_request(&address, accept, done).await,
            Command::ArchivePreferences { set, done } => self.archive_preferences(set, done).await,
            Command::Report { done } => self.report(done).await,
            Command::Read => self.tell_read().await,
            Command::Activity => self.show_activity().await,
            Command::Check => {
                self.connection.request_ack().await;
                Ok(())
            }
            Command::Reconnect => Err(Stop::Again),
            Command::Stop => Err(Stop::Stopped),
        }
    }

    /// Gives the server a moment to confirm what was sent, so that it is not sent twice.
    async fn farewell(&mut self) {
        if self.session.pump.is_idle() {
            return;
        }
        let wait = async {
            self.connection.request_ack().await;
            while !self.session.pump.is_idle() {
                let incoming = self.connection.next().await?;
                self.take(incoming).await?;
            }
            Ok::<(), Stop>(())
        };
        if tokio::time::timeout(FAREWELL, wait).await.is_err() {
            tracing::debug!("the server did not confirm everything in time");
        }
    }
}

/// The moment at which the clock will show this time; now if it has.
fn instant(time: Timestamp) -> Instant {
    let left = time.duration_since(Timestamp::now());
    Instant::now() + Duration::try_from(left).unwrap_or_default()
}
