//! SASL within the stream (RFC 6120 §6): which mechanism, and the exchange.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minidom::Element;
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

use crate::scram::First;
use crate::session::expect_element;
use crate::wire::Wire;
use crate::{ConnectError, Lie, Login, Mechanism, xml};

/// The strongest that we share with the server, if that is acceptable.
fn choose(features: &Element, strongest_seen: Option<Mechanism>) -> Result<Mechanism, ConnectError> {
    let offered: Vec<String> = features
        .get_child("mechanisms", xml::SASL)
        .into_iter()
        .flat_map(Element::children)
        .filter(|child| child.is("mechanism", xml::SASL))
        .map(|child| child.text().trim().to_owned())
        .collect();
    let strongest = offered
        .iter()
        .filter_map(|name| Mechanism::from_name(name))
        .filter(|mechanism| *mechanism <= Mechanism::ScramSha256)
        .max();
    let chosen = strongest.ok_or(ConnectError::NoMechanism)?;
    if let Some(remembered) = strongest_seen.filter(|seen| *seen > chosen) {
        return Err(ConnectError::Downgrade {
            offered: chosen,
            remembered,
        });
    }
    // Also a SCRAM that we do not speak is better than handing the password out.
    if chosen == Mechanism::Plain && offered.iter().any(|name| name.starts_with("SCRAM-")) {
        return Err(ConnectError::NoMechanism);
    }
    Ok(chosen)
}

/// Authenticates. The stream must be restarted afterwards.
pub(crate) async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    features: &Element,
    login: &Login,
) -> Result<Mechanism, ConnectError> {
    let mechanism = choose(features, login.strongest_seen)?;
    let username = login.address.node().map(jid::NodeRef::as_str).unwrap_or_default();
    match mechanism {
        Mechanism::Plain => plain(wire, username, login).await?,
        scram => scrammed(wire, scram, username, login).await?,
    }
    Ok(mechanism)
}

async fn plain<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    username: &str,
    login: &Login,
) -> Result<(), ConnectError> {
    let message = Zeroizing::new(format!("\0{username}\0{}", login.password.expose()));
    let encoded = Zeroizing::new(STANDARD.encode(message.as_bytes()));
    let request = Zeroizing::new(format!(
        "<auth xmlns='{}' mechanism='PLAIN'>{}</auth>",
        xml::SASL,
        *encoded
    ));
    wire.write(&request).await?;
    match reply(wire).await? {
        Reply::Success(_) => Ok(()),
        Reply::Challenge(_) => Err(ConnectError::Protocol("a challenge to PLAIN")),
    }
}

async fn scrammed<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    mechanism: Mechanism,
    username: &str,
    login: &Login,
) -> Result<(), ConnectError> {
    let first = First::new(mechanism, username, nonce());
    let message = STANDARD.encode(first.message());
    let name = mechanism.name();
    wire.write(&format!(
        "<auth xmlns='{}' mechanism='{name}'>{message}</auth>",
        xml::SASL
    ))
    .await?;
    let Reply::Challenge(challenge) = reply(wire).await? else {
        return Err(ConnectError::ServerLied(Lie::Signature));
    };
    let password = login.password.clone();
    let answered = tokio::task::spawn_blocking(move || first.answer(&challenge, &password)).await;
    let (answer, last) =
        answered.map_err(|_| ConnectError::Protocol("the proof could not be computed"))??;
    let answer = STANDARD.encode(answer);
    wire.write(&format!("<response xmlns='{}'>{answer}</response>", xml::SASL))
        .await?;
    match reply(wire).await? {
        Reply::Success(proof) => last.check(&proof),
        // The server's proof may also come as one more challenge (RFC 6120 §6.4.5).
        Reply::Challenge(proof) => {
            last.check(&proof)?;
            wire.write(&format!("<response xmlns='{}'/>", xml::SASL)).await?;
            match reply(wire).await? {
                Reply::Success(_) => Ok(()),
                Reply::Challenge(_) => Err(ConnectError::Protocol("a challenge after the last one")),
            }
        }
    }
}

fn nonce() -> String {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).expect("no system that this runs on is without randomness");
    STANDARD.encode(bytes)
}

enum Reply {
    Challenge(Vec<u8>),
    Success(Vec<u8>),
}

async fn reply<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>) -> Result<Reply, ConnectError> {
    let element = expect_element(wire).await?;
    if element.ns() != xml::SASL {
        return Err(ConnectError::Protocol("no answer to the authentication"));
    }
    let text = element.text();
    let decoded = match text.trim() {
        "" | "=" => Vec::new(),
        encoded => STANDARD
            .decode(encoded)
            .map_err(|_| ConnectError::ServerLied(Lie::Malformed))?,
    };
    match element.name() {
        "challenge" => Ok(Reply::Challenge(decoded)),
        "success" => Ok(Reply::Success(decoded)),
        "failure" => Err(failure(&element)),
        _ => Err(ConnectError::Protocol("no answer to the authentication")),
    }
}

/// RFC 6120 §6.5.
fn failure(element: &Element) -> ConnectError {
    let condition = element
        .children()
        .find(|c| c.name() != "text")
        .map_or("", Element::name);
    match condition {
        "not-authorized" | "credentials-expired" | "invalid-authzid" => ConnectError::WrongPassword,
        "account-disabled" => ConnectError::AccountDisabled,
        "temporary-auth-failure" => ConnectError::TemporaryAuthFailure,
        "invalid-mechanism" | "mechanism-too-weak" => ConnectError::NoMechanism,
        _ => ConnectError::Protocol("the server could not follow the authentication"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(names: &[&str]) -> Element {
        let mechanisms = format!("<mechanism>{}</mechanism>", names.join("</mechanism><mechanism>"));
        format!(
            "<features xmlns='{}'><mechanisms xmlns='{}'>{mechanisms}</mechanisms></features>",
            xml::STREAM,
            xml::SASL
        )
        .parse()
        .unwrap()
    }

    #[test]
    fn the_strongest_common_mechanism_is_chosen() {
        use Mechanism::{Plain, ScramSha1, ScramSha256};
        for (names, chosen) in [
            (
                &["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512-PLUS"][..],
                ScramSha256,
            ),
            (&["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "PLAIN"], ScramSha1),
            (&["DIGEST-MD5", "PLAIN"], Plain),
        ] {
            assert_eq!(choose(&offer(names), None), Ok(chosen));
            assert_eq!(choose(&offer(names), Some(chosen)), Ok(chosen));
        }
    }

    #[test]
    fn plain_is_refused_where_the_server_knows_better() {
        assert_eq!(
            choose(&offer(&["PLAIN", "SCRAM-SHA-512"]), None),
            Err(ConnectError::NoMechanism)
        );
        assert_eq!(
            choose(&offer(&["EXTERNAL"]), None),
            Err(ConnectError::NoMechanism)
        );
        assert_eq!(choose(&offer(&[]), None), Err(ConnectError::NoMechanism));
    }

    #[test]
    fn a_weaker_offer_than_before_is_refused() {
        use Mechanism::{Plain, ScramSha1, ScramSha256};
        for (names, remembered, offered) in [
            (&["PLAIN"], ScramSha1, Plain),
            (&["PLAIN"], ScramSha256, Plain),
            (&["SCRAM-SHA-1"], ScramSha256, ScramSha1),
        ] {
            let refused = Err(ConnectError::Downgrade { offered, remembered });
            assert_eq!(choose(&offer(names), Some(remembered)), refused);
        }
    }
}
