//! Starting other programs, with errors that say which one and why.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;

use crate::error::CheckError;

/// The cargo that runs this program, so that nested calls use the same toolchain.
pub(crate) fn cargo(root: &Utf8Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(root);
    command
}

/// git in `root`, with output that no setting of the user changes.
pub(crate) fn git(root: &Utf8Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(root)
        .env("LC_ALL", "C")
        .args(["-c", "core.quotePath=false"]);
    command
}

/// Runs a program to its end and gives its standard output; a failure carries standard error.
pub(crate) fn capture(command: &mut Command) -> Result<String, CheckError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| CheckError::Spawn {
            program: program(command),
            source,
        })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(CheckError::Failed {
        command: line(command),
        status: output.status,
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Runs a program on our own output; true when it succeeded before `deadline`, which kills it.
pub(crate) fn show(command: &mut Command, deadline: Duration) -> Result<bool, CheckError> {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .map_err(|source| CheckError::Spawn {
            program: program(command),
            source,
        })?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if started.elapsed() > deadline {
            child.kill()?;
            child.wait()?;
            println!(
                "`{}` was stopped after {} s",
                line(command),
                deadline.as_secs()
            );
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The name of the program.
pub(crate) fn program(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// The command line, for messages.
pub(crate) fn line(command: &Command) -> String {
    let name = program(command);
    let words = command
        .get_args()
        .map(|word| word.to_string_lossy().into_owned());
    let short = Utf8Path::new(&name).file_name().unwrap_or(&name).to_owned();
    std::iter::once(short)
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_what_to_do() {
        let error = capture(&mut Command::new("no-such-program-of-ours")).unwrap_err();
        let text = error.explain();
        assert!(
            text.contains("cannot start `no-such-program-of-ours`"),
            "{text}"
        );
        assert!(text.contains("hint: install"), "{text}");
    }

    #[test]
    fn a_failing_program_carries_its_own_words() {
        let error = capture(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("why") && text.contains("exit status: 3"),
            "{text}"
        );
    }

    #[test]
    fn a_program_that_hangs_is_stopped_and_counts_as_failed() {
        let mut sleeper = Command::new("sleep");
        sleeper.arg("600");
        assert!(!show(&mut sleeper, Duration::from_millis(1)).unwrap());
    }
}
