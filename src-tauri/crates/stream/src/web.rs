//! A connection to a web server, for the files that messages point to (RFC 9110 §4.2.2).

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::dns::Names;
use crate::tls::{self, Refused};
use crate::{ConnectError, Proxy, Step, Target, Tls, Trust, dial, proxy};

/// How long the handshake may take.
const TLS_LIMIT: Duration = Duration::from_secs(20);

/// Connects to a web server by its host's name or IP literal: through the proxy if there is one, which then is the only
/// one that learns the name. Its certificate is judged by the system's authorities and by these; no person's exception
/// counts, since that is for the account's own server.
pub async fn connect_web(
    host: &str,
    port: u16,
    through: Option<&Proxy>,
    authorities: &Arc<[CertificateDer<'static>]>,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let names = Names::addresses_only();
    let tcp = match through {
        Some(through) => {
            let target = Target {
                host: host.to_owned(),
                port,
                tls: Tls::Direct,
            };
            proxy::tcp(through, &names, &target).await?
        }
        None => dial::tcp(&names, host, port).await?,
    };
    let trust = Trust {
        authorities: Arc::clone(authorities),
        pinned: None,
    };
    let setup = tls::prepare(host, &trust).await?;
    match timeout(TLS_LIMIT, tls::handshake(&setup, tcp, Some(tls::HTTP))).await {
        Ok(Ok(secured)) => Ok(secured.stream),
        Ok(Err(Refused::Else(error))) => Err(error),
        Ok(Err(Refused::Alpn)) => Err(ConnectError::Tls("it does not speak HTTP/1.1".to_owned())),
        Err(_) => Err(ConnectError::Timeout(Step::Tls)),
    }
}
