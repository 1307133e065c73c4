//! Links to encrypted files as the whole text of an encrypted message (XEP-0454).

use url::Url;
use waxwing_omemo::{FileCipher, FileKey};
use zeroize::Zeroizing;

use super::file_name;
use super::file_sharing::{SharedFile, Way, is_fetchable};

const SCHEME: &str = "aesgcm://";
/// Nobody's links are longer, in bytes.
const LONGEST: usize = 8 * 1024;
/// The digits of a key of 256 bits.
const KEY: usize = 64;

/// Reads a text that is such a link and nothing else, but for a preview picture in the next line, which is left alone:
/// it is not part of what the key protects. None for any other text, however much like a link it looks.
pub(crate) fn read(text: &str) -> Option<SharedFile> {
    let (link, preview) = match text.split_once('\n') {
        Some((link, preview)) => (link, Some(preview)),
        None => (text, None),
    };
    if preview.is_some_and(|preview| !preview.starts_with("data:image/") || has_space(preview))
        || has_space(link)
        || link.len() > LONGEST
    {
        return None;
    }
    let rest = link.get(SCHEME.len()..)?;
    if !link.get(..SCHEME.len())?.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    let (place, fragment) = rest.split_once('#')?;
    // Where no host stands, what follows would be taken for one.
    if place.starts_with(['/', '\\']) {
        return None;
    }
    let url = Url::parse(&format!("https://{place}"))
        .ok()
        .filter(is_fetchable)?;
    let (iv, key) = fragment.split_at_checked(fragment.len().checked_sub(KEY)?)?;
    let key = Zeroizing::new(unhex(key)?);
    let key = FileKey::new(FileCipher::Aes256Gcm, key, unhex(iv)?, None, Vec::new()).ok()?;
    Some(SharedFile {
        name: name(&url),
        media_type: None,
        way: Some(Way {
            key,
            sources: vec![url],
        }),
    })
}

fn has_space(text: &str) -> bool {
    text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// The last part of the path, as people would read it.
pub(super) fn name(url: &Url) -> String {
    let last = url
        .path_segments()
        .and_then(|mut parts| parts.rfind(|part| !part.is_empty()));
    file_name::safe(&percent_decoded(last.unwrap_or_default()))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let decoded = behind
            .split_at_checked(2)
            .filter(|_| *first == b'%')
            .and_then(|(digits, _)| unhex(std::str::from_utf8(digits).ok()?)?.pop());
        bytes.push(decoded.unwrap_or(*first));
        rest = behind
            .get(if decoded.is_some() { 2 } else { 0 }..)
            .unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IV: &str = "8c3d050e9386ec173861778f";
    const KEY: &str = "68e9af38a97aaf82faa4063b4d0878a61261534410c8a84331eaac851759f587";

    fn link(place: &str) -> String {
        format!("aesgcm://{place}#{IV}{KEY}")
    }

    #[test]
    fn a_link_says_where_the_file_is_and_how_it_opens() {
        let file = read(&link("download.montague.tld/4a771ac1/tr%C3%A8s%20cool.jpg?a=b")).expect("a link");
        let way = file.way.expect("a way");
        assert_eq!(file.name, "très cool.jpg");
        let sources: Vec<&str> = way.sources.iter().map(Url::as_str).collect();
        assert_eq!(
            sources,
            ["https://download.montague.tld/4a771ac1/tr%C3%A8s%20cool.jpg?a=b"]
        );
        assert_eq!(way.key.cipher(), FileCipher::Aes256Gcm);
        assert_eq!(way.key.iv(), unhex(IV).expect("digits"));
        assert_eq!(way.key.key(), unhex(KEY).expect("digits"));
    }

    #[test]
    fn vectors_of_16_bytes_capital_letters_and_a_preview_are_taken() {
        for text in [
            format!("aesgcm://h.example/a#{IV}00112233{KEY}"),
            format!("AESGCM://h.example/a#{}{}", IV.to_uppercase(), KEY.to_uppercase()),
            format!(
                "{}\ndata:image/jpeg,/9j/4AAQSkZJRgABAQEBLAEsAAD",
                link("h.example/a")
            ),
            link("h.example:8443/a"),
            link("[::1]:8443/a"),
            link("h.example"),
            link("bücher.example/a"),
        ] {
            assert!(read(&text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_not_a_link_and_nothing_else_is_a_text() {
        let good = link("h.example/a");
        for text in [
            String::new(),
            "aesgcm://".to_owned(),
            format!("look: {good}"),
            format!("{good} see?"),
            format!(" {good}"),
            format!("{good}\n"),
            format!("{good}\n\ndata:image/jpeg,x"),
            format!("{good}\nand a second line"),
            format!("{good}\ndata:text/html,x"),
            format!("{good}\ndata:image/jpeg,x\n{good}"),
            format!("{good}\n{good}"),
            good.replace("aesgcm", "https"),
            good.replace("aesgcm", "xaesgcm"),
            "aesgcm://h.example/a".to_owned(),
            format!("aesgcm://h.example/a#{KEY}"),
            format!("aesgcm://h.example/a#{IV}{KEY}00"),
            format!("aesgcm://h.example/a#00{IV}{KEY}"),
            format!("aesgcm://h.example/a#{IV}{}", KEY.replace('6', "g")),
            format!("aesgcm://h.example/a#{IV}{}", KEY.replace('6', "é")),
            format!("aesgcm://h.example/a#{IV}{KEY}#{IV}{KEY}"),
            format!("aesgcm:///a#{IV}{KEY}"),
            link("user:password@h.example/a"),
            link("user@h.example/a"),
            link("h.example:99999/a"),
            link("h.example:0/a"),
            link("h ample/a"),
            link("exa\u{202e}mple.example/a\u{0}"),
            link(&format!("h.example/{}", "a".repeat(LONGEST))),
        ] {
            assert!(read(&text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn names_are_decoded_before_they_are_made_harmless() {
        for (path, name) in [
            ("a/b.txt", "b.txt"),
            ("a/b/", "b"),
            ("", "file"),
            ("a/..%2f..%2fetc%2fpasswd", "passwd"),
            ("a/%2e%2e", "file"),
            ("a/x%5c..%5cevil.exe", "evil.exe"),
            ("a/%E2%80%AEgpj.exe", "gpj.exe"),
            ("a/%00%0a.txt", "txt"),
            ("a/100%25.txt", "100%.txt"),
            ("a/%zz%4.txt", "%zz%4.txt"),
            ("a/%ff%fe.txt", "txt"),
            ("a/con.txt", "_con.txt"),
        ] {
            let file =
                read(&link(&format!("h.example/{path}"))).unwrap_or_else(|| panic!("{path} is a link"));
            assert_eq!(file.name, name, "{path}");
        }
    }

    /// Damaged in every way, a link is a text or another link, and never more.
    #[test]
    fn no_damage_makes_more_of_a_link() {
        let good = link("h.example:8443/a/tr%C3%A8s.jpg?x=y");
        let bytes = good.as_bytes();
        let mut texts = Vec::new();
        for at in 0..bytes.len() {
            for other in [
                0_u8, b' ', b'\n', b'#', b'/', b'@', b'%', b':', b'\\', b'?', 0xc3, 0xff,
            ] {
                let mut damaged = bytes.to_vec();
                *damaged.get_mut(at).expect("within") = other;
                texts.push(String::from_utf8_lossy(&damaged).into_owned());
                damaged.insert(at, other);
                texts.push(String::from_utf8_lossy(&damaged).into_owned());
                damaged.truncate(at);
                texts.push(String::from_utf8_lossy(&damaged).into_owned());
            }
        }
        for text in texts {
            let Some(SharedFile {
                name, way: Some(way), ..
            }) = read(&text)
            else {
                continue;
            };
            assert_eq!(way.key.key().len(), 32, "{text:?}");
            assert_eq!(file_name::safe(&name), name, "{text:?}");
            for url in way.sources {
                assert!(is_fetchable(&url) && url.fragment().is_none(), "{text:?}: {url}");
            }
        }
    }
}
