//! The steps in a build with failpoints: each asks the environment's rules.

use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use rustix::process::{Signal, getpid, kill_process};

use super::plan::{self, Action, Plan, Rule};
use super::steps::STEPS;

/// The environment variable that holds the rules.
pub const VARIABLE: &str = "CTX_FAILPOINTS";

/// How often a process that is held looks, and after how long it gives up: whoever should let it
/// go on is dead.
const PAUSE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(600);

/// A rule and how often it fitted.
struct Armed {
    rule: Rule,
    hits: AtomicU64,
}

/// Reaches the step `name`: whatever the rules say happens here.
///
/// # Errors
/// The one that a rule names.
pub fn reach(name: &'static str) -> io::Result<()> {
    pass(name, None)
}

/// Reaches the step `name` of the file at `path`. Rules with and without its name fit.
///
/// # Errors
/// The one that a rule names.
pub fn reach_at(name: &'static str, path: &Utf8Path) -> io::Result<()> {
    pass(name, path.file_name())
}

/// Reads what the environment asks for: a program says at once what it cannot use, and prints the
/// steps when asked to. Without this call the first step does it.
pub fn start() {
    armed();
}

fn pass(name: &str, file: Option<&str>) -> io::Result<()> {
    let armed = armed();
    if !STEPS.contains(&name) {
        end(&format!("the step `{name}` is not in the list"));
    }
    let fitting = armed.iter().filter(|armed| armed.rule.fits(name, file));
    // All of them count, although one that fails ends the step for the others.
    let applying: Vec<&Action> = fitting
        .filter(|armed| {
            let hit = armed.hits.fetch_add(1, Ordering::SeqCst) + 1;
            armed.rule.when.applies(hit)
        })
        .map(|armed| &armed.rule.action)
        .collect();
    let mut applying = applying.into_iter();
    applying.try_for_each(|action| act(name, file, action))
}

fn armed() -> &'static [Armed] {
    static ARMED: OnceLock<Vec<Armed>> = OnceLock::new();
    ARMED.get_or_init(|| {
        let Some(value) = std::env::var_os(VARIABLE) else {
            return Vec::new();
        };
        let read = value
            .to_str()
            .ok_or_else(|| "it is not UTF-8".to_owned())
            .and_then(|value| plan::read(value, STEPS));
        match read {
            Ok(Plan::List) => list(),
            Ok(Plan::Rules(rules)) => rules
                .into_iter()
                .map(|rule| Armed {
                    rule,
                    hits: AtomicU64::new(0),
                })
                .collect(),
            Err(why) => end(&why),
        }
    })
}

fn act(name: &str, file: Option<&str>, action: &Action) -> io::Result<()> {
    match action {
        Action::Kill => die(),
        Action::Fail(errno) => Err(io::Error::from(*errno)),
        Action::Wait(path) => {
            watch("a file", path, |there| there);
            Ok(())
        }
        Action::Note(path) => {
            let file = file.map_or(String::new(), |file| format!(" {file}"));
            write(path, &format!("{name}{file}\n"));
            Ok(())
        }
        Action::Hold(path) => {
            write(path, "");
            watch("the end of the file", path, |there| !there);
            Ok(())
        }
    }
}

/// Appends to a file of the test's, which is created when it is missing.
fn write(path: &Utf8Path, text: &str) {
    let mut options = std::fs::OpenOptions::new();
    let file = options.append(true).create(true).open(path);
    if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
        end(&format!("cannot write {path}: {error}"));
    }
}

/// Stays until what is `wanted` holds of the existence of `path`.
fn watch(what: &str, path: &Utf8Path, wanted: impl Fn(bool) -> bool) {
    let since = Instant::now();
    while !wanted(path.as_std_path().symlink_metadata().is_ok()) {
        if since.elapsed() > PATIENCE {
            end(&format!("waited in vain for {what} {path}"));
        }
        std::thread::sleep(PAUSE);
    }
}

/// As `kill -9` from outside: no destructor runs, no buffer is written.
fn die() -> ! {
    let sent = kill_process(getpid(), Signal::KILL);
    if let Err(error) = sent {
        end(&format!("cannot kill the own process: {error}"));
    }
    loop {
        std::thread::park();
    }
}

fn list() -> ! {
    let text: String = STEPS.iter().map(|step| format!("{step}\n")).collect();
    let written = io::stdout().write_all(text.as_bytes());
    leave(i32::from(written.is_err()))
}

fn end(why: &str) -> ! {
    // Nobody is left to tell when this fails, too.
    io::stderr()
        .write_all(format!("{VARIABLE}: {why}\n").as_bytes())
        .ok();
    leave(2)
}

fn leave(code: i32) -> ! {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test that aims beside its target must not go on"
    )]
    std::process::exit(code)
}
