//! The one ordered way out: oldest first, made ready and stored before it is sent, gone only when the server has it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use waxwing_stream::{Disconnected, StanzaNumber};

use super::batch::Batch;
use super::devices::{Want, lists_wanted};
use super::encryption::{Outgoing, Prepared, prepare};
use super::iq::Ask;
use super::message::LONGEST_PAUSE;
use super::online::{Online, Stop};
use crate::error::{Code, Fault, Result};
use crate::fail::{self, Point};
use crate::log_failure;
use crate::model::{ChatId, Delivery, EncryptionMode};
use crate::publish::{Changes, publish};
use crate::store::outbox::{self, Encrypt, OutboxRow};
use crate::store::sessions::{self, SentStanza};
use crate::store::{Write, chats, messages};
use crate::xep::element::{child_text, element};
use crate::xep::ns;

/// So many messages are made ready in one transaction and sent in one go; on a slow line everything else waits as long.
const AT_ONCE: u32 = 16;

/// What is on its way. It outlives a connection, since a resumed stream goes on with the same numbers.
#[derive(Default)]
pub(super) struct Pump {
    /// Rows by the number of their stanza.
    sent: BTreeMap<StanzaNumber, i64>,
    /// The same rows; they are not to be sent again while the stream knows them.
    in_flight: HashSet<i64>,
    /// All rows up to this one are in flight or done.
    done_to: i64,
    /// Where the next page begins, while there is one.
    next: Option<i64>,
    /// Chats with a message that waits for keys or for its time: those behind it wait too.
    waiting: HashSet<ChatId>,
    /// Something that no message stands behind waits for the archive.
    held: bool,
    /// When the first of those that wait for their time may go.
    again: Option<Timestamp>,
}

impl Pump {
    /// The rows that the server has, up to this stanza.
    pub(super) fn up_to(&self, number: StanzaNumber) -> Vec<i64> {
        self.sent.range(..=number).map(|(_, row)| *row).collect()
    }

    /// What a session that goes on has sent: these rows are under way.
    pub(super) fn restore(&mut self, sent: &[SentStanza]) {
        *self = Self::default();
        for stanza in sent {
            self.sent(StanzaNumber(stanza.number), stanza.row);
        }
    }

    /// The rows that were sent and not confirmed.
    pub(super) fn under_way(&self) -> Vec<i64> {
        self.in_flight.iter().copied().collect()
    }

    /// These rows are done.
    pub(super) fn confirmed(&mut self, rows: &[i64]) {
        for row in rows {
            self.in_flight.remove(row);
        }
        self.sent.retain(|_, row| self.in_flight.contains(row));
    }

    /// Whether everything that was sent has been confirmed.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// When something that waits for its time may go.
    pub(super) fn again(&self) -> Option<Timestamp> {
        self.again
    }

    /// Whether there is another page to be sent.
    pub(super) fn has_more(&self) -> bool {
        self.next.is_some()
    }

    /// The row that has been under way for the longest.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.sent.values().next().copied()
    }

    /// This row went out as that stanza.
    pub(super) fn sent(&mut self, number: StanzaNumber, row: i64) {
        self.sent.insert(number, row);
        self.in_flight.insert(row);
    }
}

/// A row that is ready to go.
struct Ready {
    row: i64,
    stanza: Arc<str>,
}

/// Whether a message waits for its time. None is ever further ahead than the longest pause, unless the clock was set back.
fn is_ahead(time: Timestamp, now: Timestamp) -> bool {
    time > now && time.duration_since(now) <= LONGEST_PAUSE
}

impl Online<'_> {
    /// Sends what can be sent, from the oldest on: a page now, the others in turn with everything else.
    pub(super) async fn pump(&mut self) -> std::result::Result<(), Stop> {
        self.tell_trust().await?;
        self.session.pump.waiting.clear();
        self.session.pump.held = false;
        self.session.pump.again = None;
        self.session.pump.next = Some(self.session.pump.done_to);
        self.pump_page().await
    }

    /// Sends the next page.
    pub(super) async fn pump_page(&mut self) -> std::result::Result<(), Stop> {
        if self.session.renewal.is_some() {
            self.session.pump.next = None;
            return Ok(());
        }
        let Some(after) = self.session.pump.next.take() else {
            return Ok(());
        };
        let mut rows =
            outbox::behind(&mut *self.core.store.read().await?, self.account, after, AT_ONCE).await?;
        let mut last = rows.last().map(|row| row.id);
        if !self.session.archive.is_vouched() {
            // What may have been sent already waits until the archive has told whether the server has it.
            let in_flight = &self.session.pump.in_flight;
            let doubtful = |row: &OutboxRow| row.stanza.is_some() && !in_flight.contains(&row.id);
            let message = |row: &OutboxRow| doubtful(row) && row.message.is_some();
            rows.truncate(rows.iter().position(message).unwrap_or(rows.len()));
            last = rows.last().map(|row| row.id);
            // Receipts and the like wait too, and nothing waits for them.
            let before = rows.len();
            rows.retain(|row| !doubtful(row));
            self.session.pump.held |= rows.len() < before;
        }
        let Some(last) = last else {
            return Ok(());
        };
        let new: Vec<OutboxRow> = rows
            .into_iter()
            .filter(|row| !self.session.pump.in_flight.contains(&row.id))
            .collect();
        if !new.is_empty() {
            let (ready, wants, changes) = self.make_ready(new).await?;
            publish(self.core, self.account, changes).await?;
            // First of all, since the rows have their numbers already.
            self.send_ready(ready).await?;
            self.ask_for(wants).await?;
        }
        let pump = &mut self.session.pump;
        if pump.waiting.is_empty() && !pump.held {
            pump.done_to = last;
        }
        pump.next = Some(last);
        Ok(())
    }

    async fn make_ready(&mut self, rows: Vec<OutboxRow>) -> Result<(Vec<Ready>, BTreeSet<Want>, Changes)> {
        let mut write = self.core.store.write().await?;
        let (mut ready, mut wants, mut changes) = (Vec::new(), BTreeSet::new(), Changes::default());
        for row in rows {
            let chat = row.message.as_ref().map(|message| message.chat);
            let pump = &mut self.session.pump;
            if chat.is_some_and(|chat| pump.waiting.contains(&chat)) {
                continue;
            }
            if let Some(time) = row.not_before.filter(|time| is_ahead(*time, Timestamp::now())) {
                pump.again = Some(pump.again.map_or(time, |again| again.min(time)));
                pump.waiting.extend(chat);
                continue;
            }
            if let Some(stanza) = row.stanza {
                ready.push(Ready {
                    row: row.id,
                    stanza: String::from_utf8_lossy(&stanza).into(),
                });
                continue;
            }
            match self.make_one_ready(&mut write, &row, &mut changes).await? {
                Outcome::Ready(stanza) => ready.push(Ready { row: row.id, stanza }),
                Outcome::Waits(missing) => {
                    wants.extend(missing);
                    self.session.pump.waiting.extend(chat);
                }
                Outcome::Gone => {}
            }
        }
        if self.connection.session(0).is_some() {
            let numbers = (self.connection.next_number().0..).map(StanzaNumber);
            let numbered: Vec<_> = ready.iter().map(|ready| ready.row).zip(numbers).collect();
            sessions::number_rows(&mut write, &numbered).await?;
        }
        fail::when(Point::SendReady, || !ready.is_empty());
        write.commit().await?;
        fail::when(Point::SendCommitted, || !ready.is_empty());
        Ok((ready, wants, changes))
    }

    async fn make_one_ready(
        &mut self,
        write: &mut Write,
        row: &OutboxRow,
        changes: &mut Changes,
    ) -> Result<Outcome> {
        let Some(message) = &row.message else {
            return Ok(Outcome::Gone);
        };
        let outgoing = Outgoing {
            own: &self.own,
            to: &message.address.0,
            id: &message.origin_id,
            body: &message.body,
            // A chat that was locked after the message was written: nothing plain leaves it any more.
            encrypt: match chats::mode(write, message.chat).await? {
                Some(EncryptionMode::Omemo) => Encrypt::Must,
                _ => row.encrypt,
            },
        };
        if outgoing.encrypt != Encrypt::None && !self.session.may_encrypt() {
            let of = [outgoing.to, outgoing.own];
            return Ok(Outcome::Waits(lists_wanted(
                &self.session.lists,
                of,
                Instant::now(),
            )));
        }
        match prepare(
            write,
            self.account,
            &outgoing,
            &self.session.lists,
            Timestamp::now(),
        )
        .await?
        {
            Prepared::Ready { stanza, encryption } => {
                let stanza = String::from(&stanza);
                if stanza.len() > self.largest_stanza() {
                    let fault = Fault::new(Code::TooLarge, "the server takes no message of this size");
                    fail(write, message.message, message.chat, &fault, changes).await?;
                    return Ok(Outcome::Gone);
                }
                outbox::set_stanza(write, row.id, stanza.as_bytes()).await?;
                messages::set_encryption(write, message.message, encryption).await?;
                if encryption != crate::model::Encryption::None {
                    chats::latch(write, message.chat).await?;
                }
                changes.messages.insert(message.message);
                changes.chats.insert(message.chat);
                Ok(Outcome::Ready(stanza.into()))
            }
            Prepared::Wants(wants) => Ok(Outcome::Waits(wants)),
            Prepared::Undecided => {
                // The chat says that a decision is wanted.
                changes.chats.insert(message.chat);
                Ok(Outcome::Waits(BTreeSet::new()))
            }
            Prepared::Failed(fault) => {
                // When the person tries again, so do we.
                self.forget_uncertain_lists(&message.address.0, Duration::ZERO);
                fail(write, message.message, message.chat, &fault, changes).await?;
                Ok(Outcome::Gone)
            }
        }
    }

    async fn send_ready(&mut self, ready: Vec<Ready>) -> std::result::Result<(), Stop> {
        let mut rows = Vec::new();
        for Ready { row, stanza } in ready {
            fail::when(Point::SendHalf, || !rows.is_empty());
            match self.connection.send_raw(stanza).await {
                Ok(number) => self.session.pump.sent(number, row),
                Err(lost) => {
                    // The row is still in the outbox; it gets another number when the stream goes on.
                    return Err(Stop::Lost(lost));
                }
            }
            rows.push(row);
        }
        fail::when(Point::SendAll, || !rows.is_empty());
        self.fence(rows).await
    }

    /// Where the server acknowledges nothing, its answer to a ping behind these rows says that it has them.
    pub(super) async fn fence(&mut self, rows: Vec<i64>) -> std::result::Result<(), Stop> {
        if !rows.is_empty() && !self.connection.acknowledges() {
            let ping = element("ping", ns::PING, &[]);
            let fence = self
                .session
                .questions
                .ask(None, "get", ping, Ask::Fence { rows })?;
            self.connection.send(&fence).await?;
        }
        Ok(())
    }

    /// The largest stanza that the server takes, in bytes: what it announces (XEP-0478), or what servers usually take.
    fn largest_stanza(&self) -> usize {
        const USUAL: usize = 256 * 1024;
        self.connection
            .features()
            .get_child("limits", ns::STREAM_LIMITS)
            .and_then(|limits| child_text(limits, "max-bytes", ns::STREAM_LIMITS))
            .and_then(|bytes| bytes.trim().parse().ok())
            .unwrap_or(USUAL)
    }

    /// The server has these rows.
    pub(super) async fn confirm(&mut self, batch: &mut Batch, rows: Vec<i64>) -> Result<()> {
        for message in outbox::confirm(&mut batch.write, &rows).await? {
            if messages::advance_delivery(&mut batch.write, message, Delivery::Sent).await? {
                batch.changes.messages.insert(message);
                batch
                    .changes
                    .chats
                    .extend(messages::chat(&mut batch.write, message).await?);
            }
        }
        batch.confirmed.extend(rows);
        Ok(())
    }

    /// The server closed the stream because of what we sent: what it has not confirmed is not sent for ever.
    pub(super) async fn give_up_oldest(&mut self, lost: &Disconnected) {
        let Some(row) = self.session.pump.oldest() else {
            return;
        };
        let given_up = async {
            let mut write = self.core.store.write().await?;
            let mut changes = Changes::default();
            if let Some((message, chat)) = outbox::message(&mut write, row).await? {
                let fault = Fault::new(Code::PolicyViolation, lost.to_string());
                fail(&mut write, message, chat, &fault, &mut changes).await?;
            } else {
                outbox::remove(&mut write, row).await?;
            }
            write.commit().await?;
            publish(self.core, self.account, changes).await
        };
        if let Err(error) = given_up.await {
            log_failure("giving a message up", &error);
        }
    }
}

enum Outcome {
    Ready(Arc<str>),
    Waits(BTreeSet<Want>),
    /// It failed, or there is nothing to send.
    Gone,
}

/// A message has failed for good, until the person tries again.
pub(super) async fn fail(
    write: &mut Write,
    message: crate::model::MessageId,
    chat: ChatId,
    fault: &Fault,
    changes: &mut Changes,
) -> Result<()> {
    outbox::remove_message(write, message).await?;
    if messages::fail(write, message, fault).await? {
        changes.messages.insert(message);
        changes.chats.insert(chat);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pump(rows: impl IntoIterator<Item = (u64, i64)>) -> Pump {
        let mut pump = Pump::default();
        for (number, row) in rows {
            pump.sent(StanzaNumber(number), row);
        }
        pump
    }

    #[test]
    fn an_acknowledgement_confirms_everything_up_to_it_and_nothing_behind() {
        let mut pump = pump([(1, 10), (3, 11), (4, 12)]);
        assert_eq!(pump.up_to(StanzaNumber(3)), [10, 11]);
        // Until that is stored, the rows count as under way: else they would be sent again after a failed commit.
        assert_eq!(pump.up_to(StanzaNumber(3)), [10, 11]);
        pump.confirmed(&[10, 11]);
        assert!(pump.up_to(StanzaNumber(3)).is_empty());
        assert!(!pump.is_idle());
        assert_eq!(pump.oldest(), Some(12));
        pump.confirmed(&pump.up_to(StanzaNumber(u64::MAX)));
        assert!(pump.is_idle());
    }

    #[test]
    fn a_message_that_came_back_waits_for_its_time_unless_the_clock_was_set_back() {
        let now = Timestamp::UNIX_EPOCH;
        assert!(!is_ahead(now, now));
        assert!(is_ahead(now + LONGEST_PAUSE, now));
        assert!(!is_ahead(now + LONGEST_PAUSE * 2, now));
    }
}
