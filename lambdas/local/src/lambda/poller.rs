//! Takes batches from a queue and gives them to a function
//! (AWS Lambda developer guide, "Using Lambda with Amazon SQS", polling and scaling).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::environment::Invocation;
use super::mapping::Settings;
use super::{Lambda, batch};
use crate::error::AwsError;
use crate::sqs::Received;

/// SQS gives at most so many messages at once.
const RECEIVE_MAX: usize = 10;

/// One long poll, the longest that SQS allows: an idle mapping wakes up three times a minute.
const POLL: Duration = Duration::from_secs(20);

/// Wait after a poll that failed, such as after the queue was deleted.
const POLL_AGAIN: Duration = Duration::from_secs(5);

impl Lambda {
    /// Polls for a mapping until `stop`. One poller is enough: it hands each batch to a task of its own.
    pub(super) fn poll(&self, settings: Settings, stop: CancellationToken) {
        let lambda = self.clone();
        let most = settings
            .maximum_concurrency
            .unwrap_or(self.inner.parts.concurrency);
        self.spawn(async move {
            let settings = Arc::new(settings);
            let slots = Arc::new(Semaphore::new(most as usize));
            while let Some(Ok(slot)) = stop
                .run_until_cancelled(slots.clone().acquire_owned())
                .await
            {
                let Some(collected) = stop.run_until_cancelled(lambda.collect(&settings)).await
                else {
                    break;
                };
                match collected {
                    Ok(messages) if messages.is_empty() => {}
                    Ok(messages) => {
                        let (lambda, settings) = (lambda.clone(), settings.clone());
                        lambda.clone().spawn(async move {
                            lambda.process(&settings, &messages).await;
                            drop(slot);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(queue = settings.queue_arn, %error, "cannot take messages");
                        lambda.inner.parts.clock.sleep(POLL_AGAIN).await;
                    }
                }
            }
        });
    }

    /// The next batch: full, or what there was at the end of the window.
    async fn collect(&self, settings: &Settings) -> Result<Vec<Received>, AwsError> {
        let sqs = &self.inner.parts.sqs;
        let size = settings.batch_size as usize;
        let first = size.min(RECEIVE_MAX);
        let mut messages = sqs.receive(&settings.queue_arn, first, POLL).await?;
        if messages.is_empty() {
            return Ok(messages);
        }
        let until = Instant::now() + settings.window;
        while messages.len() < size {
            let wait = until.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                break;
            }
            let more = (size - messages.len()).min(RECEIVE_MAX);
            messages.extend(sqs.receive(&settings.queue_arn, more, wait).await?);
        }
        Ok(messages)
    }

    /// Runs the function on a batch and deletes what it processed. The rest, and all of it when the function was throttled,
    /// stays hidden until the queue's visibility timeout ends.
    async fn process(&self, settings: &Settings, messages: &[Received]) {
        let invocation = Invocation {
            request_id: uuid::Uuid::new_v4().to_string(),
            payload: batch::event(&settings.queue_arn, messages),
            trace_id: super::invoke::trace_id(self.inner.parts.clock.now().as_second()),
            client_context: None,
        };
        let reply = match self.run(&settings.function, &invocation).await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::debug!(function = settings.function, %error, "a batch was not processed");
                return;
            }
        };
        let handles: Vec<String> = batch::processed(messages, &reply, settings.partial_failures)
            .into_iter()
            .map(|message| message.receipt_handle.clone())
            .collect();
        if handles.is_empty() {
            return;
        }
        if let Err(error) = self.inner.parts.sqs.delete(&settings.queue_arn, &handles) {
            tracing::warn!(queue = settings.queue_arn, %error, "processed messages will come again");
        }
    }
}
