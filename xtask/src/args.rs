//! What can be typed after `cargo xtask`; data only.

use camino::Utf8PathBuf;
use clap::{Parser, Subcommand};

use crate::{bench, torture};

/// The maintainers' commands.
#[derive(Debug, Parser)]
#[command(
    name = "xtask",
    bin_name = "cargo xtask",
    about,
    disable_help_subcommand = true
)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One command each; `ci` is all of the checks.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole gate and list everything that fails
    Ci,
    /// Check that every file is formatted
    Fmt,
    /// Run clippy over everything, warnings denied
    Clippy,
    /// Run every test, doctests included
    Test,
    /// Build the documentation, warnings denied
    Doc,
    /// Build feature sets alone; check crate edges, banned packages, licences, sources, advisories
    Deps,
    /// Write the digest of known advisories from a copy of the RustSec Advisory Database
    Advisories {
        /// A clone of the database; by default the one that cargo-audit keeps
        #[arg(long, value_name = "DIR")]
        db: Option<Utf8PathBuf>,
    },
    /// Check what no compiler checks: layout, lengths, literals, leftovers
    Tidy,
    /// Check that every commit names its spec and every spec is in the index
    Specs,
    /// Check that the documents say what the code does
    Drift {
        /// Write the generated command-line reference instead of comparing it
        #[arg(long)]
        fix: bool,
    },
    /// Generate wire/generated.rs and wire/descriptor.bin from hub.proto
    Codegen {
        /// Compare with what is checked in and change nothing
        #[arg(long)]
        check: bool,
    },
    /// Kill, cut off and damage the real binary, and compare what is left
    Torture(torture::Options),
    /// Measure the release program beside the disk and the wire that it runs on
    Bench(bench::Options),
    /// Count the instructions of the hottest paths, and compare them with those that are kept
    Count {
        /// Keep what is counted instead of comparing it
        #[arg(long)]
        fix: bool,
    },
    /// Run a Python gRPC client, generated from hub.proto, against the hub
    Peer,
}
