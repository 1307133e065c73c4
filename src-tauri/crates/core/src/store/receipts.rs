//! Receipts (XEP-0184) that are owed for what the archive told of.

use sqlx::types::Json;

use super::accounts::Address;
use super::{Connection, Write};
use crate::error::Result;
use crate::model::{AccountId, BareJid, ChatId};

/// A receipt that is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) chat: ChatId,
    /// Who wrote the message.
    pub(crate) sender: BareJid,
    /// The device that it goes to.
    pub(crate) recipient: String,
    /// What it names.
    pub(crate) stanza_id: String,
}

/// Notes that these are owed: chat, stanza id, and the device that it goes to.
pub(crate) async fn owe(write: &mut Write, due: &[(ChatId, &str, &str)]) -> Result<()> {
    if due.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT OR REPLACE INTO receipt_due (chat, stanza_id, recipient)
         SELECT due.value ->> 0, due.value ->> 1, due.value ->> 2 FROM json_each(?) AS due",
    )
    .bind(Json(due))
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Another device of ours has given it.
pub(crate) async fn given(write: &mut Write, chat: ChatId, stanza_id: &str) -> Result<()> {
    sqlx::query("DELETE FROM receipt_due WHERE chat = ? AND stanza_id = ?")
        .bind(chat)
        .bind(stanza_id)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Takes all out that an account owes.
pub(crate) async fn take(write: &mut Write, account: AccountId) -> Result<Vec<Due>> {
    let due = all(write, account).await?;
    if !due.is_empty() {
        sqlx::query("DELETE FROM receipt_due WHERE chat IN (SELECT id FROM chat WHERE account = ?)")
            .bind(account)
            .execute(&mut **write)
            .await?;
    }
    Ok(due)
}

async fn all(db: &mut Connection, account: AccountId) -> Result<Vec<Due>> {
    let rows: Vec<(ChatId, String, String, String)> = sqlx::query_as(
        "SELECT receipt_due.chat, chat.address, recipient, stanza_id
         FROM chat JOIN receipt_due ON receipt_due.chat = chat.id WHERE chat.account = ?",
    )
    .bind(account)
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|(chat, address, recipient, stanza_id)| {
            Some(Due {
                chat,
                sender: Address::try_from(address).ok()?.0,
                recipient,
                stanza_id,
            })
        })
        .collect())
}
