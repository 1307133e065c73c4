//! The whole way from an address to a connection.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::dial;
use crate::session::{UNUSABLE, establish, expect_element, expect_features};
use crate::tls::{self, TlsSetup};
use crate::wire::Wire;
use crate::{ConnectError, Connection, Facts, Login, Resumption, Step, Target, Tls, xml};

const TLS_LIMIT: Duration = Duration::from_secs(10);
const LOGIN_LIMIT: Duration = Duration::from_secs(30);

/// From nothing to a bound connection: DNS, TCP, TLS, authentication, resumption or bind. Every step has its
/// time-out (DNS 10 s, TCP and TLS 10 s per target, login 30 s). `login` is only read, so that its
/// [`Login::resume`] survives a failed attempt.
pub async fn connect(login: &Login) -> Result<Connection, ConnectError> {
    match attempt(login).await {
        Err(UNUSABLE) => {
            tracing::warn!("the session cannot be resumed, a new one is begun");
            let resume = login
                .resume
                .clone()
                .map(|resume| Resumption { id: None, ..resume });
            attempt(&Login {
                resume,
                ..login.clone()
            })
            .await
        }
        outcome => outcome,
    }
}

async fn attempt(login: &Login) -> Result<Connection, ConnectError> {
    let domain = login.address.domain().as_str();
    let targets = dial::targets(domain, login.endpoint.as_ref()).await?;
    let setup = tls::prepare(domain, login.trust.authorities.clone()).await?;
    let mut failure: Option<ConnectError> = None;
    for target in targets {
        match reach(&target, domain, &setup).await {
            Ok((stream, peer)) => {
                let facts = facts(target, peer, &stream);
                return within(LOGIN_LIMIT, Step::Login, sign_in(stream, domain, facts, login)).await;
            }
            Err(error) => {
                tracing::debug!(port = target.port, tls = ?target.tls, code = error.code(), "target failed");
                failure = Some(more_telling(failure, error));
            }
        }
    }
    Err(failure.unwrap_or(ConnectError::NoServer))
}

/// TCP and TLS to one target.
async fn reach(
    target: &Target,
    domain: &str,
    setup: &TlsSetup,
) -> Result<(TlsStream<TcpStream>, SocketAddr), ConnectError> {
    let tcp = dial::tcp(target).await?;
    let peer = tcp.peer_addr()?;
    let secured = async {
        let tcp = if target.tls == Tls::StartTls {
            start_tls(tcp, domain).await?
        } else {
            tcp
        };
        tls::handshake(setup, tcp, target.tls).await
    };
    Ok((within(TLS_LIMIT, Step::Tls, secured).await?, peer))
}

/// Everything before TLS is untrusted: nothing of it is kept, and nothing may follow `<proceed/>` in the clear,
/// or it would be taken for the server's word (RFC 6120 §5.4.3.3).
async fn start_tls(tcp: TcpStream, domain: &str) -> Result<TcpStream, ConnectError> {
    let mut wire = Wire::open(tcp, domain).await?;
    if !expect_features(&mut wire).await?.has_child("starttls", xml::TLS) {
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

async fn sign_in(
    stream: TlsStream<TcpStream>,
    domain: &str,
    facts: Facts,
    login: &Login,
) -> Result<Connection, ConnectError> {
    let wire = Wire::open(stream, domain).await?;
    establish(wire, domain, facts, login).await
}

fn facts(target: Target, peer: SocketAddr, stream: &TlsStream<TcpStream>) -> Facts {
    let session = stream.get_ref().1;
    Facts {
        target,
        peer,
        proxied: false,
        tls_version: session
            .protocol_version()
            .map(|v| format!("{v:?}"))
            .unwrap_or_default(),
        cipher: session
            .negotiated_cipher_suite()
            .map(|s| format!("{:?}", s.suite()))
            .unwrap_or_default(),
        certificate: None,
        pinned: false,
        authenticated_by: String::new(),
        channel_binding: None,
        sasl2: false,
        bind2: false,
        carbons: false,
        round_trips: 0,
        took: Duration::ZERO,
    }
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

/// Of the failures of several targets the one that got furthest, the earlier among equals.
fn more_telling(before: Option<ConnectError>, now: ConnectError) -> ConnectError {
    let rank = |error: &ConnectError| match error {
        ConnectError::Dns(_) | ConnectError::Timeout(Step::Dns) => 0,
        ConnectError::Unreachable(_) | ConnectError::Timeout(_) => 1,
        ConnectError::Tls(_) | ConnectError::Io(_) | ConnectError::Protocol(_) => 2,
        ConnectError::Certificate { .. } => 4,
        _ => 3,
    };
    match before {
        Some(before) if rank(&before) >= rank(&now) => before,
        _ => now,
    }
}
