//! How the server lets a client in: by SASL (RFC 6120 §6), or by SASL2 with what goes along (XEP-0388, 0386, 0484).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minidom::Element;

use crate::honest::{Honest, Point};
use crate::peer::{Gone, Peer, Played, Said};
use crate::scram::{Hash, Proof, Scram, protection};
use crate::server::Shared;
use crate::session::{SM, Start};
use crate::{escape, header};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const SASL2: &str = "urn:xmpp:sasl:2";
const BIND2: &str = "urn:xmpp:bind:0";
const FAST: &str = "urn:xmpp:fast:0";
const BINDINGS: &str = "urn:xmpp:sasl-cb:0";

/// What a server of today does along with a login; the default is honest.
#[derive(Clone, Debug)]
pub struct Modern {
    /// Mechanisms for tokens.
    pub tokens: Vec<&'static str>,
    /// When the tokens that it gives end.
    pub expiry: &'static str,
    /// Gives another token with each login by one, and takes only that one from then on.
    pub rotates: bool,
    /// How it proves that it knows a token.
    pub proof: Proof,
    /// Whom it says to have let in; the text may hold what that of an [`Act`](crate::Act) may.
    pub identifier: &'static str,
    /// Says `<bound/>` when it has bound a resource.
    pub bound: bool,
}

impl Default for Modern {
    fn default() -> Self {
        Self {
            tokens: vec!["HT-SHA-256-NONE", "HT-SHA-256-EXPR"],
            expiry: "2099-01-01T00:00:00Z",
            rotates: false,
            proof: Proof::Right,
            identifier: "{address}",
            bound: true,
        }
    }
}

/// The token of a server's account: the one that was given last.
#[derive(Default)]
pub(crate) struct Token {
    given: u32,
    /// Mechanism and secret.
    valid: Option<(String, String)>,
}

fn list(names: &[&str], element: impl Fn(&str) -> String) -> String {
    names.iter().map(|name| element(name)).collect()
}

impl Honest {
    /// What it begins its stream inside TLS with: the header and what it offers before a login.
    pub fn opening(&self) -> String {
        let seen = self.seen.as_ref().unwrap_or(&self.mechanisms);
        let names = list(seen, |name| format!("<mechanism>{name}</mechanism>"));
        let bindings = self.bindings.as_ref().map(|types| {
            let types = list(types, |name| format!("<channel-binding type='{name}'/>"));
            format!("<sasl-channel-binding xmlns='{BINDINGS}'>{types}</sasl-channel-binding>")
        });
        let along = self.modern.as_ref().map(|modern| {
            let tokens = list(&modern.tokens, |name| format!("<mechanism>{name}</mechanism>"));
            let features = list(&[SM, "urn:xmpp:carbons:2", "urn:xmpp:csi:0"], |var| {
                format!("<feature var='{var}'/>")
            });
            format!(
                "<authentication xmlns='{SASL2}'>{names}<inline><sm xmlns='{SM}'/><fast xmlns='{FAST}'>{tokens}</fast>\
                 <bind xmlns='{BIND2}'><inline>{features}</inline></bind></inline></authentication>"
            )
        });
        format!(
            "{}<stream:features><mechanisms xmlns='{SASL}'>{names}</mechanisms>{}{}</stream:features>",
            header(&self.domain),
            bindings.unwrap_or_default(),
            along.unwrap_or_default()
        )
    }

    /// What it offers after a login.
    fn offer_inside(&self) -> String {
        let managed = if self.acknowledges {
            format!("<sm xmlns='{SM}'/>")
        } else {
            String::new()
        };
        let bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>";
        let csi = self
            .modern
            .as_ref()
            .map_or("", |_| "<csi xmlns='urn:xmpp:csi:0'/>");
        format!("<stream:features>{bind}{managed}{csi}</stream:features>")
    }

    /// Hears authentications until one succeeds. Gives the session that came along.
    pub(crate) async fn let_in(&self, peer: &mut Peer, shared: &Shared) -> Played<Start> {
        loop {
            let request = next(peer).await?;
            if let Some(start) = self.authenticate(peer, shared, &request).await? {
                return Ok(start);
            }
        }
    }

    /// One attempt; none if it is refused.
    async fn authenticate(
        &self,
        peer: &mut Peer,
        shared: &Shared,
        request: &Element,
    ) -> Played<Option<Start>> {
        let attempt = Attempt {
            honest: self,
            shared,
            request,
            ns: if request.ns() == SASL2 { SASL2 } else { SASL },
        };
        let mechanism = request.attr("mechanism").unwrap_or_default();
        let first = match request.get_child("initial-response", SASL2) {
            Some(first) => first.text(),
            None => request.text(),
        };
        let first = STANDARD.decode(first.trim()).map_err(|_| Gone)?;
        if request.has_child("fast", FAST) {
            return attempt.by_token(peer, mechanism, &first).await;
        }
        let first = String::from_utf8(first).map_err(|_| Gone)?;
        if mechanism == "PLAIN" {
            if first == format!("\0{}\0{}", self.user, self.password) {
                return attempt.succeed(peer, Some(Point::Auth), &[]).await;
            }
            return attempt.refuse(peer, Point::Auth, "not-authorized").await;
        }
        attempt.by_scram(peer, mechanism, &first).await
    }
}

/// An authentication under way.
struct Attempt<'a> {
    honest: &'a Honest,
    shared: &'a Shared,
    request: &'a Element,
    ns: &'static str,
}

impl Attempt<'_> {
    async fn by_scram(&self, peer: &mut Peer, mechanism: &str, first: &str) -> Played<Option<Start>> {
        let exchange = &self.honest.exchange;
        if exchange.proof == Proof::Skipped {
            return self.succeed(peer, None, &[]).await;
        }
        let mut scram = Scram::begin(mechanism, first).ok_or(Gone)?;
        let mut more = String::new();
        if self.honest.protects_offer {
            let hash = Hash::named(mechanism).ok_or(Gone)?;
            more = protection(hash, &self.honest.mechanisms, self.honest.bindings.as_deref());
        }
        let challenge = self.element("challenge", exchange.challenge(&mut scram, &more).as_bytes());
        self.honest.answer(peer, Point::Auth, &challenge, "").await?;
        let response = STANDARD
            .decode(next(peer).await?.text().trim())
            .map_err(|_| Gone)?;
        let response = String::from_utf8(response).map_err(|_| Gone)?;
        let mut signature = match self.verdict(peer, &scram, &response) {
            Ok(signature) => signature,
            Err(condition) => return self.refuse(peer, Point::Response, condition).await,
        };
        if exchange.proof == Proof::Wrong {
            signature[0] ^= 1;
        }
        let last = format!("v={}", STANDARD.encode(signature)).into_bytes();
        match exchange.proof {
            Proof::Missing => self.succeed(peer, Some(Point::Response), &[]).await,
            Proof::InChallenge => {
                let challenge = self.element("challenge", &last);
                self.honest.answer(peer, Point::Response, &challenge, "").await?;
                next(peer).await?;
                self.succeed(peer, None, &[]).await
            }
            _ => self.succeed(peer, Some(Point::Response), &last).await,
        }
    }

    /// RFC 5802 §6: what the client says about channel binding must fit, then its proof.
    fn verdict(&self, peer: &Peer, scram: &Scram, response: &str) -> Result<Vec<u8>, &'static str> {
        let able = self.honest.mechanisms.iter().any(|name| name.ends_with("-PLUS"));
        if scram.header == "y,," && able {
            return Err("server-does-support-channel-binding");
        }
        let channel = match scram.binding() {
            None => Vec::new(),
            Some("tls-exporter") => peer.exporter().ok_or("other-error")?,
            Some(_) => return Err("unsupported-channel-binding-type"),
        };
        scram.prove(response, &self.honest.password, &channel)
    }

    /// XEP-0484.
    async fn by_token(&self, peer: &mut Peer, mechanism: &str, first: &[u8]) -> Played<Option<Start>> {
        let modern = self.honest.modern.as_ref().ok_or(Gone)?;
        let channel = if mechanism.ends_with("-EXPR") {
            peer.exporter().ok_or(Gone)?
        } else {
            Vec::new()
        };
        let proof = |secret: &str, who: &[u8]| Hash::Sha256.mac(secret.as_bytes(), &[who, &channel].concat());
        let valid = self.shared.token().valid.clone();
        let right = valid.filter(|(of, secret)| {
            let message = [self.honest.user.as_bytes(), &[0], &proof(secret, b"Initiator")].concat();
            of == mechanism && message == first
        });
        let Some((_, secret)) = right else {
            return self.refuse(peer, Point::Token, "not-authorized").await;
        };
        let fast = self.request.get_child("fast", FAST);
        if fast.and_then(|fast| fast.attr("invalidate")).is_some() {
            self.shared.token().valid = None;
        }
        let mut proof = proof(&secret, b"Responder");
        match modern.proof {
            Proof::Wrong => proof[0] ^= 1,
            Proof::Missing => proof.clear(),
            _ => {}
        }
        self.succeed(peer, Some(Point::Token), &proof).await
    }

    /// Says that the client is in, with the server's last words, and goes on to the features that follow.
    async fn succeed(&self, peer: &mut Peer, point: Option<Point>, proof: &[u8]) -> Played<Option<Start>> {
        if self.ns == SASL {
            let success = self.element("success", proof);
            self.say(peer, point, &success).await?;
            peer.hear_header().await?;
            let offer = header(&self.honest.domain) + &self.honest.offer_inside();
            self.honest.answer(peer, Point::SecondHeader, &offer, "").await?;
            return Ok(Some(Start::default()));
        }
        let modern = self.honest.modern.as_ref().ok_or(Gone)?;
        let (start, inside) = self.begin(modern);
        peer.resource.clone_from(&start.resource);
        let identifier = match modern.identifier {
            "{address}" if start.resource.is_empty() => "{bare}",
            other => other,
        };
        let proof = match proof {
            [] => String::new(),
            proof => format!("<additional-data>{}</additional-data>", STANDARD.encode(proof)),
        };
        // No features follow a resumption (XEP-0198 §9.2).
        let offer = if start.resumed() {
            String::new()
        } else {
            self.honest.offer_inside()
        };
        let success = format!(
            "<success xmlns='{SASL2}'>{proof}<authorization-identifier>{identifier}</authorization-identifier>\
             {inside}{}</success>{offer}",
            self.granted(modern)
        );
        let said = self.say(peer, point, &success).await?;
        Ok(said.starts_with(b"<success").then_some(start))
    }

    async fn say(&self, peer: &mut Peer, point: Option<Point>, text: &str) -> Played<Vec<u8>> {
        if let Some(point) = point {
            return self.honest.answer(peer, point, text, "").await;
        }
        let said = self.honest.filled(peer, text.as_bytes(), "");
        peer.say(&said).await?;
        Ok(said)
    }

    /// The session that goes along with a success, and what is said of it.
    fn begin(&self, modern: &Modern) -> (Start, String) {
        let sessions = &self.shared.sessions;
        let mut said = String::new();
        if let Some(resume) = self.request.get_child("resume", SM) {
            match sessions.resume(resume) {
                Some((start, resumed)) => return (start, resumed),
                None => said = format!("<failed xmlns='{SM}'/>"),
            }
        }
        let bind = self.request.get_child("bind", BIND2).filter(|_| modern.bound);
        let Some(bind) = bind else {
            return (Start::default(), said);
        };
        let managed = self.honest.acknowledges && bind.has_child("enable", SM);
        let tag = bind.get_child("tag", BIND2).map(Element::text);
        let start = sessions.bind_along(&tag.unwrap_or_default(), managed);
        let enabled = start.enabled().unwrap_or_default();
        (start, format!("{said}<bound xmlns='{BIND2}'>{enabled}</bound>"))
    }

    /// A new token, if one was asked for or is due.
    fn granted(&self, modern: &Modern) -> String {
        let wanted = self.request.get_child("request-token", FAST);
        let mut token = self.shared.token();
        let mechanism = match (wanted, &token.valid) {
            (Some(wanted), _) => wanted.attr("mechanism").unwrap_or_default().to_owned(),
            (None, Some((mechanism, _))) if modern.rotates => mechanism.clone(),
            _ => return String::new(),
        };
        token.given += 1;
        let secret = format!("secret-token:{}", token.given);
        token.valid = Some((mechanism, secret.clone()));
        format!(
            "<token xmlns='{FAST}' token='{secret}' expiry='{}'/>",
            modern.expiry
        )
    }

    /// SCRAM's own errors go out as its last message, as RFC 5802 has it; the others as a `<failure/>`.
    async fn refuse(&self, peer: &mut Peer, point: Point, condition: &str) -> Played<Option<Start>> {
        let text = if condition.contains("channel-binding") {
            self.element("challenge", format!("e={condition}").as_bytes())
        } else {
            let condition = escape(if condition == "invalid-proof" {
                "not-authorized"
            } else {
                condition
            });
            format!(
                "<failure xmlns='{}'><{condition} xmlns='{SASL}'/></failure>",
                self.ns
            )
        };
        self.honest.answer(peer, point, &text, "").await?;
        Ok(None)
    }

    fn element(&self, name: &str, content: &[u8]) -> String {
        format!(
            "<{name} xmlns='{}'>{}</{name}>",
            self.ns,
            STANDARD.encode(content)
        )
    }
}

/// The next element of a login.
async fn next(peer: &mut Peer) -> Played<Element> {
    match peer.next().await? {
        Said::Element(element) if [SASL, SASL2].contains(&element.ns().as_str()) => Ok(element),
        _ => Err(Gone),
    }
}
