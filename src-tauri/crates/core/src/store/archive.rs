//! What is known of an account's archive on the server, and what is not: the gaps.

use jiff::Timestamp;
use sqlx::FromRow;

use super::{Connection, Write, millis, time};
use crate::error::Result;
use crate::model::{AccountId, ChatId};

/// A message of the archive, as a place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// XEP-0359; empty where the archive was seen to hold nothing at all, and only its time counts.
    pub(crate) id: String,
    /// When the archive got it.
    pub(crate) at: Timestamp,
    /// Where it stands here.
    pub(crate) position: i64,
}

impl From<(String, i64, i64)> for Place {
    fn from((id, at, position): (String, i64, i64)) -> Self {
        Self {
            id,
            at: time(at),
            position,
        }
    }
}

/// What the archive holds and we do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) id: i64,
    /// The message before it; none for the beginning of the archive.
    pub(crate) after: Option<(String, Timestamp)>,
    /// Messages found in it stand between these positions.
    pub(crate) low: i64,
    pub(crate) high: i64,
    /// The message behind it; none while none is known to be there.
    pub(crate) before: Option<String>,
}

#[derive(FromRow)]
struct GapRow {
    id: i64,
    after_id: Option<String>,
    after_at: Option<i64>,
    low: i64,
    before_id: Option<String>,
    high: i64,
}

impl From<GapRow> for Gap {
    fn from(row: GapRow) -> Self {
        Self {
            id: row.id,
            after: row
                .after_id
                .map(|id| (id, time(row.after_at.unwrap_or_default()))),
            low: row.low,
            high: row.high,
            before: row.before_id,
        }
    }
}

/// The newest message that is known to both sides.
pub(crate) async fn newest(db: &mut Connection, account: AccountId) -> Result<Option<Place>> {
    let row: Option<(String, i64, i64)> =
        sqlx::query_as("SELECT newest_id, newest_at, newest_position FROM archive WHERE account = ?")
            .bind(account)
            .fetch_optional(db)
            .await?;
    Ok(row.map(Place::from))
}

/// A message that stands behind all that were known so far. Positions only grow, whatever the clock does.
pub(crate) async fn set_newest(write: &mut Write, account: AccountId, place: &Place) -> Result<()> {
    sqlx::query(
        "INSERT INTO archive (account, newest_id, newest_at, newest_position) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (account) DO UPDATE SET newest_id = ?2, newest_at = ?3,
             newest_position = max(newest_position, ?4)",
    )
    .bind(account)
    .bind(&place.id)
    .bind(millis(place.at))
    .bind(place.position)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Whether archive ids that come along with messages could be believed when the server last said so (XEP-0359).
pub(crate) async fn stanza_ids(db: &mut Connection, account: AccountId) -> Result<bool> {
    Ok(sqlx::query_scalar("SELECT stanza_ids FROM account WHERE id = ?")
        .bind(account)
        .fetch_optional(db)
        .await?
        .unwrap_or_default())
}

/// The server has said whether archive ids can be believed.
pub(crate) async fn set_stanza_ids(write: &mut Write, account: AccountId, announced: bool) -> Result<()> {
    sqlx::query("UPDATE account SET stanza_ids = ?1 WHERE id = ?2 AND stanza_ids <> ?1")
        .bind(announced)
        .bind(account)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// A new session begins at this time: whatever the archive got since the newest message that is known, or has at all if
/// none is, is a gap. Messages that come from now on stand behind it.
pub(crate) async fn begin(write: &mut Write, account: AccountId, now: Timestamp) -> Result<()> {
    let highest = highest_position(write, account).await?;
    let high = now.as_microsecond().max(highest + 1) + 2 * ROOM;
    let still_open = sqlx::query("UPDATE gap SET high = ? WHERE account = ? AND before_id IS NULL")
        .bind(high)
        .bind(account)
        .execute(&mut **write)
        .await?;
    if still_open.rows_affected() > 0 {
        return Ok(());
    }
    let newest = match before_unconfirmed(write, account).await? {
        Some(place) => place,
        None => newest(write, account).await?,
    };
    sqlx::query("INSERT INTO gap (account, after_id, after_at, low, high) VALUES (?, ?, ?, ?, ?)")
        .bind(account)
        .bind(newest.as_ref().map(|newest| &newest.id))
        .bind(newest.as_ref().map(|newest| millis(newest.at)))
        .bind(newest.as_ref().map_or(0, |newest| newest.position))
        .bind(high)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// The newest message that was known when the oldest message was sent that nobody has confirmed, if there is such a one:
/// the archive may have that one before what has become the newest since. None was known where the account was new.
async fn before_unconfirmed(db: &mut Connection, account: AccountId) -> Result<Option<Option<Place>>> {
    let row: Option<(Option<String>, Option<i64>, Option<i64>)> = sqlx::query_as(
        "SELECT after_id, after_at, after_position FROM outbox
         WHERE account = ? AND stanza IS NOT NULL AND message IS NOT NULL ORDER BY id LIMIT 1",
    )
    .bind(account)
    .fetch_optional(db)
    .await?;
    Ok(row.map(|(id, at, position)| Some(Place::from((id?, at?, position?)))))
}

/// The server has no archive now. What was missed since the last session is looked for again when it has one; what lies
/// before something known stays missing.
pub(crate) async fn absent(write: &mut Write, account: AccountId) -> Result<()> {
    sqlx::query("DELETE FROM gap WHERE account = ? AND before_id IS NULL")
        .bind(account)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// All gaps, the oldest first.
pub(crate) async fn gaps(db: &mut Connection, account: AccountId) -> Result<Vec<Gap>> {
    let rows: Vec<GapRow> = sqlx::query_as(
        "SELECT id, after_id, after_at, low, before_id, high FROM gap WHERE account = ? ORDER BY low",
    )
    .bind(account)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Gap::from).collect())
}

/// The gap as it is now, if it is still there.
pub(crate) async fn gap(db: &mut Connection, gap: i64) -> Result<Option<Gap>> {
    let row: Option<GapRow> =
        sqlx::query_as("SELECT id, after_id, after_at, low, before_id, high FROM gap WHERE id = ?")
            .bind(gap)
            .fetch_optional(db)
            .await?;
    Ok(row.map(Gap::from))
}

/// The gap has become smaller.
pub(crate) async fn shrink(write: &mut Write, gap: &Gap) -> Result<()> {
    let (after_id, after_at) = gap.after.clone().unzip();
    sqlx::query("UPDATE gap SET after_id = ?, after_at = ?, low = ?, before_id = ?, high = ? WHERE id = ?")
        .bind(after_id)
        .bind(after_at.map(millis))
        .bind(gap.low)
        .bind(&gap.before)
        .bind(gap.high)
        .bind(gap.id)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// The gap is filled.
pub(crate) async fn close(write: &mut Write, gap: i64) -> Result<()> {
    sqlx::query("DELETE FROM gap WHERE id = ?")
        .bind(gap)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// The first message behind an open end is known from now on.
pub(crate) async fn end_before(write: &mut Write, account: AccountId, id: &str) -> Result<()> {
    sqlx::query("UPDATE gap SET before_id = ? WHERE account = ? AND before_id IS NULL")
        .bind(id)
        .bind(account)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// The highest position that a message of the account has.
async fn highest_position(db: &mut Connection, account: AccountId) -> Result<i64> {
    Ok(
        sqlx::query_scalar("SELECT coalesce(max(last_position), 0) FROM chat WHERE account = ?")
            .bind(account)
            .fetch_one(db)
            .await?,
    )
}

/// The position between `low` and `high`, both excluded, that is nearest to `wanted`; a free one or not.
pub(crate) fn place_between(wanted: i64, low: i64, high: i64) -> i64 {
    wanted.min(high - ROOM).max(low + 1)
}

/// A free position in a chat between `low` and `high`, both excluded: `wanted`, or the next one to it that keeps the
/// order. None if there is no room.
pub(crate) async fn free_position(
    db: &mut Connection,
    chat: ChatId,
    wanted: i64,
    low: i64,
    high: i64,
) -> Result<Option<i64>> {
    let mut position = place_between(wanted, low, high);
    while position < high {
        let taken: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM message WHERE chat = ? AND position = ?)")
                .bind(chat)
                .bind(position)
                .fetch_one(&mut *db)
                .await?;
        if !taken {
            return Ok(Some(position));
        }
        position += 1;
    }
    Ok(None)
}

/// Below the high edge of a gap so many positions are left for what wants to stand beyond it, as it does where the
/// server's clock is ahead of ours.
pub(crate) const ROOM: i64 = 1_000_000;
