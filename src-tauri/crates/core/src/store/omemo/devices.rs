//! Whose devices are known, and what is known of each.

use jiff::Timestamp;
use sqlx::FromRow;
use waxwing_omemo::{DeviceId, IdentityKey, Profile};

use super::{damaged, encryption, identity};
use crate::error::Result;
use crate::model::{AccountId, BareJid, Device, Encryption, Trust};
use crate::store::{Connection, Write, millis, time};

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
