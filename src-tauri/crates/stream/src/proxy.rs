//! Through a proxy: SOCKS5 (RFC 1928, RFC 1929) and CONNECT (RFC 9110 §9.3.6). Names are the proxy's to look up.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::dns::Names;
use crate::targets::host_name;
use crate::{ConnectError, Password, Proxy, ProxyKind, Step, Target, dial, xml};

/// How long the proxy may take to reach the target; circuits through Tor are slow to build.
const LIMIT: Duration = Duration::from_secs(30);
/// What an HTTP proxy may say before the tunnel begins.
const HEAD: usize = 16 * 1024;
const HEADERS: usize = 64;

/// A TCP connection to the target, by way of the proxy. Only the proxy's own name, if it has one, is looked up here.
pub(crate) async fn tcp(proxy: &Proxy, names: &Names, target: &Target) -> Result<TcpStream, ConnectError> {
    let host = host_name(&target.host).ok_or(ConnectError::NoServer)?;
    let dialled = dial::tcp(names, &proxy.host, proxy.port).await;
    let mut stream = dialled.map_err(|error| ConnectError::Proxy(error.to_string()))?;
    let asked = async {
        match proxy.kind {
            ProxyKind::Socks5 => socks5(&mut stream, &host, target.port, proxy.credentials.as_ref()).await,
            ProxyKind::HttpConnect => {
                connect(&mut stream, &host, target.port, proxy.credentials.as_ref()).await
            }
        }
    };
    match timeout(LIMIT, asked).await {
        Ok(Ok(())) => Ok(stream),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ConnectError::Timeout(Step::Tcp)),
    }
}

type Credentials = (String, Password);

async fn say(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), ConnectError> {
    stream.write_all(bytes).await.map_err(broken)
}

async fn hear<const N: usize>(stream: &mut TcpStream) -> Result<[u8; N], ConnectError> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(broken)?;
    Ok(bytes)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: std::io::Error) -> ConnectError {
    ConnectError::Proxy(error.to_string())
}

fn garbled(what: &str) -> ConnectError {
    ConnectError::Proxy(what.to_owned())
}

/// Length and bytes, as SOCKS writes a string.
fn counted(bytes: &mut Vec<u8>, text: &str) -> Option<()> {
    bytes.push(u8::try_from(text.len()).ok().filter(|length| *length > 0)?);
    bytes.extend_from_slice(text.as_bytes());
    Some(())
}

async fn socks5(
    stream: &mut TcpStream,
    host: &str,
    port: u16,
    credentials: Option<&Credentials>,
) -> Result<(), ConnectError> {
    let methods: &[u8] = if credentials.is_some() {
        &[5, 2, 0, 2]
    } else {
        &[5, 1, 0]
    };
    say(stream, methods).await?;
    match (hear(stream).await?, credentials) {
        ([5, 0], _) => {}
        ([5, 2], Some(credentials)) => identify(stream, credentials).await?,
        ([5, 0xff], _) => return Err(ConnectError::ProxyRefused),
        _ => return Err(garbled("it does not speak SOCKS5")),
    }
    say(stream, &request(host, port).ok_or(ConnectError::NoServer)?).await?;
    let [version, reply, _, kind] = hear(stream).await?;
    if version != 5 {
        return Err(garbled("it does not speak SOCKS5"));
    }
    if reply != 0 {
        return Err(socks5_failure(reply));
    }
    // Where it connected from, which is of no use.
    match kind {
        1 => hear::<6>(stream).await.map(drop),
        4 => hear::<18>(stream).await.map(drop),
        3 => {
            let [length] = hear(stream).await?;
            for _ in 0..u16::from(length) + 2 {
                hear::<1>(stream).await?;
            }
            Ok(())
        }
        _ => Err(garbled("it does not speak SOCKS5")),
    }
}

/// RFC 1929.
async fn identify(stream: &mut TcpStream, (user, password): &Credentials) -> Result<(), ConnectError> {
    let mut message = Zeroizing::new(Vec::with_capacity(3 + 2 * 255));
    message.push(1);
    // What does not fit cannot be right.
    counted(&mut message, user).ok_or(ConnectError::ProxyRefused)?;
    counted(&mut message, password.expose()).ok_or(ConnectError::ProxyRefused)?;
    say(stream, &message).await?;
    match hear(stream).await? {
        [_, 0] => Ok(()),
        _ => Err(ConnectError::ProxyRefused),
    }
}

/// CONNECT to a name, or to an address where there is no name.
fn request(host: &str, port: u16) -> Option<Vec<u8>> {
    let mut bytes = vec![5, 1, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            bytes.push(1);
            bytes.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            bytes.push(4);
            bytes.extend_from_slice(&address.octets());
        }
        Err(_) => {
            bytes.push(3);
            counted(&mut bytes, host)?;
        }
    }
    bytes.extend_from_slice(&port.to_be_bytes());
    Some(bytes)
}

/// RFC 1928 §6, and what Tor adds from 0xf0 on.
fn socks5_failure(reply: u8) -> ConnectError {
    let unreachable = |text: &str| ConnectError::Unreachable(format!("the proxy says: {text}"));
    match reply {
        1 => unreachable("general failure"),
        3 => unreachable("network unreachable"),
        4 => unreachable("host unreachable"),
        5 => unreachable("connection refused"),
        6 => unreachable("time is up"),
        0xf0..=0xff => unreachable("no such onion service, or not now"),
        2 => garbled("its rules do not allow it"),
        _ => garbled("it cannot do that"),
    }
}

async fn connect(
    stream: &mut TcpStream,
    host: &str,
    port: u16,
    credentials: Option<&Credentials>,
) -> Result<(), ConnectError> {
    let authority = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let authorization = match credentials {
        Some(credentials) => basic(credentials)?,
        None => Zeroizing::default(),
    };
    // With room for all, so that no copy of the password is left behind by growing.
    let mut head = Zeroizing::new(String::with_capacity(1024 + authorization.len()));
    for part in ["CONNECT ", &authority, " HTTP/1.1\r\nHost: ", &authority, "\r\n"] {
        head.push_str(part);
    }
    head.push_str(&authorization);
    head.push_str("\r\n");
    say(stream, head.as_bytes()).await?;
    let mut heard = Vec::new();
    loop {
        if let Some((status, words, rest)) = response(&heard)? {
            match status {
                // RFC 9110 §15.2: an interim answer, the final one follows.
                100..=199 => heard = rest,
                // The server speaks second, so nothing can have come from it.
                200..=299 if rest.is_empty() => return Ok(()),
                200..=299 => return Err(garbled("it spoke before it was asked")),
                other => return Err(http_failure(other, &words)),
            }
            continue;
        }
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer).await.map_err(broken)? {
            0 => return Err(garbled("it hung up")),
            length => heard.extend(buffer.iter().take(length)),
        }
        if heard.len() > HEAD {
            return Err(garbled("its answer is too long"));
        }
    }
}

/// The header with user name and password (RFC 7617), with its line's end.
fn basic((user, password): &Credentials) -> Result<Zeroizing<String>, ConnectError> {
    // A colon would end the name.
    if user.contains(':') {
        return Err(ConnectError::ProxyRefused);
    }
    let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
    let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    Ok(Zeroizing::new(format!(
        "Proxy-Authorization: Basic {}\r\n",
        *encoded
    )))
}

/// Status, reason and what follows the head; none as long as it is not complete.
fn response(heard: &[u8]) -> Result<Option<(u16, String, Vec<u8>)>, ConnectError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(heard) {
        Ok(httparse::Status::Complete(length)) => {
            let words = xml::excerpt(response.reason.unwrap_or_default());
            let rest = heard.get(length..).unwrap_or_default().to_vec();
            Ok(Some((response.code.unwrap_or_default(), words, rest)))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(garbled("it does not speak HTTP")),
    }
}

fn http_failure(status: u16, words: &str) -> ConnectError {
    match status {
        407 => ConnectError::ProxyRefused,
        // RFC 9110 §15.6.3 to §15.6.5: it tried, and the target was not there.
        502..=504 => ConnectError::Unreachable(format!("the proxy says: {status} {words}")),
        _ => ConnectError::Proxy(format!("{status} {words}")),
    }
}
