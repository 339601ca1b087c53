//! What a command can fail with: which exit code, what, why, and what to do next.

use std::error::Error;
use std::fmt;

use crate::exit::Exit;

/// A failure, on its way to the one place that prints it.
#[derive(Debug)]
pub(crate) struct CliError {
    exit: Exit,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<String>,
}

impl CliError {
    /// A failure of our own, which no library error stands behind.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            source: None,
            hint: None,
        }
    }

    /// Input that means nothing here.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// What a library says, in its own words; its causes stay behind it.
    pub(crate) fn of(
        exit: Exit,
        error: impl Error + Send + Sync + 'static,
        hint: Option<String>,
    ) -> Self {
        Self {
            exit,
            message: error.to_string(),
            source: Some(Box::new(Spoken(Box::new(error)))),
            hint,
        }
    }

    /// The cause of this failure.
    pub(crate) fn because(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// What to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts what was being done in front; what failed becomes the first cause.
    pub(crate) fn during(self, message: impl Into<String>) -> Self {
        Self {
            exit: self.exit,
            message: message.into(),
            hint: self.hint.clone(),
            source: Some(Box::new(self)),
        }
    }

    /// How the process ends.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// What to do next, if there is something.
    pub(crate) fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The causes, nearest first.
    pub(crate) fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = self.source();
        while let Some(error) = next {
            causes.push(error.to_string());
            next = error.source();
        }
        causes
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for CliError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source: &(dyn Error + 'static) = self.source.as_deref()?;
        // What was said already is not said again: only what stands behind it.
        match source.downcast_ref::<Spoken>() {
            Some(spoken) => spoken.0.source(),
            None => Some(source),
        }
    }
}

/// A library error whose own text is the message already.
#[derive(Debug)]
struct Spoken(Box<dyn Error + Send + Sync>);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Spoken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_error_is_said_once_and_its_causes_follow() {
        let inner = CliError::new(Exit::Failed, "connection refused");
        let outer = CliError::new(Exit::Failed, "cannot reach the hub").because(inner);
        let error = CliError::of(Exit::Unreachable, outer, None);
        assert_eq!(error.to_string(), "cannot reach the hub");
        assert_eq!(error.causes(), ["connection refused"]);
    }

    #[test]
    fn what_was_being_done_stands_in_front_and_the_next_step_is_kept() {
        let error = CliError::new(Exit::Damaged, "the file is empty").hint("remove it");
        let error = error.during("cannot register");
        assert_eq!(error.to_string(), "cannot register");
        assert_eq!(error.causes(), ["the file is empty"]);
        assert_eq!(error.next_step(), Some("remove it"));
        assert_eq!(error.exit(), Exit::Damaged);
    }

    #[test]
    fn every_exit_code_reads_back() {
        for code in 0..8 {
            assert_eq!(i32::from(Exit::from_code(code).code()), code);
        }
        assert_eq!(Exit::from_code(130), Exit::Failed);
    }
}
