//! How much load, from the command line.

use std::time::Duration;

use camino::Utf8PathBuf;

use crate::Failure;
use crate::hub::raise_file_limit;

/// What can be asked for. What is not said is as in the full size, or in the short form.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The `ctx` program that is put under load
    #[arg(long, value_name = "PATH")]
    hub: Utf8PathBuf,
    /// A short form: 200 listeners, 32 publishers
    #[arg(long)]
    small: bool,
    /// Listeners altogether
    #[arg(long, value_name = "N")]
    listeners: Option<usize>,
    /// How many of them have a connection of their own
    #[arg(long, value_name = "N")]
    own: Option<usize>,
    /// Listeners on each of the other connections
    #[arg(long, value_name = "N")]
    streams: Option<usize>,
    /// Listeners (of those with their own connection) that read a little at a time
    #[arg(long, value_name = "N")]
    slow: Option<usize>,
    /// Listeners that take nothing, but answer on their connection
    #[arg(long, value_name = "N")]
    stalled: Option<usize>,
    /// Listeners that do not touch their connection at all
    #[arg(long, value_name = "N")]
    frozen: Option<usize>,
    /// Publishers at once, each on a connection of its own
    #[arg(long, value_name = "N")]
    publishers: Option<usize>,
    /// Entries of each publisher in each phase
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Content of an entry
    #[arg(long, value_name = "N")]
    bytes: Option<usize>,
    /// Longest run
    #[arg(long, value_name = "SECONDS")]
    limit: Option<u64>,
}

/// File descriptors that are not listeners' connections: publishers, files, what the runtime has.
const OTHER_FILES: u64 = 600;

/// How much load.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) hub: Utf8PathBuf,
    pub(crate) listeners: usize,
    pub(crate) own: usize,
    pub(crate) streams: usize,
    pub(crate) slow: usize,
    pub(crate) stalled: usize,
    pub(crate) frozen: usize,
    pub(crate) publishers: usize,
    pub(crate) rounds: usize,
    pub(crate) bytes: usize,
    pub(crate) limit: Duration,
    /// What kept the plan from being as large as it was asked for.
    pub(crate) limited_by: Option<String>,
}

impl Plan {
    /// As much of what was asked for as the machine allows.
    pub(crate) fn new(options: &Options) -> Result<Self, Failure> {
        let mut plan = if options.small {
            Self::small()
        } else {
            Self::full()
        };
        plan.set(options);
        if plan.slow + plan.stalled + plan.frozen > plan.own || plan.own > plan.listeners {
            return Err("more listeners of a kind than there are".into());
        }
        if plan.listeners == 0 || plan.publishers == 0 || plan.rounds == 0 || plan.streams == 0 {
            return Err("nothing to do".into());
        }
        plan.fit(raise_file_limit()?)?;
        Ok(plan)
    }

    fn full() -> Self {
        Self {
            hub: Utf8PathBuf::new(),
            listeners: 10_000,
            own: 5_000,
            streams: 100,
            slow: 20,
            stalled: 20,
            frozen: 20,
            publishers: 256,
            rounds: 4,
            bytes: 512,
            limit: Duration::from_secs(900),
            limited_by: None,
        }
    }

    fn small() -> Self {
        Self {
            listeners: 200,
            own: 100,
            streams: 25,
            slow: 4,
            stalled: 4,
            frozen: 4,
            publishers: 32,
            rounds: 4,
            limit: Duration::from_secs(90),
            ..Self::full()
        }
    }

    /// Takes what was said.
    fn set(&mut self, options: &Options) {
        self.hub.clone_from(&options.hub);
        for (mine, said) in [
            (&mut self.listeners, options.listeners),
            (&mut self.own, options.own),
            (&mut self.streams, options.streams),
            (&mut self.slow, options.slow),
            (&mut self.stalled, options.stalled),
            (&mut self.frozen, options.frozen),
            (&mut self.publishers, options.publishers),
            (&mut self.rounds, options.rounds),
            (&mut self.bytes, options.bytes),
        ] {
            *mine = said.unwrap_or(*mine);
        }
        if let Some(seconds) = options.limit {
            self.limit = Duration::from_secs(seconds);
        }
    }

    /// Leaves out connections that there are no file descriptors for, here or in the hub, whose
    /// limit is this one.
    fn fit(&mut self, files: u64) -> Result<(), Failure> {
        let room = usize::try_from(files.saturating_sub(OTHER_FILES))?;
        let shared = (self.listeners - self.own).div_ceil(self.streams);
        if self.own + shared + self.publishers > room {
            let own = room.saturating_sub(shared + self.publishers);
            if own < self.slow + self.stalled + self.frozen {
                return Err(format!("{files} open files are too few").into());
            }
            self.limited_by = Some(format!(
                "{files} open files: {own} connections of {}",
                self.own
            ));
            self.listeners -= self.own - own;
            self.own = own;
        }
        Ok(())
    }
}
