//! A proxy by the method CONNECT (RFC 9110 §9.3.6) that leads everything to one port of loopback.

use std::io;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::server::lock;

/// The proxy; its connections end when it is dropped.
pub struct Tunnel {
    /// The port on 127.0.0.1.
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Tunnel {
    /// Leads those to the port who know the user name and the password (RFC 7617).
    pub async fn guarded(target: u16, user: &str, password: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener
            .local_addr()
            .expect("a bound listener has an address")
            .port();
        let credentials = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let of_task = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut links = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((client, _)) = accepted else { continue };
                        links.spawn(link(client, target, credentials.clone(), Arc::clone(&of_task)));
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

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn link(
    mut client: TcpStream,
    target: u16,
    credentials: String,
    asked: Arc<Mutex<Vec<String>>>,
) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(client.read_u8().await?);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let place = request
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split_once(" HTTP/1.1\r\n"));
    let Some((place, fields)) = place else {
        return client.write_all(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n").await;
    };
    let known = fields.lines().any(|line| {
        let field = line.split_once(": ");
        field.is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("proxy-authorization") && value == credentials
        })
    });
    if !known {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n";
        return client.write_all(refusal).await;
    }
    lock(&asked).push(place.to_owned());
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
    };
    client.write_all(b"HTTP/1.1 200 Go ahead\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
