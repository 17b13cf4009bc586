//! Redrives: failed events on their way back, exactly accounted for.
//!
//! Per batch: receive, commit the *intent*, send (one attempt), check every acknowledgement and its digests, commit *sent*,
//! delete, commit *deleted* with a later batch. A crash at any point loses nothing: what was sent is deleted afterwards,
//! and what may have been sent is sent again and listed as in doubt.

mod batch;
mod climb;
mod group;
mod hand;
pub mod native;
mod pace;
mod point;
pub mod ramp;
mod room;
mod run;
mod steer;
#[cfg(test)]
pub mod tests;
mod verify;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use patterns_core::failed::OriginKind;
use patterns_core::operation::{Operation, OperationState, Plan, Redrive};
use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::snapshot::OPERATIONS_SHOWN;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aws::Aws;
use crate::claim::Claims;
use crate::database::DatabaseError;
use crate::ledger::{self, Ledger, Requester, Standing, Task, World};
use crate::mirror::{Mirror, known};
use crate::plan::{Frozen, Plans};
use crate::state::{Reading, Source, State};
use crate::topology::{QueueFacts, Topology};
use crate::watch::Watch;
use point::reach;
use run::{Ended, Run};

pub use point::{DIE_AT, POINTS};
pub use room::IN_HAND_MAX;

/// How long to leave a ledger alone that could not be written.
const LEDGER_RETRY: Duration = Duration::from_secs(5);

/// Starts and supervises redrives.
#[derive(Clone)]
pub struct Engine {
    /// Receives, sends, invokes and deletes.
    pub aws: Aws,
    /// Knows what was done.
    pub ledger: Ledger,
    /// Forgets what was deleted.
    pub mirror: Mirror,
    /// Who may receive.
    pub claims: Claims,
    /// Is told the progress.
    pub state: State,
    /// Looks at the queue when a redrive ended.
    pub watch: Watch,
    /// Ends runs between two batches; they go on when the daemon is started again.
    pub stop: CancellationToken,
    /// Runs are its tasks.
    pub tracker: TaskTracker,
    /// From the configuration: tells two worlds apart that look the same.
    pub instance: String,
    /// Operations under way by queue, and the world, once it is known. Held while one begins.
    pub running: Arc<Mutex<Running>>,
    /// Queues that were claimed before anybody could look at them, by name.
    pub claimed: Arc<Mutex<HashMap<String, OwnedMutexGuard<()>>>>,
}

/// What runs.
#[derive(Default)]
pub struct Running {
    world: Option<i64>,
    /// By name of the dead-letter queue.
    operations: HashMap<String, Active>,
}

/// An operation that somebody works on.
struct Active {
    operation_id: String,
    /// Ends the work after the batches under way.
    stop: CancellationToken,
}

impl Engine {
    /// Carries out a plan. The same plan is carried out once, whoever asks how often.
    pub async fn start(
        &self,
        plans: &Plans,
        plan_id: &str,
        requested_by: impl Into<Requester>,
    ) -> Result<Redrive, Problem> {
        let requested_by = requested_by.into();
        let uid = requested_by.uid;
        let mut running = self.running.lock().await;
        if let Some(id) = self.ledger.of_plan(plan_id).await.map_err(ledger::disk)? {
            return self.operation(&id).await;
        }
        let Frozen { plan, message_ids } = plans.get(plan_id, Timestamp::now())?;
        let topology = self.state.topology();
        let queue = emptied(&topology, &plan)?;
        let world = self.world(&mut running, &plan.account_id).await?;
        let unfinished = self.ledger.unfinished(world).await.map_err(ledger::disk)?;
        if let Some((task, standing)) = unfinished
            .iter()
            .find(|(task, _)| task.plan.dead_letter_queue == plan.dead_letter_queue)
        {
            return Err(busy(task, *standing));
        }
        if let Some((task, standing)) = unfinished
            .iter()
            .find(|(task, _)| feeds(&task.plan, &plan) || feeds(&plan, &task.plan))
        {
            return Err(crossing(&plan, task, *standing));
        }
        if let Some(active) = running.operations.get(&plan.dead_letter_queue) {
            let operation_id = active.operation_id.clone();
            return Err(busy(&Task { operation_id, plan }, Standing::Running));
        }
        let id = uuid::Uuid::new_v4().simple().to_string();
        let task = Task {
            operation_id: id.get(..12).unwrap_or(&id).to_owned(),
            plan,
        };
        reach("before_begin");
        self.ledger
            .begin(world, task.clone(), &queue.arn, message_ids, requested_by)
            .await
            .map_err(ledger::disk)?;
        reach("after_begin");
        tracing::info!(
            operation = task.operation_id,
            queue = queue.name,
            target = %task.plan.target,
            planned = task.plan.planned,
            uid,
            "redrive started"
        );
        let redrive = self.operation(&task.operation_id).await?;
        self.state
            .report(Reading::Operation(Operation::Redrive(redrive.clone())))
            .await;
        self.spawn(&mut running, task, queue.clone(), Standing::Running);
        Ok(redrive)
    }

    /// How an operation stands, from the ledger.
    pub async fn operation(&self, id: &str) -> Result<Redrive, Problem> {
        self.ledger
            .redrive(id)
            .await
            .map_err(ledger::disk)?
            .ok_or_else(|| {
                Problem::new(
                    ProblemKind::NotFound,
                    format!("there is no operation {id}"),
                    "the ledger does not know it",
                    "list the operations with `patterns-tui operations`",
                )
            })
    }

    /// Waits until the account is known, then shows the operations of the past.
    pub async fn show_past(&self) {
        let mut snapshots = self.state.snapshots();
        let known = snapshots
            .wait_for(|snapshot| !snapshot.account_id.is_empty())
            .await
            .map(|snapshot| snapshot.account_id.clone());
        let Ok(account) = known else { return };
        while let Err(problem) = self.show_recent(&account).await {
            self.ledger_fails(problem).await;
        }
        self.ledger_works().await;
    }

    async fn show_recent(&self, account: &str) -> Result<(), Problem> {
        let mut running = self.running.lock().await;
        let world = self.world(&mut running, account).await?;
        let recent = self.ledger.recent(world, OPERATIONS_SHOWN).await;
        for redrive in recent.map_err(ledger::disk)? {
            self.state
                .report(Reading::Operation(Operation::Redrive(redrive)))
                .await;
        }
        Ok(())
    }

    /// Claims the queues of operations that have not ended. To be called before anything looks at queues: a look would
    /// receive their messages anew, and the receipt handles in the ledger would delete nothing any more.
    pub async fn claim_unfinished(&self) -> Result<(), DatabaseError> {
        let mut claimed = self.claimed.lock().await;
        for queue in self.ledger.unfinished_queues().await? {
            let guard = self.claims.of(&queue).try_take();
            claimed.extend(guard.map(|guard| (queue, guard)));
        }
        Ok(())
    }

    /// Waits until account and queues are known, then continues the operations that have not ended.
    pub async fn resume(&self) {
        let mut snapshots = self.state.snapshots();
        let known = snapshots
            .wait_for(|snapshot| !snapshot.account_id.is_empty() && !snapshot.queues.is_empty())
            .await
            .map(|snapshot| snapshot.account_id.clone());
        let Ok(account) = known else { return };
        let mut topologies = self.state.topologies();
        loop {
            topologies.mark_unchanged();
            match self.continue_all(&account).await {
                Ok(all) => {
                    self.ledger_works().await;
                    // What is not continued now, because it is paused or of another world, may be looked at.
                    let running = self.running.lock().await;
                    let mut claimed = self.claimed.lock().await;
                    claimed.retain(|queue, _| running.operations.contains_key(queue));
                    drop((running, claimed));
                    if all || topologies.changed().await.is_err() {
                        return;
                    }
                }
                Err(problem) => self.ledger_fails(problem).await,
            }
        }
    }

    async fn ledger_works(&self) {
        self.state
            .report(Reading::Problem(Source::Ledger, None))
            .await;
    }

    /// Shows it, and leaves the ledger alone for a while.
    async fn ledger_fails(&self, problem: Problem) {
        self.state
            .report(Reading::Problem(Source::Ledger, Some(problem)))
            .await;
        let wait = tokio::time::sleep(LEDGER_RETRY);
        self.stop.run_until_cancelled(wait).await;
    }

    /// Continues what has not ended; whether that was everything, or a queue could not be read or is in use.
    async fn continue_all(&self, account: &str) -> Result<bool, Problem> {
        let mut running = self.running.lock().await;
        let world = self.world(&mut running, account).await?;
        let topology = self.state.topology();
        let mut all = true;
        for (task, standing) in self.ledger.unfinished(world).await.map_err(ledger::disk)? {
            // Looked up among all queues: a queue without events may have lost its origins since.
            let Some(queue) = topology.queues.get(&task.plan.dead_letter_queue) else {
                if topology.may_exist(&task.plan.dead_letter_queue) {
                    all = false;
                    continue;
                }
                let why = "the dead-letter queue does not exist any more".to_owned();
                self.ledger
                    .end(&task.operation_id, OperationState::Failed, Some(why))
                    .await
                    .map_err(ledger::disk)?;
                self.publish(&task.operation_id).await;
                continue;
            };
            match running.operations.get(&queue.name) {
                None => {
                    tracing::info!(
                        operation = task.operation_id,
                        standing = standing.word(),
                        "redrive continued"
                    );
                    self.spawn(&mut running, task, queue.clone(), standing);
                }
                // After the one that has the queue.
                Some(active) => all &= active.operation_id == task.operation_id,
            }
        }
        Ok(all)
    }

    async fn world(&self, running: &mut Running, account: &str) -> Result<i64, Problem> {
        if let Some(world) = running.world {
            return Ok(world);
        }
        let world = World {
            account: account.to_owned(),
            region: self.aws.region.clone(),
            endpoint: self.aws.endpoint_url.clone().unwrap_or_default(),
            instance: self.instance.clone(),
        };
        let (id, strangers) = self.ledger.enter(world).await.map_err(ledger::disk)?;
        let refused = (strangers > 0).then(|| {
            Problem::new(
                ProblemKind::Conflict,
                format!("{strangers} unfinished redrives are not continued"),
                "they were started in another account, region or endpoint, or in another run of the local stack",
                "start a daemon there with this state directory, or use another state directory here",
            )
        });
        self.state
            .report(Reading::Problem(Source::Resume, refused))
            .await;
        running.world = Some(id);
        Ok(id)
    }

    /// Lets someone work on an operation. One that does not run only has its loose ends tied: what an earlier run left
    /// half done.
    fn spawn(&self, running: &mut Running, task: Task, queue: QueueFacts, standing: Standing) {
        let mut stop = self.enroll(running, &task, &queue);
        if standing != Standing::Running {
            stop.cancel();
        }
        let engine = self.clone();
        self.tracker.spawn(async move {
            loop {
                engine.supervise(&task, &queue, &stop).await;
                let mut running = engine.running.lock().await;
                // It may have been resumed, or cancelled, while the last batches were under way.
                let standing = engine.standing(&running, &task).await;
                match standing.filter(|_| !engine.stop.is_cancelled()) {
                    Some(Standing::Running) => stop = engine.enroll(&mut running, &task, &queue),
                    Some(Standing::Cancelling) => {
                        stop = engine.enroll(&mut running, &task, &queue);
                        stop.cancel();
                    }
                    _ => {
                        running.operations.remove(&queue.name);
                        return;
                    }
                }
            }
        });
    }

    fn enroll(&self, running: &mut Running, task: &Task, queue: &QueueFacts) -> CancellationToken {
        let stop = self.stop.child_token();
        let active = Active {
            operation_id: task.operation_id.clone(),
            stop: stop.clone(),
        };
        running.operations.insert(queue.name.clone(), active);
        stop
    }

    async fn standing(&self, running: &Running, task: &Task) -> Option<Standing> {
        let standing = self.ledger.standing(running.world?, &task.operation_id);
        standing.await.ok().flatten()
    }

    /// Runs until the operation ended or is to stop. A ledger that cannot be written is waited for.
    async fn supervise(&self, task: &Task, queue: &QueueFacts, stop: &CancellationToken) {
        let claimed = self.claimed.lock().await.remove(&queue.name);
        let guard = match claimed {
            Some(guard) => guard,
            None => self.claims.of(&queue.name).take().await,
        };
        while !self.stop.is_cancelled() {
            let ended = if task.plan.manner.native {
                self.hand_over(task, queue, stop).await
            } else {
                Run::new(self.clone(), task.clone(), queue.clone(), stop.clone())
                    .carry_out()
                    .await
            };
            let written = match ended {
                Ended::Stopped => self.end_cancelled(task).await,
                Ended::Asks(why) => self.ask(task, why).await,
                Ended::Complete => self.end(task, OperationState::Completed, None).await,
                Ended::Failed(why) => self.end(task, OperationState::Failed, Some(why)).await,
                Ended::Ledger(error) => Err(error),
            };
            let Err(error) = written else {
                self.ledger_works().await;
                break;
            };
            self.ledger_fails(ledger::disk(error)).await;
        }
        drop(guard);
        self.publish(&task.operation_id).await;
        let Some(of) = &task.plan.takes_back else {
            self.watch.look_at(queue).await;
            return;
        };
        self.publish(of).await;
        // Never at the queue that it was taken from: that one has consumers.
        if let Some(queue) = self.state.topology().queues.get(&task.plan.target.name) {
            self.watch.look_at(queue).await;
        }
    }

    /// Pauses it, unless somebody wished otherwise meanwhile.
    async fn ask(&self, task: &Task, why: String) -> Result<(), DatabaseError> {
        if self.ledger.ask(&task.operation_id, why).await? {
            return Ok(());
        }
        self.end_cancelled(task).await
    }

    /// Ends what stopped because it was cancelled; anything else that stopped goes on some day, and lies in the file till then.
    async fn end_cancelled(&self, task: &Task) -> Result<(), DatabaseError> {
        let world = self.running.lock().await.world.unwrap_or_default();
        match self.ledger.standing(world, &task.operation_id).await? {
            Some(Standing::Cancelling) => self.end(task, OperationState::Cancelled, None).await,
            _ => self.ledger.flush().await,
        }
    }

    async fn end(
        &self,
        task: &Task,
        state: OperationState,
        error: Option<String>,
    ) -> Result<(), DatabaseError> {
        tracing::info!(
            operation = task.operation_id,
            state = state.word(),
            error,
            "redrive ended"
        );
        reach("before_end");
        self.ledger.end(&task.operation_id, state, error).await?;
        reach("after_end");
        Ok(())
    }

    async fn publish(&self, id: &str) {
        if let Ok(redrive) = self.operation(id).await {
            self.state
                .report(Reading::Operation(Operation::Redrive(redrive)))
                .await;
        }
    }
}

/// The queue that a plan takes events from: a dead-letter queue, unless it takes back what was sent.
fn emptied<'a>(topology: &'a Topology, plan: &Plan) -> Result<&'a QueueFacts, Problem> {
    let name = &plan.dead_letter_queue;
    match topology.queues.get(name) {
        Some(queue) if plan.takes_back.is_some() => Ok(queue),
        _ => known(topology, name),
    }
}

/// Whether one sends events to where the other takes them from.
fn feeds(one: &Plan, other: &Plan) -> bool {
    one.target.kind == OriginKind::Queue && one.target.name == other.dead_letter_queue
}

fn busy(task: &Task, standing: Standing) -> Problem {
    let what = format!("{} is being redriven already", task.plan.dead_letter_queue);
    in_the_way(what, task, standing)
}

fn crossing(plan: &Plan, task: &Task, standing: Standing) -> Problem {
    let what = format!(
        "events cannot go from {} to {} now: others go from {} to {}",
        plan.dead_letter_queue, plan.target, task.plan.dead_letter_queue, task.plan.target
    );
    in_the_way(what, task, standing)
}

fn in_the_way(what: String, task: &Task, standing: Standing) -> Problem {
    let id = &task.operation_id;
    let (why, fix) = match standing {
        Standing::Paused => (
            "is paused",
            "resume or cancel it in the operations, then make a new plan",
        ),
        _ => (
            "has not ended",
            "wait until it has ended, then make a new plan",
        ),
    };
    Problem::new(
        ProblemKind::Conflict,
        what,
        format!("operation {id} {why}"),
        fix,
    )
}
