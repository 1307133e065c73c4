//! One connection to an XMPP server: dial, TLS, login, guarded XML stream, stream management.
//!
//! [`connect`] goes the whole way from an address and a password to a bound [`Connection`]. The connection is
//! driven by whoever owns it: there are no tasks and no locks behind it, [`Connection::next`] reads, writes and
//! keeps the time. Stanzas are handed over as [`minidom::Element`], so that the reader decides how much oddity
//! to tolerate.

// The servers of the integration tests serve some unit tests as well, and know this crate by its name.
#[cfg(test)]
extern crate self as waxwing_stream;

mod address;
mod auth;
mod backoff;
mod binding;
mod certificate;
mod connect;
mod connection;
mod dial;
mod dns;
mod draw;
mod error;
mod fast;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod hash;
mod ledger;
mod lexer;
mod link;
mod login;
mod offer;
mod proxy;
mod sasl2;
mod scram;
mod session;
mod start;
mod tap;
mod targets;
mod tls;
mod trust;
mod web;
mod wire;
mod xml;

pub use address::{BoundAddress, NotBound};
pub use backoff::{backoff, pause};
pub use certificate::{Certificate, Fingerprint};
pub use connect::{connect, invalidate_token};
pub use connection::{Connection, Facts, Header, Incoming, StanzaNumber, Unacknowledged, Violation};
pub use error::{
    CaFileError, CertificateProblem, ConnectError, Disconnected, Fatal, Lie, Retry, Step, StreamCondition,
};
pub use ledger::{Resumption, StoredSession};
pub use login::{
    Endpoint, FastToken, Login, Mechanism, Password, Proxy, ProxyKind, Target, Tls, TokenNews, Trust,
};
pub use minidom::Element;
pub use rustls::pki_types::CertificateDer;
pub use tap::{Seen, Tap, Way};
pub use tls::{read_authorities, read_ca_file};
pub use web::connect_web;
