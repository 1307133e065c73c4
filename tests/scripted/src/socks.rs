//! A proxy by SOCKS5 (RFC 1928, RFC 1929).

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::proxy::{Asked, Proxy, lead};
use crate::server::lock;

/// RFC 1928 §6.
const CONNECTION_REFUSED: u8 = 5;

/// What a proxy does with a connection.
#[derive(Clone)]
struct Rules {
    target: u16,
    /// User name and password, if it wants some.
    credentials: Option<(String, String)>,
}

/// Leads everybody to the port.
pub async fn to(target: u16) -> Proxy {
    start(Rules {
        target,
        credentials: None,
    })
    .await
}

/// Leads those to the port who know the user name and the password.
pub async fn guarded(target: u16, user: &str, password: &str) -> Proxy {
    start(Rules {
        target,
        credentials: Some((user.to_owned(), password.to_owned())),
    })
    .await
}

async fn start(rules: Rules) -> Proxy {
    Proxy::start(move |client, asked| link(client, asked, rules.clone())).await
}

async fn link(mut client: TcpStream, asked: Asked, rules: Rules) -> io::Result<()> {
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
    let nobody = [5, CONNECTION_REFUSED, 0, 1, 0, 0, 0, 0, 0, 0];
    lead(client, rules.target, &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0], &nobody).await
}

/// A text with its length in front.
async fn text(client: &mut TcpStream) -> io::Result<String> {
    let mut text = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut text).await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
