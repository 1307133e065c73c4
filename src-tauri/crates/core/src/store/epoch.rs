//! How often this database was opened and closed, and where.

use sqlx::FromRow;

use super::{Connection, Write};
use crate::error::Result;
use crate::model::Renewed;

/// The count, as it is stored.
#[derive(Debug, FromRow)]
pub(crate) struct Epoch {
    pub(crate) count: i64,
    /// What it is called in the keychain; empty until it has a name.
    pub(crate) name: String,
    /// The folder of the profile when it was last opened.
    pub(crate) folder: String,
}

pub(crate) async fn get(db: &mut Connection) -> Result<Epoch> {
    Ok(sqlx::query_as("SELECT epoch AS count, name, folder FROM epoch")
        .fetch_one(db)
        .await?)
}

pub(crate) async fn set(write: &mut Write, epoch: &Epoch) -> Result<()> {
    sqlx::query("UPDATE epoch SET epoch = ?, name = ?, folder = ?")
        .bind(epoch.count)
        .bind(&epoch.name)
        .bind(&epoch.folder)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// The database is an older copy of itself: every device of ours is to begin anew, and what is stored of sessions with
/// servers is not where they are.
pub(crate) async fn set_rolled_back(write: &mut Write, why: Renewed) -> Result<()> {
    sqlx::query("UPDATE omemo_own SET renewal = ? WHERE renewal IS NULL")
        .bind(why)
        .execute(&mut **write)
        .await?;
    sqlx::query("DELETE FROM session").execute(&mut **write).await?;
    Ok(())
}
