//! `ctx hub token`: looks after the admin token.

use std::io::{self, Write};

use camino::Utf8PathBuf;
use ctx_hub::secret::AdminToken;
use serde::Serialize;

use super::target;
use crate::args::{DataDirArgs, TargetArgs};
use crate::commands::Cx;
use crate::error::CliError;
use crate::ui::Report;

/// A new admin token, shown this once.
#[derive(Serialize)]
pub(super) struct RotateReport {
    admin_token: String,
    data_dir: Utf8PathBuf,
}

impl Report for RotateReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.admin_token)
    }
}

/// Makes a new admin token.
///
/// # Errors
/// The hub does not answer or accepts none, or its store cannot be written.
pub(super) async fn rotate(args: &DataDirArgs, cx: &Cx) -> Result<RotateReport, CliError> {
    let data = cx.env.data_dir(args.data_dir.as_deref())?;
    // Never one elsewhere: a token that crosses the network is asked for there.
    let local = TargetArgs {
        data_dir: args.data_dir.clone(),
        ..TargetArgs::default()
    };
    let target = target::find(&local, cx).await?;
    let (token, left): (AdminToken, _) = target.rotate_admin_token().await?;
    let closed = target.close().await;
    if let Some(left) = left {
        cx.screen.warning(&left, None);
    } else if data.admin_token().exists() {
        let path = data.admin_token();
        cx.screen.warning(
            &format!("{path} holds a token that is worth nothing any more, and is still there"),
            Some("remove it"),
        );
    }
    if let Err(error) = closed {
        cx.screen.error_text(&error);
    }
    cx.screen
        .notice("the admin token before is worth nothing any more; this one is shown this once:");
    Ok(RotateReport {
        admin_token: token.expose().to_owned(),
        data_dir: data.path().to_owned(),
    })
}
