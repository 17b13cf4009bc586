//! `GET /tasks/{taskId}`.

use lambda_http::http::StatusCode;
use lambda_http::{Error, Request};

use super::wanted::Shown;
use super::{Reader, no_task, task_id};
use crate::http::{Outcome, Refusal, answer, serve};

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let reader = &Reader::start().await?;
    serve(|request, _| async move { get(reader, &request).await }).await
}

async fn get(reader: &Reader, request: &Request) -> Outcome {
    let task = reader
        .store
        .get(&task_id(request)?)
        .await
        .map_err(|error| Refusal::failed("Failed to retrieve task", error))?
        .ok_or_else(no_task)?;
    answer(StatusCode::OK, &Shown::from(&task))
}
