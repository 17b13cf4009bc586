//! Taking back: which events of an operation may not be processed yet, and that they were taken.

use patterns_core::operation::Plan;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::returned::judged;
use super::{Ledger, Outcome, Step};
use crate::database::DatabaseError;

impl Ledger {
    /// The plan that an operation carries out.
    pub async fn plan(&self, operation_id: &str) -> Result<Option<Plan>, DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .read(move |connection| {
                let plan: Option<String> = connection
                    .prepare_cached("SELECT plan FROM operations WHERE id = ?1")?
                    .query_row([id], |row| row.get(0))
                    .optional()?;
                Ok(plan.map(|plan| serde_json::from_str(&plan)).transpose()?)
            })
            .await
    }

    /// Message ids that an operation's events got when they were sent, of those that are not known to have settled,
    /// returned or been taken back; so many at most.
    pub async fn unsettled(
        &self,
        operation_id: &str,
        limit: usize,
    ) -> Result<Vec<String>, DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .read(move |connection| {
                // Nothing was sent before the beginning of time.
                let sent_until = judged(connection, &id)?.unwrap_or(i64::MIN);
                let mut select = connection.prepare_cached(
                    "SELECT new_id FROM events WHERE operation = ?1 AND state IN ('sent', 'deleted') AND new_id IS NOT NULL
                     AND sent_at > ?2 AND NOT EXISTS (SELECT 1 FROM returns
                         WHERE returns.operation = events.operation AND returns.message_id = events.message_id)
                     LIMIT ?3",
                )?;
                let ids = select.query_map(params![id, sent_until, limit], |row| row.get(0))?;
                Ok(ids.collect::<Result<_, _>>()?)
            })
            .await
    }
}

/// What an operation takes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The operation that sent it.
    pub of: String,
    /// ARN of the queue that it goes into.
    pub back_in: String,
}

impl Taken {
    /// Writes down which of another operation's events were taken back.
    pub(super) fn write(
        &self,
        connection: &Connection,
        outcomes: &[Outcome],
        at: i64,
    ) -> Result<(), DatabaseError> {
        let mut insert = connection.prepare_cached(
            "INSERT OR IGNORE INTO returns (operation, message_id, back_as, back_in, taken, signature, alike, at)
             SELECT operation, message_id, ?3, ?4, 1, NULL, 0, ?5 FROM events INDEXED BY events_by_new_id
             WHERE substr(new_id, 1, 8) = substr(?2, 1, 8) AND new_id IS NOT NULL AND +new_id = ?2 AND operation = ?1",
        )?;
        for Outcome { message_id, step } in outcomes {
            if let Step::Sent(back_as) = step {
                insert.execute(params![self.of, message_id, back_as, self.back_in, at])?;
            }
        }
        Ok(())
    }
}
