//! A SOCKS5 proxy (RFC 1928, RFC 1929) that leads everything to one port of loopback.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::server::lock;

/// The proxy; its connections end when it is dropped.
pub struct Socks {
    /// The port on 127.0.0.1.
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

/// What a proxy does with a connection.
#[derive(Clone)]
struct Rules {
    target: u16,
    /// User name and password, if it wants some.
    credentials: Option<(String, String)>,
}

impl Socks {
    /// Leads everybody to the port.
    pub async fn to(target: u16) -> Self {
        Self::start(Rules {
            target,
            credentials: None,
        })
        .await
    }

    /// Leads those to the port who know the user name and the password.
    pub async fn guarded(target: u16, user: &str, password: &str) -> Self {
        Self::start(Rules {
            target,
            credentials: Some((user.to_owned(), password.to_owned())),
        })
        .await
    }

    async fn start(rules: Rules) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener
            .local_addr()
            .expect("a bound listener has an address")
            .port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let of_task = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut links = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((client, _)) = accepted else { continue };
                        links.spawn(link(client, rules.clone(), Arc::clone(&of_task)));
                    }
                    Some(_) = links.join_next(), if !links.is_empty() => {}
                }
            }
        });
        Self { port, asked, task }
    }

    /// Where it was asked to go, as `host:port`.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

impl Drop for Socks {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn link(mut client: TcpStream, rules: Rules, asked: Arc<Mutex<Vec<String>>>) -> io::Result<()> {
    let methods = client.read_u16().await?.to_be_bytes()[1];
    let mut offered = vec![0; methods.into()];
    client.read_exact(&mut offered).await?;
    let method = u8::from(rules.credentials.is_some()) * 2;
    if !offered.contains(&method) {
        return client.write_all(&[5, 0xff]).await;
    }
    client.write_all(&[5, method]).await?;
    if let Some((user, password)) = &rules.credentials {
        client.read_u8().await?;
        let given = (text(&mut client).await?, text(&mut client).await?);
        let right = given == (user.clone(), password.clone());
        client.write_all(&[1, u8::from(!right)]).await?;
        if !right {
            return Ok(());
        }
    }
    let mut request = [0; 4];
    client.read_exact(&mut request).await?;
    let host = match request[3] {
        1 => std::net::Ipv4Addr::from(client.read_u32().await?).to_string(),
        3 => text(&mut client).await?,
        _ => std::net::Ipv6Addr::from(client.read_u128().await?).to_string(),
    };
    let port = client.read_u16().await?;
    lock(&asked).push(format!("{host}:{port}"));
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", rules.target)).await else {
        // Connection refused.
        return client.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]).await;
    };
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// A text with its length in front.
async fn text(client: &mut TcpStream) -> io::Result<String> {
    let mut text = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut text).await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
