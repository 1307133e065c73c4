//! A connection that is slow, or breaks on command: a TCP proxy on loopback with a closed set of faults.

use std::collections::{HashSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// So many connections wait to be accepted at most.
const BACKLOG: u32 = 16;
/// So many bytes are under way in one direction at most.
const UNDER_WAY: usize = 256 * 1024;

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
    /// The same once the server has sent this many more bytes.
    CutBackAfter(u64),
    /// Every connection there is becomes a black hole for good: what either side says is lost, neither is told, and
    /// neither learns that the other one left. New connections pass.
    Drop,
    /// Bytes pass one by one.
    Split,
    /// Nothing passes and nothing is closed; new connections are accepted and as silent.
    Stall,
    /// The network is gone: nothing passes, and who connects hears nothing, not even that nobody listens.
    Silence,
    /// Connections are reset, and new ones are refused as if nobody listened.
    Refuse,
}

/// The proxy; its connections end when it is dropped.
pub struct Proxy {
    /// The port to connect to; on 127.0.0.1, unless it listens elsewhere.
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
        Self::slow(target, Duration::ZERO).await
    }

    /// The same over a long way: a round trip takes so long, also the one that opens a connection.
    pub async fn slow(target: u16, round_trip: Duration) -> Self {
        let anywhere = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        Self::listening(anywhere, target, round_trip).await
    }

    /// Listens at this address of loopback and passes everything on to a port of 127.0.0.1.
    pub async fn at(address: SocketAddrV4, target: u16) -> Self {
        Self::listening(address, target, Duration::ZERO).await
    }

    async fn listening(address: SocketAddrV4, target: u16, round_trip: Duration) -> Self {
        let socket = bind(address).await;
        let listener = socket.listen(BACKLOG).expect("a bound socket");
        let port = listener
            .local_addr()
            .expect("a bound listener has an address")
            .port();
        let (fault, faults) = watch::channel((0, Fault::Pass));
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, changed) = watch::channel(0);
        let way = Way {
            address: SocketAddrV4::new(*address.ip(), port),
            target,
            round_trip,
        };
        let task = tokio::spawn(serve(listener, way, faults, Arc::clone(&accepted), count));
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

    /// Does this for a while, and then nothing, unless it is told something else before.
    pub fn set_for(&self, fault: Fault, duration: Duration) {
        self.set(fault);
        let sender = self.fault.clone();
        let number = sender.borrow().0;
        tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            sender.send_if_modified(|(current, fault)| {
                let still = *current == number;
                if still {
                    (*current, *fault) = (number + 1, Fault::Pass);
                }
                still
            });
        });
    }

    /// What it does now.
    pub fn fault(&self) -> Fault {
        self.fault.borrow().1
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

/// From where to where, and how long that is.
#[derive(Clone, Copy)]
struct Way {
    address: SocketAddrV4,
    target: u16,
    round_trip: Duration,
}

type Faults = watch::Receiver<(u64, Fault)>;

async fn serve(
    listener: TcpListener,
    way: Way,
    mut faults: Faults,
    accepted: Arc<AtomicUsize>,
    count: watch::Sender<usize>,
) {
    let mut links = JoinSet::new();
    let mut listener = Some(listener);
    let mut fillers = HashSet::new();
    loop {
        let fault = faults.borrow_and_update().1;
        if fault == Fault::Refuse && listener.take().is_some() {
            // A bound socket that does not listen keeps the port and lets the kernel refuse.
            let held = bind(way.address).await;
            if !another(&mut faults, fault).await {
                return;
            }
            listener = Some(held.listen(BACKLOG).expect("the port is ours"));
        }
        if fault == Fault::Silence {
            // While its queue is full the kernel ignores whoever wants to connect.
            let queue = fill(way.address).await;
            fillers = queue
                .iter()
                .filter_map(|filler| filler.local_addr().ok())
                .collect();
            if !another(&mut faults, fault).await {
                return;
            }
        }
        let Some(open) = listener.as_ref() else { return };
        tokio::select! {
            changed = faults.changed() => if changed.is_err() { return },
            connection = open.accept() => {
                let Ok((client, peer)) = connection else { continue };
                if fillers.remove(&peer) {
                    continue;
                }
                let number = accepted.fetch_add(1, Ordering::SeqCst) + 1;
                count.send_replace(number);
                links.spawn(link(client, way, faults.clone()));
            }
            Some(_) = links.join_next(), if !links.is_empty() => {}
        }
    }
}

/// Waits until there is another fault than this. False if the proxy is gone.
async fn another(faults: &mut Faults, than: Fault) -> bool {
    while faults.borrow_and_update().1 == than {
        if faults.changed().await.is_err() {
            return false;
        }
    }
    true
}

/// Connects until nobody answers any more.
async fn fill(address: SocketAddrV4) -> Vec<TcpStream> {
    let mut queue = Vec::new();
    for _ in 0..=BACKLOG + 1 {
        let connecting = TcpStream::connect(address);
        match tokio::time::timeout(Duration::from_millis(100), connecting).await {
            Ok(Ok(filler)) => queue.push(filler),
            _ => break,
        }
    }
    queue
}

/// Takes the address, with any port if that is 0, as soon as no process that is just being started holds a copy of the
/// old socket any more.
async fn bind(address: SocketAddrV4) -> TcpSocket {
    loop {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an unbound socket");
        if socket.bind(address.into()).is_ok() {
            return socket;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What is under way in one direction, with the time at which it arrives; nothing is the end.
#[derive(Default)]
struct UnderWay {
    bytes: usize,
    ended: bool,
    pieces: VecDeque<(Instant, Vec<u8>)>,
}

impl UnderWay {
    fn has_room(&self) -> bool {
        !self.ended && self.bytes < UNDER_WAY
    }

    fn push(&mut self, at: Instant, piece: &[u8]) {
        self.bytes += piece.len();
        self.ended = piece.is_empty();
        self.pieces.push_back((at, piece.to_vec()));
    }

    /// The next piece, once it has arrived.
    async fn next(&mut self) -> Vec<u8> {
        match self.pieces.front() {
            // The clock of the runtime is a coarse one: what is due is not put to sleep.
            Some((at, _)) if *at <= Instant::now() => {}
            Some((at, _)) => tokio::time::sleep_until(*at).await,
            None => std::future::pending().await,
        }
        let (_, piece) = self.pieces.pop_front().expect("there is a first one");
        self.bytes -= piece.len();
        piece
    }
}

/// How many bytes may pass each way before the connection is reset.
struct Budget {
    up: Option<u64>,
    down: Option<u64>,
}

impl Budget {
    fn of(fault: Fault) -> Self {
        let mut budget = Self { up: None, down: None };
        match fault {
            Fault::CutAfter(bytes) => budget.up = Some(bytes),
            Fault::CutBackAfter(bytes) => budget.down = Some(bytes),
            _ => {}
        }
        budget
    }
}

/// What becomes of a connection after a piece.
#[derive(PartialEq)]
enum Passed {
    On,
    Closed,
    Exhausted,
}

/// Passes bytes between the two sides until one closes or a fault ends it.
async fn link(mut client: TcpStream, way: Way, mut faults: Faults) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", way.target)).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    // A fault that was ordered before this connection came is not for it; one after some bytes is.
    let mut budget = Budget::of(faults.borrow_and_update().1);
    // On loopback the connection stands at once; over a long way the client would wait for that.
    let delay = way.round_trip / 2;
    let opened = Instant::now() + way.round_trip;
    let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let (mut upward, mut downward) = (UnderWay::default(), UnderWay::default());
    loop {
        let fault = faults.borrow().1;
        let passes = !matches!(fault, Fault::Stall | Fault::Silence);
        let passed = tokio::select! {
            biased;
            changed = faults.changed() => {
                let fault = faults.borrow_and_update().1;
                if changed.is_err() || matches!(fault, Fault::Cut | Fault::Refuse) {
                    return reset(&client, &server);
                }
                if fault == Fault::Drop {
                    return swallow(client, server, faults).await;
                }
                budget = Budget::of(fault);
                Passed::On
            }
            piece = upward.next(), if passes => pass(&mut server, &piece, fault, &mut budget.up).await,
            piece = downward.next(), if passes => pass(&mut client, &piece, fault, &mut budget.down).await,
            read = client.read(&mut up), if passes && upward.has_room() => {
                let at = Instant::now().max(opened) + delay;
                upward.push(at, up.get(..read.unwrap_or(0)).unwrap_or_default());
                Passed::On
            }
            read = server.read(&mut down), if passes && downward.has_room() => {
                downward.push(Instant::now() + delay, down.get(..read.unwrap_or(0)).unwrap_or_default());
                Passed::On
            }
        };
        match passed {
            Passed::On => {}
            Passed::Closed => return,
            Passed::Exhausted => return reset(&client, &server),
        }
    }
}

/// Writes a piece, or as much of it as may pass.
async fn pass(to: &mut TcpStream, piece: &[u8], fault: Fault, budget: &mut Option<u64>) -> Passed {
    let length = piece.len();
    let allowed = budget.map_or(length, |left| {
        length.min(usize::try_from(left).unwrap_or(usize::MAX))
    });
    let passed = piece.get(..allowed).unwrap_or_default();
    let written = if fault == Fault::Split {
        one_by_one(to, passed).await
    } else {
        to.write_all(passed).await
    };
    if length == 0 || written.is_err() {
        return Passed::Closed;
    }
    if let Some(left) = budget {
        *left -= allowed as u64;
        if *left == 0 {
            return Passed::Exhausted;
        }
    }
    Passed::On
}

/// Each byte in a packet of its own; whoever listens gets a chance to take it before the next one.
async fn one_by_one(to: &mut TcpStream, piece: &[u8]) -> std::io::Result<()> {
    for byte in piece {
        to.write_all(std::slice::from_ref(byte)).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Reads what both say and tells nobody, not even that one has left, until both have or all are reset.
async fn swallow(mut client: TcpStream, mut server: TcpStream, mut faults: Faults) {
    let (mut nowhere, mut neither) = (tokio::io::sink(), tokio::io::sink());
    let both = async {
        tokio::join!(
            tokio::io::copy(&mut client, &mut nowhere),
            tokio::io::copy(&mut server, &mut neither),
        )
    };
    tokio::select! {
        _ = both => {}
        _ = faults.wait_for(|(_, fault)| matches!(fault, Fault::Cut | Fault::Refuse)) => {}
    }
    reset(&client, &server);
}

/// Makes both ends see a reset instead of a close once they are dropped.
fn reset(client: &TcpStream, server: &TcpStream) {
    let _ = (client.set_zero_linger(), server.set_zero_linger());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SHORT, until};

    const AWHILE: Duration = Duration::from_millis(300);

    /// A server that says everything back.
    async fn echo() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut input, mut output) = socket.split();
                    let _ = tokio::io::copy(&mut input, &mut output).await;
                });
            }
        });
        port
    }

    async fn connect(proxy: &Proxy) -> TcpStream {
        let connecting = TcpStream::connect(("127.0.0.1", proxy.port));
        let connected = tokio::time::timeout(SHORT, connecting).await;
        connected.expect("in time").expect("the proxy listens")
    }

    async fn say_and_hear(socket: &mut TcpStream) {
        socket.write_all(b"x").await.expect("the socket takes a byte");
        hear(socket).await;
    }

    async fn hear(socket: &mut TcpStream) {
        let heard = tokio::time::timeout(SHORT, socket.read_u8()).await;
        assert_eq!(heard.expect("in time").expect("a byte"), b'x');
    }

    #[tokio::test]
    async fn over_a_long_way_opening_and_each_answer_take_a_round_trip() {
        let round_trip = Duration::from_millis(200);
        let proxy = Proxy::slow(echo().await, round_trip).await;
        let begun = Instant::now();
        let mut socket = connect(&proxy).await;
        say_and_hear(&mut socket).await;
        let opened_and_answered = begun.elapsed();
        assert!(opened_and_answered >= round_trip * 2, "{opened_and_answered:?}");
        let begun = Instant::now();
        say_and_hear(&mut socket).await;
        let answered = begun.elapsed();
        assert!(answered >= round_trip, "{answered:?}");
    }

    #[tokio::test]
    async fn in_silence_nobody_is_answered_and_afterwards_everything_goes_on() {
        let proxy = Proxy::to(echo().await).await;
        let mut old = connect(&proxy).await;
        say_and_hear(&mut old).await;
        proxy.set(Fault::Silence);
        until("nobody can connect", SHORT, async || {
            let connecting = TcpStream::connect(("127.0.0.1", proxy.port));
            tokio::time::timeout(AWHILE, connecting).await.err()
        })
        .await;
        old.write_all(b"x").await.expect("the socket takes a byte");
        let heard = tokio::time::timeout(AWHILE, old.read_u8()).await;
        assert!(heard.is_err(), "{heard:?}");
        proxy.set(Fault::Pass);
        hear(&mut old).await;
        say_and_hear(&mut connect(&proxy).await).await;
    }

    #[tokio::test]
    async fn a_connection_is_cut_after_so_many_bytes_of_the_server() {
        let proxy = Proxy::to(echo().await).await;
        let mut socket = connect(&proxy).await;
        say_and_hear(&mut socket).await;
        proxy.set(Fault::CutBackAfter(3));
        let mut heard = Vec::new();
        socket.write_all(b"abcdef").await.expect("the socket takes bytes");
        let end = tokio::time::timeout(SHORT, socket.read_to_end(&mut heard)).await;
        let cut = end.expect("in time").expect_err("a reset");
        assert_eq!(cut.kind(), std::io::ErrorKind::ConnectionReset);
        assert!(b"abc".starts_with(&heard), "{heard:?}");
    }

    #[tokio::test]
    async fn a_dropped_connection_stays_silent_for_good_and_new_ones_pass() {
        let proxy = Proxy::to(echo().await).await;
        let mut old = connect(&proxy).await;
        say_and_hear(&mut old).await;
        proxy.set_for(Fault::Drop, AWHILE);
        until("the fault is over", SHORT, async || {
            (proxy.fault() == Fault::Pass).then_some(())
        })
        .await;
        old.write_all(b"x").await.expect("the socket takes a byte");
        let heard = tokio::time::timeout(AWHILE, old.read_u8()).await;
        assert!(heard.is_err(), "{heard:?}");
        say_and_hear(&mut connect(&proxy).await).await;
        proxy.set(Fault::Cut);
        let end = tokio::time::timeout(SHORT, old.read_u8()).await;
        assert!(end.expect("in time").is_err());
    }

    #[tokio::test]
    async fn what_is_split_arrives_whole() {
        let proxy = Proxy::to(echo().await).await;
        let mut socket = connect(&proxy).await;
        proxy.set(Fault::Split);
        let said: Vec<u8> = (0..20_000_u32).map(|n| (n % 251) as u8).collect();
        socket.write_all(&said).await.expect("the socket takes bytes");
        let mut heard = vec![0; said.len()];
        let all = tokio::time::timeout(SHORT, socket.read_exact(&mut heard)).await;
        all.expect("in time").expect("all of it");
        assert_eq!(heard, said);
    }
}
