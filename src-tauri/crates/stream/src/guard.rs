//! Stands between TLS and the XML parser and lets only whole, harmless top-level elements through.
//!
//! The parser and the element tree behind it break on what a hostile contact can send through an honest server:
//! nesting overflows the stack, a long attribute kills the stream, an endless stanza eats the memory. So each
//! top-level element is held back until it is complete. One that breaks a limit is thrown away while it comes in
//! and replaced by a small element that names the violation, in the right place of the order.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use minidom::Element;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use crate::lexer::{Lexer, Mark};
use crate::xml::escape;
use crate::{Fatal, Header, Violation};

/// The largest top-level element in bytes.
const STANZA: usize = 1024 * 1024;
/// The deepest nesting; the stanza itself is 1.
const DEPTH: usize = 64;
/// The parser gives up at names and attribute values of this many bytes.
const TOKEN: usize = 8192;
/// The most attributes of one element.
const ATTRIBUTES: usize = 256;
/// The most elements of one stanza.
const ELEMENTS: usize = 20_000;
/// How much of one top-level element is thrown away before the stream is given up.
const SWALLOW: usize = 16 * 1024 * 1024;
/// The largest stream header with its XML declaration.
const STREAM_HEADER: usize = TOKEN;
/// How much of a swallowed stanza's name and attributes is kept.
const KEPT: usize = 1024;
/// Bytes read at once.
const CHUNK: usize = 16 * 1024;
/// The name of the element that stands for a swallowed one.
const PLACEHOLDER: &str = "swallowed";

/// What the violations of a stanza are known by so far.
#[derive(Default)]
struct Captured {
    name: Vec<u8>,
    attribute: Vec<u8>,
    value: Vec<u8>,
    from: Option<String>,
    id: Option<String>,
    kind: Option<String>,
}

/// The scanner of [`Guard`], free of any input and output.
pub(crate) struct Scan {
    lexer: Lexer,
    /// 0 before the stream header, 1 between stanzas.
    depth: usize,
    /// The current top-level element (or the stream header) so far.
    pending: Vec<u8>,
    /// Its length, also when it is being swallowed.
    length: usize,
    elements: usize,
    attributes: usize,
    violation: Option<Violation>,
    captured: Captured,
    /// Complete elements for the parser.
    ready: Vec<u8>,
    /// The namespace of placeholders, unguessable for the server.
    namespace: String,
    ended: bool,
}

impl Scan {
    pub(crate) fn new() -> Self {
        Self {
            lexer: Lexer::new(),
            depth: 0,
            pending: Vec::new(),
            length: 0,
            elements: 0,
            attributes: 0,
            violation: None,
            captured: Captured::default(),
            ready: Vec::new(),
            namespace: format!("waxwing:{:032x}", random()),
            ended: false,
        }
    }

    /// Takes bytes; complete elements are found in `ready` afterwards.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Fatal> {
        for &byte in bytes {
            if self.ended {
                return Ok(());
            }
            self.byte(byte)?;
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8) -> Result<(), Fatal> {
        let mark = self.lexer.step(byte)?;
        if self.length == 0 && self.lexer.in_text() {
            // Between stanzas: white space keeps a connection alive and means nothing.
            return if byte.is_ascii_whitespace() {
                Ok(())
            } else {
                Err(Fatal::NotWellFormed)
            };
        }
        let outside = self.depth == 1 && self.elements == 0 && self.lexer.in_text();
        if outside && !matches!(mark, Mark::Closed | Mark::Opened) {
            return Err(Fatal::NotWellFormed);
        }
        if self.depth > 0 && self.lexer.in_declaration() {
            return Err(Fatal::RestrictedXml);
        }
        self.length += 1;
        self.limit(self.length > STANZA, Violation::Size)?;
        if self.violation.is_none() {
            self.pending.push(byte);
        } else if self.length > SWALLOW {
            return Err(Fatal::Endless);
        }
        match mark {
            Mark::Nothing => {}
            Mark::Element => {
                self.elements += 1;
                self.attributes = 0;
                self.limit(self.elements > ELEMENTS, Violation::Elements)?;
                self.limit(self.depth > DEPTH, Violation::Depth)?;
            }
            Mark::Attribute => {
                self.attributes += 1;
                self.captured.attribute.clear();
                self.captured.value.clear();
                self.limit(self.attributes > ATTRIBUTES, Violation::Attributes)?;
            }
            Mark::AttributeEnd => self.attribute_end(),
            Mark::Opened => self.opened()?,
            Mark::Empty => {
                if self.depth == 0 {
                    return Err(Fatal::NotWellFormed);
                }
                if self.depth == 1 {
                    self.complete()?;
                }
            }
            Mark::Closed => self.closed()?,
            Mark::Declaration => {
                if self.depth != 0 || !self.ready.is_empty() || !self.pending.starts_with(b"<?xml") {
                    return Err(Fatal::RestrictedXml);
                }
            }
        }
        self.limit(self.lexer.token() >= TOKEN, Violation::AttributeLength)?;
        if self.depth == 0 && self.length > STREAM_HEADER {
            return Err(Fatal::Endless);
        }
        self.capture(byte);
        Ok(())
    }

    /// Begins to swallow if `broken`. In the stream header there is nothing to go on with.
    fn limit(&mut self, broken: bool, violation: Violation) -> Result<(), Fatal> {
        if broken && self.violation.is_none() {
            if self.depth == 0 {
                return Err(Fatal::Endless);
            }
            self.violation = Some(violation);
            self.pending = Vec::new();
        }
        Ok(())
    }

    fn opened(&mut self) -> Result<(), Fatal> {
        self.depth += 1;
        if self.depth == 1 {
            self.complete()?;
        }
        Ok(())
    }

    fn closed(&mut self) -> Result<(), Fatal> {
        self.depth = self.depth.checked_sub(1).ok_or(Fatal::NotWellFormed)?;
        match self.depth {
            0 => {
                self.complete()?;
                self.ended = true;
            }
            1 => self.complete()?,
            _ => {}
        }
        Ok(())
    }

    /// A top-level element, the stream header or its end tag is whole.
    fn complete(&mut self) -> Result<(), Fatal> {
        if let Some(violation) = self.violation.take() {
            let placeholder = self.placeholder(violation);
            self.ready.extend_from_slice(placeholder.as_bytes());
        } else {
            std::str::from_utf8(&self.pending).map_err(|_| Fatal::NotUtf8)?;
            if self.ready.is_empty() {
                std::mem::swap(&mut self.ready, &mut self.pending);
            } else {
                self.ready.extend_from_slice(&self.pending);
            }
        }
        self.pending.clear();
        self.pending.shrink_to(CHUNK);
        self.length = 0;
        self.elements = 0;
        self.captured = Captured::default();
        Ok(())
    }

    /// Keeps the name and the addressing of the top-level element.
    fn capture(&mut self, byte: u8) {
        if self.depth != 1 || self.elements != 1 {
            return;
        }
        let kept = if self.lexer.in_element_name() {
            &mut self.captured.name
        } else if self.lexer.in_attribute_name() {
            &mut self.captured.attribute
        } else if self.lexer.in_attribute_value() {
            &mut self.captured.value
        } else {
            return;
        };
        if kept.len() < KEPT {
            kept.push(byte);
        }
    }

    fn attribute_end(&mut self) {
        if self.depth != 1 || self.elements != 1 {
            return;
        }
        let captured = &mut self.captured;
        let slot = match captured.attribute.as_slice() {
            b"from" => &mut captured.from,
            b"id" => &mut captured.id,
            b"type" => &mut captured.kind,
            _ => return,
        };
        *slot = Some(unescape(&captured.value));
    }

    fn placeholder(&self, violation: Violation) -> String {
        let name = String::from_utf8_lossy(&self.captured.name);
        let local = name.rsplit(':').next().unwrap_or_default();
        let mut element = format!(
            "<{PLACEHOLDER} xmlns='{}' violation='{}' name='{}'",
            self.namespace,
            code(violation),
            escape(local)
        );
        for (name, value) in [
            ("from", &self.captured.from),
            ("id", &self.captured.id),
            ("type", &self.captured.kind),
        ] {
            if let Some(value) = value {
                element.push_str(&[" ", name, "='", &escape(value), "'"].concat());
            }
        }
        element.push_str("/>");
        element
    }

    /// Reads a placeholder back; nothing if the element is the server's.
    pub(crate) fn swallowed(&self, element: &Element) -> Option<(Violation, Header)> {
        if !element.is(PLACEHOLDER, self.namespace.as_str()) {
            return None;
        }
        let violation = VIOLATIONS
            .into_iter()
            .find(|v| Some(code(*v)) == element.attr("violation"))?;
        let attribute = |name| element.attr(name).map(str::to_owned);
        let header = Header {
            name: attribute("name").unwrap_or_default(),
            from: attribute("from"),
            id: attribute("id"),
            kind: attribute("type"),
        };
        Some((violation, header))
    }
}

const VIOLATIONS: [Violation; 5] = [
    Violation::Size,
    Violation::Depth,
    Violation::AttributeLength,
    Violation::Attributes,
    Violation::Elements,
];

fn code(violation: Violation) -> &'static str {
    match violation {
        Violation::Size => "size",
        Violation::Depth => "depth",
        Violation::AttributeLength => "attribute-length",
        Violation::Attributes => "attributes",
        Violation::Elements => "elements",
    }
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("no system that this runs on is without randomness");
    u128::from_le_bytes(bytes)
}

/// The five named references; others stay as they are.
fn unescape(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    if !text.contains('&') {
        return text.into_owned();
    }
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&apos;", "'")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

/// The guarded reader.
pub(crate) struct Guard<R> {
    inner: R,
    scan: Scan,
    /// How much of `scan.ready` the parser has taken.
    taken: usize,
    received: u64,
    /// What the stream held that it may not.
    failed: Option<Fatal>,
    /// What the reader behind answered last.
    broken: Option<io::Error>,
    /// The parser has handed out all that it was given.
    settled: bool,
    chunk: Box<[u8]>,
}

impl<R: AsyncRead + Unpin> Guard<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            scan: Scan::new(),
            taken: 0,
            received: 0,
            failed: None,
            broken: None,
            settled: true,
            chunk: vec![0; CHUNK].into_boxed_slice(),
        }
    }

    /// Bytes received so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// See [`Scan::swallowed`].
    pub(crate) fn swallowed(&self, element: &Element) -> Option<(Violation, Header)> {
        self.scan.swallowed(element)
    }

    /// The reader behind, and whether anything had been read from it that the parser did not get.
    pub(crate) fn into_inner(self) -> (R, bool) {
        let left = self.taken < self.scan.ready.len() || self.scan.length > 0 || self.failed.is_some();
        (self.inner, left)
    }

    fn error(&mut self) -> Option<io::Error> {
        let fatal = || {
            self.failed
                .map(|fatal| io::Error::new(io::ErrorKind::InvalidData, fatal))
        };
        self.broken.take().or_else(fatal)
    }

    fn forget_taken(&mut self) {
        if self.taken >= self.scan.ready.len() {
            self.taken = 0;
            self.scan.ready.clear();
            self.scan.ready.shrink_to(2 * CHUNK);
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Guard<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let available = ready!(self.as_mut().poll_fill_buf(cx))?;
        let length = available.len().min(buf.remaining());
        buf.put_slice(available.get(..length).unwrap_or_default());
        self.consume(length);
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncRead + Unpin> AsyncBufRead for Guard<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.scan.ready.is_empty() {
            if let Some(error) = this.error() {
                if std::mem::replace(&mut this.settled, true) {
                    return Poll::Ready(Err(error));
                }
                // The parser asks for bytes before it hands out the end of the last element, and an error now
                // would make it forget that one.
                this.broken = Some(error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut buf = ReadBuf::new(&mut this.chunk);
            if let Err(error) = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buf)) {
                this.broken = Some(error);
                continue;
            }
            let bytes = buf.filled();
            if bytes.is_empty() && this.scan.ended {
                return Poll::Ready(Ok(&[]));
            }
            if bytes.is_empty() {
                // The parser would call it broken XML, but it is a broken connection.
                this.broken = Some(io::ErrorKind::UnexpectedEof.into());
                continue;
            }
            this.received += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            this.failed = this.scan.take(bytes).err();
        }
        Poll::Ready(Ok(this.scan.ready.get(this.taken..).unwrap_or_default()))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.get_mut();
        this.taken += amount;
        this.settled &= amount == 0;
        this.forget_taken();
    }
}

#[cfg(test)]
mod tests;
