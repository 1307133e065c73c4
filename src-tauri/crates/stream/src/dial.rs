//! From a host to a TCP connection: its addresses raced (RFC 8305).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::dns::Names;
use crate::{ConnectError, Step};

/// How long one host may take.
const TCP_LIMIT: Duration = Duration::from_secs(10);
/// The head start of each address before the next (RFC 8305 §8).
const STAGGER: Duration = Duration::from_millis(250);
/// When an address that has not answered is tried anew.
const RENEWAL: Duration = Duration::from_secs(2);
/// The stream asks for signs of life itself; this is for when nobody reads it, and wakes nothing up needlessly.
const KEEPALIVE: Duration = Duration::from_secs(300);
/// Bytes that the other side has not confirmed for so long end the connection. No sign of life is waited for longer.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNCONFIRMED: Duration = Duration::from_secs(45);

/// Opens a TCP connection to a host: all its addresses, each a little after the one before.
pub(crate) async fn tcp(names: &Names, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let addresses = names.addresses(host, port).await?;
    match timeout(TCP_LIMIT, race(addresses)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(ConnectError::Unreachable(error.to_string())),
        Err(_) => Err(ConnectError::Timeout(Step::Tcp)),
    }
}

async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut waiting = addresses.into_iter();
    let mut under_way = FuturesUnordered::new();
    loop {
        let next = waiting.next();
        let more = next.is_some();
        under_way.extend(next.map(persist));
        // Until the head start is over, or an attempt fails and the next need not wait.
        tokio::select! {
            done = under_way.next() => match done {
                Some(Ok(stream)) => {
                    tune(&stream);
                    return Ok(stream);
                }
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = sleep(STAGGER), if more => {}
        }
    }
}

/// Tries one address, and again while the older attempts go on: the system repeats a lost SYN after 1, 3, 7 … seconds
/// only, so that a network that is back would not be noticed for as long.
async fn persist(address: SocketAddr) -> io::Result<TcpStream> {
    let mut attempts = FuturesUnordered::new();
    loop {
        attempts.push(TcpStream::connect(address));
        tokio::select! {
            Some(done) = attempts.next() => return done,
            () = sleep(RENEWAL) => {}
        }
    }
}

/// Sets what a long-lived connection with small stanzas wants; it works without, too.
fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let mut outcomes = vec![
        // Stanzas are small and wait for nothing.
        stream.set_nodelay(true),
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE)),
    ];
    #[cfg(any(target_os = "linux", target_os = "android"))]
    outcomes.push(socket.set_tcp_user_timeout(Some(UNCONFIRMED)));
    for error in outcomes.into_iter().filter_map(Result::err) {
        tracing::debug!(%error, "a socket option could not be set");
    }
}

#[cfg(test)]
mod tests;
