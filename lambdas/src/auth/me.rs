//! `GET` and `PUT /auth/me`: one's own account.

use lambda_http::http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::account::{User, invalid_email, invalid_name};
use super::session::user_of;
use super::store::AccountStore;
use crate::http::{Outcome, Refusal, answer};
use crate::transaction::Written;

/// `GET /auth/me`.
pub async fn get(store: &AccountStore, headers: &HeaderMap) -> Outcome {
    answer(StatusCode::OK, &user_of(store, headers).await?.public())
}

/// What may be changed; what is left out stays.
#[derive(Deserialize)]
pub struct Changes {
    name: Option<String>,
    email: Option<String>,
}

/// `PUT /auth/me`, for `user`.
pub async fn change(store: &AccountStore, user: &User, changes: Changes) -> Outcome {
    if changes.name.is_none() && changes.email.is_none() {
        return Err(Refusal::BadRequest("name or email is required".to_owned()));
    }
    let trimmed = |given: Option<String>, old: &str| {
        given.map_or_else(|| old.to_owned(), |given| given.trim().to_owned())
    };
    let new = User {
        name: trimmed(changes.name, &user.name),
        email: trimmed(changes.email, &user.email),
        ..user.clone()
    };
    let invalid: Vec<_> = [invalid_name(&new.name), invalid_email(&new.email)]
        .into_iter()
        .flatten()
        .collect();
    if !invalid.is_empty() {
        return Err(Refusal::Invalid(invalid));
    }
    let written = store
        .change(user, &new)
        .await
        .map_err(|error| Refusal::failed("Failed to change the account", error))?;
    match written {
        Written::Yes => answer(StatusCode::OK, &new.public()),
        Written::Conflict => Err(Refusal::with(
            StatusCode::CONFLICT,
            "The e-mail address is taken, or the account was changed by another request meanwhile",
        )),
    }
}
