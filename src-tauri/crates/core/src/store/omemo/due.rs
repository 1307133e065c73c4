//! What devices are still to be sent: empty messages that wait until the archive has been read, or for a bundle.

use sqlx::FromRow;
use waxwing_omemo::{DeviceId, Profile};

use super::{damaged, encryption, profile};
use crate::error::Result;
use crate::model::{AccountId, BareJid, Encryption};
use crate::store::accounts::Address;
use crate::store::{Connection, Write};

/// What a device is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "TEXT", rename_all = "snake_case")]
pub(crate) enum What {
    /// An empty message in the session that there is (XEP-0384 §4.6).
    Answer,
    /// An empty message that begins a new session in place of one that broke: what is written meanwhile waits for it.
    Heal,
    /// The same, as the person wishes.
    Reset,
}

/// Something that one device is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) address: BareJid,
    pub(crate) device: DeviceId,
    pub(crate) profile: Profile,
    pub(crate) what: What,
}

/// Notes that something is due. A new session answers too, and the person's wish for one is the strongest.
pub(crate) async fn put_due(write: &mut Write, account: AccountId, due: &Due) -> Result<()> {
    sqlx::query(
        "INSERT INTO omemo_due (account, address, device, profile, what) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (account, address, device, profile) DO UPDATE SET what = excluded.what
             WHERE what = 'answer' OR excluded.what = 'reset'",
    )
    .bind(account)
    .bind(due.address.as_str())
    .bind(i64::from(due.device.get()))
    .bind(encryption(due.profile))
    .bind(due.what)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// All that is due.
pub(crate) async fn all_due(db: &mut Connection, account: AccountId) -> Result<Vec<Due>> {
    #[derive(FromRow)]
    struct Row {
        #[sqlx(try_from = "String")]
        address: Address,
        device: i64,
        profile: Encryption,
        what: What,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT address, device, profile, what FROM omemo_due WHERE account = ? ORDER BY address, device",
    )
    .bind(account)
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Due {
                address: row.address.0,
                device: DeviceId::try_from(row.device).map_err(|_| damaged("device id"))?,
                profile: profile(row.profile)?,
                what: row.what,
            })
        })
        .collect()
}

/// No new session with this device is due any more. Says what was.
pub(crate) async fn take_new_session(
    write: &mut Write,
    account: AccountId,
    address: &BareJid,
    (device, profile): (DeviceId, Profile),
) -> Result<Option<What>> {
    Ok(sqlx::query_scalar(
        "DELETE FROM omemo_due WHERE account = ? AND address = ? AND device = ? AND profile = ?
             AND what IN ('heal', 'reset') RETURNING what",
    )
    .bind(account)
    .bind(address.as_str())
    .bind(i64::from(device.get()))
    .bind(encryption(profile))
    .fetch_optional(&mut **write)
    .await?)
}

/// Something is due no more. False if it was not.
pub(crate) async fn take_due(write: &mut Write, account: AccountId, due: &Due) -> Result<bool> {
    let done = sqlx::query(
        "DELETE FROM omemo_due WHERE account = ? AND address = ? AND device = ? AND profile = ? AND what = ?",
    )
    .bind(account)
    .bind(due.address.as_str())
    .bind(i64::from(due.device.get()))
    .bind(encryption(due.profile))
    .bind(due.what)
    .execute(&mut **write)
    .await?;
    Ok(done.rows_affected() > 0)
}
