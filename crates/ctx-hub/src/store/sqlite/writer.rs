//! The one thread that writes. Publishes that wait for it at the same time share a transaction,
//! and so one flush to disk.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::limits;
use ctx_io::failpoint;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot, watch};

use super::known::KnownTokens;
use super::marks::{Mark, Marks};
use super::wal::Checkpoints;
use super::write::Tip;
use super::{read, rows, write};
use crate::store::error::StoreError;
use crate::types::Sequence;

/// What a transaction failed of, told to everyone who was part of it.
type Failure = Arc<rusqlite::Error>;

/// A change that waits for the writer.
pub(super) trait Job: Send {
    /// How many bytes it writes, roughly.
    fn weight(&self) -> usize;

    /// Makes the change within the writer's transaction. `tip` is where the log ends.
    fn run(&mut self, connection: &Connection, tip: &mut Tip) -> Result<(), Failure>;

    /// Answers whoever asked for it, once the transaction is on disk or has failed.
    fn settle(self: Box<Self>, transaction: Result<(), &Failure>);
}

/// A [`Job`] made of a closure.
struct Change<F, T> {
    path: Utf8PathBuf,
    weight: usize,
    work: Option<F>,
    result: Option<Result<T, Failure>>,
    /// What is known of tokens, if the change may make it untrue.
    outdates: Option<Arc<KnownTokens>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

/// A job that runs `work`, and where its answer will come: once it is durable, and not before.
/// Nobody has to wait for it. What is known of tokens is forgotten before the answer when the change
/// `outdates` it.
pub(super) fn job<F, T>(
    path: Utf8PathBuf,
    weight: usize,
    outdates: Option<Arc<KnownTokens>>,
    work: F,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>)
where
    F: FnOnce(&Connection, &mut Tip) -> rusqlite::Result<T> + Send + 'static,
    T: Send + 'static,
{
    let (answer, receiver) = oneshot::channel();
    let change = Change {
        path,
        weight,
        work: Some(work),
        result: None,
        outdates,
        answer,
    };
    (Box::new(change), receiver)
}

impl<F, T> Job for Change<F, T>
where
    F: FnOnce(&Connection, &mut Tip) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn weight(&self) -> usize {
        self.weight
    }

    fn run(&mut self, connection: &Connection, tip: &mut Tip) -> Result<(), Failure> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        let result = work(connection, tip).map_err(Arc::new);
        let outcome = result.as_ref().map(drop).map_err(Arc::clone);
        self.result = Some(result);
        outcome
    }

    fn settle(self: Box<Self>, transaction: Result<(), &Failure>) {
        // Here and not by whoever asked, who may be gone.
        if let Some(tokens) = &self.outdates {
            tokens.forget();
        }
        let answer = match (transaction, self.result) {
            (Err(failure), _) => Err(rows::store_error(&self.path, Arc::clone(failure))),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Ok(()), Some(Err(failure))) => Err(rows::store_error(&self.path, failure)),
            (Ok(()), None) => Err(StoreError::Closed),
        };
        // Whoever asked may have gone; what is durable stays.
        self.answer.send(answer).ok();
    }
}

/// Starts the thread. It ends once every sender is gone and what they sent is done; then it
/// empties the write-ahead log into the database and closes it.
pub(super) fn start(
    connection: Connection,
    head: Sequence,
    checkpoints: Checkpoints,
    marks: Marks,
    path: Utf8PathBuf,
) -> Result<Started, StoreError> {
    let (queue, jobs) = mpsc::channel(limits::WRITE_QUEUE);
    let (announce, announced) = watch::channel(head);
    let (tell, trouble) = watch::channel(None);
    let writer = Writer {
        connection,
        announce,
        tell,
        checkpoints,
        marks,
        path: path.clone(),
    };
    let thread = thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || writer.run(jobs))
        .map_err(super::file::io_error(&path, "start the writer of"))?;
    Ok(Started {
        queue,
        head: announced,
        trouble,
        thread,
    })
}

/// A running writer.
pub(super) struct Started {
    pub(super) queue: mpsc::Sender<Box<dyn Job>>,
    pub(super) head: watch::Receiver<Sequence>,
    /// What keeps it from storing, as its last transaction showed.
    pub(super) trouble: watch::Receiver<Option<Arc<str>>>,
    pub(super) thread: JoinHandle<Result<(), StoreError>>,
}

struct Writer {
    connection: Connection,
    announce: watch::Sender<Sequence>,
    tell: watch::Sender<Option<Arc<str>>>,
    checkpoints: Checkpoints,
    marks: Marks,
    path: Utf8PathBuf,
}

impl Writer {
    fn run(mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) -> Result<(), StoreError> {
        while let Some(first) = next(&mut jobs) {
            let group = gather(first, &mut jobs);
            self.commit(group);
            self.checkpoints.after_commit(&self.connection);
        }
        let Self {
            connection,
            checkpoints,
            path,
            ..
        } = self;
        checkpoints
            .finish(&connection)
            .and_then(|()| connection.close().map_err(|(_, error)| error))
            .map_err(|error| rows::store_error(&path, Arc::new(error)))
    }

    /// Makes the changes of `group` durable together, then answers them all.
    ///
    /// Whoever was answered finds the head at least where its own entries are, so that is moved
    /// before; whoever waits for the head is woken behind, and not in the way of the answers.
    fn commit(&mut self, mut group: Vec<Box<dyn Job>>) {
        let outcome = self.transact(&mut group);
        let mut moved = false;
        match &outcome {
            Ok((mark, refused)) => {
                self.tell(refused.as_ref());
                self.marks.note(*mark);
                self.announce.send_if_modified(|announced| {
                    moved = *announced != mark.head;
                    *announced = mark.head;
                    false
                });
            }
            Err(failure) => {
                tracing::debug!(error = %failure, jobs = group.len(), "transaction failed");
                self.tell(Some(failure));
            }
        }
        for job in group {
            job.settle(outcome.as_ref().map(drop));
        }
        self.announce.send_if_modified(|_| moved);
    }

    /// Says what keeps changes from being stored, and when that is over: once, however many fail.
    fn tell(&self, failure: Option<&Failure>) {
        let now = failure.map(|failure| {
            let error = rows::store_error(&self.path, Arc::clone(failure));
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Arc::<str>::from(format!("{error}: {}", cause.unwrap_or_default()))
        });
        self.tell.send_if_modified(|told| {
            match (&told, &now) {
                (None, Some(error)) => tracing::error!(%error, "nothing can be stored"),
                (Some(_), None) => tracing::warn!("the store can be written to again"),
                _ => {}
            }
            let changed = *told != now;
            *told = now;
            changed
        });
    }

    /// Runs `group` in one transaction and answers how far the log got, once it is on disk, and what
    /// refused one of them for want of room. A transaction that fails is rolled back when it is
    /// dropped, after a failed commit too.
    ///
    /// Where the log ends is read within it: the last commit of a store that was dropped may land
    /// after this one was opened, and its sequences are taken.
    fn transact(&mut self, group: &mut [Box<dyn Job>]) -> Result<(Mark, Option<Failure>), Failure> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(Arc::new)?;
        let mut tip = read::tip(&transaction).map_err(Arc::new)?;
        let mut refused = None;
        for job in group {
            let failed = run_alone(job.as_mut(), &transaction, &mut tip)?;
            refused = failed.filter(is_want_of_room).or(refused);
        }
        tip.commits += 1;
        write::set_tip(&transaction, tip).map_err(Arc::new)?;
        failpoint::reach("store.committing").map_err(|error| Arc::new(rows::failed(error)))?;
        transaction.commit().map_err(Arc::new)?;
        // Too late to fail: it is on disk.
        failpoint::reach("store.committed").ok();
        let mark = Mark {
            commits: tip.commits,
            head: tip.head,
        };
        Ok((mark, refused))
    }
}

/// Runs one job so that its failure, which is answered, undoes what it did and nothing else. The
/// error is the whole transaction's: some failures (a full disk) make the engine roll back
/// everything.
fn run_alone(
    job: &mut dyn Job,
    connection: &Connection,
    tip: &mut Tip,
) -> Result<Option<Failure>, Failure> {
    let run = |sql| connection.prepare_cached(sql)?.execute([]).map(drop);
    let before = *tip;
    let mut failed = None;
    run("SAVEPOINT job").map_err(Arc::new)?;
    if let Err(failure) = job.run(connection, tip) {
        if connection.is_autocommit() {
            return Err(failure);
        }
        *tip = before;
        run("ROLLBACK TO job").map_err(Arc::new)?;
        failed = Some(failure);
    }
    run("RELEASE job").map_err(Arc::new)?;
    Ok(failed)
}

/// The next job, as soon as there is one; `None` when nobody is left to send any.
///
/// Whoever was just answered often has more to store, and to be woken takes a thread as long as a commit
/// without its flush. So this looks for a while before it sleeps, and lets others go first meanwhile.
fn next(jobs: &mut mpsc::Receiver<Box<dyn Job>>) -> Option<Box<dyn Job>> {
    let since = Instant::now();
    while since.elapsed() < limits::WRITER_LOOK {
        match jobs.try_recv() {
            Ok(job) => return Some(job),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => thread::yield_now(),
        }
    }
    jobs.blocking_recv()
}

fn is_want_of_room(failure: &Failure) -> bool {
    let meant = rows::store_error(Utf8Path::new(""), Arc::clone(failure));
    matches!(meant, StoreError::Full { .. })
}

/// `first` and what waits behind it, as far as it may share a transaction.
pub(super) fn gather(
    first: Box<dyn Job>,
    jobs: &mut mpsc::Receiver<Box<dyn Job>>,
) -> Vec<Box<dyn Job>> {
    let mut weight = first.weight();
    let mut group = vec![first];
    while group.len() < limits::GROUP_COMMIT_MAX
        && weight < limits::GROUP_COMMIT_MAX_BYTES
        && let Ok(job) = jobs.try_recv()
    {
        weight = weight.saturating_add(job.weight());
        group.push(job);
    }
    group
}
