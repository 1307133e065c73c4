//! Which messages are stored already: one message is one row, in whatever way and however often it comes.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;
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
            let sender = sought.sender.as_str();
            (sought.chat, sender, sought.origin_id, sought.archive_id)
        })
        .collect();
    // What is found first counts.
    let rows: Vec<(i64, MessageId, i64, bool)> = sqlx::query_as(
        "WITH sought AS MATERIALIZED (
             SELECT key, value ->> 0 AS chat, value ->> 1 AS sender, value ->> 2 AS origin_id, value ->> 3 AS archive_id
             FROM json_each(?1))
         SELECT key, message.id, message.position, 0 FROM sought
             JOIN message ON message.chat = sought.chat AND message.archive_id = sought.archive_id
         UNION ALL SELECT key, message.id, message.position, message.archive_id IS NULL FROM sought
             JOIN message ON message.chat = sought.chat AND message.sender = sought.sender
                 AND message.origin_id = sought.origin_id",
    )
    .bind(Json(list))
    .fetch_all(&mut **write)
    .await?;
    let (mut known, mut unnamed) = (HashMap::new(), Vec::new());
    for (place, message, position, is_unnamed) in rows {
        let Ok(place) = usize::try_from(place) else {
            continue;
        };
        if let Entry::Vacant(entry) = known.entry(place) {
            entry.insert(Known { message, position });
            unnamed.extend(is_unnamed.then_some((place, message)));
        }
    }
    for (place, alike) in alike(write, sought, &known).await? {
        unnamed.push((place, alike.message));
        known.insert(place, alike);
    }
    for (place, message) in unnamed {
        if let Some(archive_id) = sought.get(place).and_then(|sought| sought.archive_id) {
            sqlx::query("UPDATE OR IGNORE message SET archive_id = ? WHERE id = ?")
                .bind(archive_id)
                .bind(message)
                .execute(&mut **write)
                .await?;
        }
    }
    Ok(known)
}

/// Those that are alike in all but their time, and between which times they lie.
#[derive(Serialize)]
struct Alike<'a> {
    chat: ChatId,
    sender: &'a str,
    stanza_id: &'a str,
    plain: Option<&'a str>,
    earliest: i64,
    latest: i64,
}

/// Which of the others are known by their likeness. Two that are alike are two: each takes a row of its own, the earliest
/// that is left. Rows are read once for all that are alike, since there may be as many of them as somebody likes.
async fn alike(
    write: &mut Write,
    sought: &[Sought<'_>],
    known: &HashMap<usize, Known>,
) -> Result<Vec<(usize, Known)>> {
    let (mut kinds, mut numbers, mut wanted) = (Vec::<Alike<'_>>::new(), HashMap::new(), Vec::new());
    for (place, sought) in sought.iter().enumerate() {
        // What has an origin id had it when it came live.
        let nameless = sought.origin_id.is_none() && !known.contains_key(&place);
        let Some(like) = sought.likeness.filter(|_| nameless) else {
            continue;
        };
        let (sender, at) = (sought.sender.as_str(), millis(like.sent_at));
        let number = *numbers
            .entry((sought.chat, sender, like.stanza_id, like.plain))
            .or_insert(kinds.len());
        match kinds.get_mut(number) {
            Some(kind) => {
                kind.earliest = kind.earliest.min(at);
                kind.latest = kind.latest.max(at);
            }
            None => kinds.push(Alike {
                chat: sought.chat,
                sender,
                stanza_id: like.stanza_id,
                plain: like.plain,
                earliest: at,
                latest: at,
            }),
        }
        wanted.push((place, number, at));
    }
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    // In this order: all that have one of these ids once, and then what they are like.
    let Json(rows): Json<Vec<(usize, i64, MessageId, i64)>> = sqlx::query_scalar(
        "WITH kind AS MATERIALIZED (
             SELECT key AS number, value ->> 'chat' AS chat, value ->> 'sender' AS sender,
                 value ->> 'stanza_id' AS stanza_id, value ->> 'plain' AS plain,
                 value ->> 'earliest' AS earliest, value ->> 'latest' AS latest FROM json_each(?1)),
         called AS MATERIALIZED (SELECT chat, stanza_id, min(earliest) - ?2 AS earliest, max(latest) + ?2 AS latest
             FROM kind GROUP BY chat, stanza_id)
         SELECT json_group_array(json_array(kind.number, message.sent_at, message.id, message.position)) FROM called
             CROSS JOIN message ON message.chat = called.chat AND message.stanza_id = called.stanza_id
                 AND message.origin_id IS NULL AND message.archive_id IS NULL
                 AND message.sent_at BETWEEN called.earliest AND called.latest
             CROSS JOIN kind ON kind.chat = message.chat AND kind.stanza_id = message.stanza_id
                 AND kind.sender = message.sender
                 AND kind.plain IS iif(message.encryption = 'none' AND message.undecryptable IS NULL, message.body, NULL)
                 AND message.sent_at BETWEEN kind.earliest - ?2 AND kind.latest + ?2",
    )
    .bind(Json(kinds))
    .bind(CLOCKS_APART)
    .fetch_one(&mut **write)
    .await?;
    let mut left: HashMap<usize, BTreeMap<(i64, MessageId), i64>> = HashMap::new();
    for (number, at, message, position) in rows {
        left.entry(number).or_default().insert((at, message), position);
    }
    let mut found = Vec::new();
    for (place, number, at) in wanted {
        let Some(left) = left.get_mut(&number) else {
            continue;
        };
        let earliest = (at.saturating_sub(CLOCKS_APART), MessageId(i64::MIN));
        let latest = (at.saturating_add(CLOCKS_APART), MessageId(i64::MAX));
        let first = left.range(earliest..=latest).next();
        if let Some((&row, &position)) = first {
            left.remove(&row);
            let message = row.1;
            found.push((place, Known { message, position }));
        }
    }
    Ok(found)
}
