//! The session after authentication: going on with the old one, or a new one with stream management (XEP-0198).

use minidom::Element;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::draw::Draw;
use crate::ledger::{Ledger, Resumption};
use crate::sasl2::Bound;
use crate::session::{UNUSABLE, expect_element};
use crate::wire::Wire;
use crate::{BoundAddress, ConnectError, Login, StanzaNumber, Unacknowledged, xml};

/// More elements than this before the session stands are not waited through.
const EARLY: usize = 64;

/// Which session it is, and what is known of the one before.
pub(crate) struct Start {
    pub(crate) bound: BoundAddress,
    pub(crate) resumed: bool,
    /// Its name at the server, if it can be resumed.
    pub(crate) session: Option<String>,
    /// Where the server would like to be resumed.
    pub(crate) location: Option<String>,
    pub(crate) ledger: Ledger,
    /// The last stanza of the old session that the server has.
    pub(crate) acked: Option<StanzaNumber>,
    /// Those of it that nobody knows about.
    pub(crate) lost: Vec<Unacknowledged>,
    /// What came before stream management was on.
    pub(crate) early: Vec<Element>,
}

impl Start {
    /// The old session goes on; `answer` is the `<resumed/>`.
    pub(crate) fn resumed(old: Resumption, answer: &Element) -> Result<Self, ConnectError> {
        let (bound, session, location) = (old.bound.clone(), old.id.clone(), old.location.clone());
        let mut ledger = Ledger::resume(old);
        let acked = ledger
            .acknowledged(count(answer).ok_or(UNUSABLE)?)
            .map_err(|_| UNUSABLE)?;
        Ok(Self {
            bound,
            resumed: true,
            session,
            location,
            ledger,
            acked,
            lost: Vec::new(),
            early: Vec::new(),
        })
    }

    /// A new session. A server that remembers how far it got with the old one says so in its `failed`, which spares
    /// stanzas from doubt.
    fn fresh(
        bound: BoundAddress,
        old: Option<Resumption>,
        failed: Option<&Element>,
        enabled: Option<Enabled>,
        early: Vec<Element>,
    ) -> Self {
        let managed = enabled.is_some();
        let (session, location) = enabled.map_or((None, None), |e| (e.session, e.location));
        let mut old = old.map(Ledger::resume);
        let h = failed.and_then(count);
        let acked = h.and_then(|h| old.as_mut()?.acknowledged(h).ok().flatten());
        Self {
            bound,
            resumed: false,
            session,
            location,
            ledger: Ledger::new(managed, old.as_ref().map_or(0, Ledger::sent)),
            acked,
            lost: old.iter().flat_map(Ledger::unacknowledged).cloned().collect(),
            early,
        }
    }
}

/// The attribute `h`.
fn count(element: &Element) -> Option<u32> {
    element.attr("h").and_then(|h| h.trim().parse().ok())
}

/// Stream management is on.
pub(crate) struct Enabled {
    session: Option<String>,
    location: Option<String>,
}

impl Enabled {
    /// From an `<enabled/>`.
    pub(crate) fn of(element: &Element) -> Self {
        let resumable = matches!(element.attr("resume"), Some("true" | "1"));
        let session = element.attr("id").filter(|id| resumable && !id.is_empty());
        Self {
            session: session.map(str::to_owned),
            location: element.attr("location").map(str::to_owned),
        }
    }
}

/// Begins a session that was bound along with the authentication; `failed` is why the old one does not go on.
pub(crate) async fn start_bound<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    features: &Element,
    login: &Login,
    bound: Bound,
    failed: Option<&Element>,
) -> Result<Start, ConnectError> {
    let mut early = Vec::new();
    let enabled = match bound.enabled {
        None if !bound.refused && features.has_child("sm", xml::SM) => enable(wire, &mut early).await?,
        enabled => enabled,
    };
    Ok(Start::fresh(
        bound.jid,
        login.resume.clone(),
        failed,
        enabled,
        early,
    ))
}

/// Resumes or binds after the authentication, one step after another; `failed` is why the old session does not go on,
/// if that is known already.
pub(crate) async fn start<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    features: &Element,
    login: &Login,
    failed: Option<&Element>,
    draw: Draw,
) -> Result<Start, ConnectError> {
    let managed = features.has_child("sm", xml::SM);
    let mut failed = failed.cloned();
    if let Some(old) = login.resume.clone().filter(|_| managed && failed.is_none())
        && let Some(id) = &old.id
    {
        let answer = resume(wire, id, old.handled).await?;
        if answer.is("resumed", xml::SM) {
            return Start::resumed(old, &answer);
        }
        failed = Some(answer);
    }
    let bound = bind(wire, login, draw).await?;
    let mut early = Vec::new();
    // Only once bound (XEP-0198 §3), so this cannot go out in one with it.
    let enabled = if managed {
        enable(wire, &mut early).await?
    } else {
        None
    };
    Ok(Start::fresh(
        bound,
        login.resume.clone(),
        failed.as_ref(),
        enabled,
        early,
    ))
}

/// Tries to resume (XEP-0198 §5). Returns the `<resumed/>` or `<failed/>`.
async fn resume<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    id: &str,
    handled: u32,
) -> Result<Element, ConnectError> {
    let (ns, id) = (xml::SM, xml::escape(id));
    wire.write(&format!("<resume xmlns='{ns}' h='{handled}' previd='{id}'/>"))
        .await?;
    let answer = expect_element(wire).await?;
    if answer.is("failed", xml::SM) || answer.is("resumed", xml::SM) {
        Ok(answer)
    } else {
        Err(UNUSABLE)
    }
}

/// Binds our resource (RFC 6120 §7).
async fn bind<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    login: &Login,
    draw: Draw,
) -> Result<BoundAddress, ConnectError> {
    let id = draw.id();
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
    let jid = jid.and_then(|jid| jid.text().trim().parse::<BoundAddress>().ok());
    let jid = jid.ok_or(ConnectError::Protocol("a resource binding without an address"))?;
    if *jid.bare() == login.address {
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

/// Turns stream management on. `None`: refused.
async fn enable<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    early: &mut Vec<Element>,
) -> Result<Option<Enabled>, ConnectError> {
    wire.write(&format!("<enable xmlns='{}' resume='true'/>", xml::SM))
        .await?;
    while early.len() < EARLY {
        let element = expect_element(wire).await?;
        if element.is("failed", xml::SM) {
            return Ok(None);
        }
        if element.is("enabled", xml::SM) {
            return Ok(Some(Enabled::of(&element)));
        }
        early.push(element);
    }
    Err(ConnectError::Protocol("no answer about stream management"))
}
