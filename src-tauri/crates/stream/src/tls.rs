//! TLS with the system's and the given certificate authorities.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{CaFileError, CertificateProblem, ConnectError, Tls};

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
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// Prepares TLS for the account's domain: its name is what the certificate must bear, wherever DNS leads
/// (RFC 6120 §13.7.2.1). Reads the system's certificates from disk, so it goes to the blocking threads.
pub(crate) async fn prepare(
    domain: &str,
    extra_roots: Arc<[CertificateDer<'static>]>,
) -> Result<TlsSetup, ConnectError> {
    let name = server_name(domain).ok_or(ConnectError::NoServer)?;
    let config = tokio::task::spawn_blocking(move || client_config(&extra_roots))
        .await
        .map_err(|error| ConnectError::Tls(error.to_string()))?
        .map_err(|error| tls_error(&error))?;
    Ok(TlsSetup {
        config: Arc::new(config),
        name,
    })
}

fn server_name(domain: &str) -> Option<ServerName<'static>> {
    if let Ok(address) = domain.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Some(ServerName::from(address));
    }
    ServerName::try_from(idna::domain_to_ascii(domain).ok()?).ok()
}

fn client_config(extra_roots: &[CertificateDer<'static>]) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(extra_roots.iter().cloned(), provider.clone())?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous() // What rustls calls any verifier that is not its own; this one is the system's.
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// The handshake.
pub(crate) async fn handshake(
    setup: &TlsSetup,
    tcp: TcpStream,
    tls: Tls,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let mut config = Arc::clone(&setup.config);
    if tls == Tls::Direct {
        // XEP-0368 §3: lets a port be shared with HTTPS.
        Arc::make_mut(&mut config).alpn_protocols = vec![b"xmpp-client".to_vec()];
    }
    let connected = TlsConnector::from(config).connect(setup.name.clone(), tcp).await;
    connected.map_err(|error| handshake_error(&error))
}

fn handshake_error(error: &io::Error) -> ConnectError {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        Some(inner) => tls_error(inner),
        None => ConnectError::Tls(error.to_string()),
    }
}

fn tls_error(error: &rustls::Error) -> ConnectError {
    match error {
        rustls::Error::InvalidCertificate(problem) => ConnectError::Certificate {
            problem: certificate_problem(problem),
            presented: None,
        },
        other => ConnectError::Tls(other.to_string()),
    }
}

fn certificate_problem(problem: &CertificateError) -> CertificateProblem {
    match problem {
        // A bad signature comes of an authority that was made anew under its old name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => CertificateProblem::UnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateProblem::WrongName
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateProblem::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateProblem::NotYetValid
        }
        CertificateError::Revoked => CertificateProblem::Revoked,
        other => CertificateProblem::Other(other.to_string()),
    }
}
