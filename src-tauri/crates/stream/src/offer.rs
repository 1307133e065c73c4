//! What the server offers to authenticate with, and which of it is taken.

use minidom::Element;

use crate::binding::{Binding, Channel};
use crate::hash::Hash;
use crate::{ConnectError, Login, Mechanism, xml};

/// What the stream's features say about authentication, word for word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    mechanisms: Vec<String>,
    /// Channel-binding types, if the server says which (XEP-0440).
    bindings: Option<Vec<String>>,
}

/// How to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) mechanism: Mechanism,
    pub(crate) binding: Option<Binding>,
    /// The server does not say that it knows this binding.
    pub(crate) guessed: bool,
    /// What SCRAM says of channel binding (RFC 5802 §7, `gs2-cbind-flag`): the first part of its first message.
    pub(crate) flag: Flag,
}

/// Of channel binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    /// `p=`, it is done.
    Bound(Binding),
    /// `y`, the client could, and thinks that the server cannot.
    ServerCannot,
    /// `n`, the client cannot.
    ClientCannot,
}

impl Mechanism {
    /// Whether it ties the login to the TLS channel.
    pub(crate) fn is_bound(self) -> bool {
        self >= Self::ScramSha1Plus
    }

    /// The hash function of a SCRAM.
    pub(crate) fn hash(self) -> Option<Hash> {
        match self {
            Self::Plain => None,
            Self::ScramSha1 | Self::ScramSha1Plus => Some(Hash::Sha1),
            Self::ScramSha256 | Self::ScramSha256Plus => Some(Hash::Sha256),
            Self::ScramSha512 | Self::ScramSha512Plus => Some(Hash::Sha512),
        }
    }
}

/// The texts of the children that are `name`s.
pub(crate) fn texts(parent: Option<&Element>, name: &str) -> Vec<String> {
    let children = parent.into_iter().flat_map(Element::children);
    let named = children.filter(|child| child.name() == name);
    named.map(|child| child.text().trim().to_owned()).collect()
}

impl Offer {
    /// Of RFC 6120.
    pub(crate) fn classic(features: &Element) -> Self {
        Self::of(features, features.get_child("mechanisms", xml::SASL))
    }

    /// Of XEP-0388.
    pub(crate) fn extensible(features: &Element) -> Self {
        Self::of(features, features.get_child("authentication", xml::SASL2))
    }

    fn of(features: &Element, list: Option<&Element>) -> Self {
        let announced = features.get_child("sasl-channel-binding", xml::SASL_CB);
        let kinds = |announced: &Element| {
            let kinds = announced.children().filter(|c| c.name() == "channel-binding");
            kinds.filter_map(|c| c.attr("type")).map(str::to_owned).collect()
        };
        Self {
            mechanisms: texts(list, "mechanism"),
            bindings: announced.map(kinds),
        }
    }

    /// The strongest that both sides can do, whether acceptable or not. A bound one counts only with a type that both
    /// know; without any word about types that is tried which TLS 1.3 makes the default (RFC 9266 §3).
    pub(crate) fn strongest(&self, channel: &Channel, guess: bool) -> Option<Choice> {
        let binding = channel.strongest(|binding| match &self.bindings {
            Some(announced) => announced.iter().any(|name| name == binding.name()),
            None => guess && binding == Binding::Exporter,
        });
        let usable = |mechanism: &Mechanism| !mechanism.is_bound() || binding.is_some();
        let known = self
            .mechanisms
            .iter()
            .filter_map(|name| Mechanism::from_name(name));
        let mechanism = known.filter(usable).max()?;
        let binding = binding.filter(|_| mechanism.is_bound());
        let able = channel.strongest(|_| true).is_some();
        Some(Choice {
            mechanism,
            binding,
            guessed: binding.is_some() && self.bindings.is_none(),
            flag: match binding {
                Some(binding) => Flag::Bound(binding),
                None if able && !self.mechanisms.iter().any(|name| name.ends_with("-PLUS")) => {
                    Flag::ServerCannot
                }
                None => Flag::ClientCannot,
            },
        })
    }

    /// The strongest that both sides can do, if that is acceptable: not weaker than what the server once offered, and
    /// not the password itself unless there is nothing else and the person allows it.
    pub(crate) fn choose(
        &self,
        login: &Login,
        channel: &Channel,
        guess: bool,
    ) -> Result<Choice, ConnectError> {
        let choice = self.strongest(channel, guess).ok_or(ConnectError::NoMechanism)?;
        let offered = choice.mechanism;
        if let Some(remembered) = login.strongest_seen.filter(|seen| *seen > offered) {
            return Err(ConnectError::Downgrade { offered, remembered });
        }
        if offered == Mechanism::Plain {
            // Also a SCRAM that we cannot do is better than handing the password out.
            if self.mechanisms.iter().any(|name| name.starts_with("SCRAM-")) {
                return Err(ConnectError::NoMechanism);
            }
            if !login.allow_plain {
                return Err(ConnectError::PlainOnly);
            }
        }
        Ok(choice)
    }

    /// What both sides hash to find out whether somebody changed the offer on its way (XEP-0474 §5.1).
    pub(crate) fn fingerprint(&self, hash: Hash) -> Vec<u8> {
        let joined = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort_unstable();
            names.join("\u{1e}")
        };
        let mut text = joined(&self.mechanisms);
        if let Some(bindings) = &self.bindings {
            text.push('\u{1f}');
            text.push_str(&joined(bindings));
        }
        hash.digest(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mechanism::{
        Plain, ScramSha1, ScramSha1Plus, ScramSha256, ScramSha256Plus, ScramSha512, ScramSha512Plus,
    };

    const BOTH: (Option<&[u8]>, Option<&[u8]>) = (Some(b"exporter"), Some(b"end"));

    fn offer(mechanisms: &[&str], bindings: Option<&[&str]>) -> Offer {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Offer {
            mechanisms: owned(mechanisms),
            bindings: bindings.map(owned),
        }
    }

    fn login(strongest_seen: Option<Mechanism>, allow_plain: bool) -> Login {
        Login {
            strongest_seen,
            allow_plain,
            ..crate::fuzz::plain_login()
        }
    }

    fn channel((exporter, end_point): (Option<&[u8]>, Option<&[u8]>)) -> Channel {
        Channel::fixed(exporter, end_point)
    }

    #[test]
    fn both_lists_are_read_word_for_word() {
        let features: Element = format!(
            "<features xmlns='{}'><mechanisms xmlns='{}'><mechanism>PLAIN</mechanism><x xmlns='y'/></mechanisms>\
             <authentication xmlns='{}'><mechanism> SCRAM-SHA-1 </mechanism><inline/></authentication>\
             <sasl-channel-binding xmlns='{}'><channel-binding type='a'/><channel-binding/><x/></sasl-channel-binding>\
             </features>",
            xml::STREAM,
            xml::SASL,
            xml::SASL2,
            xml::SASL_CB
        )
        .parse()
        .unwrap();
        assert_eq!(Offer::classic(&features), offer(&["PLAIN"], Some(&["a"])));
        assert_eq!(
            Offer::extensible(&features),
            offer(&["SCRAM-SHA-1"], Some(&["a"]))
        );
    }

    #[test]
    fn the_strongest_common_mechanism_is_chosen() {
        for (names, bindings, chosen) in [
            (&["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"][..], None, ScramSha256),
            (&["SCRAM-SHA-256", "SCRAM-SHA-512"], None, ScramSha512),
            (
                &["SCRAM-SHA-512", "SCRAM-SHA-1-PLUS"],
                Some(&["tls-exporter"][..]),
                ScramSha1Plus,
            ),
            (
                &["SCRAM-SHA-256-PLUS", "SCRAM-SHA-512-PLUS"],
                Some(&["tls-exporter"]),
                ScramSha512Plus,
            ),
            (
                &["SCRAM-SHA-1", "SCRAM-SHA-512-PLUS"],
                Some(&["tls-unique"]),
                ScramSha1,
            ),
            (&["DIGEST-MD5", "PLAIN"], None, Plain),
        ] {
            let choose = |seen| offer(names, bindings).choose(&login(seen, true), &channel(BOTH), true);
            assert_eq!(choose(None).unwrap().mechanism, chosen, "{names:?}");
            assert_eq!(choose(Some(chosen)).unwrap().mechanism, chosen);
        }
    }

    #[test]
    fn the_strongest_common_binding_is_chosen_and_the_flag_never_lies() {
        const PLUS: &[&str] = &["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];
        const NO_PLUS: &[&str] = &["SCRAM-SHA-256"];
        let old_tls = (None, Some(&b"end"[..]));
        let both = Some(&["tls-server-end-point", "tls-exporter"][..]);
        let end = Some(&["tls-server-end-point"][..]);
        for (names, bindings, able, flag) in [
            (PLUS, both, BOTH, Flag::Bound(Binding::Exporter)),
            (PLUS, both, old_tls, Flag::Bound(Binding::ServerEndPoint)),
            (PLUS, end, BOTH, Flag::Bound(Binding::ServerEndPoint)),
            (PLUS, Some(&["tls-unique"]), BOTH, Flag::ClientCannot),
            (PLUS, both, (None, None), Flag::ClientCannot),
            // Without a word about types.
            (PLUS, None, BOTH, Flag::Bound(Binding::Exporter)),
            (PLUS, None, old_tls, Flag::ClientCannot),
            // Somebody may have taken the bound mechanisms out: the server shall say.
            (NO_PLUS, both, BOTH, Flag::ServerCannot),
            (NO_PLUS, None, BOTH, Flag::ServerCannot),
            (NO_PLUS, None, (None, None), Flag::ClientCannot),
        ] {
            let choice = offer(names, bindings)
                .choose(&login(None, false), &channel(able), true)
                .unwrap();
            assert_eq!(choice.flag, flag, "{names:?} {bindings:?}");
            assert_eq!(
                choice.mechanism == ScramSha256Plus,
                matches!(flag, Flag::Bound(_))
            );
            assert_eq!(choice.guessed, bindings.is_none() && choice.binding.is_some());
        }
        let refused = offer(PLUS, None)
            .choose(&login(None, false), &channel(BOTH), false)
            .unwrap();
        assert_eq!(
            (refused.mechanism, refused.flag),
            (ScramSha256, Flag::ClientCannot)
        );
    }

    #[test]
    fn plain_is_refused_where_the_server_knows_better_or_the_person_does_not_allow_it() {
        let choose = |names: &[&str], allowed| {
            let login = login(None, allowed);
            offer(names, None)
                .choose(&login, &channel((None, None)), true)
                .map(|choice| choice.mechanism)
        };
        assert_eq!(choose(&["PLAIN"], true), Ok(Plain));
        assert_eq!(choose(&["PLAIN"], false), Err(ConnectError::PlainOnly));
        for names in [
            &["PLAIN", "SCRAM-SHA3-512"][..],
            &["PLAIN", "SCRAM-SHA-1-PLUS"],
            &["EXTERNAL"],
            &[],
        ] {
            assert_eq!(choose(names, true), Err(ConnectError::NoMechanism), "{names:?}");
        }
    }

    #[test]
    fn a_weaker_offer_than_before_is_refused() {
        for (names, bindings, remembered, offered) in [
            (&["PLAIN"][..], None, ScramSha1, Plain),
            (&["SCRAM-SHA-1"], None, ScramSha256, ScramSha1),
            (&["SCRAM-SHA-512"], None, ScramSha1Plus, ScramSha512),
            (
                &["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"],
                Some(&["tls-unique"][..]),
                ScramSha1Plus,
                ScramSha1,
            ),
        ] {
            let refused = Err(ConnectError::Downgrade { offered, remembered });
            let login = login(Some(remembered), true);
            assert_eq!(
                offer(names, bindings).choose(&login, &channel(BOTH), true),
                refused
            );
        }
    }

    /// The example of XEP-0474 §5.3, and one without types, computed with Python's hashlib.
    #[test]
    fn the_offers_fingerprint_is_that_of_the_specification() {
        use base64::Engine;
        let print =
            |offer: Offer| base64::engine::general_purpose::STANDARD.encode(offer.fingerprint(Hash::Sha1));
        let bindings = Some(&["tls-server-end-point", "tls-exporter"][..]);
        let example = offer(&["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"], bindings);
        assert_eq!(print(example), "G6k/rBLDqgOhRRaCuuatSDFkJ08=");
        let without = offer(&["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"], None);
        assert_eq!(print(without), "g00gt4Qd0gJ3EvnclTnY0KEYfRg=");
    }
}
