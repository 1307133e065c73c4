//! A certificate authority that lives as long as a test.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The years of a certificate that is valid for as long as this code is of interest.
pub const VALID: (i32, i32) = (2020, 2090);

/// An authority that signs certificates for server names.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority with a new key.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key pair");
        let mut params = CertificateParams::new(Vec::new()).expect("no names, so none is bad");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params
            .self_signed(&key)
            .expect("a certificate signed by its own key");
        Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// The authority's own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Certificate and key for a server name, both as PEM.
    pub fn sign(&self, name: &str) -> (String, String) {
        let (params, key) = of(name, VALID);
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("a signed certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// TLS for a server by this name, with a certificate that is valid from January of the first year to January of
    /// the second one.
    pub fn tls(&self, name: &str, years: (i32, i32)) -> Arc<ServerConfig> {
        let (params, key) = of(name, years);
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("a signed certificate");
        config(certificate.der().clone(), &key)
    }

    /// TLS with a certificate that nobody but itself vouches for.
    pub fn self_signed(name: &str) -> Arc<ServerConfig> {
        let (params, key) = of(name, VALID);
        let certificate = params.self_signed(&key).expect("a self-signed certificate");
        config(certificate.der().clone(), &key)
    }
}

fn of(name: &str, years: (i32, i32)) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a valid server name");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    (params, KeyPair::generate().expect("a key pair"))
}

fn config(certificate: CertificateDer<'static>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key in a known form");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the usual versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("key and certificate belong together");
    config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    Arc::new(config)
}
