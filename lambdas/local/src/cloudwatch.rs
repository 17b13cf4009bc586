//! CloudWatch: minute-by-minute figures, those of `AWS/SQS` and `AWS/Lambda` and what clients publish
//! ("Amazon CloudWatch API Reference").
//!
//! Each operation reads a typed request and answers a tree of fields; the three protocols only read ([`input`]) and write
//! ([`answer`]). All figures are of whole minutes, in memory; the oldest go first when there are too many ([`store`]).

mod answer;
mod bucket;
mod data;
mod input;
mod list;
mod put;
mod refusal;
mod statistics;
mod store;
mod unit;
mod window;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

pub(crate) use self::answer::error_body;
use self::{
    answer::Field,
    input::Input,
    store::{MAX_BYTES, Series, Store},
};
use crate::{clock::Clock, error::AwsError, xml};

/// What its XML is named by.
pub const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";

/// The version that requests of the query protocol name.
pub const VERSION: &str = "2010-08-01";

/// All figures of the account. Cheap to clone; clones are the same figures.
#[derive(Clone)]
pub struct Metrics {
    clock: Clock,
    store: Arc<Mutex<Store>>,
}

impl Metrics {
    /// No figures yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            store: Arc::default(),
        }
    }

    /// Adds one sample to the present minute of a service's metric.
    pub fn record(
        &self,
        namespace: &'static str,
        metric: &'static str,
        dimensions: &[(&str, &str)],
        value: f64,
    ) {
        self.change(namespace, metric, dimensions, |bucket| {
            bucket.add(value, 1.0);
        });
    }

    /// Makes `value` the one sample of the present minute: AWS takes such figures once a minute.
    pub fn gauge(
        &self,
        namespace: &'static str,
        metric: &'static str,
        dimensions: &[(&str, &str)],
        value: f64,
    ) {
        self.change(namespace, metric, dimensions, |bucket| {
            *bucket = bucket::Bucket::default();
            bucket.add(value, 1.0);
        });
    }

    fn change(
        &self,
        namespace: &'static str,
        metric: &'static str,
        dimensions: &[(&str, &str)],
        change: impl FnOnce(&mut bucket::Bucket),
    ) {
        let minute = self.minute();
        let dimensions = dimensions
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let series = Series::new(namespace, metric, dimensions);
        let services = &mut self.lock().services;
        services.expire(minute);
        if services.has_room(minute, MAX_BYTES) {
            services.change(series, unit::of_service(metric), minute, change);
        }
    }

    /// Carries out one operation of the Smithy RPC v2 CBOR protocol.
    pub fn handle_cbor(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        known(operation)?;
        let answer = self.handle(operation, Input::Tree(input::from_cbor(body)?))?;
        answer::cbor(answer)
    }

    /// Carries out one operation of the AWS JSON 1.0 protocol.
    pub fn handle_json(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        Ok(answer::json(self.handle(operation, Input::Tree(input))?))
    }

    /// Carries out one action of the query protocol: a form in, XML out.
    pub fn handle_query(
        &self,
        action: &str,
        form: &str,
        request_id: &str,
    ) -> Result<String, AwsError> {
        let result = self.handle(action, Input::Form(form))?;
        let result = answer::xml(&result);
        let result = Some(result).filter(|result| !result.is_empty());
        Ok(xml::response(
            NAMESPACE,
            action,
            result.as_deref(),
            request_id,
        ))
    }

    fn handle(&self, operation: &str, input: Input<'_>) -> Result<Field, AwsError> {
        known(operation)?;
        let now = self.clock.now().as_second();
        match operation {
            "GetMetricData" => {
                let request = input.parsed()?;
                data::answer(&self.lock(), request)
            }
            "GetMetricStatistics" => {
                let request = input.parsed()?;
                statistics::answer(&self.lock(), request)
            }
            "ListMetrics" => {
                let request = input.parsed()?;
                list::answer(&self.lock(), now, &request)
            }
            _ => {
                let request = input.parsed()?;
                put::answer(&mut self.lock().clients, now, request)
            }
        }
    }

    fn minute(&self) -> i64 {
        self.clock.now().as_second().div_euclid(60)
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known(operation: &str) -> Result<(), AwsError> {
    match operation {
        "GetMetricData" | "GetMetricStatistics" | "ListMetrics" | "PutMetricData" => Ok(()),
        _ => Err(AwsError::new(
            400,
            "UnknownOperationException",
            format!("patterns-local does not offer the CloudWatch operation {operation}."),
        )
        .with_query_code("InvalidAction")),
    }
}

#[cfg(test)]
mod tests;
