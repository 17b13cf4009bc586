use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

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
        .read(
            |connection| Ok(connection.query_row("SELECT count(*) FROM n", [], |row| row.get(0))?),
        )
        .await
        .unwrap()
}

#[tokio::test]
async fn a_failed_write_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(&dir.path().join("n.db"), Durability::Full, &[SCHEMA]).unwrap();
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
    let database = Database::open(&dir.path().join("n.db"), Durability::Full, &[SCHEMA]).unwrap();
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
    let database = Database::open(&dir.path().join("n.db"), Durability::Full, &[SCHEMA]).unwrap();
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

/// An entry is a number in text.
fn replay(connection: &Connection, entry: &[u8]) -> Result<(), DatabaseError> {
    let value = str::from_utf8(entry).unwrap().trim().parse().unwrap();
    insert(value)(connection)
}

fn open_with_journal(dir: &Path) -> Database {
    Database::open_with_journal(&dir.join("n.db"), &[SCHEMA, CONTAINED], replay).unwrap()
}

/// The file itself, without its journal.
fn alone(dir: &Path) -> Database {
    Database::open(&dir.join("n.db"), Durability::Full, &[SCHEMA, CONTAINED]).unwrap()
}

async fn log(database: &Database, value: i64) -> Result<(), DatabaseError> {
    database
        .write_with_entry(value.to_string().into_bytes(), insert(value))
        .await
}

/// What `kill -9` would leave of those files.
fn killed(dir: &Path, files: &[&str], into: &Path) {
    for file in files {
        for name in [(*file).to_owned(), format!("{file}-wal")] {
            if dir.join(&name).exists() {
                std::fs::copy(dir.join(&name), into.join(&name)).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn what_is_in_the_journal_alone_is_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let database = open_with_journal(dir.path());
    for value in 1..=3 {
        log(&database, value).await.unwrap();
    }
    assert_eq!(count(&database).await, 3);
    let left = tempfile::tempdir().unwrap();
    killed(dir.path(), &["n.db", "n.journal"], left.path());
    let alone = alone(left.path());
    assert_eq!(count(&alone).await, 0, "the file itself has nothing yet");
    drop(alone);
    let again = open_with_journal(left.path());
    assert_eq!(count(&again).await, 3);
    log(&again, 4).await.unwrap();
    assert_eq!(count(&again).await, 4);
}

#[tokio::test]
async fn what_is_in_the_file_is_not_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let database = open_with_journal(dir.path());
    log(&database, 1).await.unwrap();
    let left = tempfile::tempdir().unwrap();
    // As if it had been killed after the commit and before the journal was cleared.
    killed(dir.path(), &["n.journal"], left.path());
    database.write(insert(2)).await.unwrap();
    killed(dir.path(), &["n.db"], left.path());
    // To insert it twice would fail.
    let again = open_with_journal(left.path());
    assert_eq!(count(&again).await, 2);
    log(&again, 3).await.unwrap();
    let twice = tempfile::tempdir().unwrap();
    killed(left.path(), &["n.db", "n.journal"], twice.path());
    assert_eq!(count(&open_with_journal(twice.path())).await, 3);
}

#[tokio::test]
async fn a_lost_transaction_takes_no_entry_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let database = open_with_journal(dir.path());
    log(&database, 1).await.unwrap();
    let lost = database.write_with_entry(b"1".to_vec(), |connection| {
        // As SQLite does by itself when the disk is full.
        connection.execute("INSERT OR ROLLBACK INTO n VALUES (1)", [])?;
        Ok(())
    });
    assert!(lost.await.is_err());
    assert_eq!(count(&database).await, 1);
    assert!(log(&database, 1).await.is_err(), "it is there already");
    database.write(insert(2)).await.unwrap();
    assert_eq!(count(&database).await, 2);
}

#[tokio::test]
async fn what_the_journal_refuses_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    // A file in memory that must not grow any more stands for a full disk.
    let memory = memfd_create("n.journal", MemfdFlags::ALLOW_SEALING).unwrap();
    let own = format!("/proc/self/fd/{}", memory.as_raw_fd());
    std::os::unix::fs::symlink(own, dir.path().join("n.journal")).unwrap();
    let database = open_with_journal(dir.path());
    log(&database, 1).await.unwrap();
    fcntl_add_seals(&memory, SealFlags::GROW).unwrap();
    let large = vec![b' '; 1 << 20];
    let refused = database.write_with_entry(large, insert(2)).await;
    assert!(refused.is_err());
    assert_eq!(count(&database).await, 1);
    log(&database, 2).await.unwrap();
    assert_eq!(count(&database).await, 2);
    let left = tempfile::tempdir().unwrap();
    killed(dir.path(), &["n.db", "n.journal"], left.path());
    assert_eq!(count(&open_with_journal(left.path())).await, 2);
}

/// So many entries of 64 KiB, each with its number.
async fn log_large(database: &Database, values: std::ops::RangeInclusive<i64>) {
    for value in values {
        let mut entry = value.to_string().into_bytes();
        entry.resize(1 << 16, b' ');
        let written = database.write_with_entry(entry, insert(value));
        written.await.unwrap();
    }
}

#[tokio::test]
async fn what_fills_the_journal_goes_into_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let database = open_with_journal(dir.path());
    log_large(&database, 1..=17).await;
    // Done after the 16th was answered, and before the next.
    let left = tempfile::tempdir().unwrap();
    killed(dir.path(), &["n.db"], left.path());
    assert_eq!(count(&alone(left.path())).await, 16);
}

#[tokio::test]
async fn a_power_cut_takes_commits_with_it_and_no_entry() {
    let dir = tempfile::tempdir().unwrap();
    let database = open_with_journal(dir.path());
    let left = tempfile::tempdir().unwrap();
    killed(dir.path(), &["n.db"], left.path());
    log_large(&database, 1..=17).await;
    // The commit of the first 16 is not durable, and may never reach the disk.
    killed(dir.path(), &["n.journal"], left.path());
    assert_eq!(count(&open_with_journal(left.path())).await, 17);
}

#[tokio::test]
async fn what_waits_survives_a_commit_that_fails() {
    let dir = tempfile::tempdir().unwrap();
    let child = "CREATE TABLE child (n INTEGER REFERENCES n (value) DEFERRABLE INITIALLY DEFERRED)";
    let path = dir.path().join("n.db");
    let database = Database::open_with_journal(&path, &[SCHEMA, child, CONTAINED], replay).unwrap();
    log(&database, 1).await.unwrap();
    let orphan = database.write(|connection| {
        // Only the commit finds out.
        connection.execute("INSERT INTO child VALUES (99)", [])?;
        Ok(())
    });
    assert!(orphan.await.is_err());
    assert_eq!(count(&database).await, 1);
    log(&database, 2).await.unwrap();
    database.write(insert(3)).await.unwrap();
    assert_eq!(count(&database).await, 3);
}

#[tokio::test]
async fn an_entry_that_is_not_understood_is_named_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let database = open_with_journal(dir.path());
    log(&database, 1).await.unwrap();
    let left = tempfile::tempdir().unwrap();
    killed(dir.path(), &["n.db", "n.journal"], left.path());
    let path = left.path().join("n.db");
    let steps = [SCHEMA, CONTAINED];
    let strange = |_: &Connection, _: &[u8]| Err(DatabaseError("strange".to_owned()));
    let other = Database::open_with_journal(&path, &steps, strange).unwrap();
    let why = other.write(insert(2)).await.unwrap_err().to_string();
    assert!(why.contains("entry 1") && why.contains("strange"), "{why}");
    drop(other);
    // Only the version that wrote it may take it from there.
    let more = Database::open_with_journal(&path, &[SCHEMA, CONTAINED, "SELECT 1"], replay);
    let why = more.err().unwrap().to_string();
    assert!(why.contains("older version"), "{why}");
    let alone = tempfile::tempdir().unwrap();
    killed(left.path(), &["n.journal"], alone.path());
    let path = alone.path().join("n.db");
    let alone = Database::open_with_journal(&path, &[SCHEMA, CONTAINED], replay);
    let why = alone.err().unwrap().to_string();
    assert!(why.contains("put that file back"), "{why}");
    let again = open_with_journal(left.path());
    assert_eq!(count(&again).await, 1);
    again.write(insert(2)).await.unwrap();
    drop(again);
    let path = left.path().join("n.db");
    Database::open_with_journal(&path, &[SCHEMA, CONTAINED, "SELECT 1"], replay).unwrap();
}

#[tokio::test]
async fn a_file_without_its_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let database = open_with_journal(dir.path());
    log(&database, 1).await.unwrap();
    database.write(insert(2)).await.unwrap();
    let left = tempfile::tempdir().unwrap();
    killed(dir.path(), &["n.db"], left.path());
    let path = left.path().join("n.db");
    let refused = Database::open_with_journal(&path, &[SCHEMA, CONTAINED], replay);
    let why = refused.err().unwrap().to_string();
    assert!(
        why.contains("n.journal is missing") && why.contains("backup"),
        "{why}"
    );
}
