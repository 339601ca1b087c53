//! Programs of the system that some scenarios need, and whether they can be used here.

use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};

use super::trouble::Trouble;
use crate::run;

/// Where the program `name` is.
pub(crate) fn find(name: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var_os("PATH")?;
    let candidates = std::env::split_paths(&path).map(|dir| dir.join(name));
    let found = candidates.filter_map(|path| Utf8PathBuf::from_path_buf(path).ok());
    found
        .filter(|path| path.is_absolute())
        .find(|path| path.is_file())
}

/// The command line of `words`, whose first is found, once it was seen to run `true`.
pub(crate) fn launcher(words: &[&str]) -> Result<Vec<String>, Trouble> {
    let (name, rest) = words.split_first().unwrap_or((&"", &[]));
    let program = find(name).ok_or_else(|| Trouble::Impossible(format!("no {name}")))?;
    let mut launcher = vec![program.into_string()];
    launcher.extend(rest.iter().map(|word| (*word).to_owned()));
    let mut probe = Command::new(&launcher[0]);
    probe.args(&launcher[1..]).arg("true").stdin(Stdio::null());
    let output = probe.output()?;
    if output.status.success() {
        return Ok(launcher);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = run::line(&probe);
    Err(Trouble::Impossible(format!("`{line}`: {}", said.trim())))
}

/// Copies a file, or a directory with everything in it.
pub(crate) fn copy_tree(from: &Utf8Path, to: &Utf8Path) -> Result<(), Trouble> {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(Trouble::Broken(format!("cannot copy {from} to {to}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_or_fails_makes_a_scenario_impossible() {
        assert!(find("sh").is_some());
        let missing = launcher(&["no-such-program-of-ours"]).unwrap_err();
        assert_eq!(
            missing.explain(),
            "not possible here: no no-such-program-of-ours"
        );
        let failing = launcher(&["sh", "-c", "echo why >&2; exit 1"]).unwrap_err();
        assert!(failing.explain().contains("why"), "{failing:?}");
        assert!(launcher(&["sh", "-c", "exec \"$@\"", "sh"]).is_ok());
    }
}
