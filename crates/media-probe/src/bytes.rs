//! Numbers in a slice, where they are there.

/// The big-endian number of `N` bytes (8 at most) at `at`.
pub(crate) fn be<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..)?.first_chunk::<N>()?;
    Some(
        field
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    )
}

/// The little-endian number of `N` bytes (8 at most) at `at`.
pub(crate) fn le<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..)?.first_chunk::<N>()?;
    let digits = field.iter().rev();
    Some(digits.fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// The same as `u32`, for sizes of pictures.
pub(crate) fn pixels(number: Option<u64>) -> Option<u32> {
    let pixels = u32::try_from(number?).ok()?;
    (1..=65_535).contains(&pixels).then_some(pixels)
}

/// The printable characters of a name of a codec.
pub(crate) fn name(bytes: &[u8]) -> String {
    let printable = |byte: &&u8| byte.is_ascii_graphic();
    let bytes = bytes.iter().filter(printable).take(32);
    bytes.map(|byte| char::from(*byte)).collect()
}
