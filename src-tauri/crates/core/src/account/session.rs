//! What a session begins or goes on with, and the stream-managed session in the database, so that the next process goes on
//! with it (XEP-0198 §5).

use std::sync::Arc;

use jiff::Timestamp;
use waxwing_stream::{Connection, Incoming, Resumption, StanzaNumber, Unacknowledged};

use super::batch::Batch;
use super::login;
use super::online::{Left, Online, Session, Stop};
use crate::Core;
use crate::error::{Error, Result};
use crate::fail::{self, Point};
use crate::live::Presence;
use crate::model::AccountId;
use crate::publish::publish;
use crate::store::Write;
use crate::store::sessions::{self, SentStanza};
use crate::store::{archive, outbox};

/// What a process that was ended in the midst of a session left for this one; nothing if it ended in order.
pub(super) async fn restore(core: &Core, account: AccountId) -> Result<Left> {
    let mut db = core.store.read().await?;
    let Some(stored) = sessions::get(&mut db, account).await? else {
        return Ok(Left::default());
    };
    let sent = sessions::stanzas(&mut db, account).await?;
    let unacknowledged = sent
        .iter()
        .map(|stanza| Unacknowledged {
            number: StanzaNumber(stanza.number),
            xml: stanza.xml.as_str().into(),
        })
        .collect();
    let mut session = Session::begin(&mut db, account).await?;
    session.pump.restore(&sent);
    Ok(Left {
        resumption: Some(Resumption::restore(stored, unacknowledged)),
        session,
        restored: Some(sent),
        resource: None,
    })
}

/// The server went on with a restored session. What it had not received went out again under new numbers, and what
/// contacts showed is still true.
pub(super) async fn go_on(
    core: &Core,
    account: AccountId,
    connection: &Connection,
    mut sent: Vec<SentStanza>,
) -> Result<Vec<SentStanza>> {
    let again: Vec<u64> = connection.resent().map(|stanza| stanza.number.0).collect();
    // The newest ones, in the same order.
    let first = sent.len().saturating_sub(again.len());
    let mut pending = sent.split_off(first);
    for (stanza, number) in pending.iter_mut().zip(again) {
        stanza.number = number;
    }
    fail::at(Point::SessionResumed);
    let mut write = core.store.write().await?;
    let renumbered: Vec<(i64, StanzaNumber)> = pending
        .iter()
        .map(|stanza| (stanza.row, StanzaNumber(stanza.number)))
        .collect();
    sessions::number_rows(&mut write, &renumbered).await?;
    let presences = sessions::presences(&mut write, account).await?;
    write.commit().await?;
    fail::at(Point::SessionRenumbered);
    let mut live = core.live.write().await;
    let live = live.entry(account).or_default();
    for device in presences {
        let presence = Presence {
            show: device.show,
            status: device.status,
            priority: device.priority,
        };
        live.set_presence(device.address, device.resource, presence);
    }
    sent.extend(pending);
    Ok(sent)
}

/// The session goes on in the same process: rows that were numbered when the connection broke, and not sent, are so no
/// more, before something else takes their numbers.
pub(super) async fn only_sent(core: &Core, account: AccountId, sent: &[i64]) -> Result<()> {
    let mut write = core.store.write().await?;
    sessions::only_sent(&mut write, account, sent).await?;
    write.commit().await?;
    Ok(())
}

/// A new session has begun.
pub(super) async fn begin(core: &Core, account: AccountId, connection: &Connection) -> Result<()> {
    fail::at(Point::SessionNew);
    let mut write = core.store.write().await?;
    sessions::begin(&mut write, account, connection.session(0).as_ref()).await?;
    write.commit().await?;
    fail::at(Point::SessionBegun);
    Ok(())
}

/// A new session is about to begin: whatever the archive got since the newest message that is known is a gap.
pub(super) async fn open_gap(core: &Core, account: AccountId, now: Timestamp) -> Result<()> {
    let mut write = core.store.write().await?;
    archive::begin(&mut write, account, now).await?;
    write.commit().await?;
    fail::at(Point::GapOpened);
    Ok(())
}

/// The session was ended in order.
pub(super) async fn end(core: &Core, account: AccountId) -> Result<()> {
    let mut write = core.store.write().await?;
    sessions::end(&mut write, account).await?;
    write.commit().await?;
    Ok(())
}

impl Online<'_> {
    /// What a connection begins with. A resumed stream goes on where it was, unless it broke before it had begun.
    pub(super) async fn begin(&mut self, restored: Option<Vec<SentStanza>>) -> std::result::Result<(), Stop> {
        let mut early = None;
        if self.connection.resumed() {
            self.session.archive.come_again();
            if let Some(sent) = restored {
                let sent = go_on(self.core, self.account, &self.connection, sent).await?;
                self.session.pump.restore(&sent);
            } else {
                only_sent(self.core, self.account, &self.session.pump.under_way()).await?;
            }
        } else {
            // Before anything of the new session is taken in, which stands behind what is missing.
            open_gap(self.core, self.account, Timestamp::now()).await?;
            // The server may have had some of what was sent before the break, and may say so first.
            let drained = self.drain().await;
            let session = Session::begin(&mut *self.core.store.read().await?, self.account).await?;
            self.session = session;
            if let Some(live) = self.core.live.write().await.get_mut(&self.account) {
                live.presences.clear();
            }
            early = drained?;
            begin(self.core, self.account, &self.connection).await?;
        }
        self.session.has_token |= login::succeeded(self.core, self.account, &mut self.connection).await?;
        // The login has told it already, if it has not changed since.
        self.show_activity().await?;
        if self.session.begun {
            self.session.questions.extend();
            self.show_presence().await?;
            // A session may break before others can encrypt to a new device.
            if self.session.announced {
                self.announce().await;
            }
            self.tell_read().await?;
        } else {
            self.introduce().await?;
        }
        if let Some(early) = early {
            self.take(early).await?;
        }
        self.read_devices_of_open_chat().await?;
        self.pump().await
    }

    /// Takes in what the server says first of the session that is over: how much it had of it. Gives the first thing of
    /// the new session if that has come already; the old one has no say in it.
    ///
    /// Where there is an archive, that counts, and not what is said of a session that nobody can go on with: Prosody 0.12
    /// counts what still came when it had begun to shut down, and throws that away.
    async fn drain(&mut self) -> std::result::Result<Option<Incoming>, Stop> {
        let has_archive = archive::newest(&mut *self.core.store.read().await?, self.account)
            .await?
            .is_some();
        while let Some(incoming) = self.connection.try_next() {
            let acked = match incoming? {
                acked @ Incoming::Acked { .. } => acked,
                early => return Ok(Some(early)),
            };
            if has_archive {
                continue;
            }
            let mut batch = Batch::begin(&self.core.store).await?;
            self.apply(&mut batch, acked, Timestamp::now()).await?;
            batch.write.commit().await.map_err(Error::from)?;
            self.session.pump.confirmed(&batch.confirmed);
            publish(self.core, self.account, batch.changes).await?;
        }
        Ok(None)
    }

    /// Puts the messages among what is about to be sent into the outbox, with the numbers that they will have if all of it
    /// is the next to be sent. Gives each stanza's row, if it has one. What else is sent belongs to this session only.
    pub(super) async fn keep_messages(
        &self,
        write: &mut Write,
        send: Vec<Arc<str>>,
    ) -> Result<Vec<(Arc<str>, Option<i64>)>> {
        let counts = self.connection.session(0).is_some();
        let numbers =
            (self.connection.next_number().0..).map(|number| counts.then_some(StanzaNumber(number)));
        let messages: Vec<(Option<StanzaNumber>, &str)> = numbers
            .zip(send.iter().map(|xml| &**xml))
            .filter(|(_, xml)| is_message(xml))
            .collect();
        let mut rows = outbox::push_numbered(write, self.account, &messages)
            .await?
            .into_iter();
        let with_row = send.into_iter().map(|xml| {
            let row = if is_message(&xml) { rows.next() } else { None };
            (xml, row)
        });
        Ok(with_row.collect())
    }
}

/// Whether a stanza says something to somebody, so that it must not be lost.
fn is_message(xml: &str) -> bool {
    xml.starts_with("<message")
}
