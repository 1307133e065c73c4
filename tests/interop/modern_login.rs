//! The test's own server with SASL2, Bind2, FAST and inline stream management (XEP-0388, 0386, 0484, 0198), spoken to
//! in bytes. If this fails, no other test over such a server means anything.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use waxwing_tests::{DOMAIN, PASSWORD, Prosody, SHORT};

const ADDRESS: &str = "wren@waxwing.test";
const AGENT: &str = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>";
const BIND: &str = "<bind xmlns='urn:xmpp:bind:0'><tag>Test</tag><enable xmlns='urn:xmpp:carbons:2'/>\
                    <enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>";

/// A stream over TLS, up to the features.
struct Raw {
    tls: TlsStream<TcpStream>,
    features: String,
}

impl Raw {
    async fn open(server: &Prosody) -> Self {
        let pem = std::fs::read(server.ca_file()).expect("the authority's file");
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots
                .add(certificate.expect("a certificate"))
                .expect("the authority's certificate");
        }
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket = TcpStream::connect(("127.0.0.1", server.direct_tls_port))
            .await
            .expect("the server listens");
        let name = ServerName::try_from(DOMAIN).expect("the domain is a name");
        let tls = TlsConnector::from(Arc::new(config))
            .connect(name, socket)
            .await
            .expect("TLS stands");
        let mut raw = Self {
            tls,
            features: String::new(),
        };
        raw.write(&format!(
            "<?xml version='1.0'?><stream:stream from='{ADDRESS}' to='{DOMAIN}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        ))
        .await;
        raw.features = raw.until("</stream:features>").await;
        raw
    }

    async fn write(&mut self, text: &str) {
        self.tls
            .write_all(text.as_bytes())
            .await
            .expect("the server takes bytes");
        self.tls.flush().await.expect("the server takes bytes");
    }

    /// Reads up to this text.
    async fn until(&mut self, end: &str) -> String {
        let mut text = String::new();
        let reading = async {
            while !text.ends_with(end) {
                match self.tls.read_u8().await {
                    Ok(byte) => text.push(char::from(byte)),
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        match tokio::time::timeout(SHORT, reading).await {
            Ok(Ok(())) => text,
            end => panic!("{end:?} after {text}"),
        }
    }

    /// Logs in with SASL2 and gives what follows, up to the new features.
    async fn log_in(&mut self, mechanism: &str, initial: &[u8], inline: &str) -> String {
        let initial = STANDARD.encode(initial);
        self.write(&format!(
            "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'><initial-response>{initial}\
             </initial-response>{AGENT}{inline}</authenticate>"
        ))
        .await;
        self.until("</stream:features>").await
    }

    /// The keying material that both ends have (RFC 9266).
    fn binding(&self) -> Vec<u8> {
        let (_, session) = self.tls.get_ref();
        session
            .export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", Some(b""))
            .expect("the handshake is over")
    }
}

fn proof(token: &str, who: &str, binding: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("any length is a key");
    mac.update(who.as_bytes());
    mac.update(binding);
    mac.finalize().into_bytes().to_vec()
}

/// What stands between the two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let found = text
        .split_once(before)
        .and_then(|(_, rest)| rest.split_once(after))
        .map(|(found, _)| found);
    found.unwrap_or_else(|| panic!("no {before}…{after} in {text}"))
}

/// The attribute of the first element of this name and namespace; Prosody writes attributes in any order.
fn attribute<'a>(text: &'a str, element: &str, namespace: &str, name: &str) -> &'a str {
    let tag = text
        .split(&format!("<{element} "))
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
        .find(|tag| tag.contains(&format!("xmlns='{namespace}'")))
        .unwrap_or_else(|| panic!("no {element} of {namespace} in {text}"));
    between(tag, &format!("{name}='"), "'")
}

fn plain() -> Vec<u8> {
    format!("\0wren\0{PASSWORD}").into_bytes()
}

#[tokio::test]
async fn a_modern_server_offers_everything_at_once() {
    let server = Prosody::modern(&[ADDRESS]).await;
    let raw = Raw::open(&server).await;
    let sasl2 = between(
        &raw.features,
        "<authentication xmlns='urn:xmpp:sasl:2'>",
        "</authentication>",
    );
    for wanted in [
        "<mechanism>SCRAM-SHA-256-PLUS</mechanism>",
        "<mechanism>HT-SHA-256-EXPR</mechanism>",
        "<bind xmlns='urn:xmpp:bind:0'>",
        "<feature var='urn:xmpp:sm:3'/>",
        "<feature var='urn:xmpp:carbons:2'/>",
        "<feature var='urn:xmpp:csi:0'/>",
        "<sm xmlns='urn:xmpp:sm:3'/>",
    ] {
        assert!(sasl2.contains(wanted), "no {wanted} in {sasl2}");
    }
    let classic = between(&raw.features, "<mechanisms ", "</mechanisms>");
    assert!(classic.contains("SCRAM-SHA-256-PLUS"), "classic: {classic}");
    assert!(
        raw.features.contains("<channel-binding type='tls-exporter'/>"),
        "{}",
        raw.features
    );
}

#[tokio::test]
async fn a_modern_server_binds_enables_and_gives_a_token_in_one_answer_and_resumes_by_that_token() {
    let server = Prosody::modern(&[ADDRESS]).await;
    let mut raw = Raw::open(&server).await;
    let wishes = format!("{BIND}<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>");
    let answer = raw.log_in("PLAIN", &plain(), &wishes).await;
    let session = attribute(&answer, "enabled", "urn:xmpp:sm:3", "id").to_owned();
    let token = attribute(&answer, "token", "urn:xmpp:fast:0", "token").to_owned();
    let address = between(
        &answer,
        "<authorization-identifier>",
        "</authorization-identifier>",
    )
    .to_owned();
    assert!(address.starts_with("wren@waxwing.test/Test~"), "{address}");
    assert!(
        answer.contains("<enabled xmlns='urn:xmpp:carbons:2'/>"),
        "{answer}"
    );
    // An answer that is lost with the connection comes again after resuming.
    raw.write("<iq type='get' id='lost'><ping xmlns='urn:xmpp:ping'/></iq>")
        .await;
    raw.until("id='lost'").await;
    drop(raw);

    let mut raw = Raw::open(&server).await;
    let binding = raw.binding();
    let initial = [b"wren\0".as_slice(), &proof(&token, "Initiator", &binding)].concat();
    let wishes = format!(
        "<fast xmlns='urn:xmpp:fast:0'/>{BIND}<resume xmlns='urn:xmpp:sm:3' previd='{session}' h='0'/>"
    );
    let answer = raw.log_in("HT-SHA-256-EXPR", &initial, &wishes).await;
    assert_eq!(
        between(&answer, "<additional-data>", "</additional-data>"),
        STANDARD.encode(proof(&token, "Responder", &binding))
    );
    assert_eq!(attribute(&answer, "resumed", "urn:xmpp:sm:3", "previd"), session);
    assert!(
        answer.contains(&address) && !answer.contains("<bound"),
        "{answer}"
    );
    let again = raw.until("<r xmlns='urn:xmpp:sm:3'/>").await;
    assert!(again.contains("id='lost'"), "{again}");
    // Stanzas may now be larger than before the login.
    let large = "x".repeat(20_000);
    raw.write(&format!(
        "<iq type='get' id='{large}'><ping xmlns='urn:xmpp:ping'/></iq>"
    ))
    .await;
    raw.until(&large).await;
}

#[tokio::test]
async fn a_modern_server_takes_a_password_after_a_refused_token_and_says_that_a_session_is_gone() {
    let server = Prosody::modern(&[ADDRESS]).await;
    let mut raw = Raw::open(&server).await;
    let initial = STANDARD.encode([b"wren\0".as_slice(), &[7; 32]].concat());
    raw.write(&format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>{initial}\
         </initial-response>{AGENT}<fast xmlns='urn:xmpp:fast:0'/></authenticate>"
    ))
    .await;
    let refused = raw.until("</failure>").await;
    assert!(refused.contains("<not-authorized "), "{refused}");
    let wishes = format!("{BIND}<resume xmlns='urn:xmpp:sm:3' previd='never-was' h='3'/>");
    let answer = raw.log_in("PLAIN", &plain(), &wishes).await;
    assert!(
        answer.contains("<failed xmlns='urn:xmpp:sm:3'><item-not-found "),
        "{answer}"
    );
    attribute(&answer, "enabled", "urn:xmpp:sm:3", "id");
}
