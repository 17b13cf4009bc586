//! The samples of one metric in one stretch of time, small however many there are.

/// Steps per doubling of the value: percentiles are within 2.2 % of the sample they stand for.
const STEPS: f64 = 16.0;

/// Samples as counts, sums and a spread of logarithmic steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bucket {
    count: f64,
    sum: f64,
    least: f64,
    most: f64,
    /// (step, samples) sorted by step. Values of 0 and below share the lowest step.
    spread: Vec<(i16, f64)>,
    /// Samples whose spread is not known, because only their statistics were published.
    unspread: f64,
}

/// What may be asked of a bucket ("Amazon CloudWatch User Guide: CloudWatch statistics definitions").
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Statistic {
    Sum,
    Average,
    Minimum,
    Maximum,
    SampleCount,
    /// 0..=100
    Percentile(f64),
}

impl Statistic {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "Sum" => Some(Self::Sum),
            "Average" => Some(Self::Average),
            "Minimum" => Some(Self::Minimum),
            "Maximum" => Some(Self::Maximum),
            "SampleCount" => Some(Self::SampleCount),
            _ => {
                let percent = text
                    .strip_prefix('p')
                    .filter(|text| text.starts_with(|first: char| first.is_ascii_digit()))?;
                let percent = percent.parse().ok()?;
                (0.0..=100.0)
                    .contains(&percent)
                    .then_some(Self::Percentile(percent))
            }
        }
    }
}

impl Bucket {
    /// Adds `samples` of the same value. CloudWatch's counts need not be whole.
    pub fn add(&mut self, value: f64, samples: f64) {
        self.merge(&Self {
            count: samples,
            sum: value * samples,
            least: value,
            most: value,
            spread: vec![(step(value), samples)],
            unspread: 0.0,
        });
    }

    /// Samples of which only the statistics are known. Where all have one value, that is all there is to know.
    pub fn of_statistics(count: f64, sum: f64, least: f64, most: f64) -> Self {
        // The published figures themselves are compared, not what was calculated from them ("Percentiles": statistic sets).
        #[allow(clippy::float_cmp)]
        let alike = least == most || count == 1.0;
        Self {
            count,
            sum,
            least,
            most,
            spread: if alike {
                vec![(step(least), count)]
            } else {
                Vec::new()
            },
            unspread: if alike { 0.0 } else { count },
        }
    }

    pub fn merge(&mut self, other: &Self) {
        if self.is_empty() {
            self.clone_from(other);
            return;
        }
        if other.is_empty() {
            return;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
        self.unspread += other.unspread;
        for &(step, samples) in &other.spread {
            match self.spread.binary_search_by_key(&step, |entry| entry.0) {
                Ok(at) => {
                    if let Some(entry) = self.spread.get_mut(at) {
                        entry.1 += samples;
                    }
                }
                Err(at) => self.spread.insert(at, (step, samples)),
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.count <= 0.0
    }

    /// What the spread takes in memory.
    pub fn spread_bytes(&self) -> usize {
        self.spread.capacity() * size_of::<(i16, f64)>()
    }

    /// Nothing for a percentile where the spread is not known, or values are negative ("`GetMetricStatistics`").
    pub fn value(&self, statistic: Statistic) -> Option<f64> {
        match statistic {
            Statistic::Sum => Some(self.sum),
            Statistic::Average => Some(self.sum / self.count),
            Statistic::Minimum => Some(self.least),
            Statistic::Maximum => Some(self.most),
            Statistic::SampleCount => Some(self.count),
            Statistic::Percentile(_) if self.unspread > 0.0 || self.least < 0.0 => None,
            Statistic::Percentile(percent) => Some(self.percentile(self.count * percent / 100.0)),
        }
    }

    /// The value that `rank` samples lie at or below.
    fn percentile(&self, rank: f64) -> f64 {
        let mut below = 0.0;
        for &(step, samples) in &self.spread {
            below += samples;
            if below >= rank {
                return middle(step).clamp(self.least, self.most);
            }
        }
        self.most
    }
}

fn step(value: f64) -> i16 {
    if value > 0.0 {
        // The logarithm of a double lies within ±1 100, so the step fits.
        #[allow(clippy::cast_possible_truncation)]
        let step = (value.log2() * STEPS).floor() as i16;
        step
    } else {
        i16::MIN
    }
}

fn middle(step: i16) -> f64 {
    if step == i16::MIN {
        0.0
    } else {
        ((f64::from(step) + 0.5) / STEPS).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = f64>) -> Bucket {
        let mut bucket = Bucket::default();
        values.into_iter().for_each(|value| bucket.add(value, 1.0));
        bucket
    }

    fn percentile(bucket: &Bucket) -> Option<f64> {
        bucket.value(Statistic::Percentile(50.0))
    }

    #[test]
    fn statistics_of_a_hundred_samples() {
        let bucket = of((1..=100).map(f64::from));
        for (statistic, expected) in [
            ("Sum", 5050.0),
            ("Average", 50.5),
            ("Minimum", 1.0),
            ("Maximum", 100.0),
            ("SampleCount", 100.0),
            ("p50", 50.0),
            ("p95", 95.0),
            ("p99.9", 100.0),
            ("p100", 100.0),
        ] {
            let value = Statistic::parse(statistic).and_then(|statistic| bucket.value(statistic));
            assert!(
                value.is_some_and(|value| (value - expected).abs() <= expected * 0.023),
                "{statistic}: {value:?}, expected {expected}"
            );
        }
    }

    #[test]
    fn merging_is_adding() {
        let mut merged = of([0.0, 3.0]);
        merged.merge(&of([-1.0, 3.0, 8.0]));
        assert_eq!(merged, of([0.0, 3.0, -1.0, 3.0, 8.0]));
    }

    #[test]
    fn percentiles_need_the_spread_and_no_negative_value() {
        assert_eq!(percentile(&of([-1.0, 2.0])), None);
        assert_eq!(percentile(&Bucket::of_statistics(2.0, 3.0, 1.0, 2.0)), None);
        assert_eq!(
            percentile(&Bucket::of_statistics(2.0, 6.0, 3.0, 3.0)),
            Some(3.0)
        );
        let mut mixed = of([1.0]);
        mixed.merge(&Bucket::of_statistics(2.0, 3.0, 1.0, 2.0));
        assert_eq!(percentile(&mixed), None);
        assert_eq!(mixed.value(Statistic::Sum), Some(4.0));
    }

    #[test]
    fn other_statistics_are_not_known() {
        for text in ["", "p", "p101", "p-1", "pNaN", "tm99", "sum"] {
            assert_eq!(Statistic::parse(text), None, "{text}");
        }
    }
}
