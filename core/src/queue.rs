//! Queues as the operator sees them: how deep, for whom, and where their failures go.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failed::Origin;

/// What a queue is for, judged by the redrive policies and the functions that point at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueRole {
    /// It has a dead-letter queue of its own.
    Source,
    /// Failed events end here: named by a redrive policy, a `DeadLetterConfig` or an on-failure destination.
    DeadLetter,
    /// Neither.
    Plain,
}

/// One queue at `as_of`. All counts are SQS's approximations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// The last part of its ARN.
    pub name: String,
    /// `arn:aws:sqs:<region>:<account>:<name>`
    pub arn: String,
    /// What it is for.
    pub role: QueueRole,
    /// Messages that a consumer could receive now. During a scan of ours, what the scan holds counts here too.
    pub visible: u64,
    /// Messages received and not yet deleted or made visible again.
    pub in_flight: u64,
    /// Messages whose delay has not passed.
    pub delayed: u64,
    /// Age of the oldest message in seconds, from CloudWatch and therefore minutes late; `None` while unknown.
    pub oldest_age_seconds: Option<u64>,
    /// Name of the queue its failures go to, when it is a source.
    pub dead_letter_queue: Option<String>,
    /// Where its events failed, when it is a dead-letter queue. More than one: the route of a redrive is ambiguous.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<Origin>,
    /// How many of its messages the mirror holds, when it is a dead-letter queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirrored: Option<u64>,
    /// When SQS was asked.
    pub as_of: Timestamp,
}

impl Queue {
    /// Everything in it: visible, in flight and delayed.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.visible
            .saturating_add(self.in_flight)
            .saturating_add(self.delayed)
    }
}
