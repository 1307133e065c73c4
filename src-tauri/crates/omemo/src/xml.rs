//! The XML of device lists, bundles and messages, read leniently: bad items are left out, not fatal.

use minidom::Element;

use crate::{Bundle, DeviceId, KeyElement, Malformed, Profile};

/// How many devices of a list are kept; the rest is ignored.
pub const MAX_DEVICES: usize = 500;
/// How many prekeys of a bundle are kept.
pub const MAX_PREKEYS: usize = 1_000;
/// How many keys of a message are kept.
pub const MAX_KEYS: usize = 5_000;

/// One device of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// What its owner calls it (omemo:2 only; at most 200 characters kept).
    pub label: Option<String>,
    /// The identity key's signature over the label, as published, to be kept when the list is published again.
    pub label_signature: Option<String>,
}

/// One key of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressedKey {
    /// The bare address it is for; legacy does not tell.
    pub jid: Option<String>,
    /// The device it is for.
    pub device: DeviceId,
    /// Its content.
    pub key: KeyElement,
}

/// An `<encrypted/>` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encrypted {
    /// Which generation.
    pub profile: Profile,
    /// The sending device.
    pub sender: DeviceId,
    /// The keys.
    pub keys: Vec<AddressedKey>,
    /// The initialisation vector (legacy).
    pub iv: Option<Vec<u8>>,
    /// The sealed payload; `None` in an empty message.
    pub payload: Option<Vec<u8>>,
}

impl Encrypted {
    /// All keys that may be for this device of this bare address, in order: try each. In legacy several may bear
    /// the same device id, because they do not tell the address.
    pub fn keys_for<'a>(
        &'a self,
        bare_jid: &'a str,
        device: DeviceId,
    ) -> impl Iterator<Item = &'a KeyElement> {
        self.keys
            .iter()
            .filter(move |key| key.device == device && key.jid.as_deref().is_none_or(|jid| jid == bare_jid))
            .map(|key| &key.key)
    }
}

/// Reads a device list; double and impossible ids are left out.
pub fn read_devices(_element: &Element) -> Result<(Profile, Vec<Device>), Malformed> {
    todo!()
}

/// Writes a device list.
pub fn write_devices(_profile: Profile, _devices: &[Device]) -> Element {
    todo!()
}

/// Reads a bundle and checks its signature; prekeys that cannot be read are left out.
pub fn read_bundle(_element: &Element) -> Result<Bundle, Malformed> {
    todo!()
}

/// Writes a bundle.
pub fn write_bundle(_bundle: &Bundle) -> Element {
    todo!()
}

/// Reads an `<encrypted/>` element of either generation.
pub fn read_encrypted(_element: &Element) -> Result<Encrypted, Malformed> {
    todo!()
}

/// Writes an `<encrypted/>` element.
pub fn write_encrypted(_encrypted: &Encrypted) -> Element {
    todo!()
}
