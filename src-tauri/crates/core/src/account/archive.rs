//! Reading our own archive on the server (XEP-0313): first what was missed, oldest first; then what is older than all that
//! is known here, page by page towards the beginning.
//!
//! What a page holds waits in memory until the page has ended, and is stored in one transaction with how far we got; if
//! the program ends before, the page is asked for again.

mod failing;

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use minidom::Element;
use tokio::time::Instant;

use super::archive_page::Reading;
use super::batch::Batch;
use super::iq::Ask;
use super::online::Online;
use crate::error::Result;
use crate::fail::{self, Point};
use crate::inbound::{Archived, Content, Inbound, Text};
use crate::model::{ChatId, Direction, MessageId, UndecryptableReason};
use crate::store::archive::{self, Gap, Place};
use crate::store::messages::{Known, Likeness, Placed, Sought};
use crate::store::{chats, messages, receipts};
use crate::xep::{mam, stanza_error};

/// Messages of one page; few where each step of a catch-up is to be reached by a few messages.
const PAGE: u32 = if cfg!(feature = "fail-points") { 4 } else { 250 };
/// For so many messages of a session's catch-up receipts are given.
const RECEIPTS: usize = 10_000;
/// So far the clock here and the archive's may be apart.
const APART: SignedDuration = SignedDuration::from_hours(24);

/// How far the archive has been read in this session.
#[derive(Default)]
pub(super) struct Archive {
    reading: Option<Reading>,
    /// What was missed has been read, or cannot be now.
    settled: bool,
    /// Whatever the server had of ours when the session began is known, or never will be.
    vouched: bool,
    /// So often the archive failed before that.
    failures: usize,
    /// Whatever is written to us comes by itself: the server knew our presence before it answered for the archive. What
    /// comes earlier, as copies of what other devices send do (XEP-0280), says nothing of what stands before or behind it.
    listening: bool,
    /// The server copies nothing of what our other devices send and receive: what comes live stands behind what never does.
    uncopied: bool,
    /// Messages that came while we were not listening yet.
    copied: HashSet<MessageId>,
    /// Messages that came by themselves before the archive told of them, by chat: they stand too far behind if something
    /// else comes after them.
    early: HashMap<ChatId, Vec<MessageId>>,
    /// So many receipts were noted to be owed for what was missed.
    owed: usize,
    /// Where pages of this session ended: a server that comes back to one goes in circles.
    ends: HashSet<String>,
    /// So many pages on end led no further in time.
    fruitless: u32,
    /// How far back in time the pages of this session have led, and how far onwards, by the archive's clock.
    earliest: Option<Timestamp>,
    latest: Option<Timestamp>,
    /// When to try again after a failure.
    again: Option<Instant>,
    /// Stanzas with results of the page under way that the server has not been told to be here. They are, when the page
    /// or something else is stored: a transaction for each would do nothing but count.
    held: u32,
}

/// Where the messages of a page stand.
#[derive(Default)]
struct Stood {
    /// The first and the last position between the edges of the gap, in the order of the archive.
    within: Option<(i64, i64)>,
    /// The highest one of all.
    highest: i64,
}

impl Stood {
    /// What comes next stands above this.
    fn low(&self, gap: &Gap) -> i64 {
        self.within.map_or(gap.low, |(_, last)| last)
    }

    /// A message stands here. What follows in the archive stands behind it, unless it stands beyond the gap.
    fn at(&mut self, position: i64, low: i64, high: i64) {
        self.highest = self.highest.max(position);
        if low < position && position < high {
            self.within = Some((self.within.map_or(position, |(first, _)| first), position));
        }
    }
}

impl Archive {
    /// The id of the question that is open.
    pub(super) fn query(&self) -> Option<&str> {
        self.reading.as_ref().map(|reading| reading.query.as_str())
    }

    /// Whether a stanza belongs to the page under way.
    pub(super) fn is_result(&self, stanza: &Element) -> bool {
        mam::result(stanza).is_some_and(|result| Some(result.query) == self.query())
    }

    /// A stanza with a result is here.
    pub(super) fn hold(&mut self) {
        self.held += 1;
    }

    /// How many of them the server is told of now.
    pub(super) fn take_held(&mut self) -> u32 {
        std::mem::take(&mut self.held)
    }

    /// In a session that goes on after a break, what the server was not told to be here comes again.
    pub(super) fn come_again(&mut self) {
        let held = self.take_held() as usize;
        if let Some(reading) = &mut self.reading {
            reading.come_again(held);
        }
    }

    /// Whether what comes live follows without a hole.
    pub(super) fn has_no_hole(&self) -> bool {
        self.listening && !self.uncopied
    }

    /// The server lets nobody have copies (XEP-0280), or does not answer.
    pub(super) fn no_copies_come(&mut self) {
        self.uncopied = true;
    }

    /// A message has come by itself and is stored.
    pub(super) fn came(&mut self, message: MessageId) {
        if !self.listening {
            self.copied.insert(message);
        }
    }

    /// Whether a page of what was missed is under way.
    pub(super) fn is_catching_up(&self) -> bool {
        self.reading.is_some() && !self.settled
    }

    /// Whether what was missed has been read, or cannot be now.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether it is known what the server had of ours when the session began, or never will be.
    pub(super) fn is_vouched(&self) -> bool {
        self.vouched
    }

    /// A stanza of our account broke a limit and was thrown away: it may have been of the page under way.
    pub(super) fn swallowed(&mut self) {
        if let Some(reading) = &mut self.reading {
            reading.swallow();
        }
    }

    /// When the archive is to be asked again.
    pub(super) fn again(&self) -> Option<Instant> {
        self.again
    }
}

/// Which message it is, and when the archive got it.
fn place(archived: Option<&Archived>, now: Timestamp) -> Option<(String, Timestamp)> {
    archived.map(|archived| (archived.id.clone(), archived.at.unwrap_or(now)))
}

/// From when on the archive has what came after a message that was known at that time, as far as clocks can be believed.
fn since(known: Timestamp, now: Timestamp) -> Timestamp {
    if known > now {
        // The clock was ahead, nobody knows how far.
        return Timestamp::UNIX_EPOCH;
    }
    known.checked_sub(APART).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl Online<'_> {
    /// A new session has begun, and the server says whether it has an archive.
    pub(super) async fn catch_up(&mut self, batch: &mut Batch, supported: bool) -> Result<()> {
        if supported {
            return self.next_gap(batch).await;
        }
        archive::absent(&mut batch.write, self.account).await?;
        batch.changes.account = true;
        batch.outbox = true;
        batch.receipts_due = true;
        self.session.archive.settled = true;
        self.session.archive.vouched = true;
        self.ask_for_the_end(batch)
    }

    /// One message of the page under way.
    pub(super) fn archived(&mut self, archived: Archived) {
        if let Some(reading) = &mut self.session.archive.reading
            && reading.take(archived)
        {
            self.session.questions.postpone(&reading.stanza);
        }
    }

    /// Goes on with what was missed, then with the newest page of an account that is new here; then we have caught up,
    /// and the rest follows.
    async fn next_gap(&mut self, batch: &mut Batch) -> Result<()> {
        let gaps = archive::gaps(&mut batch.write, self.account).await?;
        let missed = gaps.iter().find(|gap| gap.after.is_some());
        let new_here = || gaps.iter().find(|gap| gap.before.is_none());
        let Some(gap) = missed.or_else(new_here).or(gaps.first()) else {
            self.session.archive.listening = true;
            self.archive_read(batch);
            return Ok(());
        };
        let page = match (&gap.after, &gap.before) {
            // There was nothing at all at that time.
            (Some((after, at)), _) if after.is_empty() => mam::Page::Since {
                start: since(*at, Timestamp::now()),
                after: None,
            },
            (Some((after, _)), _) => mam::Page::After(after.clone()),
            (None, None) => mam::Page::Newest,
            (None, Some(before)) => {
                self.archive_read(batch);
                mam::Page::Before(before.clone())
            }
        };
        self.ask_archive(batch, page, gap.id)
    }

    /// What was missed has been read: what goes out need not wait any more.
    fn archive_read(&mut self, batch: &mut Batch) {
        if !std::mem::replace(&mut self.session.archive.vouched, true) {
            batch.outbox = true;
        }
        self.archive_settled(batch);
    }

    /// We have caught up as far as we can, and what was missed gets its receipts.
    fn archive_settled(&mut self, batch: &mut Batch) {
        batch.receipts_due = true;
        if std::mem::replace(&mut self.session.archive.settled, true) {
            return;
        }
        batch.caught_up = true;
        batch.outbox = true;
        self.session.archive.early.clear();
        self.session.archive.copied.clear();
    }

    fn ask_archive(&mut self, batch: &mut Batch, page: mam::Page, gap: i64) -> Result<()> {
        batch.send.push(self.archive_question(page, gap)?);
        Ok(())
    }

    /// The question for a page, which is under way from now on.
    fn archive_question(&mut self, page: mam::Page, gap: i64) -> Result<Element> {
        let query = crate::secret::random_id()?;
        let payload = mam::query(&query, &page, PAGE);
        let stanza = self.session.questions.ask(None, "set", payload, Ask::Archive)?;
        let id = stanza.attr("id").unwrap_or_default().to_owned();
        self.session.archive.reading = Some(Reading::new(query, id, page, gap));
        Ok(stanza)
    }

    /// A page has ended.
    pub(super) async fn archive_page(
        &mut self,
        batch: &mut Batch,
        answer: &Element,
        now: Timestamp,
    ) -> Result<()> {
        let Some(reading) = self.session.archive.reading.take() else {
            return Ok(());
        };
        fail::when(Point::PageRead, || !reading.is_empty());
        batch.page = true;
        self.reached(batch).await?;
        self.session.archive.listening = true;
        let Some(gap) = archive::gap(&mut batch.write, reading.gap).await? else {
            return self.next_gap(batch).await;
        };
        let Some(end) = mam::end(answer).filter(|_| answer.attr("type") == Some("result")) else {
            let condition = stanza_error::read(answer).condition;
            return self.page_refused(batch, &reading, &gap, &condition, now).await;
        };
        let page = reading.page.clone();
        let since = gap.after.as_ref().map(|(_, at)| *at);
        let Some((messages, end)) = reading.whole(end, since, now) else {
            tracing::warn!("the archive has something and does not give it");
            return self.archive_unanswered(batch).await;
        };
        if gap.after.is_some() {
            self.later_page(batch, (page, messages), gap, &end, now).await
        } else {
            self.earlier_page(batch, (page, messages), gap, &end, now).await
        }
    }

    /// A page behind what is known, on the way to now.
    async fn later_page(
        &mut self,
        batch: &mut Batch,
        (page, mut messages): (mam::Page, Vec<Archived>),
        mut gap: Gap,
        end: &mam::End,
        now: Timestamp,
    ) -> Result<()> {
        let met = messages
            .iter()
            .position(|message| Some(&message.id) == gap.before.as_ref());
        messages.truncate(met.unwrap_or(usize::MAX));
        let last = place(messages.last(), now);
        // Results that could not be read are passed by.
        let after = end
            .last
            .clone()
            .or(last.as_ref().map(|(id, _)| id.clone()))
            .filter(|_| met.is_none() && !end.complete);
        let circles = after.as_ref().is_some_and(|after| {
            // Against the archive's own clock only: ours may be far from it.
            let reached = last.as_ref().map(|(_, at)| *at);
            let fruitful = reached > self.session.archive.latest;
            self.session.archive.latest = self.session.archive.latest.max(reached);
            self.session.archive.goes_in_circles(after, fruitful)
        });
        if let (Some(after), false) = (after.clone(), circles) {
            // The server looks for it while this page is stored.
            let page = match page {
                mam::Page::Since { start, .. } => mam::Page::Since {
                    start,
                    after: Some(after),
                },
                _ => mam::Page::After(after),
            };
            let question = self.archive_question(page, gap.id)?;
            if self.connection.is_behind() {
                batch.send.push(question);
            } else {
                self.send_ahead(&question).await;
                fail::at(Point::PageAsked);
            }
        }
        let open = gap.before.is_none();
        let stood = self.store_page(batch, messages, (&gap, open), now).await?;
        gap.low = stood.low(&gap);
        if let (Some((id, at)), None) = (&last, &gap.before) {
            let place = Place {
                id: id.clone(),
                at: *at,
                position: stood.highest.max(gap.low),
            };
            archive::set_newest(&mut batch.write, self.account, &place).await?;
        }
        let Some(after) = after else {
            archive::close(&mut batch.write, gap.id).await?;
            fail::at(Point::GapClosed);
            batch.changes.account = true;
            return self.next_gap(batch).await;
        };
        if circles {
            return self.archive_unanswered(batch).await;
        }
        let at = last.map(|(_, at)| at).or(gap.after.as_ref().map(|(_, at)| *at));
        gap.after = Some((after, at.unwrap_or(now)));
        batch.changes.account = true;
        archive::shrink(&mut batch.write, &gap).await?;
        fail::at(Point::PageStored);
        Ok(())
    }

    /// The newest page of an account that is new here, or one before what is known, on the way to the beginning.
    async fn earlier_page(
        &mut self,
        batch: &mut Batch,
        (page, messages): (mam::Page, Vec<Archived>),
        mut gap: Gap,
        end: &mam::End,
        now: Timestamp,
    ) -> Result<()> {
        let open = gap.before.is_none();
        if page == mam::Page::Newest {
            // Something may have come live meanwhile; the page reaches to it.
            gap.before = None;
        }
        let last = place(messages.last(), now);
        let first = messages.first().map(|first| first.id.clone());
        let began = messages.iter().find_map(|message| message.at);
        let fruitful = began.is_some_and(|at| self.session.archive.earliest.is_none_or(|known| at < known));
        self.session.archive.earliest = self.session.archive.earliest.into_iter().chain(began).min();
        let stood = self.store_page(batch, messages, (&gap, open), now).await?;
        // Where there is nothing yet, what comes while we are away is missed all the same.
        let nothing = || (page == mam::Page::Newest && end.complete).then(|| (String::new(), now));
        if let (Some((id, at)), None) = (last.or_else(nothing), &gap.before) {
            let position = stood.highest;
            archive::set_newest(&mut batch.write, self.account, &Place { id, at, position }).await?;
        }
        let before = end.first.clone().or(first).filter(|_| !end.complete);
        batch.changes.account = true;
        let Some(before) = before else {
            archive::close(&mut batch.write, gap.id).await?;
            fail::at(Point::GapClosed);
            return self.next_gap(batch).await;
        };
        if self.session.archive.goes_in_circles(&before, fruitful) {
            return self.archive_unanswered(batch).await;
        }
        gap.before = Some(before);
        gap.high = stood.within.map_or(gap.high, |(first, _)| first);
        archive::shrink(&mut batch.write, &gap).await?;
        fail::at(Point::PageStored);
        self.next_gap(batch).await
    }

    /// Stores what a page holds between the edges of its gap, which is still open at its end or not: the texts, then what
    /// was said of them.
    async fn store_page(
        &mut self,
        batch: &mut Batch,
        messages: Vec<Archived>,
        (gap, open): (&Gap, bool),
        now: Timestamp,
    ) -> Result<Stood> {
        let mut stood = Stood::default();
        let mut known = self.known_of(batch, &messages, now).await?;
        let (mut new, mut said) = (Vec::new(), Vec::new());
        // The last message of ours in each chat, wherever it was written.
        let mut answered = HashMap::new();
        let mut number = 0;
        for archived in messages {
            for inbound in archived.holds {
                let text = match inbound {
                    Inbound::Text(text) => text,
                    other => {
                        said.push(other);
                        continue;
                    }
                };
                let known = known.remove(&number);
                number += 1;
                let chat = batch.chat(self.account, &text.chat, now).await?;
                let low = stood.low(gap);
                let position = if let Some(known) = known {
                    if text.direction == Direction::Out {
                        answered.insert(chat, known.message);
                        self.arrived(batch, chat, known.message).await?;
                    }
                    let position = known.position;
                    if self.session.archive.copied.contains(&known.message) || open && position >= gap.high {
                        let early = &mut self.session.archive.early;
                        early.entry(chat).or_default().push(known.message);
                    }
                    Some(position)
                } else {
                    let between = (archived.at.unwrap_or(now).as_microsecond(), low, gap.high);
                    let placed = self.place_text(batch, chat, text, gap, between, now).await?;
                    let position = placed.as_ref().map(|(placed, _)| placed.position);
                    new.extend(placed);
                    said.append(&mut batch.said_inside);
                    position
                };
                if let Some(position) = position {
                    stood.at(position, low, gap.high);
                }
            }
        }
        for position in self.store_texts(batch, new, gap, &mut answered).await? {
            stood.at(position, stood.low(gap), gap.high);
        }
        if gap.after.is_some() && !answered.is_empty() {
            // Whoever answers, here or on another device, has read what stands before.
            let answered: Vec<_> = answered.into_iter().collect();
            self.read_up_to(batch, &answered).await?;
        }
        fail::when(Point::PageHalf, || number > 0);
        for inbound in said {
            self.said_since(batch, inbound).await?;
        }
        Ok(stood)
    }

    /// Which texts of a page are stored already, by their running number.
    async fn known_of(
        &self,
        batch: &mut Batch,
        messages: &[Archived],
        now: Timestamp,
    ) -> Result<HashMap<usize, Known>> {
        let held = messages.iter().flat_map(|archived| &archived.holds);
        let texts: Vec<&Text> = held
            .filter_map(|inbound| match inbound {
                Inbound::Text(text) => Some(text),
                _ => None,
            })
            .collect();
        let people = texts.iter().map(|text| &text.chat).collect();
        batch.find_chats(self.account, &people).await?;
        let mut sought = Vec::with_capacity(texts.len());
        for text in texts {
            sought.push(Sought {
                chat: batch.chat(self.account, &text.chat, now).await?,
                sender: &text.sender,
                origin_id: text.origin_id.as_deref(),
                archive_id: text.archive_id.as_deref(),
                likeness: text.stanza_id.as_deref().map(|stanza_id| Likeness {
                    stanza_id,
                    sent_at: text.sent_at,
                    plain: match &text.content {
                        Content::Plain(body) => Some(body),
                        _ => None,
                    },
                }),
            });
        }
        messages::known(&mut batch.write, &sought).await
    }

    /// A message that the archive tells of and that is new, with its place; none if there is nothing to show.
    async fn place_text(
        &mut self,
        batch: &mut Batch,
        chat: ChatId,
        mut text: Text,
        gap: &Gap,
        between: (i64, i64, i64),
        now: Timestamp,
    ) -> Result<Option<(Placed, Text)>> {
        let (wanted, _, high) = between;
        let low = self.put_early_before(batch, chat, between).await?;
        let Some(new) = self.read_content(batch, chat, (&mut text, false), now).await? else {
            return Ok(None);
        };
        let placed = Placed {
            chat,
            position: archive::place_between(wanted, low, high),
            unread: gap.after.is_some() && new.direction == Direction::In,
            new,
        };
        Ok(Some((placed, text)))
    }

    /// Stores the new messages of a page. Gives where they stand.
    async fn store_texts(
        &mut self,
        batch: &mut Batch,
        new: Vec<(Placed, Text)>,
        gap: &Gap,
        answered: &mut HashMap<ChatId, MessageId>,
    ) -> Result<Vec<i64>> {
        let missed = gap.after.is_some();
        let (placed, texts): (Vec<Placed>, Vec<Text>) = new.into_iter().unzip();
        let stored = messages::insert_all(&mut batch.write, &placed, gap.high).await?;
        let (mut before, mut owed) = (HashMap::new(), Vec::new());
        let rows = placed.iter().zip(&texts).zip(&stored);
        for ((placed, text), (message, _)) in rows.filter_map(|(text, row)| Some((text, (*row)?))) {
            batch.stored(placed.chat, message, placed.unread);
            if placed.new.undecryptable == Some(UndecryptableReason::BeforeThisDevice) {
                before.insert(placed.chat, placed.position);
            }
            // Whoever looks at the beginning of a chat sees its gap move, and reads on.
            if !missed && gap.before.is_some() {
                batch.changes.messages.remove(&message);
            }
            if text.direction == Direction::Out {
                answered.insert(placed.chat, message);
            } else if missed
                && let Some((to, id)) = text.receipt()
                && self.session.archive.owed < RECEIPTS
            {
                self.session.archive.owed += 1;
                owed.push((placed.chat, id, to));
            }
        }
        receipts::owe(&mut batch.write, &owed).await?;
        // They need not be read again, if nothing else changes them in this transaction.
        let rev = self.core.store.next_rev();
        for (placed, row) in placed.into_iter().zip(&stored) {
            if let Some(row) = *row
                && let Some(shown) = placed.show(self.account, row, rev)
                && batch.changes.messages.remove(&shown.message)
            {
                batch.changes.shown.push(shown);
            }
        }
        for (chat, position) in before {
            let standing = messages::standing_for(&mut batch.write, chat, position).await?;
            batch.changes.messages.extend(standing);
        }
        Ok(stored
            .into_iter()
            .flatten()
            .map(|(_, position)| position)
            .collect())
    }

    /// What came early moves before what the archive tells of after it. Gives the lowest position that is left.
    async fn put_early_before(
        &mut self,
        batch: &mut Batch,
        chat: ChatId,
        (wanted, mut low, high): (i64, i64, i64),
    ) -> Result<i64> {
        for message in self.session.archive.early.remove(&chat).unwrap_or_default() {
            let between = (wanted, low, high);
            if let Some(position) = messages::move_between(&mut batch.write, chat, message, between).await? {
                low = position;
                batch.encrypted.insert(chat);
                batch.changes.messages.insert(message);
            }
        }
        Ok(low)
    }

    /// What others and our other devices said about messages that are known.
    async fn said_since(&mut self, batch: &mut Batch, inbound: Inbound) -> Result<()> {
        if let Inbound::ReceiptElsewhere { with, id } = inbound {
            if let Some(chat) = chats::find(&mut batch.write, self.account, &with).await? {
                receipts::given(&mut batch.write, chat, &id).await?;
            }
            return Ok(());
        }
        self.said_of_message(batch, inbound, true).await
    }
}
