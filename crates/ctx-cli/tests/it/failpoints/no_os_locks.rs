//! A file system without locks of the operating system: the lock is a file's existence alone. One
//! holds it, it is never broken silently, and what removes it takes it from nobody.

use camino::Utf8Path;
use ctx_io::failpoint::VARIABLE;

use super::stage::{CASES, Case, Run, SYNC, Stage};
use crate::harness::{Project, Reaped, put, until};

/// What network file systems answer whose lock service is off, and those that never had one.
const WITHOUT: [&str; 2] = ["os-lock.try=ENOLCK", "os-lock.try=EOPNOTSUPP"];
const UNLOCK: &[&str] = &["connect", "unlock"];
const WAITING: &[&str] = &["connect", "sync", "--wait", "5m"];

fn spawn(project: &Project<'_>, args: &[&str], rules: &str) -> Reaped {
    let mut command = project.world.command();
    command.current_dir(&project.dir).args(args);
    command.env(VARIABLE, rules);
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    Reaped(command.spawn().unwrap())
}

fn appears(path: &Utf8Path) {
    until("a process is held there", || path.exists().then_some(()));
}

fn go_on(path: &Utf8Path) {
    fs_err::remove_file(path).unwrap();
}

/// A record of the lock at `project`, as text.
fn record(project: &Project<'_>) -> String {
    fs_err::read_to_string(project.mirror().sync_lock()).unwrap_or_default()
}

fn case(name: &str) -> &'static Case {
    CASES.iter().find(|case| case.name == name).unwrap()
}

/// A project whose lock is that of a process that held it by existence and was killed.
fn left_by_a_dead_one<'a>(stage: &'a Stage, without: &str) -> Project<'a> {
    let project = stage.project(case("incremental"));
    let rules = format!("{without};sync.appended=kill");
    assert!(Run::of(&project, SYNC, &rules).killed);
    project
}

#[test]
fn of_sixteen_one_holds_it_and_the_others_are_told() {
    let stage = Stage::new();
    for without in WITHOUT {
        let project = stage.project(case("incremental"));
        let hold = project.dir.join("held");
        let rules = format!("{without};lock.linked=hold:{hold}");
        let mut all: Vec<Reaped> = (0..16).map(|_| spawn(&project, SYNC, &rules)).collect();
        let ended = |all: &mut Vec<Reaped>| {
            all.iter_mut()
                .filter_map(|one| (!one.runs()).then_some(()))
                .count()
        };
        until("fifteen have their answer", || {
            (ended(&mut all) == 15).then_some(())
        });
        go_on(&hold);
        let mut won = 0;
        for one in all {
            let run = one.output(&stage.world);
            match run.code {
                0 => won += 1,
                3 => assert!(run.stderr.contains("is held by"), "{}", run.show()),
                _ => panic!("{}", run.show()),
            }
        }
        assert_eq!(won, 1);
        stage.check(&project, case("incremental"), without);
    }
}

#[test]
fn who_comes_second_to_the_name_has_not_linked_it() {
    let stage = Stage::new();
    let [without, _] = WITHOUT;
    let project = stage.project(case("incremental"));
    let [late, inside, linked] = ["late", "inside", "linked"].map(|name| project.dir.join(name));
    let rules = format!("{without};lock.written=hold:{late};lock.linked=note:{linked}");
    let second = spawn(&project, SYNC, &rules);
    appears(&late);
    let first = spawn(
        &project,
        SYNC,
        &format!("{without};lock.linked=hold:{inside}"),
    );
    appears(&inside);
    go_on(&late);
    assert_eq!(second.output(&stage.world).code, 3);
    assert!(!linked.exists(), "it passed for one who holds the lock");
    go_on(&inside);
    assert_eq!(first.output(&stage.world).code, 0);
    stage.check(&project, case("incremental"), without);
}

#[test]
fn a_dead_holder_is_not_taken_over_but_said_to_hold_by_existence() {
    let stage = Stage::new();
    for without in WITHOUT {
        let project = left_by_a_dead_one(&stage, without);
        let before = record(&project);
        let run = Run::of(&project, SYNC, without);
        assert_eq!(run.code, 3, "{}", run.text);
        let why = "and its file system has no locks that end with their holder";
        assert!(run.text.contains(why), "{}", run.text);
        assert!(
            run.text.contains("run `ctx connect unlock --id "),
            "{}",
            run.text
        );
        assert_eq!(record(&project), before, "nothing was broken silently");
        // The process that held it is gone, which can be told here.
        let run = Run::of(&project, UNLOCK, without);
        assert_eq!(run.code, 0, "{}", run.text);
        let run = Run::of(&project, SYNC, without);
        assert_eq!(run.code, 0, "{}", run.text);
        stage.check(&project, case("incremental"), without);
    }
}

#[test]
fn a_holder_of_another_host_boot_or_namespace_is_never_held_for_dead() {
    let stage = Stage::new();
    let [without, _] = WITHOUT;
    let dead = left_by_a_dead_one(&stage, without);
    let last = record(&dead).lines().last().unwrap().to_owned();
    for (field, value) in [
        ("pid_namespace", serde_json::json!("pid:[1]")),
        ("pid_namespace", serde_json::Value::Null),
        (
            "boot_id",
            serde_json::json!("00000000-0000-4000-8000-000000000000"),
        ),
        ("boot_id", serde_json::Value::Null),
    ] {
        let mut forged: serde_json::Value = serde_json::from_str(&last).unwrap();
        forged[field] = value.clone();
        let forged = format!("{forged}\n");
        put(&dead.mirror().sync_lock(), forged.as_bytes());
        for args in [SYNC, UNLOCK] {
            let run = Run::of(&dead, args, without);
            assert_eq!(run.code, 3, "{field} {value}: {}", run.text);
            assert_eq!(record(&dead), forged);
        }
    }
    let id = record(&dead);
    let id: serde_json::Value = serde_json::from_str(&id).unwrap();
    let by_id = [UNLOCK, &["--id", id["lock_id"].as_str().unwrap()]].concat();
    assert_eq!(Run::of(&dead, &by_id, without).code, 0);
}

#[test]
fn a_removal_that_comes_late_takes_the_lock_from_nobody() {
    let stage = Stage::new();
    let [without, _] = WITHOUT;
    let project = left_by_a_dead_one(&stage, without);
    let (late, inside) = (project.dir.join("late"), project.dir.join("inside"));

    // It has looked, for the second time too, and is about to unlink.
    let rules = format!("{without};lock.unlinking=hold:{late}");
    let remover = spawn(&project, UNLOCK, &rules);
    appears(&late);
    // Another one is faster, and a sync takes the lock.
    assert_eq!(Run::of(&project, UNLOCK, without).code, 0);
    let waiting = project.dir.join("waiting");
    let rules =
        format!("{without};unlock.waiting#1=hold:{waiting};sync.committing#1=hold:{inside}");
    let sync = spawn(&project, WAITING, &rules);
    appears(&waiting);
    let first = record(&project);
    assert!(!first.is_empty(), "its lock is in place");
    go_on(&waiting);
    // What the late one unlinks is the lock that is there now.
    go_on(&late);
    assert_eq!(remover.output(&stage.world).code, 0);
    appears(&inside);
    assert_ne!(
        record(&project).lines().next(),
        first.lines().next(),
        "it took the lock anew"
    );
    let run = Run::of(&project, SYNC, without);
    assert_eq!(run.code, 3, "two are inside: {}", run.text);
    go_on(&inside);
    assert_eq!(sync.output(&stage.world).code, 0);
    stage.check(&project, case("incremental"), "late");
}

#[test]
fn a_remover_that_waits_with_its_removal_makes_the_next_holder_wait() {
    let stage = Stage::new();
    let [without, _] = WITHOUT;
    let project = left_by_a_dead_one(&stage, without);
    let late = project.dir.join("late");
    let rules = format!("{without};lock.unlinking=hold:{late}");
    let mut remover = spawn(&project, UNLOCK, &rules);
    appears(&late);
    assert_eq!(Run::of(&project, UNLOCK, without).code, 0);
    let run = Run::of(&project, SYNC, without);
    assert_eq!(run.code, 3, "{}", run.text);
    assert!(
        run.text
            .contains("whoever began to remove the lock has not finished"),
        "{}",
        run.text
    );
    assert!(
        !project.mirror().sync_lock().exists(),
        "what it took is released"
    );
    // Killed, it is known to be dead.
    remover.kill();
    let run = Run::of(&project, SYNC, without);
    assert_eq!(run.code, 0, "{}", run.text);
    stage.check(&project, case("incremental"), "killed");
}

#[test]
fn a_remover_of_which_nothing_is_known_is_removed_by_its_id() {
    let stage = Stage::new();
    let [without, _] = WITHOUT;
    let project = left_by_a_dead_one(&stage, without);
    assert!(
        Run::of(
            &project,
            UNLOCK,
            &format!("{without};unlock.announced=kill")
        )
        .killed
    );
    let names = project.mirror_names();
    let left = names
        .iter()
        .find(|name| name.ends_with(".removing"))
        .unwrap();
    let path = project.mirror().path().join(left);
    let text = fs_err::read_to_string(&path).unwrap();
    let mut elsewhere: serde_json::Value = serde_json::from_str(&text).unwrap();
    elsewhere["boot_id"] = "00000000-0000-4000-8000-000000000000".into();
    put(&path, format!("{elsewhere}\n").as_bytes());
    assert_eq!(Run::of(&project, UNLOCK, without).code, 0);
    let id = elsewhere["lock_id"].as_str().unwrap();
    let run = Run::of(&project, SYNC, without);
    assert_eq!(run.code, 3, "{}", run.text);
    assert!(
        run.text.contains(&format!("unlock --id {id}")),
        "{}",
        run.text
    );
    assert_eq!(
        Run::of(&project, &[UNLOCK, &["--id", id]].concat(), without).code,
        0
    );
    assert_eq!(Run::of(&project, SYNC, without).code, 0);
    stage.check(&project, case("incremental"), "by id");
}

#[test]
fn a_sync_killed_at_any_step_is_completed_after_an_unlock() {
    let stage = Stage::new();
    let [without, _] = WITHOUT;
    let killed = |stage: &Stage, case: &Case| {
        let case = Case {
            rules: without,
            ..*case
        };
        let passed = stage.steps(&case);
        for (step, number) in &passed {
            let place = format!("{} at {step}#{number} without locks", case.name);
            let project = stage.project(&case);
            let rules = format!("{without};{step}#{number}=kill");
            assert!(Run::of(&project, case.args, &rules).killed, "{place}");
            for args in [UNLOCK, case.after] {
                let run = Run::of(&project, args, without);
                assert_eq!(run.code, 0, "{place}: {}", run.text);
            }
            // A temporary file of a dead process looks like one of a living one here.
            for name in project.mirror_names() {
                if name.ends_with(".tmp") {
                    fs_err::remove_file(project.mirror().path().join(name)).unwrap();
                }
            }
            stage.check(&project, &case, &place);
        }
        passed.len()
    };
    let cases = [*case("first"), *case("incremental"), *case("full")];
    let kills = stage.in_every(&cases, killed);
    println!("without locks: {kills:?} kills");
    assert!(kills.iter().all(|kills| *kills > 40));
}
