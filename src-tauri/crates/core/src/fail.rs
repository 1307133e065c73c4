//! Fail points: places at which a test has the program end as if it were killed. They are there with the feature
//! `fail-points` only, which `waxwing-failing` alone is built with; without it nothing of them is in a program.

macro_rules! points {
    ($($(#[$what:meta])* $point:ident = $name:literal,)*) => {
        /// A place that can fail.
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Point {
            $($(#[$what])* $point,)*
        }

        /// All places, by name.
        #[cfg(feature = "fail-points")]
        const POINTS: &[(Point, &str)] = &[$((Point::$point, $name),)*];
    };
}

points! {
    /// A message was written and is not stored.
    SendUnstored = "send: written, not stored",
    /// It and its outbox row are stored, and nobody knows it.
    SendStored = "send: stored, outbox not woken",
    /// Stanzas are made ready and numbered in a transaction.
    SendReady = "send: made ready, not committed",
    /// They are stored, and no byte of them is sent.
    SendCommitted = "send: ready and numbered, no byte sent",
    /// Some of them are sent, and others are not.
    SendHalf = "send: one of several sent",
    /// All of them are sent.
    SendAll = "send: all of a page sent",
    /// The server has them, which is not stored.
    AckRead = "send: acknowledged, not committed",
    /// The server has them, which is stored.
    AckCommitted = "send: acknowledged, committed",
    /// Messages that came are in a transaction.
    ReceiveRead = "receive: read, not committed",
    /// They are stored, and the server is not told.
    ReceiveCommitted = "receive: committed, not counted as handled",
    /// They count as handled, and nobody is told of them.
    ReceiveHandled = "receive: handled, not told",
    /// Receipts are stored and numbered, and not sent.
    ReceiptNumbered = "receive: told, receipts numbered and not sent",
    /// Receipts are sent.
    ReceiptSent = "receive: receipts sent",
    /// A received message moved the ratchet on in a transaction.
    RatchetDecrypted = "ratchet: decrypted, not stored",
    /// A message to be sent moved the ratchet on in a transaction.
    RatchetEncrypted = "ratchet: encrypted, stanza not stored",
    /// A session with a device is begun from its bundle in a transaction.
    RatchetBegun = "ratchet: session begun, not committed",
    /// The empty message that answers a new session is in the outbox in a transaction.
    RatchetAnswered = "ratchet: new session answered, not committed",
    /// Used prekeys are replaced in a transaction.
    BundleRefilled = "publish: prekeys replaced, not committed",
    /// A bundle or a device list is committed and not sent.
    PublishCommitted = "publish: committed, not sent",
    /// It is sent.
    PublishSent = "publish: sent",
    /// The server has it, which is not committed.
    Published = "publish: the server has it, not committed",
    /// A new session has a gap, and nothing of it was taken in.
    GapOpened = "catch-up: gap opened, no stanza taken in",
    /// A page has ended, and nothing of it is stored.
    PageRead = "catch-up: page read, not stored",
    /// The next page is asked for, and this one is not stored.
    PageAsked = "catch-up: next page asked for, this one not stored",
    /// Some messages of a page are in a transaction.
    PageHalf = "catch-up: in the middle of a page",
    /// A page with the new edge of its gap is in a transaction.
    PageStored = "catch-up: page stored, not committed",
    /// Messages are stored while the next page is under way, and the server is not told that they are.
    PageCommitted = "catch-up: page committed, not acknowledged",
    /// A gap is closed in a transaction.
    GapClosed = "catch-up: gap closed, not committed",
    /// All that was missed is stored, and nobody is told.
    CaughtUp = "catch-up: caught up, not told",
    /// The stored session is resumed, and its new numbers are not stored.
    SessionResumed = "session: resumed, not renumbered",
    /// The stored session is resumed and its new numbers are stored.
    SessionRenumbered = "session: resumed and renumbered",
    /// A new session has begun, and the old one is still stored.
    SessionNew = "session: new, not stored",
    /// A new session is stored, and nothing is asked in it.
    SessionBegun = "session: stored, nothing asked",
}

/// This place is reached.
#[cfg(not(feature = "fail-points"))]
pub(crate) fn at(_: Point) {}

/// This place is reached if the condition holds.
#[cfg(not(feature = "fail-points"))]
pub(crate) fn when(_: Point, _: impl FnOnce() -> bool) {}

#[cfg(feature = "fail-points")]
pub use on::names;
#[cfg(feature = "fail-points")]
pub(crate) use on::{at, when};

#[cfg(feature = "fail-points")]
mod on {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::{POINTS, Point};

    /// `WAXWING_FAIL=<times>@<name>`: where and at which time.
    static CHOSEN: OnceLock<Option<(Point, u32)>> = OnceLock::new();
    static REACHED: AtomicU32 = AtomicU32::new(0);

    /// The names of all places.
    pub fn names() -> impl Iterator<Item = &'static str> {
        POINTS.iter().map(|(_, name)| *name)
    }

    fn chosen() -> Option<(Point, u32)> {
        let wish = std::env::var("WAXWING_FAIL").ok()?;
        let (times, name) = wish.split_once('@')?;
        let (point, _) = POINTS.iter().find(|(_, known)| *known == name)?;
        Some((*point, times.parse().ok()?))
    }

    /// This place is reached.
    pub(crate) fn at(point: Point) {
        let Some((_, times)) = CHOSEN.get_or_init(chosen).filter(|(chosen, _)| *chosen == point) else {
            return;
        };
        if REACHED.fetch_add(1, Ordering::SeqCst) + 1 == times {
            std::process::abort();
        }
    }

    /// This place is reached if the condition holds.
    pub(crate) fn when(point: Point, holds: impl FnOnce() -> bool) {
        if holds() {
            at(point);
        }
    }
}
