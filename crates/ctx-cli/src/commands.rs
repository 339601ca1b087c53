//! The commands: each gives a report, and none prints or ends the process.

mod completions;
mod connect;
mod convert;
mod demo;
mod findings;
mod git;
mod hub;
mod init;
mod man;
mod reference;
mod route;
mod token;
mod unlock;

use std::future::Future;
use std::time::Duration;

use ctx_config::paths::{ContextDir, UserDir};

use crate::args::{Command, Global, Hub};
use crate::env::Environment;
use crate::error::CliError;
use crate::exit::Exit;
use crate::signals;
use crate::ui::Screen;

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Cx {
    /// Where results and messages go.
    pub(crate) screen: Screen,
    /// The surroundings of the process.
    pub(crate) env: Environment,
    /// The project's folder.
    pub(crate) context: ContextDir,
    /// How much of a diagnostic log was asked for.
    pub(crate) verbose: u8,
}

impl Cx {
    /// What `global` asks for.
    pub(crate) fn new(global: &Global, env: Environment, screen: Screen) -> Self {
        Self {
            screen,
            env,
            context: ContextDir::new(global.context_dir.clone()),
            verbose: global.verbose,
        }
    }

    /// The folder of the person.
    ///
    /// # Errors
    /// There is no usable home directory.
    pub(crate) fn user_dir(&self) -> Result<UserDir, CliError> {
        self.env.user_dir()
    }

    /// Makes sure that the project's folder is there.
    ///
    /// # Errors
    /// It is not, or is something else.
    pub(crate) fn require_context(&self) -> Result<(), CliError> {
        let path = self.context.path();
        match fs_err::metadata(path) {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => Err(
                CliError::new(Exit::NotSetUp, format!("{path} is not a directory"))
                    .hint("move it away, then run `ctx init`"),
            ),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(CliError::new(
                Exit::NotSetUp,
                format!(
                    "there is no {path}{}",
                    if path.is_absolute() { "" } else { " here" }
                ),
            )
            .hint("run `ctx init` in the project's directory, or name it with --context-dir")),
            Err(error) => {
                Err(CliError::new(Exit::Failed, format!("cannot look at {path}")).because(error))
            }
        }
    }
}

/// Runs one command to its end.
///
/// # Errors
/// What it failed with.
pub(crate) fn run(command: Command, cx: &Cx) -> Result<Exit, CliError> {
    match command {
        Command::Init(args) => {
            init::run(&args, cx).and_then(|report| init::show(&report, cx))?;
            Ok(Exit::Done)
        }
        Command::Demo => block_on(Threads::Many, demo::run(cx)),
        Command::Connect(command) => block_on(Threads::One, connect::run(command, cx)),
        Command::Hub(Hub::Start(args)) if !args.daemon && !args.check => {
            hub::start::prepare(&args)?;
            block_on(Threads::Many, hub::start::run(&args, cx))
        }
        Command::Hub(command) => block_on(Threads::One, hub::run(command, cx)),
        Command::Completions(args) => completions::run(&args, cx),
        Command::Man(args) => man::run(&args, cx),
        Command::Reference => reference::run(cx),
    }
}

/// How long file work under way may take when a command was interrupted. A sync that still waits
/// for its lock would otherwise go on waiting; one that is cut off is repaired by the next.
const GRACE: Duration = Duration::from_secs(2);

/// How many threads a command needs: a client waits for one hub, a hub serves many clients.
enum Threads {
    One,
    Many,
}

fn block_on<T>(
    threads: Threads,
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let mut builder = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::Many => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build().map_err(|error| {
        CliError::new(Exit::Failed, "cannot start the event loop").because(error)
    })?;
    let done = runtime.block_on(async {
        signals::outlive_file_limits();
        work.await
    });
    runtime.shutdown_timeout(GRACE);
    done
}
