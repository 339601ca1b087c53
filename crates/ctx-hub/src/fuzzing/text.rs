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
    for digits in digits_of_tokens(&text) {
        // Digits that stand elsewhere as well may be something else.
        let is_alone = text.matches(digits).count() == 1;
        assert!(!is_alone || !shown.contains(digits), "{shown:?}");
    }
}

/// The digits of whatever looks like a token in a text.
fn digits_of_tokens(text: &str) -> impl Iterator<Item = &str> {
    let prefixes = [ADMIN_TOKEN_PREFIX, CLIENT_TOKEN_PREFIX];
    let behind = prefixes.map(|prefix| text.split(prefix).skip(1));
    behind.into_iter().flatten().filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_hexdigit());
        let digits = rest.get(..end.unwrap_or(rest.len()))?;
        (digits.len() >= DIGITS).then_some(digits)
    })
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
