//! A second file, into which writes go one behind the other before they count: to make them durable takes one short,
//! sequential write, where in the file itself, with its indexes, each would change pages all over it. Those are written
//! later, once for hundreds of writes.

use std::path::Path;

use rusqlite::Connection;

use super::{DatabaseError, Durability, connect};

/// Bytes of entries that wait before the file itself is written: some hundred batches of a redrive. Whoever writes next
/// waits for that, and the pages that they change, which may be two for each event, are kept in memory till then.
const FULL: usize = 512 * 1024;

/// Pages kept in memory: it is written at its end, and seldom read.
const CACHE_KIB: i32 = 1024;

/// Nothing more is taken until the file itself could be written.
const OVERFULL: usize = 64 * 1024 * 1024;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY,  -- higher than of any entry before, also of those that are gone
    entry BLOB NOT NULL
);
";

/// A step of the file itself: the number of the last entry that is in it. A program that knows nothing of the journal
/// refuses a file that has taken it.
pub const CONTAINED: &str = "
CREATE TABLE contained (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
INSERT INTO contained VALUES (1, 0);
";

/// Entries that are durable, and not yet or not surely in the file itself.
pub struct Journal {
    connection: Connection,
    /// Of the last entry.
    number: i64,
    /// Of the entries that wait.
    bytes: usize,
    /// With so many bytes the file itself is written.
    full: usize,
    /// Whether an entry that was refused may be on the disk nevertheless.
    unsure: bool,
}

impl Journal {
    /// Opens or creates it; `contained` is the last entry that is in the file itself.
    pub fn open(path: &Path, contained: i64) -> Result<Self, DatabaseError> {
        let connection = connect(path, Durability::Full)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.execute_batch(SCHEMA)?;
        let (number, bytes): (i64, usize) = connection.query_row(
            "SELECT coalesce(max(number), 0), coalesce(sum(length(entry)) FILTER (WHERE number > ?1), 0) FROM entries",
            [contained],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if number < contained {
            return Err(DatabaseError(format!(
                "{} is missing or older than the file it belongs to, which holds its entries up to {contained}; put both back \
                 from one backup, each with its -wal, or move both away to begin anew",
                path.display()
            )));
        }
        Ok(Self {
            connection,
            number,
            bytes,
            full: FULL,
            unsure: false,
        })
    }

    /// Appends entries, all or none. On the disk when it returns.
    pub fn append(&mut self, entries: &[Vec<u8>]) -> Result<(), DatabaseError> {
        let appended = self.insert(entries);
        self.unsure |= appended.is_err();
        self.number = appended?;
        self.bytes += entries.iter().map(Vec::len).sum::<usize>();
        Ok(())
    }

    fn insert(&self, entries: &[Vec<u8>]) -> Result<i64, DatabaseError> {
        let transaction = self.connection.unchecked_transaction()?;
        let mut number = self.number;
        let mut insert = transaction.prepare_cached("INSERT INTO entries VALUES (?1, ?2)")?;
        for entry in entries {
            number += 1;
            insert.execute((number, entry))?;
        }
        drop(insert);
        transaction.commit()?;
        Ok(number)
    }

    /// Calls `each` for the entries after that number, oldest first.
    pub fn after(
        &self,
        number: i64,
        mut each: impl FnMut(&[u8]) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        let mut select = self.connection.prepare_cached(
            "SELECT number, entry FROM entries WHERE number > ?1 ORDER BY number",
        )?;
        let mut rows = select.query([number])?;
        while let Some(row) = rows.next()? {
            let (number, entry): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            each(&entry).map_err(|error| {
                DatabaseError(format!("entry {number} of the journal: {error}"))
            })?;
        }
        Ok(())
    }

    /// Number of the last entry.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether it is time to write the file itself.
    pub fn is_full(&self) -> bool {
        self.bytes >= self.full
    }

    /// Whether nothing more may wait.
    pub fn is_overfull(&self) -> bool {
        self.bytes >= OVERFULL
    }

    /// The file itself cannot be written just now; to try it each time would take longer and longer.
    pub fn wait(&mut self) {
        self.full = self.bytes.saturating_mul(2).max(FULL);
    }

    /// Forgets all entries: they are in the file itself, durably. What stays is their number, by which the two files are known
    /// to belong together.
    pub fn clear(&mut self) -> Result<(), DatabaseError> {
        if self.is_empty() && !self.unsure {
            return Ok(());
        }
        let transaction = self.connection.unchecked_transaction()?;
        transaction.execute("DELETE FROM entries", [])?;
        transaction.execute("INSERT INTO entries VALUES (?1, x'')", [self.number])?;
        transaction.commit()?;
        self.bytes = 0;
        self.full = FULL;
        self.unsure = false;
        Ok(())
    }
}
