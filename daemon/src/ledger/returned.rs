//! What came back after it was sent, and what did not within its window.

use std::collections::BTreeSet;
use std::iter;

use jiff::Timestamp;
use patterns_core::operation::Verification;
use rusqlite::{Connection, OptionalExtension, params};

use super::schema::RETURNED;
use super::{Ledger, Task};
use crate::database::DatabaseError;
use crate::mirror::signature::NO_ERROR;

/// A message that was met in a dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    /// Its id. A redrive policy keeps the id of a message that it moves.
    pub message_id: String,
    /// Request id of the invocation that failed, when it names one.
    pub request_id: Option<String>,
    /// What it has in common with others that failed alike.
    pub signature: String,
}

/// An event that an operation sent and that was met again.
pub struct Sent {
    /// The operation.
    pub operation: String,
    /// The event's message id in the queue it was taken from.
    message_id: String,
    /// Of its failure before.
    signature: Option<String>,
    /// Whether that is written down already.
    known: bool,
}

/// What became of an operation's events, as far as they were met again.
pub struct Fate {
    pub returned: u64,
    pub alike: u64,
    pub taken: u64,
    /// Those of all these whose window has passed.
    due: u64,
}

impl Fate {
    /// How many settled of those whose window has passed.
    pub fn settled_of(&self, due: u64) -> u64 {
        due.saturating_sub(self.due)
    }
}

/// An operation that has ended or is paused, and of which there may be more to learn.
#[derive(Clone, Debug, PartialEq)]
pub struct Unjudged {
    /// Where its events turn up when they fail again.
    pub returns_to: Vec<String>,
    /// When the window of the last event has passed; none when nothing was sent.
    pub due: Option<Timestamp>,
}

impl Ledger {
    /// Recognises messages that operations of that world sent; answers with the operations of which something came back
    /// that was not known.
    pub async fn returned(
        &self,
        world: i64,
        queue_arn: &str,
        met: Vec<Met>,
    ) -> Result<BTreeSet<String>, DatabaseError> {
        let queue = queue_arn.to_owned();
        let back: Vec<(Sent, Met)> = self
            .database
            .read(move |connection| {
                let mut back = Vec::new();
                for met in met {
                    let sent = sent_as(connection, world, &queue, &met)?;
                    back.extend(sent.filter(|sent| !sent.known).map(|sent| (sent, met)));
                }
                Ok(back)
            })
            .await?;
        if back.is_empty() {
            return Ok(BTreeSet::new());
        }
        let queue = queue_arn.to_owned();
        self.database
            .write(move |connection| {
                let now = Timestamp::now().as_millisecond();
                for (sent, met) in &back {
                    write_return(connection, sent, &queue, met, now)?;
                }
                Ok(back.into_iter().map(|(sent, _)| sent.operation).collect())
            })
            .await
    }

    /// Ids of the operations of that world that are paused or have ended, and of which there may be more to learn; with
    /// whether they have ended.
    pub async fn unjudged(&self, world: i64) -> Result<BTreeSet<(String, bool)>, DatabaseError> {
        self.database
            .read(move |connection| {
                let mut select = connection.prepare_cached(
                    "SELECT operation, ended_at IS NOT NULL FROM verifications CROSS JOIN operations ON operations.id = operation
                     WHERE open = 1 AND (ended_at IS NOT NULL OR state = 'paused') AND world = ?1",
                )?;
                let ids = select.query_map([world], |row| Ok((row.get(0)?, row.get(1)?)))?;
                Ok(ids.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// What is to be done about one of them.
    pub async fn to_judge(&self, operation_id: &str) -> Result<Unjudged, DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .read(move |connection| {
                let (returns_to, window): (Option<String>, i64) = connection
                    .prepare_cached(
                        "SELECT plan -> '$.returns_to', window_ms
                         FROM operations JOIN verifications ON operation = operations.id WHERE operations.id = ?1",
                    )?
                    .query_row([&id], |row| Ok((row.get(0)?, row.get(1)?)))?;
                let newest: Option<i64> = connection
                    .prepare_cached("SELECT max(sent_at) FROM events WHERE operation = ?1")?
                    .query_row([&id], |row| row.get(0))?;
                Ok(Unjudged {
                    returns_to: returns_to
                        .map(|names| serde_json::from_str(&names))
                        .transpose()?
                        .unwrap_or_default(),
                    due: newest.and_then(|sent_at| {
                        Timestamp::from_millisecond(sent_at.saturating_add(window)).ok()
                    }),
                })
            })
            .await
    }

    /// Everything that came back before `until` is known, because all queues where it could be were looked at from then
    /// on. Durable when it returns.
    pub async fn judge(&self, operation_id: &str, until: Timestamp) -> Result<(), DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .write(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE verifications SET judged_until = max(judged_until, ?2) WHERE operation = ?1",
                    )?
                    .execute(params![id, until.as_millisecond()])?;
                connection
                    .prepare_cached(
                        "UPDATE verifications SET open = 0 WHERE operation = ?1
                         AND (SELECT ended_at FROM operations WHERE id = ?1) IS NOT NULL
                         AND NOT EXISTS (SELECT 1 FROM events WHERE operation = ?1 AND sent_at + window_ms > judged_until)",
                    )?
                    .execute([&id])?;
                Ok(())
            })
            .await
    }

    /// No more will be learned of an operation that has ended, for this reason; what came back so far stays counted.
    /// Durable when it returns.
    pub async fn give_up(&self, operation_id: &str, why: String) -> Result<(), DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .write(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE verifications SET open = 0, why = ?2 WHERE operation = ?1 AND open = 1",
                    )?
                    .execute([id, why])?;
                Ok(())
            })
            .await
    }

    /// Returned events that verdicts on an operation's steps have taken into account, and those of them that failed as
    /// before; none when it is not verified.
    pub async fn considered(
        &self,
        operation_id: &str,
    ) -> Result<Option<(u64, u64)>, DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .read(move |connection| {
                Ok(connection
                    .prepare_cached(
                        "SELECT considered, considered_alike FROM verifications WHERE operation = ?1",
                    )?
                    .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()?)
            })
            .await
    }

    /// A verdict has taken so many returned events into account. Durable when it returns.
    pub async fn consider(
        &self,
        operation_id: &str,
        returned: u64,
        alike: u64,
    ) -> Result<(), DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .write(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE verifications SET considered = ?2, considered_alike = ?3 WHERE operation = ?1",
                    )?
                    .execute(params![id, returned, alike])?;
                Ok(())
            })
            .await
    }
}

/// Writes down how it will be known what became of an operation's events, if that can be known.
pub fn verify(connection: &Connection, task: &Task) -> Result<(), DatabaseError> {
    let Verification {
        window_seconds: Some(seconds),
        unverified: None,
        ..
    } = task.plan.verification
    else {
        return Ok(());
    };
    let window = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    connection.execute(
        "INSERT INTO verifications (operation, window_ms, judged_until, open) VALUES (?1, ?2, 0, 1)",
        params![task.operation_id, window],
    )?;
    Ok(())
}

/// The event that is in that queue again as this message, if an operation of that world sent it. An operation that sent
/// it to that very queue put it there: it did not come back.
pub fn sent_as(
    connection: &Connection,
    world: i64,
    queue_arn: &str,
    met: &Met,
) -> Result<Option<Sent>, DatabaseError> {
    let mut select = connection.prepare_cached(
        "SELECT operation, message_id, signature,
         EXISTS (SELECT 1 FROM returns WHERE returns.operation = events.operation AND returns.message_id = events.message_id)
         FROM events INDEXED BY events_by_new_id CROSS JOIN operations ON operations.id = operation
         WHERE substr(new_id, 1, 8) = substr(?1, 1, 8) AND new_id IS NOT NULL AND +new_id = ?1 AND world = ?2 AND sends_to IS NOT ?3
         LIMIT 1",
    )?;
    // The message's own id says more: its request id may be of an invocation before its last redrive.
    for id in iter::once(&met.message_id).chain(&met.request_id) {
        let queue = crate::topology::name_of(queue_arn);
        let found = select.query_row(params![id, world, queue], |row| {
            Ok(Sent {
                operation: row.get(0)?,
                message_id: row.get(1)?,
                signature: row.get(2)?,
                known: row.get(3)?,
            })
        });
        if let Some(sent) = found.optional()? {
            return Ok(Some(sent));
        }
    }
    Ok(None)
}

/// Writes down that an event came back, at that time in milliseconds. Once it is, nothing changes it.
pub fn write_return(
    connection: &Connection,
    sent: &Sent,
    queue_arn: &str,
    met: &Met,
    at: i64,
) -> Result<(), DatabaseError> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO returns (operation, message_id, back_as, back_in, taken, signature, alike, at)
             VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7)",
        )?
        .execute(params![
            sent.operation,
            sent.message_id,
            met.message_id,
            queue_arn,
            met.signature,
            sent.signature.as_ref() == Some(&met.signature) && met.signature != NO_ERROR,
            at,
        ])?;
    Ok(())
}

/// Why not all will be known of what became of an operation's events, where that turned out after it was planned.
pub fn gave_up(connection: &Connection, id: &str) -> Result<Option<String>, DatabaseError> {
    Ok(connection
        .prepare_cached("SELECT why FROM verifications WHERE operation = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?
        .flatten())
}

/// Events sent until then, in milliseconds, have settled unless they came back; none when that is not to be known.
pub fn judged(connection: &Connection, id: &str) -> Result<Option<i64>, DatabaseError> {
    Ok(connection
        .prepare_cached("SELECT judged_until - window_ms FROM verifications WHERE operation = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?)
}

/// What became of an operation's events; those sent until then have had their window.
pub fn fate(connection: &Connection, id: &str, sent_until: i64) -> Result<Fate, DatabaseError> {
    let sums = connection
        .prepare_cached(&format!(
            "SELECT coalesce(sum(1 - taken), 0), coalesce(sum(alike), 0), coalesce(sum(taken), 0), coalesce(sum(sent_at <= ?2), 0)
             FROM {RETURNED} WHERE returns.operation = ?1"
        ))?
        .query_row(params![id, sent_until], |row| {
            Ok([0, 1, 2, 3].map(|column| row.get::<_, i64>(column)))
        })?;
    let [returned, alike, taken, due] = sums;
    Ok(Fate {
        returned: returned?.unsigned_abs(),
        alike: alike?.unsigned_abs(),
        taken: taken?.unsigned_abs(),
        due: due?.unsigned_abs(),
    })
}
