//! The established stream's bytes and its clock: buffered writing, reading, and noticing a dead link.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use minidom::Element;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::client::TlsStream;

use crate::tap;
use crate::wire::Wire;

/// The stream after login.
pub(crate) type SecureWire = Wire<TlsStream<TcpStream>>;

/// Silence before the server is asked whether it is there, at most.
const IDLE: Duration = Duration::from_secs(28);
/// Idle links are looked after at the same moments, so that several accounts wake the machine once.
const BEAT: Duration = Duration::from_secs(14);
/// How long it may then, or after something was sent, stay silent: it shall be noticed within 12 seconds, all told.
const ANSWER: Duration = Duration::from_secs(11);
/// Servers read at a limited rate (Prosody 10 kB a second by default) and answer only behind what was sent.
const BYTES_A_SECOND: u64 = 8 * 1024;
/// However much was sent, silence is noticed within 40 seconds.
const MOST_PATIENCE: u64 = 28;

/// So long the server of a resumed session may speak without ever answering. What came in between may be a lot.
const HEARING: Duration = Duration::from_secs(60);

/// What the clock says.
pub(crate) enum Alarm {
    /// Ask whether the server is there.
    Probe,
    /// It is not.
    Dead,
}

/// When a link that was last heard at `heard` is asked: half of [`IDLE`] later at least, at a whole number of beats since
/// `epoch`.
fn idle_until(heard: Instant, epoch: Instant) -> Instant {
    let since = (heard + IDLE).saturating_duration_since(epoch);
    let beats = since.as_nanos() / BEAT.as_nanos();
    epoch + BEAT * u32::try_from(beats).unwrap_or(u32::MAX)
}

/// The beginning of the beats, for all links of the process.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// An answer is due.
struct Expectation {
    since: Instant,
    /// Bytes queued in all at that time.
    queued: u64,
}

pub(crate) struct Link {
    wire: SecureWire,
    buffer: Vec<u8>,
    written: usize,
    unflushed: bool,
    /// Bytes queued in all.
    queued: u64,
    /// Bytes received in all, as last seen, and when that changed.
    received: u64,
    heard: Instant,
    expectation: Option<Expectation>,
    /// By then the server must have shown that it hears us.
    hears_by: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl Link {
    pub(crate) fn new(wire: SecureWire) -> Self {
        let now = Instant::now();
        Self {
            received: wire.received(),
            wire,
            buffer: Vec::new(),
            written: 0,
            unflushed: false,
            queued: 0,
            heard: now,
            expectation: None,
            hears_by: None,
            timer: Box::pin(tokio::time::sleep_until(now + IDLE)),
        }
    }

    pub(crate) fn wire(&self) -> &SecureWire {
        &self.wire
    }

    /// Bytes received in all.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Bytes queued and not yet taken by the operating system.
    pub(crate) fn backlog(&self) -> usize {
        self.buffer.len() - self.written
    }

    pub(crate) fn queue(&mut self, xml: &str) {
        tap::sent(self.wire.tap(), xml);
        self.buffer.extend_from_slice(xml.as_bytes());
        self.queued += u64::try_from(xml.len()).unwrap_or(u64::MAX);
    }

    /// From now on the server owes us a sign of life, the later the more is queued after this.
    pub(crate) fn expect_answer(&mut self) {
        let queued = self.queued;
        self.expectation.get_or_insert_with(|| Expectation {
            since: Instant::now(),
            queued,
        });
    }

    /// From now on the server owes us an answer; that it speaks is not enough.
    pub(crate) fn expect_hearing(&mut self) {
        self.expect_answer();
        self.hears_by = Some(Instant::now() + HEARING);
    }

    /// It answered.
    pub(crate) fn hears(&mut self) {
        self.hears_by = None;
    }

    /// Writes as much as can be written now.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(rest) = self.buffer.get(self.written..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.wire.writer).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(length)) => {
                    self.written += length;
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        if self.backlog() == 0 {
            self.buffer.clear();
            self.buffer.shrink_to(64 * 1024);
            self.written = 0;
        } else if self.written > 64 * 1024 {
            self.buffer.drain(..self.written);
            self.written = 0;
        }
        if self.unflushed && Pin::new(&mut self.wire.writer).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
        }
        Ok(())
    }

    /// The next top-level element, see [`Wire::poll_element`].
    pub(crate) fn poll_element(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Element>>> {
        let polled = self.wire.poll_element(cx);
        let received = self.wire.received();
        if received != self.received {
            self.received = received;
            self.heard = Instant::now();
            self.expectation = None;
        }
        polled
    }

    /// To be asked only after nothing was left to read: what has arrived unread is a sign of life too.
    pub(crate) fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Alarm> {
        let deadline = match &self.expectation {
            Some(due) => {
                let patience = ((self.queued - due.queued) / BYTES_A_SECOND).min(MOST_PATIENCE);
                due.since + ANSWER + Duration::from_secs(patience)
            }
            None => idle_until(self.heard, epoch()),
        };
        let deadline = self.hears_by.map_or(deadline, |by| by.min(deadline));
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        std::task::ready!(self.timer.as_mut().poll(cx));
        let deaf = self.hears_by.is_some_and(|by| by <= deadline);
        Poll::Ready(if self.expectation.is_some() || deaf {
            Alarm::Dead
        } else {
            Alarm::Probe
        })
    }

    /// Ends TLS in order.
    pub(crate) async fn shutdown(&mut self) {
        if let Err(error) = self.wire.writer.shutdown().await {
            tracing::debug!(%error, "TLS was not ended in order");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn idle_links_are_asked_together_and_never_later_than_after_28_seconds_of_silence() {
        let epoch = Instant::now();
        let after = |seconds| epoch + Duration::from_secs(seconds);
        for (heard, asked) in [(0, 28), (1, 28), (13, 28), (14, 42), (27, 42), (1_000, 1_022)] {
            assert_eq!(idle_until(after(heard), epoch), after(asked), "{heard}");
            assert!(asked - heard > 14 && asked - heard <= 28);
        }
        // A clock of another test's making.
        assert_eq!(idle_until(epoch, after(100)), after(100));
    }
}
