//! Device ids (XEP-0384 §5.1).

use std::fmt;
use std::str::FromStr;

use crate::{Entropy, Malformed};

/// The id of one device of one address: 1 to 2^31 - 1. Zero and larger ones are refused by clients in the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(u32);

impl DeviceId {
    /// The largest id.
    pub const MAX: u32 = 0x7fff_ffff;

    /// A fresh id. The caller compares it with the ids already on its own list.
    pub fn random(rng: &mut impl Entropy) -> Self {
        loop {
            let mut bytes = [0; 4];
            rng.fill(&mut bytes);
            if let Ok(id) = Self::try_from(u32::from_le_bytes(bytes) & Self::MAX) {
                return id;
            }
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for DeviceId {
    type Error = Malformed;

    fn try_from(id: u32) -> Result<Self, Malformed> {
        if id == 0 || id > Self::MAX {
            Err(Malformed("device id"))
        } else {
            Ok(Self(id))
        }
    }
}

impl TryFrom<i64> for DeviceId {
    type Error = Malformed;

    fn try_from(id: i64) -> Result<Self, Malformed> {
        u32::try_from(id).map_err(|_| Malformed("device id"))?.try_into()
    }
}

impl From<DeviceId> for u32 {
    fn from(id: DeviceId) -> Self {
        id.0
    }
}

impl From<DeviceId> for i64 {
    fn from(id: DeviceId) -> Self {
        Self::from(id.0)
    }
}

impl FromStr for DeviceId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        text.trim()
            .parse::<u32>()
            .map_err(|_| Malformed("device id"))?
            .try_into()
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
