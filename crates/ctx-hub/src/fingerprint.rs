//! The fingerprint of a certificate: what an operator reads out and a client pins.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::secret::is_lower_hex;

/// Bytes of a fingerprint.
const BYTES: usize = 32;

/// SHA-256 of a certificate in DER, as `openssl x509 -fingerprint -sha256` and browsers show it.
/// Not secret. Written as 64 lower-case hex digits; read in upper case and with colons as well.
///
/// ```
/// use ctx_hub::types::Fingerprint;
///
/// let bytes = ["AB"; 32].join(":");
/// assert_eq!(bytes.parse::<Fingerprint>()?.to_string(), "ab".repeat(32));
/// # Ok::<(), ctx_hub::types::InvalidFingerprint>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

/// Text that is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is SHA-256 as 64 hex digits, with or without colons")]
pub struct InvalidFingerprint;

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let digest = Sha256::digest(certificate);
        Self(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The 64 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let text = text.trim();
        let digits = match text.split(':').collect::<Vec<_>>().as_slice() {
            [whole] => (*whole).to_owned(),
            pairs if pairs.iter().all(|pair| pair.len() == 2) => pairs.concat(),
            _ => return Err(InvalidFingerprint),
        };
        let digits = digits.to_ascii_lowercase();
        if is_lower_hex(&digits, BYTES) {
            Ok(Self(digits))
        } else {
            Err(InvalidFingerprint)
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_digest_that_other_programs_show() {
        // SHA-256 of "abc", from its standard.
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Fingerprint::of(b"abc").as_str(), of_abc);
        let with_colons: Vec<&str> = (0..32).map(|n| &of_abc[2 * n..2 * n + 2]).collect();
        for text in [
            of_abc.to_owned(),
            of_abc.to_uppercase(),
            with_colons.join(":").to_uppercase(),
            format!(" {of_abc}\n"),
        ] {
            assert_eq!(text.parse(), Ok(Fingerprint::of(b"abc")), "{text}");
        }
    }

    #[test]
    fn what_is_no_fingerprint_is_refused() {
        let digits = "0".repeat(64);
        for text in [
            "",
            ":",
            &digits[1..],
            &format!("{digits}0"),
            &format!("{}:{}", &digits[..32], &digits[32..]),
            &"g".repeat(64),
            &format!("sha256:{digits}"),
        ] {
            assert_eq!(
                text.parse::<Fingerprint>(),
                Err(InvalidFingerprint),
                "{text}"
            );
        }
    }
}
