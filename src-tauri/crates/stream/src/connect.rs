//! The whole way from an address to a connection.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::dns::Names;
use crate::session::{self, NO_STREAM, Setting, expect_element, expect_features};
use crate::targets::{self, Elsewhere, Found, FoundBy};
use crate::tls::{self, Refused, Secured, TlsSetup};
use crate::wire::Wire;
use crate::{
    ConnectError, Connection, Facts, Login, Proxy, Step, StreamCondition, Target, Tls, dial, proxy, xml,
};

const TLS_LIMIT: Duration = Duration::from_secs(10);
/// From TLS to the server's stream header.
const HEADER_LIMIT: Duration = Duration::from_secs(10);
const LOGIN_LIMIT: Duration = Duration::from_secs(30);
/// The head start of each target before the next: a firewall that swallows what goes to one port shall not cost a
/// time-out each time.
const HEAD_START: Duration = Duration::from_secs(3);
/// After this time no further target is begun with.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(60);
/// How often a server may send us elsewhere.
const HOPS: usize = 2;

/// From nothing to a bound connection: DNS, TCP, TLS, authentication, resumption or bind. Every step has its
/// time-out (DNS 8 s; TCP, TLS and the stream header 10 s each per target; a proxy 30 s; login 30 s), and each target
/// a head start of 3 seconds before the next. `login` is only read, so that its [`Login::resume`] survives a failed
/// attempt.
pub async fn connect(login: &Login) -> Result<Connection, ConnectError> {
    let route = Route::of(login).await;
    let mut plainer: Option<Login> = None;
    loop {
        let login = plainer.as_ref().unwrap_or(login);
        match attempt(&route, login).await {
            // What stands in the way is left out, one thing after another.
            Err(error) => plainer = Some(session::plainer(login, &error).ok_or(error)?),
            connected => return connected,
        }
    }
}

/// Has the server invalidate the login's token, as is due when nobody is to use it any more (XEP-0484 §3.7): logs in by it
/// once more and leaves. The password is not tried. Errors: as [`connect`]; also if the server does not take the token or
/// it has ended by itself, and then it is as good as invalidated.
pub async fn invalidate_token(login: &Login) -> Result<(), ConnectError> {
    let login = Login {
        resume: None,
        invalidate_token: true,
        ..login.clone()
    };
    connect(&login).await?.close().await;
    Ok(())
}

/// How a target is reached.
pub(crate) enum Route<'a> {
    Straight(Names),
    /// Of this machine's DNS nothing is asked but, if need be, the proxy's own name.
    Through(&'a Proxy, Names),
}

impl<'a> Route<'a> {
    async fn of(login: &'a Login) -> Self {
        match &login.proxy {
            Some(proxy) => Self::Through(proxy, Names::addresses_only()),
            None => Self::Straight(Names::system().await),
        }
    }

    async fn tcp(&self, target: &Target) -> Result<TcpStream, ConnectError> {
        match self {
            Self::Straight(names) => dial::tcp(names, &target.host, target.port).await,
            Self::Through(proxy, names) => proxy::tcp(proxy, names, target).await,
        }
    }

    /// The targets of a domain that stand in no endpoint.
    async fn find(&self, domain: &str, in_haste: bool) -> Found {
        let Self::Straight(names) = self else {
            return Found {
                targets: targets::usual(domain),
                by: FoundBy::Domain,
            };
        };
        let (direct, start) = tokio::join!(
            names.service("_xmpps-client", domain, in_haste),
            names.service("_xmpp-client", domain, in_haste)
        );
        targets::merge(domain, direct, start, random_below)
    }
}

fn random_below(limit: u32) -> u32 {
    let entropy = getrandom::u32().expect("no system that this runs on is without randomness");
    entropy % limit.saturating_add(1)
}

/// What to try, in order, and how it was found.
async fn targets(route: &Route<'_>, login: &Login) -> Result<(Vec<Target>, FoundBy), ConnectError> {
    let domain = login.address.domain().as_str();
    let endpoint = login.endpoint.as_ref();
    let found = match targets::given(domain, endpoint) {
        Some(mut targets) => {
            // As for a domain without records, if nobody said which port.
            if matches!(route, Route::Through(..)) && endpoint.is_none_or(|e| e.port.is_none()) {
                targets.reverse();
            }
            Found {
                targets,
                by: FoundBy::Records,
            }
        }
        None => route.find(domain, login.last_good.is_some()).await,
    };
    let by = found.by;
    let mut targets = targets::arranged(found, wanted(login), login.last_good.as_ref());
    // Where a person says where to go, the server does not.
    let named = endpoint.is_some_and(|endpoint| endpoint.host.is_some());
    if let Some(elsewhere) = login
        .resume
        .as_ref()
        .filter(|_| !named)
        .and_then(|r| Elsewhere::parse(r.location.as_ref()?))
    {
        let before = login.last_good.as_ref().map_or(Tls::StartTls, |good| good.tls);
        let first = elsewhere.targets(before).into_iter();
        targets.splice(
            0..0,
            first.filter(|t| wanted(login).is_none_or(|tls| t.tls == tls)),
        );
    }
    if targets.is_empty() {
        return Err(ConnectError::NoServer);
    }
    Ok((targets, by))
}

fn wanted(login: &Login) -> Option<Tls> {
    login.endpoint.as_ref().and_then(|endpoint| endpoint.tls)
}

pub(crate) async fn attempt(route: &Route<'_>, login: &Login) -> Result<Connection, ConnectError> {
    let domain = login.address.domain().as_str();
    let setup = tls::prepare(domain, &login.trust).await?;
    let (mut targets, by) = targets(route, login).await?;
    let began = Instant::now();
    let mut hops = 0;
    loop {
        let (error, target) = match one_of(route, &setup, targets, login).await {
            Ok(mut connection) => {
                connection.took(began.elapsed());
                return Ok(connection);
            }
            Err(failed) => failed,
        };
        match (error, target) {
            (ConnectError::Stream { condition, text }, Some(target)) if hops < HOPS => {
                let Some(next) = elsewhere(route, &condition, &target, login).await else {
                    return Err(ConnectError::Stream { condition, text });
                };
                targets = next;
                hops += 1;
            }
            // DNS answered, and the domain that has no records has no address either.
            (ConnectError::Dns(_), _) if by == FoundBy::Domain => return Err(ConnectError::NoServer),
            (error, _) => return Err(error),
        }
    }
}

/// Where a server that proved itself sends us (RFC 6120 §4.9.3.19); it is still the account's domain that the next one
/// must prove to be. None if it does not send us anywhere.
async fn elsewhere(
    route: &Route<'_>,
    condition: &StreamCondition,
    from: &Target,
    login: &Login,
) -> Option<Vec<Target>> {
    let StreamCondition::SeeOtherHost(text) = condition else {
        return None;
    };
    let elsewhere = Elsewhere::parse(text)?;
    let literal = elsewhere.host.parse::<std::net::IpAddr>().is_ok();
    let found = if elsewhere.port.is_some() || literal || matches!(route, Route::Through(..)) {
        Found {
            targets: elsewhere.targets(from.tls),
            by: FoundBy::Records,
        }
    } else {
        route.find(&elsewhere.host, false).await
    };
    let targets = targets::arranged(found, wanted(login), None);
    (!targets.is_empty()).then_some(targets)
}

/// Signs in at the first target that answers. The error that says most, and of which target it is if that one had
/// proven itself.
async fn one_of(
    route: &Route<'_>,
    setup: &TlsSetup,
    targets: Vec<Target>,
    login: &Login,
) -> Result<Connection, (ConnectError, Option<Target>)> {
    let domain = login.address.domain().as_str();
    let mut reaching = Reaching::new(route, setup, domain, targets);
    let mut failure: Option<(ConnectError, Option<Target>)> = None;
    while let Some((target, reached)) = reaching.next().await {
        let (error, proven) = match reached {
            Ok((secured, peer)) => {
                let proxied = matches!(route, Route::Through(..));
                let (stream, facts) = facts(target.clone(), peer, proxied, secured);
                match sign_in(stream, facts, login).await {
                    Ok(connection) => return Ok(connection),
                    Err(error) if of_the_account(&error) => return Err((error, Some(target))),
                    // Not the network's trouble as far as anybody can tell: a login costs the server something.
                    Err(ConnectError::Io(text)) => (ConnectError::BrokenOff(text), Some(target)),
                    Err(error) => (error, Some(target)),
                }
            }
            // No other target can be reached either.
            Err(error @ (ConnectError::Proxy(_) | ConnectError::ProxyRefused)) => return Err((error, None)),
            Err(error) => {
                tracing::debug!(port = target.port, tls = ?target.tls, code = error.code(), "target failed");
                (error, None)
            }
        };
        failure = match failure {
            Some(before) if telling(&before.0) >= telling(&error) => Some(before),
            _ => Some((error, proven)),
        };
    }
    Err(failure.unwrap_or((ConnectError::NoServer, None)))
}

/// Whether another target would say the same: what was refused was not this host's trouble.
fn of_the_account(error: &ConnectError) -> bool {
    !matches!(
        error,
        ConnectError::Io(_)
            | ConnectError::Timeout(_)
            | ConnectError::HostUnknown
            | ConnectError::Protocol("broken XML" | NO_STREAM)
            | ConnectError::Stream {
                condition: StreamCondition::SystemShutdown
                    | StreamCondition::ResourceConstraint
                    | StreamCondition::Reset
                    | StreamCondition::ConnectionTimeout,
                ..
            }
    )
}

/// How much an error says: of the failures of several targets the one that got furthest is told, the earlier among
/// equals.
fn telling(error: &ConnectError) -> u8 {
    match error {
        ConnectError::Dns(_) | ConnectError::Timeout(Step::Dns) => 0,
        ConnectError::Unreachable(_) | ConnectError::Timeout(_) => 1,
        ConnectError::Tls(_) | ConnectError::Io(_) | ConnectError::Protocol(_) => 2,
        ConnectError::Certificate { .. } => 4,
        _ => 3,
    }
}

type Reached = (Target, Result<(Secured, SocketAddr), ConnectError>);

/// The targets, each being reached a little after the one before.
struct Reaching<'a> {
    route: &'a Route<'a>,
    setup: &'a TlsSetup,
    domain: &'a str,
    waiting: std::vec::IntoIter<Target>,
    under_way: FuturesUnordered<BoxFuture<'a, Reached>>,
    began: Instant,
}

impl<'a> Reaching<'a> {
    fn new(route: &'a Route<'a>, setup: &'a TlsSetup, domain: &'a str, targets: Vec<Target>) -> Self {
        Self {
            route,
            setup,
            domain,
            waiting: targets.into_iter(),
            under_way: FuturesUnordered::new(),
            began: Instant::now(),
        }
    }

    fn begin(&mut self) -> bool {
        let late = self.began.elapsed() > ATTEMPT_LIMIT;
        let Some(target) = self.waiting.next().filter(|_| !late) else {
            return false;
        };
        let (route, setup, domain) = (self.route, self.setup, self.domain);
        self.under_way.push(Box::pin(async move {
            let reached = reach(route, setup, domain, &target).await;
            (target, reached)
        }));
        true
    }

    /// What became of one more target; none if that is all. Asked again, the one before was no good, and the next need
    /// not wait.
    async fn next(&mut self) -> Option<Reached> {
        let mut more = self.begin();
        loop {
            tokio::select! {
                biased;
                done = self.under_way.next() => return done,
                () = sleep(HEAD_START), if more => more = self.begin(),
            }
        }
    }
}

/// TCP and TLS to one target.
async fn reach(
    route: &Route<'_>,
    setup: &TlsSetup,
    domain: &str,
    target: &Target,
) -> Result<(Secured, SocketAddr), ConnectError> {
    match secure(route, setup, domain, target, target.tls == Tls::Direct).await {
        // XEP-0368 §3 wants us to name the protocol, not the server to know its name.
        Err(Refused::Alpn) => match secure(route, setup, domain, target, false).await {
            Err(Refused::Alpn) => Err(ConnectError::Tls("no agreement on the protocol".to_owned())),
            Err(Refused::Else(error)) => Err(error),
            Ok(reached) => Ok(reached),
        },
        Err(Refused::Else(error)) => Err(error),
        Ok(reached) => Ok(reached),
    }
}

async fn secure(
    route: &Route<'_>,
    setup: &TlsSetup,
    domain: &str,
    target: &Target,
    alpn: bool,
) -> Result<(Secured, SocketAddr), Refused> {
    let tcp = route.tcp(target).await.map_err(Refused::Else)?;
    let peer = tcp.peer_addr().map_err(|error| Refused::Else(error.into()))?;
    let secured = async {
        let tcp = match target.tls {
            Tls::StartTls => start_tls(tcp, domain).await.map_err(Refused::Else)?,
            Tls::Direct => tcp,
        };
        tls::handshake(setup, tcp, alpn.then_some(tls::XMPP)).await
    };
    match timeout(TLS_LIMIT, secured).await {
        Ok(secured) => Ok((secured?, peer)),
        Err(_) => Err(Refused::Else(ConnectError::Timeout(Step::Tls))),
    }
}

/// Everything before TLS is untrusted: nothing of it is kept, and nothing may follow `<proceed/>` in the clear,
/// or it would be taken for the server's word (RFC 6120 §5.4.3.3).
async fn start_tls(tcp: TcpStream, domain: &str) -> Result<TcpStream, ConnectError> {
    let mut wire = Wire::open(tcp, domain).await?;
    if !features_in_the_clear(&mut wire)
        .await?
        .has_child("starttls", xml::TLS)
    {
        return Err(ConnectError::NoEncryption);
    }
    wire.write(&format!("<starttls xmlns='{}'/>", xml::TLS)).await?;
    if !expect_element(&mut wire).await?.is("proceed", xml::TLS) {
        return Err(ConnectError::NoEncryption);
    }
    match wire.into_io() {
        (tcp, false) => Ok(tcp),
        (_, true) => Err(ConnectError::Protocol("bytes in the clear behind <proceed/>")),
    }
}

/// Who sends us elsewhere in the clear is not listened to.
async fn features_in_the_clear(wire: &mut Wire<TcpStream>) -> Result<minidom::Element, ConnectError> {
    match expect_features(wire).await {
        Err(ConnectError::Stream {
            condition: StreamCondition::SeeOtherHost(_),
            ..
        }) => Err(ConnectError::Protocol("sent elsewhere in the clear")),
        outcome => outcome,
    }
}

async fn sign_in(
    stream: TlsStream<TcpStream>,
    facts: Facts,
    login: &Login,
) -> Result<Connection, ConnectError> {
    let setting = Setting::of(stream.get_ref().1);
    let greeted = session::greet(stream, setting, login);
    let greeted = within(HEADER_LIMIT, Step::Login, greeted).await?;
    within(
        LOGIN_LIMIT,
        Step::Login,
        session::establish(greeted, facts, login),
    )
    .await
}

fn facts(target: Target, peer: SocketAddr, proxied: bool, secured: Secured) -> (TlsStream<TcpStream>, Facts) {
    let session = secured.stream.get_ref().1;
    let facts = Facts {
        target,
        peer,
        proxied,
        tls_version: session
            .protocol_version()
            .map(|v| format!("{v:?}"))
            .unwrap_or_default(),
        cipher: session
            .negotiated_cipher_suite()
            .map(|s| format!("{:?}", s.suite()))
            .unwrap_or_default(),
        certificate: secured.certificate,
        pinned: secured.pinned,
        authenticated_by: String::new(),
        channel_binding: None,
        sasl2: false,
        bind2: false,
        carbons: false,
        round_trips: 0,
        took: Duration::ZERO,
    };
    (secured.stream, facts)
}

async fn within<T>(
    limit: Duration,
    step: Step,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    timeout(limit, work)
        .await
        .unwrap_or(Err(ConnectError::Timeout(step)))
}

#[cfg(test)]
mod tests;
