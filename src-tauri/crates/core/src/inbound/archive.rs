//! Messages out of our own archive (XEP-0313).

use jiff::Timestamp;
use minidom::Element;

use super::message::{announced, archive_id, bounce, content, origin_id, received, sent_at};
use super::part::{Place, parts, said};
use super::{Archived, Context, Inbound, JABBER_BEGINS, Sender, Text};
use crate::model::Direction;
use crate::xep::element::attribute;
use crate::xep::mam;

/// XEP-0313 §4.3: a result counts only from the archive that was asked, and only for the question that is open.
pub(super) fn read(stanza: &Element, from: &Sender, context: &Context<'_>) -> Vec<Inbound> {
    if from.bare != *context.own || from.resource.is_some() {
        tracing::warn!("a message out of an archive that is not ours was refused");
        return Vec::new();
    }
    let Some(archived) = mam::result(stanza).filter(|result| Some(result.query) == context.archive_query)
    else {
        tracing::debug!("a message out of the archive answers no question that is open");
        return Vec::new();
    };
    let mut holds = archived
        .message
        .map_or_else(Vec::new, |inner| message(inner, context));
    let at = archived.stamp.and_then(|stamp| believable(stamp, context.now));
    for inbound in &mut holds {
        if let Inbound::Text(text) = inbound {
            text.archive_id = Some(archived.id.to_owned());
            text.sent_at = at.unwrap_or(text.sent_at);
        }
    }
    vec![Inbound::Archived(Archived {
        id: archived.id.to_owned(),
        at,
        holds,
    })]
}

/// When the archive says that it got something, if that can be; never in the future.
fn believable(stamp: Timestamp, now: Timestamp) -> Option<Timestamp> {
    (stamp.as_second() >= JABBER_BEGINS).then(|| stamp.min(now))
}

fn message(inner: &Element, context: &Context<'_>) -> Vec<Inbound> {
    if matches!(inner.attr("type"), Some("groupchat" | "headline")) {
        return Vec::new();
    }
    let from = attribute(inner, "from").and_then(Sender::read);
    let to = attribute(inner, "to").and_then(Sender::read);
    match (from, to) {
        // An error that we answered with is nothing that anybody wrote.
        (Some(from), Some(_)) if from.bare == *context.own && inner.attr("type") == Some("error") => {
            Vec::new()
        }
        (Some(from), Some(to)) if from.bare == *context.own => sent(inner, &from, &to, context),
        // Somebody's word to us.
        (Some(from), to) if to.as_ref().is_none_or(|to| to.bare == *context.own) => {
            if inner.attr("type") == Some("error") {
                bounce(inner, from).into_iter().collect()
            } else {
                received(inner, &from, context)
            }
        }
        _ => Vec::new(),
    }
}

/// What we ourselves sent, from whatever device.
pub(super) fn sent(inner: &Element, from: &Sender, to: &Sender, context: &Context<'_>) -> Vec<Inbound> {
    let parts = parts(inner.children(), Place::of_children(inner));
    let mut out = said(&parts, &to.bare, Direction::Out);
    if let Some(content) = content(inner, &parts) {
        out.push(Inbound::Text(Text {
            chat: to.bare.clone(),
            sender: from.bare.clone(),
            direction: Direction::Out,
            content,
            announced: announced(inner),
            sent_at: sent_at(inner, context),
            stanza_id: attribute(inner, "id").map(str::to_owned),
            origin_id: origin_id(inner),
            archive_id: archive_id(inner, context),
            markable: false,
            receipt_wanted: false,
            receipt_to: None,
        }));
    }
    out
}
