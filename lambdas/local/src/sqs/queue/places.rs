//! Where the messages of a queue are. Every message is in exactly one of three ordered sets, so no operation walks the queue.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use super::groups::Groups;

/// Where a message is, with the key of its place in that set (epoch milliseconds).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Place {
    Visible { since: i64 },
    Delayed { until: i64 },
    InFlight { since: i64, until: i64 },
}

impl Place {
    /// Of a message that is to be seen from `until` on.
    pub fn from(now: i64, until: i64) -> Self {
        if until <= now {
            Self::Visible { since: now }
        } else {
            Self::Delayed { until }
        }
    }
}

#[derive(Debug)]
pub(super) struct Places {
    /// (visible since, sequence)
    visible: BTreeSet<(i64, u64)>,
    /// (visible from, sequence)
    delayed: BTreeSet<(i64, u64)>,
    /// (visible again from, sequence)
    in_flight: BTreeSet<(i64, u64)>,
    /// FIFO queues only: what may be received next.
    groups: Option<Groups>,
}

impl Places {
    pub fn new(fifo: bool) -> Self {
        Self {
            visible: BTreeSet::new(),
            delayed: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            groups: fifo.then(Groups::default),
        }
    }

    pub fn enter(&mut self, sequence: u64, place: Place, group: Option<&Arc<str>>) {
        match place {
            Place::Visible { since } => self.visible.insert((since, sequence)),
            Place::Delayed { until } => self.delayed.insert((until, sequence)),
            Place::InFlight { until, .. } => self.in_flight.insert((until, sequence)),
        };
        if let (Some(groups), Some(group)) = (&mut self.groups, group) {
            groups.enter(group, sequence, place);
        }
    }

    pub fn leave(&mut self, sequence: u64, place: Place, group: Option<&Arc<str>>) {
        match place {
            Place::Visible { since } => self.visible.remove(&(since, sequence)),
            Place::Delayed { until } => self.delayed.remove(&(until, sequence)),
            Place::InFlight { until, .. } => self.in_flight.remove(&(until, sequence)),
        };
        if let (Some(groups), Some(group)) = (&mut self.groups, group) {
            groups.leave(group, sequence, place);
        }
    }

    /// The message to be received next, by a receive whose latest message is of the group `current`.
    pub fn next(&self, current: Option<&str>) -> Option<u64> {
        match &self.groups {
            Some(groups) => groups.next(current),
            None => self.visible.first().map(|&(_, sequence)| sequence),
        }
    }

    /// A message whose delay or timeout has ended, and when it did.
    pub fn ended(&self, now: i64) -> Option<(i64, u64)> {
        [self.delayed.first(), self.in_flight.first()]
            .into_iter()
            .flatten()
            .find(|(until, _)| *until <= now)
            .copied()
    }

    /// When the next message becomes visible by itself (epoch milliseconds).
    pub fn next_change(&self) -> Option<i64> {
        [self.delayed.first(), self.in_flight.first()]
            .into_iter()
            .flatten()
            .map(|&(until, _)| until)
            .min()
    }

    pub fn visible(&self) -> usize {
        self.visible.len()
    }

    pub fn delayed(&self) -> usize {
        self.delayed.len()
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub fn clear(&mut self) {
        self.visible.clear();
        self.delayed.clear();
        self.in_flight.clear();
        if let Some(groups) = &mut self.groups {
            groups.clear();
        }
    }
}
