//! Takes messages from a queue, in batches, one after another as long as they are quick. A record that fails never fails its
//! neighbours: it alone is reported back, and made visible again after 1, 2, then 4 s instead of the queue's whole visibility
//! timeout. Nor does a slow one hold them up: the next begins when its own share of the time comes.
//!
//! [Partial batch responses](https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html)

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use tracing::Instrument;

use crate::deadline;
use crate::function::Function;

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

/// Works with `handle` on what comes from the queue at `queue_url`. `handle` gets a record and how long the environment still runs.
pub fn function<H>(
    config: &SdkConfig,
    queue_url: String,
    handle: H,
) -> impl Function<SqsEvent> + use<H>
where
    H: AsyncFn(&SqsMessage, Duration) -> Result<(), Failed>,
{
    let shared = Arc::new((aws_sdk_sqs::Client::new(config), queue_url, handle));
    // Boxed, because what some handlers keep while they wait is large.
    service_fn(move |event: LambdaEvent<SqsEvent>| {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            let (sqs, queue_url, handle) = &*shared;
            let failed = work_on_all(handle, &event).await;
            let soon = failed.iter().filter(|(_, failed)| !failed.is_leased);
            let soon: Vec<_> = soon.map(|(record, _)| *record).collect();
            make_visible_soon(sqs, queue_url, &soon).await;
            Ok::<_, Error>(response(failed.iter().map(|(record, _)| *record)))
        })
    })
}

/// Names the records that are to come again.
pub(crate) fn response<'a>(failed: impl Iterator<Item = &'a SqsMessage>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.set_failures(failed.filter_map(|record| record.message_id.clone()));
    response
}

/// Works on record after record, and answers with those that failed. Who is slow is not waited for: by half of the time all have
/// begun, so that each has as long as the other half, and nobody comes back untried and loses one of few receives.
async fn work_on_all<'a>(
    handle: &impl AsyncFn(&SqsMessage, Duration) -> Result<(), Failed>,
    event: &'a LambdaEvent<SqsEvent>,
) -> Vec<(&'a SqsMessage, Failed)> {
    let records = &event.payload.records;
    let usable = deadline::time_left(&event.context).saturating_sub(RESERVE);
    let share = usable / 2 / u32::try_from(records.len()).unwrap_or(u32::MAX).max(1);
    let mut failed = Vec::new();
    let mut running = FuturesUnordered::new();
    for record in records {
        running.push(work_on(handle, record, &event.context));
        let all_ended = async {
            while let Some(outcome) = running.next().await {
                failed.extend(outcome);
            }
        };
        // Whether all ended or the next one's share began is all the same.
        let _ = tokio::time::timeout(share, all_ended).await;
    }
    while let Some(outcome) = running.next().await {
        failed.extend(outcome);
    }
    failed
}

/// Works on one record, ends in time for the report, and answers if it failed.
async fn work_on<'a>(
    handle: &impl AsyncFn(&SqsMessage, Duration) -> Result<(), Failed>,
    record: &'a SqsMessage,
    context: &Context,
) -> Option<(&'a SqsMessage, Failed)> {
    let span = tracing::info_span!(
        "record",
        correlationId = correlation_id(record),
        messageId = record.message_id
    );
    let work = async {
        let time_left = deadline::time_left(context);
        let usable = time_left.saturating_sub(RESERVE);
        // A timeout of nothing would still let it begin.
        let outcome = if usable.is_zero() {
            Err(out_of_time())
        } else {
            let handled = AssertUnwindSafe(handle(record, time_left)).catch_unwind();
            match tokio::time::timeout(usable, handled).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(Failed::new("TransientQueue", "its code panicked")),
                Err(_) => Err(out_of_time()),
            }
        };
        outcome.inspect_err(|Failed { kind, cause, .. }| {
            tracing::error!(kind, cause = format!("{cause:?}"), "{cause}");
        })
    };
    let failed = work.instrument(span).await.err()?;
    Some((record, failed))
}

fn out_of_time() -> Failed {
    Failed::new("TransientQueue", "the function's time is used up")
}

/// What its sender calls the request that it belongs to.
pub(crate) fn correlation_id(record: &SqsMessage) -> Option<&str> {
    let attribute = record.message_attributes.get("correlationId")?;
    attribute.string_value.as_deref()
}

/// How often the message was received, with this time.
pub(crate) fn receives(record: &SqsMessage) -> u32 {
    let receives = record.attributes.get("ApproximateReceiveCount");
    receives.and_then(|count| count.parse().ok()).unwrap_or(1)
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
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(format!("{index}-{place}"))
                .receipt_handle(record.receipt_handle.as_ref()?)
                .visibility_timeout(wait_seconds(receives(record)))
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
    #![allow(clippy::unwrap_used)]

    use std::sync::Mutex;
    use std::time::SystemTime;

    use super::*;

    /// A batch with a record for each word, for a function that still runs for so long.
    fn batch(words: &[&str], time_left: Duration) -> LambdaEvent<SqsEvent> {
        let mut event = SqsEvent::default();
        for word in words {
            let mut record = SqsMessage::default();
            record.message_id = Some((*word).to_owned());
            event.records.push(record);
        }
        let mut context = Context::default();
        let end = SystemTime::now() + time_left;
        let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        context.deadline = end.as_millis().try_into().unwrap();
        LambdaEvent::new(event, context)
    }

    fn word(record: &SqsMessage) -> &str {
        record.message_id.as_deref().unwrap()
    }

    #[test]
    fn waits_double_and_stop_at_four_seconds() {
        let waits: Vec<_> = (0..6).map(wait_seconds).collect();
        assert_eq!(waits, [1, 1, 2, 4, 4, 4]);
    }

    #[tokio::test]
    async fn one_that_fails_panics_or_hangs_fails_alone() {
        let done = Mutex::new(Vec::new());
        let event = batch(
            &["first", "fails", "panics", "hangs", "last"],
            RESERVE + Duration::from_millis(500),
        );
        let handle = async |record: &SqsMessage, _| {
            match word(record) {
                "fails" => return Err(Failed::new("TransientQueue", "it fails")),
                "panics" => panic!("it panics"),
                "hangs" => std::future::pending().await,
                other => done.lock().unwrap().push(other.to_owned()),
            }
            Ok(())
        };
        let failed = work_on_all(&handle, &event).await;
        assert_eq!(*done.lock().unwrap(), ["first", "last"]);
        let failed: Vec<_> = failed
            .iter()
            .map(|(record, failed)| (word(record), failed.cause.to_string()))
            .collect();
        let said = |word, cause: &str| (word, cause.to_owned());
        assert_eq!(
            failed,
            [
                said("fails", "it fails"),
                said("panics", "its code panicked"),
                said("hangs", "the function's time is used up"),
            ]
        );
        assert!(deadline::time_left(&event.context) > RESERVE / 2);
    }

    #[tokio::test]
    async fn without_time_nothing_begins() {
        let event = batch(&["one", "two"], RESERVE / 2);
        let handle = async |_: &SqsMessage, _| panic!("there is no time for it");
        let failed = work_on_all(&handle, &event).await;
        assert_eq!(failed.len(), 2);
        for (_, failed) in failed {
            assert_eq!(failed.cause.to_string(), "the function's time is used up");
        }
    }

    #[tokio::test]
    async fn quick_records_run_one_after_another_and_slow_ones_beside_each_other() {
        for (each, most) in [(1, 1), (300, 10)] {
            let (running, peak) = (Mutex::new(0), Mutex::new(0));
            let event = batch(&["x"; 10], RESERVE + Duration::from_secs(1));
            let handle = async |_: &SqsMessage, _| {
                let now = {
                    let mut running = running.lock().unwrap();
                    *running += 1;
                    *running
                };
                let highest = now.max(*peak.lock().unwrap());
                *peak.lock().unwrap() = highest;
                tokio::time::sleep(Duration::from_millis(each)).await;
                *running.lock().unwrap() -= 1;
                Ok(())
            };
            assert!(work_on_all(&handle, &event).await.is_empty(), "{each} ms");
            let peak = *peak.lock().unwrap();
            assert!(peak <= most && (most == 1 || peak > 1), "{each} ms: {peak}");
        }
    }
}
