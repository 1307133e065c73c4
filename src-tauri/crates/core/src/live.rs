//! What is true of an account only while it lasts: its connection and its contacts' presence.

use std::collections::{BTreeMap, HashMap};

use waxwing_stream::Certificate;

use crate::error::Fault;
use crate::model::{BareJid, ConnectionState, Show};

/// What is true of an account only while it lasts.
pub(crate) struct Live {
    pub(crate) state: ConnectionState,
    pub(crate) error: Option<Fault>,
    /// The certificate that the last attempt refused.
    pub(crate) refused: Option<Certificate>,
    /// The login that the last attempt refused.
    pub(crate) weaker_login: Option<WeakerLogin>,
    /// How often the connection was lost.
    pub(crate) lost: u32,
    /// How many stanzas broke a limit.
    pub(crate) swallowed: u32,
    /// Presence by bare address and resource. It is kept while the connection is away, since a resumed session does
    /// not send it again, but it is shown only while online.
    pub(crate) presences: HashMap<BareJid, BTreeMap<String, Presence>>,
}

/// A login that was refused because it is weaker than the person would expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WeakerLogin {
    /// The server wants the password itself.
    pub(crate) plain: bool,
}

/// What one of a contact's devices shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Presence {
    pub(crate) show: Show,
    pub(crate) status: Option<String>,
    pub(crate) priority: i8,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            state: ConnectionState::Offline,
            error: None,
            refused: None,
            weaker_login: None,
            lost: 0,
            swallowed: 0,
            presences: HashMap::new(),
        }
    }
}

impl Live {
    /// The best that a contact's devices show: highest priority first (RFC 6121 §8.5.2.1.1), then most reachable.
    pub(crate) fn presence(&self, address: &BareJid) -> (Show, Option<String>) {
        self.presences
            .get(address)
            .filter(|_| self.state == ConnectionState::Online)
            .and_then(|resources| {
                resources
                    .values()
                    .max_by_key(|p| (p.priority >= 0, p.show, p.priority))
            })
            .map_or((Show::Offline, None), |presence| {
                (presence.show, presence.status.clone())
            })
    }

    /// Takes in what one device shows.
    pub(crate) fn set_presence(&mut self, address: BareJid, resource: String, presence: Presence) {
        // A contact has few devices; a hostile one shall not fill the memory with thousands.
        const RESOURCES: usize = 64;
        if presence.show == Show::Offline {
            // An answer for the bare address speaks for all devices.
            if resource.is_empty() {
                self.presences.remove(&address);
            } else if let Some(resources) = self.presences.get_mut(&address) {
                resources.remove(&resource);
            }
            return;
        }
        let resources = self.presences.entry(address).or_default();
        if resources.len() < RESOURCES || resources.contains_key(&resource) {
            resources.insert(resource, presence);
        }
    }
}
