//! Commands of ours in what a packager installs: unit files, container files, their comments.

use crate::files::Text;
use crate::markdown::{self, Span};

/// Instructions of a container file that name a program as a JSON array.
const ARRAYS: [&str; 3] = ["CMD", "ENTRYPOINT", "HEALTHCHECK"];

/// Whether it is such a file.
pub(super) fn is_packaging(text: &Text) -> bool {
    text.path.starts_with("packaging") && !text.is("md")
}

/// The lines of shell that it comes to, each with the number of its first line.
pub(super) fn lines(content: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in whole_lines(content) {
        if let Some(comment) = line.strip_prefix('#') {
            let commands = markdown::spans(comment)
                .into_iter()
                .filter_map(|span| match span {
                    Span::Code(code) if code.starts_with("ctx ") => Some((number, code.to_owned())),
                    _ => None,
                });
            found.extend(commands);
        } else if let Some((key, value)) = line.split_once('=')
            && key.starts_with("Exec")
        {
            // What stands before the program changes how it is run.
            let value = value.trim_start_matches(['-', '@', ':', '+', '!']);
            found.push((number, value.to_owned()));
        } else if ARRAYS.iter().any(|word| line.starts_with(word)) {
            found.extend(array(&line).map(|words| (number, words.join(" "))));
        }
    }
    found
}

/// The JSON array at the end of an instruction.
fn array(line: &str) -> Option<Vec<String>> {
    serde_json::from_str(line.get(line.find('[')?..)?).ok()
}

/// Lines, those that go on behind a backslash joined.
fn whole_lines(content: &str) -> Vec<(usize, String)> {
    let mut whole: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(content.lines()) {
        let (text, next) = match line.strip_suffix('\\') {
            Some(text) => (text, true),
            None => (line, false),
        };
        match whole.last_mut() {
            Some((_, before)) if goes_on => before.push_str(text.trim_start()),
            _ => whole.push((number, text.to_owned())),
        }
        goes_on = next;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_in_units_container_files_and_comments() {
        let text = "# As `ctx hub start --daemon` does.\nExecStart=-/usr/bin/ctx hub start \\\n    --port 1\n\
            Environment=A=ctx\nHEALTHCHECK --retries=3 \\\n  CMD [\"/usr/bin/ctx\", \"hub\", \"status\"]\n\
            RUN cargo build\nENTRYPOINT [\"ctx\", \"hub\"]\n";
        let want = [
            (1, "ctx hub start --daemon"),
            (2, "/usr/bin/ctx hub start --port 1"),
            (5, "/usr/bin/ctx hub status"),
            (8, "ctx hub"),
        ];
        let want: Vec<_> = want
            .iter()
            .map(|(n, line)| (*n, (*line).to_owned()))
            .collect();
        assert_eq!(lines(text), want);
    }
}
