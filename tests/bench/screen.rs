//! The pixels of a screen in memory.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::started::now;

/// Every fourth line is looked at: no text and no surface is lower, and looking must not slow down what is looked at.
const STEP: usize = 4;
/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(1);

/// Reads the file in the format of `xwd` that Xvfb keeps its screen in.
pub struct Screen {
    file: File,
    first_line: u64,
    bytes_a_line: usize,
    lines: usize,
}

impl Screen {
    /// Opens Xvfb's file.
    pub fn open(pixels: &Path) -> Self {
        let file = File::open(pixels).expect("Xvfb has made its file");
        let mut header = [0; 80];
        file.read_exact_at(&mut header, 0).expect("the file has a header");
        let field = |index: usize| -> u32 {
            let bytes = [0, 1, 2, 3].map(|byte| header[4 * index + byte]);
            u32::from_be_bytes(bytes)
        };
        let [size, height, bytes_a_line, colours] = [0, 5, 12, 19].map(field);
        Self {
            file,
            first_line: u64::from(size) + 12 * u64::from(colours),
            bytes_a_line: bytes_a_line as usize,
            lines: height as usize,
        }
    }

    /// The lines that are looked at, as they are now.
    pub fn look(&self) -> Vec<u8> {
        let mut seen = vec![0; self.lines.div_ceil(STEP) * self.bytes_a_line];
        for (index, line) in seen.chunks_mut(self.bytes_a_line).enumerate() {
            let offset = self.first_line + (index * STEP * self.bytes_a_line) as u64;
            self.file
                .read_exact_at(line, offset)
                .expect("the screen can be read");
        }
        seen
    }

    /// When (Unix time in milliseconds) the screen first looks as wanted.
    pub fn when(&self, what: &str, limit: Duration, wanted: impl Fn(&[u8]) -> bool) -> f64 {
        let deadline = Instant::now() + limit;
        while !wanted(&self.look()) {
            assert!(
                Instant::now() < deadline,
                "the screen is not {what} within {limit:?}"
            );
            std::thread::sleep(PAUSE);
        }
        now()
    }

    /// Waits until the screen has not changed for a third of a second, and gives how it looks then.
    pub fn at_rest(&self, limit: Duration) -> Vec<u8> {
        let deadline = Instant::now() + limit;
        let mut seen = self.look();
        let mut since = Instant::now();
        while since.elapsed() < Duration::from_millis(300) {
            std::thread::sleep(10 * PAUSE);
            let next = self.look();
            if next != seen {
                seen = next;
                since = Instant::now();
            }
            assert!(
                Instant::now() < deadline,
                "the screen does not come to rest within {limit:?}"
            );
        }
        seen
    }
}

/// Does this on a thread of its own, away from those that measure time.
pub async fn blocking<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(look)
        .await
        .expect("nothing panics there")
}

/// Whether nothing is on the screen.
pub fn is_empty(seen: &[u8]) -> bool {
    colours(seen, 2) < 2
}

/// Whether there is a window with something in it: the screen behind it has one colour, an empty window another.
pub fn shows_content(seen: &[u8]) -> bool {
    colours(seen, 3) == 3
}

/// How many colours there are; counted up to `enough`.
fn colours(seen: &[u8], enough: usize) -> usize {
    let mut known: Vec<&[u8]> = Vec::new();
    for pixel in seen.chunks_exact(4) {
        if !known.contains(&pixel) {
            known.push(pixel);
            if known.len() == enough {
                break;
            }
        }
    }
    known.len()
}
