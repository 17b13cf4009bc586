//! `GetMetricData`: queries against the kept minutes, as a pure function.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;

use super::{
    Minutes, Series,
    bucket::{Bucket, Statistic},
};
use crate::error::AwsError;

/// Most queries of one request ("`GetMetricData`").
const MAX_QUERIES: usize = 500;

/// A request as it is written; protocols differ in how they write times.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input<Time> {
    #[serde(default)]
    metric_data_queries: Vec<Query>,
    start_time: Option<Time>,
    end_time: Option<Time>,
    scan_by: Option<String>,
    next_token: Option<String>,
}

impl<Time> Input<Time> {
    /// Reads the times with `seconds` and checks what is outside the queries.
    pub fn request(self, seconds: impl Fn(&Time) -> Option<f64>) -> Result<Request, AwsError> {
        if self.next_token.is_some() {
            return Err(AwsError::new(
                400,
                "InvalidNextToken",
                "patterns-local answers in one page and gives no tokens out.",
            ));
        }
        let newest_first = match self.scan_by.as_deref() {
            None | Some("TimestampDescending") => true,
            Some("TimestampAscending") => false,
            Some(other) => {
                return Err(invalid(format!(
                    "ScanBy must be TimestampDescending or TimestampAscending, not {other}."
                )));
            }
        };
        let time = |value: Option<&Time>, name: &str| {
            value
                .and_then(&seconds)
                .filter(|seconds| seconds.is_finite())
                .ok_or_else(|| invalid(format!("The parameter {name} must be a timestamp.")))
        };
        Ok(Request {
            start: time(self.start_time.as_ref(), "StartTime")?,
            end: time(self.end_time.as_ref(), "EndTime")?,
            queries: self.metric_data_queries,
            newest_first,
        })
    }
}

/// A checked request; times are epoch seconds.
#[derive(Debug)]
pub(super) struct Request {
    pub queries: Vec<Query>,
    pub start: f64,
    pub end: f64,
    pub newest_first: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Query {
    #[serde(default)]
    id: String,
    metric_stat: Option<MetricStat>,
    expression: Option<String>,
    label: Option<String>,
    return_data: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricStat {
    metric: Metric,
    period: i64,
    stat: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    #[serde(rename = "MetricName")]
    name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Dimension {
    name: String,
    value: String,
}

/// The answer to one query: (start of the period in epoch seconds, value).
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub id: String,
    pub label: String,
    pub points: Vec<(i64, f64)>,
}

pub(super) fn answer(
    series: &BTreeMap<Series, Minutes>,
    request: &Request,
) -> Result<Vec<Answer>, AwsError> {
    if request.start >= request.end {
        return Err(invalid(
            "The parameter StartTime must be less than the parameter EndTime.",
        ));
    }
    if request.queries.is_empty() || request.queries.len() > MAX_QUERIES {
        return Err(invalid(format!(
            "MetricDataQueries must hold 1 to {MAX_QUERIES} queries."
        )));
    }
    let mut ids = HashSet::new();
    let mut answers = Vec::new();
    for query in &request.queries {
        if !well_formed(&query.id) || !ids.insert(&query.id) {
            return Err(invalid(format!(
                "The Id '{}' must start with a lower-case letter, hold letters, digits and underscores only, and occur once.",
                query.id
            )));
        }
        let answered = one(series, request, query)?;
        if query.return_data != Some(false) {
            answers.push(answered);
        }
    }
    Ok(answers)
}

fn one(
    series: &BTreeMap<Series, Minutes>,
    request: &Request,
    query: &Query,
) -> Result<Answer, AwsError> {
    let Query {
        id,
        metric_stat,
        expression,
        label,
        ..
    } = query;
    if expression.is_some() {
        return Err(invalid(format!(
            "Query {id}: patterns-local does not offer metric math. Ask for each metric with MetricStat."
        )));
    }
    let Some(MetricStat {
        metric,
        period,
        stat,
    }) = metric_stat
    else {
        return Err(invalid(format!("Query {id} needs a MetricStat.")));
    };
    if *period < 60 || period % 60 != 0 || *period > 86_400 {
        return Err(invalid(format!(
            "Query {id}: Period must be a multiple of 60 up to 86400 seconds, not {period}."
        )));
    }
    let statistic = Statistic::parse(stat).ok_or_else(|| {
        invalid(format!(
            "Query {id}: patterns-local offers the statistics Sum, Average, Minimum, Maximum, SampleCount and percentiles such as p95, not {stat}."
        ))
    })?;
    let dimensions = metric
        .dimensions
        .iter()
        .map(|dimension| (dimension.name.clone(), dimension.value.clone()));
    let wanted = Series::new(&metric.namespace, &metric.name, dimensions);
    let mut periods: BTreeMap<i64, Bucket> = BTreeMap::new();
    for (minute, bucket) in series.get(&wanted).into_iter().flatten() {
        let at = minute * 60;
        if within(at, request) {
            periods
                .entry(at - at.rem_euclid(*period))
                .or_default()
                .merge(bucket);
        }
    }
    let mut points: Vec<_> = periods
        .into_iter()
        .map(|(at, bucket)| (at, bucket.value(statistic)))
        .collect();
    if request.newest_first {
        points.reverse();
    }
    Ok(Answer {
        id: id.clone(),
        label: label.clone().unwrap_or_else(|| metric.name.clone()),
        points,
    })
}

/// `StartTime` counts from the beginning of its minute; `EndTime` is excluded.
fn within(at: i64, request: &Request) -> bool {
    // Epoch seconds stay far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let at = at as f64;
    at >= (request.start / 60.0).floor() * 60.0 && at < request.end
}

fn well_formed(id: &str) -> bool {
    id.len() <= 255
        && id.starts_with(|first: char| first.is_ascii_lowercase())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidParameterValueException", message)
        .with_query_code("InvalidParameterValue")
}
