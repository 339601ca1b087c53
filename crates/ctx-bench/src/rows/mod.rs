//! The rows of the table: each measures a figure beside its limit, in one run.

mod build;
mod contention;
mod fan_out;
mod first_sync;
mod hub_growth;
mod lock;
mod nothing_new;
mod publish;
mod streaming;
mod sync_of_a_few;

use crate::Failure;
use crate::bench::Bench;
use crate::table::Report;

/// Measures one or more rows and adds them to the report.
pub(crate) type Measure = fn(&mut Bench, &mut Report) -> Result<(), Failure>;

/// Every measurement under the name that `--only` takes, in the order of the table.
pub(crate) const ALL: &[(&str, Measure)] = &[
    ("nothing-new", nothing_new::measure),
    ("first-sync", first_sync::measure),
    ("sync-of-a-few", sync_of_a_few::measure),
    ("publish", publish::measure),
    ("hub-growth", hub_growth::measure),
    ("hub-memory", hub_growth::memory),
    ("hub-start", hub_growth::start),
    ("fan-out", fan_out::measure),
    ("streaming", streaming::measure),
    ("lock", lock::measure),
    ("contention", contention::measure),
    ("build", build::measure),
];
