//! A fault of each kind, planted, found and mended.

mod files;

use std::fs;

use ctx_config::paths;

use super::super::fake::{FakeHub, Fault, Project};
use super::super::render::render;
use super::super::samples;
use super::repair::run_repair;
use super::*;
use crate::sync::SyncOptions;
use crate::types::{EntryType, Sequence, TypeSet};
use EntryType::{Convention, Learning, Task};
use FindingKind as Kind;

const FILE: &str = paths::LEARNINGS_FILE;
/// How many entries the hub of a test has: `Learning` 1, 5, 9, each of 11 lines
const ENTRIES: u64 = 12;

async fn mirrored() -> (FakeHub, Project) {
    let (hub, project) = (FakeHub::with(ENTRIES), Project::new());
    project.sync(&hub, &TypeSet::all()).await.unwrap();
    (hub, project)
}

async fn verified(hub: Option<&FakeHub>, project: &Project) -> VerifyReport {
    run(&project.context, None, hub, &mut |_| {}).await.unwrap()
}

async fn try_repaired(hub: Option<&FakeHub>, project: &Project) -> Result<RepairReport, SyncError> {
    let (all, options) = (TypeSet::all(), SyncOptions::default());
    run_repair(&project.context, None, &all, hub, &options, &mut |_| {}).await
}

async fn repaired(hub: Option<&FakeHub>, project: &Project) -> RepairReport {
    try_repaired(hub, project).await.unwrap()
}

/// File, line, sequence and kind of everything found.
fn told(report: &VerifyReport) -> Vec<(String, Option<u64>, Option<u64>, Kind)> {
    let findings = report.findings.iter();
    findings
        .map(|found| {
            let file = found.path.file_name().unwrap().to_owned();
            (
                file,
                found.line,
                found.sequence.map(Sequence::get),
                found.kind,
            )
        })
        .collect()
}

type Told<'a> = (&'a str, Option<u64>, Option<u64>, Kind);

fn assert_told(report: &VerifyReport, expected: &[Told<'_>]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|&(file, line, sequence, kind)| (file.to_owned(), line, sequence, kind))
        .collect();
    assert_eq!(told(report), expected, "{:#?}", report.findings);
}

/// What a repair kept.
fn kept(project: &Project) -> Vec<String> {
    let names = project.names();
    let kept = names
        .iter()
        .filter(|name| name.contains(paths::SET_ASIDE_MARK));
    kept.cloned().collect()
}

/// A fault is found with and without the hub as told, and mended from the hub: the mirror is what
/// nobody disturbed would be, and what was there is beside it.
async fn finds_and_mends(
    plant: impl Fn(&Project),
    with_hub: &[Told<'_>],
    alone: &[Told<'_>],
    keeps: usize,
) {
    let (hub, project) = mirrored().await;
    assert_told(&verified(Some(&hub), &project).await, &[]);
    plant(&project);
    assert_told(&verified(Some(&hub), &project).await, with_hub);
    assert_told(&verified(None, &project).await, alone);
    let report = repaired(Some(&hub), &project).await;
    assert_told(&report.before, with_hub);
    assert!(!report.done.is_empty());
    assert_told(&report.after, &[]);
    project.assert_mirrors(&hub, &TypeSet::all());
    assert_eq!(kept(&project).len(), keeps, "{:?}", project.names());
    assert_eq!(report.after.set_aside.len(), keeps);

    let names = project.names();
    let again = repaired(Some(&hub), &project).await;
    assert_eq!(again.done, []);
    assert_eq!(project.names(), names, "nothing to mend, nothing done");
    hub.publish(4);
    project.sync(&hub, &TypeSet::all()).await.unwrap();
    project.assert_mirrors(&hub, &TypeSet::all());
    assert_told(&verified(Some(&hub), &project).await, &[]);
}

fn edit(of: EntryType, change: impl Fn(String) -> String) -> impl Fn(&Project) {
    move |project| {
        let text = project.text(of);
        let changed = change(text.clone());
        assert_ne!(changed, text);
        project.put(&project.file(of), &changed);
    }
}

/// The recorded length grows with what was put into a file, as a forger would see to.
fn and_record(of: EntryType, change: impl Fn(String) -> String) -> impl Fn(&Project) {
    move |project| {
        let before = project.text(of).len();
        edit(of, &change)(project);
        let after = project.text(of).len();
        let path = project.context.mirror().state();
        let state = fs::read_to_string(&path).unwrap();
        let length = |bytes: usize| format!("\"length\":{bytes},");
        assert_eq!(state.matches(&length(before)).count(), 1, "{state}");
        project.put(&path, &state.replace(&length(before), &length(after)));
    }
}

fn forged(sequence: u64, of: EntryType, content: &str) -> String {
    render(&samples::entry(sequence, of, content))
}

#[tokio::test]
async fn a_mirror_that_nobody_touched_is_clean() {
    let (hub, project) = mirrored().await;
    let names = project.names();
    for hub in [Some(&hub), None] {
        let report = verified(hub, &project).await;
        assert_told(&report, &[]);
        assert_eq!(report.entries(), ENTRIES);
        assert_eq!(report.hint(), None);
        assert!(!report.busy);
    }
    assert_eq!(project.names(), names, "no lock, no temporary file");
    let empty = Project::new();
    assert_told(&verified(Some(&hub), &empty).await, &[]);
    assert_eq!(empty.names_or_none(), None, "not even the folder is made");
}

#[tokio::test]
async fn an_entry_that_was_edited_in_place_is_told_by_line_and_sequence() {
    let told = [(FILE, Some(12), Some(5), Kind::Edited)];
    let change = |text: String| text.replacen("entry 5 \n\\---", "Entry 5 \n\\---", 1);
    finds_and_mends(edit(Learning, change), &told, &told, 1).await;
}

#[tokio::test]
async fn text_between_two_entries_is_told_from_the_entries() {
    // The file is longer than recorded, so its last entry is cut short of the recorded part.
    let plant = and_record(Learning, |text| {
        text.replacen("\n---\n\n## ", "\n---\n\nmine\n## ", 1)
    });
    let told = [(FILE, Some(12), None, Kind::Foreign)];
    finds_and_mends(plant, &told, &told, 1).await;
}

#[tokio::test]
async fn an_entry_that_comes_twice_is_a_duplicate() {
    let plant = and_record(Learning, |text| text.clone() + &text[..text.len() / 3]);
    let told = [(FILE, Some(34), Some(1), Kind::Duplicate)];
    finds_and_mends(plant, &told, &told, 1).await;
}

#[tokio::test]
async fn an_entry_that_was_taken_out_is_a_hole_that_only_the_hub_knows_of() {
    let plant = and_record(Learning, |text| {
        let third = text.len() / 3;
        text[..third].to_owned() + &text[2 * third..]
    });
    let told = [(FILE, None, Some(5), Kind::Hole)];
    finds_and_mends(plant, &told, &[], 0).await;
}

#[tokio::test]
async fn an_entry_that_the_hub_does_not_have_is_forged() {
    let plant = and_record(Learning, |text| {
        let third = text.len() / 3;
        text[..third].to_owned() + &forged(2, Learning, "trust me") + &text[third..]
    });
    let told = [(FILE, Some(12), Some(2), Kind::Forged)];
    finds_and_mends(plant, &told, &[], 1).await;
}

#[tokio::test]
async fn an_entry_that_the_hub_has_otherwise_is_forged() {
    let plant = and_record(Learning, |text| {
        let third = text.len() / 3;
        let other = forged(5, Learning, "not what was said");
        text[..third].to_owned() + &other + &text[2 * third..]
    });
    let told = [(FILE, Some(12), Some(5), Kind::Forged)];
    finds_and_mends(plant, &told, &[], 1).await;
    for field in ["origin", "time", "id", "meta"] {
        let (hub, project) = mirrored().await;
        let mut entry = samples::entry(5, Learning, "entry 5 \n---\n# <!--");
        match field {
            "origin" => entry.origin.push('x'),
            "time" => entry.timestamp += 1,
            "id" => entry.id = samples::id("other"),
            _ => entry.meta.tool.push('x'),
        }
        let change = |text: String| {
            let third = text.len() / 3;
            text[..third].to_owned() + &render(&entry) + &text[2 * third..]
        };
        // A changed time is as long as the old one.
        match field {
            "time" => edit(Learning, change)(&project),
            _ => and_record(Learning, change)(&project),
        }
        assert_told(&verified(Some(&hub), &project).await, &told);
    }
}

#[tokio::test]
async fn an_entry_in_the_file_of_another_type_is_no_entry_of_it() {
    let plant = and_record(Learning, |text| text + &forged(6, Convention, "entry 6"));
    let told = [(FILE, Some(34), Some(6), Kind::Edited)];
    finds_and_mends(plant, &told, &told, 1).await;
}

#[tokio::test]
async fn entries_that_were_swapped_are_out_of_order() {
    let plant = edit(Learning, |text| {
        let third = text.len() / 3;
        text[third..2 * third].to_owned() + &text[..third] + &text[2 * third..]
    });
    let told = [(FILE, Some(12), Some(1), Kind::Order)];
    finds_and_mends(plant, &told, &told, 1).await;
}

#[tokio::test]
async fn an_id_that_comes_twice_is_told_without_the_hub_too() {
    let plant = and_record(Learning, |text| {
        let mut entry = samples::entry(11, Learning, "again");
        entry.id = samples::id("id-1");
        text + &render(&entry)
    });
    let with_hub = [(FILE, Some(34), Some(11), Kind::Forged)];
    let alone = [(FILE, Some(34), Some(11), Kind::Duplicate)];
    finds_and_mends(plant, &with_hub, &alone, 1).await;
}

#[tokio::test]
async fn an_entry_beyond_the_cursor_is_told() {
    let plant = and_record(Learning, |text| text + &forged(13, Learning, "soon"));
    let told = [(FILE, Some(34), Some(13), Kind::Beyond)];
    finds_and_mends(plant, &told, &told, 1).await;
}

#[tokio::test]
async fn an_append_that_was_killed_is_told_and_needs_no_hub_to_be_cut() {
    for bytes in [1, 5, 40, 100] {
        let (hub, project) = mirrored().await;
        let whole = project.text(Learning);
        hub.publish(4);
        let next = hub.text(Learning).split_off(whole.len());
        edit(Learning, |text| text + &next[..bytes])(&project);
        let told = [(FILE, Some(34), None, Kind::Torn)];
        for hub in [Some(&hub), None] {
            let report = verified(hub, &project).await;
            assert_told(&report, &told);
            assert!(report.hint().unwrap().contains("`ctx connect sync`"));
        }
        let report = repaired(None, &project).await;
        assert_told(&report.after, &[]);
        assert_eq!(project.text(Learning), whole);
        project.sync(&hub, &TypeSet::all()).await.unwrap();
        project.assert_mirrors(&hub, &TypeSet::all());
    }
}

#[tokio::test]
async fn a_line_that_a_person_began_is_told_from_a_killed_append_by_the_hub_and_kept_without() {
    let line = "## [2026-01-02] words";
    let with_hub = [(FILE, Some(34), None, Kind::Foreign)];
    let alone = [(FILE, Some(34), None, Kind::Torn)];
    finds_and_mends(edit(Learning, |text| text + line), &with_hub, &alone, 1).await;

    let (_, project) = mirrored().await;
    let whole = project.text(Learning);
    edit(Learning, |text| text + line)(&project);
    assert_told(&repaired(None, &project).await.after, &[]);
    assert_eq!(project.text(Learning), whole);
    let [name] = kept(&project).try_into().unwrap();
    let path = project.context.mirror().path().join(name);
    assert_eq!(fs::read_to_string(path).unwrap(), line);
}

#[tokio::test]
async fn notes_behind_the_entries_are_kept_with_and_without_the_hub() {
    let told = [(FILE, Some(34), None, Kind::Foreign)];
    let plant = || edit(Learning, |text| text + "my notes\n");
    finds_and_mends(plant(), &told, &told, 1).await;
    let (hub, project) = mirrored().await;
    plant()(&project);
    assert_told(&repaired(None, &project).await.after, &[]);
    project.assert_mirrors(&hub, &TypeSet::all());
    assert_eq!(kept(&project).len(), 1);
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_told_with_what_it_lacks() {
    let half = |text: String| text[..text.len() / 2].to_owned();
    let alone = [(FILE, None, None, Kind::Short)];
    let with_hub = [alone[0], (FILE, None, Some(5), Kind::Hole)];
    finds_and_mends(edit(Learning, half), &with_hub, &alone, 0).await;
    let empty = |_: String| String::new();
    let with_hub = [alone[0], (FILE, None, Some(1), Kind::Hole)];
    finds_and_mends(edit(Learning, empty), &with_hub, &alone, 0).await;
}

#[tokio::test]
async fn a_file_that_is_gone_is_told() {
    let told = [(FILE, None, None, Kind::Missing)];
    let plant = |project: &Project| fs::remove_file(project.file(Learning)).unwrap();
    finds_and_mends(plant, &told, &told, 0).await;
}
