//! What each process does, one system call a step, as `src/lock/` and `src/temp.rs` do it; and
//! the ways to do it wrong.

use super::cast::{Bug, Person, Protocol, Publication, Role, Step};
use super::parts::{Answer, Handle, Ino, Next, Pid, Process, Record};
use super::world::{GONE, NAMES, World, at, bit};

impl Protocol {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Every step that can follow `world`.
    pub(crate) fn steps(&self, world: &World, mut found: impl FnMut(Step, World)) {
        for pid in 0..world.processes.len() as Pid {
            let next = world.process(pid).next;
            let mut after = *world;
            self.call(&mut after, pid);
            found(Step::Call(pid, next), after);
            if next == Next::Work {
                self.sweeps(world, pid, |after| found(Step::Call(pid, next), after));
            }
            // A contender waits for a removal under way, and not for ever.
            if next == Next::ClaimLook && world.process(pid).seen != 0 {
                let mut after = *world;
                let process = after.process_mut(pid);
                (process.next, process.seen) = (Next::QuitAnnounce, 0);
                found(Step::Quit(pid), after);
            }
            self.faults(world, pid, &mut found);
        }
        if self.power_cuts {
            found(Step::PowerCut, self.power_cut(world));
        }
        if self.person_may_remove(world) {
            let mut after = *world;
            let path = std::mem::take(&mut after.path);
            for process in &mut after.processes {
                process.lost |= process.holds() && process.file == path;
            }
            after.meddled = true;
            found(Step::Meddle, after);
        }
    }

    /// The names stay, with the marks. That a record stays too is as if everybody were killed.
    fn power_cut(&self, world: &World) -> World {
        let mut after = *world;
        for pid in 0..world.processes.len() as Pid {
            after.kill(pid);
        }
        after.lose_records();
        after
    }

    fn person_may_remove(&self, world: &World) -> bool {
        let in_between = |process: &Process| {
            process.file == world.path
                && matches!(
                    process.next,
                    Next::ReleaseUnlink | Next::QuitUnlink | Next::RemoveUnlink
                )
        };
        let free = match self.person {
            Person::Away => false,
            Person::Meddles => !world.processes.iter().any(in_between),
            Person::MeddlesInBetween => true,
        };
        free && !world.meddled && world.path != 0
    }

    fn faults(&self, world: &World, pid: Pid, found: &mut impl FnMut(Step, World)) {
        let Process { next, file, .. } = *world.process(pid);
        let mut killed = *world;
        killed.kill(pid);
        if next != Next::Open {
            found(Step::Kill(pid, next, false), killed);
        } else if killed != *world {
            found(Step::End(pid), killed);
        }
        // A phase is written while working.
        if matches!(next, Next::TakeoverAppend | Next::Work) {
            let mut torn = *world;
            torn.inode_mut(file).torn = true;
            torn.kill(pid);
            found(Step::Kill(pid, next, true), torn);
        }
        let then = match next {
            // The torn line is cut back, the dead record stands.
            Next::TakeoverCut | Next::TakeoverAppend => Next::Close,
            // The flush failed: the record names a process that runs and does not hold.
            Next::TakeoverStat => Next::Close,
            Next::ClaimList | Next::ClaimStat => self.quit(),
            // Without room for an announcement the removal goes on.
            Next::ReleaseAnnounce => Next::ReleaseStat,
            Next::QuitAnnounce => Next::QuitStat,
            Next::RemoveAnnounce => Next::Close,
            Next::ReleaseStat
            | Next::ReleaseUnlink
            | Next::QuitStat
            | Next::QuitUnlink
            | Next::RemoveStat
            | Next::RemoveUnlink => done(world, pid),
            Next::TempFlock | Next::TempStat | Next::TempWrite | Next::Publish => Next::TempDiscard,
            _ => return,
        };
        let mut failed = *world;
        failed.process_mut(pid).next = then;
        failed.process_mut(pid).seen = 0;
        found(Step::Fail(pid, next), failed);
    }

    /// Opens any temporary name there is.
    fn sweeps(&self, world: &World, pid: Pid, mut found: impl FnMut(World)) {
        for name in (0..NAMES as u8).filter(|name| world.names[at(*name)] != 0) {
            let mut after = *world;
            let ino = world.names[at(name)];
            let process = after.process_mut(pid);
            process.swept_name = name;
            if ino == world.path {
                // The first name of a file that a hard link put in place. It is not opened.
                process.next = Next::SweepUnlink;
                found(after);
                continue;
            }
            process.swept = ino;
            process.next = if self.has(Bug::SweepsWithoutAsking) {
                Next::SweepStat
            } else {
                Next::SweepFlock
            };
            found(after);
        }
    }

    /// The next system call of a process.
    fn call(&self, world: &mut World, pid: Pid) {
        let Process { next, file, .. } = *world.process(pid);
        let then = match next {
            Next::Open | Next::Flock | Next::Stat | Next::Read => self.examine(world, pid, next),
            Next::TakeoverCut | Next::TakeoverAppend | Next::TakeoverStat => {
                self.take_over(world, pid, next)
            }
            Next::TempCreate
            | Next::TempFlock
            | Next::TempStat
            | Next::TempWrite
            | Next::Publish
            | Next::TempDiscard
            | Next::TempUnlink => self.create(world, pid, next),
            Next::SweepFlock | Next::SweepStat | Next::SweepUnlink | Next::SweepClose => {
                self.sweep(world, pid, next)
            }
            Next::ClaimList | Next::ClaimLook | Next::ClaimClear | Next::ClaimStat => {
                self.claim(world, pid, next)
            }
            Next::Work => self.release(),
            Next::ReleaseStat if world.path == file && self.has(Bug::ReleaseUnlocksFirst) => {
                world.close(pid, Handle::Lock);
                Next::LateUnlink
            }
            Next::ReleaseAnnounce | Next::QuitAnnounce | Next::RemoveAnnounce => {
                world.announced |= bit(pid);
                match next {
                    Next::ReleaseAnnounce => Next::ReleaseStat,
                    Next::QuitAnnounce => Next::QuitStat,
                    _ if self.has(Bug::RemoverUnchecked) => Next::RemoveUnlink,
                    _ => Next::RemoveStat,
                }
            }
            Next::ReleaseStat if world.path == file => Next::ReleaseUnlink,
            Next::QuitStat if world.path == file => Next::QuitUnlink,
            Next::RemoveStat if world.path == file => Next::RemoveUnlink,
            Next::ReleaseStat | Next::QuitStat | Next::RemoveStat => done(world, pid),
            Next::ReleaseUnlink | Next::QuitUnlink | Next::RemoveUnlink | Next::LateUnlink => {
                world.path = 0;
                done(world, pid)
            }
            Next::Withdraw => {
                world.withdraw(bit(pid));
                Next::Close
            }
            Next::Close => {
                world.close(pid, Handle::Lock);
                Next::Open
            }
            Next::LateFlock => {
                self.flock(world, pid, file);
                Next::ClaimList
            }
            Next::StealUnlink => {
                world.path = 0;
                world.close(pid, Handle::Lock);
                Next::TempCreate
            }
            Next::RawCreate => {
                if world.path == 0 {
                    world.path = world.create();
                }
                let path = world.path;
                world.process_mut(pid).file = path;
                let inode = world.inode_mut(path);
                (inode.record, inode.torn) = (Record::Missing, false);
                Next::RawWrite
            }
            Next::RawWrite => {
                world.inode_mut(file).record = Record::Of(pid);
                Next::LateFlock
            }
        };
        let process = world.process_mut(pid);
        process.next = then;
        if then == Next::Open {
            *process = Process::default();
        }
        process.lost &= process.holds();
    }

    fn flock(&self, world: &mut World, pid: Pid, file: Ino) -> Answer {
        if !self.os_locks {
            return Answer::Unsupported;
        }
        let shared = self.roles[at(pid)] == Role::Looker;
        world.flock(file, pid, Handle::Lock, shared)
    }

    /// `examine`, and what is made of it.
    fn examine(&self, world: &mut World, pid: Pid, next: Next) -> Next {
        let Process { file, .. } = *world.process(pid);
        match next {
            Next::Open if world.path == 0 => match self.roles[at(pid)] {
                Role::Contender if self.has(Bug::StatThenWrite) => Next::RawCreate,
                Role::Contender => Next::TempCreate,
                Role::Remover | Role::Looker | Role::Absent => Next::Open,
            },
            Next::Open if self.roles[at(pid)] == Role::Absent => Next::Open,
            Next::Open => {
                world.process_mut(pid).file = world.path;
                Next::Flock
            }
            Next::Flock => {
                world.process_mut(pid).answer = self.flock(world, pid, file);
                if self.has(Bug::TakeoverUnchecked) {
                    Next::Read
                } else {
                    Next::Stat
                }
            }
            Next::Stat if world.path == file => Next::Read,
            Next::Stat => Next::Close,
            _ => {
                let then = self.verdict(world, pid);
                world.process_mut(pid).answer = Answer::None;
                then
            }
        }
    }

    fn verdict(&self, world: &mut World, pid: Pid) -> Next {
        let Process { file, answer, .. } = *world.process(pid);
        let granted = answer == Answer::Granted;
        let ours = match world.inode(file).record {
            Record::Of(_) | Record::Dead => true,
            // By its mark, which says too that its maker had the operating system's lock on it.
            Record::Missing => self.power_cuts && !self.has(Bug::IgnoresMark),
            Record::Foreign => false,
        };
        match self.roles[at(pid)] {
            Role::Contender if granted && ours => {
                if self.has(Bug::TakeoverByUnlinkAndCreate) {
                    world.close(pid, Handle::Lock);
                    Next::StealUnlink
                } else if self.has(Bug::TakeoverByLockedUnlinkAndCreate) {
                    Next::StealUnlink
                } else if self.has(Bug::TakeoverLeavesTornLine) {
                    Next::TakeoverAppend
                } else {
                    Next::TakeoverCut
                }
            }
            // Without locks of the operating system it is the process id that tells.
            Role::Remover
                if granted && ours
                    || answer == Answer::Unsupported
                        && world.inode(file).record == Record::Dead =>
            {
                match self.bug {
                    Some(Bug::RemoverUnlocksFirst) => {
                        world.close(pid, Handle::Lock);
                        Next::RemoveUnlink
                    }
                    Some(Bug::RemoverUnannounced) => Next::RemoveStat,
                    _ => Next::RemoveAnnounce,
                }
            }
            _ => Next::Close,
        }
    }

    fn take_over(&self, world: &mut World, pid: Pid, next: Next) -> Next {
        let file = world.process(pid).file;
        match next {
            Next::TakeoverCut => {
                world.inode_mut(file).torn = false;
                Next::TakeoverAppend
            }
            Next::TakeoverAppend => {
                let inode = world.inode_mut(file);
                inode.record = if inode.torn {
                    Record::Foreign
                } else {
                    Record::Of(pid)
                };
                inode.torn = false;
                if self.has(Bug::TakeoverUnchecked) {
                    Next::ClaimList
                } else {
                    Next::TakeoverStat
                }
            }
            _ if world.path == file => Next::ClaimList,
            _ => Next::Close,
        }
    }

    fn create(&self, world: &mut World, pid: Pid, next: Next) -> Next {
        let Process { file, answer, .. } = *world.process(pid);
        let name = at(pid);
        match next {
            Next::TempCreate => {
                let ino = world.create();
                world.names[name] = ino;
                world.process_mut(pid).file = ino;
                match self.bug {
                    Some(Bug::PublishedBeforeFlock) => Next::TempWrite,
                    _ => Next::TempFlock,
                }
            }
            Next::TempFlock => {
                world.process_mut(pid).answer = self.flock(world, pid, file);
                match self.bug {
                    Some(Bug::CreatorIgnoresSweep) => Next::TempWrite,
                    _ => Next::TempStat,
                }
            }
            Next::TempStat => {
                world.process_mut(pid).answer = Answer::None;
                if world.names[name] != file || answer == Answer::Refused {
                    Next::TempDiscard
                } else if self.has(Bug::PublishedBeforeWrite) {
                    Next::Publish
                } else {
                    Next::TempWrite
                }
            }
            Next::TempWrite => {
                world.process_mut(pid).answer = Answer::None;
                world.inode_mut(file).record = Record::Of(pid);
                match self.bug {
                    Some(Bug::PublishedBeforeWrite) => Next::ClaimList,
                    _ => Next::Publish,
                }
            }
            Next::Publish => self.publish(world, pid),
            then => {
                world.remove_name(pid);
                if then == Next::TempUnlink {
                    Next::ClaimList
                } else {
                    Next::Close
                }
            }
        }
    }

    fn publish(&self, world: &mut World, pid: Pid) -> Next {
        let ino = world.names[at(pid)];
        let taken = world.path != 0 && !self.has(Bug::PublishReplaces);
        if taken || ino == 0 {
            return Next::TempDiscard;
        }
        world.path = ino;
        if self.publication == Publication::Link {
            return Next::TempUnlink;
        }
        world.remove_name(pid);
        match self.bug {
            Some(Bug::PublishedBeforeFlock) => Next::LateFlock,
            Some(Bug::PublishedBeforeWrite) => Next::TempWrite,
            _ => Next::ClaimList,
        }
    }

    fn sweep(&self, world: &mut World, pid: Pid, next: Next) -> Next {
        let Process {
            swept, swept_name, ..
        } = *world.process(pid);
        match next {
            Next::SweepFlock if !self.os_locks => Next::SweepClose,
            Next::SweepFlock => match world.flock(swept, pid, Handle::Sweep, false) {
                Answer::Granted => Next::SweepStat,
                _ => Next::SweepClose,
            },
            Next::SweepStat if swept_name == GONE || world.names[at(swept_name)] != swept => {
                Next::SweepClose
            }
            Next::SweepStat => Next::SweepUnlink,
            Next::SweepUnlink => {
                if swept_name != GONE {
                    world.remove_name(swept_name);
                }
                world.process_mut(pid).swept_name = 0;
                Next::SweepClose
            }
            _ => {
                world.close(pid, Handle::Sweep);
                world.process_mut(pid).swept_name = 0;
                Next::Work
            }
        }
    }

    /// The lock is at the path and not held yet: who may have looked before is waited for.
    fn claim(&self, world: &mut World, pid: Pid, next: Next) -> Next {
        let Process { file, seen, .. } = *world.process(pid);
        let first = seen & seen.wrapping_neg();
        match next {
            Next::ClaimList => {
                world.process_mut(pid).seen = world.announced;
                match (self.bug, world.announced) {
                    (Some(Bug::ClaimIgnoresAnnouncements), _) | (_, 0) => self.claimed(world, pid),
                    _ => Next::ClaimLook,
                }
            }
            // What it had seen has gone meanwhile.
            Next::ClaimLook if seen == 0 => self.claimed(world, pid),
            Next::ClaimLook if World::is_dead(first) => Next::ClaimClear,
            // Of one that lives: look again later, from the beginning.
            Next::ClaimLook => {
                world.process_mut(pid).seen = 0;
                Next::ClaimList
            }
            Next::ClaimClear => {
                world.withdraw(first);
                Next::ClaimLook
            }
            _ if world.path == file => Next::Work,
            _ => Next::Close,
        }
    }

    fn claimed(&self, world: &mut World, pid: Pid) -> Next {
        world.process_mut(pid).seen = 0;
        match self.bug {
            Some(Bug::ClaimUnchecked | Bug::TakeoverUnchecked) => Next::Work,
            _ => Next::ClaimStat,
        }
    }

    /// How a lock is given up that was taken and not held.
    fn quit(&self) -> Next {
        if self.os_locks {
            Next::QuitStat
        } else {
            Next::QuitAnnounce
        }
    }

    fn release(&self) -> Next {
        match self.bug {
            Some(Bug::ReleaseUnchecked) => Next::ReleaseUnlink,
            _ if self.os_locks => Next::ReleaseStat,
            _ => Next::ReleaseAnnounce,
        }
    }
}

/// What follows a removal, whatever became of it.
fn done(world: &World, pid: Pid) -> Next {
    if world.announced & bit(pid) == 0 {
        Next::Close
    } else {
        Next::Withdraw
    }
}
