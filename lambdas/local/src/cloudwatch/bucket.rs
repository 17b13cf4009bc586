//! The samples of one metric in one stretch of time, small however many there are.

/// Steps per doubling of the value: percentiles are within 2.2 % of the sample they stand for.
const STEPS: f64 = 16.0;

/// Samples as counts, sums and a spread of logarithmic steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bucket {
    count: u64,
    sum: f64,
    least: f64,
    most: f64,
    /// (step, samples) sorted by step. Values of 0 and below share the lowest step.
    spread: Vec<(i16, u64)>,
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
    pub fn add(&mut self, value: f64) {
        let mut one = Self {
            count: 1,
            sum: value,
            least: value,
            most: value,
            spread: vec![(step(value), 1)],
        };
        if self.count == 0 {
            std::mem::swap(self, &mut one);
        } else {
            self.merge(&one);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            self.clone_from(other);
            return;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
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

    // Counts stay far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    pub fn value(&self, statistic: Statistic) -> f64 {
        match statistic {
            Statistic::Sum => self.sum,
            Statistic::Average => self.sum / self.count as f64,
            Statistic::Minimum => self.least,
            Statistic::Maximum => self.most,
            Statistic::SampleCount => self.count as f64,
            Statistic::Percentile(percent) => self.percentile(self.count as f64 * percent / 100.0),
        }
    }

    /// The value that `rank` samples lie at or below.
    #[allow(clippy::cast_precision_loss)]
    fn percentile(&self, rank: f64) -> f64 {
        let mut below = 0;
        for &(step, samples) in &self.spread {
            below += samples;
            if below as f64 >= rank {
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
        values.into_iter().for_each(|value| bucket.add(value));
        bucket
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
            let value = bucket.value(Statistic::parse(statistic).unwrap_or(Statistic::Sum));
            assert!(
                (value - expected).abs() <= expected * 0.023,
                "{statistic}: {value}, expected {expected}"
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
    fn other_statistics_are_not_known() {
        for text in ["", "p", "p101", "p-1", "pNaN", "tm99", "sum"] {
            assert_eq!(Statistic::parse(text), None, "{text}");
        }
    }
}
