//! `DELETE /subscriptions`: tells somebody no more of a trade's leeds.

use lambda_http::http::StatusCode;
use lambda_http::{Error, Request, RequestExt};

use super::Wanted;
use super::store::SubscriptionStore;
use crate::aws;
use crate::http::read::json_body;
use crate::http::{Answer, Outcome, Refusal, serve};
use crate::settings::Settings;

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let mut settings = Settings::default();
    let table = settings.required("SUBSCRIPTIONS_TABLE");
    let table = settings.finish(table)?;
    let store = &SubscriptionStore::new(&aws::config(), table);
    serve(|request, _| async move { unsubscribe(store, &request).await }).await
}

async fn unsubscribe(store: &SubscriptionStore, request: &Request) -> Outcome {
    let subscription = wanted(request)?.accept()?;
    let removed = store
        .remove(&subscription)
        .await
        .map_err(|error| Refusal::failed("Failed to unsubscribe", error))?;
    if removed {
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    } else {
        Err(Refusal::not_found("Subscription not found"))
    }
}

/// From the query where it says anything, else from the body.
fn wanted(request: &Request) -> Result<Wanted, Refusal> {
    let Some(query) = request.query_string_parameters_ref() else {
        return json_body(request);
    };
    let field = |name| query.first(name).map(str::to_owned);
    let wanted = Wanted {
        trade: field("trade"),
        recipient: field("recipient"),
    };
    if wanted.trade.is_none() && wanted.recipient.is_none() {
        return json_body(request);
    }
    Ok(wanted)
}
