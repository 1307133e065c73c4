//! A server that does what a test tells it, also what no honest one would do.

use std::future::Future;
use std::sync::Arc;

use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use waxwing_stream::Element;

use super::{DOMAIN, LIMIT};

pub(crate) const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
     xmlns:stream='http://etherx.jabber.org/streams' id='s' from='waxwing.test' version='1.0'>";
pub(crate) const SM: &str = "urn:xmpp:sm:3";

/// The server's end of a connection.
pub(crate) struct Peer<S> {
    io: S,
    heard: String,
}

pub(crate) type Secure = Peer<TlsStream<TcpStream>>;

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) async fn say(&mut self, xml: &str) {
        self.io.write_all(xml.as_bytes()).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// Sends, and does not mind if nobody listens any more.
    pub(crate) async fn try_say(&mut self, xml: &str) -> bool {
        self.io.write_all(xml.as_bytes()).await.is_ok() && self.io.flush().await.is_ok()
    }

    /// Reads up to and including `end` and returns it with what came before.
    pub(crate) async fn hear(&mut self, end: &str) -> String {
        let reading = async {
            loop {
                if let Some(position) = self.heard.find(end) {
                    let rest = self.heard.split_off(position + end.len());
                    return std::mem::replace(&mut self.heard, rest);
                }
                let mut buffer = [0; 4096];
                let length = self.io.read(&mut buffer).await.unwrap_or(0);
                assert!(
                    length > 0,
                    "the client left; waited for {end}, heard {}",
                    self.heard
                );
                self.heard
                    .push_str(std::str::from_utf8(&buffer[..length]).unwrap());
            }
        };
        tokio::time::timeout(LIMIT, reading)
            .await
            .unwrap_or_else(|_| panic!("never heard {end}"))
    }

    /// Reads until the client leaves and returns everything.
    pub(crate) async fn hear_out(&mut self) -> String {
        let mut rest = Vec::new();
        // However the client leaves.
        tokio::time::timeout(LIMIT, self.io.read_to_end(&mut rest))
            .await
            .expect("the client leaves")
            .ok();
        format!("{}{}", self.heard, String::from_utf8_lossy(&rest))
    }

    /// Like [`Peer::hear`], or none if the client leaves instead.
    pub(crate) async fn hear_or_leave(&mut self, end: &str) -> Option<String> {
        while !self.heard.contains(end) {
            self.listen().await?;
        }
        Some(self.hear(end).await)
    }

    /// The next element, or none if the client leaves or closes the stream instead.
    pub(crate) async fn element(&mut self) -> Option<Element> {
        loop {
            for (position, _) in self.heard.match_indices('>') {
                if let Ok(element) = self.heard[..=position].parse() {
                    self.heard.drain(..=position);
                    return Some(element);
                }
            }
            if self.heard.starts_with("</stream:stream>") {
                return None;
            }
            self.listen().await?;
        }
    }

    /// Takes in what the client says; none if it leaves.
    async fn listen(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        let reading = tokio::time::timeout(LIMIT, self.io.read(&mut buffer));
        match reading.await.expect("the client speaks or leaves") {
            Ok(length @ 1..) => {
                self.heard
                    .push_str(std::str::from_utf8(&buffer[..length]).unwrap());
                Some(())
            }
            _ => None,
        }
    }

    /// Like [`Peer::hear_out`], but without a limit: for tests that let the clock jump.
    pub(crate) async fn hear_quietly(&mut self) {
        self.io.read_to_end(&mut Vec::new()).await.ok();
    }

    /// Opens a stream with these features.
    pub(crate) async fn open(&mut self, features: &str) {
        self.hear("xml:lang='en'>").await;
        self.say(&format!("{HEADER}<stream:features>{features}</stream:features>"))
            .await;
    }
}

impl Peer<TcpStream> {
    /// Goes over to TLS; none if the client refuses the certificate, which is what some tests want.
    pub(crate) async fn secure(self, config: Arc<ServerConfig>) -> Option<Secure> {
        Some(Peer {
            io: TlsAcceptor::from(config).accept(self.io).await.ok()?,
            heard: self.heard,
        })
    }
}

impl Secure {
    /// How TLS came about.
    pub(crate) fn handshake(&self) -> Option<HandshakeKind> {
        self.tls().handshake_kind()
    }

    /// The bytes themselves.
    pub(crate) fn io(&mut self) -> &mut TlsStream<TcpStream> {
        &mut self.io
    }

    pub(crate) fn tls(&self) -> &ServerConnection {
        self.io.get_ref().1
    }

    /// Lets the client in by PLAIN, up to the features of the second stream.
    pub(crate) async fn let_in(&mut self, features: &str) {
        self.open(
            "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>",
        )
        .await;
        self.hear("</auth>").await;
        self.say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
            .await;
        self.open(features).await;
    }

    pub(crate) async fn bind_as(&mut self, jid: &str) {
        let request = self.hear("</iq>").await;
        let id = request.split("id='").nth(1).unwrap().split('\'').next().unwrap();
        self.say(&format!(
            "<iq type='result' id='{id}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{jid}</jid></bind></iq>"
        ))
        .await;
    }

    pub(crate) async fn bind(&mut self) {
        self.bind_as(&format!("alice@{DOMAIN}/test")).await;
    }

    /// Binds and turns stream management on, resumable as `session`.
    pub(crate) async fn enable(&mut self) {
        self.bind().await;
        self.hear("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").await;
        self.say(&format!("<enabled xmlns='{SM}' id='session' resume='true'/>"))
            .await;
    }
}

/// A listening server, whose script runs for each connection in turn, with its number from 0.
pub(crate) struct Server {
    pub(crate) port: u16,
    script: JoinHandle<()>,
}

impl Server {
    /// Plain TCP.
    pub(crate) async fn plain<F>(script: impl Fn(usize, Peer<TcpStream>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = tokio::spawn(async move {
            for number in 0.. {
                let (io, _) = listener.accept().await.unwrap();
                script(
                    number,
                    Peer {
                        io,
                        heard: String::new(),
                    },
                )
                .await;
            }
        });
        Self { port, script }
    }

    /// Direct TLS.
    pub(crate) async fn secure<F>(
        config: Arc<ServerConfig>,
        script: impl Fn(usize, Secure) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        let script = Arc::new(script);
        Self::plain(move |number, peer| {
            let (config, script) = (Arc::clone(&config), Arc::clone(&script));
            async move {
                if let Some(peer) = peer.secure(config).await {
                    assert_eq!(peer.io.get_ref().1.alpn_protocol(), Some(&b"xmpp-client"[..]));
                    script(number, peer).await;
                }
            }
        })
        .await
    }

    /// Waits until the script has done something.
    pub(crate) async fn until(&self, done: impl Fn() -> bool) {
        let waiting = async {
            while !done() {
                self.check();
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, waiting)
            .await
            .expect("the script gets there");
    }

    /// Fails if the script failed.
    pub(crate) fn check(&self) {
        assert!(!self.script.is_finished(), "the script failed");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.script.abort();
    }
}
