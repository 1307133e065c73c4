//! What Waxwing says it can do (XEP-0030), and its hash in presence (XEP-0115).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minidom::Element;
use sha1::{Digest, Sha1};
use waxwing_omemo::Profile;
use xmpp_parsers::jid::BareJid;

use super::element::{attribute, element, wrap};
use super::ns;

/// Names the application; no web address, since nothing shall be fetched for it.
const NODE: &str = "urn:x-waxwing:client";

/// Sorted, as the hash wants them.
fn features() -> Vec<String> {
    let mut features: Vec<String> = [
        ns::CAPS,
        ns::CARBONS,
        ns::CHAT_MARKERS,
        ns::DISCO_INFO,
        ns::EME,
        ns::PING,
        ns::RECEIPTS,
        ns::SID,
        ns::HINTS,
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    // Contacts' device lists are pushed to us (XEP-0163 §4.3).
    features.extend(Profile::ALL.map(|profile| format!("{}+notify", profile.device_list_node())));
    // What our other devices have read too.
    features.push(format!("{}+notify", ns::DISPLAYED));
    features.sort();
    features.dedup();
    features
}

/// The answer's payload to a disco#info request; none if the request is for a node that is not ours.
pub(crate) fn info(query: &Element) -> Option<Element> {
    let node = attribute(query, "node");
    let ours = format!("{NODE}#{}", verification());
    if node.is_some_and(|node| node != ours) {
        return None;
    }
    let mut reply = element("query", ns::DISCO_INFO, &[]);
    if let Some(node) = node {
        reply = element("query", ns::DISCO_INFO, &[("node", node)]);
    }
    reply.append_child(element(
        "identity",
        ns::DISCO_INFO,
        &[("category", "client"), ("type", "pc"), ("name", "Waxwing")],
    ));
    Some(wrap(
        reply,
        features()
            .iter()
            .map(|feature| element("feature", ns::DISCO_INFO, &[("var", feature)])),
    ))
}

/// The element for our presence.
pub(crate) fn caps() -> Element {
    element(
        "c",
        ns::CAPS,
        &[("hash", "sha-1"), ("node", NODE), ("ver", &verification())],
    )
}

/// XEP-0115 §5.1; SHA-1 is what the protocol names, nothing secret hangs on it.
fn verification() -> String {
    let mut text = String::from("client/pc//Waxwing<");
    for feature in features() {
        text.push_str(&feature);
        text.push('<');
    }
    BASE64_STANDARD.encode(Sha1::digest(text.as_bytes()))
}

/// Whether a disco#info answer names a feature.
pub(crate) fn has_feature(iq: &Element, feature: &str) -> bool {
    iq.get_child("query", ns::DISCO_INFO).is_some_and(|query| {
        query
            .children()
            .any(|child| child.name() == "feature" && child.attr("var") == Some(feature))
    })
}

/// What a disco#info answer names: its features, and its identities as `identity:category/type`. At most 500.
pub(crate) fn features_named(iq: &Element) -> Vec<String> {
    const MOST: usize = 500;
    let children = iq
        .get_child("query", ns::DISCO_INFO)
        .into_iter()
        .flat_map(Element::children);
    children
        .filter_map(|child| match child.name() {
            "feature" => attribute(child, "var").map(str::to_owned),
            "identity" => Some(format!(
                "identity:{}/{}",
                attribute(child, "category")?,
                attribute(child, "type")?
            )),
            _ => None,
        })
        .take(MOST)
        .collect()
}

/// The addresses that a disco#items answer names; those that cannot be read are left out.
pub(crate) fn items(iq: &Element) -> Vec<BareJid> {
    iq.get_child("query", ns::DISCO_ITEMS)
        .into_iter()
        .flat_map(Element::children)
        .filter_map(|item| attribute(item, "jid")?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use xmpp_parsers::caps;
    use xmpp_parsers::disco::DiscoInfoResult;
    use xmpp_parsers::hashes::Algo;

    use super::*;

    #[test]
    fn the_hash_in_presence_is_that_of_the_answer() {
        let answer = info(&Element::bare("query", ns::DISCO_INFO)).expect("an answer");
        let parsed = DiscoInfoResult::try_from(answer).expect("well formed");
        let hash = caps::hash_caps(&caps::compute_disco(&parsed), Algo::Sha_1).expect("hashes");
        assert_eq!(BASE64_STANDARD.encode(hash.hash), verification());
    }

    #[test]
    fn a_foreign_node_is_not_answered() {
        assert!(
            info(&element(
                "query",
                ns::DISCO_INFO,
                &[("node", "http://example.org#x")]
            ))
            .is_none()
        );
    }
}
