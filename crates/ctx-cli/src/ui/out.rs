//! The two streams, and the one place that writes to them.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::{Report, error};
use crate::args::{Colour, Global, LogFormat};
use crate::env::Environment;
use crate::error::CliError;
use crate::exit::Exit;

/// Standard output and standard error, and how they are wanted.
///
/// A reader that closed standard output has seen enough: that is no error, and what would follow
/// is dropped. What standard error does not take is lost, for there is nobody left to tell.
#[derive(Debug)]
pub(crate) struct Screen {
    json: bool,
    quiet: bool,
    colour_out: bool,
    colour_err: bool,
    /// Somebody watches standard error.
    watched: bool,
    /// Standard error is read by programs.
    log_json: bool,
    closed: AtomicBool,
}

impl Screen {
    /// The streams as `global` wants them.
    pub(crate) fn new(global: &Global, env: &Environment) -> Self {
        let mut screen = Self::plain(global.json, global.quiet).coloured(global.color, env);
        screen.watched = env.stderr_is_terminal();
        screen
    }

    /// The streams without colour.
    pub(crate) const fn plain(json: bool, quiet: bool) -> Self {
        Self {
            json,
            quiet,
            colour_out: false,
            colour_err: false,
            watched: false,
            log_json: false,
            closed: AtomicBool::new(false),
        }
    }

    /// The streams with colour where `colour` and the terminal want it.
    pub(crate) fn coloured(mut self, colour: Colour, env: &Environment) -> Self {
        (self.colour_out, self.colour_err) = match colour {
            Colour::Auto => (env.stdout_takes_colour(), env.stderr_takes_colour()),
            Colour::Always => (true, true),
            Colour::Never => (false, false),
        };
        self
    }

    /// The streams with standard error written as `format` says.
    pub(crate) fn logging(mut self, format: LogFormat) -> Self {
        self.log_json = format == LogFormat::Json;
        if self.log_json {
            (self.colour_err, self.watched) = (false, false);
        }
        self
    }

    /// Whether standard error is one JSON object a line.
    pub(crate) const fn logs_json(&self) -> bool {
        self.log_json
    }

    /// Whether programs read the output.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether standard error may be coloured.
    pub(crate) const fn colours_stderr(&self) -> bool {
        self.colour_err
    }

    /// Whether the reader of standard output has gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Writes a result.
    ///
    /// # Errors
    /// Standard output does not take it, as when a disk is full.
    pub(crate) fn show(&self, report: &impl Report) -> Result<(), CliError> {
        if self.json {
            return self.json(report);
        }
        let mut text = Vec::new();
        report.text(&mut text).map_err(unwritable)?;
        if self.quiet { Ok(()) } else { self.raw(&text) }
    }

    /// Writes a result that cannot be had again, also where quiet is wanted.
    ///
    /// # Errors
    /// As [`Screen::show`].
    pub(crate) fn show_once(&self, report: &impl Report) -> Result<(), CliError> {
        if self.json {
            return self.json(report);
        }
        let mut text = Vec::new();
        report.text(&mut text).map_err(unwritable)?;
        self.raw(&text)
    }

    /// Writes text for people: nothing where programs read, or where quiet is wanted.
    ///
    /// # Errors
    /// As [`Screen::show`].
    pub(crate) fn text(&self, text: &str) -> Result<(), CliError> {
        if self.json || self.quiet {
            return Ok(());
        }
        self.raw(text.as_bytes())
    }

    /// Writes a JSON document and a line break.
    ///
    /// # Errors
    /// As [`Screen::show`].
    pub(crate) fn json(&self, document: &impl Serialize) -> Result<(), CliError> {
        let mut bytes = serde_json::to_vec(document)
            .map_err(|error| CliError::new(Exit::Failed, "cannot write JSON").because(error))?;
        bytes.push(b'\n');
        self.raw(&bytes)
    }

    /// Writes bytes as they are, whatever was said about quiet.
    ///
    /// # Errors
    /// As [`Screen::show`].
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), CliError> {
        if self.is_closed() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed.store(true, Ordering::Relaxed);
                Ok(())
            }
            written => written.map_err(unwritable),
        }
    }

    /// Writes what clap has to say for itself, such as help.
    ///
    /// # Errors
    /// As [`Screen::show`].
    pub(crate) fn styled(&self, text: &clap::builder::StyledStr) -> Result<(), CliError> {
        if self.colour_out {
            self.raw(text.ansi().to_string().as_bytes())
        } else {
            self.raw(text.to_string().as_bytes())
        }
    }

    /// Writes what clap complains of.
    pub(crate) fn styled_error(&self, text: &clap::builder::StyledStr) {
        if self.colour_err {
            self.complain(&text.ansi().to_string());
        } else {
            self.complain(&text.to_string());
        }
    }

    /// Says something that is good to know.
    pub(crate) fn notice(&self, text: &str) {
        if self.quiet {
        } else if self.log_json {
            self.complain(&error::log_line("INFO", text, &[], None));
        } else {
            self.complain(&format!("{text}\n"));
        }
    }

    /// Shows how far something long has come, in the place of what was shown before; empty text
    /// clears it. Only where somebody watches.
    pub(crate) fn progress(&self, text: &str) {
        if self.watched && !self.quiet {
            self.complain(&format!("\r{text}\x1b[K"));
        }
    }

    /// Says something that somebody should look at, quiet or not.
    pub(crate) fn warning(&self, text: &str, hint: Option<&str>) {
        self.complain(&if self.log_json {
            error::log_line("WARN", text, &[], hint)
        } else {
            error::warning(text, hint, self.colour_err)
        });
    }

    /// Says what failed: as text on standard error, and as a document on standard output where
    /// programs read it.
    pub(crate) fn error(&self, failure: &CliError) {
        if self.json {
            let document = super::ErrorDocument::of(failure);
            // There is nothing to do about an error that cannot be written.
            self.json(&document).ok();
        }
        self.error_text(failure);
    }

    /// Says what failed for people alone; a document has it already, if there is one.
    pub(crate) fn error_text(&self, failure: &CliError) {
        if self.json && self.quiet {
        } else if self.log_json {
            let (text, causes) = (failure.to_string(), failure.causes());
            let hint = failure.next_step();
            self.complain(&error::log_line("ERROR", &text, &causes, hint));
        } else {
            self.complain(&error::text(failure, self.colour_err));
        }
    }

    fn complain(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        stderr.write_all(text.as_bytes()).ok();
        stderr.flush().ok();
    }
}

fn unwritable(error: io::Error) -> CliError {
    CliError::new(Exit::Failed, "cannot write to standard output").because(error)
}
