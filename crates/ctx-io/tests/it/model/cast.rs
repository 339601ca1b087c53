//! Who takes part, on which file system, what is planted, and what can happen.

use super::parts::{Next, Pid};

/// What a process is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Takes the lock, works, releases it, and begins again.
    Contender,
    /// `remove_stale`, again and again.
    Remover,
    /// `inspect`, again and again.
    Looker,
    /// Does nothing.
    Absent,
}

/// How a complete file gets its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publication {
    /// A rename that fails if something is there.
    Rename,
    /// A hard link, then the removal of the temporary name.
    Link,
}

/// Whether a person removes the lock file, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Person {
    Away,
    /// At any time, but not between two system calls of a process that compares and removes.
    Meddles,
    /// At any time.
    MeddlesInBetween,
}

/// One way to do it wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    ReleaseUnchecked,
    ReleaseUnlocksFirst,
    /// The lock of the operating system is dropped, the file removed, another created.
    TakeoverByUnlinkAndCreate,
    /// The same, with the lock of the operating system held until the file is removed.
    TakeoverByLockedUnlinkAndCreate,
    /// The path is compared neither before nor after the record is written, nor before the lock
    /// counts as held.
    TakeoverUnchecked,
    TakeoverLeavesTornLine,
    PublishedBeforeFlock,
    PublishedBeforeWrite,
    PublishReplaces,
    StatThenWrite,
    SweepsWithoutAsking,
    CreatorIgnoresSweep,
    RemoverUnlocksFirst,
    /// The path is not compared again after the removal was announced.
    RemoverUnchecked,
    RemoverUnannounced,
    ClaimIgnoresAnnouncements,
    /// Announcements are waited for, and the path is not compared after that.
    ClaimUnchecked,
    /// A file without a record is nobody's, mark or not.
    IgnoresMark,
}

/// Who takes part, on which file system, and what is broken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    pub(crate) roles: [Role; 3],
    /// Whether the file system has locks that end with their holder.
    pub(crate) os_locks: bool,
    pub(crate) publication: Publication,
    pub(crate) person: Person,
    /// Whether the power may fail: everybody dies, and what was written is lost.
    pub(crate) power_cuts: bool,
    pub(crate) bug: Option<Bug>,
}

/// What led from one state to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The process made its next system call.
    Call(Pid, Next),
    /// The process was killed before it; or in the middle of a write, which left half a line.
    Kill(Pid, Next, bool),
    /// The process, which did nothing, ended; a file may still name it.
    End(Pid),
    /// The process has waited long enough for a removal to end, and gives the lock up.
    Quit(Pid),
    /// The call failed, and the process gave up.
    Fail(Pid, Next),
    /// A person removed the file.
    Meddle,
    /// The power failed.
    PowerCut,
}

impl Step {
    /// The process whose own doing it is; none for what befalls it.
    pub(crate) fn by(self) -> Option<Pid> {
        match self {
            Step::Call(pid, _) | Step::End(pid) => Some(pid),
            _ => None,
        }
    }
}
