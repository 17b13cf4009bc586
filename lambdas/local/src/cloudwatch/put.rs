//! `PutMetricData`: figures of clients' own. All of a request is taken in, or nothing.

use serde::Deserialize;

use super::{
    answer::Field,
    bucket::Bucket,
    input::{Dimension, Moment, series},
    refusal::{combined, invalid, missing},
    store::{MAX_BYTES, Part, Series},
    unit,
};
use crate::error::AwsError;

/// Most metrics of one request.
const MAX_METRICS: usize = 1000;

/// Most values of one metric.
const MAX_VALUES: usize = 150;

/// Oldest time stamp, in seconds before now: two weeks.
const OLDEST: f64 = 14.0 * 86_400.0;

/// Newest time stamp, in seconds after now: two hours.
const NEWEST: f64 = 7_200.0;

/// Entities are read over: they only lead from a figure to other telemetry, which is not here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutMetricData {
    namespace: Option<String>,
    metric_data: Option<Vec<Datum>>,
    entity_metric_data: Option<Vec<EntityMetricData>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EntityMetricData {
    metric_data: Option<Vec<Datum>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datum {
    metric_name: Option<String>,
    dimensions: Option<Vec<Dimension>>,
    timestamp: Option<Moment>,
    value: Option<f64>,
    statistic_values: Option<StatisticSet>,
    values: Option<Vec<f64>>,
    counts: Option<Vec<f64>>,
    unit: Option<String>,
    storage_resolution: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StatisticSet {
    sample_count: Option<f64>,
    sum: Option<f64>,
    minimum: Option<f64>,
    maximum: Option<f64>,
}

/// What a datum adds to one minute.
struct Addition {
    series: Series,
    unit: &'static str,
    minute: i64,
    bucket: Bucket,
}

/// `now` is in epoch seconds.
pub(super) fn answer(
    store: &mut Part,
    now: i64,
    request: PutMetricData,
) -> Result<Field, AwsError> {
    let namespace = request.namespace.ok_or_else(|| missing("Namespace"))?;
    if namespace.starts_with("AWS/") {
        return Err(invalid(format!(
            "The value {namespace} for parameter Namespace is invalid: names that begin with AWS/ are those of AWS services."
        )));
    }
    let entities = request.entity_metric_data.into_iter().flatten();
    let data = request.metric_data.into_iter().flatten();
    let data: Vec<_> = data
        .chain(entities.flat_map(|entity| entity.metric_data.into_iter().flatten()))
        .collect();
    if data.is_empty() {
        return Err(missing("MetricData"));
    }
    if data.len() > MAX_METRICS {
        return Err(invalid(format!(
            "The collection MetricData must not have a size greater than {MAX_METRICS}."
        )));
    }
    let additions = data
        .into_iter()
        .enumerate()
        .map(|(index, datum)| {
            addition(
                &format!("MetricData.member.{}.", index + 1),
                &namespace,
                now,
                datum,
            )
        })
        .collect::<Result<Vec<_>, _>>()?;
    let minute = now.div_euclid(60);
    store.expire(minute);
    if !store.has_room(minute, MAX_BYTES) {
        return Err(AwsError::new(
            400,
            "LimitExceededException",
            format!(
                "patterns-local has no room for more figures: it keeps about {MAX_BYTES} bytes of them. Publish fewer metrics, or wait an hour."
            ),
        ));
    }
    for Addition {
        series,
        unit,
        minute,
        bucket,
    } in additions
    {
        store.change(series, unit, minute, |held| held.merge(&bucket));
    }
    Ok(Field::Record(Vec::new()))
}

fn addition(place: &str, namespace: &str, now: i64, datum: Datum) -> Result<Addition, AwsError> {
    if !matches!(datum.storage_resolution, None | Some(1 | 60)) {
        return Err(invalid(format!(
            "The parameter {place}StorageResolution must be 1 or 60."
        )));
    }
    let unit = datum
        .unit
        .as_deref()
        .map_or(Ok(unit::NONE), unit::checked)?;
    let minute = minute(place, now, datum.timestamp)?;
    let bucket = match (datum.value, datum.statistic_values, datum.values) {
        (Some(value), None, None) => of_values(place, &[value], None)?,
        (None, Some(set), None) => of_statistics(place, &set)?,
        (None, None, Some(values)) => of_values(place, &values, datum.counts.as_deref())?,
        (None, None, None) => return Err(missing(&format!("{place}Value"))),
        _ => {
            return Err(combined(format!(
                "The parameters {place}Value, {place}Values and {place}StatisticValues are mutually exclusive and you have specified more than one."
            )));
        }
    };
    let namespace = Some(namespace.to_owned());
    let series = series(place, namespace, datum.metric_name, datum.dimensions)?;
    Ok(Addition {
        series,
        unit,
        minute,
        bucket,
    })
}

fn minute(place: &str, now: i64, timestamp: Option<Moment>) -> Result<i64, AwsError> {
    let Some(Moment(at)) = timestamp else {
        return Ok(now.div_euclid(60));
    };
    // Epoch seconds stay far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let ahead = at - now as f64;
    if !(-OLDEST..=NEWEST).contains(&ahead) {
        return Err(invalid(format!(
            "The parameter {place}Timestamp must be at most two weeks in the past and two hours in the future."
        )));
    }
    // The check above keeps it near now.
    #[allow(clippy::cast_possible_truncation)]
    let minute = (at / 60.0).floor() as i64;
    Ok(minute)
}

fn of_values(place: &str, values: &[f64], counts: Option<&[f64]>) -> Result<Bucket, AwsError> {
    if values.is_empty() || values.len() > MAX_VALUES {
        return Err(invalid(format!(
            "The collection {place}Values must have a size of 1 to {MAX_VALUES}."
        )));
    }
    if counts.is_some_and(|counts| counts.len() != values.len()) {
        return Err(invalid(format!(
            "The parameters {place}Values and {place}Counts must be of the same size."
        )));
    }
    let mut bucket = Bucket::default();
    for (index, value) in values.iter().enumerate() {
        let samples = counts
            .and_then(|counts| counts.get(index))
            .copied()
            .unwrap_or(1.0);
        in_range(&format!("{place}Value"), *value)?;
        positive(&format!("{place}Counts"), samples)?;
        bucket.add(*value, samples);
    }
    Ok(bucket)
}

fn of_statistics(place: &str, set: &StatisticSet) -> Result<Bucket, AwsError> {
    let figure = |name: &str, value: Option<f64>| {
        let parameter = format!("{place}StatisticValues.{name}");
        let value = value.ok_or_else(|| missing(&parameter))?;
        in_range(&parameter, value)?;
        Ok(value)
    };
    let count = figure("SampleCount", set.sample_count)?;
    positive(&format!("{place}StatisticValues.SampleCount"), count)?;
    let sum = figure("Sum", set.sum)?;
    let least = figure("Minimum", set.minimum)?;
    let most = figure("Maximum", set.maximum)?;
    if least > most {
        return Err(invalid(format!(
            "The parameter {place}StatisticValues.Minimum must not be greater than {place}StatisticValues.Maximum."
        )));
    }
    Ok(Bucket::of_statistics(count, sum, least, most))
}

/// Values are -2^360 to 2^360, and numbers.
fn in_range(parameter: &str, value: f64) -> Result<(), AwsError> {
    if value.abs() <= 360_f64.exp2() {
        return Ok(());
    }
    Err(invalid(format!(
        "The value {value} for parameter {parameter} is invalid."
    )))
}

fn positive(parameter: &str, samples: f64) -> Result<(), AwsError> {
    if samples > 0.0 && samples <= 360_f64.exp2() {
        return Ok(());
    }
    Err(invalid(format!(
        "The value {samples} for parameter {parameter} is invalid: it must be greater than 0."
    )))
}
