//! Messages as they are stored.

mod delivery;
mod known;

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use sqlx::Sqlite;
use sqlx::query_builder::{QueryBuilder, Separated};
use sqlx::types::Json;

pub(crate) use self::delivery::{
    advance_delivery, came_back, fail, received_as, seen_up_to, sent_as, wait_again, wait_for_another_try,
};
pub(crate) use self::known::{Known, Likeness, Sought, known};
use super::chats::Added;
use super::files::{self, NewFile};
use super::{Connection, Write, archive, chats, millis, search, time};
use crate::error::{Code, Error, Fault, Result};
use crate::model::{
    AccountId, BareJid, ChatId, Delivery, Direction, Encryption, Message, MessageId, Trust, Undecryptable,
    UndecryptableReason,
};

/// A message as [`select_messages`] reads it.
#[derive(Deserialize)]
pub(crate) struct MessageRow {
    id: MessageId,
    chat: ChatId,
    account: AccountId,
    sender: BareJid,
    direction: Direction,
    body: Option<String>,
    sent_at: i64,
    position: i64,
    delivery: Delivery,
    encryption: Encryption,
    trust: Option<Trust>,
    device: Option<u32>,
    unprotected: bool,
    undecryptable: Option<UndecryptableReason>,
    method: Option<String>,
    repaired: bool,
    count: u32,
    error_code: Option<Code>,
    error_text: Option<String>,
    origin_id: Option<String>,
    archive_id: Option<String>,
    files: Vec<files::Shown>,
}

impl MessageRow {
    pub(crate) fn show(self, rev: i64) -> Message {
        Message {
            message: self.id,
            chat: self.chat,
            account: self.account,
            from: self.sender,
            direction: self.direction,
            body: self.body,
            files: files::show(self.files),
            sent_at: time(self.sent_at),
            position: self.position,
            delivery: self.delivery,
            encryption: self.encryption,
            trust: self.trust,
            unprotected: self.unprotected,
            undecryptable: self.undecryptable.map(|reason| Undecryptable {
                device: self.device.unwrap_or_default(),
                reason,
                method: self.method,
                count: self.count,
                repaired: self.repaired,
            }),
            error: self
                .error_code
                .map(|code| Fault::new(code, self.error_text.unwrap_or_default())),
            origin_id: self.origin_id,
            archive_id: self.archive_id,
            rev,
        }
    }
}

/// Selects messages as one JSON array: sqlx carries each row from the database's thread to ours by itself, and to wake
/// the two in turn costs more than reading a message does.
///
/// Those from before this device that follow each other are one row: the newest of them, which counts them all.
macro_rules! select_messages {
    ($condition:literal, $rest:literal) => {
        $crate::store::messages::select_messages!(join "", $condition, $rest)
    };
    (join $join:literal, $condition:literal, $rest:literal) => {
        concat!(
            "SELECT '[' || coalesce(group_concat(row), '') || ']' FROM (SELECT json_object(
                'id', message.id, 'chat', message.chat, 'account', chat.account, 'sender', sender,
                'direction', direction, 'body', message.body, 'sent_at', sent_at, 'position', position,
                'delivery', delivery, 'encryption', encryption, 'trust', trust, 'device', device,
                'unprotected', json(iif(unprotected, 'true', 'false')), 'undecryptable', undecryptable,
                'method', method, 'repaired', json(iif(repaired, 'true', 'false')),
                'count', iif(undecryptable IS 'before_this_device', (SELECT count(*) FROM message same
                    WHERE same.chat = message.chat AND same.position <= message.position AND same.position > coalesce(
                        (SELECT other.position FROM message other
                         WHERE other.chat = message.chat AND other.position < message.position
                             AND other.undecryptable IS NOT 'before_this_device'
                         ORDER BY other.position DESC LIMIT 1), -1)), 1),
                'error_code', error_code, 'error_text', error_text,
                'origin_id', origin_id, 'archive_id', archive_id, 'files', json((SELECT json_group_array(json_object(
                    'id', id, 'name', name, 'media_type', media_type, 'size', size, 'state', state,
                    'failure', failure, 'host', host, 'picture', picture, 'width', width, 'height', height,
                    'program', program)) FROM file WHERE file.message = message.id))) AS row
             FROM message JOIN chat ON chat.id = message.chat ",
            $join,
            " WHERE NOT (undecryptable IS 'before_this_device' AND 'before_this_device' IS
                 (SELECT later.undecryptable FROM message later
                  WHERE later.chat = message.chat AND later.position > message.position
                  ORDER BY later.position LIMIT 1))
                 AND ",
            $condition,
            " ",
            $rest,
            ")"
        )
    };
}
pub(super) use select_messages;

/// What is written of a new message.
const COLUMNS: &str =
    "chat, position, sender, direction, body, sent_at, delivery, encryption, trust, device, unprotected,
    undecryptable, method, stanza_id, origin_id, archive_id, markable";
/// So many messages are stored by one statement: SQLite binds 32,766 values at most.
const ROWS: usize = 500;

/// A message to be stored at the end of its chat.
#[derive(Clone, Debug)]
pub(crate) struct NewMessage {
    pub(crate) sender: BareJid,
    pub(crate) direction: Direction,
    pub(crate) body: Option<String>,
    pub(crate) files: Vec<NewFile>,
    pub(crate) sent_at: Timestamp,
    pub(crate) delivery: Delivery,
    pub(crate) encryption: Encryption,
    pub(crate) trust: Option<Trust>,
    pub(crate) device: Option<u32>,
    pub(crate) unprotected: bool,
    pub(crate) undecryptable: Option<UndecryptableReason>,
    /// The name of the way it is encrypted by, if we do not speak it.
    pub(crate) method: Option<String>,
    pub(crate) stanza_id: Option<String>,
    pub(crate) origin_id: Option<String>,
    pub(crate) archive_id: Option<String>,
    /// Its sender wants to know when it has been read (XEP-0333), and `stanza_id` is there to say so with.
    pub(crate) markable: bool,
}

/// Where in its chat a message is to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// At the end, at this position at least: microseconds since 1970.
    End(i64),
    /// Between two positions, both excluded, at `wanted` or the next one to it that is free.
    Between { wanted: i64, low: i64, high: i64 },
}

/// Stores a message with all that follows from it; none if it is there already, known by its sender and origin id or by
/// its archive id. `unread` says whether it counts as such.
pub(crate) async fn insert(
    write: &mut Write,
    chat: ChatId,
    new: &NewMessage,
    unread: bool,
    stand: Stand,
) -> Result<Option<(MessageId, i64)>> {
    let row = insert_row(write, chat, new, stand).await?;
    if let Some((message, position)) = row {
        let stored = Stored {
            chat,
            message,
            position,
            unread,
            new: Cow::Borrowed(new),
        };
        follow(write, &[stored]).await?;
    }
    Ok(row)
}

/// Stores a message as `insert` does, but for what [`follow`] does for several of them at once.
pub(crate) async fn insert_row(
    write: &mut Write,
    chat: ChatId,
    new: &NewMessage,
    stand: Stand,
) -> Result<Option<(MessageId, i64)>> {
    let (position, exact) = match stand {
        Stand::End(least) => (least, false),
        Stand::Between { wanted, low, high } => (archive::place_between(wanted, low, high), true),
    };
    let row = put(write, chat, new, position, exact).await?;
    let Stand::Between { low, high, .. } = stand else {
        return Ok(row);
    };
    if row.is_some() {
        return Ok(row);
    }
    // The place may be taken; if it is not, the message is there.
    match archive::free_position(write, chat, position, low, high).await? {
        Some(free) if free == position => Ok(None),
        Some(free) => put(write, chat, new, free, true).await,
        None => put(write, chat, new, position, false).await,
    }
}

/// A message that was just stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) chat: ChatId,
    pub(crate) message: MessageId,
    pub(crate) position: i64,
    pub(crate) unread: bool,
    pub(crate) new: Cow<'a, NewMessage>,
}

/// What follows from messages at rising positions: they have their files, their words can be found, and their chats go on
/// to them.
pub(crate) async fn follow(write: &mut Write, stored: &[Stored<'_>]) -> Result<()> {
    let (mut texts, mut chats) = (Vec::new(), BTreeMap::new());
    for one in stored {
        files::insert(write, one.message, &one.new.files).await?;
        texts.extend(words(&one.new).map(|words| (one.message, words)));
        let (chat, message, position, unread) = (one.chat, one.message, one.position, one.unread);
        chats
            .entry(chat)
            .and_modify(|added: &mut Added| *added = added.and(message, position, unread))
            .or_insert_with(|| Added::first(chat, message, position, unread));
    }
    if !texts.is_empty() {
        let texts: Vec<(MessageId, &str)> = texts.iter().map(|(id, words)| (*id, &**words)).collect();
        search::index(write, &texts).await?;
    }
    if !chats.is_empty() {
        let added: Vec<Added> = chats.into_values().collect();
        chats::advance(write, &added).await?;
    }
    Ok(())
}

/// A message that could not be opened when it came has been opened.
pub(crate) async fn opened_later(write: &mut Write, message: MessageId, new: &NewMessage) -> Result<()> {
    let opened = sqlx::query(
        "UPDATE message SET body = ?, sent_at = ?, trust = ?, markable = ?, undecryptable = NULL
         WHERE id = ? AND undecryptable IS NOT NULL",
    )
    .bind(new.body.as_deref())
    .bind(millis(new.sent_at))
    .bind(new.trust)
    .bind(new.markable)
    .bind(message)
    .execute(&mut **write)
    .await?;
    if opened.rows_affected() == 0 {
        return Ok(());
    }
    files::insert(write, message, &new.files).await?;
    match words(new) {
        Some(words) => search::index(write, &[(message, &*words)]).await,
        None => Ok(()),
    }
}

/// A message with its place in one of several chats.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) chat: ChatId,
    pub(crate) position: i64,
    pub(crate) new: NewMessage,
    pub(crate) unread: bool,
}

impl Placed {
    /// The message as it is read after it was stored like this; none if that depends on more than this. `rev` was taken
    /// before the commit.
    pub(crate) fn show(
        self,
        account: AccountId,
        (message, position): (MessageId, i64),
        rev: i64,
    ) -> Option<Message> {
        let new = self.new;
        let alone = new.files.is_empty() && new.undecryptable.is_none();
        alone.then(|| Message {
            message,
            chat: self.chat,
            account,
            from: new.sender,
            direction: new.direction,
            body: new.body,
            files: Vec::new(),
            sent_at: time(millis(new.sent_at)),
            position,
            delivery: new.delivery,
            encryption: new.encryption,
            trust: new.trust,
            unprotected: new.unprotected,
            undecryptable: None,
            error: None,
            origin_id: new.origin_id,
            archive_id: new.archive_id,
            rev,
        })
    }
}

/// Stores messages at their rising positions, which are all below `high`, in a few statements. Where something is in the
/// way they move up and stay in order. Gives for each what `insert` gives.
pub(crate) async fn insert_all(
    write: &mut Write,
    placed: &[Placed],
    high: i64,
) -> Result<Vec<Option<(MessageId, i64)>>> {
    let mut stored = Vec::with_capacity(placed.len());
    if let Some(first) = insert_rows(write, placed).await? {
        stored.extend((first..).zip(placed).map(|(id, one)| Stored {
            chat: one.chat,
            message: MessageId(id),
            position: one.position,
            unread: one.unread,
            new: Cow::Borrowed(&one.new),
        }));
        follow(write, &stored).await?;
        let rows = stored.iter().map(|one| Some((one.message, one.position)));
        return Ok(rows.collect());
    }
    let (mut rows, mut low) = (Vec::with_capacity(placed.len()), i64::MIN);
    for one in placed {
        let (wanted, least) = (one.position, one.position.saturating_sub(1));
        let stand = Stand::Between {
            wanted,
            low: least.max(low),
            high,
        };
        let row = insert(write, one.chat, &one.new, one.unread, stand).await?;
        low = row.map_or(low, |(_, position)| position);
        rows.push(row);
    }
    Ok(rows)
}

/// Stores messages exactly where they are to stand, but for what follows from them: all, if each is new and its place is
/// free, or else none. Gives the id of the first one, which those of the others follow.
async fn insert_rows(write: &mut Write, placed: &[Placed]) -> Result<Option<i64>> {
    let before: i64 = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM message")
        .fetch_one(&mut **write)
        .await?;
    let mut first = None;
    for some in placed.chunks(ROWS) {
        let mut query = QueryBuilder::new("INSERT INTO message (");
        query.push(COLUMNS).push(") ");
        query.push_values(some, |mut row, one| {
            row.push_bind(one.chat).push_bind(one.position);
            push_rest(&mut row, &one.new);
        });
        query.push(" ON CONFLICT DO NOTHING");
        // Servers fill pages with a round number of messages; another number is hardly ever the same twice.
        let query = query.build().persistent(some.len().is_multiple_of(50));
        let done = query.execute(&mut **write).await?;
        let count = done.rows_affected();
        if count < some.len() as u64 {
            sqlx::query("DELETE FROM message WHERE id > ?")
                .bind(before)
                .execute(&mut **write)
                .await?;
            return Ok(None);
        }
        // Without a conflict ids follow each other, from one statement to the next too.
        first.get_or_insert(done.last_insert_rowid() + 1 - count.cast_signed());
    }
    Ok(first)
}

/// What a message is found by: its text and the names of its files.
fn words(new: &NewMessage) -> Option<Cow<'_, str>> {
    let names = new.files.iter().map(|file| file.name.as_str());
    match &new.body {
        Some(body) if new.files.is_empty() => Some(Cow::Borrowed(body)),
        body => {
            let parts: Vec<&str> = body.iter().map(String::as_str).chain(names).collect();
            (!parts.is_empty()).then(|| Cow::Owned(parts.join("\n")))
        }
    }
}

/// The values behind chat and position.
fn push_rest(row: &mut Separated<'_, Sqlite, &'static str>, new: &NewMessage) {
    row.push_bind(new.sender.as_str())
        .push_bind(new.direction)
        .push_bind(new.body.as_deref())
        .push_bind(millis(new.sent_at))
        .push_bind(new.delivery)
        .push_bind(new.encryption)
        .push_bind(new.trust)
        .push_bind(new.device)
        .push_bind(new.unprotected)
        .push_bind(new.undecryptable)
        .push_bind(new.method.as_deref())
        .push_bind(new.stanza_id.as_deref())
        .push_bind(new.origin_id.as_deref())
        .push_bind(new.archive_id.as_deref())
        .push_bind(new.markable);
}

/// Stores a message at a position, or else behind all that there is and may come; none if something is in the way.
async fn put(
    write: &mut Write,
    chat: ChatId,
    new: &NewMessage,
    position: i64,
    exact: bool,
) -> Result<Option<(MessageId, i64)>> {
    let mut query = QueryBuilder::new("INSERT INTO message (");
    query.push(COLUMNS).push(") SELECT id, ");
    if exact {
        query.push_bind(position);
    } else {
        query.push("max(").push_bind(position).push(
            ", 1 + coalesce((SELECT max(position) FROM message WHERE message.chat = chat.id), 0),
             coalesce((SELECT max(high) FROM gap WHERE account = chat.account), 0))",
        );
    }
    query.push(", ");
    push_rest(&mut query.separated(", "), new);
    query.push(" FROM chat WHERE id = ").push_bind(chat);
    query.push(" ON CONFLICT DO NOTHING RETURNING id, position");
    Ok(query.build_query_as().fetch_optional(&mut **write).await?)
}

/// Moves a message between two others, as `Stand::Between` says. Gives its position; none if there was no room.
pub(crate) async fn move_between(
    write: &mut Write,
    chat: ChatId,
    message: MessageId,
    (wanted, low, high): (i64, i64, i64),
) -> Result<Option<i64>> {
    let position = archive::free_position(write, chat, wanted, low, high).await?;
    if let Some(position) = position {
        sqlx::query("UPDATE message SET position = ? WHERE id = ?")
            .bind(position)
            .bind(message)
            .execute(&mut **write)
            .await?;
        chats::find_last(write, chat).await?;
    }
    Ok(position)
}

/// A page of messages, oldest first. `rev` was taken before.
pub(crate) async fn page(
    db: &mut Connection,
    chat: ChatId,
    before: Option<MessageId>,
    limit: u32,
    rev: i64,
) -> Result<Vec<Message>> {
    let Json(mut rows): Json<Vec<MessageRow>> = match before {
        None => {
            sqlx::query_scalar(select_messages!("chat = ?", "ORDER BY position DESC LIMIT ?"))
                .bind(chat)
                .bind(limit)
                .fetch_one(db)
                .await?
        }
        Some(before) => {
            let position: i64 = sqlx::query_scalar("SELECT position FROM message WHERE id = ? AND chat = ?")
                .bind(before)
                .bind(chat)
                .fetch_optional(&mut *db)
                .await?
                .ok_or_else(|| Error::not_found("message in this chat"))?;
            sqlx::query_scalar(select_messages!(
                "chat = ? AND position < ?",
                "ORDER BY position DESC LIMIT ?"
            ))
            .bind(chat)
            .bind(position)
            .bind(limit)
            .fetch_one(db)
            .await?
        }
    };
    rows.reverse();
    Ok(rows.into_iter().map(|row| row.show(rev)).collect())
}

/// The message that stands for one from before this device, which it may be itself.
pub(crate) async fn standing_for(
    db: &mut Connection,
    chat: ChatId,
    position: i64,
) -> Result<Option<MessageId>> {
    Ok(sqlx::query_scalar(
        "SELECT id FROM message WHERE chat = ?1 AND position < coalesce(
             (SELECT position FROM message WHERE chat = ?1 AND position > ?2
                  AND undecryptable IS NOT 'before_this_device' ORDER BY position LIMIT 1), 9223372036854775807)
         ORDER BY position DESC LIMIT 1",
    )
    .bind(chat)
    .bind(position)
    .fetch_optional(db)
    .await?)
}

/// The messages of these ids, in the order of their ids; those that are gone, or that another one stands for, are left
/// out. `rev` was taken before.
pub(crate) async fn some(db: &mut Connection, messages: &[MessageId], rev: i64) -> Result<Vec<Message>> {
    let Json(rows): Json<Vec<MessageRow>> = sqlx::query_scalar(select_messages!(
        "message.id IN (SELECT value FROM json_each(?))",
        "ORDER BY message.id"
    ))
    .bind(Json(messages))
    .fetch_one(db)
    .await?;
    Ok(rows.into_iter().map(|row| row.show(rev)).collect())
}

/// One message. Errors: `not_found`.
pub(crate) async fn get(db: &mut Connection, message: MessageId, rev: i64) -> Result<Message> {
    some(db, &[message], rev)
        .await?
        .pop()
        .ok_or_else(|| Error::not_found("message"))
}

/// How a message was encrypted in the end.
pub(crate) async fn set_encryption(
    write: &mut Write,
    message: MessageId,
    encryption: Encryption,
) -> Result<()> {
    sqlx::query("UPDATE message SET encryption = ? WHERE id = ?")
        .bind(encryption)
        .bind(message)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// The session that messages of this device broke with has been replaced. Gives those among the newest that say so from now
/// on.
pub(crate) async fn repaired(
    write: &mut Write,
    account: AccountId,
    sender: &BareJid,
    device: u32,
) -> Result<Vec<MessageId>> {
    Ok(sqlx::query_scalar(
        "UPDATE message SET repaired = 1
         WHERE id > (SELECT max(id) FROM message) - 10000 AND sender = ?1 AND device = ?2 AND repaired = 0
             AND undecryptable IN ('no_session', 'key_gone', 'key_reused', 'too_far_ahead')
             AND chat IN (SELECT id FROM chat WHERE account = ?3)
         RETURNING id",
    )
    .bind(sender.as_str())
    .bind(device)
    .bind(account)
    .fetch_all(&mut **write)
    .await?)
}

/// The chat of a message.
pub(crate) async fn chat(db: &mut Connection, message: MessageId) -> Result<Option<ChatId>> {
    Ok(sqlx::query_scalar("SELECT chat FROM message WHERE id = ?")
        .bind(message)
        .fetch_optional(db)
        .await?)
}

/// Whether we ever wrote in a chat.
pub(crate) async fn wrote_in(db: &mut Connection, chat: ChatId) -> Result<bool> {
    Ok(
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM message WHERE chat = ? AND direction = 'out')")
            .bind(chat)
            .fetch_one(db)
            .await?,
    )
}
