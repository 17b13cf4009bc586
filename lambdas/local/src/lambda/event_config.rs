//! How a function's asynchronous invocations are retried and where they end
//! (AWS Lambda API reference, `PutFunctionEventInvokeConfig`).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::invalid_parameter;
use crate::account;
use crate::error::AwsError;

/// Attempts after the first, if nothing else is set (AWS Lambda developer guide, "Asynchronous invocation").
pub const DEFAULT_RETRIES: u32 = 2;

/// How long an event may wait, if nothing else is set: 6 hours (same page), the maximum.
pub const DEFAULT_EVENT_AGE: Duration = Duration::from_hours(6);

/// Settings of one function.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventConfig {
    /// 0 to 2.
    pub retries: Option<u32>,
    /// 60 s to 6 h.
    pub event_age: Option<Duration>,
    /// ARN of where an event goes that failed for good.
    pub on_failure: Option<String>,
    /// ARN of where the record of a success goes.
    pub on_success: Option<String>,
    /// Seconds since 1970.
    pub last_modified: f64,
}

/// The request of Put and Update.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Changes {
    pub maximum_retry_attempts: Option<u32>,
    /// 60 to 21 600.
    pub maximum_event_age_in_seconds: Option<u64>,
    pub destination_config: Option<DestinationConfig>,
}

/// `DestinationConfig`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DestinationConfig {
    pub on_failure: Option<Destination>,
    pub on_success: Option<Destination>,
}

/// `OnFailure` or `OnSuccess`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Destination {
    /// An ARN; empty removes it.
    pub destination: Option<String>,
}

impl EventConfig {
    /// `self` with `changes`; what they do not name stays. Put starts from the default, Update from what is there.
    pub fn change(mut self, changes: Changes, now: f64) -> Result<Self, AwsError> {
        if let Some(retries) = changes.maximum_retry_attempts {
            if retries > 2 {
                return Err(invalid_parameter(format!(
                    "MaximumRetryAttempts is {retries}; it must be 0, 1 or 2"
                )));
            }
            self.retries = Some(retries);
        }
        if let Some(seconds) = changes.maximum_event_age_in_seconds {
            if !(60..=21_600).contains(&seconds) {
                return Err(invalid_parameter(format!(
                    "MaximumEventAgeInSeconds is {seconds}; it must be between 60 and 21600"
                )));
            }
            self.event_age = Some(Duration::from_secs(seconds));
        }
        if let Some(config) = changes.destination_config {
            if let Some(failure) = config.on_failure {
                self.on_failure = checked(failure)?;
            }
            if let Some(success) = config.on_success {
                self.on_success = checked(success)?;
            }
        }
        self.last_modified = now;
        Ok(self)
    }

    /// `FunctionEventInvokeConfig` of the AWS Lambda API reference.
    pub fn view(&self, name: &str) -> Value {
        let mut view = Map::new();
        view.insert("LastModified".to_owned(), json!(self.last_modified));
        view.insert(
            "FunctionArn".to_owned(),
            json!(format!("{}:$LATEST", account::function_arn(name))),
        );
        if let Some(retries) = self.retries {
            view.insert("MaximumRetryAttempts".to_owned(), json!(retries));
        }
        if let Some(age) = self.event_age {
            view.insert("MaximumEventAgeInSeconds".to_owned(), json!(age.as_secs()));
        }
        let destination = |arn: &Option<String>| {
            arn.as_ref()
                .map_or_else(|| json!({}), |arn| json!({"Destination": arn}))
        };
        view.insert(
            "DestinationConfig".to_owned(),
            json!({"OnSuccess": destination(&self.on_success), "OnFailure": destination(&self.on_failure)}),
        );
        Value::Object(view)
    }
}

fn checked(destination: Destination) -> Result<Option<String>, AwsError> {
    let Some(arn) = destination.destination.filter(|arn| !arn.is_empty()) else {
        return Ok(None);
    };
    if arn.starts_with("arn:aws:lambda:") {
        super::name::parse(&arn)?;
    } else {
        check_queue(&arn)?;
    }
    Ok(Some(arn))
}

/// Refuses what cannot take failed events: AWS wants a standard queue (AWS Lambda developer guide, "Capturing records of Lambda
/// asynchronous invocations"); topics and event buses are not offered here.
pub fn check_queue(arn: &str) -> Result<(), AwsError> {
    match arn.strip_prefix(&account::queue_arn("")) {
        Some(name) if !name.is_empty() && !super::is_fifo(name) => Ok(()),
        Some(_) => Err(invalid_parameter(format!(
            "{arn} cannot take failed events: only a standard queue can"
        ))),
        None => Err(invalid_parameter(format!(
            "{arn} cannot take failed events here: name a queue of account {} in {} (or, as a destination, a function)",
            account::ACCOUNT_ID,
            account::REGION
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn changes(value: Value) -> Changes {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_update_keeps_what_it_does_not_name() {
        let queue = account::queue_arn("failures");
        let put = json!({"MaximumRetryAttempts": 0, "DestinationConfig": {"OnFailure": {"Destination": queue}}});
        let config = EventConfig::default().change(changes(put), 1.0).unwrap();
        let update = json!({"MaximumEventAgeInSeconds": 60});
        let config = config.change(changes(update), 2.0).unwrap();
        assert_eq!(
            config.view("f"),
            json!({
                "LastModified": 2.0,
                "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST",
                "MaximumRetryAttempts": 0,
                "MaximumEventAgeInSeconds": 60,
                "DestinationConfig": {"OnSuccess": {}, "OnFailure": {"Destination": queue}},
            })
        );
    }

    #[test]
    fn refuses_values_out_of_bounds_and_targets_that_cannot_take_events() {
        let fifo = account::queue_arn("q.fifo");
        for given in [
            json!({"MaximumRetryAttempts": 3}),
            json!({"MaximumEventAgeInSeconds": 59}),
            json!({"DestinationConfig": {"OnFailure": {"Destination": fifo}}}),
            json!({"DestinationConfig": {"OnSuccess": {"Destination": "arn:aws:sns:us-east-1:000000000000:t"}}}),
        ] {
            let error = EventConfig::default()
                .change(changes(given), 0.0)
                .unwrap_err();
            assert_eq!(error.code, "InvalidParameterValueException", "{error}");
        }
    }
}
