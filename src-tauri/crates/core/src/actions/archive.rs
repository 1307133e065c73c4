//! What the server keeps of an account's messages (XEP-0441).

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::Core;
use crate::account::{Command, command};
use crate::error::{Code, Error, Result};
use crate::model::{AccountId, ArchivePreferences, BareJid};
use crate::request::{OfAccount, SetArchivePreferences};
use crate::store::accounts;

/// So many addresses are named in one list at most.
const MOST: usize = 1_000;

pub(crate) async fn preferences(core: &Arc<Core>, params: OfAccount) -> Result<ArchivePreferences> {
    ask(core, params.account, None).await
}

pub(crate) async fn set_preferences(
    core: &Arc<Core>,
    params: SetArchivePreferences,
) -> Result<ArchivePreferences> {
    let (always, never) = (addresses(params.always)?, addresses(params.never)?);
    if always.iter().any(|address| never.contains(address)) {
        return Err(Error::invalid("an address is in both lists"));
    }
    let set = ArchivePreferences {
        default: params.default,
        always,
        never,
    };
    ask(core, params.account, Some(set)).await
}

fn addresses(mut addresses: Vec<BareJid>) -> Result<Vec<BareJid>> {
    if addresses.len() > MOST {
        return Err(Error::invalid("a list has at most 1,000 addresses"));
    }
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

async fn ask(core: &Core, account: AccountId, set: Option<ArchivePreferences>) -> Result<ArchivePreferences> {
    accounts::get(&mut *core.store.read().await?, account).await?;
    let (done, answered) = oneshot::channel();
    command(core, account, Command::ArchivePreferences { set, done }).await?;
    answered
        .await
        .map_err(|_| Error::new(Code::Disconnected, "the connection broke before the answer"))?
}
