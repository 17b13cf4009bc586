//! `GET /tasks`: all of them, newest first.

use lambda_http::Error;
use lambda_http::http::StatusCode;

use super::Reader;
use crate::http::{Outcome, Refusal, answer, serve};

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let reader = &Reader::start().await?;
    serve(|_, _| async move { list(reader).await }).await
}

async fn list(reader: &Reader) -> Outcome {
    let tasks = reader
        .store
        .list()
        .await
        .map_err(|error| Refusal::failed("Failed to retrieve tasks", error))?;
    answer(StatusCode::OK, &tasks)
}
