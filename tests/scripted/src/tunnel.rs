//! A proxy by the method CONNECT (RFC 9110 §9.3.6).

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::proxy::{Asked, Proxy, lead};
use crate::server::lock;

/// Leads those to the port who know the user name and the password (RFC 7617).
pub async fn guarded(target: u16, user: &str, password: &str) -> Proxy {
    let credentials = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    Proxy::start(move |client, asked| link(client, asked, target, credentials.clone())).await
}

async fn link(mut client: TcpStream, asked: Asked, target: u16, credentials: String) -> io::Result<()> {
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
    let (there, nobody) = (
        b"HTTP/1.1 200 Go ahead\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
    );
    lead(client, target, there, nobody).await
}
