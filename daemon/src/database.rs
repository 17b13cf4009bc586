//! One SQLite file: one connection, owned by one thread, and group commit.
//!
//! All writes that wait when the thread is free share one transaction, and each caller is answered after the commit: many
//! workers cost one fsync. A second connection to the same file would not only lock; the bundled SQLite 3.49 has a
//! race between a writer and a checkpointer in WAL mode (fixed in 3.51.3), so there must never be one.
//!
//! A file can have a journal, for writes that come by the thousand: they are durable once their entries are in it, and wait in
//! an open transaction until the file itself is written. What was lost with that transaction is done again from the
//! entries, so a write must do the same whenever it is done.

mod journal;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;

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

impl From<serde_json::Error> for DatabaseError {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("a stored value cannot be understood: {error}"))
    }
}

/// What a caller wants done on the connection.
type Work<T> = Box<dyn FnOnce(&Connection) -> Result<T, DatabaseError> + Send>;

/// How the outcome of a write reaches its caller, once it is known whether the write is durable.
type Answer = Box<dyn FnOnce(Result<(), DatabaseError>) + Send>;

/// A write that is carried out and not yet durable.
struct Written {
    answer: Answer,
    /// Whether it changed what it should.
    succeeded: bool,
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
const CACHE_KIB: i32 = 6 * 1024;

/// Pages of 4 KiB in the write-ahead log before they are copied into the file: a page that changes often is copied once.
const WAL_PAGES: i32 = 4096;

/// Handle on the thread that owns the connection. The thread ends with the last handle.
#[derive(Clone)]
pub struct Database {
    jobs: mpsc::Sender<Job>,
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
        if taken < steps.len() && journal_path.exists() {
            let journal = Journal::open(&journal_path, contained(&connection)?)?;
            if !journal.is_empty() {
                return Err(DatabaseError(format!(
                    "{} holds what an older version of this program wrote last; start that version once more, and then this",
                    journal_path.display()
                )));
            }
        }
        bring_up_to_date(&connection, steps)?;
        let journal = Journal::open(&journal_path, contained(&connection)?)?;
        let mut owner = Owner {
            connection,
            journaled: Some(Journaled { journal, replay }),
        };
        let caught_up = owner.catch_up().and_then(|()| owner.commit_file());
        if let Err(error) = caught_up {
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
            let done = transaction.and_then(|connection| in_savepoint(connection, Box::new(work)));
            Written {
                succeeded: done.is_ok(),
                answer: Box::new(move |durable| {
                    // A caller that went away needs no answer.
                    let _ = answer.send(durable.and(done));
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
        .open(path)
        .map_err(|error| DatabaseError(error.to_string()))?;
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(
        None,
        "synchronous",
        match durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        },
    )?;
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

/// One failed write of a group must not undo the others.
fn in_savepoint<T>(connection: &Connection, work: Work<T>) -> Result<T, DatabaseError> {
    connection.execute_batch("SAVEPOINT one")?;
    let done = work(connection);
    connection.execute_batch(match done {
        Ok(_) => "RELEASE one",
        Err(_) => "ROLLBACK TO one; RELEASE one",
    })?;
    done
}

struct Journaled {
    journal: Journal,
    replay: Replay,
}

/// What the thread has.
struct Owner {
    connection: Connection,
    journaled: Option<Journaled>,
}

impl Owner {
    fn start(self, path: &Path) -> Result<Database, DatabaseError> {
        let (jobs, waiting) = mpsc::channel(GROUP_MAX);
        let name = path.file_name().unwrap_or_default();
        thread::Builder::new()
            .name(name.to_string_lossy().into_owned())
            .spawn(move || self.work(waiting))
            .map_err(|error| DatabaseError(error.to_string()))?;
        Ok(Database { jobs })
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
        if let Err(error) = self.commit_file() {
            tracing::warn!(%error, "the last writes are in the journal alone until the next start");
        }
    }

    /// Commits `first` with all writes like it that wait behind it; returns the first job that is another.
    fn commit_group(&mut self, first: Write, waiting: &mut mpsc::Receiver<Job>) -> Option<Job> {
        let begun = self.begin();
        let transaction = begun.clone().map(|()| &self.connection);
        let mut written = vec![first(transaction.clone())];
        let mut left_over = None;
        while written.len() < GROUP_MAX && !(begun.is_ok() && self.connection.is_autocommit()) {
            match waiting.try_recv() {
                Ok(Job::Write(None, write)) => written.push(write(transaction.clone())),
                Ok(other) => {
                    left_over = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        let outcome = begun
            .and_then(|()| self.must_not_be_lost())
            .and_then(|()| self.commit_file());
        for write in written {
            (write.answer)(outcome.clone());
        }
        left_over
    }

    /// The same for writes with entries, which go into the journal.
    fn append_group(
        &mut self,
        entry: Vec<u8>,
        first: Write,
        waiting: &mut mpsc::Receiver<Job>,
    ) -> Option<Job> {
        let begun = self
            .begin()
            .and_then(|()| Ok(self.connection.execute_batch("SAVEPOINT entries")?));
        let transaction = begun.clone().map(|()| &self.connection);
        let mut entries = Vec::new();
        let mut written = Vec::new();
        let mut left_over = None;
        let mut next = Some((entry, first));
        while let Some((entry, write)) = next.take() {
            let write = write(transaction.clone());
            entries.extend(write.succeeded.then_some(entry));
            written.push(write);
            if written.len() == GROUP_MAX || begun.is_ok() && self.connection.is_autocommit() {
                break;
            }
            match waiting.try_recv() {
                Ok(Job::Write(Some(entry), write)) => next = Some((entry, write)),
                Ok(other) => left_over = Some(other),
                Err(_) => {}
            }
        }
        let outcome = begun.and_then(|()| self.append(&entries));
        for write in written {
            (write.answer)(outcome.clone());
        }
        // Answered already; only whoever comes next waits for this. When it fails, nothing is lost: see `catch_up`.
        if outcome.is_ok()
            && self
                .journaled
                .as_ref()
                .is_some_and(|own| own.journal.is_full())
            && let Err(error) = self.commit_file()
        {
            tracing::warn!(%error, "the journal grows until the file itself can be written");
            if let Some(own) = &mut self.journaled {
                own.journal.wait();
            }
        }
        left_over
    }

    /// Opens a transaction that has all that counts, if none is open.
    fn begin(&mut self) -> Result<(), DatabaseError> {
        self.catch_up()?;
        if self
            .journaled
            .as_ref()
            .is_some_and(|own| own.journal.is_overfull())
        {
            self.commit_file()?;
        }
        if self.connection.is_autocommit() {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
        }
        Ok(())
    }

    /// Ends a group of writes with entries.
    fn append(&mut self, entries: &[Vec<u8>]) -> Result<(), DatabaseError> {
        self.must_not_be_lost()?;
        let Some(own) = &mut self.journaled else {
            return Err(DatabaseError("the file has no journal".to_owned()));
        };
        let appended = own.journal.append(entries);
        let end = match appended {
            Ok(()) => "RELEASE entries",
            Err(_) => "ROLLBACK TO entries; RELEASE entries",
        };
        if self.connection.execute_batch(end).is_err() {
            // All that counts is done again; see `catch_up`.
            self.connection.execute_batch("ROLLBACK")?;
        }
        appended
    }

    /// Commits the transaction, if one is open: all that was written is in the file itself then.
    fn commit_file(&mut self) -> Result<(), DatabaseError> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        let committed = self.set_contained().and_then(|()| {
            let commit = self.connection.execute_batch("COMMIT");
            commit.map_err(DatabaseError::from)
        });
        if let Err(error) = committed {
            if !self.connection.is_autocommit() {
                // Without this the next BEGIN would fail, too. There is nothing more to do when it fails itself.
                let _ = self.connection.execute_batch("ROLLBACK");
            }
            return Err(error);
        }
        if let Some(own) = &mut self.journaled
            && let Err(error) = own.journal.clear()
        {
            tracing::debug!(%error, "entries that are in the file stay in the journal, too");
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
        let Some(Journaled { journal, replay }) = &self.journaled else {
            return Ok(());
        };
        if journal.is_empty() || !self.connection.is_autocommit() {
            return Ok(());
        }
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let done = contained(&self.connection)
            .and_then(|number| journal.after(number, |entry| replay(&self.connection, entry)));
        if done.is_err() && !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        done
    }

    /// SQLite ends the whole transaction itself when the disk is full or fails; nothing may follow in the same group then.
    fn must_not_be_lost(&self) -> Result<(), DatabaseError> {
        if self.connection.is_autocommit() {
            return Err(DatabaseError(
                "a write of the same commit failed, and all of it was undone".to_owned(),
            ));
        }
        Ok(())
    }
}
