//! Message move tasks of SQS.

use aws_sdk_sqs::types::ListMessageMoveTasksResultEntry;
use patterns_core::problem::Problem;

use super::dead_letters::{Refusal, refusal};
use super::{Aws, problem};
use crate::topology::name_of;

/// A list shows at most this many, the newest first. (SQS API Reference, `ListMessageMoveTasks`.)
pub const LISTED: usize = 10;

/// A message move task, as SQS tells of it. (SQS API Reference, `ListMessageMoveTasksResultEntry`.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveTask {
    /// How far it is.
    pub status: MoveStatus,
    /// Names it while it runs.
    pub handle: Option<String>,
    /// Where it moves to; none when each message goes to the queue that it comes from.
    pub destination_arn: Option<String>,
    /// By the clock of SQS, in milliseconds.
    pub started_at: i64,
    /// About how many messages it has moved.
    pub moved: u64,
}

/// How far a message move task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveStatus {
    /// It moves, or is about to end.
    Running,
    /// Everything is moved.
    Completed,
    /// Somebody ended it.
    Cancelled,
    /// It ended by itself, for this reason.
    Failed(String),
}

impl From<&ListMessageMoveTasksResultEntry> for MoveTask {
    fn from(entry: &ListMessageMoveTasksResultEntry) -> Self {
        let reason = || entry.failure_reason().unwrap_or("SQS gives no reason");
        Self {
            status: match entry.status() {
                Some("COMPLETED") => MoveStatus::Completed,
                Some("CANCELLED") => MoveStatus::Cancelled,
                Some("FAILED") => MoveStatus::Failed(reason().to_owned()),
                _ => MoveStatus::Running,
            },
            handle: entry.task_handle().map(str::to_owned),
            destination_arn: entry.destination_arn().map(str::to_owned),
            started_at: entry.started_timestamp(),
            moved: entry.approximate_number_of_messages_moved().unsigned_abs(),
        }
    }
}

impl Aws {
    /// The newest move tasks out of a queue, the newest first.
    pub async fn move_tasks(&self, queue_arn: &str) -> Result<Vec<MoveTask>, Problem> {
        let list = self.sqs.list_message_move_tasks().source_arn(queue_arn);
        let most = i32::try_from(LISTED).unwrap_or(1);
        let output = list.max_results(most).send().await.map_err(|error| {
            let what = format!(
                "cannot ask for message move tasks of {}",
                name_of(queue_arn)
            );
            problem(what, "sqs:ListMessageMoveTasks", &error)
        })?;
        Ok(output.results().iter().map(MoveTask::from).collect())
    }

    /// Lets SQS move everything in a dead-letter queue, so many messages per second or as many as it likes. In one attempt: a
    /// second one would find the task of the first in its way. (SQS API Reference, `StartMessageMoveTask`.)
    pub async fn start_move(
        &self,
        from_arn: &str,
        to_arn: &str,
        rate: Option<i32>,
    ) -> Result<(), Refusal> {
        let start = self.sqs_once.start_message_move_task();
        let start = start.source_arn(from_arn).destination_arn(to_arn);
        let answer = start.set_max_number_of_messages_per_second(rate).send();
        answer.await.map(|_| ()).map_err(|error| refusal(&error))
    }

    /// Ends a move task that runs. What it has moved stays moved. (SQS API Reference, `CancelMessageMoveTask`.)
    pub async fn cancel_move(&self, handle: &str) -> Result<(), Problem> {
        let cancel = self.sqs.cancel_message_move_task().task_handle(handle);
        let answer = cancel.send().await.map_err(|error| {
            let what = "cannot cancel the message move task";
            problem(what, "sqs:CancelMessageMoveTask", &error)
        });
        answer.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_ends_in_one_of_three_ways() {
        let status = |word: &str| {
            let entry = ListMessageMoveTasksResultEntry::builder().status(word);
            MoveTask::from(&entry.build()).status
        };
        assert_eq!(status("COMPLETED"), MoveStatus::Completed);
        assert_eq!(status("CANCELLED"), MoveStatus::Cancelled);
        assert!(matches!(status("FAILED"), MoveStatus::Failed(_)));
        for under_way in ["RUNNING", "CANCELLING", "SOMETHING_NEW"] {
            assert_eq!(status(under_way), MoveStatus::Running);
        }
    }
}
