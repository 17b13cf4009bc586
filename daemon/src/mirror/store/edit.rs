//! What edits need of the mirror: whole messages to try them on, and a table of the messages as they were before.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::{Mirrored, Store, instant, letter, mirrored};
use crate::database::DatabaseError;
use crate::letter::{Letter, event_id};
use crate::mirror::decode::decode;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS original (
    queue_arn TEXT NOT NULL,
    message_id TEXT NOT NULL,
    id TEXT NOT NULL,            -- what people call it
    seen_at INTEGER NOT NULL,    -- milliseconds
    receives INTEGER NOT NULL,   -- that were not ours
    decoded TEXT NOT NULL,       -- JSON
    body TEXT NOT NULL,
    attributes TEXT NOT NULL,    -- message attributes as JSON
    system TEXT NOT NULL,        -- system attributes as JSON
    operation TEXT NOT NULL,     -- that edited it
    kept_at INTEGER NOT NULL,    -- milliseconds
    PRIMARY KEY (queue_arn, message_id)
);
CREATE INDEX IF NOT EXISTS original_by_id ON original (id);
CREATE INDEX IF NOT EXISTS original_by_age ON original (kept_at);
";

/// Originals are kept as long as SQS could keep a message: 14 days, in milliseconds. (SQS API Reference,
/// `SetQueueAttributes`: `MessageRetentionPeriod`.)
const KEPT_MS: i64 = 14 * 24 * 60 * 60 * 1000;

const COLUMNS: &str = "queue_arn, message_id, id, seen_at, receives, decoded, body, attributes, system, operation, kept_at";

/// A message as it was before it was edited.
#[derive(Clone, Debug, PartialEq)]
pub struct Original {
    /// What a list shows of it.
    pub row: Mirrored,
    /// The message.
    pub letter: Letter,
    /// The operation that edited it.
    pub operation_id: String,
    /// When.
    pub kept_at: Timestamp,
}

impl Store {
    /// Keeps messages as they are before that operation edits them. On the disk when it returns: what is sent instead is
    /// not the same any more, so this is the only copy as soon as the one in the queue is deleted.
    pub async fn keep(
        &self,
        queue_arn: &str,
        operation_id: &str,
        letters: Vec<Letter>,
    ) -> Result<(), DatabaseError> {
        let (queue_arn, operation_id) = (queue_arn.to_owned(), operation_id.to_owned());
        let now = Timestamp::now().as_millisecond();
        self.database
            .write(move |connection| {
                connection
                    .prepare_cached("DELETE FROM original WHERE kept_at < ?1")?
                    .execute([now - KEPT_MS])?;
                let mut insert = connection.prepare_cached(
                    "INSERT OR REPLACE INTO original VALUES (?1, ?2, ?3,
                     coalesce((SELECT seen_at FROM event WHERE queue_arn = ?1 AND message_id = ?2), ?9),
                     coalesce((SELECT max(receives - looks, 0) FROM event WHERE queue_arn = ?1 AND message_id = ?2), 1),
                     ?4, ?5, ?6, ?7, ?8, ?9)",
                )?;
                for letter in letters {
                    insert.execute(params![
                        queue_arn,
                        letter.message_id,
                        event_id(&queue_arn, &letter.message_id),
                        serde_json::to_string(&decode(&letter))?,
                        letter.body,
                        serde_json::to_string(&letter.attributes)?,
                        serde_json::to_string(&letter.system)?,
                        operation_id,
                        now,
                    ])?;
                }
                Ok(())
            })
            .await?;
        // A commit of this file survives the process, a checkpoint the power, too: it begins with the log's fsync.
        self.database
            .read(|connection| {
                Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
            })
            .await
    }

    /// The kept messages whose id begins with `prefix`, two at most.
    pub async fn originals(&self, prefix: &str) -> Result<Vec<Original>, DatabaseError> {
        let prefix = prefix.to_owned();
        self.database
            .read(move |connection| {
                let mut select = connection.prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM original WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT 2"
                ))?;
                let rows = select.query_map([prefix], original)?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// A message as it was before it was edited.
    pub async fn original(
        &self,
        queue_arn: &str,
        message_id: &str,
    ) -> Result<Option<Original>, DatabaseError> {
        let name = (queue_arn.to_owned(), message_id.to_owned());
        self.database
            .read(move |connection| {
                Ok(connection
                    .prepare_cached(&format!(
                        "SELECT {COLUMNS} FROM original WHERE queue_arn = ?1 AND message_id = ?2"
                    ))?
                    .query_row([name.0, name.1], original)
                    .optional()?)
            })
            .await
    }

    /// Those of the messages of the queue that are mirrored, whole.
    pub async fn whole(
        &self,
        queue_arn: &str,
        message_ids: Vec<String>,
    ) -> Result<Vec<Letter>, DatabaseError> {
        let queue_arn = queue_arn.to_owned();
        self.database
            .read(move |connection| {
                let mut select = connection.prepare_cached(
                    "SELECT queue_arn, message_id, body, attributes, system FROM event
                     WHERE queue_arn = ?1 AND message_id = ?2",
                )?;
                let mut found = Vec::new();
                for message_id in message_ids {
                    let row = select
                        .query_row([&queue_arn, &message_id], |row| letter(row, 2))
                        .optional()?;
                    found.extend(row);
                }
                Ok(found)
            })
            .await
    }
}

fn original(row: &rusqlite::Row<'_>) -> rusqlite::Result<Original> {
    Ok(Original {
        row: mirrored(row)?,
        letter: letter(row, 6)?,
        operation_id: row.get(9)?,
        kept_at: instant(row.get(10)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::tests::{letter, text};

    impl Store {
        /// Lets writes fail, as on a disk that is full or read-only, or succeed again.
        pub async fn refuse_writes(&self, refuse: bool) {
            let pragma = self.database.read(move |connection| {
                Ok(connection.pragma_update(None, "query_only", refuse)?)
            });
            pragma.await.unwrap();
        }
    }

    const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:dlq";

    #[tokio::test]
    async fn an_original_is_found_after_its_event_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "world".to_owned()).await.unwrap();
        let mut before = letter("m-1", r#"{"n" :1}"#);
        before.attributes.insert("trace".to_owned(), text("t-1"));
        before.receipt_handle = String::new();
        store.met(QUEUE, 1, vec![before.clone()]).await.unwrap();
        assert_eq!(
            store
                .whole(QUEUE, vec!["m-0".to_owned(), "m-1".to_owned()])
                .await
                .unwrap(),
            [before.clone()]
        );
        store.keep(QUEUE, "op", vec![before.clone()]).await.unwrap();
        store.remove(QUEUE, &["m-1".to_owned()]).await.unwrap();
        drop(store);
        let store = Store::open(dir.path(), "world".to_owned()).await.unwrap();
        let id = event_id(QUEUE, "m-1");
        let found = store.originals(&id).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].letter, before);
        assert_eq!(found[0].operation_id, "op");
        assert_eq!(found[0].row.id, id);
        let again = store.original(QUEUE, "m-1").await.unwrap();
        assert_eq!(again.as_ref(), found.first());
        assert_eq!(store.original(QUEUE, "m-2").await.unwrap(), None);
    }

    #[tokio::test]
    async fn originals_are_kept_as_long_as_a_queue_could_keep_them() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "world".to_owned()).await.unwrap();
        for id in ["old", "young"] {
            store
                .keep(QUEUE, "op", vec![letter(id, "{}")])
                .await
                .unwrap();
        }
        let age = |id: &'static str, milliseconds: i64| {
            store.database.write(move |connection| {
                Ok(connection.execute(
                    "UPDATE original SET kept_at = kept_at - ?2 WHERE message_id = ?1",
                    params![id, milliseconds],
                )?)
            })
        };
        age("old", KEPT_MS + 1000).await.unwrap();
        age("young", KEPT_MS - 60_000).await.unwrap();
        store
            .keep(QUEUE, "op", vec![letter("new", "{}")])
            .await
            .unwrap();
        for (id, kept) in [("old", false), ("young", true), ("new", true)] {
            let found = store.original(QUEUE, id).await.unwrap();
            assert_eq!(found.is_some(), kept, "{id}");
        }
    }
}
