//! Signals: being told to end or to read anew, and not being ended by a full file.

use std::future::Future;

use rustix::process::Signal as Number;
pub(crate) use tokio::signal::unix::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::CliError;
use crate::exit::Exit;

/// Listens for Ctrl-C and SIGTERM from now on; the future is ready once one has come. Neither
/// ends the process any more.
///
/// # Errors
/// The system gives no signal handler.
pub(crate) fn told_to_end() -> Result<impl Future<Output = ()> + Send + 'static, CliError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Listens for SIGHUP from now on, which does not end the process any more.
///
/// # Errors
/// The system gives no signal handler.
pub(crate) fn hang_ups() -> Result<Signal, CliError> {
    signal(SignalKind::hangup()).map_err(refused)
}

fn refused(error: std::io::Error) -> CliError {
    CliError::new(Exit::Failed, "cannot listen for signals").because(error)
}

/// Lets a write beyond the limit on file sizes fail with an error that says so. By default the
/// system ends the process instead, without a word: a hub would be gone where it can go on reading.
/// Needs a runtime around it.
pub(crate) fn outlive_file_limits() {
    let limit_reached = SignalKind::from_raw(Number::XFSZ.as_raw());
    // The handler stays for as long as the process; who cannot have one is where it was.
    drop(signal(limit_reached));
}
