//! Processes under torture: none outlives its guard, and no wait is without a bound.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use rustix::process::{Pid, Signal, kill_process};

use super::scratch::create;
use super::trouble::Trouble;
use crate::run;

/// How long anything may take before it counts as wedged. Nothing is ever asserted about less.
pub(crate) const BOUND: Duration = Duration::from_secs(60);
/// A wait of the program itself that is to end before ours does.
pub(crate) const BOUND_TEXT: &str = "60s";
const GRACE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(1);

/// A running process whose output goes to files, so that it never waits for a reader.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    what: String,
    stdout: Utf8PathBuf,
    stderr: Utf8PathBuf,
    started: Instant,
}

/// How a process ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
    what: String,
}

impl Process {
    /// Starts `command`; what it writes goes to `log` with `.out` and `.err` behind it.
    pub(crate) fn start(mut command: Command, log: &Utf8PathBuf) -> Result<Self, Trouble> {
        let stdout = log.with_extension("out");
        let stderr = log.with_extension("err");
        command.stdout(create(&stdout)?);
        command.stderr(create(&stderr)?);
        let what = run::line(&command);
        let started = Instant::now();
        let child = command.spawn()?;
        Ok(Self {
            child,
            what,
            stdout,
            stderr,
            started,
        })
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> Result<Ended, Trouble> {
        self.finish_within(BOUND + GRACE)
    }

    /// Waits for the end of something that takes longer than anything else here.
    pub(crate) fn finish_within(mut self, bound: Duration) -> Result<Ended, Trouble> {
        match until(bound, || Ok(self.child.try_wait()?))? {
            Some(status) => self.ended(status),
            None => Err(Trouble::Wedged(format!(
                "`{}` did not end: {}",
                self.what,
                self.said()
            ))),
        }
    }

    /// Whether it runs still.
    pub(crate) fn runs(&mut self) -> Result<bool, Trouble> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Ends it without a word.
    pub(crate) fn kill(mut self) -> Result<Ended, Trouble> {
        self.child.kill()?;
        self.finish()
    }

    /// Ends it without a word once it has run for `time`; it may have ended by itself by then.
    pub(crate) fn kill_after(self, time: Duration) -> Result<Ended, Trouble> {
        std::thread::sleep(time.saturating_sub(self.started.elapsed()));
        self.kill()
    }

    /// Asks it to end.
    pub(crate) fn terminate(self) -> Result<Ended, Trouble> {
        kill_process(self.pid(), Signal::TERM).map_err(std::io::Error::from)?;
        self.finish()
    }

    /// Its number, as this program sees it.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What it has written to standard output so far.
    pub(crate) fn stdout(&self) -> Result<String, Trouble> {
        Ok(fs_err::read_to_string(&self.stdout)?)
    }

    /// What it has written to standard error so far.
    pub(crate) fn said(&self) -> String {
        fs_err::read_to_string(&self.stderr).unwrap_or_default()
    }

    fn ended(&self, status: ExitStatus) -> Result<Ended, Trouble> {
        let read = |path| -> Result<String, Trouble> {
            let bytes = fs_err::read(path)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let ended = Ended {
            code: status.code(),
            signal: status.signal(),
            stdout: read(&self.stdout)?,
            stderr: read(&self.stderr)?,
            took: self.started.elapsed(),
            what: self.what.clone(),
        };
        fs_err::remove_file(&self.stdout)?;
        fs_err::remove_file(&self.stderr)?;
        ended.refuse_panic()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Ended {
    /// Whether our SIGKILL ended it.
    pub(crate) fn was_killed(&self) -> bool {
        self.signal == Some(Signal::KILL.as_raw())
    }

    /// Whether it said `words`, wherever.
    pub(crate) fn says(&self, words: &str) -> bool {
        self.stdout.contains(words) || self.stderr.contains(words)
    }

    /// Passes when it ended by itself with one of `codes`.
    pub(crate) fn expect_codes(self, codes: &[i32]) -> Result<Self, Trouble> {
        match self.code {
            Some(code) if codes.contains(&code) => Ok(self),
            _ => Err(Trouble::Broken(self.tell(&format!("one of {codes:?}")))),
        }
    }

    /// Passes when it was killed or ended by itself with one of `codes`.
    pub(crate) fn killed_or(self, codes: &[i32]) -> Result<Self, Trouble> {
        if self.was_killed() {
            return Ok(self);
        }
        self.expect_codes(codes)
    }

    /// A panic is a fault whatever the exit code.
    fn refuse_panic(self) -> Result<Self, Trouble> {
        let panicked = |text: &str| text.contains("panicked at");
        if panicked(&self.stderr) || panicked(&self.stdout) || self.code == Some(101) {
            return Err(Trouble::Broken(self.tell("no panic")));
        }
        Ok(self)
    }

    /// How it ended instead of what was `wanted`, and what it said.
    pub(crate) fn tell(&self, wanted: &str) -> String {
        let how = match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "neither code nor signal".to_owned(),
        };
        let Self {
            what,
            stdout,
            stderr,
            ..
        } = self;
        format!("`{what}` ended with {how}, wanted {wanted}: {stdout}{stderr}")
    }
}

/// Looks again and again until there is an answer; none when the bound is reached.
pub(crate) fn until<T>(
    bound: Duration,
    mut look: impl FnMut() -> Result<Option<T>, Trouble>,
) -> Result<Option<T>, Trouble> {
    let start = Instant::now();
    loop {
        if let Some(answer) = look()? {
            return Ok(Some(answer));
        }
        if start.elapsed() > bound {
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    /// Runs a shell script and does `what` to it, in a directory that is gone afterwards.
    fn shell<T>(script: &str, what: impl FnOnce(Process) -> T) -> T {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command.stdin(Stdio::null());
        let log = Utf8PathBuf::from_path_buf(dir.path().join("log")).unwrap();
        what(Process::start(command, &log).unwrap())
    }

    #[test]
    fn a_wrong_exit_code_and_a_panic_are_told_with_what_was_said() {
        let ended = shell("echo why >&2; exit 3", Process::finish).unwrap();
        assert_eq!((ended.code, ended.was_killed()), (Some(3), false));
        let told = ended.expect_codes(&[0, 4]).unwrap_err().explain();
        assert!(
            told.contains("exit code 3") && told.contains("why"),
            "{told}"
        );
        let told = shell("echo thread x panicked at y >&2", Process::finish);
        assert!(told.unwrap_err().explain().contains("wanted no panic"));
    }

    #[test]
    fn a_killed_process_is_told_apart_from_one_that_ended() {
        let killed = shell("sleep 600", |process| {
            process.kill_after(Duration::from_millis(1))
        })
        .unwrap();
        assert!(killed.was_killed());
        assert!(killed.killed_or(&[0]).is_ok());
        let ended = shell("exit 4", Process::finish).unwrap();
        assert!(ended.killed_or(&[0]).is_err());
    }
}
