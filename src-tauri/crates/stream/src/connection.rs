//! The established connection.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use minidom::Element;

use crate::ledger::{Arrival, Ledger};
use crate::link::{Alarm, Link, SecureWire};
use crate::{
    BoundAddress, Certificate, Disconnected, Fatal, Mechanism, Resumption, StoredSession, StreamCondition,
    Target, TokenNews, xml,
};

/// With more than this queued, [`Connection::send`] waits.
const BACKLOG: usize = 64 * 1024;
/// What [`Connection::send`] reads at most while it waits.
const READ_AHEAD: u64 = 16 * 1024 * 1024;
/// How long [`Connection::close`] waits for the server.
const FAREWELL: Duration = Duration::from_secs(2);

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

/// What a connection runs over and how it came about, for those who want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are answers to as many questions"
)]
pub struct Facts {
    /// Where the server was found.
    pub target: Target,
    /// The address that led to; of the proxy, if there is one.
    pub peer: SocketAddr,
    /// Whether a proxy is between.
    pub proxied: bool,
    /// `TLSv1_2` or `TLSv1_3`.
    pub tls_version: String,
    /// The cipher suite's registered name.
    pub cipher: String,
    /// What the server showed.
    pub certificate: Option<Certificate>,
    /// Whether it is believed only because the person accepted it.
    pub pinned: bool,
    /// What proved the password, or the token: the registered SASL name.
    pub authenticated_by: String,
    /// What bound the login to the TLS channel: the registered channel-binding name.
    pub channel_binding: Option<&'static str>,
    /// XEP-0388 was used.
    pub sasl2: bool,
    /// XEP-0386 was used.
    pub bind2: bool,
    /// Carbons (XEP-0280) are on already.
    pub carbons: bool,
    /// How often the client had to wait for an answer from the stream's opening until it could send.
    pub round_trips: u32,
    /// From the first attempt at a target until it could send.
    pub took: Duration,
}

/// A bound stream. Nothing moves unless [`Connection::next`] or [`Connection::send`] is being awaited, and a
/// silent server is noticed by them only.
pub struct Connection {
    link: Link,
    opened: Opened,
    ledger: Ledger,
    inbox: VecDeque<Incoming>,
    lost: Vec<Unacknowledged>,
    /// The last stanza before the `<r/>` that is under way.
    asked: Option<u64>,
    /// The server waits for our count.
    owes_count: bool,
    /// The count that we gave was not of everything that had arrived.
    behind: bool,
    /// The id of our own pings, unguessable for others.
    ping: String,
    write_error: Option<io::Error>,
    /// The session was resumed, and the server has answered nothing since.
    unheard: bool,
    /// Our `</stream:stream>` is out.
    closing: bool,
    dead: Option<Disconnected>,
}

/// What the login found out.
pub(crate) struct Opened {
    pub(crate) bound: BoundAddress,
    pub(crate) resumed: bool,
    pub(crate) mechanism: Mechanism,
    pub(crate) facts: Facts,
    pub(crate) features: Element,
    /// The session's name at the server, if it can be resumed.
    pub(crate) session: Option<String>,
    /// Where the server would like it to be resumed.
    pub(crate) location: Option<String>,
    pub(crate) token: TokenNews,
}

impl Connection {
    pub(crate) fn new(wire: SecureWire, opened: Opened, ledger: Ledger, ping: String) -> Self {
        Self {
            link: Link::new(wire),
            unheard: opened.resumed,
            opened,
            ledger,
            inbox: VecDeque::new(),
            lost: Vec::new(),
            asked: None,
            owes_count: false,
            behind: false,
            ping,
            write_error: None,
            closing: false,
            dead: None,
        }
    }

    /// What came before stream management was enabled.
    pub(crate) fn early(&mut self, elements: Vec<Element>) {
        for element in elements {
            if xml::is_stanza(&element) {
                self.ledger.arrived(Arrival::Early);
                self.inbox.push_back(Incoming::Stanza(element));
            } else {
                self.inbox.push_back(Incoming::Other(element));
            }
        }
    }

    /// What the server said about the old session.
    pub(crate) fn settle(&mut self, acked: Option<StanzaNumber>, lost: Vec<Unacknowledged>) {
        self.inbox.extend(acked.map(|up_to| Incoming::Acked { up_to }));
        self.lost = lost;
    }

    /// Sends again what the server of a resumed session has not got, byte for byte, and asks whether it came. The
    /// server is asked in any case: some take a session up and hear nothing of it, such as Prosody 0.12 if the old
    /// connection broke in the midst of a stanza.
    pub(crate) fn resend(&mut self) {
        self.ledger.close_gaps();
        self.link.expect_hearing();
        for stanza in self.ledger.unacknowledged() {
            self.link.queue(&stanza.xml);
        }
        self.ask();
    }

    /// How long the way here was.
    pub(crate) fn took(&mut self, time: Duration) {
        self.opened.facts.took = time;
    }

    /// Our full address.
    pub fn bound(&self) -> &BoundAddress {
        &self.opened.bound
    }

    /// Whether the session of [`crate::Login::resume`] goes on: the server still knows our presence and we have
    /// missed nothing. Otherwise everything starts afresh.
    pub fn resumed(&self) -> bool {
        self.opened.resumed
    }

    /// Whether the server acknowledges stanzas. If not, [`Incoming::Acked`] never comes and
    /// [`Connection::into_resumption`] holds nothing.
    pub fn acknowledges(&self) -> bool {
        self.ledger.managed()
    }

    /// The strongest mechanism on offer, now or as [`crate::Login::strongest_seen`] has it; to be remembered there.
    pub fn mechanism(&self) -> Mechanism {
        self.opened.mechanism
    }

    /// Target, TLS version, cipher.
    pub fn facts(&self) -> &Facts {
        &self.opened.facts
    }

    /// The `<stream:features/>` after authentication.
    pub fn features(&self) -> &Element {
        &self.opened.features
    }

    /// Takes the stanzas of the previous session that the server did not get or that nobody knows about,
    /// oldest first, when [`Connection::resumed`] is false. They are not sent again by this crate.
    pub fn lost(&mut self) -> Vec<Unacknowledged> {
        std::mem::take(&mut self.lost)
    }

    /// Waits for what comes next; also writes what is queued and answers the server's requests for
    /// acknowledgement. Cancel-safe: nothing is lost when the future is dropped. What had arrived before a
    /// disconnection is handed out before the disconnection.
    pub async fn next(&mut self) -> Result<Incoming, Disconnected> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// What is already here, without waiting, so that a burst can be stored in one transaction.
    pub fn try_next(&mut self) -> Option<Result<Incoming, Disconnected>> {
        match self.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(incoming) => Some(incoming),
            Poll::Pending => None,
        }
    }

    /// Queues a message, presence or iq and starts to write it. It waits only while more than 64 KiB are
    /// queued. An `Err` means that it was not queued; once queued it is `Ok`, even if the connection dies, and
    /// with stream management it is then in [`Connection::into_resumption`]. A session that can be resumed takes it
    /// also when the connection is known to have broken: it goes out when the session goes on. If the future is dropped
    /// while it waits, the stanza stays queued.
    pub async fn send(&mut self, stanza: &Element) -> Result<StanzaNumber, Disconnected> {
        self.send_raw(String::from(stanza).into()).await
    }

    /// Whether so much waits to be written that a short stanza may have to wait too.
    pub fn is_behind(&self) -> bool {
        self.link.backlog() > BACKLOG / 2
    }

    /// Like [`Connection::send`], with a stanza that is serialised already, one well-formed element that says
    /// `xmlns='jabber:client'` itself.
    pub async fn send_raw(&mut self, xml: Arc<str>) -> Result<StanzaNumber, Disconnected> {
        let broke = matches!(self.dead, Some(Disconnected::Io(_) | Disconnected::Silent));
        if broke && self.opened.session.is_some() {
            return Ok(self.ledger.send(xml));
        }
        self.alive()?;
        if self.ledger.managed() {
            self.link.expect_answer();
        }
        self.link.queue(&xml);
        let number = self.ledger.send(xml);
        if self.ledger.managed() && self.asked.is_none() {
            self.ask();
        }
        self.drain().await;
        Ok(number)
    }

    /// Sends a top-level element that is no stanza (client state indication, …): not numbered, never resent.
    pub async fn send_other(&mut self, element: &Element) -> Result<(), Disconnected> {
        self.alive()?;
        self.link.queue(&String::from(element));
        self.drain().await;
        Ok(())
    }

    /// The caller has stored `count` more [`Incoming::Stanza`], in order. Only these are acknowledged.
    pub fn handled(&mut self, count: u32) {
        self.ledger.stored(count);
        self.owes_count |= self.behind;
    }

    /// Asks the server at once what it has (also a quick check whether the link lives: 12 seconds).
    pub async fn request_ack(&mut self) {
        self.probe();
        self.drain().await;
    }

    /// Ends the session: sends `</stream:stream>` and waits up to 2 seconds for the server's.
    pub async fn close(mut self) {
        self.owes_count = self.ledger.managed();
        self.write_count();
        self.link.queue("</stream:stream>");
        self.closing = true;
        let farewell = async {
            while self.dead.is_none() {
                poll_fn(|cx| self.poll_step(cx, true)).await;
                self.inbox.clear();
            }
            self.link.shutdown().await;
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::debug!("the server did not end the stream in time");
        }
    }

    /// What [`crate::Login::resume`] of the next connection needs; nothing if the server offered none. A session that
    /// the server took up and never answered in is not to be gone on with: it would be as deaf again.
    pub fn into_resumption(self) -> Option<Resumption> {
        let deaf = self.unheard && self.dead == Some(Disconnected::Silent);
        if deaf {
            tracing::warn!("the server does not hear us in the resumed session, a new one is to begin");
        }
        self.ledger.into_resumption(
            self.opened.bound,
            self.opened.session.filter(|_| !deaf),
            self.opened.location,
        )
    }

    /// The session to be stored, with the count as it will be when `stored` more stanzas are; none if it cannot be
    /// resumed. What [`Connection::resent`] and the send functions number is to be stored with it.
    pub fn session(&self, stored: u32) -> Option<StoredSession> {
        Some(StoredSession {
            id: self.opened.session.clone()?,
            location: self.opened.location.clone(),
            bound: self.opened.bound.clone(),
            base: self.ledger.base(),
            handled: self.ledger.handled_with(stored),
        })
    }

    /// The number that the next stanza will have.
    pub fn next_number(&self) -> StanzaNumber {
        StanzaNumber(self.ledger.sent() + 1)
    }

    /// What was sent and is not acknowledged, oldest first. Right after a stored session was resumed, these are the
    /// stored stanzas that the server lacked, under new numbers.
    pub fn resent(&self) -> impl Iterator<Item = &Unacknowledged> {
        self.ledger.unacknowledged()
    }

    /// What became of the token that stands for the password; to be taken once.
    pub fn token(&mut self) -> TokenNews {
        std::mem::take(&mut self.opened.token)
    }

    fn alive(&self) -> Result<(), Disconnected> {
        self.dead.clone().map_or(Ok(()), Err)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Disconnected>> {
        loop {
            if let Some(incoming) = self.inbox.pop_front() {
                return Poll::Ready(Ok(incoming));
            }
            self.alive()?;
            std::task::ready!(self.poll_step(cx, true));
        }
    }

    async fn drain(&mut self) {
        let limit = self.link.received().saturating_add(READ_AHEAD);
        poll_fn(|cx| self.poll_drain(cx, limit)).await;
    }

    /// Until the backlog is small. It reads meanwhile, so that two sides that both write never wait for each other.
    fn poll_drain(&mut self, cx: &mut Context<'_>, limit: u64) -> Poll<()> {
        self.write(cx);
        while self.link.backlog() > BACKLOG && self.dead.is_none() {
            let reading = self.link.received() < limit;
            std::task::ready!(self.poll_step(cx, reading));
        }
        Poll::Ready(())
    }

    /// Writes, then takes one element in or looks at the clock. Ready when something has changed.
    fn poll_step(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<()> {
        self.write(cx);
        if reading && let Poll::Ready(read) = self.link.poll_element(cx) {
            match read {
                Ok(Some(element)) => self.take(element),
                Ok(None) => self.die(Disconnected::Closed),
                Err(error) => self.die(disconnected(&error)),
            }
            return Poll::Ready(());
        }
        // Only now, with nothing left to read.
        if let Some(error) = self.write_error.take() {
            self.die(disconnected(&error));
            return Poll::Ready(());
        }
        match std::task::ready!(self.link.poll_alarm(cx)) {
            Alarm::Probe => self.probe(),
            Alarm::Dead => self.die(Disconnected::Silent),
        }
        Poll::Ready(())
    }

    fn write(&mut self, cx: &mut Context<'_>) {
        self.write_count();
        if self.write_error.is_none() {
            self.write_error = self.link.poll_write(cx).err();
        }
    }

    /// However often the server asks between two writes, it gets one answer.
    fn write_count(&mut self) {
        if std::mem::take(&mut self.owes_count) {
            self.link
                .queue(&format!("<a xmlns='{}' h='{}'/>", xml::SM, self.ledger.handled()));
            self.behind = self.ledger.waiting() > 0;
        }
    }

    fn ask(&mut self) {
        self.asked = Some(self.ledger.sent());
        self.link.expect_answer();
        self.link.queue(&format!("<r xmlns='{}'/>", xml::SM));
    }

    /// Makes the server say something.
    fn probe(&mut self) {
        if self.ledger.managed() {
            self.ask();
        } else {
            self.link.expect_answer();
            self.link.queue(&format!(
                "<iq xmlns='{}' type='get' id='{}'><ping xmlns='{}'/></iq>",
                xml::CLIENT,
                self.ping,
                xml::PING
            ));
        }
    }

    fn take(&mut self, element: Element) {
        if let Some((violation, header)) = self.link.wire().swallowed(&element) {
            if matches!(header.name.as_str(), "message" | "presence" | "iq") && self.ledger.managed() {
                self.ledger.arrived(Arrival::Swallowed);
                self.ledger.stored(0);
            }
            self.inbox.push_back(Incoming::Swallowed { violation, header });
        } else if let Some((condition, text)) = stream_error(&element) {
            self.die(Disconnected::Stream { condition, text });
        } else if element.ns() == xml::SM && self.ledger.managed() {
            self.take_count(element);
        } else if xml::is_stanza(&element) {
            if element.name() == "iq" && element.attr("id") == Some(&self.ping) {
                return;
            }
            self.ledger.arrived(if self.ledger.managed() {
                Arrival::Stanza
            } else {
                Arrival::Early
            });
            self.inbox.push_back(Incoming::Stanza(element));
        } else {
            self.inbox.push_back(Incoming::Other(element));
        }
    }

    fn take_count(&mut self, element: Element) {
        let h = element.attr("h").and_then(|h| h.trim().parse().ok());
        match (element.name(), h) {
            ("r", _) => self.owes_count = true,
            ("a", Some(h)) => match self.ledger.acknowledged(h) {
                Ok(news) => {
                    if self.asked.is_some() {
                        self.unheard = false;
                        self.link.hears();
                    }
                    self.inbox.extend(news.map(|up_to| Incoming::Acked { up_to }));
                    // What was sent since the question needs a new one.
                    if self.asked.take().is_some_and(|asked| asked < self.ledger.sent()) {
                        self.ask();
                    }
                }
                Err(ahead) => self.die(ahead),
            },
            _ => self.inbox.push_back(Incoming::Other(element)),
        }
    }

    /// The end. Where it is the server's fault, it is told.
    fn die(&mut self, reason: Disconnected) {
        let condition = match &reason {
            Disconnected::AckAhead { acknowledged, sent } => Some(format!(
                "<undefined-condition xmlns='{}'/><handled-count-too-high xmlns='{}' h='{acknowledged}' \
                 send-count='{sent}'/>",
                xml::STREAM_ERRORS,
                xml::SM
            )),
            Disconnected::Broken(fatal) => {
                let name = match fatal {
                    Fatal::RestrictedXml => "restricted-xml",
                    Fatal::NotWellFormed => "not-well-formed",
                    Fatal::NotUtf8 => "unsupported-encoding",
                    Fatal::Endless => "policy-violation",
                };
                Some(format!("<{name} xmlns='{}'/>", xml::STREAM_ERRORS))
            }
            Disconnected::Stream { .. } | Disconnected::Closed => Some(String::new()),
            Disconnected::Io(_) | Disconnected::Silent => None,
        };
        if let Some(condition) = condition.filter(|_| !std::mem::replace(&mut self.closing, true)) {
            let error = if condition.is_empty() {
                condition
            } else {
                format!("<stream:error>{condition}</stream:error>")
            };
            self.link.queue(&format!("{error}</stream:stream>"));
            // A farewell, not worth waiting for.
            self.write(&mut Context::from_waker(Waker::noop()));
        }
        tracing::debug!(code = reason.code(), "disconnected");
        self.dead = Some(reason);
    }
}

/// Reads a stream error (RFC 6120 §4.9).
pub(crate) fn stream_error(element: &Element) -> Option<(StreamCondition, String)> {
    if !element.is("error", xml::STREAM) {
        return None;
    }
    let condition = element
        .children()
        .find(|c| c.ns() == xml::STREAM_ERRORS && c.name() != "text");
    let text = element
        .get_child("text", xml::STREAM_ERRORS)
        .map(Element::text)
        .unwrap_or_default();
    let condition = match condition {
        Some(condition) if condition.name() == "see-other-host" => {
            StreamCondition::SeeOtherHost(xml::excerpt(&condition.text()))
        }
        condition => StreamCondition::named(condition.map_or("undefined-condition", Element::name)),
    };
    Some((condition, xml::excerpt(&text)))
}

fn disconnected(error: &io::Error) -> Disconnected {
    if let Some(fatal) = fatal(error) {
        return Disconnected::Broken(fatal);
    }
    Disconnected::Io(error.to_string())
}

/// What was wrong with the XML, if anything.
pub(crate) fn fatal(error: &io::Error) -> Option<Fatal> {
    let inner = error.get_ref()?;
    if let Some(fatal) = inner.downcast_ref::<Fatal>() {
        return Some(*fatal);
    }
    inner
        .downcast_ref::<minidom::rxml::Error>()
        .map(|_| Fatal::NotWellFormed)
}
