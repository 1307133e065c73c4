//! One connection to an XMPP server: dial, TLS, login, guarded XML stream, stream management.
//!
//! [`connect`] goes the whole way from an address and a password to a bound [`Connection`]. The connection is
//! driven by whoever owns it: there are no tasks and no locks behind it, [`Connection::next`] reads, writes and
//! keeps the time. Stanzas are handed over as [`minidom::Element`], so that the reader decides how much oddity
//! to tolerate.

mod backoff;
mod connection;
mod error;
mod login;

pub use backoff::backoff;
pub use connection::{
    Connection, Facts, Header, Incoming, Resumption, StanzaNumber, Unacknowledged, Violation,
};
pub use error::{
    CaFileError, CertificateProblem, ConnectError, Disconnected, Fatal, Lie, Retry, Step, StreamCondition,
};
pub use login::{Endpoint, Login, Mechanism, Password, Tls, connect, read_ca_file};
pub use minidom::Element;
pub use rustls::pki_types::CertificateDer;
