//! Where randomness comes from.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A source of random bytes.
#[derive(Clone, Copy)]
pub(crate) struct Draw(fn(&mut [u8]));

impl Draw {
    /// The operating system's.
    pub(crate) const SYSTEM: Self = Self(|bytes| {
        getrandom::fill(bytes).expect("no system that this runs on is without randomness");
    });

    /// The same each time, so that a fuzzer can answer what it cannot see.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) const FIXED: Self = Self(|bytes| bytes.fill(7));

    /// For SCRAM: 32 printable characters without a comma.
    pub(crate) fn nonce(self) -> String {
        let mut bytes = [0; 24];
        self.0(&mut bytes);
        STANDARD.encode(bytes)
    }

    /// For an iq: 16 characters.
    pub(crate) fn id(self) -> String {
        let mut bytes = [0; 8];
        self.0(&mut bytes);
        format!("{:016x}", u64::from_le_bytes(bytes))
    }
}
