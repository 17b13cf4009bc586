//! One SQLite file: one connection, owned by one thread, and group commit.
//!
//! All writes that wait when the thread is free share one transaction, and each caller is answered after the commit: many
//! workers cost one fsync. A second connection to the same file would not only lock; the bundled SQLite 3.49 has a
//! race between a writer and a checkpointer in WAL mode (fixed in 3.51.3), so there must never be one.
//!
//! A file can have a journal, for writes that come by the thousand: they are durable once their entries are in it. They wait in
//! an open transaction until there are enough of them, and their commits wait for the next that is durable. What was lost
//! of these is done again from the entries, so a write must do the same whenever it is done.

mod journal;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use journal::Journal;

pub use journal::CONTAINED;

/// How much a commit is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On the disk when the commit returns.
    Full,
    /// Survives the end of the process; the last commits may be lost with the power.
    Normal,
}

impl Durability {
    /// SQLite's word for it.
    fn word(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
        }
    }
}

/// Why the file could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseError(String);

impl From<DatabaseError> for String {
    fn from(error: DatabaseError) -> Self {
        error.0
    }
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<std::io::Error> for DatabaseError {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for DatabaseError {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("a stored value cannot be understood: {error}"))
    }
}

/// How the outcome of a write reaches its caller, once it is known whether the write is durable.
type Answer = Box<dyn FnOnce(Result<(), DatabaseError>) + Send>;

/// A write that is carried out and not yet durable.
struct Written {
    answer: Answer,
    /// Whether it failed; what it changed nevertheless has to be undone.
    failed: bool,
}

/// A write to carry out inside the open transaction, or to answer with the reason why there is none.
type Write = Box<dyn FnOnce(Result<&Connection, DatabaseError>) -> Written + Send>;

/// Does again what an entry says.
type Replay = fn(&Connection, &[u8]) -> Result<(), DatabaseError>;

/// A read; or, when what was written is not to be had, the reason why not.
type Read = Box<dyn FnOnce(Result<&Connection, DatabaseError>) + Send>;

enum Job {
    Read(Read),
    /// With its entry in the journal, if it has one.
    Write(Option<Vec<u8>>, Write),
}

/// At most this many writes share a transaction, so that the first of them does not wait for long.
const GROUP_MAX: usize = 256;

/// Pages kept in memory. Ids are random, so the indexes are read and written all over.
const CACHE_KIB: i32 = 4 * 1024;

/// Bytes of entries after which the file itself is committed: some hundred batches of a redrive. Whoever writes next waits
/// for that, and the pages that they change are kept in memory till then.
const UNCOMMITTED: u64 = 1024 * 1024;

/// A file of so many pages is committed twice as often, one of twice as many three times, and so on: the more pages there are,
/// the more of them the same entries change, up to two for each event.
const OFTENER_PAGES: u64 = 16 * 1024;

/// Bytes of entries after which those commits are made durable, so that the journal can forget them.
const WAITING: u64 = 4 * 1024 * 1024;

/// Bytes of entries after which no more are taken until they are.
const OVERFULL: u64 = 64 * 1024 * 1024;

/// Between two tries to write the file meanwhile: each does again all that waits.
const OVERFULL_RETRY: Duration = Duration::from_secs(1);

/// More than the statements that a redrive goes round and round with.
const STATEMENTS: usize = 64;

/// Pages of 4 KiB in the write-ahead log before they are copied into the file: a page that changes often is copied once.
const WAL_PAGES: i32 = 4096;

/// Handle on the thread that owns the connection. The thread ends with the last handle, which waits for that: the next to
/// open the file finds it as it will be.
#[derive(Clone)]
pub struct Database {
    jobs: mpsc::Sender<Job>,
    // Dropped after the sender.
    _thread: Arc<Joined>,
}

/// A thread that is waited for.
struct Joined(Option<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        // One that panicked has said so.
        let _ = self.0.take().map(JoinHandle::join);
    }
}

impl Database {
    /// Opens or creates the file, readable by its owner only, and takes those of the `steps` that it has not taken yet.
    /// A file keeps their number; steps are only ever added at the end.
    pub fn open(
        path: &Path,
        durability: Durability,
        steps: &[&str],
    ) -> Result<Self, DatabaseError> {
        let connection = connect(path, durability)?;
        bring_up_to_date(&connection, steps)?;
        let owner = Owner {
            connection,
            durability,
            journaled: None,
        };
        owner.start(path)
    }

    /// The same for a file with a journal, which lies beside it and whose entries `replay` understands. One of the `steps`
    /// is [`CONTAINED`].
    pub fn open_with_journal(
        path: &Path,
        steps: &[&str],
        replay: Replay,
    ) -> Result<Self, DatabaseError> {
        let connection = connect(path, Durability::Full)?;
        // Its pages are written when it is committed: otherwise a full disk would end the transaction in the middle of a read.
        connection.pragma_update(None, "cache_spill", false)?;
        let journal_path = path.with_extension("journal");
        let taken: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let contained = if connection.table_exists(None, "contained")? {
            contained(&connection)?
        } else {
            0
        };
        let journal = Journal::open(&journal_path, contained)?;
        if taken < steps.len() && (journal.number() != contained || !journal.is_empty()) {
            return Err(DatabaseError(format!(
                "{} holds what is not in {}: put that file back if it is another; or an older version of this program wrote \
                 both, then start that version once more",
                journal_path.display(),
                path.display()
            )));
        }
        bring_up_to_date(&connection, steps)?;
        let mut owner = Owner {
            connection,
            durability: Durability::Full,
            journaled: Some(Journaled {
                journal,
                replay,
                contained,
                uncommitted: 0,
                enough: UNCOMMITTED,
                patience: 1,
                overfull_at: None,
            }),
        };
        if let Err(error) = owner.flush() {
            // Whoever reads or writes next tries again, and is told.
            tracing::warn!(%error, path = %path.display(), "the journal's entries are not in the file yet");
        }
        owner.start(path)
    }

    /// Reads. Sees every write that was answered before.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let (answer, outcome) = oneshot::channel();
        self.send(
            Job::Read(Box::new(move |connection| {
                // A caller that went away needs no answer.
                let _ = answer.send(connection.and_then(work));
            })),
            outcome,
        )
        .await
    }

    /// Writes; returns when the commit is as durable as the database is. Of a file with a journal, everything before is in
    /// the file itself then.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        self.send_write(None, work).await
    }

    /// Writes what `entry` says; returns when that is in the journal. Nothing else than the file and the entry may decide
    /// what `work` does.
    pub async fn write_with_entry<T: Send + 'static>(
        &self,
        entry: Vec<u8>,
        work: impl FnOnce(&Connection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        self.send_write(Some(entry), work).await
    }

    async fn send_write<T: Send + 'static>(
        &self,
        entry: Option<Vec<u8>>,
        work: impl FnOnce(&Connection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let (answer, outcome) = oneshot::channel();
        let write = Box::new(move |transaction: Result<&Connection, DatabaseError>| {
            let done = transaction.and_then(work);
            Written {
                failed: done.is_err(),
                answer: Box::new(move |durable| {
                    // A caller that went away needs no answer.
                    let _ = answer.send(done.and_then(|done| durable.map(|()| done)));
                }),
            }
        });
        self.send(Job::Write(entry, write), outcome).await
    }

    async fn send<T>(
        &self,
        job: Job,
        outcome: oneshot::Receiver<Result<T, DatabaseError>>,
    ) -> Result<T, DatabaseError> {
        let ended = || DatabaseError("the database thread has ended".to_owned());
        self.jobs.send(job).await.map_err(|_| ended())?;
        outcome.await.map_err(|_| ended())?
    }
}

fn connect(path: &Path, durability: Durability) -> Result<Connection, DatabaseError> {
    // SQLite gives the -wal and -shm files the mode of the database.
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    let connection = Connection::open(path)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", durability.word())?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    Ok(connection)
}

/// All steps together or none, so that an older program still finds a file that it knows.
fn bring_up_to_date(connection: &Connection, steps: &[&str]) -> Result<(), DatabaseError> {
    let taken: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let missing = steps.get(taken..).ok_or_else(|| {
        DatabaseError(format!(
            "a newer version of this program has written it (it is at step {taken}, known are {}); use that version",
            steps.len()
        ))
    })?;
    if missing.is_empty() {
        return Ok(());
    }
    let transaction = connection.unchecked_transaction()?;
    for step in missing {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", steps.len())?;
    transaction.commit()?;
    Ok(())
}

/// Number of the last entry that is in the file itself.
fn contained(connection: &Connection) -> Result<i64, DatabaseError> {
    Ok(connection.query_row("SELECT number FROM contained", [], |row| row.get(0))?)
}

struct Journaled {
    journal: Journal,
    replay: Replay,
    /// Number of the last entry that is in the file itself, durably or not.
    contained: i64,
    /// Bytes of the entries after that, and with how many the file is committed.
    uncommitted: u64,
    enough: u64,
    /// Doubled each time the file itself cannot be written: to try it for each write would take longer and longer.
    patience: u64,
    /// When it was last tried to write the file, because no more may wait.
    overfull_at: Option<Instant>,
}

/// What the thread has.
struct Owner {
    connection: Connection,
    /// Of the transaction that is open, or of the last.
    durability: Durability,
    journaled: Option<Journaled>,
}

impl Owner {
    fn start(self, path: &Path) -> Result<Database, DatabaseError> {
        let (jobs, waiting) = mpsc::channel(GROUP_MAX);
        let name = path.file_name().unwrap_or_default();
        let thread = thread::Builder::new()
            .name(name.to_string_lossy().into_owned())
            .spawn(move || self.work(waiting))?;
        Ok(Database {
            jobs,
            _thread: Arc::new(Joined(Some(thread))),
        })
    }

    fn work(mut self, mut waiting: mpsc::Receiver<Job>) {
        let mut next = waiting.blocking_recv();
        while let Some(job) = next.take() {
            match job {
                Job::Read(read) => read(self.catch_up().map(|()| &self.connection)),
                Job::Write(None, first) => next = self.commit_group(first, &mut waiting),
                Job::Write(Some(entry), first) => {
                    next = self.append_group(entry, first, &mut waiting);
                }
            }
            if next.is_none() {
                next = waiting.blocking_recv();
            }
        }
        if let Err(error) = self.flush() {
            tracing::warn!(%error, "the last writes are in the journal alone until the next start");
        }
    }

    /// Commits `first` with all writes like it that wait behind it; returns the first job that is another.
    fn commit_group(&mut self, first: Write, waiting: &mut mpsc::Receiver<Job>) -> Option<Job> {
        let mut begun = self.begin_durable();
        let mut written = Vec::new();
        let mut left_over = None;
        let mut next = Some(first);
        while let Some(write) = next.take() {
            let write = self.write_alone(&mut begun, write, written.is_empty());
            written.push(write);
            if written.len() == GROUP_MAX || begun.is_err() {
                break;
            }
            match waiting.try_recv() {
                Ok(Job::Write(None, write)) => next = Some(write),
                Ok(other) => left_over = Some(other),
                Err(_) => {}
            }
        }
        let outcome = begun.and_then(|()| self.commit());
        if outcome.is_err() {
            self.roll_back();
        }
        for write in written {
            (write.answer)(outcome.clone());
        }
        left_over
    }

    /// Carries out one write of a group; when it fails, it undoes nothing of the others. For the `first` SQLite need not keep
    /// what all pages were before.
    fn write_alone(
        &self,
        begun: &mut Result<(), DatabaseError>,
        write: Write,
        first: bool,
    ) -> Written {
        let (before, [done, undo]) = if first {
            ("", ["", "ROLLBACK; BEGIN IMMEDIATE"])
        } else {
            (
                "SAVEPOINT one",
                ["RELEASE one", "ROLLBACK TO one; RELEASE one"],
            )
        };
        let run = |sql| self.connection.execute_batch(sql);
        if begun.is_ok() {
            *begun = run(before).map_err(Into::into);
        }
        let written = write(begun.clone().map(|()| &self.connection));
        if begun.is_ok() {
            *begun = self
                .must_not_be_lost()
                .and_then(|()| Ok(run(if written.failed { undo } else { done })?));
        }
        written
    }

    /// The same for writes with entries, which go into the journal. They are many and none should fail, so when one does, all
    /// of the group do: to be able to undo only one costs more than to do each.
    fn append_group(
        &mut self,
        entry: Vec<u8>,
        first: Write,
        waiting: &mut mpsc::Receiver<Job>,
    ) -> Option<Job> {
        let begun = self.begin_journaled();
        let transaction = begun.clone().map(|()| &self.connection);
        let mut entries = Vec::new();
        let mut written = Vec::new();
        let mut left_over = None;
        let mut failed = false;
        let mut next = Some((entry, first));
        while let Some((entry, write)) = next.take() {
            let write = write(transaction.clone());
            failed |= write.failed;
            entries.push(entry);
            written.push(write);
            if failed || written.len() == GROUP_MAX {
                break;
            }
            match waiting.try_recv() {
                Ok(Job::Write(Some(entry), write)) => next = Some((entry, write)),
                Ok(other) => left_over = Some(other),
                Err(_) => {}
            }
        }
        let outcome = begun.and_then(|()| {
            if failed {
                Err(lost())
            } else {
                self.append(&entries)
            }
        });
        if outcome.is_err() {
            // All that counts is done again; see `catch_up`.
            self.roll_back();
        }
        for write in written {
            (write.answer)(outcome.clone());
        }
        // Answered already; only whoever comes next waits for this. When it fails, nothing is lost: see `catch_up`.
        if outcome.is_ok()
            && let Err(error) = self.write_file()
        {
            tracing::warn!(%error, "the journal grows until the file itself can be written");
            if let Some(own) = &mut self.journaled {
                own.patience = own.patience.saturating_mul(2);
            }
        }
        left_over
    }

    /// Opens a transaction that has all that counts, for writes that are durable when it is committed.
    fn begin_durable(&mut self) -> Result<(), DatabaseError> {
        self.catch_up()?;
        if self.journaled.is_some() {
            self.commit()?;
            self.turn(Durability::Full)?;
        }
        Ok(self.connection.execute_batch("BEGIN IMMEDIATE")?)
    }

    /// Opens a transaction that has all that counts, if none is open, for writes that are durable once they are in the journal.
    fn begin_journaled(&mut self) -> Result<(), DatabaseError> {
        if let Some(own) = &mut self.journaled
            && own.journal.bytes() >= OVERFULL
        {
            let tried_at = own.overfull_at.replace(Instant::now());
            if tried_at.is_some_and(|at| at.elapsed() < OVERFULL_RETRY) {
                return Err(DatabaseError(
                    "the journal is full, because the file itself cannot be written".to_owned(),
                ));
            }
            self.flush()?;
        }
        self.catch_up()?;
        if self.connection.is_autocommit() {
            self.turn(Durability::Normal)?;
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
        }
        Ok(())
    }

    /// Decides how durable the next transaction is. SQLite refuses that within one.
    fn turn(&mut self, durability: Durability) -> Result<(), DatabaseError> {
        if self.durability != durability {
            self.connection
                .pragma_update(None, "synchronous", durability.word())?;
            self.durability = durability;
        }
        Ok(())
    }

    /// Ends a group of writes with entries.
    fn append(&mut self, entries: &[Vec<u8>]) -> Result<(), DatabaseError> {
        self.must_not_be_lost()?;
        let Some(own) = &mut self.journaled else {
            return Err(DatabaseError("the file has no journal".to_owned()));
        };
        let before = own.journal.bytes();
        own.journal.append(entries)?;
        own.uncommitted += own.journal.bytes().saturating_sub(before);
        Ok(())
    }

    /// Writes the file itself when enough waits for that.
    fn write_file(&mut self) -> Result<(), DatabaseError> {
        match &self.journaled {
            Some(own) if own.journal.bytes() >= WAITING.saturating_mul(own.patience) => {
                self.flush()
            }
            Some(own) if own.uncommitted >= own.enough.saturating_mul(own.patience) => {
                self.commit()
            }
            _ => Ok(()),
        }
    }

    /// Commits what waits, durably: the journal needs nothing of it any more.
    fn flush(&mut self) -> Result<(), DatabaseError> {
        let waits = |own: &Journaled| !own.journal.is_empty();
        if !self.journaled.as_ref().is_some_and(waits) {
            return Ok(());
        }
        self.begin_durable()?;
        // A transaction that changes nothing would make nothing durable; this one tells what is contained.
        self.commit()
    }

    /// Commits the transaction, if one is open: all that was written is in the file itself then.
    fn commit(&mut self) -> Result<(), DatabaseError> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        let committed = self.set_contained().and_then(|()| {
            let commit = self.connection.execute_batch("COMMIT");
            commit.map_err(DatabaseError::from)
        });
        if let Err(error) = committed {
            self.roll_back();
            return Err(error);
        }
        if let Some(own) = &mut self.journaled {
            own.contained = own.journal.number();
            own.uncommitted = 0;
            let pages = self
                .connection
                .pragma_query_value(None, "page_count", |row| row.get::<_, u64>(0));
            own.enough = UNCOMMITTED / (1 + pages.unwrap_or(0) / OFTENER_PAGES);
            own.patience = 1;
            // A durable commit makes those before it durable, too: they are in the same write-ahead log.
            if self.durability == Durability::Full
                && let Err(error) = own.journal.clear()
            {
                tracing::debug!(%error, "entries that are in the file stay in the journal, too");
            }
        }
        Ok(())
    }

    fn set_contained(&self) -> Result<(), DatabaseError> {
        if let Some(own) = &self.journaled {
            self.connection
                .prepare_cached("UPDATE contained SET number = ?1")?
                .execute([own.journal.number()])?;
        }
        Ok(())
    }

    /// Does again what entries say that are not in the file itself: the transaction that had it was lost, or the process.
    fn catch_up(&mut self) -> Result<(), DatabaseError> {
        let Some(own) = &self.journaled else {
            return Ok(());
        };
        if own.contained == own.journal.number() || !self.connection.is_autocommit() {
            return Ok(());
        }
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let done = own
            .journal
            .after(own.contained, |entry| (own.replay)(&self.connection, entry));
        if done.is_err() {
            self.roll_back();
        }
        done
    }

    /// Ends the transaction that failed, unless SQLite did: otherwise the next `BEGIN` would fail, too. There is nothing more
    /// to do when that fails itself; the reason that counts is the first.
    fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    /// SQLite ends the whole transaction itself when the disk is full or fails; nothing may follow in the same group then.
    fn must_not_be_lost(&self) -> Result<(), DatabaseError> {
        if self.connection.is_autocommit() {
            return Err(lost());
        }
        Ok(())
    }
}

/// Why a write failed that did nothing wrong itself.
fn lost() -> DatabaseError {
    DatabaseError("a write of the same commit failed, and all of it was undone".to_owned())
}
