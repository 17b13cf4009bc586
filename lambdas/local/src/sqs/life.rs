//! What a queue tells the witness of its messages.

use serde::Serialize;
use uuid::Uuid;

use super::{digest, message::Content};
use crate::witness::Witness;

/// A witness for one queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    witness: Witness,
    queue: String,
}

#[derive(Serialize)]
struct Line<'a> {
    queue: &'a str,
    message_id: String,
    #[serde(flatten)]
    event: Event<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event<'a> {
    /// With the sums by which an alteration shows.
    Sent {
        /// Hexadecimal MD5 of the body.
        body: String,
        /// Hexadecimal MD5 of the attributes, as SQS makes it.
        attributes: Option<String>,
        trace_header: Option<&'a str>,
        group: Option<&'a str>,
        /// Place in the queue; in a FIFO queue the order of the messages.
        sequence: u64,
    },
    /// Accepted and not kept, because a message with the same deduplication id was.
    Deduplicated,
    Received {
        receive_count: u32,
    },
    Deleted,
    /// By the redrive policy, or as a new message by a move task.
    Moved {
        to: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        new_message_id: Option<String>,
    },
    Expired,
    /// Also when the queue itself was deleted.
    Purged,
}

impl Life {
    pub fn of(witness: Witness, queue: &str) -> Self {
        Self {
            witness,
            queue: queue.to_owned(),
        }
    }

    pub fn tell(&self, now: i64, message_id: Uuid, event: Event<'_>) {
        if !self.witness.is_kept() {
            return;
        }
        let queue = &self.queue;
        self.witness.tell(
            now,
            &Line {
                queue,
                message_id: message_id.to_string(),
                event,
            },
        );
    }

    pub fn sent(&self, now: i64, content: &Content, sequence: u64) {
        if !self.witness.is_kept() {
            return;
        }
        let event = Event::Sent {
            body: digest::of_body(&content.body),
            attributes: digest::of_attributes(&content.attributes),
            trace_header: content.trace_header.as_deref(),
            group: content.group_id.as_deref(),
            sequence,
        };
        self.tell(now, content.message_id, event);
    }
}
