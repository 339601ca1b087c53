//! Randomness for names, ids and jitter.

use std::io;

/// `N` random bytes as lower-case hex, two digits a byte.
pub(crate) fn hex<const N: usize>() -> io::Result<String> {
    use std::fmt::Write;
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let mut text = String::with_capacity(N * 2);
    for byte in bytes {
        // Writing into a String cannot fail.
        write!(text, "{byte:02x}").map_err(io::Error::other)?;
    }
    Ok(text)
}

/// A number below `bound` (0 when `bound` is 0). Falls back to the middle when the system has no
/// randomness to give: jitter is a courtesy, not a promise.
pub(crate) fn below(bound: u64) -> u64 {
    let mut bytes = [0_u8; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes).checked_rem(bound).unwrap_or(0),
        Err(_) => bound / 2,
    }
}
