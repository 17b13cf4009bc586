//! `POST /tasks/upload`: takes a CSV file, checks all of it, hands its rows over in chunks, and answers 202 without waiting for
//! the tasks.
//!
//! The same file within 24 hours, or the same `Idempotency-Key`, is the same batch: 200, with the first `batchId` and
//! `"duplicate": true`. A new key makes a new batch of the same file; a used key with another file is refused with 422.
//! An upload that ended half-way is repeated under the same id, so rows that were handed over before are recognised.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use lambda_http::http::{StatusCode, header};
use lambda_http::{Error, Request};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::progress::Batches;
use super::rows;
use super::send::Sender;
use super::{Row, chunks};
use crate::aws;
use crate::http::read::{body, idempotency_key};
use crate::http::{Answer, Outcome, Refusal, answer, serve, usable};
use crate::idempotency::answer::hash;
use crate::idempotency::{Claim, Lease, Log, UPLOAD};
use crate::settings::Settings;

/// A function takes 6 MB with everything around the body, which is a third longer in base64 (AWS Lambda developer guide,
/// "Lambda quotas").
const BODY_MAX: usize = 4_400_000;

/// Chunks that are sent at the same time.
const AT_ONCE: usize = 8;

/// How long an upload waits for the same file that is being uploaded at the same time.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pause between two looks at it.
const PAUSE: Duration = Duration::from_millis(100);

const FAILED: &str = "Failed to process CSV upload";

struct Upload {
    uploads: Log,
    batches: Batches,
    chunks: Sender,
}

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let mut settings = Settings::default();
    let uploads = settings.required("UPLOADS_TABLE");
    let batches = settings.required("BATCHES_TABLE");
    let queue_url = settings.required("CHUNK_QUEUE_URL");
    let (uploads, batches, queue_url) = settings.finish((uploads, batches, queue_url))?;
    let config = aws::config();
    let upload = &Upload {
        uploads: Log::new(&config, uploads, UPLOAD),
        batches: Batches::new(&config, batches),
        chunks: Sender::new(&config, queue_url),
    };
    serve(|request, correlation_id| async move { take(upload, &request, &correlation_id).await })
        .await
}

/// What the caller needs to know, and what is kept for the next one.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    message: String,
    task_count: usize,
    batch_id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

async fn take(upload: &Upload, request: &Request, correlation_id: &str) -> Outcome {
    if !is_csv(request) {
        return Err(Refusal::unsupported_media_type("text/csv, in UTF-8"));
    }
    let content = body(request, BODY_MAX)?;
    let key = idempotency_key(request)?;
    let rows = rows::read(content).map_err(|error| Refusal::BadRequest(error.to_string()))?;
    let hash = hash(content);
    let name = key.map_or_else(|| format!("content-{hash}"), |key| format!("key-{key}"));
    let lease = match claim(upload, &name, &hash, usable(request)).await? {
        Claim::Mine(lease) => lease,
        Claim::Done(first) => return again(first.as_deref()),
        Claim::Theirs => {
            return Err(Refusal::with_header(
                StatusCode::CONFLICT,
                "The same file is being uploaded at this moment; try again",
                header::RETRY_AFTER,
                "1",
            ));
        }
        Claim::Different => {
            return Err(Refusal::with(
                StatusCode::UNPROCESSABLE_ENTITY,
                "The Idempotency-Key was used for another file",
            ));
        }
    };
    let outcome = hand_over(upload, &lease, &rows, correlation_id).await;
    let kept = match &outcome {
        Ok(accepted) => {
            let result = serde_json::to_string(accepted).ok();
            upload.uploads.complete(&lease, result.as_deref()).await
        }
        Err(refusal) => upload.uploads.fail(&lease, &refusal.to_string()).await,
    };
    if let Err(error) = kept {
        // Whoever tries again gets the same batch all the same, when the lease has ended.
        tracing::warn!(cause = format!("{error:?}"), "an upload's end was not kept");
    }
    respond(StatusCode::ACCEPTED, &outcome?)
}

/// Claims `name`, and waits a while for another who has it: the answer to two at the same time is that of the first.
async fn claim(upload: &Upload, name: &str, hash: &str, lease: Duration) -> Result<Claim, Refusal> {
    let until = Instant::now() + PATIENCE.min(lease / 2);
    loop {
        let claim = upload
            .uploads
            .claim(name, hash, lease)
            .await
            .map_err(|error| Refusal::failed(FAILED, error))?;
        if claim != Claim::Theirs || Instant::now() > until {
            return Ok(claim);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hand_over(
    upload: &Upload,
    lease: &Lease,
    rows: &[Row],
    correlation_id: &str,
) -> Result<Accepted, Refusal> {
    let batch_id = &lease.token;
    let task_count = rows.len();
    upload
        .batches
        .open(batch_id, task_count)
        .await
        .map_err(|error| Refusal::failed(FAILED, error))?;
    let chunks =
        chunks(batch_id, correlation_id, rows).map_err(|error| Refusal::failed(FAILED, error))?;
    let sends = chunks.iter().map(|chunk| {
        upload
            .chunks
            .send(std::slice::from_ref(chunk), correlation_id)
    });
    stream::iter(sends.collect::<Vec<_>>())
        .buffer_unordered(AT_ONCE)
        .try_for_each(|()| std::future::ready(Ok(())))
        .await
        .map_err(|error| Refusal::failed(FAILED, error))?;
    tracing::info!(
        batchId = batch_id,
        tasks = task_count,
        chunks = chunks.len(),
        "a file is on its way"
    );
    Ok(Accepted {
        message: "CSV file uploaded successfully".to_owned(),
        task_count,
        batch_id: batch_id.clone(),
        duplicate: false,
    })
}

fn again(first: Option<&str>) -> Outcome {
    let first: Accepted = serde_json::from_str(first.unwrap_or_default())
        .map_err(|error| Refusal::failed(FAILED, error))?;
    respond(
        StatusCode::OK,
        &Accepted {
            duplicate: true,
            ..first
        },
    )
}

fn respond(status: StatusCode, accepted: &Accepted) -> Outcome {
    let progress = format!("/tasks/batches/{}", accepted.batch_id);
    Ok(Answer {
        headers: vec![(header::LOCATION, progress)],
        ..answer(status, accepted)?
    })
}

/// `text/csv`, by itself or in UTF-8; a request without a content type is taken at its body's word.
fn is_csv(request: &Request) -> bool {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else {
        return true;
    };
    let value = value.to_str().unwrap_or("?").to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let mut charsets = parts.filter_map(|part| part.strip_prefix("charset="));
    matches!(kind, "" | "text/csv" | "application/csv")
        && charsets
            .all(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_csv_in_utf_8_is_taken() {
        let taken = |kind: &str| {
            let mut request = Request::default();
            let value = kind.parse().unwrap();
            request.headers_mut().insert(header::CONTENT_TYPE, value);
            is_csv(&request)
        };
        assert!(is_csv(&Request::default()));
        for good in [
            "text/csv",
            "Text/CSV; header=present; charset=\"UTF-8\"",
            "application/csv",
        ] {
            assert!(taken(good), "{good}");
        }
        for bad in [
            "application/json",
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/csv; charset=iso-8859-1",
        ] {
            assert!(!taken(bad), "{bad}");
        }
    }
}
