// Clippy's leave for tests ends at the functions marked as such; here all is test.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::Ipv4Addr;

use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;

use super::*;

/// Nobody answers there: a listener whose queue is full lets SYNs get lost.
struct Deaf {
    listener: TcpListener,
    address: SocketAddr,
    queued: Vec<TcpStream>,
}

impl Deaf {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(Ok(stream)) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
            queued.push(stream);
            assert!(queued.len() < 100, "the queue is never full");
        }
        Self {
            listener,
            address,
            queued,
        }
    }
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_overtaken_after_a_quarter_of_a_second() {
    let deaf = Deaf::new().await;
    let live = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let live = live.local_addr().unwrap();
    tokio::time::pause();
    let start = Instant::now();
    let stream = race(vec![deaf.address, live]).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), live);
    assert!((STAGGER..RENEWAL).contains(&start.elapsed()));
}

#[tokio::test]
async fn an_address_that_hears_again_is_reached_before_the_system_repeats_a_lost_syn() {
    let deaf = Deaf::new().await;
    tokio::time::pause();
    let start = Instant::now();
    let mut racing = std::pin::pin!(race(vec![deaf.address]));
    // The first attempt is under way, and lost.
    assert!(futures::poll!(&mut racing).is_pending());
    for _ in &deaf.queued {
        deaf.listener.accept().await.unwrap();
    }
    let stream = racing.await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), deaf.address);
    // By a clock that only our own waiting moves.
    assert!((RENEWAL..TCP_LIMIT).contains(&start.elapsed()));
}

#[tokio::test]
async fn a_connection_waits_for_nothing_and_notices_its_end() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let stream = race(vec![listener.local_addr().unwrap()]).await.unwrap();
    let socket = SockRef::from(&stream);
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    #[cfg(target_os = "linux")]
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNCONFIRMED));
}
