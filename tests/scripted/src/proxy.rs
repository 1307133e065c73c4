//! What proxies have in common: each leads everybody to one port of loopback.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::server::lock;

/// A proxy; its connections end when it is dropped.
pub struct Proxy {
    /// The port on 127.0.0.1.
    pub port: u16,
    asked: Asked,
    task: JoinHandle<()>,
}

/// Where those who were let through wanted to go, as `host:port`.
pub(crate) type Asked = Arc<Mutex<Vec<String>>>;

impl Proxy {
    /// Serves each connection so.
    pub(crate) async fn start<L>(link: impl Fn(TcpStream, Asked) -> L + Send + 'static) -> Self
    where
        L: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener
            .local_addr()
            .expect("a bound listener has an address")
            .port();
        let asked = Asked::default();
        let of_task = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut links = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((client, _)) = accepted else { continue };
                        links.spawn(link(client, Arc::clone(&of_task)));
                    }
                    Some(_) = links.join_next(), if !links.is_empty() => {}
                }
            }
        });
        Self { port, asked, task }
    }

    /// Where those who were let through wanted to go, as `host:port`.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Leads the client to the port, and tells it before that it is there, or that nobody is.
pub(crate) async fn lead(mut client: TcpStream, target: u16, there: &[u8], nobody: &[u8]) -> io::Result<()> {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return client.write_all(nobody).await;
    };
    client.write_all(there).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
