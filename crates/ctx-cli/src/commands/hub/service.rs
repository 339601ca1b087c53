//! What a hub has to do with the service manager that started it, if one did: being told when it
//! serves, and handing over the address.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use ctx_hub::server::Phase;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::sync::watch;

use crate::error::CliError;
use crate::exit::Exit;

/// The socket that the service manager listens on for this process; `None` when it passes none.
///
/// # Errors
/// More than one, or one that is no TCP socket.
pub(super) fn passed_listener() -> Result<Option<TcpListener>, CliError> {
    let mut passed = ListenFd::from_env();
    if passed.len() > 1 {
        let what = format!("{} sockets were passed, and a hub has one", passed.len());
        return Err(CliError::usage(what).hint("leave one ListenStream= in the socket unit"));
    }
    passed.take_tcp_listener(0).map_err(|error| {
        CliError::new(Exit::Usage, "the socket that was passed cannot be used")
            .because(error)
            .hint("the socket unit has to listen on a TCP address, without Accept=")
    })
}

/// Tells the service manager how far the hub is, until it drains, and that the process is alive,
/// where it wants to know. Nothing where there is none.
pub(super) async fn tell(mut phase: watch::Receiver<Phase>, address: String) {
    let watchdog = watchdog();
    tokio::pin!(watchdog);
    loop {
        let now = *phase.borrow_and_update();
        match now {
            Phase::Serving => {
                let status = format!("serving on {address}");
                notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
            }
            Phase::Draining => {
                let status = "letting calls under way finish";
                notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
                return;
            }
            _ => {}
        }
        tokio::select! {
            changed = phase.changed() => if changed.is_err() {
                return;
            },
            () = &mut watchdog => {}
        }
    }
}

/// Says twice as often as it has to that the event loop turns. Never ends.
async fn watchdog() {
    let Some(within) = sd_notify::watchdog_enabled().filter(|within| *within > Duration::ZERO)
    else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(within / 2);
    loop {
        ticks.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        let error: io::Error = error;
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
