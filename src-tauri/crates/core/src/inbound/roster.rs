//! Roster items, one by one: an odd one loses only itself (RFC 6121 §2).

use minidom::Element;

use super::{Context, Sender};
use crate::model::{BareJid, Subscription};
use crate::xep::element::attribute;
use crate::xep::ns;

/// What one `<item/>` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RosterItem {
    pub(crate) address: BareJid,
    /// None if the contact is gone.
    pub(crate) entry: Option<RosterEntry>,
}

/// An item that is on the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RosterEntry {
    pub(crate) name: Option<String>,
    pub(crate) subscription: Subscription,
    pub(crate) asked: bool,
    pub(crate) groups: Vec<String>,
}

/// The readable items of a roster answer.
pub(crate) fn items(iq: &Element) -> Vec<RosterItem> {
    let Some(query) = iq.get_child("query", ns::ROSTER) else {
        return Vec::new();
    };
    let items: Vec<_> = query
        .children()
        .filter(|child| child.is("item", ns::ROSTER))
        .collect();
    let read: Vec<_> = items.iter().filter_map(|element| item(element)).collect();
    if read.len() < items.len() {
        tracing::warn!(
            left_out = items.len() - read.len(),
            "some contacts in the roster could not be read"
        );
    }
    read
}

/// A roster push, if it comes from whom it may come: from our own account (RFC 6121 §2.1.6).
pub(super) fn push(stanza: &Element, context: &Context<'_>) -> Option<RosterItem> {
    let query = stanza.get_child("query", ns::ROSTER)?;
    let allowed = match attribute(stanza, "from") {
        None => true,
        Some(from) => {
            Sender::read(from).is_some_and(|sender| sender.bare == *context.own && sender.resource.is_none())
        }
    };
    if !allowed {
        tracing::warn!("a roster push from somebody else was refused");
        return None;
    }
    item(query.get_child("item", ns::ROSTER)?)
}

fn item(element: &Element) -> Option<RosterItem> {
    let address = Sender::read(attribute(element, "jid")?)?.bare;
    if element.attr("subscription") == Some("remove") {
        return Some(RosterItem { address, entry: None });
    }
    // An unknown subscription is none: the contact is shown all the same.
    let subscription = element
        .attr("subscription")
        .and_then(|word| word.parse().ok())
        .unwrap_or(Subscription::None);
    let mut groups: Vec<String> = element
        .children()
        .filter(|child| child.is("group", ns::ROSTER))
        .map(Element::text)
        .filter(|group| !group.trim().is_empty())
        .collect();
    groups.sort();
    groups.dedup();
    Some(RosterItem {
        address,
        entry: Some(RosterEntry {
            name: attribute(element, "name").map(str::to_owned),
            subscription,
            asked: element.attr("ask") == Some("subscribe"),
            groups,
        }),
    })
}
