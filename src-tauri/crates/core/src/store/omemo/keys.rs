//! Our own device and its keys.

use jiff::Timestamp;
use waxwing_omemo::{DeviceId, IdentityKeyPair, PreKey, PreKeyId, Profile, SignedPreKey};
use zeroize::Zeroizing;

use super::{damaged, encryption, id};
use crate::error::Result;
use crate::model::AccountId;
use crate::store::{Connection, Write, millis};

/// Our own device of one account.
pub(crate) struct Own {
    pub(crate) device: DeviceId,
    pub(crate) identity: IdentityKeyPair,
}

/// Our own device, if it was made already.
pub(crate) async fn own(db: &mut Connection, account: AccountId) -> Result<Option<Own>> {
    let row: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT device, identity FROM omemo_own WHERE account = ?")
            .bind(account)
            .fetch_optional(db)
            .await?;
    row.map(|(device, identity)| {
        let identity = Zeroizing::new(identity);
        let bytes: &[u8; 32] = identity
            .as_slice()
            .try_into()
            .map_err(|_| damaged("identity key"))?;
        Ok(Own {
            device: DeviceId::try_from(device).map_err(|_| damaged("device id"))?,
            identity: IdentityKeyPair::from_bytes(bytes),
        })
    })
    .transpose()
}

/// Stores a new device of our own, in place of any before.
pub(crate) async fn put_own(
    write: &mut Write,
    account: AccountId,
    device: DeviceId,
    identity: &IdentityKeyPair,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO omemo_own (account, device, identity, next_prekey, next_signed_prekey) VALUES (?, ?, ?, 1, 1)
         ON CONFLICT (account) DO UPDATE SET device = excluded.device",
    )
    .bind(account)
    .bind(i64::from(device.get()))
    .bind(identity.to_bytes().as_slice())
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Reserves `count` prekey ids and returns the first.
pub(crate) async fn reserve_prekeys(write: &mut Write, account: AccountId, count: usize) -> Result<PreKeyId> {
    let count = i64::try_from(count).map_err(|_| damaged("prekey count"))?;
    let next: i64 = sqlx::query_scalar(
        "UPDATE omemo_own SET next_prekey = next_prekey + ? WHERE account = ? RETURNING next_prekey",
    )
    .bind(count)
    .bind(account)
    .fetch_one(&mut **write)
    .await?;
    id(next - count)
}

/// Reserves the next signed prekey id.
pub(crate) async fn reserve_signed_prekey(write: &mut Write, account: AccountId) -> Result<PreKeyId> {
    let next: i64 = sqlx::query_scalar(
        "UPDATE omemo_own SET next_signed_prekey = next_signed_prekey + 1 WHERE account = ?
         RETURNING next_signed_prekey",
    )
    .bind(account)
    .fetch_one(&mut **write)
    .await?;
    id(next - 1)
}

/// Stores one-time prekeys.
pub(crate) async fn put_prekeys(write: &mut Write, account: AccountId, keys: &[PreKey]) -> Result<()> {
    for key in keys {
        sqlx::query("INSERT INTO omemo_prekey (account, id, key) VALUES (?, ?, ?)")
            .bind(account)
            .bind(i64::from(key.id().0))
            .bind(key.to_bytes().as_slice())
            .execute(&mut **write)
            .await?;
    }
    Ok(())
}

/// All one-time prekeys that were not used yet.
pub(crate) async fn prekeys(db: &mut Connection, account: AccountId) -> Result<Vec<PreKey>> {
    let rows: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT id, key FROM omemo_prekey WHERE account = ? ORDER BY id")
            .bind(account)
            .fetch_all(db)
            .await?;
    rows.into_iter().map(prekey).collect()
}

/// One one-time prekey, if it was not used yet.
pub(crate) async fn one_prekey(
    db: &mut Connection,
    account: AccountId,
    id: PreKeyId,
) -> Result<Option<PreKey>> {
    let row: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT id, key FROM omemo_prekey WHERE account = ? AND id = ?")
            .bind(account)
            .bind(i64::from(id.0))
            .fetch_optional(db)
            .await?;
    row.map(prekey).transpose()
}

fn prekey((key_id, key): (i64, Vec<u8>)) -> Result<PreKey> {
    PreKey::from_bytes(id(key_id)?, &Zeroizing::new(key)).map_err(|_| damaged("prekey"))
}

/// A one-time prekey was used and is gone.
pub(crate) async fn delete_prekey(write: &mut Write, account: AccountId, id: PreKeyId) -> Result<()> {
    let sql = "DELETE FROM omemo_prekey WHERE account = ? AND id = ?";
    delete(write, sql, account, id).await
}

/// Stores a signed prekey.
pub(crate) async fn put_signed_prekey(
    write: &mut Write,
    account: AccountId,
    key: &SignedPreKey,
) -> Result<()> {
    sqlx::query("INSERT INTO omemo_signed_prekey (account, id, key, made_at) VALUES (?, ?, ?, ?)")
        .bind(account)
        .bind(i64::from(key.id().0))
        .bind(key.to_bytes().as_slice())
        .bind(key.created())
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// All signed prekeys, the newest first.
pub(crate) async fn signed_prekeys(db: &mut Connection, account: AccountId) -> Result<Vec<SignedPreKey>> {
    let rows: Vec<(i64, Vec<u8>, i64)> =
        sqlx::query_as("SELECT id, key, made_at FROM omemo_signed_prekey WHERE account = ? ORDER BY id DESC")
            .bind(account)
            .fetch_all(db)
            .await?;
    rows.into_iter()
        .map(|(key_id, key, made_at)| {
            SignedPreKey::from_bytes(id(key_id)?, made_at, &Zeroizing::new(key))
                .map_err(|_| damaged("signed prekey"))
        })
        .collect()
}

/// The ids of the keys that a bundle of ours would hold now: the newest signed prekey and the one-time prekeys. Ids are
/// never used twice, so the same ids are the same keys.
pub(crate) async fn key_ids(db: &mut Connection, account: AccountId) -> Result<String> {
    Ok(sqlx::query_scalar(
        "SELECT (SELECT coalesce(max(id), 0) FROM omemo_signed_prekey WHERE account = ?1) || ':' ||
             coalesce((SELECT group_concat(id) FROM (SELECT id FROM omemo_prekey WHERE account = ?1 ORDER BY id)), '')",
    )
    .bind(account)
    .fetch_one(db)
    .await?)
}

/// The server took the bundle with these keys.
pub(crate) async fn set_published(
    write: &mut Write,
    account: AccountId,
    profile: Profile,
    keys: &str,
    at: Timestamp,
) -> Result<()> {
    sqlx::query("INSERT OR REPLACE INTO omemo_published (account, profile, keys, at) VALUES (?, ?, ?, ?)")
        .bind(account)
        .bind(encryption(profile))
        .bind(keys)
        .bind(millis(at))
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Whether the server took a bundle with just these keys since a time.
pub(crate) async fn is_published(
    db: &mut Connection,
    account: AccountId,
    profile: Profile,
    keys: &str,
    since: Timestamp,
) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM omemo_published WHERE account = ? AND profile = ? AND keys = ? AND at >= ?)",
    )
    .bind(account)
    .bind(encryption(profile))
    .bind(keys)
    .bind(millis(since))
    .fetch_one(db)
    .await?)
}

/// A signed prekey is too old for anybody to use.
pub(crate) async fn delete_signed_prekey(write: &mut Write, account: AccountId, id: PreKeyId) -> Result<()> {
    let sql = "DELETE FROM omemo_signed_prekey WHERE account = ? AND id = ?";
    delete(write, sql, account, id).await
}

async fn delete(write: &mut Write, sql: &'static str, account: AccountId, id: PreKeyId) -> Result<()> {
    sqlx::query(sql)
        .bind(account)
        .bind(i64::from(id.0))
        .execute(&mut **write)
        .await?;
    Ok(())
}
