//! Chance that is the same each time: `SplitMix64`, whose numbers depend on the seed and on nothing else.

/// Numbers drawn from a seed.
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// The numbers of this seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to but not including 1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub fn unit(&mut self) -> f64 {
        (self.any() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number from the first up to and including the last.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.any() % (last - first + 1)
    }

    /// A place in a list that is not empty.
    pub fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.any() % length as u64).expect("less than the length")
    }

    /// True so many times of a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.any() % 100 < chance
    }

    /// Puts the items in any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.place(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_are_those_that_the_algorithm_is_known_for() {
        // The first numbers of SplitMix64 for this seed, as its authors' program prints them.
        let mut draws = Draws::of(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| draws.any()).collect();
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<usize> = (0..50).collect();
        Draws::of(7).shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
