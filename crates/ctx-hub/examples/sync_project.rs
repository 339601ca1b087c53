//! Brings the mirror of a registered project up to date and says what came.
//!
//! ```text
//! cargo run -p ctx-hub --example sync_project -- path/to/project/.context
//! ```
//!
//! The project has to be registered first, with `ctx connect register`. Default features are
//! enough: neither the server nor its store is compiled.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example talks to its reader"
)]

use std::error::Error;

use ctx_config::paths::{CONTEXT_DIR, ContextDir, UserDir};
use ctx_hub::client::{HubClient, Timeouts};
use ctx_hub::connection::Connection;
use ctx_hub::sync::{SyncEvent, SyncOptions, sync};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let context = ContextDir::new(std::env::args().nth(1).unwrap_or(CONTEXT_DIR.to_owned()));
    let home = std::env::var(ctx_config::env::HOME)?;
    let connection = Connection::load(&context, &UserDir::under_home(home.as_str().into()))?;
    let client = HubClient::connect(connection.route(), Timeouts::default())
        .await?
        .with_token(connection.token);

    let options = SyncOptions {
        command: "sync_project".to_owned(),
        ..SyncOptions::default()
    };
    let mut on_event = |event: SyncEvent| match event {
        SyncEvent::Chunk { entries, total } => println!("{} more, {total} so far", entries.len()),
        SyncEvent::Warning(warning) => eprintln!("warning: {warning}"),
        _ => {}
    };
    match sync(
        &client,
        &context,
        &connection.types,
        &options,
        &mut on_event,
    )
    .await
    {
        Ok(report) => {
            for (entry_type, cursor) in &report.cursors {
                let new = report
                    .new_entries
                    .get(entry_type)
                    .copied()
                    .unwrap_or_default();
                println!("{entry_type}: {new} new, mirrored up to {cursor}");
            }
            Ok(())
        }
        Err(error) => {
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            Err(error.into())
        }
    }
}
