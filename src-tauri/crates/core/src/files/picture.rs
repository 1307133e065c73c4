//! Which pictures the window may show: of a kind that every web view knows, and small enough to be decoded.

use imagesize::ImageType;

use crate::model::Picture;

/// No larger files are shown, in bytes.
pub(super) const LARGEST: usize = 20 << 20;
/// No more pixels are decoded.
const PIXELS: u64 = 64_000_000;

/// So many bytes tell whether a file may be a picture.
pub(super) const ENOUGH: usize = 16;

/// Media type and size.
pub(super) type Known = (&'static str, Picture);

/// What picture it is, by what the file holds and not by what it is called. None if it is none, or too large.
pub(super) fn read(file: &[u8]) -> Option<Known> {
    let kind = kind(file)?;
    let size = imagesize::blob_size(file).ok()?;
    let (width, height) = (u32::try_from(size.width).ok()?, u32::try_from(size.height).ok()?);
    let pixels = u64::from(width) * u64::from(height);
    (pixels > 0 && pixels <= PIXELS && file.len() <= LARGEST).then_some((kind, Picture { width, height }))
}

/// The media type by the file's first bytes.
pub(super) fn kind(file: &[u8]) -> Option<&'static str> {
    match imagesize::image_type(file).ok()? {
        ImageType::Png => Some("image/png"),
        ImageType::Jpeg => Some("image/jpeg"),
        ImageType::Gif => Some("image/gif"),
        ImageType::Webp => Some("image/webp"),
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
                    &[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xfe, 0, 2],
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
                    &0x31_c12b_u32.to_le_bytes(),
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
            assert_eq!(super::kind(head.get(..ENOUGH).unwrap_or(&head)), Some(kind));
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
