//! From an encrypted connection to a bound or resumed session.

use std::io;
use std::time::{Duration, SystemTime};

use minidom::Element;
use rustls::ClientConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::auth::{Exchange, Profile, Verdict, by_password, converse, username};
use crate::binding::{Binding, Channel};
use crate::connection::{Opened, fatal, stream_error};
use crate::draw::Draw;
use crate::fast::{self, Ticket};
use crate::offer::Offer;
use crate::sasl2::{Along, Begun, Inline, Outcome};
use crate::start::{Start, start, start_bound};
use crate::wire::{Opening, Wire};
use crate::{ConnectError, Connection, Facts, Login, Mechanism, StreamCondition, TokenNews, xml};

/// The server takes the old session up, but not in a way to go on with, and it would do so every time.
pub(crate) const UNUSABLE: ConnectError = ConnectError::Protocol("an unusable resumption");

/// The login by token went wrong otherwise than by a plain refusal.
pub(crate) const STUMBLED: ConnectError = ConnectError::Protocol("an unusable token");

/// How long a login by token may take before it is done without.
const TOKEN_LIMIT: Duration = Duration::from_secs(15);

/// What answers is no XMPP server.
pub(crate) const NO_STREAM: &str = "no XMPP stream";

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        match fatal(&error) {
            Some(_) => Self::Protocol("broken XML"),
            // A stream header that is none, for example: somebody is there, and it is no XMPP server.
            None if error.kind() == io::ErrorKind::InvalidData => Self::Protocol(NO_STREAM),
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

/// What a login depends on besides what was asked for.
pub(crate) struct Setting {
    pub(crate) channel: Channel,
    pub(crate) draw: Draw,
    /// Unix seconds.
    pub(crate) now: i64,
}

impl Setting {
    /// Inside this TLS, now.
    pub(crate) fn of(tls: &ClientConnection) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            channel: Channel::of(tls),
            draw: Draw::SYSTEM,
            now: now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX)),
        }
    }
}

/// A stream whose header has been answered.
pub(crate) struct Greeted<S> {
    wire: Wire<S>,
    setting: Setting,
    /// The token has been shown right behind our header, with this along.
    shown: Option<Along>,
}

/// Opens the stream inside TLS. With a token everything that a login needs goes right behind the header, without
/// waiting for what the server offers: it did offer that when it gave the token (XEP-0305).
pub(crate) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    io: S,
    setting: Setting,
    login: &Login,
) -> Result<Greeted<S>, ConnectError> {
    let ticket = Ticket::of(login, &setting.channel, setting.now);
    let shown = ticket.map(|ticket| {
        let along = Along::ask(
            &Inline::assumed(),
            login,
            &setting.channel,
            goes_on(login),
            Some(&ticket),
        );
        let message = ticket.message(username(login));
        let request = Profile::Extensible.request(ticket.mechanism, &message, &along.xml);
        (along, request)
    });
    let opening = Opening {
        behind: shown.as_ref().map(|(_, request)| request.as_str()),
        ..opening(login)
    };
    let opened = Wire::open_as(io, opening, login.tap.clone()).await;
    let wire = opened.map_err(|error| match &shown {
        Some(_) => stumbled(error.into()),
        None => error.into(),
    })?;
    Ok(Greeted {
        wire,
        setting,
        shown: shown.map(|(along, _)| along),
    })
}

fn opening(login: &Login) -> Opening<'_> {
    Opening {
        domain: login.address.domain().as_str(),
        from: Some(&login.address),
        behind: None,
    }
}

/// The session to go on with and our count of it.
fn goes_on(login: &Login) -> Option<(&str, u32)> {
    let resumption = login.resume.as_ref()?;
    Some((resumption.id.as_deref()?, resumption.handled))
}

/// What goes wrong with a login by token and is not a clear word may go better without one.
fn stumbled(error: ConnectError) -> ConnectError {
    match error {
        UNUSABLE => UNUSABLE,
        ConnectError::Protocol(_)
        | ConnectError::Io(_)
        | ConnectError::Policy(_)
        | ConnectError::NoMechanism
        | ConnectError::Stream {
            condition: StreamCondition::NotAuthorized | StreamCondition::Other(_),
            ..
        } => {
            tracing::debug!(code = error.code(), "the login by token went wrong");
            STUMBLED
        }
        other => other,
    }
}

/// What to try at once after a failure that comes of something that can be left out. It is left out, so this ends.
pub(crate) fn plainer(login: &Login, error: &ConnectError) -> Option<Login> {
    let mut plainer = login.clone();
    match *error {
        UNUSABLE => plainer.resume.as_mut()?.id.take().map(drop)?,
        STUMBLED if !login.invalidate_token => plainer.token = Some(fast::spent(login.token.as_ref()?)?),
        _ => return None,
    }
    tracing::warn!(%error, "trying without");
    Some(plainer)
}

/// Authenticates, then goes on with the old session or begins a new one.
pub(crate) async fn establish(
    greeted: Greeted<TlsStream<TcpStream>>,
    facts: Facts,
    login: &Login,
) -> Result<Connection, ConnectError> {
    let draw = greeted.setting.draw;
    let session = begin(greeted, facts, login).await?;
    let start = session.start;
    let mut connection = Connection::new(session.wire, session.opened, start.ledger, draw.id());
    connection.settle(start.acked, start.lost);
    connection.early(start.early);
    if start.resumed {
        connection.resend();
    }
    Ok(connection)
}

/// What a [`Connection`] is made of.
pub(crate) struct Session<S> {
    wire: Wire<S>,
    opened: Opened,
    start: Start,
}

/// See [`establish`].
pub(crate) async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
    greeted: Greeted<S>,
    facts: Facts,
    login: &Login,
) -> Result<Session<S>, ConnectError> {
    if greeted.shown.is_none() {
        return sign_in(greeted, facts, login).await;
    }
    match timeout(TOKEN_LIMIT, sign_in(greeted, facts, login)).await {
        Ok(outcome) => outcome.map_err(stumbled),
        Err(_) => Err(STUMBLED),
    }
}

async fn sign_in<S: AsyncRead + AsyncWrite + Unpin>(
    greeted: Greeted<S>,
    mut facts: Facts,
    login: &Login,
) -> Result<Session<S>, ConnectError> {
    let Greeted {
        mut wire,
        setting,
        shown,
    } = greeted;
    let offered = expect_features(&mut wire).await?;
    let inline = Inline::offered(&offered);
    let csi = inline.bind.is_some_and(|bind| bind.csi);
    let proven = authenticate(&mut wire, &offered, &inline, &setting, shown, login).await?;
    facts.authenticated_by = proven.by.to_owned();
    facts.channel_binding = proven.binding.map(Binding::name);
    facts.sasl2 = proven.outcome.is_some();

    let (features, start) = match proven.outcome.map(|outcome| (outcome.begun, outcome.failed)) {
        None => {
            wire = wire.restart(opening(login)).await?;
            let features = expect_features(&mut wire).await?;
            let start = start(&mut wire, &features, login, None, setting.draw).await?;
            (features, start)
        }
        Some((Begun::Resumed(answer), _)) => {
            let old = login.resume.clone().ok_or(UNUSABLE)?;
            // No features follow this one (XEP-0198 §9.2): what is known stands before.
            let mut known = offered;
            known.append_child(Element::bare("sm", xml::SM));
            if csi {
                known.append_child(Element::bare("csi", xml::CSI));
            }
            (known, Start::resumed(old, &answer)?)
        }
        Some((Begun::Bound(bound), failed)) => {
            let features = expect_features(&mut wire).await?;
            facts.bind2 = true;
            facts.carbons = bound.carbons && inline.bind.is_some_and(|bind| bind.carbons);
            (
                features.clone(),
                start_bound(&mut wire, &features, login, bound, failed.as_ref()).await?,
            )
        }
        Some((Begun::Nothing, failed)) => {
            let features = expect_features(&mut wire).await?;
            let start = start(&mut wire, &features, login, failed.as_ref(), setting.draw).await?;
            (features, start)
        }
    };
    facts.round_trips = wire.round_trips();
    let told = facts.bind2 && csi;
    if login.inactive && !told && (csi || features.has_child("csi", xml::CSI)) {
        wire.write(&format!("<inactive xmlns='{}'/>", xml::CSI)).await?;
    }
    let opened = Opened {
        bound: start.bound.clone(),
        resumed: start.resumed,
        mechanism: proven.mechanism,
        facts,
        features,
        session: start.session.clone(),
        location: start.location.clone(),
        token: proven.token,
    };
    Ok(Session { wire, opened, start })
}

/// How the account was proven to be ours.
struct Proven {
    /// The strongest way on offer.
    mechanism: Mechanism,
    /// The way that was taken.
    by: &'static str,
    binding: Option<Binding>,
    /// What came along with it, if the server does XEP-0388.
    outcome: Option<Outcome>,
    token: TokenNews,
}

/// By the token, if it has been shown already; else, or if that is refused, by the password.
async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    features: &Element,
    inline: &Inline,
    setting: &Setting,
    shown: Option<Along>,
    login: &Login,
) -> Result<Proven, ConnectError> {
    let (classic, extensible) = (Offer::classic(features), Offer::extensible(features));
    let strongest = |offer: &Offer| offer.strongest(&setting.channel, false).map(|c| c.mechanism);
    let (profile, offer) = if strongest(&extensible) >= strongest(&classic) {
        (Profile::Extensible, &extensible)
    } else {
        (Profile::Classic, &classic)
    };
    let mut spent = fast::is_spent(login, setting.now);
    if let (Some(along), Some(ticket)) = (shown, Ticket::of(login, &setting.channel, setting.now)) {
        if !inline.tokens.iter().any(|name| name == ticket.mechanism) {
            return Err(STUMBLED);
        }
        match converse(wire, Profile::Extensible, Exchange::Token(ticket), login).await? {
            Verdict::Success(success) => {
                let mut outcome = along.read(&success, login, Some(ticket.mechanism))?;
                return Ok(Proven {
                    // A token proves nothing about the offer, so the memory of a better one stays.
                    mechanism: strongest(offer)
                        .max(login.strongest_seen)
                        .unwrap_or(Mechanism::Plain),
                    by: ticket.mechanism,
                    binding: ticket.binding,
                    token: outcome.token.take().map_or(TokenNews::Same, TokenNews::New),
                    outcome: Some(outcome),
                });
            }
            Verdict::Refused {
                error: error @ (ConnectError::AccountDisabled | ConnectError::TemporaryAuthFailure),
                ..
            } => return Err(error),
            Verdict::Refused { error, .. } if login.invalidate_token => return Err(error),
            Verdict::Refused { .. } => spent = true,
        }
    }
    if login.invalidate_token {
        return Err(ConnectError::NoMechanism);
    }
    let along = match profile {
        Profile::Classic => Along::default(),
        Profile::Extensible => {
            let bound = strongest(offer).is_some_and(Mechanism::is_bound);
            let inline = inline.clone().with_tokens(bound);
            Along::ask(&inline, login, &setting.channel, goes_on(login), None)
        }
    };
    let extra = (along.xml.as_str(), setting.draw);
    let (choice, success) = by_password(wire, (profile, offer), &setting.channel, login, extra).await?;
    let mut outcome = match profile {
        Profile::Classic => None,
        Profile::Extensible => Some(along.read(&success, login, None)?),
    };
    let granted = outcome.as_mut().and_then(|outcome| outcome.token.take());
    Ok(Proven {
        mechanism: choice.mechanism,
        by: choice.mechanism.name(),
        binding: choice.binding,
        outcome,
        token: match granted {
            Some(token) => TokenNews::New(token),
            None if spent => TokenNews::Refused,
            None => TokenNews::Same,
        },
    })
}
