//! `POST /notifications/bulk`: takes up to a hundred at once. One that is not valid refuses all, before any is taken.

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use lambda_http::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Api;
use super::send::{content, take};
use super::wanted::{Accepted, Wanted};
use crate::auth::verified::Verified;
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
/// Failures of ours fail the request; sent again with ids, nothing is sent twice.
pub async fn send(api: &Api, sender: &Verified, bulk: Bulk, correlation_id: &str) -> Outcome {
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
            let id = wanted
                .id
                .clone()
                .unwrap_or_else(|| Uuid::new_v4().to_string());
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
