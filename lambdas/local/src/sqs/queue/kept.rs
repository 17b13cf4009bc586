//! A queue's content in the form in which it outlives a run.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Held, Place, Queue, receive::RECEIVES_BEFORE_AGE_SKIPS};
use crate::sqs::{
    MessageAttribute,
    life::Life,
    message::{Accepted, Content},
    settings::Settings,
};

/// A run that was killed has given out numbers after the last time it was kept. So far ahead the next run goes on, and no receipt
/// handle or sequence number stands for two things.
const NUMBERS_LOST: u64 = 1 << 32;

/// What is not a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in super::super) struct Shape {
    settings: Settings,
    next_sequence: u64,
    next_receive: u64,
}

/// A message with all that is known of it.
#[derive(Debug, Serialize, Deserialize)]
pub(in super::super) struct Message {
    sequence: u64,
    id: String,
    body: String,
    attributes: BTreeMap<String, MessageAttribute>,
    trace_header: Option<String>,
    group_id: Option<String>,
    deduplication_id: Option<String>,
    sent_at: i64,
    place: Place,
    arrived_at: i64,
    receive_count: u32,
    receives_here: u32,
    first_received: Option<i64>,
    last_receive: u64,
    dead_letter_source: Option<String>,
}

/// What a FIFO queue accepted under a deduplication id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in super::super) struct Deduplicated {
    /// Epoch milliseconds.
    at: i64,
    group_id: Option<String>,
    deduplication_id: String,
    message_id: String,
    sequence_number: Option<String>,
}

/// A queue as it was at one moment. Bodies are shared with the queue, so that taking it is quick.
pub(in super::super) struct Kept {
    pub shape: Shape,
    pub deduplicated: Vec<Deduplicated>,
    held: Vec<(u64, Box<Held>)>,
}

impl Kept {
    pub fn messages(&self) -> impl Iterator<Item = Message> {
        self.held.iter().map(|(sequence, held)| Message {
            sequence: *sequence,
            id: held.content.message_id.to_string(),
            body: held.content.body.to_string(),
            attributes: held.content.attributes.clone(),
            trace_header: held.content.trace_header.as_deref().map(str::to_owned),
            group_id: held.content.group_id.as_deref().map(str::to_owned),
            deduplication_id: held.content.deduplication_id.as_deref().map(str::to_owned),
            sent_at: held.content.sent_at,
            place: held.place,
            arrived_at: held.arrived_at,
            receive_count: held.receive_count,
            receives_here: held.receives_here,
            first_received: held.first_received,
            last_receive: held.last_receive,
            dead_letter_source: held.dead_letter_source.as_deref().map(str::to_owned),
        })
    }
}

impl Queue {
    /// A number that is another one after every change of what is kept.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    pub fn kept(&self) -> Kept {
        let deduplicated = self.accepted.all();
        Kept {
            shape: Shape {
                settings: self.settings.clone(),
                next_sequence: self.next_sequence,
                next_receive: self.next_receive,
            },
            deduplicated: deduplicated
                .map(
                    |(at, (group, id), accepted): (_, &(Option<Arc<str>>, Box<str>), &Accepted)| {
                        Deduplicated {
                            at,
                            group_id: group.as_deref().map(str::to_owned),
                            deduplication_id: id.to_string(),
                            message_id: accepted.message_id.to_string(),
                            sequence_number: accepted.sequence_number.clone(),
                        }
                    },
                )
                .collect(),
            held: self
                .messages
                .iter()
                .map(|(sequence, held)| (*sequence, held.clone()))
                .collect(),
        }
    }

    /// A queue of that shape, without messages yet.
    pub fn again(shape: Shape, life: Life) -> Self {
        Self {
            next_sequence: shape.next_sequence + NUMBERS_LOST,
            next_receive: shape.next_receive + NUMBERS_LOST,
            ..Self::new(shape.settings, life)
        }
    }

    /// Takes in a message as it was.
    pub fn put_back(&mut self, message: Message) -> Result<(), uuid::Error> {
        let message_id = Uuid::parse_str(&message.id)?;
        let sequence = message.sequence;
        let group_id: Option<Arc<str>> = message.group_id.map(Arc::from);
        self.places
            .enter(sequence, message.place, group_id.as_ref());
        if message.receives_here < RECEIVES_BEFORE_AGE_SKIPS {
            self.young.insert(sequence);
        }
        let content = Arc::new(Content {
            message_id,
            body: message.body.into(),
            attributes: message.attributes,
            trace_header: message.trace_header.map(Box::from),
            group_id,
            deduplication_id: message.deduplication_id.map(Box::from),
            sent_at: message.sent_at,
        });
        let held = Held {
            content,
            place: message.place,
            arrived_at: message.arrived_at,
            receive_count: message.receive_count,
            receives_here: message.receives_here,
            first_received: message.first_received,
            last_receive: message.last_receive,
            dead_letter_source: message.dead_letter_source.map(Arc::from),
        };
        if held.is_sent_earlier() {
            self.sent_earlier.insert((held.content.sent_at, sequence));
        }
        self.messages.insert(sequence, Box::new(held));
        Ok(())
    }

    /// Knows again what it accepted. To be called in the order of time.
    pub fn know_again(&mut self, known: Deduplicated) -> Result<(), uuid::Error> {
        let accepted = Accepted {
            message_id: Uuid::parse_str(&known.message_id)?,
            sequence_number: known.sequence_number,
        };
        let key = (known.group_id.map(Arc::from), known.deduplication_id.into());
        self.accepted.put(known.at, key, accepted);
        Ok(())
    }
}
