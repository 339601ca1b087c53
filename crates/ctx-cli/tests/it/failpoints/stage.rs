//! A hub with a log, and projects in every state that a sync can begin from, copied as often as
//! they are needed.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;

use camino::Utf8PathBuf;
use ctx_config::paths;
use ctx_io::failpoint::{STEPS, VARIABLE};
use serde_json::Value;

use crate::harness::{PATIENCE, Project, TestHub, World, put};

/// What a person wrote into a mirror file.
const NOTE: &str = "\nA note of my own.\n";

/// The stage: it stays as it is, whatever happens to the copies of its projects.
pub(crate) struct Stage {
    pub(crate) world: World,
    control: Mirror,
    _hub: TestHub,
}

/// How a project stands when a sync begins, and how that sync is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) prepare: fn(&Project<'_>),
    pub(crate) args: &'static [&'static str],
    /// The sync that is to bring everything in order.
    pub(crate) after: &'static [&'static str],
    /// What else happens in the disturbed sync, as rules.
    pub(crate) rules: &'static str,
    /// There is a note of a person to be kept.
    pub(crate) note: bool,
}

pub(crate) const SYNC: &[&str] = &["connect", "sync"];
const FULL: &[&str] = &["connect", "sync", "--full"];

pub(crate) const PLAIN: Case = Case {
    name: "incremental",
    prepare: widened,
    args: SYNC,
    after: SYNC,
    rules: "",
    note: false,
};

/// Every way for a sync to begin.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "first",
        prepare: |_| {},
        ..PLAIN
    },
    PLAIN,
    Case {
        name: "takeover with a tail",
        prepare: |project| {
            widened(project);
            killed_at(project, SYNC, "sync.appended");
        },
        ..PLAIN
    },
    Case {
        name: "older state",
        prepare: |project| {
            widened(project);
            put(&project.mirror().state(), b"{\"last_sequence\":8}");
        },
        ..PLAIN
    },
    Case {
        name: "lost state",
        prepare: |project| {
            widened(project);
            fs_err::remove_file(project.mirror().state()).unwrap();
        },
        ..PLAIN
    },
    Case {
        name: "full",
        args: FULL,
        ..PLAIN
    },
    Case {
        name: "full over an edit",
        prepare: |project| {
            widened(project);
            let path = project.mirror().path().join(paths::DECISIONS_FILE);
            let text = fs_err::read_to_string(&path).unwrap();
            put(&path, format!("{text}{NOTE}").as_bytes());
        },
        args: FULL,
        after: FULL,
        note: true,
        ..PLAIN
    },
    Case {
        name: "full after one that broke off",
        prepare: |project| {
            widened(project);
            killed_at(project, FULL, "append.flushed");
        },
        args: FULL,
        ..PLAIN
    },
    Case {
        name: "after a swap that broke off",
        prepare: |project| {
            widened(project);
            killed_at(project, FULL, "rebuild.moved");
        },
        ..PLAIN
    },
    Case {
        name: "neither rename without replacing nor sticky bit",
        rules: "temp.rename-new=EINVAL;lock.marked=EOPNOTSUPP",
        ..PLAIN
    },
];

/// A mirror of one type whose project has since subscribed to all of them, so that a sync has two
/// pulls, each with a commit of its own.
fn widened(project: &Project<'_>) {
    project.ok(&["connect", "subscribe", "decision"]);
    project.ok(SYNC);
    project.ok(&["connect", "subscribe", "--all"]);
}

fn killed_at(project: &Project<'_>, args: &[&str], step: &str) {
    let run = Run::of(project, args, &format!("{step}=kill"));
    assert!(run.killed, "{step}: {}", run.text);
}

/// How a run under rules ended.
pub(crate) struct Run {
    pub(crate) killed: bool,
    pub(crate) code: i32,
    pub(crate) text: String,
}

impl Run {
    /// Runs the program in `project` with `rules`.
    pub(crate) fn of(project: &Project<'_>, args: &[&str], rules: &str) -> Self {
        let mut command = project.world.command();
        command.current_dir(&project.dir).args(args);
        if !rules.is_empty() {
            command.env(VARIABLE, rules);
        }
        let mut command = assert_cmd::Command::from_std(command);
        let output = command.timeout(PATIENCE).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !text.contains("panicked") && !text.contains(VARIABLE),
            "{rules}: {text}"
        );
        Self {
            killed: output.status.signal() == Some(9),
            code: output.status.code().unwrap_or(-1),
            text,
        }
    }
}

/// All that is in the directory of a mirror. The times of files are left out of the state, and the
/// times in names of files that were set aside.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    files: BTreeMap<String, String>,
    state: Value,
}

impl Mirror {
    pub(crate) fn of(project: &Project<'_>) -> Self {
        let mirror = project.mirror();
        let mut files = BTreeMap::new();
        for name in project.mirror_names() {
            let text = fs_err::read_to_string(mirror.path().join(&name));
            let name = match name.split_once(paths::SET_ASIDE_MARK) {
                Some((name, _)) => format!("{name}{}", paths::SET_ASIDE_MARK),
                None => name,
            };
            let twice = files.insert(name, text.unwrap_or_else(|error| error.to_string()));
            assert_eq!(twice, None, "set aside twice");
        }
        let state = files.remove(paths::SYNC_STATE_FILE).unwrap_or_default();
        let mut state: Value = serde_json::from_str(&state).unwrap_or(Value::Null);
        forget_times(&mut state);
        Self { files, state }
    }

    /// What differs, in few words.
    fn differs(&self, control: &Self) -> String {
        let names = self.files.keys().chain(control.files.keys());
        let differs = |name: &&String| self.files.get(*name) != control.files.get(*name);
        let show = |name: &String| {
            let [this, other] = [self, control].map(|mirror| mirror.files.get(name));
            format!("\n{name} is {this:?}\nand not {other:?}")
        };
        let files: String = names.filter(differs).map(show).collect();
        format!("{files}\nstate {}\nand not {}", self.state, control.state)
    }

    /// Takes the files that were set aside out of it.
    pub(crate) fn take_set_aside(&mut self) -> Vec<String> {
        let is_aside = |name: &String| name.ends_with(paths::SET_ASIDE_MARK);
        let names: Vec<String> = self
            .files
            .keys()
            .filter(|name| is_aside(name))
            .cloned()
            .collect();
        names
            .iter()
            .filter_map(|name| self.files.remove(name))
            .collect()
    }
}

fn forget_times(value: &mut Value) {
    if let Value::Object(object) = value {
        object.remove("modified_ns");
        object.values_mut().for_each(forget_times);
    }
}

/// Publishes one entry of each type.
fn publish(writer: &Project<'_>, round: usize) {
    for entry_type in ["decision", "learning", "task", "convention"] {
        let forged = "\n---\n# <!-- x\n".repeat(round * 3);
        writer.publish(entry_type, &format!("{entry_type} {round}{forged}"));
    }
}

impl Stage {
    pub(crate) fn new() -> Self {
        let world = World::in_memory();
        let hub = world.hub();
        let writer = world.registered("writer", &hub);
        (0..2).for_each(|round| publish(&writer, round));
        for case in CASES {
            (case.prepare)(&world.registered(case.name, &hub));
        }
        (2..4).for_each(|round| publish(&writer, round));
        writer.ok(SYNC);
        let control = Mirror::of(&writer);
        Self {
            world,
            control,
            _hub: hub,
        }
    }

    /// Checks that the mirror of `project`, which began as `case`, is that of a project that nobody
    /// ever disturbed.
    pub(crate) fn check(&self, project: &Project<'_>, case: &Case, place: &str) {
        let mut mirror = Mirror::of(project);
        let set_aside = mirror.take_set_aside();
        assert!(
            mirror == self.control,
            "{place}: {}",
            mirror.differs(&self.control)
        );
        assert_eq!(set_aside.len(), usize::from(case.note), "{place}");
        assert!(set_aside.iter().all(|text| text.ends_with(NOTE)), "{place}");
    }

    /// What the sync of `case` passes when nothing happens to it, in order: steps, and the names of
    /// the files that they are about.
    pub(crate) fn notes(&self, case: &Case) -> Vec<String> {
        let project = self.project(case);
        let notes = project.dir.join("notes-of-the-test");
        let note = |step| format!(";{step}=note:{notes}");
        let rules: String = STEPS.iter().map(note).collect();
        let run = Run::of(&project, case.args, &format!("{}{rules}", case.rules));
        assert_eq!(run.code, 0, "{}: {}", case.name, run.text);
        self.check(&project, case, case.name);
        let notes = fs_err::read_to_string(&notes).unwrap();
        notes.lines().map(str::to_owned).collect()
    }

    /// Each step that the sync of `case` passes when nothing happens to it, with its count.
    pub(crate) fn steps(&self, case: &Case) -> Vec<(&'static str, usize)> {
        let notes = self.notes(case);
        let passed = |step: &&'static str| {
            let step = *step;
            let is = |note: &&String| note.split(' ').next() == Some(step);
            let times = notes.iter().filter(is).count();
            (1..=times).map(move |number| (step, number))
        };
        let steps = STEPS.iter();
        steps
            .flat_map(|step| passed(step).collect::<Vec<_>>())
            .collect()
    }

    /// What `work` answers for each of `cases`, all at the same time.
    pub(crate) fn in_every<T: Send>(
        &self,
        cases: &[Case],
        work: impl Fn(&Self, &Case) -> T + Copy + Send,
    ) -> Vec<T> {
        std::thread::scope(|scope| {
            let run = |case| scope.spawn(move || work(self, case));
            let running: Vec<_> = cases.iter().map(run).collect();
            running
                .into_iter()
                .map(|case| case.join().unwrap())
                .collect()
        })
    }

    /// A project as `case` begins, times of files included.
    pub(crate) fn project(&self, case: &Case) -> Project<'_> {
        let template = self.world.root().join(case.name);
        let dir = Utf8PathBuf::from(format!("{template}.copy"));
        if dir.exists() {
            fs_err::remove_dir_all(&dir).unwrap();
        }
        let copied = std::process::Command::new("cp")
            .args(["-a", template.as_str(), dir.as_str()])
            .status();
        assert!(copied.unwrap().success());
        let world = &self.world;
        Project { world, dir }
    }
}
