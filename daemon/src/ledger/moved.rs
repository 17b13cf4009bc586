//! Operations that a message move task of SQS carries out: which task it is, and how many messages it has moved.

use rusqlite::params;

use super::Ledger;
use crate::database::DatabaseError;

impl Ledger {
    /// Writes down that a task is about to be started: any that was started after `newest`, by SQS's clock in milliseconds, is
    /// this operation's. Durable when it returns.
    pub async fn will_move(&self, operation_id: &str, newest: i64) -> Result<(), DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .write(move |connection| {
                connection.execute(
                    "UPDATE operations SET moves_after = ?2 WHERE id = ?1",
                    params![id, newest],
                )?;
                Ok(())
            })
            .await
    }

    /// When the newest task was started before this operation's; none when that was not about to be started yet.
    pub async fn moves_after(&self, operation_id: &str) -> Result<Option<i64>, DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .read(move |connection| {
                Ok(connection
                    .prepare_cached("SELECT moves_after FROM operations WHERE id = ?1")?
                    .query_row([id], |row| row.get(0))?)
            })
            .await
    }

    /// Writes down how many messages the task has moved.
    pub async fn moved(&self, operation_id: &str, messages: u64) -> Result<(), DatabaseError> {
        let id = operation_id.to_owned();
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.database
            .write(move |connection| {
                connection.execute(
                    "UPDATE operations SET moved = ?2 WHERE id = ?1",
                    params![id, messages],
                )?;
                Ok(())
            })
            .await
    }
}
