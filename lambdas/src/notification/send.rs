//! `POST /notifications/send`: takes one notification and answers 202 before it is delivered.

use jiff::Timestamp;
use lambda_http::Request;
use lambda_http::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::store::Stored;
use super::wanted::{Accepted, Wanted};
use super::{Api, Kind};
use crate::auth::verified::Verified;
use crate::envelope::Envelope;
use crate::http::read::{idempotency_key, json_body};
use crate::http::{Outcome, Refusal, answer};
use crate::idempotency::answer::hash;
use crate::outbox::Pending;
use crate::transaction::Written;

const FAILED: &str = "Failed to take the notification";

/// Names of notifications that came with an `Idempotency-Key` instead of an id.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f0c_8a52_0f4d_4d0e_9a55_1d7a_3e0b_7c11);

/// What a client gets back.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    id: String,
    status: &'static str,
    queued_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_for: Option<Timestamp>,
}

/// The same id, or the same `Idempotency-Key`, with the same content gets the first answer and sends nothing.
pub async fn send(
    api: &Api,
    sender: &Verified,
    request: &Request,
    correlation_id: &str,
) -> Outcome {
    let wanted: Wanted = json_body(request)?;
    let now = Timestamp::now();
    let accepted = wanted.accept("", now)?;
    let id = name(&wanted, sender, idempotency_key(request)?);
    let content = content(&wanted)?;
    let receipt = take(api, sender, id, &content, accepted, correlation_id, now).await?;
    answer(StatusCode::ACCEPTED, &receipt)
}

/// The id of a notification: its sender's own, or one that follows from the key, or a new one.
pub fn name(wanted: &Wanted, sender: &Verified, key: Option<String>) -> String {
    match (&wanted.id, key) {
        (Some(id), _) => id.clone(),
        // Another sender's key is another key.
        (None, Some(key)) => {
            let name = format!("{} {key}", sender.user_id);
            Uuid::new_v5(&NAMESPACE, name.as_bytes()).to_string()
        }
        (None, None) => Uuid::new_v4().to_string(),
    }
}

/// Tells contents apart.
pub fn content(wanted: &Wanted) -> Result<String, Refusal> {
    let json = serde_json::to_vec(wanted).map_err(|error| Refusal::failed(FAILED, error))?;
    Ok(hash(&json))
}

/// Stores one with its event, and hands the event over unless it is due much later.
pub async fn take(
    api: &Api,
    sender: &Verified,
    id: String,
    content: &str,
    accepted: Accepted,
    correlation_id: &str,
    now: Timestamp,
) -> Result<Receipt, Refusal> {
    let stored = Stored {
        sender: sender.user_id.clone(),
        content: content.to_owned(),
        queued_at: now,
        scheduled_for: accepted.scheduled_for,
        data: json!({
            "type": accepted.notification.kind,
            "to": masked(accepted.notification.kind, &accepted.notification.to),
            "priority": if accepted.urgent { "high" } else { "normal" },
            "correlationId": correlation_id,
        }),
    };
    let envelope = Envelope::notification(
        id.clone(),
        accepted.notification,
        correlation_id.to_owned(),
        "notifications",
        now,
    );
    let pending = Pending::of(&envelope)
        .map_err(|error| Refusal::failed(FAILED, error))?
        .urgent(accepted.urgent)
        .not_before(accepted.scheduled_for);
    let told = api
        .outbox
        .keep(&pending)
        .map_err(|error| Refusal::failed(FAILED, error))?;
    let written = api
        .store
        .accept(&id, &stored, told)
        .await
        .map_err(|error| Refusal::failed(FAILED, error))?;
    let stored = match written {
        Written::Yes => {
            if pending.is_sendable(now) {
                api.outbox.hand_over(&pending).await;
            }
            stored
        }
        Written::Conflict => taken_before(api, &id, &stored).await?,
    };
    Ok(Receipt {
        id,
        status: "queued",
        queued_at: stored.queued_at,
        scheduled_for: stored.scheduled_for,
    })
}

/// What came first under the id, if it was the same.
async fn taken_before(api: &Api, id: &str, stored: &Stored) -> Result<Stored, Refusal> {
    let first = api
        .store
        .get(id)
        .await
        .map_err(|error| Refusal::failed(FAILED, error))?
        .ok_or_else(|| Refusal::failed(FAILED, "what holds the id has expired"))?;
    if first.sender != stored.sender {
        return Err(Refusal::with(
            StatusCode::CONFLICT,
            "The id is taken by another sender",
        ));
    }
    if first.content != stored.content {
        return Err(Refusal::with(
            StatusCode::UNPROCESSABLE_ENTITY,
            "The id was used for another notification",
        ));
    }
    Ok(first)
}

/// Enough to recognise one's own address, and not to learn another's: the status is shown to everybody who knows the id.
fn masked(kind: Kind, to: &str) -> String {
    let (shown, rest) = match kind {
        Kind::Email => match to.split_once('@') {
            Some((local, domain)) => (local.chars().take(1).collect(), format!("@{domain}")),
            None => (String::new(), String::new()),
        },
        Kind::Sms | Kind::Push => (to.chars().take(3).collect(), String::new()),
        Kind::Webhook => {
            let host = reqwest::Url::parse(to).ok();
            let host = host.as_ref().and_then(reqwest::Url::host_str);
            (host.unwrap_or_default().to_owned(), "/".to_owned())
        }
    };
    format!("{shown}…{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_in_part() {
        assert_eq!(masked(Kind::Email, "ada@b.example"), "a…@b.example");
        assert_eq!(masked(Kind::Sms, "+4915112345678"), "+49…");
        assert_eq!(
            masked(Kind::Webhook, "https://u:p@c.example/secret"),
            "c.example…/"
        );
    }
}
