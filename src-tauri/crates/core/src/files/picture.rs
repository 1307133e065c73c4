//! Which pictures the window may show: of a kind that every web view knows, and small enough to be decoded.

use crate::model::Picture;

/// No larger files are shown, in bytes.
pub(super) const LARGEST: usize = 20 << 20;
/// No more pixels are decoded.
const PIXELS: u64 = 64_000_000;

/// Type and size of a picture, by what the file holds and not by what it is called. None if it is none, or too large.
pub(super) fn read(file: &[u8]) -> Option<(&'static str, Picture)> {
    let (kind, (width, height)) = match file {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, rest @ ..] => ("image/png", png(rest)?),
        [0xff, 0xd8, rest @ ..] => ("image/jpeg", jpeg(rest)?),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', rest @ ..] => ("image/gif", gif(rest)?),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            rest @ ..,
        ] => ("image/webp", webp(rest)?),
        _ => return None,
    };
    let pixels = u64::from(width) * u64::from(height);
    (pixels > 0 && pixels <= PIXELS && file.len() <= LARGEST).then_some((kind, Picture { width, height }))
}

/// Whether a file that begins like this may be a picture.
pub(super) fn begins(file: &[u8]) -> bool {
    matches!(
        file,
        [0x89, b'P', b'N', b'G', ..]
            | [0xff, 0xd8, ..]
            | [b'G', b'I', b'F', b'8', ..]
            | [b'R', b'I', b'F', b'F', ..]
    )
}

/// PNG (ISO/IEC 15948): the first chunk is IHDR.
fn png(rest: &[u8]) -> Option<(u32, u32)> {
    match rest {
        [_, _, _, 13, b'I', b'H', b'D', b'R', a, b, c, d, e, f, g, h, ..] => Some((
            u32::from_be_bytes([*a, *b, *c, *d]),
            u32::from_be_bytes([*e, *f, *g, *h]),
        )),
        _ => None,
    }
}

/// GIF89a §18.
fn gif(rest: &[u8]) -> Option<(u32, u32)> {
    match rest {
        [a, b, c, d, ..] => Some((
            u32::from(u16::from_le_bytes([*a, *b])),
            u32::from(u16::from_le_bytes([*c, *d])),
        )),
        _ => None,
    }
}

/// JPEG (ITU-T T.81 §B.2.2): the first frame header among the segments.
fn jpeg(mut rest: &[u8]) -> Option<(u32, u32)> {
    loop {
        match rest {
            // Bytes that fill up.
            [0xff, 0xff, ..] => rest = rest.get(1..)?,
            [
                0xff,
                0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf,
                _,
                _,
                _,
                a,
                b,
                c,
                d,
                ..,
            ] => {
                return Some((
                    u32::from(u16::from_be_bytes([*c, *d])),
                    u32::from(u16::from_be_bytes([*a, *b])),
                ));
            }
            // The picture itself, and no header before it.
            [0xff, 0xda | 0xd9, ..] => return None,
            [0xff, 0x01 | 0xd0..=0xd8, ..] => rest = rest.get(2..)?,
            [0xff, _, a, b, ..] => rest = rest.get(2 + usize::from(u16::from_be_bytes([*a, *b]).max(2))..)?,
            _ => return None,
        }
    }
}

/// WebP (RFC 9649): extended, lossless, lossy.
fn webp(rest: &[u8]) -> Option<(u32, u32)> {
    match rest {
        [
            b'V',
            b'P',
            b'8',
            b'X',
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            a,
            b,
            c,
            d,
            e,
            f,
            ..,
        ] => Some((
            1 + u32::from_le_bytes([*a, *b, *c, 0]),
            1 + u32::from_le_bytes([*d, *e, *f, 0]),
        )),
        [b'V', b'P', b'8', b'L', _, _, _, _, 0x2f, a, b, c, d, ..] => {
            let bits = u32::from_le_bytes([*a, *b, *c, *d]);
            Some((1 + (bits & 0x3fff), 1 + (bits >> 14 & 0x3fff)))
        }
        [
            b'V',
            b'P',
            b'8',
            b' ',
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            0x9d,
            0x01,
            0x2a,
            a,
            b,
            c,
            d,
            ..,
        ] => Some((
            u32::from(u16::from_le_bytes([*a, *b]) & 0x3fff),
            u32::from(u16::from_le_bytes([*c, *d]) & 0x3fff),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files that are whole as far as their heads go, all of 300 by 200 pixels.
    fn heads() -> Vec<(&'static str, Vec<u8>)> {
        let with = |parts: &[&[u8]]| parts.concat();
        let size = |bytes: [u8; 8]| bytes.to_vec();
        vec![
            (
                "image/png",
                with(&[
                    b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR",
                    &size([0, 0, 1, 44, 0, 0, 0, 200]),
                    b"\x08\x06",
                ]),
            ),
            ("image/gif", with(&[b"GIF89a", &[44, 1, 200, 0], b"\0\0"])),
            (
                "image/jpeg",
                with(&[
                    &[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xfe, 0, 2],
                    &[0xff, 0xc2, 0, 11, 8, 0, 200, 1, 44, 1],
                ]),
            ),
            (
                "image/webp",
                with(&[
                    b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0",
                    &[43, 1, 0, 199, 0, 0],
                    b"\0",
                ]),
            ),
            (
                "image/webp",
                with(&[
                    b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f",
                    &(299_u32 | 199 << 14).to_le_bytes(),
                    b"\0",
                ]),
            ),
            (
                "image/webp",
                with(&[
                    b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a",
                    &[44, 1, 200, 0],
                    b"\0",
                ]),
            ),
        ]
    }

    #[test]
    fn pictures_are_known_by_what_they_hold() {
        for (kind, head) in heads() {
            let expected = Picture {
                width: 300,
                height: 200,
            };
            assert_eq!(read(&head), Some((kind, expected)), "{kind}");
            assert!(begins(&head));
            for length in 0..head.len().saturating_sub(2) {
                let cut = head.get(..length).expect("within");
                assert_eq!(
                    read(cut).filter(|(_, picture)| *picture != expected),
                    None,
                    "{kind} cut to {length}"
                );
            }
        }
        for other in [
            &b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..],
            b"BM",
            b"",
            b"%PDF-1.7",
            b"<html>",
        ] {
            assert_eq!(read(other), None);
        }
    }

    #[test]
    fn pictures_that_would_be_too_large_are_not_shown() {
        let png = |width: u32, height: u32| {
            let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
            [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", size.as_slice()].concat()
        };
        assert!(read(&png(8_000, 8_000)).is_some());
        assert_eq!(read(&png(8_001, 8_000)), None);
        assert_eq!(read(&png(u32::MAX, u32::MAX)), None);
        assert_eq!(read(&png(0, 10)), None);
        let mut heavy = png(10, 10);
        heavy.resize(LARGEST + 1, 0);
        assert_eq!(read(&heavy), None);
    }

    #[test]
    fn no_bytes_are_too_odd_to_be_looked_at() {
        let mut seed = 7_u32;
        for (_, head) in heads() {
            for _ in 0..20_000 {
                let mut odd = head.clone();
                for _ in 0..3 {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let at = (seed >> 8) as usize % odd.len();
                    *odd.get_mut(at).expect("within") = seed.to_le_bytes()[3];
                }
                let _ = read(&odd);
            }
        }
    }
}
