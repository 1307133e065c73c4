//! What others learn of the person: that messages arrived, and that they were read.

use std::sync::Arc;

use crate::Core;
use crate::error::Result;
use crate::model::{AccountId, BareJid, Sharing};
use crate::publish::{Changes, publish};
use crate::request::{Nothing, SetContactShared, SetShared};
use crate::store::accounts;
use crate::store::reading::{self, Shared};

pub(crate) async fn set_receipts(core: &Arc<Core>, params: SetShared) -> Result<Nothing> {
    set(core, params, Shared::Receipts).await
}

pub(crate) async fn set_markers(core: &Arc<Core>, params: SetShared) -> Result<Nothing> {
    set(core, params, Shared::Markers).await
}

pub(crate) async fn set_contact_receipts(core: &Arc<Core>, params: SetContactShared) -> Result<Nothing> {
    set_for(
        core,
        params.account,
        params.address,
        Shared::Receipts,
        params.send,
    )
    .await
}

pub(crate) async fn set_contact_markers(core: &Arc<Core>, params: SetContactShared) -> Result<Nothing> {
    set_for(core, params.account, params.address, Shared::Markers, params.send).await
}

async fn set(core: &Core, params: SetShared, what: Shared) -> Result<Nothing> {
    let mut write = core.store.write().await?;
    accounts::set_shared(&mut write, params.account, what, params.send).await?;
    write.commit().await?;
    let changes = Changes {
        account: true,
        ..Changes::default()
    };
    publish(core, params.account, changes).await?;
    Ok(Nothing {})
}

async fn set_for(
    core: &Core,
    account: AccountId,
    address: BareJid,
    what: Shared,
    sharing: Sharing,
) -> Result<Nothing> {
    let mut write = core.store.write().await?;
    accounts::get(&mut write, account).await?;
    reading::set_share(&mut write, account, &address, what, sharing).await?;
    write.commit().await?;
    let changes = Changes {
        contacts: [address].into(),
        ..Changes::default()
    };
    publish(core, account, changes).await?;
    Ok(Nothing {})
}
