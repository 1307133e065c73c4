//! The SASL exchange, in the elements of RFC 6120 §6 or of XEP-0388, and the classic way to begin it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minidom::Element;
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

use crate::binding::Channel;
use crate::draw::Draw;
use crate::fast::Ticket;
use crate::offer::{Choice, Offer};
use crate::scram::{First, Terms, prepared};
use crate::session::expect_element;
use crate::wire::Wire;
use crate::{ConnectError, Lie, Login, xml};

/// Whose elements carry the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// RFC 6120 §6.
    Classic,
    /// XEP-0388.
    Extensible,
}

impl Profile {
    fn namespace(self) -> &'static str {
        match self {
            Self::Classic => xml::SASL,
            Self::Extensible => xml::SASL2,
        }
    }

    /// What goes first: `along` is what XEP-0388 lets one ask for along with it.
    pub(crate) fn request(self, mechanism: &str, message: &[u8], along: &str) -> Zeroizing<String> {
        let message = Zeroizing::new(STANDARD.encode(message));
        let (ns, message) = (self.namespace(), message.as_str());
        Zeroizing::new(match self {
            Self::Classic => format!("<auth xmlns='{ns}' mechanism='{mechanism}'>{message}</auth>"),
            Self::Extensible => format!(
                "<authenticate xmlns='{ns}' mechanism='{mechanism}'><initial-response>{message}</initial-response>\
                 {along}</authenticate>"
            ),
        })
    }
}

/// One exchange, our first message being out.
pub(crate) enum Exchange<'a> {
    Plain,
    Scram(First),
    Token(Ticket<'a>),
}

/// How an exchange ended.
pub(crate) enum Verdict {
    /// The `<success/>`; the server has proven itself as far as the mechanism can.
    Success(Element),
    Refused {
        error: ConnectError,
        /// Before it had asked anything: it did not like how the exchange began.
        early: bool,
    },
}

/// Begins to prove the password; also the first message.
fn begin(
    choice: Choice,
    offer: &Offer,
    channel: &Channel,
    login: &Login,
    draw: Draw,
) -> Result<(Zeroizing<Vec<u8>>, Exchange<'static>), ConnectError> {
    let username = username(login);
    let Some(hash) = choice.mechanism.hash() else {
        let password = prepared(login.password.expose());
        // It separates the fields (RFC 4616 §2), and no server knows a password with it.
        if password.contains('\0') {
            return Err(ConnectError::WrongPassword);
        }
        let message = format!("\0{}\0{}", prepared(username).as_str(), password.as_str());
        return Ok((Zeroizing::new(message.into_bytes()), Exchange::Plain));
    };
    let bound = choice.binding.and_then(|binding| channel.value(binding));
    let terms = Terms {
        hash,
        flag: choice.flag,
        channel: bound.unwrap_or_default().to_vec(),
        offer: offer.fingerprint(hash),
    };
    let first = First::new(terms, username, draw.nonce());
    let message = Zeroizing::new(first.message().into_bytes());
    Ok((message, Exchange::Scram(first)))
}

/// The local part of the address.
pub(crate) fn username(login: &Login) -> &str {
    login.address.node().map(jid::NodeRef::as_str).unwrap_or_default()
}

/// Proves the password; `along` see [`Profile::request`]. Returns what was taken and the `<success/>`.
pub(crate) async fn by_password<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    (profile, offer): (Profile, &Offer),
    channel: &Channel,
    login: &Login,
    (along, draw): (&str, Draw),
) -> Result<(Choice, Element), ConnectError> {
    let mut guess = true;
    loop {
        let choice = offer.choose(login, channel, guess)?;
        let (message, exchange) = begin(choice, offer, channel, login, draw)?;
        wire.write(&profile.request(choice.mechanism.name(), &message, along))
            .await?;
        match converse(wire, profile, exchange, login).await? {
            Verdict::Success(element) => return Ok((choice, element)),
            // Servers of old bind to TLS 1.3 by what is not defined for it, and refuse the right type at once.
            Verdict::Refused { early: true, .. } if choice.guessed => guess = false,
            Verdict::Refused { error, .. } => return Err(error),
        }
    }
}

/// The exchange after our first message, up to its end.
pub(crate) async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    profile: Profile,
    exchange: Exchange<'_>,
    login: &Login,
) -> Result<Verdict, ConnectError> {
    let first = match exchange {
        Exchange::Plain => return Ok(single(reply(wire, profile).await?)?.0),
        Exchange::Token(ticket) => {
            let (verdict, proof) = single(reply(wire, profile).await?)?;
            if matches!(verdict, Verdict::Success(_)) {
                ticket.check(&proof)?;
            }
            return Ok(verdict);
        }
        Exchange::Scram(first) => first,
    };
    let challenge = match reply(wire, profile).await? {
        Reply::Challenge(challenge) => challenge,
        Reply::Success(..) => return Err(ConnectError::ServerLied(Lie::Signature)),
        Reply::Continue => {
            return Err(ConnectError::Protocol(
                "a second proof is wanted before the first",
            ));
        }
        Reply::Failure(error) => return Ok(Verdict::Refused { error, early: true }),
    };
    let password = login.password.clone();
    let answered = tokio::task::spawn_blocking(move || first.answer(&challenge, &password)).await;
    let (answer, last) =
        answered.map_err(|_| ConnectError::Protocol("the proof could not be computed"))??;
    let (ns, answer) = (profile.namespace(), STANDARD.encode(answer));
    wire.write(&format!("<response xmlns='{ns}'>{answer}</response>"))
        .await?;
    match reply(wire, profile).await? {
        Reply::Success(element, proof) => last.check(&proof).map(|()| Verdict::Success(element)),
        Reply::Failure(error) => Ok(Verdict::Refused { error, early: false }),
        Reply::Continue => Err(ConnectError::NoMechanism),
        // The server's proof may also come as one more challenge (RFC 6120 §6.4.5).
        Reply::Challenge(proof) => {
            last.check(&proof)?;
            wire.write(&format!("<response xmlns='{ns}'/>")).await?;
            Ok(single(reply(wire, profile).await?)?.0)
        }
    }
}

/// The end of an exchange that has none but one answer, with the data that came along.
fn single(reply: Reply) -> Result<(Verdict, Vec<u8>), ConnectError> {
    match reply {
        Reply::Success(element, proof) => Ok((Verdict::Success(element), proof)),
        Reply::Failure(error) => Ok((Verdict::Refused { error, early: false }, Vec::new())),
        Reply::Challenge(_) => Err(ConnectError::Protocol("a challenge where none belongs")),
        Reply::Continue => Err(ConnectError::NoMechanism),
    }
}

enum Reply {
    Challenge(Vec<u8>),
    /// With the mechanism's last message, empty if there is none.
    Success(Element, Vec<u8>),
    Failure(ConnectError),
    /// The server wants a second proof (XEP-0388 §2.6.3); none is known here.
    Continue,
}

/// The next step. Nothing but the exchange may come before its end, so that nobody smuggles anything in.
async fn reply<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    profile: Profile,
) -> Result<Reply, ConnectError> {
    let element = expect_element(wire).await?;
    if element.ns() != profile.namespace() {
        return Err(ConnectError::Protocol("no answer to the authentication"));
    }
    match element.name() {
        "challenge" => Ok(Reply::Challenge(decode(&element.text())?)),
        "success" => {
            let text = match profile {
                Profile::Classic => element.text(),
                Profile::Extensible => element
                    .get_child("additional-data", xml::SASL2)
                    .map(Element::text)
                    .unwrap_or_default(),
            };
            let data = decode(&text)?;
            Ok(Reply::Success(element, data))
        }
        "failure" => Ok(Reply::Failure(failure(&element))),
        "continue" => Ok(Reply::Continue),
        _ => Err(ConnectError::Protocol("no answer to the authentication")),
    }
}

fn decode(text: &str) -> Result<Vec<u8>, ConnectError> {
    match text.trim() {
        "" | "=" => Ok(Vec::new()),
        encoded => STANDARD
            .decode(encoded)
            .map_err(|_| ConnectError::ServerLied(Lie::Malformed)),
    }
}

/// RFC 6120 §6.5.
fn failure(element: &Element) -> ConnectError {
    let condition = element
        .children()
        .find(|c| c.name() != "text" && [xml::SASL, xml::SASL2].contains(&c.ns().as_str()))
        .map_or("", Element::name);
    let text = element.children().find(|c| c.name() == "text");
    let text = xml::excerpt(&text.map(Element::text).unwrap_or_default());
    tracing::debug!(condition = %xml::excerpt(condition), text, "the server refused the authentication");
    match condition {
        "not-authorized" | "credentials-expired" | "invalid-authzid" => ConnectError::WrongPassword,
        "account-disabled" => ConnectError::AccountDisabled,
        "temporary-auth-failure" => ConnectError::TemporaryAuthFailure,
        "invalid-mechanism" | "mechanism-too-weak" => ConnectError::NoMechanism,
        _ => ConnectError::Protocol("the server could not follow the authentication"),
    }
}
