//! What an event source mapping is asked to do (AWS Lambda API reference, `CreateEventSourceMapping`).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::account;
use crate::error::AwsError;
use crate::lambda::error::invalid_parameter;
use crate::lambda::filter::{Criteria, Filters};
use crate::lambda::{is_fifo, name};

/// Messages in a batch, if nothing else is set.
const DEFAULT_BATCH_SIZE: u32 = 10;

/// What a mapping does. Replaced as a whole when it changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Name of the function.
    pub function: String,
    /// ARN of the queue.
    pub queue_arn: String,
    /// Most messages in a batch.
    pub batch_size: u32,
    /// How long a batch may be collected.
    pub window: Duration,
    /// The function answers which messages failed.
    pub partial_failures: bool,
    /// Most batches at the same time.
    pub maximum_concurrency: Option<u32>,
    /// Messages that do not match are deleted unseen. Kept across runs as the text they were read from.
    #[serde(skip)]
    pub filters: Filters,
    /// It takes messages.
    pub enabled: bool,
    /// Who made the last change: the user, or Lambda because the function was deleted.
    pub changed_by: ChangedBy,
    /// Seconds since 1970.
    pub last_modified: f64,
}

/// `StateTransitionReason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangedBy {
    /// A call of the API.
    User,
    /// The function was deleted.
    Lambda,
}

/// The requests of Create and Update.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Changes {
    /// ARN of the queue; cannot be changed.
    pub event_source_arn: Option<String>,
    /// Name or ARN of the function.
    pub function_name: Option<String>,
    /// 1 to 10 000.
    pub batch_size: Option<u32>,
    /// Seconds, 0 to 300.
    pub maximum_batching_window_in_seconds: Option<u64>,
    /// Nothing or `ReportBatchItemFailures`.
    pub function_response_types: Option<Vec<String>>,
    /// Bounds concurrency.
    pub scaling_config: Option<ScalingConfig>,
    /// Takes messages; true at first.
    pub enabled: Option<bool>,
    /// Which messages the function gets; no filters remove the criteria.
    pub filter_criteria: Option<Criteria>,
}

/// `ScalingConfig`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ScalingConfig {
    /// 2 to 1 000; none removes the bound.
    pub maximum_concurrency: Option<u32>,
}

impl Settings {
    /// A new mapping's settings.
    pub fn create(changes: Changes, now: f64) -> Result<Self, AwsError> {
        let queue_arn = changes
            .event_source_arn
            .clone()
            .filter(|arn| arn.starts_with(&account::queue_arn("")))
            .ok_or_else(|| {
                invalid_parameter(format!(
                    "EventSourceArn is {:?}; here only a queue of account {} in {} can be an event source",
                    changes.event_source_arn.as_deref().unwrap_or_default(),
                    account::ACCOUNT_ID,
                    account::REGION
                ))
            })?;
        if changes.function_name.is_none() {
            return Err(invalid_parameter("FunctionName is missing"));
        }
        let blank = Self {
            function: String::new(),
            queue_arn,
            batch_size: DEFAULT_BATCH_SIZE,
            window: Duration::ZERO,
            partial_failures: false,
            maximum_concurrency: None,
            filters: Filters::default(),
            enabled: true,
            changed_by: ChangedBy::User,
            last_modified: now,
        };
        blank.change(changes, now)
    }

    /// These settings with `changes`; what they do not name stays.
    pub fn change(mut self, changes: Changes, now: f64) -> Result<Self, AwsError> {
        if let Some(criteria) = changes.filter_criteria {
            self.filters = Filters::read(criteria)?;
        }
        if let Some(name) = changes.function_name {
            self.function = name::parse(&name)?;
        }
        if let Some(size) = changes.batch_size {
            self.batch_size = size;
        }
        if let Some(seconds) = changes.maximum_batching_window_in_seconds {
            if seconds > 300 {
                return Err(invalid_parameter(format!(
                    "MaximumBatchingWindowInSeconds is {seconds}; it must be between 0 and 300"
                )));
            }
            self.window = Duration::from_secs(seconds);
        }
        if let Some(types) = changes.function_response_types {
            if let Some(other) = types.iter().find(|kind| *kind != "ReportBatchItemFailures") {
                return Err(invalid_parameter(format!(
                    "FunctionResponseTypes may hold ReportBatchItemFailures, not {other}"
                )));
            }
            self.partial_failures = !types.is_empty();
        }
        if let Some(scaling) = changes.scaling_config {
            if let Some(most) = scaling.maximum_concurrency
                && !(2..=1000).contains(&most)
            {
                return Err(invalid_parameter(format!(
                    "MaximumConcurrency is {most}; it must be between 2 and 1000"
                )));
            }
            self.maximum_concurrency = scaling.maximum_concurrency;
        }
        if let Some(enabled) = changes.enabled {
            self.enabled = enabled;
        }
        self.changed_by = ChangedBy::User;
        self.last_modified = now;
        self.check_batch()?;
        Ok(self)
    }

    fn check_batch(&self) -> Result<(), AwsError> {
        let fifo = is_fifo(&self.queue_arn);
        let most = if fifo { 10 } else { 10_000 };
        if !(1..=most).contains(&self.batch_size) {
            return Err(invalid_parameter(format!(
                "BatchSize is {}; it must be between 1 and {most} for this queue",
                self.batch_size
            )));
        }
        if fifo && !self.window.is_zero() {
            return Err(invalid_parameter(
                "Batching window is not supported for FIFO queues",
            ));
        }
        if self.batch_size > 10 && self.window.is_zero() {
            return Err(invalid_parameter(
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
            ));
        }
        Ok(())
    }

    /// All of `EventSourceMappingConfiguration` but what the mapping itself adds.
    pub(super) fn view(&self, uuid: &str, state: &str) -> Map<String, Value> {
        let mut view = Map::new();
        let mut set = |name: &str, value: Value| {
            view.insert(name.to_owned(), value);
        };
        set("UUID", json!(uuid));
        set(
            "EventSourceMappingArn",
            json!(format!(
                "arn:aws:lambda:{}:{}:event-source-mapping:{uuid}",
                account::REGION,
                account::ACCOUNT_ID
            )),
        );
        set("BatchSize", json!(self.batch_size));
        set(
            "MaximumBatchingWindowInSeconds",
            json!(self.window.as_secs()),
        );
        set("EventSourceArn", json!(self.queue_arn));
        set("FunctionArn", json!(account::function_arn(&self.function)));
        set("LastModified", json!(self.last_modified));
        set("State", json!(state));
        let reason = match self.changed_by {
            ChangedBy::User => "USER_INITIATED",
            ChangedBy::Lambda => "LAMBDA_INITIATED",
        };
        set("StateTransitionReason", json!(reason));
        let types: &[&str] = if self.partial_failures {
            &["ReportBatchItemFailures"]
        } else {
            &[]
        };
        set("FunctionResponseTypes", json!(types));
        if let Some(most) = self.maximum_concurrency {
            set("ScalingConfig", json!({"MaximumConcurrency": most}));
        }
        if !self.filters.is_empty() {
            set("FilterCriteria", self.filters.view());
        }
        view
    }

    /// The state it is in when nothing is changing.
    pub fn state(&self) -> &'static str {
        if self.enabled { "Enabled" } else { "Disabled" }
    }
}

/// A message must stay hidden while its function works on it (AWS's check and wording).
pub fn check_visibility(visibility: Duration, timeout: Duration) -> Result<(), AwsError> {
    if visibility >= timeout {
        return Ok(());
    }
    Err(invalid_parameter(format!(
        "Queue visibility timeout: {} seconds is less than Function timeout: {} seconds",
        visibility.as_secs(),
        timeout.as_secs()
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn create(extra: Value) -> Result<Settings, AwsError> {
        let mut request = json!({"EventSourceArn": account::queue_arn("q"), "FunctionName": "f"});
        let (Value::Object(fields), Value::Object(extra)) = (&mut request, extra) else {
            panic!("both are objects")
        };
        fields.extend(extra);
        Settings::create(serde_json::from_value(request).unwrap(), 1.0)
    }

    #[test]
    fn defaults_are_those_of_aws() {
        let settings = create(json!({})).unwrap();
        assert_eq!(
            (
                settings.batch_size,
                settings.enabled,
                settings.partial_failures
            ),
            (10, true, false)
        );
        assert_eq!(settings.state(), "Enabled");
    }

    #[test]
    fn refuses_what_aws_refuses() {
        for (given, part) in [
            (json!({"BatchSize": 0}), "BatchSize"),
            (json!({"BatchSize": 11}), "greater than 0"),
            (json!({"MaximumBatchingWindowInSeconds": 301}), "301"),
            (
                json!({"ScalingConfig": {"MaximumConcurrency": 1}}),
                "MaximumConcurrency",
            ),
            (json!({"FunctionResponseTypes": ["Other"]}), "Other"),
            (
                json!({"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}}),
                "filter pattern",
            ),
            (
                json!({"EventSourceArn": "arn:aws:kinesis:us-east-1:0:stream/x"}),
                "kinesis",
            ),
        ] {
            let error = create(given).unwrap_err();
            assert!(error.message.contains(part), "{error}");
        }
        create(json!({"BatchSize": 100, "MaximumBatchingWindowInSeconds": 1})).unwrap();
    }

    #[test]
    fn a_queue_must_hide_messages_as_long_as_the_function_may_run() {
        let seconds = Duration::from_secs;
        let error = check_visibility(seconds(9), seconds(10)).unwrap_err();
        assert_eq!(
            error.message,
            "Queue visibility timeout: 9 seconds is less than Function timeout: 10 seconds"
        );
        check_visibility(seconds(10), seconds(10)).unwrap();
    }
}
