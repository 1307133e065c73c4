//! Message archive management (XEP-0313) with its paging (XEP-0059).

use jiff::Timestamp;
use minidom::Element;

use super::element::{attribute, child_text, element, text, wrap};
use super::ns;

/// Which page of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// The newest one.
    Newest,
    /// The one behind this archive id.
    After(String),
    /// The one before this archive id.
    Before(String),
    /// From this time on, for when an id is not there any more; behind an archive id from the second page on.
    Since { start: Timestamp, after: Option<String> },
}

/// The payload of a question for a page of at most `max` messages (XEP-0313 §4, XEP-0059 §2).
pub(crate) fn query(id: &str, page: &Page, max: u32) -> Element {
    let rsm = |name: &str, value: &str| text(name, ns::RSM, value);
    let mut set = wrap(Element::bare("set", ns::RSM), [rsm("max", &max.to_string())]);
    let mut query = element("query", ns::MAM, &[("queryid", id)]);
    match page {
        Page::Newest => set.append_child(Element::bare("before", ns::RSM)),
        Page::After(after) => set.append_child(rsm("after", after)),
        Page::Before(before) => set.append_child(rsm("before", before)),
        Page::Since { start, after } => {
            query.append_child(form(&start.to_string()));
            match after {
                Some(after) => set.append_child(rsm("after", after)),
                None => return wrap(query, [set]),
            }
        }
    };
    wrap(query, [set])
}

fn form(start: &str) -> Element {
    let field = |attributes: &[(&'static str, &str)], value: &str| {
        wrap(
            element("field", ns::DATA_FORMS, attributes),
            [text("value", ns::DATA_FORMS, value)],
        )
    };
    wrap(
        element("x", ns::DATA_FORMS, &[("type", "submit")]),
        [
            field(&[("var", "FORM_TYPE"), ("type", "hidden")], ns::MAM),
            field(&[("var", "start")], start),
        ],
    )
}

/// One message out of the archive, as the archive says it.
#[derive(Clone, Debug)]
pub(crate) struct Archived<'a> {
    /// The question that it answers.
    pub(crate) query: &'a str,
    /// XEP-0359: its id in the archive.
    pub(crate) id: &'a str,
    /// When the archive got it, if it says so.
    pub(crate) stamp: Option<Timestamp>,
    /// The message itself; none if there is nothing that could be read.
    pub(crate) message: Option<&'a Element>,
}

/// Reads a result; none if the stanza is no result, or stands nowhere in an archive.
pub(crate) fn result(stanza: &Element) -> Option<Archived<'_>> {
    let result = stanza.get_child("result", ns::MAM)?;
    let forwarded = result.get_child("forwarded", ns::FORWARD);
    Some(Archived {
        query: attribute(result, "queryid")?,
        id: attribute(result, "id")?,
        stamp: forwarded
            .and_then(|forwarded| forwarded.get_child("delay", ns::DELAY))
            .and_then(|delay| attribute(delay, "stamp")?.parse().ok()),
        message: forwarded.and_then(|forwarded| forwarded.get_child("message", ns::JABBER_CLIENT)),
    })
}

/// The end of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// There is nothing further in the direction of the question.
    pub(crate) complete: bool,
    pub(crate) first: Option<String>,
    pub(crate) last: Option<String>,
}

/// Reads the answer that ends a page; none if it holds none.
pub(crate) fn end(answer: &Element) -> Option<End> {
    let fin = answer.get_child("fin", ns::MAM)?;
    let set = fin.get_child("set", ns::RSM);
    let named = |name: &str| {
        set.and_then(|set| child_text(set, name, ns::RSM))
            .filter(|id| !id.is_empty())
    };
    let last = named("last");
    // Whoever counts none has told all, too.
    let none = last.is_none() && named("count").as_deref() == Some("0");
    Some(End {
        complete: none || matches!(fin.attr("complete"), Some("true" | "1")),
        first: named("first"),
        last,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_page_is_asked_for_in_its_own_way() {
        let set = |inner: &str| format!("<set xmlns='{}'><max>50</max>{inner}</set>", ns::RSM);
        let start: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        let since = format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>{}</value></field>\
             <field var='start'><value>2026-01-02T03:04:05Z</value></field></x>",
            ns::MAM
        );
        for (page, inner) in [
            (Page::Newest, set("<before/>")),
            (Page::After("a".to_owned()), set("<after>a</after>")),
            (Page::Before("b".to_owned()), set("<before>b</before>")),
            (Page::Since { start, after: None }, format!("{since}{}", set(""))),
            (
                Page::Since {
                    start,
                    after: Some("c".to_owned()),
                },
                format!("{since}{}", set("<after>c</after>")),
            ),
        ] {
            let expected: Element = format!("<query xmlns='{}' queryid='q'>{inner}</query>", ns::MAM)
                .parse()
                .expect("well formed");
            assert_eq!(query("q", &page, 50), expected, "{page:?}");
        }
    }

    #[test]
    fn a_result_is_read_as_far_as_it_can_be_if_it_stands_somewhere() {
        let whole = format!(
            "<message xmlns='jabber:client'><result xmlns='{}' queryid='q' id='7'><forwarded xmlns='{}'>\
             <delay xmlns='{}' stamp='2026-01-02T03:04:05.678Z'/><message xmlns='jabber:client' from='a@b'/>\
             </forwarded></result></message>",
            ns::MAM,
            ns::FORWARD,
            ns::DELAY
        );
        let stanza: Element = whole.parse().expect("well formed");
        let read = result(&stanza).expect("a result");
        assert_eq!(
            (read.query, read.id, read.message.and_then(|m| m.attr("from"))),
            ("q", "7", Some("a@b"))
        );
        assert_eq!(
            read.stamp.map(|stamp| stamp.to_string()).as_deref(),
            Some("2026-01-02T03:04:05.678Z")
        );
        let without = |part: &str, instead: &str| -> Element {
            whole.replace(part, instead).parse().expect("well formed")
        };
        for (part, instead) in [("queryid='q'", ""), (" id='7'", ""), (ns::MAM, "urn:xmpp:mam:1")] {
            assert!(result(&without(part, instead)).is_none(), "{part}");
        }
        for (part, instead, stamp, message) in [
            ("2026-01-02T03:04:05.678Z", "yesterday", false, true),
            (ns::DELAY, "urn:x", false, true),
            ("<message xmlns='jabber:client' from='a@b'/>", "", true, false),
            (ns::FORWARD, "urn:x", false, false),
        ] {
            let stanza = without(part, instead);
            let read = result(&stanza).expect("a result");
            assert_eq!(
                (read.stamp.is_some(), read.message.is_some()),
                (stamp, message),
                "{part}"
            );
        }
    }

    #[test]
    fn the_end_of_a_page_says_whether_it_was_the_last_one() {
        let end_of = |fin: &str| {
            end(&format!("<iq xmlns='jabber:client'>{fin}</iq>")
                .parse()
                .expect("well formed"))
        };
        assert_eq!(end_of(""), None);
        assert_eq!(
            end_of("<fin xmlns='urn:xmpp:mam:2' complete='true'/>"),
            Some(End {
                complete: true,
                first: None,
                last: None
            })
        );
        assert_eq!(
            end_of(
                "<fin xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><count>0</count></set></fin>"
            ),
            Some(End {
                complete: true,
                first: None,
                last: None
            })
        );
        assert_eq!(
            end_of(
                "<fin xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><first index='0'>a</first>\
                 <last>b</last><count>9</count></set></fin>"
            ),
            Some(End {
                complete: false,
                first: Some("a".to_owned()),
                last: Some("b".to_owned())
            })
        );
    }
}
