//! A clock that is ahead or back, for any number of processes, by the library of `faketime`.
//!
//! The library keeps a semaphore and shared memory, which whoever made them has to remove. Were
//! `faketime` put before each process, it would be what a kill ends: the process itself would live
//! on, and the semaphore would stay, in the way of the next `faketime` of the same number. So one
//! `faketime` makes them, waits, and removes them in the end; what it tells its children in their
//! environment is told to processes that it knows nothing of.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::tools;
use super::trouble::Trouble;
use super::world::Setting;

/// What `faketime` sets for what it starts.
const VARIABLES: [&str; 3] = ["LD_PRELOAD", "FAKETIME", "FAKETIME_SHARED"];
/// Tells the time and the variables, a line each, and waits until nobody listens any more.
const TELL: &str = r#"date +%s && for name; do eval "echo \$$name"; done; read -r end; exit 0"#;
/// A clock that differs by less is taken for the machine's own.
const DIFFERENT: Duration = Duration::from_secs(24 * 60 * 60);

/// A clock, there for as long as this is.
#[derive(Debug)]
pub(crate) struct Clock {
    faketime: Child,
    setting: Setting,
}

impl Clock {
    /// A clock that differs from the machine's by `shift`, such as `-20y`.
    ///
    /// # Errors
    ///
    /// [`Trouble::Impossible`] where there is no `faketime` or it does not work.
    pub(crate) fn shifted_by(shift: &str) -> Result<Self, Trouble> {
        let program =
            tools::find("faketime").ok_or_else(|| Trouble::Impossible("no faketime".to_owned()))?;
        let mut command = Command::new(program);
        command.args(["-f", shift, "sh", "-c", TELL, "sh"]);
        command.args(VARIABLES);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let faketime = command.stderr(Stdio::piped()).spawn()?;
        let mut clock = Self {
            faketime,
            setting: Setting::default(),
        };
        match clock.told()? {
            Some(setting) => clock.setting = setting,
            None => return Err(Trouble::Impossible(clock.why()?)),
        }
        Ok(clock)
    }

    /// Surroundings in which this is the time.
    pub(crate) fn setting(&self) -> Setting {
        self.setting.clone()
    }

    /// What was told of another time; none when it is the machine's, or something is missing.
    fn told(&mut self) -> Result<Option<Setting>, Trouble> {
        let Some(stdout) = self.faketime.stdout.take() else {
            return Ok(None);
        };
        let mut lines = BufReader::new(stdout).lines();
        let time: Option<u64> = match lines.next().transpose()? {
            Some(line) => line.parse().ok(),
            None => None,
        };
        let mut setting = Setting::default();
        for name in VARIABLES {
            match lines.next().transpose()? {
                Some(value) if !value.is_empty() => {
                    setting = setting.and(&Setting::with_variable(name, value));
                }
                _ => return Ok(None),
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let differs = |time: u64| time.abs_diff(now) > DIFFERENT.as_secs();
        Ok(Some(setting).filter(|_| time.is_some_and(differs)))
    }

    /// What it said instead, once it has ended.
    fn why(&mut self) -> Result<String, Trouble> {
        drop(self.faketime.stdin.take());
        let mut said = String::new();
        if let Some(mut stderr) = self.faketime.stderr.take() {
            stderr.read_to_string(&mut said)?;
        }
        Ok(format!("faketime gives no other time: {}", said.trim()))
    }
}

impl Drop for Clock {
    /// Lets `faketime` end by itself: it removes what it made.
    fn drop(&mut self) {
        drop(self.faketime.stdin.take());
        self.faketime.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time in seconds, by a process in `setting` that was killed, and one that was not.
    fn time_in(setting: &Setting) -> u64 {
        let command = |name: &str| {
            let mut command = Command::new(tools::find(name).unwrap());
            command.env_clear().envs(setting.variables.iter().cloned());
            command
        };
        let mut killed = command("sleep").arg("60").spawn().unwrap();
        killed.kill().unwrap();
        killed.wait().unwrap();
        let output = command("date").arg("+%s").output().unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }

    #[test]
    fn processes_have_the_other_time_and_nothing_is_left_when_the_clock_goes() {
        let clock = match Clock::shifted_by("-20y") {
            Ok(clock) => clock,
            Err(Trouble::Impossible(why)) => {
                assert!(why.contains("faketime"), "{why}");
                return;
            }
            Err(other) => panic!("{other:?}"),
        };
        let setting = clock.setting();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!(time_in(&setting) < now.as_secs() - DIFFERENT.as_secs());
        let (_, shared) = setting.variables.last().unwrap().clone();
        let memory = shared.split_once(' ').unwrap().1.to_owned();
        let memory = camino::Utf8PathBuf::from(format!("/dev/shm{memory}"));
        assert!(memory.exists(), "{memory}");
        drop(clock);
        assert!(!memory.exists(), "{memory}");
    }

    #[test]
    fn a_shift_that_is_none_is_no_other_clock() {
        let refused = Clock::shifted_by("+0d").unwrap_err();
        assert!(matches!(refused, Trouble::Impossible(_)), "{refused:?}");
    }
}
