//! `ctx init`, and what git would commit.

use std::process::Command;

use camino::Utf8Path;
use ctx_config::paths;
use insta::assert_snapshot;

use crate::harness::{Project, World, put};

fn git(dir: &Utf8Path) {
    let status = Command::new("git")
        .args(["init", "--quiet"])
        .arg(dir)
        .status()
        .unwrap();
    assert!(status.success());
}

fn ignored(project: &Project<'_>) -> String {
    fs_err::read_to_string(project.dir.join(paths::GITIGNORE_FILE)).unwrap()
}

#[test]
fn init_makes_what_is_missing_and_keeps_the_rest() {
    let world = World::new();
    let project = world.dir("p");
    project.ok(&["init"]);
    let tasks = project.context().path().join(paths::OWN_TASKS_FILE);
    put(&tasks, b"mine");
    let decisions = project.context().path().join(paths::OWN_DECISIONS_FILE);
    fs_err::remove_file(&decisions).unwrap();
    assert_snapshot!(project.ctx(&["init"]).show(), @r#"
    exit 0
    --- stdout
    created .context/DECISIONS.md
    kept    .context
    kept    .context/LEARNINGS.md
    kept    .context/CONVENTIONS.md
    kept    .context/TASKS.md
    "#);
    assert_eq!(fs_err::read_to_string(&tasks).unwrap(), "mine");
    assert!(
        fs_err::read_to_string(&decisions)
            .unwrap()
            .starts_with("# Decisions\n")
    );
}

#[test]
fn something_else_in_the_place_of_the_folder_is_left_alone() {
    let world = World::new();
    let project = world.dir("p");
    put(project.context().path(), b"a file");
    assert_snapshot!(project.ctx(&["init"]).show(), @r#"
    exit 1
    --- stderr
    error: .context is not a directory
    hint: move it away, then run it again
    "#);
    assert_eq!(fs_err::read(project.context().path()).unwrap(), b"a file");
}

#[test]
fn in_a_work_tree_it_warns_until_git_ignores_the_mirror_and_the_token() {
    let world = World::new();
    let project = world.dir("p");
    git(&project.dir);
    assert_snapshot!(project.ctx(&["init", "--quiet"]).show(), @r#"
    exit 0
    --- stderr
    warning: git would commit what other projects shared, or this project's token:
      .context/hub/
      .context/.connect.enc*
    hint: add these lines to [root]/p/.gitignore, or run `ctx init --gitignore`
    "#);
    put(&project.dir.join(paths::GITIGNORE_FILE), b"/target");
    let run = project.ctx(&["init", "--gitignore"]);
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    kept    .context
    kept    .context/DECISIONS.md
    kept    .context/LEARNINGS.md
    kept    .context/CONVENTIONS.md
    kept    .context/TASKS.md
    added   .context/hub/ to [root]/p/.gitignore
    added   .context/.connect.enc* to [root]/p/.gitignore
    "#);
    assert_snapshot!(ignored(&project), @r#"
    /target
    .context/hub/
    .context/.connect.enc*
    "#);
    let again = project.json(&["init", "--gitignore"]);
    assert_eq!(again["git"]["added"], serde_json::json!([]));
    assert_eq!(again["git"]["missing"], serde_json::json!([]));
    assert_eq!(ignored(&project).lines().count(), 3);
}

#[test]
fn in_a_folder_of_a_work_tree_the_lines_name_the_folder() {
    let world = World::new();
    let project = world.dir("tree/services/billing");
    git(&world.root().join("tree"));
    let document = project.json(&["init", "--gitignore"]);
    assert_eq!(document["git"]["added"].as_array().unwrap().len(), 2);
    let text = fs_err::read_to_string(world.root().join("tree").join(paths::GITIGNORE_FILE));
    let expected = format!(
        "services/billing/{0}/{1}/\nservices/billing/{0}/{2}*\n",
        paths::CONTEXT_DIR,
        paths::MIRROR_DIR,
        paths::CONNECT_FILE
    );
    assert_eq!(text.unwrap(), expected);
    let run = project.ctx(&["init"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
}

#[test]
fn without_git_the_ignore_file_is_read() {
    let world = World::new();
    let project = world.dir("p");
    git(&project.dir);
    let init = || {
        project.with(&["init", "--json", "--quiet"], |ctx| {
            ctx.env("PATH", "");
        })
    };
    let missing = |run: crate::harness::Run| run.json()["git"]["missing"].as_array().unwrap().len();
    assert_eq!(missing(init()), 2);
    let line = format!("/{}/\n", paths::CONTEXT_DIR);
    put(&project.dir.join(paths::GITIGNORE_FILE), line.as_bytes());
    assert_eq!(missing(init()), 0);
}

#[test]
fn outside_a_work_tree_there_is_nothing_to_ignore() {
    let world = World::new();
    let project = world.dir("p");
    assert_eq!(project.json(&["init"])["git"], serde_json::Value::Null);
    assert_snapshot!(project.ctx(&["init", "--gitignore", "-q"]).show(), @r#"
    exit 1
    --- stderr
    error: .context is in no git work tree
    hint: run it without --gitignore
    "#);
}

#[test]
fn another_folder_can_be_named() {
    let world = World::new();
    let project = world.dir("p");
    project.ok(&["init", "--context-dir", "notes"]);
    assert!(
        project
            .dir
            .join("notes")
            .join(paths::OWN_TASKS_FILE)
            .exists()
    );
    assert!(!project.context().path().exists());
    let run = project.ctx(&["init", "--context-dir", "missing/notes"]);
    assert_snapshot!(run.show(), @r#"
    exit 1
    --- stderr
    error: cannot create the directory missing/notes
      caused by: No such file or directory (os error 2)
    hint: a directory above it does not exist: create it first
    "#);
}
