//! Keys, devices, trust and sessions as they are stored. Secrets are wiped from memory after use.

use jiff::Timestamp;
use sqlx::FromRow;
use waxwing_omemo::{
    DeviceId, IdentityKey, IdentityKeyPair, PreKey, PreKeyId, Profile, SessionRecord, SignedPreKey,
};
use zeroize::Zeroizing;

use super::{Connection, Write, millis, time};
use crate::error::{Code, Error, Result};
use crate::model::{AccountId, BareJid, Device, Encryption, Trust};

/// The word that stands for a profile in the database and before the window.
pub(crate) const fn encryption(profile: Profile) -> Encryption {
    match profile {
        Profile::Legacy => Encryption::Omemo1,
        Profile::Omemo2 => Encryption::Omemo2,
    }
}

impl From<waxwing_omemo::Trust> for Trust {
    fn from(trust: waxwing_omemo::Trust) -> Self {
        match trust {
            waxwing_omemo::Trust::Undecided => Self::Undecided,
            waxwing_omemo::Trust::Blind => Self::Blind,
            waxwing_omemo::Trust::Verified => Self::Verified,
            waxwing_omemo::Trust::Untrusted => Self::Untrusted,
        }
    }
}

impl From<Trust> for waxwing_omemo::Trust {
    fn from(trust: Trust) -> Self {
        match trust {
            Trust::Undecided => Self::Undecided,
            Trust::Blind => Self::Blind,
            Trust::Verified => Self::Verified,
            Trust::Untrusted => Self::Untrusted,
        }
    }
}

/// Our own device of one account.
pub(crate) struct Own {
    pub(crate) device: DeviceId,
    pub(crate) identity: IdentityKeyPair,
}

/// A known device of somebody.
#[derive(Clone, Debug)]
pub(crate) struct DeviceRow {
    pub(crate) device: DeviceId,
    pub(crate) omemo1: bool,
    pub(crate) omemo2: bool,
    pub(crate) identity: Option<IdentityKey>,
    pub(crate) trust: Option<Trust>,
    pub(crate) label: Option<String>,
    pub(crate) label_signature: Option<String>,
    pub(crate) last_seen: Option<Timestamp>,
    pub(crate) failed_at: Option<Timestamp>,
}

impl DeviceRow {
    /// On the newest list of at least one namespace.
    pub(crate) fn active(&self) -> bool {
        self.omemo1 || self.omemo2
    }

    /// What the person sees of it. `own` is the id of this very installation, where it is one of ours.
    pub(crate) fn show(self, own: Option<DeviceId>) -> Device {
        Device {
            device: self.device.get(),
            fingerprint: self.identity.map(|key| key.fingerprint().to_string()),
            trust: self.trust.unwrap_or(Trust::Undecided),
            protocols: [
                (self.omemo1, Encryption::Omemo1),
                (self.omemo2, Encryption::Omemo2),
            ]
            .into_iter()
            .filter_map(|(listed, protocol)| listed.then_some(protocol))
            .collect(),
            active: self.active(),
            own: own == Some(self.device),
            label: self.label,
            last_seen: self.last_seen,
        }
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

/// Takes in a device list: those on it are active in that namespace, all others of that person are not. No device with
/// a key is forgotten, since its key and the trust in it must outlive a hiccup of the list.
pub(crate) async fn put_list(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    profile: Profile,
    devices: &[waxwing_omemo::xml::Device],
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO omemo_list (account, address, profile, read_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (account, address, profile) DO UPDATE SET read_at = excluded.read_at",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(encryption(profile))
    .bind(millis(now))
    .execute(&mut **write)
    .await?;
    let clear = match profile {
        Profile::Legacy => "UPDATE omemo_device SET omemo1 = 0 WHERE account = ? AND address = ?",
        Profile::Omemo2 => "UPDATE omemo_device SET omemo2 = 0 WHERE account = ? AND address = ?",
    };
    sqlx::query(clear)
        .bind(account)
        .bind(address.as_str())
        .execute(&mut **write)
        .await?;
    for device in devices {
        let set = match profile {
            Profile::Legacy => {
                "INSERT INTO omemo_device (account, address, device, label, label_signature, omemo1)
                 VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (account, address, device) DO UPDATE SET omemo1 = 1"
            }
            Profile::Omemo2 => {
                "INSERT INTO omemo_device (account, address, device, label, label_signature, omemo2)
                 VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (account, address, device)
                 DO UPDATE SET omemo2 = 1, label = excluded.label, label_signature = excluded.label_signature"
            }
        };
        sqlx::query(set)
            .bind(account)
            .bind(address.as_str())
            .bind(i64::from(device.id.get()))
            .bind(device.label.as_deref())
            .bind(device.label_signature.as_deref())
            .execute(&mut **write)
            .await?;
    }
    // Those that are on no list and never had a key are nothing to remember.
    sqlx::query(
        "DELETE FROM omemo_device
         WHERE account = ? AND address = ? AND omemo1 = 0 AND omemo2 = 0 AND identity IS NULL",
    )
    .bind(account)
    .bind(address.as_str())
    .execute(&mut **write)
    .await?;
    Ok(())
}

macro_rules! select_device {
    ($rest:literal) => {
        concat!(
            "SELECT device, omemo1, omemo2, d.identity, trust, label, label_signature, last_seen, failed_at
             FROM omemo_device d LEFT JOIN omemo_trust t
                 ON t.account = d.account AND t.address = d.address AND t.identity = d.identity
             WHERE d.account = ? AND d.address = ? ",
            $rest
        )
    };
}

#[derive(FromRow)]
struct StoredDevice {
    device: i64,
    omemo1: bool,
    omemo2: bool,
    identity: Option<Vec<u8>>,
    trust: Option<Trust>,
    label: Option<String>,
    label_signature: Option<String>,
    last_seen: Option<i64>,
    failed_at: Option<i64>,
}

impl StoredDevice {
    fn read(self) -> Result<DeviceRow> {
        Ok(DeviceRow {
            device: DeviceId::try_from(self.device).map_err(|_| damaged("device id"))?,
            omemo1: self.omemo1,
            omemo2: self.omemo2,
            identity: self.identity.as_deref().map(identity).transpose()?,
            trust: self.trust,
            label: self.label,
            label_signature: self.label_signature,
            last_seen: self.last_seen.map(time),
            failed_at: self.failed_at.map(time),
        })
    }
}

/// All devices known of somebody, with the trust in their keys.
pub(crate) async fn devices(
    db: &mut Connection,
    account: AccountId,
    address: &BareJid,
) -> Result<Vec<DeviceRow>> {
    let rows: Vec<StoredDevice> = sqlx::query_as(select_device!("ORDER BY device"))
        .bind(account)
        .bind(address.as_str())
        .fetch_all(db)
        .await?;
    rows.into_iter().map(StoredDevice::read).collect()
}

/// One device, if it is known.
pub(crate) async fn device(
    db: &mut Connection,
    account: AccountId,
    address: &BareJid,
    device: DeviceId,
) -> Result<Option<DeviceRow>> {
    let row: Option<StoredDevice> = sqlx::query_as(select_device!("AND device = ?"))
        .bind(account)
        .bind(address.as_str())
        .bind(i64::from(device.get()))
        .fetch_optional(db)
        .await?;
    row.map(StoredDevice::read).transpose()
}

/// Pins the identity key of a device at first sight. False if another key is pinned already: then nothing changes.
pub(crate) async fn pin_identity(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    device: DeviceId,
    key: &IdentityKey,
) -> Result<bool> {
    let pinned: Vec<u8> = sqlx::query_scalar(
        "INSERT INTO omemo_device (account, address, device, identity) VALUES (?, ?, ?, ?)
         ON CONFLICT (account, address, device) DO UPDATE SET identity = coalesce(identity, excluded.identity)
         RETURNING identity",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(i64::from(device.get()))
    .bind(key.to_bytes().as_slice())
    .fetch_one(&mut **write)
    .await?;
    Ok(pinned == key.to_bytes())
}

/// A device wrote to us just now.
pub(crate) async fn seen(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    device: DeviceId,
    now: Timestamp,
) -> Result<()> {
    let sql = "UPDATE omemo_device SET last_seen = ? WHERE account = ? AND address = ? AND device = ?";
    set_time(write, sql, Some(now), account, address, device).await
}

/// Notes whether a device's bundle could be had.
pub(crate) async fn set_failed(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    device: DeviceId,
    at: Option<Timestamp>,
) -> Result<()> {
    let sql = "UPDATE omemo_device SET failed_at = ? WHERE account = ? AND address = ? AND device = ?";
    set_time(write, sql, at, account, address, device).await
}

async fn set_time(
    write: &mut Write,
    sql: &'static str,
    at: Option<Timestamp>,
    account: AccountId,
    address: &BareJid,
    device: DeviceId,
) -> Result<()> {
    sqlx::query(sql)
        .bind(at.map(millis))
        .bind(account)
        .bind(address.as_str())
        .bind(i64::from(device.get()))
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Bundles that could not be had are asked for again at once.
pub(crate) async fn forget_failures(write: &mut Write, account: AccountId, address: &BareJid) -> Result<()> {
    sqlx::query("UPDATE omemo_device SET failed_at = NULL WHERE account = ? AND address = ?")
        .bind(account)
        .bind(address.as_str())
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Trust in all keys of somebody.
pub(crate) async fn trusts(
    db: &mut Connection,
    account: AccountId,
    address: &BareJid,
) -> Result<Vec<(IdentityKey, Trust)>> {
    let rows: Vec<(Vec<u8>, Trust)> =
        sqlx::query_as("SELECT identity, trust FROM omemo_trust WHERE account = ? AND address = ?")
            .bind(account)
            .bind(address.as_str())
            .fetch_all(db)
            .await?;
    rows.into_iter()
        .map(|(key, trust)| Ok((identity(&key)?, trust)))
        .collect()
}

/// Sets the trust in a key.
pub(crate) async fn put_trust(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    key: &IdentityKey,
    trust: Trust,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO omemo_trust (account, address, identity, trust) VALUES (?, ?, ?, ?)
         ON CONFLICT (account, address, identity) DO UPDATE SET trust = excluded.trust",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(key.to_bytes().as_slice())
    .bind(trust)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// The sessions with one device. A record that cannot be read counts as none: it is replaced by the next key exchange.
pub(crate) async fn session(
    db: &mut Connection,
    account: AccountId,
    address: &BareJid,
    device: DeviceId,
    profile: Profile,
) -> Result<Option<SessionRecord>> {
    let record: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT record FROM omemo_session WHERE account = ? AND address = ? AND device = ? AND profile = ?",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(i64::from(device.get()))
    .bind(encryption(profile))
    .fetch_optional(db)
    .await?;
    Ok(record.and_then(|record| {
        SessionRecord::from_bytes(&Zeroizing::new(record))
            .inspect_err(|error| tracing::warn!(%error, "an encrypted session in the database is damaged"))
            .ok()
    }))
}

/// Stores the sessions with one device.
pub(crate) async fn put_session(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    device: DeviceId,
    record: &SessionRecord,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO omemo_session (account, address, device, profile, record) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (account, address, device, profile) DO UPDATE SET record = excluded.record",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(i64::from(device.get()))
    .bind(encryption(record.profile()))
    .bind(record.to_bytes().as_slice())
    .execute(&mut **write)
    .await?;
    Ok(())
}

fn identity(bytes: &[u8]) -> Result<IdentityKey> {
    IdentityKey::from_curve(bytes).map_err(|_| damaged("identity key"))
}

fn id(value: i64) -> Result<PreKeyId> {
    u32::try_from(value)
        .map(PreKeyId)
        .map_err(|_| damaged("prekey id"))
}

fn damaged(what: &str) -> Error {
    Error::new(
        Code::DatabaseDamaged,
        format!("a stored {what} is not what it should be"),
    )
}
