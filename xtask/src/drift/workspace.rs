//! The diagram of the workspace is what `cargo metadata` says.

use std::collections::BTreeSet;

use camino::Utf8Path;
use cargo_metadata::DependencyKind;

use crate::deps::{self, Edges};
use crate::error::CheckError;
use crate::files;
use crate::finding::Finding;
use crate::markdown;

/// The page with the diagram.
pub(super) const PAGE: &str = "docs/architecture.md";
const RULE: &str = "workspace";
const INFO: &str = "text workspace";

/// Compares the diagram with the edges between the crates.
pub(super) fn check(root: &Utf8Path) -> Result<Vec<Finding>, CheckError> {
    let hint = "write it, with the crates in a block that opens with ```text workspace";
    let page = files::read(root, PAGE, hint)?;
    let edges = deps::edges(&deps::metadata(root)?, Some(DependencyKind::Normal));
    Ok(compare(&page, &edges))
}

/// What differs between the diagram and the edges, line by line.
fn compare(page: &str, edges: &Edges) -> Vec<Finding> {
    let finding = |line, message: String| Finding::new(PAGE, line, RULE, message);
    let fences = markdown::fences(page);
    let Some(diagram) = fences.iter().find(|fence| fence.info == INFO) else {
        return vec![finding(1, format!("no block opens with ```{INFO}"))];
    };
    let mut findings = Vec::new();
    let mut drawn = BTreeSet::new();
    let mut last = 1;
    for (line, text) in diagram
        .lines
        .iter()
        .filter(|(_, text)| !text.trim().is_empty())
    {
        last = *line;
        let Some((name, uses)) = text.split_once("->") else {
            findings.push(finding(last, "is not `crate -> crates it uses`".to_owned()));
            continue;
        };
        if !drawn.insert(name.trim()) {
            findings.push(finding(
                last,
                format!("`{}` stands there twice", name.trim()),
            ));
        }
        let fault = judge(name.trim(), uses, edges);
        findings.extend(fault.map(|message| finding(last, message)));
    }
    for name in edges.keys().filter(|name| !drawn.contains(name.as_str())) {
        findings.push(finding(last, format!("`{name}` is not in the diagram")));
    }
    findings
}

/// What is wrong with one line of the diagram.
fn judge(name: &str, uses: &str, edges: &Edges) -> Option<String> {
    let Some(real) = edges.get(name) else {
        return Some(format!("`{name}` is no crate of the workspace"));
    };
    let drawn: BTreeSet<&str> = uses.split_whitespace().collect();
    let real: BTreeSet<&str> = real.iter().map(String::as_str).collect();
    let line = format!("{name} -> {}", Vec::from_iter(real.clone()).join(" "));
    (drawn != real).then(|| format!("should be `{}`", line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lines;

    fn found(page: &str) -> Vec<String> {
        let set = |used: &[&str]| used.iter().map(ToString::to_string).collect();
        let edges = [("a", set(&[])), ("b", set(&["a"])), ("c", set(&["a", "b"]))];
        let edges = edges
            .map(|(name, uses)| (name.to_owned(), uses))
            .into_iter()
            .collect();
        lines(compare(page, &edges))
    }

    #[test]
    fn a_diagram_in_any_order_passes() {
        let page = "x\n```text workspace\nc -> b a\nb -> a\na ->\n```\n";
        assert_eq!(found(page), Vec::<String>::new());
    }

    #[test]
    fn every_wrong_line_is_found() {
        let page = "```text workspace\nb ->\nd -> a\nb -> a\nwhat\n```\n";
        let want = [
            "docs/architecture.md:2: workspace: should be `b -> a`",
            "docs/architecture.md:3: workspace: `d` is no crate of the workspace",
            "docs/architecture.md:4: workspace: `b` stands there twice",
            "docs/architecture.md:5: workspace: `a` is not in the diagram",
            "docs/architecture.md:5: workspace: `c` is not in the diagram",
            "docs/architecture.md:5: workspace: is not `crate -> crates it uses`",
        ];
        assert_eq!(found(page), want);
    }

    #[test]
    fn a_page_without_a_diagram_is_found() {
        let want = ["docs/architecture.md:1: workspace: no block opens with ```text workspace"];
        assert_eq!(found("# A\n"), want);
    }
}
