//! Mirror files that people changed.

use std::fs;

use ctx_hub::sync::{SyncErrorKind, SyncWarning};
use ctx_hub::types::{EntryType, Sequence, TypeSet};

use super::{Project, batch, entry};
use EntryType::{Decision, Task};

fn mirrored() -> Project {
    let project = Project::new();
    let entries = vec![
        entry(1, Decision, "first one"),
        entry(2, Decision, "second one"),
    ];
    project.apply(&batch(0, entries)).unwrap();
    project
}

fn next() -> super::Batch {
    batch(2, vec![entry(3, Decision, "third one")])
}

#[test]
fn a_file_to_which_nothing_can_be_appended_is_refused_by_name_and_left_alone() {
    let text = mirrored().text(Decision);
    let edits = [
        text.clone() + "my own notes\n",
        text.clone() + "\n",
        text.clone() + "## [2026-01-02] mine\n\n**Origin**: me\n\nmine\n\n---\n\n",
        text.clone() + &text,
        text.replace("first", "the first"),
        text.replace("first one", "1"),
        text[..text.len() - 1].to_owned(),
        text[..text.len() / 2].to_owned(),
        String::new(),
        "# Decisions\n\n".to_owned() + &text,
    ];
    for edited in edits {
        let project = mirrored();
        let state = project.state_without_times();
        project.put(&project.file(Decision), &edited);
        let error = project.apply(&next()).unwrap_err();
        assert_eq!(error.kind(), SyncErrorKind::Damaged, "{edited}");
        assert!(
            error.to_string().contains(project.file(Decision).as_str()),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("ctx connect sync --full"));
        assert_eq!(project.text(Decision), edited);
        assert_eq!(project.state_without_times(), state);
        assert!(!project.mirror().sync_lock().exists());
    }
}

/// A header that breaks off is how a torn append looks, too.
#[test]
fn an_unfinished_line_of_a_person_stands_until_entries_come_and_is_never_cut() {
    for line in [
        "## [2026-01-02] words",
        "## [2026-06-11] the",
        "## [1",
        "## [2026-06-11] third one\n<!-- ctx {\"x",
    ] {
        let project = mirrored();
        let edited = project.text(Decision) + line;
        project.put(&project.file(Decision), &edited);
        let nothing = batch(2, Vec::new());
        assert_eq!(project.apply(&nothing).unwrap(), 0);
        assert_eq!(project.text(Decision), edited, "nothing came");
        let error = project.apply(&next()).unwrap_err();
        assert_eq!(error.kind(), SyncErrorKind::Damaged, "{line}");
        assert_eq!(project.text(Decision), edited);
    }
}

#[test]
fn a_file_that_is_gone_is_not_quietly_begun_anew() {
    let project = mirrored();
    fs::remove_file(project.file(Decision)).unwrap();
    let error = project.apply(&next()).unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Damaged);
    assert!(!project.file(Decision).exists());
}

#[test]
fn an_edit_of_one_type_does_not_stop_the_others() {
    let project = mirrored();
    project.put(&project.file(Decision), "mine");
    assert_eq!(
        project.apply(&batch(2, vec![entry(3, Task, "x")])).unwrap(),
        1
    );
    assert_eq!(project.text(Decision), "mine");
}

#[test]
fn an_edit_within_an_entry_is_kept_and_told_by_its_sequence() {
    let project = mirrored();
    let edited = project
        .text(Decision)
        .replace("\nsecond one", "\nSECOND one");
    project.put(&project.file(Decision), &edited);
    let mut session = project.load().unwrap();
    session.check(&TypeSet::all()).unwrap();
    let path = project.file(Decision);
    let told = SyncWarning::Edited {
        path,
        sequences: vec![Sequence::new(2)],
    };
    assert_eq!(session.warnings(), std::slice::from_ref(&told));
    let (session, applied) = session.apply(&next()).unwrap();
    assert_eq!(applied.get(&Decision), Some(&1));
    assert_eq!(session.warnings(), [told], "told once");
    session.release().unwrap();
    assert!(project.text(Decision).starts_with(&edited));
    assert!(project.text(Decision).contains("third one"));
}

#[test]
fn a_file_that_was_only_touched_is_as_good_as_before() {
    let project = mirrored();
    let text = project.text(Decision);
    project.put(&project.file(Decision), &text);
    let mut session = project.load().unwrap();
    session.check(&TypeSet::all()).unwrap();
    assert_eq!(session.warnings(), []);
    session.apply(&next()).unwrap().0.release().unwrap();
    assert!(project.text(Decision).starts_with(&text));
}

#[test]
fn a_file_whose_time_and_length_are_as_recorded_is_not_read_again() {
    let project = mirrored();
    let path = project.file(Decision);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let edited = project.text(Decision).replace("first one", "FIRST one");
    project.put(&path, edited);
    let file = fs::File::options().write(true).open(&path).unwrap();
    let check = || {
        let mut session = project.load().unwrap();
        session.check(&TypeSet::all()).unwrap();
        session.warnings().len()
    };
    assert_eq!(check(), 1, "the time tells");
    file.set_modified(modified).unwrap();
    assert_eq!(check(), 0, "nothing tells, so nothing was read");
}

#[test]
fn a_symbolic_link_in_place_of_a_mirror_file_is_refused() {
    let project = mirrored();
    let elsewhere = project.context.path().join("elsewhere");
    fs_err::rename(project.file(Decision), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, project.file(Decision)).unwrap();
    let before = fs::read(&elsewhere).unwrap();
    assert_eq!(
        project.apply(&next()).unwrap_err().kind(),
        SyncErrorKind::Io
    );
    assert_eq!(fs::read(&elsewhere).unwrap(), before);
}

#[test]
fn a_directory_in_place_of_a_mirror_file_is_refused() {
    let project = Project::new();
    fs::create_dir_all(project.file(Task)).unwrap();
    let error = project
        .apply(&batch(0, vec![entry(3, Task, "x")]))
        .unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Damaged);
}
