//! How the account is connected and what its server can do, for somebody who wants to know.

use std::collections::BTreeSet;
use std::time::Duration;

use minidom::Element;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::iq::Ask;
use super::login;
use super::online::{Online, Stop};
use crate::model::{BareJid, ConnectionFacts, FeatureName, ServerFeature, TlsMode};
use crate::publish;
use crate::xep::element::child_text;
use crate::xep::{disco, ns};

/// Services of a server that are asked what they can do, at most.
const SERVICES: usize = 16;
/// What a server says of itself is cut after so many characters.
const SOFTWARE: usize = 100;

/// What is reported of a connection.
#[derive(Clone)]
pub(crate) struct Report {
    pub(crate) connection: ConnectionFacts,
    pub(crate) features: Vec<ServerFeature>,
}

/// A question for a report.
#[derive(Debug)]
pub(super) enum Part {
    /// What an entity can do (XEP-0030): the account, the server, one of its services.
    Features,
    /// The server's services (XEP-0030).
    Services,
    /// The server's program (XEP-0092).
    Software,
    /// How long an answer takes (XEP-0199).
    Ping { asked: Instant },
}

/// A report that waits for answers.
#[derive(Default)]
pub(super) struct Pending {
    open: usize,
    features: BTreeSet<String>,
    /// The names of services that were found and not asked yet.
    services: Vec<BareJid>,
    software: Option<String>,
    ping: Option<Duration>,
    done: Vec<oneshot::Sender<Report>>,
}

impl Online<'_> {
    /// Asks for what a report needs; whoever asks while one is being made gets the same.
    pub(super) async fn report(&mut self, done: oneshot::Sender<Report>) -> std::result::Result<(), Stop> {
        if let Some(pending) = &mut self.session.report {
            pending.done.push(done);
            return Ok(());
        }
        self.session.report = Some(Pending {
            done: vec![done],
            ..Pending::default()
        });
        let own = self.own.clone();
        let server = BareJid::from_parts(None, own.domain());
        let ping = Part::Ping {
            asked: Instant::now(),
        };
        for (to, payload, part) in [
            (&server, Element::bare("ping", ns::PING), ping),
            (&own, Element::bare("query", ns::DISCO_INFO), Part::Features),
            (&server, Element::bare("query", ns::DISCO_INFO), Part::Features),
            (&server, Element::bare("query", ns::DISCO_ITEMS), Part::Services),
            (&server, Element::bare("query", ns::VERSION), Part::Software),
        ] {
            self.ask_for_report(to, payload, part).await?;
        }
        Ok(())
    }

    async fn ask_for_report(
        &mut self,
        to: &BareJid,
        payload: Element,
        part: Part,
    ) -> std::result::Result<(), Stop> {
        let stanza = self
            .session
            .questions
            .ask(Some(to), "get", payload, Ask::ForReport(part))?;
        if let Some(pending) = &mut self.session.report {
            pending.open += 1;
        }
        self.connection.send(&stanza).await?;
        Ok(())
    }

    /// An answer for the report, or none. The services that it names are asked by [`Online::go_on_with_report`].
    pub(super) fn reported(&mut self, part: Part, answer: Option<&Element>) {
        let Some(pending) = &mut self.session.report else {
            return;
        };
        pending.open = pending.open.saturating_sub(1);
        match (part, answer) {
            (Part::Features, Some(answer)) => pending.features.extend(disco::features_named(answer)),
            (Part::Services, Some(answer)) => {
                pending.services = disco::items(answer).into_iter().take(SERVICES).collect();
            }
            (Part::Software, Some(answer)) => pending.software = software(answer),
            (Part::Ping { asked }, _) => pending.ping = Some(asked.elapsed()),
            (_, None) => {}
        }
    }

    /// Goes on with a report after answers were taken in: asks the services that were named, or tells it.
    pub(super) async fn go_on_with_report(&mut self) -> std::result::Result<(), Stop> {
        let services = match &mut self.session.report {
            Some(pending) => std::mem::take(&mut pending.services),
            None => return Ok(()),
        };
        for service in services {
            let query = Element::bare("query", ns::DISCO_INFO);
            self.ask_for_report(&service, query, Part::Features).await?;
        }
        if self
            .session
            .report
            .as_ref()
            .is_some_and(|pending| pending.open == 0)
            && let Some(pending) = self.session.report.take()
        {
            let report = Report {
                connection: self.connection_facts(pending.ping, pending.software),
                features: self.server_features(&pending.features),
            };
            for done in pending.done {
                // Whoever asked may have gone.
                let _ = done.send(report.clone());
            }
        }
        Ok(())
    }

    fn connection_facts(&self, ping: Option<Duration>, software: Option<String>) -> ConnectionFacts {
        let facts = self.connection.facts();
        ConnectionFacts {
            host: facts.target.host.clone(),
            port: facts.target.port,
            peer: facts.peer.to_string(),
            proxied: facts.proxied,
            tls: login::mode(facts.target.tls),
            tls_version: facts.tls_version.clone(),
            cipher: facts.cipher.clone(),
            certificate: facts.certificate.as_ref().map(publish::certificate),
            pinned: facts.pinned,
            mechanism: facts.authenticated_by.clone(),
            channel_binding: facts.channel_binding.map(str::to_owned),
            sasl2: facts.sasl2,
            bind2: facts.bind2,
            resumed: self.connection.resumed(),
            resumable: self.connection.session(0).is_some(),
            round_trips: facts.round_trips,
            took_ms: millis(facts.took),
            ping_ms: ping.map(millis),
            since: self.since,
            resource: self.connection.bound().resource().to_string(),
            software,
        }
    }

    /// What the compliance suites ask of a server (XEP-0479), and what makes a messenger better.
    fn server_features(&self, disco: &BTreeSet<String>) -> Vec<ServerFeature> {
        use FeatureName as Name;
        let facts = self.connection.facts();
        let stream = self.connection.features();
        let has = |feature: &str| disco.contains(feature);
        let token = facts.authenticated_by.starts_with("HT-") || self.session.has_token;
        [
            (
                Name::DirectTls,
                "XEP-0368",
                true,
                login::mode(facts.target.tls) == TlsMode::Direct,
            ),
            (
                Name::StreamManagement,
                "XEP-0198",
                true,
                self.connection.acknowledges(),
            ),
            (
                Name::ClientState,
                "XEP-0352",
                true,
                stream.has_child("csi", ns::CSI),
            ),
            (Name::Carbons, "XEP-0280", true, facts.carbons || has(ns::CARBONS)),
            (Name::Archive, "XEP-0313", true, has(ns::MAM)),
            (Name::PersonalEvents, "XEP-0163", true, has("identity:pubsub/pep")),
            (Name::OpenBundles, "XEP-0060", true, has(ns::PUBLISH_OPTIONS)),
            (Name::Blocking, "XEP-0191", true, has(ns::BLOCKING)),
            (Name::Upload, "XEP-0363", true, has(ns::UPLOAD)),
            (Name::Rooms, "XEP-0045", true, has(ns::MUC)),
            (Name::Push, "XEP-0357", false, has(ns::PUSH)),
            (
                Name::AvatarConversion,
                "XEP-0398",
                true,
                has(ns::AVATAR_CONVERSION),
            ),
            (
                Name::BookmarkConversion,
                "XEP-0402",
                true,
                has(ns::BOOKMARK_CONVERSION),
            ),
            (
                Name::ExternalServices,
                "XEP-0215",
                true,
                has(ns::EXTERNAL_SERVICES),
            ),
            (Name::Sasl2, "XEP-0388", false, facts.sasl2),
            (Name::Bind2, "XEP-0386", false, facts.bind2),
            (Name::Fast, "XEP-0484", false, token),
            (
                Name::ChannelBinding,
                "XEP-0440",
                false,
                facts.channel_binding.is_some(),
            ),
        ]
        .into_iter()
        .map(|(feature, specification, expected, present)| ServerFeature {
            feature,
            specification: specification.to_owned(),
            expected,
            present,
        })
        .collect()
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// The server's program in its own words, on one line.
fn software(answer: &Element) -> Option<String> {
    let query = answer.get_child("query", ns::VERSION)?;
    let words: Vec<String> = ["name", "version"]
        .into_iter()
        .filter_map(|name| child_text(query, name, ns::VERSION))
        .collect();
    let text: String = waxwing_omemo::xml::without_forbidden(&words.join(" "))
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(SOFTWARE)
        .collect();
    (!text.is_empty()).then_some(text)
}
