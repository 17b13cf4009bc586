//! `POST /notifications/bulk`: takes up to a hundred at once. One that is not valid refuses all, before any is taken.

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use lambda_http::Request;
use lambda_http::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::send::{content, name, take};
use super::wanted::{Accepted, Wanted};
use crate::auth::verified::Verified;
use crate::http::read::{idempotency_key, json_body};
use crate::http::{Outcome, Refusal, answer};

/// More would not fit a body.
const MOST: usize = 100;

/// Notifications that are stored at the same time.
const AT_ONCE: usize = 8;

/// What a client sends.
#[derive(Deserialize)]
pub struct Bulk {
    notifications: Vec<Wanted>,
}

/// Answers with one entry for each, in their order: its receipt, or why it was not taken (an id that stands for another).
/// Failures of ours fail the request; sent again with ids or the same `Idempotency-Key`, nothing is sent twice.
pub async fn send(
    api: &Api,
    sender: &Verified,
    request: &Request,
    correlation_id: &str,
) -> Outcome {
    let bulk: Bulk = json_body(request)?;
    let key = idempotency_key(request)?;
    let count = bulk.notifications.len();
    if !(1..=MOST).contains(&count) {
        return Err(Refusal::BadRequest(format!(
            "notifications must hold 1 to {MOST} notifications, and holds {count}"
        )));
    }
    let now = Timestamp::now();
    let accepted = bulk
        .notifications
        .iter()
        .enumerate()
        .map(|(index, wanted)| {
            // Each has a key of its own. No key holds a space, so none is another request's.
            let key = key.as_ref().map(|key| format!("{key} {index}"));
            let id = name(wanted, sender, key);
            let accepted = wanted.accept(&format!("notifications[{index}]."), now)?;
            Ok((id, content(wanted)?, accepted))
        })
        .collect::<Result<Vec<(String, String, Accepted)>, Refusal>>()?;
    let entries: Vec<Value> = stream::iter(accepted)
        .map(|(id, content, accepted)| async move {
            let taken = take(
                api,
                sender,
                id.clone(),
                &content,
                accepted,
                correlation_id,
                now,
            );
            match taken.await {
                Ok(receipt) => Ok(json!(receipt)),
                Err(Refusal::Refused { message, .. }) => {
                    Ok(json!({"id": id, "status": "refused", "message": message}))
                }
                Err(failed) => Err(failed),
            }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let refused = entries
        .iter()
        .filter(|entry| {
            entry
                .get("status")
                .is_some_and(|status| status == "refused")
        })
        .count();
    let body = json!({"accepted": count - refused, "refused": refused, "notifications": entries});
    answer(StatusCode::ACCEPTED, &body)
}
