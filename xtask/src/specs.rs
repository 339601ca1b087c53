//! `cargo xtask specs`: every commit names the spec it belongs to, and the index lists every spec.

use std::collections::BTreeSet;

use camino::Utf8Path;

use crate::error::CheckError;
use crate::finding::Finding;
use crate::run;

const RULE: &str = "specs";
const INDEX: &str = "specs/README.md";
const TRAILER: &str = "Spec:";
const SECTIONS: [&str; 6] = [
    "Problem",
    "Goals and non-goals",
    "Design",
    "Failure cases",
    "Tests",
    "Figures",
];

/// Checks the specs that stand in the checkout, and every commit up to `HEAD`.
pub(crate) fn check(root: &Utf8Path) -> Result<Vec<Finding>, CheckError> {
    let mut findings = standing(root)?;
    findings.extend(history(root)?);
    Ok(findings)
}

/// Every spec is in the index, is named `NNNN-title.md`, and has its sections.
fn standing(root: &Utf8Path) -> Result<Vec<Finding>, CheckError> {
    let index = crate::files::read(root, INDEX, "write it: a table of the specs")?;
    let mut findings = Vec::new();
    for entry in root.join("specs").read_dir_utf8()? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.ends_with(".md") || name == "README.md" {
            continue;
        }
        let path = format!("specs/{name}");
        let mut fault = |line, message: String| {
            findings.push(Finding::new(path.as_str(), line, RULE, message));
        };
        if !is_spec_path(&path) {
            fault(1, "is not named `NNNN-title.md`".to_owned());
        }
        if !lists(&index, name) {
            fault(1, format!("is not listed in {INDEX}"));
        }
        let text = fs_err::read_to_string(entry.path())?;
        let headings: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .map(str::trim)
            .collect();
        for section in SECTIONS
            .iter()
            .filter(|section| !headings.contains(*section))
        {
            fault(1, format!("has no section `## {section}`"));
        }
    }
    Ok(findings)
}

/// Every commit but merges carries one trailer, whose spec stands and is listed at that commit.
fn history(root: &Utf8Path) -> Result<Vec<Finding>, CheckError> {
    let git = |args: &[&str]| run::capture(run::git(root).args(args));
    if git(&["rev-parse", "--is-shallow-repository"])?.trim() == "true" {
        return Err(CheckError::Missing {
            what: "this clone is shallow: its older commits cannot be checked".to_owned(),
            hint: "run `git fetch --unshallow`".to_owned(),
        });
    }
    if git(&["rev-parse", "--verify", "--quiet", "HEAD"]).is_err() {
        return Ok(Vec::new());
    }
    let log = git(&["log", "--no-merges", "-z", "--format=%H%n%B", "HEAD"])?;
    let mut findings = Vec::new();
    for commit in log.split('\0') {
        let Some((hash, message)) = commit.split_once('\n') else {
            continue;
        };
        for fault in faults(root, hash, message) {
            let place = format!("commit {}", hash.get(..12).unwrap_or(hash));
            let subject = message.lines().next().unwrap_or_default();
            findings.push(Finding::new(
                place,
                1,
                RULE,
                format!("{fault} (`{subject}`)"),
            ));
        }
    }
    Ok(findings)
}

/// What is wrong with the trailer of one commit.
fn faults(root: &Utf8Path, hash: &str, message: &str) -> Vec<String> {
    let named = trailers(message);
    let [path] = named.as_slice() else {
        return vec![match named.len() {
            0 => format!("has no trailer `{TRAILER} specs/NNNN-title.md`"),
            many => format!("has {many} trailers `{TRAILER}`, not one"),
        }];
    };
    if !is_spec_path(path) {
        return vec![format!("`{TRAILER} {path}` is not `specs/NNNN-title.md`")];
    }
    let show = |path: &str| run::capture(run::git(root).args(["show", &format!("{hash}:{path}")]));
    let mut faults = Vec::new();
    if show(path).is_err() {
        faults.push(format!("names {path}, which it does not contain"));
    }
    let name = path.trim_start_matches("specs/");
    if !show(INDEX).is_ok_and(|index| lists(&index, name)) {
        faults.push(format!("names {path}, which its {INDEX} does not list"));
    }
    faults
}

/// The values of the spec trailers in the last paragraph of a message.
fn trailers(message: &str) -> Vec<&str> {
    let last = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
    // A message of one paragraph is a subject; what it says is no trailer.
    if last.len() == message.trim_end().len() {
        return Vec::new();
    }
    last.lines()
        .filter_map(|line| line.strip_prefix(TRAILER))
        .map(str::trim)
        .collect()
}

/// True for `specs/NNNN-title.md`.
fn is_spec_path(path: &str) -> bool {
    let name = path
        .strip_prefix("specs/")
        .and_then(|name| name.strip_suffix(".md"));
    let parts = name.and_then(|name| name.split_once('-'));
    parts.is_some_and(|(number, title)| {
        let title_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        number.len() == 4
            && number.chars().all(|c| c.is_ascii_digit())
            && !title.is_empty()
            && title.chars().all(title_char)
    })
}

/// True when the index links to the spec.
fn lists(index: &str, name: &str) -> bool {
    index.contains(&format!("({name})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sandbox, lines};

    const SPEC: &str = "# A\n\n## Problem\n\n## Goals and non-goals\n\n## Design\n\n\
        ## Failure cases\n\n## Tests\n\n## Figures\n";
    const GOOD: &str = "tidy: a rule\n\nWhy.\n\nSpec: specs/0001-a.md\n";

    fn sandbox() -> Sandbox {
        let sandbox = Sandbox::new();
        sandbox.write("specs/README.md", "| [0001](0001-a.md) | a |\n");
        sandbox.write("specs/0001-a.md", SPEC);
        sandbox.commit(GOOD);
        sandbox
    }

    /// The findings, without the place, which holds a hash that is different every time.
    fn messages(sandbox: &Sandbox) -> Vec<String> {
        let found = lines(check(sandbox.root()).unwrap());
        found
            .iter()
            .map(|line| line.split_once(": specs: ").unwrap().1.to_owned())
            .collect()
    }

    #[test]
    fn commits_that_name_their_spec_pass_on_a_branch_and_on_a_detached_head() {
        let sandbox = sandbox();
        assert_eq!(messages(&sandbox), Vec::<String>::new());
        sandbox.git(&["checkout", "--quiet", "--detach"]);
        assert_eq!(messages(&sandbox), Vec::<String>::new());
    }

    #[test]
    fn a_repository_without_a_commit_has_only_its_files_checked() {
        let sandbox = Sandbox::new();
        sandbox.write("specs/README.md", "nothing yet\n");
        assert_eq!(messages(&sandbox), Vec::<String>::new());
    }

    #[test]
    fn every_faulty_commit_is_found() {
        let sandbox = sandbox();
        sandbox.commit("no trailer at all");
        sandbox.commit("in the wrong paragraph\n\nSpec: specs/0001-a.md\n\nmore text\n");
        sandbox.commit("Spec: specs/0001-a.md");
        sandbox.commit("twice\n\nSpec: specs/0001-a.md\nSpec: specs/0001-a.md\n");
        sandbox.commit("shape\n\nSpec: 0001\n");
        sandbox.commit("absent\n\nSpec: specs/0002-b.md\n");
        sandbox.commit(GOOD);
        let want = [
            "`Spec: 0001` is not `specs/NNNN-title.md` (`shape`)",
            "has 2 trailers `Spec:`, not one (`twice`)",
            "has no trailer `Spec: specs/NNNN-title.md` (`Spec: specs/0001-a.md`)",
            "has no trailer `Spec: specs/NNNN-title.md` (`in the wrong paragraph`)",
            "has no trailer `Spec: specs/NNNN-title.md` (`no trailer at all`)",
            "names specs/0002-b.md, which it does not contain (`absent`)",
            "names specs/0002-b.md, which its specs/README.md does not list (`absent`)",
        ];
        let mut found = messages(&sandbox);
        // Their places are hashes, which give another order every time.
        found.sort();
        assert_eq!(found, want);
    }

    #[test]
    fn a_spec_that_is_written_later_does_not_excuse_an_earlier_commit() {
        let sandbox = sandbox();
        sandbox.commit("early\n\nSpec: specs/0002-b.md\n");
        sandbox.write("specs/0002-b.md", SPEC);
        sandbox.write("specs/README.md", "[0001](0001-a.md) [0002](0002-b.md)\n");
        sandbox.commit("late\n\nSpec: specs/0002-b.md\n");
        let found = messages(&sandbox);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found.iter().all(|line| line.ends_with("(`early`)")),
            "{found:?}"
        );
    }

    #[test]
    fn a_merge_needs_no_trailer() {
        let sandbox = sandbox();
        sandbox.git(&["checkout", "--quiet", "-b", "side"]);
        sandbox.commit(&format!("on the side: {GOOD}"));
        sandbox.git(&["checkout", "--quiet", "main"]);
        sandbox.commit(GOOD);
        sandbox.git(&["merge", "--quiet", "--no-ff", "--message", "merge", "side"]);
        let merges = sandbox.git(&["rev-list", "--merges", "--count", "HEAD"]);
        assert_eq!(merges, "1\n");
        assert_eq!(messages(&sandbox), Vec::<String>::new());
    }

    #[test]
    fn a_shallow_clone_is_an_error_that_says_what_to_run() {
        let sandbox = sandbox();
        sandbox.commit(GOOD);
        let url = format!("file://{}", sandbox.root());
        sandbox.git(&["clone", "--quiet", "--depth", "1", &url, "shallow"]);
        let error = check(&sandbox.root().join("shallow"))
            .unwrap_err()
            .explain();
        assert!(
            error.contains("shallow") && error.contains("git fetch --unshallow"),
            "{error}"
        );
    }

    #[test]
    fn a_spec_that_is_unlisted_misnamed_or_incomplete_is_found() {
        let sandbox = sandbox();
        sandbox.write("specs/3-B.md", &SPEC.replace("## Design\n", ""));
        let want = [
            "specs/3-B.md:1: specs: has no section `## Design`",
            "specs/3-B.md:1: specs: is not listed in specs/README.md",
            "specs/3-B.md:1: specs: is not named `NNNN-title.md`",
        ];
        assert_eq!(lines(check(sandbox.root()).unwrap()), want);
    }
}
