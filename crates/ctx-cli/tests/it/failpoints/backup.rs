//! A backup and a restoration killed at every step: nothing that is not whole stands under their
//! names, and the next one clears away what was left.

use camino::Utf8Path;
use ctx_config::paths::{self, DataDir};
use ctx_io::failpoint::{STEPS, VARIABLE};

use crate::harness::{Run, World};

/// Runs the program with `rules`.
fn run(world: &World, rules: &str, args: &[&str]) -> Run {
    world.dir("somewhere").with(args, |ctx| {
        if !rules.is_empty() {
            ctx.env(VARIABLE, rules);
        }
    })
}

fn names(dir: &Utf8Path) -> Vec<String> {
    let entries = dir.read_dir_utf8().unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().to_owned())
        .collect()
}

/// Kills `args`, which make `target`, at every step; `is_whole` says whether what is there then is.
fn killed_everywhere(world: &World, target: &Utf8Path, args: &[&str], is_whole: impl Fn() -> bool) {
    let notes = world.root().join("notes");
    let rules: Vec<_> = STEPS
        .iter()
        .map(|step| format!("{step}=note:{notes}"))
        .collect();
    let control = run(world, &rules.join(";"), args);
    assert_eq!(control.code, 0, "{}", control.show());
    assert!(is_whole());
    let noted = fs_err::read_to_string(&notes).unwrap();
    fs_err::remove_file(&notes).unwrap();
    let parent = target.parent().unwrap();
    let (mut absent, mut there) = (0, 0);
    for step in STEPS {
        let times = noted
            .lines()
            .filter(|line| line.split(' ').next() == Some(*step));
        for number in 1..=times.count() {
            fs_err::remove_dir_all(target).ok();
            let killed = run(world, &format!("{step}#{number}=kill"), args);
            assert_eq!(killed.code, -1, "{step}#{number}: {}", killed.show());
            if target.exists() {
                there += 1;
                assert!(is_whole(), "half of it stands there: {step}#{number}");
                fs_err::remove_dir_all(target).unwrap();
            } else {
                absent += 1;
            }
            let again = run(world, "", args);
            assert_eq!(again.code, 0, "{step}#{number}: {}", again.show());
            assert!(is_whole(), "{step}#{number}");
            assert_eq!(names(parent).len(), 1, "{:?}", names(parent));
        }
    }
    assert!(absent > 3 && there > 0, "{absent} {there}");
}

#[test]
fn a_backup_and_a_restoration_killed_at_any_step_leave_nothing_half_under_their_names() {
    let world = World::in_memory();
    let hub = world.hub();
    world.registered("p", &hub).publish("task", "one");
    let data = hub.data.clone();
    hub.stop(&world);
    let backups = world.root().join("backups");
    fs_err::create_dir(&backups).unwrap();
    let backup = backups.join("monday");
    let is_whole = || {
        let manifest = backup.join(paths::BACKUP_MANIFEST_FILE);
        manifest.exists() && names(&backup).len() == 3
    };
    let args = [
        "hub",
        "backup",
        backup.as_str(),
        "--data-dir",
        data.path().as_str(),
    ];
    killed_everywhere(&world, &backup, &args, is_whole);

    let places = world.root().join("places");
    fs_err::create_dir(&places).unwrap();
    let place = DataDir::new(places.join("data"));
    let args = [
        "hub",
        "restore",
        backup.as_str(),
        "--data-dir",
        place.path().as_str(),
    ];
    let is_whole = || place.store().exists() && place.marks().exists();
    killed_everywhere(&world, place.path(), &args, is_whole);
}
