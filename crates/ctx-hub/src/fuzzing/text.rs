//! Text from elsewhere that is shown, and the credentials that must not be in it.

use ctx_config::wire::{ADMIN_TOKEN_PREFIX, CLIENT_TOKEN_PREFIX};

use crate::secret::{self, AdminToken, ClientToken};

/// Hex digits behind a prefix that are too many to be anything but a token.
const DIGITS: usize = 8;

/// Longest text of one error, in bytes; most are far shorter.
const LONGEST: usize = 4_096;

/// Credentials: what is accepted is written so that it reads back the same; what is shown of a text
/// is one short line without any.
pub fn token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(token) = ClientToken::parse(&text) {
        assert_eq!(ClientToken::parse(token.expose()).ok(), Some(token.clone()));
        assert!(AdminToken::parse(&text).is_err());
        assert!(!format!("{token:?}").contains(token.expose()));
    }
    if let Ok(token) = AdminToken::parse(&text) {
        assert_eq!(AdminToken::parse(token.expose()).ok(), Some(token.clone()));
    }
    let shown = secret::presentable(&text);
    assert!(presentable(&shown), "{shown:?}");
}

/// Whether a text is one short line that a terminal does not obey and that holds no token.
pub(super) fn presentable(text: &str) -> bool {
    let holds_token = |prefix: &str| {
        let mut after = text.split(prefix).skip(1);
        after.any(|rest| {
            let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
            digits >= DIGITS
        })
    };
    text.len() <= LONGEST
        && !text.chars().any(char::is_control)
        && ![ADMIN_TOKEN_PREFIX, CLIENT_TOKEN_PREFIX]
            .iter()
            .any(|prefix| holds_token(prefix))
}
