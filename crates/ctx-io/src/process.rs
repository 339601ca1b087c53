//! Who this process is, and whether another one still runs.
//!
//! A process id alone proves nothing: it is reused, it means something else on another machine,
//! after a reboot, and in another container. With the boot id, the process-id namespace and the
//! start time it does.

use std::sync::OnceLock;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// Whether a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// It runs: same machine, same boot, same process id and start time.
    Alive,
    /// It is gone, or its id now belongs to another process.
    Dead,
    /// It cannot be told from here: another machine, boot or container, or no `/proc`.
    Unknown,
}

/// What tells one process from every other one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The process id, as its own namespace numbers it.
    pub(crate) pid: u32,
    /// When it started, in clock ticks since the boot of the machine (Linux; else `None`).
    pub(crate) start: Option<u64>,
    /// The random id of this boot of the machine (Linux; else `None`).
    pub(crate) boot_id: Option<String>,
    /// The namespace in which `pid` counts (Linux; else `None`). Containers on one machine share
    /// the boot id, but not the process ids.
    pub(crate) pid_namespace: Option<String>,
    /// The namespace in which `start` counts (Linux; else `None`). The kernel shifts start times
    /// between them.
    pub(crate) time_namespace: Option<String>,
}

/// This process, once it is known as a whole.
static CURRENT: OnceLock<Identity> = OnceLock::new();

impl Identity {
    /// This process. Nothing of it changes while it runs, so it is read once; the child of a fork
    /// is another process, and reads anew.
    pub(crate) fn current() -> Identity {
        let pid = std::process::id();
        if let Some(known) = CURRENT.get().filter(|known| known.pid == pid) {
            return known.clone();
        }
        let read = Identity {
            pid,
            start: start_time(pid),
            boot_id: boot_id(),
            pid_namespace: namespace("pid"),
            time_namespace: namespace("time"),
        };
        // What could not be read now may be readable the next time: files can run out.
        if read.start.is_some() && read.boot_id.is_some() && read.pid_namespace.is_some() {
            CURRENT.set(read.clone()).ok();
        }
        read
    }

    /// Whether that process runs, seen from this one.
    pub(crate) fn liveness(&self) -> Liveness {
        let me = Identity::current();
        let here =
            |theirs: &Option<String>, ours: &Option<String>| theirs.is_some() && theirs == ours;
        if !here(&self.boot_id, &me.boot_id) || !here(&self.pid_namespace, &me.pid_namespace) {
            return Liveness::Unknown;
        }
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Liveness::Unknown;
        };
        // Not read from `/proc` alone, which may hide the processes of other users.
        if test_kill_process(pid) == Err(Errno::SRCH) {
            return Liveness::Dead;
        }
        match (read_stat(self.pid), self.start) {
            (Some(stat), _) if stat.ended => Liveness::Dead,
            _ if self.time_namespace != me.time_namespace => Liveness::Unknown,
            (Some(stat), Some(start)) if stat.start == start => Liveness::Alive,
            (Some(_), Some(_)) => Liveness::Dead,
            _ => Liveness::Unknown,
        }
    }
}

/// When process `pid` started, in clock ticks since boot; `None` when it is gone or the system
/// does not say.
fn start_time(pid: u32) -> Option<u64> {
    read_stat(pid).map(|stat| stat.start)
}

/// The random id of this boot of the machine; `None` where there is none.
fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

/// The namespace of this process of one kind; `None` where there is none.
fn namespace(kind: &str) -> Option<String> {
    let link = std::fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
    link.into_os_string().into_string().ok()
}

/// For how long this machine runs; `None` where the system does not say.
pub(crate) fn uptime() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds = text.split_ascii_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The name of this machine, as the kernel has it.
pub fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The name of the user, as the environment has it, else `uid N`.
pub fn user() -> String {
    ["USER", "LOGNAME"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// Ended, and only waits for its parent to take notice.
    ended: bool,
    start: u64,
}

fn read_stat(pid: u32) -> Option<Stat> {
    parse_stat(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 2, the name, may hold anything, blanks and `)` included; what follows its last `)` does
/// not. Field 3 is the state, field 22 the start time.
fn parse_stat(stat: &[u8]) -> Option<Stat> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end_of_name + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let start = fields.nth(18)?.parse().ok()?;
    Some(Stat {
        ended: matches!(state, "Z" | "X" | "x"),
        start,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &[u8] =
        b"4711 (a) S (b) c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 8675309 20 21";

    #[test]
    fn start_time_is_read_behind_a_name_full_of_parentheses() {
        assert_eq!(
            parse_stat(LINE),
            Some(Stat {
                ended: false,
                start: 8_675_309
            })
        );
    }

    #[test]
    fn a_zombie_has_ended() {
        let line = b"1 (x) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 5 0";
        assert_eq!(
            parse_stat(line),
            Some(Stat {
                ended: true,
                start: 5
            })
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_stat(&bytes);
        }

        #[test]
        fn a_cut_line_gives_no_wrong_start_time(cut in 0..LINE.len()) {
            let whole = parse_stat(LINE).unwrap().start.to_string();
            if let Some(stat) = parse_stat(&LINE[..cut]) {
                prop_assert!(whole.starts_with(&stat.start.to_string()));
            }
        }
    }

    #[cfg(target_os = "linux")]
    mod on_linux {
        use super::*;

        #[test]
        fn this_process_is_alive() {
            let me = Identity::current();
            assert!(me.start.is_some() && me.boot_id.is_some() && me.pid_namespace.is_some());
            assert_eq!(me.liveness(), Liveness::Alive);
        }

        #[test]
        fn a_reused_process_id_is_told_by_the_start_time() {
            let mut me = Identity::current();
            me.start = me.start.map(|start| start + 1);
            assert_eq!(me.liveness(), Liveness::Dead);
        }

        #[test]
        fn a_process_is_dead_before_its_parent_takes_notice_and_after() {
            let mut child = std::process::Command::new("sleep")
                .arg("600")
                .spawn()
                .unwrap();
            let it = Identity {
                pid: child.id(),
                start: start_time(child.id()),
                ..Identity::current()
            };
            assert_eq!(it.liveness(), Liveness::Alive);
            child.kill().unwrap();
            let mut tries = 0;
            while it.liveness() != Liveness::Dead && tries < 30_000 {
                std::thread::sleep(std::time::Duration::from_millis(1));
                tries += 1;
            }
            assert_eq!(it.liveness(), Liveness::Dead, "a zombie");
            child.wait().unwrap();
            assert_eq!(it.liveness(), Liveness::Dead, "gone");
        }

        #[test]
        fn nothing_is_said_about_another_boot_or_container() {
            let me = Identity::current();
            let other = Some("other".to_owned());
            let rebooted = Identity {
                boot_id: other.clone(),
                ..me.clone()
            };
            let elsewhere = Identity {
                pid_namespace: other,
                ..me.clone()
            };
            let shifted = Identity {
                time_namespace: Some("other".to_owned()),
                start: me.start.map(|start| start + 1),
                ..me.clone()
            };
            let unsaid = Identity {
                boot_id: None,
                ..me
            };
            for identity in [rebooted, elsewhere, shifted, unsaid] {
                assert_eq!(identity.liveness(), Liveness::Unknown);
            }
        }
    }
}
