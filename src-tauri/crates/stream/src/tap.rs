//! The XML as it goes over the wire, for an expert's eyes, with its secrets masked.

use std::sync::Arc;

use tokio::sync::broadcast;

/// Which way something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the server.
    In,
    /// To the server.
    Out,
}

/// One top-level element, or a stream header or footer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which way.
    pub way: Way,
    /// The XML with its secrets masked, at most 64 KiB of it.
    pub xml: Arc<str>,
}

/// Where what is seen goes. While nobody listens, nothing is done.
pub type Tap = broadcast::Sender<Seen>;
