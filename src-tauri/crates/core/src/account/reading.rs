//! What was read: markers to those who may know it (XEP-0333), and to our other devices (XEP-0490).
//!
//! Both are told from the database, where it stands what was read here and what is known of it elsewhere: so it survives
//! whatever happens, and after a while without connection only the newest of each chat goes out.

use std::time::Duration;

use minidom::Element;
use tokio::time::Instant;

use super::batch::Batch;
use super::iq::Ask;
use super::online::{Online, Stop};
use super::publishing::Attempt;
use crate::error::Result;
use crate::model::BareJid;
use crate::notices::{self, News};
use crate::store::reading::{self, ToSync};
use crate::store::{Write, chats};
use crate::xep::pubsub::{self, Access, MaxItems, Shape};
use crate::xep::{displayed, ns, stanza_error};

/// Our other devices hear of what was read after so long at first, so that a lively chat is not published with each line.
const MOMENT: Duration = Duration::from_millis(700);
/// After a publication that nobody answered it is left alone for so long.
const AGAIN: Duration = Duration::from_secs(120);
/// So many chats are kept by servers that want a number.
const CHATS: u16 = 200;

/// What is known in this session of the node that our devices share.
#[derive(Default)]
pub(super) struct Reading {
    node: Node,
    /// What is being published.
    publishing: Option<ToSync>,
    attempt: Attempt,
    /// The server wants a number, and does not know `max_items=max`.
    numbered: bool,
    publish_at: Option<Instant>,
    /// What was missed has been told.
    summed_up: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Node {
    /// It was not asked for yet, or not answered.
    #[default]
    Unknown,
    Known,
    /// The server keeps no such node, or will not keep it private.
    Absent,
}

impl Reading {
    /// When there is something to be published.
    pub(super) fn publish_at(&self) -> Option<Instant> {
        self.publish_at.filter(|_| self.publishing.is_none())
    }
}

impl Online<'_> {
    /// Something was read here, now or while there was no connection.
    pub(super) async fn tell_read(&mut self) -> std::result::Result<(), Stop> {
        // Before that the archive may still tell what other devices have read.
        if !self.session.archive.is_settled() {
            return Ok(());
        }
        let mut batch = Batch::begin(&self.core.store).await?;
        self.mark(&mut batch).await?;
        self.sync_soon(MOMENT);
        self.finish(batch).await
    }

    /// New messages are told at once, but for what was missed: that is summed up when it is known what other devices have
    /// read of it. Until then it stands in the database, so that nothing that happens meanwhile keeps it from the person.
    pub(super) async fn keep_missed(&self, write: &mut Write, news: &News) -> Result<()> {
        if news.is_empty() || self.session.reading.node != Node::Unknown {
            return Ok(());
        }
        reading::miss(write, news).await
    }

    /// Tells of what has just been stored, and of what was missed.
    pub(super) async fn tell_news(&mut self, news: News) -> Result<()> {
        if self.session.reading.node == Node::Unknown {
            return Ok(());
        }
        if !std::mem::replace(&mut self.session.reading.summed_up, true) {
            let missed = reading::missed(&mut *self.core.store.read().await?, self.account).await?;
            if !missed.is_empty() {
                notices::sum_up(self.core, self.account, missed).await?;
                let mut write = self.core.store.write().await?;
                reading::summed_up(&mut write, self.account).await?;
                write.commit().await?;
            }
        }
        if !news.is_empty() {
            notices::tell(self.core, self.account, news).await?;
        }
        Ok(())
    }

    /// Puts markers for what was read into the outbox.
    async fn mark(&self, batch: &mut Batch) -> Result<()> {
        for read in reading::to_mark(&mut batch.write, self.account).await? {
            let id = read.newest.as_ref().map(|(_, id)| id);
            let stanza = id.map(|id| String::from(&displayed::marker(&read.address, id)));
            let stanza = stanza.as_deref().map(str::as_bytes);
            reading::mark(&mut batch.write, self.account, &read, stanza).await?;
            batch.outbox |= stanza.is_some();
        }
        Ok(())
    }

    fn sync_soon(&mut self, wait: Duration) {
        if self.session.reading.node == Node::Known {
            let at = Instant::now() + wait;
            let before = self.session.reading.publish_at;
            self.session.reading.publish_at = Some(before.map_or(at, |before| before.min(at)));
        }
    }

    /// What the server held for us has been read: now what our other devices have read can be understood, and what was
    /// read here be told.
    pub(super) async fn ask_displayed(&mut self, batch: &mut Batch) -> Result<()> {
        self.displayed_here(batch).await?;
        self.mark(batch).await?;
        let payload = pubsub::items(ns::DISPLAYED, None);
        let question = self.session.questions.ask(None, "get", payload, Ask::Displayed)?;
        batch.send.push(question);
        Ok(())
    }

    /// What the node holds.
    pub(super) async fn displayed_known(&mut self, batch: &mut Batch, answer: &Element) -> Result<()> {
        self.session.reading.node = self.node_if_private();
        if answer.attr("type") == Some("error") {
            let condition = stanza_error::read(answer).condition;
            if condition != "item-not-found" {
                tracing::info!(condition, "the server does not keep what was read");
                self.session.reading.node = Node::Absent;
            }
        }
        let own = self.own.clone();
        for (item, payload) in pubsub::answered_items(answer) {
            if let Some((with, archive_id)) = displayed::read(item, payload, &own) {
                self.displayed_elsewhere(batch, &with, &archive_id).await?;
            }
        }
        self.sync_soon(Duration::ZERO);
        Ok(())
    }

    /// Our devices have read the chat with `with` up to that message of our archive; it may be this one that said so.
    pub(super) async fn displayed_elsewhere(
        &mut self,
        batch: &mut Batch,
        with: &BareJid,
        archive_id: &str,
    ) -> Result<()> {
        let chat = chats::find(&mut batch.write, self.account, with).await?;
        let known = match chat {
            Some(chat) => reading::archived_as(&mut batch.write, chat, archive_id).await?,
            None => None,
        };
        let (Some(chat), Some((message, position))) = (chat, known) else {
            return reading::put_displayed(&mut batch.write, self.account, with, archive_id).await;
        };
        reading::delete_displayed(&mut batch.write, self.account, with).await?;
        reading::synced(&mut batch.write, chat, position).await?;
        self.read_up_to(batch, &[(chat, message)]).await
    }

    /// Messages have come that other devices have read up to.
    pub(super) async fn displayed_here(&mut self, batch: &mut Batch) -> Result<()> {
        for (chat, message, position) in reading::displayed_here(&mut batch.write, self.account).await? {
            reading::synced(&mut batch.write, chat, position).await?;
            self.read_up_to(batch, &[(chat, message)]).await?;
        }
        Ok(())
    }

    /// Publishes what was read here, one chat after the other, if it is time.
    pub(super) async fn publish_displayed(&mut self, batch: &mut Batch, now: Instant) -> Result<()> {
        if self.session.reading.publish_at().is_none_or(|at| at > now) {
            return Ok(());
        }
        self.session.reading.publish_at = None;
        match reading::to_sync(&mut batch.write, self.account).await? {
            Some(read) => self.publish_read(batch, read),
            None => Ok(()),
        }
    }

    fn publish_read(&mut self, batch: &mut Batch, read: ToSync) -> Result<()> {
        let shape = |max_items| Shape {
            access: Access::Own,
            max_items,
        };
        let options = shape(if self.session.reading.numbered {
            MaxItems::Number(CHATS)
        } else {
            MaxItems::Max
        });
        let payload = if self.session.reading.attempt.configures() {
            pubsub::configure(ns::DISPLAYED, options)
        } else {
            let displayed = displayed::write(&self.own, &read.archive_id);
            pubsub::publish(ns::DISPLAYED, read.address.as_str(), displayed, Some(options))
        };
        self.session.reading.publishing = Some(read);
        let question = self
            .session
            .questions
            .ask(None, "set", payload, Ask::PublishDisplayed)?;
        batch.send.push(question);
        Ok(())
    }

    /// The server answered a publication, or a change of the node's settings.
    pub(super) async fn displayed_published(&mut self, batch: &mut Batch, answer: &Element) -> Result<()> {
        let Some(read) = self.session.reading.publishing.take() else {
            return Ok(());
        };
        if answer.attr("type") == Some("error") {
            let error = stanza_error::read(answer);
            let next = self.session.reading.attempt.next(MaxItems::Max, &error);
            // Never without options: everybody who sees our presence could read with whom we talk.
            let Some(next) = next.filter(|next| *next != Attempt::WithoutOptions) else {
                tracing::warn!(condition = error.condition, "what was read cannot be published");
                self.session.reading.node = Node::Absent;
                return Ok(());
            };
            self.session.reading.numbered |= next.is_numbered();
            self.session.reading.attempt = next;
            return self.publish_read(batch, read);
        }
        if self.session.reading.attempt.configures() {
            self.session.reading.attempt = Attempt::Configured;
            return self.publish_read(batch, read);
        }
        self.session.reading.attempt = Attempt::First;
        reading::synced(&mut batch.write, read.chat, read.seen).await?;
        if let Some(next) = reading::to_sync(&mut batch.write, self.account).await? {
            return self.publish_read(batch, next);
        }
        Ok(())
    }

    /// Nobody answered; what was read here is told later.
    pub(super) fn displayed_unanswered(&mut self) {
        tracing::warn!("the server did not say what was read");
        self.session.reading.publishing = None;
        self.session.reading.publish_at = Some(Instant::now() + AGAIN);
        self.session.reading.node = self.node_if_private();
    }

    /// A server that takes no notice of who may read a publication would let everybody who sees our presence read with whom
    /// we talk.
    fn node_if_private(&self) -> Node {
        if self.session.publish_options {
            Node::Known
        } else {
            Node::Absent
        }
    }
}
