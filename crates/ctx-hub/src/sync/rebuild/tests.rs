//! Full syncs, and each step of the swap interrupted.

use std::fs;

use super::super::fake::{FakeHub, Fault, Project};
use super::super::report::SyncOptions;
use super::super::session::load_state;
use super::*;
use EntryType::{Decision, Learning, Task};

const EDITED: &str = "# my own\n\nnotes\n";

fn set_aside(project: &Project) -> Vec<String> {
    let mut names = project.names();
    names.retain(|name| name.contains(paths::SET_ASIDE_MARK));
    names
}

#[tokio::test]
async fn a_full_sync_keeps_an_edited_file_beside_the_new_one_and_only_that() {
    let (hub, project, all) = (FakeHub::with(12), Project::new(), TypeSet::all());
    project.sync(&hub, &all).await.unwrap();
    let edited = project.text(Decision) + EDITED;
    project.put(&project.file(Decision), &edited);
    hub.publish(4);
    let report = project.full(&hub, &all).await.unwrap();
    assert_eq!((report.total(), report.rebuilt), (16, true));
    project.assert_mirrors(&hub, &all);
    let [kept] = report.set_aside.as_slice() else {
        panic!("{:?}", report.set_aside)
    };
    assert_eq!(fs::read_to_string(kept).unwrap(), edited);
    assert_eq!(set_aside(&project).len(), 1);
    assert!(!project.context.mirror().rebuild().path().exists());
    assert_eq!(project.sync(&hub, &all).await.unwrap().total(), 0);
}

#[tokio::test]
async fn what_a_full_sync_would_lose_is_kept_whatever_it_is() {
    let (hub, all) = (FakeHub::with(12), TypeSet::all());
    let older = "## [2026-01-02] Title\n\n**Origin**: p\n\nTitle\n\n---\n\n";
    let fresh = Project::new();
    fresh.sync(&hub, &all).await.unwrap();
    let text = fresh.text(Decision);
    let changed = text.replacen("entry 4", "Entry 4", 1);
    assert_ne!(changed, text);
    for lost in [
        older.to_owned(),
        changed,
        text.clone() + "x",
        text.clone() + "## [2026-01-02] words",
        text.repeat(2),
        "x".to_owned(),
    ] {
        let project = Project::new();
        project.put(&project.file(Decision), &lost);
        for expected in [1, 0] {
            let report = project.full(&hub, &all).await.unwrap();
            assert_eq!(report.set_aside.len(), expected, "{lost}");
            project.assert_mirrors(&hub, &all);
        }
        let [kept] = set_aside(&project).try_into().unwrap();
        let kept = project.context.mirror().path().join(kept);
        assert_eq!(fs::read_to_string(kept).unwrap(), lost);
    }
    for nothing in ["", &text[..text.len() / 2], &text[..text.len() - 1]] {
        let project = Project::new();
        project.put(&project.file(Decision), nothing);
        let report = project.full(&hub, &all).await.unwrap();
        assert!(report.set_aside.is_empty(), "{nothing}");
        project.assert_mirrors(&hub, &all);
    }
}

#[tokio::test]
async fn entries_that_a_restored_hub_lost_are_kept_beside_the_new_mirror() {
    let (hub, project, all) = (FakeHub::with(12), Project::new(), TypeSet::all());
    project.sync(&hub, &all).await.unwrap();
    let before: Vec<_> = all.iter().map(|of| (of, project.text(of))).collect();
    hub.set_back(10);
    hub.publish(6);
    project.sync(&hub, &all).await.unwrap_err();
    let report = project.full(&hub, &all).await.unwrap();
    assert_eq!(report.total(), 16);
    project.assert_mirrors(&hub, &all);
    // Two entries were lost, of two types: their files stay, and nobody else's.
    let lost: Vec<_> = before
        .iter()
        .filter(|(of, text)| !hub.text(*of).starts_with(text.as_str()))
        .map(|(_, text)| text.clone())
        .collect();
    assert_eq!(lost.len(), 2);
    let mut kept: Vec<_> = report
        .set_aside
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    kept.sort_by_key(|text| lost.iter().position(|lost| lost == text));
    assert_eq!(kept, lost);
    assert_eq!(project.sync(&hub, &all).await.unwrap().total(), 0);
    assert_eq!(set_aside(&project).len(), 2);
}

#[tokio::test]
async fn a_file_of_a_type_that_the_hub_has_nothing_of_is_set_aside() {
    let (hub, project, all) = (FakeHub::with(1), Project::new(), TypeSet::all());
    project.put(&project.file(Task), "mine\n");
    let report = project.full(&hub, &all).await.unwrap();
    assert_eq!(report.set_aside.len(), 1);
    assert!(!project.file(Task).exists());
    project.assert_mirrors(&hub, &all);
}

#[tokio::test]
async fn two_files_set_aside_in_the_same_second_both_stay() {
    let (hub, project, all) = (FakeHub::with(4), Project::new(), TypeSet::all());
    for text in ["one\n", "two\n", "three\n"] {
        project.put(&project.file(Learning), text);
        project.full(&hub, &all).await.unwrap();
    }
    let mut kept: Vec<String> = set_aside(&project)
        .iter()
        .map(|name| fs::read_to_string(project.context.mirror().path().join(name)).unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["one\n", "three\n", "two\n"]);
}

#[tokio::test]
async fn types_that_are_no_longer_asked_for_are_rebuilt_while_they_have_a_file() {
    let (hub, project) = (FakeHub::with(12), Project::new());
    project.sync(&hub, &TypeSet::all()).await.unwrap();
    hub.swap();
    let only = [Decision].into_iter().collect();
    project.full(&hub, &only).await.unwrap();
    project.assert_mirrors(&hub, &TypeSet::all());
    hub.publish(4);
    project.sync(&hub, &TypeSet::all()).await.unwrap();
    project.assert_mirrors(&hub, &TypeSet::all());
}

#[tokio::test]
async fn a_damaged_state_is_mended_by_a_full_sync_and_one_of_a_newer_ctx_is_not_touched() {
    let (hub, project, all) = (FakeHub::with(12), Project::new(), TypeSet::all());
    let state = project.context.mirror().state();
    project.put(&state, "{ broken");
    project.full(&hub, &all).await.unwrap();
    project.assert_mirrors(&hub, &all);
    let newer = "{\"format\":3}";
    project.put(&state, newer);
    project.full(&hub, &all).await.unwrap_err();
    assert_eq!(fs::read_to_string(&state).unwrap(), newer);
    assert!(!project.context.mirror().sync_lock().exists());
}

#[tokio::test]
async fn a_hub_that_fails_in_the_middle_leaves_the_old_mirror_untouched() {
    let (hub, project, all) = (FakeHub::with(12), Project::new(), TypeSet::all());
    project.sync(&hub, &all).await.unwrap();
    let edited = project.text(Decision) + EDITED;
    project.put(&project.file(Decision), &edited);
    let state = fs::read(project.context.mirror().state()).unwrap();
    hub.fail([
        Fault::After(5),
        Fault::After(0),
        Fault::After(0),
        Fault::After(0),
    ]);
    project.full(&hub, &all).await.unwrap_err();
    assert_eq!(project.text(Decision), edited);
    assert_eq!(fs::read(project.context.mirror().state()).unwrap(), state);
    // What was built so far is swept by whoever comes next.
    let rebuild = project.context.mirror().rebuild();
    assert!(rebuild.path().exists());
    load_state(&project.context, &SyncOptions::default())
        .unwrap()
        .release()
        .unwrap();
    assert!(!rebuild.path().exists());
    assert!(set_aside(&project).is_empty());
}

/// A project with an edited file and a complete rebuild beside it that nobody swapped in.
async fn complete_rebuild(hub: &FakeHub) -> (Project, String) {
    let project = Project::new();
    let all = TypeSet::all();
    project.sync(hub, &all).await.unwrap();
    let edited = project.text(Decision) + EDITED;
    project.put(&project.file(Decision), &edited);
    let elsewhere = Project::new();
    elsewhere.sync(hub, &all).await.unwrap();
    let (from, to) = (
        elsewhere.context.mirror(),
        project.context.mirror().rebuild(),
    );
    fs::create_dir(to.path()).unwrap();
    for entry_type in EntryType::ALL {
        let name = entry_type.mirror_file();
        fs::copy(from.path().join(name), to.path().join(name)).unwrap();
    }
    let Recorded::Current(state) = recover::read_file(&from).unwrap() else {
        panic!()
    };
    write_state(
        &to,
        &SyncState {
            complete: true,
            ..state
        },
    )
    .unwrap();
    (project, edited)
}

/// Whoever comes next finishes the swap; the edited file is kept once.
async fn assert_finished(project: &Project, hub: &FakeHub, edited: &str, what: &str) {
    let all = TypeSet::all();
    let report = project.sync(hub, &all).await.unwrap();
    assert_eq!(report.total(), 0, "{what}");
    project.assert_mirrors(hub, &all);
    assert!(
        !project.context.mirror().rebuild().path().exists(),
        "{what}"
    );
    let [kept] = set_aside(project).try_into().unwrap();
    let kept = project.context.mirror().path().join(kept);
    assert_eq!(fs::read_to_string(kept).unwrap(), edited, "{what}");
    assert_eq!(
        project.sync(hub, &all).await.unwrap().warnings,
        [],
        "{what}"
    );
}

#[tokio::test]
async fn a_swap_interrupted_at_any_step_is_finished_by_the_next_sync() {
    let hub = FakeHub::with(12);
    // Steps: set the edited file aside, four renames, the state, the folder's removal.
    for steps in 0..=6 {
        let (project, edited) = complete_rebuild(&hub).await;
        let home = project.context.mirror();
        let rebuild = home.rebuild();
        if steps >= 1 {
            move_aside(&project.file(Decision)).unwrap();
        }
        for entry_type in EntryType::ALL
            .into_iter()
            .take(usize::saturating_sub(steps, 1))
        {
            let new = rebuild.path().join(entry_type.mirror_file());
            fs_err::rename(new, project.file(entry_type)).unwrap();
        }
        if steps >= 6 {
            let Recorded::Current(state) = recover::read_file(&rebuild).unwrap() else {
                panic!()
            };
            write_state(
                &home,
                &SyncState {
                    complete: false,
                    ..state
                },
            )
            .unwrap();
        }
        assert_finished(&project, &hub, &edited, &format!("after {steps} steps")).await;
    }
}

#[tokio::test]
async fn a_rebuild_folder_whose_removal_was_interrupted_is_swept() {
    let hub = FakeHub::with(12);
    let (project, edited) = complete_rebuild(&hub).await;
    let home = project.context.mirror();
    let Recorded::Current(state) = recover::read_file(&home.rebuild()).unwrap() else {
        panic!()
    };
    swap(&home, state).unwrap();
    fs::create_dir(home.rebuild().path()).unwrap();
    assert_finished(&project, &hub, &edited, "the folder came back empty").await;
}

#[tokio::test]
async fn a_symbolic_link_in_place_of_the_rebuild_folder_is_refused() {
    let (hub, project) = (FakeHub::with(1), Project::new());
    let elsewhere = project.context.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    project.put(&elsewhere.join("file"), "precious");
    fs::create_dir(project.context.mirror().path()).unwrap();
    let link = project.context.mirror().rebuild();
    std::os::unix::fs::symlink(&elsewhere, link.path()).unwrap();
    project.full(&hub, &TypeSet::all()).await.unwrap_err();
    project.sync(&hub, &TypeSet::all()).await.unwrap_err();
    assert_eq!(
        fs::read_to_string(elsewhere.join("file")).unwrap(),
        "precious"
    );
}
