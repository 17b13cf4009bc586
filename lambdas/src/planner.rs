//! `GET /planner/daily`: the tasks of `list-tasks`, which is invoked and waited for. With `?date=2026-01-31` those that are due
//! on that day, in UTC.
//!
//! A failure of the other function is not an answer of this one: 502, or 504 when it did not answer in time.

use std::time::Duration;

use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::operation::invoke::InvokeError;
use aws_sdk_lambda::primitives::Blob;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use lambda_http::http::StatusCode;
use lambda_http::{Error, Request, RequestExt};
use patterns_core::task::{InvalidField, Task};
use serde::Deserialize;
use serde_json::json;

use crate::aws;
use crate::http::{Outcome, Refusal, answer, serve, usable};
use crate::settings::Settings;
use crate::task::wanted::Shown;

/// One invocation takes at most this long, and all together what the function's time allows.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Tasks in one invocation's answer, far below the 6 MB that it may have.
const PAGE: u32 = 1000;

/// Why there are no tasks.
#[derive(Debug, thiserror::Error)]
enum ListError {
    #[error("list-tasks cannot be invoked")]
    Unreachable(#[source] Box<aws_sdk_lambda::Error>),
    #[error("list-tasks did not answer in time")]
    TimedOut,
    #[error("list-tasks failed: {0}")]
    Failed(String),
    #[error("list-tasks answered with something else than tasks")]
    NotTasks(#[source] serde_json::Error),
}

struct Lister {
    client: aws_sdk_lambda::Client,
    function: String,
}

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let mut settings = Settings::default();
    let function = settings.required("LIST_TASKS_FUNCTION_NAME");
    let function = settings.finish(function)?;
    let config = aws::config().await;
    // One attempt, which may take all of the time: a second one would answer too late. What is not set here stays as it is in `config`.
    let once = aws_sdk_lambda::config::Builder::from(&config)
        .retry_config(aws_sdk_lambda::config::retry::RetryConfig::disabled())
        .timeout_config(
            aws_sdk_lambda::config::timeout::TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(1))
                .operation_attempt_timeout(TIMEOUT)
                .operation_timeout(TIMEOUT)
                .build(),
        )
        .build();
    let lister = &Lister {
        client: aws_sdk_lambda::Client::from_conf(once),
        function,
    };
    serve(|request, correlation_id| async move { plan(lister, &request, &correlation_id).await })
        .await
}

async fn plan(lister: &Lister, request: &Request, correlation_id: &str) -> Outcome {
    let parameters = request.query_string_parameters_ref();
    let date = parameters.and_then(|parameters| parameters.first("date"));
    let date = date.map(day).transpose()?;
    let outcome = tokio::time::timeout(usable(request), all(lister, correlation_id));
    let outcome = outcome.await.unwrap_or(Err(ListError::TimedOut));
    let mut tasks = outcome.map_err(|error| unavailable(&error))?;
    if let Some(date) = date {
        tasks.retain(|task| is_due(task, date));
    }
    tasks.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    let tasks: Vec<_> = tasks.iter().map(Shown::from).collect();
    answer(StatusCode::OK, &json!({"tasks": tasks}))
}

fn day(text: &str) -> Result<Date, Refusal> {
    let invalid = || {
        Refusal::Invalid(vec![InvalidField {
            field: "date".to_owned(),
            message: "date must be a day such as 2026-01-31".to_owned(),
        }])
    };
    // Without this, longer forms that begin with a day would be taken, too.
    if text.len() != "2026-01-31".len() {
        return Err(invalid());
    }
    text.parse().map_err(|_| invalid())
}

fn is_due(task: &Task, date: Date) -> bool {
    let due = task.due_at.map(|due| due.to_zoned(TimeZone::UTC).date());
    due == Some(date)
}

fn unavailable(error: &ListError) -> Refusal {
    tracing::error!(cause = format!("{error:?}"), "{error}");
    let (status, message) = match error {
        ListError::TimedOut => (
            StatusCode::GATEWAY_TIMEOUT,
            "Service list-tasks did not answer in time",
        ),
        _ => (StatusCode::BAD_GATEWAY, "Service list-tasks unavailable"),
    };
    Refusal::Unavailable {
        status,
        service: "list-tasks".to_owned(),
        message: message.to_owned(),
    }
}

/// Page after page: a function's answer ends at 6 MB.
async fn all(lister: &Lister, correlation_id: &str) -> Result<Vec<Task>, ListError> {
    let mut tasks = Vec::new();
    let mut next = None;
    loop {
        let asked = json!({"limit": PAGE, "nextToken": next, "correlationId": correlation_id});
        let page = invoke(lister, asked.to_string()).await?;
        tasks.extend(page.tasks);
        next = page.next_token;
        if next.is_none() {
            return Ok(tasks);
        }
    }
}

async fn invoke(lister: &Lister, asked: String) -> Result<Page, ListError> {
    let answer = lister
        .client
        .invoke()
        .function_name(&lister.function)
        .payload(Blob::new(asked))
        .send()
        .await
        .map_err(|error: SdkError<InvokeError>| match error {
            SdkError::TimeoutError(_) => ListError::TimedOut,
            error => ListError::Unreachable(Box::new(error.into())),
        })?;
    let payload = answer.payload().map(AsRef::as_ref).unwrap_or_default();
    page(answer.function_error(), payload)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    tasks: Vec<Task>,
    next_token: Option<String>,
}

/// What a function's error says of itself.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Failure {
    error_type: String,
    error_message: String,
}

fn page(failed: Option<&str>, payload: &[u8]) -> Result<Page, ListError> {
    let Some(kind) = failed else {
        return serde_json::from_slice(payload).map_err(ListError::NotTasks);
    };
    let Failure {
        error_type,
        error_message,
    } = serde_json::from_slice(payload).unwrap_or_default();
    // Lambda's own words for a function that was ended because its time was used up.
    if error_type == "Sandbox.Timedout" || error_message.contains("Task timed out") {
        return Err(ListError::TimedOut);
    }
    Err(ListError::Failed(format!(
        "{kind} {error_type}: {error_message}"
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The original took every answer for tasks, a failure's body too.
    #[test]
    fn d9_only_tasks_are_taken_for_tasks() {
        let page = |payload: &str| page(None, payload.as_bytes()).map(|page| page.tasks.len());
        assert_eq!(page(r#"{"tasks": []}"#).unwrap(), 0);
        for other in [
            r#"{"statusCode": 500, "body": "{\"message\": \"Failed to retrieve tasks\"}"}"#,
            r#"{"message": "Failed to retrieve tasks"}"#,
            r#"{"tasks": {"message": "no"}}"#,
            "null",
            "",
        ] {
            let error = page(other).unwrap_err();
            assert!(
                matches!(error, ListError::NotTasks(_)),
                "{other}: {error:?}"
            );
        }
    }

    #[test]
    fn a_failure_is_502_and_used_up_time_504() {
        let status = |payload: &str| {
            let error = page(Some("Unhandled"), payload.as_bytes()).unwrap_err();
            match unavailable(&error) {
                Refusal::Unavailable { status, .. } => status.as_u16(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            status(r#"{"errorType": "TasksUnavailable", "errorMessage": "DynamoDB"}"#),
            502
        );
        assert_eq!(status("?"), 502);
        assert_eq!(
            status(
                r#"{"errorType": "Sandbox.Timedout", "errorMessage": "RequestId: 1 Error: Task timed out after 3.00 seconds"}"#
            ),
            504
        );
    }

    #[test]
    fn a_day_is_a_day_in_utc() {
        assert!(day("2026-01-31").is_ok());
        for wrong in [
            "",
            "today",
            "2026-1-31",
            "2026-02-30",
            "2026-01-31T00:00:00Z",
            "20260131",
        ] {
            assert!(day(wrong).is_err(), "{wrong}");
        }
        let due = |time: &str| Task {
            id: "1".to_owned(),
            title: "x".to_owned(),
            detail: None,
            due_at: Some(time.parse().unwrap()),
            is_complete: false,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            updated_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let date = day("2026-01-31").unwrap();
        assert!(is_due(&due("2026-01-31T23:59:59Z"), date));
        assert!(!is_due(&due("2026-01-31T23:59:59-01:00"), date));
        assert!(!is_due(
            &Task {
                due_at: None,
                ..due("2026-01-31T00:00:00Z")
            },
            date
        ));
    }
}
