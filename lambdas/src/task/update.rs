//! `PUT /tasks/{taskId}`: replaces a task; what the caller leaves out is removed.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Error, Request};
use patterns_core::task::{Task, invalid_fields};
use serde::Deserialize;

use super::{Writer, no_task, now, task_id};
use crate::envelope::Action;
use crate::http::read::json_body;
use crate::http::{Outcome, Refusal, answer, serve};

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let writer = &Writer::start().await?;
    serve(|request, correlation_id| async move { update(writer, &request, &correlation_id).await })
        .await
}

/// The whole task as the caller wants it: `title` and `isComplete` are required, so that nothing is reset by accident.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Replacement {
    title: String,
    detail: Option<String>,
    due_at: Option<Timestamp>,
    is_complete: bool,
}

async fn update(writer: &Writer, request: &Request, correlation_id: &str) -> Outcome {
    let id = task_id(request)?;
    let wanted: Replacement = json_body(request)?;
    let invalid = invalid_fields(&wanted.title, wanted.detail.as_deref());
    if !invalid.is_empty() {
        return Err(Refusal::Invalid(invalid));
    }
    let mut task = Task {
        id,
        title: wanted.title,
        detail: wanted.detail,
        due_at: wanted.due_at,
        is_complete: wanted.is_complete,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: now(),
    };
    let before = writer
        .store
        .replace(&task)
        .await
        .map_err(|error| Refusal::failed("Failed to update task", error))?
        .ok_or_else(no_task)?;
    // The creation time is the store's to know; the replacement left it alone.
    task.created_at = before.created_at;
    let completed = task.is_complete && !before.is_complete;
    let action = if completed {
        Action::TaskCompleted
    } else {
        Action::TaskUpdated
    };
    writer
        .tell(action, &task, correlation_id, "update-task")
        .await;
    answer(StatusCode::OK, &task)
}
