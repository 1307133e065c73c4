//! How far keys are trusted, and who says so.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::FromRow;
use waxwing_omemo::IdentityKey;

use super::{damaged, identity};
use crate::error::Result;
use crate::model::{AccountId, BareJid, Trust};
use crate::store::accounts::Address;
use crate::store::{Connection, Write, millis};

/// Who decided about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "TEXT", rename_all = "snake_case")]
pub(crate) enum Decided {
    /// Nobody: it was taken at first sight.
    Itself,
    /// The person, on this device.
    Person,
    /// A device whose key is verified (XEP-0450).
    Device,
}

/// The trust in a key, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct TrustRow {
    pub(crate) key: IdentityKey,
    pub(crate) trust: Trust,
    pub(crate) decided: Decided,
}

/// Trust in all keys of somebody.
pub(crate) async fn trusts(
    db: &mut Connection,
    account: AccountId,
    address: &BareJid,
) -> Result<Vec<TrustRow>> {
    let rows: Vec<(Vec<u8>, bool, Trust, Decided)> = sqlx::query_as(
        "SELECT identity, sign, trust, decided FROM omemo_trust WHERE account = ? AND address = ?",
    )
    .bind(account)
    .bind(address.as_str())
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|(key, sign, trust, decided)| {
            Ok(TrustRow {
                key: identity(&key)?.with_sign(sign),
                trust,
                decided,
            })
        })
        .collect()
}

/// All verified keys of an account, of its own devices and of others.
pub(crate) async fn verified(db: &mut Connection, account: AccountId) -> Result<Vec<(BareJid, IdentityKey)>> {
    let rows: Vec<(String, Vec<u8>, bool)> = sqlx::query_as(
        "SELECT address, identity, sign FROM omemo_trust WHERE account = ? AND trust = 'verified' ORDER BY address",
    )
    .bind(account)
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|(address, key, sign)| Ok((read_address(address)?, identity(&key)?.with_sign(sign))))
        .collect()
}

/// Sets the trust in a key. If it was taken back, that is decided with it.
pub(crate) async fn put_trust(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    key: &IdentityKey,
    (trust, decided): (Trust, Decided),
) -> Result<()> {
    sqlx::query(
        "INSERT INTO omemo_trust (account, address, identity, sign, trust, decided) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (account, address, identity) DO UPDATE SET trust = excluded.trust, decided = excluded.decided,
             sign = max(sign, excluded.sign), taken_back_by = NULL",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(key.to_bytes().as_slice())
    .bind(key.sign())
    .bind(trust)
    .bind(decided)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// The trust in a key was taken back by the device of the same person that has this other key: the person has yet to see it.
pub(crate) async fn taken_back(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    key: &IdentityKey,
    by: &IdentityKey,
) -> Result<()> {
    sqlx::query(
        "UPDATE omemo_trust SET taken_back_by = (SELECT max(device) FROM omemo_device
             WHERE account = ?1 AND address = ?2 AND identity = ?4)
         WHERE account = ?1 AND address = ?2 AND identity = ?3",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(key.to_bytes().as_slice())
    .bind(by.to_bytes().as_slice())
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// The person has seen on another device of theirs that the trust in this key was taken back. True if that is news.
pub(crate) async fn saw_taken_back(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    key: &IdentityKey,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE omemo_trust SET taken_back_by = NULL
         WHERE account = ? AND address = ? AND identity = ? AND taken_back_by IS NOT NULL",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(key.to_bytes().as_slice())
    .execute(&mut **write)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// So many decisions of devices about unseen keys of one person are kept.
const EXPECTED: u32 = 200;

/// Remembers a decision about a key that was not seen yet, by a name of it. Of what devices say only so much is kept.
pub(crate) async fn put_expected(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    key: &[u8; 32],
    (trust, decided): (Trust, Decided),
) -> Result<()> {
    sqlx::query(
        "INSERT INTO omemo_expected (account, address, key, trust, decided) SELECT ?1, ?2, ?3, ?4, ?5
         WHERE ?5 <> 'device' OR EXISTS (SELECT 1 FROM omemo_expected WHERE account = ?1 AND address = ?2 AND key = ?3)
             OR (SELECT count(*) FROM omemo_expected WHERE account = ?1 AND address = ?2) < ?6
         ON CONFLICT (account, address, key) DO UPDATE SET trust = excluded.trust, decided = excluded.decided",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(key.as_slice())
    .bind(trust)
    .bind(decided)
    .bind(EXPECTED)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// What was decided about a key before it was seen; it is not remembered any longer. Of two decisions the one against it
/// counts.
pub(crate) async fn take_expected(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    key: &IdentityKey,
) -> Result<Option<(Trust, Decided)>> {
    let rows: Vec<(Trust, Decided)> = sqlx::query_as(
        "DELETE FROM omemo_expected WHERE account = ? AND address = ? AND key IN (?, ?, ?) RETURNING trust, decided",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(key.to_bytes().as_slice())
    .bind(key.with_sign(false).to_edwards().as_slice())
    .bind(key.with_sign(true).to_edwards().as_slice())
    .fetch_all(&mut **write)
    .await?;
    Ok(rows
        .into_iter()
        .max_by_key(|(trust, _)| *trust == Trust::Untrusted))
}

/// Whether the person compared a key that was not seen yet, and it is the right one.
pub(crate) async fn is_expected(
    db: &mut Connection,
    account: AccountId,
    address: &BareJid,
    key: &IdentityKey,
) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM omemo_expected WHERE account = ? AND address = ? AND key = ?
             AND trust = 'verified' AND decided = 'person')",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(key.to_bytes().as_slice())
    .fetch_one(db)
    .await?)
}

/// What a device said about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hearsay {
    pub(crate) address: BareJid,
    pub(crate) key: [u8; 32],
    pub(crate) trusted: bool,
}

/// Remembers what a device says whose key is not verified; a newer word takes an older one's place. At most `limit` words
/// of one device are kept.
pub(crate) async fn put_hearsay(
    write: &mut Write,
    account: AccountId,
    (speaker, speaker_key): (&BareJid, &IdentityKey),
    said: &Hearsay,
    limit: u32,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO omemo_hearsay (account, speaker, speaker_key, address, key, trusted)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6
         WHERE (SELECT count(*) FROM omemo_hearsay WHERE account = ?1 AND speaker = ?2 AND speaker_key = ?3) < ?7
         ON CONFLICT (account, speaker, speaker_key, address, key) DO UPDATE SET trusted = excluded.trusted",
    )
    .bind(account)
    .bind(speaker.as_str())
    .bind(speaker_key.to_bytes().as_slice())
    .bind(said.address.as_str())
    .bind(said.key.as_slice())
    .bind(said.trusted)
    .bind(limit)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// What a device has said so far; it is not remembered any longer.
pub(crate) async fn take_hearsay(
    write: &mut Write,
    account: AccountId,
    speaker: &BareJid,
    speaker_key: &IdentityKey,
) -> Result<Vec<Hearsay>> {
    let rows: Vec<(String, Vec<u8>, bool)> = sqlx::query_as(
        "DELETE FROM omemo_hearsay WHERE account = ? AND speaker = ? AND speaker_key = ?
         RETURNING address, key, trusted",
    )
    .bind(account)
    .bind(speaker.as_str())
    .bind(speaker_key.to_bytes().as_slice())
    .fetch_all(&mut **write)
    .await?;
    rows.into_iter()
        .map(|(address, key, trusted)| {
            Ok(Hearsay {
                address: read_address(address)?,
                key: key.try_into().map_err(|_| damaged("key"))?,
                trusted,
            })
        })
        .collect()
}

/// Something that verified devices are to be told.
#[derive(Clone, Debug)]
pub(crate) struct Telling {
    pub(crate) id: i64,
    pub(crate) address: BareJid,
    /// Only the device with this key is told; without one all that are verified.
    pub(crate) only_key: Option<IdentityKey>,
    pub(crate) content: String,
}

/// Queues something that verified devices are to be told.
pub(crate) async fn put_telling(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    only_key: Option<&IdentityKey>,
    content: &str,
    not_before: Option<Timestamp>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO omemo_telling (account, address, only_key, content, not_before) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(only_key.map(|key| key.to_bytes().to_vec()))
    .bind(content)
    .bind(not_before.map(millis).unwrap_or_default())
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// The oldest things that are still to be told and may be now. None waits longer than `longest`, unless the clock was set
/// back.
pub(crate) async fn tellings(
    db: &mut Connection,
    account: AccountId,
    (now, longest): (Timestamp, Duration),
    limit: u32,
) -> Result<Vec<Telling>> {
    #[derive(FromRow)]
    struct Row {
        id: i64,
        address: String,
        only_key: Option<Vec<u8>>,
        content: String,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, address, only_key, content FROM omemo_telling
         WHERE account = ? AND (not_before <= ? OR not_before > ?) ORDER BY id LIMIT ?",
    )
    .bind(account)
    .bind(millis(now))
    .bind(millis(now + longest))
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Telling {
                id: row.id,
                address: read_address(row.address)?,
                only_key: row.only_key.as_deref().map(identity).transpose()?,
                content: row.content,
            })
        })
        .collect()
}

/// Something was told, or there is nobody to tell it.
pub(crate) async fn take_telling(write: &mut Write, id: i64) -> Result<()> {
    sqlx::query("DELETE FROM omemo_telling WHERE id = ?")
        .bind(id)
        .execute(&mut **write)
        .await?;
    Ok(())
}

fn read_address(address: String) -> Result<BareJid> {
    Ok(Address::try_from(address).map_err(|_| damaged("address"))?.0)
}
