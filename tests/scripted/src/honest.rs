//! A server as it should be, up to the point where a test wants something else: TLS and login.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::archive::Archive;
use crate::authority::{Authority, VALID};
use crate::header;
use crate::login::Modern;
use crate::nodes::Nodes;
use crate::peer::{Gone, Peer, Played};
use crate::scram::Exchange;
use crate::server::Shared;

const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// With the first byte (XEP-0368).
    Direct,
    /// After `<starttls/>` (RFC 6120 §5).
    StartTls,
}

/// Where a server can do something else than an honest one, named by what has just happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The TCP connection was accepted.
    Accepted,
    /// The client opened a stream before TLS.
    ClearHeader,
    /// The client asked for TLS.
    StartTls,
    /// The client opened its first stream inside TLS.
    Header,
    /// The client began to authenticate.
    Auth,
    /// The client has proven that it knows the password.
    Response,
    /// The client has shown a token.
    Token,
    /// The client opened its stream anew.
    SecondHeader,
    /// The client asked for a resource.
    Bind,
    /// The client asked for stream management.
    Enable,
    /// The client wants its old session back.
    Resume,
    /// The client asked for its contacts.
    Roster,
    /// The client wants copies of what its other devices send.
    Carbons,
    /// The client asked what its own account can do.
    Disco,
    /// The client asked for or published personal data.
    Personal,
    /// The client asked what its devices have read (XEP-0490); as [`Point::Personal`] unless something stands for it.
    Displayed,
    /// The client made sure that the server is there.
    Ping,
    /// The client asked for anything else.
    Iq,
    /// The client showed its presence for the first time in the session.
    Presence,
    /// The client sent a message.
    Message,
    /// A message of the client's is in the archive, and nobody has confirmed it.
    Archived,
    /// The client asked what the server has.
    AckRequest,
}

/// What the server does at a point. In text `{id}` stands for the id of what is answered, `{address}` for the
/// client's full address, `{bare}` for its bare one, `{domain}` for the server's and `{friend}` for a contact's.
#[derive(Clone, Debug)]
pub enum Act {
    /// Says this instead and goes on as if it had been honest.
    Say(Vec<u8>),
    /// Is honest, and says this right behind it.
    Add(Vec<u8>),
    /// Is honest, after so long.
    Late(Duration),
    /// Says this instead, closes its side and listens until the client leaves.
    End(Vec<u8>),
    /// Closes the connection in order.
    Close,
    /// Breaks the connection.
    Reset,
    /// Is honest, and breaks the connection right behind it.
    BreakBehind,
    /// Says nothing more and listens until the client leaves.
    Silence,
    /// Says the first once and the second until the client leaves.
    Flood(Vec<u8>, Vec<u8>),
}

impl Act {
    /// [`Act::Say`].
    pub fn say(text: impl AsRef<[u8]>) -> Self {
        Self::Say(text.as_ref().to_vec())
    }
    /// [`Act::Add`].
    pub fn add(text: impl AsRef<[u8]>) -> Self {
        Self::Add(text.as_ref().to_vec())
    }
    /// [`Act::End`].
    pub fn end(text: impl AsRef<[u8]>) -> Self {
        Self::End(text.as_ref().to_vec())
    }
    /// [`Act::Flood`].
    pub fn flood(once: impl AsRef<[u8]>, again: impl AsRef<[u8]>) -> Self {
        Self::Flood(once.as_ref().to_vec(), again.as_ref().to_vec())
    }
}

/// An honest server for one account, with what it does otherwise.
#[derive(Clone)]
pub struct Honest {
    /// The account's local part.
    pub user: String,
    /// The server's domain.
    pub domain: String,
    /// The account's password.
    pub password: String,
    /// How TLS begins.
    pub begins: Begins,
    /// The certificate and its key.
    pub tls: Arc<ServerConfig>,
    /// The mechanisms on offer.
    pub mechanisms: Vec<&'static str>,
    /// The types of channel binding that it names (XEP-0440), if it names some; it can do `tls-exporter`.
    pub bindings: Option<Vec<&'static str>>,
    /// What somebody between lets the client see of the mechanisms.
    pub seen: Option<Vec<&'static str>>,
    /// Says what it offers within the exchange as well (XEP-0474).
    pub protects_offer: bool,
    /// What it does along with a login, if it is a server of today.
    pub modern: Option<Modern>,
    /// How it proves itself.
    pub exchange: Exchange,
    /// Whether it offers stream management (XEP-0198).
    pub acknowledges: bool,
    /// The items of its roster; `{friend}` is one of them unless they say otherwise.
    pub roster: String,
    /// What it keeps of what the account publishes; else it takes everything and keeps nothing.
    pub nodes: Option<Nodes>,
    /// The account's archive (XEP-0313), if it has one.
    pub archive: Option<Archive>,
    /// What it does otherwise, and on which connections; the first one that fits counts.
    pub instead: Vec<(Point, RangeInclusive<usize>, Act)>,
}

impl Honest {
    /// An honest server for the account at this address, reached by direct TLS.
    pub fn new(authority: &Authority, address: &str, password: &str) -> Self {
        let (user, domain) = address.split_once('@').expect("name@domain");
        Self {
            user: user.to_owned(),
            domain: domain.to_owned(),
            password: password.to_owned(),
            begins: Begins::Direct,
            tls: authority.tls(domain, VALID),
            mechanisms: vec!["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"],
            bindings: None,
            seen: None,
            protects_offer: false,
            modern: None,
            exchange: Exchange::default(),
            acknowledges: true,
            nodes: None,
            roster: "<item jid='{friend}' subscription='both'/>".to_owned(),
            archive: None,
            instead: Vec::new(),
        }
    }

    /// The same server as one of today: with channel binding, SASL2, Bind2 and tokens.
    #[must_use]
    pub fn of_today(self) -> Self {
        Self {
            mechanisms: vec![
                "PLAIN",
                "SCRAM-SHA-1",
                "SCRAM-SHA-256",
                "SCRAM-SHA-256-PLUS",
                "SCRAM-SHA-512",
                "SCRAM-SHA-512-PLUS",
            ],
            bindings: Some(vec!["tls-exporter"]),
            protects_offer: true,
            modern: Some(Modern::default()),
            ..self
        }
    }

    /// Does something else at this point, on every connection.
    #[must_use]
    pub fn at(self, point: Point, act: Act) -> Self {
        self.on(0..=usize::MAX, point, act)
    }

    /// Does something else at this point, on the connections with these running numbers, from 0. What was said last
    /// counts.
    #[must_use]
    pub fn on(mut self, connections: RangeInclusive<usize>, point: Point, act: Act) -> Self {
        self.instead.insert(0, (point, connections, act));
        self
    }

    /// The account's contact who sees it and is seen.
    pub fn friend(&self) -> String {
        format!("friend@{}", self.domain)
    }

    pub(crate) fn bare(&self) -> String {
        format!("{}@{}", self.user, self.domain)
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve(&self, peer: &mut Peer, shared: &Shared) -> Played {
        self.answer(peer, Point::Accepted, "", "").await?;
        if self.begins == Begins::StartTls {
            peer.hear_header().await?;
            let features =
                format!("<stream:features><starttls xmlns='{TLS}'><required/></starttls></stream:features>");
            self.answer(peer, Point::ClearHeader, &(header(&self.domain) + &features), "")
                .await?;
            peer.hear("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
                .await?;
            self.answer(peer, Point::StartTls, &format!("<proceed xmlns='{TLS}'/>"), "")
                .await?;
        }
        peer.secure(&self.tls).await?;
        peer.hear_header().await?;
        self.answer(peer, Point::Header, &self.opening(), "").await?;
        let start = self.let_in(peer, shared).await?;
        shared.sessions.serve(self, peer, start).await
    }

    /// Whether nothing else stands for this point, or only something more.
    pub(crate) fn is_honest_at(&self, point: Point, connection: usize) -> bool {
        matches!(
            self.act(point, connection),
            None | Some(Act::Add(_) | Act::Late(_))
        )
    }

    pub(crate) fn act(&self, point: Point, connection: usize) -> Option<&Act> {
        self.instead
            .iter()
            .find(|(at, connections, _)| *at == point && connections.contains(&connection))
            .map(|(_, _, act)| act)
    }

    /// Does what stands for this point, or says what an honest server says. Gives what was said.
    pub(crate) async fn answer(
        &self,
        peer: &mut Peer,
        point: Point,
        honest: &str,
        id: &str,
    ) -> Played<Vec<u8>> {
        self.perform(peer, self.act(point, peer.number), honest, id).await
    }

    /// Does this, or says what an honest server says if there is nothing to be done. Gives what was said.
    pub(crate) async fn perform(
        &self,
        peer: &mut Peer,
        act: Option<&Act>,
        honest: &str,
        id: &str,
    ) -> Played<Vec<u8>> {
        let honest = honest.as_bytes();
        let said = match act {
            None | Some(Act::BreakBehind) => self.filled(peer, honest, id),
            Some(Act::Late(time)) => {
                tokio::time::sleep(*time).await;
                self.filled(peer, honest, id)
            }
            Some(Act::Say(text)) => self.filled(peer, text, id),
            Some(Act::Add(text)) => self.filled(peer, &[honest, text].concat(), id),
            Some(other) => {
                self.part(peer, other, id).await?;
                return Err(Gone);
            }
        };
        peer.say(&said).await?;
        if matches!(act, Some(Act::BreakBehind)) {
            peer.reset();
        }
        Ok(said)
    }

    /// Does what leaves nothing more to say.
    async fn part(&self, peer: &mut Peer, act: &Act, id: &str) -> Played {
        match act {
            Act::Say(_) | Act::Add(_) | Act::Late(_) | Act::BreakBehind => {}
            Act::End(text) => {
                peer.say(self.filled(peer, text, id)).await?;
                peer.close().await;
            }
            Act::Close => peer.close().await,
            Act::Reset => peer.reset(),
            Act::Silence => peer.hear_out().await,
            Act::Flood(once, again) => {
                peer.say(self.filled(peer, once, id)).await?;
                let again = self.filled(peer, again, id);
                peer.say_without_end(&again).await;
            }
        }
        Ok(())
    }

    /// The text with its placeholders filled in, if it is text.
    pub(crate) fn filled(&self, peer: &Peer, bytes: &[u8], id: &str) -> Vec<u8> {
        match std::str::from_utf8(bytes) {
            Ok(text) => text
                .replace("{id}", &crate::escape(id))
                .replace(
                    "{address}",
                    &format!("{}/{}", self.bare(), crate::escape(&peer.resource)),
                )
                .replace("{handled}", &peer.handled.to_string())
                .replace("{bare}", &self.bare())
                .replace("{domain}", &self.domain)
                .replace("{friend}", &self.friend())
                .into_bytes(),
            Err(_) => bytes.to_vec(),
        }
    }
}
