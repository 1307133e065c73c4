//! The established connection.

use std::net::SocketAddr;
use std::sync::Arc;

use jid::FullJid;
use minidom::Element;

use crate::{Disconnected, Mechanism, Tls};

/// The running number of an outgoing stanza: 1, 2, 3 … It goes on through resumptions, also failed ones, so a
/// number is never used twice as long as each [`Resumption`] is handed to the next connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StanzaNumber(pub u64);

/// A stanza that was sent, and of which the server did not say that it has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unacknowledged {
    /// What [`Connection::send`] returned for it.
    pub number: StanzaNumber,
    /// Its bytes as they were sent.
    pub xml: Arc<str>,
}

/// Which limit a swallowed stanza broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// More than 1 MiB.
    Size,
    /// Nested deeper than 64 elements.
    Depth,
    /// A single name, attribute value or the like of 8,192 bytes or more.
    AttributeLength,
    /// More than 256 attributes on one element.
    Attributes,
    /// More than 20,000 elements.
    Elements,
}

/// What is known of a swallowed stanza; the server's words, unchecked. Each value is at most 1,024 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// The element's local name.
    pub name: String,
    /// Its attribute `from`.
    pub from: Option<String>,
    /// Its attribute `id`.
    pub id: Option<String>,
    /// Its attribute `type`.
    pub kind: Option<String>,
}

/// What comes out of a connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// A message, presence or iq. Tell [`Connection::handled`] once it is stored.
    Stanza(Element),
    /// The server has every stanza up to this one.
    Acked {
        /// The last stanza that it has.
        up_to: StanzaNumber,
    },
    /// Something broke a limit and was thrown away; the stream goes on. Needs no [`Connection::handled`].
    Swallowed {
        /// The limit.
        violation: Violation,
        /// As much as is known of it.
        header: Header,
    },
    /// A top-level element that is neither a stanza nor stream management.
    Other(Element),
}

/// What a connection runs over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Host name as DNS or the person gave it.
    pub host: String,
    /// Where that led.
    pub peer: SocketAddr,
    /// How TLS began.
    pub tls: Tls,
    /// `TLSv1_2` or `TLSv1_3`.
    pub tls_version: String,
    /// The cipher suite's registered name.
    pub cipher: String,
}

/// What is needed to go on with a stream-managed session on a new connection (XEP-0198 §5).
#[derive(Clone)]
pub struct Resumption {
    unacknowledged: Vec<Unacknowledged>,
}

impl Resumption {
    /// What the server may not have, oldest first.
    pub fn unacknowledged(&self) -> &[Unacknowledged] {
        &self.unacknowledged
    }
}

/// A bound stream. Nothing moves unless [`Connection::next`] or [`Connection::send`] is being awaited, and a
/// silent server is noticed by them only.
pub struct Connection {
    _private: (),
}

impl Connection {
    /// Our full address.
    pub fn bound(&self) -> &FullJid {
        todo!()
    }

    /// Whether the session of [`crate::Login::resume`] goes on: the server still knows our presence and we have
    /// missed nothing. Otherwise everything starts afresh.
    pub fn resumed(&self) -> bool {
        todo!()
    }

    /// Whether the server acknowledges stanzas. If not, [`Incoming::Acked`] never comes and
    /// [`Connection::into_resumption`] holds nothing.
    pub fn acknowledges(&self) -> bool {
        todo!()
    }

    /// The mechanism that was used, the strongest on offer; remember it for [`crate::Login::strongest_seen`].
    pub fn mechanism(&self) -> Mechanism {
        todo!()
    }

    /// Target, TLS version, cipher.
    pub fn facts(&self) -> &Facts {
        todo!()
    }

    /// The `<stream:features/>` after authentication.
    pub fn features(&self) -> &Element {
        todo!()
    }

    /// Takes the stanzas of the previous session that the server did not get or that nobody knows about,
    /// oldest first, when [`Connection::resumed`] is false. They are not sent again by this crate.
    pub fn lost(&mut self) -> Vec<Unacknowledged> {
        todo!()
    }

    /// Waits for what comes next; also writes what is queued and answers the server's requests for
    /// acknowledgement. Cancel-safe: nothing is lost when the future is dropped. What had arrived before a
    /// disconnection is handed out before the disconnection.
    pub async fn next(&mut self) -> Result<Incoming, Disconnected> {
        todo!()
    }

    /// What is already here, without waiting, so that a burst can be stored in one transaction.
    pub fn try_next(&mut self) -> Option<Result<Incoming, Disconnected>> {
        todo!()
    }

    /// Queues a message, presence or iq and starts to write it. It waits only while more than 256 KiB are
    /// queued. If the future is dropped, the stanza counts as sent. With stream management an `Err` does not
    /// mean that it is gone: it is in [`Connection::into_resumption`].
    pub async fn send(&mut self, stanza: &Element) -> Result<StanzaNumber, Disconnected> {
        let _ = stanza;
        todo!()
    }

    /// Like [`Connection::send`], with a stanza that is serialised already, one well-formed element that says
    /// `xmlns='jabber:client'` itself.
    pub async fn send_raw(&mut self, xml: Arc<str>) -> Result<StanzaNumber, Disconnected> {
        let _ = xml;
        todo!()
    }

    /// Sends a top-level element that is no stanza (client state indication, …): not numbered, never resent.
    pub async fn send_other(&mut self, element: &Element) -> Result<(), Disconnected> {
        let _ = element;
        todo!()
    }

    /// The caller has stored `count` more [`Incoming::Stanza`], in order. Only these are acknowledged.
    pub fn handled(&mut self, count: u32) {
        let _ = count;
        todo!()
    }

    /// Asks the server at once what it has (also a quick check whether the link lives: 12 seconds).
    pub async fn request_ack(&mut self) {
        todo!()
    }

    /// Ends the session: sends `</stream:stream>` and waits up to 2 seconds for the server's.
    pub async fn close(self) {
        todo!()
    }

    /// What [`crate::Login::resume`] of the next connection needs; nothing if the server offered none.
    pub fn into_resumption(self) -> Option<Resumption> {
        todo!()
    }
}
