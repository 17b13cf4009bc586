//! `GET /leeds/{leedId}`: one leed.

use lambda_http::http::StatusCode;
use lambda_http::{Error, Request};

use super::store::LeedStore;
use super::{leed_id, no_leed};
use crate::aws;
use crate::http::{Outcome, Refusal, answer, serve};
use crate::settings::Settings;

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let mut settings = Settings::default();
    let table = settings.required("LEEDS_TABLE");
    let table = settings.finish(table)?;
    let store = &LeedStore::new(&aws::config(), table);
    serve(|request, _| async move { get(store, &request).await }).await
}

async fn get(store: &LeedStore, request: &Request) -> Outcome {
    let id = leed_id(request)?;
    let found = store
        .get(&id)
        .await
        .map_err(|error| Refusal::failed("Failed to retrieve leed", error))?;
    let (leed, _) = found.ok_or_else(no_leed)?;
    answer(StatusCode::OK, &leed)
}
