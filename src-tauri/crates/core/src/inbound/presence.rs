//! Presence, read as leniently as RFC 6121 §4.7 asks: an unknown value loses only itself.

use minidom::Element;

use super::{Context, Inbound, Sender};
use crate::model::Show;
use crate::xep::element::{attribute, child_text};
use crate::xep::ns;

/// Longer status texts are cut, in characters.
const STATUS_LENGTH: usize = 1_000;

pub(super) fn read(stanza: &Element, context: &Context<'_>) -> Option<Inbound> {
    let from = match attribute(stanza, "from") {
        Some(from) => Sender::read(from)?,
        None => Sender {
            bare: context.own.clone(),
            resource: None,
        },
    };
    match stanza.attr("type") {
        None | Some("") => {
            let show = match child_text(stanza, "show", ns::JABBER_CLIENT)
                .as_deref()
                .map(str::trim)
            {
                Some("chat") => Show::Chat,
                Some("away") => Show::Away,
                Some("xa") => Show::Xa,
                Some("dnd") => Show::Dnd,
                _ => Show::Available,
            };
            let priority = child_text(stanza, "priority", ns::JABBER_CLIENT)
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(0);
            Some(Inbound::Presence {
                from,
                show,
                status: status(stanza),
                priority,
            })
        }
        // An error from a contact's server means that the contact cannot be reached (RFC 6121 §4.7.1).
        Some("unavailable" | "error") => Some(Inbound::Presence {
            from,
            show: Show::Offline,
            status: status(stanza),
            priority: 0,
        }),
        Some("subscribe") => Some(Inbound::SubscriptionRequest { from: from.bare }),
        Some("unsubscribe") => Some(Inbound::RequestWithdrawn { from: from.bare }),
        // The roster push that comes with them says what they changed.
        _ => None,
    }
}

fn status(stanza: &Element) -> Option<String> {
    child_text(stanza, "status", ns::JABBER_CLIENT)
        .map(|text| text.trim().chars().take(STATUS_LENGTH).collect::<String>())
        .filter(|text| !text.is_empty())
}
