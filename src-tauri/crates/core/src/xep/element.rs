//! Building and reading elements without ceremony.

use minidom::Element;
use minidom::rxml::NcName;

/// An element with attributes. The names are literals of ours.
pub(crate) fn element(name: &str, ns: &str, attributes: &[(&'static str, &str)]) -> Element {
    let mut builder = Element::builder(name, ns);
    for (name, value) in attributes {
        builder = builder.attr(
            NcName::try_from(*name).expect("our attribute names are names"),
            *value,
        );
    }
    builder.build()
}

/// An element around others.
pub(crate) fn wrap(mut outer: Element, children: impl IntoIterator<Item = Element>) -> Element {
    for child in children {
        outer.append_child(child);
    }
    outer
}

/// An element around a text.
pub(crate) fn text(name: &str, ns: &str, text: &str) -> Element {
    let mut element = Element::bare(name, ns);
    element.append_text(text);
    element
}

/// An attribute that is present and not empty.
pub(crate) fn attribute<'a>(element: &'a Element, name: &'static str) -> Option<&'a str> {
    element.attr(name).filter(|value| !value.is_empty())
}

/// The text of a child; none if there is no such child.
pub(crate) fn child_text(element: &Element, name: &str, ns: &str) -> Option<String> {
    element.get_child(name, ns).map(Element::text)
}
