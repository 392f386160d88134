//! [`UploadLength`] and offsets that cannot overflow.

/// The length of an upload: known from the start, or told later (DL-01 … DL-06).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UploadLength {
    /// Total bytes.
    Known(u64),
    /// Not known yet; needs the server's `creation-defer-length`.
    Deferred,
}

impl UploadLength {
    /// Total bytes, if known.
    #[must_use]
    pub fn known(self) -> Option<u64> {
        match self {
            Self::Known(length) => Some(length),
            Self::Deferred => None,
        }
    }

    /// Bytes that may still follow `offset`: `u64::MAX - offset` while the length is deferred, `None` when `offset` lies
    /// beyond the length.
    #[must_use]
    pub fn remaining(self, offset: u64) -> Option<u64> {
        self.known().unwrap_or(u64::MAX).checked_sub(offset)
    }

    /// Whether `offset` is the end.
    #[must_use]
    pub fn is_complete_at(self, offset: u64) -> bool {
        self == Self::Known(offset)
    }
}

impl From<u64> for UploadLength {
    fn from(length: u64) -> Self {
        Self::Known(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remaining_never_overflows() {
        assert_eq!(UploadLength::Known(10).remaining(4), Some(6));
        assert_eq!(UploadLength::Known(10).remaining(11), None);
        assert_eq!(UploadLength::Deferred.remaining(u64::MAX), Some(0));
    }
}
