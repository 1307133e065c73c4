//! Asking a web server for a file (RFC 9110, RFC 9112): over TLS only, without saying who asks, and with limits to
//! everything that the server decides.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, LOCATION};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use url::{Host, Url};
use waxwing_stream::{ConnectError, connect_web};

use super::Failure;
use crate::account::Route;
use crate::model::FileFailure;
use crate::xep::file_sharing;

/// The server is sent on at most so often.
const REDIRECTS: usize = 5;
/// How long the head of an answer, or the next piece of its body, may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// A server that sends slower than this, in bytes, for a whole minute, is given up.
const A_MINUTE: u64 = 16 * 1024;
/// Heads are no larger than this, in bytes.
const HEAD: usize = 32 * 1024;

/// A body that is being read.
pub(super) struct Body {
    /// How large it will be, in bytes, if the server says so.
    pub(super) length: Option<u64>,
    rest: Incoming,
    // The connection; it ends with the body.
    _connection: JoinSet<()>,
    since: Instant,
    in_minute: u64,
}

/// Asks for a file. Who may be asked is told by `may_ask`, also for where a server sends us on to.
pub(super) async fn get(url: &Url, route: &Route, may_ask: impl Fn(&str) -> bool) -> Result<Body, Failure> {
    let mut url = url.clone();
    for _ in 0..=REDIRECTS {
        let host = file_sharing::host(&url);
        if !may_ask(&host) {
            return Err(Failure {
                host: Some(host),
                ..Failure::from(FileFailure::Elsewhere)
            });
        }
        let (answer, connection) = ask(&url, &host, route).await?;
        match answer.status() {
            StatusCode::OK => return body(answer, connection),
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => url = sent_on(&url, answer.headers())?,
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(FileFailure::Gone.into()),
            status if status.is_client_error() => return Err(FileFailure::Refused.into()),
            _ => return Err(FileFailure::ServerFailed.into()),
        }
    }
    Err(FileFailure::ServerFailed.into())
}

async fn ask(url: &Url, host: &str, route: &Route) -> Result<(Response<Incoming>, JoinSet<()>), Failure> {
    let name = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Err(FileFailure::ServerFailed.into()),
    };
    let port = url.port_or_known_default().unwrap_or(443);
    let stream = connect_web(&name, port, route.proxy.as_ref(), &route.authorities)
        .await
        .map_err(|error| not_connected(&error))?;
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let request = Request::get(path)
        .header(HOST, host)
        .header(ACCEPT_ENCODING, "identity")
        .body(Empty::<Bytes>::new())
        .map_err(|_| FileFailure::ServerFailed)?;
    let asked = async {
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD)
            .handshake(TokioIo::new(stream))
            .await?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a web server's connection broke");
            }
        });
        Ok::<_, hyper::Error>((sender.send_request(request).await?, task))
    };
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answered)) => Ok(answered),
        Ok(Err(error)) if error.is_parse() => Err(FileFailure::ServerFailed.into()),
        Ok(Err(_)) | Err(_) => Err(FileFailure::Unreachable.into()),
    }
}

fn not_connected(error: &ConnectError) -> Failure {
    tracing::info!(code = error.code(), "a file's server was not reached");
    match error {
        ConnectError::Certificate { .. } => FileFailure::Certificate,
        ConnectError::Proxy(_) | ConnectError::ProxyRefused => FileFailure::ProxyFailed,
        _ => FileFailure::Unreachable,
    }
    .into()
}

fn sent_on(from: &Url, headers: &HeaderMap) -> Result<Url, Failure> {
    let to = headers
        .get(LOCATION)
        .and_then(|to| to.to_str().ok())
        .and_then(|to| from.join(to).ok())
        .ok_or(FileFailure::ServerFailed)?;
    match to.scheme() {
        "https" if to.username().is_empty() && to.password().is_none() && to.has_host() => Ok(to),
        "http" => Err(FileFailure::Insecure.into()),
        _ => Err(FileFailure::ServerFailed.into()),
    }
}

fn body(answer: Response<Incoming>, connection: JoinSet<()>) -> Result<Body, Failure> {
    let headers = answer.headers();
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
    {
        return Err(FileFailure::ServerFailed.into());
    }
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    Ok(Body {
        length,
        rest: answer.into_body(),
        _connection: connection,
        since: Instant::now(),
        in_minute: 0,
    })
}

impl Body {
    /// The next piece; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let frame = timeout(PATIENCE, self.rest.frame())
                .await
                .map_err(|_| FileFailure::Unreachable)?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|_| FileFailure::Truncated)?;
            // What follows a body in pieces is of no interest.
            let Ok(piece) = frame.into_data() else { continue };
            self.in_minute += piece.len() as u64;
            if self.since.elapsed() >= Duration::from_secs(60) {
                if self.in_minute < A_MINUTE {
                    return Err(FileFailure::Unreachable.into());
                }
                (self.since, self.in_minute) = (Instant::now(), 0);
            }
            return Ok(Some(piece));
        }
    }
}
