//! A scripted XMPP server on loopback, for what a real one will not do.
//!
//! [`Honest`] is a server as it should be: TLS, SCRAM, bind, stream management with resumption, a roster and a friend
//! who answers; one of today if it is to be ([`Modern`]), with an archive if it is to have one ([`Archive`]), and with
//! nodes that keep what is published ([`Nodes`]). A test says at which [`Point`] it does something else ([`Act`]), on the
//! first connection or on all of them. Everything that clients say is kept, for each connection, and what they said before TLS apart.
//! [`Server::run`] takes any other script.

mod archive;
mod authority;
mod honest;
mod login;
mod nodes;
mod peer;
mod proxy;
mod scram;
mod server;
mod session;
pub mod socks;
mod told;
pub mod tunnel;

pub use archive::{Archive, Kept, Question, end, end_of, fin, refused};
pub use authority::{Authority, VALID, self_signed, tls};
pub use honest::{Act, Begins, Honest, Point};
pub use login::Modern;
pub use nodes::{Nodes, Stored};
pub use peer::{Gone, Peer, Played, Said};
pub use proxy::Proxy;
pub use scram::{Exchange, Hash, Proof, Scram, protection};
pub use server::{Heard, Server};
pub use told::names_told;

/// The server's stream header, up to its features.
pub fn header(domain: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
         id='s' from='{domain}' version='1.0'>"
    )
}

/// Stream features that offer these SASL mechanisms (RFC 6120 §6).
pub fn mechanisms(names: &[&str]) -> String {
    let names = format!("<mechanism>{}</mechanism>", names.join("</mechanism><mechanism>"));
    format!(
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{names}</mechanisms></stream:features>"
    )
}

/// A stream error (RFC 6120 §4.9) and the end of the stream.
pub fn stream_error(condition: &str) -> String {
    let namespace = "urn:ietf:params:xml:ns:xmpp-streams";
    format!(
        "<stream:error><{condition} xmlns='{namespace}'/><text xmlns='{namespace}'>because</text></stream:error>\
         </stream:stream>"
    )
}

/// Text for an attribute value or between tags.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&apos;")
}

/// The id of a stanza; empty if it has none.
pub fn id_of(stanza: &str) -> String {
    let stanza: Option<minidom::Element> = stanza.parse().ok();
    let id = stanza.as_ref().and_then(|stanza| stanza.attr("id"));
    id.unwrap_or_default().to_owned()
}
