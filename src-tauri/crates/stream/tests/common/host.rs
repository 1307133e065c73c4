//! A server of today, honest unless told otherwise: SASL and SASL2, Bind2, stream management, tokens.

use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use sha2::{Digest, Sha256};
use waxwing_stream::Element;

use super::scripted::{HEADER, SM, Secure, Server};
use super::{DOMAIN, PASSWORD};
use waxwing_scripted::{Authority, Hash, Scram, protection};

pub(crate) const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
pub(crate) const SASL2: &str = "urn:xmpp:sasl:2";
pub(crate) const BIND2: &str = "urn:xmpp:bind:0";
pub(crate) const FAST: &str = "urn:xmpp:fast:0";
pub(crate) const CARBONS: &str = "urn:xmpp:carbons:2";
pub(crate) const CSI: &str = "urn:xmpp:csi:0";

/// What it can do and does.
#[allow(clippy::struct_excessive_bools)] // Each is one thing to switch off.
#[derive(Clone)]
pub(crate) struct Host {
    /// Its mechanisms and channel-binding types.
    pub(crate) offer: Offer,
    /// What somebody between lets the client see of them.
    pub(crate) seen: Option<Offer>,
    /// Whether it says what it offered (XEP-0474).
    pub(crate) protects_offer: bool,
    pub(crate) sasl2: bool,
    pub(crate) bind2: bool,
    /// Features of Bind2.
    pub(crate) inline: Vec<&'static str>,
    /// Resumption along with the authentication.
    pub(crate) resumes_inline: bool,
    /// Stream management at all.
    pub(crate) manages: bool,
    /// Mechanisms for tokens.
    pub(crate) tokens: Vec<&'static str>,
    /// When the tokens that it gives end.
    pub(crate) expiry: &'static str,
    /// What it answers to a resumption instead of the truth.
    pub(crate) resumed: Option<&'static str>,
    /// The local part of the one account.
    pub(crate) user: &'static str,
    pub(crate) lie: Lie,
    /// What it remembers from one connection to the next.
    pub(crate) memory: Arc<Mutex<Memory>>,
    /// What its certificate is bound by; known when it listens.
    pub(crate) certificate_hash: Vec<u8>,
}

/// Mechanisms and channel-binding types.
#[derive(Clone)]
pub(crate) struct Offer {
    pub(crate) mechanisms: Vec<&'static str>,
    pub(crate) bindings: Option<Vec<&'static str>>,
}

/// What it does that an honest server does not.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Lie {
    #[default]
    None,
    /// Its nonce does not continue the client's.
    ForeignNonce,
    Iterations(u64),
    WrongProof,
    NoProof,
    /// Right, but as one more challenge.
    ProofInChallenge,
    /// Success at once, without any challenge.
    Skip,
    /// A SCRAM error instead of its proof.
    Error(&'static str),
    /// Refuses every password with this condition.
    Refuse(&'static str),
    /// Refuses the first message of a bound exchange.
    RefuseBound,
    /// Says this instead of its first answer.
    Say(&'static str),
    /// Says this right before `<success/>`.
    Inject(&'static str),
    /// Whom it says to have logged in.
    Identifier(&'static str),
    /// Within `<success/>` instead of what belongs there.
    Begin(&'static str),
    WrongTokenProof,
    NoTokenProof,
    /// Refuses every token with this condition.
    RefuseToken(&'static str),
    /// Says this instead of its answer to a token, and ends.
    SayToToken(&'static str),
    /// Closes the connection at the sight of a token.
    HangUpOnToken,
    /// Never answers a token.
    IgnoreToken,
}

/// What it remembers.
#[derive(Default)]
pub(crate) struct Memory {
    /// The mechanism of each exchange, with what SCRAM says about channel binding.
    pub(crate) exchanges: Vec<String>,
    /// Every `<authenticate/>` and `<auth/>`.
    pub(crate) requests: Vec<Element>,
    /// What was heard of each connection's first stream header.
    pub(crate) headers: Vec<String>,
    /// The valid token: mechanism and secret.
    pub(crate) token: Option<(String, String)>,
    given: u32,
    /// Whether there is a session to resume, and how far it got.
    pub(crate) session: Option<u32>,
}

impl Host {
    /// The best that there is, honest.
    pub(crate) fn new() -> Self {
        Self {
            offer: Offer {
                mechanisms: vec![
                    "SCRAM-SHA-1",
                    "SCRAM-SHA-256",
                    "SCRAM-SHA-512",
                    "SCRAM-SHA-1-PLUS",
                    "SCRAM-SHA-256-PLUS",
                    "SCRAM-SHA-512-PLUS",
                ],
                bindings: Some(vec!["tls-server-end-point", "tls-exporter"]),
            },
            seen: None,
            protects_offer: true,
            sasl2: true,
            bind2: true,
            inline: vec![SM, CARBONS, CSI],
            resumes_inline: true,
            manages: true,
            tokens: vec!["HT-SHA-256-NONE", "HT-SHA-256-ENDP", "HT-SHA-256-EXPR"],
            expiry: "2099-01-01T00:00:00Z",
            resumed: None,
            user: "alice",
            lie: Lie::None,
            memory: Arc::default(),
            certificate_hash: Vec::new(),
        }
    }

    /// The best of before SASL2.
    pub(crate) fn classic() -> Self {
        Self {
            sasl2: false,
            ..Self::new()
        }
    }

    pub(crate) fn lying(lie: Lie) -> Self {
        Self { lie, ..Self::new() }
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    /// Listens with TLS 1.3 and, if `old`, with TLS 1.2 only. Every client that is let in then stays until it leaves.
    pub(crate) async fn listen(&self, authority: &Authority, old: bool) -> Server {
        self.listen_and(authority, old, |mut peer| async move {
            peer.hear_out().await;
        })
        .await
    }

    /// The same, with what happens once a client is let in.
    pub(crate) async fn listen_and<F>(
        &self,
        authority: &Authority,
        old: bool,
        script: impl Fn(Secure) -> F + Clone + Send + Sync + 'static,
    ) -> Server
    where
        F: Future<Output = ()> + Send,
    {
        let (certificate, key) = authority.issue(DOMAIN, (2020, 2090));
        let host = Self {
            certificate_hash: Sha256::digest(certificate.der()).to_vec(),
            ..self.clone()
        };
        let versions: &[_] = if old {
            &[&rustls::version::TLS12]
        } else {
            &[&rustls::version::TLS13]
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"xmpp-client".to_vec()];
        Server::secure(Arc::new(config), move |_, mut peer| {
            let (host, script) = (host.clone(), script.clone());
            async move {
                if host.serve(&mut peer).await.is_some() {
                    script(peer).await;
                }
            }
        })
        .await
    }

    /// Lets a client in. None if it left before.
    async fn serve(&self, peer: &mut Secure) -> Option<()> {
        let header = peer.hear_or_leave("xml:lang='en'>").await?;
        self.memory().headers.push(header);
        peer.try_say(&format!("{HEADER}{}", self.features())).await;
        loop {
            let request = peer.element().await?;
            self.memory().requests.push(request.clone());
            let let_in = match request.name() {
                "auth" => self.classic_login(peer, &request).await?,
                "authenticate" => self.login(peer, &request).await?,
                other => panic!("unexpected {other}"),
            };
            if let_in {
                return Some(());
            }
        }
    }

    /// RFC 6120.
    async fn classic_login(&self, peer: &mut Secure, request: &Element) -> Option<bool> {
        let first = decoded(&request.text());
        let Some(proof) = self
            .exchange(peer, SASL, attribute(request, "mechanism"), first)
            .await?
        else {
            return Some(false);
        };
        peer.say(&format!("<success xmlns='{SASL}'>{proof}</success>"))
            .await;
        peer.hear_or_leave("xml:lang='en'>").await?;
        peer.say(&format!("{HEADER}{}", self.features_inside())).await;
        self.begin(peer).await
    }

    /// Resumes or binds, one step after another.
    async fn begin(&self, peer: &mut Secure) -> Option<bool> {
        loop {
            let request = peer.element().await?;
            match request.name() {
                "resume" => {
                    if let Some(answer) = self.resumed() {
                        peer.say(&answer).await;
                        return Some(true);
                    }
                    peer.say(&format!("<failed xmlns='{SM}'/>")).await;
                }
                "iq" => {
                    let id = attribute(&request, "id");
                    let resource = request
                        .children()
                        .next()
                        .unwrap()
                        .children()
                        .next()
                        .unwrap()
                        .text();
                    peer.say(&format!(
                        "<iq type='result' id='{id}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
                         <jid>{}@{DOMAIN}/{resource}</jid></bind></iq>",
                        self.user
                    ))
                    .await;
                    if !self.manages {
                        return Some(true);
                    }
                }
                "enable" => {
                    self.memory().session = Some(0);
                    peer.say(&enabled()).await;
                    return Some(true);
                }
                other => panic!("unexpected {other}"),
            }
        }
    }

    /// `<resumed/>`, if there is a session.
    fn resumed(&self) -> Option<String> {
        if let Some(answer) = self.resumed {
            return Some(answer.to_owned());
        }
        let h = self.memory().session?;
        Some(format!("<resumed xmlns='{SM}' h='{h}' previd='session'/>"))
    }

    /// XEP-0388.
    async fn login(&self, peer: &mut Secure, request: &Element) -> Option<bool> {
        let mechanism = attribute(request, "mechanism");
        let first = decoded(&request.get_child("initial-response", SASL2).unwrap().text());
        let proof = if request.has_child("fast", FAST) {
            self.token_login(peer, mechanism, &first).await?
        } else {
            self.exchange(peer, SASL2, mechanism, first).await?
        };
        let Some(proof) = proof else { return Some(false) };
        let mut success = String::new();
        if !proof.is_empty() {
            success = format!("<additional-data>{proof}</additional-data>");
        }
        let (inside, whole) = self.begin_along(request);
        let resumed = inside.contains("<resumed");
        let resource = if inside.contains("<bound") {
            "/Waxwing/1"
        } else {
            ""
        };
        let identifier = match self.lie {
            Lie::Identifier(identifier) => identifier.to_owned(),
            _ => format!("{}@{DOMAIN}{resource}", self.user),
        };
        let granted = self.granted(request);
        let identifier = format!("<authorization-identifier>{identifier}</authorization-identifier>");
        let success = [success, identifier, inside, granted].concat();
        let features = if resumed {
            String::new()
        } else {
            self.features_inside()
        };
        let injected = if let Lie::Inject(xml) = self.lie { xml } else { "" };
        peer.say(&format!(
            "{injected}<success xmlns='{SASL2}'>{success}</success>{features}"
        ))
        .await;
        if whole { Some(true) } else { self.begin(peer).await }
    }

    /// What goes into `<success/>` for a session, and whether nothing is left to do for it.
    fn begin_along(&self, request: &Element) -> (String, bool) {
        if let Lie::Begin(xml) = self.lie {
            return (xml.to_owned(), true);
        }
        let mut inside = String::new();
        if self.resumes_inline && request.has_child("resume", SM) {
            if let Some(answer) = self.resumed() {
                return (answer, true);
            }
            inside = format!("<failed xmlns='{SM}'/>");
        }
        let Some(bind) = request.get_child("bind", BIND2).filter(|_| self.bind2) else {
            return (inside, false);
        };
        let managed = bind.has_child("enable", SM) && self.inline.contains(&SM);
        let sm = if managed { enabled() } else { String::new() };
        if managed {
            self.memory().session = Some(0);
        }
        let bound = format!("<bound xmlns='{BIND2}'>{sm}</bound>");
        (inside + &bound, managed || !self.manages)
    }

    /// A new token, if one was asked for.
    fn granted(&self, request: &Element) -> String {
        let Some(wanted) = request.get_child("request-token", FAST) else {
            return String::new();
        };
        let mechanism = attribute(wanted, "mechanism");
        assert!(self.tokens.contains(&mechanism), "{mechanism} is not on offer");
        let mut memory = self.memory();
        memory.given += 1;
        let secret = format!("secret-token:{}", memory.given);
        memory.token = Some((mechanism.to_owned(), secret.clone()));
        format!(
            "<token xmlns='{FAST}' token='{secret}' expiry='{}'/>",
            self.expiry
        )
    }

    /// The proof in base64; inside, None if the client was refused.
    async fn token_login(&self, peer: &mut Secure, mechanism: &str, first: &[u8]) -> Option<Option<String>> {
        self.memory().exchanges.push(mechanism.to_owned());
        match self.lie {
            Lie::HangUpOnToken => return None,
            Lie::SayToToken(xml) => {
                peer.try_say(xml).await;
                return None;
            }
            Lie::IgnoreToken => {
                peer.hear_quietly().await;
                return None;
            }
            _ => {}
        }
        let channel = match mechanism {
            "HT-SHA-256-EXPR" => self.channel(peer, "tls-exporter"),
            "HT-SHA-256-ENDP" => self.channel(peer, "tls-server-end-point"),
            _ => Vec::new(),
        };
        let known = self.memory().token.clone();
        let proof = |secret: &str, who: &[u8]| Hash::Sha256.mac(secret.as_bytes(), &[who, &channel].concat());
        let shown = first.strip_prefix(format!("{}\0", self.user).as_bytes());
        let right = known
            .filter(|(of, secret)| of == mechanism && shown == Some(proof(secret, b"Initiator").as_slice()));
        let condition = match (self.lie, &right) {
            (Lie::RefuseToken(condition), _) => Some(condition),
            (_, None) => Some("not-authorized"),
            _ => None,
        };
        if let Some(condition) = condition {
            refuse(peer, SASL2, condition).await;
            return Some(None);
        }
        let mut proof = proof(&right.unwrap().1, b"Responder");
        if self.lie == Lie::WrongTokenProof {
            proof[0] ^= 1;
        }
        if self.lie == Lie::NoTokenProof {
            proof.clear();
        }
        Some(Some(STANDARD.encode(proof)))
    }

    /// What both ends of TLS know.
    fn channel(&self, peer: &Secure, binding: &str) -> Vec<u8> {
        match binding {
            "tls-exporter" => peer
                .tls()
                .export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", None)
                .unwrap(),
            "tls-server-end-point" => self.certificate_hash.clone(),
            other => panic!("unknown binding {other}"),
        }
    }

    /// The server's proof in base64; inside, None if the client was refused.
    async fn exchange(
        &self,
        peer: &mut Secure,
        ns: &str,
        mechanism: &str,
        first: Vec<u8>,
    ) -> Option<Option<String>> {
        if let Lie::Say(xml) = self.lie {
            peer.try_say(xml).await;
            return None;
        }
        if mechanism == "PLAIN" {
            self.memory().exchanges.push("PLAIN".to_owned());
            if first == format!("\0{}\0{PASSWORD}", self.user).into_bytes() {
                return Some(Some(String::new()));
            }
            refuse(peer, ns, "not-authorized").await;
            return Some(None);
        }
        let mut scram = Scram::begin(mechanism, &String::from_utf8(first).unwrap()).unwrap();
        assert_eq!(scram.username.replace("=2C", ",").replace("=3D", "="), self.user);
        self.memory()
            .exchanges
            .push(format!("{mechanism} {}", scram.header));
        if self.lie == Lie::RefuseBound && mechanism.ends_with("-PLUS") {
            refuse(peer, ns, "not-authorized").await;
            return Some(None);
        }
        if self.lie == Lie::Skip {
            return Some(Some(String::new()));
        }
        let protection = if self.protects_offer {
            let hash = Hash::named(mechanism).unwrap();
            protection(hash, &self.offer.mechanisms, self.offer.bindings.as_deref())
        } else {
            String::new()
        };
        let (nonce, iterations) = match self.lie {
            Lie::ForeignNonce => (Some("somebodyelses"), 4_096),
            Lie::Iterations(iterations) => (None, iterations),
            _ => (None, 4_096),
        };
        let challenge = STANDARD.encode(scram.challenge(nonce, iterations, &protection));
        peer.say(&format!("<challenge xmlns='{ns}'>{challenge}</challenge>"))
            .await;
        let response = peer.element().await?;
        let response = String::from_utf8(decoded(&response.text())).unwrap();
        let verdict = self.verdict(peer, &scram, &response);
        let mut proof = match verdict {
            Ok(proof) => proof,
            Err(condition) => {
                refuse(peer, ns, condition).await;
                return Some(None);
            }
        };
        if self.lie == Lie::WrongProof {
            proof[0] ^= 1;
        }
        let mut last = STANDARD.encode(match self.lie {
            Lie::Error(error) => format!("e={error}"),
            _ => format!("v={}", STANDARD.encode(proof)),
        });
        match self.lie {
            Lie::NoProof => last.clear(),
            Lie::ProofInChallenge => {
                peer.say(&format!("<challenge xmlns='{ns}'>{last}</challenge>"))
                    .await;
                assert_eq!(peer.element().await?.text(), "");
                last.clear();
            }
            _ => {}
        }
        Some(Some(last))
    }

    /// RFC 5802 §6: what the client says about channel binding must fit, then its proof.
    fn verdict(&self, peer: &Secure, scram: &Scram, response: &str) -> Result<Vec<u8>, &'static str> {
        if let Lie::Refuse(condition) = self.lie {
            return Err(condition);
        }
        let able = self.offer.mechanisms.iter().any(|name| name.ends_with("-PLUS"));
        if scram.header == "y,," && able {
            return Err("server-does-support-channel-binding");
        }
        let channel = scram
            .binding()
            .map(|binding| self.channel(peer, binding))
            .unwrap_or_default();
        scram.prove(response, PASSWORD, &channel)
    }
}

fn enabled() -> String {
    format!("<enabled xmlns='{SM}' id='session' resume='true' location='[::1]:5222'/>")
}

/// SCRAM's own errors go out as the last message, as RFC 5802 has it; the others as a `<failure/>`.
async fn refuse(peer: &mut Secure, ns: &str, condition: &str) {
    let scram = [
        "channel-bindings-dont-match",
        "server-does-support-channel-binding",
    ];
    if scram.contains(&condition) {
        let error = STANDARD.encode(format!("e={condition}"));
        peer.say(&format!("<challenge xmlns='{ns}'>{error}</challenge>"))
            .await;
        return;
    }
    let condition = if condition == "invalid-proof" {
        "not-authorized"
    } else {
        condition
    };
    peer.say(&format!(
        "<failure xmlns='{ns}'><{condition} xmlns='{SASL}'/><text>no {}</text></failure>",
        "very ".repeat(1_000)
    ))
    .await;
}

fn attribute<'a>(element: &'a Element, name: &'static str) -> &'a str {
    element.attr(name).unwrap()
}

fn decoded(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}
