//! A hub that is measured: a process of its own, and what the kernel says of it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::DataDir;
use ctx_hub::wire::method::REGISTER;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use serde::Deserialize;
use serde_json::json;

use crate::Failure;
use crate::link::Link;

/// What one client or one address may do is not what is measured: a few of them stand for many.
const NO_LIMITS: &[u8] = b"[limits]\nentries_per_second = 0\nbytes_per_second = 0\n\
    daily_bytes = 0\nlisteners_per_client = 0\nsyncs_per_client = 0\nlisteners = 0\n\
    [listen]\ntrusted_proxies = [\"127.0.0.1\"]\n[connections]\nmost = 100000\n";

/// How long a hub may take to drain and end.
const STOP: Duration = Duration::from_secs(60);

/// A hub that serves. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Hub {
    child: Child,
    address: SocketAddr,
    data: DataDir,
    said: Utf8PathBuf,
}

/// What it prints when it listens.
#[derive(Deserialize)]
struct Started {
    address: SocketAddr,
}

/// What it answers to who registers.
#[derive(Deserialize)]
struct Registered {
    client_token: String,
}

/// What the kernel counts of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Memory in use, in KiB.
    pub(crate) resident_kib: u64,
    /// The most memory in use since it was last asked to count anew, in KiB.
    pub(crate) peak_kib: u64,
    /// Time on a processor.
    pub(crate) cpu: Duration,
}

impl Hub {
    /// Starts `program` as a hub that keeps everything in `dir`, where a hub may have been before,
    /// and returns when it listens.
    pub(crate) fn start(program: &Utf8Path, dir: &Utf8Path) -> Result<Self, Failure> {
        let data = Self::data_dir(dir);
        let said = dir.join("hub.stderr");
        let limits = dir.join("no-limits.toml");
        if !limits.exists() {
            fs_err::File::create_new(&limits)?.write_all(NO_LIMITS)?;
        }
        let mut child = Command::new(program)
            .args(["hub", "start", "--bind", "127.0.0.1:0", "--json"])
            .args(["--data-dir", data.path().as_str()])
            .args(["--config", limits.as_str()])
            .env_clear()
            .env(ctx_config::env::HOME, dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(append(&said)?)
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let mut hub = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            data,
            said,
        };
        match serde_json::from_str::<Started>(&line) {
            Ok(started) => hub.address = started.address,
            Err(_) => return Err(format!("the hub did not start: {}", hub.said()).into()),
        }
        Ok(hub)
    }

    /// Where a hub in `dir` keeps its data.
    pub(crate) fn data_dir(dir: &Utf8Path) -> DataDir {
        DataDir::new(dir.join("data"))
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Registers `project`, and answers its token.
    pub(crate) async fn register(&self, project: &str) -> Result<String, Failure> {
        let link = Link::dial(self.address, 65_535, None).await?;
        let message = json!({ "admin_token": self.admin_token()?, "project_name": project });
        let answer = link.ask(REGISTER, "", message.to_string()).await?;
        Ok(serde_json::from_slice::<Registered>(&answer)?.client_token)
    }

    /// What registers projects.
    pub(crate) fn admin_token(&self) -> Result<String, Failure> {
        let token = fs_err::read_to_string(self.data.admin_token())?;
        Ok(token.trim().to_owned())
    }

    /// What it wrote to standard error: at most the end of it.
    pub(crate) fn said(&self) -> String {
        let said = fs_err::read_to_string(&self.said).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let from = lines.len().saturating_sub(10);
        lines.get(from..).unwrap_or_default().join("\n")
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Memory and time; zeros where there is no `/proc`.
    pub(crate) fn usage(&self) -> Usage {
        let pid = self.child.id();
        let status = fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        Usage {
            resident_kib: kib("VmRSS:"),
            peak_kib: kib("VmHWM:"),
            cpu: cpu(pid),
        }
    }

    /// Ends it with SIGTERM, and answers what is wrong with its end.
    pub(crate) fn stop(mut self) -> Result<Option<String>, Failure> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let since = Instant::now();
        while since.elapsed() < STOP {
            if let Some(status) = self.child.try_wait()? {
                let ended = (!status.success()).then(|| format!("the hub ended with {status}"));
                return Ok(ended);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(format!("the hub did not end in {STOP:?}")))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // Already gone when it was stopped.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Time that process `pid` and its threads spent on a processor.
fn cpu(pid: u32) -> Duration {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is a name in brackets, which may hold anything.
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    let second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(ticks.saturating_mul(1_000) / second)
}

/// A file that is written on at its end.
fn append(path: &Utf8Path) -> Result<std::fs::File, Failure> {
    let mut options = fs_err::OpenOptions::new();
    Ok(options.append(true).create(true).open(path)?.into_file())
}

/// Raises the number of files that this process and its children may open to the hard limit.
pub(crate) fn raise_file_limit() -> Result<u64, Failure> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(maximum.unwrap_or(u64::MAX))
}
