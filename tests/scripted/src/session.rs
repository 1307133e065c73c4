//! What follows a login: bind, stream management, a roster, a friend.

use std::sync::Mutex;

use minidom::Element;
use tokio::sync::watch;

use crate::archive::{Kept, MAM, Question};
use crate::escape;
use crate::honest::{Act, Honest, Point};
use crate::peer::{Gone, Peer, Played, Said, element_length};
use crate::server::lock;

const CLIENT: &str = "jabber:client";
pub(crate) const SM: &str = "urn:xmpp:sm:3";

/// One session of the account; it outlives its connections (XEP-0198 §5).
#[derive(Clone, Default)]
struct Session {
    /// The resource that the client asked for.
    resource: String,
    /// Stanzas of the client that the server has.
    handled: u32,
    /// Stanzas for the client since stream management was enabled.
    sent: Vec<String>,
    /// Whether the client has shown presence.
    present: bool,
}

/// What a login brought along of a session: nothing, or one that is bound, or taken up again.
#[derive(Default)]
pub(crate) struct Start {
    session: Option<usize>,
    /// Stream management is on.
    counts: bool,
    /// How many stanzas of it the client had before, if it is taken up again.
    got: Option<usize>,
    /// How many stanzas of it were taken in, if it is taken up again.
    handled: u32,
    /// The resource that the client has.
    pub(crate) resource: String,
}

impl Start {
    pub(crate) fn resumed(&self) -> bool {
        self.got.is_some()
    }

    /// `<enabled/>`, if stream management is on.
    pub(crate) fn enabled(&self) -> Option<String> {
        let session = self.session.filter(|_| self.counts)?;
        Some(enabled(session))
    }
}

fn enabled(session: usize) -> String {
    format!("<enabled xmlns='{SM}' id='session-{session}' resume='true'/>")
}

/// The sessions of a server.
pub(crate) struct Sessions {
    all: Mutex<Vec<Session>>,
    /// What came and went since the server began, as its archive keeps it.
    archived: Mutex<Vec<Kept>>,
    /// Counts what the connections must look after.
    changed: watch::Sender<usize>,
    /// Counts the times that all connections were to break.
    cuts: watch::Sender<usize>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            all: Mutex::default(),
            archived: Mutex::default(),
            changed: watch::Sender::new(0),
            cuts: watch::Sender::new(0),
        }
    }
}

impl Sessions {
    pub(crate) fn deliver(&self, stanza: String) {
        if let Some(session) = lock(&self.all).last_mut() {
            session.sent.push(stanza);
        }
        self.changed.send_modify(|count| *count += 1);
    }

    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    fn begin(&self, resource: &str) -> usize {
        let mut sessions = lock(&self.all);
        sessions.push(Session {
            resource: resource.to_owned(),
            ..Session::default()
        });
        sessions.len() - 1
    }

    fn with<T>(&self, session: usize, work: impl FnOnce(&mut Session) -> T) -> Option<T> {
        lock(&self.all).get_mut(session).map(work)
    }

    /// A new session of a client with this tag (XEP-0386).
    pub(crate) fn bind_along(&self, tag: &str, counts: bool) -> Start {
        let session = self.begin("");
        let resource = format!("{tag}/{session}");
        self.with(session, |session| session.resource.clone_from(&resource));
        Start {
            session: Some(session),
            counts,
            got: None,
            handled: 0,
            resource,
        }
    }

    /// The session that a `<resume/>` asks for, and the `<resumed/>`; none if there is none.
    pub(crate) fn resume(&self, asked: &Element) -> Option<(Start, String)> {
        let previous = asked.attr("previd")?;
        let session = previous.strip_prefix("session-")?.parse().ok()?;
        let got: usize = asked.attr("h").and_then(|h| h.parse().ok()).unwrap_or_default();
        self.with(session, |found| {
            let h = found.handled;
            let start = Start {
                session: Some(session),
                counts: true,
                got: Some(got.min(found.sent.len())),
                handled: h,
                resource: found.resource.clone(),
            };
            (
                start,
                format!("<resumed xmlns='{SM}' h='{h}' previd='{previous}'/>"),
            )
        })
    }

    /// Serves a client that has logged in.
    pub(crate) async fn serve(&self, honest: &Honest, peer: &mut Peer, start: Start) -> Played {
        let (mut changed, mut cuts) = (self.changed.subscribe(), self.cuts.subscribe());
        let mut line = Line {
            honest,
            peer,
            sessions: self,
            session: start.session,
            counts: start.counts,
            written: start.got.unwrap_or_default(),
            questions: 0,
        };
        if start.resumed() {
            line.write().await?;
        }
        loop {
            tokio::select! {
                said = line.peer.next() => match said? {
                    Said::Element(element) => line.take(&element).await?,
                    Said::End => {
                        line.peer.say("</stream:stream>").await?;
                        line.peer.close().await;
                        return Err(Gone);
                    }
                    Said::Header(_) | Said::Other(_) => {}
                },
                _ = changed.changed() => line.write().await?,
                _ = cuts.changed() => {
                    line.peer.reset();
                    return Err(Gone);
                }
            }
        }
    }
}

/// One connection of a session.
struct Line<'a> {
    honest: &'a Honest,
    peer: &'a mut Peer,
    sessions: &'a Sessions,
    /// Which one, once there is one.
    session: Option<usize>,
    /// Stream management is on.
    counts: bool,
    /// How much of [`Session::sent`] has gone out over this connection, or before it.
    written: usize,
    /// How often the archive was asked over this connection.
    questions: usize,
}

impl Line<'_> {
    async fn take(&mut self, element: &Element) -> Played {
        if element.ns() == SM {
            return self.manage(element).await;
        }
        if element.ns() != CLIENT {
            return Ok(());
        }
        if self.counts
            && let Some(session) = self.session
        {
            self.sessions.with(session, |session| session.handled += 1);
        }
        match element.name() {
            "iq" => self.iq(element).await,
            "presence" => self.presence(element).await,
            "message" => self.message(element).await,
            _ => Ok(()),
        }
    }

    async fn answer(&mut self, point: Point, text: &str, id: &str) -> Played {
        let said = self.honest.answer(self.peer, point, text, id).await?;
        self.count(&said);
        Ok(())
    }

    /// Counts the stanzas in what was said.
    fn count(&mut self, said: &[u8]) {
        if let Some(session) = self.session.filter(|_| self.counts) {
            let stanzas = stanzas(said);
            self.written += stanzas.len();
            self.sessions
                .with(session, |session| session.sent.extend(stanzas));
        }
    }

    /// The client asks for a page of its archive.
    async fn archive(&mut self, query: &Element, id: &str) -> Played {
        let Some(archive) = &self.honest.archive else {
            return self
                .answer(Point::Iq, &crate::refused("service-unavailable"), id)
                .await;
        };
        let question = Question::read(query, self.peer.number, self.questions);
        self.questions += 1;
        let since = lock(&self.sessions.archived).clone();
        let act: Act = archive.answer(&question, &since);
        let said = self.honest.perform(self.peer, Some(&act), "", id).await?;
        self.count(&said);
        Ok(())
    }

    /// What the client sends and what it is sent is archived. Gives the id in the archive.
    fn keep(&self, stanza: &str) -> String {
        let mut archived = lock(&self.sessions.archived);
        let number = archived.len();
        let id = format!("kept-{number}");
        archived.push(Kept {
            id: id.clone(),
            stamp: format!("2026-02-01T{:02}:{:02}:00Z", number / 60 % 24, number % 60),
            stanza: stanza.to_owned(),
        });
        id
    }

    /// Sends what was delivered and has not gone out.
    async fn write(&mut self) -> Played {
        let Some(session) = self.session else {
            return Ok(());
        };
        let from = self.written;
        let stanzas = self
            .sessions
            .with(session, |session| {
                session.sent.get(from..).unwrap_or_default().to_vec()
            })
            .unwrap_or_default();
        for stanza in stanzas {
            self.written += 1;
            self.peer.say(stanza).await?;
        }
        Ok(())
    }

    async fn manage(&mut self, element: &Element) -> Played {
        match element.name() {
            "enable" => {
                self.counts = true;
                let enabled = enabled(self.session.unwrap_or_default());
                self.answer(Point::Enable, &enabled, "").await
            }
            "resume" => self.resume(element).await,
            "r" => {
                let handled = self
                    .session
                    .and_then(|session| self.sessions.with(session, |session| session.handled))
                    .unwrap_or_default();
                self.answer(Point::AckRequest, &format!("<a xmlns='{SM}' h='{handled}'/>"), "")
                    .await
            }
            _ => Ok(()),
        }
    }

    async fn resume(&mut self, element: &Element) -> Played {
        let previous = element.attr("previd").unwrap_or_default();
        let Some((start, resumed)) = self.sessions.resume(element) else {
            let failed = format!(
                "<failed xmlns='{SM}'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
            );
            return self.answer(Point::Resume, &failed, previous).await;
        };
        self.peer.handled = start.handled;
        self.answer(Point::Resume, &resumed, previous).await?;
        // If a test wants it refused, this session is not the one that goes on.
        if self.honest.is_honest_at(Point::Resume, self.peer.number) {
            self.peer.resource = start.resource;
            self.session = start.session;
            self.counts = true;
            self.written = start.got.unwrap_or_default();
            return self.write().await;
        }
        Ok(())
    }

    async fn iq(&mut self, iq: &Element) -> Played {
        let id = iq.attr("id").unwrap_or_default();
        let Some(payload) = iq.children().next() else {
            return Ok(());
        };
        let to = iq.attr("to").map(|to| format!(" from='{}'", escape(to)));
        let result = |content: &str| {
            let from = to.as_deref().unwrap_or_default();
            format!("<iq type='result' id='{{id}}'{from}>{content}</iq>")
        };
        if !matches!(iq.attr("type"), Some("get" | "set")) {
            return Ok(());
        }
        match (payload.ns().as_str(), payload.name()) {
            ("urn:ietf:params:xml:ns:xmpp-bind", _) => {
                let resource = payload.children().next().map(Element::text).unwrap_or_default();
                self.session = Some(self.sessions.begin(&resource));
                self.peer.resource = resource;
                let bound = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{address}</jid></bind>";
                self.answer(Point::Bind, &result(bound), id).await
            }
            ("jabber:iq:roster", _) if iq.attr("type") == Some("get") => {
                let roster = format!("<query xmlns='jabber:iq:roster'>{}</query>", self.honest.roster);
                self.answer(Point::Roster, &result(&roster), id).await
            }
            ("urn:xmpp:carbons:2", _) => self.answer(Point::Carbons, &result(""), id).await,
            ("http://jabber.org/protocol/disco#info", _) => {
                let of_server = iq.attr("to") == Some(self.honest.domain.as_str());
                let archive = match &self.honest.archive {
                    Some(archive) if archive.of_server == of_server => "<feature var='urn:xmpp:mam:2'/>",
                    _ => "",
                };
                let nodes = self.honest.nodes.as_ref();
                let options = if nodes.is_some_and(|nodes| nodes.ignores_options) {
                    ""
                } else {
                    "<feature var='http://jabber.org/protocol/pubsub#publish-options'/>"
                };
                let info = format!(
                    "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='pubsub' type='pep'/>\
                     <feature var='urn:xmpp:sid:0'/>{options}{archive}</query>"
                );
                self.answer(Point::Disco, &result(&info), id).await
            }
            ("http://jabber.org/protocol/disco#items", _) => {
                self.answer(
                    Point::Iq,
                    &result("<query xmlns='http://jabber.org/protocol/disco#items'/>"),
                    id,
                )
                .await
            }
            ("jabber:iq:version", _) => {
                let version =
                    "<query xmlns='jabber:iq:version'><name>Scripted</name><version>1</version></query>";
                self.answer(Point::Iq, &result(version), id).await
            }
            ("http://jabber.org/protocol/pubsub" | "http://jabber.org/protocol/pubsub#owner", _)
                if let Some(nodes) = &self.honest.nodes =>
            {
                let said = nodes.answer(payload, iq.attr("type") == Some("get"));
                self.answer(Point::Personal, &said, id).await?;
                let published = payload.get_child("publish", "http://jabber.org/protocol/pubsub");
                let node = published.and_then(|publish| publish.attr("node"));
                let event = node.and_then(|node| nodes.event(&self.honest.bare(), node));
                if let Some(event) = event {
                    self.sessions.deliver(event);
                    self.write().await?;
                }
                Ok(())
            }
            ("http://jabber.org/protocol/pubsub", _) if iq.attr("type") == Some("get") => {
                let from = to.as_deref().unwrap_or_default();
                let nothing = format!(
                    "<iq type='error' id='{{id}}'{from}><error type='cancel'>\
                     <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
                );
                let node = payload.children().next().and_then(|items| items.attr("node"));
                let displayed = node == Some("urn:xmpp:mds:displayed:0");
                let point = match self.honest.act(Point::Displayed, self.peer.number) {
                    Some(_) if displayed => Point::Displayed,
                    _ => Point::Personal,
                };
                self.answer(point, &nothing, id).await
            }
            ("http://jabber.org/protocol/pubsub", _) => self.answer(Point::Personal, &result(""), id).await,
            (MAM, "query") => self.archive(payload, id).await,
            ("urn:xmpp:ping", _) => self.answer(Point::Ping, &result(""), id).await,
            _ => self.answer(Point::Iq, &result(""), id).await,
        }
    }

    async fn presence(&mut self, presence: &Element) -> Played {
        let first = presence.attr("type").is_none()
            && presence.attr("to").is_none()
            && self
                .session
                .and_then(|session| {
                    self.sessions
                        .with(session, |session| !std::mem::replace(&mut session.present, true))
                })
                .unwrap_or_default();
        if first {
            return self
                .answer(Point::Presence, "<presence from='{friend}/there'/>", "")
                .await;
        }
        Ok(())
    }

    /// The friend confirms what can be confirmed, and answers what begins with `echo`.
    async fn message(&mut self, message: &Element) -> Played {
        let id = message.attr("id").unwrap_or_default().to_owned();
        self.answer(Point::Message, "", &id).await?;
        let friend = self.honest.friend();
        if message.attr("to").is_none_or(|to| !to.starts_with(&friend)) {
            return Ok(());
        }
        let from = format!(
            "<message from='{}/{}'",
            self.honest.bare(),
            escape(&self.peer.resource)
        );
        self.keep(&String::from(message).replacen("<message", &from, 1));
        self.answer(Point::Archived, "", &id).await?;
        if message.has_child("request", "urn:xmpp:receipts") {
            self.sessions.deliver(format!(
                "<message from='{friend}/there' type='chat'><received xmlns='urn:xmpp:receipts' id='{}'/></message>",
                escape(&id)
            ));
        }
        let body = message.get_child("body", CLIENT).map(Element::text);
        if let Some(body) = body.filter(|body| body.starts_with("echo")) {
            let (id, body) = (escape(&id), escape(&body.replacen("echo", "answer to", 1)));
            let bare = self.honest.bare();
            let says = |content: &str| {
                format!(
                    "<message xmlns='{CLIENT}' from='{friend}/there' to='{bare}' type='chat' id='of-{id}'>\
                     <body>{body}</body>{content}</message>"
                )
            };
            let kept = self.keep(&says(""));
            let named = match &self.honest.archive {
                Some(_) => format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{bare}' id='{kept}'/>"),
                None => String::new(),
            };
            self.sessions.deliver(says(&named));
        }
        Ok(())
    }
}

/// The stanzas in what was said, for the counting (XEP-0198 §4).
fn stanzas(said: &[u8]) -> Vec<String> {
    let (mut rest, mut found) = (said, Vec::new());
    while let Some(length) = element_length(rest) {
        let (first, behind) = rest.split_at(length);
        let first = String::from_utf8_lossy(first);
        if ["<iq", "<message", "<presence"]
            .iter()
            .any(|name| first.starts_with(name))
        {
            found.push(first.into_owned());
        }
        rest = behind;
    }
    found
}
