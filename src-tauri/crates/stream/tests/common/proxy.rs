//! A wire that can swallow bytes and be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    pub(crate) port: u16,
    holes: Arc<AtomicBool>,
    cuts: watch::Sender<u32>,
}

impl Proxy {
    /// Forwards to a port on this machine.
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let holes = Arc::new(AtomicBool::new(false));
        let (cuts, cut) = watch::channel(0);
        let shared = Arc::clone(&holes);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let ((client_read, client_write), (server_read, server_write)) =
                    (client.into_split(), server.into_split());
                let mut cut = cut.clone();
                cut.mark_unchanged();
                tokio::spawn(forward(
                    client_read,
                    server_write,
                    Arc::clone(&shared),
                    cut.clone(),
                ));
                tokio::spawn(forward(server_read, client_write, Arc::clone(&shared), cut));
            }
        });
        Self { port, holes, cuts }
    }

    /// From now on bytes vanish, both ways.
    pub(crate) fn swallow(&self) {
        self.holes.store(true, Ordering::SeqCst);
    }

    /// Ends every connection; later ones work again.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
        self.holes.store(false, Ordering::SeqCst);
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    holes: Arc<AtomicBool>,
    mut cut: watch::Receiver<u32>,
) {
    let mut buffer = vec![0; 4096];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = cut.changed() => return,
        };
        let Ok(length @ 1..) = read else { return };
        if !holes.load(Ordering::SeqCst) && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
