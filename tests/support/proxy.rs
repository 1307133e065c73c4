//! A connection that breaks on command: a TCP proxy on loopback with a closed set of faults.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What the proxy does to its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: bytes pass both ways.
    Pass,
    /// Every connection is reset at once; new ones pass until the next fault.
    Cut,
    /// Every connection is reset once the client has sent this many more bytes over it; what came before is
    /// passed on. Each connection is cut at most once per fault.
    CutAfter(u64),
    /// Nothing passes and nothing is closed.
    Stall,
    /// Connections are reset, and new ones are refused as if nobody listened.
    Refuse,
}

/// The proxy; its connections end when it is dropped.
pub struct Proxy {
    /// The port on 127.0.0.1 to connect to.
    pub port: u16,
    /// The fault with a running number, so that the same fault can be set twice.
    fault: watch::Sender<(u64, Fault)>,
    accepted: Arc<AtomicUsize>,
    changed: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port and passes everything on to the other port.
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener
            .local_addr()
            .expect("a bound listener has an address")
            .port();
        let (fault, faults) = watch::channel((0, Fault::Pass));
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, changed) = watch::channel(0);
        let task = tokio::spawn(serve(
            listener,
            port,
            target,
            faults,
            Arc::clone(&accepted),
            count,
        ));
        Self {
            port,
            fault,
            accepted,
            changed,
            task,
        }
    }

    /// Does this from now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_modify(|(number, current)| {
            *number += 1;
            *current = fault;
        });
    }

    /// How many connections have been accepted so far.
    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Watches for more connections than `count`; true if one comes before the limit.
    pub async fn more_connections_than(&mut self, count: usize, limit: Duration) -> bool {
        let grown = self.changed.wait_for(|seen| *seen > count);
        matches!(tokio::time::timeout(limit, grown).await, Ok(Ok(_)))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    port: u16,
    target: u16,
    mut faults: watch::Receiver<(u64, Fault)>,
    accepted: Arc<AtomicUsize>,
    count: watch::Sender<usize>,
) {
    let mut links = JoinSet::new();
    let mut listener = Some(listener);
    loop {
        let refusing = faults.borrow_and_update().1 == Fault::Refuse;
        if refusing && listener.take().is_some() {
            // A bound socket that does not listen keeps the port and lets the kernel refuse.
            let held = bind(port).await;
            while faults.borrow_and_update().1 == Fault::Refuse {
                if faults.changed().await.is_err() {
                    return;
                }
            }
            listener = Some(held.listen(64).expect("the port is ours"));
        }
        let Some(open) = listener.as_ref() else { return };
        tokio::select! {
            changed = faults.changed() => if changed.is_err() { return },
            connection = open.accept() => {
                let Ok((client, _)) = connection else { continue };
                let number = accepted.fetch_add(1, Ordering::SeqCst) + 1;
                count.send_replace(number);
                links.spawn(link(client, target, faults.clone()));
            }
            Some(_) = links.join_next(), if !links.is_empty() => {}
        }
    }
}

/// Takes the port, as soon as no process that is just being started holds a copy of the old socket any more.
async fn bind(port: u16) -> TcpSocket {
    loop {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an unbound socket");
        if socket.bind(SocketAddr::from(([127, 0, 0, 1], port))).is_ok() {
            return socket;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Passes bytes between the two sides until one closes or a fault ends it.
async fn link(mut client: TcpStream, target: u16, mut faults: watch::Receiver<(u64, Fault)>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    // A cut that was ordered before this connection came is not for it; one after some bytes is.
    let mut budget = match faults.borrow_and_update().1 {
        Fault::CutAfter(bytes) => Some(bytes),
        _ => None,
    };
    let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    loop {
        let stalled = faults.borrow().1 == Fault::Stall;
        tokio::select! {
            biased;
            changed = faults.changed() => {
                let fault = faults.borrow_and_update().1;
                if changed.is_err() || matches!(fault, Fault::Cut | Fault::Refuse) {
                    return reset(&client, &server);
                }
                budget = match fault { Fault::CutAfter(bytes) => Some(bytes), _ => None };
            }
            read = client.read(&mut up), if !stalled => {
                let length = read.unwrap_or(0);
                let allowed = budget.map_or(length, |left| length.min(usize::try_from(left).unwrap_or(usize::MAX)));
                let passed = up.get(..allowed).unwrap_or_default();
                if length == 0 || server.write_all(passed).await.is_err() {
                    return;
                }
                if let Some(left) = budget.as_mut() {
                    *left -= allowed as u64;
                    if *left == 0 {
                        return reset(&client, &server);
                    }
                }
            }
            read = server.read(&mut down), if !stalled => {
                let length = read.unwrap_or(0);
                if length == 0 || client.write_all(down.get(..length).unwrap_or_default()).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Makes both ends see a reset instead of a close once they are dropped.
fn reset(client: &TcpStream, server: &TcpStream) {
    let _ = (client.set_zero_linger(), server.set_zero_linger());
}
