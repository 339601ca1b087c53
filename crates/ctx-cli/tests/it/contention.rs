//! Sixteen processes at once. Nothing here depends on who is how fast: they start at a barrier,
//! and the winner holds until every other one has its answer.
//!
//! Processes that start together do not stay together: on few processors they come to the lock one
//! after the other, and a window of microseconds between a look and a write is seldom met. So they
//! reach their project by a [long way](long_way_to), on which every single step takes the kernel
//! about a millisecond: whatever is between two steps is then as wide as that.

use std::io::Read as _;
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths;
use ctx_io::{FileLock, Holder, Wait};
use insta::assert_snapshot;
use rustix::process::Signal;

use crate::harness::{PROGRAM, Project, Reaped, Run, World, until};
use crate::proxy::{Mode, Proxy};

const CONTENDERS: usize = 16;

/// How the winner of each round ends: in order, so that the next round is won by who creates the
/// lock, and in the end not, so that the last one is won by who takes it over.
const ROUNDS: [Signal; 10] = {
    let mut rounds = [Signal::TERM; 10];
    (rounds[8], rounds[9]) = (Signal::KILL, Signal::KILL);
    rounds
};

/// Symbolic links on the long way; the kernel follows no more than 40.
const LINKS: usize = 16;

/// Another path to the folder of `project`, on which the kernel has some ten thousand steps to go
/// each time it is asked for a file there.
fn long_way_to(project: &Project<'_>) -> Utf8PathBuf {
    const TARGET_BYTES: usize = 4_000;
    let ways = project.dir.with_extension("ways");
    let there_and_back = "x/../";
    fs_err::create_dir_all(ways.join("x")).unwrap();
    let wandering = there_and_back.repeat(TARGET_BYTES / there_and_back.len());
    let mut end = project.dir.to_string();
    for number in 0..LINKS {
        let link = format!("way-{number}");
        let target = if number == 0 {
            end
        } else {
            wandering.clone() + &end
        };
        std::os::unix::fs::symlink(target, ways.join(&link)).unwrap();
        end = link;
    }
    ways.join(end).join(paths::CONTEXT_DIR)
}

/// Processes that wait for a common start.
pub(crate) struct Barrier {
    gate: Utf8PathBuf,
    waiting: Vec<Reaped>,
}

impl Barrier {
    /// Starts the processes, each up to the barrier.
    pub(crate) fn of(project: &Project<'_>, context: &Utf8Path, args: &[&str]) -> Self {
        let gate = project.world.root().join("gate");
        if !gate.exists() {
            let made = Command::new("mkfifo").arg(&gate).status();
            assert!(made.unwrap().success());
        }
        // Opening a fifo waits until somebody opens its other end.
        let script = r#"printf .; : < "$GATE"; exec "$@""#;
        let start = || {
            let mut command = Command::new("sh");
            project.world.clean(&mut command);
            command.args(["-c", script, "sh", PROGRAM]).args(args);
            command.arg("--context-dir").arg(context);
            command.env("GATE", &gate).current_dir(&project.dir);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            Reaped(command.spawn().unwrap())
        };
        let mut waiting: Vec<Reaped> = (0..CONTENDERS).map(|_| start()).collect();
        for process in &mut waiting {
            // It stands before the barrier.
            let stdout = process.0.stdout.as_mut().unwrap();
            stdout.read_exact(&mut [0]).unwrap();
        }
        Self { gate, waiting }
    }

    /// Lets all of them go. The gate stays open as long as what is returned.
    fn open(self) -> (std::fs::File, Vec<Reaped>) {
        let mut gate = std::fs::File::options();
        (gate.write(true).open(self.gate).unwrap(), self.waiting)
    }

    /// Lets all of them go, and waits for all of them.
    pub(crate) fn run(self, world: &World) -> Vec<Run> {
        let (_gate, running) = self.open();
        running
            .into_iter()
            .map(|process| process.output(world))
            .collect()
    }
}

#[test]
fn while_somebody_holds_the_lock_sixteen_processes_are_all_told_so() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.sync();
    let holder = Holder {
        command: "the test",
        version: "1",
    };
    let lock = FileLock::acquire(&project.mirror().sync_lock(), &holder, Wait::No).unwrap();
    let context = Utf8Path::new(paths::CONTEXT_DIR);
    let runs = Barrier::of(&project, context, &["connect", "sync"]).run(&world);
    for run in &runs {
        assert_eq!(run.code, 3, "{}", run.show());
    }
    assert_snapshot!(runs[0].show().replace(&ctx_io::process::user(), "[user]"), @r#"
    exit 3
    --- stderr
    error: .context/hub/.sync.lock is held by `the test`, process [pid] of [user] on [host], for [age]
    hint: it brings in the same entries: let it be, or wait for it with --wait 30s
    "#);
    lock.release().unwrap();
    assert_eq!(project.sync(), 0);
}

#[test]
fn of_sixteen_processes_exactly_one_wins_and_fifteen_are_told_that_it_is_held() {
    let world = World::new();
    let hub = world.hub();
    let proxy = Proxy::to(&hub.address, Mode::Forward);
    let project = world.registered_at("p", &proxy.address, &hub);
    let context = long_way_to(&project);
    for end in ROUNDS {
        // The winner asks a hub that never answers, so it holds the lock until it is told to end.
        proxy.set(Mode::Mute);
        let args = ["connect", "sync", "--timeout", "1h"];
        let (_gate, mut running) = Barrier::of(&project, &context, &args).open();
        until("all but one have their answer", || {
            let ended = running.iter_mut().position(|process| !process.runs());
            if let Some(ended) = ended {
                assert_is_refused(&running.remove(ended).output(&world));
            }
            (running.len() == 1).then_some(())
        });
        let mut winner = running.pop().unwrap();
        assert!(winner.runs(), "the winner holds");
        winner.signal(end);
        winner.wait();
    }
    proxy.set(Mode::Forward);
    let run = project.ctx(&["connect", "sync"]);
    assert_eq!(run.code, 0, "{}", run.show());
    assert!(run.stderr.contains("took over"), "{}", run.show());
}

fn assert_is_refused(run: &Run) {
    assert_eq!(run.code, 3, "{}", run.show());
    let says = "is held by `ctx connect sync`";
    assert!(run.stderr.contains(says), "{}", run.show());
}

#[test]
fn sixteen_processes_that_wait_bring_every_entry_once() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    for number in 0..24 {
        project.publish("decision", &format!("entry {number}."));
    }
    let args = ["connect", "sync", "--wait", "2m", "--json"];
    let runs = Barrier::of(&project, &long_way_to(&project), &args).run(&world);
    let mut total = 0;
    for run in &runs {
        assert_eq!(run.code, 0, "{}", run.show());
        total += run.json()["new_entries"].as_u64().unwrap();
    }
    assert_eq!(total, 24);
    let decisions = project.mirrored(paths::DECISIONS_FILE);
    let contents = (0..24).map(|number| format!("\n\nentry {number}.\n\n"));
    let places: Vec<usize> = contents
        .map(|content| {
            assert_eq!(decisions.matches(&content).count(), 1, "{content:?}");
            decisions.find(&content).unwrap()
        })
        .collect();
    assert!(places.is_sorted(), "in order");
    assert!(!project.mirror().sync_lock().exists());
}
