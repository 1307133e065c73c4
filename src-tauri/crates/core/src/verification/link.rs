//! Links that name somebody's keys, `xmpp:ADDRESS?omemo-sid-DEVICE=FINGERPRINT;…`, as clients show them in codes and hand
//! them on.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use waxwing_omemo::{DeviceId, Fingerprint};

use crate::model::BareJid;

/// A longer text is no link that anybody shows.
const LONGEST: usize = 8_192;
/// Nobody has more devices than so many.
const KEYS: usize = 100;
/// All in an address that could end it is escaped (RFC 5122 §2.2).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@');
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
    let address = percent_decode_str(address.trim_start_matches('/'))
        .decode_utf8()
        .ok()?
        .parse()
        .ok()?;
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
    format!(
        "xmpp:{}?{}",
        utf8_percent_encode(link.address.as_str(), ESCAPED),
        keys.join(";")
    )
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
