//! A hub killed, and failed, at every step of its start, a registration, a publish and its stop.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::DataDir;
use ctx_io::failpoint::{STEPS, VARIABLE};
use serde_json::Value;

use crate::harness::{Project, Reaped, Run, World};

const ID: &str = "the-one-entry";
/// How many hubs are tried at the same time: they wait more than they work.
const AT_ONCE: usize = 4;

/// A hub that may die at any time.
struct Doomed<'a> {
    world: &'a World,
    data: Utf8PathBuf,
    process: Reaped,
    /// Where it listens, if it came that far.
    address: Option<String>,
}

impl<'a> Doomed<'a> {
    fn start(world: &'a World, data: &Utf8Path, rules: &str) -> Self {
        let mut command = world.command();
        command.args(["--json", "--quiet", "hub", "start", "--port", "0"]);
        command.args(["--data-dir", data.as_str()]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if !rules.is_empty() {
            command.env(VARIABLE, rules);
        }
        let mut process = Reaped(command.spawn().unwrap());
        let mut line = String::new();
        let stdout = process.0.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let started: Option<Value> = serde_json::from_str(&line).ok();
        let address = started.and_then(|it| it["address"].as_str().map(str::to_owned));
        let data = data.to_owned();
        Self {
            world,
            data,
            process,
            address,
        }
    }

    /// Registers `project` under the name `name` and publishes the entry; what became of the latter.
    fn publish(&self, project: &Project<'_>, name: &str) -> Option<Run> {
        let address = self.address.as_deref()?;
        let token = fs_err::read_to_string(DataDir::new(&self.data).admin_token()).unwrap();
        let token = token.trim();
        project.ctx(&[
            "connect",
            "register",
            address,
            "--token",
            token,
            "--project",
            name,
            "--force",
        ]);
        Some(project.ctx(&["connect", "publish", "task", "once", "--id", ID, "--json"]))
    }

    /// Asks it to stop, and waits for its end.
    fn stop(self) -> Run {
        if self.address.is_some() {
            let args = ["hub", "stop", "--data-dir", self.data.as_str()];
            self.world.ctx(&args);
        }
        self.process.output(self.world)
    }

    fn names(data: &Utf8Path) -> BTreeSet<String> {
        let entries = data.read_dir_utf8().unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().to_owned())
            .collect()
    }
}

fn acknowledged(run: &Run) -> bool {
    run.code == 0 && run.json()["sequence"] == 1
}

#[test]
fn a_hub_killed_or_failed_at_any_step_has_what_it_acknowledged_once_and_starts_again() {
    let world = World::in_memory();
    let control = world.root().join("control");
    let notes = world.root().join("notes");
    let rules: Vec<String> = STEPS
        .iter()
        .map(|step| format!("{step}=note:{notes}"))
        .collect();
    let hub = Doomed::start(&world, &control, &rules.join(";"));
    assert!(acknowledged(
        &hub.publish(&world.project("control-project"), "first")
            .unwrap()
    ));
    assert_eq!(hub.stop().code, 0);
    let notes = fs_err::read_to_string(notes).unwrap();
    let errors = ["EIO", "ENOSPC"].into_iter().cycle();
    let rules: Vec<String> = STEPS
        .iter()
        .flat_map(|step| {
            let is = |note: &&str| note.split(' ').next() == Some(step);
            let times = notes.lines().filter(is).count();
            (1..=times).map(move |number| format!("{step}#{number}="))
        })
        .zip(errors)
        .flat_map(|(place, error)| ["kill", error].map(|action| format!("{place}{action}")))
        .collect();
    println!("{} kills and failures of a hub", rules.len());
    std::thread::scope(|scope| {
        let (world, control) = (&world, &control);
        let share = rules.len().div_ceil(AT_ONCE);
        for (number, rules) in rules.chunks(share).enumerate() {
            scope.spawn(move || {
                for rule in rules {
                    try_once(world, control, number, rule);
                }
            });
        }
    });
    let is_ours = |step: &&&str| step.starts_with("store.") || step.starts_with("hub.");
    for step in STEPS.iter().filter(is_ours) {
        assert!(notes.contains(step), "never there: {step}");
    }
}

fn try_once(world: &World, control: &Utf8Path, number: usize, place: &str) {
    let data = world.root().join(format!("data-{number}"));
    let project = world.project(&format!("project-{number}"));
    let hub = Doomed::start(world, &data, place);
    // It may be acknowledged or not; the same id again shows that it is there once.
    hub.publish(&project, "first");
    let ended = hub.stop();
    assert!(
        !ended.stderr.contains("panicked"),
        "{place}: {}",
        ended.show()
    );
    if place.ends_with("kill") {
        assert_eq!(
            ended.code,
            -1,
            "{place}: it was not killed: {}",
            ended.show()
        );
    }

    let hub = Doomed::start(world, &data, "");
    let again = hub.publish(&project, "second").unwrap();
    assert!(acknowledged(&again), "{place}: {}", again.show());
    let synced = project.ctx(&["connect", "sync", "--json", "--full"]);
    assert_eq!(synced.code, 0, "{place}: {}", synced.show());
    assert_eq!(synced.json()["cursors"]["task"], 1, "{place}");
    assert_eq!(synced.json()["new_entries"], 1, "{place}");
    assert_eq!(hub.stop().code, 0, "{place}");
    assert_eq!(Doomed::names(&data), Doomed::names(control), "{place}");
    fs_err::remove_dir_all(&data).unwrap();
    fs_err::remove_dir_all(&project.dir).unwrap();
}
