//! `GetMetricStatistics`: several statistics of one metric.

use serde::Deserialize;

use super::{
    answer::Field,
    bucket::{Bucket, Statistic},
    input::{Dimension, Moment, series},
    refusal::{combined, invalid},
    store::Store,
    unit,
    window::{Window, period},
};
use crate::error::AwsError;

/// Most data points of one answer.
const MAX_DATAPOINTS: f64 = 1_440.0;

/// Most percentiles of one request.
const MAX_EXTENDED: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetMetricStatistics {
    namespace: Option<String>,
    metric_name: Option<String>,
    dimensions: Option<Vec<Dimension>>,
    start_time: Option<Moment>,
    end_time: Option<Moment>,
    period: Option<i64>,
    statistics: Option<Vec<String>>,
    extended_statistics: Option<Vec<String>>,
    unit: Option<String>,
}

/// In the order in which the query protocol writes them.
const PLAIN: [(&str, Statistic); 5] = [
    ("SampleCount", Statistic::SampleCount),
    ("Average", Statistic::Average),
    ("Sum", Statistic::Sum),
    ("Minimum", Statistic::Minimum),
    ("Maximum", Statistic::Maximum),
];

pub(super) fn answer(store: &Store, request: GetMetricStatistics) -> Result<Field, AwsError> {
    let series = series(
        "",
        request.namespace,
        request.metric_name,
        request.dimensions,
    )?;
    let window = Window::new(request.start_time, request.end_time)?;
    let period = period("", request.period)?;
    // Periods are at most a day.
    #[allow(clippy::cast_precision_loss)]
    let asked = ((window.end - window.start) / period as f64).ceil();
    if asked > MAX_DATAPOINTS {
        return Err(combined(format!(
            "You have requested up to {asked} datapoints, which exceeds the limit of {MAX_DATAPOINTS}. You may reduce the datapoints requested by increasing Period, or decreasing the time range."
        )));
    }
    let plain = request.statistics.unwrap_or_default();
    let extended = request.extended_statistics.unwrap_or_default();
    let wanted = wanted(&plain, &extended)?;
    let unit = request.unit.map(|name| unit::checked(&name)).transpose()?;
    let mut points = Vec::new();
    for (unit, minutes) in store.minutes(&series, unit) {
        // "Each data point covers a period from its start", and the first begins with the window.
        for (at, bucket) in window.periods(period, window.first_minute(), [minutes]) {
            points.extend(point(at, &bucket, unit, &wanted));
        }
    }
    Ok(Field::Record(vec![
        ("Label", Field::Text(series.metric.into_owned())),
        ("Datapoints", Field::List(points)),
    ]))
}

/// The statistics to show: the plain ones by their places, or percentiles.
enum Wanted {
    Plain(Vec<(&'static str, Statistic)>),
    Extended(Vec<(String, Statistic)>),
}

fn wanted(plain: &[String], extended: &[String]) -> Result<Wanted, AwsError> {
    match (plain, extended) {
        ([], []) => Err(combined(
            "At least one of the parameters Statistics and ExtendedStatistics must be specified.",
        )),
        (plain, []) => {
            if let Some(other) = plain.iter().find(|name| PLAIN.iter().all(|known| known.0 != *name)) {
                return Err(invalid(format!(
                    "The value {other} for parameter Statistics is invalid: it holds SampleCount, Average, Sum, Minimum and Maximum."
                )));
            }
            let known = PLAIN.into_iter().filter(|(name, _)| plain.iter().any(|asked| asked == name));
            Ok(Wanted::Plain(known.collect()))
        }
        ([], extended) if extended.len() <= MAX_EXTENDED => extended
            .iter()
            .map(|name| match Statistic::parse(name) {
                Some(percentile @ Statistic::Percentile(_)) => Ok((name.clone(), percentile)),
                _ => Err(invalid(format!(
                    "The value {name} for parameter ExtendedStatistics is invalid: patterns-local offers percentiles from p0.0 to p100."
                ))),
            })
            .collect::<Result<_, _>>()
            .map(Wanted::Extended),
        ([], _) => Err(invalid(format!(
            "The collection ExtendedStatistics must not have a size greater than {MAX_EXTENDED}."
        ))),
        _ => Err(combined(
            "The parameters Statistics and ExtendedStatistics are mutually exclusive and you have specified both.",
        )),
    }
}

fn point(at: i64, bucket: &Bucket, unit: &str, wanted: &Wanted) -> Option<Field> {
    let mut fields = vec![("Timestamp", Field::Moment(at))];
    match wanted {
        Wanted::Plain(statistics) => {
            for (name, statistic) in statistics {
                fields.push((*name, Field::Number(bucket.value(*statistic)?)));
            }
            fields.push(("Unit", Field::Text(unit.to_owned())));
        }
        Wanted::Extended(statistics) => {
            let mut figures = Vec::new();
            for (name, statistic) in statistics {
                figures.push((name.clone(), bucket.value(*statistic)?));
            }
            fields.push(("Unit", Field::Text(unit.to_owned())));
            fields.push(("ExtendedStatistics", Field::Figures(figures)));
        }
    }
    Some(Field::Record(fields))
}
