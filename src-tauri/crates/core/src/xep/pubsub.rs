//! Personal eventing (XEP-0163, XEP-0060): the few requests that Waxwing makes, and events.

use minidom::Element;

use super::element::{attribute, element, text, wrap};
use super::ns;

/// What a node shall be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) access: Access,
    pub(crate) max_items: MaxItems,
}

/// Who can read a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody, so also contacts without subscription (XEP-0384 §5.3).
    Open,
    /// Our own devices (XEP-0223); they ask for what it holds when they sign in.
    Own,
}

/// How many items a node keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaxItems {
    /// One item, always replaced.
    One,
    /// As many as the server allows.
    Max,
    /// For servers that do not understand `max`.
    Number(u16),
}

/// Asks for the items of somebody's node, or for one item of it (XEP-0060 §6.5).
pub(crate) fn items(node: &str, item: Option<&str>) -> Element {
    let mut items = element("items", ns::PUBSUB, &[("node", node)]);
    if let Some(item) = item {
        items.append_child(element("item", ns::PUBSUB, &[("id", item)]));
    }
    wrap(Element::bare("pubsub", ns::PUBSUB), [items])
}

/// Asks for the newest item of somebody's node, whatever its id (XEP-0060 §6.5.7).
pub(crate) fn newest(node: &str) -> Element {
    let items = element("items", ns::PUBSUB, &[("node", node), ("max_items", "1")]);
    wrap(Element::bare("pubsub", ns::PUBSUB), [items])
}

/// Publishes an item (XEP-0060 §7.1), with options unless the server would not have them.
pub(crate) fn publish(node: &str, item: &str, payload: Element, options: Option<Shape>) -> Element {
    let item = wrap(element("item", ns::PUBSUB, &[("id", item)]), [payload]);
    let publish = wrap(element("publish", ns::PUBSUB, &[("node", node)]), [item]);
    let options = options.map(|shape| {
        wrap(
            Element::bare("publish-options", ns::PUBSUB),
            [node_form(ns::PUBLISH_OPTIONS, shape)],
        )
    });
    wrap(
        Element::bare("pubsub", ns::PUBSUB),
        [publish].into_iter().chain(options),
    )
}

/// Asks what shape a node of ours has (XEP-0060 §8.2.1).
pub(crate) fn configuration(node: &str) -> Element {
    let configure = element("configure", ns::PUBSUB_OWNER, &[("node", node)]);
    wrap(Element::bare("pubsub", ns::PUBSUB_OWNER), [configure])
}

/// Whether everybody can read the node that the answer to [`configuration`] tells of; none if it does not say.
pub(crate) fn answered_open(iq: &Element) -> Option<bool> {
    let form = iq
        .get_child("pubsub", ns::PUBSUB_OWNER)?
        .get_child("configure", ns::PUBSUB_OWNER)?
        .get_child("x", ns::DATA_FORMS)?;
    let mut fields = form.children().filter(|field| field.name() == "field");
    let access = fields.find(|field| field.attr("var") == Some("pubsub#access_model"))?;
    let value = access.get_child("value", ns::DATA_FORMS)?;
    Some(value.text().trim() == "open")
}

/// Gives an existing node another shape (XEP-0060 §8.2).
pub(crate) fn configure(node: &str, shape: Shape) -> Element {
    let configure = wrap(
        element("configure", ns::PUBSUB_OWNER, &[("node", node)]),
        [node_form(ns::NODE_CONFIG, shape)],
    );
    wrap(Element::bare("pubsub", ns::PUBSUB_OWNER), [configure])
}

/// Deletes a node of ours (XEP-0060 §8.4).
pub(crate) fn delete(node: &str) -> Element {
    let delete = element("delete", ns::PUBSUB_OWNER, &[("node", node)]);
    wrap(Element::bare("pubsub", ns::PUBSUB_OWNER), [delete])
}

/// Takes an item off a node of ours (XEP-0060 §7.2).
pub(crate) fn retract(node: &str, item: &str) -> Element {
    let item = element("item", ns::PUBSUB, &[("id", item)]);
    let retract = wrap(element("retract", ns::PUBSUB, &[("node", node)]), [item]);
    wrap(Element::bare("pubsub", ns::PUBSUB), [retract])
}

fn node_form(form_type: &str, shape: Shape) -> Element {
    let max_items = match shape.max_items {
        MaxItems::One => "1".to_owned(),
        MaxItems::Max => "max".to_owned(),
        MaxItems::Number(number) => number.to_string(),
    };
    let field = |name: &str, kind: Option<&str>, value: &str| {
        let mut attributes = vec![("var", name)];
        attributes.extend(kind.map(|kind| ("type", kind)));
        wrap(
            element("field", ns::DATA_FORMS, &attributes),
            [text("value", ns::DATA_FORMS, value)],
        )
    };
    let (access, send_last) = match shape.access {
        Access::Open => ("open", None),
        Access::Own => ("whitelist", Some("never")),
    };
    let fields = [
        field("FORM_TYPE", Some("hidden"), form_type),
        field("pubsub#access_model", None, access),
        field("pubsub#persist_items", None, "true"),
        field("pubsub#max_items", None, &max_items),
    ];
    let send_last = send_last.map(|word| field("pubsub#send_last_published_item", None, word));
    wrap(
        element("x", ns::DATA_FORMS, &[("type", "submit")]),
        fields.into_iter().chain(send_last),
    )
}

/// The payloads in the answer to [`items`], each with its item id.
pub(crate) fn answered_items(iq: &Element) -> Vec<(&str, &Element)> {
    iq.get_child("pubsub", ns::PUBSUB)
        .and_then(|pubsub| pubsub.get_child("items", ns::PUBSUB))
        .into_iter()
        .flat_map(payloads)
        .collect()
}

/// The node and the payloads of an event (XEP-0060 §7.1.2.1).
pub(crate) fn event(message: &Element) -> Option<(&str, Vec<(&str, &Element)>)> {
    let items = message
        .get_child("event", ns::PUBSUB_EVENT)?
        .get_child("items", ns::PUBSUB_EVENT)?;
    Some((attribute(items, "node")?, payloads(items).collect()))
}

fn payloads(items: &Element) -> impl Iterator<Item = (&str, &Element)> {
    items
        .children()
        .filter(|item| item.name() == "item")
        .filter_map(|item| Some((item.attr("id").unwrap_or_default(), item.children().next()?)))
}
