//! Message groups of a FIFO queue: strict order inside a group, and one consumer of it at a time
//! ("FIFO delivery logic" in the Amazon SQS developer guide).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::places::Place;

#[derive(Debug, Default)]
struct Group {
    visible: BTreeSet<u64>,
    delayed: BTreeSet<u64>,
    in_flight: usize,
}

impl Group {
    /// The message to be delivered next, unless an earlier one is still delayed.
    fn head(&self) -> Option<u64> {
        let head = *self.visible.first()?;
        let overtakes = self.delayed.first().is_some_and(|delayed| *delayed < head);
        (!overtakes).then_some(head)
    }

    /// Its head, if no consumer holds a message of it.
    fn ready(&self) -> Option<u64> {
        self.head().filter(|_| self.in_flight == 0)
    }
}

#[derive(Debug, Default)]
pub(super) struct Groups {
    by_id: HashMap<Arc<str>, Group>,
    /// Heads of the groups that may be received from, oldest first.
    ready: BTreeSet<u64>,
}

impl Groups {
    pub fn enter(&mut self, id: &Arc<str>, sequence: u64, place: Place) {
        self.change(id, |group| match place {
            Place::Visible { .. } => _ = group.visible.insert(sequence),
            Place::Delayed { .. } => _ = group.delayed.insert(sequence),
            Place::InFlight { .. } => group.in_flight += 1,
        });
    }

    pub fn leave(&mut self, id: &Arc<str>, sequence: u64, place: Place) {
        self.change(id, |group| match place {
            Place::Visible { .. } => _ = group.visible.remove(&sequence),
            Place::Delayed { .. } => _ = group.delayed.remove(&sequence),
            Place::InFlight { .. } => group.in_flight -= 1,
        });
    }

    /// What a receive takes next: more of the group it is already in, otherwise from the oldest group that nobody holds.
    pub fn next(&self, current: Option<&str>) -> Option<u64> {
        current
            .and_then(|id| self.by_id.get(id))
            .and_then(Group::head)
            .or_else(|| self.ready.first().copied())
    }

    pub fn clear(&mut self) {
        self.by_id.clear();
        self.ready.clear();
    }

    fn change(&mut self, id: &Arc<str>, apply: impl FnOnce(&mut Group)) {
        let group = self.by_id.entry(Arc::clone(id)).or_default();
        if let Some(before) = group.ready() {
            self.ready.remove(&before);
        }
        apply(group);
        if let Some(after) = group.ready() {
            self.ready.insert(after);
        }
        if group.in_flight == 0 && group.visible.is_empty() && group.delayed.is_empty() {
            self.by_id.remove(id);
        }
    }
}
