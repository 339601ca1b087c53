//! What a state of the model is made of: inodes, and processes with their next system call.

/// The number of an inode, from 1; 0 is none.
pub(crate) type Ino = u8;
/// The number of a process, from 0.
pub(crate) type Pid = u8;

/// What the last complete line of a lock file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Record {
    /// Nothing: there is no line yet.
    #[default]
    Missing,
    /// A process that runs.
    Of(Pid),
    /// A process that ran.
    Dead,
    /// Something else, which no contender may break.
    Foreign,
}

/// Who has the lock of the operating system on an inode. It belongs to an open file, of which a
/// process that sweeps has two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OsLock {
    #[default]
    Free,
    Exclusive(Pid, Handle),
    /// A bit for each process that looks.
    Shared(u8),
}

/// Which of its open files a process uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handle {
    Lock,
    Sweep,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inode {
    pub(crate) record: Record,
    /// Behind the last complete line stands the beginning of another.
    pub(crate) torn: bool,
    pub(crate) os_lock: OsLock,
}

/// What the operating system answered when asked for its lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answer {
    #[default]
    None,
    Granted,
    Refused,
    Unsupported,
}

/// The system call that a process makes next. The table in the spec says which function of the
/// crate makes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Next {
    /// Open the path, in order to take, remove or look at the lock. A process that does nothing
    /// is here as well.
    #[default]
    Open,
    Flock,
    Stat,
    Read,
    TakeoverCut,
    TakeoverAppend,
    TakeoverStat,
    TempCreate,
    TempFlock,
    TempStat,
    TempWrite,
    Publish,
    /// Remove the temporary name, which was not published.
    TempDiscard,
    /// Remove the temporary name, which a hard link published.
    TempUnlink,
    /// See which removals are announced, before the lock counts as held.
    ClaimList,
    /// Look at one of them: wait for it, unless it is gone or its owner is dead.
    ClaimLook,
    /// Remove the announcement of a dead remover.
    ClaimClear,
    /// Compare the path again.
    ClaimStat,
    /// Nothing: the lock is held. Release it, or sweep a temporary name.
    Work,
    SweepFlock,
    SweepStat,
    SweepUnlink,
    SweepClose,
    /// Announce the removal, where nothing else keeps others from the path.
    ReleaseAnnounce,
    ReleaseStat,
    ReleaseUnlink,
    /// The same for a lock that was taken and never held.
    QuitAnnounce,
    QuitStat,
    QuitUnlink,
    RemoveAnnounce,
    RemoveStat,
    RemoveUnlink,
    /// Withdraw the announcement.
    Withdraw,
    Close,
    /// Planted: ask for the lock of a file that is in place already.
    LateFlock,
    /// Planted: remove the dead holder's file, then create.
    StealUnlink,
    /// Planted: create the file in place.
    RawCreate,
    /// Planted: write into the file that was created in place.
    RawWrite,
    /// Planted: remove the name after the lock of the operating system was dropped.
    LateUnlink,
}

/// What is not planted.
pub(crate) const STEPS: [Next; 34] = [
    Next::Open,
    Next::Flock,
    Next::Stat,
    Next::Read,
    Next::TakeoverCut,
    Next::TakeoverAppend,
    Next::TakeoverStat,
    Next::TempCreate,
    Next::TempFlock,
    Next::TempStat,
    Next::TempWrite,
    Next::Publish,
    Next::TempDiscard,
    Next::TempUnlink,
    Next::ClaimList,
    Next::ClaimLook,
    Next::ClaimClear,
    Next::ClaimStat,
    Next::Work,
    Next::SweepFlock,
    Next::SweepStat,
    Next::SweepUnlink,
    Next::SweepClose,
    Next::ReleaseAnnounce,
    Next::ReleaseStat,
    Next::ReleaseUnlink,
    Next::QuitAnnounce,
    Next::QuitStat,
    Next::QuitUnlink,
    Next::RemoveAnnounce,
    Next::RemoveStat,
    Next::RemoveUnlink,
    Next::Withdraw,
    Next::Close,
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) next: Next,
    /// The file that it has open as lock or temporary file.
    pub(crate) file: Ino,
    pub(crate) answer: Answer,
    /// The file that it has open while sweeping, and the temporary name that it found it under.
    pub(crate) swept: Ino,
    pub(crate) swept_name: u8,
    /// The announcements that it has seen and not looked at, a bit for each place.
    pub(crate) seen: u8,
    /// A person removed the lock that it held.
    pub(crate) lost: bool,
}

impl Process {
    /// It believes that the lock is its own.
    pub(crate) fn holds(&self) -> bool {
        use Next::*;
        matches!(
            self.next,
            Work | SweepFlock
                | SweepStat
                | SweepUnlink
                | SweepClose
                | ReleaseAnnounce
                | ReleaseStat
                | ReleaseUnlink
                | LateUnlink
        )
    }

    /// It is about to remove a temporary name, perhaps.
    pub(crate) fn sweeps(&self) -> bool {
        matches!(
            self.next,
            Next::SweepFlock | Next::SweepStat | Next::SweepUnlink
        )
    }

    /// It has made sure that its temporary file is its own, and is about to publish it.
    pub(crate) fn prepares(&self) -> bool {
        matches!(self.next, Next::TempWrite | Next::Publish)
    }
}

impl Inode {
    /// Another number for every other inode.
    pub(crate) fn code(self) -> u8 {
        let record = match self.record {
            Record::Missing => 0,
            Record::Dead => 1,
            Record::Foreign => 2,
            Record::Of(pid) => 3 + pid,
        };
        let os_lock = match self.os_lock {
            OsLock::Free => 0,
            OsLock::Shared(bits) => bits,
            OsLock::Exclusive(pid, Handle::Lock) => 8 + pid,
            OsLock::Exclusive(pid, Handle::Sweep) => 12 + pid,
        };
        record << 5 | u8::from(self.torn) << 4 | os_lock
    }
}

impl Process {
    /// Another number for every other process.
    pub(crate) fn code(&self) -> u64 {
        u64::from_le_bytes([
            self.next as u8,
            self.file,
            self.answer as u8,
            self.swept,
            self.swept_name,
            u8::from(self.lost),
            self.seen,
            0,
        ])
    }
}
