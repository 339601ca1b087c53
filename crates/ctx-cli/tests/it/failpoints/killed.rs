//! Killed at every step of every kind of sync, each time that it passes the step; then one sync
//! that nobody disturbs.

use std::collections::BTreeSet;

use ctx_io::failpoint::STEPS;

use super::stage::{CASES, Case, Run, Stage};

/// The steps that a sync goes through begin with one of these.
const PARTS: [&str; 9] = [
    "os-lock.", "fsync.", "temp.", "atomic.", "append.", "dir.", "lock.", "sync.", "rebuild.",
];

/// Kills the sync of `case` everywhere, and answers at which steps that was, each as often.
fn killed_everywhere(stage: &Stage, case: &Case) -> Vec<&'static str> {
    let passed = stage.steps(case);
    for (step, number) in &passed {
        let place = format!("{} at {step}#{number}", case.name);
        let project = stage.project(case);
        let rules = format!("{};{step}#{number}=kill", case.rules);
        let doomed = Run::of(&project, case.args, &rules);
        assert!(
            doomed.killed,
            "{place}: exit {}, {}",
            doomed.code, doomed.text
        );
        let after = Run::of(&project, case.after, "");
        assert_eq!(after.code, 0, "{place}: {}", after.text);
        stage.check(&project, case, &place);
    }
    passed.into_iter().map(|(step, _)| step).collect()
}

#[test]
fn a_sync_killed_at_any_step_is_completed_by_the_next() {
    let stage = Stage::new();
    let kills = stage.in_every(CASES, killed_everywhere);
    for (case, kills) in CASES.iter().zip(&kills) {
        println!("{}: {} kills", case.name, kills.len());
    }
    let hit: BTreeSet<&str> = kills.iter().flatten().copied().collect();
    let is_ours = |step: &&str| PARTS.iter().any(|part| step.starts_with(part));
    let missed: Vec<&str> = STEPS.iter().copied().filter(is_ours).collect();
    let missed: Vec<&str> = missed
        .into_iter()
        .filter(|step| !hit.contains(step))
        .collect();
    assert!(missed.is_empty(), "no kill came at {missed:?}");
}
