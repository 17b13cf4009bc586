//! How messages come into a queue: sent, or moved by a redrive policy.

use std::sync::Arc;

use super::{Held, Queue, places::Place};
use crate::sqs::{
    life::Event,
    message::{Accepted, Content, Dead, sequence_number},
};

impl Queue {
    /// Takes in a new message, after its own delay or the queue's. A duplicate in a FIFO queue is accepted and not kept.
    pub fn send(&mut self, now: i64, content: Content, delay_seconds: Option<u32>) -> Accepted {
        let key = self.deduplication_key(&content);
        if let Some(key) = &key
            && let Some(earlier) = self.accepted.get(now, key)
        {
            let id = content.message_id;
            self.life.tell(now, id, Event::Deduplicated);
            return earlier.clone();
        }
        let accepted = Accepted {
            message_id: content.message_id,
            sequence_number: self
                .settings
                .fifo
                .is_some()
                .then(|| sequence_number(self.next_sequence)),
        };
        if let Some(key) = key {
            self.accepted.put(now, key, accepted.clone());
        }
        self.life.sent(now, &content, self.next_sequence);
        let delay = i64::from(delay_seconds.unwrap_or(self.settings.delay_seconds)) * 1000;
        self.hold(Held {
            content: Arc::new(content),
            place: Place::from(now, now + delay),
            arrived_at: now,
            receive_count: 0,
            receives_here: 0,
            first_received: None,
            last_receive: 0,
            dead_letter_source: None,
        });
        accepted
    }

    /// Takes in what another queue's redrive policy moved here: id, attributes and receive count stay. So does the enqueue time,
    /// but not in a FIFO queue, where the message id also becomes the deduplication id, so that no other message can be taken
    /// for it ("Using dead-letter queues in Amazon SQS").
    pub fn accept(&mut self, now: i64, dead: Dead, source_arn: &str) {
        let mut content = dead.content;
        if self.settings.fifo.is_some() {
            content = Arc::new(Content {
                deduplication_id: Some(content.message_id.to_string().into()),
                sent_at: now,
                ..Arc::unwrap_or_clone(content)
            });
        }
        self.hold(Held {
            content,
            place: Place::Visible { since: now },
            arrived_at: now,
            receive_count: dead.receive_count,
            receives_here: 0,
            first_received: dead.first_received,
            last_receive: 0,
            dead_letter_source: Some(source_arn.into()),
        });
    }

    fn deduplication_key(&self, content: &Content) -> Option<(Option<Arc<str>>, Box<str>)> {
        let fifo = self.settings.fifo.as_ref()?;
        let group = content
            .group_id
            .clone()
            .filter(|_| fifo.deduplicates_by_group);
        Some((group, content.deduplication_id.clone()?))
    }
}
