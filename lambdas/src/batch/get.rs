//! `GET /tasks/batches/{batchId}`: how far an upload is.

use lambda_http::http::StatusCode;
use lambda_http::{Error, Request};

use super::progress::Batches;
use crate::aws;
use crate::http::read::path_id;
use crate::http::{Outcome, Refusal, answer, serve};
use crate::settings::Settings;

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let mut settings = Settings::default();
    let table = settings.required("BATCHES_TABLE");
    let table = settings.finish(table)?;
    let batches = &Batches::new(&aws::config(), table);
    serve(|request, _| async move { get(batches, &request).await }).await
}

async fn get(batches: &Batches, request: &Request) -> Outcome {
    let no_batch = || Refusal::not_found("Batch not found");
    let id = path_id(request, "batchId").ok_or_else(no_batch)?;
    let progress = batches
        .progress(&id)
        .await
        .map_err(|error| Refusal::failed("Failed to retrieve batch", error))?
        .ok_or_else(no_batch)?;
    answer(StatusCode::OK, &progress)
}
