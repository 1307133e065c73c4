//! An XML stream over a byte stream: tokio-xmpp's `xmlstream` reads, behind the guard; writing is ours.
//!
//! `XmlStream` can only write what it serialises itself, but the outbox's stanzas must go out byte for byte. So it
//! gets a sink for its writing half and the real one stays here.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use jid::BareJid;
use minidom::Element;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio_xmpp::xmlstream::{ReadError, StreamHeader, Timeouts, XmlStream, initiate_stream};
use zeroize::Zeroizing;

use crate::guard::Guard;
use crate::{Header, Tap, Violation, tap, xml};

/// The time is kept by us, not by `xmlstream`.
const NEVER: Timeouts = Timeouts {
    read_timeout: Duration::from_secs(86_400 * 365),
    response_timeout: Duration::from_secs(86_400 * 365),
};

/// What `xmlstream` reads from. What it writes is its own copy of the stream header, which is dropped.
pub(crate) struct Inbound<S>(Guard<ReadHalf<S>>);

impl<S: AsyncRead> AsyncRead for Inbound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead> AsyncBufRead for Inbound<S> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().0).poll_fill_buf(cx)
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        Pin::new(&mut self.0).consume(amount);
    }
}

impl<S> AsyncWrite for Inbound<S> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// An open XML stream.
pub(crate) struct Wire<S> {
    reader: XmlStream<Inbound<S>, Element>,
    pub(crate) writer: WriteHalf<S>,
    tap: Option<Tap>,
    /// How often an answer was waited for.
    round_trips: u32,
    /// Something was written since the last answer.
    asked: bool,
}

/// How a stream is opened.
#[derive(Clone, Copy)]
pub(crate) struct Opening<'a> {
    pub(crate) domain: &'a str,
    /// Who we are, which is only said inside TLS.
    pub(crate) from: Option<&'a BareJid>,
    /// What is written behind the header without waiting for the server's.
    pub(crate) behind: Option<&'a str>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Opens the stream outside of TLS and waits for the server's header.
    pub(crate) async fn open(io: S, domain: &str) -> io::Result<Self> {
        let opening = Opening {
            domain,
            from: None,
            behind: None,
        };
        Self::open_as(io, opening, None).await
    }

    /// Opens the stream and waits for the server's header.
    pub(crate) async fn open_as(io: S, opening: Opening<'_>, tap: Option<Tap>) -> io::Result<Self> {
        let (reader, writer) = tokio::io::split(io);
        Self::begin(reader, writer, opening, tap).await
    }

    async fn begin(
        reader: ReadHalf<S>,
        mut writer: WriteHalf<S>,
        opening: Opening<'_>,
        tap: Option<Tap>,
    ) -> io::Result<Self> {
        let header = xml::stream_header(opening.domain, opening.from);
        tap::sent(tap.as_ref(), &header);
        let mut bytes = Zeroizing::new(header);
        if let Some(behind) = opening.behind {
            tap::sent(tap.as_ref(), behind);
            bytes.push_str(behind);
        }
        writer.write_all(bytes.as_bytes()).await?;
        writer.flush().await?;
        let header = StreamHeader {
            to: Some(Cow::Borrowed(opening.domain)),
            from: None,
            id: None,
        };
        let inbound = Inbound(Guard::new(reader));
        let pending = initiate_stream(inbound, xml::CLIENT, header, NEVER).await?;
        let header = pending.header();
        tap::header(tap.as_ref(), header.from.as_deref(), header.id.as_deref());
        Ok(Self {
            reader: pending.skip_features(),
            writer,
            tap,
            round_trips: 1,
            asked: false,
        })
    }

    /// Begins the stream anew after authentication (RFC 6120 §6.4.6). Only to be called right after an element.
    pub(crate) async fn restart(self, opening: Opening<'_>) -> io::Result<Self> {
        let (reader, _) = self.reader.into_inner().0.into_inner();
        let mut wire = Self::begin(reader, self.writer, opening, self.tap).await?;
        wire.round_trips = wire.round_trips.saturating_add(self.round_trips);
        Ok(wire)
    }

    /// How often an answer was waited for since the first header.
    pub(crate) fn round_trips(&self) -> u32 {
        self.round_trips
    }

    /// Who wants to see what goes over the wire.
    pub(crate) fn tap(&self) -> Option<&Tap> {
        self.tap.as_ref()
    }

    /// The bytes below, for TLS, and whether the server had sent more than the last element. Only to be called
    /// right after an element.
    pub(crate) fn into_io(self) -> (S, bool) {
        let (reader, left) = self.reader.into_inner().0.into_inner();
        (reader.unsplit(self.writer), left)
    }

    /// Writes one element and flushes; for the time before the stream is bound.
    pub(crate) async fn write(&mut self, xml: &str) -> io::Result<()> {
        tap::sent(self.tap.as_ref(), xml);
        self.asked = true;
        self.writer.write_all(xml.as_bytes()).await?;
        self.writer.flush().await
    }

    /// The next top-level element; `None` when the server closed the stream. Afterwards never to be called again.
    pub(crate) fn poll_element(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Element>>> {
        loop {
            match std::task::ready!(self.reader.poll_next_unpin(cx)) {
                Some(Ok(element)) => {
                    tap::received(self.tap.as_ref(), &element);
                    return Poll::Ready(Ok(Some(element)));
                }
                Some(Err(ReadError::SoftTimeout)) => {}
                Some(Err(ReadError::ParseError(error))) => {
                    tracing::debug!(%error, "a top-level element could not be taken over");
                }
                Some(Err(ReadError::HardError(error))) => return Poll::Ready(Err(error)),
                Some(Err(ReadError::StreamFooterReceived)) | None => {
                    tap::footer(self.tap.as_ref());
                    return Poll::Ready(Ok(None));
                }
            }
        }
    }

    /// See [`Wire::poll_element`].
    pub(crate) async fn element(&mut self) -> io::Result<Option<Element>> {
        if std::mem::take(&mut self.asked) {
            self.round_trips = self.round_trips.saturating_add(1);
        }
        std::future::poll_fn(|cx| self.poll_element(cx)).await
    }

    /// Bytes received so far.
    pub(crate) fn received(&self) -> u64 {
        self.reader.get_stream().0.received()
    }

    /// Whether the element stands for one that the guard swallowed.
    pub(crate) fn swallowed(&self, element: &Element) -> Option<(Violation, Header)> {
        self.reader.get_stream().0.swallowed(element)
    }
}
