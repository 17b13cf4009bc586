//! Pausing, resuming and cancelling: what an operation may become, and that it is written down before it counts.

use patterns_core::operation::OperationState;
use rusqlite::{OptionalExtension, params};

use super::Ledger;
use super::audit::{Note, append};
use super::schema::RETURNED;
use crate::database::DatabaseError;

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// At work, or to be continued.
    Running,
    /// Waits to be resumed.
    Paused,
    /// To be ended as soon as what is under way is known. For whoever watches it still runs.
    Cancelling,
    /// Nothing more happens.
    Ended(OperationState),
}

/// What someone wants of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Stop after the batches under way.
    Pause,
    /// Go on.
    Resume,
    /// End after the batches under way.
    Cancel,
}

impl Standing {
    /// The word in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => OperationState::Running.word(),
            Self::Paused => OperationState::Paused.word(),
            Self::Cancelling => "cancelling",
            Self::Ended(state) => state.word(),
        }
    }

    pub(super) fn of(word: &str) -> Self {
        match word {
            "paused" => Self::Paused,
            "cancelling" => Self::Cancelling,
            "completed" => Self::Ended(OperationState::Completed),
            "cancelled" => Self::Ended(OperationState::Cancelled),
            "failed" => Self::Ended(OperationState::Failed),
            _ => Self::Running,
        }
    }

    /// What whoever watches is told.
    pub fn state(self) -> OperationState {
        match self {
            Self::Running | Self::Cancelling => OperationState::Running,
            Self::Paused => OperationState::Paused,
            Self::Ended(state) => state,
        }
    }

    /// What it becomes; `None` when the wish makes no sense now. A wish that is fulfilled already changes nothing.
    pub fn after(self, wish: Wish) -> Option<Self> {
        match (self, wish) {
            (Self::Running | Self::Paused, Wish::Pause) => Some(Self::Paused),
            (Self::Running | Self::Paused, Wish::Resume) => Some(Self::Running),
            (Self::Running | Self::Paused | Self::Cancelling, Wish::Cancel) => {
                Some(Self::Cancelling)
            }
            (Self::Ended(OperationState::Cancelled), Wish::Cancel) => Some(self),
            (Self::Cancelling | Self::Ended(_), _) => None,
        }
    }
}

impl Ledger {
    /// Where an operation of that world stands; `None` when there is none of that id.
    pub async fn standing(
        &self,
        world: i64,
        operation_id: &str,
    ) -> Result<Option<Standing>, DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .read(move |connection| {
                let state: Option<String> = connection
                    .prepare_cached("SELECT state FROM operations WHERE id = ?1 AND world = ?2")?
                    .query_row(params![id, world], |row| row.get(0))
                    .optional()?;
                Ok(state.as_deref().map(Standing::of))
            })
            .await
    }

    /// Pauses an operation that runs, and says why: the daemon's own decision, and so it never overrules what somebody
    /// wished meanwhile. Whether it is paused by that. Durable when it returns.
    pub async fn ask(&self, operation_id: &str, why: String) -> Result<bool, DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .write(move |connection| {
                let paused = connection.execute(
                    "UPDATE operations SET state = 'paused', error = ?2 WHERE id = ?1 AND state = 'running'",
                    params![id, why],
                )?;
                if paused == 0 {
                    return Ok(false);
                }
                append(connection, &Note::stand(&id, Standing::Paused, None, Some(&why)))?;
                Ok(true)
            })
            .await
    }

    /// Writes down where an operation that has not ended stands from now on, because somebody wishes so. Durable when it
    /// returns.
    pub async fn obey(
        &self,
        operation_id: &str,
        standing: Standing,
        uid: Option<u32>,
    ) -> Result<(), DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .write(move |connection| {
                connection.execute(
                    "UPDATE operations SET state = ?2, error = NULL WHERE id = ?1 AND ended_at IS NULL",
                    params![id, standing.word()],
                )?;
                append(connection, &Note::stand(&id, standing, uid, None))
            })
            .await
    }

    /// Nobody works on the operation: events that were sent and whose copy is not known to be deleted are in doubt. Where
    /// the copy has consumers, they may have it.
    pub async fn doubt_undeleted(&self, operation_id: &str) -> Result<(), DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .write(move |connection| {
                connection.execute(
                    "UPDATE events SET in_doubt = 1 WHERE operation = ?1 AND state = 'sent'",
                    [id],
                )?;
                Ok(())
            })
            .await
    }

    /// Nobody works on the operation: what is *intent* now may have been sent, and is in doubt.
    pub async fn doubt_intents(&self, operation_id: &str) -> Result<(), DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .write(move |connection| {
                connection.execute(
                    "UPDATE events SET in_doubt = 1 WHERE operation = ?1 AND state = 'intent'",
                    [id],
                )?;
                Ok(())
            })
            .await
    }
}

impl Ledger {
    /// The operator has decided that what may have been sent is sent again.
    pub async fn approve(&self, operation_id: &str) -> Result<(), DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .write(move |connection| {
                connection.execute(
                    "UPDATE events SET state = 'planned', in_doubt = 1 WHERE operation = ?1 AND state = 'intent'",
                    [id],
                )?;
                Ok(())
            })
            .await
    }
}

impl Ledger {
    /// Events that came back, of those that were sent since the daemon last paused an operation for the operator to decide;
    /// and those of them that failed as before.
    pub async fn returned_since_ask(
        &self,
        operation_id: &str,
    ) -> Result<(u64, u64), DatabaseError> {
        let id = operation_id.to_owned();
        self.database
            .read(move |connection| {
                Ok(connection
                    .prepare_cached(&format!(
                        "SELECT coalesce(sum(1 - taken), 0), coalesce(sum(alike), 0)
                         FROM {RETURNED}
                         WHERE returns.operation = ?1 AND sent_at > coalesce((
                             SELECT max(at) FROM audit
                             WHERE operation = ?1 AND verb = 'pause' AND detail ->> '$.why' IS NOT NULL
                         ), 0)"
                    ))?
                    .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_stays_as_it_is() {
        use OperationState::{Cancelled, Completed, Failed};
        for state in [Completed, Failed] {
            for wish in [Wish::Pause, Wish::Resume, Wish::Cancel] {
                assert_eq!(Standing::Ended(state).after(wish), None);
            }
        }
        let cancelled = Standing::Ended(Cancelled);
        assert_eq!(cancelled.after(Wish::Cancel), Some(cancelled));
        assert_eq!(cancelled.after(Wish::Resume), None);
        assert_eq!(Standing::Cancelling.after(Wish::Pause), None);
        assert_eq!(
            Standing::Paused.after(Wish::Cancel),
            Some(Standing::Cancelling)
        );
    }

    #[test]
    fn a_standing_is_read_as_it_was_written() {
        let ended = [
            OperationState::Completed,
            OperationState::Cancelled,
            OperationState::Failed,
        ];
        let standings = [Standing::Running, Standing::Paused, Standing::Cancelling];
        for standing in standings.into_iter().chain(ended.map(Standing::Ended)) {
            assert_eq!(Standing::of(standing.word()), standing);
        }
    }
}
