//! The order of a sync's steps, which a power cut would show and a killed process does not.

use ctx_config::paths;

use super::stage::{CASES, Case, Stage};

/// What one sync passed.
struct Order<'a> {
    case: &'a Case,
    notes: Vec<String>,
}

impl Order<'_> {
    /// Where the steps named `note` are.
    fn all(&self, note: &str) -> Vec<usize> {
        let places = self.notes.iter().enumerate();
        places
            .filter(|(_, found)| *found == note)
            .map(|(at, _)| at)
            .collect()
    }

    /// Before each `later` comes an `earlier` since the `later` before it, if anything of `cause`
    /// does.
    fn each(&self, cause: &str, earlier: &str, later: &str) {
        let mut begin = 0;
        for end in self.all(later) {
            let between = &self.notes[begin..end];
            begin = end;
            let Some(cause_at) = between.iter().rposition(|note| note == cause) else {
                continue;
            };
            assert!(
                between[cause_at..].iter().any(|note| note == earlier),
                "{}: {cause}, then {later} without {earlier}: {between:?}",
                self.case.name
            );
        }
    }
}

#[test]
fn what_a_commit_relies_on_is_flushed_before_it() {
    let stage = Stage::new();
    let lock = paths::SYNC_LOCK_FILE;
    let state = paths::SYNC_STATE_FILE;
    let commit = format!("atomic.renamed {state}");
    let at = |step: &str, file: &str| format!("{step} {file}");
    for case in CASES {
        let order = Order {
            case,
            notes: stage.notes(case),
        };
        assert!(!order.all(&commit).is_empty(), "{}", case.name);
        order.each(
            &at("temp.locked", state),
            &at("atomic.flushed", state),
            &commit,
        );
        order.each(
            &commit,
            &at("atomic.durable", state),
            &at("lock.unlinking", lock),
        );
        order.each(
            &at("temp.locked", lock),
            &at("lock.written", lock),
            &at("lock.linked", lock),
        );
        for file in [
            paths::DECISIONS_FILE,
            paths::LEARNINGS_FILE,
            paths::TASKS_FILE,
            paths::CONVENTIONS_FILE,
        ] {
            order.each(
                &at("append.written", file),
                &at("append.flushed", file),
                &commit,
            );
            order.each(
                &at("append.created", file),
                &at("append.durable", file),
                &commit,
            );
            order.each(
                &at("append.cut", file),
                &at("append.flushed", file),
                &commit,
            );
            order.each(&at("rebuild.moved", file), "rebuild.durable", &commit);
        }
    }
}
