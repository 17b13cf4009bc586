//! What the ledger can tell: how an operation stands, what it left over, what happened to one event.

use std::collections::BTreeMap;

use jiff::Timestamp;
use patterns_core::failed::HistoryEntry;
use patterns_core::operation::{IN_DOUBT_SHOWN, OperationState, Plan, Redrive};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::audit::reason;
use super::returned::{fate, gave_up, judged};
use super::{Ledger, Standing};
use crate::database::DatabaseError;
use crate::letter::event_id;

/// Why nothing is known about an operation that was not planned to be verified.
const NEVER_JUDGED: &str = "its plan says nothing about how long an event may take to come back";

/// Messages of an operation that a run left in the middle: (message id, receipt handle).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftover {
    /// Sent, and the copy in the dead-letter queue perhaps not deleted.
    pub sent: Vec<(String, String)>,
    /// Perhaps sent.
    pub intent: Vec<(String, String)>,
}

impl Ledger {
    /// How an operation stands.
    pub async fn redrive(&self, operation_id: &str) -> Result<Option<Redrive>, DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .read(move |connection| read_redrive(connection, &id))
            .await
    }

    /// The newest operations of a world.
    pub async fn recent(&self, world: i64, limit: usize) -> Result<Vec<Redrive>, DatabaseError> {
        self.database
            .read(move |connection| {
                let ids = connection
                    .prepare_cached(
                        "SELECT id FROM operations WHERE world = ?1 ORDER BY started_at DESC LIMIT ?2",
                    )?
                    .query_map(params![world, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                        row.get::<_, String>(0)
                    })?
                    .collect::<Result<Vec<_>, _>>()?;
                let mut recent = Vec::new();
                for id in ids {
                    recent.extend(read_redrive(connection, &id)?);
                }
                Ok(recent)
            })
            .await
    }

    /// Ids of the first events in doubt, as people know them, and how many there are.
    pub async fn doubts(&self, operation_id: &str) -> Result<(Vec<String>, u64), DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .read(move |connection| read_doubts(connection, &id))
            .await
    }

    /// When an event of an operation was last sent.
    pub async fn last_sent(&self, operation_id: &str) -> Result<Option<Timestamp>, DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .read(move |connection| {
                let at: Option<i64> = connection
                    .prepare_cached("SELECT max(sent_at) FROM events WHERE operation = ?1")?
                    .query_row([id], |row| row.get(0))?;
                Ok(at.and_then(|at| Timestamp::from_millisecond(at).ok()))
            })
            .await
    }

    /// What a run that ended left in the middle; of what it perhaps sent, that which it received after `since`.
    pub async fn leftover(
        &self,
        operation_id: &str,
        since: Timestamp,
    ) -> Result<Leftover, DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .read(move |connection| {
                let mut left = Leftover::default();
                let mut select = connection.prepare_cached(
                    "SELECT state, message_id, receipt_handle FROM events
                     WHERE operation = ?1 AND (state = 'sent' OR state = 'intent' AND intent_at >= ?2)
                     AND receipt_handle IS NOT NULL",
                )?;
                let mut rows = select.query(params![id, since.as_millisecond()])?;
                while let Some(row) = rows.next()? {
                    let message = (row.get(1)?, row.get(2)?);
                    if row.get::<_, String>(0)? == "sent" {
                        left.sent.push(message);
                    } else {
                        left.intent.push(message);
                    }
                }
                Ok(left)
            })
            .await
    }
}

/// What operations did to one message.
pub fn steps_of(
    connection: &Connection,
    queue_arn: &str,
    message_id: &str,
) -> Result<Vec<HistoryEntry>, DatabaseError> {
    let mut select = connection.prepare_cached(
        "SELECT operation, state, new_id, reason, intent_at, sent_at, ended_at FROM events INDEXED BY events_by_message
         WHERE substr(message_id, 1, 8) = substr(?2, 1, 8) AND +message_id = ?2 AND queue_arn = ?1",
    )?;
    let mut rows = select.query([queue_arn, message_id])?;
    let mut history = Vec::new();
    while let Some(row) = rows.next()? {
        history.extend(steps(row)?);
    }
    Ok(history)
}

fn steps(row: &Row<'_>) -> rusqlite::Result<Vec<HistoryEntry>> {
    let operation_id: String = row.get(0)?;
    let state: String = row.get(1)?;
    let (new_id, reason): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
    let intent_note = (state == "intent").then(|| reason.clone()).flatten();
    let times = [
        ("intent", row.get::<_, Option<i64>>(4)?, intent_note),
        ("sent", row.get(5)?, new_id),
        (state.as_str(), row.get(6)?, reason),
    ];
    Ok(times
        .into_iter()
        .filter_map(|(state, at, note)| {
            Some(HistoryEntry {
                at: Timestamp::from_millisecond(at?).ok()?,
                operation_id: operation_id.clone(),
                state: state.to_owned(),
                note,
            })
        })
        .collect())
}

fn read_doubts(connection: &Connection, id: &str) -> Result<(Vec<String>, u64), DatabaseError> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM events WHERE operation = ?1 AND in_doubt = 1")?
        .query_row([id], |row| row.get(0))?;
    let first = connection
        .prepare_cached(
            "SELECT queue_arn, message_id FROM events WHERE operation = ?1 AND in_doubt = 1 LIMIT ?2",
        )?
        .query_map(
            params![id, i64::try_from(IN_DOUBT_SHOWN).unwrap_or(i64::MAX)],
            |row| {
                Ok(event_id(
                    &row.get::<_, String>(0)?,
                    &row.get::<_, String>(1)?,
                ))
            },
        )?
        .collect::<Result<_, _>>()?;
    Ok((first, count.unsigned_abs()))
}

fn read_redrive(connection: &Connection, id: &str) -> Result<Option<Redrive>, DatabaseError> {
    type Found = (
        String,
        String,
        Option<String>,
        i64,
        Option<i64>,
        Option<u32>,
        i64,
    );
    let found: Option<Found> = connection
        .prepare_cached(
            "SELECT plan, state, error, started_at, ended_at, requested_by, coalesce(moved, 0) FROM operations WHERE id = ?1",
        )?
        .query_row([id], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
            ))
        })
        .optional()?;
    let Some((plan, state, error, started_at, ended_at, requested_by, moved)) = found else {
        return Ok(None);
    };
    let plan: Plan = serde_json::from_str(&plan)?;
    let state = Standing::of(&state).state();
    let judged = judged(connection, id)?;
    // Nothing was sent before the beginning of time.
    let sent_until = judged.unwrap_or(i64::MIN);
    let mut select = connection.prepare_cached(
        "SELECT state, count(*), coalesce(sum(sent_at <= ?2), 0) FROM events WHERE operation = ?1 GROUP BY state",
    )?;
    let counts = select
        .query_map(params![id, sent_until], |row| {
            Ok((row.get::<_, String>(0)?, (row.get(1)?, row.get(2)?)))
        })?
        .collect::<Result<BTreeMap<_, (i64, i64)>, _>>()?;
    let count = |state: &str| counts.get(state).map_or(0, |(all, _)| all.unsigned_abs());
    let due = counts.values().map(|(_, due)| due.unsigned_abs()).sum();
    let fate = fate(connection, id, sent_until)?;
    let deleted = count("deleted");
    let sent = count("sent") + deleted;
    let failed = count("failed");
    let moved = plan.manner.native.then_some(moved.unsigned_abs());
    // What was in the plan and is gone has no row when everything was selected.
    let skipped = match state {
        OperationState::Completed | OperationState::Cancelled => plan
            .planned
            .saturating_sub(sent + failed + moved.unwrap_or(0)),
        _ => count("skipped"),
    };
    let (in_doubt, in_doubt_count) = read_doubts(connection, id)?;
    let error = error.or(first_reason(connection, id)?);
    Ok(Some(Redrive {
        operation_id: id.to_owned(),
        state,
        sent,
        deleted,
        failed,
        skipped,
        settled: fate.settled_of(due),
        returned: fate.returned,
        returned_alike: fate.alike,
        taken_back: fate.taken,
        moved,
        unverified: plan
            .verification
            .unverified
            .clone()
            .or(gave_up(connection, id)?)
            .or_else(|| judged.is_none().then(|| NEVER_JUDGED.to_owned())),
        reason: reason(connection, id)?,
        requested_by,
        in_doubt,
        in_doubt_count,
        error,
        started_at: Timestamp::from_millisecond(started_at).ok(),
        ended_at: ended_at.and_then(|at| Timestamp::from_millisecond(at).ok()),
        ..Redrive::planned(&plan)
    }))
}

/// Why events failed, in the words of the first.
fn first_reason(connection: &Connection, id: &str) -> Result<Option<String>, DatabaseError> {
    Ok(connection
        .prepare_cached(
            "SELECT reason FROM events WHERE operation = ?1 AND state = 'failed' LIMIT 1",
        )?
        .query_row([id], |row| row.get(0))
        .optional()?
        .flatten())
}
