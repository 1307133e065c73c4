//! What the server keeps of our messages (XEP-0441): read and set for whoever asks.

use minidom::Element;
use tokio::sync::oneshot;

use super::iq::Ask;
use super::online::{Online, Stop};
use crate::error::{Code, Error, Result};
use crate::model::ArchivePreferences;
use crate::xep::{mam_prefs, stanza_error};

impl Online<'_> {
    /// Asks the server, after setting them if they are given.
    pub(super) async fn archive_preferences(
        &mut self,
        set: Option<ArchivePreferences>,
        done: oneshot::Sender<Result<ArchivePreferences>>,
    ) -> std::result::Result<(), Stop> {
        let (kind, payload) = match set {
            None => ("get", mam_prefs::question()),
            Some(set) => (
                "set",
                mam_prefs::write(&mam_prefs::Preferences {
                    default: set.default.word().to_owned(),
                    always: set.always,
                    never: set.never,
                }),
            ),
        };
        let ask = Ask::ArchivePreferences(done);
        let question = self.session.questions.ask(None, kind, payload, ask)?;
        self.connection.send(&question).await?;
        Ok(())
    }
}

/// What the server answered.
pub(super) fn answered(answer: &Element) -> Result<ArchivePreferences> {
    if answer.attr("type") == Some("error") {
        let error = stanza_error::read(answer);
        return Err(if error.is_unsupported() {
            none()
        } else {
            Error::new(Code::Rejected, error.sentence())
        });
    }
    let read = mam_prefs::read(answer).ok_or_else(none)?;
    Ok(ArchivePreferences {
        default: read.default.parse().map_err(|_| none())?,
        always: read.always,
        never: read.never,
    })
}

fn none() -> Error {
    Error::new(
        Code::NotSupported,
        "the server does not say what it keeps, and lets nobody choose",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_offers_nothing_is_told_from_one_that_refuses() {
        let refused = |condition: &str| {
            let xml = format!(
                "<iq xmlns='jabber:client' type='error'><error type='cancel'>\
                 <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            );
            answered(&xml.parse().expect("well formed"))
                .expect_err("an error")
                .code
        };
        for condition in ["service-unavailable", "feature-not-implemented", "item-not-found"] {
            assert_eq!(refused(condition), Code::NotSupported, "{condition}");
        }
        assert_eq!(refused("not-allowed"), Code::Rejected);
        for odd in ["", "<prefs xmlns='urn:xmpp:mam:2' default='sometimes'/>"] {
            let answer: Element = format!("<iq xmlns='jabber:client' type='result'>{odd}</iq>")
                .parse()
                .expect("well formed");
            assert_eq!(answered(&answer).expect_err("an error").code, Code::NotSupported);
        }
    }
}
