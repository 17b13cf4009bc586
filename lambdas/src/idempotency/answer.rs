//! Requests with an `Idempotency-Key`: the same request again gets the first answer.

use std::fmt::Write as _;
use std::future::Future;
use std::time::Duration;

use lambda_http::http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Claim, Log};
use crate::http::{Answer, Outcome, Refusal};

/// A caller whose first request is still being answered asks again after this many seconds.
const RETRY_AFTER: &str = "1";

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    body: Option<Value>,
}

/// Does `work` once for each `key`. Its argument is a UUID that is the same when an attempt that ended half-way is repeated.
///
/// The same key with the same body gets the kept answer, with another body 422, and 409 while the first is being answered.
/// Only answers are kept: after a refusal or a failure the same request is tried again.
pub async fn once<F, Fut>(
    log: &Log,
    key: &str,
    body: &[u8],
    time_left: Duration,
    work: F,
) -> Outcome
where
    F: FnOnce(String) -> Fut,
    Fut: Future<Output = Outcome>,
{
    let unavailable = |error| Refusal::failed("Failed to look up the Idempotency-Key", error);
    let lease = match log
        .claim(key, &hash(body), time_left)
        .await
        .map_err(unavailable)?
    {
        Claim::Mine(lease) => lease,
        Claim::Done(kept) => return again(kept.as_deref()),
        Claim::Theirs => {
            return Err(Refusal::with_header(
                StatusCode::CONFLICT,
                "A request with this Idempotency-Key is being answered; try again",
                header::RETRY_AFTER,
                RETRY_AFTER,
            ));
        }
        Claim::Different => {
            return Err(Refusal::with(
                StatusCode::UNPROCESSABLE_ENTITY,
                "The Idempotency-Key was used for another request body",
            ));
        }
    };
    match work(lease.token.clone()).await {
        Ok(answer) => {
            // Not recorded means tried again with the same token, which finds what was done: no reason to fail here.
            if let Err(error) = log.complete(&lease, kept(&answer).as_deref()).await {
                tracing::warn!(cause = format!("{error:?}"), "an answer was not kept");
            }
            Ok(answer)
        }
        Err(refusal) => {
            if let Err(error) = log.fail(&lease, &refusal.to_string()).await {
                tracing::warn!(
                    cause = format!("{error:?}"),
                    "an Idempotency-Key was not let go"
                );
            }
            Err(refusal)
        }
    }
}

/// The SHA-256 of a body, as hexadecimal digits.
#[must_use]
pub fn hash(body: &[u8]) -> String {
    Sha256::digest(body)
        .iter()
        .fold(String::new(), |mut digits, byte| {
            let _ = write!(digits, "{byte:02x}");
            digits
        })
}

fn kept(answer: &Answer) -> Option<String> {
    let kept = Kept {
        status: answer.status.as_u16(),
        body: answer.body.clone(),
    };
    serde_json::to_string(&kept).ok()
}

fn again(kept: Option<&str>) -> Outcome {
    let kept: Kept = serde_json::from_str(kept.unwrap_or_default())
        .map_err(|error| Refusal::failed("Failed to read the kept answer", error))?;
    let status = StatusCode::from_u16(kept.status)
        .map_err(|error| Refusal::failed("Failed to read the kept answer", error))?;
    Ok(Answer {
        body: kept.body,
        ..Answer::empty(status)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::http::answer;

    #[test]
    fn an_answer_survives_being_kept() {
        let first = answer(StatusCode::CREATED, &json!({"id": "7"})).unwrap();
        assert_eq!(again(kept(&first).as_deref()).unwrap(), first);
    }

    #[test]
    fn a_hash_is_64_digits() {
        assert_eq!(
            hash(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
