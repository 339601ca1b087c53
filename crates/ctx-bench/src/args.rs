//! What can be typed after `ctx-bench`; data only.

use camino::Utf8PathBuf;
use clap::{Parser, Subcommand};

use crate::count::HotPath;
use crate::load;

/// Measures ctx beside the disk and the wire that it runs on, and puts load on a hub.
#[derive(Debug, Parser)]
#[command(name = "ctx-bench", disable_help_subcommand = true)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One command each.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure every row and print the table
    Table(Table),
    /// Put thousands of listeners and hundreds of publishers on a hub, and compare what each was given
    Load(load::Options),
    /// Run a hot path so many times, for a tool that counts instructions
    Count {
        /// What is run
        path: HotPath,
        /// How many times
        #[arg(long, value_name = "N")]
        rounds: u64,
    },
    /// Send the messages of a file to whoever asks, until it is killed
    #[command(hide = true)]
    Send {
        /// The messages, each behind its length in four bytes, big-endian
        file: Utf8PathBuf,
    },
    /// Run one program to its end, then print how long it took and the most memory it had
    #[command(hide = true)]
    Child {
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

/// How the table is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Table {
    /// The `ctx` program that is measured, a release build
    #[arg(long, value_name = "PATH")]
    pub(crate) ctx: Utf8PathBuf,
    /// A folder on the file system that is measured; what is made in it is removed
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Utf8PathBuf,
    /// The workspace that the program is built from, to measure a clean build of it
    #[arg(long, value_name = "DIR")]
    pub(crate) workspace: Option<Utf8PathBuf>,
    /// Smaller sizes and fewer rounds: under two minutes
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only the rows of this name (see the list at the end of the table); can be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Write the rows to a file as one JSON document
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<Utf8PathBuf>,
    /// Write the table to a file as Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<Utf8PathBuf>,
    /// Write a plot of how each cost grows to a file, as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<Utf8PathBuf>,
}
