//! `ReceiveMessage`: long polls and the redrive policy.

mod shown;

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use self::shown::{Shown, shown};
use super::{
    Received, Sqs, digest, find,
    message::{Delivery, sequence_number},
    name_in_arn,
    operations::queue_name,
    queue::{OverLimit, Queue, Taken},
    receipt,
    refusal::{self, invalid_value},
    rules::check_token,
};
use crate::{
    account::{ACCOUNT_ID, queue_arn},
    error::AwsError,
};

/// System attributes that may be asked for; the last three belong to FIFO queues, though any message may have a group id.
const SYSTEM_ATTRIBUTES: [&str; 9] = [
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReceiveMessage {
    queue_url: Option<String>,
    /// The older name of `MessageSystemAttributeNames`.
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    /// Without effect on standard queues.
    receive_request_attempt_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Messages {
    /// Absent when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Shown>,
}

/// What a receive asks for.
#[derive(Clone, Copy)]
pub(super) struct Take<'a> {
    pub max: usize,
    /// Without it the queue's own timeout holds.
    pub visibility_seconds: Option<u32>,
    /// Names this receive, so that it can be repeated (FIFO queues).
    pub attempt: Option<&'a str>,
}

/// What one look at a queue found.
struct Look {
    received: Vec<Received>,
    /// When it looked, in epoch milliseconds.
    at: i64,
    /// When a message becomes visible by itself.
    next_change: Option<i64>,
    /// 120 000 messages are in flight already.
    over_limit: bool,
    changed: Arc<Notify>,
}

impl Sqs {
    pub(super) async fn receive_messages(
        &self,
        request: ReceiveMessage,
    ) -> Result<Messages, AwsError> {
        let name = queue_name(request.queue_url.as_deref())?;
        let max =
            within("MaxNumberOfMessages", request.max_number_of_messages, 1, 10)?.unwrap_or(1);
        let visibility = within("VisibilityTimeout", request.visibility_timeout, 0, 43_200)?;
        let wait = within("WaitTimeSeconds", request.wait_time_seconds, 0, 20)?;
        let attempt = request.receive_request_attempt_id.as_deref();
        if let Some(attempt) = attempt {
            check_token("ReceiveRequestAttemptId", attempt)?;
        }
        let mut system = request.message_system_attribute_names;
        system.extend(request.attribute_names);
        for wanted in &system {
            if wanted != "All" && !SYSTEM_ATTRIBUTES.contains(&wanted.as_str()) {
                return Err(refusal::invalid_attribute_name(wanted));
            }
        }
        let wait = match wait {
            Some(seconds) => seconds,
            None => find(&mut self.lock(), name)?.queue.settings().wait_seconds,
        };
        let wait = Duration::from_secs(wait.into());
        let take = Take {
            max: usize::try_from(max).unwrap_or(1),
            visibility_seconds: visibility,
            attempt,
        };
        let received = self.take(name, take, wait).await?;
        let messages = received
            .into_iter()
            .map(|message| shown(message, &system, &request.message_attribute_names))
            .collect();
        Ok(Messages { messages })
    }

    /// Receives messages, waiting up to `wait` for the first one.
    pub(super) async fn take(
        &self,
        name: &str,
        take: Take<'_>,
        wait: Duration,
    ) -> Result<Vec<Received>, AwsError> {
        let deadline = self.now() + i64::try_from(wait.as_millis()).unwrap_or(0);
        let mut changed = Arc::clone(&find(&mut self.lock(), name)?.changed);
        loop {
            let woken = Arc::clone(&changed);
            let mut woken = pin!(woken.notified());
            // From here on nothing that happens to the queue is missed.
            woken.as_mut().enable();
            let look = self.look(name, take)?;
            if look.over_limit && wait.is_zero() {
                return Err(refusal::over_limit());
            }
            if !look.received.is_empty() {
                return Ok(look.received);
            }
            if look.at >= deadline {
                self.measure(name, "NumberOfEmptyReceives", 1);
                return Ok(Vec::new());
            }
            changed = look.changed;
            let until = look.next_change.map_or(deadline, |at| at.min(deadline));
            let until = u64::try_from(until - look.at).unwrap_or(0).max(1);
            tokio::select! {
                () = woken => {}
                () = self.sleep(Duration::from_millis(until)) => {}
            }
        }
    }

    fn look(&self, name: &str, take: Take<'_>) -> Result<Look, AwsError> {
        let now = self.now();
        let mut queues = self.lock();
        let target = find(&mut queues, name)?.queue.settings().redrive.as_ref();
        let target = target
            .and_then(|redrive| name_in_arn(&redrive.target_arn))
            .map(str::to_owned);
        let target = target.filter(|target| queues.hosted.contains_key(target));
        let hosted = find(&mut queues, name)?;
        let visibility = take
            .visibility_seconds
            .unwrap_or(hosted.queue.settings().visibility_seconds);
        let taken = received_by(&mut hosted.queue, now, take, visibility, target.is_some());
        let over_limit = taken.is_err();
        let taken = taken.unwrap_or_default();
        if let Some(target) = &target {
            for dead in &taken.dead {
                let id = dead.content.message_id;
                hosted.queue.moved(now, id, target, None);
            }
        }
        let next_change = hosted.queue.next_change();
        let changed = Arc::clone(&hosted.changed);
        let incarnation = hosted.incarnation.clone();
        if let Some(dead_letters) = target.and_then(|target| queues.hosted.get_mut(&target))
            && !taken.dead.is_empty()
        {
            let source = queue_arn(name);
            for dead in taken.dead {
                dead_letters.queue.accept(now, dead, &source);
            }
            dead_letters.changed.notify_waiters();
        }
        // Bodies are copied without the lock.
        drop(queues);
        let received: Vec<_> = taken
            .deliveries
            .into_iter()
            .map(|delivery| received(name, &incarnation, delivery))
            .collect();
        if !received.is_empty() {
            self.measure(name, "NumberOfMessagesReceived", received.len());
        }
        Ok(Look {
            received,
            at: now,
            next_change,
            over_limit,
            changed,
        })
    }
}

fn received_by(
    queue: &mut Queue,
    now: i64,
    take: Take<'_>,
    visibility_seconds: u32,
    move_dead: bool,
) -> Result<Taken, OverLimit> {
    if let Some(attempt) = take.attempt
        && let Some(again) = queue.receive_again(now, attempt, visibility_seconds)
    {
        return Ok(again);
    }
    let taken = queue.receive(now, take.max, visibility_seconds, move_dead)?;
    if let Some(attempt) = take.attempt {
        queue.remember(now, attempt, &taken);
    }
    Ok(taken)
}

fn within(
    parameter: &str,
    value: Option<i64>,
    least: u32,
    most: u32,
) -> Result<Option<u32>, AwsError> {
    value
        .map(|value| {
            u32::try_from(value).ok().filter(|value| (least..=most).contains(value)).ok_or_else(|| {
                invalid_value(format!(
                    "Value {value} for parameter {parameter} is invalid. Reason: Must be >= {least} and <= {most}, if provided."
                ))
            })
        })
        .transpose()
}

fn received(queue: &str, incarnation: &str, delivery: Delivery) -> Received {
    let content = &delivery.content;
    let mut attributes = BTreeMap::from([
        ("SenderId", ACCOUNT_ID.to_owned()),
        ("SentTimestamp", content.sent_at.to_string()),
        (
            "ApproximateReceiveCount",
            delivery.receive_count.to_string(),
        ),
        (
            "ApproximateFirstReceiveTimestamp",
            delivery.first_received.to_string(),
        ),
    ]);
    if let Some(header) = &content.trace_header {
        attributes.insert("AWSTraceHeader", header.to_string());
    }
    if let Some(group) = &content.group_id {
        attributes.insert("MessageGroupId", group.to_string());
    }
    if let Some(id) = &content.deduplication_id {
        attributes.insert("MessageDeduplicationId", id.to_string());
        let number = sequence_number(delivery.ticket.sequence);
        attributes.insert("SequenceNumber", number);
    }
    if let Some(source) = delivery.dead_letter_source {
        attributes.insert("DeadLetterQueueSourceArn", source.to_string());
    }
    Received {
        message_id: content.message_id.to_string(),
        receipt_handle: receipt::encode(queue, incarnation, delivery.ticket),
        body: content.body.to_string(),
        md5_of_body: digest::of_body(&content.body),
        attributes,
        message_attributes: content.attributes.clone(),
    }
}
