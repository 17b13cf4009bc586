//! Pausing, resuming and cancelling a redrive.

use patterns_core::operation::{OperationState, Redrive};
use patterns_core::problem::{Problem, ProblemKind};

use super::{Engine, Running, busy};
use crate::ledger::{self, Standing, Task, Wish};
use crate::topology::QueueFacts;

impl Engine {
    /// Fulfils a wish. It is durable when this returns; batches under way finish afterwards.
    pub async fn steer(
        &self,
        operation_id: &str,
        wish: Wish,
        requested_by: Option<u32>,
    ) -> Result<Redrive, Problem> {
        let mut running = self.running.lock().await;
        let redrive = self.operation(operation_id).await?;
        let (before, task) = self.find(&mut running, operation_id).await?;
        let after = before
            .after(wish)
            .ok_or_else(|| refused(operation_id, wish, before))?;
        let Some(task) = task else {
            // It has ended in the way that is wished for.
            return Ok(redrive);
        };
        if task.plan.manner.native && wish == Wish::Pause {
            return Err(Problem::new(
                ProblemKind::Conflict,
                format!("operation {operation_id} cannot be paused"),
                "a message move task of SQS carries it out, and that only ends",
                "cancel it: what is moved stays moved, and the rest stays where it is",
            ));
        }
        let queue = &task.plan.dead_letter_queue;
        let active = running.operations.get(queue);
        if let Some(other) = active.filter(|active| active.operation_id != operation_id) {
            let other = Task {
                operation_id: other.operation_id.clone(),
                ..task
            };
            return Err(busy(&other, Standing::Running));
        }
        let stop = active.map(|active| active.stop.clone());
        let facts = match stop {
            Some(_) => None,
            None => self.reachable(operation_id, queue, after)?,
        };
        self.write_down(operation_id, after, requested_by).await?;
        tracing::info!(
            operation = operation_id,
            standing = after.word(),
            uid = requested_by,
            "redrive steered"
        );
        match (after, stop, facts) {
            // One that still stops is let go on when it has.
            (Standing::Running, Some(_), _) => {}
            (_, Some(stop), _) => stop.cancel(),
            (Standing::Running | Standing::Cancelling, None, Some(facts)) => {
                if after == Standing::Running && before == Standing::Paused {
                    self.ledger
                        .approve(operation_id)
                        .await
                        .map_err(ledger::disk)?;
                }
                self.spawn(&mut running, task, facts, after);
            }
            (Standing::Cancelling, None, None) => self
                .end(&task, OperationState::Cancelled, None)
                .await
                .map_err(ledger::disk)?,
            (_, None, _) => {}
        }
        self.publish(operation_id).await;
        self.operation(operation_id).await
    }

    /// Where an operation of this world stands, and what it is to do unless it has ended.
    async fn find(
        &self,
        running: &mut Running,
        operation_id: &str,
    ) -> Result<(Standing, Option<Task>), Problem> {
        let account = self.state.snapshot().account_id.clone();
        if account.is_empty() {
            return Err(Problem::new(
                ProblemKind::Upstream,
                format!("operation {operation_id} cannot be changed yet"),
                "AWS has not said which account this is",
                "check the credentials; the daemon keeps asking",
            ));
        }
        let world = self.world(running, &account).await?;
        let standing = self
            .ledger
            .standing(world, operation_id)
            .await
            .map_err(ledger::disk)?
            .ok_or_else(|| {
                Problem::new(
                    ProblemKind::Conflict,
                    format!("operation {operation_id} cannot be changed here"),
                    "it was started in another account, region or endpoint, or in another run of the local stack",
                    "start a daemon there with this state directory",
                )
            })?;
        let unfinished = self.ledger.unfinished(world).await.map_err(ledger::disk)?;
        let task = unfinished
            .into_iter()
            .map(|(task, _)| task)
            .find(|task| task.operation_id == operation_id);
        Ok((standing, task))
    }

    /// The queue of an operation that nobody works on, as far as it is needed: one that is gone can only be cancelled.
    fn reachable(
        &self,
        operation_id: &str,
        queue: &str,
        after: Standing,
    ) -> Result<Option<QueueFacts>, Problem> {
        let topology = self.state.topology();
        let facts = topology.queues.get(queue).cloned();
        let why = if facts.is_some() || after == Standing::Paused {
            return Ok(facts);
        } else if topology.may_exist(queue) {
            "cannot be read"
        } else if after == Standing::Cancelling {
            return Ok(None);
        } else {
            "does not exist any more"
        };
        Err(Problem::new(
            ProblemKind::Conflict,
            format!("operation {operation_id} cannot go on or be cleaned up"),
            format!("the dead-letter queue {queue} {why}"),
            "see what the daemon can see with `patterns-tui doctor`",
        ))
    }

    async fn write_down(
        &self,
        operation_id: &str,
        standing: Standing,
        uid: Option<u32>,
    ) -> Result<(), Problem> {
        if let Standing::Ended(_) = standing {
            return Ok(());
        }
        self.ledger
            .obey(operation_id, standing, uid)
            .await
            .map_err(ledger::disk)
    }
}

fn refused(operation_id: &str, wish: Wish, standing: Standing) -> Problem {
    let verb = match wish {
        Wish::Pause => "paused",
        Wish::Resume => "resumed",
        Wish::Cancel => "cancelled",
    };
    let why = match standing {
        Standing::Cancelling => "it is being cancelled".to_owned(),
        _ => format!("it has ended: {}", standing.word()),
    };
    Problem::new(
        ProblemKind::Conflict,
        format!("operation {operation_id} cannot be {verb}"),
        why,
        "make a new plan for what is still in the dead-letter queue",
    )
}
