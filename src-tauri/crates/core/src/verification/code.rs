//! Links as pictures: QR codes are drawn, and found in pictures that a person opens.

use qrcodegen::{QrCode, QrCodeEcc};
use rqrr::PreparedImage;

use crate::error::{Error, Result};

/// A side of a picture has at most so many pixels; the window makes larger ones smaller.
const SIDE: u32 = 2_048;

/// The rows of a code: a `1` for each dark square. Errors: `invalid_params` for a text that is too long.
pub(crate) fn draw(text: &str) -> Result<Vec<String>> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium)
        .map_err(|_| Error::invalid("this is too long for a code"))?;
    let square = |x, y| if code.get_module(x, y) { '1' } else { '0' };
    let side = code.size();
    Ok((0..side)
        .map(|y| (0..side).map(|x| square(x, y)).collect())
        .collect())
}

/// What the codes in a picture say. `pixels` are its brightnesses, row by row. Errors: `invalid_params`.
pub(crate) fn read(width: u32, height: u32, pixels: &[u8]) -> Result<Vec<String>> {
    let side = |length: u32| {
        usize::try_from(length)
            .ok()
            .filter(|_| (1..=SIDE).contains(&length))
            .ok_or_else(|| Error::invalid("a picture has 1 to 2,048 pixels a side"))
    };
    let (width, height) = (side(width)?, side(height)?);
    if pixels.len() != width * height {
        return Err(Error::invalid("a picture has one byte for each pixel"));
    }
    let at = |x: usize, y: usize| pixels.get(y * width + x).copied().unwrap_or(u8::MAX);
    let mut picture = PreparedImage::prepare_from_greyscale(width, height, at);
    let grids = picture.detect_grids();
    let read = grids.iter().filter_map(|grid| grid.decode().ok());
    Ok(read.map(|(_, text)| text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A code as a picture, with squares of so many pixels and a white edge.
    fn picture(rows: &[String], square: usize) -> (u32, u32, Vec<u8>) {
        let side = (rows.len() + 8) * square;
        let dark = |x: usize, y: usize| {
            let place = |at: usize| (at / square).checked_sub(4);
            let row = place(y).and_then(|y| rows.get(y))?;
            row.chars().nth(place(x)?).filter(|square| *square == '1')
        };
        let pixels = (0..side * side)
            .map(|at| match dark(at % side, at / side) {
                Some(_) => 20,
                None => 235,
            })
            .collect();
        let side = u32::try_from(side).expect("a small picture");
        (side, side, pixels)
    }

    #[test]
    fn a_code_that_is_drawn_is_read_again() {
        let print = "0123456789abcdef".repeat(4);
        for devices in [1, 5] {
            let keys: Vec<_> = (0..devices)
                .map(|device| format!("omemo-sid-{device}={print}"))
                .collect();
            let text = format!("xmpp:juliet@capulet.lit?{}", keys.join(";"));
            let rows = draw(&text).expect("a code");
            let (width, height, pixels) = picture(&rows, 6);
            assert_eq!(read(width, height, &pixels).expect("a picture"), [text]);
        }
    }

    #[test]
    fn a_picture_without_a_code_says_nothing_and_breaks_nothing() {
        // A generator of numbers, so that a failure can be had again.
        let mut state = 7_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        for (width, height) in [(1, 1), (1, 300), (300, 1), (120, 90)] {
            let size = usize::try_from(width * height).expect("a small picture");
            for pixels in [
                vec![0; size],
                vec![255; size],
                (0..size).map(|_| noise()).collect(),
            ] {
                assert_eq!(read(width, height, &pixels), Ok(Vec::new()), "{width} × {height}");
            }
        }
    }

    #[test]
    fn damaged_codes_are_read_rightly_or_not_at_all() {
        let text = format!(
            "xmpp:juliet@capulet.lit?omemo-sid-7={}",
            "0123456789abcdef".repeat(4)
        );
        let rows = draw(&text).expect("a code");
        let (width, height, good) = picture(&rows, 4);
        for seed in 0..60_usize {
            let mut pixels = good.clone();
            let from = seed * pixels.len() / 60;
            pixels
                .iter_mut()
                .skip(from)
                .take(900)
                .for_each(|pixel| *pixel = 255 - *pixel);
            let found = read(width, height, &pixels).expect("a picture");
            assert!(found.is_empty() || found == [text.clone()], "{found:?}");
        }
    }

    #[test]
    fn pictures_of_a_wrong_size_are_refused() {
        for (width, height, size) in [(0, 1, 0), (2, 2, 3), (2_049, 1, 2_049), (u32::MAX, u32::MAX, 0)] {
            assert!(read(width, height, &vec![0; size]).is_err(), "{width} × {height}");
        }
    }

    #[test]
    fn a_text_that_fits_no_code_is_refused() {
        assert!(draw(&"x".repeat(3_000)).is_err());
    }
}
