//! `GET /planner/daily`: the tasks of `list-tasks`, which is invoked and waited for. With `?date=2026-01-31` those that are due
//! on that day, in UTC.
//!
//! A failure of the other function is not an answer of this one: 502, or 504 when it did not answer in time.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use lambda_http::http::StatusCode;
use lambda_http::{Error, Request, RequestExt};
use patterns_core::task::{InvalidField, Task};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::aws;
use crate::http::{Outcome, Refusal, answer, serve, usable};
use crate::invoker::{InvokeError, Invoker};
use crate::settings::Settings;
use crate::task::wanted::Shown;

/// One invocation takes at most this long, and all together what the function's time allows.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Tasks in one invocation's answer, far below the 6 MB that it may have.
const PAGE: u32 = 1000;

/// Why there are no tasks.
#[derive(Debug, thiserror::Error)]
enum ListError {
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    #[error("list-tasks has more pages than there is time for")]
    OutOfTime,
    #[error("list-tasks answered with something else than tasks")]
    NotTasks(#[source] serde_json::Error),
}

struct Lister {
    invoker: Invoker,
    function: String,
}

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let mut settings = Settings::default();
    let function = settings.required("LIST_TASKS_FUNCTION_NAME");
    let function = settings.finish(function)?;
    let lister = &Lister {
        invoker: Invoker::new(&aws::config()),
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
    let outcome = outcome.await.unwrap_or(Err(ListError::OutOfTime));
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
    let (status, message) = if is_late(error) {
        (
            StatusCode::GATEWAY_TIMEOUT,
            "Service list-tasks did not answer in time",
        )
    } else {
        (StatusCode::BAD_GATEWAY, "Service list-tasks unavailable")
    };
    Refusal::Unavailable {
        status,
        service: "list-tasks".to_owned(),
        message: message.to_owned(),
    }
}

fn is_late(error: &ListError) -> bool {
    match error {
        ListError::OutOfTime | ListError::Invoke(InvokeError::TimedOut { .. }) => true,
        // Lambda's own words for a function that was ended because its time was used up.
        ListError::Invoke(InvokeError::Failed { kind, message, .. }) => {
            kind == "Sandbox.Timedout" || message.contains("Task timed out")
        }
        ListError::Invoke(_) | ListError::NotTasks(_) => false,
    }
}

/// Page after page: a function's answer ends at 6 MB.
async fn all(lister: &Lister, correlation_id: &str) -> Result<Vec<Task>, ListError> {
    let mut tasks = Vec::new();
    let mut next = None;
    loop {
        let asked = json!({"limit": PAGE, "nextToken": next, "correlationId": correlation_id});
        let asked = lister
            .invoker
            .ask(&lister.function, asked.to_string(), TIMEOUT);
        let page = page(asked.await?)?;
        tasks.extend(page.tasks);
        next = page.next_token;
        if next.is_none() {
            return Ok(tasks);
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    tasks: Vec<Task>,
    next_token: Option<String>,
}

fn page(answer: Value) -> Result<Page, ListError> {
    serde_json::from_value(answer).map_err(ListError::NotTasks)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The original took every answer for tasks, a failure's body too.
    #[test]
    fn d9_only_tasks_are_taken_for_tasks() {
        let page = |answer| page(answer).map(|page| page.tasks.len());
        assert_eq!(page(json!({"tasks": []})).unwrap(), 0);
        for other in [
            json!({"statusCode": 500, "body": "{\"message\": \"Failed to retrieve tasks\"}"}),
            json!({"message": "Failed to retrieve tasks"}),
            json!({"tasks": {"message": "no"}}),
            json!(null),
        ] {
            let error = page(other.clone()).unwrap_err();
            assert!(
                matches!(error, ListError::NotTasks(_)),
                "{other}: {error:?}"
            );
        }
    }

    #[test]
    fn a_failure_is_502_and_used_up_time_504() {
        let status = |kind: &str, message: &str| {
            let error = InvokeError::Failed {
                function: "list-tasks".to_owned(),
                kind: kind.to_owned(),
                message: message.to_owned(),
            };
            match unavailable(&error.into()) {
                Refusal::Unavailable { status, .. } => status.as_u16(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(status("TasksUnavailable", "DynamoDB"), 502);
        assert_eq!(status("unknown", "unknown"), 502);
        assert_eq!(
            status(
                "Sandbox.Timedout",
                "RequestId: 1 Error: Task timed out after 3.00 seconds"
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
