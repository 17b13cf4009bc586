//! Failed events: what sits in a dead-letter queue, whatever kind of queue it is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What failed: the consumer of a queue, or a function that was invoked asynchronously.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OriginKind {
    /// Redriven by sending to that queue.
    Queue,
    /// Redriven by invoking that function again.
    Function,
}

/// Where an event failed, and therefore where a redrive takes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// Queue or function.
    pub kind: OriginKind,
    /// The queue's or function's name.
    pub name: String,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            OriginKind::Queue => "queue",
            OriginKind::Function => "function",
        };
        write!(f, "{kind} {}", self.name)
    }
}

/// One failed event, as a list shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedEvent {
    /// Ours: 12 hexadecimal digits, the same for the same message in the same queue.
    pub id: String,
    /// The SQS message id inside its dead-letter queue.
    pub message_id: String,
    /// Name of the queue it sits in.
    pub dead_letter_queue: String,
    /// Where it failed; `None` when that cannot be told or is ambiguous.
    pub origin: Option<Origin>,
    /// The correlation id it carries, when it carries one.
    pub correlation_id: Option<String>,
    /// The error's type, when the event says so. Messages that a redrive policy moved never do.
    pub error_type: Option<String>,
    /// The error's message, when the event says so.
    pub error_message: Option<String>,
    /// What it has in common with others that failed alike: error type and first frame, or the message where there is no
    /// frame; numbers and ids are `#`.
    pub signature: String,
    /// When it was first sent or invoked.
    pub sent_at: Timestamp,
    /// When SQS deletes it.
    pub expires_at: Option<Timestamp>,
    /// Attempts: receives from its source queue, or invocations of its function. Our own looking is not in it
    /// where the event itself says how often it was tried.
    pub receive_count: u32,
    /// How often it was redriven and came back, as far as our ledger knows.
    #[serde(default)]
    pub redrive_count: u32,
    /// When the mirror saw it first.
    pub seen_at: Timestamp,
}

/// A page of failed events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedList {
    /// The queue asked for; `None` when all were.
    pub dead_letter_queue: Option<String>,
    /// The origin all of them share, when one queue was asked for and it has one.
    pub origin: Option<Origin>,
    /// How many the mirror holds.
    pub mirrored: u64,
    /// How many the queues hold by SQS's own approximate count.
    pub approximate_total: u64,
    /// Newest first, at most as many as asked for.
    pub events: Vec<FailedEvent>,
}

/// Which failed events are meant: those for which everything that is given holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Their signature, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Name of the queue or function where they failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Words that all occur in them, and fields such as `error_type:X`; at most [`QUERY_MAX`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Sent then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Sent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether all events are meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            self.group.as_ref().map(|group| format!("of group {group}")),
            self.origin
                .as_ref()
                .map(|origin| format!("failed at {origin}")),
            self.query.as_ref().map(|query| format!("with {query}")),
            self.from.map(|from| format!("sent from {from}")),
            self.until.map(|until| format!("sent until {until}")),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

/// A query has at most this many bytes.
pub const QUERY_MAX: usize = 1000;

/// Events in one dead-letter queue that failed alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What they have in common.
    pub signature: String,
    /// The error's type, when the events say so.
    pub error_type: Option<String>,
    /// The error's message in the newest of them, when it says so.
    pub sample_message: Option<String>,
    /// How many.
    pub count: u64,
    /// When the oldest was sent.
    pub first_seen: Timestamp,
    /// When the newest was sent.
    pub last_seen: Timestamp,
    /// Where they failed; `None` when that cannot be told or is ambiguous.
    pub origin: Option<Origin>,
    /// Name of the queue they sit in.
    pub dead_letter_queue: String,
}

/// Failed events by signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedGroups {
    /// The queue asked for; `None` when all were.
    pub dead_letter_queue: Option<String>,
    /// How many events the mirror holds.
    pub mirrored: u64,
    /// How many the queues hold by SQS's own approximate count.
    pub approximate_total: u64,
    /// The largest first, at most [`GROUPS_MAX`].
    pub groups: Vec<Group>,
}

/// An answer names at most this many groups.
pub const GROUPS_MAX: usize = 1000;

/// One failed event with everything known about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub event: FailedEvent,
    /// The original event: JSON where it is JSON, otherwise a string. For an on-failure record this is its `requestPayload`.
    pub payload: Value,
    /// The original event as it is, where `payload` cannot carry it: JSON with numbers beyond a double or with keys that an
    /// object has twice, or JSON that is one string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The payload before it was edited and redriven, when this event came back from that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Value>,
    /// Message attributes and system attributes by name; binary values as base64.
    pub attributes: BTreeMap<String, String>,
    /// Log lines of the function that name this event's request or message id, oldest first; empty when there are none
    /// or the function that failed is not known.
    pub logs: Vec<LogLine>,
    /// What our operations did to it, oldest first.
    pub history: Vec<HistoryEntry>,
}

/// A message attribute as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// `String`, `Number` or `Binary`, perhaps with a custom part: `Number.int`.
    #[serde(rename = "type")]
    pub data_type: String,
    /// The text, or the bytes of a `Binary` as base64.
    pub value: String,
}

/// A message as it is in a dead-letter queue, whole: one line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Name of the queue it was in.
    pub dead_letter_queue: String,
    /// Ours, as in [`FailedEvent::id`].
    pub id: String,
    /// The SQS message id there. An imported message gets a new one.
    pub message_id: String,
    /// The text.
    pub body: String,
    /// Message attributes by name.
    pub attributes: BTreeMap<String, Attribute>,
    /// System attributes by name. A sender can set `AWSTraceHeader` and, in a FIFO queue, `MessageGroupId`; SQS makes the others.
    pub system_attributes: BTreeMap<String, String>,
}

/// Bytes of one message, and of all messages that are sent at once. (SQS API Reference, `SendMessageBatch`.)
pub const MESSAGE_BYTES_MAX: usize = 1_048_576;

impl Message {
    /// Says what SQS would refuse: no text, too many bytes or attributes, a value that is not of its type.
    /// (SQS Developer Guide, "Amazon SQS message metadata" and "Message quotas".)
    ///
    /// # Errors
    ///
    /// The first of these, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.body.is_empty() {
            return Err("its body is empty".to_owned());
        }
        if self.size() > MESSAGE_BYTES_MAX {
            return Err(format!("it has more than {MESSAGE_BYTES_MAX} bytes"));
        }
        if self.attributes.len() > 10 {
            return Err(format!(
                "it has {} attributes, and SQS takes 10",
                self.attributes.len()
            ));
        }
        for (name, attribute) in &self.attributes {
            let sort = attribute.data_type.split('.').next();
            let valid = match sort {
                Some("Binary") => is_base64(&attribute.value),
                Some("String" | "Number") => !attribute.value.is_empty(),
                _ => false,
            };
            if !valid {
                return Err(format!(
                    "attribute {name}: {:?} is no value of type {}",
                    attribute.value, attribute.data_type
                ));
            }
        }
        Ok(())
    }

    /// Bytes that count towards [`MESSAGE_BYTES_MAX`]: body, and names, types and values of attributes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.attributes
            .iter()
            .fold(self.body.len(), |sum, (name, attribute)| {
                let value = if attribute.data_type.starts_with("Binary") {
                    attribute.value.trim_end_matches('=').len() * 3 / 4
                } else {
                    attribute.value.len()
                };
                sum + name.len() + attribute.data_type.len() + value
            })
    }
}

/// Whether `text` is base64 with its padding.
fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// One line of a function's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// The line.
    pub message: String,
}

/// One step of an operation on one event, from the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// Which operation.
    pub operation_id: String,
    /// The event's state in that operation: `intent`, `sent`, `deleted`, `skipped` or `failed`; then `returned` or
    /// `taken_back`, from where on it is another event.
    pub state: String,
    /// The new message id or invocation request id after a redrive, the reason of a failure, or the ids of the event before
    /// and after with the new error.
    pub note: Option<String>,
}
