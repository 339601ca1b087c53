//! `ctx hub start`: serves a hub.

use std::future::Future;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};

use camino::Utf8PathBuf;
use ctx_config::paths::DataDir;
use ctx_hub::server::settings::Settings;
use ctx_hub::server::{Hub, HubConfig};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use super::target;
use crate::args::StartArgs;
use crate::commands::{Cx, convert};
use crate::env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::signals;
use crate::ui::Report;

/// A hub that listens.
#[derive(Debug, Serialize)]
pub(crate) struct StartReport {
    pub(crate) address: String,
    pid: u32,
    data_dir: Utf8PathBuf,
    hub_id: String,
    /// Where the token is that registers projects.
    admin_token_file: Utf8PathBuf,
}

impl Report for StartReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "listening on {}", self.address)
    }
}

/// What has to be done before there is more than one thread.
///
/// # Errors
/// A background process cannot leave its terminal.
pub(crate) fn prepare(args: &StartArgs) -> Result<(), CliError> {
    raise_file_limit();
    if args.detached {
        // A session of its own, so that closing the terminal does not end the hub.
        rustix::process::setsid().map_err(|error| {
            CliError::new(Exit::Failed, "cannot leave the terminal").because(io::Error::from(error))
        })?;
    }
    Ok(())
}

/// Allows as many open files as the system lets this process have: every connection is one, and
/// the usual soft limit is meant for programs that use `select`.
fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        // Fewer connections at a time, and nothing else.
        tracing::warn!(%error, ?current, "cannot raise the number of open files");
    }
}

/// Serves until told to end.
///
/// # Errors
/// The data directory or the address cannot be had, or the hub did not end well.
pub(crate) async fn run(args: &StartArgs, cx: &Cx) -> Result<Exit, CliError> {
    let data = cx.env.data_dir(args.at.data_dir.as_deref())?;
    let ended = signals::told_to_end()?;
    let is_new = !data.admin_token().exists();
    let settings = settings(args, &data)?;
    let (hub, report) = open(args.address(), &data, settings, cx).await?;
    cx.screen.show(&report)?;
    if is_new {
        cx.screen.notice(&format!(
            "the admin token, which registers projects, is in {}",
            report.admin_token_file
        ));
    }
    serve(hub, ended).await?;
    Ok(Exit::Done)
}

/// The settings that a start would use: those of the file, and flags over them.
///
/// # Errors
/// The file is wrong or cannot be read, or a flag asks for what cannot be.
pub(super) fn settings(args: &StartArgs, data: &DataDir) -> Result<Settings, CliError> {
    let settings = Settings::read(data, args.config.as_deref()).map_err(convert::settings)?;
    settings.checked().map_err(convert::settings)
}

/// Opens a hub, and says what an operator should know about it.
///
/// # Errors
/// The data directory or the address cannot be had.
pub(crate) async fn open(
    address: SocketAddr,
    data: &DataDir,
    settings: Settings,
    cx: &Cx,
) -> Result<(Hub, StartReport), CliError> {
    let listener = bind(address, data)?;
    let mut config = HubConfig::new(data.clone(), env::VERSION);
    config.settings = settings;
    let hub = Hub::open(config, listener).await.map_err(convert::hub)?;
    for notice in hub.notices() {
        cx.screen.notice(notice);
    }
    if !address.ip().is_loopback() {
        cx.screen.warning(
            &format!(
                "{} can be reached from other machines, and nothing is encrypted: whoever can \
                listen in on the network reads tokens and entries",
                hub.local_addr()
            ),
            Some("bind to 127.0.0.1 behind an SSH tunnel, a VPN or a proxy that encrypts"),
        );
    }
    let report = StartReport {
        address: hub.local_addr().to_string(),
        pid: std::process::id(),
        data_dir: data.path().to_owned(),
        hub_id: hub.hub_id().to_string(),
        admin_token_file: data.admin_token(),
    };
    Ok((hub, report))
}

/// Serves until `ended` is ready or an operator asks the hub to stop, and drains.
///
/// # Errors
/// Something went wrong while serving or closing.
pub(crate) async fn serve(
    hub: Hub,
    ended: impl Future<Output = ()> + Send,
) -> Result<(), CliError> {
    hub.serve(ended).await.map_err(convert::hub)
}

/// Takes the address. When it is in use, the reason is most often the hub that was started here
/// before, which is better said so.
fn bind(address: SocketAddr, data: &DataDir) -> Result<TcpListener, CliError> {
    let error = match TcpListener::bind(address) {
        Ok(listener) => return Ok(listener),
        Err(error) => error,
    };
    if error.kind() == io::ErrorKind::AddrInUse
        && let Some(holder) = target::serving(data)?
    {
        let dir = data.path();
        return Err(CliError::new(
            Exit::Busy,
            format!("{dir} is served by another hub, process {}", holder.pid),
        )
        .hint(format!(
            "stop it with `ctx hub stop --data-dir {dir}`, or use another data directory"
        )));
    }
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there: --port 0 takes a free port",
        io::ErrorKind::AddrNotAvailable => "it is not an address of this machine",
        io::ErrorKind::PermissionDenied => "a port below 1024 is reserved: use a larger one",
        _ => "use another address with --bind",
    };
    Err(
        CliError::new(Exit::Failed, format!("cannot listen on {address}"))
            .because(error)
            .hint(hint),
    )
}
