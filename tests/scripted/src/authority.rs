//! A certificate authority that lives as long as a test.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SupportedProtocolVersion};

/// The years of a certificate that is valid for as long as this code is of interest.
pub const VALID: (i32, i32) = (2020, 2090);

/// An authority that signs certificates for server names.
pub struct Authority {
    certificate: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new("Waxwing test authority")
    }
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
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// The authority's own certificate.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// The authority's own certificate as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Certificate and key for a server name, both as PEM.
    pub fn sign(&self, name: &str) -> (String, String) {
        let (certificate, key) = self.issue(name, VALID);
        (certificate.pem(), key.serialize_pem())
    }

    /// A certificate for a server name with its key, valid from January of the first year to January of the second.
    pub fn issue(&self, name: &str, years: (i32, i32)) -> (Certificate, KeyPair) {
        self.issue_as(name, years, IsCa::NoCa)
    }

    /// As [`Authority::issue`], but for another authority, which is no server.
    pub fn issue_authority(&self, name: &str) -> (Certificate, KeyPair) {
        self.issue_as(name, VALID, IsCa::Ca(BasicConstraints::Unconstrained))
    }

    fn issue_as(&self, name: &str, years: (i32, i32), what: IsCa) -> (Certificate, KeyPair) {
        let (params, key) = of(name, years, what);
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("a signed certificate");
        (certificate, key)
    }

    /// TLS for a server by this name, with a certificate that is valid from January of the first year to January of
    /// the second one.
    pub fn tls(&self, name: &str, years: (i32, i32)) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue(name, years);
        tls(certificate.der(), &key, rustls::ALL_VERSIONS)
    }

    /// TLS with a certificate that nobody but itself vouches for.
    pub fn self_signed(name: &str) -> Arc<ServerConfig> {
        let (certificate, key) = self_signed(name, VALID, false);
        tls(certificate.der(), &key, rustls::ALL_VERSIONS)
    }
}

/// A certificate that nobody vouches for. Those that `openssl req -x509` makes are authorities as well.
pub fn self_signed(name: &str, years: (i32, i32), authority: bool) -> (Certificate, KeyPair) {
    let what = if authority {
        IsCa::Ca(BasicConstraints::Unconstrained)
    } else {
        IsCa::NoCa
    };
    let (params, key) = of(name, years, what);
    (params.self_signed(&key).expect("a self-signed certificate"), key)
}

/// TLS by a server that shows this certificate, whether or not the key is the one in it.
pub fn tls(
    certificate: &CertificateDer<'static>,
    key: &KeyPair,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key in a known form");
    let key = provider.key_provider.load_private_key(key).expect("a usable key");
    let shown = CertifiedKey::new(vec![certificate.clone()], key);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("the provider has these versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    Arc::new(config)
}

fn of(name: &str, years: (i32, i32), what: IsCa) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a valid server name");
    params.is_ca = what;
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    (params, KeyPair::generate().expect("a key pair"))
}
