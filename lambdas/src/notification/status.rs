//! `GET /notifications/status/{id}`: where a notification is, from what was accepted and from the log of deliveries.
//!
//! ```text
//! queued ──> active ──> delivered
//!   ^          │
//!   └─ failed attempt; after the last one: failed, until an operator redrives it
//! ```

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use serde_json::{Value, json};

use super::store::{Delivery, NotificationStore, Stored};
use crate::http::{Outcome, Refusal, answer};

/// Answers with 404 where nobody has heard of `id`.
pub async fn status(store: &NotificationStore, id: &str, attempts: u64) -> Outcome {
    let failed = |error| Refusal::failed("Failed to retrieve the notification", error);
    let (stored, delivery) =
        futures::try_join!(store.get(id), store.delivery(id)).map_err(failed)?;
    if stored.is_none() && delivery.is_none() {
        return Err(Refusal::not_found("Notification not found"));
    }
    let shown = shown(
        id,
        stored.as_ref(),
        delivery.as_ref(),
        attempts,
        Timestamp::now(),
    );
    answer(StatusCode::OK, &shown)
}

fn shown(
    id: &str,
    stored: Option<&Stored>,
    delivery: Option<&Delivery>,
    attempts: u64,
    now: Timestamp,
) -> Value {
    let status = delivery.map_or("queued", |delivery| word(delivery, attempts, now));
    json!({
        "id": id,
        "status": status,
        "queuedAt": stored.map(|stored| stored.queued_at),
        "scheduledFor": stored.and_then(|stored| stored.scheduled_for),
        "data": stored.map(|stored| &stored.data),
        "progress": if status == "delivered" { 100 } else { 0 },
        "attemptsMade": delivery.map_or(0, |delivery| delivery.attempts),
        "processedOn": delivery.and_then(|delivery| delivery.started_at),
        "finishedOn": delivery.and_then(|delivery| delivery.finished_at),
        "failedReason": delivery
            .filter(|_| status != "delivered")
            .and_then(|delivery| delivery.last_error.as_deref()),
    })
}

fn word(delivery: &Delivery, attempts: u64, now: Timestamp) -> &'static str {
    match delivery.status.as_str() {
        "DELIVERED" => "delivered",
        // Where the lease is over the attempt ended with its environment, and the message comes back.
        "IN_PROGRESS" if delivery.lease_until.is_some_and(|until| until > now) => "active",
        "FAILED" if delivery.attempts >= attempts => "failed",
        _ => "queued",
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_status_follows_the_log_of_deliveries() {
        let now = Timestamp::UNIX_EPOCH;
        let status = |log: &str, attempts, lease: i64| {
            let delivery = Delivery {
                status: log.to_owned(),
                attempts,
                lease_until: now.checked_add(SignedDuration::from_secs(lease)).ok(),
                started_at: None,
                finished_at: None,
                last_error: None,
            };
            let shown = shown("a", None, Some(&delivery), 3, now);
            shown["status"].as_str().unwrap().to_owned()
        };
        assert_eq!(shown("a", None, None, 3, now)["status"], "queued");
        assert_eq!(status("IN_PROGRESS", 1, 5), "active");
        assert_eq!(status("IN_PROGRESS", 1, -5), "queued");
        assert_eq!(status("FAILED", 2, 0), "queued", "it is tried again");
        assert_eq!(status("FAILED", 3, 0), "failed");
        assert_eq!(status("IN_PROGRESS", 4, 5), "active", "redriven");
        assert_eq!(status("DELIVERED", 4, 0), "delivered");
    }
}
