//! `DELETE /tasks/{taskId}`.

use lambda_http::http::StatusCode;
use lambda_http::{Error, Request};

use super::{Writer, no_task, task_id};
use crate::envelope::Action;
use crate::http::{Answer, Outcome, Refusal, serve};

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let writer = &Writer::start().await?;
    serve(|request, correlation_id| async move { delete(writer, &request, &correlation_id).await })
        .await
}

async fn delete(writer: &Writer, request: &Request, correlation_id: &str) -> Outcome {
    let task = writer
        .store
        .delete(&task_id(request)?)
        .await
        .map_err(|error| Refusal::failed("Failed to delete task", error))?
        .ok_or_else(no_task)?;
    writer
        .tell(Action::TaskDeleted, &task, correlation_id, "delete-task")
        .await;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
