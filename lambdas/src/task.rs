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

use jiff::Timestamp;
use lambda_http::{Error, Request};

use crate::aws;
use crate::envelope::{Action, Envelope};
use crate::http::Refusal;
use crate::http::read::path_id;
use crate::notifier::{Choice, Notifier};
use crate::settings::Settings;
use patterns_core::task::Task;
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
                eventId = envelope.id,
                cause = format!("{error:?}"),
                "HandoffFailed: {error}"
            );
        }
    }
}

/// The present instant in whole milliseconds, as the API has always told time.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// No id that cannot be one is looked up: there is no such task.
fn task_id(request: &Request) -> Result<String, Refusal> {
    path_id(request, "taskId").ok_or_else(no_task)
}

fn no_task() -> Refusal {
    Refusal::not_found("Task not found")
}
