//! How far keys are trusted.

use waxwing_omemo::IdentityKey;

use super::identity;
use crate::error::Result;
use crate::model::{AccountId, BareJid, Trust};
use crate::store::{Connection, Write};

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
