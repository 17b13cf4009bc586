//! `GET /tasks`: all of them, newest first. With `limit` or `nextToken` it is one page of `{"tasks", "nextToken"}`, in the table's
//! order, and the last page has no token.
//!
//! Other functions ask the same by a synchronous invocation with `{"limit"?, "nextToken"?, "correlationId"?}`, and get
//! `{"tasks", "nextToken"}`; without a limit, all.

use std::sync::Arc;

use aws_config::SdkConfig;
use lambda_http::http::StatusCode;
use lambda_http::request::LambdaRequest;
use lambda_http::tower::Service as _;
use lambda_http::{Adapter, Error, Request, RequestExt, service_fn};
use lambda_runtime::{Diagnostic, LambdaEvent};
use patterns_core::task::{InvalidField, Task};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::Instrument;

use super::Reader;
use super::wanted::Shown;
use crate::aws;
use crate::function::Function;
use crate::http::read::is_id;
use crate::http::{Outcome, Refusal, answer, one};
use crate::table::TableError;
use crate::unreadable::Unreadable;

/// Tasks on one page at most.
const LIMIT_MAX: i32 = 1000;

/// Serves requests and invocations until the environment ends.
pub async fn run() -> Result<(), Error> {
    lambda_runtime::run(function(&aws::config())?).await
}

/// What serves them.
pub fn function(config: &SdkConfig) -> Result<impl Function<Value> + use<>, Error> {
    let reader = Arc::new(Reader::start(config)?);
    Ok(lambda_runtime::service_fn(
        move |event: LambdaEvent<Value>| {
            let reader = Arc::clone(&reader);
            async move {
                // Only API Gateway's events say which request they are of.
                if event.payload.get("requestContext").is_some() {
                    by_http(reader, event).await
                } else {
                    by_invocation(&reader, event).await
                }
            }
        },
    ))
}

async fn by_http(reader: Arc<Reader>, event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    let request: LambdaRequest = serde_json::from_value(event.payload)
        .map_err(|error| wrong("InvalidRequest", &Unreadable::from(error)))?;
    let handle = |request, _| {
        let reader = Arc::clone(&reader);
        async move { list(&reader, &request).await }
    };
    let mut adapter = Adapter::from(service_fn(|request: Request| one(&handle, request)));
    let response = adapter
        .call(LambdaEvent::new(request, event.context))
        .await
        .map_err(|error| wrong("AnswerNotWritten", error.as_ref()))?;
    serde_json::to_value(response).map_err(|error| wrong("AnswerNotWritten", &error))
}

/// An error as the caller and the operator read it.
fn wrong(kind: &str, error: &dyn std::error::Error) -> Diagnostic {
    tracing::error!(cause = format!("{error:?}"), "{error}");
    Diagnostic {
        error_type: kind.to_owned(),
        error_message: error.to_string(),
    }
}

async fn list(reader: &Reader, request: &Request) -> Outcome {
    let parameters = request.query_string_parameters_ref();
    let parameter = |name| parameters.and_then(|parameters| parameters.first(name));
    let (limit, after) = (parameter("limit"), parameter("nextToken"));
    if limit.is_none() && after.is_none() {
        let tasks = reader.store.list().await.map_err(failed)?;
        let shown: Vec<_> = tasks.iter().map(Shown::from).collect();
        return answer(StatusCode::OK, &shown);
    }
    let invalid = |field: &str, message: String| {
        let field = field.to_owned();
        Refusal::Invalid(vec![InvalidField { field, message }])
    };
    if after.is_some_and(|after| !is_id(after)) {
        let message = "nextToken must be one that a page was answered with".to_owned();
        return Err(invalid("nextToken", message));
    }
    let limit = match limit {
        None => LIMIT_MAX,
        Some(limit) => limit
            .parse()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| {
                let message = format!("limit must be a number from 1 to {LIMIT_MAX}");
                invalid("limit", message)
            })?,
    };
    let (tasks, next) = reader.store.page(limit, after).await.map_err(failed)?;
    answer(StatusCode::OK, &page(&tasks, next))
}

fn failed(error: TableError) -> Refusal {
    Refusal::failed("Failed to retrieve tasks", error)
}

fn page(tasks: &[Task], next: Option<String>) -> Value {
    let tasks: Vec<_> = tasks.iter().map(Shown::from).collect();
    let mut page = json!({"tasks": tasks});
    if let (Some(page), Some(next)) = (page.as_object_mut(), next) {
        page.insert("nextToken".to_owned(), Value::from(next));
    }
    page
}

/// What another function asks.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    limit: Option<i32>,
    next_token: Option<String>,
    correlation_id: Option<String>,
}

/// Errors are errors here, not answers: so the caller sees a `FunctionError`.
async fn by_invocation(reader: &Reader, event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    let asked: Asked = serde_json::from_value(event.payload)
        .map_err(|error| wrong("InvalidRequest", &Unreadable::from(error)))?;
    let request_id = event.context.request_id;
    let span = tracing::info_span!(
        "invocation",
        correlationId = asked.correlation_id.unwrap_or(request_id)
    );
    async {
        let after = asked.next_token.as_deref();
        if after.is_some_and(|after| !is_id(after)) {
            let message = "nextToken is none that a page was answered with";
            return Err(wrong("InvalidRequest", &Unreadable::of(message)));
        }
        let listed = if asked.limit.is_none() && after.is_none() {
            reader.store.list().await.map(|tasks| (tasks, None))
        } else {
            let limit = asked.limit.unwrap_or(LIMIT_MAX).clamp(1, LIMIT_MAX);
            reader.store.page(limit, after).await
        };
        let (tasks, next) = listed.map_err(|error| wrong("TasksUnavailable", &error))?;
        Ok(page(&tasks, next))
    }
    .instrument(span)
    .await
}
