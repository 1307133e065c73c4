//! The archive of a server's one account (XEP-0313): an honest one, or one that answers as a test wants it to.

use std::fmt;
use std::sync::Arc;

use minidom::Element;

use crate::escape;
use crate::honest::Act;

pub(crate) const MAM: &str = "urn:xmpp:mam:2";
const RSM: &str = "http://jabber.org/protocol/rsm";

/// One message in the archive. Its texts may hold what that of an [`Act`] may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its id in the archive.
    pub id: String,
    /// When the archive got it, as it is said; nothing is said if it is empty.
    pub stamp: String,
    /// The stanza; if it is empty, the result holds nothing at all.
    pub stanza: String,
}

impl Kept {
    /// A message with this body between two full or bare addresses.
    pub fn message(id: &str, stamp: &str, (from, to): (&str, &str), body: &str) -> Self {
        Self {
            id: id.to_owned(),
            stamp: stamp.to_owned(),
            stanza: format!(
                "<message xmlns='jabber:client' from='{from}' to='{to}' type='chat'><body>{body}</body></message>"
            ),
        }
    }

    fn result(&self, query: &str) -> String {
        let stamp = &self.stamp;
        let delay = match stamp.as_str() {
            "" => String::new(),
            stamp => format!("<delay xmlns='urn:xmpp:delay' stamp='{stamp}'/>"),
        };
        let forwarded = match self.stanza.as_str() {
            "" => String::new(),
            stanza => format!("<forwarded xmlns='urn:xmpp:forward:0'>{delay}{stanza}</forwarded>"),
        };
        format!(
            "<message from='{{bare}}' to='{{address}}'><result xmlns='{MAM}' queryid='{query}' id='{}'>{forwarded}</result>\
             </message>",
            attribute(&self.id)
        )
    }
}

/// A client's question for a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The running number of the connection, from 0.
    pub connection: usize,
    /// Which question it is on this connection, from 0.
    pub number: usize,
    /// What its results carry.
    pub query: String,
    /// Behind which message the page is to begin.
    pub after: Option<String>,
    /// Before which message it is to end; the newest one if that is empty.
    pub before: Option<String>,
    /// From when on.
    pub start: Option<String>,
    /// How many are wanted at most.
    pub max: usize,
}

impl Question {
    pub(crate) fn read(query: &Element, connection: usize, number: usize) -> Self {
        let rsm = |name: &str| {
            query
                .get_child("set", RSM)?
                .get_child(name, RSM)
                .map(Element::text)
        };
        let start = query.get_child("x", "jabber:x:data").and_then(|form| {
            let field = form.children().find(|field| field.attr("var") == Some("start"))?;
            field.children().next().map(Element::text)
        });
        Self {
            connection,
            number,
            query: query.attr("queryid").unwrap_or_default().to_owned(),
            after: rsm("after"),
            before: rsm("before"),
            start,
            max: rsm("max").and_then(|max| max.parse().ok()).unwrap_or(usize::MAX),
        }
    }

    /// These messages as results of this question.
    pub fn results(&self, kept: &[Kept]) -> String {
        kept.iter().map(|kept| kept.result(&self.query)).collect()
    }

    /// These messages and the end of the page, which names the first and the last of them.
    pub fn page(&self, kept: &[Kept], complete: bool) -> String {
        self.results(kept) + &end_of(kept, complete)
    }

    /// What an honest archive answers that holds these messages.
    pub fn honestly(&self, kept: &[Kept]) -> String {
        let place = |id: &str| kept.iter().position(|kept| kept.id == id);
        let since = |kept: &&Kept| self.start.as_ref().is_none_or(|start| kept.stamp >= *start);
        let from = match self.after.as_deref().map(place) {
            Some(None) => return refused("item-not-found"),
            Some(Some(place)) => place + 1,
            None => 0,
        };
        let to = match self.before.as_deref().filter(|id| !id.is_empty()).map(place) {
            Some(None) => return refused("item-not-found"),
            Some(Some(place)) => place,
            None => kept.len(),
        };
        let found: Vec<Kept> = kept[from..to.max(from)].iter().filter(since).cloned().collect();
        let most = self.max.min(found.len());
        let part = if self.before.is_some() {
            &found[found.len() - most..]
        } else {
            &found[..most]
        };
        self.page(part, most == found.len())
    }
}

/// The end of a page that held these messages.
pub fn end_of(kept: &[Kept], complete: bool) -> String {
    match (kept.first(), kept.last()) {
        (Some(first), Some(last)) => end(complete, &first.id, &last.id),
        _ => fin(complete, &format!("<set xmlns='{RSM}'><count>0</count></set>")),
    }
}

/// The end of a page that names these ids.
pub fn end(complete: bool, first: &str, last: &str) -> String {
    let (first, last) = (attribute(first), attribute(last));
    fin(
        complete,
        &format!("<set xmlns='{RSM}'><first index='0'>{first}</first><last>{last}</last></set>"),
    )
}

/// The end of a page with what it holds.
pub fn fin(complete: bool, content: &str) -> String {
    let complete = if complete { " complete='true'" } else { "" };
    format!("<iq type='result' id='{{id}}'><fin xmlns='{MAM}'{complete}>{content}</fin></iq>")
}

/// An error for an answer.
pub fn refused(condition: &str) -> String {
    let kind = match condition {
        "internal-server-error" | "resource-constraint" => "wait",
        _ => "cancel",
    };
    format!(
        "<iq type='error' id='{{id}}'><error type='{kind}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         </error></iq>"
    )
}

/// As [`escape`], and so that blanks stay what they are (XML 1.0 §3.3.3).
fn attribute(text: &str) -> String {
    escape(text)
        .replace('\t', "&#9;")
        .replace('\n', "&#10;")
        .replace('\r', "&#13;")
}

type Answers = Arc<dyn Fn(&Question, &[Kept]) -> Act + Send + Sync>;

/// An archive, and how it answers. What comes and goes while the server runs is put behind what it holds.
#[derive(Clone)]
pub struct Archive {
    /// What it holds from the beginning, oldest first.
    pub kept: Vec<Kept>,
    /// It is the server's address that names it among its features, not the account's.
    pub of_server: bool,
    answers: Answers,
}

impl Archive {
    /// An archive that answers like this when it is asked and holds that.
    pub fn answering(
        kept: Vec<Kept>,
        answers: impl Fn(&Question, &[Kept]) -> Act + Send + Sync + 'static,
    ) -> Self {
        let answers = Arc::new(answers);
        Self {
            kept,
            of_server: false,
            answers,
        }
    }

    /// An archive that does what it should.
    pub fn honest(kept: Vec<Kept>) -> Self {
        Self::answering(kept, |question, kept| Act::say(question.honestly(kept)))
    }

    pub(crate) fn answer(&self, question: &Question, since: &[Kept]) -> Act {
        (self.answers)(question, &[self.kept.as_slice(), since].concat())
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive")
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(ids: &[&str]) -> Vec<Kept> {
        let stamp = "2026-01-01T00:00:00Z";
        ids.iter()
            .map(|id| Kept::message(id, stamp, ("a@b.c", "d@e.f"), id))
            .collect()
    }

    #[test]
    fn an_honest_archive_gives_the_page_that_was_asked_for() {
        let all = kept(&["a", "b", "c", "d", "e"]);
        let asked = |after: Option<&str>, before: Option<&str>, max| Question {
            query: "q".to_owned(),
            after: after.map(str::to_owned),
            before: before.map(str::to_owned),
            max,
            ..Question::default()
        };
        for (question, part, complete) in [
            (asked(None, None, 2), 0..2, false),
            (asked(None, None, 5), 0..5, true),
            (asked(Some("b"), None, 2), 2..4, false),
            (asked(Some("b"), None, 3), 2..5, true),
            (asked(None, Some(""), 2), 3..5, false),
            (asked(None, Some("c"), 2), 0..2, true),
            (asked(None, Some("c"), 1), 1..2, false),
        ] {
            assert_eq!(
                question.honestly(&all),
                question.page(&all[part], complete),
                "{question:?}"
            );
        }
        assert_eq!(
            asked(Some("x"), None, 2).honestly(&all),
            refused("item-not-found")
        );
        assert_eq!(asked(Some("e"), None, 2).honestly(&all), end_of(&[], true));
    }
}
