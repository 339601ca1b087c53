//! Steps at which a process stops, fails or dies, as the environment says.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Output, Stdio};

use ctx_io::failpoint::{STEPS, VARIABLE};
use ctx_io::{FileLock, Wait};

use crate::harness::{HOLDER, LOCK, Role, Scratch, command, eventually, put};

/// Runs the role that writes a few files, with these rules.
fn writes(scratch: &Scratch, rules: &str) -> Output {
    let mut command = command("write-three", scratch);
    command.env(VARIABLE, rules).stdout(Stdio::piped());
    command.output().unwrap()
}

fn said(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr);
    let said = text.lines().filter_map(|line| line.strip_prefix("@ "));
    said.map(str::to_owned).collect()
}

const WRITTEN: &str = "a: written";

#[test]
fn without_rules_nothing_happens() {
    let scratch = Scratch::new();
    let output = command("write-three", &scratch).output().unwrap();
    assert!(output.status.success());
    assert_eq!(said(&output), [WRITTEN, "b: written", "c: written"]);
}

#[test]
fn a_process_is_killed_at_the_step_and_the_time_that_a_rule_names() {
    for (rules, files) in [
        ("atomic.renamed=kill", &["a"][..]),
        ("atomic.renamed#3=kill", &["a", "b", "c"]),
        ("atomic.renamed(b)=kill", &["a", "b"]),
        (
            "atomic.renamed(b)#2=kill;fsync.dir#3=kill",
            &["a", "b", "c"],
        ),
    ] {
        let scratch = Scratch::new();
        let output = writes(&scratch, rules);
        assert_eq!(output.status.signal(), Some(9), "{rules}: {output:?}");
        assert_eq!(scratch.names(), files, "{rules}");
    }
}

#[test]
fn a_step_fails_with_the_error_that_a_rule_names_and_others_do_not() {
    let scratch = Scratch::new();
    let output = writes(&scratch, "fsync.file(b)=ENOSPC;fsync.file#3+=EIO");
    assert!(output.status.success());
    let full = "b: cannot flush DIR/b: No space left on device (os error 28)";
    let io = "c: cannot flush DIR/c: Input/output error (os error 5)";
    assert_eq!(said(&output), [WRITTEN, full, io]);
    assert_eq!(scratch.names(), ["a"], "what failed leaves nothing behind");
}

#[test]
fn the_steps_that_a_process_passes_are_noted() {
    let scratch = Scratch::new();
    let notes = scratch.join("notes");
    let rules = format!("atomic.renamed=note:{notes};fsync.dir(b)=note:{notes}");
    assert!(writes(&scratch, &rules).status.success());
    let want = "atomic.renamed a\natomic.renamed b\nfsync.dir b\natomic.renamed c\n";
    assert_eq!(std::fs::read_to_string(notes).unwrap(), want);
}

#[test]
fn a_process_is_held_until_it_may_go_on() {
    let scratch = Scratch::new();
    let (hold, go) = (scratch.join("hold"), scratch.join("go"));
    let mut command = command("write-three", &scratch);
    command.env(
        VARIABLE,
        format!("atomic.written(a)=hold:{hold}; atomic.written(b)=wait:{go}"),
    );
    let role = Role::spawn(command);
    eventually("the process is held", || hold.exists());
    assert!(!scratch.join("a").exists());
    std::fs::remove_file(&hold).unwrap();
    assert_eq!(role.hear(), WRITTEN);
    assert!(!scratch.join("b").exists());
    std::fs::File::options()
        .write(true)
        .create_new(true)
        .open(&go)
        .unwrap();
    assert_eq!(role.finish(), ["b: written", "c: written"]);
}

#[test]
fn a_value_that_is_no_rule_ends_the_program_and_says_why() {
    for (rules, why) in [
        ("", "it holds no rule"),
        ("atomic.renamed", "`atomic.renamed`: there is no `=`"),
        ("atomic.rename=kill", "there is no step `atomic.rename`"),
        ("atomic.renamed=EOOPS", "there is no action `EOOPS`"),
        (
            "atomic.written=hold:/no/such/dir/x",
            "cannot write /no/such/dir/x",
        ),
    ] {
        let scratch = Scratch::new();
        let output = writes(&scratch, rules);
        assert_eq!(output.status.code(), Some(2), "{rules}: {output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            text.contains("CTX_FAILPOINTS: ") && text.contains(why),
            "{text}"
        );
        assert!(!scratch.join("a").exists());
    }
}

#[test]
fn the_list_is_printed_on_demand_and_the_program_ends() {
    let scratch = Scratch::new();
    let output = writes(&scratch, "list");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    // The test runner has its say on the first line.
    let list: String = STEPS.iter().map(|step| format!("{step}\n")).collect();
    assert!(text.ends_with(&list), "{text}");
    assert!(!scratch.join("a").exists());
}

/// The steps of a process that takes a lock under `rules`, those about its flush, and what it said.
fn flushes(rules: &str) -> (Vec<String>, Vec<String>) {
    let scratch = Scratch::new();
    let notes = scratch.join("notes");
    let note = |step: &str| format!("{step}=note:{notes}");
    let mut all = vec![
        note("fsync.file"),
        note("lock.flushed"),
        note("lock.linked"),
    ];
    all.extend((!rules.is_empty()).then(|| rules.to_owned()));
    let mut command = command("take", &scratch);
    command.env(VARIABLE, all.join(";"));
    let said = Role::spawn(command).finish();
    let noted = std::fs::read_to_string(&notes).unwrap();
    std::fs::remove_file(&notes).unwrap();
    assert_eq!(scratch.names(), [""; 0]);
    (noted.lines().map(str::to_owned).collect(), said)
}

#[test]
fn the_record_of_a_lock_is_flushed_where_its_file_has_no_mark() {
    let line = |step: &str| format!("{step} {LOCK}");
    let [fsync, flushed, linked] = ["fsync.file", "lock.flushed", "lock.linked"].map(line);
    let (steps, said) = flushes("");
    assert_eq!(
        (steps, said),
        (vec![linked.clone()], vec!["won 1600".to_owned()])
    );
    // A file system without modes.
    let (steps, _) = flushes("lock.marked=EOPNOTSUPP");
    assert_eq!(steps, [fsync.clone(), flushed.clone(), linked.clone()]);
    // One without locks of the operating system: the mark would say what is not so.
    let (steps, said) = flushes("os-lock.try=ENOLCK");
    assert_eq!(steps, [fsync, flushed, linked]);
    assert_eq!(said, ["won 600"]);
}

#[test]
fn a_lock_whose_record_cannot_be_flushed_is_not_taken() {
    let scratch = Scratch::new();
    let mut command = command("take", &scratch);
    command.env(VARIABLE, "lock.marked=EOPNOTSUPP;fsync.file=EIO");
    assert_eq!(
        Role::spawn(command).finish(),
        [format!("cannot flush the lock DIR/{LOCK}")]
    );
    assert_eq!(scratch.names(), [""; 0]);
}

#[test]
fn a_removal_that_ends_with_the_power_holds_nobody_up() {
    let scratch = Scratch::new();
    let marked = std::fs::Permissions::from_mode(0o1600);
    put(&scratch.lock(), b"");
    std::fs::set_permissions(scratch.lock(), marked).unwrap();
    let mut command = command("remove", &scratch);
    command.env(VARIABLE, "unlock.announced=kill");
    assert_eq!(command.output().unwrap().status.signal(), Some(9));
    let [announcement, lock] = &scratch.names()[..] else {
        panic!("{:?}", scratch.names())
    };
    assert!(announcement.ends_with(".removing") && lock == LOCK);
    // Its record had not reached the disk.
    put(&scratch.join(announcement), b"");
    let lock = FileLock::acquire(&scratch.lock(), &HOLDER, Wait::No).unwrap();
    assert!(lock.took_over_unrecorded());
    lock.release().unwrap();
    assert_eq!(scratch.names(), [""; 0]);
}
