//! Log lines in memory, bounded by group.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Lines that one group keeps.
const MAX_EVENTS: usize = 50_000;

/// Bytes of text that one group keeps.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Longest line in bytes, as on AWS ("CloudWatch Logs quotas: Log event size").
const MAX_LINE: usize = 1_048_576;

#[derive(Debug, Default)]
pub(super) struct Store {
    pub groups: BTreeMap<String, Group>,
    next_id: u64,
}

#[derive(Debug)]
pub(super) struct Group {
    /// Epoch milliseconds.
    pub created_at: i64,
    /// In order of arrival.
    pub events: VecDeque<Event>,
    pub streams: BTreeMap<Arc<str>, Stream>,
    pub bytes: usize,
}

/// A stream lives as long as one of its lines is kept.
#[derive(Debug)]
pub(super) struct Stream {
    pub created_at: i64,
    pub last_at: i64,
    kept: usize,
}

#[derive(Debug)]
pub(super) struct Event {
    pub id: u64,
    pub stream: Arc<str>,
    /// Epoch milliseconds.
    pub at: i64,
    pub message: String,
}

impl Store {
    pub fn append(&mut self, now: i64, group: &str, stream: &str, message: &str) {
        self.next_id += 1;
        let id = self.next_id;
        if !self.groups.contains_key(group) {
            self.groups.insert(group.to_owned(), Group::new(now));
        }
        if let Some(group) = self.groups.get_mut(group) {
            group.append(now, id, stream, shortened(message));
            group.make_room();
        }
    }
}

impl Group {
    fn new(now: i64) -> Self {
        Self {
            created_at: now,
            events: VecDeque::new(),
            streams: BTreeMap::new(),
            bytes: 0,
        }
    }

    fn append(&mut self, now: i64, id: u64, stream: &str, message: &str) {
        let name = match self.streams.get_key_value(stream) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(stream),
        };
        let entry = self.streams.entry(Arc::clone(&name)).or_insert(Stream {
            created_at: now,
            last_at: now,
            kept: 0,
        });
        entry.last_at = now;
        entry.kept += 1;
        self.bytes += message.len();
        self.events.push_back(Event {
            id,
            stream: name,
            at: now,
            message: message.to_owned(),
        });
    }

    fn make_room(&mut self) {
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.events.pop_front() else {
                return;
            };
            self.bytes -= oldest.message.len();
            if let Some(stream) = self.streams.get_mut(&oldest.stream) {
                stream.kept -= 1;
                if stream.kept == 0 {
                    self.streams.remove(&oldest.stream);
                }
            }
        }
    }
}

/// The start of a line that is too long, cut between characters.
fn shortened(message: &str) -> &str {
    let mut end = message.len().min(MAX_LINE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.get(..end).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_group_keeps_its_newest_lines_and_their_streams() {
        let mut store = Store::default();
        store.append(0, "g", "old", "first");
        for number in 0..MAX_EVENTS {
            store.append(1, "g", "new", &number.to_string());
        }
        let group = &store.groups["g"];
        assert_eq!(group.events.len(), MAX_EVENTS);
        assert_eq!(
            group
                .streams
                .keys()
                .map(AsRef::as_ref)
                .collect::<Vec<&str>>(),
            ["new"]
        );
        assert_eq!(
            group.bytes,
            group
                .events
                .iter()
                .map(|event| event.message.len())
                .sum::<usize>()
        );
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let line = "é".repeat(MAX_LINE);
        assert_eq!(shortened(&line).len(), MAX_LINE);
        let odd = format!("x{line}");
        assert_eq!(shortened(&odd).len(), MAX_LINE - 1);
    }
}
