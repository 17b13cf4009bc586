//! `POST /leeds`: offers a leed. A trade, date and place can be booked once. The trade's subscribers are told after the answer.

use lambda_http::http::StatusCode;
use lambda_http::{Error, Request};

use super::store::Offered;
use super::wanted::Wanted;
use super::{Leed, Writer, audited, new_id, pending};
use crate::controller::request::{Call, NotifyUsers};
use crate::http::read::{idempotency_key, json_body};
use crate::http::{Outcome, Refusal, answer, serve, usable};
use crate::idempotency::answer::once;
use crate::outbox::Pending;
use crate::task::now;

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let writer = &Writer::start()?;
    serve(|request, correlation_id| async move { create(writer, &request, &correlation_id).await })
        .await
}

async fn create(writer: &Writer, request: &Request, correlation_id: &str) -> Outcome {
    let wanted: Wanted = json_body(request)?;
    let leed = wanted.accept(now())?;
    let Some(key) = idempotency_key(request)? else {
        let id = new_id();
        return offer(writer, Leed { id, ..leed }, correlation_id).await;
    };
    let key = format!("create-leed-{key}");
    once(
        &writer.requests,
        &key,
        request.body(),
        usable(request),
        |id| offer(writer, Leed { id, ..leed }, correlation_id),
    )
    .await
}

async fn offer(writer: &Writer, leed: Leed, correlation_id: &str) -> Outcome {
    let failed = "Failed to create leed";
    let bookkeeping =
        bookkeeping(&leed, correlation_id).map_err(|error| Refusal::failed(failed, error))?;
    let offered = writer
        .store
        .offer(&leed, &writer.outbox, &bookkeeping)
        .await
        .map_err(|error| Refusal::failed(failed, error))?;
    match offered {
        Offered::Now => {
            writer.hand_over(&bookkeeping).await;
            answer(StatusCode::CREATED, &leed)
        }
        Offered::Before(leed) => answer(StatusCode::CREATED, &leed),
        Offered::Booked => Err(Refusal::with(
            StatusCode::CONFLICT,
            format!(
                "There is a booking of {} on {} at {} already",
                leed.trade, leed.date, leed.place
            ),
        )),
    }
}

fn bookkeeping(leed: &Leed, correlation_id: &str) -> Result<Vec<Pending>, serde_json::Error> {
    let id = &leed.id;
    let told = Call::NotifyUsers(NotifyUsers {
        leed: leed.about(),
        part: 0,
        after: None,
    });
    let noted = audited(leed, "leed_offered", &leed.seller, leed.created_at);
    Ok(vec![
        pending(format!("leed_offered-{id}"), &told, correlation_id)?,
        pending(format!("audit-leed_offered-{id}"), &noted, correlation_id)?,
    ])
}
