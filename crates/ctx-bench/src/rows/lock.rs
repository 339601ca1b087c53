//! The lock, uncontended, against the least that a lock of one file can do.

use std::time::Duration;

use camino::Utf8Path;
use ctx_io::{FileLock, Holder, Wait};

use crate::Failure;
use crate::bench::{Bench, utf8};
use crate::samples::{in_turn, timed};
use crate::table::{Report, Row};

/// Times that each is done in a round.
const TIMES: u32 = 200;

/// Acquire and release, against create-exclusive and unlink of an empty file.
pub(crate) fn measure(bench: &mut Bench, report: &mut Report) -> Result<(), Failure> {
    let folder = bench.folder()?;
    let path = utf8(&folder)?.join("held");
    let (figure, limit) = in_turn(
        bench.rounds(40, 10),
        || each(|| lock(&path)),
        || each(|| create(&path)),
    )?;
    report.row(
        Row::new(
            "the lock, acquired and released",
            figure.median() * 1e6,
            "µs",
        )
        .against(
            "an empty file, created exclusively and unlinked",
            limit.median() * 1e6,
        )
        .at_most(6.0),
    );
    Ok(())
}

/// What one of [`TIMES`] takes.
fn each(mut work: impl FnMut() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let all = timed(|| (0..TIMES).try_for_each(|_| work()))?;
    Ok(all / TIMES)
}

fn lock(path: &Utf8Path) -> Result<(), Failure> {
    let holder = Holder {
        command: "bench",
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(FileLock::acquire(path, &holder, Wait::No)?.release()?)
}

fn create(path: &Utf8Path) -> Result<(), Failure> {
    drop(fs_err::File::create_new(path)?);
    Ok(fs_err::remove_file(path)?)
}
