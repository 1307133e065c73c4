//! What the elements of a message mean, and where each of them counts: in the open, beside something encrypted, or
//! inside of it (XEP-0420).

use jiff::{SignedDuration, Timestamp};
use minidom::Element;
use waxwing_omemo::{Profile, sce};

use super::{Inbound, JABBER_BEGINS, Text};
use crate::model::{BareJid, Direction};
use crate::xep::element::attribute;
use crate::xep::file_sharing::{self, SharedFile};
use crate::xep::trust_message::{self, Word};
use crate::xep::{aesgcm, eme, fallback, ns};

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
    /// A file is offered (XEP-0447, XEP-0454).
    File(SharedFile),
    /// XEP-0434: the sending device says which keys are whose.
    Vouches(Vec<Word>),
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
            ("file-sharing", ns::FILE_SHARING) => Self::File(file_sharing::read(element)?),
            ("trust-message", ns::TRUST_MESSAGES) => Self::Vouches(trust_message::read(element)?),
            _ => return None,
        };
        part.counts(place).then_some(part)
    }

    fn counts(&self, place: Place) -> bool {
        match place {
            Place::Inside => true,
            // The key of a file that stands in the open protects nothing; and what is said of keys there, anybody on the way
            // could say (XEP-0450).
            Place::Open => !matches!(self, Self::File(_) | Self::Vouches(_)),
            // The body is a note for those who cannot read the message.
            Place::BesideText => !matches!(self, Self::Body(_) | Self::File(_) | Self::Vouches(_)),
            // XEP-0420, business rules: what is sensitive and stands outside must be ignored, since anybody on the way
            // could have put it there. To ask for an answer says nothing, and all clients do it out here.
            Place::BesideContent => matches!(self, Self::ReceiptWanted | Self::Markable),
        }
    }
}

/// A message tells of so many files at most.
const FILES: usize = 30;

/// What the elements of a message say; of each kind the first one counts, but for files.
pub(crate) fn parts<'a>(elements: impl IntoIterator<Item = &'a Element>, place: Place) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for part in elements
        .into_iter()
        .filter_map(|element| Part::read(element, place))
    {
        let kind = std::mem::discriminant(&part);
        let most = if matches!(part, Part::File(_)) { FILES } else { 1 };
        if parts
            .iter()
            .filter(|other| std::mem::discriminant(*other) == kind)
            .count()
            < most
        {
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
            (Part::Body(_) | Part::ReceiptWanted | Part::Markable | Part::File(_) | Part::Vouches(_), _) => {
                None
            }
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
        let mut parts = parts(&envelope.content, Place::Inside);
        if parts.iter().any(|part| matches!(part, Part::File(_))) {
            leave_out_stand_in(&mut parts, &envelope.content);
        }
        Self {
            parts: parts.into_iter().map(or_linked_file).collect(),
            sealed_at: envelope.time.as_deref().and_then(|time| time.parse().ok()),
        }
    }

    /// A text that was encrypted by itself.
    pub(crate) fn text(body: String) -> Self {
        Self {
            parts: vec![or_linked_file(Part::Body(body))],
            sealed_at: None,
        }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &SharedFile> {
        self.parts.iter().filter_map(|part| match part {
            Part::File(file) => Some(file),
            _ => None,
        })
    }

    pub(crate) fn body(&self) -> Option<&str> {
        self.parts.iter().find_map(|part| match part {
            Part::Body(body) => Some(body.as_str()),
            _ => None,
        })
    }

    /// What its device says of keys.
    pub(crate) fn words(&self) -> &[Word] {
        self.parts
            .iter()
            .find_map(|part| match part {
                Part::Vouches(words) => Some(words.as_slice()),
                _ => None,
            })
            .unwrap_or_default()
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

/// A text that is the link to a file and nothing else is that file (XEP-0454 §4).
fn or_linked_file(part: Part) -> Part {
    match part {
        Part::Body(body) => aesgcm::read(&body).map_or(Part::Body(body), Part::File),
        part => part,
    }
}

/// Leaves out of the text what stands there for those who do not know of shared files: as it is marked (XEP-0428), or
/// a link to the file and nothing else.
fn leave_out_stand_in(parts: &mut Vec<Part>, content: &[Element]) {
    parts.retain_mut(|part| {
        let Part::Body(body) = part else { return true };
        let link = ["https://", "aesgcm://"]
            .iter()
            .any(|scheme| body.starts_with(scheme));
        match fallback::without(body, content, ns::FILE_SHARING) {
            Some(left) if !link || left.contains(char::is_whitespace) => {
                *body = left;
                true
            }
            _ => false,
        }
    });
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
