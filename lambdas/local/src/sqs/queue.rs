//! One standard queue as a state machine: every operation takes the time and nothing here waits, locks or does I/O.
//!
//! Every message is in exactly one of three ordered sets (visible, delayed, in flight), so no operation walks the queue.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    message::{Content, Dead, Delivery, Ticket},
    settings::Settings,
};

/// Messages in flight that a standard queue allows ("Amazon SQS standard queue quotas").
const MAX_IN_FLIGHT: usize = 120_000;

/// A message may stay in flight this long in total, however often its timeout is changed ("`ChangeMessageVisibility`").
const MAX_VISIBILITY_MS: i64 = 12 * 60 * 60 * 1000;

/// After this many receives a message no longer counts for `ApproximateAgeOfOldestMessage` ("Available CloudWatch metrics for Amazon SQS").
const RECEIVES_BEFORE_AGE_SKIPS: u32 = 3;

/// Where a message is, with the key of its place in that set (epoch milliseconds).
#[derive(Clone, Copy, Debug)]
enum Place {
    Visible { since: i64 },
    Delayed { until: i64 },
    InFlight { since: i64, until: i64 },
}

#[derive(Debug)]
struct Held {
    content: Arc<Content>,
    place: Place,
    arrived_at: i64,
    /// Across all queues, as consumers see it.
    receive_count: u32,
    /// In this queue alone, as the redrive policy counts.
    receives_here: u32,
    first_received: Option<i64>,
    last_receive: u64,
    dead_letter_source: Option<String>,
}

/// How many messages are where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Depth {
    pub visible: usize,
    pub delayed: usize,
    pub in_flight: usize,
    /// Milliseconds since the oldest message that is still young in receives arrived.
    pub oldest_age_ms: Option<i64>,
}

/// What a receive takes out of the visible messages.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub deliveries: Vec<Delivery>,
    /// To be handed to the dead-letter queue.
    pub dead: Vec<Dead>,
}

/// The queue holds as many messages in flight as SQS allows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OverLimit;

/// Why a visibility timeout was not changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotChanged {
    /// No such message, or the handle is of an older receive.
    Unknown,
    /// It is visible already.
    NotInFlight,
    /// It would be in flight for more than twelve hours in total.
    BeyondLimit,
}

#[derive(Debug)]
pub(super) struct Queue {
    pub settings: Settings,
    messages: BTreeMap<u64, Held>,
    /// (visible since, sequence)
    visible: BTreeSet<(i64, u64)>,
    /// (visible from, sequence)
    delayed: BTreeSet<(i64, u64)>,
    /// (visible again from, sequence)
    in_flight: BTreeSet<(i64, u64)>,
    /// (sent at, sequence): what expires next.
    by_age: BTreeSet<(i64, u64)>,
    /// Messages in order of arrival that were received fewer than three times.
    young: BTreeSet<u64>,
    next_sequence: u64,
    next_receive: u64,
}

impl Queue {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            messages: BTreeMap::new(),
            visible: BTreeSet::new(),
            delayed: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            by_age: BTreeSet::new(),
            young: BTreeSet::new(),
            next_sequence: 0,
            next_receive: 0,
        }
    }

    /// Takes in a new message, after its own delay or the queue's.
    pub fn send(&mut self, now: i64, content: Content, delay_seconds: Option<u32>) {
        let delay = i64::from(delay_seconds.unwrap_or(self.settings.delay_seconds)) * 1000;
        let place = if delay == 0 {
            Place::Visible { since: now }
        } else {
            Place::Delayed { until: now + delay }
        };
        self.hold(Held {
            content: Arc::new(content),
            place,
            arrived_at: now,
            receive_count: 0,
            receives_here: 0,
            first_received: None,
            last_receive: 0,
            dead_letter_source: None,
        });
    }

    /// Takes in what another queue's redrive policy moved here: id, enqueue time, attributes and receive count stay.
    pub fn accept(&mut self, now: i64, dead: Dead, source_arn: &str) {
        self.hold(Held {
            content: dead.content,
            place: Place::Visible { since: now },
            arrived_at: now,
            receive_count: dead.receive_count,
            receives_here: 0,
            first_received: dead.first_received,
            last_receive: 0,
            dead_letter_source: Some(source_arn.to_owned()),
        });
    }

    /// Brings the sets up to `now`: delays and timeouts end, old messages expire. Returns how many expired.
    pub fn advance(&mut self, now: i64) -> usize {
        while let Some(&(until, sequence)) = self.delayed.first()
            && until <= now
        {
            self.put(sequence, Place::Visible { since: until });
        }
        while let Some(&(until, sequence)) = self.in_flight.first()
            && until <= now
        {
            self.put(sequence, Place::Visible { since: until });
        }
        let mut expired = 0;
        let retention = i64::from(self.settings.retention_seconds) * 1000;
        while let Some(&(sent_at, sequence)) = self.by_age.first()
            && sent_at + retention <= now
        {
            self.remove(sequence);
            expired += 1;
        }
        expired
    }

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
        while taken.deliveries.len() < max {
            let Some(&(_, sequence)) = self.visible.first() else {
                break;
            };
            let exhausted = self
                .messages
                .get(&sequence)
                .is_some_and(|held| held.receives_here >= limit);
            if exhausted {
                taken.dead.extend(self.remove(sequence).map(|held| Dead {
                    content: held.content,
                    receive_count: held.receive_count,
                    first_received: held.first_received,
                }));
                continue;
            }
            if self.in_flight.len() >= MAX_IN_FLIGHT {
                if taken.deliveries.is_empty() && taken.dead.is_empty() {
                    return Err(OverLimit);
                }
                break;
            }
            let until = now + i64::from(visibility_seconds) * 1000;
            self.put(sequence, Place::InFlight { since: now, until });
            taken.deliveries.extend(self.count_receive(now, sequence));
        }
        Ok(taken)
    }

    /// Deletes the message if the ticket is of its latest receive. An older ticket, or one of a deleted message, changes nothing.
    pub fn delete(&mut self, ticket: Ticket) -> bool {
        let current = self
            .messages
            .get(&ticket.sequence)
            .is_some_and(|held| held.last_receive == ticket.receive);
        current && self.remove(ticket.sequence).is_some()
    }

    /// Makes a message in flight visible `seconds` from now.
    pub fn change_visibility(
        &mut self,
        now: i64,
        ticket: Ticket,
        seconds: u32,
    ) -> Result<(), NotChanged> {
        self.advance(now);
        let held = self
            .messages
            .get(&ticket.sequence)
            .filter(|held| held.last_receive == ticket.receive)
            .ok_or(NotChanged::Unknown)?;
        let Place::InFlight { since, .. } = held.place else {
            return Err(NotChanged::NotInFlight);
        };
        let until = now + i64::from(seconds) * 1000;
        if until - since > MAX_VISIBILITY_MS {
            return Err(NotChanged::BeyondLimit);
        }
        let place = if seconds == 0 {
            Place::Visible { since: now }
        } else {
            Place::InFlight { since, until }
        };
        self.put(ticket.sequence, place);
        Ok(())
    }

    /// Forgets every message, in flight ones too. Returns how many there were.
    pub fn purge(&mut self) -> usize {
        let count = self.messages.len();
        self.messages.clear();
        self.visible.clear();
        self.delayed.clear();
        self.in_flight.clear();
        self.by_age.clear();
        self.young.clear();
        count
    }

    pub fn depth(&mut self, now: i64) -> Depth {
        self.advance(now);
        let oldest = self
            .young
            .first()
            .and_then(|sequence| self.messages.get(sequence));
        Depth {
            visible: self.visible.len(),
            delayed: self.delayed.len(),
            in_flight: self.in_flight.len(),
            oldest_age_ms: oldest.map(|held| now - held.arrived_at),
        }
    }

    /// When the next message becomes visible by itself (epoch milliseconds).
    pub fn next_change(&self) -> Option<i64> {
        let delayed = self.delayed.first().map(|&(until, _)| until);
        let in_flight = self.in_flight.first().map(|&(until, _)| until);
        delayed.into_iter().chain(in_flight).min()
    }

    fn hold(&mut self, held: Held) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.by_age.insert((held.content.sent_at, sequence));
        self.young.insert(sequence);
        let place = held.place;
        self.messages.insert(sequence, held);
        self.enter(sequence, place);
    }

    fn put(&mut self, sequence: u64, place: Place) {
        if let Some(held) = self.messages.get_mut(&sequence) {
            let old = std::mem::replace(&mut held.place, place);
            self.leave(sequence, old);
            self.enter(sequence, place);
        }
    }

    fn remove(&mut self, sequence: u64) -> Option<Held> {
        let held = self.messages.remove(&sequence)?;
        self.leave(sequence, held.place);
        self.by_age.remove(&(held.content.sent_at, sequence));
        self.young.remove(&sequence);
        Some(held)
    }

    fn count_receive(&mut self, now: i64, sequence: u64) -> Option<Delivery> {
        let held = self.messages.get_mut(&sequence)?;
        self.next_receive += 1;
        held.last_receive = self.next_receive;
        held.receive_count += 1;
        held.receives_here += 1;
        if held.receives_here >= RECEIVES_BEFORE_AGE_SKIPS {
            self.young.remove(&sequence);
        }
        Some(Delivery {
            content: Arc::clone(&held.content),
            ticket: Ticket {
                sequence,
                receive: held.last_receive,
            },
            receive_count: held.receive_count,
            first_received: *held.first_received.get_or_insert(now),
            dead_letter_source: held.dead_letter_source.clone(),
        })
    }

    fn enter(&mut self, sequence: u64, place: Place) {
        match place {
            Place::Visible { since } => self.visible.insert((since, sequence)),
            Place::Delayed { until } => self.delayed.insert((until, sequence)),
            Place::InFlight { until, .. } => self.in_flight.insert((until, sequence)),
        };
    }

    fn leave(&mut self, sequence: u64, place: Place) {
        match place {
            Place::Visible { since } => self.visible.remove(&(since, sequence)),
            Place::Delayed { until } => self.delayed.remove(&(until, sequence)),
            Place::InFlight { until, .. } => self.in_flight.remove(&(until, sequence)),
        };
    }
}

#[cfg(test)]
mod tests;
