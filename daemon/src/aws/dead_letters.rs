//! The calls that move failed events: receive, send, invoke, delete, release.
//!
//! What a failed send means is decided here and nowhere else: [`Refusal`].

use std::collections::HashMap;

use aws_sdk_lambda::operation::RequestId;
use aws_sdk_lambda::types::InvocationType;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageAttributeValue, MessageSystemAttributeName, MessageSystemAttributeNameForSends,
    MessageSystemAttributeValue, SendMessageBatchRequestEntry,
};
use patterns_core::problem::Problem;

use super::queues::queue_name;
use super::{Aws, problem, reason};
use crate::letter::{Attribute, AttributeValue, Letter};

/// Entries in one batch call, and messages in one receive. (SQS API Reference.)
pub const BATCH: usize = 10;

/// What SQS knows of a message that is received, by name: all of it, or what goes on with the message or tells where it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// All of it.
    All,
    /// Nothing that is about this copy alone: a redrive receives many.
    Carried,
}

impl System {
    /// (SQS API Reference, `ReceiveMessage`: `MessageSystemAttributeNames`.)
    fn names(self) -> Vec<MessageSystemAttributeName> {
        match self {
            Self::All => vec![MessageSystemAttributeName::All],
            Self::Carried => vec![
                MessageSystemAttributeName::AwsTraceHeader,
                MessageSystemAttributeName::DeadLetterQueueSourceArn,
                MessageSystemAttributeName::MessageDeduplicationId,
                MessageSystemAttributeName::MessageGroupId,
            ],
        }
    }
}

/// Why something was not sent, or is not known to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No answer, or none that can be understood: it may have been sent.
    Unknown(String),
    /// Certainly not sent; the same may succeed later.
    NotNow(String),
    /// Certainly not sent, because there were too many calls: the same may succeed later, and slower.
    Throttled(String),
    /// Certainly not sent, and nothing to this target will be: it is gone or access is denied.
    Target(String),
    /// Certainly not sent, because of this message itself.
    Message(String),
}

/// What became of one message.
pub type Sent = Result<String, Refusal>;

impl Aws {
    /// Receives up to `max` messages and hides them for `visibility_seconds`; waits up to `wait_seconds` for the first.
    pub async fn receive(
        &self,
        queue_url: &str,
        max: usize,
        visibility_seconds: i32,
        wait_seconds: i32,
        system: System,
    ) -> Result<Vec<Letter>, Problem> {
        let output = self
            .sqs
            .receive_message()
            .queue_url(queue_url)
            .max_number_of_messages(i32::try_from(max.clamp(1, BATCH)).unwrap_or(1))
            .visibility_timeout(visibility_seconds)
            .wait_time_seconds(wait_seconds)
            .set_message_system_attribute_names(Some(system.names()))
            .message_attribute_names("All")
            .send()
            .await
            .map_err(|error| {
                let what = format!("cannot receive from {}", queue_name(queue_url));
                problem(what, "sqs:ReceiveMessage", &error)
            })?;
        Ok(output
            .messages
            .unwrap_or_default()
            .into_iter()
            .filter_map(letter)
            .collect())
    }

    /// Sends messages to a queue, in one attempt; the caller keeps them within one batch's limits. Answers for each, in
    /// order, with the new message id, after both digests of SQS were found equal to ours. For a FIFO queue `operation` goes
    /// into the deduplication id.
    pub async fn send(
        &self,
        queue_url: &str,
        letters: &[Letter],
        operation: Option<&str>,
    ) -> Vec<Sent> {
        let entries: Result<Vec<_>, _> = letters
            .iter()
            .enumerate()
            .map(|(index, letter)| entry(index, letter, operation))
            .collect();
        let entries = match entries {
            Ok(entries) => entries,
            Err(why) => {
                return letters
                    .iter()
                    .map(|_| Err(Refusal::Message(why.clone())))
                    .collect();
            }
        };
        let answer = self
            .sqs_once
            .send_message_batch()
            .queue_url(queue_url)
            .set_entries(Some(entries))
            .send()
            .await;
        let output = match answer {
            Ok(output) => output,
            Err(error) => {
                let refusal = refusal(&error);
                return letters.iter().map(|_| Err(refusal.clone())).collect();
            }
        };
        let successful: HashMap<_, _> = output
            .successful()
            .iter()
            .map(|entry| (entry.id(), entry))
            .collect();
        let failed: HashMap<_, _> = output
            .failed()
            .iter()
            .map(|entry| (entry.id(), entry))
            .collect();
        letters
            .iter()
            .enumerate()
            .map(|(index, letter)| {
                let id = index.to_string();
                if let Some(entry) = successful.get(id.as_str()) {
                    let same_attributes = entry
                        .md5_of_message_attributes()
                        .is_none_or(|md5| Some(md5) == letter.attributes_md5().as_deref());
                    if entry.md5_of_message_body() == letter.body_md5() && same_attributes {
                        Ok(entry.message_id().to_owned())
                    } else {
                        Err(Refusal::Unknown(
                            "SQS acknowledged another text than was sent: the MD5 digests differ"
                                .to_owned(),
                        ))
                    }
                } else if let Some(entry) = failed.get(id.as_str()) {
                    let why = format!("{}: {}", entry.code(), entry.message().unwrap_or_default());
                    Err(if entry.sender_fault() {
                        // Throttling and lack of access are the sender's fault, too.
                        classify(400, entry.code(), why)
                    } else {
                        Refusal::NotNow(why)
                    })
                } else {
                    Err(Refusal::Unknown(
                        "SQS answered without a word on this message".to_owned(),
                    ))
                }
            })
            .collect()
    }

    /// Invokes a function, or that version or alias of it, asynchronously and in one attempt. Answers with the request id.
    pub async fn invoke(&self, function: &str, qualifier: Option<String>, payload: &str) -> Sent {
        let answer = self
            .lambda_once
            .invoke()
            .function_name(function)
            .set_qualifier(qualifier)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(payload))
            .send()
            .await;
        match answer {
            // Without its id nobody could tell when it comes back.
            Ok(output) if output.status_code() == 202 => match output.request_id() {
                Some(id) if !id.is_empty() => Ok(id.to_owned()),
                _ => Err(Refusal::Unknown(
                    "Lambda took it without telling a request id".to_owned(),
                )),
            },
            Ok(output) => Err(Refusal::Unknown(format!(
                "Lambda answered with status {} instead of 202",
                output.status_code()
            ))),
            Err(error) => Err(refusal(&error)),
        }
    }

    /// Deletes messages by receipt handle. Answers for each, in order, whether it was.
    pub async fn delete(&self, queue_url: &str, handles: &[String]) -> Vec<Result<(), String>> {
        let mut done = Vec::with_capacity(handles.len());
        for chunk in handles.chunks(BATCH) {
            let entries: Vec<_> = chunk
                .iter()
                .enumerate()
                .filter_map(|(index, handle)| {
                    DeleteMessageBatchRequestEntry::builder()
                        .id(index.to_string())
                        .receipt_handle(handle)
                        .build()
                        .ok()
                })
                .collect();
            let answer = self
                .sqs
                .delete_message_batch()
                .queue_url(queue_url)
                .set_entries(Some(entries))
                .send()
                .await;
            match answer {
                // Status 200 can hide entries that failed.
                Ok(output) => done.extend((0..chunk.len()).map(|index| {
                    let id = index.to_string();
                    match output.failed().iter().find(|entry| entry.id() == id) {
                        None => Ok(()),
                        Some(entry) => Err(format!(
                            "{}: {}",
                            entry.code(),
                            entry.message().unwrap_or_default()
                        )),
                    }
                })),
                Err(error) => {
                    let why = reason(&error);
                    done.extend(chunk.iter().map(|_| Err(why.clone())));
                }
            }
        }
        done
    }

    /// Hides received messages for `seconds` from now; with 0 they are visible at once. What fails becomes visible by
    /// itself when its time is over, so nothing is reported.
    pub async fn hide(&self, queue_url: &str, handles: &[String], seconds: i32) {
        for chunk in handles.chunks(BATCH) {
            let entries: Vec<_> = chunk
                .iter()
                .enumerate()
                .filter_map(|(index, handle)| {
                    ChangeMessageVisibilityBatchRequestEntry::builder()
                        .id(index.to_string())
                        .receipt_handle(handle)
                        .visibility_timeout(seconds)
                        .build()
                        .ok()
                })
                .collect();
            let answer = self
                .sqs
                .change_message_visibility_batch()
                .queue_url(queue_url)
                .set_entries(Some(entries))
                .send()
                .await;
            if let Err(error) = answer {
                tracing::debug!(
                    why = reason(&error),
                    "messages stay hidden as long as they were"
                );
            }
        }
    }
}

pub(super) fn refusal<E>(error: &SdkError<E>) -> Refusal
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let why = reason(error);
    match error {
        SdkError::ConstructionFailure(_) => Refusal::Message(why),
        SdkError::ServiceError(service) => {
            let code = error
                .as_service_error()
                .and_then(ProvideErrorMetadata::code)
                .unwrap_or_default();
            classify(service.raw().status().as_u16(), code, why)
        }
        // Timeouts, resets, answers that make no sense.
        _ => Refusal::Unknown(why),
    }
}

/// Codes from the error lists of `SendMessageBatch` (SQS API Reference) and `Invoke` (Lambda API Reference).
fn classify(status: u16, code: &str, why: String) -> Refusal {
    // The function is being changed, or its snapshot is not ready: 409.
    const LATER: [&str; 3] = ["Expired", "ResourceConflict", "SnapStartNotReady"];
    const SLOWER: [&str; 3] = ["Throttl", "TooManyRequests", "OverLimit"];
    // Refused credentials say nothing about the message, whatever their status. (SQS and Lambda, "Common Errors".)
    const TARGET: [&str; 13] = [
        "QueueDoesNotExist",
        "NonExistentQueue",
        "ResourceNotFound",
        "AccessDenied",
        "Forbidden",
        "Kms",
        "KMS",
        "InvalidAddress",
        "InvalidClientToken",
        "UnrecognizedClient",
        "Signature",
        "MissingAuthentication",
        "InvalidSecurity",
    ];
    let says = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
    match status {
        429 => Refusal::Throttled(why),
        400..=499 if says(&SLOWER) => Refusal::Throttled(why),
        400..=499 if says(&LATER) => Refusal::NotNow(why),
        400..=499 if says(&TARGET) || matches!(status, 401 | 403 | 404) => Refusal::Target(why),
        400..=499 => Refusal::Message(why),
        // A server that failed may have failed after it had stored the message.
        _ => Refusal::Unknown(why),
    }
}

fn letter(message: Message) -> Option<Letter> {
    let system = message
        .attributes
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| (name.as_str().to_owned(), value))
        .collect();
    let attributes = message
        .message_attributes
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| {
            let data_type = value.data_type().to_owned();
            let value = match (value.string_value, value.binary_value) {
                (_, Some(binary)) => AttributeValue::Binary(binary.into_inner()),
                (text, None) => AttributeValue::Text(text.unwrap_or_default()),
            };
            (name, Attribute { data_type, value })
        })
        .collect();
    Some(Letter {
        message_id: message.message_id?,
        receipt_handle: message.receipt_handle?,
        body: message.body.unwrap_or_default(),
        attributes,
        system,
    })
}

/// The message as it was, and nothing added to it. Where no operation gives one, it keeps its deduplication id.
fn entry(
    index: usize,
    letter: &Letter,
    operation: Option<&str>,
) -> Result<SendMessageBatchRequestEntry, String> {
    let mut entry = SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_body(&letter.body)
        .set_message_group_id(letter.system.get("MessageGroupId").cloned())
        .set_message_deduplication_id(
            operation
                .map(|operation| format!("{operation}-{}", letter.message_id))
                .or_else(|| letter.system.get("MessageDeduplicationId").cloned()),
        );
    for (name, attribute) in &letter.attributes {
        let value = MessageAttributeValue::builder().data_type(&attribute.data_type);
        let value = match &attribute.value {
            AttributeValue::Text(text) => value.string_value(text),
            AttributeValue::Binary(bytes) => value.binary_value(Blob::new(bytes.clone())),
        };
        entry = entry.message_attributes(name, value.build().map_err(|error| error.to_string())?);
    }
    // The only system attribute that a sender may set. (SQS API Reference, `SendMessageBatchRequestEntry`.)
    if let Some(trace) = letter.system.get("AWSTraceHeader") {
        entry = entry.message_system_attributes(
            MessageSystemAttributeNameForSends::AwsTraceHeader,
            MessageSystemAttributeValue::builder()
                .data_type("String")
                .string_value(trace)
                .build()
                .map_err(|error| error.to_string())?,
        );
    }
    entry.build().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_no_is_a_no() {
        let kind = |status, code| classify(status, code, String::new());
        let none = String::new;
        assert_eq!(kind(500, "InternalError"), Refusal::Unknown(none()));
        assert_eq!(kind(503, "ServiceUnavailable"), Refusal::Unknown(none()));
        assert_eq!(kind(200, ""), Refusal::Unknown(none()));
        assert_eq!(
            kind(429, "TooManyRequestsException"),
            Refusal::Throttled(none())
        );
        assert_eq!(kind(403, "RequestThrottled"), Refusal::Throttled(none()));
        assert_eq!(kind(403, "ExpiredToken"), Refusal::NotNow(none()));
        assert_eq!(
            kind(409, "ResourceConflictException"),
            Refusal::NotNow(none())
        );
        assert_eq!(kind(403, "AccessDenied"), Refusal::Target(none()));
        assert_eq!(
            kind(400, "UnrecognizedClientException"),
            Refusal::Target(none())
        );
        assert_eq!(
            kind(400, "InvalidSignatureException"),
            Refusal::Target(none())
        );
        assert_eq!(
            kind(400, "AWS.SimpleQueueService.NonExistentQueue"),
            Refusal::Target(none())
        );
        assert_eq!(
            kind(404, "ResourceNotFoundException"),
            Refusal::Target(none())
        );
        assert_eq!(kind(400, "BatchRequestTooLong"), Refusal::Message(none()));
        assert_eq!(
            kind(413, "RequestTooLargeException"),
            Refusal::Message(none())
        );
    }
}
