//! A failure as people read it, and as programs do.

use serde::Serialize;

use super::text::printable_lines;
use crate::error::CliError;
use crate::exit::Exit;

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const CYAN: &str = "\x1b[1;36m";
const RESET: &str = "\x1b[0m";

/// What failed, why, and what to do next.
pub(super) fn text(failure: &CliError, colour: bool) -> String {
    let mut text = line("error:", RED, &failure.to_string(), colour);
    for cause in failure.causes() {
        text.push_str(&line("  caused by:", "", &cause, colour));
    }
    if let Some(hint) = failure.next_step() {
        text.push_str(&line("hint:", CYAN, hint, colour));
    }
    text
}

/// What failed and why, on one line.
pub(crate) fn on_one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// What somebody should look at, and what to do about it.
pub(super) fn warning(message: &str, hint: Option<&str>, colour: bool) -> String {
    let mut text = line("warning:", YELLOW, message, colour);
    if let Some(hint) = hint {
        text.push_str(&line("hint:", CYAN, hint, colour));
    }
    text
}

/// The same as a line of a log that programs read, with what the log itself writes in its lines.
pub(super) fn log_line(
    level: &str,
    message: &str,
    causes: &[String],
    hint: Option<&str>,
) -> String {
    let line = LogLine {
        timestamp: jiff::Timestamp::now().to_string(),
        level,
        message,
        causes,
        hint,
        target: "ctx",
    };
    // Texts and lists of them: nothing that JSON cannot say.
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

#[derive(Serialize)]
struct LogLine<'a> {
    timestamp: String,
    level: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    causes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    target: &'a str,
}

fn line(label: &str, paint: &str, message: &str, colour: bool) -> String {
    // A message may repeat what a peer or a file said, which must not steer the terminal.
    let message = printable_lines(message);
    if colour && !paint.is_empty() {
        format!("{paint}{label}{RESET} {message}\n")
    } else {
        format!("{label} {message}\n")
    }
}

/// A failure as a JSON document.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorDocument {
    error: ErrorBody,
}

/// What is in it.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody {
    kind: Exit,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    exit_code: u8,
}

impl ErrorBody {
    /// The gist, in a word or two.
    pub(crate) const fn short(&self) -> &'static str {
        match self.kind {
            Exit::Unreachable => "cannot be reached",
            Exit::Refused => "refused the credentials",
            _ => "cannot be asked",
        }
    }
}

impl ErrorDocument {
    /// The document of `failure`.
    pub(crate) fn of(failure: &CliError) -> Self {
        Self {
            error: Self::body(failure),
        }
    }

    /// The same without the frame, to stand inside a report.
    pub(crate) fn body(failure: &CliError) -> ErrorBody {
        ErrorBody {
            kind: failure.exit(),
            message: failure.to_string(),
            causes: failure.causes(),
            hint: failure.next_step().map(ToOwned::to_owned),
            exit_code: failure.exit().code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> CliError {
        CliError::new(Exit::Busy, "the lock is held")
            .because(CliError::new(Exit::Failed, "by \x1b[2Jsomebody"))
            .hint("wait")
    }

    #[test]
    fn a_failure_names_its_causes_and_the_next_step_and_steers_no_terminal() {
        assert_eq!(
            text(&failure(), false),
            "error: the lock is held\n  caused by: by \u{fffd}[2Jsomebody\nhint: wait\n"
        );
    }

    #[test]
    fn a_failure_is_a_document_for_programs() {
        let json = serde_json::to_value(ErrorDocument::of(&failure())).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"error": {
                "kind": "busy", "message": "the lock is held",
                "causes": ["by \u{1b}[2Jsomebody"], "hint": "wait", "exit_code": 3,
            }})
        );
    }
}
