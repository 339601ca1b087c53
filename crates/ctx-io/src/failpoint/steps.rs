//! The list of all steps. `cargo xtask tidy` holds it against the calls in the code.

/// Every step that a rule can name, in every crate of the workspace. What follows the dot has
/// happened; of `os-lock.try`, `fsync.file`, `fsync.dir`, `temp.rename-new` and what ends in
/// `-ing` it is about to.
pub const STEPS: &[&str] = &[
    // The operating system's answers.
    "os-lock.try",
    "fsync.file",
    "fsync.dir",
    // A temporary file, named by its target: made, and locked.
    "temp.created",
    "temp.locked",
    // The rename that fails if something is there; where it is refused with EINVAL, ENOSYS or
    // EOPNOTSUPP a hard link does the same, and for an instant both names exist.
    "temp.rename-new",
    "temp.linked",
    // A file replaced as a whole, or created whole.
    "atomic.written",
    "atomic.flushed",
    "atomic.renamed",
    "atomic.durable",
    // A file that grows.
    "append.created",
    "append.opened",
    "append.cut",
    "append.written",
    "append.flushed",
    "append.durable",
    // A directory of ours: made, with its mode, durable.
    "dir.created",
    "dir.durable",
    // A directory that appears whole: made, to be filled; filled and flushed; in its place.
    "staged.created",
    "staged.flushed",
    "staged.placed",
    // The lock. EOPNOTSUPP at the first: the system did not keep the mark. The third is not reached
    // where it did. From `lock.linked` on it is visible.
    "lock.marked",
    "lock.written",
    "lock.flushed",
    "lock.linked",
    "lock.takeover-written",
    "lock.taken-over",
    "lock.phase-written",
    "lock.unlinking",
    "lock.unlinked",
    // A removal from outside: decided, and announced to whoever takes the lock meanwhile, who waits.
    "unlock.judged",
    "unlock.announced",
    "unlock.waiting",
    // A sync: the lengths recorded from which a mirror of unknown history goes on; a type appended,
    // before the next; all appended and flushed, before the commit; the commit.
    "sync.start-recorded",
    "sync.appended",
    "sync.committing",
    "sync.committed",
    // A full sync: its folder made; the new mirror complete; an old file set aside; a new file in
    // place of the old one; all of them durable; the state in place; the folder gone.
    "rebuild.begun",
    "rebuild.complete",
    "rebuild.set-aside",
    "rebuild.moved",
    "rebuild.durable",
    "rebuild.committed",
    "rebuild.swept",
    // The outbox: an entry about to be stored, and stored; a batch read and about to be sent,
    // acknowledged, one file of it removed, all of them durably; an entry that is refused: its
    // reason written, itself moved, and that durable.
    "outbox.queuing",
    "outbox.queued",
    "outbox.sending",
    "outbox.acknowledged",
    "outbox.removed",
    "outbox.flushed",
    "outbox.reason-written",
    "outbox.moved-aside",
    "outbox.set-aside",
    // A token that is replaced: the new one saved beside the old one; the hub has answered that it
    // knows it; saved as the one there is.
    "rotation.saved",
    "rotation.answered",
    "rotation.settled",
    // A new store: an empty file; filled with what an older hub left, and that committed; flushed;
    // in its place.
    "store.created",
    "store.filling",
    "store.filled",
    "store.flushing",
    "store.finished",
    "store.placed",
    // The store's writer. An error at `store.committing` fails the transaction. The last: what was
    // committed is remembered beside the store, and not answered yet.
    "store.committing",
    "store.committed",
    "store.marked",
    // The audit trail: lines about to be written, and nobody answered yet; a full file about to be moved,
    // moved to the name of an older part, and the next one begun.
    "audit.writing",
    "audit.rotating",
    "audit.moved",
    "audit.begun",
    // A first start: the admin token written to its file, and not known to the store yet.
    "hub.token-written",
    // A new admin token: in the store, the file of the old one removed, not answered yet.
    "rotate.kept",
    "rotate.file-removed",
    // A project that registers: its token sealed and the hub not asked yet; answered and not saved;
    // saved, with what was sealed before still there.
    "register.sealed",
    "register.answered",
    "register.saved",
    // A hub that starts: the directory taken, the socket bound beside its place, and in it; one
    // that stops: its files removed, its lock not yet.
    "hub.claimed",
    "hub.socket-bound",
    "hub.socket-placed",
    "hub.files-removed",
];
