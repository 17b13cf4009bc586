//! The mirror's table: what the dead-letter queues held when they were last looked at.

mod edit;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use patterns_core::failed::OriginKind;
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::decode::{Decoded, decode, root};
use super::search::Condition;
use crate::database::{Database, DatabaseError, Durability};
use crate::ledger::Met;
use crate::letter::{Letter, event_id};
use crate::lint::Load;
use crate::origin::Evidence;

pub use edit::Original;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS world (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL);
-- It kept no whole messages; the next scans fill its successor.
DROP TABLE IF EXISTS failed;
CREATE TABLE IF NOT EXISTS event (
    queue_arn TEXT NOT NULL,
    message_id TEXT NOT NULL,
    id TEXT NOT NULL,            -- what people call it
    seen_at INTEGER NOT NULL,    -- milliseconds
    sent_at INTEGER NOT NULL,    -- milliseconds
    scan INTEGER NOT NULL,       -- the last scan that met it
    looks INTEGER NOT NULL,      -- how often we received it just to look
    receives INTEGER NOT NULL,   -- SQS's receive count, our looks included
    evidence TEXT NOT NULL,      -- JSON
    signature TEXT NOT NULL,
    error_type TEXT,
    error_message TEXT,
    correlation_id TEXT,
    decoded TEXT NOT NULL,       -- JSON
    system TEXT NOT NULL,        -- system attributes as JSON
    attributes TEXT NOT NULL,    -- message attributes as JSON
    root TEXT NOT NULL,          -- where in the body the original event is
    body TEXT NOT NULL,
    PRIMARY KEY (queue_arn, message_id)
);
CREATE INDEX IF NOT EXISTS event_by_id ON event (id);
CREATE INDEX IF NOT EXISTS event_by_age ON event (queue_arn, sent_at);
CREATE INDEX IF NOT EXISTS event_by_group ON event (queue_arn, signature, evidence, sent_at);
";

/// One mirrored message without its payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirrored {
    /// ARN of the queue it is in.
    pub queue_arn: String,
    /// The SQS message id.
    pub message_id: String,
    /// What people call it.
    pub id: String,
    /// When it was first met.
    pub seen_at: Timestamp,
    /// Receives that were not ours.
    pub receives: u32,
    /// What it says.
    pub decoded: Decoded,
}

/// Messages of one queue that failed alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Alike {
    /// ARN of the queue they are in.
    pub queue_arn: String,
    /// What they have in common.
    pub signature: String,
    /// What they say about where they failed.
    pub evidence: Evidence,
    /// Of the newest.
    pub error_type: Option<String>,
    /// Of the newest.
    pub sample_message: Option<String>,
    /// How many.
    pub count: u64,
    /// When the oldest was sent.
    pub first: Timestamp,
    /// When the newest was sent.
    pub last: Timestamp,
}

/// The mirror's thread does nothing else during a search, so none may take longer.
pub const SEARCH: Duration = Duration::from_secs(5);

/// Messages that are weighed for a plan.
const WEIGHED_MAX: u32 = 100_000;

/// Handle on the table.
#[derive(Clone)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens `history.db` in `state_dir`. What was mirrored from another `world` is forgotten: the same names mean other
    /// queues there.
    pub async fn open(state_dir: &Path, world: String) -> Result<Self, DatabaseError> {
        let path = state_dir.join("history.db");
        let database = Database::open(&path, Durability::Normal, &[SCHEMA])?;
        database
            .write(move |connection| {
                connection.execute_batch(edit::SCHEMA)?;
                let known: Option<String> = connection
                    .query_row("SELECT name FROM world", [], |row| row.get(0))
                    .optional()?;
                if known.as_ref() != Some(&world) {
                    connection.execute("DELETE FROM event", [])?;
                    connection.execute("INSERT OR REPLACE INTO world VALUES (1, ?1)", [world])?;
                }
                Ok(())
            })
            .await?;
        Ok(Self { database })
    }

    /// Writes down what scan number `scan` just met; answers with what tells whether it was sent before.
    pub async fn met(
        &self,
        queue_arn: &str,
        scan: i64,
        letters: Vec<Letter>,
    ) -> Result<Vec<Met>, DatabaseError> {
        let queue_arn = queue_arn.to_owned();
        let seen_at = Timestamp::now().as_millisecond();
        self.database
            .write(move |connection| {
                let mut insert = connection.prepare_cached(
                    "INSERT INTO event VALUES
                     (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
                     ON CONFLICT DO UPDATE SET scan = excluded.scan, looks = looks + 1, receives = excluded.receives",
                )?;
                let mut met = Vec::with_capacity(letters.len());
                for letter in letters {
                    let decoded = decode(&letter);
                    let receives: i64 = letter
                        .system
                        .get("ApproximateReceiveCount")
                        .and_then(|count| count.parse().ok())
                        .unwrap_or(1);
                    insert.execute(params![
                        queue_arn,
                        letter.message_id,
                        event_id(&queue_arn, &letter.message_id),
                        seen_at,
                        decoded.sent_at.as_millisecond(),
                        scan,
                        receives,
                        serde_json::to_string(&decoded.evidence)?,
                        decoded.signature,
                        decoded.error_type,
                        decoded.error_message,
                        decoded.correlation_id,
                        serde_json::to_string(&decoded)?,
                        serde_json::to_string(&letter.system)?,
                        serde_json::to_string(&letter.attributes)?,
                        root(&letter),
                        letter.body,
                    ])?;
                    met.push(Met {
                        message_id: letter.message_id,
                        request_id: decoded.request_id,
                        signature: decoded.signature,
                    });
                }
                Ok(met)
            })
            .await
    }

    /// Ends a scan. What a complete one did not meet is not in the queue any more.
    pub async fn finish(
        &self,
        queue_arn: &str,
        scan: i64,
        complete: bool,
    ) -> Result<u64, DatabaseError> {
        let queue_arn = queue_arn.to_owned();
        self.database
            .write(move |connection| {
                if complete {
                    connection.execute(
                        "DELETE FROM event WHERE queue_arn = ?1 AND scan <> ?2",
                        params![queue_arn, scan],
                    )?;
                }
                count(connection, &queue_arn)
            })
            .await
    }

    /// Forgets messages that were deleted from the queue; answers with what is left.
    pub async fn remove(
        &self,
        queue_arn: &str,
        message_ids: &[String],
    ) -> Result<u64, DatabaseError> {
        let queue_arn = queue_arn.to_owned();
        let message_ids = serde_json::to_string(message_ids)?;
        self.database
            .write(move |connection| {
                connection
                    .prepare_cached(
                        "DELETE FROM event WHERE rowid IN (SELECT rowid FROM event
                         WHERE queue_arn = ?1 AND message_id IN (SELECT value FROM json_each(?2)))",
                    )?
                    .execute(params![queue_arn, message_ids])?;
                count(connection, &queue_arn)
            })
            .await
    }

    /// Forgets the messages of all queues that are `gone`, by ARN.
    pub async fn forget(
        &self,
        gone: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<(), DatabaseError> {
        self.database
            .write(move |connection| {
                let queues: Vec<String> = connection
                    .prepare_cached("SELECT DISTINCT queue_arn FROM event")?
                    .query_map([], |row| row.get(0))?
                    .collect::<Result<_, _>>()?;
                for queue in queues.iter().filter(|queue| gone(queue.as_str())) {
                    connection.execute("DELETE FROM event WHERE queue_arn = ?1", [queue])?;
                }
                Ok(())
            })
            .await
    }

    /// How many messages of the queue are mirrored.
    pub async fn count(&self, queue_arn: &str) -> Result<u64, DatabaseError> {
        let queue_arn = queue_arn.to_owned();
        self.database
            .read(move |connection| count(connection, &queue_arn))
            .await
    }

    /// The newest messages of those queues for which the condition holds; `None` when that takes too long to find out.
    pub async fn list(
        &self,
        queue_arns: Vec<String>,
        condition: Condition,
        limit: usize,
    ) -> Result<Option<Vec<Mirrored>>, DatabaseError> {
        self.database
            .read(move |connection| {
                let Some(found) = search(connection, &queue_arns, &condition, limit)? else {
                    return Ok(None);
                };
                let mut select = connection
                    .prepare_cached(&format!("SELECT {COLUMNS} FROM event WHERE rowid = ?1"))?;
                let rows = found
                    .into_iter()
                    .map(|row| select.query_row([row], mirrored));
                Ok(Some(rows.collect::<Result<_, _>>()?))
            })
            .await
    }

    /// Message id and evidence of the newest messages of the queue for which the condition holds; `None` when that takes
    /// too long to find out.
    pub async fn matching(
        &self,
        queue_arn: &str,
        condition: Condition,
        limit: usize,
    ) -> Result<Option<Vec<(String, Evidence)>>, DatabaseError> {
        let queue_arn = queue_arn.to_owned();
        self.database
            .read(move |connection| {
                let Some(found) = search(connection, &[queue_arn], &condition, limit)? else {
                    return Ok(None);
                };
                let mut select = connection
                    .prepare_cached("SELECT message_id, evidence FROM event WHERE rowid = ?1")?;
                let rows = found
                    .into_iter()
                    .map(|row| select.query_row([row], |row| Ok((row.get(0)?, json(row, 1)?))));
                Ok(Some(rows.collect::<Result<_, _>>()?))
            })
            .await
    }

    /// Events of those queues that failed alike and at the same place, the most frequent first.
    pub async fn groups(
        &self,
        queue_arns: Vec<String>,
        limit: usize,
    ) -> Result<Vec<Alike>, DatabaseError> {
        self.database
            .read(move |connection| {
                let mut select = connection.prepare_cached(
                    "SELECT queue_arn, signature, evidence, count(*), min(sent_at), max(sent_at) FROM event
                     WHERE queue_arn IN (SELECT value FROM json_each(?1))
                     GROUP BY queue_arn, signature, evidence ORDER BY 4 DESC, 6 DESC LIMIT ?2",
                )?;
                let mut newest = connection.prepare_cached(
                    "SELECT error_type, error_message FROM event
                     WHERE queue_arn = ?1 AND signature = ?2 AND evidence = ?3 ORDER BY sent_at DESC LIMIT 1",
                )?;
                let queues = serde_json::to_string(&queue_arns)?;
                let rows = select.query_map(params![queues, limit], |row| {
                    let (queue_arn, signature, evidence): (String, String, String) =
                        (row.get(0)?, row.get(1)?, row.get(2)?);
                    let (error_type, sample_message) = newest
                        .query_row([&queue_arn, &signature, &evidence], |row| {
                            Ok((row.get(0)?, row.get(1)?))
                        })?;
                    Ok(Alike {
                        queue_arn,
                        signature,
                        evidence: json(row, 2)?,
                        error_type,
                        sample_message,
                        count: row.get::<_, i64>(3)?.unsigned_abs(),
                        first: instant(row.get(4)?),
                        last: instant(row.get(5)?),
                    })
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// The next messages of those queues after that id, whole, in the order of their ids: at most `limit`, and none after
    /// the one with which they have `bytes` together.
    pub async fn page(
        &self,
        queue_arns: Vec<String>,
        after: String,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<(Mirrored, Letter)>, DatabaseError> {
        self.database
            .read(move |connection| {
                let mut select = connection.prepare_cached(&format!(
                    "SELECT {COLUMNS}, body, attributes, system FROM event INDEXED BY event_by_id
                     WHERE id > ?1 AND queue_arn IN (SELECT value FROM json_each(?2)) ORDER BY id LIMIT ?3"
                ))?;
                let queues = serde_json::to_string(&queue_arns)?;
                let mut rows = select.query(params![after, queues, limit])?;
                let (mut page, mut size) = (Vec::new(), 0);
                while size < bytes
                    && let Some(row) = rows.next()?
                {
                    let letter = letter(row, 6)?;
                    size += letter.size();
                    page.push((mirrored(row)?, letter));
                }
                Ok(page)
            })
            .await
    }

    /// The messages whose id begins with `prefix`, two at most, whole.
    pub async fn find(&self, prefix: &str) -> Result<Vec<(Mirrored, Letter)>, DatabaseError> {
        let prefix = prefix.to_owned();
        self.database
            .read(move |connection| {
                let mut select = connection.prepare_cached(&format!(
                    "SELECT {COLUMNS}, body, attributes, system FROM event
                     WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT 2"
                ))?;
                let rows =
                    select.query_map([prefix], |row| Ok((mirrored(row)?, letter(row, 6)?)))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Message id and evidence of those of `ids` that are mirrored from the queue, by id.
    pub async fn chosen(
        &self,
        queue_arn: &str,
        ids: Vec<String>,
    ) -> Result<BTreeMap<String, (String, Evidence)>, DatabaseError> {
        let queue_arn = queue_arn.to_owned();
        self.database
            .read(move |connection| {
                let mut select = connection.prepare_cached(
                    "SELECT message_id, evidence FROM event WHERE id = ?1 AND queue_arn = ?2",
                )?;
                let mut found = BTreeMap::new();
                for id in ids {
                    let row = select
                        .query_row(params![id, queue_arn], |row| {
                            Ok((row.get(0)?, json(row, 1)?))
                        })
                        .optional()?;
                    if let Some(row) = row {
                        found.insert(id, row);
                    }
                }
                Ok(found)
            })
            .await
    }

    /// What the newest messages of the queue, or those of them that have these ids, weigh together for a target of that kind
    /// that takes messages of at most so many bytes.
    pub async fn load(
        &self,
        queue_arn: &str,
        message_ids: Option<Vec<String>>,
        bytes_max: u64,
        target: OriginKind,
    ) -> Result<Load, DatabaseError> {
        let queue_arn = queue_arn.to_owned();
        // A function gets the original event out of a record.
        let sent = match target {
            OriginKind::Queue => "body",
            OriginKind::Function => "CASE root WHEN '$' THEN body ELSE body -> root END",
        };
        let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
        self.database
            .read(move |connection| {
                let ids = message_ids.map(|ids| serde_json::to_string(&ids)).transpose()?;
                let row = connection.prepare_cached(&format!(
                    "SELECT count(*), coalesce(sum(octet_length({sent}) > ?3), 0), coalesce(sum(system LIKE '%Lineage=%'), 0),
                     min(CAST(system ->> '$.SentTimestamp' AS INTEGER)) FROM
                     (SELECT body, root, system FROM event WHERE queue_arn = ?1
                      AND (?2 IS NULL OR message_id IN (SELECT value FROM json_each(?2))) LIMIT {WEIGHED_MAX})"
                ))?
                .query_row(params![queue_arn, ids, bytes_max], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })?;
                let (mirrored, too_large, traced, oldest): (i64, i64, i64, Option<i64>) = row;
                Ok(Load {
                    mirrored: mirrored.unsigned_abs(),
                    too_large: too_large.unsigned_abs(),
                    traced: traced.unsigned_abs(),
                    oldest: oldest.map(instant),
                })
            })
            .await
    }

    /// Everything that the mirrored messages of the queue say about their origin, each once.
    pub async fn evidence(&self, queue_arn: &str) -> Result<Vec<Evidence>, DatabaseError> {
        let queue_arn = queue_arn.to_owned();
        self.database
            .read(move |connection| {
                let mut select = connection
                    .prepare_cached("SELECT DISTINCT evidence FROM event WHERE queue_arn = ?1")?;
                let rows = select.query_map([queue_arn], |row| json(row, 0))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }
}

const COLUMNS: &str = "queue_arn, message_id, id, seen_at, max(receives - looks, 0), decoded";

fn count(connection: &Connection, queue_arn: &str) -> Result<u64, DatabaseError> {
    let count: i64 = connection.query_row(
        "SELECT count(*) FROM event WHERE queue_arn = ?1",
        [queue_arn],
        |row| row.get(0),
    )?;
    Ok(count.unsigned_abs())
}

fn mirrored(row: &Row<'_>) -> rusqlite::Result<Mirrored> {
    Ok(Mirrored {
        queue_arn: row.get(0)?,
        message_id: row.get(1)?,
        id: row.get(2)?,
        seen_at: instant(row.get(3)?),
        receives: row.get(4)?,
        decoded: json(row, 5)?,
    })
}

fn instant(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The message from its body, attributes and system attributes, beginning at `column`. It was released long ago, so it has
/// no receipt handle.
fn letter(row: &Row<'_>, column: usize) -> rusqlite::Result<Letter> {
    Ok(Letter {
        message_id: row.get(1)?,
        receipt_handle: String::new(),
        body: row.get(column)?,
        attributes: json(row, column + 1)?,
        system: json(row, column + 2)?,
    })
}

/// The rows of those queues for which the condition holds, the newest first; `None` when it takes longer than [`SEARCH`].
/// Each row is read while it is asked for, so that
/// neither time nor memory grows with the mirror beyond their limits.
fn search(
    connection: &Connection,
    queue_arns: &[String],
    condition: &Condition,
    limit: usize,
) -> Result<Option<Vec<i64>>, DatabaseError> {
    let sql = format!(
        "SELECT sent_at, rowid, {} FROM event WHERE queue_arn = ? AND {} ORDER BY sent_at DESC",
        condition.exact.sql(),
        condition.possible.sql()
    );
    let mut select = connection.prepare_cached(&sql)?;
    let started = Instant::now();
    let mut found: Vec<(i64, i64)> = Vec::new();
    for queue_arn in queue_arns {
        let queue_arn = Value::from(queue_arn.clone());
        let values = condition
            .exact
            .values
            .iter()
            .chain([&queue_arn])
            .chain(&condition.possible.values);
        let mut rows = select.query(params_from_iter(values))?;
        let mut met = 0;
        while let Some(row) = rows.next()? {
            if started.elapsed() > SEARCH {
                return Ok(None);
            }
            if row.get::<_, Option<bool>>(2)? == Some(true) {
                found.push((row.get(0)?, row.get(1)?));
                met += 1;
                if met == limit {
                    break;
                }
            }
        }
    }
    found.sort_unstable_by(|one, other| other.cmp(one));
    found.truncate(limit);
    Ok(Some(found.into_iter().map(|(_, row)| row).collect()))
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}
