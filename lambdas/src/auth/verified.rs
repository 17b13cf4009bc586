//! Who sent a request, for the other services: they ask auth before they do anything, and do nothing where it cannot say.

use std::time::Duration;

use lambda_http::Request;
use lambda_http::http::StatusCode;
use lambda_http::http::header::AUTHORIZATION;
use serde::Deserialize;

use super::{session::unauthorized, token};
use crate::http::{Refusal, usable};
use crate::target::{Call, Caller, Target};

/// Auth answers within milliseconds; whoever waits for longer keeps its own caller waiting.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The account whose token a request carries.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Its id.
    pub user_id: String,
    /// Its address.
    pub email: String,
}

/// What auth says with a 401.
#[derive(Deserialize)]
struct Said {
    message: String,
}

/// Asks auth.
#[derive(Clone, Debug)]
pub struct Verifier {
    caller: Caller,
    target: Target,
}

impl Verifier {
    /// Asks auth at `target`.
    #[must_use]
    pub fn new(caller: Caller, target: Target) -> Self {
        Self { caller, target }
    }

    /// Who sent `request`. 401 is auth's word and passed on; without its word it is a 503.
    pub async fn sender(
        &self,
        request: &Request,
        correlation_id: &str,
    ) -> Result<Verified, Refusal> {
        let headers = request.headers();
        let given = headers.get(AUTHORIZATION);
        let given = given
            .filter(|_| token::bearer(headers).is_some())
            .ok_or_else(|| unauthorized("Missing or invalid token"))?;
        let mut call = Call::get("/auth/verify", correlation_id);
        call.headers.insert(AUTHORIZATION, given.clone());
        let timeout = TIMEOUT.min(usable(request));
        let unavailable = |why: String| {
            tracing::error!(service = "auth", cause = why, "a sender was not verified");
            Refusal::Unavailable {
                status: StatusCode::SERVICE_UNAVAILABLE,
                service: "auth".to_owned(),
                message: "Service auth unavailable".to_owned(),
            }
        };
        let answer = self
            .caller
            .call(&self.target, call, timeout)
            .await
            .map_err(|error| unavailable(format!("{error:?}")))?;
        match answer.status() {
            StatusCode::OK => serde_json::from_slice(answer.body())
                .map_err(|error| unavailable(error.to_string())),
            StatusCode::UNAUTHORIZED => {
                let said = serde_json::from_slice(answer.body());
                let message = said.map_or("Invalid token".to_owned(), |said: Said| said.message);
                Err(Refusal::with(StatusCode::UNAUTHORIZED, message))
            }
            status => Err(unavailable(format!("it answered {status}"))),
        }
    }
}
