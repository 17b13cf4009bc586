//! `POST /auth/login`: a token for an address and its password.

use lambda_http::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::account::invalid_email;
use super::session::{begin, unauthorized};
use super::store::AccountStore;
use super::{password, token};
use crate::http::{Outcome, Refusal, answer};
use crate::table::TableError;

/// What a client sends.
#[derive(Deserialize)]
pub struct Credentials {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
}

/// An unknown address and a wrong password get the same answer after the same work: who has an account is nobody's business.
pub async fn login(store: &AccountStore, given: &Credentials) -> Outcome {
    let failed = |error: TableError| Refusal::failed("Failed to log in", error);
    if given.email.trim().is_empty() || given.password.is_empty() {
        return Err(Refusal::BadRequest(
            "email and password are required".to_owned(),
        ));
    }
    // What cannot be an address is nobody's, and one that is too long is an error of the table.
    let user = match invalid_email(given.email.trim()) {
        Some(_) => None,
        None => store.user_by_email(&given.email).await.map_err(failed)?,
    };
    let stored = user.as_ref().map(|user| user.password_hash.as_str());
    let is_right = password::matches(&given.password, stored)
        .map_err(|error| Refusal::failed("Failed to check the password", error))?;
    let Some(user) = user.filter(|_| is_right) else {
        return Err(unauthorized("Invalid credentials"));
    };
    let (token, session) = begin(&user.id)?;
    store
        .begin_session(&token::digest(&token), &session)
        .await
        .map_err(failed)?;
    answer(
        StatusCode::OK,
        &json!({"user": user.public(), "token": token}),
    )
}
