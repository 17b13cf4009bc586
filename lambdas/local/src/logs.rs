//! CloudWatch Logs of what functions print: JSON 1.1, reading only ("Amazon CloudWatch Logs API Reference").

mod describe;
mod events;
mod filter;
mod page;
mod store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use serde_json::Value;

use self::store::Store;
use crate::{clock::Clock, error::AwsError};

/// All log groups of the account. Cheap to clone; clones are the same groups.
#[derive(Clone)]
pub struct Logs {
    clock: Clock,
    store: Arc<Mutex<Store>>,
}

impl Logs {
    /// No groups yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            store: Arc::default(),
        }
    }

    /// Adds one line to a stream. Group and stream come into being with their first line; old lines make room for new ones.
    pub fn append(&self, group: &str, stream: &str, message: &str) {
        let now = self.clock.now().as_millisecond();
        self.lock().append(now, group, stream, message);
    }

    /// Carries out one operation of the AWS JSON 1.1 protocol.
    pub fn handle(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        let store = self.lock();
        match operation {
            "FilterLogEvents" => events::filter(&store, &parsed(input)?),
            "GetLogEvents" => events::get(&store, &parsed(input)?),
            "DescribeLogGroups" => describe::groups(&store, &parsed(input)?),
            "DescribeLogStreams" => describe::streams(&store, &parsed(input)?),
            _ => Err(AwsError::new(
                400,
                "UnknownOperationException",
                format!("patterns-local does not offer the CloudWatch Logs operation {operation}."),
            )),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parsed<T: DeserializeOwned>(input: Value) -> Result<T, AwsError> {
    serde_json::from_value(input)
        .map_err(|error| AwsError::new(400, "SerializationException", error.to_string()))
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidParameterException", message)
}

#[cfg(test)]
mod tests;
