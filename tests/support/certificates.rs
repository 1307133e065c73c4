//! A certificate authority that lives as long as a test.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

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
        let pem = params
            .self_signed(&key)
            .expect("a certificate signed by its own key")
            .pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// The authority's own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Certificate and key for a server name, both as PEM.
    pub fn sign(&self, server_name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key pair");
        let mut params = CertificateParams::new(vec![server_name.to_owned()]).expect("a valid server name");
        params.distinguished_name.push(DnType::CommonName, server_name);
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("a certificate signed by the authority");
        (certificate.pem(), key.serialize_pem())
    }
}
