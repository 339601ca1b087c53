//! `ctx hub start`: serves a hub.

use std::future::Future;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};

use camino::Utf8PathBuf;
use ctx_config::paths::DataDir;
use ctx_hub::server::settings::{HumanDuration, Settings};
use ctx_hub::server::{Certificates, Hub, HubConfig};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use super::{service, target};
use crate::args::StartArgs;
use crate::commands::{Cx, convert};
use crate::env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::signals::{self, Signal};
use crate::ui::{Report, on_one_line};

/// A hub that listens.
#[derive(Debug, Serialize)]
pub(crate) struct StartReport {
    pub(crate) address: String,
    pid: u32,
    data_dir: Utf8PathBuf,
    hub_id: String,
    /// Where the token is that registers projects.
    admin_token_file: Utf8PathBuf,
    /// Whether it speaks TLS.
    encrypted: bool,
    /// What clients pin, when it speaks TLS.
    fingerprint: Option<String>,
}

impl Report for StartReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "listening on {}", self.address)?;
        match &self.fingerprint {
            Some(fingerprint) => writeln!(out, "TLS with the certificate {fingerprint}"),
            None => Ok(()),
        }
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
    let mut config = HubConfig::new(data.clone(), env::VERSION);
    config.settings = settings;
    config.insecure = args.tls.insecure;
    let listen = match service::passed_listener()? {
        Some(passed) => Listen::Passed(passed),
        None => Listen::At(args.address()),
    };
    let (hub, report) = open(listen, config, cx).await?;
    let certificates = hub.certificates().cloned();
    let reload = certificates.map(|certificates| Ok((signals::hang_ups()?, certificates)));
    let reload = reload.transpose()?;
    if args.detached && cx.screen.logs_json() {
        // Both streams are the log of a hub in the background.
        cx.screen
            .notice(&format!("listening on {}", report.address));
    } else {
        cx.screen.show(&report)?;
    }
    if is_new && data.admin_token().exists() {
        cx.screen.notice(&format!(
            "the admin token, which registers projects, is in {}",
            report.admin_token_file
        ));
    }
    let telling = tokio::spawn(service::tell(hub.phase(), report.address.clone()));
    let served = match reload {
        None => serve(hub, ended).await,
        Some((hang_ups, certificates)) => tokio::select! {
            served = serve(hub, ended) => served,
            never = reload_when_told(hang_ups, certificates, cx) => match never {},
        },
    };
    // It ends when the hub drains, which it has.
    telling.await.ok();
    served.map(|()| Exit::Done)
}

/// The settings that a start would use: those of the file, and flags over them.
///
/// # Errors
/// The file is wrong or cannot be read, or a flag asks for what cannot be.
pub(super) fn settings(args: &StartArgs, data: &DataDir) -> Result<Settings, CliError> {
    let mut settings = Settings::read(data, args.config.as_deref()).map_err(convert::settings)?;
    args.tls.over(&mut settings.tls);
    if let Some(ttl) = args.token_ttl {
        settings.tokens.ttl = Some(HumanDuration::new(ttl));
    }
    settings.checked().map_err(convert::settings)
}

/// Where a hub listens.
pub(crate) enum Listen {
    /// At an address that is to be taken.
    At(SocketAddr),
    /// Where a service manager listens for it already.
    Passed(TcpListener),
}

impl Listen {
    /// The address: what is refused beyond this machine is refused whoever opened the socket.
    fn address(&self) -> Result<SocketAddr, CliError> {
        match self {
            Self::At(address) => Ok(*address),
            Self::Passed(listener) => listener.local_addr().map_err(|error| {
                CliError::new(Exit::Failed, "cannot tell the address that was passed")
                    .because(error)
            }),
        }
    }
}

/// Opens a hub, and says what an operator should know about it.
///
/// # Errors
/// The data directory or the address cannot be had.
pub(crate) async fn open(
    listen: Listen,
    config: HubConfig,
    cx: &Cx,
) -> Result<(Hub, StartReport), CliError> {
    let address = listen.address()?;
    config.refuse_exposure(address).map_err(convert::hub)?;
    let exposed = config.is_exposed_at(address);
    let data = config.data_dir.clone();
    let listener = match listen {
        Listen::At(address) => bind(address, &data)?,
        Listen::Passed(listener) => listener,
    };
    let hub = Hub::open(config, listener).await.map_err(convert::hub)?;
    for notice in hub.notices() {
        cx.screen.notice(notice);
    }
    if exposed {
        warn_of_exposure(&hub.local_addr().to_string(), cx);
    }
    let report = StartReport {
        address: hub.local_addr().to_string(),
        pid: std::process::id(),
        data_dir: data.path().to_owned(),
        hub_id: hub.hub_id().to_string(),
        admin_token_file: data.admin_token(),
        encrypted: hub.certificates().is_some(),
        fingerprint: hub.certificates().map(|it| it.fingerprint().to_string()),
    };
    Ok((hub, report))
}

/// Said at each start: what was allowed once is easily forgotten.
pub(super) fn warn_of_exposure(address: &str, cx: &Cx) {
    cx.screen.warning(
        &format!(
            "{address} can be reached from other machines, and nothing is encrypted: whoever can \
            listen in on the network reads tokens and entries"
        ),
        Some(
            "encrypt with --tls-self-signed or --tls-cert, or bind to 127.0.0.1 behind an SSH \
            tunnel, a VPN or a proxy that encrypts",
        ),
    );
}

/// Reads the certificate anew whenever the process is told to.
async fn reload_when_told(
    mut hang_ups: Signal,
    certificates: Certificates,
    cx: &Cx,
) -> std::convert::Infallible {
    loop {
        if hang_ups.recv().await.is_none() {
            // No more signals can come.
            std::future::pending::<()>().await;
        }
        let reading = certificates.clone();
        let read = tokio::task::spawn_blocking(move || reading.reload()).await;
        match read {
            Ok(Ok(true)) => cx.screen.notice(&format!(
                "another certificate is shown from now on: {}",
                certificates.fingerprint()
            )),
            Ok(Ok(false)) => cx.screen.notice("the certificate is the same as before"),
            Ok(Err(error)) => cx.screen.warning(
                &format!(
                    "the new certificate cannot be used, and the old one is shown further: {}",
                    on_one_line(&error)
                ),
                error.hint().as_deref(),
            ),
            Err(error) => cx.screen.warning(
                &format!("the certificate was not read: {}", on_one_line(&error)),
                None,
            ),
        }
    }
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

/// Takes the address; who connects waits until the hub serves. When it is in use, the reason is most
/// often the hub that was started here before, which is better said so.
///
/// # Errors
/// The address cannot be had; the hint says why.
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
