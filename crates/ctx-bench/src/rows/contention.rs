//! Many syncs in one project at once, against as many one after another.

use std::process::Stdio;

use crate::Failure;
use crate::bench::Bench;
use crate::plot::Panel;
use crate::project::Project;
use crate::samples::{in_turn, timed};
use crate::table::{Report, Row};

const PATIENT: [&str; 4] = ["connect", "sync", "--wait", "120s"];

/// Total time of 64 processes together.
pub(crate) fn measure(bench: &mut Bench, report: &mut Report) -> Result<(), Failure> {
    let hub = bench.hub(1_000)?;
    let project = bench.project(&hub, "crowded")?;
    project.run(&PATIENT)?;
    let mut curve = Vec::new();
    for processes in [1, 4, 16, 64] {
        let (figure, limit) = in_turn(
            bench.rounds(7, 3),
            || timed(|| together(&project, processes)),
            || timed(|| (0..processes).try_for_each(|_| project.run(&PATIENT))),
        )?;
        curve.push((u64::from(processes), figure.median() * 1e3));
        if processes == 64 {
            report.row(
                Row::new(
                    "64 syncs together, all with --wait",
                    figure.median() * 1e3,
                    "ms",
                )
                .against("64 of them one after another", limit.median() * 1e3)
                .at_most(1.2),
            );
        }
    }
    report.panel(
        Panel::new("Syncs together in one project", "processes", "ms").line("all of them", curve),
    );
    Ok(())
}

/// Starts so many syncs and waits for all of them; each has to end well.
fn together(project: &Project, processes: u32) -> Result<(), Failure> {
    let start = |_| -> Result<_, Failure> {
        let mut command = project.command(&PATIENT)?;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command.spawn()?)
    };
    let mut running = (0..processes).map(start).collect::<Result<Vec<_>, _>>()?;
    for child in &mut running {
        let status = child.wait()?;
        if !status.success() {
            return Err(format!("a sync ended with {status}").into());
        }
    }
    Ok(())
}
