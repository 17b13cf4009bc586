//! The mirror's table: what the dead-letter queues held when they were last looked at.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::decode::{Decoded, attributes, decode};
use crate::database::{Database, DatabaseError, Durability};
use crate::letter::{Letter, event_id};
use crate::origin::Evidence;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS world (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS failed (
    queue_arn TEXT NOT NULL,
    message_id TEXT NOT NULL,
    id TEXT NOT NULL,            -- what people call it
    seen_at INTEGER NOT NULL,    -- milliseconds
    sent_at INTEGER NOT NULL,    -- milliseconds
    scan INTEGER NOT NULL,       -- the last scan that met it
    looks INTEGER NOT NULL,      -- how often we received it just to look
    receives INTEGER NOT NULL,   -- SQS's receive count, our looks included
    evidence TEXT NOT NULL,      -- JSON
    decoded TEXT NOT NULL,       -- JSON
    attributes TEXT NOT NULL,    -- JSON
    payload TEXT NOT NULL,       -- JSON
    PRIMARY KEY (queue_arn, message_id)
);
CREATE INDEX IF NOT EXISTS failed_by_id ON failed (id);
CREATE INDEX IF NOT EXISTS failed_by_age ON failed (queue_arn, sent_at);
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

/// Handle on the table.
#[derive(Clone)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens `history.db` in `state_dir`. What was mirrored from another `world` is forgotten: the same names mean other
    /// queues there.
    pub async fn open(state_dir: &Path, world: String) -> Result<Self, DatabaseError> {
        let database = Database::open(&state_dir.join("history.db"), Durability::Normal, SCHEMA)?;
        database
            .write(move |connection| {
                let known: Option<String> = connection
                    .query_row("SELECT name FROM world", [], |row| row.get(0))
                    .optional()?;
                if known.as_ref() != Some(&world) {
                    connection.execute("DELETE FROM failed", [])?;
                    connection.execute("INSERT OR REPLACE INTO world VALUES (1, ?1)", [world])?;
                }
                Ok(())
            })
            .await?;
        Ok(Self { database })
    }

    /// Writes down what scan number `scan` just met.
    pub async fn met(
        &self,
        queue_arn: &str,
        scan: i64,
        letters: Vec<Letter>,
    ) -> Result<(), DatabaseError> {
        let queue_arn = queue_arn.to_owned();
        let seen_at = Timestamp::now().as_millisecond();
        self.database
            .write(move |connection| {
                let mut insert = connection.prepare_cached(
                    "INSERT INTO failed VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?9, ?10, ?11)
                     ON CONFLICT DO UPDATE SET scan = excluded.scan, looks = looks + 1, receives = excluded.receives",
                )?;
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
                        serde_json::to_string(&decoded)?,
                        serde_json::to_string(&attributes(&letter))?,
                        super::decode::payload(&letter).to_string(),
                    ])?;
                }
                Ok(())
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
                        "DELETE FROM failed WHERE queue_arn = ?1 AND scan <> ?2",
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
        message_ids: Vec<String>,
    ) -> Result<u64, DatabaseError> {
        let queue_arn = queue_arn.to_owned();
        self.database
            .write(move |connection| {
                let mut delete = connection.prepare_cached(
                    "DELETE FROM failed WHERE queue_arn = ?1 AND message_id = ?2",
                )?;
                for message_id in message_ids {
                    delete.execute(params![queue_arn, message_id])?;
                }
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
                    .prepare_cached("SELECT DISTINCT queue_arn FROM failed")?
                    .query_map([], |row| row.get(0))?
                    .collect::<Result<_, _>>()?;
                for queue in queues.iter().filter(|queue| gone(queue.as_str())) {
                    connection.execute("DELETE FROM failed WHERE queue_arn = ?1", [queue])?;
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

    /// The newest messages of those queues.
    pub async fn list(
        &self,
        queue_arns: Vec<String>,
        limit: u32,
    ) -> Result<Vec<Mirrored>, DatabaseError> {
        self.database
            .read(move |connection| {
                let mut select = connection.prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM failed WHERE queue_arn IN (SELECT value FROM json_each(?1))
                     ORDER BY sent_at DESC, message_id LIMIT ?2"
                ))?;
                let queues = serde_json::to_string(&queue_arns)?;
                let rows = select.query_map(params![queues, limit], mirrored)?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// The messages whose id begins with `prefix`, two at most, each with attributes and payload.
    pub async fn find(
        &self,
        prefix: &str,
    ) -> Result<Vec<(Mirrored, BTreeMap<String, String>, serde_json::Value)>, DatabaseError> {
        let prefix = prefix.to_owned();
        self.database
            .read(move |connection| {
                let mut select = connection.prepare_cached(&format!(
                    "SELECT {COLUMNS}, attributes, payload FROM failed
                     WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT 2"
                ))?;
                let rows = select.query_map([prefix], |row| {
                    Ok((mirrored(row)?, json(row, 6)?, json(row, 7)?))
                })?;
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
                    "SELECT message_id, evidence FROM failed WHERE id = ?1 AND queue_arn = ?2",
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

    /// Everything that the mirrored messages of the queue say about their origin, each once.
    pub async fn evidence(&self, queue_arn: &str) -> Result<Vec<Evidence>, DatabaseError> {
        let queue_arn = queue_arn.to_owned();
        self.database
            .read(move |connection| {
                let mut select = connection
                    .prepare_cached("SELECT DISTINCT evidence FROM failed WHERE queue_arn = ?1")?;
                let rows = select.query_map([queue_arn], |row| json(row, 0))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }
}

const COLUMNS: &str = "queue_arn, message_id, id, seen_at, max(receives - looks, 0), decoded";

fn count(connection: &Connection, queue_arn: &str) -> Result<u64, DatabaseError> {
    let count: i64 = connection.query_row(
        "SELECT count(*) FROM failed WHERE queue_arn = ?1",
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
        seen_at: Timestamp::from_millisecond(row.get(3)?).unwrap_or(Timestamp::UNIX_EPOCH),
        receives: row.get(4)?,
        decoded: json(row, 5)?,
    })
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::tests::letter;

    const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:dlq";

    async fn store(dir: &Path) -> Store {
        Store::open(dir, "here".to_owned()).await.unwrap()
    }

    fn received(message_id: &str, receives: u32) -> Letter {
        let mut letter = letter(message_id, &format!(r#"{{"m":"{message_id}"}}"#));
        letter
            .system
            .insert("ApproximateReceiveCount".to_owned(), receives.to_string());
        letter
    }

    #[tokio::test]
    async fn only_a_complete_scan_forgets() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path()).await;
        store
            .met(QUEUE, 1, vec![received("a", 4), received("b", 4)])
            .await
            .unwrap();
        assert_eq!(store.finish(QUEUE, 1, true).await.unwrap(), 2);
        store.met(QUEUE, 2, vec![received("a", 5)]).await.unwrap();
        assert_eq!(store.finish(QUEUE, 2, false).await.unwrap(), 2);
        // Also when the clock went back since.
        store.met(QUEUE, 0, vec![received("a", 6)]).await.unwrap();
        assert_eq!(store.finish(QUEUE, 0, true).await.unwrap(), 1);
        let list = store.list(vec![QUEUE.to_owned()], 10).await.unwrap();
        assert_eq!(list[0].message_id, "a");
        // 6 receives, 3 of them looks of ours.
        assert_eq!(list[0].receives, 3);
        assert_eq!(store.remove(QUEUE, vec!["a".to_owned()]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_event_is_found_by_its_leading_digits() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path()).await;
        store.met(QUEUE, 1, vec![received("a", 1)]).await.unwrap();
        let id = event_id(QUEUE, "a");
        let found = store.find(&id[..4]).await.unwrap();
        assert_eq!(found[0].0.id, id);
        assert_eq!(found[0].2, serde_json::json!({"m": "a"}));
        assert!(store.find("zz").await.unwrap().is_empty());
        let chosen = store
            .chosen(QUEUE, vec![id.clone(), "unknown".to_owned()])
            .await
            .unwrap();
        assert_eq!(chosen.keys().collect::<Vec<_>>(), [&id]);
    }

    #[tokio::test]
    async fn another_world_begins_empty() {
        let dir = tempfile::tempdir().unwrap();
        let here = store(dir.path()).await;
        here.met(QUEUE, 1, vec![received("a", 1)]).await.unwrap();
        drop(here);
        assert_eq!(store(dir.path()).await.count(QUEUE).await.unwrap(), 1);
        let there = Store::open(dir.path(), "there".to_owned()).await.unwrap();
        assert_eq!(there.count(QUEUE).await.unwrap(), 0);
    }
}
