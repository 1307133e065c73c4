//! From an encrypted connection to a bound or resumed session.

use std::io;

use jid::{FullJid, Jid};
use minidom::Element;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::auth::authenticate;
use crate::connection::{Opened, fatal, stream_error};
use crate::ledger::{Ledger, Resumption};
use crate::link::SecureWire;
use crate::wire::Wire;
use crate::{
    ConnectError, Connection, Facts, Login, StanzaNumber, StreamCondition, TokenNews, Unacknowledged, xml,
};

/// More elements than this before the session stands are not waited through.
const EARLY: usize = 1_000;

/// The server takes the old session up, but not in a way to go on with, and it would do so every time.
pub(crate) const UNUSABLE: ConnectError = ConnectError::Protocol("an unusable resumption");

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        match fatal(&error) {
            Some(_) => Self::Protocol("broken XML"),
            None => Self::Io(error.to_string()),
        }
    }
}

fn refused(condition: StreamCondition, text: String) -> ConnectError {
    match condition {
        StreamCondition::Conflict => ConnectError::ResourceConflict,
        StreamCondition::HostUnknown | StreamCondition::HostGone => ConnectError::HostUnknown,
        StreamCondition::PolicyViolation => ConnectError::Policy(text),
        condition => ConnectError::Stream { condition, text },
    }
}

/// The next element; a stream error or the stream's end is an error.
pub(crate) async fn expect_element<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
) -> Result<Element, ConnectError> {
    let element = wire
        .element()
        .await?
        .ok_or_else(|| ConnectError::Io("the server closed the stream".to_owned()))?;
    if wire.swallowed(&element).is_some() {
        return Err(ConnectError::Protocol(
            "an oversized element before the session stood",
        ));
    }
    match stream_error(&element) {
        Some((condition, text)) => Err(refused(condition, text)),
        None => Ok(element),
    }
}

/// The `<stream:features/>` that must come first.
pub(crate) async fn expect_features<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
) -> Result<Element, ConnectError> {
    let element = expect_element(wire).await?;
    if element.is("features", xml::STREAM) {
        Ok(element)
    } else {
        Err(ConnectError::Protocol("no stream features"))
    }
}

/// Authenticates, then goes on with the old session or begins a new one. `open` is a stream inside TLS.
pub(crate) async fn establish(
    mut wire: SecureWire,
    domain: &str,
    facts: Facts,
    login: &Login,
) -> Result<Connection, ConnectError> {
    let features = expect_features(&mut wire).await?;
    let mechanism = authenticate(&mut wire, &features, login).await?;
    let mut wire = wire.restart(domain).await?;
    let features = expect_features(&mut wire).await?;
    let offers_sm = features.has_child("sm", xml::SM);

    let mut settled = Settled::default();
    if let Some(resumption) = login.resume.clone() {
        let bound = resumption.bound.clone();
        let session = resumption.id.clone();
        match go_on(&mut wire, offers_sm, resumption).await? {
            Resumed::Goes { ledger, acked } => {
                let opened = Opened {
                    bound,
                    resumed: true,
                    mechanism,
                    facts,
                    features,
                    session,
                    location: None,
                    token: TokenNews::Same,
                };
                let mut connection = Connection::new(wire, opened, ledger, random_id());
                connection.settle(acked, Vec::new());
                connection.resend();
                return Ok(connection);
            }
            Resumed::Gone(outcome) => settled = outcome,
        }
    }

    let bound = bind(&mut wire, login).await?;
    let mut early = Vec::new();
    let enabled = if offers_sm {
        enable(&mut wire, &mut early).await?
    } else {
        None
    };
    let ledger = Ledger::new(enabled.is_some(), settled.sent);
    let session = enabled.flatten();
    let opened = Opened {
        bound,
        resumed: false,
        mechanism,
        facts,
        features,
        session,
        location: None,
        token: TokenNews::Same,
    };
    let mut connection = Connection::new(wire, opened, ledger, random_id());
    connection.settle(settled.acked, settled.lost);
    connection.early(early);
    Ok(connection)
}

/// What became of the old session's stanzas.
#[derive(Default)]
struct Settled {
    acked: Option<StanzaNumber>,
    lost: Vec<Unacknowledged>,
    sent: u64,
}

enum Resumed {
    Goes {
        ledger: Ledger,
        acked: Option<StanzaNumber>,
    },
    Gone(Settled),
}

/// Tries to resume (XEP-0198 §5).
async fn go_on(
    wire: &mut SecureWire,
    offered: bool,
    resumption: Resumption,
) -> Result<Resumed, ConnectError> {
    let id = resumption.id.clone();
    let mut ledger = Ledger::resume(resumption);
    let Some(id) = id.filter(|_| offered) else {
        return Ok(gone(ledger, None));
    };
    let handled = ledger.handled();
    wire.write(&format!(
        "<resume xmlns='{}' h='{handled}' previd='{}'/>",
        xml::SM,
        xml::escape(&id)
    ))
    .await?;
    let answer = expect_element(wire).await?;
    let h = answer.attr("h").and_then(|h| h.trim().parse().ok());
    if answer.is("failed", xml::SM) {
        return Ok(gone(ledger, h));
    }
    if !answer.is("resumed", xml::SM) {
        return Err(UNUSABLE);
    }
    let acked = ledger.acknowledged(h.ok_or(UNUSABLE)?).map_err(|_| UNUSABLE)?;
    Ok(Resumed::Goes { ledger, acked })
}

/// The session is lost. A server that remembers how far it got says so (`h`), which spares stanzas from doubt.
fn gone(mut ledger: Ledger, h: Option<u32>) -> Resumed {
    let acked = h.and_then(|h| ledger.acknowledged(h).ok().flatten());
    Resumed::Gone(Settled {
        acked,
        lost: ledger.unacknowledged().cloned().collect(),
        sent: ledger.sent(),
    })
}

/// Binds our resource (RFC 6120 §7).
async fn bind(wire: &mut SecureWire, login: &Login) -> Result<FullJid, ConnectError> {
    let id = random_id();
    wire.write(&format!(
        "<iq xmlns='{}' type='set' id='{id}'><bind xmlns='{}'><resource>{}</resource></bind></iq>",
        xml::CLIENT,
        xml::BIND,
        xml::escape(&login.resource)
    ))
    .await?;
    let answer = expect_element(wire).await?;
    if !answer.is("iq", xml::CLIENT) || answer.attr("id") != Some(&id) {
        return Err(ConnectError::Protocol("no answer to the resource binding"));
    }
    if answer.attr("type") == Some("error") {
        return Err(bind_error(&answer));
    }
    let jid = answer
        .get_child("bind", xml::BIND)
        .and_then(|bind| bind.get_child("jid", xml::BIND));
    let jid = jid
        .and_then(|jid| Jid::new(jid.text().trim()).ok())
        .and_then(|jid| jid.try_into_full().ok());
    let jid = jid.ok_or(ConnectError::Protocol("a resource binding without an address"))?;
    if jid.to_bare() == login.address {
        Ok(jid)
    } else {
        Err(ConnectError::Protocol("bound to a foreign address"))
    }
}

/// RFC 6120 §7.7.2 and what servers send besides.
fn bind_error(answer: &Element) -> ConnectError {
    let error = answer.children().find(|child| child.name() == "error");
    let conditions = error.into_iter().flat_map(Element::children);
    let text = error
        .and_then(|e| e.get_child("text", xml::STANZA_ERRORS))
        .map(Element::text)
        .unwrap_or_default();
    let condition = conditions
        .filter(|c| c.ns() == xml::STANZA_ERRORS && c.name() != "text")
        .map(Element::name)
        .next();
    match condition {
        Some("conflict") => ConnectError::ResourceConflict,
        Some("not-allowed" | "forbidden" | "policy-violation" | "resource-constraint") => {
            ConnectError::Policy(xml::excerpt(&text))
        }
        _ => ConnectError::Protocol("the resource could not be bound"),
    }
}

/// Turns stream management on. `None`: refused; `Some(None)`: on, but not resumable.
async fn enable(
    wire: &mut SecureWire,
    early: &mut Vec<Element>,
) -> Result<Option<Option<String>>, ConnectError> {
    wire.write(&format!("<enable xmlns='{}' resume='true'/>", xml::SM))
        .await?;
    while early.len() < EARLY {
        let element = expect_element(wire).await?;
        if element.is("failed", xml::SM) {
            return Ok(None);
        }
        if element.is("enabled", xml::SM) {
            let resumable = matches!(element.attr("resume"), Some("true" | "1"));
            let id = element.attr("id").filter(|id| resumable && !id.is_empty());
            return Ok(Some(id.map(str::to_owned)));
        }
        early.push(element);
    }
    Err(ConnectError::Protocol("no answer about stream management"))
}

fn random_id() -> String {
    let random = getrandom::u64().expect("no system that this runs on is without randomness");
    format!("{random:016x}")
}
