//! Rules of lines: endings, blanks, leftovers, and words that tie a file to one machine.

use crate::files::Text;
use crate::finding::Finding;

/// Applies the rules of lines to one file.
pub(super) fn check(text: &Text) -> Vec<Finding> {
    let finding = |line, (rule, message)| Finding::new(text.path.as_path(), line, rule, message);
    let mut findings = Vec::new();
    if !text.content.is_empty() && !text.content.ends_with('\n') {
        let message = "the file does not end with a newline".to_owned();
        findings.push(finding(text.content.lines().count(), ("newline", message)));
    }
    for (index, line) in text.content.lines().enumerate() {
        findings.extend(
            faults(text, line)
                .into_iter()
                .map(|fault| finding(index + 1, fault)),
        );
    }
    findings
}

/// What is wrong with one line: the rule and the message.
fn faults(text: &Text, line: &str) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    if text.is("rs") || text.is("md") || text.is("toml") {
        if line.contains('\t') {
            faults.push(("whitespace", "a tab: indent with spaces".to_owned()));
        }
        if line.ends_with(char::is_whitespace) {
            faults.push(("whitespace", "blanks at the end of the line".to_owned()));
        }
    }
    if let Some(word) = leftover(text, line) {
        faults.push((
            "leftover",
            format!("a {word} comment: do it, or file an issue"),
        ));
    }
    for directory in personal_directories()
        .iter()
        .filter(|directory| line.contains(*directory))
    {
        faults.push((
            "absolute-path",
            format!("names `{directory}…`, one machine's path"),
        ));
    }
    faults
}

/// A note to oneself in the comment of a line.
fn leftover(text: &Text, line: &str) -> Option<String> {
    let marker = match text.path.extension() {
        Some("rs" | "proto") => "//",
        Some("toml" | "py" | "sh" | "yml" | "yaml") => "#",
        Some("sql") => "--",
        _ => return None,
    };
    let comment = line.split_once(marker)?.1;
    let is_note = |word: &&str| notes().iter().any(|note| note == word);
    comment
        .split(|c: char| !c.is_ascii_alphabetic())
        .find(is_note)
        .map(str::to_owned)
}

/// The words, spelled so that this file does not find itself.
fn notes() -> [String; 2] {
    [["TO", "DO"].concat(), ["FIX", "ME"].concat()]
}

/// Directories of people, spelled so that this file does not find itself.
fn personal_directories() -> [String; 2] {
    ["home", "root"].map(|name| format!("/{name}/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lines;

    fn found(path: &str, content: &str) -> Vec<String> {
        lines(check(&Text {
            path: path.into(),
            content: content.to_owned(),
        }))
    }

    #[test]
    fn a_clean_file_has_no_finding() {
        assert_eq!(
            found("a.rs", "//! A.\n\nfn main() {}\n"),
            Vec::<String>::new()
        );
        assert_eq!(found("empty.txt", ""), Vec::<String>::new());
    }

    #[test]
    fn tabs_and_blanks_are_found_in_sources_and_documents_only() {
        let content = "a \n\tb\n";
        let want = [
            "1: whitespace: blanks at the end of the line",
            "2: whitespace: a tab: indent",
        ];
        for path in ["a.rs", "a.md", "a.toml"] {
            let found = found(path, content);
            assert_eq!(found.len(), 2, "{found:?}");
            assert!(
                found[0].contains(want[0]) && found[1].contains(want[1]),
                "{found:?}"
            );
        }
        assert_eq!(found("a.snap", content), Vec::<String>::new());
    }

    #[test]
    fn a_missing_newline_at_the_end_is_found_on_the_last_line() {
        let want = ["a.snap:2: newline: the file does not end with a newline"];
        assert_eq!(found("a.snap", "a\nb"), want);
    }

    #[test]
    fn notes_to_oneself_are_found_in_comments() {
        let [first, second] = notes();
        assert_eq!(
            found("a.rs", &format!("let a = 1; // {first}: later\n")).len(),
            1
        );
        assert_eq!(found("a.toml", &format!("# {second}(me)\n")).len(), 1);
        assert_eq!(found("a.sql", &format!("-- {first}\n")).len(), 1);
        assert_eq!(
            found("a.rs", &format!("let {first} = 1; // METHODOLOGY\n")).len(),
            0
        );
        assert_eq!(
            found("a.md", &format!("what to do with a {first}\n")).len(),
            0
        );
    }

    #[test]
    fn a_path_of_one_machine_is_found_in_any_text() {
        for directory in personal_directories() {
            assert_eq!(
                found("docs/a.txt", &format!("see {directory}me/x\n")).len(),
                1
            );
        }
        assert_eq!(found("docs/a.txt", "at home/or root/x\n").len(), 0);
    }
}
