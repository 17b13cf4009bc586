//! The audit: who changed what, why, and what became of it. Nothing in it is ever changed or removed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing that somebody did, or how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// From 1, without a gap.
    pub number: u64,
    /// When it was written, durably, before it had any effect.
    pub at: Timestamp,
    /// User id of who asked for it; absent when the daemon did it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// `start`, `pause`, `resume`, `cancel`, `import`, `break` and `heal` (of deliveries), or `ended`.
    pub verb: String,
    /// The operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// SHA-256 of the plan's JSON, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,
    /// Why, in the words of who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What else is to be known: of a start the queue, the target and the count, of an end the counts.
    pub detail: Value,
    /// SHA-256 of the entry before and of everything above: whoever changes one entry must change all later ones.
    pub hash: String,
}

/// What became of one event of a redrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its SQS message id in the queue it was taken from.
    pub message_id: String,
    /// The event, by [`crate::failed::FailedEvent::id`].
    pub id: String,
    /// `planned`, `intent`, `sent`, `deleted`, `settled`, `returned`, `taken_back`, `skipped` or `failed`.
    pub state: String,
    /// Whether it may have been sent twice.
    pub in_doubt: bool,
    /// Message id in the queue it was sent to, or request id of its invocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_id: Option<String>,
    /// Id of the event it came back as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_as: Option<String>,
    /// Why it was skipped, failed or returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
}
