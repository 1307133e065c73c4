//! Files that a message tells of (XEP-0447, with the metadata of XEP-0446 and encrypted sources as in XEP-0448).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minidom::Element;
use url::Url;
use waxwing_omemo::{FileCipher, FileHash, FileKey};
use zeroize::Zeroizing;

use super::aesgcm;
use super::element::{attribute, child_text};
use super::{file_name, ns};

/// A file that somebody offers.
#[derive(Clone, Debug)]
pub(crate) struct SharedFile {
    /// Harmless: see [`file_name::safe`].
    pub(crate) name: String,
    /// As its sender says.
    pub(crate) media_type: Option<String>,
    /// How to get it; none if its sender offers no way that we take.
    pub(crate) way: Option<Way>,
}

/// Where an encrypted file lies, and what opens it.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) key: FileKey,
    /// The first that works will do.
    pub(crate) sources: Vec<Url>,
}

impl PartialEq for SharedFile {
    fn eq(&self, other: &Self) -> bool {
        let places = |file: &Self| file.way.as_ref().map(|way| way.sources.clone());
        (&self.name, &self.media_type, places(self)) == (&other.name, &other.media_type, places(other))
    }
}

impl Eq for SharedFile {}

/// So many places are tried.
const SOURCES: usize = 4;
/// Types are no longer (RFC 6838 §4.2).
const LONGEST_TYPE: usize = 127;

/// Reads a `<file-sharing/>` that stood in an encrypted envelope. None if it tells nothing of a file.
pub(crate) fn read(sharing: &Element) -> Option<SharedFile> {
    let file = sharing.get_child("file", ns::FILE_METADATA)?;
    let size = child_text(file, "size", ns::FILE_METADATA).and_then(|size| size.trim().parse().ok());
    let hashes = hashes(file);
    let way = sharing
        .get_child("sources", ns::FILE_SHARING)
        .into_iter()
        .flat_map(Element::children)
        .filter(|source| source.is("encrypted", ns::ENCRYPTED_FILES))
        .find_map(|source| way(source, size, &hashes));
    let name = child_text(file, "name", ns::FILE_METADATA).filter(|name| !name.trim().is_empty());
    Some(SharedFile {
        name: match (name, &way) {
            (Some(name), _) => file_name::safe(&name),
            (None, Some(Way { sources, .. })) => {
                sources.first().map_or_else(|| file_name::safe(""), aesgcm::name)
            }
            (None, None) => file_name::safe(""),
        },
        media_type: child_text(file, "media-type", ns::FILE_METADATA).and_then(|text| media_type(&text)),
        way,
    })
}

fn way(source: &Element, size: Option<u64>, hashes: &[(FileHash, Vec<u8>)]) -> Option<Way> {
    let cipher = attribute(source, "cipher")?;
    let cipher = FileCipher::ALL
        .into_iter()
        .find(|known| known.namespace() == cipher)?;
    let bytes = |name| decode(&child_text(source, name, ns::ENCRYPTED_FILES)?);
    let key = Zeroizing::new(bytes("key")?);
    let key = FileKey::new(cipher, key, bytes("iv")?, size, hashes.to_vec()).ok()?;
    let sources: Vec<Url> = source
        .get_child("sources", ns::FILE_SHARING)?
        .children()
        .filter(|place| place.is("url-data", ns::URL_DATA))
        .filter_map(|place| Url::parse(attribute(place, "target")?).ok())
        .filter(|url| url.scheme() == "https" && url.fragment().is_none() && is_fetchable(url))
        .take(SOURCES)
        .collect();
    (!sources.is_empty()).then_some(Way { key, sources })
}

/// Whether a place can be asked for a file without saying who asks.
pub(crate) fn is_fetchable(url: &Url) -> bool {
    url.scheme() == "https"
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.password().is_none()
        && url.port() != Some(0)
}

/// Whom a place asks, as a person reads it: the port only where it is not the usual one.
pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The digests of the file itself that are good enough to know it by (XEP-0300).
fn hashes(file: &Element) -> Vec<(FileHash, Vec<u8>)> {
    file.children()
        .filter(|child| child.is("hash", ns::HASHES))
        .filter_map(|hash| {
            let kind = FileHash::from_name(attribute(hash, "algo")?)?;
            Some((kind, decode(&hash.text())?))
        })
        .collect()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_whitespace().collect();
    STANDARD.decode(text).ok()
}

/// A media type that is one, in small letters.
fn media_type(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let (kind, rest) = text.split_once('/')?;
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
    };
    (text.len() <= LONGEST_TYPE && plain(kind) && plain(rest)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "SuRJ2agVm/pQbJQlPq/B23Xt1YOOJCcEGJA5HrcYOGQ=";
    const IV: &str = "T8RDMBaiqn6Ci4Nw";
    const HASH: &str =
        "<hash xmlns='urn:xmpp:hashes:2' algo='sha3-256'>2XarmwTlNxDAMkvymloX3S5+VbylNrJt/l5QyPa+YoU=</hash>";

    fn shared(file: &str, sources: &str) -> Option<SharedFile> {
        let xml = format!(
            "<file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'>{file}</file>\
             <sources>{sources}</sources></file-sharing>"
        );
        read(&xml.parse().expect("the test's element is well-formed"))
    }

    fn encrypted(cipher: &str, key: &str, iv: &str, places: &[&str]) -> String {
        let places: Vec<String> = places
            .iter()
            .map(|url| format!("<url-data xmlns='http://jabber.org/protocol/url-data' target='{url}'/>"))
            .collect();
        let places = places.concat();
        format!(
            "<encrypted xmlns='urn:xmpp:esfs:0' cipher='urn:xmpp:ciphers:{cipher}:0'><key>{key}</key><iv>{iv}</iv>\
             <sources xmlns='urn:xmpp:sfs:0'>{places}</sources></encrypted>"
        )
    }

    fn gcm(places: &[&str]) -> String {
        encrypted("aes-256-gcm-nopadding", KEY, IV, places)
    }

    fn places(file: Option<SharedFile>) -> Vec<String> {
        let way = file.and_then(|file| file.way);
        way.map_or_else(Vec::new, |way| way.sources.iter().map(Url::to_string).collect())
    }

    #[test]
    fn a_file_is_read_with_its_name_type_size_hashes_and_places() {
        let about =
            format!("<media-type>image/jpeg</media-type><name>summit.jpg</name><size>3032449</size>{HASH}");
        let file = shared(&about, &gcm(&["https://download.montague.lit/a/encrypted.jpg"])).expect("a file");
        assert_eq!(
            (file.name.as_str(), file.media_type.as_deref()),
            ("summit.jpg", Some("image/jpeg"))
        );
        let way = file.way.expect("a way");
        assert_eq!(
            (way.key.cipher(), way.key.size()),
            (FileCipher::Aes256Gcm, Some(3_032_449))
        );
        assert_eq!(
            way.key.hashes().iter().map(|(hash, _)| *hash).collect::<Vec<_>>(),
            [FileHash::Sha3With256]
        );
    }

    #[test]
    fn a_source_counts_only_if_it_is_encrypted_known_and_whole() {
        let url = "https://h.example/a";
        for (sources, counts) in [
            (gcm(&[url]), true),
            (
                encrypted("aes-256-cbc-pkcs7", KEY, "T8RDMBaiqn6Ci4NwT8RDMA==", &[url]),
                true,
            ),
            (
                encrypted("aes-128-gcm-nopadding", "SuRJ2agVm/pQbJQlPq/B2w==", IV, &[url]),
                true,
            ),
            (
                format!("<encrypted xmlns='urn:xmpp:esfs:0'/>{}", gcm(&[url])),
                true,
            ),
            (encrypted("aes-128-gcm-nopadding", KEY, IV, &[url]), false),
            (encrypted("aes-256-cbc-pkcs7", KEY, IV, &[url]), false),
            (encrypted("rot13", KEY, IV, &[url]), false),
            (encrypted("aes-256-gcm-nopadding", "!", IV, &[url]), false),
            (encrypted("aes-256-gcm-nopadding", "", "", &[url]), false),
            (gcm(&[]), false),
            (gcm(&["http://h.example/a"]), false),
            (gcm(&["https://user:secret@h.example/a"]), false),
            (gcm(&["https://h.example/a#fragment"]), false),
            (gcm(&["file:///etc/passwd"]), false),
            (gcm(&["aesgcm://h.example/a"]), false),
            (gcm(&["nonsense"]), false),
            (
                format!("<url-data xmlns='http://jabber.org/protocol/url-data' target='{url}'/>"),
                false,
            ),
            (String::new(), false),
        ] {
            let file = shared(HASH, &sources).expect("a file");
            assert_eq!(file.way.is_some(), counts, "{sources}");
        }
    }

    #[test]
    fn of_many_places_few_are_tried_and_bad_ones_are_left_out() {
        let urls = ["http://h.example/0", "https://h.example/1", "https://h.example/2"];
        assert_eq!(
            places(shared("", &gcm(&urls))),
            ["https://h.example/1", "https://h.example/2"]
        );
        let many: Vec<String> = (0..50).map(|at| format!("https://h.example/{at}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(places(shared("", &gcm(&many))).len(), SOURCES);
    }

    #[test]
    fn what_is_told_of_a_file_is_held_to_what_it_can_be() {
        let source = gcm(&["https://h.example/x/photo%20.png"]);
        let read = |about: &str| shared(about, &source).expect("a file");
        for (about, name) in [
            ("", "photo .png"),
            ("<name/>", "photo .png"),
            ("<name>../../evil.exe</name>", "evil.exe"),
            ("<name xmlns='urn:other'>x</name>", "photo .png"),
        ] {
            assert_eq!(read(about).name, name, "{about}");
        }
        for (kind, expected) in [
            ("image/PNG", Some("image/png")),
            (" text/plain ", Some("text/plain")),
            ("text/plain; charset=x", None),
            ("image", None),
            ("image/", None),
            ("a/b/c", None),
            ("x\u{202e}/y", None),
        ] {
            let about = format!("<media-type>{kind}</media-type>");
            assert_eq!(read(&about).media_type.as_deref(), expected, "{kind}");
        }
        for size in ["", "-1", "1e3", "99999999999999999999999", "0x10"] {
            let way = read(&format!("<size>{size}</size>")).way.expect("a way");
            assert_eq!(way.key.size(), None, "{size}");
        }
        let weak = "<hash xmlns='urn:xmpp:hashes:2' algo='md5'>AAAA</hash>";
        let cbc = encrypted(
            "aes-256-cbc-pkcs7",
            KEY,
            "T8RDMBaiqn6Ci4NwT8RDMA==",
            &["https://h.example/a"],
        );
        assert!(
            shared(weak, &cbc).expect("a file").way.is_none(),
            "nothing would tell a forged file"
        );
        let short = "<hash xmlns='urn:xmpp:hashes:2' algo='sha-256'>AAAA</hash>";
        assert!(
            shared(short, &source).expect("a file").way.is_none(),
            "no digest of that kind"
        );
    }
}
