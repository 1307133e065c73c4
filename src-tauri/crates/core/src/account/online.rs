//! An account while it is online.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use minidom::Element;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use waxwing_omemo::Profile;
use waxwing_stream::{Connection, Disconnected, Incoming, Resumption};

use super::batch::Batch;
use super::encryption::{ListOutcome, Lists, Want, lists_wanted};
use super::iq::{Ask, Questions};
use super::outbox::Pump;
use super::publishing::Step;
use super::{Command, ErrorChange, keys, set_state};
use crate::error::{Error, Result};
use crate::inbound::{self, Context};
use crate::model::{AccountId, BareJid, ConnectionState, Show};
use crate::publish::publish;
use crate::store::accounts;
use crate::xep::element::{text, wrap};
use crate::xep::{disco, ns, pubsub};
use crate::{Core, log_failure};

/// So many stanzas are stored in one transaction at most.
const BATCH: usize = 512;
/// How long to wait for the server's last acknowledgements when ending.
const FAREWELL: Duration = Duration::from_secs(2);

/// How a connection ended.
pub(super) enum End {
    /// The task is to end.
    Stopped,
    /// At once again, such as with another password, or after storage failed.
    Again,
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
pub(super) struct Left {
    pub(super) resumption: Option<Resumption>,
    pub(super) pump: Pump,
}

/// One connection and what belongs to it.
pub(super) struct Online<'a> {
    pub(super) core: &'a Arc<Core>,
    pub(super) account: AccountId,
    pub(super) own: BareJid,
    pub(super) connection: Connection,
    pub(super) questions: Questions,
    pub(super) pump: Pump,
    /// Whether archive ids can be believed.
    stanza_ids: bool,
    /// Device lists that were asked for in this session.
    pub(super) lists: Lists,
    /// Questions about devices without an answer yet.
    asking: BTreeSet<Want>,
    /// Namespaces in which our bundle can be had.
    pub(super) bundles_out: HashSet<Profile>,
    /// Namespaces in which our device is on the list, or cannot be put there.
    pub(super) settled: HashSet<Profile>,
    /// Whether the window was told that the account is online.
    announced: bool,
    /// How often we put ourselves back on the device list in this session.
    pub(super) repairs: u32,
}

impl<'a> Online<'a> {
    pub(super) fn new(
        core: &'a Arc<Core>,
        account: AccountId,
        own: BareJid,
        connection: Connection,
        pump: Pump,
    ) -> Self {
        Self {
            core,
            account,
            own,
            connection,
            questions: Questions::default(),
            pump,
            stanza_ids: false,
            lists: Lists::default(),
            asking: BTreeSet::new(),
            bundles_out: HashSet::new(),
            settled: HashSet::new(),
            announced: false,
            repairs: 0,
        }
    }

    /// Lives until the connection ends or the task is told to end.
    pub(super) async fn run(
        mut self,
        commands: &mut mpsc::Receiver<Command>,
        outbox: &Notify,
    ) -> (End, Left) {
        let stop = match self.begin().await {
            Ok(()) => self.serve(commands, outbox).await,
            Err(stop) => stop,
        };
        self.questions.fail_all();
        let end = match stop {
            Stop::Stopped => {
                self.farewell().await;
                self.connection.close().await;
                return (
                    End::Stopped,
                    Left {
                        resumption: None,
                        pump: Pump::default(),
                    },
                );
            }
            Stop::Again => End::Again,
            Stop::Lost(lost) => End::Lost(lost),
            Stop::Storage(error) => {
                log_failure("serving the account", &error);
                set_state(
                    self.core,
                    self.account,
                    ConnectionState::Connecting,
                    ErrorChange::Set(Some(error)),
                )
                .await;
                End::Again
            }
        };
        (
            end,
            Left {
                resumption: self.connection.into_resumption(),
                pump: self.pump,
            },
        )
    }

    async fn serve(&mut self, commands: &mut mpsc::Receiver<Command>, outbox: &Notify) -> Stop {
        loop {
            let deadline = self
                .questions
                .deadline()
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
                () = tokio::time::sleep_until(deadline) => self.expire().await,
            };
            if let Err(stop) = done {
                return stop;
            }
        }
    }

    /// What a new session begins with. A resumed one goes on where it was, with its presence and its subscriptions.
    async fn begin(&mut self) -> std::result::Result<(), Stop> {
        self.remember_mechanism().await?;
        if self.connection.resumed() {
            self.announce().await;
            return self.pump().await;
        }
        // The server may have had some of what was sent before the break.
        while let Some(incoming) = self.connection.try_next() {
            self.take(incoming?).await?;
        }
        let of_outbox = self.pump.forget();
        if let Some(live) = self.core.live.write().await.get_mut(&self.account) {
            live.presences.clear();
        }
        let lost = self.connection.lost();
        let now = Timestamp::now();
        let mut batch = Batch::begin(&self.core.store).await?;
        keys::ensure(&mut batch.write, self.account, now).await?;
        let listed = keys::listed_before(&mut batch.write, self.account, &self.own).await?;
        for (kind, payload, ask) in [
            ("get", Element::bare("query", ns::ROSTER), Ask::Roster),
            ("set", Element::bare("enable", ns::CARBONS), Ask::Carbons),
        ] {
            batch.send.push(self.questions.ask(None, kind, payload, ask)?);
        }
        let own = self.own.clone();
        let disco = Element::bare("query", ns::DISCO_INFO);
        batch
            .send
            .push(self.questions.ask(Some(&own), "get", disco, Ask::OwnFeatures)?);
        batch.send.push(self.presence().await?);
        // Whatever the server held for us comes before the answer to this.
        batch.send.push(
            self.questions
                .ask(None, "get", Element::bare("ping", ns::PING), Ask::CaughtUp)?,
        );
        self.finish(batch).await?;
        for stanza in lost
            .into_iter()
            .filter(|stanza| !of_outbox.contains(&stanza.number))
        {
            // Receipts and the like; answers and presence belong to the session that is over.
            if stanza.xml.starts_with("<message") {
                self.connection.send_raw(stanza.xml).await?;
            }
        }
        let wants = lists_wanted(&self.lists, [&own]);
        self.ask_for(wants).await?;
        // A device that nobody knows yet is online when others can encrypt to it: a moment later.
        if listed {
            self.announce().await;
        }
        self.pump().await
    }

    async fn announce(&mut self) {
        self.announced = true;
        set_state(
            self.core,
            self.account,
            ConnectionState::Online,
            ErrorChange::Set(None),
        )
        .await;
    }

    async fn remember_mechanism(&self) -> Result<()> {
        let mut write = self.core.store.write().await?;
        accounts::set_strongest_mechanism(&mut write, self.account, self.connection.mechanism().name())
            .await?;
        write.commit().await?;
        Ok(())
    }

    async fn presence(&self) -> Result<Element> {
        let row = accounts::get(&mut *self.core.store.read().await?, self.account).await?;
        let show = match row.show {
            Show::Available | Show::Offline => None,
            other => Some(text("show", ns::JABBER_CLIENT, other.word())),
        };
        let status = row
            .status
            .map(|status| text("status", ns::JABBER_CLIENT, &status));
        let children = show.into_iter().chain(status).chain([disco::caps()]);
        Ok(wrap(Element::bare("presence", ns::JABBER_CLIENT), children))
    }

    /// Takes in what came and all that came right behind it, in one transaction.
    async fn take(&mut self, first: Incoming) -> std::result::Result<(), Stop> {
        let now = Timestamp::now();
        let mut batch = Batch::begin(&self.core.store).await?;
        let mut handled = 0;
        let mut next = Some(first);
        let mut count = 0;
        while let Some(incoming) = next.take() {
            if matches!(incoming, Incoming::Stanza(_)) {
                handled += 1;
            }
            self.apply(&mut batch, incoming, now).await?;
            count += 1;
            if count < BATCH {
                // A disconnection is repeated by the next call, after this batch is stored.
                next = self.connection.try_next().and_then(std::result::Result::ok);
            }
        }
        if batch.bundles_behind {
            self.refill(&mut batch, now).await?;
        }
        self.finish_handled(batch, handled).await
    }

    async fn apply(&mut self, batch: &mut Batch, incoming: Incoming, now: Timestamp) -> Result<()> {
        match incoming {
            Incoming::Stanza(stanza) => {
                let own = self.own.clone();
                let context = Context {
                    own: &own,
                    stanza_ids: self.stanza_ids,
                    now,
                };
                for inbound in inbound::read(&stanza, &context) {
                    self.receive(batch, inbound, &stanza, now).await?;
                }
                Ok(())
            }
            Incoming::Acked { up_to } => {
                let rows = self.pump.acked(up_to);
                self.confirm(batch, &rows).await
            }
            Incoming::Swallowed { violation, header } => {
                tracing::warn!(
                    ?violation,
                    name = header.name,
                    "a stanza broke a limit and was thrown away"
                );
                Ok(())
            }
            Incoming::Other(element) => {
                tracing::debug!(name = element.name(), "an unknown top-level element was ignored");
                Ok(())
            }
        }
    }

    async fn refill(&mut self, batch: &mut Batch, now: Timestamp) -> Result<()> {
        keys::ensure(&mut batch.write, self.account, now).await?;
        for profile in Profile::ALL {
            self.publish(batch, Step::bundle(profile)).await?;
        }
        Ok(())
    }

    pub(super) async fn finish(&mut self, batch: Batch) -> std::result::Result<(), Stop> {
        self.finish_handled(batch, 0).await
    }

    /// Commits, acknowledges, sends and tells, in this order.
    async fn finish_handled(&mut self, batch: Batch, handled: u32) -> std::result::Result<(), Stop> {
        let Batch {
            write,
            changes,
            send,
            outbox,
            caught_up,
            ..
        } = batch;
        write.commit().await.map_err(Error::from)?;
        self.connection.handled(handled);
        publish(self.core, self.account, changes).await?;
        if !self.announced && self.settled.len() == Profile::ALL.len() {
            self.announce().await;
        }
        if caught_up {
            self.core.emit(crate::event::Event::CaughtUp {
                account: self.account,
            });
        }
        for stanza in send {
            self.connection.send(&stanza).await?;
        }
        if outbox {
            self.pump().await?;
        }
        Ok(())
    }

    /// Asks for what is not being asked for already.
    pub(super) async fn ask_for(&mut self, wants: BTreeSet<Want>) -> std::result::Result<(), Stop> {
        for want in wants {
            if !self.asking.insert(want.clone()) {
                continue;
            }
            let (of, payload, ask) = match want {
                Want::List { of, profile } => {
                    let payload = pubsub::items(profile.device_list_node(), None);
                    (of.clone(), payload, Ask::DeviceList { of, profile })
                }
                Want::Bundle { of, device, profile } => {
                    let item = profile.bundle_item(device);
                    let payload = pubsub::items(&profile.bundle_node(device), Some(&item));
                    (of.clone(), payload, Ask::Bundle { of, device, profile })
                }
            };
            let stanza = self.questions.ask(Some(&of), "get", payload, ask)?;
            self.connection.send(&stanza).await?;
        }
        Ok(())
    }

    /// A question about devices has been answered, or never will be.
    pub(super) fn asked(&mut self, want: &Want) {
        self.asking.remove(want);
    }

    pub(super) fn set_stanza_ids(&mut self, announced: bool) {
        self.stanza_ids = announced;
    }

    async fn expire(&mut self) -> std::result::Result<(), Stop> {
        let expired = self.questions.expired(Instant::now());
        let mut batch = Batch::begin(&self.core.store).await?;
        for ask in expired {
            self.unanswered(&mut batch, ask).await?;
        }
        self.finish(batch).await
    }

    async fn command(&mut self, command: Command) -> std::result::Result<(), Stop> {
        match command {
            Command::Presence => {
                let presence = self.presence().await?;
                self.connection.send(&presence).await?;
                Ok(())
            }
            Command::ReadDevices { address } => {
                let wants = lists_wanted(&self.lists, [&address]);
                self.ask_for(wants).await
            }
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
            Command::Reconnect => Err(Stop::Again),
            Command::Stop => Err(Stop::Stopped),
        }
    }

    /// Gives the server a moment to confirm what was sent, so that it is not sent twice.
    async fn farewell(&mut self) {
        if !self.connection.acknowledges() || self.pump.is_idle() {
            return;
        }
        let wait = async {
            self.connection.request_ack().await;
            while !self.pump.is_idle() {
                let incoming = self.connection.next().await?;
                self.take(incoming).await?;
            }
            Ok::<(), Stop>(())
        };
        if tokio::time::timeout(FAREWELL, wait).await.is_err() {
            tracing::debug!("the server did not confirm everything in time");
        }
    }

    /// The outcome of a device list, for this session.
    pub(super) fn list_read(&mut self, of: &BareJid, profile: Profile, outcome: ListOutcome) {
        self.asked(&Want::List {
            of: of.clone(),
            profile,
        });
        if *of == self.own && outcome == ListOutcome::Failed {
            self.settled.insert(profile);
        }
        self.lists.insert((of.clone(), profile), outcome);
    }
}
