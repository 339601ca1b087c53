//! `ctx hub start --daemon`: a hub in the background.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::limits;
use ctx_config::paths::{self, DataDir};
use ctx_hub::client::{AdminClient, HubHealth, Timeouts};
use serde::Serialize;
use tokio::time::Instant;

use super::start;
use crate::args::StartArgs;
use crate::commands::{Cx, convert};
use crate::env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::Report;

/// Pause between two looks at a hub that is starting.
const PAUSE: Duration = Duration::from_millis(50);

/// Lines of its log that are shown when it does not start.
const LOG_LINES: usize = 10;

/// Bytes of its log that are read for them.
const LOG_BYTES: u64 = 16_384;

/// A hub that answers.
#[derive(Debug, Serialize)]
pub(super) struct DaemonReport {
    address: String,
    pid: u32,
    data_dir: Utf8PathBuf,
    hub_id: String,
    admin_token_file: Utf8PathBuf,
    log_file: Utf8PathBuf,
    /// Whether it speaks TLS.
    encrypted: bool,
    /// What clients pin, when it speaks TLS.
    fingerprint: Option<String>,
}

impl Report for DaemonReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "listening on {} (process {})", self.address, self.pid)?;
        match &self.fingerprint {
            Some(fingerprint) => writeln!(out, "TLS with the certificate {fingerprint}"),
            None => Ok(()),
        }
    }
}

/// Starts the hub and returns once it answers.
///
/// # Errors
/// It ends instead, with the exit code and the last lines of its log; or it does not answer in
/// time, and is ended.
pub(super) async fn run(args: &StartArgs, cx: &Cx) -> Result<DaemonReport, CliError> {
    let data = cx.env.data_dir(args.at.data_dir.as_deref())?;
    // Said here rather than in its log, and before anything is made.
    start::settings(args, &data)?;
    let is_new = !data.admin_token().exists();
    make_private(data.path())?;
    let (log, before) = open_log(&data)?;
    let mut child = spawn(args, cx, &data, log)?;
    let health = match wait(&mut child, &data).await? {
        Started::Answers(health) => health,
        Started::Ended(status) => return Err(ended(status, &data, before)),
        Started::Silent => return Err(silent(child, &data)),
    };
    if is_new && data.admin_token().exists() {
        let path = data.admin_token();
        cx.screen.notice(&format!(
            "the admin token, which registers projects, is in {path}"
        ));
    }
    if !health.encrypted && !args.address().ip().is_loopback() {
        start::warn_of_exposure(&health.addresses.join(", "), cx);
    }
    Ok(DaemonReport {
        encrypted: health.encrypted,
        fingerprint: health.fingerprint.map(|it| it.to_string()),
        address: health.addresses.join(", "),
        pid: health.pid,
        data_dir: data.path().to_owned(),
        hub_id: health.hub_id.to_string(),
        admin_token_file: data.admin_token(),
        log_file: data.log(),
    })
}

/// What became of a hub that was started.
enum Started {
    Answers(Box<HubHealth>),
    Ended(ExitStatus),
    Silent,
}

/// The directory, and what leads to it: the log stands in it before the hub makes it.
fn make_private(path: &Utf8Path) -> Result<(), CliError> {
    DirBuilder::new()
        .recursive(true)
        .mode(paths::PRIVATE_DIR_MODE)
        .create(path)
        .map_err(|error| {
            CliError::new(
                Exit::Failed,
                format!("cannot make the data directory {path}"),
            )
            .because(error)
            .hint("name another one with --data-dir, or move away what is in its place")
        })
}

/// The log, to be appended to, and how long it was.
fn open_log(data: &DataDir) -> Result<(File, u64), CliError> {
    let path = data.log();
    ctx_io::refuse_symlink(&path).map_err(convert::path)?;
    let failed = |error: io::Error| {
        CliError::new(Exit::Failed, format!("cannot open the log {path}")).because(error)
    };
    let log = File::options()
        .append(true)
        .create(true)
        .mode(paths::PRIVATE_FILE_MODE)
        .open(&path)
        .map_err(failed)?;
    let length = log.metadata().map_err(failed)?.len();
    Ok((log, length))
}

fn spawn(args: &StartArgs, cx: &Cx, data: &DataDir, log: File) -> Result<Child, CliError> {
    let program = env::own_program()?;
    let failed = |error: io::Error| {
        CliError::new(Exit::Failed, format!("cannot start {program}")).because(error)
    };
    let also = log.try_clone().map_err(failed)?;
    let config = args
        .config
        .iter()
        .flat_map(|file| ["--config", file.as_str()]);
    let format = match cx.screen.logs_json() {
        true => "--log-format=json",
        false => "--log-format=text",
    };
    let ttl = args.token_ttl;
    let ttl = ttl.map(|ttl| format!("--token-ttl={}ms", ttl.as_millis()));
    Command::new(&program)
        .args(["hub", "start", "--detached", "--color", "never"])
        .args(std::iter::repeat_n("--verbose", cx.verbose.into()))
        .arg("--bind")
        .arg(args.address().to_string())
        .arg("--data-dir")
        .arg(data.path())
        .args(config)
        .args(args.tls.given())
        .arg(format)
        .args(ttl)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(also)
        .spawn()
        .map_err(failed)
}

/// Waits until the hub answers on its admin socket: this very one, not one that was there.
async fn wait(child: &mut Child, data: &DataDir) -> Result<Started, CliError> {
    let until = Instant::now() + limits::DAEMON_WAIT;
    while Instant::now() < until {
        let status = child.try_wait().map_err(|error| {
            CliError::new(Exit::Failed, "cannot watch the hub that was started").because(error)
        })?;
        if let Some(status) = status {
            return Ok(Started::Ended(status));
        }
        match ask(data).await {
            Some(health) if health.pid == child.id() => {
                return Ok(Started::Answers(Box::new(health)));
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
    Ok(Started::Silent)
}

async fn ask(data: &DataDir) -> Option<HubHealth> {
    let timeouts = Timeouts::default();
    let client = AdminClient::connect_socket(&data.admin_socket(), timeouts).await;
    client.ok()?.hub_status().await.ok()
}

fn ended(status: ExitStatus, data: &DataDir, before: u64) -> CliError {
    let exit = status.code().map_or(Exit::Failed, Exit::from_code);
    // A hub that ends although all went well has not done what was asked for either.
    let exit = if exit == Exit::Done {
        Exit::Failed
    } else {
        exit
    };
    let lines = last_lines(data, before);
    let message = match lines.is_empty() {
        true => format!("the hub ended at once ({status})"),
        false => format!(
            "the hub ended at once ({status}); its log says:\n  {}",
            lines.join("\n  ")
        ),
    };
    CliError::new(exit, message).hint(format!("the whole log is in {}", data.log()))
}

fn silent(mut child: Child, data: &DataDir) -> CliError {
    // Ours to end: it was started here, and nobody else knows of it yet.
    let killed = child.kill().and_then(|()| child.wait());
    let waited = limits::DAEMON_WAIT.as_secs();
    let error = CliError::new(
        Exit::Unreachable,
        format!("the hub did not answer within {waited} s and was ended"),
    )
    .hint(format!(
        "its log is in {}; a large store of an earlier version takes longer at its first start: \
         start it once without --daemon",
        data.log()
    ));
    match killed {
        Ok(_) => error,
        Err(source) => error.because(source),
    }
}

/// The last lines that were logged after the log was `before` bytes long.
fn last_lines(data: &DataDir, before: u64) -> Vec<String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut log = File::open(data.log())?;
        let length = log.metadata()?.len();
        log.seek(SeekFrom::Start(
            before.max(length.saturating_sub(LOG_BYTES)),
        ))?;
        let mut bytes = Vec::new();
        log.take(LOG_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let skip = lines.len().saturating_sub(LOG_LINES);
    lines
        .iter()
        .skip(skip)
        .map(|line| (*line).to_owned())
        .collect()
}
