//! `POST /subscriptions`: tells somebody of a trade's leeds from now on. Asking twice changes nothing.

use lambda_http::http::StatusCode;
use lambda_http::{Error, Request};

use super::Wanted;
use super::store::SubscriptionStore;
use crate::aws;
use crate::http::read::json_body;
use crate::http::{Outcome, Refusal, answer, serve};
use crate::settings::Settings;

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let mut settings = Settings::default();
    let table = settings.required("SUBSCRIPTIONS_TABLE");
    let table = settings.finish(table)?;
    let store = &SubscriptionStore::new(&aws::config(), table);
    serve(|request, _| async move { subscribe(store, &request).await }).await
}

async fn subscribe(store: &SubscriptionStore, request: &Request) -> Outcome {
    let subscription = json_body::<Wanted>(request)?.accept()?;
    let added = store
        .add(&subscription)
        .await
        .map_err(|error| Refusal::failed("Failed to subscribe", error))?;
    let status = if added {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    answer(status, &subscription)
}
