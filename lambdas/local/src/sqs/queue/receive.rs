//! What a receive gets, also when it is asked for again because its answer was lost.

use std::sync::Arc;

use super::{Queue, places::Place};
use crate::sqs::{
    life::Event,
    message::{Dead, Delivery},
};

/// Messages in flight that a queue allows ("Amazon SQS standard queue quotas" and "Amazon SQS FIFO queue quotas").
pub(super) const MAX_IN_FLIGHT: usize = 120_000;

/// After this many receives a message no longer counts for `ApproximateAgeOfOldestMessage` ("Available CloudWatch metrics for Amazon SQS").
pub(super) const RECEIVES_BEFORE_AGE_SKIPS: u32 = 3;

/// What a receive takes out of the visible messages.
#[derive(Debug, Default)]
pub(in super::super) struct Taken {
    pub deliveries: Vec<Delivery>,
    /// To be handed to the dead-letter queue.
    pub dead: Vec<Dead>,
}

/// The queue holds as many messages in flight as SQS allows.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct OverLimit;

impl Queue {
    /// Receives up to `max` messages for `visibility_seconds`. With `move_dead`, messages that were received as often as the
    /// redrive policy allows leave the queue instead.
    pub fn receive(
        &mut self,
        now: i64,
        max: usize,
        visibility_seconds: u32,
        move_dead: bool,
    ) -> Result<Taken, OverLimit> {
        self.advance(now);
        let limit = match &self.settings.redrive {
            Some(redrive) if move_dead => redrive.max_receive_count,
            _ => u32::MAX,
        };
        let mut taken = Taken::default();
        let mut group: Option<Arc<str>> = None;
        while taken.deliveries.len() < max {
            let Some(sequence) = self.places.next(group.as_deref()) else {
                break;
            };
            let held = self.messages.get(&sequence);
            if held.is_some_and(|held| held.receives_here >= limit) {
                taken.dead.extend(self.take_out(sequence));
                continue;
            }
            if self.places.in_flight() >= MAX_IN_FLIGHT {
                // A FIFO queue returns no error at this limit ("`ReceiveMessage`").
                if self.settings.fifo.is_none()
                    && taken.deliveries.is_empty()
                    && taken.dead.is_empty()
                {
                    return Err(OverLimit);
                }
                break;
            }
            let until = now + i64::from(visibility_seconds) * 1000;
            self.put(sequence, Place::InFlight { since: now, until });
            let delivery = self.count_receive(now, sequence);
            group = delivery
                .as_ref()
                .and_then(|delivery| delivery.content.group_id.clone());
            taken.deliveries.extend(delivery);
        }
        Ok(taken)
    }

    /// Remembers what a receive request attempt got, for [`Self::receive_again`].
    pub fn remember(&mut self, now: i64, attempt: &str, taken: &Taken) {
        let tickets = taken.deliveries.iter().filter_map(|delivery| {
            let held = self.messages.get(&delivery.ticket.sequence)?;
            match held.place {
                Place::InFlight { until, .. } => Some((delivery.ticket, until)),
                _ => None,
            }
        });
        let tickets: Vec<_> = tickets.collect();
        if self.settings.fifo.is_some() && !tickets.is_empty() {
            self.attempts.put(now, attempt.to_owned(), tickets);
        }
    }

    /// What the same receive request attempt got less than five minutes ago, with the same handles and a new visibility timeout.
    /// Nothing if one of its messages was deleted, became visible or got another timeout since
    /// ("`ReceiveMessage`: `ReceiveRequestAttemptId`").
    pub fn receive_again(
        &mut self,
        now: i64,
        attempt: &str,
        visibility_seconds: u32,
    ) -> Option<Taken> {
        self.advance(now);
        let tickets = self.attempts.get(now, attempt)?.clone();
        let mut taken = Taken::default();
        for (ticket, expected) in &tickets {
            let held = self.messages.get(&ticket.sequence)?;
            match held.place {
                Place::InFlight { until, .. }
                    if until == *expected && held.last_receive == ticket.receive => {}
                _ => return None,
            }
            taken.deliveries.push(held.delivery(ticket.sequence, now));
        }
        let until = now + i64::from(visibility_seconds) * 1000;
        for (ticket, _) in tickets {
            self.put(ticket.sequence, Place::InFlight { since: now, until });
        }
        self.remember(now, attempt, &taken);
        Some(taken)
    }

    fn count_receive(&mut self, now: i64, sequence: u64) -> Option<Delivery> {
        self.changes += 1;
        let held = self.messages.get_mut(&sequence)?;
        self.next_receive += 1;
        held.last_receive = self.next_receive;
        held.receive_count += 1;
        held.receives_here += 1;
        held.first_received.get_or_insert(now);
        let event = Event::Received {
            receive_count: held.receive_count,
        };
        self.life.tell(now, held.content.message_id, event);
        if held.receives_here >= RECEIVES_BEFORE_AGE_SKIPS {
            self.young.remove(&sequence);
        }
        Some(held.delivery(sequence, now))
    }
}
