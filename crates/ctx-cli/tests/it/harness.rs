//! A world of its own for each test: a home, projects and hubs in a temporary directory.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::Command as Ctx;
use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::{self, ContextDir, DataDir, MirrorDir, UserDir};
use serde_json::Value;
use tempfile::TempDir;

use crate::redact::redact;

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ctx");

/// A home, and room for projects and hubs.
pub(crate) struct World {
    root: TempDir,
}

/// What a run of the program left.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    known: Vec<(String, &'static str)>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::under(&std::env::temp_dir())
    }

    /// One that waits for no disk where the system has a file system in memory: a killed process
    /// does not lose what it wrote there either.
    #[cfg(feature = "failpoints")]
    pub(crate) fn in_memory() -> Self {
        let memory = std::path::Path::new("/dev/shm");
        match tempfile::tempdir_in(memory) {
            Ok(_) => Self::under(memory),
            Err(_) => Self::new(),
        }
    }

    fn under(parent: &std::path::Path) -> Self {
        let root = tempfile::Builder::new()
            .prefix("ctx-it-")
            .tempdir_in(parent);
        let world = Self {
            root: root.unwrap(),
        };
        fs_err::create_dir(world.home()).unwrap();
        world
    }

    pub(crate) fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.root.path()).unwrap()
    }

    pub(crate) fn home(&self) -> Utf8PathBuf {
        self.root().join("ada")
    }

    pub(crate) fn user(&self) -> UserDir {
        UserDir::under_home(&self.home())
    }

    /// An empty directory for a project.
    pub(crate) fn dir(&self, name: &str) -> Project<'_> {
        let dir = self.root().join(name);
        fs_err::create_dir_all(&dir).unwrap();
        Project { world: self, dir }
    }

    /// A project with its folder.
    pub(crate) fn project(&self, name: &str) -> Project<'_> {
        let project = self.dir(name);
        project.ok(&["init"]);
        project
    }

    /// A project that `hub` knows.
    pub(crate) fn registered(&self, name: &str, hub: &TestHub) -> Project<'_> {
        self.registered_at(name, &hub.address, hub)
    }

    /// A project that `hub` knows, and that reaches it at `address`.
    pub(crate) fn registered_at(&self, name: &str, address: &str, hub: &TestHub) -> Project<'_> {
        let project = self.project(name);
        project.ok(&["connect", "register", address, "--token", &hub.token()]);
        project
    }

    /// A hub on a free port.
    pub(crate) fn hub(&self) -> TestHub {
        self.hub_at(&self.root().join("hub-of-the-test"))
    }

    /// A hub on a free port with this data directory.
    pub(crate) fn hub_at(&self, data_dir: &Utf8Path) -> TestHub {
        self.hub_on("127.0.0.1:0", data_dir)
    }

    /// The same at an address that is known to be free.
    pub(crate) fn hub_on(&self, address: &str, data_dir: &Utf8Path) -> TestHub {
        self.hub_of(self.command(), address, data_dir, &[])
    }

    /// The same, with more to it.
    pub(crate) fn hub_with(
        &self,
        address: &str,
        data_dir: &Utf8Path,
        change: impl FnOnce(&mut Command),
    ) -> TestHub {
        let mut command = self.command();
        change(&mut command);
        self.hub_of(command, address, data_dir, &[])
    }

    /// A hub that begins in a shell with `before`, which may set limits. What it says goes to
    /// `said`.
    pub(crate) fn hub_after(&self, before: &str, said: &Utf8Path) -> TestHub {
        let mut command = Command::new("sh");
        self.clean(&mut command);
        let script = format!("{before} && exec \"$0\" \"$@\"");
        command.args(["-c", &script, PROGRAM]);
        command.stderr(fs_err::File::create_new(said).unwrap().into_file());
        let data_dir = self.root().join("hub-of-the-test");
        self.hub_of(command, "127.0.0.1:0", &data_dir, &[])
    }

    /// A hub whose start has `more` on its command line.
    pub(crate) fn hub_typed(
        &self,
        address: &str,
        data_dir: &Utf8Path,
        more: &[&str],
        said: &Utf8Path,
    ) -> TestHub {
        let mut command = self.command();
        command.stderr(fs_err::File::create(said).unwrap().into_file());
        self.hub_of(command, address, data_dir, more)
    }

    /// The hub that `command` starts, when it is told what to start.
    fn hub_of(
        &self,
        mut command: Command,
        address: &str,
        data_dir: &Utf8Path,
        more: &[&str],
    ) -> TestHub {
        command.args([
            "--json",
            "--quiet",
            "hub",
            "start",
            "--bind",
            address,
            "--data-dir",
        ]);
        command.arg(data_dir).args(more).stdout(Stdio::piped());
        let mut child = Reaped(command.spawn().unwrap());
        let mut line = String::new();
        let stdout = child.0.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let started: Value = serde_json::from_str(&line).unwrap();
        TestHub {
            child,
            address: started["address"].as_str().unwrap().to_owned(),
            fingerprint: started["fingerprint"].as_str().map(ToOwned::to_owned),
            data: DataDir::new(data_dir),
        }
    }

    /// The program with nothing of this process's environment but the search path.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        self.clean(&mut command);
        command
    }

    /// Takes the environment away, and gives a home.
    pub(crate) fn clean(&self, command: &mut Command) {
        command
            .env_clear()
            .env("HOME", self.home())
            .env("USER", "ada");
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.current_dir(self.root()).stdin(Stdio::null());
    }

    /// Runs the program in the world's root.
    pub(crate) fn ctx(&self, args: &[&str]) -> Run {
        self.run_in(self.root(), args, |_| {})
    }

    fn run_in(&self, dir: &Utf8Path, args: &[&str], change: impl FnOnce(&mut Ctx)) -> Run {
        let mut command = self.command();
        command.current_dir(dir).args(args);
        let mut command = Ctx::from_std(command);
        command.timeout(PATIENCE);
        change(&mut command);
        self.read(command.output().unwrap())
    }

    pub(crate) fn read(&self, output: std::process::Output) -> Run {
        let host = ctx_io::process::host();
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            known: vec![
                (self.root().to_string(), "[root]"),
                (format!("on {host}"), "on [host]"),
                (
                    format!("version         {}\n", env!("CARGO_PKG_VERSION")),
                    "version         [version]\n",
                ),
            ],
        }
    }
}

/// A directory, with `.context/` or without.
pub(crate) struct Project<'a> {
    pub(crate) world: &'a World,
    pub(crate) dir: Utf8PathBuf,
}

impl Project<'_> {
    pub(crate) fn context(&self) -> ContextDir {
        ContextDir::new(self.dir.join(paths::CONTEXT_DIR))
    }

    pub(crate) fn mirror(&self) -> MirrorDir {
        self.context().mirror()
    }

    /// Runs the program in this directory.
    pub(crate) fn ctx(&self, args: &[&str]) -> Run {
        self.with(args, |_| {})
    }

    /// Runs the program in this directory, with more to it.
    pub(crate) fn with(&self, args: &[&str], change: impl FnOnce(&mut Ctx)) -> Run {
        self.world.run_in(&self.dir, args, change)
    }

    /// Runs the program, which has to succeed; what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let run = self.ctx(args);
        assert_eq!(run.code, 0, "{args:?}: {}", run.show());
        run.stdout
    }

    /// Runs the program with `--json`, which has to succeed; the document.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let args = [args, &["--json"]].concat();
        serde_json::from_str(&self.ok(&args)).unwrap()
    }

    pub(crate) fn publish(&self, entry_type: &str, text: &str) -> u64 {
        let run = self.with(&["connect", "publish", entry_type, "-", "--json"], |ctx| {
            ctx.write_stdin(text);
        });
        assert_eq!(run.code, 0, "{}", run.show());
        run.json()["sequence"].as_u64().unwrap()
    }

    /// What was new with a sync.
    pub(crate) fn sync(&self) -> u64 {
        self.json(&["connect", "sync"])["new_entries"]
            .as_u64()
            .unwrap()
    }

    /// The file of the mirror, empty when it is not there.
    pub(crate) fn mirrored(&self, file: &str) -> String {
        fs_err::read_to_string(self.mirror().path().join(file)).unwrap_or_default()
    }

    /// The names of all that is in the mirror's folder.
    pub(crate) fn mirror_names(&self) -> Vec<String> {
        let entries = self.mirror().path().read_dir_utf8().unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_owned())
            .collect();
        names.sort();
        names
    }

    /// The program in this directory, to be started and watched.
    pub(crate) fn spawn(&self, args: &[&str]) -> Reaped {
        let mut command = self.world.command();
        command.current_dir(&self.dir).args(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Reaped(command.spawn().unwrap())
    }
}

impl Run {
    /// The whole of it, for a snapshot.
    pub(crate) fn show(&self) -> String {
        let mut text = format!("exit {}\n", self.code);
        for (name, stream) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !stream.is_empty() {
                text.push_str(&format!("--- {name}\n{stream}"));
            }
        }
        redact(&text, &self.known)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", self.show()))
    }
}

/// A hub that ends with the test.
pub(crate) struct TestHub {
    child: Reaped,
    pub(crate) address: String,
    /// What clients pin, when it speaks TLS.
    pub(crate) fingerprint: Option<String>,
    pub(crate) data: DataDir,
}

impl TestHub {
    pub(crate) fn token(&self) -> String {
        fs_err::read_to_string(self.data.admin_token())
            .unwrap()
            .trim()
            .to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Asks it to stop, as an operator does, and waits for its end.
    pub(crate) fn stop(mut self, world: &World) {
        let run = world.ctx(&["hub", "stop", "--data-dir", self.data.path().as_str()]);
        assert_eq!(run.code, 0, "{}", run.show());
        assert!(self.child.wait().success());
    }

    /// Ends it without a word.
    pub(crate) fn kill(mut self) {
        self.child.kill();
    }

    /// Sends a signal that does not end it.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        self.child.signal(signal);
    }

    /// Sends a signal; how it ended.
    pub(crate) fn end_by(mut self, signal: rustix::process::Signal) -> std::process::ExitStatus {
        self.child.signal(signal);
        self.child.wait()
    }
}

/// A process that is not left behind, whatever becomes of the test.
pub(crate) struct Reaped(pub(crate) Child);

impl Reaped {
    pub(crate) fn kill(&mut self) {
        self.0.kill().ok();
        self.0.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits for its end, but not for ever.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        until("the process ends", || self.0.try_wait().unwrap())
    }

    /// Whether it runs still.
    pub(crate) fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Waits for its end; what it left.
    pub(crate) fn output(mut self, world: &World) -> Run {
        let status = self.wait();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        if let Some(mut pipe) = self.0.stdout.take() {
            std::io::Read::read_to_end(&mut pipe, &mut stdout).unwrap();
        }
        if let Some(mut pipe) = self.0.stderr.take() {
            std::io::Read::read_to_end(&mut pipe, &mut stderr).unwrap();
        }
        world.read(std::process::Output {
            status,
            stdout,
            stderr,
        })
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Looks again and again until there is an answer.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(answer) = look() {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain until {what}");
}

/// Sets permission bits.
pub(crate) fn chmod(path: &Utf8Path, mode: u32) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Puts bytes into a file, as a fault would.
pub(crate) fn put(path: &Utf8Path, bytes: &[u8]) {
    use std::io::Write as _;
    let mut options = std::fs::File::options();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .unwrap();
    file.write_all(bytes).unwrap();
}
