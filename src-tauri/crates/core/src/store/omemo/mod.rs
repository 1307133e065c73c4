//! Keys, devices, trust and sessions as they are stored. Secrets are wiped from memory after use.

mod devices;
mod due;
mod keys;
mod lists;
mod session;
mod trust;

use waxwing_omemo::{IdentityKey, PreKeyId, Profile};

use crate::error::{Code, Error, Result};
use crate::model::{Encryption, Trust};

pub(crate) use devices::*;
pub(crate) use due::*;
pub(crate) use keys::*;
pub(crate) use lists::*;
pub(crate) use session::*;
pub(crate) use trust::*;

/// The word that stands for a profile in the database and before the window.
pub(crate) const fn encryption(profile: Profile) -> Encryption {
    match profile {
        Profile::Legacy => Encryption::Omemo1,
        Profile::Omemo2 => Encryption::Omemo2,
    }
}

/// The generation that a word in the database stands for. Errors: `database_damaged` for `none`.
pub(crate) fn profile(encryption: Encryption) -> Result<Profile> {
    match encryption {
        Encryption::Omemo1 => Ok(Profile::Legacy),
        Encryption::Omemo2 => Ok(Profile::Omemo2),
        Encryption::None => Err(damaged("generation")),
    }
}

impl From<waxwing_omemo::Trust> for Trust {
    fn from(trust: waxwing_omemo::Trust) -> Self {
        match trust {
            waxwing_omemo::Trust::Undecided => Self::Undecided,
            waxwing_omemo::Trust::Blind => Self::Blind,
            waxwing_omemo::Trust::Verified => Self::Verified,
            waxwing_omemo::Trust::Untrusted => Self::Untrusted,
        }
    }
}

impl From<Trust> for waxwing_omemo::Trust {
    fn from(trust: Trust) -> Self {
        match trust {
            Trust::Undecided => Self::Undecided,
            Trust::Blind => Self::Blind,
            Trust::Verified => Self::Verified,
            Trust::Untrusted => Self::Untrusted,
        }
    }
}

fn identity(bytes: &[u8]) -> Result<IdentityKey> {
    IdentityKey::from_curve(bytes).map_err(|_| damaged("identity key"))
}

fn id(value: i64) -> Result<PreKeyId> {
    u32::try_from(value)
        .map(PreKeyId)
        .map_err(|_| damaged("prekey id"))
}

fn damaged(what: &str) -> Error {
    Error::new(
        Code::DatabaseDamaged,
        format!("a stored {what} is not what it should be"),
    )
}
