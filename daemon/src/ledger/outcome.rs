//! What the ledger can tell of single events.

use rusqlite::OptionalExtension;

use super::Ledger;
use crate::database::DatabaseError;

impl Ledger {
    /// The message, as ARN of its queue and id, whose sending got that new id.
    pub async fn sent_as(&self, new_id: &str) -> Result<Option<(String, String)>, DatabaseError> {
        let new_id = new_id.to_owned();
        self.database
            .read(move |connection| {
                Ok(connection
                    .prepare_cached(
                        "SELECT queue_arn, message_id FROM events WHERE new_id = ?1 LIMIT 1",
                    )?
                    .query_row([new_id], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()?)
            })
            .await
    }
}
