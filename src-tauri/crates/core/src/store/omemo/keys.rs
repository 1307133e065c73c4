//! Our own device and its keys.

use std::collections::HashSet;

use jiff::Timestamp;
use waxwing_omemo::{DeviceId, IdentityKeyPair, PreKey, PreKeyId, Profile, SignedPreKey};
use zeroize::Zeroizing;

use super::{damaged, encryption, id, profile};
use crate::error::Result;
use crate::model::{AccountId, Device, Encryption, Reach, Renewed, Trust};
use crate::store::{Connection, Write, millis, time};

/// Our own device of one account.
pub(crate) struct Own {
    pub(crate) device: DeviceId,
    pub(crate) identity: IdentityKeyPair,
}

impl Own {
    /// What the person sees of it.
    pub(crate) fn show(&self) -> Device {
        let mut device = Device {
            device: self.device.get(),
            fingerprint: None,
            trust: Trust::Verified,
            trust_told: false,
            taken_back_by: None,
            protocols: Vec::new(),
            active: false,
            own: true,
            label: None,
            first_seen: None,
            last_seen: None,
            last_failure: None,
            last_repaired: None,
            reach: Reach::ThisDevice,
            bundle_fault: None,
            other_key: None,
        };
        device.be_this(self.identity.public());
        device
    }
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

/// Why our device is to begin anew with its keys, if it is.
pub(crate) async fn renewal(db: &mut Connection, account: AccountId) -> Result<Option<Renewed>> {
    let renewal: Option<Option<Renewed>> =
        sqlx::query_scalar("SELECT renewal FROM omemo_own WHERE account = ?")
            .bind(account)
            .fetch_optional(db)
            .await?;
    Ok(renewal.flatten())
}

/// Our session gave up its name, since the server ended it with a conflict.
pub(crate) async fn set_former_resource(
    write: &mut Write,
    account: AccountId,
    resource: &str,
    now: Timestamp,
) -> Result<()> {
    sqlx::query("UPDATE omemo_own SET former_resource = ?, former_at = ? WHERE account = ?")
        .bind(resource)
        .bind(millis(now))
        .bind(account)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// The name that our session gave up last, and when.
pub(crate) async fn former_resource(
    db: &mut Connection,
    account: AccountId,
) -> Result<Option<(String, Timestamp)>> {
    let row: Option<(Option<String>, Option<i64>)> =
        sqlx::query_as("SELECT former_resource, former_at FROM omemo_own WHERE account = ?")
            .bind(account)
            .fetch_optional(db)
            .await?;
    Ok(row.and_then(|(resource, at)| resource.zip(at.map(time))))
}

/// Whoever bears the name that was given up is known to be another device by now.
pub(crate) async fn forget_former_resource(write: &mut Write, account: AccountId) -> Result<()> {
    sqlx::query("UPDATE omemo_own SET former_resource = NULL, former_at = NULL WHERE account = ?")
        .bind(account)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Whether we can have published a bundle with this signed prekey and no higher one-time prekey than this: we gave out ids
/// as high, and no others since the server took what we began anew with.
pub(crate) async fn ever_made(
    db: &mut Connection,
    account: AccountId,
    of: Profile,
    signed: PreKeyId,
    one_time: PreKeyId,
) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "SELECT next_signed_prekey > ?2 AND next_prekey > ?3 AND (first_signed_prekey <= ?2 OR NOT EXISTS
             (SELECT 1 FROM omemo_published WHERE account = ?1 AND profile = ?4))
         FROM omemo_own WHERE account = ?1",
    )
    .bind(account)
    .bind(i64::from(signed.0))
    .bind(i64::from(one_time.0))
    .bind(encryption(of))
    .fetch_optional(db)
    .await?
    .unwrap_or_default())
}

/// Ids that are left out for what another copy of this device has given out unseen.
const LEFT_OUT: (i64, i64) = (100, 10_000);

/// Forgets all prekeys and all sessions. New prekeys get ids far above these, which another copy of this device has given
/// out.
pub(crate) async fn forget_keys(
    write: &mut Write,
    account: AccountId,
    signed: PreKeyId,
    one_time: PreKeyId,
) -> Result<()> {
    for sql in [
        "DELETE FROM omemo_prekey WHERE account = ?",
        "DELETE FROM omemo_signed_prekey WHERE account = ?",
        "DELETE FROM omemo_session WHERE account = ?",
        "DELETE FROM omemo_published WHERE account = ?",
    ] {
        sqlx::query(sql).bind(account).execute(&mut **write).await?;
    }
    sqlx::query(
        "UPDATE omemo_own SET next_signed_prekey = max(next_signed_prekey, ?1) + ?2,
             first_signed_prekey = max(next_signed_prekey, ?1) + ?2, next_prekey = max(next_prekey, ?3) + ?4,
             renewal = NULL
         WHERE account = ?5",
    )
    .bind(i64::from(signed.0))
    .bind(LEFT_OUT.0)
    .bind(i64::from(one_time.0))
    .bind(LEFT_OUT.1)
    .bind(account)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Notes that this device began anew, until the person has seen it.
pub(crate) async fn set_renewed(
    write: &mut Write,
    account: AccountId,
    why: Renewed,
    now: Timestamp,
) -> Result<()> {
    sqlx::query("UPDATE omemo_own SET renewed = ?, renewed_at = ? WHERE account = ?")
        .bind(why)
        .bind(millis(now))
        .bind(account)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// When this device last began anew.
pub(crate) async fn renewed_at(db: &mut Connection, account: AccountId) -> Result<Option<Timestamp>> {
    let at: Option<Option<i64>> = sqlx::query_scalar("SELECT renewed_at FROM omemo_own WHERE account = ?")
        .bind(account)
        .fetch_optional(db)
        .await?;
    Ok(at.flatten().map(time))
}

/// The person has seen that this device began anew.
pub(crate) async fn renewal_seen(write: &mut Write, account: AccountId) -> Result<()> {
    sqlx::query("UPDATE omemo_own SET renewed = NULL WHERE account = ?")
        .bind(account)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Others can encrypt to this device from now on, if they could not before.
pub(crate) async fn listed(write: &mut Write, account: AccountId, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE omemo_own SET listed_at = ? WHERE account = ? AND listed_at IS NULL")
        .bind(millis(now))
        .bind(account)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Since when others can encrypt to this device; none if they cannot.
pub(crate) async fn listed_at(db: &mut Connection, account: AccountId) -> Result<Option<Timestamp>> {
    let at: Option<Option<i64>> = sqlx::query_scalar("SELECT listed_at FROM omemo_own WHERE account = ?")
        .bind(account)
        .fetch_optional(db)
        .await?;
    Ok(at.flatten().map(time))
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

/// Stores one-time prekeys that are offered in this generation.
pub(crate) async fn put_prekeys(
    write: &mut Write,
    account: AccountId,
    profile: Profile,
    keys: &[PreKey],
) -> Result<()> {
    for key in keys {
        sqlx::query("INSERT INTO omemo_prekey (account, profile, id, key) VALUES (?, ?, ?, ?)")
            .bind(account)
            .bind(encryption(profile))
            .bind(i64::from(key.id().0))
            .bind(key.to_bytes().as_slice())
            .execute(&mut **write)
            .await?;
    }
    Ok(())
}

/// The one-time prekeys that are offered in this generation.
pub(crate) async fn prekeys(
    db: &mut Connection,
    account: AccountId,
    profile: Profile,
) -> Result<Vec<PreKey>> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT id, key FROM omemo_prekey WHERE account = ? AND profile = ? AND consumed_at IS NULL ORDER BY id",
    )
    .bind(account)
    .bind(encryption(profile))
    .fetch_all(db)
    .await?;
    rows.into_iter().map(prekey).collect()
}

/// One one-time prekey, whatever generation it is offered in: one that was not used yet, or also one that was `used`
/// and is kept.
pub(crate) async fn one_prekey(
    db: &mut Connection,
    account: AccountId,
    id: PreKeyId,
    used: bool,
) -> Result<Option<PreKey>> {
    let row: Option<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT id, key FROM omemo_prekey WHERE account = ? AND id = ? AND (consumed_at IS NULL OR ?)",
    )
    .bind(account)
    .bind(i64::from(id.0))
    .bind(used)
    .fetch_optional(db)
    .await?;
    row.map(prekey).transpose()
}

fn prekey((key_id, key): (i64, Vec<u8>)) -> Result<PreKey> {
    PreKey::from_bytes(id(key_id)?, &Zeroizing::new(key)).map_err(|_| damaged("prekey"))
}

/// A one-time prekey was used. It is offered no more, and kept, hidden, until all of the archive that may need it has been
/// read. Says in which generation it was offered; none if it is not ours or was used before.
pub(crate) async fn hide_prekey(
    write: &mut Write,
    account: AccountId,
    id: PreKeyId,
    now: Timestamp,
) -> Result<Option<Profile>> {
    let offered: Option<Encryption> = sqlx::query_scalar(
        "UPDATE omemo_prekey SET consumed_at = ? WHERE account = ? AND id = ? AND consumed_at IS NULL RETURNING profile",
    )
    .bind(millis(now))
    .bind(account)
    .bind(i64::from(id.0))
    .fetch_optional(&mut **write)
    .await?;
    offered.map(profile).transpose()
}

/// Deletes the one-time prekeys that were used before this time.
pub(crate) async fn delete_used_prekeys(
    write: &mut Write,
    account: AccountId,
    before: Timestamp,
) -> Result<()> {
    sqlx::query("DELETE FROM omemo_prekey WHERE account = ? AND consumed_at < ?")
        .bind(account)
        .bind(millis(before))
        .execute(&mut **write)
        .await?;
    Ok(())
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
pub(crate) async fn key_ids(db: &mut Connection, account: AccountId, profile: Profile) -> Result<String> {
    Ok(sqlx::query_scalar(
        "SELECT (SELECT coalesce(max(id), 0) FROM omemo_signed_prekey WHERE account = ?1) || ':' ||
             coalesce((SELECT group_concat(id) FROM (SELECT id FROM omemo_prekey WHERE account = ?1 AND profile = ?2
                 AND consumed_at IS NULL ORDER BY id)), '')",
    )
    .bind(account)
    .bind(encryption(profile))
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

/// The keys of the bundle that the server took last, as far as is known.
pub(crate) async fn published(
    db: &mut Connection,
    account: AccountId,
    profile: Profile,
) -> Result<Option<String>> {
    Ok(
        sqlx::query_scalar("SELECT keys FROM omemo_published WHERE account = ? AND profile = ?")
            .bind(account)
            .bind(encryption(profile))
            .fetch_optional(db)
            .await?,
    )
}

/// How many prekeys of the bundle that the server took last can still be used.
pub(crate) async fn offered(db: &mut Connection, account: AccountId, profile: Profile) -> Result<usize> {
    let published = published(db, account, profile).await?.unwrap_or_default();
    let (_, published) = published.split_once(':').unwrap_or_default();
    let published: HashSet<&str> = published.split(',').collect();
    let here = prekeys(db, account, profile).await?;
    let usable = |key: &&PreKey| published.contains(key.id().to_string().as_str());
    Ok(here.iter().filter(usable).count())
}

/// When the server last took a bundle of ours, if it ever did.
pub(crate) async fn published_at(
    db: &mut Connection,
    account: AccountId,
    profile: Profile,
) -> Result<Option<Timestamp>> {
    let at: Option<i64> =
        sqlx::query_scalar("SELECT at FROM omemo_published WHERE account = ? AND profile = ?")
            .bind(account)
            .bind(encryption(profile))
            .fetch_optional(db)
            .await?;
    Ok(at.map(time))
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
