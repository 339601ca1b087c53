//! Rules of layout: how a file opens, how long it is, where tests are, what a manifest says.

use camino::Utf8Path;
use syn::ItemMod;
use syn::visit::{self, Visit};

use crate::consts::{extent, is_test};
use crate::files::Text;
use crate::finding::Finding;

/// The most lines a file may have outside its unit tests.
const LONGEST: usize = 600;

/// Applies the rules of layout to every file.
pub(super) fn check(root: &Utf8Path, texts: &[Text]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for text in texts {
        if text.is("rs") {
            findings.extend(opening(text));
            findings.extend(length(text));
            findings.extend(stray_test(text));
        } else if text.path.file_name() == Some("Cargo.toml") {
            findings.extend(manifest(root, text));
        }
    }
    findings
}

/// Every source file says first what it is for; only inner attributes may stand before.
fn opening(text: &Text) -> Option<Finding> {
    let first = text.content.lines().find(|line| !line.starts_with("#!"));
    let says = first.is_some_and(|line| line.len() > 4 && line.starts_with("//! "));
    let message = "the file does not open with `//!` and what it is for";
    (!says).then(|| Finding::new(text.path.as_path(), 1, "opening", message))
}

/// A file holds one idea; one that is this long holds more.
fn length(text: &Text) -> Option<Finding> {
    if super::is_generated(text) {
        return None;
    }
    let lines = text.content.lines().count();
    let own = match syn::parse_file(&text.content) {
        Ok(file) => {
            let mut tests = TestLines::default();
            tests.visit_file(&file);
            lines.saturating_sub(tests.count)
        }
        // What does not parse is reported by the token rules.
        Err(_) => lines,
    };
    let message = format!("{own} lines outside its unit tests, more than {LONGEST}: split it");
    (own > LONGEST).then(|| Finding::new(text.path.as_path(), 1, "length", message))
}

#[derive(Default)]
struct TestLines {
    count: usize,
}

impl<'ast> Visit<'ast> for TestLines {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if is_test(item) {
            let (first, last) = extent(item);
            self.count += last + 1 - first;
        } else {
            visit::visit_item_mod(self, item);
        }
    }
}

/// With `autotests = false` a file beside `tests/it` is never compiled, and nobody is told.
fn stray_test(text: &Text) -> Option<Finding> {
    let parent = text.path.parent()?;
    let stray = parent.file_name() == Some("tests") && is_crate(parent.parent()?);
    let message = "a test beside tests/it is never run: make it a module of tests/it/main.rs";
    stray.then(|| Finding::new(text.path.as_path(), 1, "stray-test", message))
}

fn is_crate(path: &Utf8Path) -> bool {
    path == "xtask" || path.parent().is_some_and(|parent| parent == "crates")
}

/// A crate takes the workspace's lints, and with a `tests/it` has no other test binary.
fn manifest(root: &Utf8Path, text: &Text) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(directory) = text.path.parent().filter(|parent| is_crate(parent)) else {
        return findings;
    };
    let says = |wanted: &str| {
        settings(&text.content)
            .iter()
            .any(|setting| setting == wanted)
    };
    let mut fault = |message: &str| {
        findings.push(Finding::new(text.path.as_path(), 1, "manifest", message));
    };
    if directory != "xtask" && !says("lints.workspace=true") {
        fault("does not take the workspace's lints: add `[lints]` with `workspace = true`");
    }
    if root.join(directory).join("tests/it").is_dir() && !says("package.autotests=false") {
        fault("has tests/it and not `autotests = false`");
    }
    findings
}

/// The simple settings of a manifest as `section.key=value`, without blanks.
fn settings(manifest: &str) -> Vec<String> {
    let mut section = String::new();
    let mut settings = Vec::new();
    for line in manifest.lines() {
        let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = format!("{name}.");
        } else if !line.starts_with('#') {
            let setting = line.split('#').next().unwrap_or_default();
            settings.push(format!("{section}{setting}"));
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lines;

    fn found(path: &str, content: &str) -> Vec<String> {
        let text = Text {
            path: path.into(),
            content: content.to_owned(),
        };
        lines(check(Utf8Path::new("/nowhere"), &[text]))
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_for_is_found() {
        for content in [
            "fn main() {}\n",
            "",
            "//!\n",
            "// A.\n",
            "#![allow(x)]\nfn main() {}\n",
        ] {
            let found = found("a.rs", content);
            assert_eq!(found.len(), 1, "{content:?}: {found:?}");
            assert!(found[0].starts_with("a.rs:1: opening:"), "{found:?}");
        }
        for content in ["//! A.\n", "#![allow(x)]\n//! A.\n"] {
            assert_eq!(found("a.rs", content), Vec::<String>::new(), "{content:?}");
        }
    }

    #[test]
    fn only_lines_outside_unit_tests_make_a_file_too_long() {
        let code = |lines: usize| format!("//! A.\n{}", "fn f() {}\n".repeat(lines));
        let tests = "#[cfg(test)]\nmod tests {\n    fn t() {}\n}\n";
        assert_eq!(
            found("a.rs", &format!("{}{tests}", code(599))),
            Vec::<String>::new()
        );
        let long = found("a.rs", &format!("{}{tests}", code(600)));
        assert_eq!(
            long,
            ["a.rs:1: length: 601 lines outside its unit tests, more than 600: split it"]
        );
        let generated = format!("//! Generated by x\n{}", "fn f() {}\n".repeat(700));
        assert_eq!(found("a.rs", &generated), Vec::<String>::new());
    }

    #[test]
    fn a_test_file_that_would_never_run_is_found() {
        assert!(found("crates/x/tests/lost.rs", "//! A.\n")[0].contains("stray-test"));
        assert!(found("xtask/tests/lost.rs", "//! A.\n")[0].contains("stray-test"));
        for fine in ["crates/x/tests/it/main.rs", "crates/x/src/tests/a.rs"] {
            assert_eq!(found(fine, "//! A.\n"), Vec::<String>::new());
        }
    }

    #[test]
    fn a_crate_without_the_shared_lints_is_found() {
        let manifest = "[package]\nname = \"x\"\n\n[dependencies]\nworkspace = true\n";
        assert!(found("crates/x/Cargo.toml", manifest)[0].contains("workspace's lints"));
        assert_eq!(found("xtask/Cargo.toml", manifest), Vec::<String>::new());
        assert_eq!(found("Cargo.toml", "[workspace]\n"), Vec::<String>::new());
        for lints in [
            "[lints]\nworkspace = true # all\n",
            "lints.workspace = true\n",
        ] {
            assert_eq!(found("crates/x/Cargo.toml", lints), Vec::<String>::new());
        }
    }

    #[test]
    fn a_crate_that_collects_tests_by_itself_is_found() {
        let sandbox = crate::testing::Sandbox::new();
        sandbox.write("crates/x/tests/it/main.rs", "//! Tests.\n");
        let check = |content: &str| {
            let text = Text {
                path: "crates/x/Cargo.toml".into(),
                content: content.to_owned(),
            };
            lines(check(sandbox.root(), &[text]))
        };
        let lints = "[lints]\nworkspace = true\n";
        assert!(check(&format!("[package]\n{lints}"))[0].contains("autotests"));
        let off = format!("[package]\nautotests = false\n{lints}");
        assert_eq!(check(&off), Vec::<String>::new());
    }
}
