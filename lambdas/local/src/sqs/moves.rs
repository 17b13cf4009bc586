//! Message move tasks: `StartMessageMoveTask`, `ListMessageMoveTasks` and `CancelMessageMoveTask` ("Amazon SQS API Reference"
//! and "Learn how to configure a dead-letter queue redrive in Amazon SQS").

mod task;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

pub(super) use self::task::{Status, Task};
use super::{
    Hosted, Queues, Sqs,
    message::{self, Content},
    name_in_arn,
    queues::feeds,
    refusal::{self, invalid_value},
};
use crate::{account::queue_arn, error::AwsError};

/// Tasks that a list shows at most; older ones are forgotten ("`ListMessageMoveTasks`").
const KEPT: usize = 10;

/// Tasks that may run in the account at the same time ("Configure a dead-letter queue redrive", quotas).
const MAX_ACTIVE: usize = 100;

/// The tasks of one source queue, newest first.
pub(super) type Tasks = VecDeque<Task>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StartMove {
    source_arn: Option<String>,
    destination_arn: Option<String>,
    max_number_of_messages_per_second: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListMoves {
    source_arn: Option<String>,
    max_results: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CancelMove {
    task_handle: Option<String>,
}

impl Sqs {
    /// Begins to move the messages of a dead-letter queue. Must be called inside the runtime, which carries the task out.
    pub(super) fn start_move(&self, request: StartMove) -> Result<Value, AwsError> {
        let source_arn = request
            .source_arn
            .ok_or_else(|| refusal::missing("SourceArn"))?;
        let rate = within(
            "MaxNumberOfMessagesPerSecond",
            request.max_number_of_messages_per_second,
            task::MAX_RATE,
        )?;
        let now = self.now();
        let mut queues = self.lock();
        let name = existing(&queues, "SourceArn", &source_arn)?.to_owned();
        check_source(&queues, &name)?;
        if let Some(destination) = &request.destination_arn {
            check_destination(&queues, &name, destination)?;
        }
        let hosted = super::find(&mut queues, &name)?;
        let handle = STANDARD.encode(format!("{} {name}", Uuid::new_v4()));
        hosted.moves.push_front(Task {
            handle: handle.clone(),
            destination_arn: request.destination_arn,
            rate,
            to_move: hosted.queue.depth(now).visible,
            moved: 0,
            status: Status::Running,
            started_at: now,
        });
        hosted.moves.truncate(KEPT);
        drop(queues);
        self.carry_out(name, handle.clone());
        Ok(json!({ "TaskHandle": handle }))
    }

    pub(super) fn list_moves(&self, request: &ListMoves) -> Result<Value, AwsError> {
        let source_arn = request
            .source_arn
            .as_deref()
            .ok_or_else(|| refusal::missing("SourceArn"))?;
        let most = within("MaxResults", request.max_results, 10)?.unwrap_or(1);
        let mut queues = self.lock();
        let name = existing(&queues, "SourceArn", source_arn)?;
        let tasks = super::find(&mut queues, name)?.moves.iter();
        let results: Vec<_> = tasks
            .take(usize::try_from(most).unwrap_or(KEPT))
            .map(|task| task.shown(source_arn))
            .collect();
        Ok(json!({ "Results": results }))
    }

    /// Ends a task between two messages. What it moved stays moved.
    pub(super) fn cancel_move(&self, request: &CancelMove) -> Result<Value, AwsError> {
        let handle = request
            .task_handle
            .as_deref()
            .ok_or_else(|| refusal::missing("TaskHandle"))?;
        let source = STANDARD
            .decode(handle)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| text.split_once(' ').map(|(_, source)| source.to_owned()))
            .ok_or_else(|| invalid_value("Value for parameter TaskHandle is invalid."))?;
        let mut queues = self.lock();
        let task = task_of(&mut queues, &source, handle)
            .ok_or_else(|| refusal::no_such_resource("TaskHandle"))?;
        if task.status != Status::Running {
            return Err(invalid_value("Only active tasks can be cancelled."));
        }
        task.status = Status::Cancelled;
        Ok(json!({ "ApproximateNumberOfMessagesMoved": task.moved }))
    }

    fn carry_out(&self, source: String, handle: String) {
        let clock = self.shared.clock.clone();
        // The emulator may be gone before the task is done, so nothing is held while waiting.
        let shared = Arc::downgrade(&self.shared);
        let move_due = move || {
            let shared = shared.upgrade()?;
            Self { shared }.move_due(&source, &handle)
        };
        tokio::spawn(async move {
            while let Some(wait) = move_due() {
                clock.sleep(wait).await;
            }
        });
    }

    /// Moves what is due. Returns the wait until more is due; nothing when the task has ended.
    fn move_due(&self, source: &str, handle: &str) -> Option<Duration> {
        let now = self.now();
        let mut queues = self.lock();
        let (due, wait) = task_of(&mut queues, source, handle)?.due(now);
        let mut changed = BTreeSet::new();
        let mut status = Status::Running;
        for _ in 0..due {
            match move_one(&mut queues, now, source, handle) {
                Ok((target, bytes)) => {
                    self.measure_move(source, &target, bytes);
                    changed.insert(target);
                }
                Err(end) => {
                    status = end;
                    break;
                }
            }
        }
        for name in changed {
            if let Some(hosted) = queues.hosted.get(&name) {
                hosted.changed.notify_waiters();
            }
        }
        let task = task_of(&mut queues, source, handle)?;
        if task.status == Status::Running {
            task.status = match status {
                Status::Running if task.moved >= task.to_move => Status::Completed,
                Status::Running if task.is_overdue(now) => {
                    Status::Failed("The task did not end within 36 hours.")
                }
                status => status,
            };
        }
        (task.status == Status::Running).then(|| Duration::from_millis(wait))
    }

    /// A task receives, deletes and sends, by the permissions that it asks for, and what it moves is a new message ("Learn how to
    /// configure a dead-letter queue redrive in Amazon SQS"). A redrive policy's moves count nowhere.
    fn measure_move(&self, source: &str, target: &str, bytes: usize) {
        self.measure(source, "NumberOfMessagesReceived", 1);
        self.measure(source, "NumberOfMessagesDeleted", 1);
        self.measure_sent(target, bytes);
    }
}

/// Moves the next message as a new one, and tells the queue it went to and its size in bytes; or says how the task ends.
/// A message that cannot be moved stays where it is.
fn move_one(
    queues: &mut Queues,
    now: i64,
    source: &str,
    handle: &str,
) -> Result<(String, usize), Status> {
    let task = task_of(queues, source, handle).ok_or(Status::Cancelled)?;
    if task.status != Status::Running {
        return Err(task.status);
    }
    let destination = task.destination_arn.clone();
    let hosted = queues.hosted.get_mut(source).ok_or(Status::Cancelled)?;
    // Nothing is left although less was moved than there was: consumers took it, or it expired.
    let (sequence, origin) = hosted.queue.next_to_move(now).ok_or(Status::Completed)?;
    let target = destination
        .or(origin)
        .ok_or(Status::Failed("CouldNotDetermineMessageSource"))?;
    let target = name_in_arn(&target)
        .filter(|target| queues.hosted.contains_key(*target))
        .ok_or(Status::Failed("AWS.SimpleQueueService.NonExistentQueue"))?
        .to_owned();
    let hosted = queues.hosted.get_mut(source).ok_or(Status::Cancelled)?;
    let dead = hosted.queue.take_out(sequence).ok_or(Status::Completed)?;
    if let Some(task) = hosted.moves.iter_mut().find(|task| task.handle == handle) {
        task.moved += 1;
    }
    let new_id = message::new_id();
    let old_id = dead.content.message_id;
    hosted.queue.moved(now, old_id, &target, Some(new_id));
    let bytes = dead.content.size();
    if let Some(hosted) = queues.hosted.get_mut(&target) {
        let content = Content {
            message_id: new_id,
            sent_at: now,
            ..Arc::unwrap_or_clone(dead.content)
        };
        hosted.queue.send(now, content, None);
    }
    Ok((target, bytes))
}

fn task_of<'a>(queues: &'a mut Queues, source: &str, handle: &str) -> Option<&'a mut Task> {
    let hosted = queues.hosted.get_mut(source)?;
    hosted.moves.iter_mut().find(|task| task.handle == handle)
}

/// The name of the queue that an ARN names, if it is there.
fn existing<'a>(queues: &Queues, parameter: &str, arn: &'a str) -> Result<&'a str, AwsError> {
    name_in_arn(arn)
        .filter(|name| queues.hosted.contains_key(*name))
        .ok_or_else(|| refusal::no_such_resource(parameter))
}

fn is_running(hosted: &Hosted) -> bool {
    let newest = hosted.moves.front();
    newest.is_some_and(|task| task.status == Status::Running)
}

/// Only a dead-letter queue of another queue can be moved from, and by one task at a time.
fn check_source(queues: &Queues, name: &str) -> Result<(), AwsError> {
    let arn = queue_arn(name);
    if !queues.hosted.values().any(|hosted| feeds(hosted, &arn)) {
        return Err(invalid_value(
            "Source queue must be configured as a Dead Letter Queue.",
        ));
    }
    if queues.hosted.get(name).is_some_and(is_running) {
        return Err(invalid_value(
            "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
        ));
    }
    let active = queues.hosted.values().filter(|hosted| is_running(hosted));
    if active.count() >= MAX_ACTIVE {
        return Err(refusal::unsupported(format!(
            "{MAX_ACTIVE} message movement tasks are active in the account, which is the most there can be."
        )));
    }
    Ok(())
}

fn check_destination(queues: &Queues, source: &str, arn: &str) -> Result<(), AwsError> {
    let target = existing(queues, "DestinationArn", arn)?;
    if target == source {
        return Err(invalid_value(
            "Source queue arn and destination queue arn cannot be the same.",
        ));
    }
    let fifo = |name| {
        let hosted = queues.hosted.get(name);
        hosted.is_some_and(|hosted| hosted.queue.settings().fifo.is_some())
    };
    if fifo(source) != fifo(target) {
        return Err(invalid_value(
            "Source queue and destination queue must be of the same type.",
        ));
    }
    Ok(())
}

/// A whole number from 1 to `most`, if there is one.
fn within(parameter: &str, value: Option<i64>, most: u32) -> Result<Option<u32>, AwsError> {
    value
        .map(|value| {
            u32::try_from(value)
                .ok()
                .filter(|value| (1..=most).contains(value))
                .ok_or_else(|| {
                    invalid_value(format!(
                        "Value {value} for parameter {parameter} is invalid. Reason: Must be >= 1 and <= {most}, if provided."
                    ))
                })
        })
        .transpose()
}
