//! Takes messages from a queue, in batches, one after another. A record that fails never fails its neighbours: it alone is
//! reported back, and made visible again after 1, 2, then 4 s instead of the queue's whole visibility timeout.
//!
//! [Partial batch responses](https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html)

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;
use futures::FutureExt;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use tracing::Instrument;

use crate::deadline;

/// Kept free at the end of the function's time for reporting what failed.
pub const RESERVE: Duration = Duration::from_millis(1500);

/// Why a record was not worked on to its end.
#[derive(Debug)]
pub struct Failed {
    kind: &'static str,
    cause: Box<dyn std::error::Error + Send + Sync>,
    is_leased: bool,
}

impl Failed {
    /// `kind` is what an operator reads first: whether a retry may help.
    pub fn new(
        kind: &'static str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            cause: cause.into(),
            is_leased: false,
        }
    }

    /// Another environment has it, or had it when it ended: trying again before its lease is over only uses up attempts, so
    /// the message waits for the queue's visibility timeout.
    #[must_use]
    pub fn leased(self, is_leased: bool) -> Self {
        Self { is_leased, ..self }
    }
}

/// Works with `handle` on what comes from the queue at `queue_url`, until the environment ends. `handle` gets a record and how
/// long the environment still runs.
pub async fn serve(
    config: &SdkConfig,
    queue_url: &str,
    handle: impl AsyncFn(&SqsMessage, Duration) -> Result<(), Failed>,
) -> Result<(), Error> {
    let sqs = &aws_sdk_sqs::Client::new(config);
    let handle = &handle;
    // Boxed, because what some handlers keep while they wait is large.
    lambda_runtime::run(service_fn(|event: LambdaEvent<SqsEvent>| {
        Box::pin(async move {
            let failed = work_on_all(handle, &event).await;
            let soon = failed.iter().filter(|(_, failed)| !failed.is_leased);
            let soon: Vec<_> = soon.map(|(record, _)| *record).collect();
            make_visible_soon(sqs, queue_url, &soon).await;
            Ok::<_, Error>(response(failed.iter().map(|(record, _)| *record)))
        })
    }))
    .await
}

/// Names the records that are to come again.
pub(crate) fn response<'a>(failed: impl Iterator<Item = &'a SqsMessage>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.set_failures(failed.filter_map(|record| record.message_id.clone()));
    response
}

/// Works on record after record, and answers with those that failed or that there was no time for.
async fn work_on_all<'a>(
    handle: &impl AsyncFn(&SqsMessage, Duration) -> Result<(), Failed>,
    event: &'a LambdaEvent<SqsEvent>,
) -> Vec<(&'a SqsMessage, Failed)> {
    let mut failed = Vec::new();
    for record in &event.payload.records {
        let correlation_id = record.message_attributes.get("correlationId");
        let span = tracing::info_span!(
            "record",
            correlationId = correlation_id.and_then(|attribute| attribute.string_value.as_deref()),
            messageId = record.message_id
        );
        let time_left = deadline::time_left(&event.context);
        let outcome = async {
            if time_left < RESERVE {
                let cause = "the function's time is used up";
                return Err(Failed::new("TransientQueue", cause));
            }
            AssertUnwindSafe(handle(record, time_left))
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(Failed::new("TransientQueue", "its code panicked")))
        };
        let outcome = async {
            outcome.await.inspect_err(|Failed { kind, cause, .. }| {
                tracing::error!(kind, cause = format!("{cause:?}"), "{cause}");
            })
        };
        if let Err(error) = outcome.instrument(span).await {
            failed.push((record, error));
        }
    }
    failed
}

/// How long a message waits before its next attempt: 1 s after the first receive, then 2 s, then 4 s.
fn wait_seconds(receive_count: u32) -> i32 {
    1 << receive_count.saturating_sub(1).min(2)
}

/// Messages that failed come again soon. A failure here costs time only: the message then waits for the queue's visibility timeout.
pub(crate) async fn make_visible_soon(
    sqs: &aws_sdk_sqs::Client,
    queue_url: &str,
    failed: &[&SqsMessage],
) {
    for (entries, index) in failed.chunks(10).zip(0..) {
        let entries = entries.iter().zip(0..).filter_map(|(record, place)| {
            let receives = record.attributes.get("ApproximateReceiveCount");
            let receives = receives.and_then(|count| count.parse().ok()).unwrap_or(1);
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(format!("{index}-{place}"))
                .receipt_handle(record.receipt_handle.as_ref()?)
                .visibility_timeout(wait_seconds(receives))
                .build()
                .ok()
        });
        let changed = sqs
            .change_message_visibility_batch()
            .queue_url(queue_url)
            .set_entries(Some(entries.collect()))
            .send()
            .await;
        match changed {
            Ok(changed) if changed.failed().is_empty() => {}
            Ok(changed) => tracing::warn!(
                refused = changed.failed().len(),
                "some messages wait for the whole visibility timeout"
            ),
            Err(error) => {
                let error = aws_sdk_sqs::Error::from(error);
                tracing::warn!(
                    cause = format!("{error:?}"),
                    "failed messages wait for the whole visibility timeout"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_stop_at_four_seconds() {
        let waits: Vec<_> = (0..6).map(wait_seconds).collect();
        assert_eq!(waits, [1, 1, 2, 4, 4, 4]);
    }
}
