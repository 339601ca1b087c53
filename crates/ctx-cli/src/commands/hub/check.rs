//! `ctx hub start --check`: whether what a start would read is right.

use std::io::{self, Write};

use camino::Utf8PathBuf;
use ctx_hub::server::settings::Settings;
use ctx_hub::server::{HubConfig, check};
use serde::Serialize;

use super::start;
use crate::args::StartArgs;
use crate::commands::{Cx, convert};
use crate::env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::Report;

/// Everything that a start would read is right.
#[derive(Debug, Serialize)]
pub(super) struct CheckReport {
    data_dir: Utf8PathBuf,
    /// The file that settings were read from, if there is one.
    settings_file: Option<Utf8PathBuf>,
    settings: Settings,
    #[serde(skip)]
    toml: String,
}

impl Report for CheckReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.settings_file {
            Some(path) => writeln!(out, "# {path} is right; with the defaults it says:")?,
            None => writeln!(out, "# no settings file; these are the defaults:")?,
        }
        write!(out, "{}", self.toml)
    }
}

/// Reads what a start would read, and starts nothing.
///
/// # Errors
/// The first thing that is wrong; the exit code is the one that a start would have.
pub(super) fn run(args: &StartArgs, cx: &Cx) -> Result<CheckReport, CliError> {
    let data = cx.env.data_dir(args.at.data_dir.as_deref())?;
    let settings = start::settings(args, &data)?;
    let own = data.settings();
    let settings_file = args.config.clone().or_else(|| own.exists().then_some(own));
    let mut config = HubConfig::new(data.clone(), env::VERSION);
    config.settings = settings.clone();
    config.insecure = args.tls.insecure;
    config
        .refuse_exposure(args.address())
        .map_err(convert::hub)?;
    check(&config).map_err(convert::hub)?;
    let toml = settings
        .to_toml()
        .map_err(|error| CliError::new(Exit::Failed, "cannot write the settings").because(error))?;
    Ok(CheckReport {
        data_dir: data.path().to_owned(),
        settings_file,
        settings,
        toml,
    })
}
