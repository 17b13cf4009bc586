//! CloudWatch: the shape of the load. Minutes late, unlike the depths, which SQS itself knows.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};
use jiff::Timestamp;
use patterns_core::function::WINDOW_SECONDS;
use patterns_core::problem::Problem;

use super::{Aws, problem};

/// Figures of one function over the last [`WINDOW_SECONDS`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FunctionFigures {
    /// Times it ran.
    pub invocations: u64,
    /// Runs that ended in an error.
    pub errors: u64,
    /// Requests refused for lack of concurrency.
    pub throttles: u64,
    /// 95th percentile of a run.
    pub duration_p95_ms: Option<f64>,
    /// The most runs at once.
    pub concurrent: u64,
}

/// What CloudWatch said at `as_of`.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// By function name. A function that did not run has zeros.
    pub functions: BTreeMap<String, FunctionFigures>,
    /// Age of the oldest message in seconds, by queue name.
    pub oldest_age_seconds: BTreeMap<String, u64>,
    /// When it was asked.
    pub as_of: Timestamp,
}

/// What one query asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    Invocations,
    Errors,
    Throttles,
    Duration,
    Concurrent,
    OldestAge,
}

impl Figure {
    const OF_A_FUNCTION: [Self; 5] = [
        Self::Invocations,
        Self::Errors,
        Self::Throttles,
        Self::Duration,
        Self::Concurrent,
    ];

    /// Metric, statistic and period. Counts are asked for by the minute and added up, because a period of 300 s may be
    /// cut at multiples of 5 minutes and then covers another time than the window. A percentile cannot be added up, so
    /// it is asked for over the whole window.
    fn question(self) -> (&'static str, &'static str, i32) {
        match self {
            Self::Invocations => ("Invocations", "Sum", 60),
            Self::Errors => ("Errors", "Sum", 60),
            Self::Throttles => ("Throttles", "Sum", 60),
            Self::Duration => ("Duration", "p95", 300),
            Self::Concurrent => ("ConcurrentExecutions", "Maximum", 60),
            Self::OldestAge => ("ApproximateAgeOfOldestMessage", "Maximum", 60),
        }
    }
}

/// Queries in one call. (CloudWatch API Reference, `GetMetricData`.)
const QUERIES_MAX: usize = 500;

impl Aws {
    /// Figures of those functions and queues. Costs one metric for each query: five a function, one a queue.
    pub async fn figures(
        &self,
        functions: &[String],
        queues: &[String],
    ) -> Result<Figures, Problem> {
        let as_of = Timestamp::now();
        let mut asked: Vec<(Figure, &str)> = Vec::new();
        for function in functions {
            asked.extend(Figure::OF_A_FUNCTION.map(|figure| (figure, function.as_str())));
        }
        asked.extend(
            queues
                .iter()
                .map(|queue| (Figure::OldestAge, queue.as_str())),
        );
        let mut figures = Figures {
            functions: functions
                .iter()
                .map(|name| (name.clone(), FunctionFigures::default()))
                .collect(),
            oldest_age_seconds: BTreeMap::new(),
            as_of,
        };
        for chunk in asked.chunks(QUERIES_MAX) {
            for (index, values) in self.values(chunk, as_of).await? {
                if let Some((figure, name)) = chunk.get(index) {
                    fold(&mut figures, *figure, name, &values);
                }
            }
        }
        Ok(figures)
    }

    /// Values by position of the query, newest first.
    async fn values(
        &self,
        asked: &[(Figure, &str)],
        as_of: Timestamp,
    ) -> Result<BTreeMap<usize, Vec<f64>>, Problem> {
        // Whole minutes, as CloudWatch rounds anyway; the running minute is included, so what happens now shows.
        let end = (as_of.as_second() / 60 + 1) * 60;
        let mut pages = self
            .cloudwatch
            .get_metric_data()
            .start_time(DateTime::from_secs(end - i64::from(WINDOW_SECONDS)))
            .end_time(DateTime::from_secs(end))
            .set_metric_data_queries(Some(
                asked
                    .iter()
                    .enumerate()
                    .map(|(index, (figure, name))| query(index, *figure, name))
                    .collect(),
            ))
            .into_paginator()
            .send();
        let mut values: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                problem(
                    "cannot read the metrics",
                    "cloudwatch:GetMetricData",
                    &error,
                )
            })?;
            for result in page.metric_data_results() {
                let index = result
                    .id()
                    .and_then(|id| id.strip_prefix('q'))
                    .and_then(|index| index.parse().ok());
                if let Some(index) = index {
                    values
                        .entry(index)
                        .or_default()
                        .extend_from_slice(result.values());
                }
            }
        }
        Ok(values)
    }
}

/// Ids must begin with a small letter. (CloudWatch API Reference, `MetricDataQuery`.)
fn query(index: usize, figure: Figure, name: &str) -> MetricDataQuery {
    let (metric, statistic, period) = figure.question();
    let (namespace, dimension) = match figure {
        Figure::OldestAge => ("AWS/SQS", "QueueName"),
        _ => ("AWS/Lambda", "FunctionName"),
    };
    MetricDataQuery::builder()
        .id(format!("q{index}"))
        .metric_stat(
            MetricStat::builder()
                .metric(
                    Metric::builder()
                        .namespace(namespace)
                        .metric_name(metric)
                        .dimensions(Dimension::builder().name(dimension).value(name).build())
                        .build(),
                )
                .period(period)
                .stat(statistic)
                .build(),
        )
        .build()
}

fn fold(figures: &mut Figures, figure: Figure, name: &str, values: &[f64]) {
    let sum = count(values.iter().sum());
    let most = values.iter().copied().reduce(f64::max);
    if figure == Figure::OldestAge {
        // Newest first: an age that was, but is over, does not matter.
        if let Some(age) = values.first() {
            figures
                .oldest_age_seconds
                .insert(name.to_owned(), count(*age));
        }
        return;
    }
    let of = figures.functions.entry(name.to_owned()).or_default();
    match figure {
        Figure::Invocations => of.invocations = sum,
        Figure::Errors => of.errors = sum,
        Figure::Throttles => of.throttles = sum,
        Figure::Duration => of.duration_p95_ms = most,
        Figure::Concurrent => of.concurrent = count(most.unwrap_or(0.0)),
        Figure::OldestAge => {}
    }
}

/// A count as CloudWatch tells it. `as` cuts off at the limits of u64 and turns NaN into 0, which is wanted here.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn count(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_add_up_and_peaks_do_not() {
        let mut figures = Figures {
            functions: BTreeMap::new(),
            oldest_age_seconds: BTreeMap::new(),
            as_of: Timestamp::UNIX_EPOCH,
        };
        fold(&mut figures, Figure::Invocations, "f", &[2.0, 3.0]);
        fold(&mut figures, Figure::Concurrent, "f", &[2.0, 5.0, 3.0]);
        fold(&mut figures, Figure::Duration, "f", &[]);
        fold(&mut figures, Figure::OldestAge, "q", &[7.0, 90.0]);
        let f = figures.functions["f"];
        assert_eq!((f.invocations, f.concurrent), (5, 5));
        assert_eq!(f.duration_p95_ms, None);
        assert_eq!(figures.oldest_age_seconds["q"], 7);
    }
}
