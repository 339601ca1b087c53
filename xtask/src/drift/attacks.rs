//! What `docs/security.md` says was attacked: each threat has a mechanism and an attack, and each test
//! that is named stands where it is said to.
//!
//! A cell of the column `test` names tests in backticks: a function, after its modules or after its
//! file (`attack/admin.rs` `a_name`), `…_its_end` or `its_beginning_…` for one that goes so, or a module whose tests all
//! belong to it. `the same` is that of the row before.

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::CheckError;
use crate::files::Text;
use crate::finding::Finding;
use crate::markdown::{self, Span};

/// The page.
pub(super) const PAGE: &str = "docs/security.md";

const RULE: &str = "attack";

/// Sections that speak of no threat.
const NO_THREAT: [&str; 2] = ["What is protected", "Who is trusted with what"];

/// A file with tests, and their names.
struct Tests {
    /// The path without its extension.
    path: Utf8PathBuf,
    names: Vec<String>,
}

/// Compares the page with the tests that there are.
pub(super) fn check(root: &Utf8Path, documents: &[Text]) -> Result<Vec<Finding>, CheckError> {
    let Some(page) = documents.iter().find(|text| text.path == PAGE) else {
        return Err(CheckError::Missing {
            what: format!("{PAGE} is missing"),
            hint: "restore it from the repository".to_owned(),
        });
    };
    let files = crate::files::texts(root)?;
    let tests: Vec<Tests> = files.iter().filter(|file| file.is("rs")).map(of).collect();
    let mut findings = sections(&page.content);
    for (line, cell) in cells(&page.content) {
        findings.extend(named(line, cell, &tests));
    }
    Ok(findings)
}

/// Sections that say of a threat neither what stops it nor how it was attacked.
fn sections(page: &str) -> Vec<Finding> {
    let prose = markdown::prose(page);
    let attacks: Vec<usize> = cells(page).into_iter().map(|(line, _)| line).collect();
    let starts: Vec<(usize, &str)> = prose
        .iter()
        .filter_map(|(line, text)| Some((*line, text.strip_prefix("## ")?.trim())))
        .collect();
    let mut findings = Vec::new();
    for (index, (start, title)) in starts.iter().enumerate() {
        let end = starts.get(index + 1).map_or(usize::MAX, |(line, _)| *line);
        let inside = |line: usize| (*start..end).contains(&line);
        let explained = |(line, text): &(usize, &str)| inside(*line) && text.contains("Mechanism");
        if NO_THREAT.contains(title) {
            continue;
        }
        if !prose.iter().any(explained) {
            let message = format!("\"{title}\" does not say by which Mechanism it holds");
            findings.push(Finding::new(PAGE, *start, RULE, message));
        }
        if !attacks.iter().any(|line| inside(*line)) {
            let message = format!("\"{title}\" has no attack in a table");
            findings.push(Finding::new(PAGE, *start, RULE, message));
        }
    }
    findings
}

/// The cells that name tests, each with its line.
fn cells(page: &str) -> Vec<(usize, &str)> {
    let mut cells = Vec::new();
    for table in markdown::tables(page) {
        let (Some(_), Some(test)) = (table.column("attack"), table.column("test")) else {
            continue;
        };
        let rows = table.rows.into_iter();
        cells.extend(rows.map(|(line, row)| (line, row.get(test).copied().unwrap_or_default())));
    }
    cells
}

/// What a cell names and is not there.
fn named(line: usize, cell: &str, tests: &[Tests]) -> Vec<Finding> {
    let finding = |message: String| Finding::new(PAGE, line, RULE, message);
    let spans = markdown::spans(cell);
    let names: Vec<&str> = spans
        .iter()
        .filter_map(|span| match span {
            Span::Code(name) => Some(name.trim()),
            Span::Plain(_) => None,
        })
        .collect();
    if names.is_empty() && cell != "the same" {
        return vec![finding("the row names no test".to_owned())];
    }
    let mut findings = Vec::new();
    let mut file: Option<&str> = None;
    for name in names {
        if let Some(stem) = name.strip_suffix(".rs") {
            file = Some(stem);
            if !tests.iter().any(|tests| ends_with(&tests.path, stem)) {
                findings.push(finding(format!("there is no file `{name}`")));
            }
        } else if !tests.iter().any(|tests| has(tests, file, name)) {
            findings.push(finding(format!("there is no test `{name}`")));
        }
    }
    findings
}

/// Whether a file has the test, or is the module, that `name` says.
fn has(tests: &Tests, file: Option<&str>, name: &str) -> bool {
    if file.is_some_and(|file| !ends_with(&tests.path, file)) {
        return false;
    }
    let (modules, last) = name.rsplit_once("::").unwrap_or(("", name));
    let is_it = |test: &String| match (last.strip_prefix('…'), last.strip_suffix('…')) {
        (Some(end), _) => test.ends_with(end),
        (None, Some(start)) => test.starts_with(start),
        (None, None) => test == last,
    };
    let in_modules = || within(&tests.path, modules.split("::").filter(|m| !m.is_empty()));
    let is_module = || !modules.is_empty() && ends_with(&tests.path, &name.replace("::", "/"));
    tests.names.iter().any(is_it) && in_modules() || is_module() && !tests.names.is_empty()
}

/// Whether the last parts of `path` are those of `end`.
fn ends_with(path: &Utf8Path, end: &str) -> bool {
    path.ends_with(Utf8Path::new(end))
}

/// Whether `modules` are among the parts of `path`, in their order.
fn within<'a>(path: &Utf8Path, mut modules: impl Iterator<Item = &'a str>) -> bool {
    let mut parts = path.components();
    modules.all(|module| module == "tests" || parts.any(|part| part.as_str() == module))
}

/// The tests of a file: functions below an attribute that ends with `test`, those in macros included.
fn of(file: &Text) -> Tests {
    let mut names = Vec::new();
    let mut marked = false;
    for line in file.content.lines().map(str::trim_start) {
        if line.starts_with("#[") {
            let attribute = line.trim_start_matches("#[");
            let attribute = attribute.split(['(', ']']).next().unwrap_or_default();
            marked |= attribute.rsplit("::").next() == Some("test");
        } else if let Some(rest) = ["fn ", "async fn "]
            .iter()
            .find_map(|start| line.strip_prefix(start))
        {
            if marked {
                let name = rest.split(['(', '<']).next().unwrap_or_default();
                names.push(name.to_owned());
            }
            marked = false;
        }
    }
    Tests {
        path: file.path.with_extension(""),
        names,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sandbox, lines};

    const TESTS: &str = "#[tokio::test]\nasync fn a_flood_ends() {}\n\nfn a_helper() {}\n\
        #[test]\n#[cfg(unix)]\nfn a_name_is_kept() {}\n";

    fn found(page: &str) -> Vec<String> {
        let sandbox = Sandbox::new();
        sandbox.write("crates/hub/tests/it/attack/flood.rs", TESTS);
        sandbox.write(PAGE, page);
        let documents = crate::files::texts(sandbox.root()).unwrap();
        lines(check(sandbox.root(), &documents).unwrap())
    }

    fn page(cells: &[&str]) -> String {
        let rows: String = cells
            .iter()
            .map(|c| format!("| a | b | c | {c} |\n"))
            .collect();
        format!(
            "# S\n\n## What is protected\n\n## A flood\n\n**Mechanism.** Limits.\n\n\
             | attack | expectation | observed | test |\n|---|---|---|---|\n{rows}"
        )
    }

    #[test]
    fn tests_that_are_there_may_be_named_in_every_way() {
        let cells = [
            "`a_flood_ends`",
            "`attack::flood::a_name_is_kept`, `…_ends`, `a_name_…`",
            "`flood::a_flood_ends`",
            "`attack/flood.rs` `a_flood_ends`",
            "the same",
            "`attack::flood` of the hub",
        ];
        assert_eq!(found(&page(&cells)), Vec::<String>::new());
    }

    #[test]
    fn a_test_a_file_and_a_place_that_are_not_there_are_found() {
        let cells = [
            "`a_helper`",
            "`attack/other.rs` `a_flood_ends`",
            "`attack::drought::a_flood_ends`",
            "seen by hand",
        ];
        let want = [
            "docs/security.md:11: attack: there is no test `a_helper`",
            "docs/security.md:12: attack: there is no file `attack/other.rs`",
            "docs/security.md:12: attack: there is no test `a_flood_ends`",
            "docs/security.md:13: attack: there is no test `attack::drought::a_flood_ends`",
            "docs/security.md:14: attack: the row names no test",
        ];
        assert_eq!(found(&page(&cells)), want);
    }

    #[test]
    fn a_threat_without_a_mechanism_or_an_attack_is_found() {
        let page = format!("{}\n## A drought\n\nWords.\n", page(&["`a_flood_ends`"]));
        let want = [
            "docs/security.md:13: attack: \"A drought\" does not say by which Mechanism it holds",
            "docs/security.md:13: attack: \"A drought\" has no attack in a table",
        ];
        assert_eq!(found(&page), want);
    }
}
