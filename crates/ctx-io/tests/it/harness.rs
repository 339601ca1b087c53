//! Scratch directories, and children: this test binary again, in a role.

use std::io::{BufRead, BufReader, Write};
use std::ops::Deref;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_io::Holder;

pub(crate) const HOLDER: Holder<'static> = Holder {
    command: "test run",
    version: "0.0.1",
};
pub(crate) const LOCK: &str = "the.lock";
/// Generous: reached only when something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// What a child says to its parent begins with this.
const MARK: &str = "@ ";

/// A directory that goes when dropped.
pub(crate) struct Scratch {
    _guard: tempfile::TempDir,
    path: Utf8PathBuf,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        let guard = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(guard.path().to_owned()).unwrap();
        Scratch {
            _guard: guard,
            path,
        }
    }

    pub(crate) fn lock(&self) -> Utf8PathBuf {
        self.path.join(LOCK)
    }

    /// The names in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = self.path.read_dir_utf8().unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_owned())
            .collect();
        names.sort();
        names
    }
}

impl Deref for Scratch {
    type Target = Utf8Path;

    fn deref(&self) -> &Utf8Path {
        &self.path
    }
}

/// One of several locks.
pub(crate) fn numbered(dir: &Utf8Path, number: usize) -> Utf8PathBuf {
    dir.join(format!("{LOCK}.{number}"))
}

/// A file as another program would write it.
pub(crate) fn put(path: &Utf8Path, bytes: &[u8]) {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .unwrap();
    file.write_all(bytes).unwrap();
}

/// Waits until `done`, for ever so long but not for ever.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "never came: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A process in a role of [`crate::child`], killed when dropped.
pub(crate) struct Role {
    child: Child,
    said: Receiver<String>,
}

/// The command that runs this binary in `role` on the directory `dir`.
pub(crate) fn command(role: &str, dir: &Utf8Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child::role", "--exact", "--nocapture", "--test-threads=1"]);
    dress(&mut command, role, dir);
    command
}

/// The same under a limit of file sizes, in the shell's blocks; a write past it fails, and does
/// not kill.
pub(crate) fn limited_command(blocks: u32, role: &str, dir: &Utf8Path) -> Command {
    let mut command = Command::new("sh");
    let script =
        format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" child::role --exact --nocapture");
    command
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap());
    dress(&mut command, role, dir);
    command
}

/// The same as a user who is bound by permission bits, which root is not. Such a user need not
/// be able to reach this binary, so there is a copy of it in `dir`.
pub(crate) fn unprivileged_command(role: &str, dir: &Utf8Path) -> Command {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        return command(role, dir);
    }
    let copy = dir.join("this");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    std::os::unix::fs::chown(dir, Some(NOBODY), None).unwrap();
    let mut command = Command::new(&copy);
    command
        .args(["child::role", "--exact", "--nocapture"])
        .uid(NOBODY)
        .gid(NOBODY);
    dress(&mut command, role, dir);
    command
}

fn dress(command: &mut Command, role: &str, dir: &Utf8Path) {
    command
        .env("CTX_IO_TEST_ROLE", role)
        .env("CTX_IO_TEST_DIR", dir);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
}

impl Role {
    pub(crate) fn spawn(mut command: Command) -> Role {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (say, said) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                match line.strip_prefix(MARK) {
                    Some(words) => drop(say.send(words.to_owned())),
                    None => drop(writeln!(std::io::stderr(), "child: {line}")),
                }
            }
        });
        Role { child, said }
    }

    /// The next thing that the child says.
    pub(crate) fn hear(&self) -> String {
        self.said
            .recv_timeout(PATIENCE)
            .expect("the child died or said nothing")
    }

    /// Everything else that the child says until it ends, which it must do well.
    pub(crate) fn finish(mut self) -> Vec<String> {
        let words: Vec<String> =
            std::iter::from_fn(|| self.said.recv_timeout(PATIENCE).ok()).collect();
        assert!(self.child.wait().unwrap().success(), "{words:?}");
        words
    }

    /// SIGKILL, and wait until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// In a child: says something to the parent.
pub(crate) fn say(words: &str) {
    std::io::stderr()
        .write_all(format!("{MARK}{words}\n").as_bytes())
        .unwrap();
}
