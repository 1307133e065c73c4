//! The XML as it goes over the wire, for an expert's eyes, with its secrets masked.

use std::sync::Arc;

use minidom::Element;
use tokio::sync::broadcast;

use crate::xml;

/// The longest text that is shown of one element, in bytes.
const LONGEST: usize = 64 * 1024;
/// What stands for a secret.
const MASK: &str = "***";
const REGISTER: &str = "jabber:iq:register";
const OLD_AUTH: &str = "jabber:iq:auth";
const FORM: &str = "jabber:x:data";
const UPLOAD: &str = "urn:xmpp:http:upload:0";

/// Which way something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the server.
    In,
    /// To the server.
    Out,
}

/// One top-level element, or a stream header or footer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which way.
    pub way: Way,
    /// The XML with its secrets masked, at most 64 KiB of it.
    pub xml: Arc<str>,
}

/// Where what is seen goes. While nobody listens, nothing is done.
pub type Tap = broadcast::Sender<Seen>;

/// The tap, if somebody listens.
fn listening(tap: Option<&Tap>) -> Option<&Tap> {
    tap.filter(|tap| tap.receiver_count() > 0)
}

fn show(tap: &Tap, way: Way, xml: &str) {
    let end = xml.floor_char_boundary(LONGEST);
    let xml = Arc::from(xml.get(..end).unwrap_or_default());
    // That the last listener has just left is no matter.
    let _ = tap.send(Seen { way, xml });
}

/// An element came in.
pub(crate) fn received(tap: Option<&Tap>, element: &Element) {
    if let Some(tap) = listening(tap) {
        show(tap, Way::In, &masked(element));
    }
}

/// The server opened the stream.
pub(crate) fn header(tap: Option<&Tap>, from: Option<&str>, id: Option<&str>) {
    if let Some(tap) = listening(tap) {
        let attribute = |name: &str, value: Option<&str>| match value {
            Some(value) => format!(" {name}='{}'", xml::escape(value)),
            None => String::new(),
        };
        let (from, id) = (attribute("from", from), attribute("id", id));
        show(tap, Way::In, &format!("<stream:stream{from}{id}>"));
    }
}

/// The server closed the stream.
pub(crate) fn footer(tap: Option<&Tap>) {
    if let Some(tap) = listening(tap) {
        show(tap, Way::In, "</stream:stream>");
    }
}

/// Something went out: one element, or a stream header, error or footer.
pub(crate) fn sent(tap: Option<&Tap>, xml: &str) {
    let Some(tap) = listening(tap) else { return };
    // Parts of the stream itself are no elements, and hold no secrets.
    if ["<?xml", "<stream:", "</stream:"]
        .iter()
        .any(|part| xml.starts_with(part))
    {
        return show(tap, Way::Out, xml);
    }
    match xml.parse::<Element>() {
        Ok(element) => show(tap, Way::Out, &masked(&element)),
        // Not shown, as its secrets cannot be found.
        Err(_) => show(tap, Way::Out, MASK),
    }
}

/// The element's XML without its secrets.
fn masked(element: &Element) -> String {
    let mut element = element.clone();
    mask(&mut element);
    String::from(&element)
}

/// Masks what is secret in an element and below.
fn mask(element: &mut Element) {
    let (name, ns) = (element.name().to_owned(), element.ns());
    let secret = match ns.as_str() {
        xml::SASL => matches!(name.as_str(), "auth" | "challenge" | "response" | "success"),
        xml::SASL2 => matches!(
            name.as_str(),
            "initial-response" | "additional-data" | "challenge" | "response" | "next" | "task-data"
        ),
        REGISTER | OLD_AUTH => {
            name.contains("password") || matches!(name.as_str(), "digest" | "key" | "hash")
        }
        FORM => name == "field" && is_private(element),
        UPLOAD => name == "header",
        _ => name == "password",
    };
    if secret {
        return hide(element);
    }
    for ((_, name), value) in element.attrs_mut().iter_mut() {
        if matches!(name.as_str(), "token" | "password") {
            MASK.clone_into(value);
        }
    }
    element.children_mut().for_each(mask);
}

/// A form's field for a password (XEP-0004 §3.3).
fn is_private(field: &Element) -> bool {
    field.attr("type") == Some("text-private")
        || field.attr("var").is_some_and(|var| var.contains("password"))
}

/// Masks all text within, and keeps the elements.
fn hide(element: &mut Element) {
    for text in element.texts_mut() {
        MASK.clone_into(text);
    }
    element.children_mut().for_each(hide);
}
