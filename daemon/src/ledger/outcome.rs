//! What the ledger can tell of single events.

use jiff::Timestamp;
use patterns_core::audit::Outcome;
use patterns_core::protocol::PAGE;
use rusqlite::{OptionalExtension, Row, params};

use super::Ledger;
use super::returned::judged;
use crate::database::DatabaseError;
use crate::letter::event_id;

impl Ledger {
    /// The message, as ARN of its queue and id, whose sending got that new id.
    pub async fn sent_as(&self, new_id: &str) -> Result<Option<(String, String)>, DatabaseError> {
        let new_id = new_id.to_owned();
        self.database
            .read(move |connection| {
                Ok(connection
                    .prepare_cached(
                        "SELECT queue_arn, message_id FROM events INDEXED BY events_by_new_id
                         WHERE substr(new_id, 1, 8) = substr(?1, 1, 8) AND new_id IS NOT NULL AND +new_id = ?1 LIMIT 1",
                    )?
                    .query_row([new_id], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()?)
            })
            .await
    }

    /// What became of the events that an operation took after that message id, or from its first: a page of them.
    pub async fn outcomes(
        &self,
        operation_id: &str,
        after: Option<String>,
    ) -> Result<Vec<Outcome>, DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .read(move |connection| {
                let after: Option<i64> = match after {
                    None => Some(0),
                    Some(message_id) => connection
                        .prepare_cached(
                            "SELECT rowid FROM events INDEXED BY events_by_message
                             WHERE substr(message_id, 1, 8) = substr(?1, 1, 8) AND +message_id = ?1 AND operation = ?2",
                        )?
                        .query_row([&message_id, &id], |row| row.get(0))
                        .optional()?,
                };
                // Nothing was sent before the beginning of time.
                let sent_until = judged(connection, &id)?.unwrap_or(i64::MIN);
                // Entries of an index that are equal lie in the order of their rows.
                let mut select = connection.prepare_cached(&format!(
                    "SELECT message_id, queue_arn, state, in_doubt, new_id, reason, sent_at, back_in, back_as, taken, returns.signature
                     FROM events INDEXED BY events_by_operation LEFT JOIN returns USING (operation, message_id)
                     WHERE operation = ?1 AND events.rowid > ?2 ORDER BY events.rowid LIMIT {PAGE}"
                ))?;
                let rows = select.query_map(params![id, after], |row| outcome(row, sent_until))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }
}

fn outcome(row: &Row<'_>, sent_until: i64) -> rusqlite::Result<Outcome> {
    let message_id: String = row.get(0)?;
    let id = event_id(&row.get::<_, String>(1)?, &message_id);
    let (state, sent_at): (String, Option<i64>) = (row.get(2)?, row.get(6)?);
    let back: (Option<String>, Option<String>) = (row.get(7)?, row.get(8)?);
    let (taken, signature): (Option<bool>, Option<String>) = (row.get(9)?, row.get(10)?);
    let had_its_window = sent_at.is_some_and(|at| at <= sent_until);
    let state = match (taken, state.as_str()) {
        (Some(true), _) => "taken_back",
        (Some(false), _) => "returned",
        (None, "sent" | "deleted") if had_its_window => "settled",
        (None, state) => state,
    };
    Ok(Outcome {
        message_id,
        id,
        in_doubt: row.get(3)?,
        new_id: row.get(4)?,
        returned_as: match back {
            (Some(queue_arn), Some(message_id)) => Some(event_id(&queue_arn, &message_id)),
            _ => None,
        },
        reason: signature.or(row.get(5)?),
        sent_at: sent_at.and_then(|at| Timestamp::from_millisecond(at).ok()),
        state: state.to_owned(),
    })
}
