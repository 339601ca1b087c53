//! The embedded store: one SQLite database in a hub's data directory.
//!
//! | module | what it does |
//! |---|---|
//! | `file` | what the file is before the engine touches it; how a new one takes its place |
//! | `create` | a new store, with what an older hub left |
//! | `schema` | migrations; `rehash` and `messages` are the parts that SQL cannot do, `columns` how entries once stood there |
//! | `connection` | how the database is opened |
//! | `writer` | the thread that writes, in groups; `write` has its statements, `tokens` those about tokens |
//! | `usage` | what each client has stored today |
//! | `admin` | the admin token, invitations, and registering with them |
//! | `known` | remembers which tokens live, until that may change |
//! | `readers` | the connections that read; `read` has their statements |
//! | `marks` | remembers beside the database what was acknowledged |
//! | `wal` | keeps the write-ahead log short; `torn` tells whether one was damaged |
//! | `verify` | what is wrong with all of it |
//! | `copy` | one moment of it as another file |
//! | `rows` | between values and what the database holds |

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::DataDir;
use rusqlite::Connection;
use tokio::sync::{mpsc, watch};

use self::known::{KnownTokens, Look};
use self::marks::{Mark, Marks};
use self::readers::Readers;
use self::wal::Checkpoints;
use self::write::Tip;
use self::writer::Job;
use super::error::{Damage, StoreError};
use super::{
    AdminRecord, Authenticated, Client, InvitationRecord, ListedClient, NewInvitation, NewToken,
    Notice, PageQuery, Quota, Rotated, Sighting, Statistics, Store, Visitor,
};
use crate::clock::Clock;
use crate::entry::{Entry, EntryDraft};
use crate::secret::TokenHash;
use crate::types::{Chain, ClientId, HubId, InvitationId, ProjectName, Sequence};

mod admin;
mod columns;
mod connection;
pub(super) mod copy;
mod create;
mod file;
mod known;
mod marks;
mod messages;
mod read;
mod readers;
mod rehash;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod tokens;
mod torn;
mod usage;
pub mod verify;
mod wal;
mod write;
mod writer;

pub(super) use file::all as files;

/// The embedded store.
///
/// An answered append, registration or revocation is on disk (`synchronous=FULL`): it survives
/// the end of the process and a power cut. Dropping the store without [`Store::close`] loses
/// nothing that was answered; closing also empties the write-ahead log into the database.
///
/// One process at a time may have it open: the hub's lock sees to that, not the store.
pub struct SqliteStore {
    path: Utf8PathBuf,
    hub_id: HubId,
    clock: Clock,
    head: watch::Receiver<Sequence>,
    trouble: watch::Receiver<Option<Arc<str>>>,
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<Result<(), StoreError>>>>,
    readers: Readers,
    tokens: Arc<KnownTokens>,
}

impl SqliteStore {
    /// Opens the store of the data directory `dir`, which has to exist, and says what the
    /// operator should know. Takes the same time however long the log is, but once: a store of an
    /// older version is read as a whole while it is upgraded, in one transaction, which needs
    /// about as much room on the disk as the store has.
    ///
    /// Without a store, one is made: empty, or from the files of an older hub. It appears under
    /// its name only once it is whole, so a crash in between starts over.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Newer`], [`StoreError::Foreign`]: what is there
    /// cannot be used, and is left as it is. [`StoreError::Import`]: an older hub's files cannot
    /// be imported, and no store was made. Others when the system refuses.
    pub fn open(dir: &DataDir) -> Result<(Self, Vec<Notice>), StoreError> {
        Self::open_with(dir, Clock::default())
    }

    /// As [`SqliteStore::open`]. What `clock` tells is what tokens expire by.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_with(dir: &DataDir, clock: Clock) -> Result<(Self, Vec<Notice>), StoreError> {
        let path = dir.store();
        let mut notices = if file::exists(&path)? {
            torn::look(&path)?.into_iter().collect()
        } else {
            create::create(dir)?
        };
        let Opened {
            connection,
            hub_id,
            head,
            upgraded,
            marks,
            lost,
        } = open_checked(dir)?;
        notices.extend(upgraded.map(|entries| Notice::Upgraded {
            path: path.clone(),
            entries,
        }));
        notices.extend(lost);
        // Or what a crash left behind a torn end would still be there at the next look.
        wal::empty(&connection);
        let checkpoints = Checkpoints::start(&path)?;
        let started = writer::start(connection, head, checkpoints, marks, path.clone())?;
        let store = Self {
            readers: Readers::new(&path),
            path,
            hub_id,
            clock,
            head: started.head,
            trouble: started.trouble,
            queue: Mutex::new(Some(started.queue)),
            thread: Mutex::new(Some(started.thread)),
            tokens: Arc::default(),
        };
        Ok((store, notices))
    }

    /// Runs `work` on the writer and answers its value once it is durable. `weight` is how many
    /// bytes it writes, roughly.
    async fn write<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl FnOnce(&Connection, &mut Tip) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.send(weight, None, work).await
    }

    /// As [`SqliteStore::write`], for what may change which tokens live, and of whom: once it is
    /// answered, nothing that was known of them before counts.
    async fn write_registry<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &mut Tip) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.send(0, Some(Arc::clone(&self.tokens)), work).await
    }

    async fn send<T: Send + 'static>(
        &self,
        weight: usize,
        outdates: Option<Arc<KnownTokens>>,
        work: impl FnOnce(&Connection, &mut Tip) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let queue = lock(&self.queue).clone().ok_or(StoreError::Closed)?;
        let (job, answer) = writer::job(self.path.clone(), weight, outdates, work);
        queue.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

/// A database that is ready to be written to.
struct Opened {
    connection: Connection,
    hub_id: HubId,
    head: Sequence,
    /// How many entries were written anew, if the store is of an older version.
    upgraded: Option<u64>,
    marks: Marks,
    /// What had been acknowledged and is not there.
    lost: Option<Notice>,
}

/// Opens the database for writing, brings it to the known format and checks what can be checked
/// at once.
fn open_checked(dir: &DataDir) -> Result<Opened, StoreError> {
    let path = &dir.store();
    let failed = |error| rows::store_error(path, Arc::new(error));
    let mut connection = connection::writer(path).map_err(failed)?;
    // Once more: the write-ahead log may hold a header that the file does not have yet.
    file::refuse_newer(path, schema::format(&connection).map_err(failed)?)?;
    if schema::format(&connection).map_err(failed)? < schema::known() {
        tracing::info!(%path, "upgrading the store, which may take a while");
    }
    let upgraded = schema::migrate(&mut connection, schema::MIGRATIONS).map_err(failed)?;
    let (hub_id, head) = read::log(&connection).map_err(failed)?;
    let last = read::last(&connection).map_err(failed)?;
    if last > head {
        let source = Damage::HeadBehind { head, last };
        return Err(StoreError::Damaged {
            path: path.to_owned(),
            source,
        });
    }
    let (mut marks, acknowledged) = Marks::open(dir, &hub_id)?;
    let (reached, lost) = catch_up(&connection, path, acknowledged).map_err(failed)?;
    marks.note(reached);
    Ok(Opened {
        connection,
        hub_id,
        head: reached.head,
        upgraded,
        marks,
        lost,
    })
}

/// Brings the log to where it was when it was last acknowledged, if it fell behind that: what is
/// lost is lost, but no sequence is handed out twice. Answers where the log is now.
fn catch_up(
    connection: &Connection,
    path: &Utf8Path,
    acknowledged: Mark,
) -> rusqlite::Result<(Mark, Option<Notice>)> {
    let tip = read::tip(connection)?;
    let now = Mark {
        commits: tip.commits,
        head: tip.head,
    };
    if now.commits >= acknowledged.commits && now.head >= acknowledged.head {
        return Ok((now, None));
    }
    let reached = Mark {
        commits: now.commits.max(acknowledged.commits),
        head: now.head.max(acknowledged.head),
    };
    let Mark { commits, head } = reached;
    write::set_tip(
        connection,
        Tip {
            commits,
            head,
            ..tip
        },
    )?;
    let lost = Notice::Lost {
        path: path.to_owned(),
        commits: commits - now.commits,
        after: now.head,
        until: head,
    };
    Ok((reached, Some(lost)))
}

#[async_trait]
impl Store for SqliteStore {
    fn hub_id(&self) -> &HubId {
        &self.hub_id
    }

    fn head(&self) -> watch::Receiver<Sequence> {
        self.head.clone()
    }

    async fn append_within(
        &self,
        client: &Client,
        drafts: Vec<EntryDraft>,
        quota: Quota,
    ) -> Result<Vec<Sequence>, StoreError> {
        let Client { id, project, .. } = client.clone();
        let weight = drafts.iter().map(EntryDraft::bytes).sum::<u64>();
        let weight = usize::try_from(weight).unwrap_or(usize::MAX);
        let stored = self.write(weight, move |connection, tip| {
            // In the transaction that stores: whoever was told that the client is revoked can rely
            // on it, even while a publish that was let in before waits in line.
            if write::is_revoked(connection, &id)? {
                return Ok(Err(StoreError::Revoked { client: id }));
            }
            if !usage::spend(connection, &id, quota)? {
                return Ok(Err(StoreError::OverQuota { client: id }));
            }
            write::append(connection, tip, project.as_str(), &drafts).map(Ok)
        });
        stored.await?
    }

    async fn page(&self, query: PageQuery) -> Result<Vec<Entry>, StoreError> {
        self.readers
            .ask(move |connection| read::page(connection, &query))
            .await
    }

    async fn visit(&self, query: PageQuery, mut each: Visitor) -> Result<(), StoreError> {
        self.readers
            .ask(move |connection| read::visit(connection, &query, &mut *each))
            .await
    }

    async fn chain_at(&self, sequence: Sequence) -> Result<Option<Chain>, StoreError> {
        self.readers
            .ask(move |connection| read::chain_at(connection, sequence))
            .await
    }

    async fn register(&self, project: ProjectName, token: NewToken) -> Result<Client, StoreError> {
        let new = admin::new_client(project, self.clock.unix())?;
        let project = new.project.clone();
        let work =
            move |connection: &Connection, _: &mut Tip| admin::register(connection, &new, &token);
        self.write_registry(work).await?.settle(project)
    }

    async fn register_invited(
        &self,
        project: ProjectName,
        token: NewToken,
        invitation: TokenHash,
    ) -> Result<Client, StoreError> {
        let new = admin::new_client(project, self.clock.unix())?;
        let project = new.project.clone();
        let work = move |connection: &Connection, _: &mut Tip| {
            admin::register_invited(connection, &new, &token, &invitation)
        };
        self.write_registry(work).await?.settle(project)
    }

    async fn is_invited(
        &self,
        project: ProjectName,
        token: TokenHash,
        invitation: TokenHash,
    ) -> Result<bool, StoreError> {
        self.readers
            .ask(move |connection| {
                admin::is_invited(connection, &project, &token, &invitation, now())
            })
            .await
    }

    async fn admin(&self) -> Result<Option<AdminRecord>, StoreError> {
        self.readers.ask(admin::admin).await
    }

    async fn set_admin(&self, token: TokenHash) -> Result<AdminRecord, StoreError> {
        let record = AdminRecord {
            hash: token,
            created_at: now(),
        };
        let kept = record.clone();
        self.write(0, move |connection, _| admin::set_admin(connection, &kept))
            .await
            .map(|()| record)
    }

    async fn invite(&self, invitation: NewInvitation) -> Result<(), StoreError> {
        let project = invitation.project.clone();
        let invited = self.write(0, move |connection, _| {
            admin::invite(connection, &invitation)
        });
        if invited.await? {
            Ok(())
        } else {
            Err(StoreError::ProjectExists { project })
        }
    }

    async fn invitations(&self) -> Result<Vec<InvitationRecord>, StoreError> {
        self.readers.ask(admin::invitations).await
    }

    async fn end_invitation(
        &self,
        id: InvitationId,
    ) -> Result<Option<InvitationRecord>, StoreError> {
        let now = self.clock.unix();
        self.write(0, move |connection, _| {
            admin::end_invitation(connection, &id, now)
        })
        .await
    }

    async fn authenticate(&self, token: TokenHash) -> Result<Option<Authenticated>, StoreError> {
        let now = self.clock.unix();
        let begun = match self.tokens.look(&token, now) {
            Look::Lives(known) => return Ok(Some(known)),
            Look::Unknown(begun) => begun,
        };
        let shown = token.clone();
        let found = self
            .readers
            .ask(move |connection| read::authenticate(connection, &shown, now))
            .await?;
        if let Some(found) = &found {
            self.tokens.learn(begun, token, found);
        }
        Ok(found)
    }

    async fn rotate(
        &self,
        old: TokenHash,
        new: NewToken,
        overlap_ends_at: i64,
    ) -> Result<Rotated, StoreError> {
        let clock = self.clock.clone();
        let rotated = self.write_registry(move |connection, _| {
            tokens::rotate(connection, &old, &new, overlap_ends_at, clock.unix())
        });
        Ok(rotated.await??)
    }

    async fn note_seen(&self, sightings: Vec<Sighting>) -> Result<(), StoreError> {
        self.write(0, move |connection, _| {
            tokens::note_seen(connection, &sightings)
        })
        .await
    }

    async fn revoke(&self, client: ClientId) -> Result<Option<Client>, StoreError> {
        let clock = self.clock.clone();
        self.write_registry(move |connection, _| write::revoke(connection, &client, clock.unix()))
            .await
    }

    async fn clients(&self) -> Result<Vec<ListedClient>, StoreError> {
        self.readers.ask(read::clients).await
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        self.readers.ask(read::statistics).await
    }

    fn trouble(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.trouble.clone()
    }

    async fn probe(&self) -> Result<(), StoreError> {
        // The transaction writes where the log ends, whatever else is in it.
        self.write(0, |_, _| Ok(())).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        let queue = lock(&self.queue).take();
        self.readers.close().await;
        // The thread ends with the last sender; those who wait in line have their own.
        drop(queue);
        let Some(thread) = lock(&self.thread).take() else {
            return Ok(());
        };
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        // The runtime is shutting down, or the thread panicked.
        ended
            .map_err(|_| StoreError::Closed)?
            .map_err(|_| StoreError::Closed)?
    }
}

/// The time in Unix seconds.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
