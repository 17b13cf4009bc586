//! `POST /auth/register`: a new account, logged in, and a welcome mail on its way.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::account::{User, invalid_email, invalid_name, invalid_password};
use super::session::begin;
use super::store::AccountStore;
use super::{password, token};
use crate::envelope::Envelope;
use crate::http::{Outcome, Refusal, answer};
use crate::notification::{Kind, Notification};
use crate::outbox::{Outbox, Pending};
use crate::transaction::Written;

/// What a client sends.
#[derive(Deserialize)]
pub struct Wanted {
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
}

/// The mail is written with the account and handed over after it: the answer does not depend on its queue.
pub async fn register(
    store: &AccountStore,
    outbox: &Outbox,
    wanted: &Wanted,
    correlation_id: &str,
) -> Outcome {
    let failed = "Failed to register";
    let (email, name) = (wanted.email.trim(), wanted.name.trim());
    if email.is_empty() || name.is_empty() || wanted.password.is_empty() {
        return Err(Refusal::BadRequest(
            "email, name, and password are required".to_owned(),
        ));
    }
    let invalid: Vec<_> = [
        invalid_email(email),
        invalid_name(name),
        invalid_password(&wanted.password),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !invalid.is_empty() {
        return Err(Refusal::Invalid(invalid));
    }
    let user = User {
        id: Uuid::new_v4().to_string(),
        email: email.to_owned(),
        name: name.to_owned(),
        password_hash: password::hash(&wanted.password)
            .map_err(|error| Refusal::failed(failed, error))?,
    };
    let (token, session) = begin(&user.id)?;
    let mail = Pending::of(&welcome(&user, correlation_id))
        .map_err(|error| Refusal::failed(failed, error))?;
    let told = outbox
        .keep(&mail)
        .map_err(|error| Refusal::failed(failed, error))?;
    let registered = store
        .register(&user, told, &token::digest(&token), &session)
        .await
        .map_err(|error| Refusal::failed(failed, error))?;
    if registered == Written::Conflict {
        return Err(Refusal::with(StatusCode::CONFLICT, "User already exists"));
    }
    outbox.hand_over(&mail).await;
    answer(
        StatusCode::CREATED,
        &json!({"user": user.public(), "token": token}),
    )
}

/// Its id is the account's, so it is sent once however often it is told.
fn welcome(user: &User, correlation_id: &str) -> Envelope {
    Envelope::notification(
        format!("welcome-email-{}", user.id),
        Notification {
            to: user.email.clone(),
            subject: "Welcome".to_owned(),
            body: format!("Hello {}, your account is ready.", user.name),
            kind: Kind::Email,
            user_id: Some(user.id.clone()),
        },
        correlation_id.to_owned(),
        "auth",
        Timestamp::now(),
    )
}
