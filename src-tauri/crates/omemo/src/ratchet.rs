//! The double ratchet.

/// How many messages of a chain may be missing before the one being opened.
pub const MAX_SKIP: u32 = 1_000;
/// How many keys of missing messages one session keeps; the oldest are given up first.
pub const MAX_STORED_KEYS: usize = 2_000;
/// How many receiving chains of one session are kept.
pub const MAX_CHAINS: usize = 5;
/// From this receive counter on a heartbeat is wanted, once per ratchet key of the peer (XEP-0384 §6).
pub const HEARTBEAT_AFTER: u32 = 53;
