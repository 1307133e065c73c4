//! Stanza content encryption (XEP-0420): the envelope that omemo:2 seals.

use minidom::Element;
use minidom::rxml::RawReader;
use minidom::tree_builder::TreeBuilder;
use thiserror::Error;

use crate::Entropy;
use crate::entropy::pick;
use crate::xml::{attribute, is_writable};

/// The XML namespace of envelopes.
pub const NAMESPACE: &str = "urn:xmpp:sce:1";

/// An opened envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// The children of `<content/>` that are allowed inside; others were dropped.
    pub content: Vec<Element>,
    /// When it was sealed, as the sender says (the raw XEP-0082 text).
    pub time: Option<String>,
    /// Whom it was sealed for, if it says so.
    pub to: Option<String>,
    /// Who sealed it, checked against the stanza.
    pub from: String,
}

/// Why an envelope was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SceError {
    /// Not the XML of an envelope, or beyond the limits of size and depth.
    #[error("malformed envelope: {0}")]
    Malformed(&'static str),
    /// It names another sender than the stanza, or none.
    #[error("the envelope is from somebody else")]
    WrongFrom,
    /// It was sealed for somebody else.
    #[error("the envelope is for somebody else")]
    WrongTo,
}

impl SceError {
    /// A stable, machine-readable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::WrongFrom => "envelope-wrong-from",
            Self::WrongTo => "envelope-wrong-to",
        }
    }
}

/// Elements may be nested this deep, the envelope being the first.
const MAX_DEPTH: usize = 32;
/// An envelope may have this many parse events (element heads, attributes, texts, ends).
const MAX_EVENTS: usize = 100_000;
/// Padding has up to this many characters (XEP-0420 §5.2).
const MAX_PADDING: usize = 200;

/// The bytes of an envelope to seal: `content` with random padding, `now` (unix seconds) and both bare addresses.
/// Fails only if a text in it holds characters that XML cannot.
pub fn build(
    content: Vec<Element>,
    from: &str,
    to: &str,
    now: i64,
    rng: &mut impl Entropy,
) -> Result<Vec<u8>, SceError> {
    if !content.iter().all(is_writable_element) || !is_writable(from) || !is_writable(to) {
        return Err(SceError::Malformed("characters"));
    }
    let part = |name: &str| Element::builder(name, NAMESPACE);
    let envelope = part("envelope")
        .append(part("content").append_all(content).build())
        .append(part("rpad").append(padding(rng)).build())
        .append(part("time").attr(attribute("stamp"), timestamp(now)).build())
        .append(part("from").attr(attribute("jid"), from).build())
        .append(part("to").attr(attribute("jid"), to).build())
        .build();
    let mut bytes = Vec::new();
    envelope
        .write_to(&mut bytes)
        .map_err(|_| SceError::Malformed("characters"))?;
    Ok(bytes)
}

/// Whether all texts of an element can be written; without recursion.
fn is_writable_element(element: &Element) -> bool {
    let mut waiting = vec![element];
    while let Some(element) = waiting.pop() {
        let attributes = element.attrs().iter().all(|(_, value)| is_writable(value));
        if !attributes || !element.texts().all(is_writable) {
            return false;
        }
        waiting.extend(element.children());
    }
    true
}

fn padding(rng: &mut impl Entropy) -> String {
    let mut letters = vec![0; pick(MAX_PADDING + 1, rng).unwrap_or(0)];
    rng.fill(&mut letters);
    letters.iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}

/// Reads an envelope and checks it against the stanza: `from` must name the bare address `expected_from`; `to`,
/// if there, must name `expected_to` (for a carbon of our own message that is the other person). `rpad` may be missing:
/// it hides the length on the way, and what came this far has been measured already.
pub fn parse(bytes: &[u8], expected_from: &str, expected_to: &str) -> Result<Envelope, SceError> {
    let mut envelope = read_xml(bytes)?;
    if !envelope.is("envelope", NAMESPACE) {
        return Err(SceError::Malformed("root element"));
    }
    if PARTS.into_iter().any(|name| is_repeated(&envelope, name)) {
        return Err(SceError::Malformed("repeated part"));
    }
    let address = |name| {
        envelope
            .get_child(name, NAMESPACE)
            .map(|affix| affix.attr("jid").unwrap_or_default().to_owned())
    };
    let (from, to) = (address("from"), address("to"));
    let time = envelope
        .get_child("time", NAMESPACE)
        .and_then(|time| time.attr("stamp"))
        .map(str::to_owned);
    let from = from
        .filter(|from| is_same_bare(from, expected_from))
        .ok_or(SceError::WrongFrom)?;
    if to.as_deref().is_some_and(|to| !is_same_bare(to, expected_to)) {
        return Err(SceError::WrongTo);
    }
    let mut content = envelope
        .remove_child("content", NAMESPACE)
        .ok_or(SceError::Malformed("content"))?;
    let content = content
        .take_contents_as_children()
        .filter(allowed_inside)
        .collect();
    Ok(Envelope {
        content,
        time,
        to,
        from,
    })
}

/// What an envelope is made of, each at most once; what else stands in it is ignored (XEP-0420 §5).
const PARTS: [&str; 5] = ["content", "rpad", "time", "from", "to"];

fn is_repeated(envelope: &Element, name: &str) -> bool {
    envelope
        .children()
        .filter(|part| part.is(name, NAMESPACE))
        .nth(1)
        .is_some()
}

/// Compares without the resource, and without regard to ASCII case, as addresses are by then.
fn is_same_bare(address: &str, expected: &str) -> bool {
    let bare = |jid: &str| jid.split('/').next().unwrap_or_default().to_ascii_lowercase();
    let address = bare(address);
    !address.is_empty() && address == bare(expected)
}

/// Parses with bounded depth and work. The tree builder and the tree itself recurse, so depth is checked before.
fn read_xml(bytes: &[u8]) -> Result<Element, SceError> {
    let wrong = SceError::Malformed("XML");
    let mut reader = RawReader::new(bytes);
    let mut tree = TreeBuilder::new();
    for _ in 0..MAX_EVENTS {
        let Some(event) = reader.read().map_err(|_| wrong)? else {
            return tree.root.take().ok_or(wrong);
        };
        tree.process_event(event).map_err(|_| wrong)?;
        if tree.depth() > MAX_DEPTH {
            return Err(SceError::Malformed("depth"));
        }
    }
    Err(SceError::Malformed("size"))
}

/// XEP-0082 in UTC.
fn timestamp(now: i64) -> String {
    let (days, seconds) = (now.div_euclid(86_400), now.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The Gregorian date of a day counted from 1970-01-01. Years are taken to begin in March, so that the leap day is
/// the last one of its year.
const fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_IN_400_YEARS: i64 = 146_097;
    // From 0000-03-01.
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(DAYS_IN_400_YEARS);
    let day_of_era = days.rem_euclid(DAYS_IN_400_YEARS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Namespaces that servers and archives speak, or that wrap other messages: nothing of them is believed from
/// inside an envelope (XEP-0420 §4).
const NEVER_INSIDE: [&str; 14] = [
    NAMESPACE,
    "eu.siacs.conversations.axolotl",
    "http://jabber.org/protocol/address",
    "http://jabber.org/protocol/muc#user",
    "http://jabber.org/protocol/pubsub#event",
    "jabber:x:delay",
    "urn:xmpp:carbons:2",
    "urn:xmpp:delay",
    "urn:xmpp:eme:0",
    "urn:xmpp:forward:0",
    "urn:xmpp:hints",
    "urn:xmpp:mam:2",
    "urn:xmpp:omemo:2",
    "urn:xmpp:sid:0",
];

/// Namespaces of what may be read in the open beside an encrypted message, because servers must read or write it.
const OUTSIDE: [&str; 11] = [
    "eu.siacs.conversations.axolotl",
    "http://jabber.org/protocol/address",
    "http://jabber.org/protocol/muc#user",
    "jabber:x:delay",
    "urn:xmpp:carbons:2",
    "urn:xmpp:delay",
    "urn:xmpp:eme:0",
    "urn:xmpp:hints",
    "urn:xmpp:occupant-id:0",
    "urn:xmpp:omemo:2",
    "urn:xmpp:sid:0",
];

/// Whether an element may stand in an envelope. What only servers may say or must read does not belong there.
pub fn allowed_inside(element: &Element) -> bool {
    !NEVER_INSIDE.contains(&element.ns().as_str())
}

/// Whether an element may be believed that stands in the stanza next to `<encrypted/>`, unencrypted. A body there
/// is only the notice for those who cannot decrypt, and never shown.
pub fn allowed_outside(element: &Element) -> bool {
    OUTSIDE.contains(&element.ns().as_str())
}
