//! `cargo xtask count`: the instructions of the hottest paths, beside those that are kept.
//!
//! Times depend on what else a machine does, instructions do not: callgrind counts the same for the
//! same program. Each path is run with two numbers of rounds; the difference is what the rounds
//! between need, without what is done once.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use camino::Utf8Path;

use crate::error::CheckError;
use crate::finding::Finding;
use crate::{files, program, run};

/// What is kept: instructions of a round, by path.
const KEPT: &str = "crates/ctx-bench/instructions.toml";
const HEADING: &str = "# Instructions of one round of each hot path, as `cargo xtask count --fix` wrote them;\n\
    # `cargo xtask ci` fails when one has grown by more than a tenth. See specs/0024-bench.md.\n\n";
/// The paths, and the two numbers of rounds. Of publishes there are enough for what is done once in
/// hundreds of them.
const PATHS: [(&str, u64, u64); 3] = [("append", 2, 6), ("page", 20, 80), ("publish", 200, 1_200)];
/// What callgrind says its total after.
const COLLECTED: &str = "Collected :";

/// Instructions of one round, by path.
type Counts = BTreeMap<String, u64>;

/// Paths that have grown by more than a tenth of what is kept.
pub(crate) fn check(root: &Utf8Path) -> Result<Vec<Finding>, CheckError> {
    let text = files::read(root, KEPT, "run `cargo xtask count --fix`")?;
    let kept: Counts = toml::from_str(&text).map_err(|error| CheckError::Missing {
        what: format!("{KEPT} cannot be read: {error}"),
        hint: "run `cargo xtask count --fix`".to_owned(),
    })?;
    let counted = count(root)?;
    Ok(grown(&kept, &counted))
}

/// Counts, and keeps what comes out.
pub(crate) fn fix(root: &Utf8Path) -> Result<(), CheckError> {
    let counted = count(root)?;
    let lines: String = counted
        .iter()
        .map(|(path, count)| format!("{path} = {count}\n"))
        .collect();
    files::replace(&root.join(KEPT), format!("{HEADING}{lines}").as_bytes())?;
    println!("wrote {KEPT}");
    Ok(())
}

/// What has grown, and what is not kept; what has become less is only told.
fn grown(kept: &Counts, counted: &Counts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, &now) in counted {
        let Some(&before) = kept.get(path) else {
            let message = format!("`{path}` is not kept: run `cargo xtask count --fix`");
            findings.push(Finding::new(KEPT, 1, "instructions", message));
            continue;
        };
        println!("{path}: {now} instructions a round, {before} are kept");
        if now > before + before / 10 {
            let message = format!(
                "`{path}` needs {now} instructions a round and not {before}: mend it, or say why in \
                 the spec and run `cargo xtask count --fix`"
            );
            findings.push(Finding::new(KEPT, 1, "instructions", message));
        } else if now < before - before / 10 {
            println!("{path}: has become less; `cargo xtask count --fix` keeps it so");
        }
    }
    findings
}

/// Counts every path.
fn count(root: &Utf8Path) -> Result<Counts, CheckError> {
    let bench = program::counted(root)?;
    let mut counts = Counts::new();
    for (path, few, many) in PATHS {
        let more = collected(&bench, path, many)?.saturating_sub(collected(&bench, path, few)?);
        counts.insert(path.to_owned(), more / (many - few));
    }
    Ok(counts)
}

/// The instructions of so many rounds of `path`, and of what is done once.
fn collected(bench: &Utf8Path, path: &str, rounds: u64) -> Result<u64, CheckError> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(bench)
        .args(["count", path, "--rounds", &rounds.to_string()])
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    let output = command.output().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => CheckError::Missing {
            what: "valgrind, which counts instructions, is not installed".to_owned(),
            hint: "install it, for instance with `apt-get install valgrind`".to_owned(),
        },
        _ => CheckError::Spawn {
            program: run::program(&command),
            source,
        },
    })?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let total = total(&said).filter(|_| output.status.success());
    total.ok_or_else(|| CheckError::Failed {
        command: run::line(&command),
        status: output.status,
        output: said.trim().to_owned(),
    })
}

/// The total that callgrind tells at its end.
fn total(said: &str) -> Option<u64> {
    let (_, after) = said.rsplit_once(COLLECTED)?;
    after.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(append: u64) -> Counts {
        Counts::from([("append".to_owned(), append)])
    }

    #[test]
    fn the_total_is_read_from_what_callgrind_says() {
        let said = "==12== Events    : Ir\n==12== Collected : 1234567\n==12==\n";
        assert_eq!(total(said), Some(1_234_567));
        assert_eq!(total("==12== killed"), None);
    }

    #[test]
    fn a_tenth_more_is_let_through_and_anything_above_is_a_finding() {
        for (now, findings) in [(1_000, 0), (1_100, 0), (1_101, 1), (10, 0)] {
            let found = grown(&counts(1_000), &counts(now));
            assert_eq!(found.len(), findings, "{now}");
        }
    }

    #[test]
    fn a_path_that_is_not_kept_is_a_finding() {
        assert_eq!(grown(&Counts::new(), &counts(1)).len(), 1);
    }
}
