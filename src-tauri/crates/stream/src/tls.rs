//! TLS for the account's domain.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, ClientConfig, PeerMisbehaved};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::trust::{Judge, Verdict, may_be_accepted};
use crate::{CaFileError, Certificate, ConnectError, Fingerprint, Trust};

/// Reads the certificates of a PEM file.
pub fn read_ca_file(path: impl AsRef<Path>) -> Result<Vec<CertificateDer<'static>>, CaFileError> {
    read_authorities(&std::fs::read(path)?)
}

/// Reads the certificates of a text in PEM.
pub fn read_authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CaFileError> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, PemError>>();
    let certificates = certificates.map_err(|_| CaFileError::NotPem)?;
    if certificates.is_empty() {
        Err(CaFileError::Empty)
    } else {
        Ok(certificates)
    }
}

/// What every target of one attempt shares.
pub(crate) struct TlsSetup {
    provider: Arc<CryptoProvider>,
    system: Option<Arc<Verifier>>,
    pinned: Option<Fingerprint>,
    name: ServerName<'static>,
}

/// A stream inside TLS, and whose it is.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) certificate: Option<Certificate>,
    /// Believed only because the person accepted it.
    pub(crate) pinned: bool,
}

/// Why there is no TLS.
pub(crate) enum Refused {
    /// The server minds that we name the protocol.
    Alpn,
    Else(ConnectError),
}

/// Prepares TLS for the account's domain: its name is what the certificate must bear, wherever DNS leads
/// (RFC 6120 §13.7.2.1). Reads the system's certificates from disk, so it goes to the blocking threads.
pub(crate) async fn prepare(domain: &str, trust: &Trust) -> Result<TlsSetup, ConnectError> {
    let name = server_name(domain).ok_or(ConnectError::NoServer)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (authorities, shared) = (Arc::clone(&trust.authorities), Arc::clone(&provider));
    let system = tokio::task::spawn_blocking(move || verifier(&authorities, shared))
        .await
        .map_err(|error| ConnectError::Tls(error.to_string()))?
        .map_err(|error| ConnectError::Tls(error.to_string()))?;
    Ok(TlsSetup {
        provider,
        system: system.map(Arc::new),
        pinned: trust.pinned,
        name,
    })
}

fn server_name(domain: &str) -> Option<ServerName<'static>> {
    if let Ok(address) = domain.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Some(ServerName::from(address));
    }
    ServerName::try_from(idna::domain_to_ascii(domain).ok()?).ok()
}

fn verifier(
    authorities: &[CertificateDer<'static>],
    provider: Arc<CryptoProvider>,
) -> Result<Option<Verifier>, rustls::Error> {
    match Verifier::new_with_extra_roots(authorities.iter().cloned(), provider) {
        Ok(verifier) => Ok(Some(verifier)),
        // A machine without any authority can still be told by a person whom to believe.
        Err(error) if authorities.is_empty() => {
            tracing::warn!(%error, "the system believes nobody");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// XMPP by its name in TLS (XEP-0368 §3).
pub(crate) const XMPP: &[u8] = b"xmpp-client";
/// HTTP/1.1 by its name in TLS (RFC 7301 §6).
pub(crate) const HTTP: &[u8] = b"http/1.1";

/// The handshake; with `protocol` it says which one will be spoken, so that a port can be shared.
pub(crate) async fn handshake(
    setup: &TlsSetup,
    tcp: TcpStream,
    protocol: Option<&[u8]>,
) -> Result<Secured, Refused> {
    let algorithms = setup.provider.signature_verification_algorithms;
    let judge = Arc::new(Judge::new(setup.system.clone(), setup.pinned, algorithms));
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&setup.provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Refused::Else(ConnectError::Tls(error.to_string())))?
        .dangerous() // What rustls calls any verifier that is not its own.
        .with_custom_certificate_verifier(Arc::clone(&judge) as Arc<_>)
        .with_no_client_auth();
    // A resumed session shows no certificate to judge, and its ticket would tell accounts' connections to be one person's.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = protocol.map(<[u8]>::to_vec).into_iter().collect();
    let connected = TlsConnector::from(Arc::new(config))
        .connect(setup.name.clone(), tcp)
        .await;
    let verdict = judge.verdict().cloned();
    match connected {
        Ok(stream) => Ok(Secured {
            stream,
            pinned: verdict.as_ref().is_some_and(|verdict| verdict.pinned),
            certificate: verdict.and_then(|verdict| verdict.certificate),
        }),
        Err(error) => Err(refused(&error, verdict)),
    }
}

fn refused(error: &io::Error, verdict: Option<Verdict>) -> Refused {
    if let Some(Verdict {
        certificate,
        problem: Some(problem),
        ..
    }) = verdict
    {
        return Refused::Else(ConnectError::Certificate {
            presented: certificate.filter(|_| may_be_accepted(&problem)).map(Box::new),
            problem,
        });
    }
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
            | rustls::Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol),
        ) => Refused::Alpn,
        _ => Refused::Else(ConnectError::Tls(error.to_string())),
    }
}
