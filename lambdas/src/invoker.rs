//! One way to invoke functions of this account: to [tell](Invoker::tell) one something, which Lambda keeps and delivers, or to
//! [ask](Invoker::ask) one and wait for its answer.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use serde::Deserialize;
use serde_json::Value;

use crate::aws;

/// Why a function was not told, or gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// Lambda refused or did not answer.
    #[error("{function} was not invoked")]
    NotInvoked {
        /// The function.
        function: String,
        /// Why.
        #[source]
        cause: Box<aws_sdk_lambda::Error>,
    },
    /// Lambda answered other than with 202, so the event is not in its queue.
    #[error("the asynchronous invocation of {function} was answered with {status} instead of 202")]
    NotAccepted {
        /// The function.
        function: String,
        /// Lambda's answer.
        status: i32,
    },
    /// The function was asked, and may still be at work.
    #[error("{function} did not answer within {} ms", .within.as_millis())]
    TimedOut {
        /// The function.
        function: String,
        /// The time it had.
        within: Duration,
    },
    /// The function was asked and failed.
    #[error("{function} failed with {kind}: {message}")]
    Failed {
        /// The function.
        function: String,
        /// Its `errorType`.
        kind: String,
        /// Its `errorMessage`.
        message: String,
    },
    /// What the function answered is not JSON.
    #[error("{function} gave an answer that is not JSON")]
    Unreadable {
        /// The function.
        function: String,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
}

/// A function's error, as Lambda hands it to the caller.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Failure {
    error_type: String,
    error_message: String,
}

/// Invokes functions. One per environment.
#[derive(Clone, Debug)]
pub struct Invoker {
    telling: Client,
    asking: Client,
}

impl Invoker {
    /// `config` brings the credentials, and the attempts and timeouts for telling. Asking is done once: its time is the
    /// caller's to divide, and a second attempt would do twice what was asked once.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            telling: Client::new(config),
            asking: aws::asking(config),
        }
    }

    /// Tells `function` something (invocation type `Event`); returns once Lambda has taken it. The SDK may retry and so tell it
    /// twice.
    pub async fn tell(&self, function: &str, event: String) -> Result<(), InvokeError> {
        let answer = self
            .telling
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(event))
            .send()
            .await
            .map_err(|error| InvokeError::NotInvoked {
                function: function.to_owned(),
                cause: Box::new(error.into()),
            })?;
        match answer.status_code() {
            202 => Ok(()),
            status => Err(InvokeError::NotAccepted {
                function: function.to_owned(),
                status,
            }),
        }
    }

    /// Asks `function` (invocation type `RequestResponse`) and waits for its answer, but not longer than `within`.
    pub async fn ask(
        &self,
        function: &str,
        question: String,
        within: Duration,
    ) -> Result<Value, InvokeError> {
        let timed_out = || InvokeError::TimedOut {
            function: function.to_owned(),
            within,
        };
        let asked = self
            .asking
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::RequestResponse)
            .payload(Blob::new(question))
            .send();
        let answer = tokio::time::timeout(within, asked)
            .await
            .map_err(|_| timed_out())?
            .map_err(|error| match error {
                SdkError::TimeoutError(_) => timed_out(),
                error => InvokeError::NotInvoked {
                    function: function.to_owned(),
                    cause: Box::new(error.into()),
                },
            })?;
        let payload = answer.payload().map(AsRef::as_ref).unwrap_or_default();
        if answer.function_error().is_some() {
            return Err(failed(function, payload));
        }
        serde_json::from_slice(payload).map_err(|cause| InvokeError::Unreadable {
            function: function.to_owned(),
            cause,
        })
    }
}

/// What a function says of its own error; nothing at all where its environment ended.
fn failed(function: &str, payload: &[u8]) -> InvokeError {
    let failure: Failure = serde_json::from_slice(payload).unwrap_or_default();
    let or_unknown = |text: String| {
        if text.is_empty() {
            "unknown".to_owned()
        } else {
            text
        }
    };
    InvokeError::Failed {
        function: function.to_owned(),
        kind: or_unknown(failure.error_type),
        message: or_unknown(failure.error_message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_function_says_why_if_it_can() {
        let say = |payload: &[u8]| failed("list-tasks", payload).to_string();
        assert_eq!(
            say(br#"{"errorType": "TasksUnavailable", "errorMessage": "DynamoDB"}"#),
            "list-tasks failed with TasksUnavailable: DynamoDB"
        );
        assert_eq!(say(b""), "list-tasks failed with unknown: unknown");
    }
}
