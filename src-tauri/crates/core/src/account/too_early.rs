//! What comes live while the archive is still being read is opened at once, and not held back until then: that would hold
//! back the server's acknowledgement of all that follows, for minutes. It does no harm:
//!
//! - A key exchange opens whichever of its messages comes first. The one-time prekey that it used is hidden, and kept
//!   until the archive has been read (`Arrival::catching_up`), and the others find the session by its base key.
//! - What is skipped in a chain keeps its keys, 1,000 of them in one step ([`waxwing_omemo::MAX_SKIP`]), with which the
//!   archive's messages are opened afterwards. If more are missing the live message alone cannot be opened, the session
//!   stays as it is, and the message is kept as it came and tried again when all has been read, be it by another process.
//! - Nothing is opened twice: what came live is known by its ids when the archive tells of it, and its place is given by
//!   the archive (`put_early_before`).

use jiff::Timestamp;
use minidom::Element;
use waxwing_omemo::xml::{read_encrypted, write_encrypted};

use super::batch::Batch;
use super::online::Online;
use crate::error::Result;
use crate::inbound::{Content, Text};
use crate::model::{Direction, MessageId, UndecryptableReason};
use crate::store::messages;
use crate::store::too_early::{self, TooEarly};
use crate::xep::ns;

/// So many messages that came too early are kept.
const MOST: u32 = 200;

impl Online<'_> {
    /// Whether a live message lies too far ahead only since the archive has not told yet of what stands before it.
    pub(super) fn is_too_early(&self, batch: &Batch, reason: Option<UndecryptableReason>) -> bool {
        let reading = !self.session.caught_up && !batch.caught_up;
        let has_room = self.session.too_early < MOST;
        reading && has_room && reason == Some(UndecryptableReason::TooFarAhead)
    }

    /// Keeps a message that came too early and is stored.
    pub(super) async fn keep_too_early(
        &mut self,
        batch: &mut Batch,
        message: MessageId,
        text: &Text,
    ) -> Result<()> {
        let Content::Encrypted(encrypted) = &text.content else {
            return Ok(());
        };
        let stanza = Element::builder("message", ns::JABBER_CLIENT)
            .append_all(encrypted.iter().map(write_encrypted))
            .build();
        self.session.too_early += 1;
        too_early::keep(&mut batch.write, message, &String::from(&stanza)).await
    }

    /// All that was missed has been read: what came before that and was too far ahead can be opened now.
    pub(super) async fn open_too_early(&mut self, batch: &mut Batch, now: Timestamp) -> Result<()> {
        if self.session.too_early == 0 || self.is_something_missed(batch).await? {
            return Ok(());
        }
        self.session.too_early = 0;
        for early in too_early::take(&mut batch.write, self.account).await? {
            let (chat, id) = (early.chat, early.message);
            let mut text = self.as_it_came(early);
            let message = self.read_content(batch, chat, (&mut text, true), now).await?;
            if let Some(message) = message.filter(|message| message.undecryptable.is_none()) {
                messages::opened_later(&mut batch.write, id, &message).await?;
                batch.changes.messages.insert(id);
                batch.changes.chats.insert(chat);
            }
            for inbound in std::mem::take(&mut batch.said_inside) {
                self.said_of_message(batch, inbound, false).await?;
            }
        }
        Ok(())
    }

    /// What matters of it for opening it: its row has the rest.
    fn as_it_came(&self, early: TooEarly) -> Text {
        let stanza: Option<Element> = early.stanza.parse().ok();
        let encrypted = stanza.iter().flat_map(Element::children);
        Text {
            sender: match early.direction {
                Direction::In => early.with.0.clone(),
                Direction::Out => self.own.clone(),
            },
            chat: early.with.0,
            direction: early.direction,
            content: Content::Encrypted(
                encrypted
                    .filter_map(|element| read_encrypted(element).ok())
                    .collect(),
            ),
            announced: true,
            sent_at: early.sent_at,
            stanza_id: early.stanza_id,
            origin_id: None,
            archive_id: None,
            markable: early.markable,
            receipt_wanted: false,
            receipt_to: None,
        }
    }
}
