//! CloudWatch: minute-by-minute figures of `AWS/SQS` and `AWS/Lambda`, read with `GetMetricData` ("Amazon CloudWatch API Reference").
//!
//! AWS keeps one-minute figures for 15 days; here the last three hours are kept, in memory.

mod bucket;
mod cbor;
mod json;
mod query;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use self::bucket::Bucket;
pub(crate) use self::cbor::error_body;
use crate::{clock::Clock, error::AwsError};

/// Minutes that a series keeps.
const KEPT_MINUTES: i64 = 180;

/// Series kept at a time. A busy local account has some hundreds; beyond this the idle ones go, and then new ones are not taken in.
const MAX_SERIES: usize = 20_000;

/// All figures of the account. Cheap to clone; clones are the same figures.
#[derive(Clone)]
pub struct Metrics {
    clock: Clock,
    series: Arc<Mutex<BTreeMap<Series, Minutes>>>,
}

/// Figures by minute since the epoch.
type Minutes = BTreeMap<i64, Bucket>;

/// What a figure is of; dimensions are sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    namespace: String,
    metric: String,
    dimensions: Vec<(String, String)>,
}

impl Series {
    fn new(
        namespace: &str,
        metric: &str,
        dimensions: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut dimensions: Vec<_> = dimensions.into_iter().collect();
        dimensions.sort();
        Self {
            namespace: namespace.to_owned(),
            metric: metric.to_owned(),
            dimensions,
        }
    }
}

impl Metrics {
    /// No figures yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            series: Arc::default(),
        }
    }

    /// Adds one sample to the present minute of a metric.
    pub fn record(
        &self,
        namespace: &'static str,
        metric: &'static str,
        dimensions: &[(&str, &str)],
        value: f64,
    ) {
        let minute = self.clock.now().as_second().div_euclid(60);
        let dimensions = dimensions
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let key = Series::new(namespace, metric, dimensions);
        let mut series = self.lock();
        if series.len() >= MAX_SERIES && !series.contains_key(&key) {
            series.retain(|_, minutes| {
                minutes
                    .last_key_value()
                    .is_some_and(|(last, _)| *last > minute - KEPT_MINUTES)
            });
            if series.len() >= MAX_SERIES {
                return;
            }
        }
        let minutes = series.entry(key).or_default();
        minutes.entry(minute).or_default().add(value);
        while let Some(oldest) = minutes.first_entry()
            && *oldest.key() <= minute - KEPT_MINUTES
        {
            oldest.remove();
        }
    }

    /// Carries out one operation of the Smithy RPC v2 CBOR protocol.
    pub fn handle_cbor(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        known(operation)?;
        cbor::write(&query::answer(&self.lock(), &cbor::read(body)?)?)
    }

    /// Carries out one operation of the AWS JSON 1.0 protocol.
    pub fn handle_json(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        known(operation)?;
        Ok(json::write(&query::answer(
            &self.lock(),
            &json::read(input)?,
        )?))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Series, Minutes>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known(operation: &str) -> Result<(), AwsError> {
    if operation == "GetMetricData" {
        return Ok(());
    }
    Err(AwsError::new(
        400,
        "UnknownOperationException",
        format!("patterns-local does not offer the CloudWatch operation {operation}."),
    )
    .with_query_code("InvalidAction"))
}

#[cfg(test)]
mod tests;
