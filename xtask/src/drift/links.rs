//! Relative links of documents lead to files that exist.

use camino::Utf8Path;

use crate::files::Text;
use crate::finding::Finding;
use crate::markdown::{self, Span};

/// Follows every relative link of every document.
pub(super) fn check(root: &Utf8Path, documents: &[Text]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for document in documents {
        let directory = root.join(document.path.parent().unwrap_or(Utf8Path::new("")));
        for (line, prose) in markdown::prose(&document.content) {
            for target in targets(prose) {
                let file = target.split('#').next().unwrap_or_default();
                let elsewhere = target.contains("://") || target.starts_with("mailto:");
                if !elsewhere && !file.is_empty() && !directory.join(file).exists() {
                    let message = format!("`{target}` does not exist");
                    findings.push(Finding::new(document.path.as_path(), line, "link", message));
                }
            }
        }
    }
    findings
}

/// Where the links of a line lead: `[text](target)` and `[label]: target`, outside code.
fn targets(line: &str) -> Vec<String> {
    let outside = |span| {
        if let Span::Plain(text) = span {
            text
        } else {
            "code"
        }
    };
    let plain: String = markdown::spans(line).into_iter().map(outside).collect();
    let mut targets: Vec<String> = Vec::new();
    if let Some((label, target)) = plain.trim_start().split_once("]: ")
        && label.starts_with('[')
        && !label.starts_with("[^")
    {
        targets.extend(target.split_whitespace().next().map(str::to_owned));
    }
    for after in plain.split("](").skip(1) {
        let inside = after.split(')').next().unwrap_or_default();
        targets.extend(inside.split_whitespace().next().map(str::to_owned));
    }
    targets
        .iter()
        .map(|target| target.trim_matches(['<', '>']).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sandbox, lines};

    fn found(content: &str) -> Vec<String> {
        let sandbox = Sandbox::new();
        sandbox.write("docs/b.md", "");
        sandbox.write("README.md", "");
        let document = Text {
            path: "docs/a.md".into(),
            content: content.to_owned(),
        };
        lines(check(sandbox.root(), &[document]))
    }

    #[test]
    fn links_to_files_headings_and_the_web_pass() {
        let text = "[b](b.md) [b](./b.md#x \"title\") [r](../README.md) [d](../docs)\n\
            [h](#here) [w](https://example.org/x) [m](mailto:a@example.org)\n[l]: b.md\n\
            `[no](link.md)` and `` `[no](link.md)` ``\n```\n[no](link.md)\n```\n";
        assert_eq!(found(text), Vec::<String>::new());
    }

    #[test]
    fn every_link_that_leads_nowhere_is_found() {
        let text = "[c](c.md) and [`code`](../d.md#x)\n\n[l]: <e.md>\n";
        let want = [
            "docs/a.md:1: link: `../d.md#x` does not exist",
            "docs/a.md:1: link: `c.md` does not exist",
            "docs/a.md:3: link: `e.md` does not exist",
        ];
        assert_eq!(found(text), want);
    }
}
