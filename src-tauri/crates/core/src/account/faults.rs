//! What went wrong with a connection, in the codes that the window acts on.

use waxwing_stream::{CertificateProblem, ConnectError, Disconnected, StreamCondition};

use crate::error::{Code, Fault};
use crate::live::WeakerLogin;

/// What a failed attempt to connect is for the person. `pinned`: the person accepted a certificate before.
pub(super) fn of_connect(error: &ConnectError, pinned: bool) -> Fault {
    let code = match error {
        ConnectError::Dns(_) | ConnectError::NoServer | ConnectError::HostUnknown => Code::ServerNotFound,
        ConnectError::Unreachable(_) | ConnectError::Io(_) => Code::Unreachable,
        ConnectError::BrokenOff(_) => Code::Disconnected,
        ConnectError::Timeout(_) => Code::Timeout,
        ConnectError::Certificate {
            problem,
            presented: Some(_),
        } if pinned && *problem != CertificateProblem::Revoked => Code::CertificateChanged,
        ConnectError::Certificate { problem, .. } => match problem {
            CertificateProblem::UnknownIssuer => Code::CertificateUnknownIssuer,
            CertificateProblem::WrongName => Code::CertificateWrongName,
            CertificateProblem::Expired | CertificateProblem::NotYetValid => Code::CertificateExpired,
            CertificateProblem::Revoked | CertificateProblem::Other(_) => Code::CertificateInvalid,
        },
        ConnectError::Proxy(_) => Code::ProxyFailed,
        ConnectError::ProxyRefused => Code::ProxyRefused,
        ConnectError::Tls(_) => Code::TlsFailed,
        ConnectError::NoEncryption => Code::TlsUnavailable,
        ConnectError::WrongPassword => Code::WrongPassword,
        ConnectError::AccountDisabled => Code::AccountDisabled,
        ConnectError::Downgrade { .. } => Code::LoginWeakened,
        ConnectError::PlainOnly => Code::PlainOnly,
        ConnectError::NoMechanism => Code::LoginUnsupported,
        ConnectError::ServerLied(_) => Code::ServerUntrustworthy,
        ConnectError::ResourceConflict => Code::Conflict,
        ConnectError::Policy(_) => Code::PolicyViolation,
        ConnectError::TemporaryAuthFailure => Code::ServerBusy,
        ConnectError::Stream { condition, .. } => of_condition(condition),
        ConnectError::Protocol(_) => Code::StreamFailed,
    };
    Fault::new(code, error.to_string())
}

/// What a lost connection is for the person.
pub(super) fn of_loss(lost: &Disconnected) -> Fault {
    let code = match lost {
        Disconnected::Stream { condition, .. } => of_condition(condition),
        Disconnected::Closed | Disconnected::Io(_) | Disconnected::Silent => Code::Disconnected,
        Disconnected::Broken(_) | Disconnected::AckAhead { .. } => Code::StreamFailed,
    };
    Fault::new(code, lost.to_string())
}

fn of_condition(condition: &StreamCondition) -> Code {
    match condition {
        StreamCondition::Conflict => Code::Conflict,
        StreamCondition::PolicyViolation => Code::PolicyViolation,
        StreamCondition::SystemShutdown | StreamCondition::Reset => Code::ServerShutdown,
        StreamCondition::ResourceConstraint => Code::ServerBusy,
        StreamCondition::NotAuthorized => Code::WrongPassword,
        StreamCondition::HostGone | StreamCondition::HostUnknown => Code::ServerNotFound,
        StreamCondition::ConnectionTimeout => Code::Disconnected,
        StreamCondition::SeeOtherHost(_) | StreamCondition::Other(_) => Code::StreamFailed,
    }
}

/// The refused login that the person may allow.
pub(super) fn weaker_login(error: &ConnectError) -> Option<WeakerLogin> {
    match error {
        ConnectError::PlainOnly => Some(WeakerLogin { plain: true }),
        ConnectError::Downgrade { offered, .. } => Some(WeakerLogin {
            plain: *offered == waxwing_stream::Mechanism::Plain,
        }),
        _ => None,
    }
}
