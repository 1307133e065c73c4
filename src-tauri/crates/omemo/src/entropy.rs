//! Where random bytes come from.

/// A source of random bytes. Product code uses [`OsEntropy`]; recorded answers are checked with a fixed one.
pub trait Entropy {
    /// Fills the whole slice.
    fn fill(&mut self, out: &mut [u8]);
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        getrandom::fill(out).expect("the operating system hands out random bytes");
    }
}

/// A uniformly chosen index below `len` (by rejection), or nothing to choose from.
pub(crate) fn pick(len: usize, rng: &mut impl Entropy) -> Option<usize> {
    let len = u32::try_from(len).ok().filter(|len| *len > 0)?;
    let limit = u32::MAX - u32::MAX % len;
    loop {
        let mut bytes = [0; 4];
        rng.fill(&mut bytes);
        let value = u32::from_le_bytes(bytes);
        if value < limit {
            return usize::try_from(value % len).ok();
        }
    }
}
