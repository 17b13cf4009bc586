//! A redrive that a message move task of SQS carries out. The daemon starts it, follows it and cancels it, and that is all that
//! can be known: SQS names no message that it moves. ("Learn how to configure a dead-letter queue redrive in Amazon SQS".)
//!
//! A task has no name of ours and may begin without an answer. So the time of the newest task is written down before ours is
//! started, by the clock of SQS: the first one after it that moves to the same place is ours, whoever asks when.

use std::time::Duration;

use patterns_core::operation::{Operation, Plan};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::point::reach;
use super::run::{Ended, FAILING, Trouble};
use crate::aws::dead_letters::Refusal;
use crate::aws::move_tasks::{LISTED, MoveStatus, MoveTask};
use crate::ledger::Task;
use crate::state::Reading;
use crate::topology::QueueFacts;

/// Between two looks at the task.
pub const LOOK: Duration = Duration::from_secs(2);

/// A task leaves messages alone that somebody hides. A look into the queue by a daemon that was killed hides them for 30 s.
const HIDDEN: Duration = Duration::from_secs(35);

/// What is known of the task.
struct Followed {
    /// Since when somebody follows it.
    since: Instant,
    /// Messages that it has moved, as far as that is written down; none before SQS has shown it.
    moved: Option<u64>,
}

impl Engine {
    /// Starts the task unless that was done, and follows it to its end.
    pub(super) async fn hand_over(
        &self,
        task: &Task,
        queue: &QueueFacts,
        stop: &CancellationToken,
    ) -> Ended {
        let mut answered = Instant::now();
        let mut followed = Followed {
            since: answered,
            moved: None,
        };
        while !self.stop.is_cancelled() {
            let looked = self.look_after(task, queue, stop.is_cancelled(), &mut followed);
            match looked.await {
                Ok(Some(ended)) => return ended,
                Ok(None) => {
                    answered = Instant::now();
                    self.publish(&task.operation_id).await;
                }
                Err(Trouble::Ledger(error)) => return Ended::Ledger(error),
                Err(Trouble::Target(why) | Trouble::Asks(why)) => return Ended::Failed(why),
                // One that was started goes on, whether or not SQS tells of it.
                Err(Trouble::Aws(why))
                    if followed.moved.is_none() && answered.elapsed() > FAILING =>
                {
                    return Ended::Failed(format!("nothing succeeded for 10 minutes: {why}"));
                }
                Err(Trouble::Aws(why)) => self.complain(task, why).await,
            }
            // One that is cancelled is looked at as often.
            let awake = if stop.is_cancelled() {
                &self.stop
            } else {
                stop
            };
            awake.run_until_cancelled(tokio::time::sleep(LOOK)).await;
        }
        Ended::Stopped
    }

    /// One look, and the one step that it asks for; how the task ended, if it has. `cancelled` when somebody wants that.
    async fn look_after(
        &self,
        task: &Task,
        queue: &QueueFacts,
        cancelled: bool,
        followed: &mut Followed,
    ) -> Result<Option<Ended>, Trouble> {
        let id = &task.operation_id;
        let tasks = self.aws.move_tasks(&queue.arn).await;
        let tasks = tasks.map_err(|problem| Trouble::Aws(problem.to_string()))?;
        let target = self.arn_of_target(&task.plan)?;
        let after = self.ledger.moves_after(id).await?;
        let Some(ours) = after.and_then(|after| ours(&tasks, after, &target)) else {
            if after.is_some_and(|after| may_be_forgotten(&tasks, after)) {
                return Err(Trouble::Target(
                    "SQS does not list its message move task any more; many were started since"
                        .to_owned(),
                ));
            }
            if cancelled {
                return Ok(Some(Ended::Stopped));
            }
            if !self.some_are_hidden(queue, followed.since).await? {
                self.begin_move(task, queue, &target, &tasks, after).await?;
            }
            return Ok(None);
        };
        if followed.moved.replace(ours.moved) != Some(ours.moved) {
            self.ledger.moved(id, ours.moved).await?;
        }
        if let (MoveStatus::Running, true, Some(handle)) = (&ours.status, cancelled, &ours.handle) {
            let done = self.aws.cancel_move(handle).await;
            done.map_err(|problem| Trouble::Aws(problem.to_string()))?;
        }
        Ok(ended(ours, cancelled))
    }

    /// Whether messages are hidden that will soon be visible.
    async fn some_are_hidden(&self, queue: &QueueFacts, since: Instant) -> Result<bool, Trouble> {
        if since.elapsed() >= HIDDEN {
            return Ok(false);
        }
        let depth = self.aws.depth(&queue.url).await;
        let depth = depth.map_err(|problem| Trouble::Aws(problem.to_string()))?;
        Ok(depth.is_some_and(|depth| depth.in_flight > 0))
    }

    /// Starts the task. What SQS refuses for good is no task, unless one may have been started before without an answer.
    async fn begin_move(
        &self,
        task: &Task,
        queue: &QueueFacts,
        target: &str,
        tasks: &[MoveTask],
        after: Option<i64>,
    ) -> Result<(), Trouble> {
        let newest = tasks.first();
        if newest.is_some_and(|task| task.status == MoveStatus::Running) {
            return Err(Trouble::Target(
                "a message move task that somebody else started empties the same queue".to_owned(),
            ));
        }
        if after.is_none() {
            let newest = newest.map_or(0, |task| task.started_at);
            self.ledger.will_move(&task.operation_id, newest).await?;
        }
        let rate = task.plan.manner.rate.map(whole);
        reach("before_move");
        let started = self.aws.start_move(&queue.arn, target, rate).await;
        reach("after_move");
        started.map_err(|refusal| match refusal {
            Refusal::Target(why) | Refusal::Message(why) if after.is_none() => Trouble::Target(why),
            Refusal::Target(why)
            | Refusal::Message(why)
            | Refusal::Unknown(why)
            | Refusal::NotNow(why)
            | Refusal::Throttled(why) => Trouble::Aws(why),
        })
    }

    fn arn_of_target(&self, plan: &Plan) -> Result<String, Trouble> {
        let topology = self.state.topology();
        let name = &plan.target.name;
        match topology.queues.get(name) {
            Some(queue) => Ok(queue.arn.clone()),
            None if topology.may_exist(name) => {
                Err(Trouble::Aws(format!("the queue {name} cannot be read")))
            }
            None => Err(Trouble::Target(format!(
                "the queue {name} does not exist any more"
            ))),
        }
    }

    /// Shows what keeps it from going on.
    async fn complain(&self, task: &Task, why: String) {
        let Ok(mut redrive) = self.operation(&task.operation_id).await else {
            return;
        };
        redrive.error = Some(why);
        self.state
            .report(Reading::Operation(Operation::Redrive(redrive)))
            .await;
    }
}

/// The task of an operation: the first to that queue that was started after those there were before. The newest comes first.
fn ours<'a>(tasks: &'a [MoveTask], after: i64, target: &str) -> Option<&'a MoveTask> {
    tasks
        .iter()
        .rev()
        .find(|task| task.started_at > after && task.destination_arn.as_deref() == Some(target))
}

/// Whether there may have been a task of an operation that is not listed any more.
fn may_be_forgotten(tasks: &[MoveTask], after: i64) -> bool {
    tasks.len() >= LISTED && tasks.iter().all(|task| task.started_at > after)
}

fn ended(task: &MoveTask, cancelled: bool) -> Option<Ended> {
    let moved = task.moved;
    match &task.status {
        MoveStatus::Running => None,
        MoveStatus::Completed => Some(Ended::Complete),
        MoveStatus::Cancelled if cancelled => Some(Ended::Stopped),
        MoveStatus::Cancelled => Some(Ended::Failed(format!(
            "somebody cancelled its message move task in SQS, when about {moved} messages were moved"
        ))),
        MoveStatus::Failed(why) => Some(Ended::Failed(format!(
            "its message move task failed when about {moved} messages were moved: {why}"
        ))),
    }
}

/// A rate that a plan has checked: a whole number up to 500.
#[expect(clippy::cast_possible_truncation, reason = "`Manner::check` limits it")]
fn whole(rate: f64) -> i32 {
    rate as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(started_at: i64, target: &str, status: MoveStatus) -> MoveTask {
        MoveTask {
            status,
            handle: None,
            destination_arn: Some(target.to_owned()),
            started_at,
            moved: 3,
        }
    }

    #[test]
    fn a_task_is_known_by_when_it_was_started_and_where_it_moves_to() {
        let done = || MoveStatus::Completed;
        let later = task(40, "orders", done());
        let own = task(30, "orders", done());
        let elsewhere = task(20, "shelf", done());
        let earlier = task(10, "orders", done());
        let tasks = [later.clone(), own.clone(), elsewhere, earlier.clone()];
        assert_eq!(ours(&tasks, 10, "orders"), Some(&own));
        assert_eq!(ours(&tasks, 30, "orders"), Some(&later));
        assert_eq!(ours(&tasks, 0, "orders"), Some(&earlier));
        assert_eq!(ours(&tasks, 40, "orders"), None);
    }

    #[test]
    fn a_task_that_is_not_listed_any_more_is_not_started_again() {
        let others: Vec<_> = (0..10)
            .rev()
            .map(|at| task(100 + at, "shelf", MoveStatus::Completed))
            .collect();
        assert!(may_be_forgotten(&others, 99));
        assert!(!may_be_forgotten(&others, 100), "one of before is listed");
        assert!(!may_be_forgotten(&others[1..], 99), "all are listed");
    }

    #[test]
    fn only_a_cancellation_of_ours_is_none_of_somebody_else() {
        let of = |status, cancelled| ended(&task(1, "orders", status), cancelled);
        assert!(of(MoveStatus::Running, true).is_none());
        assert!(matches!(
            of(MoveStatus::Completed, true),
            Some(Ended::Complete)
        ));
        assert!(matches!(
            of(MoveStatus::Cancelled, true),
            Some(Ended::Stopped)
        ));
        for status in [MoveStatus::Cancelled, MoveStatus::Failed("x".to_owned())] {
            let Some(Ended::Failed(why)) = of(status, false) else {
                panic!("it has failed");
            };
            assert!(why.contains("about 3 messages"), "{why}");
        }
    }
}
