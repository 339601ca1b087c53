//! State files of every kind, and what becomes of them.

use std::fs;

use ctx_hub::sync::{SyncErrorKind, SyncWarning};
use ctx_hub::types::{EntryType, Sequence};
use serde_json::json;

use super::{Project, batch, batch_of, entry, types};
use EntryType::{Decision, Learning, Task};

/// An entry as an older `ctx` writes it.
const OLDER: &str = "## [2026-01-02] Title\n\n**Origin**: p\n\nTitle\n\n---\n\n";

#[test]
fn absent_and_empty_states_begin_at_the_first_entry() {
    for state in [None, Some(""), Some("\n"), Some("{\"last_sequence\":0}")] {
        let project = Project::new();
        if let Some(text) = state {
            project.put_state(text);
        }
        let session = project.load().unwrap();
        assert!(session.cursors().is_empty());
        assert!(session.warnings().is_empty());
        session.release().unwrap();
        assert_eq!(
            project.apply(&batch(0, vec![entry(1, Task, "x")])).unwrap(),
            1
        );
    }
}

#[test]
fn a_state_that_cannot_be_used_is_damaged_and_stays_as_it_is() {
    for text in [
        "{",
        "lock",
        "[]",
        "{\"format\":0}",
        "{\"last_sequence\":\"7\"}",
        "\0\0\0",
    ] {
        let project = Project::new();
        project.put_state(text);
        let error = project.load().unwrap_err();
        assert_eq!(error.kind(), SyncErrorKind::Damaged, "{text}");
        assert!(
            error
                .to_string()
                .contains(project.mirror().state().as_str())
        );
        assert!(
            error
                .hint()
                .unwrap()
                .contains("ctx connect verify --repair")
        );
        assert_eq!(fs::read_to_string(project.mirror().state()).unwrap(), text);
        assert_eq!(project.names().len(), 1);
    }
}

#[test]
fn a_state_of_a_newer_ctx_is_refused_with_another_hint() {
    let project = Project::new();
    let text = "{\"format\":3,\"wonderful\":true}";
    project.put_state(text);
    let error = project.load().unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Damaged);
    assert!(error.hint().unwrap().contains("newer"));
    assert_eq!(fs::read_to_string(project.mirror().state()).unwrap(), text);
}

#[test]
fn an_older_state_holds_for_the_types_that_have_a_file() {
    let project = Project::new();
    project.put(&project.file(Decision), OLDER.repeat(2));
    project.put_state("{\"last_sequence\":7}");
    let session = project.load().unwrap();
    assert_eq!(session.cursor(Decision), Sequence::new(7));
    assert_eq!(session.cursor(Task), Sequence::START);
    let (session, _) = session
        .apply(&batch_of(
            types([Decision]),
            7,
            vec![entry(8, Decision, "new")],
        ))
        .unwrap();
    session.release().unwrap();
    let text = project.text(Decision);
    assert!(text.starts_with(&OLDER.repeat(2)));
    assert_eq!(text.matches("\n---\n").count(), 3);
    let length = text.len();
    assert_eq!(
        project.state_without_times(),
        json!({"format": 2, "hub_id": null, "log": null, "last_sequence": 8,
               "types": {"decision": {"cursor": 8, "length": length}}})
    );
}

#[test]
fn a_crash_in_the_first_append_after_an_upgrade_repeats_nothing() {
    let undisturbed = Project::new();
    undisturbed.put(&undisturbed.file(Decision), OLDER);
    undisturbed.put_state("{\"last_sequence\":7}");
    let new = batch_of(types([Decision]), 7, vec![entry(8, Decision, "new")]);
    undisturbed.apply(&new).unwrap();

    // Before the append, the state is upgraded on the disk; then the append is torn.
    let text = undisturbed.text(Decision);
    for kept in OLDER.len()..=text.len() {
        let project = Project::new();
        project.put(&project.file(Decision), &text[..kept]);
        project.put_state(&format!(
            "{{\"format\":1,\"hub_id\":null,\"types\":{{\"decision\":\
             {{\"cursor\":7,\"length\":{},\"modified_ns\":null}}}}}}",
            OLDER.len()
        ));
        project.apply(&new).unwrap();
        assert_eq!(project.text(Decision), text);
    }
}

#[test]
fn a_lost_state_is_made_again_from_the_mirror() {
    let project = Project::new();
    let first = vec![
        entry(1, Decision, "a"),
        entry(2, Task, "b"),
        entry(4, Decision, "c"),
    ];
    project.apply(&batch(0, first)).unwrap();
    let whole = project.text(Decision);
    for lost in [None, Some("")] {
        match lost {
            None => fs::remove_file(project.mirror().state()).unwrap(),
            Some(text) => project.put_state(text),
        }
        let session = project.load().unwrap();
        assert_eq!(session.cursor(Decision), Sequence::new(4));
        assert_eq!(session.cursor(Task), Sequence::new(2));
        assert_eq!(session.cursor(Learning), Sequence::START);
        let lost = SyncWarning::Recovered {
            path: project.mirror().state(),
        };
        assert_eq!(session.warnings(), [lost]);
        session.release().unwrap();
    }
    // Everything again from the beginning: only what is missing is appended.
    let all = vec![
        entry(1, Decision, "a"),
        entry(2, Task, "b"),
        entry(4, Decision, "c"),
        entry(5, Task, "d"),
    ];
    assert_eq!(project.apply(&batch(0, all)).unwrap(), 1);
    assert_eq!(project.text(Decision), whole);
    assert_eq!(project.load().unwrap().warnings(), []);
}

#[test]
fn a_lost_state_beside_a_torn_append_is_made_again_too() {
    let undisturbed = Project::new();
    let entries = || vec![entry(1, Decision, "a"), entry(3, Decision, "# b\n---")];
    undisturbed.apply(&batch(0, entries())).unwrap();
    let text = undisturbed.text(Decision);
    for kept in 0..=text.len() {
        let project = Project::new();
        project.put(&project.file(Decision), &text[..kept]);
        project.apply(&batch(0, entries())).unwrap();
        assert_eq!(project.text(Decision), text, "{kept}");
    }
}

#[test]
fn without_a_state_a_mirror_that_does_not_explain_itself_is_left_alone() {
    let ours = || {
        let project = Project::new();
        project
            .apply(&batch(
                0,
                vec![entry(1, Decision, "a"), entry(2, Decision, "b")],
            ))
            .unwrap();
        project.text(Decision)
    };
    let texts = [
        OLDER.to_owned(),
        ours() + OLDER,
        ours() + "notes\n",
        "# Decisions\n\n".to_owned() + &ours(),
        ours().repeat(2),
    ];
    for text in texts {
        for state in [None, Some(""), Some("{\"last_sequence\":0}")] {
            let project = Project::new();
            project.put(&project.file(Decision), &text);
            if let Some(state) = state {
                project.put_state(state);
            }
            let error = project.load().unwrap_err();
            assert_eq!(error.kind(), SyncErrorKind::Damaged, "{text}");
            assert!(error.hint().unwrap().contains("--full"));
            assert_eq!(project.text(Decision), text);
            assert!(!project.mirror().sync_lock().exists());
        }
    }
}

#[test]
fn widening_delivers_the_older_entries_of_the_new_type_and_narrowing_keeps_what_is_there() {
    let project = Project::new();
    let narrow = |after, entries| batch_of(types([Decision]), after, entries);
    project
        .apply(&narrow(
            0,
            vec![entry(1, Decision, "a"), entry(5, Decision, "b")],
        ))
        .unwrap();
    let session = project.load().unwrap();
    assert_eq!(
        (session.cursor(Decision).get(), session.cursor(Task).get()),
        (5, 0)
    );
    session.release().unwrap();

    project
        .apply(&batch_of(types([Task]), 0, vec![entry(2, Task, "older")]))
        .unwrap();
    assert!(project.text(Task).contains("older"));

    project
        .apply(&narrow(5, vec![entry(9, Decision, "c")]))
        .unwrap();
    let session = project.load().unwrap();
    assert_eq!(
        (session.cursor(Decision).get(), session.cursor(Task).get()),
        (9, 2)
    );
    session.release().unwrap();
    assert!(project.text(Task).contains("older"));
}

#[test]
fn a_batch_that_would_leave_a_gap_is_refused_and_changes_nothing() {
    let project = Project::new();
    project
        .apply(&batch(0, vec![entry(1, Decision, "a")]))
        .unwrap();
    let before = project.state_without_times();
    let error = project
        .apply(&batch(3, vec![entry(4, Decision, "b")]))
        .unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Diverged);
    assert_eq!(project.state_without_times(), before);
    assert!(!project.text(Decision).contains('b'));
}

#[test]
fn a_sync_that_brings_nothing_new_writes_nothing() {
    let project = Project::new();
    let all = || batch(0, vec![entry(1, Decision, "a"), entry(2, Task, "b")]);
    assert_eq!(project.apply(&all()).unwrap(), 2);
    let inode = |path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = (inode(project.mirror().state()), project.text(Decision));
    assert_eq!(project.apply(&all()).unwrap(), 0);
    // An atomic replace would have given it another inode.
    assert_eq!(
        (inode(project.mirror().state()), project.text(Decision)),
        before
    );
}
