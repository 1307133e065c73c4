//! Trust messages (XEP-0434), as automatic trust management (XEP-0450) uses them for keys of omemo:2.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minidom::Element;
use xmpp_parsers::jid::BareJid;

use super::element::{attribute, element, text, wrap};
use super::ns;

/// A message that says more is not believed at all.
const WORDS: usize = 1_000;

/// What is said about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) owner: BareJid,
    /// The key, in its Ed25519 form or, from some, in its Curve25519 form.
    pub(crate) key: [u8; 32],
    pub(crate) trusted: bool,
}

/// Reads a `<trust-message/>`. None if it is for another purpose or another encryption, or not as it should be.
pub(crate) fn read(message: &Element) -> Option<Vec<Word>> {
    let is_ours = message.is("trust-message", ns::TRUST_MESSAGES)
        && message.attr("usage") == Some(ns::ATM)
        && message.attr("encryption") == Some(waxwing_omemo::Profile::Omemo2.namespace());
    if !is_ours {
        return None;
    }
    let mut words = Vec::new();
    for owner in message
        .children()
        .filter(|child| child.is("key-owner", ns::TRUST_MESSAGES))
    {
        let jid: BareJid = attribute(owner, "jid")?.parse().ok()?;
        for child in owner.children() {
            let trusted = match child.name() {
                "trust" => true,
                "distrust" => false,
                _ => continue,
            };
            if words.len() == WORDS {
                return None;
            }
            words.push(Word {
                owner: jid.clone(),
                key: STANDARD.decode(child.text().trim()).ok()?.try_into().ok()?,
                trusted,
            });
        }
    }
    (!words.is_empty()).then_some(words)
}

/// Writes a `<trust-message/>`.
pub(crate) fn write(words: &[Word]) -> Element {
    let owners: std::collections::BTreeSet<&BareJid> = words.iter().map(|word| &word.owner).collect();
    let owners = owners.into_iter().map(|owner| {
        let about = words.iter().filter(|word| word.owner == *owner);
        let named = about.map(|word| {
            let name = if word.trusted { "trust" } else { "distrust" };
            text(name, ns::TRUST_MESSAGES, &STANDARD.encode(word.key))
        });
        wrap(
            element("key-owner", ns::TRUST_MESSAGES, &[("jid", owner.as_str())]),
            named,
        )
    });
    let encryption = waxwing_omemo::Profile::Omemo2.namespace();
    wrap(
        element(
            "trust-message",
            ns::TRUST_MESSAGES,
            &[("usage", ns::ATM), ("encryption", encryption)],
        ),
        owners,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(owner: &str, key: u8, trusted: bool) -> Word {
        Word {
            owner: owner.parse().expect("an address"),
            key: [key; 32],
            trusted,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let words = [
            word("a@a.lit", 1, true),
            word("a@a.lit", 2, false),
            word("b@b.lit", 3, true),
        ];
        assert_eq!(read(&write(&words)), Some(words.to_vec()));
    }

    #[test]
    fn what_is_not_as_it_should_be_says_nothing() {
        let key = STANDARD.encode([1; 32]);
        let message = |usage: &str, encryption: &str, inside: &str| {
            format!(
                "<trust-message xmlns='urn:xmpp:tm:1' usage='{usage}' encryption='{encryption}'>{inside}</trust-message>"
            )
        };
        let owner = |inside: &str| format!("<key-owner jid='a@a.lit'>{inside}</key-owner>");
        let (atm, omemo) = ("urn:xmpp:atm:1", "urn:xmpp:omemo:2");
        let good = owner(&format!("<trust>{key}</trust>"));
        for xml in [
            message("urn:example:other", omemo, &good),
            message(atm, "eu.siacs.conversations.axolotl", &good),
            message(atm, omemo, ""),
            message(atm, omemo, &owner("")),
            message(atm, omemo, &owner("<trust>AAAA</trust>")),
            message(atm, omemo, &owner("<trust>not base64</trust>")),
            message(
                atm,
                omemo,
                &format!("<key-owner><trust>{key}</trust></key-owner>"),
            ),
            message(
                atm,
                omemo,
                &format!("<key-owner jid='a@a.lit/x'><trust>{key}</trust></key-owner>"),
            ),
            message(
                atm,
                omemo,
                &owner(&format!("<trust>{key}</trust>").repeat(WORDS + 1)),
            ),
            good,
        ] {
            let xml = xml.replace("<key-owner", "<key-owner xmlns='urn:xmpp:tm:1'");
            let element: Element = xml.parse().expect("XML");
            assert_eq!(
                read(&element),
                None,
                "{}",
                xml.chars().take(200).collect::<String>()
            );
        }
    }
}
