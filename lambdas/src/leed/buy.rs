//! `POST /leeds/{leedId}/buy`: sells a leed to the first who asks. The seller is told after the answer.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Error, Request};
use serde::Deserialize;

use super::{Leed, Status, Writer, audited, leed_id, new_id, no_leed, pending};
use crate::controller::request::Call;
use crate::envelope::{Action, Envelope};
use crate::http::read::{idempotency_key, json_body};
use crate::http::{Outcome, Refusal, answer, serve, usable};
use crate::idempotency::answer::once;
use crate::outbox::Pending;
use crate::subscription::{field, person};
use crate::task::now;

/// How often a purchase is tried when it lost against another write that did not sell the leed.
const ATTEMPTS: usize = 5;

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let writer = &Writer::start()?;
    serve(|request, correlation_id| async move { buy(writer, &request, &correlation_id).await })
        .await
}

/// The body.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    buyer: Option<String>,
}

async fn buy(writer: &Writer, request: &Request, correlation_id: &str) -> Outcome {
    let id = &leed_id(request)?;
    let wanted: Wanted = json_body(request)?;
    let mut invalid = Vec::new();
    let Some(buyer) = person("buyer", wanted.buyer, &mut invalid) else {
        return Err(Refusal::Invalid(invalid));
    };
    let Some(key) = idempotency_key(request)? else {
        return sell(writer, id, &buyer, &new_id(), correlation_id).await;
    };
    let key = format!("buy-leed-{id}-{key}");
    once(
        &writer.requests,
        &key,
        request.body(),
        usable(request),
        |purchase| async move { sell(writer, id, &buyer, &purchase, correlation_id).await },
    )
    .await
}

async fn sell(
    writer: &Writer,
    id: &str,
    buyer: &str,
    purchase: &str,
    correlation_id: &str,
) -> Outcome {
    let failed = "Failed to buy leed";
    for _ in 0..ATTEMPTS {
        let found = writer.store.get(id).await;
        let found = found.map_err(|error| Refusal::failed(failed, error))?;
        let (leed, sold_by) = found.ok_or_else(no_leed)?;
        if sold_by.as_deref() == Some(purchase) {
            // An earlier attempt of the same request bought it, and its bookkeeping is stored with it.
            return answer(StatusCode::OK, &leed);
        }
        let sold = sold(leed, buyer, now())?;
        let bookkeeping =
            bookkeeping(&sold, correlation_id).map_err(|error| Refusal::failed(failed, error))?;
        let is_sold = writer
            .store
            .sell(&sold, purchase, &writer.outbox, &bookkeeping)
            .await
            .map_err(|error| Refusal::failed(failed, error))?;
        if is_sold {
            writer.hand_over(&bookkeeping).await;
            return answer(StatusCode::OK, &sold);
        }
    }
    Err(Refusal::with(
        StatusCode::CONFLICT,
        "Others are buying this leed at the same time; try again",
    ))
}

/// The leed as it is once `buyer` has it, or why it cannot be sold.
fn sold(leed: Leed, buyer: &str, at: Timestamp) -> Result<Leed, Refusal> {
    if leed.status == Status::Sold {
        let message = "Leed is sold already";
        return Err(Refusal::with(StatusCode::CONFLICT, message));
    }
    if leed.seller == buyer {
        let message = "must not be the seller".to_owned();
        return Err(Refusal::Invalid(vec![field("buyer", message)]));
    }
    Ok(Leed {
        status: Status::Sold,
        buyer: Some(buyer.to_owned()),
        sold_at: Some(at),
        ..leed
    })
}

fn bookkeeping(sold: &Leed, correlation_id: &str) -> Result<Vec<Pending>, serde_json::Error> {
    let id = &sold.id;
    let (Some(buyer), Some(at)) = (&sold.buyer, sold.sold_at) else {
        return Ok(Vec::new());
    };
    let seller = sold.seller.clone();
    let envelope = Envelope::of_leed(Action::LeedSold, sold.about(), seller, at, correlation_id);
    let noted = audited(sold, "leed_sold", buyer, at);
    Ok(vec![
        pending(
            envelope.id.clone(),
            &Call::sending(&envelope)?,
            correlation_id,
        )?,
        pending(format!("audit-leed_sold-{id}"), &noted, correlation_id)?,
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn leed(status: &str) -> Leed {
        let leed = json!({"id": "7", "trade": "clowns", "date": "2026-12-31", "place": "Berlin", "seller": "ada",
            "status": status, "createdAt": "1970-01-01T00:00:00Z"});
        serde_json::from_value(leed).unwrap()
    }

    #[test]
    fn an_open_leed_is_sold_to_anybody_but_its_seller() {
        let sold_to = |status, buyer| sold(leed(status), buyer, Timestamp::UNIX_EPOCH);
        let bought = sold_to("open", "bob").unwrap();
        assert_eq!(bought.status, Status::Sold);
        assert_eq!(bought.buyer.as_deref(), Some("bob"));
        let refused = |status, buyer| sold_to(status, buyer).unwrap_err().to_string();
        assert_eq!(refused("sold", "bob"), "Leed is sold already");
        assert!(refused("open", "ada").contains("buyer: must not be the seller"));
    }

    #[test]
    fn what_is_told_of_a_sale_has_the_same_names_each_time() {
        let bought = sold(leed("open"), "bob", Timestamp::UNIX_EPOCH).unwrap();
        let told = bookkeeping(&bought, "c-1").unwrap();
        let names: Vec<_> = told.iter().map(|pending| pending.id.as_str()).collect();
        assert_eq!(names, ["leed_sold-7", "audit-leed_sold-7"]);
        assert!(told.iter().all(|pending| pending.correlation_id == "c-1"));
    }
}
