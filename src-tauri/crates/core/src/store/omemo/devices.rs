//! Whose devices are known, and what is known of each.

use jiff::Timestamp;
use sqlx::FromRow;
use waxwing_omemo::xml::has_signed_label;
use waxwing_omemo::{DeviceId, IdentityKey, Profile};

use super::{Decided, damaged, encryption, identity};
use crate::error::Result;
use crate::model::{
    AccountId, BareJid, BundleFault, Device, DeviceFailure, Encryption, OtherKey, Reach, Trust,
    UndecryptableReason,
};
use crate::store::accounts::Address;
use crate::store::{Connection, Write, millis, time};

/// A known device of somebody.
#[derive(Clone, Debug)]
pub(crate) struct DeviceRow {
    pub(crate) device: DeviceId,
    pub(crate) omemo1: bool,
    pub(crate) omemo2: bool,
    pub(crate) identity: Option<IdentityKey>,
    pub(crate) trust: Option<Trust>,
    /// Who decided about its key.
    pub(crate) decided: Option<Decided>,
    /// Which other device of its owner took the trust in its key back, until the person has decided about that.
    pub(crate) taken_back_by: Option<DeviceId>,
    pub(crate) label: Option<String>,
    pub(crate) label_signature: Option<String>,
    pub(crate) first_seen: Option<Timestamp>,
    /// When it last sent something that could be read.
    pub(crate) last_seen: Option<Timestamp>,
    pub(crate) failure: Option<DeviceFailure>,
    pub(crate) healed_at: Option<Timestamp>,
    /// When it last wrote to us live while it was on no list; none if it is on one.
    pub(crate) wrote_unlisted: Option<Timestamp>,
    /// Whether there is a session in each generation.
    pub(crate) sessions: [bool; 2],
    /// Why its bundle could not be had or used in each generation, and when that was.
    pub(crate) faults: [Option<(BundleFault, Timestamp)>; 2],
    /// Whether a new session is to take the place of the one that there is, in each generation.
    pub(crate) anew: [bool; 2],
    /// Another identity key that was shown in its name, and when.
    pub(crate) other: Option<(IdentityKey, Timestamp)>,
}

/// The place of a generation in the arrays above.
const fn place(profile: Profile) -> usize {
    match profile {
        Profile::Legacy => 0,
        Profile::Omemo2 => 1,
    }
}

impl Device {
    /// This very installation: its key is our own, and verified by nature.
    pub(crate) fn be_this(&mut self, key: &IdentityKey) {
        self.fingerprint = Some(key.fingerprint().to_string());
        self.trust = Trust::Verified;
    }
}

impl DeviceRow {
    /// On the newest list of at least one namespace.
    pub(crate) fn active(&self) -> bool {
        self.omemo1 || self.omemo2
    }

    /// On the newest list of this namespace.
    pub(crate) const fn listed(&self, profile: Profile) -> bool {
        match profile {
            Profile::Legacy => self.omemo1,
            Profile::Omemo2 => self.omemo2,
        }
    }

    /// Whether there is a session in this generation.
    pub(crate) fn has_session(&self, profile: Profile) -> bool {
        self.sessions.get(place(profile)).copied().unwrap_or_default()
    }

    /// Why its bundle of this generation could not be had or used, and when that was.
    pub(crate) fn fault(&self, profile: Profile) -> Option<(BundleFault, Timestamp)> {
        self.faults.get(place(profile)).copied().flatten()
    }

    /// Whether a new session is to take the place of the one in this generation, since that broke or the person wishes it.
    pub(crate) fn goes_anew(&self, profile: Profile) -> bool {
        self.anew.get(place(profile)).copied().unwrap_or_default()
    }

    /// What it is called, unless the signature over that is somebody else's or cannot be checked yet. Most programs sign
    /// nothing.
    fn label_shown(&self) -> Option<&str> {
        let label = self.label.as_deref()?;
        let Some(signature) = &self.label_signature else {
            return Some(label);
        };
        let key = self.identity.as_ref()?;
        // Of a key that was seen in its older form only the sign is not known; both are the same person's.
        let signs = [key.sign(), !key.sign()];
        let signed = |sign| has_signed_label(&key.with_sign(sign), label, signature);
        signs.into_iter().any(signed).then_some(label)
    }

    /// Why its bundle could not be had or used, if that matters to what is sent: of the generation that it is written to in,
    /// and where it is not reached of any.
    fn bundle_fault(&self, used: Option<Profile>) -> Option<BundleFault> {
        let mut matter = Profile::ALL.into_iter().filter(|profile| match used {
            Some(used) => used == *profile,
            None => self.listed(*profile),
        });
        matter.find_map(|profile| Some(self.fault(profile)?.0))
    }

    /// What the person sees of it. `reach` is what sending would do, in the generation `used`.
    pub(crate) fn show(self, reach: Reach, used: Option<Profile>) -> Device {
        let label = self.label_shown().map(str::to_owned);
        Device {
            reach,
            bundle_fault: self.bundle_fault(used),
            device: self.device.get(),
            fingerprint: self.identity.map(|key| key.fingerprint().to_string()),
            trust: self.trust.unwrap_or(Trust::Undecided),
            trust_told: self.decided == Some(Decided::Device),
            taken_back_by: self.taken_back_by.map(DeviceId::get),
            protocols: [
                (self.omemo1, Encryption::Omemo1),
                (self.omemo2, Encryption::Omemo2),
            ]
            .into_iter()
            .filter_map(|(listed, protocol)| listed.then_some(protocol))
            .collect(),
            active: self.active(),
            own: reach == Reach::ThisDevice,
            label,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            last_failure: self.failure,
            last_repaired: self.healed_at,
            other_key: self.other.map(|(key, at)| OtherKey {
                fingerprint: key.fingerprint().to_string(),
                at,
            }),
        }
    }
}

/// Devices on a list whose key nobody has seen, of those with a verified key: a new one of theirs wants a decision, which
/// is known only when it has been fetched.
pub(crate) async fn unseen_of_verified(
    db: &mut Connection,
    account: AccountId,
    limit: u32,
) -> Result<Vec<(BareJid, DeviceRow)>> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT d.address, d.device FROM omemo_device d
         WHERE d.account = ?1 AND d.identity IS NULL AND d.omemo1 + d.omemo2 > 0
             AND NOT EXISTS (SELECT 1 FROM omemo_bundle_fault f WHERE f.account = d.account AND f.address = d.address
                 AND f.device = d.device)
             AND d.address IN (SELECT address FROM omemo_trust WHERE account = ?1 AND trust = 'verified')
             AND d.device IS NOT (SELECT device FROM omemo_own WHERE account = ?1) LIMIT ?2",
    )
    .bind(account)
    .bind(limit)
    .fetch_all(&mut *db)
    .await?;
    let mut unseen = Vec::with_capacity(rows.len());
    for (address, id) in rows {
        let address = Address::try_from(address).map_err(|_| damaged("address"))?.0;
        let id = DeviceId::try_from(id).map_err(|_| damaged("device id"))?;
        if let Some(row) = device(db, account, &address, id).await? {
            unseen.push((address, row));
        }
    }
    Ok(unseen)
}

macro_rules! select_device {
    ($rest:literal) => {
        concat!(
            "SELECT d.device, omemo1, omemo2, d.identity, d.sign, trust, decided, taken_back_by, label, label_signature, first_seen,
                 last_seen, failure, failure_at, healed_at, wrote_unlisted, s1.device IS NOT NULL AS session1, s2.device IS NOT NULL AS session2,
                 f1.fault AS fault1, f1.at AS fault1_at, f2.fault AS fault2, f2.at AS fault2_at,
                 r1.device IS NOT NULL AS anew1, r2.device IS NOT NULL AS anew2, other_identity, other_at
             FROM omemo_device d
             LEFT JOIN omemo_trust t ON t.account = d.account AND t.address = d.address AND t.identity = d.identity
             LEFT JOIN omemo_session s1 ON s1.account = d.account AND s1.address = d.address
                 AND s1.device = d.device AND s1.profile = 'omemo1'
             LEFT JOIN omemo_session s2 ON s2.account = d.account AND s2.address = d.address
                 AND s2.device = d.device AND s2.profile = 'omemo2'
             LEFT JOIN omemo_bundle_fault f1 ON f1.account = d.account AND f1.address = d.address
                 AND f1.device = d.device AND f1.profile = 'omemo1'
             LEFT JOIN omemo_bundle_fault f2 ON f2.account = d.account AND f2.address = d.address
                 AND f2.device = d.device AND f2.profile = 'omemo2'
             LEFT JOIN omemo_due r1 ON r1.account = d.account AND r1.address = d.address
                 AND r1.device = d.device AND r1.profile = 'omemo1' AND r1.what IN ('heal', 'reset')
             LEFT JOIN omemo_due r2 ON r2.account = d.account AND r2.address = d.address
                 AND r2.device = d.device AND r2.profile = 'omemo2' AND r2.what IN ('heal', 'reset')
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
    sign: bool,
    trust: Option<Trust>,
    decided: Option<Decided>,
    taken_back_by: Option<i64>,
    label: Option<String>,
    label_signature: Option<String>,
    first_seen: Option<i64>,
    last_seen: Option<i64>,
    failure: Option<UndecryptableReason>,
    failure_at: Option<i64>,
    healed_at: Option<i64>,
    wrote_unlisted: Option<i64>,
    session1: bool,
    session2: bool,
    fault1: Option<BundleFault>,
    fault1_at: Option<i64>,
    fault2: Option<BundleFault>,
    fault2_at: Option<i64>,
    anew1: bool,
    anew2: bool,
    other_identity: Option<Vec<u8>>,
    other_at: Option<i64>,
}

impl StoredDevice {
    fn read(self) -> Result<DeviceRow> {
        Ok(DeviceRow {
            device: DeviceId::try_from(self.device).map_err(|_| damaged("device id"))?,
            omemo1: self.omemo1,
            omemo2: self.omemo2,
            identity: self
                .identity
                .as_deref()
                .map(identity)
                .transpose()?
                .map(|key| key.with_sign(self.sign)),
            trust: self.trust,
            decided: self.decided,
            taken_back_by: self
                .taken_back_by
                .map(|id| DeviceId::try_from(id).map_err(|_| damaged("device id")))
                .transpose()?,
            label: self.label,
            label_signature: self.label_signature,
            first_seen: self.first_seen.map(time),
            last_seen: self.last_seen.map(time),
            failure: self
                .failure
                .zip(self.failure_at)
                .map(|(reason, at)| DeviceFailure { reason, at: time(at) }),
            healed_at: self.healed_at.map(time),
            wrote_unlisted: self.wrote_unlisted.map(time),
            sessions: [self.session1, self.session2],
            faults: [
                self.fault1.zip(self.fault1_at.map(time)),
                self.fault2.zip(self.fault2_at.map(time)),
            ],
            anew: [self.anew1, self.anew2],
            other: self
                .other_identity
                .as_deref()
                .map(identity)
                .transpose()?
                .zip(self.other_at.map(time)),
        })
    }
}

/// All devices known of somebody, with the trust in their keys.
pub(crate) async fn devices(
    db: &mut Connection,
    account: AccountId,
    address: &BareJid,
) -> Result<Vec<DeviceRow>> {
    let rows: Vec<StoredDevice> = sqlx::query_as(select_device!("ORDER BY d.device"))
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
    let row: Option<StoredDevice> = sqlx::query_as(select_device!("AND d.device = ?"))
        .bind(account)
        .bind(address.as_str())
        .bind(i64::from(device.get()))
        .fetch_optional(db)
        .await?;
    row.map(StoredDevice::read).transpose()
}

/// How many devices of somebody are known.
pub(crate) async fn count_devices(
    db: &mut Connection,
    account: AccountId,
    address: &BareJid,
) -> Result<usize> {
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM omemo_device WHERE account = ? AND address = ?")
            .bind(account)
            .bind(address.as_str())
            .fetch_one(db)
            .await?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// How many devices of somebody have a pinned key: those are never forgotten.
pub(crate) async fn count_keys(db: &mut Connection, account: AccountId, address: &BareJid) -> Result<usize> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM omemo_device WHERE account = ? AND address = ? AND identity IS NOT NULL",
    )
    .bind(account)
    .bind(address.as_str())
    .fetch_one(db)
    .await?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Pins the identity key of a device at first sight. False if another key is pinned already: then nothing changes.
pub(crate) async fn pin_identity(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    device: DeviceId,
    key: &IdentityKey,
    now: Timestamp,
) -> Result<bool> {
    let pinned: Vec<u8> = sqlx::query_scalar(
        "INSERT INTO omemo_device (account, address, device, identity, sign, first_seen) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (account, address, device) DO UPDATE SET identity = coalesce(identity, excluded.identity),
             sign = iif(coalesce(identity, excluded.identity) = excluded.identity, max(sign, excluded.sign), sign)
         RETURNING identity",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(i64::from(device.get()))
    .bind(key.to_bytes().as_slice())
    .bind(key.sign())
    .bind(millis(now))
    .fetch_one(&mut **write)
    .await?;
    if key.sign() {
        // It may have been seen in its older form before, which leaves this out.
        sqlx::query(
            "UPDATE omemo_trust SET sign = 1 WHERE account = ? AND address = ? AND identity = ? AND sign = 0",
        )
        .bind(account)
        .bind(address.as_str())
        .bind(key.to_bytes().as_slice())
        .execute(&mut **write)
        .await?;
    }
    Ok(pinned == key.to_bytes())
}

/// The person compared this key of a device: it takes the place of the one that was pinned, and sessions with that one are
/// dropped.
pub(crate) async fn replace_identity(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    device: DeviceId,
    key: &IdentityKey,
) -> Result<()> {
    sqlx::query(
        "UPDATE omemo_device SET identity = ?1, sign = ?2, other_identity = NULL, other_at = NULL, failure = NULL,
             failure_at = NULL, healed_at = NULL WHERE account = ?3 AND address = ?4 AND device = ?5",
    )
    .bind(key.to_bytes().as_slice())
    .bind(key.sign())
    .bind(account)
    .bind(address.as_str())
    .bind(i64::from(device.get()))
    .execute(&mut **write)
    .await?;
    for of_device in [
        "DELETE FROM omemo_session WHERE account = ? AND address = ? AND device = ?",
        "DELETE FROM omemo_bundle_fault WHERE account = ? AND address = ? AND device = ?",
        "DELETE FROM omemo_due WHERE account = ? AND address = ? AND device = ?",
    ] {
        sqlx::query(of_device)
            .bind(account)
            .bind(address.as_str())
            .bind(i64::from(device.get()))
            .execute(&mut **write)
            .await?;
    }
    Ok(())
}

/// Another identity key than the pinned one was shown in the name of a device. Devices that are not known leave no trace.
pub(crate) async fn showed_other_key(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    device: DeviceId,
    (key, at): (&IdentityKey, Timestamp),
) -> Result<()> {
    sqlx::query(
        "UPDATE omemo_device SET other_identity = ?1, other_at = ?2
         WHERE account = ?3 AND address = ?4 AND device = ?5 AND identity IS NOT ?1 AND coalesce(other_at, 0) <= ?2",
    )
    .bind(key.to_bytes().as_slice())
    .bind(millis(at))
    .bind(account)
    .bind(address.as_str())
    .bind(i64::from(device.get()))
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Nobody need look at what else was shown in the name of the devices with this key any more.
pub(crate) async fn forget_other_keys(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    key: &IdentityKey,
) -> Result<()> {
    sqlx::query(
        "UPDATE omemo_device SET other_identity = NULL, other_at = NULL
         WHERE account = ? AND address = ? AND identity = ? AND other_identity IS NOT NULL",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(key.to_bytes().as_slice())
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// A device wrote to us at this time, and it could be read; it came `live`, or the archive told of it, for which what is of an
/// earlier time is no news. Says whether it is on a list.
pub(crate) async fn seen(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    device: DeviceId,
    (at, live): (Timestamp, bool),
) -> Result<bool> {
    let listed: Option<bool> = sqlx::query_scalar(
        "UPDATE omemo_device SET last_seen = max(coalesce(last_seen, 0), ?1),
             wrote_unlisted = iif(?2 AND omemo1 + omemo2 = 0, ?1, wrote_unlisted)
         WHERE account = ?3 AND address = ?4 AND device = ?5 RETURNING omemo1 + omemo2 > 0",
    )
    .bind(millis(at))
    .bind(live)
    .bind(account)
    .bind(address.as_str())
    .bind(i64::from(device.get()))
    .fetch_optional(&mut **write)
    .await?;
    Ok(listed.unwrap_or_default())
}

/// A device's broken session was replaced just now.
pub(crate) async fn healed(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    device: DeviceId,
    now: Timestamp,
) -> Result<()> {
    let sql = "UPDATE omemo_device SET healed_at = ? WHERE account = ? AND address = ? AND device = ?";
    set_time(write, sql, now, account, address, device).await
}

async fn set_time(
    write: &mut Write,
    sql: &'static str,
    at: Timestamp,
    account: AccountId,
    address: &BareJid,
    device: DeviceId,
) -> Result<()> {
    sqlx::query(sql)
        .bind(millis(at))
        .bind(account)
        .bind(address.as_str())
        .bind(i64::from(device.get()))
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Something that a device sent could not be read. Devices that are not known leave no trace: anybody can invent them.
pub(crate) async fn failed(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    device: DeviceId,
    failure: &DeviceFailure,
) -> Result<()> {
    sqlx::query(
        "UPDATE omemo_device SET failure = ?1, failure_at = ?2
         WHERE account = ?3 AND address = ?4 AND device = ?5 AND coalesce(failure_at, 0) <= ?2",
    )
    .bind(failure.reason)
    .bind(millis(failure.at))
    .bind(account)
    .bind(address.as_str())
    .bind(i64::from(device.get()))
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Notes why a device's bundle could not be had or used; none if it could.
pub(crate) async fn set_bundle_fault(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    (device, profile): (DeviceId, Profile),
    fault: Option<(BundleFault, Timestamp)>,
) -> Result<()> {
    let query = match fault {
        None => sqlx::query(
            "DELETE FROM omemo_bundle_fault WHERE account = ? AND address = ? AND device = ? AND profile = ?",
        ),
        Some(_) => sqlx::query(
            "INSERT OR REPLACE INTO omemo_bundle_fault (account, address, device, profile, fault, at)
             VALUES (?, ?, ?, ?, ?, ?)",
        ),
    };
    let mut query = query
        .bind(account)
        .bind(address.as_str())
        .bind(i64::from(device.get()))
        .bind(encryption(profile));
    if let Some((fault, at)) = fault {
        query = query.bind(fault).bind(millis(at));
    }
    query.execute(&mut **write).await?;
    Ok(())
}

/// Bundles that could not be had are asked for again at once.
pub(crate) async fn forget_faults(write: &mut Write, account: AccountId, address: &BareJid) -> Result<()> {
    sqlx::query("DELETE FROM omemo_bundle_fault WHERE account = ? AND address = ?")
        .bind(account)
        .bind(address.as_str())
        .execute(&mut **write)
        .await?;
    Ok(())
}
