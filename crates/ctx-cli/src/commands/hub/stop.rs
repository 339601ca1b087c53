//! `ctx hub stop`: lets a hub finish, and waits for its end.

use std::io::{self, Write};
use std::time::Duration;

use camino::Utf8PathBuf;
use ctx_config::limits;
use ctx_config::paths::DataDir;
use ctx_hub::client::{AdminClient, Timeouts};
use serde::Serialize;
use tokio::time::Instant;

use super::target;
use crate::args::DataDirArgs;
use crate::commands::{Cx, convert};
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::Report;

/// Pause between two looks at a hub that is ending.
const PAUSE: Duration = Duration::from_millis(50);

/// A hub that has ended.
#[derive(Debug, Serialize)]
pub(super) struct StopReport {
    data_dir: Utf8PathBuf,
    pid: u32,
}

impl Report for StopReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "stopped the hub of {} (process {})",
            self.data_dir, self.pid
        )
    }
}

/// Asks the hub to stop. It is asked through its socket and never signalled: a number in a file
/// may long be that of another process.
///
/// # Errors
/// No hub runs, it does not answer, or it does not end in time.
pub(super) async fn run(args: &DataDirArgs, cx: &Cx) -> Result<StopReport, CliError> {
    let data = cx.env.data_dir(args.data_dir.as_deref())?;
    let Some(holder) = target::serving(&data)? else {
        return Err(not_running(&data));
    };
    let client = AdminClient::connect_socket(&data.admin_socket(), Timeouts::default()).await;
    let client = client.map_err(convert::client)?;
    let pid = client.shutdown().await.map_err(convert::client)?;
    let until = Instant::now() + limits::DAEMON_WAIT;
    loop {
        // Another hub may have started there by now: the one that was asked has ended all the same.
        match target::serving(&data)? {
            Some(now) if now.lock_id == holder.lock_id => {}
            _ => break,
        }
        if Instant::now() > until {
            let waited = limits::DAEMON_WAIT.as_secs();
            return Err(CliError::new(
                Exit::Failed,
                format!("the hub, process {pid}, has not ended after {waited} s"),
            )
            .hint("it was told to stop: look at it again, or end the process yourself"));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(StopReport {
        data_dir: data.path().to_owned(),
        pid,
    })
}

fn not_running(data: &DataDir) -> CliError {
    let error = CliError::new(Exit::Unreachable, format!("no hub runs on {}", data.path()));
    match ctx_io::read_optional_limited(&data.pid(), 64) {
        Ok(Some(pid)) => {
            let pid = String::from_utf8_lossy(&pid).trim().to_owned();
            error.hint(format!(
                "{} is left over from a hub that died: it names process {pid}, which was left alone",
                data.pid()
            ))
        }
        _ => error,
    }
}
