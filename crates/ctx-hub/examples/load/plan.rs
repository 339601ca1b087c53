//! How much load, from the command line.

use std::time::Duration;

use camino::Utf8PathBuf;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Failure;

/// What can be asked for.
pub(crate) const USAGE: &str = "\
usage: load --hub PATH [--small] [--listeners N] [--own N] [--streams N] [--slow N]
            [--stalled N] [--frozen N] [--publishers N] [--rounds N] [--bytes N] [--limit SECONDS]

  --hub PATH       the `ctx` program that is put under load
  --small          a short form: 200 listeners, 32 publishers
  --listeners N    listeners altogether
  --own N          how many of them have a connection of their own
  --streams N      listeners on each of the other connections
  --slow N         listeners (of those with their own connection) that read a little at a time
  --stalled N      that take nothing, but answer on their connection
  --frozen N       that do not touch their connection at all
  --publishers N   publishers at once, each on a connection of its own
  --rounds N       entries of each publisher in each phase
  --bytes N        content of an entry
  --limit SECONDS  longest run";

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
    /// Reads the arguments, and takes as much of the plan as the machine allows.
    pub(crate) fn from_args(arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let arguments: Vec<String> = arguments.collect();
        let mut plan = Self::full();
        if arguments.iter().any(|argument| argument == "--small") {
            plan = Self::small();
        }
        let mut given = arguments.iter();
        while let Some(name) = given.next() {
            if name == "--small" {
                continue;
            }
            let value = given.next().ok_or(format!("{name} needs a value"))?;
            plan.set(name, value)
                .map_err(|error| format!("{name} {value}: {error}"))?;
        }
        if plan.hub.as_str().is_empty() {
            return Err("--hub is missing".into());
        }
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

    fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let count = match name {
            "--hub" => {
                self.hub = value.into();
                return Ok(());
            }
            "--limit" => {
                self.limit = Duration::from_secs(value.parse()?);
                return Ok(());
            }
            "--listeners" => &mut self.listeners,
            "--own" => &mut self.own,
            "--streams" => &mut self.streams,
            "--slow" => &mut self.slow,
            "--stalled" => &mut self.stalled,
            "--frozen" => &mut self.frozen,
            "--publishers" => &mut self.publishers,
            "--rounds" => &mut self.rounds,
            "--bytes" => &mut self.bytes,
            _ => return Err("no such option".into()),
        };
        *count = value.parse()?;
        Ok(())
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

/// Raises the number of files that this process and its children may open to the hard limit.
fn raise_file_limit() -> Result<u64, Failure> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(maximum.unwrap_or(u64::MAX))
}
