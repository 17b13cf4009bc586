//! The five task functions behind the HTTP API.
//!
//! | function | call | answers |
//! |---|---|---|
//! | [`create`] | `POST /tasks` | 201, 400 |
//! | [`get`] | `GET /tasks/{taskId}` | 200, 404 |
//! | [`list`] | `GET /tasks` | 200 |
//! | [`update`] | `PUT /tasks/{taskId}` | 200, 400, 404 |
//! | [`delete`] | `DELETE /tasks/{taskId}` | 204, 404 |
//!
//! Each may also answer 500; every error is `{"message", "correlationId"}`, and 400 names the `fields`.

use std::future::Future;

use jiff::Timestamp;
use lambda_http::{Body, Error, Request, RequestExt, Response, service_fn};
use serde::de::DeserializeOwned;
use tracing::Instrument;

use crate::aws;
use crate::correlation;
use crate::envelope::{Action, Envelope};
use crate::http::{Outcome, Refusal, respond};
use crate::notifier::{Choice, Notifier};
use crate::settings::Settings;
use patterns_core::task::{InvalidField, Task};
use store::TaskStore;

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod store;
pub mod update;

/// A function that only reads.
struct Reader {
    store: TaskStore,
}

impl Reader {
    async fn start() -> Result<Self, Error> {
        let mut settings = Settings::default();
        let table = settings.required("TASKS_TABLE");
        let table = settings.finish(table)?;
        Ok(Self {
            store: TaskStore::new(&aws::config().await, table),
        })
    }
}

/// A function that changes a task and tells of it.
struct Writer {
    store: TaskStore,
    notifier: Notifier,
}

impl Writer {
    async fn start() -> Result<Self, Error> {
        let mut settings = Settings::default();
        let table = settings.required("TASKS_TABLE");
        let choice = Choice::read(&mut settings);
        let (table, choice) = settings.finish((table, choice))?;
        let choice = choice.ok_or("no notifier is chosen")?;
        let config = aws::config().await;
        Ok(Self {
            store: TaskStore::new(&config, table),
            notifier: Notifier::new(choice, &config),
        })
    }

    /// Tells that `action` happened to `task`. The task is stored by now, so the caller's answer does not depend on this:
    /// a failure is logged.
    async fn tell(&self, action: Action, task: &Task, correlation_id: &str, source: &str) {
        let envelope = Envelope::new(action, task.clone(), correlation_id.to_owned(), source);
        if let Err(error) = self.notifier.tell(&envelope).await {
            tracing::error!(
                event_id = envelope.id,
                cause = format!("{error:?}"),
                "HandoffFailed: {error}"
            );
        }
    }
}

/// Serves HTTP requests with `handle`, which gets the request and its correlation id.
async fn serve<F, Fut>(handle: F) -> Result<(), Error>
where
    F: Fn(Request, String) -> Fut,
    Fut: Future<Output = Outcome> + Send,
{
    lambda_http::run(service_fn(|request: Request| {
        let correlation_id = correlation::from_headers(request.headers());
        let span = tracing::info_span!("request", correlation_id);
        let outcome = handle(request, correlation_id.clone());
        async move { respond(outcome.await, &correlation_id) as Result<Response<Body>, Error> }
            .instrument(span)
    }))
    .await
}

/// The present instant in whole milliseconds, as the API has always told time.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

fn task_id(request: &Request) -> Result<String, Refusal> {
    request
        .path_parameters_ref()
        .and_then(|parameters| parameters.first("taskId"))
        .map(str::to_owned)
        .ok_or_else(|| Refusal::BadBody("Task ID is required".to_owned()))
}

fn parse_body<T: DeserializeOwned>(request: &Request) -> Result<T, Refusal> {
    let body: &[u8] = request.body();
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::BadBody("Request body is required".to_owned()));
    }
    let invalid = || Refusal::BadBody("Invalid JSON in request body".to_owned());
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        match error.inner().classify() {
            serde_json::error::Category::Data if field != "." => {
                Refusal::Invalid(vec![InvalidField {
                    field,
                    message: without_place(error.inner()),
                }])
            }
            serde_json::error::Category::Data => Refusal::BadBody(format!(
                "Validation failed: {}",
                without_place(error.inner())
            )),
            _ => invalid(),
        }
    })?;
    json.end().map_err(|_| invalid())?;
    // serde reads a list as a struct, field by field.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Refusal::BadBody(
            "Request body must be a JSON object".to_owned(),
        ));
    }
    Ok(parsed)
}

/// What serde says, without ` at line 1 column 20`: the caller knows the field, and lines are ours to lay out.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use patterns_core::task::NewTask;

    use super::*;

    #[test]
    fn a_body_is_one_json_object_and_nothing_else() {
        let parse = |body: &str| {
            parse_body::<NewTask>(&Request::new(Body::from(body)))
                .map(|new| new.title)
                .map_err(|refusal| refusal.to_string())
        };
        assert_eq!(parse(" {\"title\": \"x\"}\n"), Ok("x".to_owned()));
        for (body, message) in [
            ("", "Request body is required"),
            (" \n", "Request body is required"),
            ("{", "Invalid JSON in request body"),
            (
                "{\"title\": \"x\"} {\"title\": \"y\"}",
                "Invalid JSON in request body",
            ),
            ("[\"x\"]", "Request body must be a JSON object"),
        ] {
            assert_eq!(parse(body), Err(message.to_owned()), "{body}");
        }
        let wrong = parse("{\"title\": 5}").unwrap_err();
        assert!(wrong.starts_with("Validation failed: title: "), "{wrong}");
    }
}
