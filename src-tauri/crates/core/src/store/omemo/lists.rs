//! Device lists: what they named when they were read, or why they could not be.

use jiff::Timestamp;
use waxwing_omemo::{DeviceId, Profile};

use super::encryption;
use crate::error::Result;
use crate::model::{AccountId, BareJid, ListFault};
use crate::store::{Connection, Write, millis, time};

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
    sqlx::query("DELETE FROM omemo_list_fault WHERE account = ? AND address = ? AND profile = ?")
        .bind(account)
        .bind(address.as_str())
        .bind(encryption(profile))
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
                "INSERT INTO omemo_device (account, address, device, label, label_signature, first_seen, omemo1)
                 VALUES (?, ?, ?, ?, ?, ?, 1) ON CONFLICT (account, address, device)
                 DO UPDATE SET omemo1 = 1, wrote_unlisted = NULL"
            }
            Profile::Omemo2 => {
                "INSERT INTO omemo_device (account, address, device, label, label_signature, first_seen, omemo2)
                 VALUES (?, ?, ?, ?, ?, ?, 1) ON CONFLICT (account, address, device)
                 DO UPDATE SET omemo2 = 1, wrote_unlisted = NULL, label = excluded.label, label_signature = excluded.label_signature"
            }
        };
        sqlx::query(set)
            .bind(account)
            .bind(address.as_str())
            .bind(i64::from(device.id.get()))
            .bind(device.label.as_deref())
            .bind(device.label_signature.as_deref())
            .bind(millis(now))
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
    sqlx::query(
        "DELETE FROM omemo_bundle_fault WHERE account = ?1 AND address = ?2
             AND device NOT IN (SELECT device FROM omemo_device WHERE account = ?1 AND address = ?2)",
    )
    .bind(account)
    .bind(address.as_str())
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Notes why a device list could not be read, if that does not pass by itself.
pub(crate) async fn set_list_fault(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    profile: Profile,
    fault: ListFault,
) -> Result<()> {
    sqlx::query(
        "INSERT OR REPLACE INTO omemo_list_fault (account, address, profile, fault) SELECT ?, ?, ?, ? WHERE ? <> ?",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(encryption(profile))
    .bind(fault)
    .bind(fault)
    .bind(ListFault::Unreachable)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Why a device list could not be read when it was asked for last.
pub(crate) async fn list_fault(
    db: &mut Connection,
    account: AccountId,
    address: &BareJid,
    profile: Profile,
) -> Result<Option<ListFault>> {
    Ok(sqlx::query_scalar(
        "SELECT fault FROM omemo_list_fault WHERE account = ? AND address = ? AND profile = ?",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(encryption(profile))
    .fetch_optional(db)
    .await?)
}

/// When a device list was last read, if it ever was.
pub(crate) async fn list_read_at(
    db: &mut Connection,
    account: AccountId,
    address: &BareJid,
    profile: Profile,
) -> Result<Option<Timestamp>> {
    let read: Option<i64> = sqlx::query_scalar(
        "SELECT read_at FROM omemo_list WHERE account = ? AND address = ? AND profile = ?",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(encryption(profile))
    .fetch_optional(db)
    .await?;
    Ok(read.map(time))
}

/// A device of ours is taken off our lists; they are to be published.
pub(crate) async fn take_off_lists(
    write: &mut Write,
    account: AccountId,
    own: &BareJid,
    device: DeviceId,
) -> Result<()> {
    sqlx::query(
        "UPDATE omemo_device SET omemo1 = 0, omemo2 = 0 WHERE account = ? AND address = ? AND device = ?",
    )
    .bind(account)
    .bind(own.as_str())
    .bind(i64::from(device.get()))
    .execute(&mut **write)
    .await?;
    Ok(())
}
