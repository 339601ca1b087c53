//! What a check found: one line a finding, in the shape that editors and CI logs can link.

use std::fmt;

use camino::Utf8PathBuf;

/// One fault, at the place where a person would mend it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Path relative to the root of the workspace, or the name of a step where no file is at fault.
    pub(crate) file: Utf8PathBuf,
    /// Line, from 1; 0 when the whole file is meant.
    pub(crate) line: usize,
    /// Short name of the rule that was broken.
    pub(crate) rule: &'static str,
    /// What is wrong and what would be right.
    pub(crate) message: String,
}

impl Finding {
    /// Makes a finding at a line of a file.
    pub(crate) fn new(
        file: impl Into<Utf8PathBuf>,
        line: usize,
        rule: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            file: file.into(),
            line,
            rule,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}: {}",
            self.file, self.line, self.rule, self.message
        )
    }
}

/// Prints every finding once, sorted by place, and gives their number.
pub(crate) fn print(mut findings: Vec<Finding>) -> usize {
    findings.sort();
    // A file that is in two targets is compiled, and complained about, twice.
    findings.dedup();
    for finding in &findings {
        println!("{finding}");
    }
    findings.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_file_line_rule_message() {
        let finding = Finding::new("docs/a.md", 3, "link", "`b.md` does not exist");
        assert_eq!(
            finding.to_string(),
            "docs/a.md:3: link: `b.md` does not exist"
        );
    }

    #[test]
    fn the_same_finding_counts_once() {
        let finding = |line| Finding::new("a.rs", line, "clippy", "unused");
        assert_eq!(print(vec![finding(1), finding(2), finding(1)]), 2);
    }
}
