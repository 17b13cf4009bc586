//! Sends messages by up to ten, and looks at what became of each: a call that succeeds may refuse some of its messages
//! (Amazon SQS API Reference, `SendMessageBatch`: "you should check for batch errors even when the call returns an HTTP status
//! code of 200").

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use serde::Serialize;

/// How often messages that SQS did not take are sent again, before the whole is given back to be tried later.
const ATTEMPTS: u32 = 5;

/// The first wait before that; it doubles each time.
const WAIT: Duration = Duration::from_millis(50);

/// Why not all messages were sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// SQS refused the call or did not answer.
    #[error("SQS did not take the messages")]
    Sqs(#[source] Box<aws_sdk_sqs::Error>),
    /// The calls went through, and some of the messages did not.
    #[error("SQS did not take {left} messages, {ATTEMPTS} times in a row: {reason}")]
    Left {
        /// How many.
        left: usize,
        /// What it said of one of them.
        reason: String,
    },
    /// A message cannot be written.
    #[error("a message cannot be written")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A queue to send to.
#[derive(Clone, Debug)]
pub struct Sender {
    client: aws_sdk_sqs::Client,
    queue_url: String,
}

impl Sender {
    /// The queue at `queue_url`.
    #[must_use]
    pub fn new(config: &SdkConfig, queue_url: String) -> Self {
        Self {
            client: aws_sdk_sqs::Client::new(config),
            queue_url,
        }
    }

    /// Sends up to ten messages, together at most 1 MiB. All are sent when it succeeds; some may be when it does not.
    pub async fn send<T: Serialize>(
        &self,
        messages: &[T],
        correlation_id: &str,
    ) -> Result<(), SendError> {
        let mut left = BTreeMap::new();
        for (id, message) in messages.iter().enumerate() {
            let id = id.to_string();
            left.insert(id.clone(), entry(id, message, correlation_id)?);
        }
        let mut wait = WAIT;
        let mut reason = String::new();
        for attempt in 1..=ATTEMPTS {
            let answer = self
                .client
                .send_message_batch()
                .queue_url(&self.queue_url)
                .set_entries(Some(left.values().cloned().collect()))
                .send()
                .await
                .map_err(|error| SendError::Sqs(Box::new(error.into())))?;
            for sent in answer.successful() {
                left.remove(sent.id());
            }
            if left.is_empty() {
                return Ok(());
            }
            if let Some(failed) = answer.failed().first() {
                let message = failed.message().unwrap_or_default();
                reason = format!("{} {message}", failed.code());
            }
            tracing::warn!(
                left = left.len(),
                attempt,
                "SQS did not take all messages: {reason}"
            );
            if attempt < ATTEMPTS {
                tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64())).await;
                wait *= 2;
            }
        }
        Err(SendError::Left {
            left: left.len(),
            reason,
        })
    }
}

fn entry<T: Serialize>(
    id: String,
    message: &T,
    correlation_id: &str,
) -> Result<SendMessageBatchRequestEntry, SendError> {
    let body = serde_json::to_string(message).map_err(|error| SendError::Write(Box::new(error)))?;
    let correlation = MessageAttributeValue::builder()
        .data_type("String")
        .string_value(correlation_id)
        .build()
        .map_err(|error| SendError::Write(Box::new(error)))?;
    SendMessageBatchRequestEntry::builder()
        .id(id)
        .message_body(body)
        .message_attributes("correlationId", correlation)
        .build()
        .map_err(|error| SendError::Write(Box::new(error)))
}
