//! Where the admin token and an invitation come from.

use std::io::Read as _;

use ctx_config::env;
use ctx_hub::client::Admission;
use ctx_hub::secret::{AdminToken, Invitation};

use crate::args::RegisterArgs;
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
        Some("-") => Some(from_stdin("the admin token")?),
        Some(text) => Some(text.to_owned()),
        None => cx.env.admin_token()?,
    };
    let Some(text) = text else {
        return Err(CliError::usage("no admin token was given").hint(format!(
            "give it with --token, on standard input with --token -, or in {}; a project also \
             registers with --invitation",
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

/// What lets the project register: the invitation or the admin token that was given, else the
/// invitation in the environment, else the admin token there.
///
/// # Errors
/// There is none, or it is neither. The text itself is never repeated.
pub(crate) fn admission(args: &RegisterArgs, cx: &Cx) -> Result<Admission, CliError> {
    let text = match (args.invitation.as_deref(), &args.token) {
        (Some("-"), _) => Some(from_stdin("the invitation")?),
        (Some(text), _) => Some(text.to_owned()),
        (None, Some(_)) => None,
        (None, None) => cx.env.invitation()?,
    };
    let Some(text) = text else {
        return admin_token(args.token.as_deref(), cx).map(Admission::AdminToken);
    };
    let invitation = Invitation::parse(&text).map_err(|error| {
        let hint = "the hub's operator makes one with `ctx hub invite --project NAME`";
        CliError::of(Exit::Usage, error, Some(hint.to_owned()))
    })?;
    Ok(Admission::Invitation(invitation))
}

fn from_stdin(what: &str) -> Result<String, CliError> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| {
            CliError::usage(format!("cannot read {what} from standard input")).because(error)
        })?;
    Ok(text)
}
