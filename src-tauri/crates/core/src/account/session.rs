//! The stream-managed session in the database, so that the next process goes on with it (XEP-0198 §5).

use std::sync::Arc;

use jiff::Timestamp;
use waxwing_stream::{Connection, Resumption, StanzaNumber, Unacknowledged};

use super::online::{Left, Online, Session, Stop};
use crate::Core;
use crate::error::{Error, Result};
use crate::fail::{self, Point};
use crate::live::Presence;
use crate::model::AccountId;
use crate::store::Write;
use crate::store::archive;
use crate::store::sessions::{self, SentStanza};

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
    sessions::renumber(&mut write, account, &pending).await?;
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

/// Whether a stanza says something to somebody, so that it must not be lost.
pub(super) fn is_message(xml: &str) -> bool {
    xml.starts_with("<message")
}

impl Online<'_> {
    /// Messages beside the outbox, with the numbers that they will have if they are the next to be sent.
    pub(super) fn numbered(&self, send: &[Arc<str>]) -> Vec<(StanzaNumber, Arc<str>)> {
        let numbers = (self.connection.next_number().0..).map(StanzaNumber);
        let all = numbers.zip(send.iter().cloned());
        all.filter(|(_, xml)| is_message(xml)).collect()
    }

    pub(super) async fn keep_beside(
        &mut self,
        write: &mut Write,
        messages: &[(StanzaNumber, Arc<str>)],
    ) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let rows: Vec<(StanzaNumber, &str)> =
            messages.iter().map(|(number, xml)| (*number, &**xml)).collect();
        sessions::put_stanzas(write, self.account, &rows).await?;
        self.session
            .beside
            .extend(messages.iter().map(|(number, _)| *number));
        Ok(())
    }

    /// Sends messages beside the outbox that no transaction stands behind.
    pub(super) async fn send_beside(&mut self, messages: Vec<Arc<str>>) -> std::result::Result<(), Stop> {
        if messages.is_empty() {
            return Ok(());
        }
        if self.connection.session(0).is_some() {
            let numbered = self.numbered(&messages);
            let mut write = self.core.store.write().await?;
            self.keep_beside(&mut write, &numbered).await?;
            write.commit().await.map_err(Error::from)?;
        }
        for xml in messages {
            self.connection.send_raw(xml).await?;
        }
        Ok(())
    }
}
