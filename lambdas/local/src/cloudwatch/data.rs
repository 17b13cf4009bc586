//! `GetMetricData`: up to 500 queries at once, in pages.

use std::collections::HashSet;

use serde::Deserialize;

use super::{
    answer::Field,
    bucket::Statistic,
    input::{Dimension, Moment, series},
    refusal::{invalid, missing},
    store::{Series, Store},
    unit,
    window::{Window, period},
};
use crate::error::AwsError;

/// Most queries of one request.
const MAX_QUERIES: usize = 500;

/// Most data points of one answer, and how many there are without `MaxDatapoints`.
const MAX_DATAPOINTS: usize = 100_800;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetMetricData {
    metric_data_queries: Option<Vec<Query>>,
    start_time: Option<Moment>,
    end_time: Option<Moment>,
    scan_by: Option<String>,
    next_token: Option<String>,
    max_datapoints: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Query {
    id: Option<String>,
    metric_stat: Option<MetricStat>,
    expression: Option<String>,
    label: Option<String>,
    return_data: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricStat {
    metric: Option<Metric>,
    period: Option<i64>,
    stat: Option<String>,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    namespace: Option<String>,
    #[serde(rename = "MetricName")]
    name: Option<String>,
    dimensions: Option<Vec<Dimension>>,
}

/// A query that can be answered.
struct Asked {
    id: String,
    label: String,
    series: Series,
    period: i64,
    statistic: Statistic,
    unit: Option<&'static str>,
    returned: bool,
}

/// Where a page begins: at a query, behind the point of it that was the last of the page before.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    query: usize,
    last: Option<i64>,
}

pub(super) fn answer(store: &Store, request: GetMetricData) -> Result<Field, AwsError> {
    let queries = request.metric_data_queries.unwrap_or_default();
    if queries.is_empty() {
        return Err(missing("MetricDataQueries"));
    }
    if queries.len() > MAX_QUERIES {
        return Err(invalid(format!(
            "The collection MetricDataQueries must not have a size greater than {MAX_QUERIES}."
        )));
    }
    let newest_first = newest_first(request.scan_by.as_deref())?;
    let window = Window::new(request.start_time, request.end_time)?;
    let mut room = most_points(request.max_datapoints)?;
    let from = match request.next_token.as_deref() {
        Some(token) => Place::parse(token)
            .filter(|place| place.query < queries.len())
            .ok_or_else(|| {
                AwsError::new(
                    400,
                    "InvalidNextToken",
                    "The NextToken is not one of this request.",
                )
            })?,
        None => Place::default(),
    };
    let mut ids = HashSet::new();
    let mut asked = Vec::new();
    for (index, query) in queries.into_iter().enumerate() {
        let query = query.checked(&format!("MetricDataQueries.member.{}.", index + 1))?;
        if !ids.insert(query.id.clone()) {
            return Err(invalid(format!(
                "The Id '{}' occurs more than once in MetricDataQueries.",
                query.id
            )));
        }
        asked.push(query);
    }

    let mut results = Vec::new();
    let mut next = None;
    for (index, query) in asked.iter().enumerate().skip(from.query) {
        if !query.returned {
            continue;
        }
        let last = from.last.filter(|_| index == from.query);
        let mut points = points(store, query, window, newest_first, last);
        let complete = points.len() <= room;
        points.truncate(room);
        room -= points.len();
        if !complete {
            next = Some(Place {
                query: index,
                last: points.last().map_or(last, |point| Some(point.0)),
            });
        }
        if complete || !points.is_empty() {
            results.push(shown(query, &points, complete));
        }
        if !complete {
            break;
        }
    }
    let mut fields = vec![
        ("MetricDataResults", Field::List(results)),
        ("Messages", Field::List(Vec::new())),
    ];
    fields.extend(next.map(|place| ("NextToken", Field::Text(place.token()))));
    Ok(Field::Record(fields))
}

fn newest_first(scan_by: Option<&str>) -> Result<bool, AwsError> {
    match scan_by {
        None | Some("TimestampDescending") => Ok(true),
        Some("TimestampAscending") => Ok(false),
        Some(other) => Err(invalid(format!(
            "ScanBy must be TimestampDescending or TimestampAscending, not {other}."
        ))),
    }
}

fn most_points(asked: Option<i64>) -> Result<usize, AwsError> {
    let Some(asked) = asked else {
        return Ok(MAX_DATAPOINTS);
    };
    usize::try_from(asked)
        .ok()
        .filter(|most| (1..=MAX_DATAPOINTS).contains(most))
        .ok_or_else(|| {
            invalid(format!(
                "MaxDatapoints must be 1 to {MAX_DATAPOINTS}, not {asked}."
            ))
        })
}

impl Query {
    fn checked(self, place: &str) -> Result<Asked, AwsError> {
        let id = self.id.ok_or_else(|| missing(&format!("{place}Id")))?;
        if !well_formed(&id) {
            return Err(invalid(format!(
                "The Id '{id}' must start with a lower-case letter, hold letters, digits and underscores only, and have at most 255 characters."
            )));
        }
        if self.expression.is_some() {
            return Err(invalid(format!(
                "Query {id}: patterns-local does not offer metric math. Ask for each metric with MetricStat."
            )));
        }
        let stat = self
            .metric_stat
            .ok_or_else(|| missing(&format!("{place}MetricStat")))?;
        let metric = stat
            .metric
            .ok_or_else(|| missing(&format!("{place}MetricStat.Metric")))?;
        let series = series(
            &format!("{place}MetricStat.Metric."),
            metric.namespace,
            metric.name,
            metric.dimensions,
        )?;
        let statistic = stat
            .stat
            .ok_or_else(|| missing(&format!("{place}MetricStat.Stat")))?;
        let statistic = Statistic::parse(&statistic).ok_or_else(|| {
            invalid(format!(
                "Query {id}: patterns-local offers the statistics Sum, Average, Minimum, Maximum, SampleCount and percentiles such as p95, not {statistic}."
            ))
        })?;
        Ok(Asked {
            label: self
                .label
                .unwrap_or_else(|| series.metric.clone().into_owned()),
            period: period(&format!("{place}MetricStat."), stat.period)?,
            unit: stat.unit.map(|name| unit::checked(&name)).transpose()?,
            returned: self.return_data != Some(false),
            id,
            series,
            statistic,
        })
    }
}

/// Start of each period and its figure, behind `last` in the order asked for.
fn points(
    store: &Store,
    query: &Asked,
    window: Window,
    newest_first: bool,
    last: Option<i64>,
) -> Vec<(i64, f64)> {
    let minutes = store.minutes(&query.series, query.unit);
    let periods = window.periods(query.period, 0, minutes.map(|(_, minutes)| minutes));
    let figures = periods
        .into_iter()
        .filter_map(|(at, bucket)| Some((at, bucket.value(query.statistic)?)));
    let mut points: Vec<_> = figures.collect();
    if newest_first {
        points.reverse();
        points.retain(|(at, _)| last.is_none_or(|last| *at < last));
    } else {
        points.retain(|(at, _)| last.is_none_or(|last| *at > last));
    }
    points
}

fn shown(query: &Asked, points: &[(i64, f64)], complete: bool) -> Field {
    let status = if complete { "Complete" } else { "PartialData" };
    let times = points.iter().map(|(at, _)| Field::Moment(*at));
    let values = points.iter().map(|(_, value)| Field::Number(*value));
    Field::Record(vec![
        ("Id", Field::Text(query.id.clone())),
        ("Label", Field::Text(query.label.clone())),
        ("Timestamps", Field::List(times.collect())),
        ("Values", Field::List(values.collect())),
        ("StatusCode", Field::Text(status.to_owned())),
    ])
}

impl Place {
    fn parse(token: &str) -> Option<Self> {
        let (query, last) = token.split_once('/')?;
        let last = match last {
            "" => None,
            last => Some(last.parse().ok()?),
        };
        Some(Self {
            query: query.parse().ok()?,
            last,
        })
    }

    fn token(self) -> String {
        let last = self.last.map_or_else(String::new, |last| last.to_string());
        format!("{}/{last}", self.query)
    }
}

fn well_formed(id: &str) -> bool {
    id.len() <= 255
        && id.starts_with(|first: char| first.is_ascii_lowercase())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
