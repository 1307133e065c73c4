//! The two generations of OMEMO (XEP-0384) and what differs between them outside the ratchet.

use crate::DeviceId;

/// Which generation of OMEMO a record, bundle or message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Profile {
    /// `eu.siacs.conversations.axolotl` (XEP-0384 version 0.3), Signal's version 3 wire format.
    Legacy,
    /// `urn:xmpp:omemo:2` (XEP-0384 version 0.8 and later).
    Omemo2,
}

impl Profile {
    /// Both generations, the one to prefer for sending first.
    pub const ALL: [Self; 2] = [Self::Legacy, Self::Omemo2];

    /// The XML namespace.
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::Legacy => "eu.siacs.conversations.axolotl",
            Self::Omemo2 => "urn:xmpp:omemo:2",
        }
    }

    /// The generation that bears this XML namespace.
    pub fn from_namespace(namespace: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.namespace() == namespace)
    }

    /// The PEP node of the device list. Its single item has the id [`DEVICE_LIST_ITEM`].
    pub const fn device_list_node(self) -> &'static str {
        match self {
            Self::Legacy => "eu.siacs.conversations.axolotl.devicelist",
            Self::Omemo2 => "urn:xmpp:omemo:2:devices",
        }
    }

    /// The PEP node of this device's bundle: one node per device (legacy) or one for all (omemo:2).
    pub fn bundle_node(self, device: DeviceId) -> String {
        match self {
            Self::Legacy => format!("eu.siacs.conversations.axolotl.bundles:{device}"),
            Self::Omemo2 => "urn:xmpp:omemo:2:bundles".to_owned(),
        }
    }

    /// The id of the item that holds this device's bundle: `current` (legacy) or the device id (omemo:2).
    pub fn bundle_item(self, device: DeviceId) -> String {
        match self {
            Self::Legacy => "current".to_owned(),
            Self::Omemo2 => device.to_string(),
        }
    }

    /// One byte that stands for the generation in stored records.
    pub(crate) const fn tag(self) -> u8 {
        match self {
            Self::Legacy => 1,
            Self::Omemo2 => 2,
        }
    }

    pub(crate) const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            1 => Some(Self::Legacy),
            2 => Some(Self::Omemo2),
            _ => None,
        }
    }
}

/// The id of the one item on a device list node, in both generations.
pub const DEVICE_LIST_ITEM: &str = "current";
