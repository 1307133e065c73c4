//! Links that name somebody's keys, `xmpp:ADDRESS?omemo-sid-DEVICE=FINGERPRINT;…`, as clients show them in codes and hand
//! them on.

use waxwing_omemo::{DeviceId, Fingerprint};

use crate::model::BareJid;

/// A longer text is no link that anybody shows.
const LONGEST: usize = 8_192;
/// Nobody has more devices than so many.
const KEYS: usize = 100;
/// What stands before a device's id.
const NAME: &str = "omemo-sid-";

/// Somebody's keys, as a link names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyLink {
    pub(crate) address: BareJid,
    pub(crate) keys: Vec<(DeviceId, Fingerprint)>,
}

/// Reads a link. None if it is another one, names no key, or names one wrongly.
pub(crate) fn read(text: &str) -> Option<KeyLink> {
    let text = text.trim();
    if text.len() > LONGEST {
        return None;
    }
    let (scheme, rest) = text.split_once(':')?;
    let (address, query) = rest.split_once('?')?;
    if !scheme.eq_ignore_ascii_case("xmpp") {
        return None;
    }
    let address = decoded(address.trim_start_matches('/'))?.parse().ok()?;
    let parts = query.split([';', '&']).filter_map(|part| part.split_once('='));
    let named = parts.filter_map(|(name, value)| Some((name.strip_prefix(NAME)?, value)));
    let keys: Vec<_> = named
        .map(|(device, print)| Some((device.parse().ok()?, print.parse().ok()?)))
        .collect::<Option<_>>()?;
    (!keys.is_empty() && keys.len() <= KEYS).then_some(KeyLink { address, keys })
}

/// Writes a link.
pub(crate) fn write(link: &KeyLink) -> String {
    let keys = link
        .keys
        .iter()
        .map(|(device, print)| format!("{NAME}{device}={print}"));
    let keys: Vec<String> = keys.collect();
    format!("xmpp:{}?{}", encoded(link.address.as_str()), keys.join(";"))
}

/// RFC 3986 §2.1.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// RFC 5122 §2.2: whatever could end the address is escaped.
fn encoded(address: &str) -> String {
    let mut text = String::with_capacity(address.len());
    for byte in address.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn link(address: &str, devices: &[u32]) -> KeyLink {
        let key = |id: &u32| {
            let device = DeviceId::try_from(*id).expect("a device id");
            (device, PRINT.parse().expect("a fingerprint"))
        };
        KeyLink {
            address: address.parse().expect("an address"),
            keys: devices.iter().map(key).collect(),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for address in ["juliet@capulet.lit", "jülïet@capulet.lit", "who?;=%@capulet.lit"] {
            let link = link(address, &[1, 2_147_483_647]);
            let text = write(&link);
            assert!(text.is_ascii(), "{text}");
            assert_eq!(read(&text), Some(link), "{text}");
        }
    }

    #[test]
    fn links_as_other_clients_write_them_are_read() {
        let one = link("juliet@capulet.lit", &[7]);
        for text in [
            format!("xmpp:juliet@capulet.lit?omemo-sid-7={PRINT}"),
            format!("  XMPP:juliet@capulet.lit?message;omemo-sid-7={PRINT}\n"),
            format!("xmpp://juliet@capulet.lit?omemo-sid-7={PRINT}"),
            format!("xmpp:juliet%40capulet.lit?omemo-sid-7={}", PRINT.to_uppercase()),
            format!("xmpp:juliet@capulet.lit?omemo-sid-7={PRINT}&name=Juliet"),
        ] {
            assert_eq!(read(&text), Some(one.clone()), "{text}");
        }
    }

    #[test]
    fn nothing_is_taken_from_what_is_no_link_of_keys() {
        for text in [
            String::new(),
            "xmpp:juliet@capulet.lit".to_owned(),
            "xmpp:juliet@capulet.lit?message".to_owned(),
            format!("https://capulet.lit?omemo-sid-7={PRINT}"),
            format!("xmpp:?omemo-sid-7={PRINT}"),
            format!("xmpp:juliet@capulet.lit/balcony?omemo-sid-7={PRINT}"),
            format!("xmpp:juliet@capulet.lit?omemo-sid-0={PRINT}"),
            format!("xmpp:juliet@capulet.lit?omemo-sid-x={PRINT}"),
            format!("xmpp:juliet@capulet.lit?omemo-sid-7={PRINT}0"),
            // One that is wrong makes all of them doubtful.
            format!("xmpp:juliet@capulet.lit?omemo-sid-7={PRINT};omemo-sid-8=123"),
            format!("xmpp:juliet%4@capulet.lit?omemo-sid-7={PRINT}"),
            format!("xmpp:juliet%ff@capulet.lit?omemo-sid-7={PRINT}"),
            format!(
                "xmpp:juliet@capulet.lit?x={}&omemo-sid-7={PRINT}",
                "x".repeat(LONGEST)
            ),
            format!(
                "xmpp:juliet@capulet.lit?{}",
                format!("omemo-sid-7={PRINT};").repeat(KEYS + 1)
            ),
        ] {
            assert_eq!(read(&text), None, "{text}");
        }
    }
}
