//! Messages: who wrote them, in which chat, and what they hold.

use jiff::Timestamp;
use minidom::Element;
use waxwing_omemo::{Profile, xml};

use super::part::{Part, Place, parts, said};
use super::{Content, Context, Inbound, Sender, Text, archive};
use crate::error::{Code, Fault};
use crate::model::Direction;
use crate::xep::element::attribute;
use crate::xep::{displayed, eme, ns, pubsub, stanza_error};

pub(super) fn read(stanza: &Element, context: &Context<'_>) -> Vec<Inbound> {
    // Without a sender it is from our own account (RFC 6120 §8.1.2.1).
    let from = match attribute(stanza, "from") {
        Some(from) => match Sender::read(from) {
            Some(from) => from,
            None => return Vec::new(),
        },
        None => Sender {
            bare: context.own.clone(),
            resource: None,
        },
    };
    if stanza.has_child("result", ns::MAM) {
        return archive::read(stanza, &from, context);
    }
    if let Some((inner, direction)) = carbon(stanza) {
        // XEP-0280 §11: only from our own bare address, else anybody could put words into anybody's mouth.
        if from.bare != *context.own || from.resource.is_some() {
            tracing::warn!("a carbon copy from somebody else was refused");
            return Vec::new();
        }
        return carbon_copy(inner, direction, context);
    }
    match stanza.attr("type") {
        Some("error") => bounce(stanza, from).into_iter().collect(),
        // Rooms and their private messages are not part of one-to-one chats.
        Some("groupchat") => Vec::new(),
        _ if stanza.has_child("event", ns::PUBSUB_EVENT) => event(stanza, from, context),
        Some("headline") => Vec::new(),
        // An unknown type counts as normal (RFC 6121 §5.2.2).
        _ => received(stanza, &from, context),
    }
}

pub(super) fn received(stanza: &Element, from: &Sender, context: &Context<'_>) -> Vec<Inbound> {
    let parts = parts(stanza.children(), Place::of_children(stanza));
    let mut out = said(&parts, &from.bare, Direction::In);
    if let Some(content) = content(stanza, &parts) {
        let has_id = attribute(stanza, "id").is_some();
        out.push(Inbound::Text(Text {
            chat: from.bare.clone(),
            sender: from.bare.clone(),
            direction: Direction::In,
            content,
            announced: announced(stanza),
            sent_at: sent_at(stanza, context),
            stanza_id: attribute(stanza, "id").map(str::to_owned),
            origin_id: origin_id(stanza),
            archive_id: archive_id(stanza, context),
            markable: has_id && parts.contains(&Part::Markable),
            receipt_wanted: parts.contains(&Part::ReceiptWanted),
            receipt_to: attribute(stanza, "from").map(str::to_owned),
        }));
    }
    out
}

/// Whether it is said in the open that there is something to read.
pub(super) fn announced(stanza: &Element) -> bool {
    stanza.has_child("body", ns::JABBER_CLIENT) || stanza.has_child("encryption", ns::EME)
}

/// The stanza inside a carbon copy. It is never looked into for another one.
fn carbon(stanza: &Element) -> Option<(Option<&Element>, Direction)> {
    let (carbon, direction) = [("received", Direction::In), ("sent", Direction::Out)]
        .into_iter()
        .find_map(|(name, direction)| Some((stanza.get_child(name, ns::CARBONS)?, direction)))?;
    let inner = carbon
        .get_child("forwarded", ns::FORWARD)
        .and_then(|forwarded| forwarded.get_child("message", ns::JABBER_CLIENT));
    Some((inner, direction))
}

fn carbon_copy(inner: Option<&Element>, direction: Direction, context: &Context<'_>) -> Vec<Inbound> {
    let Some(inner) = inner else { return Vec::new() };
    if matches!(inner.attr("type"), Some("groupchat" | "error" | "headline"))
        || carbon(inner).is_some()
        || inner.has_child("result", ns::MAM)
    {
        return Vec::new();
    }
    let from = attribute(inner, "from").and_then(Sender::read);
    let to = attribute(inner, "to").and_then(Sender::read);
    match (direction, from, to) {
        // Another device of ours got it too; it answers with a receipt, not we.
        (Direction::In, Some(from), _) => received(inner, &from, context)
            .into_iter()
            .map(|inbound| match inbound {
                Inbound::Text(text) => Inbound::Text(Text {
                    receipt_to: None,
                    ..text
                }),
                other => other,
            })
            .collect(),
        (Direction::Out, Some(from), Some(to)) if from.bare == *context.own => {
            archive::sent(inner, &from, &to, context)
        }
        _ => Vec::new(),
    }
}

/// The plain body is never looked at beside something encrypted: it is only a note for other clients.
pub(super) fn content(stanza: &Element, parts: &[Part]) -> Option<Content> {
    // One for each generation: a second one could only be there to cost us work.
    let encrypted: Vec<&Element> = Profile::ALL
        .into_iter()
        .filter_map(|profile| stanza.get_child("encrypted", profile.namespace()))
        .collect();
    if !encrypted.is_empty() {
        let read: Vec<_> = encrypted
            .iter()
            .filter_map(|element| {
                xml::read_encrypted(element)
                    .inspect_err(|error| tracing::warn!(%error, "an encrypted message cannot be read"))
                    .ok()
            })
            .collect();
        return Some(if read.is_empty() {
            Content::Malformed
        } else {
            Content::Encrypted(read)
        });
    }
    match eme::read(stanza) {
        Some(eme::Hint::Omemo) => return Some(Content::Malformed),
        Some(eme::Hint::Other(name)) => return Some(Content::Foreign(name)),
        None => {}
    }
    parts.iter().find_map(|part| match part {
        Part::Body(body) => Some(Content::Plain(body.clone())),
        _ => None,
    })
}

pub(super) fn bounce(stanza: &Element, from: Sender) -> Option<Inbound> {
    let id = attribute(stanza, "id")?.to_owned();
    let error = stanza_error::read(stanza);
    Some(Inbound::Bounce {
        from: from.bare,
        id,
        passes: error.kind == "wait",
        fault: Fault::new(Code::Rejected, error.sentence()),
    })
}

fn event(stanza: &Element, from: Sender, context: &Context<'_>) -> Vec<Inbound> {
    let Some((node, items)) = pubsub::event(stanza) else {
        return Vec::new();
    };
    if node != ns::DISPLAYED {
        // XEP-0163 §4.3: it comes from the account itself. What comes from a program of it can be of anybody who uses it.
        if from.resource.is_some() {
            tracing::warn!("a program of somebody's sent an event in the account's name, and was refused");
            return Vec::new();
        }
        return device_list(node, &items, from).into_iter().collect();
    }
    // XEP-0490 §4: what we have read is for our own account to say, and for nobody else.
    if from.bare != *context.own || from.resource.is_some() {
        tracing::warn!("somebody else said what was read, and was refused");
        return Vec::new();
    }
    items
        .into_iter()
        .filter_map(|(item, payload)| displayed::read(item, payload, context.own))
        .map(|(with, archive_id)| Inbound::ReadUpTo { with, archive_id })
        .collect()
}

fn device_list(node: &str, items: &[(&str, &Element)], from: Sender) -> Option<Inbound> {
    let profile = Profile::ALL
        .into_iter()
        .find(|profile| profile.device_list_node() == node)?;
    let (_, payload) = items.first()?;
    let (read_as, devices) = xml::read_devices(payload).ok()?;
    (read_as == profile).then_some(Inbound::DeviceList {
        of: from.bare,
        profile,
        devices,
    })
}

/// When it was sent (XEP-0203), if it was delayed; never in the future.
pub(super) fn sent_at(stanza: &Element, context: &Context<'_>) -> Timestamp {
    stanza
        .get_child("delay", ns::DELAY)
        .and_then(|delay| attribute(delay, "stamp"))
        .and_then(|stamp| stamp.parse().ok())
        .map_or(context.now, |stamp: Timestamp| stamp.min(context.now))
}

/// What a message keeps on whatever way it takes (XEP-0359 §3). Where its sender does not say so, a stanza id that is made
/// by chance is as good: some send a message again under it that nobody confirmed. Others count, and begin anew.
pub(super) fn origin_id(stanza: &Element) -> Option<String> {
    stanza
        .get_child("origin-id", ns::SID)
        .and_then(|id| attribute(id, "id"))
        .or_else(|| attribute(stanza, "id").filter(|id| is_random_uuid(id)))
        .map(str::to_owned)
}

/// A UUID of version 4 or 7 in its usual form (RFC 9562 §4).
fn is_random_uuid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            14 => matches!(byte, b'4' | b'7'),
            _ => byte.is_ascii_hexdigit(),
        })
}

/// XEP-0359 §6: only what our own account gave, and only if the server says that it removes forged ones.
pub(super) fn archive_id(stanza: &Element, context: &Context<'_>) -> Option<String> {
    if !context.stanza_ids {
        return None;
    }
    stanza
        .children()
        .filter(|child| child.is("stanza-id", ns::SID))
        .find(|child| child.attr("by") == Some(context.own.as_str()))
        .and_then(|id| attribute(id, "id"))
        .map(str::to_owned)
}
