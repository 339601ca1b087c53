//! Being told to end.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use crate::error::CliError;
use crate::exit::Exit;

/// Listens for Ctrl-C and SIGTERM from now on; the future is ready once one has come. Neither
/// ends the process any more.
///
/// # Errors
/// The system gives no signal handler.
pub(crate) fn told_to_end() -> Result<impl Future<Output = ()> + Send + 'static, CliError> {
    let refused = |error: std::io::Error| {
        CliError::new(Exit::Failed, "cannot listen for signals").because(error)
    };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
