//! The five task functions behind the HTTP API.
//!
//! | function | call | answers |
//! |---|---|---|
//! | [`create`] | `POST /tasks` | 201, 400, 409, 413, 415, 422 |
//! | [`get`] | `GET /tasks/{taskId}` | 200, 404 |
//! | [`list`] | `GET /tasks` | 200, 400 |
//! | [`update`] | `PUT /tasks/{taskId}` | 200, 400, 404, 409, 413, 415 |
//! | [`delete`] | `DELETE /tasks/{taskId}` | 204, 404, 409 |
//!
//! Each may also answer 500, and 504 when its time is used up; errors look as [`crate::http`] says.

use aws_config::SdkConfig;
use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Error, Request};

use crate::envelope::Envelope;
use crate::http::Refusal;
use crate::http::read::path_id;
use crate::notifier::{Choice, Notifier};
use crate::outbox::{Outbox, Pending};
use crate::settings::Settings;
use store::TaskStore;

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod store;
pub mod update;
pub mod wanted;

/// How often a change is tried when others change the same task at the same time.
const ATTEMPTS: usize = 5;

/// A function that only reads.
struct Reader {
    store: TaskStore,
}

impl Reader {
    fn start(config: &SdkConfig) -> Result<Self, Error> {
        let mut settings = Settings::default();
        let table = settings.required("TASKS_TABLE");
        let table = settings.finish(table)?;
        Ok(Self {
            store: TaskStore::new(config, table),
        })
    }
}

/// A function that changes a task and tells of it.
struct Writer {
    store: TaskStore,
    outbox: Outbox,
}

impl Writer {
    fn start(mut settings: Settings, config: &SdkConfig) -> Result<Self, Error> {
        let table = settings.required("TASKS_TABLE");
        let choice = Choice::read(&mut settings);
        let outbox = match choice {
            // Nothing is ever written to it.
            Some(Choice::Nobody) => String::new(),
            _ => settings.required("OUTBOX_TABLE"),
        };
        let (table, outbox, choice) = settings.finish((table, outbox, choice))?;
        let choice = choice.ok_or("no notifier is chosen")?;
        let notifier = Notifier::new(choice, config);
        Ok(Self {
            store: TaskStore::new(config, table),
            outbox: Outbox::new(config, outbox, notifier),
        })
    }

    /// What is to be told, if the stack tells of it.
    fn pending(
        &self,
        envelope: &Envelope,
        failed: &'static str,
    ) -> Result<Option<Pending>, Refusal> {
        if !self.outbox.notifier().tells_of(envelope.action) {
            return Ok(None);
        }
        let pending = self.outbox.notifier().pending(envelope);
        Ok(Some(
            pending.map_err(|error| Refusal::failed(failed, error))?,
        ))
    }

    /// Tells it. The change and its event are stored by now, so the caller's answer does not depend on this.
    async fn tell(&self, pending: Option<Pending>) {
        if let Some(pending) = pending {
            self.outbox.hand_over(&pending).await;
        }
    }
}

/// The present instant in whole milliseconds, as the API has always told time.
pub(crate) fn now() -> Timestamp {
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

fn contended() -> Refusal {
    Refusal::with(
        StatusCode::CONFLICT,
        "Others are changing this task at the same time; try again",
    )
}
