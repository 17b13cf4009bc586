//! A stretch of time in periods.

use std::collections::BTreeMap;

use super::{
    bucket::Bucket,
    input::Moment,
    refusal::{combined, invalid, missing},
    store::Minutes,
};
use crate::error::AwsError;

/// Longest period in seconds: one day.
const MAX_PERIOD: i64 = 86_400;

/// From `start` up to but not including `end`, in epoch seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub start: f64,
    pub end: f64,
}

impl Window {
    pub fn new(start: Option<Moment>, end: Option<Moment>) -> Result<Self, AwsError> {
        let Moment(start) = start.ok_or_else(|| missing("StartTime"))?;
        let Moment(end) = end.ok_or_else(|| missing("EndTime"))?;
        if start >= end {
            return Err(combined(
                "The parameter StartTime must be less than the parameter EndTime.",
            ));
        }
        Ok(Self { start, end })
    }

    /// The beginning of the minute of `StartTime`, in epoch seconds.
    pub fn first_minute(&self) -> i64 {
        // Beyond the range of an integer it is as good as its end.
        #[allow(clippy::cast_possible_truncation)]
        let minute = (self.start / 60.0).floor() as i64;
        minute.saturating_mul(60)
    }

    /// What falls into the window, by the start of its period in epoch seconds. Periods are counted from `origin`.
    pub fn periods<'a>(
        &self,
        period: i64,
        origin: i64,
        series: impl IntoIterator<Item = &'a Minutes>,
    ) -> BTreeMap<i64, Bucket> {
        let mut periods: BTreeMap<i64, Bucket> = BTreeMap::new();
        for (minute, bucket) in series.into_iter().flatten() {
            let at = minute * 60;
            if self.holds(at) {
                let start = at - at.wrapping_sub(origin).rem_euclid(period);
                periods.entry(start).or_default().merge(bucket);
            }
        }
        periods
    }

    fn holds(&self, at: i64) -> bool {
        // Epoch seconds stay far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let at = at as f64;
        at >= (self.start / 60.0).floor() * 60.0 && at < self.end
    }
}

/// Figures are kept by the minute, so a period is a number of minutes.
pub(super) fn period(place: &str, seconds: Option<i64>) -> Result<i64, AwsError> {
    let seconds = seconds.ok_or_else(|| missing(&format!("{place}Period")))?;
    if seconds < 60 || seconds % 60 != 0 || seconds > MAX_PERIOD {
        return Err(invalid(format!(
            "The value {seconds} for parameter {place}Period is invalid: patterns-local keeps figures by the minute. Use a multiple of 60 up to {MAX_PERIOD} seconds."
        )));
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_counted_from_their_origin() {
        let minutes: Minutes = (0..12).map(|minute| (minute, Bucket::default())).collect();
        let window = Window {
            start: 250.5,
            end: 720.0,
        };
        let starts = |origin| -> Vec<_> {
            window
                .periods(300, origin, [&minutes])
                .into_keys()
                .collect()
        };
        assert_eq!(starts(window.first_minute()), [240, 540]);
        assert_eq!(starts(0), [0, 300, 600]);
    }
}
