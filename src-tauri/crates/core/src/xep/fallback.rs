//! Which part of a text stands there only for clients that do not know better (XEP-0428).

use minidom::Element;

use super::element::attribute;
use super::ns;

/// A part of a text, in Unicode code points; without bounds all of it.
type Range = (usize, usize);

/// The ranges of the body that stand in for something of this namespace.
fn ranges<'a>(content: impl IntoIterator<Item = &'a Element>, namespace: &str) -> Vec<Range> {
    content
        .into_iter()
        .filter(|element| {
            element.is("fallback", ns::FALLBACK) && attribute(element, "for") == Some(namespace)
        })
        .filter_map(|fallback| {
            let Some(body) = fallback.get_child("body", ns::FALLBACK) else {
                // Without children all of the message stands in for it.
                return fallback.children().next().is_none().then_some((0, usize::MAX));
            };
            let bound = |name, otherwise| body.attr(name).map_or(Some(otherwise), |at| at.parse().ok());
            Some((bound("start", 0)?, bound("end", usize::MAX)?))
        })
        .collect()
}

/// The body without what stands in for something of this namespace; none if nothing is left.
pub(crate) fn without<'a>(
    body: &str,
    content: impl IntoIterator<Item = &'a Element>,
    namespace: &str,
) -> Option<String> {
    let ranges = ranges(content, namespace);
    let left: String = body
        .chars()
        .enumerate()
        .filter(|(at, _)| !ranges.iter().any(|(start, end)| (start..end).contains(&at)))
        .map(|(_, c)| c)
        .collect();
    Some(left.trim().to_owned()).filter(|left| !left.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_for_something_else_is_cut_out() {
        for (fallback, left) in [
            ("", Some("héllo link")),
            (
                "<fallback xmlns='urn:xmpp:fallback:0' for='urn:x'><body/></fallback>",
                None,
            ),
            ("<fallback xmlns='urn:xmpp:fallback:0' for='urn:x'/>", None),
            (
                "<fallback xmlns='urn:xmpp:fallback:0' for='urn:x'><body start='6' end='10'/></fallback>",
                Some("héllo"),
            ),
            (
                "<fallback xmlns='urn:xmpp:fallback:0' for='urn:x'><body start='5'/></fallback>",
                Some("héllo"),
            ),
            (
                "<fallback xmlns='urn:xmpp:fallback:0' for='urn:x'><body start='9' end='3'/></fallback>",
                Some("héllo link"),
            ),
            (
                "<fallback xmlns='urn:xmpp:fallback:0' for='urn:x'><body start='x'/></fallback>",
                Some("héllo link"),
            ),
            (
                "<fallback xmlns='urn:xmpp:fallback:0' for='urn:x'><subject/></fallback>",
                Some("héllo link"),
            ),
            (
                "<fallback xmlns='urn:xmpp:fallback:0' for='urn:y'><body/></fallback>",
                Some("héllo link"),
            ),
        ] {
            let content: Element = format!("<x xmlns='urn:outer'>{fallback}</x>")
                .parse()
                .expect("well-formed");
            let without = without("héllo link", content.children(), "urn:x");
            assert_eq!(without.as_deref(), left, "{fallback}");
        }
    }
}
