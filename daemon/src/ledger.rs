//! The ledger: what each operation did to each event, durable before it counts.
//!
//! Per event: `planned -> intent -> sent -> deleted`, or `skipped` or `failed` with a reason. An event whose sending may
//! have happened without an acknowledgement is *in doubt*, whatever its state. Nothing is deleted from a dead-letter
//! queue before *sent* is on the disk, and an event that is *sent* or *deleted* is never sent again.
//!
//! A batch's steps are on the disk when they are in `ledger.journal`; `ledger.db` has them when nobody works on the operation,
//! and hundreds of batches at a time before. The two belong together, also in a backup.

mod account;
mod audit;
mod chain;
mod moved;
mod outcome;
mod returned;
mod schema;
mod standing;
mod step;
mod taken;
#[cfg(test)]
mod tests;

use std::path::Path;

use jiff::Timestamp;
use patterns_core::failed::OriginKind;
use patterns_core::operation::{OperationState, Plan};
use patterns_core::problem::{Problem, ProblemKind};
use rusqlite::{Connection, OptionalExtension, params};

use crate::aws::Aws;
use crate::database::{Database, DatabaseError};
use returned::verify;
use step::Entry;

pub use audit::Note;
pub use chain::ALIKE_MAX;
pub use returned::{Met, Unjudged};
pub use standing::{Standing, Wish};
pub use step::{Arrival, Outcome, Step, Verdict};
pub use taken::Taken;

/// Where operations take place. Two runs of a local stack have the same account and region and are still two worlds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// The account's id.
    pub account: String,
    /// The region.
    pub region: String,
    /// Where AWS is; empty for AWS itself.
    pub endpoint: String,
    /// From the configuration; empty when it names none.
    pub instance: String,
}

impl World {
    /// The world of a queue of ours.
    pub fn of(aws: &Aws, queue_arn: &str, instance: &str) -> Self {
        // arn:aws:sqs:<region>:<account>:<name>
        let account = queue_arn.split(':').nth(4).unwrap_or_default();
        Self {
            account: account.to_owned(),
            region: aws.region.clone(),
            endpoint: aws.endpoint_url.clone().unwrap_or_default(),
            instance: instance.to_owned(),
        }
    }
}

/// An operation to carry out or to continue.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// The operation's id.
    pub operation_id: String,
    /// What was confirmed.
    pub plan: Plan,
}

/// Who asks for a redrive, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requester {
    /// User id of the client, when the socket tells it.
    pub uid: Option<u32>,
    /// In their words.
    pub reason: Option<String>,
}

impl From<Option<u32>> for Requester {
    fn from(uid: Option<u32>) -> Self {
        Self { uid, reason: None }
    }
}

/// Handle on the ledger.
#[derive(Clone)]
pub struct Ledger {
    database: Database,
}

impl Ledger {
    /// Opens `ledger.db` in `state_dir`, with `ledger.journal` beside it.
    pub fn open(state_dir: &Path) -> Result<Self, DatabaseError> {
        let path = state_dir.join("ledger.db");
        let database = Database::open_with_journal(&path, &schema::STEPS, Entry::replay)?;
        Ok(Self { database })
    }

    /// The id of a world; how many operations of other worlds have not ended.
    pub async fn enter(&self, world: World) -> Result<(i64, u64), DatabaseError> {
        self.database
            .write(move |connection| {
                let name = params![world.account, world.region, world.endpoint, world.instance];
                connection.execute(
                    "INSERT OR IGNORE INTO worlds (account, region, endpoint, instance) VALUES (?1, ?2, ?3, ?4)",
                    name,
                )?;
                let id = connection.query_row(
                    "SELECT id FROM worlds WHERE account = ?1 AND region = ?2 AND endpoint = ?3 AND instance = ?4",
                    name,
                    |row| row.get(0),
                )?;
                let strangers: i64 = connection.query_row(
                    "SELECT count(*) FROM operations WHERE ended_at IS NULL AND world <> ?1",
                    [id],
                    |row| row.get(0),
                )?;
                Ok((id, strangers.unsigned_abs()))
            })
            .await
    }

    /// Writes down that an operation begins; for chosen events, which. Durable when it returns.
    pub async fn begin(
        &self,
        world: i64,
        task: Task,
        queue_arn: &str,
        message_ids: Vec<String>,
        requested_by: impl Into<Requester>,
    ) -> Result<(), DatabaseError> {
        let queue_arn = queue_arn.to_owned();
        let Requester { uid, reason } = requested_by.into();
        self.database
            .write(move |connection| {
                let plan = serde_json::to_string(&task.plan)?;
                connection.execute(
                    "INSERT INTO operations (id, world, plan_id, queue_arn, plan, state, requested_by, started_at, sends_to)
                     VALUES (?1, ?2, ?3, ?4, ?5, 'running', ?6, ?7, ?8)",
                    params![
                        task.operation_id,
                        world,
                        task.plan.plan_id,
                        queue_arn,
                        plan,
                        uid,
                        Timestamp::now().as_millisecond(),
                        match task.plan.target.kind {
                            OriginKind::Queue => Some(&task.plan.target.name),
                            OriginKind::Function => None,
                        },
                    ],
                )?;
                verify(connection, &task)?;
                let mut insert = connection.prepare_cached(
                    "INSERT INTO events (operation, message_id, queue_arn, state) VALUES (?1, ?2, ?3, 'planned')",
                )?;
                for message_id in message_ids {
                    insert.execute(params![task.operation_id, message_id, queue_arn])?;
                }
                let note = Note::start(&task.operation_id, &task.plan, &plan, uid, reason);
                audit::append(connection, &note)
            })
            .await
    }

    /// The operation that carries out a plan, if one was ever started.
    pub async fn of_plan(&self, plan_id: &str) -> Result<Option<String>, DatabaseError> {
        let plan_id = plan_id.to_owned();
        self.database
            .read(move |connection| {
                Ok(connection
                    .query_row(
                        "SELECT id FROM operations WHERE plan_id = ?1",
                        [plan_id],
                        |row| row.get(0),
                    )
                    .optional()?)
            })
            .await
    }

    /// Names of the dead-letter queues of operations that have not ended, in whatever world.
    pub async fn unfinished_queues(&self) -> Result<Vec<String>, DatabaseError> {
        self.database
            .read(|connection| {
                let mut select = connection
                    .prepare_cached("SELECT plan FROM operations WHERE ended_at IS NULL")?;
                let plans = select
                    .query_map([], |row| row.get::<_, String>(0))?
                    .collect::<Result<Vec<_>, _>>()?;
                let queue = |plan: String| {
                    let plan: Plan = serde_json::from_str(&plan)?;
                    Ok(plan.dead_letter_queue)
                };
                plans.into_iter().map(queue).collect()
            })
            .await
    }

    /// The operations of a world that have not ended, and where they stand.
    pub async fn unfinished(&self, world: i64) -> Result<Vec<(Task, Standing)>, DatabaseError> {
        self.database
            .read(move |connection| {
                let mut select = connection.prepare_cached(
                    "SELECT id, plan, state FROM operations WHERE ended_at IS NULL AND world = ?1",
                )?;
                let rows = select
                    .query_map([world], |row| {
                        Ok((
                            row.get::<_, String>(0)?,
                            row.get::<_, String>(1)?,
                            row.get::<_, String>(2)?,
                        ))
                    })?
                    .collect::<Result<Vec<_>, _>>()?;
                rows.into_iter()
                    .map(|(operation_id, plan, state)| {
                        let plan = serde_json::from_str(&plan)?;
                        Ok((Task { operation_id, plan }, Standing::of(&state)))
                    })
                    .collect()
            })
            .await
    }

    /// Writes `ledger.db` itself: nobody works on an operation any more, and others may want to read the file.
    pub async fn flush(&self) -> Result<(), DatabaseError> {
        self.database.write(|_| Ok(())).await
    }

    /// Ends an operation. What was planned and not reached is skipped.
    pub async fn end(
        &self,
        operation_id: &str,
        state: OperationState,
        error: Option<String>,
    ) -> Result<(), DatabaseError> {
        let operation_id = operation_id.to_owned();
        self.database
            .write(move |connection| {
                let now = Timestamp::now().as_millisecond();
                let left_out = match state {
                    OperationState::Completed if takes_back(connection, &operation_id)? => {
                        Some("it was processed before, or is in a consumer's hands")
                    }
                    OperationState::Completed => {
                        Some("it was not found in the dead-letter queue any more")
                    }
                    OperationState::Cancelled => Some("the redrive was cancelled before"),
                    _ => None,
                };
                if let Some(why) = left_out {
                    connection.execute(
                        "UPDATE events SET in_doubt = max(in_doubt, state = 'intent'), state = 'skipped', ended_at = ?2, reason = coalesce(reason, ?3)
                         WHERE operation = ?1 AND state IN ('planned', 'intent')",
                        params![operation_id, now, why],
                    )?;
                }
                connection.execute(
                    "UPDATE operations SET state = ?2, error = ?3, ended_at = ?4 WHERE id = ?1",
                    params![operation_id, state.word(), error, now],
                )?;
                audit::append_end(connection, &operation_id, state.word(), error.as_deref())
            })
            .await
    }
}

/// Whether an operation takes back what another one sent.
fn takes_back(connection: &Connection, operation_id: &str) -> Result<bool, DatabaseError> {
    Ok(connection.query_row(
        "SELECT plan ->> '$.takes_back' IS NOT NULL FROM operations WHERE id = ?1",
        [operation_id],
        |row| row.get(0),
    )?)
}

/// A failure of the ledger's own file.
pub fn disk(error: DatabaseError) -> Problem {
    Problem::new(
        ProblemKind::Internal,
        "cannot use the ledger (ledger.db and ledger.journal in the state directory)",
        error,
        "check free space and permissions; redrives wait until it can be written again",
    )
}
