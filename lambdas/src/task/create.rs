//! `POST /tasks`: stores a task, hands its notification over, and answers 201 without waiting for the delivery.

use lambda_http::http::StatusCode;
use lambda_http::{Error, Request};
use patterns_core::task::{NewTask, Task, invalid_fields};
use uuid::Uuid;

use super::{Writer, now};
use crate::envelope::Action;
use crate::http::read::json_body;
use crate::http::{Outcome, Refusal, answer, serve};

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let writer = &Writer::start().await?;
    serve(|request, correlation_id| async move { create(writer, &request, &correlation_id).await })
        .await
}

async fn create(writer: &Writer, request: &Request, correlation_id: &str) -> Outcome {
    let new: NewTask = json_body(request)?;
    let invalid = invalid_fields(&new.title, new.detail.as_deref());
    if !invalid.is_empty() {
        return Err(Refusal::Invalid(invalid));
    }
    let now = now();
    let task = Task {
        id: Uuid::new_v4().to_string(),
        title: new.title,
        detail: new.detail,
        due_at: new.due_at,
        is_complete: new.is_complete,
        created_at: now,
        updated_at: now,
    };
    writer
        .store
        .put(&task)
        .await
        .map_err(|error| Refusal::failed("Failed to create task", error))?;
    writer
        .tell(Action::TaskCreated, &task, correlation_id, "create-task")
        .await;
    answer(StatusCode::CREATED, &task)
}
