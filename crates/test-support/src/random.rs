//! The one source of randomness: small, fast, and the same on every machine for the same seed.

use std::io;

/// A seeded generator (xoshiro256++, seeded through splitmix64). Not for secrets.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// Starts the sequence that belongs to `seed`; every seed, zero too, gives a good one.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut mix = seed;
        let state = std::array::from_fn(|_| {
            mix = mix.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = mix;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        Self { state }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number in `0..bound`, or 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product: no division, and no bias that a test could notice.
        let product = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(product >> 64).expect("the high half of a 128-bit product fits 64 bits")
    }

    /// Overwrites `buffer` with random bytes.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        let mut words = buffer.chunks_exact_mut(8);
        for word in &mut words {
            word.copy_from_slice(&self.next_u64().to_le_bytes());
        }
        let rest = words.into_remainder();
        let last = self.next_u64().to_le_bytes();
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

/// The endless byte sequence of a seed as a reader; bound it with [`io::Read::take`].
///
/// The bytes depend only on the seed, not on how they are read, and are the ones that
/// [`fixtures::random_file`](crate::fixtures::random_file) writes.
#[derive(Clone, Debug)]
pub struct RandomBytes {
    random: Random,
    word: [u8; 8],
    used: usize,
}

impl RandomBytes {
    /// Starts at the first byte of the sequence of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            word: [0; 8],
            used: 8,
        }
    }
}

impl io::Read for RandomBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let carried = (8 - self.used).min(buffer.len());
        let (head, tail) = buffer.split_at_mut(carried);
        head.copy_from_slice(&self.word[self.used..self.used + carried]);
        self.used += carried;

        let whole = tail.len() / 8 * 8;
        for word in tail[..whole].chunks_exact_mut(8) {
            word.copy_from_slice(&self.random.next_u64().to_le_bytes());
        }
        let rest = &mut tail[whole..];
        if !rest.is_empty() {
            self.word = self.random.next_u64().to_le_bytes();
            self.used = rest.len();
            rest.copy_from_slice(&self.word[..rest.len()]);
        }
        Ok(buffer.len())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_bytes_of_a_seed_do_not_depend_on_how_they_are_read() {
        let mut whole = vec![0; 1000];
        RandomBytes::new(7).read_exact(&mut whole).expect("endless");

        let mut pieces = Vec::new();
        let mut reader = RandomBytes::new(7);
        for size in [1, 2, 3, 8, 13, 64, 5, 904] {
            let mut piece = vec![0; size];
            reader.read_exact(&mut piece).expect("endless");
            pieces.extend(piece);
        }
        assert_eq!(pieces, whole);
    }

    #[test]
    fn two_seeds_give_two_sequences() {
        assert_ne!(Random::new(0).next_u64(), Random::new(1).next_u64());
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        let mut random = Random::new(3);
        assert!((0..1000).all(|_| random.below(10) < 10));
        assert_eq!(random.below(0), 0);
    }
}
