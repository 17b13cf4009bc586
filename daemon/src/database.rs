//! One SQLite file: one connection, owned by one thread, and group commit.
//!
//! All writes that wait when the thread is free share one transaction, and each caller is answered after the commit: many
//! workers cost one fsync. A second connection to the same file would not only lock; the bundled SQLite 3.49 has a
//! race between a writer and a checkpointer in WAL mode (fixed in 3.51.3), so there must never be one.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

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

/// How the outcome of a write reaches its caller, once the commit's own outcome is known.
type Answer = Box<dyn FnOnce(Result<(), DatabaseError>) + Send>;

/// A write to carry out inside the open transaction, or to answer with the reason why there is none.
type Write = Box<dyn FnOnce(Result<&Connection, DatabaseError>) -> Answer + Send>;

enum Job {
    Read(Box<dyn FnOnce(&Connection) + Send>),
    Write(Write),
}

/// At most this many writes share a transaction, so that the first of them does not wait for long.
const GROUP_MAX: usize = 256;

/// Pages kept in memory. Ids are random, so the indexes are read and written all over.
const CACHE_KIB: i32 = 16 * 1024;

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
        bring_up_to_date(&connection, steps)?;
        let (jobs, waiting) = mpsc::channel(GROUP_MAX);
        thread::Builder::new()
            .name("sqlite".to_owned())
            .spawn(move || work(&connection, waiting))
            .map_err(|error| DatabaseError(error.to_string()))?;
        Ok(Self { jobs })
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
                let _ = answer.send(work(connection));
            })),
            outcome,
        )
        .await
    }

    /// Writes; returns when the commit is as durable as the database is.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let (answer, outcome) = oneshot::channel();
        self.send(
            Job::Write(Box::new(move |transaction| {
                let done =
                    transaction.and_then(|connection| in_savepoint(connection, Box::new(work)));
                Box::new(move |committed| {
                    // A caller that went away needs no answer.
                    let _ = answer.send(committed.and(done));
                })
            })),
            outcome,
        )
        .await
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

fn work(connection: &Connection, mut waiting: mpsc::Receiver<Job>) {
    let mut next = waiting.blocking_recv();
    while let Some(job) = next.take() {
        match job {
            Job::Read(read) => read(connection),
            Job::Write(first) => {
                next = write_group(connection, first, &mut waiting);
            }
        }
        if next.is_none() {
            next = waiting.blocking_recv();
        }
    }
}

/// Commits `first` with all writes that wait behind it; returns the first job that is not a write.
fn write_group(
    connection: &Connection,
    first: Write,
    waiting: &mut mpsc::Receiver<Job>,
) -> Option<Job> {
    let transaction = connection
        .execute_batch("BEGIN IMMEDIATE")
        .map(|()| connection)
        .map_err(DatabaseError::from);
    let mut answers = vec![first(transaction.clone())];
    let mut left_over = None;
    // SQLite ends the whole transaction itself when the disk is full or fails; nothing may follow in the same group then.
    let lost = || transaction.is_ok() && connection.is_autocommit();
    while answers.len() < GROUP_MAX && !lost() {
        match waiting.try_recv() {
            Ok(Job::Write(write)) => answers.push(write(transaction.clone())),
            Ok(read @ Job::Read(_)) => {
                left_over = Some(read);
                break;
            }
            Err(_) => break,
        }
    }
    let outcome = match &transaction {
        Ok(_) if lost() => Err(DatabaseError(
            "a write of the same commit failed, and all of it was undone".to_owned(),
        )),
        Ok(connection) => connection.execute_batch("COMMIT").map_err(Into::into),
        Err(error) => Err(error.clone()),
    };
    if outcome.is_err() && !connection.is_autocommit() {
        // Without this the next BEGIN would fail, too. There is nothing more to do when it fails itself.
        let _ = connection.execute_batch("ROLLBACK");
    }
    for answer in answers {
        answer(outcome.clone());
    }
    left_over
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS n (value INTEGER PRIMARY KEY)";

    fn insert(value: i64) -> impl FnOnce(&Connection) -> Result<(), DatabaseError> + Send {
        move |connection| {
            connection.execute("INSERT INTO n VALUES (?1)", [value])?;
            Ok(())
        }
    }

    async fn count(database: &Database) -> i64 {
        database
            .read(|connection| {
                Ok(connection.query_row("SELECT count(*) FROM n", [], |row| row.get(0))?)
            })
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_failed_write_fails_alone() {
        let dir = tempfile::tempdir().unwrap();
        let database =
            Database::open(&dir.path().join("n.db"), Durability::Full, &[SCHEMA]).unwrap();
        let writes = [1, 2, 1, 3].map(|value| database.write(insert(value)));
        let outcomes = futures::future::join_all(writes).await;
        assert_eq!(
            outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(),
            [true, true, false, true]
        );
        assert_eq!(count(&database).await, 3);
    }

    #[tokio::test]
    async fn waiting_writes_share_one_transaction() {
        let dir = tempfile::tempdir().unwrap();
        let database =
            Database::open(&dir.path().join("n.db"), Durability::Full, &[SCHEMA]).unwrap();
        let wal = || {
            std::fs::metadata(dir.path().join("n.db-wal"))
                .unwrap()
                .len()
        };
        let before = wal();
        // Holds the thread until all the writes wait behind it; `join!` polls in order.
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let held = database.read(move |_| {
            // The gate opens when its other end is used or dropped.
            let _ = gate.recv();
            Ok(())
        });
        let release = async { go.send(()).unwrap() };
        let (held, one, two, three, ()) = tokio::join!(
            held,
            database.write(insert(1)),
            database.write(insert(2)),
            database.write(insert(3)),
            release
        );
        assert!(held.is_ok() && one.is_ok() && two.is_ok() && three.is_ok());
        // All rows are on one page, so each commit would add one frame: a header of 24 bytes and the page of 4096.
        assert_eq!(wal() - before, 24 + 4096);
    }

    #[tokio::test]
    async fn a_lost_transaction_fails_those_in_it_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let database =
            Database::open(&dir.path().join("n.db"), Durability::Full, &[SCHEMA]).unwrap();
        // Holds the thread until all the writes wait behind it; `join!` polls in order.
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let held = database.read(move |_| {
            // The gate opens when its other end is used or dropped.
            let _ = gate.recv();
            Ok(())
        });
        let undo = database.write(|connection| {
            // As SQLite does by itself when the disk is full.
            connection.execute("INSERT OR ROLLBACK INTO n VALUES (1)", [])?;
            Ok(())
        });
        let release = async { go.send(()).unwrap() };
        let (held, one, undo, two, ()) = tokio::join!(
            held,
            database.write(insert(1)),
            undo,
            database.write(insert(2)),
            release
        );
        assert!(held.is_ok());
        assert_eq!(
            (one.is_ok(), undo.is_ok(), two.is_ok()),
            (false, false, true)
        );
        assert_eq!(count(&database).await, 1);
    }

    #[tokio::test]
    async fn a_file_has_exactly_one_connection_and_one_reader() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n.db");
        let database = Database::open(&path, Durability::Full, &[SCHEMA]).unwrap();
        let again = database.clone();
        database.write(insert(1)).await.unwrap();
        again.write(insert(2)).await.unwrap();
        let open = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
            .filter(|target| *target == path)
            .count();
        assert_eq!(open, 1);
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn a_read_only_file_refuses_writes_and_still_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n.db");
        let database = Database::open(&path, Durability::Full, &[SCHEMA]).unwrap();
        database.write(insert(1)).await.unwrap();
        database
            .read(|connection| Ok(connection.pragma_update(None, "query_only", true)?))
            .await
            .unwrap();
        assert!(database.write(insert(2)).await.is_err());
        assert_eq!(count(&database).await, 1);
    }

    #[tokio::test]
    async fn a_file_takes_each_step_once_and_one_of_a_newer_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n.db");
        let open = |steps: &[&str]| Database::open(&path, Durability::Full, steps);
        let old = open(&[SCHEMA]).unwrap();
        old.write(insert(1)).await.unwrap();
        drop(old);
        let add = "ALTER TABLE n ADD COLUMN name TEXT";
        // A step that fails leaves nothing of those before it.
        assert!(open(&[SCHEMA, add, "nonsense"]).is_err());
        for _ in 0..2 {
            let new = open(&[SCHEMA, add]).unwrap();
            assert_eq!(count(&new).await, 1);
        }
        let refused = open(&[SCHEMA]).err().unwrap();
        assert!(refused.to_string().contains("newer version"), "{refused}");
    }
}
