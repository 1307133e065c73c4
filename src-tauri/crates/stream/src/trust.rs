//! Judging a server's certificate: the system's word, then the person's.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::{Certificate, CertificateProblem, Fingerprint};

/// Judges one handshake and remembers how.
#[derive(Debug)]
pub(crate) struct Judge {
    /// None on a machine that knows no authority at all.
    system: Option<Arc<Verifier>>,
    pinned: Option<Fingerprint>,
    algorithms: WebPkiSupportedAlgorithms,
    verdict: OnceLock<Verdict>,
}

/// What was shown, and how it was judged.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) certificate: Option<Certificate>,
    /// Believed only because the person accepted it.
    pub(crate) pinned: bool,
    /// Why it was refused, if it was.
    pub(crate) problem: Option<CertificateProblem>,
}

impl Judge {
    pub(crate) fn new(
        system: Option<Arc<Verifier>>,
        pinned: Option<Fingerprint>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self {
            system,
            pinned,
            algorithms,
            verdict: OnceLock::new(),
        }
    }

    /// None before the server has shown a certificate.
    pub(crate) fn verdict(&self) -> Option<&Verdict> {
        self.verdict.get()
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let outcome = match &self.system {
            Some(system) => system.verify_server_cert(shown, intermediates, name, ocsp, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        let certificate = Certificate::read(shown);
        let mut verdict = Verdict {
            certificate,
            pinned: false,
            problem: None,
        };
        let outcome = outcome.or_else(|error| {
            let problem = problem(&error, verdict.certificate.as_ref());
            if may_be_accepted(&problem) && self.pinned == Some(Fingerprint::of(shown)) {
                verdict.pinned = true;
                Ok(ServerCertVerified::assertion())
            } else {
                verdict.problem = Some(problem);
                Err(error)
            }
        });
        // A handshake shows one certificate.
        self.verdict.get_or_init(|| verdict);
        outcome
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether a person who knows the fingerprint may say that this is their server after all. Not against the issuer's
/// express word, and not where nobody can say what is wrong.
pub(crate) fn may_be_accepted(problem: &CertificateProblem) -> bool {
    match problem {
        CertificateProblem::UnknownIssuer
        | CertificateProblem::WrongName
        | CertificateProblem::Expired
        | CertificateProblem::NotYetValid => true,
        CertificateProblem::Revoked | CertificateProblem::Other(_) => false,
    }
}

fn problem(error: &Error, shown: Option<&Certificate>) -> CertificateProblem {
    let Error::InvalidCertificate(problem) = error else {
        return CertificateProblem::Other(error.to_string());
    };
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
        // The usual way to make a certificate by hand makes it an authority as well, which is what is found fault with
        // first; what matters to the person is that nobody vouches for it.
        CertificateError::Other(_) if shown.is_some_and(|shown| shown.self_signed) => {
            CertificateProblem::UnknownIssuer
        }
        other => CertificateProblem::Other(other.to_string()),
    }
}
