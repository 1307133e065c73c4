//! How often this database was opened and closed.

use super::{Connection, Write};
use crate::error::Result;

pub(crate) async fn get(db: &mut Connection) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT epoch FROM epoch")
        .fetch_one(db)
        .await?)
}

pub(crate) async fn set(write: &mut Write, epoch: i64) -> Result<()> {
    sqlx::query("UPDATE epoch SET epoch = ?")
        .bind(epoch)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// The database is an older copy of itself: every device of ours is to begin anew, and what is stored of sessions with
/// servers is not where they are.
pub(crate) async fn set_rolled_back(write: &mut Write) -> Result<()> {
    for sql in [
        "UPDATE omemo_own SET renewal = 'restored' WHERE renewal IS NULL",
        "DELETE FROM session",
    ] {
        sqlx::query(sql).execute(&mut **write).await?;
    }
    Ok(())
}
