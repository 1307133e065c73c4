//! Logging in by a token instead of the password (XEP-0484, with the mechanisms of draft-schmaus-kitten-sasl-ht-09).

use jiff::Timestamp;
use minidom::Element;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::binding::{Binding, Channel};
use crate::hash::Hash;
use crate::{ConnectError, FastToken, Lie, Login, Mechanism, Password, xml};

/// With less than this left of a token's life, in seconds, a new one is asked for along with using it. How long its
/// whole life was is not known; servers give weeks, and renew by themselves too.
const OLD: i64 = 7 * 86_400;
/// The longest token that is kept, in bytes.
const LONGEST: usize = 4_096;

/// What a mechanism binds to, strongest first.
const MECHANISMS: [(&str, Option<Binding>); 3] = [
    ("HT-SHA-256-EXPR", Some(Binding::Exporter)),
    ("HT-SHA-256-ENDP", Some(Binding::ServerEndPoint)),
    (UNBOUND, None),
];
/// The mechanism that binds to nothing: whoever ends TLS on the way can use it again.
pub(crate) const UNBOUND: &str = "HT-SHA-256-NONE";

/// The best of the server's mechanisms to ask a token for.
pub(crate) fn best(offered: &[String], channel: &Channel) -> Option<&'static str> {
    MECHANISMS
        .into_iter()
        .filter(|(_, binding)| binding.is_none_or(|binding| channel.value(binding).is_some()))
        .map(|(name, _)| name)
        .find(|name| offered.iter().any(|offered| offered == name))
}

/// The token as one that is not tried again; none if it is one already.
pub(crate) fn spent(token: &FastToken) -> Option<FastToken> {
    (!token.mechanism.is_empty()).then(|| FastToken {
        mechanism: String::new(),
        ..token.clone()
    })
}

/// Whether there is a token that is worth nothing any more. `now` in Unix seconds.
pub(crate) fn is_spent(login: &Login, now: i64) -> bool {
    let token = login.token.as_ref();
    token.is_some_and(|token| token.mechanism.is_empty() || token.expiry.is_some_and(|expiry| expiry <= now))
}

/// A token that can be used on this channel.
#[derive(Clone, Copy)]
pub(crate) struct Ticket<'a> {
    pub(crate) mechanism: &'static str,
    pub(crate) binding: Option<Binding>,
    secret: &'a Password,
    bound: &'a [u8],
    /// So little of its life is left that a new one is wanted.
    pub(crate) old: bool,
}

impl<'a> Ticket<'a> {
    /// The login's token, if it is worth a try. `now` in Unix seconds.
    pub(crate) fn of(login: &'a Login, channel: &'a Channel, now: i64) -> Option<Self> {
        let token = login.token.as_ref()?;
        // A token belongs to an installation, which must say its name (XEP-0484 §5.1).
        login.user_agent.as_ref()?;
        let (mechanism, binding) = MECHANISMS
            .into_iter()
            .find(|(name, _)| *name == token.mechanism)?;
        let bound = match binding {
            Some(binding) => channel.value(binding)?,
            None => &[],
        };
        if binding.is_none() && login.strongest_seen.is_some_and(Mechanism::is_bound) {
            return None;
        }
        let left = token.expiry.map(|expiry| expiry.saturating_sub(now));
        if left.is_some_and(|left| left <= 0) {
            return None;
        }
        Some(Self {
            mechanism,
            binding,
            secret: &token.secret,
            bound,
            old: left.is_some_and(|left| left < OLD),
        })
    }

    fn proof(&self, who: &[u8]) -> Zeroizing<Vec<u8>> {
        Hash::Sha256.hmac(self.secret.expose().as_bytes(), &[who, self.bound].concat())
    }

    /// What we send (§3.1 there).
    pub(crate) fn message(&self, username: &str) -> Zeroizing<Vec<u8>> {
        let proof = self.proof(b"Initiator");
        Zeroizing::new([username.as_bytes(), &[0], &proof].concat())
    }

    /// Checks what the server sends, its own proof (§3.3 there).
    pub(crate) fn check(&self, message: &[u8]) -> Result<(), ConnectError> {
        if bool::from(self.proof(b"Responder").ct_eq(message)) {
            Ok(())
        } else {
            Err(ConnectError::ServerLied(Lie::Signature))
        }
    }
}

/// The new token within a `<success/>`. `mechanism` is what it was asked for, or that of the token it replaces.
pub(crate) fn granted(success: &Element, mechanism: &str) -> Option<FastToken> {
    let token = success.get_child("token", xml::FAST)?;
    let secret = token
        .attr("token")
        .filter(|secret| !secret.is_empty() && secret.len() <= LONGEST)?;
    let expiry = token.attr("expiry").and_then(|at| at.parse::<Timestamp>().ok());
    Some(FastToken {
        mechanism: mechanism.to_owned(),
        secret: Password::from(secret),
        expiry: expiry.map(Timestamp::as_second),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(mechanism: &str, expiry: Option<i64>) -> Login {
        Login {
            token: Some(FastToken {
                mechanism: mechanism.to_owned(),
                secret: Password::from("secret-token:fast-abc"),
                expiry,
            }),
            user_agent: Some("id".to_owned()),
            ..crate::fuzz::plain_login()
        }
    }

    fn usable(login: &Login, channel: &Channel) -> bool {
        Ticket::of(login, channel, 1_000).is_some()
    }

    #[test]
    fn a_token_is_tried_only_where_it_can_be_taken() {
        let both = Channel::fixed(Some(b"exporter"), Some(b"end"));
        let old = Channel::fixed(None, Some(b"end"));
        let none = Channel::default();
        for (mechanism, on_both, on_old, on_none) in [
            ("HT-SHA-256-EXPR", true, false, false),
            ("HT-SHA-256-ENDP", true, true, false),
            ("HT-SHA-256-NONE", true, true, true),
            ("HT-SHA-512-NONE", false, false, false),
            ("", false, false, false),
        ] {
            let login = login(mechanism, None);
            let found = [&both, &old, &none].map(|channel| usable(&login, channel));
            assert_eq!(found, [on_both, on_old, on_none], "{mechanism}");
        }
        for (seen, on_both) in [(Mechanism::ScramSha512, true), (Mechanism::ScramSha1Plus, false)] {
            let bound_before = Login {
                strongest_seen: Some(seen),
                ..login("HT-SHA-256-NONE", None)
            };
            assert_eq!(usable(&bound_before, &both), on_both, "{seen:?}");
        }
        let nameless = Login {
            user_agent: None,
            ..login("HT-SHA-256-NONE", None)
        };
        assert!(!usable(&nameless, &both));
    }

    #[test]
    fn a_token_is_renewed_in_its_last_week_and_not_tried_after() {
        let channel = Channel::default();
        for (expiry, usable, old) in [
            (None, true, false),
            (Some(1_000 + OLD), true, false),
            (Some(1_000 + OLD - 1), true, true),
            (Some(1_001), true, true),
            (Some(1_000), false, false),
            (Some(i64::MIN), false, false),
        ] {
            let login = login("HT-SHA-256-NONE", expiry);
            let ticket = Ticket::of(&login, &channel, 1_000);
            assert_eq!(ticket.is_some(), usable, "{expiry:?}");
            assert_eq!(ticket.is_some_and(|ticket| ticket.old), old, "{expiry:?}");
            assert_eq!(is_spent(&login, 1_000), !usable);
        }
    }

    #[test]
    fn the_best_mechanism_that_both_can_do_is_asked_for() {
        let offered = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let all = offered(&[
            "HT-SHA-256-NONE",
            "HT-SHA-256-ENDP",
            "HT-SHA-256-EXPR",
            "HT-SHA-512-EXPR",
        ]);
        let both = Channel::fixed(Some(b"exporter"), Some(b"end"));
        assert_eq!(best(&all, &both), Some("HT-SHA-256-EXPR"));
        assert_eq!(
            best(&all, &Channel::fixed(None, Some(b"end"))),
            Some("HT-SHA-256-ENDP")
        );
        assert_eq!(best(&all, &Channel::default()), Some("HT-SHA-256-NONE"));
        assert_eq!(best(&offered(&["HT-SHA-256-UNIQ"]), &both), None);
    }

    /// Computed with Python's hmac: key `secret-token:fast-abc`, messages `Initiatorexporter` and `Responderexporter`.
    #[test]
    fn both_proofs_come_out_as_computed_elsewhere() {
        let login = login("HT-SHA-256-EXPR", None);
        let channel = Channel::fixed(Some(b"exporter"), None);
        let ticket = Ticket::of(&login, &channel, 0).unwrap();
        let hex = |bytes: &[u8]| {
            let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            digits.concat()
        };
        let message = ticket.message("alice");
        assert!(message.starts_with(b"alice\0"));
        assert_eq!(
            hex(&message[6..]),
            "e1b1bbf54bf12a33129835c85636db4a009fac9d013a479b9a2993410d219282"
        );
        let mut proof = ticket.proof(b"Responder").to_vec();
        assert_eq!(
            hex(&proof),
            "b4f5df65ea52fd080585558dad8c7ccf913f5d4b2e64f4c012ba30959de16117"
        );
        assert_eq!(ticket.check(&proof), Ok(()));
        let lied = Err(ConnectError::ServerLied(Lie::Signature));
        assert_eq!(ticket.check(&proof[..31]), lied);
        assert_eq!(ticket.check(b""), lied);
        assert_eq!(ticket.check(&ticket.proof(b"Initiator")), lied);
        proof[0] ^= 1;
        assert_eq!(ticket.check(&proof), lied);
    }

    #[test]
    fn a_granted_token_is_read_with_its_end() {
        let success = |attributes: &str| -> Element {
            format!(
                "<success xmlns='{}'><token xmlns='{}' {attributes}/></success>",
                xml::SASL2,
                xml::FAST
            )
            .parse()
            .unwrap()
        };
        let read = |attributes: &str| {
            granted(&success(attributes), "HT").map(|token| (token.secret.expose().to_owned(), token.expiry))
        };
        assert_eq!(
            read("token='abc' expiry='2020-03-12T14:36:15Z'"),
            Some(("abc".to_owned(), Some(1_584_023_775)))
        );
        for odd in [
            "",
            "expiry='never'",
            "expiry='-9999999-01-01T00:00:00Z'",
            "expiry=''",
        ] {
            assert_eq!(
                read(&format!("token='abc' {odd}")),
                Some(("abc".to_owned(), None)),
                "{odd}"
            );
        }
        let long = format!("token='{}'", "x".repeat(LONGEST + 1));
        for none in ["", "token=''", long.as_str()] {
            assert_eq!(read(none), None);
        }
    }
}
