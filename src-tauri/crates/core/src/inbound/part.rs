//! What the elements of a message mean, and where each of them counts: in the open, beside something encrypted, or
//! inside of it (XEP-0420).

use jiff::{SignedDuration, Timestamp};
use minidom::Element;
use waxwing_omemo::{Profile, sce};

use super::{Inbound, JABBER_BEGINS, Text};
use crate::model::{BareJid, Direction};
use crate::xep::element::attribute;
use crate::xep::{eme, ns};

/// One thing that a message says. A closed set: whatever else it holds is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// RFC 6121 §5.2.3.
    Body(String),
    /// XEP-0184: a receipt is wanted.
    ReceiptWanted,
    /// XEP-0184: the message with this stanza id arrived.
    Received { id: String },
    /// XEP-0333: its sender wants to know when it was read.
    Markable,
    /// XEP-0333: the message with this stanza id was seen, and with it all before it.
    Displayed { id: String },
}

/// Where an element stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a message that nobody says is encrypted.
    Open,
    /// Beside an encrypted text: whatever else is said stands in the open, since nothing else could be encrypted.
    BesideText,
    /// Beside encrypted content, which whatever is said belongs in.
    BesideContent,
    /// In encrypted content.
    Inside,
}

impl Place {
    /// Where the children of a message stand.
    pub(crate) fn of_children(stanza: &Element) -> Self {
        let encrypted = |profile: Profile| stanza.has_child("encrypted", profile.namespace());
        if encrypted(Profile::Omemo2) {
            Self::BesideContent
        } else if encrypted(Profile::Legacy) || eme::read(stanza).is_some() {
            Self::BesideText
        } else {
            Self::Open
        }
    }
}

impl Part {
    fn read(element: &Element, place: Place) -> Option<Self> {
        let id = || attribute(element, "id").map(str::to_owned);
        let part = match (element.name(), element.ns().as_str()) {
            ("body", ns::JABBER_CLIENT) => Self::Body(Some(element.text()).filter(|text| !text.is_empty())?),
            ("request", ns::RECEIPTS) => Self::ReceiptWanted,
            ("received", ns::RECEIPTS) => Self::Received { id: id()? },
            ("markable", ns::CHAT_MARKERS) => Self::Markable,
            ("displayed", ns::CHAT_MARKERS) => Self::Displayed { id: id()? },
            _ => return None,
        };
        part.counts(place).then_some(part)
    }

    fn counts(&self, place: Place) -> bool {
        match place {
            Place::Open | Place::Inside => true,
            // A note for those who cannot read the message.
            Place::BesideText => !matches!(self, Self::Body(_)),
            // XEP-0420, business rules: what is sensitive and stands outside must be ignored, since anybody on the way
            // could have put it there. To ask for an answer says nothing, and all clients do it out here.
            Place::BesideContent => matches!(self, Self::ReceiptWanted | Self::Markable),
        }
    }
}

/// What the elements of a message say; of each kind the first one counts.
pub(crate) fn parts<'a>(elements: impl IntoIterator<Item = &'a Element>, place: Place) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for part in elements
        .into_iter()
        .filter_map(|element| Part::read(element, place))
    {
        let kind = std::mem::discriminant(&part);
        if parts.iter().all(|other| std::mem::discriminant(other) != kind) {
            parts.push(part);
        }
    }
    parts
}

/// What a message says of other messages. `with` is whose chat it belongs to.
pub(crate) fn said(parts: &[Part], with: &BareJid, direction: Direction) -> Vec<Inbound> {
    let with = || with.clone();
    parts
        .iter()
        .filter_map(|part| match (part, direction) {
            (Part::Received { id }, Direction::In) => Some(Inbound::Receipt {
                from: with(),
                id: id.clone(),
            }),
            (Part::Received { id }, Direction::Out) => Some(Inbound::ReceiptElsewhere {
                with: with(),
                id: id.clone(),
            }),
            (Part::Displayed { id }, Direction::In) => Some(Inbound::Displayed {
                from: with(),
                id: id.clone(),
            }),
            (Part::Displayed { id }, Direction::Out) => Some(Inbound::ReadElsewhere {
                with: with(),
                id: id.clone(),
            }),
            (Part::Body(_) | Part::ReceiptWanted | Part::Markable, _) => None,
        })
        .collect()
}

/// The content of an opened envelope, which counts as if it stood in the stanza itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inside {
    pub(crate) parts: Vec<Part>,
    /// When it was encrypted, as its sender says.
    pub(crate) sealed_at: Option<Timestamp>,
}

impl Inside {
    /// Reads an envelope that was checked against its stanza.
    pub(crate) fn read(envelope: &sce::Envelope) -> Self {
        Self {
            parts: parts(&envelope.content, Place::Inside),
            sealed_at: envelope.time.as_deref().and_then(|time| time.parse().ok()),
        }
    }

    /// A text that was encrypted by itself.
    pub(crate) fn text(body: String) -> Self {
        Self {
            parts: vec![Part::Body(body)],
            sealed_at: None,
        }
    }

    pub(crate) fn body(&self) -> Option<&str> {
        self.parts.iter().find_map(|part| match part {
            Part::Body(body) => Some(body.as_str()),
            _ => None,
        })
    }

    /// What the content adds to its message. Gives what it says of other messages.
    pub(crate) fn add_to(&self, text: &mut Text) -> Vec<Inbound> {
        let received = text.direction == Direction::In;
        text.receipt_wanted |= received && self.parts.contains(&Part::ReceiptWanted);
        text.markable |= received && self.parts.contains(&Part::Markable) && text.stanza_id.is_some();
        text.sent_at = sent_at(text.sent_at, self.sealed_at);
        said(&self.parts, &text.chat, text.direction)
    }
}

/// Clocks and time zones that are set wrong are off by less.
const HELD_BACK: SignedDuration = SignedDuration::from_hours(24);

/// When a message was sent: as the server tells, unless it was encrypted long before. Then it was held back on its way,
/// which nobody there may hide.
fn sent_at(told: Timestamp, sealed_at: Option<Timestamp>) -> Timestamp {
    sealed_at
        .filter(|sealed| sealed.as_second() >= JABBER_BEGINS && told.duration_since(*sealed) > HELD_BACK)
        .unwrap_or(told)
}
