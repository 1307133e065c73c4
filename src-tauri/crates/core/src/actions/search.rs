//! Finding messages.

use std::sync::Arc;

use crate::Core;
use crate::error::{Error, Result};
use crate::model::Message;
use crate::request::Search;
use crate::store::{accounts, search};

pub(crate) async fn search(core: &Arc<Core>, params: Search) -> Result<Vec<Message>> {
    let limit = super::page_size(params.limit)?;
    if params.query.chars().count() > 1_000 {
        return Err(Error::invalid("a query has at most 1,000 characters"));
    }
    let rev = core.store.next_rev();
    let mut db = core.store.read().await?;
    if let Some(account) = params.account {
        accounts::get(&mut db, account).await?;
    }
    search::find(&mut db, &params.query, params.account, limit, rev).await
}
