//! The XML of device lists, bundles and messages, read leniently: bad items are left out, not fatal.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, Engine as _};
use minidom::Element;
use minidom::rxml::NcName;

use crate::primitives;
use crate::{
    Bundle, DeviceId, Entropy, IdentityKey, IdentityKeyPair, KeyElement, Malformed, PreKeyId, Profile,
    RemotePreKey,
};

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

impl Device {
    /// A device with a label that its identity key has signed.
    pub fn labelled(id: DeviceId, label: &str, identity: &IdentityKeyPair, rng: &mut impl Entropy) -> Self {
        Self {
            id,
            label: Some(label.to_owned()),
            label_signature: Some(STANDARD.encode(identity.sign(label.as_bytes(), rng))),
        }
    }
}

/// Whether this key has signed a label, by the signature as it was published.
pub fn has_signed_label(identity: &IdentityKey, label: &str, signature: &str) -> bool {
    decode(signature)
        .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
        .is_some_and(|bytes| identity.has_signed(Profile::Omemo2, label.as_bytes(), &bytes))
}

/// One key of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressedKey {
    /// The bare address it is for; legacy does not tell. Shared by all keys of that address, since a stanza can name
    /// thousands of devices of one long address.
    pub jid: Option<Arc<str>>,
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
            .filter(move |key| {
                key.device == device
                    && key
                        .jid
                        .as_deref()
                        .is_none_or(|jid| jid.eq_ignore_ascii_case(bare_jid))
            })
            .map(|key| &key.key)
    }
}

/// Labels longer than this many characters are cut.
const MAX_LABEL: usize = 200;
/// Longer signatures, in Base64, are no signatures of labels; real ones have 88 characters.
const MAX_LABEL_SIGNATURE: usize = 128;

/// Reads a device list; double and impossible ids are left out.
pub fn read_devices(element: &Element) -> Result<(Profile, Vec<Device>), Malformed> {
    let profile = profile_of(element, ["list", "devices"], "device list")?;
    let mut seen = HashSet::new();
    let devices = children(element, "device")
        .filter_map(|device| read_device(profile, device))
        .filter(|device| seen.insert(device.id))
        .take(MAX_DEVICES)
        .collect();
    Ok((profile, devices))
}

fn read_device(profile: Profile, element: &Element) -> Option<Device> {
    let id = element.attr("id")?.parse().ok()?;
    let label = element.attr("label").filter(|_| profile == Profile::Omemo2);
    let kept: Option<String> = label.map(|label| label.chars().take(MAX_LABEL).collect());
    // The signature is over the whole label.
    let signature = element
        .attr("labelsig")
        .filter(|signature| kept.as_deref() == label && signature.len() <= MAX_LABEL_SIGNATURE);
    Some(Device {
        id,
        label_signature: label.and(signature).map(str::to_owned),
        label: kept,
    })
}

/// Writes a device list. Of labels, characters that XML cannot hold are left out.
pub fn write_devices(profile: Profile, devices: &[Device]) -> Element {
    let namespace = profile.namespace();
    let name = either(profile, "list", "devices");
    Element::builder(name, namespace)
        .append_all(devices.iter().map(|device| {
            let shown = |text: &Option<String>| {
                text.as_deref()
                    .filter(|_| profile == Profile::Omemo2)
                    .map(without_forbidden)
            };
            Element::builder("device", namespace)
                .attr(attribute("id"), device.id.get())
                .attr(attribute("label"), shown(&device.label))
                .attr(attribute("labelsig"), shown(&device.label_signature))
                .build()
        }))
        .build()
}

/// Reads a bundle and checks its signature; prekeys that cannot be read are left out.
pub fn read_bundle(element: &Element) -> Result<Bundle, Malformed> {
    let profile = profile_of(element, ["bundle", "bundle"], "bundle")?;
    let names = bundle_names(profile);
    let signed = children(element, names.signed_prekey).next();
    let signed = signed
        .and_then(|key| read_prekey(key, names.signed_prekey_id))
        .ok_or(Malformed("signed prekey"))?;
    let bytes_of = |name, what| {
        children(element, name)
            .next()
            .and_then(|found| decode(&found.text()))
            .ok_or(Malformed(what))
    };
    let identity = IdentityKey::decode(profile, &bytes_of(names.identity, "identity key")?)?;
    let signature = bytes_of(names.signature, "bundle signature")?;
    let signature = signature.try_into().map_err(|_| Malformed("bundle signature"))?;
    let mut seen = HashSet::new();
    let prekeys = children(element, "prekeys")
        .flat_map(|list| children(list, names.prekey))
        .filter_map(|key| read_prekey(key, names.prekey_id))
        .filter(|key| seen.insert(key.id))
        .take(MAX_PREKEYS)
        .collect();
    Bundle::new(profile, identity, signed, signature, prekeys)
}

fn read_prekey(element: &Element, id: &str) -> Option<RemotePreKey> {
    let id = PreKeyId(element.attr(id)?.trim().parse().ok()?);
    let public = primitives::read_public_key(&decode(&element.text())?).ok()?;
    Some(RemotePreKey { id, public })
}

/// Writes a bundle.
pub fn write_bundle(bundle: &Bundle) -> Element {
    let profile = bundle.profile();
    let names = bundle_names(profile);
    let leaf =
        |name: &str, bytes: &[u8]| Element::builder(name, profile.namespace()).append(STANDARD.encode(bytes));
    let prekey = |name: &str, id_name: &'static str, key: &RemotePreKey| {
        leaf(name, &primitives::encode_public_key(profile, &key.public))
            .attr(attribute(id_name), key.id.0)
            .build()
    };
    let prekeys = bundle
        .prekeys()
        .iter()
        .map(|key| prekey(names.prekey, names.prekey_id, key));
    Element::builder("bundle", profile.namespace())
        .append(prekey(
            names.signed_prekey,
            names.signed_prekey_id,
            bundle.signed_prekey(),
        ))
        .append(leaf(names.signature, bundle.signature()).build())
        .append(leaf(names.identity, &bundle.identity().encode(profile)).build())
        .append(
            Element::builder("prekeys", profile.namespace())
                .append_all(prekeys)
                .build(),
        )
        .build()
}

/// What the parts of a bundle are called.
struct BundleNames {
    signed_prekey: &'static str,
    signed_prekey_id: &'static str,
    signature: &'static str,
    identity: &'static str,
    prekey: &'static str,
    prekey_id: &'static str,
}

const fn bundle_names(profile: Profile) -> BundleNames {
    match profile {
        Profile::Legacy => BundleNames {
            signed_prekey: "signedPreKeyPublic",
            signed_prekey_id: "signedPreKeyId",
            signature: "signedPreKeySignature",
            identity: "identityKey",
            prekey: "preKeyPublic",
            prekey_id: "preKeyId",
        },
        Profile::Omemo2 => BundleNames {
            signed_prekey: "spk",
            signed_prekey_id: "id",
            signature: "spks",
            identity: "ik",
            prekey: "pk",
            prekey_id: "id",
        },
    }
}

/// Reads an `<encrypted/>` element of either generation. Keys that cannot be read are left out.
pub fn read_encrypted(element: &Element) -> Result<Encrypted, Malformed> {
    let profile = profile_of(element, ["encrypted", "encrypted"], "encrypted")?;
    let header = children(element, "header").next().ok_or(Malformed("header"))?;
    let sender = header.attr("sid").ok_or(Malformed("sender device id"))?.parse()?;
    let keys = match profile {
        Profile::Legacy => children(header, "key")
            .filter_map(|key| read_key(profile, None, key))
            .take(MAX_KEYS)
            .collect(),
        Profile::Omemo2 => children(header, "keys")
            .filter_map(|keys| keys.attr("jid").map(|jid| (Arc::from(jid), keys)))
            .flat_map(|(jid, keys)| {
                children(keys, "key").filter_map(move |key| read_key(profile, Some(&jid), key))
            })
            .take(MAX_KEYS)
            .collect(),
    };
    let bytes_of = |parent: &Element, name, what| match children(parent, name).next() {
        None => Ok(None),
        Some(found) => decode(&found.text()).map(Some).ok_or(Malformed(what)),
    };
    let iv = if profile == Profile::Legacy {
        bytes_of(header, "iv", "iv")?
    } else {
        None
    };
    Ok(Encrypted {
        profile,
        sender,
        keys,
        iv,
        payload: bytes_of(element, "payload", "payload")?,
    })
}

fn read_key(profile: Profile, jid: Option<&Arc<str>>, element: &Element) -> Option<AddressedKey> {
    let device = element.attr("rid")?.parse().ok()?;
    let bytes = decode(&element.text())?;
    // xs:boolean: clients in the field write both forms.
    let is_prekey = matches!(
        element.attr(prekey_flag(profile)).map(str::trim),
        Some("true" | "1")
    );
    Some(AddressedKey {
        jid: jid.map(Arc::clone),
        device,
        key: KeyElement { bytes, is_prekey },
    })
}

/// Writes an `<encrypted/>` element. In omemo:2 keys without an address are left out, as they cannot be written.
pub fn write_encrypted(encrypted: &Encrypted) -> Element {
    let profile = encrypted.profile;
    let namespace = profile.namespace();
    let leaf = |name: &str, bytes: &[u8]| {
        Element::builder(name, namespace)
            .append(STANDARD.encode(bytes))
            .build()
    };
    let mut header = Element::builder("header", namespace)
        .attr(attribute("sid"), encrypted.sender.get())
        .build();
    match profile {
        Profile::Legacy => encrypted.keys.iter().for_each(|key| {
            header.append_child(write_key(profile, key));
        }),
        Profile::Omemo2 => {
            let mut by_jid = BTreeMap::<&str, Vec<Element>>::new();
            for key in &encrypted.keys {
                if let Some(jid) = &key.jid {
                    by_jid.entry(jid).or_default().push(write_key(profile, key));
                }
            }
            for (jid, keys) in by_jid {
                let group = Element::builder("keys", namespace)
                    .attr(attribute("jid"), jid)
                    .append_all(keys);
                header.append_child(group.build());
            }
        }
    }
    if let (Profile::Legacy, Some(iv)) = (profile, &encrypted.iv) {
        header.append_child(leaf("iv", iv));
    }
    let mut element = Element::builder("encrypted", namespace).append(header).build();
    if let Some(payload) = &encrypted.payload {
        element.append_child(leaf("payload", payload));
    }
    element
}

fn write_key(profile: Profile, key: &AddressedKey) -> Element {
    Element::builder("key", profile.namespace())
        .attr(attribute("rid"), key.device.get())
        .attr(
            attribute(prekey_flag(profile)),
            key.key.is_prekey.then_some("true"),
        )
        .append(STANDARD.encode(&key.key.bytes))
        .build()
}

/// The attribute that marks a key exchange.
const fn prekey_flag(profile: Profile) -> &'static str {
    either(profile, "prekey", "kex")
}

const fn either(profile: Profile, legacy: &'static str, omemo2: &'static str) -> &'static str {
    match profile {
        Profile::Legacy => legacy,
        Profile::Omemo2 => omemo2,
    }
}

/// The generation of an element, which must bear the name that this generation uses.
fn profile_of(element: &Element, names: [&'static str; 2], what: &'static str) -> Result<Profile, Malformed> {
    let [legacy, omemo2] = names;
    Profile::from_namespace(&element.ns())
        .filter(|profile| element.name() == either(*profile, legacy, omemo2))
        .ok_or(Malformed(what))
}

/// The children of this name in the parent's namespace.
fn children<'a>(element: &'a Element, name: &'static str) -> impl Iterator<Item = &'a Element> {
    let namespace = element.ns();
    element
        .children()
        .filter(move |child| child.is(name, namespace.as_str()))
}

/// Base64 with or without padding, blanks anywhere.
fn decode(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    LENIENT.decode(text).ok()
}

/// Whether XML 1.0 can hold this text. minidom panics when it writes one that it cannot.
pub fn is_writable(text: &str) -> bool {
    text.chars().all(is_writable_char)
}

/// The text without the characters that XML 1.0 cannot hold, such as control characters.
pub fn without_forbidden(text: &str) -> String {
    text.chars().filter(|c| is_writable_char(*c)).collect()
}

/// XML 1.0 §2.2.
const fn is_writable_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

pub(crate) fn attribute(name: &'static str) -> NcName {
    NcName::try_from(name).expect("attribute names in this crate are plain words")
}
