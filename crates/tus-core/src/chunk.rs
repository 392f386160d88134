//! [`ChunkRule`]: how long the body of one PATCH may be.

/// Where halving ends under a rule that names no smallest chunk, in bytes.
const SMALLEST_HALF: u64 = 64 * 1024;

/// The body of one PATCH: `len` bytes of the source from `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// First byte, counted from the beginning of the upload.
    pub start: u64,
    /// Bytes; zero only for an empty PATCH.
    pub len: u64,
}

impl Chunk {
    /// The offset after the chunk.
    #[must_use]
    pub fn end(self) -> u64 {
        self.start.saturating_add(self.len)
    }
}

/// What a server wants of the length of a chunk, in bytes. The last chunk of an upload is exempt from `min` and
/// `multiple_of`.
///
/// tus itself has no such rule (P-06 even prefers one PATCH for everything): see [`ChunkRule::FREE`]. Stream's rule stands
/// in `stream-ingest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRule {
    /// Smallest chunk.
    pub min_bytes: u64,
    /// Largest chunk.
    pub max_bytes: u64,
    /// Every chunk is a multiple of this; at least 1.
    pub multiple_of_bytes: u64,
    /// What to use when nobody asks for another size.
    pub preferred_bytes: u64,
}

impl ChunkRule {
    /// Any length; 64 MiB by default: small enough that a server that drops broken chunks costs little, large enough that the
    /// pause between two PATCHes does not show.
    pub const FREE: Self = Self {
        min_bytes: 1,
        max_bytes: u64::MAX,
        multiple_of_bytes: 1,
        preferred_bytes: 64 * 1024 * 1024,
    };

    /// Checks a size that somebody asked for.
    ///
    /// # Errors
    /// [`ChunkRuleError`] names the bound that is broken and the nearest size that holds.
    pub fn check(&self, wanted_bytes: u64) -> Result<(), ChunkRuleError> {
        let nearest_bytes = self.fit(wanted_bytes);
        if nearest_bytes == wanted_bytes {
            return Ok(());
        }
        Err(if wanted_bytes < self.min_bytes {
            ChunkRuleError::TooSmall {
                min_bytes: self.min_bytes,
            }
        } else if wanted_bytes > self.max_bytes {
            ChunkRuleError::TooLarge {
                max_bytes: self.max_bytes,
            }
        } else {
            ChunkRuleError::NotAMultiple {
                of_bytes: self.multiple_of_bytes,
                nearest_bytes,
            }
        })
    }

    /// The largest allowed size that is not above `wanted_bytes`, or else the smallest allowed one.
    #[must_use]
    pub fn fit(&self, wanted_bytes: u64) -> u64 {
        let multiple = self.multiple_of_bytes.max(1);
        // Not `clamp`, which panics on a rule that contradicts itself.
        let wanted = wanted_bytes.max(self.min_bytes.max(1)).min(self.max_bytes);
        let down = wanted - wanted % multiple;
        if down >= self.min_bytes.max(1) {
            down
        } else {
            down.saturating_add(multiple)
        }
    }

    /// Bytes from `offset` to a multiple of the unit: about `wanted_bytes`, within the smallest and the largest chunk, and
    /// not beyond the `remaining` bytes. `None` where no such end exists.
    #[must_use]
    pub fn to_aligned_end(&self, offset: u64, remaining: u64, wanted_bytes: u64) -> Option<u64> {
        let multiple = self.multiple_of_bytes.max(1);
        let end = offset.checked_add(self.fit(wanted_bytes).min(remaining))?;
        let down = (end - end % multiple).saturating_sub(offset);
        let len = if down >= self.min_bytes.max(1) {
            down
        } else {
            down.checked_add(multiple)?
        };
        (len >= self.min_bytes && len <= self.max_bytes.min(remaining)).then_some(len)
    }

    /// Half of `size_bytes` within the rule, or `None` if that is not smaller. Without a smallest chunk it ends at 64 KiB: a
    /// server that finds that too large will not take less.
    #[must_use]
    pub fn halve(&self, size_bytes: u64) -> Option<u64> {
        let floor = if self.min_bytes <= 1 && self.multiple_of_bytes <= 1 {
            SMALLEST_HALF
        } else {
            0
        };
        let half = self.fit((size_bytes / 2).max(floor));
        (half < size_bytes).then_some(half)
    }
}

/// A chunk size that the server's rule does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkRuleError {
    /// Not a multiple of what the server counts in.
    #[error("a chunk must be a multiple of {of_bytes} bytes; the nearest is {nearest_bytes}")]
    NotAMultiple {
        /// The unit.
        of_bytes: u64,
        /// The nearest allowed size.
        nearest_bytes: u64,
    },
    /// Above the largest chunk.
    #[error("a chunk may have at most {max_bytes} bytes")]
    TooLarge {
        /// The largest chunk.
        max_bytes: u64,
    },
    /// Below the smallest chunk.
    #[error("a chunk must have at least {min_bytes} bytes")]
    TooSmall {
        /// The smallest chunk.
        min_bytes: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: ChunkRule = ChunkRule {
        min_bytes: 20,
        max_bytes: 100,
        multiple_of_bytes: 8,
        preferred_bytes: 48,
    };

    #[test]
    fn sizes_are_fitted_into_the_rule() {
        assert_eq!(RULE.fit(50), 48);
        assert_eq!(RULE.fit(0), 24);
        assert_eq!(RULE.fit(20), 24);
        assert_eq!(RULE.fit(u64::MAX), 96);
        assert_eq!(ChunkRule::FREE.fit(0), 1);
        assert_eq!(ChunkRule::FREE.fit(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_rule_that_contradicts_itself_does_not_panic() {
        let rule = ChunkRule {
            min_bytes: 100,
            max_bytes: 20,
            ..RULE
        };
        assert_eq!(rule.fit(50), 24);
    }

    #[test]
    fn an_aligned_end_is_near_what_is_wanted_and_within_the_bounds() {
        // Wanted 48: to 48 from 5, to 96 from 50.
        assert_eq!(RULE.to_aligned_end(5, 1000, 50), Some(43));
        assert_eq!(RULE.to_aligned_end(50, 1000, 50), Some(46));
        // Not below the smallest chunk, not above the largest, not beyond the end.
        assert_eq!(RULE.to_aligned_end(7, 1000, 24), Some(25));
        assert_eq!(RULE.to_aligned_end(5, 30, 50), Some(27));
        assert_eq!(RULE.to_aligned_end(5, 21, 50), None);
        let one_size = ChunkRule {
            min_bytes: 48,
            max_bytes: 48,
            ..RULE
        };
        assert_eq!(one_size.to_aligned_end(5, 1000, 48), None);
        assert_eq!(RULE.to_aligned_end(u64::MAX, 10, 48), None);
    }

    #[test]
    fn a_refused_size_comes_with_the_bound_that_it_breaks() {
        assert_eq!(RULE.check(48), Ok(()));
        assert_eq!(
            RULE.check(50),
            Err(ChunkRuleError::NotAMultiple {
                of_bytes: 8,
                nearest_bytes: 48
            })
        );
        assert_eq!(
            RULE.check(8),
            Err(ChunkRuleError::TooSmall { min_bytes: 20 })
        );
        assert_eq!(
            RULE.check(104),
            Err(ChunkRuleError::TooLarge { max_bytes: 100 })
        );
    }

    #[test]
    fn halving_ends_at_the_smallest_chunk() {
        assert_eq!(RULE.halve(96), Some(48));
        assert_eq!(RULE.halve(48), Some(24));
        assert_eq!(RULE.halve(24), None);
    }

    #[test]
    fn without_a_smallest_chunk_halving_ends_at_64_kib() {
        assert_eq!(ChunkRule::FREE.halve(100 * 1024), Some(64 * 1024));
        assert_eq!(ChunkRule::FREE.halve(64 * 1024), None);
        assert_eq!(ChunkRule::FREE.halve(10), None);
    }
}
