//! One queue as a state machine: every operation takes the time, and nothing here waits. What happens to a message is told to
//! the witness, if there is one.

mod arrive;
mod groups;
mod kept;
mod places;
mod receive;
mod recent;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use uuid::Uuid;

pub(super) use self::kept::{Deduplicated, Kept, Message, Shape};
pub(super) use self::receive::{OverLimit, Taken};
use self::{
    places::{Place, Places},
    recent::Recent,
};
use super::{
    life::{Event, Life},
    message::{Accepted, Content, Dead, Delivery, Ticket},
    settings::Settings,
};

/// A message may stay in flight this long in total, however often its timeout is changed ("`ChangeMessageVisibility`").
const MAX_VISIBILITY_MS: i64 = 12 * 60 * 60 * 1000;

#[derive(Clone, Debug)]
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
    dead_letter_source: Option<Arc<str>>,
}

impl Held {
    /// A redrive policy moved it here, and its retention goes on from the original send.
    fn is_sent_earlier(&self) -> bool {
        self.content.sent_at < self.arrived_at
    }

    fn delivery(&self, sequence: u64, now: i64) -> Delivery {
        Delivery {
            content: Arc::clone(&self.content),
            ticket: Ticket {
                sequence,
                receive: self.last_receive,
            },
            receive_count: self.receive_count,
            first_received: self.first_received.unwrap_or(now),
            dead_letter_source: self.dead_letter_source.clone(),
        }
    }
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
    settings: Settings,
    /// By sequence, which is the order of arrival. Boxed, because the nodes of a tree that only grows at its end are half empty.
    messages: BTreeMap<u64, Box<Held>>,
    places: Places,
    /// (sent at, sequence) of the messages that were sent before they arrived here.
    sent_earlier: BTreeSet<(i64, u64)>,
    /// Messages in order of arrival that were received fewer than three times.
    young: BTreeSet<u64>,
    /// FIFO: what was accepted under a deduplication id, by it and, if the scope is the group, the group.
    accepted: Recent<(Option<Arc<str>>, Box<str>), Accepted>,
    /// FIFO: what a receive request attempt got, each with the end of its visibility timeout.
    attempts: Recent<String, Vec<(Ticket, i64)>>,
    next_sequence: u64,
    next_receive: u64,
    /// Grows with each change of what is kept across runs.
    changes: u64,
    life: Life,
}

impl Queue {
    pub fn new(settings: Settings, life: Life) -> Self {
        Self {
            life,
            messages: BTreeMap::new(),
            places: Places::new(settings.fifo.is_some()),
            sent_earlier: BTreeSet::new(),
            young: BTreeSet::new(),
            accepted: Recent::new(),
            attempts: Recent::new(),
            next_sequence: 0,
            next_receive: 0,
            changes: 0,
            settings,
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes new settings. In a FIFO queue another delay holds for the messages that are there too ("Amazon SQS delay queues").
    pub fn configure(&mut self, now: i64, settings: Settings) {
        self.advance(now);
        self.changes += 1;
        let delay = i64::from(settings.delay_seconds) * 1000;
        let retroactive =
            settings.fifo.is_some() && settings.delay_seconds != self.settings.delay_seconds;
        self.settings = settings;
        if !retroactive {
            return;
        }
        let waiting = self
            .messages
            .iter()
            .filter(|(_, held)| held.receives_here == 0);
        let places: Vec<_> = waiting
            .map(|(&sequence, held)| (sequence, Place::from(now, held.arrived_at + delay)))
            .collect();
        for (sequence, place) in places {
            self.put(sequence, place);
        }
    }

    /// Brings the sets up to `now`: delays and timeouts end, old messages expire. Returns how many expired.
    pub fn advance(&mut self, now: i64) -> usize {
        while let Some((until, sequence)) = self.places.ended(now) {
            self.put(sequence, Place::Visible { since: until });
        }
        let mut expired = 0;
        let retention = i64::from(self.settings.retention_seconds) * 1000;
        while let Some((sent_at, sequence)) = self.oldest()
            && sent_at + retention <= now
        {
            if let Some(held) = self.remove(sequence) {
                let id = held.content.message_id;
                self.life.tell(now, id, Event::Expired);
            }
            expired += 1;
        }
        expired
    }

    /// Deletes the message if the ticket is of its latest receive. An older ticket, or one of a deleted message, changes nothing.
    pub fn delete(&mut self, now: i64, ticket: Ticket) -> bool {
        let current = self
            .messages
            .get(&ticket.sequence)
            .is_some_and(|held| held.last_receive == ticket.receive);
        let deleted = current.then(|| self.remove(ticket.sequence)).flatten();
        if let Some(held) = &deleted {
            let id = held.content.message_id;
            self.life.tell(now, id, Event::Deleted);
        }
        deleted.is_some()
    }

    /// Whether the receive that the ticket stands for no longer holds its message, which is still here.
    pub fn has_expired(&mut self, now: i64, ticket: Ticket) -> bool {
        self.advance(now);
        self.messages.get(&ticket.sequence).is_some_and(|held| {
            held.last_receive != ticket.receive || !matches!(held.place, Place::InFlight { .. })
        })
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
    pub fn purge(&mut self, now: i64) -> usize {
        self.changes += 1;
        let count = self.messages.len();
        for held in self.messages.values() {
            let id = held.content.message_id;
            self.life.tell(now, id, Event::Purged);
        }
        self.messages.clear();
        self.places.clear();
        self.sent_earlier.clear();
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
            visible: self.places.visible(),
            delayed: self.places.delayed(),
            in_flight: self.places.in_flight(),
            oldest_age_ms: oldest.map(|held| now - held.arrived_at),
        }
    }

    /// When the next message becomes visible by itself (epoch milliseconds).
    pub fn next_change(&self) -> Option<i64> {
        self.places.next_change()
    }

    fn hold(&mut self, held: Held) {
        self.changes += 1;
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if held.is_sent_earlier() {
            self.sent_earlier.insert((held.content.sent_at, sequence));
        }
        self.young.insert(sequence);
        self.places
            .enter(sequence, held.place, held.content.group_id.as_ref());
        self.messages.insert(sequence, Box::new(held));
    }

    fn put(&mut self, sequence: u64, place: Place) {
        self.changes += 1;
        if let Some(held) = self.messages.get_mut(&sequence) {
            let old = std::mem::replace(&mut held.place, place);
            let group = held.content.group_id.as_ref();
            self.places.leave(sequence, old, group);
            self.places.enter(sequence, place, group);
        }
    }

    /// When the message that was sent first was sent, and its sequence.
    fn oldest(&self) -> Option<(i64, u64)> {
        // All that were sent right here are in order, and no older than what arrived before them.
        let first = self.messages.first_key_value();
        let first = first.map(|(&sequence, held)| (held.content.sent_at, sequence));
        self.sent_earlier
            .first()
            .copied()
            .into_iter()
            .chain(first)
            .min()
    }

    fn remove(&mut self, sequence: u64) -> Option<Box<Held>> {
        let held = self.messages.remove(&sequence)?;
        self.changes += 1;
        self.places
            .leave(sequence, held.place, held.content.group_id.as_ref());
        if held.is_sent_earlier() {
            self.sent_earlier.remove(&(held.content.sent_at, sequence));
        }
        self.young.remove(&sequence);
        Some(held)
    }

    /// The oldest message that can be received, and the queue whose redrive policy moved it here.
    pub fn next_to_move(&mut self, now: i64) -> Option<(u64, Option<String>)> {
        self.advance(now);
        let sequence = self.places.next(None)?;
        let source = &self.messages.get(&sequence)?.dead_letter_source;
        Some((sequence, source.as_deref().map(str::to_owned)))
    }

    /// Takes a message away without a receive.
    pub fn take_out(&mut self, sequence: u64) -> Option<Dead> {
        self.remove(sequence).map(|held| Dead {
            content: held.content,
            receive_count: held.receive_count,
            first_received: held.first_received,
        })
    }

    /// Tells the witness that a message which was taken out is in the queue `to` now.
    pub fn moved(&self, now: i64, message_id: Uuid, to: &str, new_message_id: Option<Uuid>) {
        let new_message_id = new_message_id.map(|id| id.to_string());
        let event = Event::Moved { to, new_message_id };
        self.life.tell(now, message_id, event);
    }
}

#[cfg(test)]
mod tests;
