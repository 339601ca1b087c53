//! A sync that finds nothing new: what a hook costs at every start of a session.

use crate::Failure;
use crate::bench::Bench;
use crate::plot::Panel;
use crate::project::finish;
use crate::samples::{Samples, in_turn, timed};
use crate::table::{Report, Row};

const SYNC: [&str; 2] = ["connect", "sync"];

/// The whole process against `ctx --version`, and its memory.
pub(crate) fn measure(bench: &mut Bench, report: &mut Report) -> Result<(), Failure> {
    let most = bench.size(100_000, 10_000);
    let mut curve = Vec::new();
    for entries in [0, 1_000, 10_000, 100_000] {
        if entries > most {
            break;
        }
        let hub = bench.hub(entries)?;
        let project = bench.project(&hub, "reader")?;
        project.run(&SYNC)?;
        let (figure, limit) = in_turn(
            bench.rounds(60, 25),
            || timed(|| project.run(&SYNC)),
            || timed(|| finish(&mut bench.command(&["--version"]))),
        )?;
        curve.push((entries.max(1), figure.median() * 1e3));
        if entries == most {
            let name = format!("nothing new, {entries} mirrored");
            report.row(
                Row::new(&name, figure.median() * 1e3, "ms")
                    .against("`ctx --version`", limit.median() * 1e3)
                    .at_most(3.0),
            );
            let peaks: Samples = (0..5)
                .map(|_| project.measured(&SYNC).map(|took| took.peak_mib))
                .collect::<Result<_, _>>()?;
            report.row(
                Row::new(&format!("{name}, memory"), peaks.percentile(100), "MiB")
                    .against("bound", 16.0)
                    .at_most(1.0),
            );
        }
    }
    report.panel(
        Panel::new("Sync that finds nothing new", "entries mirrored", "ms").line("sync", curve),
    );
    Ok(())
}
