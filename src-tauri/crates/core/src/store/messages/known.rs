//! Which messages are stored already: one message is one row, in whatever way and however often it comes.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sqlx::types::Json;

use crate::error::Result;
use crate::model::{BareJid, ChatId, MessageId};
use crate::store::{Write, millis};

/// A message that is stored already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) message: MessageId,
    pub(crate) position: i64,
}

/// What a message is known by: its chat, and there its sender and origin id, or its archive id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought<'a> {
    pub(crate) chat: ChatId,
    pub(crate) sender: &'a BareJid,
    pub(crate) origin_id: Option<&'a str>,
    pub(crate) archive_id: Option<&'a str>,
    /// What else it may be known by, if it came before without either id.
    pub(crate) likeness: Option<Likeness<'a>>,
}

/// What the archive's copy of a message has in common with the one that came live. Senders may use a stanza's id again,
/// so it counts only together with the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Likeness<'a> {
    pub(crate) stanza_id: &'a str,
    pub(crate) sent_at: Timestamp,
    /// None if it is encrypted.
    pub(crate) plain: Option<&'a str>,
}

/// The archive's clock and ours, which says when a live message came, are so many milliseconds apart at most.
const CLOCKS_APART: i64 = 600_000;

/// Which of these messages are stored already, by their place in the list. They have their archive id from then on.
pub(crate) async fn known(write: &mut Write, sought: &[Sought<'_>]) -> Result<HashMap<usize, Known>> {
    let list: Vec<_> = sought
        .iter()
        .map(|sought| {
            (
                sought.chat,
                sought.sender.as_str(),
                sought.origin_id,
                sought.archive_id,
                sought.likeness.map(|like| like.stanza_id),
                sought.likeness.map(|like| millis(like.sent_at)),
                sought.likeness.and_then(|like| like.plain),
            )
        })
        .collect();
    // What is found first counts.
    let rows: Vec<(i64, MessageId, i64, bool, bool)> = sqlx::query_as(
        "WITH sought AS MATERIALIZED (
             SELECT key, value ->> 0 AS chat, value ->> 1 AS sender, value ->> 2 AS origin_id, value ->> 3 AS archive_id,
                 value ->> 4 AS stanza_id, value ->> 5 AS sent_at, value ->> 6 AS plain FROM json_each(?1))
         SELECT key, message.id, message.position, 0, 0 FROM sought
             JOIN message ON message.chat = sought.chat AND message.archive_id = sought.archive_id
         UNION ALL SELECT key, message.id, message.position, message.archive_id IS NULL, 0 FROM sought
             JOIN message ON message.chat = sought.chat AND message.sender = sought.sender
                 AND message.origin_id = sought.origin_id
         UNION ALL SELECT key, message.id, message.position, 1, 1 FROM sought
             JOIN message ON message.chat = sought.chat AND message.stanza_id = sought.stanza_id
                 AND message.sender = sought.sender AND message.origin_id IS NULL AND message.archive_id IS NULL
                 AND abs(message.sent_at - sought.sent_at) <= ?2
                 AND iif(message.encryption = 'none' AND message.undecryptable IS NULL, message.body, NULL)
                     IS sought.plain",
    )
    .bind(Json(list))
    .bind(CLOCKS_APART)
    .fetch_all(&mut **write)
    .await?;
    let (mut known, mut taken) = (HashMap::new(), HashSet::new());
    for (place, message, position, unnamed, alike) in rows {
        let Some((place, sought)) = usize::try_from(place)
            .ok()
            .and_then(|place| Some((place, sought.get(place)?)))
        else {
            continue;
        };
        // Two that are alike are two: each takes a row of its own.
        if known.contains_key(&place) || alike && !taken.insert(message) {
            continue;
        }
        known.insert(place, Known { message, position });
        if let (Some(archive_id), true) = (sought.archive_id, unnamed) {
            sqlx::query("UPDATE OR IGNORE message SET archive_id = ? WHERE id = ?")
                .bind(archive_id)
                .bind(message)
                .execute(&mut **write)
                .await?;
        }
    }
    Ok(known)
}
