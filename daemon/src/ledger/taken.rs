//! Taking back: which events of an operation may not be processed yet, and that they were taken.

use jiff::Timestamp;
use patterns_core::operation::Plan;
use rusqlite::{OptionalExtension, params};

use super::returned::judged;
use super::step::record;
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

    /// Writes down what happened to messages that `operation` takes back into the queue `back_in`: each that was sent is no
    /// longer on its way for the operation `of`. Durable when it returns.
    pub async fn settle_taken(
        &self,
        operation: &str,
        outcomes: Vec<Outcome>,
        of: &str,
        back_in: String,
    ) -> Result<(), DatabaseError> {
        let (operation, of) = (operation.to_owned(), of.to_owned());
        self.database
            .write(move |connection| {
                record(connection, &operation, &outcomes)?;
                let now = Timestamp::now().as_millisecond();
                let mut insert = connection.prepare_cached(
                    "INSERT OR IGNORE INTO returns (operation, message_id, back_as, back_in, taken, signature, alike, at)
                     SELECT operation, message_id, ?3, ?4, 1, NULL, 0, ?5 FROM events WHERE operation = ?1 AND new_id = ?2",
                )?;
                for Outcome { message_id, step } in &outcomes {
                    if let Step::Sent(back_as) = step {
                        insert.execute(params![of, message_id, back_as, back_in, now])?;
                    }
                }
                Ok(())
            })
            .await
    }
}
