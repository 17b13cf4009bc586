//! Delivers events from a queue, in batches, one after another. A record that fails never fails its neighbours: it alone is
//! reported back, and made visible again after 1, 2, then 4 s instead of the queue's whole visibility timeout.
//!
//! [Partial batch responses](https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html)

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;
use futures::FutureExt;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use tracing::Instrument;

use crate::aws;
use crate::deadline;
use crate::delivery::{Delivery, DeliveryError};
use crate::envelope::{Arrived, Envelope};
use crate::settings::Settings;

/// Kept free at the end of the function's time for reporting what failed.
const RESERVE: Duration = Duration::from_millis(1500);

/// Takes batches until the environment ends.
pub async fn run() -> Result<(), Error> {
    let mut settings = Settings::default();
    let queue_url = &settings.required("NOTIFICATION_QUEUE_URL");
    let delivery = &Delivery::start(settings).await?;
    let sqs = &aws_sdk_sqs::Client::new(&aws::config().await);
    lambda_runtime::run(service_fn(|event: LambdaEvent<SqsEvent>| async move {
        let failed = deliver_all(delivery, &event).await;
        make_visible_soon(sqs, queue_url, &failed).await;
        let mut response = SqsBatchResponse::default();
        let ids = failed
            .iter()
            .map(|failure| failure.record.message_id.clone());
        response.set_failures(ids.flatten());
        Ok::<_, Error>(response)
    }))
    .await
}

/// A record that was not delivered.
struct Failure {
    record: SqsMessage,
    /// Another environment has it, or had it when it ended: trying again before its lease is over only uses up attempts.
    is_leased: bool,
}

/// Delivers record after record, and answers with those that failed or that there was no time for.
async fn deliver_all(delivery: &Delivery, event: &LambdaEvent<SqsEvent>) -> Vec<Failure> {
    let mut failed = Vec::new();
    for record in &event.payload.records {
        let time_left = deadline::time_left(&event.context);
        let outcome = if time_left < RESERVE {
            Err(DeliveryError::OutOfTime)
        } else {
            AssertUnwindSafe(deliver(delivery, record, time_left))
                .catch_unwind()
                .await
                .unwrap_or(Err(DeliveryError::Panicked))
        };
        if let Err(error) = outcome {
            tracing::error!(
                messageId = record.message_id,
                kind = error.kind(),
                cause = format!("{error:?}"),
                "{error}"
            );
            failed.push(Failure {
                record: record.clone(),
                is_leased: matches!(error, DeliveryError::InProgress(_)),
            });
        }
    }
    failed
}

async fn deliver(
    delivery: &Delivery,
    record: &SqsMessage,
    time_left: Duration,
) -> Result<(), DeliveryError> {
    let attribute = |name: &str| record.message_attributes.get(name)?.string_value.as_deref();
    let arrived = Arrived {
        event: attribute("event"),
        correlation_id: attribute("correlationId"),
        request_id: record.message_id.as_deref().unwrap_or_default(),
    };
    let body = record.body.as_deref().unwrap_or_default();
    let envelope = Envelope::read(body.as_bytes(), arrived)?;
    let span = tracing::info_span!(
        "record",
        correlationId = envelope.correlation_id,
        eventId = envelope.id,
        messageId = record.message_id
    );
    delivery
        .deliver(&envelope, time_left)
        .instrument(span)
        .await?;
    Ok(())
}

/// How long a message waits before its next attempt: 1 s after the first receive, then 2 s, then 4 s.
fn wait_seconds(receive_count: u32) -> i32 {
    1 << receive_count.saturating_sub(1).min(2)
}

/// A failure here costs time only: the message then waits for the queue's visibility timeout.
async fn make_visible_soon(sqs: &aws_sdk_sqs::Client, queue_url: &str, failed: &[Failure]) {
    let soon: Vec<_> = failed
        .iter()
        .filter(|failure| !failure.is_leased)
        .map(|failure| &failure.record)
        .collect();
    for (entries, index) in soon.chunks(10).zip(0..) {
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
