//! What is kept: buckets by series, unit and minute, bounded in age and in memory.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
};

use serde::{Deserialize, Serialize};

use super::bucket::Bucket;

/// AWS keeps one-minute figures for 15 days ("`GetMetricData`").
const KEPT_MINUTES: i64 = 15 * 24 * 60;

/// About how much memory the figures of the services may take, and those of clients as much again, so that neither crowds the other
/// out. A few dozen queues and functions fill it in about a day; then the oldest minutes go.
pub(super) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The last hour stays however full it is: then new figures are not taken in.
const ALWAYS_KEPT_MINUTES: i64 = 60;

/// About what one minute of one series takes beside its spread.
const BUCKET_BYTES: usize = 128;

/// Figures by minute since the epoch.
pub(super) type Minutes = BTreeMap<i64, Bucket>;

/// What a figure is of; dimensions are sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Series {
    pub namespace: Cow<'static, str>,
    pub metric: Cow<'static, str>,
    pub dimensions: Vec<(String, String)>,
}

impl Series {
    pub fn new(
        namespace: impl Into<Cow<'static, str>>,
        metric: impl Into<Cow<'static, str>>,
        dimensions: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut dimensions: Vec<_> = dimensions.into_iter().collect();
        dimensions.sort();
        Self {
            namespace: namespace.into(),
            metric: metric.into(),
            dimensions,
        }
    }

    fn is_of_a_service(&self) -> bool {
        self.namespace.starts_with("AWS/")
    }

    fn bytes(&self) -> usize {
        let dimensions = self.dimensions.iter();
        let dimensions: usize = dimensions
            .map(|(name, value)| 48 + name.len() + value.len())
            .sum();
        BUCKET_BYTES + self.namespace.len() + self.metric.len() + dimensions
    }
}

/// All figures.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// Of `AWS/SQS` and `AWS/Lambda`.
    pub services: Part,
    /// What clients publish.
    pub clients: Part,
}

impl Store {
    fn part(&self, series: &Series) -> &Part {
        if series.is_of_a_service() {
            &self.services
        } else {
            &self.clients
        }
    }

    /// The figures of a series by unit: all of them, or those of one unit.
    pub fn minutes<'a>(
        &'a self,
        series: &Series,
        unit: Option<&'a str>,
    ) -> impl Iterator<Item = (&'static str, &'a Minutes)> {
        self.part(series).minutes(series, unit)
    }

    /// The series after `last`, or all, those of the services first; each with its newest minute.
    pub fn after(&self, last: Option<&Series>) -> impl Iterator<Item = (&Series, i64)> {
        let (services, clients) = match last {
            Some(last) if !last.is_of_a_service() => (None, Some(last)),
            last => (Some(self.services.after(last)), None),
        };
        services
            .into_iter()
            .flatten()
            .chain(self.clients.after(clients))
    }
}

/// The figures of one kind of publisher.
#[derive(Debug, Default)]
pub(super) struct Part {
    series: BTreeMap<Series, BTreeMap<&'static str, Minutes>>,
    bytes: usize,
    /// Minute in which figures were last looked through for their age.
    expired_at: i64,
    /// Minute in which nothing more could be made to go.
    full_at: Option<i64>,
}

impl Part {
    pub fn change(
        &mut self,
        series: Series,
        unit: &'static str,
        minute: i64,
        change: impl FnOnce(&mut Bucket),
    ) {
        let units = match self.series.entry(series) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                self.bytes += entry.key().bytes();
                entry.insert(BTreeMap::new())
            }
        };
        let bucket = match units.entry(unit).or_default().entry(minute) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                self.bytes += BUCKET_BYTES;
                entry.insert(Bucket::default())
            }
        };
        let before = bucket.spread_bytes();
        change(bucket);
        self.bytes = (self.bytes + bucket.spread_bytes()).saturating_sub(before);
    }

    fn minutes<'a>(
        &'a self,
        series: &Series,
        unit: Option<&'a str>,
    ) -> impl Iterator<Item = (&'static str, &'a Minutes)> {
        let units = self.series.get(series).into_iter().flatten();
        units
            .map(|(name, minutes)| (*name, minutes))
            .filter(move |(name, _)| unit.is_none_or(|unit| unit == *name))
    }

    fn after(&self, last: Option<&Series>) -> impl Iterator<Item = (&Series, i64)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = last.map_or(Unbounded, Excluded);
        self.series
            .range::<Series, _>((from, Unbounded))
            .filter_map(|(series, units)| {
                let newest = units
                    .values()
                    .filter_map(|minutes| minutes.last_key_value());
                Some((series, *newest.map(|(minute, _)| minute).max()?))
            })
    }

    /// Lets go what is too old, once a minute.
    pub fn expire(&mut self, now: i64) {
        if now > self.expired_at {
            self.expired_at = now;
            self.forget_before(now - KEPT_MINUTES);
        }
    }

    /// Whether there is room below `limit`, after the oldest minutes have gone if that is what it takes.
    pub fn has_room(&mut self, now: i64, limit: usize) -> bool {
        if self.bytes < limit {
            return true;
        }
        if self.full_at == Some(now) {
            return false;
        }
        let mut by_minute: BTreeMap<i64, usize> = BTreeMap::new();
        for (minute, bucket) in self.series.values().flat_map(BTreeMap::values).flatten() {
            *by_minute.entry(*minute).or_default() += BUCKET_BYTES + bucket.spread_bytes();
        }
        // A quarter at a time, because each time all is looked through.
        let mut surplus = self.bytes.saturating_sub(limit / 4 * 3);
        let mut first_kept = i64::MIN;
        for (minute, bytes) in by_minute {
            if surplus == 0 || minute > now - ALWAYS_KEPT_MINUTES {
                break;
            }
            surplus = surplus.saturating_sub(bytes);
            first_kept = minute + 1;
        }
        self.forget_before(first_kept);
        let room = self.bytes < limit;
        self.full_at = (!room).then_some(now);
        room
    }

    fn forget_before(&mut self, first_kept: i64) {
        let mut gone = 0;
        self.series.retain(|series, units| {
            units.retain(|_, minutes| {
                while let Some(oldest) = minutes.first_entry()
                    && *oldest.key() < first_kept
                {
                    gone += BUCKET_BYTES + oldest.remove().spread_bytes();
                }
                !minutes.is_empty()
            });
            if units.is_empty() {
                gone += series.bytes();
            }
            !units.is_empty()
        });
        self.bytes = self.bytes.saturating_sub(gone);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    fn add(store: &mut Part, metric: &str, minute: i64) {
        let series = Series::new("Custom", metric.to_owned(), []);
        store.change(series, "None", minute, |bucket| bucket.add(1.0, 1.0));
    }

    fn minutes(store: &Part, metric: &str) -> Vec<i64> {
        let series = Series::new("Custom", metric.to_owned(), []);
        let minutes = store.minutes(&series, None);
        minutes
            .flat_map(|(_, minutes)| minutes.keys().copied())
            .collect()
    }

    #[test]
    fn a_series_goes_with_its_last_minute() {
        let mut store = Part::default();
        add(&mut store, "old", 1);
        add(&mut store, "both", 1);
        add(&mut store, "both", 2);
        store.expire(KEPT_MINUTES + 2);
        assert_eq!(minutes(&store, "old"), Vec::<i64>::new());
        assert_eq!(minutes(&store, "both"), [2]);
        store.expire(KEPT_MINUTES * 100);
        assert_eq!((store.series.len(), store.bytes), (0, 0));
    }

    #[test]
    fn the_oldest_minutes_make_room_for_new_ones() {
        let mut store = Part::default();
        for minute in 0..200 {
            add(&mut store, "a", minute);
        }
        let limit = store.bytes;
        assert!(store.has_room(1000, limit));
        assert!(store.bytes <= limit / 4 * 3);
        assert_eq!(minutes(&store, "a").last(), Some(&199));
    }

    #[test]
    fn the_last_hour_stays_and_what_is_new_is_not_taken_in() {
        let mut store = Part::default();
        for number in 0..1000 {
            add(&mut store, &number.to_string(), 1000);
        }
        let limit = store.bytes;
        assert!(!store.has_room(1000, limit));
        assert_eq!(minutes(&store, "0"), [1000]);
        assert!(store.has_room(1000 + ALWAYS_KEPT_MINUTES, limit));
    }

    #[test]
    fn the_figures_of_the_services_come_first_and_a_page_goes_on_in_either_part() {
        let mut store = Store::default();
        let series =
            |namespace: &'static str, metric: &'static str| Series::new(namespace, metric, []);
        let all = [
            series("AWS/SQS", "a"),
            series("AWS/SQS", "b"),
            series("AAA", "c"),
            series("ZZZ", "d"),
        ];
        for (at, series) in all.iter().enumerate() {
            let part = if at < 2 {
                &mut store.services
            } else {
                &mut store.clients
            };
            part.change(series.clone(), "None", 1, |bucket| bucket.add(1.0, 1.0));
        }
        for from in 0..=all.len() {
            let last = from.checked_sub(1).map(|last| &all[last]);
            let rest: Vec<_> = store
                .after(last)
                .map(|(series, _)| series.clone())
                .collect();
            assert_eq!(rest, all[from..]);
        }
    }
}
