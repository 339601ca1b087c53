//! The file system as the lock sees it, and the processes in it: one state of the model.
//!
//! Inode numbers are given again once nothing names them and nobody has them open, as a kernel
//! does, so comparing numbers means here what it means there.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::parts::{Answer, Handle, Ino, Inode, OsLock, Pid, Process, Record};

/// How many processes there are.
pub(crate) const PROCESSES: usize = 3;
/// Names of temporary files that the dead left behind; an older one makes room for a newer one.
const LITTER: usize = 1;
/// The temporary names: one for each process, then the litter.
pub(crate) const NAMES: usize = PROCESSES + LITTER;
/// A name that is no more.
pub(crate) const GONE: u8 = u8::MAX;
/// More than can be named or open at a time.
const INODES: usize = 2 + NAMES + PROCESSES;
const PIDS: [Pid; PROCESSES] = [0, 1, 2];

pub(crate) fn at(index: u8) -> usize {
    usize::from(index)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct World {
    /// What the path of the lock names.
    pub(crate) path: Ino,
    /// What the temporary names name.
    pub(crate) names: [Ino; NAMES],
    inodes: [Inode; INODES],
    pub(crate) processes: [Process; PROCESSES],
    /// The removals that are announced: a bit for each process, and one for a dead one.
    pub(crate) announced: u8,
    /// A person has removed the file.
    pub(crate) meddled: bool,
}

/// The bit of the announcement of a dead process. Of several one is kept.
const DEAD: u8 = 1 << PROCESSES;

/// The bit of the announcement of a process.
pub(crate) fn bit(pid: Pid) -> u8 {
    1 << pid
}

impl World {
    pub(crate) fn new() -> World {
        World {
            path: 0,
            names: [0; NAMES],
            inodes: [Inode::default(); INODES],
            processes: [Process::default(); PROCESSES],
            announced: 0,
            meddled: false,
        }
    }

    pub(crate) fn process(&self, pid: Pid) -> &Process {
        &self.processes[at(pid)]
    }

    pub(crate) fn process_mut(&mut self, pid: Pid) -> &mut Process {
        &mut self.processes[at(pid)]
    }

    pub(crate) fn inode(&self, ino: Ino) -> &Inode {
        &self.inodes[at(ino) - 1]
    }

    pub(crate) fn inode_mut(&mut self, ino: Ino) -> &mut Inode {
        &mut self.inodes[at(ino) - 1]
    }

    /// A new, empty file.
    pub(crate) fn create(&mut self) -> Ino {
        let mut used = [false; INODES + 1];
        for ino in self.references() {
            used[at(ino)] = true;
        }
        used[0] = true;
        let free = used.iter().position(|used| !used).expect("enough inodes") as Ino;
        *self.inode_mut(free) = Inode::default();
        free
    }

    /// Every inode that is named or open, in an order that depends on nothing else.
    fn references(&self) -> [Ino; 1 + NAMES + 2 * PROCESSES] {
        let [a, b, c] = &self.processes;
        let [x, y, z, litter] = self.names;
        let open = [a.file, a.swept, b.file, b.swept, c.file, c.swept];
        let [f, g, h, i, j, k] = open;
        [self.path, x, y, z, litter, f, g, h, i, j, k]
    }

    /// Asks for the exclusive lock of the operating system, or for the shared one.
    pub(crate) fn flock(&mut self, ino: Ino, pid: Pid, handle: Handle, shared: bool) -> Answer {
        let lock = &mut self.inode_mut(ino).os_lock;
        let bit = 1 << pid;
        *lock = match (*lock, shared) {
            (OsLock::Free, false) => OsLock::Exclusive(pid, handle),
            (OsLock::Free, true) => OsLock::Shared(bit),
            (OsLock::Shared(others), true) => OsLock::Shared(others | bit),
            _ => return Answer::Refused,
        };
        Answer::Granted
    }

    /// Closes a file, which drops the lock of the operating system on it.
    pub(crate) fn close(&mut self, pid: Pid, handle: Handle) {
        let process = self.process_mut(pid);
        let file = match handle {
            Handle::Lock => &mut process.file,
            Handle::Sweep => &mut process.swept,
        };
        let ino = std::mem::take(file);
        if ino == 0 {
            return;
        }
        let lock = &mut self.inode_mut(ino).os_lock;
        *lock = match *lock {
            OsLock::Exclusive(owner, which) if (owner, which) == (pid, handle) => OsLock::Free,
            OsLock::Shared(bits) if handle == Handle::Lock && bits & !(1 << pid) == 0 => {
                OsLock::Free
            }
            OsLock::Shared(bits) if handle == Handle::Lock => OsLock::Shared(bits & !(1 << pid)),
            other => other,
        };
    }

    /// Removes a temporary name. Whoever was sweeping it no longer finds it.
    pub(crate) fn remove_name(&mut self, name: u8) {
        self.names[at(name)] = 0;
        self.rename_swept(name, GONE);
    }

    fn rename_swept(&mut self, from: u8, to: u8) {
        for process in &mut self.processes {
            if process.sweeps() && process.swept_name == from {
                process.swept_name = to;
            }
        }
    }

    /// An announcement goes. Its name is random: whoever has seen it finds nothing there.
    pub(crate) fn withdraw(&mut self, bit: u8) {
        self.announced &= !bit;
        for process in &mut self.processes {
            process.seen &= !bit;
        }
    }

    /// Whether the announcement at `bit` is one of a dead process.
    pub(crate) fn is_dead(bit: u8) -> bool {
        bit == DEAD
    }

    /// The process dies: the kernel closes its files, and every name stays.
    pub(crate) fn kill(&mut self, pid: Pid) {
        self.close(pid, Handle::Lock);
        self.close(pid, Handle::Sweep);
        *self.process_mut(pid) = Process::default();
        for inode in &mut self.inodes {
            if inode.record == Record::Of(pid) {
                inode.record = Record::Dead;
            }
        }
        if self.announced & bit(pid) != 0 {
            self.withdraw(DEAD);
            let seen = self.processes.map(|process| process.seen & bit(pid) != 0);
            self.withdraw(bit(pid));
            self.announced |= DEAD;
            for (process, seen) in self.processes.iter_mut().zip(seen) {
                process.seen |= if seen { DEAD } else { 0 };
            }
        }
        let litter = PROCESSES as u8;
        if self.names[at(pid)] != 0 {
            self.remove_name(litter);
            self.names[at(litter)] = std::mem::take(&mut self.names[at(pid)]);
            self.rename_swept(pid, litter);
        }
    }

    /// What was written into files and not flushed is gone.
    pub(crate) fn lose_records(&mut self) {
        for inode in &mut self.inodes {
            (inode.record, inode.torn) = (Record::Missing, false);
        }
    }

    /// The same state with inodes numbered in the order in which they are referred to, and the
    /// others forgotten, so that states which differ in numbers alone are one.
    pub(crate) fn normal(&self) -> World {
        let mut number = [0; INODES + 1];
        let mut world = *self;
        world.inodes = [Inode::default(); INODES];
        let mut count = 0;
        for ino in self.references() {
            if ino != 0 && number[at(ino)] == 0 {
                world.inodes[at(count)] = self.inodes[at(ino) - 1];
                count += 1;
                number[at(ino)] = count;
            }
        }
        world.path = number[at(world.path)];
        for ino in &mut world.names {
            *ino = number[at(*ino)];
        }
        for process in &mut world.processes {
            process.file = number[at(process.file)];
            process.swept = number[at(process.swept)];
        }
        world
    }

    /// The same state with the processes in the order of what they do next. Where all of them
    /// have one role, states that differ in who is who are one for whatever does not ask who.
    pub(crate) fn sorted(&self) -> World {
        let mut order = PIDS;
        let next = |pid: Pid| self.processes[at(pid)].next;
        for (low, high) in [(0, 1), (1, 2), (0, 1)] {
            if next(order[low]) > next(order[high]) {
                order.swap(low, high);
            }
        }
        if order == PIDS {
            return *self;
        }
        let mut new = PIDS;
        let mut world = *self;
        for pid in PIDS {
            let old = order[at(pid)];
            new[at(old)] = pid;
            world.processes[at(pid)] = self.processes[at(old)];
            world.names[at(pid)] = self.names[at(old)];
        }
        let renamed = |bits: u8| {
            let of = |pid: Pid| {
                if bits & bit(pid) == 0 {
                    0
                } else {
                    bit(new[at(pid)])
                }
            };
            PIDS.into_iter()
                .map(of)
                .fold(bits & DEAD, |all, one| all | one)
        };
        world.announced = renamed(world.announced);
        for process in &mut world.processes {
            process.seen = renamed(process.seen);
            if process.sweeps() && at(process.swept_name) < PROCESSES {
                process.swept_name = new[at(process.swept_name)];
            }
        }
        for inode in &mut world.inodes {
            if let Record::Of(pid) = &mut inode.record {
                *pid = new[at(*pid)];
            }
            if let OsLock::Exclusive(pid, _) = &mut inode.os_lock {
                *pid = new[at(*pid)];
            }
        }
        world
    }
}

/// By hand, because it is what most of the time goes into.
impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [x, y, z, litter] = self.names;
        let meddled = u8::from(self.meddled);
        let rest = [self.path, x, y, z, litter, meddled, self.announced, 0];
        state.write_u64(u64::from_le_bytes(rest));
        let mut codes = 0_u128;
        for inode in &self.inodes {
            codes = codes << 8 | u128::from(inode.code());
        }
        state.write_u64(codes as u64);
        state.write_u64((codes >> 64) as u64);
        for process in &self.processes {
            state.write_u64(process.code());
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path {
            0 => write!(f, "lock: none")?,
            ino => {
                let Inode {
                    record,
                    torn,
                    os_lock,
                } = self.inode(ino);
                let torn = if *torn { ", torn" } else { "" };
                write!(f, "lock: inode {ino} {record:?} {os_lock:?}{torn}")?;
            }
        }
        for (process, name) in self.processes.iter().zip('A'..) {
            if *process != Process::default() {
                write!(f, "; {name}: {:?}", process.next)?;
                if process.file != 0 {
                    write!(f, " on inode {}", process.file)?;
                }
            }
        }
        Ok(())
    }
}
