//! A foreign account reduced to bytes, so that whatever it takes part in is not slowed down by it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use waxwing_tests::{DOMAIN, LONG, PASSWORD, Prosody};

use crate::started::now;

/// A signed-in account.
pub struct Sender {
    output: WriteHalf<TlsStream<TcpStream>>,
    /// All that was received.
    seen: Arc<Mutex<Vec<u8>>>,
    /// How many bytes that are, and when the last came (Unix time in milliseconds).
    grown: watch::Receiver<(usize, f64)>,
    /// Up to here everything has been looked at.
    read: usize,
}

impl Sender {
    /// Signs in over direct TLS and becomes available.
    pub async fn sign_in(server: &Prosody, address: &str) -> Self {
        let (input, output) = tokio::io::split(connect(server).await);
        let seen = Arc::<Mutex<Vec<u8>>>::default();
        let (grow, grown) = watch::channel((0, 0.0));
        tokio::spawn(read(input, Arc::clone(&seen), grow));
        let mut sender = Self {
            output,
            seen,
            grown,
            read: 0,
        };
        sender.log_in(address).await;
        sender
    }

    async fn log_in(&mut self, address: &str) {
        let (name, _) = address
            .split_once('@')
            .expect("an address of the form name@domain");
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        );
        let plain = STANDARD.encode(format!("\0{name}\0{PASSWORD}"));
        self.write(&header).await;
        self.expect("</stream:features>").await;
        self.write(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
        ))
        .await;
        self.expect("<success").await;
        self.write(&header).await;
        self.expect("</stream:features>").await;
        self.write("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
            .await;
        self.expect("</iq>").await;
        self.write("<presence/>").await;
        // Its own presence comes back.
        self.expect("<presence").await;
    }

    /// Writes as it is. Gives the time just before the first byte.
    pub async fn write(&mut self, xml: &str) -> f64 {
        let at = now();
        self.output
            .write_all(xml.as_bytes())
            .await
            .expect("the server takes bytes");
        self.output.flush().await.expect("the server takes bytes");
        at
    }

    /// Asks and gives the answer, an `<iq/>` as text. The text given is what stands in the question.
    pub async fn ask(&mut self, to: Option<&str>, kind: &str, content: &str) -> String {
        self.skip();
        let id = format!("q{}", self.read);
        let to = to.map(|to| format!(" to='{to}'")).unwrap_or_default();
        self.write(&format!("<iq type='{kind}' id='{id}'{to}>{content}</iq>"))
            .await;
        let id = format!("id='{id}'");
        let (answer, _) = self.wait(LONG, |text| whole_iq(text, &id)).await;
        self.skip();
        answer
    }

    /// Writes stanzas as fast as they are taken. Gives the time just before the first byte.
    pub async fn write_all(&mut self, stanzas: Vec<String>) -> f64 {
        let at = now();
        for some in stanzas.chunks(100) {
            self.write(&some.concat()).await;
        }
        at
    }

    /// Forgets what has come so far.
    pub fn skip(&mut self) {
        self.read = self
            .seen
            .lock()
            .expect("nobody panics while holding this lock")
            .len();
    }

    /// Reads the account's whole archive (XEP-0313), page by page. Gives the seconds that took.
    pub async fn read_archive(&mut self) -> f64 {
        let begun = now();
        let mut after = String::new();
        loop {
            let answer = self
                .ask(
                    None,
                    "set",
                    &format!(
                        "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>250</max>\
                         {after}</set></query>"
                    ),
                )
                .await;
            if answer.contains("complete='true'") {
                return (now() - begun) / 1_000.0;
            }
            let last = answer
                .split("<last>")
                .nth(1)
                .and_then(|rest| rest.split('<').next());
            after = format!("<after>{}</after>", last.expect("a page names its last message"));
        }
    }

    /// Waits until this text has come and passes over it.
    pub async fn expect(&mut self, text: &str) -> f64 {
        self.expect_all(text, 1).await
    }

    /// Waits until this text has come so many times. Gives the time at which the last one had come.
    pub async fn expect_all(&mut self, text: &str, count: usize) -> f64 {
        let mut left = count;
        let mut at = self.grown.borrow_and_update().1;
        loop {
            {
                let seen = self.seen.lock().expect("nobody panics while holding this lock");
                while left > 0
                    && let Some(place) = find(&seen[self.read..], text.as_bytes())
                {
                    self.read += place + text.len();
                    left -= 1;
                }
                // What is left may hold the text's beginning only.
                if left > 0 {
                    self.read = self.read.max((seen.len() + 1).saturating_sub(text.len()));
                }
            }
            if left == 0 {
                return at;
            }
            self.more(LONG * 4, text).await;
            at = self.grown.borrow_and_update().1;
        }
    }

    /// Waits until something is found in what has come since [`Sender::skip`]. Gives it and the time.
    pub async fn wait<T>(&mut self, limit: Duration, mut find: impl FnMut(&str) -> Option<T>) -> (T, f64) {
        loop {
            let at = self.grown.borrow_and_update().1;
            let text = {
                let seen = self.seen.lock().expect("nobody panics while holding this lock");
                String::from_utf8_lossy(&seen[self.read..]).into_owned()
            };
            if let Some(found) = find(&text) {
                return (found, at);
            }
            self.more(limit, &text).await;
        }
    }

    async fn more(&mut self, limit: Duration, what: &str) {
        match tokio::time::timeout(limit, self.grown.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => panic!(
                "the server closed the connection before {what:?}\n{}",
                self.tail()
            ),
            Err(_) => panic!("waited {limit:?} in vain for {what:?}\n{}", self.tail()),
        }
    }

    fn tail(&self) -> String {
        let seen = self.seen.lock().expect("nobody panics while holding this lock");
        String::from_utf8_lossy(&seen[seen.len().saturating_sub(2_000)..]).into_owned()
    }
}

async fn connect(server: &Prosody) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(server.ca_file()).expect("the server's authority");
    roots.add(authority).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(("127.0.0.1", server.direct_tls_port))
        .await
        .expect("the server listens");
    socket.set_nodelay(true).expect("a TCP socket");
    let name = ServerName::try_from(DOMAIN).expect("a domain");
    TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
        .expect("TLS with the server")
}

async fn read(
    mut input: ReadHalf<TlsStream<TcpStream>>,
    seen: Arc<Mutex<Vec<u8>>>,
    grow: watch::Sender<(usize, f64)>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = input.read(&mut buffer).await {
        let all = {
            let mut seen = seen.lock().expect("nobody panics while holding this lock");
            seen.extend_from_slice(&buffer[..length]);
            seen.len()
        };
        grow.send_replace((all, now()));
    }
}

/// The `<iq/>` with the id attribute, once it has come to its end.
fn whole_iq(text: &str, id: &str) -> Option<String> {
    let stanza = text
        .split("<iq ")
        .find(|part| part.split('>').next().is_some_and(|tag| tag.contains(id)))?;
    let (tag, _) = stanza.split_once('>')?;
    let end = if tag.ends_with('/') {
        tag.len()
    } else {
        stanza.find("</iq>")?
    };
    stanza.get(..end).map(str::to_owned)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
