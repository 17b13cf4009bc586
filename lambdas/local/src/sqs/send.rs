//! `SendMessage` and `SendMessageBatch`: what may be sent, and what the sender gets back.

mod input;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(super) use self::input::Input;
use self::input::{Sending, sending};
use super::{
    MessageAttribute, Outgoing, Sqs, digest, find,
    message::{Content, new_id},
    operations::{Entry, Outcomes, check_batch, each, queue_name},
    refusal::{self, invalid_value},
    rules::{check, check_token},
    settings::Settings,
};
use crate::error::AwsError;

/// Most bytes of one message, and of all messages of a batch together ("`SendMessageBatch`").
const MAX_BYTES: usize = 1_048_576;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendMessageBatch {
    queue_url: Option<String>,
    #[serde(default)]
    entries: Vec<Input>,
}

impl Entry for Input {
    fn id(&self) -> &str {
        &self.id
    }
}

/// An entry whose message was read, if it could be.
struct ReadEntry {
    id: String,
    message: Result<Sending, AwsError>,
}

impl Entry for ReadEntry {
    fn id(&self) -> &str {
        &self.id
    }
}

/// What a sender gets back: with the sums that it verifies.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Sent {
    message_id: String,
    #[serde(rename = "MD5OfMessageBody")]
    md5_of_body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_number: Option<String>,
    #[serde(
        rename = "MD5OfMessageAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    md5_of_attributes: Option<String>,
    #[serde(
        rename = "MD5OfMessageSystemAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    md5_of_system_attributes: Option<String>,
}

impl Sqs {
    pub(super) fn send_one(&self, mut request: Input) -> Result<Sent, AwsError> {
        let url = request.queue_url.take();
        let name = queue_name(url.as_deref())?;
        self.put(name, sending(request)?)
    }

    pub(super) fn send_batch(&self, request: SendMessageBatch) -> Result<Outcomes<Sent>, AwsError> {
        let name = queue_name(request.queue_url.as_deref())?;
        find(&mut self.lock(), name)?;
        check_batch(&request.entries)?;
        let entries: Vec<_> = request
            .entries
            .into_iter()
            .map(|mut entry| ReadEntry {
                id: std::mem::take(&mut entry.id),
                message: sending(entry),
            })
            .collect();
        let bytes: usize = entries
            .iter()
            .flat_map(|entry| &entry.message)
            .map(|sending| sending.message.size())
            .sum();
        if bytes > MAX_BYTES {
            return Err(AwsError::new(
                400,
                "BatchRequestTooLong",
                format!("Batch requests cannot be longer than {MAX_BYTES} bytes. You have sent {bytes} bytes."),
            )
            .with_query_code("AWS.SimpleQueueService.BatchRequestTooLong"));
        }
        Ok(each(entries, |entry| self.put(name, entry.message?)))
    }

    /// Sends to the queue of that name. The queue's own size limit holds.
    pub(super) fn send_to(&self, name: &str, message: Outgoing) -> Result<String, AwsError> {
        let sending = Sending {
            message,
            group_id: None,
            deduplication_id: None,
        };
        Ok(self.put(name, sending)?.message_id)
    }

    /// Counts a message that was added to the queue. What a redrive policy moves is not counted ("Available CloudWatch metrics for
    /// Amazon SQS": a message sent by failed processing is not captured).
    pub(super) fn measure_sent(&self, name: &str, bytes: usize) {
        self.measure(name, "NumberOfMessagesSent", 1);
        self.measure(name, "SentMessageSize", bytes);
    }

    fn put(&self, name: &str, sending: Sending) -> Result<Sent, AwsError> {
        check(&sending.message)?;
        let now = self.now();
        let message_id = new_id();
        let message = &sending.message;
        let md5_of_body = digest::of_body(&message.body);
        let md5_of_attributes = digest::of_attributes(&message.attributes);
        let md5_of_system_attributes = message
            .trace_header
            .as_ref()
            .and_then(|header| digest_of_trace(header));
        let bytes = message.size();
        let (accepted, changed) = {
            let mut queues = self.lock();
            let hosted = find(&mut queues, name)?;
            let settings = hosted.queue.settings();
            let delay_seconds = delay(settings, message)?;
            check_size(settings, message)?;
            let deduplication_id = ordered(settings, &sending)?;
            let content = Content {
                message_id,
                group_id: sending.group_id.map(Arc::from),
                deduplication_id: deduplication_id.map(Into::into),
                sent_at: now,
                body: sending.message.body.into(),
                attributes: sending.message.attributes,
                trace_header: sending.message.trace_header.map(Into::into),
            };
            let accepted = hosted.queue.send(now, content, delay_seconds);
            (accepted, hosted.changed.clone())
        };
        changed.notify_waiters();
        if accepted.message_id == message_id {
            self.measure_sent(name, bytes);
        } else {
            self.measure(name, "NumberOfDeduplicatedSentMessages", 1);
        }
        Ok(Sent {
            message_id: accepted.message_id.to_string(),
            sequence_number: accepted.sequence_number,
            md5_of_body,
            md5_of_attributes,
            md5_of_system_attributes,
        })
    }
}

fn check_size(settings: &Settings, message: &Outgoing) -> Result<(), AwsError> {
    let most = settings.max_message_bytes;
    if message.size() > usize::try_from(most).unwrap_or(MAX_BYTES) {
        return Err(invalid_value(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {most} bytes."
        )));
    }
    Ok(())
}

/// A FIFO queue delays all messages alike ("`SendMessage`: `DelaySeconds`"); a delay of 0 asks for nothing.
fn delay(settings: &Settings, message: &Outgoing) -> Result<Option<u32>, AwsError> {
    match message.delay_seconds {
        Some(0) if settings.fifo.is_some() => Ok(None),
        Some(delay) if settings.fifo.is_some() => Err(refusal::wrong_queue_type(
            "DelaySeconds",
            &delay.to_string(),
        )),
        delay => Ok(delay),
    }
}

/// The deduplication id under which a FIFO queue takes the message, and what each kind of queue asks of the ids
/// ("`SendMessage`: `MessageGroupId`, `MessageDeduplicationId`").
fn ordered(settings: &Settings, sending: &Sending) -> Result<Option<String>, AwsError> {
    if let Some(group) = &sending.group_id {
        check_token("MessageGroupId", group)?;
    }
    let Some(fifo) = &settings.fifo else {
        return match &sending.deduplication_id {
            Some(id) => Err(refusal::wrong_queue_type("MessageDeduplicationId", id)),
            None => Ok(None),
        };
    };
    if sending.group_id.is_none() {
        return Err(refusal::missing("MessageGroupId"));
    }
    match &sending.deduplication_id {
        Some(id) => {
            check_token("MessageDeduplicationId", id)?;
            Ok(Some(id.clone()))
        }
        None if fifo.content_based => Ok(Some(digest::deduplication_id(&sending.message.body))),
        None => Err(invalid_value(
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
        )),
    }
}

fn digest_of_trace(header: &str) -> Option<String> {
    let attribute = MessageAttribute {
        data_type: "String".to_owned(),
        string_value: Some(header.to_owned()),
        binary_value: None,
    };
    digest::of_attributes([(&"AWSTraceHeader".to_owned(), &attribute)])
}
