//! The mirror in `.context/hub/` and what keeps it up to date.
//!
//! A sync takes the lock and reads the state ([`load_state`]), asks the hub for what lies after the
//! cursors, and applies it batch by batch ([`SyncSession::apply`]): entries are appended and flushed,
//! then the state is replaced. Killed at any instruction, the next sync cuts off what was not
//! committed and repeats it, so every entry is in the mirror exactly once.
//!
//! - [`sync`] does all of that once, [`listen`] stays and does it whenever something is published.
//! - [`status`] looks without taking the lock; [`verify`] finds what is wrong and mends it.
//! - [`SyncError::kind`] says who has to act, [`SyncError::hint`] what to do.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ctx_config::paths::{ContextDir, UserDir};
//! use ctx_hub::client::{HubClient, Timeouts};
//! use ctx_hub::connection::Connection;
//! use ctx_hub::sync::{SyncOptions, sync};
//!
//! let context = ContextDir::new(".context");
//! let connection = Connection::load(&context, &UserDir::under_home("/people/ada".into()))?;
//! let client = HubClient::connect(connection.route(), Timeouts::default())
//!     .await?
//!     .with_token(connection.token);
//! let options = SyncOptions::default();
//! let report = sync(&client, &context, &connection.types, &options, &mut |_event| {}).await?;
//! println!("{} new entries", report.total());
//! # Ok(())
//! # }
//! ```

mod engine;
mod error;
mod escape;
#[cfg(test)]
mod fake;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod listen;
mod mirror;
mod parse;
mod passing;
mod plan;
mod rebuild;
mod recover;
mod render;
mod report;
#[cfg(test)]
mod samples;
mod segments;
mod session;
mod source;
mod state;
mod status;
mod torn;
pub mod verify;
mod watch;
mod worker;

pub use engine::sync;
pub use error::{Divergence, FileError, MirrorFault, SyncError, SyncErrorKind};
pub use listen::listen;
pub use plan::{Batch, BatchError};
pub use render::render;
pub use report::{ListenReport, SyncEvent, SyncOptions, SyncReport, SyncWarning};
pub use session::{Applied, SyncSession, load_state};
pub use state::StateError;
pub use status::{MirrorStatus, status};
