//! The server's end of one connection.

use std::sync::{Arc, Mutex, PoisonError};

use minidom::Element;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::server::Record;

/// The client has left, or the script has come to its end: there is nothing more to do with this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// What playing a part of a script comes to.
pub type Played<T = ()> = Result<T, Gone>;

/// One thing that a client says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// The opening of a stream, as it was written.
    Header(String),
    /// A top-level element.
    Element(Element),
    /// What is none, such as a stream error with its prefix.
    Other(String),
    /// The end of the stream.
    End,
}

enum Io {
    Clear(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
    Gone,
}

/// The server's end of one connection. All that the client says through it is recorded.
pub struct Peer {
    /// The running number of the connection, from 0.
    pub number: usize,
    /// The resource that the client has, once it has one.
    pub resource: String,
    /// How many stanzas of the session that the client wants to take up again were taken in.
    pub(crate) handled: u32,
    io: Io,
    unread: Vec<u8>,
    record: Arc<Mutex<Record>>,
}

impl Peer {
    pub(crate) fn new(io: TcpStream, number: usize, record: Arc<Mutex<Record>>) -> Self {
        // Nagle's algorithm would make small answers wait for each other.
        let _ = io.set_nodelay(true);
        Self {
            number,
            resource: String::new(),
            handled: 0,
            io: Io::Clear(io),
            unread: Vec::new(),
            record,
        }
    }

    /// Says it, as it is.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) -> Played {
        let bytes = bytes.as_ref();
        let written = match &mut self.io {
            Io::Clear(io) => write(io, bytes).await,
            Io::Secure(io) => write(io, bytes).await,
            Io::Gone => return Err(Gone),
        };
        written.map_err(|_| Gone)?;
        self.record(|record| record.said += bytes.len());
        Ok(())
    }

    /// Begins TLS as the server.
    pub async fn secure(&mut self, config: &Arc<ServerConfig>) -> Played {
        let Io::Clear(io) = std::mem::replace(&mut self.io, Io::Gone) else {
            return Err(Gone);
        };
        let accepted = TlsAcceptor::from(Arc::clone(config)).accept(io).await;
        // A client that refuses the certificate is what some tests want.
        self.io = Io::Secure(Box::new(accepted.map_err(|_| Gone)?));
        self.record(|record| record.secured = true);
        Ok(())
    }

    /// What both ends of TLS know and nobody else (RFC 9266); none before TLS.
    pub fn exporter(&self) -> Option<Vec<u8>> {
        let Io::Secure(io) = &self.io else { return None };
        let (_, tls) = io.get_ref();
        tls.export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", None)
            .ok()
    }

    /// Hears up to and including `end`, and gives it with what came before.
    pub async fn hear(&mut self, end: &str) -> Played<String> {
        loop {
            let found = self.unread.windows(end.len()).position(|w| w == end.as_bytes());
            if let Some(position) = found {
                return Ok(self.take(position + end.len()));
            }
            self.read().await?;
        }
    }

    /// Hears the opening of a stream.
    pub async fn hear_header(&mut self) -> Played<String> {
        self.hear("<stream:stream").await?;
        self.hear(">").await
    }

    /// Hears the next whole thing. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Played<Said> {
        loop {
            if let Some(said) = self.whole() {
                return Ok(said);
            }
            self.read().await?;
        }
    }

    /// Listens without a word until the client leaves.
    pub async fn hear_out(&mut self) {
        while self.read().await.is_ok() {
            self.unread.clear();
        }
    }

    /// Says it again and again until the client leaves.
    pub async fn say_without_end(&mut self, bytes: &[u8]) {
        while self.say(bytes).await.is_ok() {}
    }

    /// Closes its side in order and waits until the client does the same.
    pub async fn close(&mut self) {
        let closed = match &mut self.io {
            Io::Clear(io) => io.shutdown().await,
            Io::Secure(io) => io.shutdown().await,
            Io::Gone => return,
        };
        if closed.is_ok() {
            self.hear_out().await;
        }
    }

    /// Breaks the connection, as a router does that forgot it.
    pub fn reset(&mut self) {
        let io = std::mem::replace(&mut self.io, Io::Gone);
        let _ = match &io {
            Io::Clear(io) => io.set_zero_linger(),
            Io::Secure(io) => io.get_ref().0.set_zero_linger(),
            Io::Gone => Ok(()),
        };
    }

    async fn read(&mut self) -> Played {
        let mut buffer = vec![0; 16 * 1024];
        let read = match &mut self.io {
            Io::Clear(io) => io.read(&mut buffer).await,
            Io::Secure(io) => io.read(&mut buffer).await,
            Io::Gone => return Err(Gone),
        };
        let Ok(length @ 1..) = read else {
            self.io = Io::Gone;
            return Err(Gone);
        };
        buffer.truncate(length);
        self.record(|record| record.hear(&buffer));
        self.unread.extend(buffer);
        Ok(())
    }

    fn take(&mut self, length: usize) -> String {
        let rest = self.unread.split_off(length);
        let taken = std::mem::replace(&mut self.unread, rest);
        String::from_utf8_lossy(&taken).into_owned()
    }

    /// The first whole thing of what is unread.
    fn whole(&mut self) -> Option<Said> {
        let space = self
            .unread
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        self.unread.drain(..space);
        let text = String::from_utf8_lossy(&self.unread).into_owned();
        if text.starts_with("</") {
            let length = text.find('>')? + 1;
            self.take(length);
            return Some(Said::End);
        }
        if text.starts_with("<?") || text.starts_with("<stream:stream") {
            let begin = text.find("<stream:stream")?;
            let length = begin + text.get(begin..)?.find('>')? + 1;
            return Some(Said::Header(self.take(length)));
        }
        let length = element_length(text.as_bytes())?;
        let taken = self.take(length);
        Some(match taken.parse() {
            Ok(element) => Said::Element(element),
            Err(_) => Said::Other(taken),
        })
    }

    fn record(&self, write: impl FnOnce(&mut Record)) {
        write(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

async fn write(io: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    io.write_all(bytes).await?;
    io.flush().await
}

/// How long the first element is, if it is whole. Our clients write no comments and no CDATA.
pub(crate) fn element_length(text: &[u8]) -> Option<usize> {
    let (mut depth, mut quote, mut closing, mut inside) = (0_u32, None, false, false);
    for (position, &byte) in text.iter().enumerate() {
        match (byte, quote) {
            (_, Some(open)) => quote = Some(open).filter(|_| byte != open),
            (b'\'' | b'"', None) if inside => quote = Some(byte),
            (b'<', None) => {
                inside = true;
                closing = text.get(position + 1) == Some(&b'/');
            }
            (b'>', None) if inside => {
                inside = false;
                let empty = text.get(position.checked_sub(1)?) == Some(&b'/');
                if closing {
                    depth = depth.checked_sub(1)?;
                } else if !empty {
                    depth += 1;
                }
                if depth == 0 {
                    return Some(position + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_ends_where_its_last_tag_does() {
        for (text, length) in [
            ("<a/><b/>", Some(4)),
            ("<a><b/></a>x", Some(11)),
            ("<a b='>'/>", Some(10)),
            ("<a b=\"'/>\"></a>", Some(15)),
            ("<a>it's</a>", Some(11)),
            ("<a><b></a", None),
            ("", None),
        ] {
            assert_eq!(element_length(text.as_bytes()), length, "{text}");
        }
    }
}
