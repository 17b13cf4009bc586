//! What a consumer does with a message it received: delete it, or change how long it stays invisible.

use serde::Deserialize;

use super::{
    Sqs, find,
    operations::{Done, Entry, Outcomes, check_batch, each, queue_name},
    queue::NotChanged,
    receipt,
    refusal::{self, invalid_value},
};
use crate::error::AwsError;

/// Longest visibility timeout in seconds.
const MAX_VISIBILITY: u32 = 43_200;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OnMessage {
    queue_url: Option<String>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OnMessages {
    queue_url: Option<String>,
    #[serde(default)]
    entries: Vec<MessageEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MessageEntry {
    #[serde(default)]
    id: String,
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

impl Entry for MessageEntry {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Sqs {
    pub(super) fn delete_one(&self, request: &OnMessage) -> Result<Done, AwsError> {
        let name = queue_name(request.queue_url.as_deref())?;
        self.delete_from(name, handle(request.receipt_handle.as_deref())?)?;
        self.count_deletes(name, 1);
        Ok(Done {})
    }

    pub(super) fn delete_batch(&self, request: OnMessages) -> Result<Outcomes<Done>, AwsError> {
        let name = queue_name(request.queue_url.as_deref())?;
        find(&mut self.lock(), name)?;
        check_batch(&request.entries)?;
        let outcomes = each(request.entries, |entry| {
            self.delete_from(name, handle(entry.receipt_handle.as_deref())?)?;
            Ok(Done {})
        });
        self.count_deletes(name, outcomes.successful());
        Ok(outcomes)
    }

    pub(super) fn change_one(&self, request: &OnMessage) -> Result<Done, AwsError> {
        let name = queue_name(request.queue_url.as_deref())?;
        self.change_in(
            name,
            handle(request.receipt_handle.as_deref())?,
            timeout(request.visibility_timeout)?,
        )?;
        Ok(Done {})
    }

    pub(super) fn change_batch(&self, request: OnMessages) -> Result<Outcomes<Done>, AwsError> {
        let name = queue_name(request.queue_url.as_deref())?;
        find(&mut self.lock(), name)?;
        check_batch(&request.entries)?;
        Ok(each(request.entries, |entry| {
            self.change_in(
                name,
                handle(entry.receipt_handle.as_deref())?,
                timeout(entry.visibility_timeout)?,
            )?;
            Ok(Done {})
        }))
    }

    /// An old handle, or one of a message that is gone, succeeds and deletes nothing ("`DeleteMessage`"). In a FIFO queue the
    /// handle of a message that is here and not held by it fails ("`ReceiveMessage`: `ReceiveRequestAttemptId`").
    pub(super) fn delete_from(&self, name: &str, handle: &str) -> Result<(), AwsError> {
        let now = self.now();
        {
            let mut queues = self.lock();
            let hosted = find(&mut queues, name)?;
            if let Some(ticket) = receipt::decode(handle, name, &hosted.incarnation)? {
                let fifo = hosted.queue.settings().fifo.is_some();
                if fifo && hosted.queue.has_expired(now, ticket) {
                    return Err(refusal::receipt_expired(handle));
                }
                hosted.queue.delete(now, ticket);
                if fifo {
                    // The rest of the group may be received now.
                    hosted.changed.notify_waiters();
                }
            }
        }
        Ok(())
    }

    /// AWS counts delete requests, whether or not the messages were still there.
    pub(super) fn count_deletes(&self, name: &str, deletes: usize) {
        self.measure(name, "NumberOfMessagesDeleted", deletes);
    }

    pub(super) fn change_in(&self, name: &str, handle: &str, seconds: u32) -> Result<(), AwsError> {
        if seconds > MAX_VISIBILITY {
            return Err(timeout_out_of_range(seconds.into()));
        }
        let unknown = || {
            invalid_value(format!(
                "Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change."
            ))
        };
        let now = self.now();
        let mut queues = self.lock();
        let hosted = find(&mut queues, name)?;
        let ticket = receipt::decode(handle, name, &hosted.incarnation)?.ok_or_else(unknown)?;
        hosted.queue.change_visibility(now, ticket, seconds).map_err(|reason| match reason {
            NotChanged::Unknown => unknown(),
            NotChanged::NotInFlight => refusal::not_in_flight(),
            NotChanged::BeyondLimit => invalid_value(format!(
                "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [{MAX_VISIBILITY} seconds]"
            )),
        })?;
        // Also for a later time: a long poll may be sleeping towards the earlier one.
        hosted.changed.notify_waiters();
        Ok(())
    }
}

fn handle(handle: Option<&str>) -> Result<&str, AwsError> {
    handle
        .filter(|handle| !handle.is_empty())
        .ok_or_else(|| refusal::missing("ReceiptHandle"))
}

fn timeout(seconds: Option<i64>) -> Result<u32, AwsError> {
    let seconds = seconds.ok_or_else(|| refusal::missing("VisibilityTimeout"))?;
    u32::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds <= MAX_VISIBILITY)
        .ok_or_else(|| timeout_out_of_range(seconds))
}

fn timeout_out_of_range(seconds: i64) -> AwsError {
    invalid_value(format!(
        "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: VisibilityTimeout must be an integer between 0 and {MAX_VISIBILITY}"
    ))
}
