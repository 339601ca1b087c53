//! Where the admin token comes from.

use std::io::Read as _;

use ctx_config::env;
use ctx_hub::secret::AdminToken;

use crate::commands::Cx;
use crate::error::CliError;
use crate::exit::Exit;

/// More than a token and the white space around it.
const MAX_BYTES: u64 = 4_096;

/// The token that was `given` (`-`: on standard input), else the one in the environment.
///
/// # Errors
/// There is none, or it is no admin token. The text itself is never repeated.
pub(crate) fn admin_token(given: Option<&str>, cx: &Cx) -> Result<AdminToken, CliError> {
    let text = match given {
        Some("-") => Some(from_stdin()?),
        Some(text) => Some(text.to_owned()),
        None => cx.env.admin_token()?,
    };
    let Some(text) = text else {
        return Err(CliError::usage("no admin token was given").hint(format!(
            "give it with --token, on standard input with --token -, or in {}",
            env::ADMIN_TOKEN
        )));
    };
    AdminToken::parse(&text).map_err(|error| {
        CliError::of(
            Exit::Usage,
            error,
            Some(
                "the hub's operator finds it in admin.token in the hub's data directory".to_owned(),
            ),
        )
    })
}

fn from_stdin() -> Result<String, CliError> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| {
            CliError::usage("cannot read the admin token from standard input").because(error)
        })?;
    Ok(text)
}
