//! What became of the events of one redrive, by the witness alone.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::account::{Line, Route};
use super::events::{Event, sum};

/// The figures of one redrive.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Events in the dead-letter queue before.
    pub events: usize,
    /// Gone from there, and no copy at the target.
    pub lost: usize,
    /// Copies that no event was, or with other attributes or trace header.
    pub altered: usize,
    /// Deleted before the first copy was at the target.
    pub early: usize,
    /// Arrived first after a later one of their message group had.
    pub reordered: usize,
    /// Still in the dead-letter queue.
    pub left: usize,
    /// Copies beyond the first: the event's message id, and when the copy before it arrived.
    pub duplicates: Vec<(String, i64)>,
}

struct Original<'a> {
    line: &'a Line,
    deleted: Option<u64>,
    /// When and where in the log its copies arrived.
    copies: Vec<(i64, u64)>,
}

impl Verdict {
    /// Of a redrive of `events`, from all that was told since they were sent.
    pub fn of(lines: &[Line], route: Route, events: &[Event]) -> Self {
        Self::between(lines, route.dead_letters(), route.target(), events)
    }

    /// Of taking `events` back that a redrive had sent, from all that was told since before that redrive.
    pub fn back(lines: &[Line], route: Route, events: &[Event]) -> Self {
        Self::between(lines, route.target(), route.dead_letters(), events)
    }

    fn between(lines: &[Line], from: &str, to: &str, events: &[Event]) -> Self {
        let arrives: HashMap<_, _> = events
            .iter()
            .map(|event| (sum(&event.body), sum(&event.payload)))
            .collect();
        let mut originals = HashMap::new();
        let mut by_payload = HashMap::new();
        let mut verdict = Self::default();
        for line in lines {
            let queue = line.queue.as_deref();
            match (line.event.as_str(), &line.message_id) {
                ("sent", Some(id)) if queue == Some(from) => {
                    let payload = &arrives[line.body.as_ref().unwrap()];
                    by_payload.insert(payload, id);
                    let original = Original {
                        line,
                        deleted: None,
                        copies: Vec::new(),
                    };
                    assert!(originals.insert(id, original).is_none());
                }
                ("deleted", Some(id)) if queue == Some(from) => {
                    if let Some(original) = originals.get_mut(id) {
                        original.deleted = Some(line.n);
                    }
                }
                ("sent" | "accepted", _) if queue.or(line.function.as_deref()) == Some(to) => {
                    let payload = line.body.as_ref().or(line.payload.as_ref()).unwrap();
                    let original = by_payload
                        .get(payload)
                        .and_then(|id| originals.get_mut(*id));
                    match original {
                        // A function gets the payload alone.
                        Some(original) if line.function.is_some() || same(original.line, line) => {
                            original.copies.push((line.at, line.n));
                        }
                        _ => verdict.altered += 1,
                    }
                }
                _ => {}
            }
        }
        verdict.events = originals.len();
        let mut newest = HashMap::new();
        for event in events {
            let original = by_payload.get(&event.sum()).map(|id| &originals[*id]);
            let first = original.and_then(|original| original.copies.first());
            if let (Some(group), Some((_, first))) = (&event.group, first) {
                let newest = newest.entry(group).or_insert(*first);
                verdict.reordered += usize::from(*newest > *first);
                *newest = (*newest).max(*first);
            }
        }
        for (
            id,
            Original {
                deleted, copies, ..
            },
        ) in originals
        {
            match (deleted, copies.first()) {
                (None, _) => verdict.left += 1,
                (Some(_), None) => verdict.lost += 1,
                (Some(deleted), Some((_, first))) => {
                    verdict.early += usize::from(deleted < *first);
                }
            }
            let again = copies.iter().skip(1).zip(&copies);
            let again = again.map(|(_, (before, _))| (id.clone(), *before));
            verdict.duplicates.extend(again);
        }
        verdict
    }

    /// Events that went more than once and are not in the list.
    pub fn unlisted(&self, doubts: &HashSet<String>) -> usize {
        let twice: HashSet<_> = self.duplicates.iter().map(|(id, _)| id).collect();
        twice.iter().filter(|id| !doubts.contains(**id)).count()
    }

    /// Duplicates that each life of the daemon left, given when each but the last ended.
    pub fn by_life(&self, ends: &[i64]) -> Vec<usize> {
        let mut lives = vec![0; ends.len() + 1];
        for (_, before) in &self.duplicates {
            lives[ends.partition_point(|end| end <= before)] += 1;
        }
        lives
    }

    /// What must hold of every redrive, whatever happens to it.
    pub fn must_hold(&self, doubts: &HashSet<String>, about: &dyn fmt::Display) {
        let Self {
            lost,
            altered,
            early,
            reordered,
            ..
        } = self;
        let unlisted = self.unlisted(doubts);
        assert_eq!(
            (*lost, *altered, *early, *reordered, unlisted),
            (0, 0, 0, 0, 0),
            "lost, altered, deleted early, reordered, doubled without being listed: {about}: {self}"
        );
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            events,
            lost,
            altered,
            early,
            reordered,
            left,
            duplicates,
        } = self;
        write!(
            f,
            "{events} events, lost {lost}, altered {altered}, deleted early {early}, reordered {reordered}, left {left}, duplicates {}",
            duplicates.len()
        )
    }
}

fn same(one: &Line, other: &Line) -> bool {
    one.attributes == other.attributes && one.trace_header == other.trace_header
}
