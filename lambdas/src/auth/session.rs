//! Tokens in use: `GET /auth/verify` says whose one is, `POST /auth/logout` ends it.

use jiff::{SignedDuration, Timestamp};
use lambda_http::http::{HeaderMap, StatusCode};
use serde_json::json;

use super::account::User;
use super::store::{AccountStore, Session};
use super::token;
use crate::http::{Outcome, Refusal, answer};

/// A token is good for an hour.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// A new token and the session that it opens, which is still to be stored under the token's digest.
pub fn begin(user_id: &str) -> Result<(String, Session), Refusal> {
    let token = token::new().map_err(|error| Refusal::failed("Failed to make a token", error))?;
    let now = Timestamp::now();
    let session = Session {
        user_id: user_id.to_owned(),
        valid_until: now.checked_add(LIFETIME).unwrap_or(now),
    };
    Ok((token, session))
}

/// The account that the request's token stands for. The end is checked here, because DynamoDB removes ended items only after
/// days.
pub async fn user_of(store: &AccountStore, headers: &HeaderMap) -> Result<User, Refusal> {
    let token = token::bearer(headers).ok_or_else(|| unauthorized("Missing or invalid token"))?;
    let session = store
        .session(&token::digest(token))
        .await
        .map_err(|error| Refusal::failed("Failed to verify the token", error))?
        .ok_or_else(|| unauthorized("Invalid token"))?;
    if session.valid_until <= Timestamp::now() {
        return Err(unauthorized("Token expired"));
    }
    store
        .user(&session.user_id)
        .await
        .map_err(|error| Refusal::failed("Failed to verify the token", error))?
        .ok_or_else(|| unauthorized("User not found"))
}

/// `GET /auth/verify`.
pub async fn verify(store: &AccountStore, headers: &HeaderMap) -> Outcome {
    let user = user_of(store, headers).await?;
    answer(
        StatusCode::OK,
        &json!({"userId": user.id, "email": user.email}),
    )
}

/// `POST /auth/logout`. Always the same answer: whoever logs out twice is logged out.
pub async fn logout(store: &AccountStore, headers: &HeaderMap) -> Outcome {
    if let Some(token) = token::bearer(headers) {
        store
            .end_session(&token::digest(token))
            .await
            .map_err(|error| Refusal::failed("Failed to log out", error))?;
    }
    answer(StatusCode::OK, &json!({"message": "Logged out"}))
}

/// 401 with its reason.
pub fn unauthorized(message: &'static str) -> Refusal {
    Refusal::with(StatusCode::UNAUTHORIZED, message)
}
