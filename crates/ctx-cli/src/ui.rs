//! What people and programs see: results on standard output, everything else on standard error.

mod error;
mod out;
mod table;
mod text;

pub(crate) use error::{ErrorBody, ErrorDocument, on_one_line};
pub(crate) use out::Screen;
pub(crate) use table::Table;
pub(crate) use text::{age, count, list, printable, printable_lines, when};

use std::io::{self, Write};

use serde::Serialize;

/// The result of a command: data for programs, and the same as text for people.
pub(crate) trait Report: Serialize {
    /// Writes the text.
    ///
    /// # Errors
    /// `out` takes no more.
    fn text(&self, out: &mut dyn Write) -> io::Result<()>;
}
