//! A disk that fails to write, to flush or to list once, at every step and each time; then one that
//! works again.

use super::stage::{CASES, Case, Run, SYNC, Stage};

/// Steps whose failure may be nobody's concern: in the sweep of what others left; behind the last
/// thing that can fail.
const COURTESY: [&str; 2] = ["os-lock.try", "temp.linked"];

/// Fails the sync of `case` everywhere, with one error and the other in turn; answers how often it
/// said so.
fn failed_everywhere(stage: &Stage, case: &Case) -> usize {
    let mut failed = 0;
    // Another error first in every other case, so that each step meets both.
    let errors = ["EIO", "ENOSPC"].into_iter().cycle();
    let errors = errors.skip(case.name.len() % 2);
    for ((step, number), error) in stage.steps(case).into_iter().zip(errors) {
        let place = format!("{} at {step}#{number} {error}", case.name);
        let project = stage.project(case);
        let dead = project.mirror().sync_lock().exists();
        let rules = format!("{};{step}#{number}={error}", case.rules);
        let run = Run::of(&project, case.args, &rules);
        if !COURTESY.contains(&step) || run.code != 0 {
            assert_eq!(run.code, 1, "{place}: {}", run.text);
            assert!(run.text.contains("error: "), "{place}: {}", run.text);
            failed += 1;
        }
        // A lock that cannot be removed stays, and so may that of a dead one before.
        let may_stay = step == "lock.unlinking" || dead;
        let left = project.mirror().sync_lock().exists();
        assert!(!left || may_stay, "{place}: a lock is left");
        let after = Run::of(&project, case.after, "");
        assert_eq!(after.code, 0, "{place}: {}{}", run.text, after.text);
        stage.check(&project, case, &place);
    }
    failed
}

#[test]
fn a_sync_that_fails_at_any_step_says_so_and_the_next_one_completes_it() {
    let stage = Stage::new();
    let failed = stage.in_every(CASES, failed_everywhere);
    for (case, failed) in CASES.iter().zip(failed) {
        println!("{}: {failed} failures", case.name);
    }
}

#[test]
fn a_disk_that_never_flushes_is_never_said_to_be_up_to_date() {
    let stage = Stage::new();
    let one_file = format!("fsync.file({})=EIO", ctx_config::paths::DECISIONS_FILE);
    for rules in ["fsync.file=EIO", "fsync.dir=EIO", &one_file] {
        for case in CASES {
            let project = stage.project(case);
            for _ in 0..3 {
                let run = Run::of(&project, SYNC, rules);
                assert_ne!(run.code, 0, "{}: {rules}", case.name);
            }
            let after = Run::of(&project, case.after, "");
            assert_eq!(after.code, 0, "{}: {rules}: {}", case.name, after.text);
            stage.check(&project, case, &format!("{}: {rules}", case.name));
        }
    }
}
