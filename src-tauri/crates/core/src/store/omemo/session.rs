//! Sessions with other devices.

use jiff::Timestamp;
use waxwing_omemo::{DeviceId, Profile, SessionRecord};
use zeroize::Zeroizing;

use super::{damaged, encryption, profile};
use crate::error::Result;
use crate::model::{AccountId, BareJid, Encryption};
use crate::store::{Connection, Write, millis};

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

/// Forgets the sessions with one device.
pub(crate) async fn drop_session(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    device: DeviceId,
    profile: Profile,
) -> Result<()> {
    sqlx::query("DELETE FROM omemo_session WHERE account = ? AND address = ? AND device = ? AND profile = ?")
        .bind(account)
        .bind(address.as_str())
        .bind(i64::from(device.get()))
        .bind(encryption(profile))
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// A session with a device that is on a list: whose, which, and in which generation.
pub(crate) type Lively = (BareJid, DeviceId, Profile);

/// The sessions with devices that sent something since then; not more than a hundred.
pub(crate) async fn lively(db: &mut Connection, account: AccountId, since: Timestamp) -> Result<Vec<Lively>> {
    let rows: Vec<(String, i64, Encryption)> = sqlx::query_as(
        "SELECT s.address, s.device, s.profile FROM omemo_session s
         JOIN omemo_device d ON d.account = s.account AND d.address = s.address AND d.device = s.device
         WHERE s.account = ? AND d.last_seen >= ? AND d.omemo1 + d.omemo2 > 0 ORDER BY d.last_seen DESC LIMIT 100",
    )
    .bind(account)
    .bind(millis(since))
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|(address, device, generation)| {
            Ok((
                address.parse().map_err(|_| damaged("address"))?,
                DeviceId::try_from(device).map_err(|_| damaged("device id"))?,
                profile(generation)?,
            ))
        })
        .collect()
}
