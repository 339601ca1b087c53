//! Two containers that share a project: process ids, and times since boot, mean something else in
//! each.

use std::io::Write as _;
use std::process::{Command, Stdio};

use ctx_io::failpoint::VARIABLE;

use super::stage::{PLAIN, Run, SYNC, Stage};
use crate::harness::{PROGRAM, Project, Reaped, until};

/// How a program is run in namespaces of its own; the last kills it when its parent is killed.
const CONTAINERS: [&[&str]; 2] = [
    &["--pid", "--fork", "--mount-proc", "--kill-child"],
    &["--time", "--boottime", "100000", "--fork", "--kill-child"],
];
const WITHOUT: &str = "os-lock.try=ENOLCK";
const UNLOCK: &[&str] = &["connect", "unlock"];

/// The namespaces that this machine lets us make.
fn permitted() -> Vec<&'static [&'static str]> {
    let works = |container: &&&[&str]| {
        let mut command = Command::new("unshare");
        command.args(**container).arg("true").stderr(Stdio::null());
        let works = command.status().is_ok_and(|status| status.success());
        if !works {
            let line = format!(
                "skipped: unshare {} is not permitted\n",
                container.join(" ")
            );
            std::io::stdout().write_all(line.as_bytes()).unwrap();
        }
        works
    };
    CONTAINERS.iter().filter(works).copied().collect()
}

/// A sync in a container.
fn inside(project: &Project<'_>, container: &[&str], rules: &str) -> Reaped {
    let mut command = Command::new("unshare");
    project.world.clean(&mut command);
    command.args(container).arg(PROGRAM).args(SYNC);
    command.current_dir(&project.dir).env(VARIABLE, rules);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Reaped(command.spawn().unwrap())
}

#[test]
fn the_kernel_tells_who_lives_in_another_container() {
    let stage = Stage::new();
    for container in permitted() {
        let project = stage.project(&PLAIN);
        let held = project.dir.join("held");
        let rules = format!("sync.committing#1=hold:{held}");
        let mut holder = inside(&project, container, &rules);
        until("the holder is inside", || held.exists().then_some(()));
        for args in [SYNC, UNLOCK] {
            let run = Run::of(&project, args, "");
            assert_eq!(run.code, 3, "{}", run.text);
            assert!(run.text.contains("is held by"), "{}", run.text);
        }
        holder.kill();
        until("the holder is dead", || {
            (Run::of(&project, SYNC, "").code == 0).then_some(())
        });
        stage.check(&project, &PLAIN, "after the container");
    }
}

#[test]
fn without_locks_nobody_is_held_for_dead_by_a_number_of_another_container() {
    let stage = Stage::new();
    for container in permitted() {
        let project = stage.project(&PLAIN);
        let held = project.dir.join("held");
        let rules = format!("{WITHOUT};sync.committing#1=hold:{held}");
        let holder = inside(&project, container, &rules);
        until("the holder is inside", || held.exists().then_some(()));
        for args in [SYNC, UNLOCK] {
            let run = Run::of(&project, args, WITHOUT);
            assert_eq!(run.code, 3, "{container:?}: {}", run.text);
            assert!(project.mirror().sync_lock().exists());
        }
        fs_err::remove_file(&held).unwrap();
        assert_eq!(holder.output(&stage.world).code, 0);
        stage.check(&project, &PLAIN, "beside the container");
    }
}
