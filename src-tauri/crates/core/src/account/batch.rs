//! What a batch of stanzas does: one transaction, and after its commit what is to be sent and told.

use minidom::Element;

use crate::error::Result;
use crate::inbound::Text;
use crate::model::ChatId;
use crate::publish::Changes;
use crate::store::sessions::DevicePresence;
use crate::store::{Store, Write};

/// A transaction under way, with what is to follow its commit.
pub(super) struct Batch {
    pub(super) write: Write,
    pub(super) changes: Changes,
    /// Stanzas to be sent after the commit, in this order.
    pub(super) send: Vec<Element>,
    /// Something was put into the outbox, or what it waited for has come.
    pub(super) outbox: bool,
    /// Rows of the outbox that the server has: out of the pump once this is committed.
    pub(super) confirmed: Vec<i64>,
    /// What contacts' devices show from now on.
    pub(super) presences: Vec<DevicePresence>,
    /// A prekey was used: the bundles on the server are behind.
    pub(super) bundles_behind: bool,
    /// What came in a page of the archive and is still to be acknowledged.
    pub(super) owed: Vec<(ChatId, Text)>,
    /// Everything that the server held for us has been read.
    pub(super) caught_up: bool,
}

impl Batch {
    pub(super) async fn begin(store: &Store) -> Result<Self> {
        Ok(Self {
            write: store.write().await?,
            changes: Changes::default(),
            send: Vec::new(),
            outbox: false,
            confirmed: Vec::new(),
            presences: Vec::new(),
            bundles_behind: false,
            owed: Vec::new(),
            caught_up: false,
        })
    }
}
