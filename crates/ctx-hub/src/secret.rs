//! Tokens: what proves who somebody is. Nothing here prints, serializes or logs one.

use std::fmt;
use std::fmt::Write as _;

use ctx_config::{limits, wire};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// What tokens begin with.
const TOKEN_PREFIXES: [&str; 3] = [
    wire::ADMIN_TOKEN_PREFIX,
    wire::CLIENT_TOKEN_PREFIX,
    wire::INVITATION_PREFIX,
];

/// Longest text from elsewhere that is shown, in characters.
const SHOWN_MAX_CHARS: usize = 500;

/// Bytes of a SHA-256.
const HASH_BYTES: usize = 32;

/// Text that is not a token of the kind that was asked for. The text itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {kind}: it has to be {prefix} and 64 lower-case hex digits")]
pub struct InvalidToken {
    kind: &'static str,
    prefix: &'static str,
}

/// SHA-256 of a token: all that a hub keeps of it.
///
/// No slow hash is needed: a token is 256 bits from the operating system, which cannot be guessed
/// however fast a guess is checked.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; HASH_BYTES]);

impl TokenHash {
    /// The hash of any text that a peer presents as its token.
    #[must_use]
    pub fn of(presented: &str) -> Self {
        Self(Sha256::digest(presented.as_bytes()).into())
    }

    /// The hash with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// The hash that is written as 64 lower-case hex digits; `None` for any other text.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        if !is_lower_hex(text, HASH_BYTES) {
            return None;
        }
        let mut bytes = [0_u8; HASH_BYTES];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).ok()?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The hash as 64 lower-case hex digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

macro_rules! token {
    ($name:ident, $kind:literal, $prefix:expr, $doc:literal) => {
        #[doc = $doc]
        ///
        /// A fixed prefix and 64 lower-case hex digits. `Debug` shows none of the digits, there is
        /// no `Display`, and the memory is cleared when the value is dropped.
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// A new token of operating-system randomness.
            ///
            /// # Errors
            /// The operating system gives no random bytes.
            pub fn random() -> Result<Self, getrandom::Error> {
                let digits = Zeroizing::new(random_hex(limits::TOKEN_RANDOM_BYTES)?);
                Ok(Self(Zeroizing::new(format!("{}{}", $prefix, *digits))))
            }

            /// Reads a token; white space around it is ignored.
            ///
            /// # Errors
            /// [`InvalidToken`] when it has another prefix, length or alphabet.
            pub fn parse(text: &str) -> Result<Self, InvalidToken> {
                let text = text.trim();
                text.strip_prefix($prefix)
                    .filter(|digits| is_lower_hex(digits, limits::TOKEN_RANDOM_BYTES))
                    .map(|_| Self(Zeroizing::new(text.to_owned())))
                    .ok_or(InvalidToken {
                        kind: $kind,
                        prefix: $prefix,
                    })
            }

            /// The token itself. Whoever calls this sends it or seals it, and nothing else.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }

            /// What a hub keeps of it.
            #[must_use]
            pub fn hash(&self) -> TokenHash {
                TokenHash::of(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}…)", stringify!($name), $prefix)
            }
        }
    };
}

token!(
    ClientToken,
    "a client token",
    wire::CLIENT_TOKEN_PREFIX,
    "What a registered project proves itself with."
);
token!(
    AdminToken,
    "an admin token",
    wire::ADMIN_TOKEN_PREFIX,
    "What an operator proves themselves with, and what registers a project."
);
token!(
    Invitation,
    "an invitation",
    wire::INVITATION_PREFIX,
    "What registers one project, a few times and not for long."
);

/// `bytes` random bytes as lower-case hex digits.
pub(crate) fn random_hex(bytes: usize) -> Result<String, getrandom::Error> {
    let mut random = Zeroizing::new(vec![0_u8; bytes]);
    getrandom::fill(&mut random)?;
    Ok(hex(&random))
}

/// `bytes` as lower-case hex digits.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

/// Whether `text` is exactly `bytes` bytes written as lower-case hex digits.
pub(crate) fn is_lower_hex(text: &str, bytes: usize) -> bool {
    text.len() == bytes * 2 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Text from elsewhere as it may be shown: one line of bounded length, without what a terminal would obey
/// and without tokens, which somebody might repeat.
pub(crate) fn presentable(text: &str) -> String {
    let shown: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN_MAX_CHARS)
        .collect();
    let mut clean = String::with_capacity(shown.len());
    let mut is_token = false;
    let mut rest = shown.as_str();
    while let Some(first) = rest.chars().next() {
        // A prefix begins with what could be a digit of the token before it.
        let prefix = TOKEN_PREFIXES
            .into_iter()
            .find(|prefix| rest.starts_with(prefix));
        is_token = prefix.is_some() || is_token && first.is_ascii_hexdigit();
        let length = prefix.map_or(first.len_utf8(), str::len);
        if let Some(prefix) = prefix {
            clean.push_str(prefix);
            clean.push('…');
        } else if !is_token {
            clean.push(first);
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_no_two_are_alike() {
        let token = ClientToken::random().unwrap();
        assert_eq!(
            ClientToken::parse(&format!(" {}\n", token.expose())).unwrap(),
            token
        );
        assert_ne!(token, ClientToken::random().unwrap());
        assert_eq!(token.expose().len(), "ctx_cli_".len() + 64);
    }

    #[test]
    fn a_hash_reads_back_from_its_digits_and_from_no_others() {
        let hash = TokenHash::of("t");
        assert_eq!(TokenHash::from_hex(&hash.to_hex()), Some(hash.clone()));
        let upper = hash.to_hex().to_uppercase();
        for text in ["", &hash.to_hex()[1..], &upper, &"é".repeat(32)] {
            assert_eq!(TokenHash::from_hex(text), None, "{text}");
        }
    }

    #[test]
    fn debug_shows_no_digit_of_a_token() {
        let token = AdminToken::random().unwrap();
        assert_eq!(format!("{token:?}"), "AdminToken(ctx_adm_…)");
        assert_eq!(format!("{:?}", token.hash()), "TokenHash(…)");
    }

    #[test]
    fn a_hash_reads_back_from_its_digits_and_from_nothing_else() {
        let hash = ClientToken::random().unwrap().hash();
        let digits = hash.to_hex();
        assert_eq!(TokenHash::from_hex(&digits), Some(hash));
        for wrong in [
            "",
            &digits[1..],
            &format!("{digits}0"),
            &digits.to_uppercase().replace('0', "G"),
        ] {
            assert_eq!(TokenHash::from_hex(wrong), None);
        }
    }

    #[test]
    fn tokens_of_another_kind_length_or_alphabet_are_refused_without_being_repeated() {
        let client = ClientToken::random().unwrap();
        for text in [
            "",
            "ctx_cli_",
            client.expose(),
            "ctx_adm_0",
            &"ctx_adm_Z".repeat(8),
        ] {
            let error = AdminToken::parse(text).unwrap_err();
            assert_eq!(
                error.to_string(),
                "not an admin token: it has to be ctx_adm_ and 64 lower-case hex digits"
            );
        }
    }

    #[test]
    fn text_from_elsewhere_is_shown_without_tokens_and_control_characters() {
        assert_eq!(
            presentable("bad token ctx_cli_00ff, not ctx_adm_aB1\u{1b}[31m\nbye"),
            "bad token ctx_cli_…, not ctx_adm_… [31m bye"
        );
        assert_eq!(
            presentable("ctx_adm_ctx_cli_00ff, ctx_cli_00cctx_adm_ff"),
            "ctx_adm_…ctx_cli_…, ctx_cli_…ctx_adm_…"
        );
        assert_eq!(presentable("größe"), "größe");
        assert_eq!(presentable(&"x".repeat(9_000)).len(), SHOWN_MAX_CHARS);
    }
}
