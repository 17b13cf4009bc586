//! `DELETE /tasks/{taskId}`: the event holds the task as it was; a second `DELETE` finds none and tells nothing.

use aws_config::SdkConfig;
use lambda_http::http::StatusCode;
use lambda_http::request::LambdaRequest;
use lambda_http::{Error, Request};

use super::{ATTEMPTS, Writer, contended, no_task, task_id};
use crate::aws;
use crate::envelope::{Action, Envelope};
use crate::function::Function;
use crate::http::{self, Answer, Outcome, Refusal};
use crate::settings::Settings;

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    lambda_runtime::run(function(&aws::config())?).await
}

/// What serves them.
pub fn function(config: &SdkConfig) -> Result<impl Function<LambdaRequest> + use<>, Error> {
    let writer = Writer::start(Settings::default(), config)?;
    Ok(http::function(
        writer,
        async |writer, request, correlation_id| delete(&writer, &request, &correlation_id).await,
    ))
}

async fn delete(writer: &Writer, request: &Request, correlation_id: &str) -> Outcome {
    let failed = "Failed to delete task";
    let id = task_id(request)?;
    for _ in 0..ATTEMPTS {
        let task = writer
            .store
            .get(&id)
            .await
            .map_err(|error| Refusal::failed(failed, error))?
            .ok_or_else(no_task)?;
        let envelope = Envelope::new(
            Action::TaskDeleted,
            task.clone(),
            correlation_id.to_owned(),
            "delete-task",
        );
        let pending = writer.pending(&envelope, failed)?;
        let deleted = writer
            .store
            .delete(&task, &writer.outbox, pending.as_ref())
            .await
            .map_err(|error| Refusal::failed(failed, error))?;
        if deleted {
            writer.tell(pending).await;
            return Ok(Answer::empty(StatusCode::NO_CONTENT));
        }
    }
    Err(contended())
}
