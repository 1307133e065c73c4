//! Pure: a stanza and what we know become a decision. Every rule about who may say what lives and is tested here
//! (`security.md`: the gate). Nothing is stored or sent here.

mod archive;
mod message;
mod part;
mod presence;
mod roster;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use minidom::Element;
use waxwing_omemo::Profile;
use waxwing_omemo::xml::{Device, Encrypted};

pub(crate) use self::part::Inside;
pub(crate) use self::roster::{RosterItem, items as roster_items};
use crate::error::Fault;
use crate::model::{BareJid, Direction, Show};
use crate::xep::element::attribute;
use crate::xep::ns;

/// The year 1999 begins, in seconds: nothing was sent before Jabber.
const JABBER_BEGINS: i64 = 915_148_800;

/// What the decision depends on besides the stanza.
pub(crate) struct Context<'a> {
    /// The account's own address.
    pub(crate) own: &'a BareJid,
    /// Our server announces that it checks `<stanza-id/>` (XEP-0359 §6); only then are archive ids believed.
    pub(crate) stanza_ids: bool,
    /// The id of the question that our archive is being asked, unguessable for others.
    pub(crate) archive_query: Option<&'a str>,
    pub(crate) now: Timestamp,
}

/// A sender: the resource stays as it was written, since resources are not always valid by our tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) bare: BareJid,
    pub(crate) resource: Option<String>,
}

impl Sender {
    /// Reads an address leniently: only the bare part has to be valid.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (bare, resource) = match text.split_once('/') {
            Some((bare, resource)) => (bare, Some(resource.to_owned())),
            None => (text, None),
        };
        Some(Self {
            bare: bare.parse().ok()?,
            resource,
        })
    }
}

/// What came in.
#[derive(Clone, Debug)]
pub(crate) enum Inbound {
    Text(Text),
    /// XEP-0184: the message with this stanza id reached a device of `from`.
    Receipt {
        from: BareJid,
        id: String,
    },
    /// XEP-0333: `from` has seen the message with this stanza id.
    Displayed {
        from: BareJid,
        id: String,
    },
    /// A message of ours came back; `passes` if it may go through when it is sent again later (RFC 6120 §8.3.2).
    Bounce {
        from: BareJid,
        id: String,
        passes: bool,
        fault: Fault,
    },
    DeviceList {
        of: BareJid,
        profile: Profile,
        devices: Vec<Device>,
    },
    /// A message of ours was read on another device of ours: the one with this stanza id in the chat with `with`.
    ReadElsewhere {
        with: BareJid,
        id: String,
    },
    /// Our devices have read the chat with `with` up to the message with this id in our archive (XEP-0490).
    ReadUpTo {
        with: BareJid,
        archive_id: String,
    },
    /// Another device of ours confirmed that it received the message with this stanza id in the chat with `with`.
    ReceiptElsewhere {
        with: BareJid,
        id: String,
    },
    /// A message out of our own archive, for the question that is open.
    Archived(Archived),
    Presence {
        from: Sender,
        show: Show,
        status: Option<String>,
        priority: i8,
    },
    /// Somebody asks to see our presence.
    SubscriptionRequest {
        from: BareJid,
    },
    /// The request was taken back.
    RequestWithdrawn {
        from: BareJid,
    },
    RosterPush {
        id: String,
        item: RosterItem,
    },
    /// An answer to an IQ of ours; the tracker checks that it is from whom we asked.
    Answer {
        id: String,
        from: Option<Sender>,
    },
    /// An IQ that wants an answer.
    Asked {
        id: String,
        from: Option<String>,
        query: Query,
    },
}

/// A message as our archive tells it.
#[derive(Clone, Debug)]
pub(crate) struct Archived {
    /// Its id in the archive.
    pub(crate) id: String,
    /// When the archive got it, if it says so and that can be.
    pub(crate) at: Option<Timestamp>,
    /// What it says; nothing if there is nothing in it for us.
    pub(crate) holds: Vec<Inbound>,
}

/// What an IQ asks us.
#[derive(Clone, Debug)]
pub(crate) enum Query {
    Ping,
    Disco(Element),
    Unknown,
}

/// A message with something to show, or with something encrypted.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    /// Whose chat it belongs to.
    pub(crate) chat: BareJid,
    pub(crate) sender: BareJid,
    pub(crate) direction: Direction,
    pub(crate) content: Content,
    /// It is said in the open that there is something to read: by a note for other clients, or by XEP-0380. What devices
    /// tell each other without people does not say so.
    pub(crate) announced: bool,
    pub(crate) sent_at: Timestamp,
    pub(crate) stanza_id: Option<String>,
    pub(crate) origin_id: Option<String>,
    pub(crate) archive_id: Option<String>,
    /// Its sender wants to know when it was read (XEP-0333), and gave it an id.
    pub(crate) markable: bool,
    /// Its sender wants to know that it arrived (XEP-0184).
    pub(crate) receipt_wanted: bool,
    /// Where a receipt would go: the full address as it was written. None for what is not ours to answer.
    pub(crate) receipt_to: Option<String>,
}

impl Text {
    /// Whom a receipt is owed to, and for which stanza id.
    pub(crate) fn receipt(&self) -> Option<(&str, &str)> {
        let to = self.receipt_to.as_deref().filter(|_| self.receipt_wanted)?;
        Some((to, self.stanza_id.as_deref()?))
    }
}

/// What a message holds.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Plain(String),
    /// One for each namespace used.
    Encrypted(Vec<Encrypted>),
    /// OMEMO that cannot be read, or is missing though the message says that it is there.
    Malformed,
    /// Encrypted by another way, of this name (XEP-0380).
    Foreign(String),
}

/// Reads one stanza. Nothing comes of a stanza that has nothing for us or no right to say it.
pub(crate) fn read(stanza: &Element, context: &Context<'_>) -> Vec<Inbound> {
    match stanza.name() {
        "message" => message::read(stanza, context),
        "presence" => presence::read(stanza, context).into_iter().collect(),
        "iq" => iq(stanza, context).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn iq(stanza: &Element, context: &Context<'_>) -> Option<Inbound> {
    let id = attribute(stanza, "id")?.to_owned();
    let from = attribute(stanza, "from");
    match stanza.attr("type") {
        Some("result" | "error") => Some(Inbound::Answer {
            id,
            from: from.and_then(Sender::read),
        }),
        Some("get") => {
            let query = match stanza.children().next() {
                Some(child) if child.is("ping", ns::PING) => Query::Ping,
                Some(child) if child.is("query", ns::DISCO_INFO) => Query::Disco(child.clone()),
                _ => Query::Unknown,
            };
            Some(Inbound::Asked {
                id,
                from: from.map(str::to_owned),
                query,
            })
        }
        Some("set") => match roster::push(stanza, context) {
            Some(item) => Some(Inbound::RosterPush { id, item }),
            None => Some(Inbound::Asked {
                id,
                from: from.map(str::to_owned),
                query: Query::Unknown,
            }),
        },
        _ => None,
    }
}
