//! Takes batches from a queue and gives them to a function
//! (AWS Lambda developer guide, "Using Lambda with Amazon SQS", polling and scaling).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::environment::Invocation;
use super::mapping::{LastResult, Mapping, Settings};
use super::{Lambda, batch};
use crate::error::AwsError;
use crate::sqs::Received;

/// SQS gives at most so many messages at once.
const RECEIVE_MAX: usize = 10;

/// One long poll, the longest that SQS allows: an idle mapping wakes up three times a minute.
const POLL: Duration = Duration::from_secs(20);

/// Wait after a poll that failed, such as after the queue was deleted.
const POLL_AGAIN: Duration = Duration::from_secs(5);

/// What a poller works for: a mapping as it was when the poller began.
struct Source {
    uuid: String,
    settings: Settings,
}

impl Lambda {
    /// Polls for `mapping` until it is stopped. One poller is enough: it hands each batch to a task of its own.
    pub(super) fn poll(&self, uuid: &str, mapping: &Mapping) {
        let lambda = self.clone();
        let (stop, turns) = (mapping.stop.clone(), mapping.turns.clone());
        let source = Arc::new(Source {
            uuid: uuid.to_owned(),
            settings: mapping.settings.clone(),
        });
        let most = source.settings.maximum_concurrency;
        let most = most.unwrap_or(self.inner.parts.concurrency);
        self.spawn(async move {
            while !stop.is_cancelled()
                && let Some(turn) = stop.run_until_cancelled(turns.take(most)).await
            {
                match lambda.collect(&source.settings, &stop).await {
                    Ok(messages) if messages.is_empty() => {}
                    Ok(messages) => {
                        let (lambda, source) = (lambda.clone(), source.clone());
                        lambda.clone().spawn(async move {
                            lambda.process(&source, messages).await;
                            drop(turn);
                        });
                    }
                    Err(error) => {
                        let queue = &source.settings.queue_arn;
                        tracing::warn!(queue, %error, "cannot take messages");
                        lambda.tell(&source, LastResult::Problem(error.message));
                        let pause = lambda.inner.parts.clock.sleep(POLL_AGAIN);
                        stop.run_until_cancelled(pause).await;
                    }
                }
            }
        });
    }

    /// The next batch: full in number or bytes, or what there was at the end of the window on the emulator's clock. Nothing when the
    /// mapping is stopped.
    async fn collect(
        &self,
        settings: &Settings,
        stop: &CancellationToken,
    ) -> Result<Vec<Received>, AwsError> {
        let sqs = &self.inner.parts.sqs;
        let size = settings.batch_size as usize;
        let receive = |most: usize, wait: Duration| {
            let polled = sqs.receive(&settings.queue_arn, most.min(RECEIVE_MAX), wait);
            stop.run_until_cancelled(polled)
        };
        let Some(first) = receive(size, POLL).await else {
            return Ok(Vec::new());
        };
        let mut messages = first?;
        if messages.is_empty() {
            return Ok(messages);
        }
        let clock = &self.inner.parts.clock;
        let begun = clock.now();
        let mut bytes: usize = messages.iter().map(|message| message.body.len()).sum();
        while messages.len() < size && bytes < batch::MAX_BYTES {
            let passed = clock.now().duration_since(begun).unsigned_abs();
            let wait = settings.window.saturating_sub(passed);
            if wait.is_zero() {
                break;
            }
            match receive(size - messages.len(), wait).await {
                Some(Ok(more)) => {
                    bytes += more.iter().map(|message| message.body.len()).sum::<usize>();
                    messages.extend(more);
                }
                // What is here is worth delivering; the next poll tells what is wrong.
                Some(Err(_)) => break,
                None => {
                    if let Err(error) = sqs.release(&settings.queue_arn, &handles(&messages)) {
                        let queue = &settings.queue_arn;
                        tracing::warn!(queue, %error, "collected messages stay hidden until their visibility timeout ends");
                    }
                    return Ok(Vec::new());
                }
            }
        }
        Ok(messages)
    }

    /// Deletes the messages that the filters keep from the function, and runs it on the others, in as many batches as their size asks
    /// for. Of a FIFO queue, messages behind one that failed in their group wait until they come again after it.
    async fn process(&self, source: &Source, messages: Vec<Received>) {
        let settings = &source.settings;
        let (mut messages, unwanted): (Vec<_>, Vec<_>) = messages
            .into_iter()
            .partition(|message| settings.filters.pass(message));
        self.delete(settings, &handles(&unwanted));
        let fifo = super::is_fifo(&settings.queue_arn);
        while !messages.is_empty() {
            let (event, count) = batch::event(&settings.queue_arn, &messages);
            let mut rest = messages.split_off(count);
            let processed = self.hand_over(source, event, &messages).await;
            self.delete(settings, &processed);
            if fifo {
                let failed: BTreeSet<_> = messages
                    .iter()
                    .filter(|message| !processed.contains(&message.receipt_handle))
                    .filter_map(group)
                    .collect();
                rest.retain(|message| !group(message).is_some_and(|group| failed.contains(group)));
            }
            messages = rest;
        }
    }

    /// Runs the function on a batch and answers the receipt handles of what it processed. The rest, and all of it when the function was
    /// throttled, stays hidden until the queue's visibility timeout ends, and each such time counts as a receive.
    async fn hand_over(
        &self,
        source: &Source,
        event: bytes::Bytes,
        messages: &[Received],
    ) -> Vec<String> {
        let settings = &source.settings;
        let invocation = Invocation {
            request_id: uuid::Uuid::new_v4().to_string(),
            payload: event,
            trace_id: super::invoke::trace_id(self.inner.parts.clock.now().as_second()),
            client_context: None,
        };
        match self.run(&settings.function, &invocation).await {
            Ok(reply) => {
                self.tell(source, LastResult::of(&reply));
                handles(batch::processed(
                    messages,
                    &reply,
                    settings.partial_failures,
                ))
            }
            Err(error) => {
                let function = &settings.function;
                tracing::warn!(function, %error, messages = messages.len(), "a batch was not processed and comes again");
                self.tell(source, LastResult::Problem(error.message));
                Vec::new()
            }
        }
    }

    fn delete(&self, settings: &Settings, handles: &[String]) {
        if let Err(error) = self.inner.parts.sqs.delete(&settings.queue_arn, handles) {
            tracing::warn!(queue = settings.queue_arn, %error, "processed messages will come again");
        }
    }

    /// Remembers how the last batch ended, for `LastProcessingResult`.
    fn tell(&self, source: &Source, result: LastResult) {
        if let Some(mapping) = self.state().mappings.get_mut(&source.uuid) {
            mapping.last_result = result;
        }
    }
}

fn handles<'a>(messages: impl IntoIterator<Item = &'a Received>) -> Vec<String> {
    messages
        .into_iter()
        .map(|message| message.receipt_handle.clone())
        .collect()
}

fn group(message: &Received) -> Option<&String> {
    message.attributes.get("MessageGroupId")
}
