//! A sync killed in the middle of an append, at every byte, and what the next one makes of it.

use std::fs;

use ctx_hub::types::EntryType;

use super::{Project, batch, batch_of, entry, types};
use EntryType::{Decision, Learning, Task};

fn first() -> super::Batch {
    batch(
        0,
        vec![
            entry(1, Decision, "one"),
            entry(2, Task, "two\n---\n# three"),
        ],
    )
}

fn second() -> super::Batch {
    let mut tricky = entry(
        5,
        Decision,
        "## [2026-01-01] x\n\n**Origin**: me\n\n---\n\n<!-- ctx\n\0",
    );
    tricky.origin = "größe\n42".to_owned();
    tricky.meta.tool = "--> \u{1F980}".to_owned();
    batch(
        2,
        vec![
            entry(3, Task, ""),
            entry(4, Learning, "four\r\n"),
            tricky,
            entry(6, Task, "six\n\n"),
        ],
    )
}

/// What the first batch left.
struct Before {
    state: String,
    lengths: [(EntryType, usize); 3],
}

/// A mirror after both batches, and what stood after the first.
fn undisturbed() -> (Project, Before) {
    let project = Project::new();
    project.apply(&first()).unwrap();
    let lengths = [Decision, Learning, Task].map(|of| {
        (
            of,
            fs::read(project.file(of)).map_or(0, |bytes| bytes.len()),
        )
    });
    let state = fs::read_to_string(project.mirror().state()).unwrap();
    project.apply(&second()).unwrap();
    (project, Before { state, lengths })
}

/// How many bytes the second batch appended to each file.
fn appended(whole: &Project, before: &Before) -> [usize; 3] {
    before
        .lengths
        .map(|(of, length)| whole.text(of).len() - length)
}

/// A mirror that was killed in the second batch: the state is that of the first, and each file has
/// so many bytes of what the second appended.
fn killed(whole: &Project, before: &Before, tails: [usize; 3]) -> Project {
    let project = Project::new();
    project.put_state(&before.state);
    for ((of, length), tail) in before.lengths.into_iter().zip(tails) {
        if length + tail > 0 {
            let bytes = fs::read(whole.file(of)).unwrap();
            project.put(&project.file(of), &bytes[..length + tail]);
        }
    }
    project
}

fn assert_same(project: &Project, whole: &Project, what: &str) {
    for of in [Decision, Learning, Task] {
        assert_eq!(project.text(of), whole.text(of), "{of} after {what}");
    }
    assert_eq!(
        project.state_without_times(),
        whole.state_without_times(),
        "{what}"
    );
    assert_eq!(project.names(), whole.names(), "{what}");
}

#[test]
fn an_append_torn_at_any_byte_is_cut_back_and_repeated() {
    let (whole, before) = undisturbed();
    let appended = appended(&whole, &before);
    for file in 0..3 {
        for torn in 0..=appended[file] {
            // Files are appended to in order: those before are whole, those behind untouched.
            let mut tails = [0; 3];
            tails[..file].copy_from_slice(&appended[..file]);
            tails[file] = torn;
            let project = killed(&whole, &before, tails);
            assert_eq!(project.apply(&second()).unwrap(), 4);
            assert_same(&project, &whole, &format!("a crash at {tails:?}"));
        }
    }
}

#[test]
fn a_crash_between_append_and_state_repeats_nothing() {
    let (whole, before) = undisturbed();
    let appended = appended(&whole, &before);
    let project = killed(&whole, &before, appended);
    assert_eq!(project.apply(&second()).unwrap(), 4);
    assert_same(&project, &whole, "a crash before the state");
    assert_eq!(project.apply(&second()).unwrap(), 0);
}

#[test]
fn a_crash_in_the_very_first_append_repeats_nothing() {
    let whole = Project::new();
    whole.apply(&first()).unwrap();
    let text = whole.text(Decision);
    for torn in 0..=text.len() {
        let project = Project::new();
        // What is on the disk before anything is appended.
        project.put_state("{\"format\":1,\"hub_id\":null,\"last_sequence\":0,\"types\":{}}");
        project.put(&project.file(Decision), &text[..torn]);
        project.apply(&first()).unwrap();
        assert_eq!(project.text(Decision), text);
        assert_eq!(project.text(Task), whole.text(Task));
    }
}

#[test]
fn after_a_crash_the_hub_may_have_more_to_give_or_give_it_in_other_pieces() {
    let (whole, before) = undisturbed();
    let appended = appended(&whole, &before);
    let project = killed(&whole, &before, appended);
    let all = second().entries;
    for (at, entry) in all.iter().enumerate() {
        let after = at
            .checked_sub(1)
            .map_or(2, |previous| all[previous].sequence.get());
        project.apply(&batch(after, vec![entry.clone()])).unwrap();
    }
    assert_same(&project, &whole, "pieces of one entry");
}

#[test]
fn an_append_torn_at_any_byte_is_finished_by_entries_that_come_one_by_one() {
    let (whole, before) = undisturbed();
    let appended = appended(&whole, &before);
    let all = second().entries;
    for torn in 0..=appended[2] {
        let project = killed(&whole, &before, [appended[0], appended[1], torn]);
        for (at, entry) in all.iter().enumerate() {
            let previous = at.checked_sub(1).map_or(2, |at| all[at].sequence.get());
            project
                .apply(&batch(previous, vec![entry.clone()]))
                .unwrap();
        }
        assert_same(&project, &whole, &format!("a crash at {torn}"));
    }
}

/// What is behind the cursor of a type does not depend on what else is asked for.
#[test]
fn a_torn_append_outlasts_its_type_being_dropped_and_asked_for_again() {
    let (whole, before) = undisturbed();
    let appended = appended(&whole, &before);
    let project = killed(
        &whole,
        &before,
        [appended[0] - 7, appended[1], appended[2] - 3],
    );
    let tasks: Vec<_> = second().entries;
    let (tasks, others): (Vec<_>, Vec<_>) = tasks
        .into_iter()
        .partition(|entry| entry.entry_type == Task);
    project.apply(&batch_of(types([Task]), 2, tasks)).unwrap();
    assert_eq!(project.text(Task), whole.text(Task));
    let rest = types([Decision, Learning]);
    project.apply(&batch_of(rest, 2, others)).unwrap();
    for of in [Decision, Learning, Task] {
        assert_eq!(project.text(of), whole.text(of), "{of}");
    }
}

#[test]
fn blocks_that_a_power_cut_left_unwritten_are_cut_back() {
    let (whole, before) = undisturbed();
    let project = killed(&whole, &before, [10, 0, 0]);
    let mut bytes = fs::read(project.file(Decision)).unwrap();
    bytes.extend([0; 4096]);
    project.put(&project.file(Decision), bytes);
    project.apply(&second()).unwrap();
    assert_same(&project, &whole, "a power cut");
}
