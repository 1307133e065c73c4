//! Questions that we asked by IQ and what to do with the answer. An answer counts only from whom was asked
//! (RFC 6120 §8.1.2.1, §8.2.3).

use std::collections::HashMap;
use std::time::Duration;

use minidom::Element;
use tokio::sync::oneshot;
use tokio::time::Instant;
use waxwing_omemo::{DeviceId, Profile};

use crate::error::{Code, Error, Result};
use crate::inbound::Sender;
use crate::model::{ArchivePreferences, BareJid};
use crate::xep::element::{element, wrap};
use crate::xep::ns;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What was asked, and so what the answer is for.
#[derive(Debug)]
pub(super) enum Ask {
    Roster,
    Carbons,
    /// What our own account can do (XEP-0030).
    OwnFeatures,
    /// A ping right behind our first presence: whatever the server held for us comes before its answer.
    CaughtUp,
    /// A page of our own archive (XEP-0313).
    Archive,
    /// What the server keeps, which somebody waits for (XEP-0441).
    ArchivePreferences(oneshot::Sender<Result<ArchivePreferences>>),
    /// A change that somebody waits for.
    Change(oneshot::Sender<Result<()>>),
    DeviceList {
        of: BareJid,
        profile: Profile,
    },
    Bundle {
        of: BareJid,
        device: DeviceId,
        profile: Profile,
    },
    /// Our own list, which we are to be put on.
    OwnList(Profile),
    Publish(super::publishing::Step),
    /// Who can read a node of ours.
    WhoCanRead(super::publishing::Step),
    /// What the server has of our own bundle.
    OwnBundle(Profile),
    /// What a device of ours published is deleted.
    Withdrawal,
    /// What our devices have read (XEP-0490).
    Displayed,
    /// What was read on this one is published.
    PublishDisplayed,
    /// Something that a report of the connection says.
    ForReport(super::report::Part),
    /// Behind stanzas that a server without stream management does not acknowledge: its answer says that it has them.
    Fence {
        rows: Vec<i64>,
    },
}

/// The questions without an answer yet.
#[derive(Default)]
pub(super) struct Questions {
    open: HashMap<String, Question>,
}

struct Question {
    to: Option<BareJid>,
    ask: Ask,
    until: Instant,
}

impl Questions {
    /// Notes a question and gives the stanza to send. `to` none means our own account.
    pub(super) fn ask(
        &mut self,
        to: Option<&BareJid>,
        kind: &str,
        payload: Element,
        ask: Ask,
    ) -> Result<Element> {
        let id = crate::secret::random_id()?;
        let mut attributes = vec![("type", kind), ("id", id.as_str())];
        attributes.extend(to.map(|to| ("to", to.as_str())));
        let stanza = wrap(element("iq", ns::JABBER_CLIENT, &attributes), [payload]);
        self.open.insert(
            id,
            Question {
                to: to.cloned(),
                ask,
                until: Instant::now() + LIMIT,
            },
        );
        Ok(stanza)
    }

    /// What an answer is for; none if nobody asked, or not this sender.
    pub(super) fn answered(&mut self, id: &str, from: Option<&Sender>, own: &BareJid) -> Option<Ask> {
        let question = self.open.get(id)?;
        let right = match &question.to {
            Some(to) if to != own => from.is_some_and(|from| from.bare == *to),
            // Our account answers without a sender, as itself, or in the name of our server.
            _ => from.is_none_or(|from| from.bare == *own || from.bare.as_str() == own.domain().as_str()),
        };
        if !right {
            tracing::warn!("an answer came from somebody who was not asked");
            return None;
        }
        self.open.remove(id).map(|question| question.ask)
    }

    /// When the next question runs out.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.values().map(|question| question.until).min()
    }

    /// Takes out the questions that nobody answered in time.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<Ask> {
        self.open
            .extract_if(|_, question| question.until <= now)
            .map(|(_, question)| question.ask)
            .collect()
    }

    /// What was asked with this stanza is being answered: it has its full time again.
    pub(super) fn postpone(&mut self, id: &str) {
        if let Some(question) = self.open.get_mut(id) {
            question.until = Instant::now() + LIMIT;
        }
    }

    /// The connection was away: answers have their full time again.
    pub(super) fn extend(&mut self) {
        let until = Instant::now() + LIMIT;
        self.open.values_mut().for_each(|question| question.until = until);
    }

    /// The connection is gone; whoever waits for a change hears so. The other answers may still come.
    pub(super) fn fail_changes(&mut self) {
        let broken = || Error::new(Code::Disconnected, "the connection broke before the answer");
        let waited_for = |ask: &Ask| matches!(ask, Ask::Change(_) | Ask::ArchivePreferences(_));
        for (_, question) in self.open.extract_if(|_, question| waited_for(&question.ask)) {
            match question.ask {
                Ask::Change(reply) => drop(reply.send(Err(broken()))),
                Ask::ArchivePreferences(reply) => drop(reply.send(Err(broken()))),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> BareJid {
        text.parse().expect("an address")
    }

    fn asked(questions: &mut Questions, to: Option<&BareJid>) -> String {
        let stanza = questions
            .ask(to, "get", Element::bare("ping", ns::PING), Ask::Carbons)
            .expect("a question");
        stanza.attr("id").expect("it has an id").to_owned()
    }

    #[test]
    fn an_answer_counts_only_from_whom_was_asked_and_only_once() {
        let own = jid("romeo@montague.lit");
        let juliet = jid("juliet@capulet.lit");
        let mut questions = Questions::default();
        let id = asked(&mut questions, Some(&juliet));
        for stranger in [
            None,
            Sender::read("mallory@evil.lit"),
            Sender::read("capulet.lit"),
            Sender::read("romeo@montague.lit"),
        ] {
            assert!(
                questions.answered(&id, stranger.as_ref(), &own).is_none(),
                "{stranger:?}"
            );
        }
        let right = Sender::read("juliet@capulet.lit/balcony");
        assert!(questions.answered("another", right.as_ref(), &own).is_none());
        assert!(questions.answered(&id, right.as_ref(), &own).is_some());
        assert!(questions.answered(&id, right.as_ref(), &own).is_none());
    }

    #[test]
    fn our_own_account_answers_in_any_of_its_names() {
        let own = jid("romeo@montague.lit");
        for to in [None, Some(&own)] {
            for from in [
                None,
                Sender::read("romeo@montague.lit"),
                Sender::read("montague.lit"),
            ] {
                let mut questions = Questions::default();
                let id = asked(&mut questions, to);
                assert!(
                    questions.answered(&id, from.as_ref(), &own).is_some(),
                    "{to:?} {from:?}"
                );
            }
            let mut questions = Questions::default();
            let id = asked(&mut questions, to);
            assert!(
                questions
                    .answered(&id, Sender::read("mallory@evil.lit").as_ref(), &own)
                    .is_none()
            );
        }
    }

    #[tokio::test]
    async fn whoever_waits_for_a_change_hears_that_the_connection_broke() {
        let mut questions = Questions::default();
        let (done, outcome) = oneshot::channel();
        questions
            .ask(None, "set", Element::bare("query", ns::ROSTER), Ask::Change(done))
            .expect("a question");
        questions.fail_changes();
        let error = outcome.await.expect("an answer").expect_err("no success");
        assert_eq!(error.code, Code::Disconnected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_runs_out_after_its_limit_and_not_before() {
        let mut questions = Questions::default();
        asked(&mut questions, None);
        let deadline = questions.deadline().expect("a deadline");
        assert!(questions.expired(deadline - Duration::from_millis(1)).is_empty());
        assert_eq!(questions.expired(deadline).len(), 1);
        assert!(questions.deadline().is_none());
    }
}
