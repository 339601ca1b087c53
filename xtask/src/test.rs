//! `cargo xtask test`: every test, shown as it runs and counted as it is shown.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use camino::Utf8Path;

use crate::error::CheckError;
use crate::finding::Finding;
use crate::run;

const RULE: &str = "test";

/// What the test runner said.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// One for each failed test, at the place where it panicked.
    pub(crate) findings: Vec<Finding>,
    /// The closing lines (`test result: …`), as printed.
    pub(crate) closing: Vec<String>,
    /// Tests that passed, over all binaries.
    pub(crate) passed: u64,
    /// Tests that failed, over all binaries.
    pub(crate) failed: u64,
    /// The failed test whose output is being read.
    section: Option<String>,
}

/// Runs every test of the workspace, doctests included, on our own output.
pub(crate) fn run(root: &Utf8Path) -> Result<Report, CheckError> {
    let mut command = run::cargo(root);
    // A snapshot that differs fails the test; it never writes a file into the checkout.
    command.env("INSTA_UPDATE", "no");
    command.args(["test", "--workspace", "--all-features", "--no-fail-fast"]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| CheckError::Spawn {
            program: run::program(&command),
            source,
        })?;
    let mut report = Report::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            report.take(&line);
        }
    }
    report.finish(child.wait()?.success());
    Ok(report)
}

impl Report {
    /// Prints findings and closing lines; true when every test passed.
    pub(crate) fn print(self) -> bool {
        let clean = crate::finding::print(self.findings.clone()) == 0;
        self.print_closing();
        clean
    }

    /// Prints the runner's closing lines and, last and alone on its line, their sum.
    pub(crate) fn print_closing(&self) {
        for line in &self.closing {
            println!("{line}");
        }
        println!("{} passed, {} failed", self.passed, self.failed);
    }

    /// Reads one line of the runner's output.
    fn take(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.closing.push(line.to_owned());
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
            self.section = None;
        } else if let Some(name) = line.strip_prefix("---- ").and_then(section_name) {
            self.close_section();
            if let Some((file, number)) = doctest_place(name) {
                self.failed_at(file, number, name);
            } else {
                self.section = Some(name.to_owned());
            }
        } else if line == "failures:" {
            self.close_section();
        } else if let Some((file, number)) = panic_place(line)
            && let Some(name) = self.section.take()
        {
            self.failed_at(file, number, &name);
        }
    }

    fn failed_at(&mut self, file: &str, line: usize, name: &str) {
        let message = format!("`{name}` failed");
        self.findings.push(Finding::new(file, line, RULE, message));
    }

    /// A failed test that never said where it panicked is still a finding.
    fn close_section(&mut self) {
        if let Some(name) = self.section.take() {
            self.failed_at("Cargo.toml", 1, &name);
        }
    }

    /// Closes the report; a failure that no test explains (a build, a crash) is a finding.
    fn finish(&mut self, success: bool) {
        self.close_section();
        if !success && self.findings.is_empty() {
            let message = "`cargo test` failed before or outside a test: see its output";
            self.findings
                .push(Finding::new("Cargo.toml", 1, RULE, message));
        }
        if success && self.passed == 0 {
            self.findings
                .push(Finding::new("Cargo.toml", 1, RULE, "no test ran"));
        }
    }
}

/// The number before `word` in `ok. 3 passed; 0 failed; …`.
fn count(counts: &str, word: &str) -> u64 {
    let number = |part: &str| {
        part.trim()
            .strip_suffix(word)?
            .trim()
            .rsplit(' ')
            .next()?
            .parse()
            .ok()
    };
    counts.split(';').find_map(number).unwrap_or(0)
}

/// The test that `name stdout ----` names.
fn section_name(rest: &str) -> Option<&str> {
    rest.strip_suffix(" ----")?.strip_suffix(" stdout")
}

/// The place in the name of a doctest, `src/lib.rs - Item::function (line 4)`.
fn doctest_place(name: &str) -> Option<(&str, usize)> {
    let (file, rest) = name.split_once(" - ")?;
    let line = rest.rsplit_once("(line ")?.1.strip_suffix(')')?;
    Some((file, line.parse().ok()?))
}

/// The place in `thread 'name' (12) panicked at src/lib.rs:4:5:`.
fn panic_place(line: &str) -> Option<(&str, usize)> {
    let place = line
        .strip_prefix("thread '")?
        .split_once(" panicked at ")?
        .1;
    let mut parts = place.trim_end_matches(':').rsplitn(3, ':');
    parts.next()?.parse::<usize>().ok()?;
    let line = parts.next()?.parse().ok()?;
    Some((parts.next()?, line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lines;

    const FAILED: &str = "\
running 3 tests
test a::works ... ok
test a::breaks ... FAILED
test a::dies ... FAILED

failures:

---- a::breaks stdout ----

thread 'a::breaks' (4711) panicked at crates/x/src/a.rs:12:9:
assertion `left == right` failed
thread 'worker' (4712) panicked at crates/x/src/b.rs:1:1:

---- a::dies stdout ----
Error: NotFound

failures:
    a::breaks
    a::dies

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    fn read(output: &str, success: bool) -> Report {
        let mut report = Report::default();
        output.lines().for_each(|line| report.take(line));
        report.finish(success);
        report
    }

    #[test]
    fn each_failed_test_is_found_where_it_panicked() {
        let found = lines(read(FAILED, false).findings);
        let want = [
            "Cargo.toml:1: test: `a::dies` failed",
            "crates/x/src/a.rs:12: test: `a::breaks` failed",
        ];
        assert_eq!(found, want);
    }

    #[test]
    fn a_failed_doctest_is_found_at_its_example() {
        let output = "---- crates/x/src/a.rs - A::new (line 30) stdout ----\n\
            thread 'main' (1) panicked at /tmp/doctest.rs:3:1:\n\nfailures:\n";
        let want = "crates/x/src/a.rs:30: test: `crates/x/src/a.rs - A::new (line 30)` failed";
        assert_eq!(lines(read(output, false).findings), [want]);
    }

    #[test]
    fn counts_are_summed_over_every_binary() {
        let ok = "test result: ok. 40 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n";
        let report = read(&format!("{ok}{FAILED}"), false);
        assert_eq!((report.passed, report.failed), (41, 2));
        assert_eq!(report.closing.len(), 2);
        assert_eq!(report.closing[0], ok.trim_end());
    }

    #[test]
    fn a_build_that_fails_is_found_though_no_test_did() {
        let found = lines(read("", false).findings);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("before or outside a test"), "{found:?}");
    }

    #[test]
    fn a_run_without_a_test_does_not_pass() {
        assert_eq!(
            lines(read("", true).findings),
            ["Cargo.toml:1: test: no test ran"]
        );
    }
}
