//! What a queue carries: content that never changes, and what one receive adds to it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One user-defined attribute of a message, as SQS's `MessageAttributeValue`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageAttribute {
    /// `String`, `Number` or `Binary`, optionally with a custom suffix (`Number.int`).
    pub data_type: String,
    /// The value of a string or number.
    pub string_value: Option<String>,
    /// The value of a binary attribute, decoded.
    pub binary_value: Option<Vec<u8>>,
}

/// A message about to be sent.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// The body, at most the queue's `MaximumMessageSize` together with the attributes.
    pub body: String,
    /// At most ten.
    pub attributes: BTreeMap<String, MessageAttribute>,
    /// The X-Ray trace header, which counts towards no limit.
    pub trace_header: Option<String>,
    /// 0..=900 seconds; without it the queue's own delay holds.
    pub delay_seconds: Option<u32>,
}

impl Outgoing {
    /// Bytes that count towards the message size: body, and names, types and values of the attributes.
    #[must_use]
    pub fn size(&self) -> usize {
        size(&self.body, &self.attributes)
    }
}

fn size(body: &str, attributes: &BTreeMap<String, MessageAttribute>) -> usize {
    let attributes: usize = attributes
        .iter()
        .map(|(name, value)| {
            name.len()
                + value.data_type.len()
                + value.string_value.as_ref().map_or(0, String::len)
                + value.binary_value.as_ref().map_or(0, Vec::len)
        })
        .sum();
    body.len() + attributes
}

/// A message as a consumer inside the emulator gets it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Stable inside one queue, and kept when the redrive policy moves the message.
    pub message_id: String,
    /// Names this one receive; the next receive of the same message makes another.
    pub receipt_handle: String,
    /// The body as it was sent.
    pub body: String,
    /// Hexadecimal MD5 of the body.
    pub md5_of_body: String,
    /// All system attributes, such as `ApproximateReceiveCount`.
    pub attributes: BTreeMap<&'static str, String>,
    /// All user-defined attributes.
    pub message_attributes: BTreeMap<String, MessageAttribute>,
}

/// The part of a message that never changes. Shared, so that a receive does not copy bodies under the lock; and small, because a
/// queue may hold millions: what can be computed again is not kept.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub message_id: Uuid,
    pub body: Box<str>,
    pub attributes: BTreeMap<String, MessageAttribute>,
    pub trace_header: Option<Box<str>>,
    /// Always present in FIFO queues; in standard ones the tenant that a message belongs to, if its sender named one.
    pub group_id: Option<Arc<str>>,
    /// Present in FIFO queues, and only there.
    pub deduplication_id: Option<Box<str>>,
    /// Epoch milliseconds of the original send; the move into a standard dead-letter queue keeps it.
    pub sent_at: i64,
}

impl Content {
    /// Bytes, as [`Outgoing::size`].
    pub fn size(&self) -> usize {
        size(&self.body, &self.attributes)
    }
}

/// What a sender is told. For a duplicate in a FIFO queue it is what the first message's sender was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub message_id: Uuid,
    pub sequence_number: Option<String>,
}

/// A new message id. It must be unique and nothing more, and the random numbers that nobody can guess cost a system call each.
pub(super) fn new_id() -> Uuid {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid()
}

/// How AWS writes the place of a message in a FIFO queue: 20 digits, increasing and not consecutive ("FIFO queue key terms").
pub(super) fn sequence_number(sequence: u64) -> String {
    const FIRST: u128 = 18_850_000_000_000_000_000;
    const STEP: u128 = 256;
    (FIRST + u128::from(sequence) * STEP).to_string()
}

/// One receive of one message.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub content: Arc<Content>,
    pub ticket: Ticket,
    pub receive_count: u32,
    /// Epoch milliseconds.
    pub first_received: i64,
    /// The queue whose redrive policy moved the message here.
    pub dead_letter_source: Option<Arc<str>>,
}

/// A message that its redrive policy took out of the queue, on its way to the dead-letter queue.
#[derive(Debug)]
pub(super) struct Dead {
    pub content: Arc<Content>,
    pub receive_count: u32,
    pub first_received: Option<i64>,
}

/// What a receipt handle stands for: a message, and which of its receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Place of the message in this queue's history.
    pub sequence: u64,
    /// Number of the receive in this queue's history.
    pub receive: u64,
}
