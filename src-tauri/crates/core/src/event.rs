//! What happened, for everyone who watches: the window, the headless program, tests.

use serde::Serialize;
use ts_rs::TS;

use crate::model::{
    Account, AccountId, BareJid, Chat, ChatId, ConsoleEntry, Contact, ContactRequest, Message, Notice,
};

/// Each event carries the whole changed object, never an id to ask about again. Objects with a `rev` may be
/// overtaken by the answer to a request; the higher `rev` is the newer.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The profile is open; the first event.
    Ready {
        version: String,
    },
    AccountChanged {
        account: Account,
    },
    AccountRemoved {
        account: AccountId,
    },
    ContactChanged {
        contact: Contact,
    },
    ContactRemoved {
        account: AccountId,
        #[ts(type = "string")]
        address: BareJid,
    },
    /// Somebody asks to see our presence.
    RequestReceived {
        #[serde(flatten)]
        request: ContactRequest,
    },
    /// The request was answered, here or on another device.
    RequestAnswered {
        account: AccountId,
        #[ts(type = "string")]
        address: BareJid,
    },
    ChatChanged {
        chat: Chat,
    },
    /// New or altered. What is read of the past, before all that was known, is not told one by one: the account's gap
    /// moves, and `list_messages` holds it.
    MessageChanged {
        message: Message,
    },
    /// Everything that the server held for us has been read.
    CaughtUp {
        account: AccountId,
    },
    /// Something new, to be shown outside of the window. It takes the place of what was shown of the same chat, or of the
    /// same account if it is a summary.
    Notify {
        notice: Notice,
    },
    /// What was shown of a chat, or without one the summary, is of no use any more.
    NotifyWithdrawn {
        account: AccountId,
        chat: Option<ChatId>,
    },
    /// Somebody outside of the window wants to see a chat there, as with a click on what was shown of it.
    ChatWanted {
        chat: ChatId,
    },
    /// What went over an account's wire while its console is on.
    ConsoleSeen {
        account: AccountId,
        entries: Vec<ConsoleEntry>,
    },
    /// Events were dropped because the reader lagged: read everything anew.
    Resync {},
}
