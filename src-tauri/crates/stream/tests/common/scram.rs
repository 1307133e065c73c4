//! The server's side of SCRAM-SHA-256, honest or not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::PASSWORD;
use super::scripted::Secure;

const SALT: &[u8] = b"salt of the test";

/// What the server does; the default is honest.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) iterations: u64,
    pub(crate) foreign_nonce: bool,
    pub(crate) proof: Proof,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    Right,
    Wrong,
    Missing,
    /// Right, but as one more challenge.
    InChallenge,
    /// `<success/>` right away, without any challenge.
    Skipped,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            iterations: 4_096,
            foreign_nonce: false,
            proof: Proof::Right,
        }
    }
}

pub(crate) const OFFER: &str = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
     <mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-256</mechanism></mechanisms>";

impl Exchange {
    /// Plays it, up to where the client must have given up or the success is out.
    pub(crate) async fn play(&self, peer: &mut Secure) {
        peer.open(OFFER).await;
        let auth = decode(&peer.hear("</auth>").await, "auth");
        if self.proof == Proof::Skipped {
            return peer
                .say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
                .await;
        }
        let bare = auth.strip_prefix("n,,").unwrap().to_owned();
        let nonce = bare.split("r=").nth(1).unwrap();
        let nonce = if self.foreign_nonce {
            "somebodyelses".to_owned()
        } else {
            format!("{nonce}server")
        };
        let challenge = format!("r={nonce},s={},i={}", STANDARD.encode(SALT), self.iterations);
        peer.say(&element("challenge", &challenge)).await;
        if self.foreign_nonce || self.iterations != 4_096 {
            return;
        }
        let response = decode(&peer.hear("</response>").await, "response");
        let without_proof = response.rsplit_once(",p=").unwrap().0;
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(PASSWORD.as_bytes(), SALT, 4_096, &mut salted);
        let signed = format!("{bare},{challenge},{without_proof}");
        let mut signature = hmac(&hmac(&salted, b"Server Key"), signed.as_bytes());
        if self.proof == Proof::Wrong {
            signature[0] ^= 1;
        }
        let last = format!("v={}", STANDARD.encode(signature));
        match self.proof {
            Proof::Missing => {
                peer.say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
                    .await;
            }
            Proof::InChallenge => {
                peer.say(&element("challenge", &last)).await;
                peer.hear("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
                    .await;
                peer.say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
                    .await;
            }
            _ => peer.say(&element("success", &last)).await,
        }
    }
}

fn element(name: &str, text: &str) -> String {
    format!(
        "<{name} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</{name}>",
        STANDARD.encode(text)
    )
}

fn decode(heard: &str, name: &str) -> String {
    let text = heard
        .rsplit_once(&format!("</{name}>"))
        .unwrap()
        .0
        .rsplit('>')
        .next()
        .unwrap();
    String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
}

fn hmac(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key)
        .unwrap()
        .chain_update(bytes)
        .finalize()
        .into_bytes()
        .to_vec()
}
