//! Somebody looks at a lock while another does: for that moment it seems to be held.

use super::stage::{PLAIN, Run, SYNC, Stage};
use crate::harness::put;

/// The answer to whoever asks for the operating system's lock in that moment.
const LOOKED_AT: &str = "os-lock.try#1=EAGAIN";

#[test]
fn an_older_program_s_lock_that_somebody_looks_at_is_removed_by_its_id_all_the_same() {
    let stage = Stage::new();
    let project = stage.project(&PLAIN);
    let lock = project.mirror().sync_lock();
    for word in ["", "lock"] {
        put(&lock, word.as_bytes());
        let busy = Run::of(&project, SYNC, LOOKED_AT);
        assert_eq!(busy.code, 3, "{}", busy.text);
        let (_, id) = busy.text.split_once("unlock --id ").unwrap();
        let id: String = id
            .chars()
            .take_while(|c| !c.is_whitespace() && *c != '`')
            .collect();
        let removed = Run::of(&project, &["connect", "unlock", "--id", &id], LOOKED_AT);
        assert_eq!(removed.code, 0, "{}", removed.text);
        assert!(!lock.exists());
    }
    assert_eq!(Run::of(&project, SYNC, LOOKED_AT).code, 0);
}
