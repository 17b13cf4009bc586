//! What a FIFO queue remembers for a while: deduplication ids and receive request attempts.

use std::{
    borrow::Borrow,
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// Both the deduplication interval and the time in which a receive can be repeated
/// ("Exactly-once processing in Amazon SQS" and "`ReceiveMessage`: `ReceiveRequestAttemptId`").
const WINDOW_MS: i64 = 5 * 60 * 1000;

/// Values that are forgotten five minutes after they were put in.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    values: HashMap<K, (i64, V)>,
    /// In order of time. A value that was replaced is here twice; its older entry then removes nothing.
    order: VecDeque<(i64, K)>,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    pub fn new() -> Self {
        Self {
            values: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    pub fn get<Q: Eq + Hash + ?Sized>(&mut self, now: i64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.forget(now);
        self.values.get(key).map(|(_, value)| value)
    }

    pub fn put(&mut self, now: i64, key: K, value: V) {
        self.forget(now);
        self.order.push_back((now, key.clone()));
        self.values.insert(key, (now, value));
    }

    /// All values with the times they were put in, in that order.
    pub fn all(&self) -> impl Iterator<Item = (i64, &K, &V)> {
        self.order.iter().filter_map(|(at, key)| {
            let (latest, value) = self.values.get(key)?;
            (latest == at).then_some((*at, key, value))
        })
    }

    fn forget(&mut self, now: i64) {
        while let Some((at, key)) = self.order.pop_front_if(|(at, _)| *at + WINDOW_MS <= now) {
            if self
                .values
                .get(&key)
                .is_some_and(|(latest, _)| *latest == at)
            {
                self.values.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_forgotten_five_minutes_after_its_latest_put() {
        let mut recent = Recent::new();
        recent.put(0, "a".to_owned(), 1);
        recent.put(0, "b".to_owned(), 1);
        recent.put(1_000, "a".to_owned(), 2);
        assert_eq!(recent.get(299_999, "b"), Some(&1));
        assert_eq!(recent.get(300_000, "b"), None);
        assert_eq!(recent.get(300_999, "a"), Some(&2));
        assert_eq!(recent.get(301_000, "a"), None);
        assert!(recent.values.is_empty() && recent.order.is_empty());
    }
}
