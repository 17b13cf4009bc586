//! Asynchronous invocation: accepted at once, run later, retried, and in the end recorded
//! (AWS Lambda developer guide, "Invoking a Lambda function asynchronously"). Ages and waits are those of the emulator's clock.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::OptionFuture;
use jiff::Timestamp;

use super::environment::{Invocation, Reply};
use super::event_config::{DEFAULT_EVENT_AGE, DEFAULT_RETRIES};
use super::life::Told;
use super::record::{self, Finished};
use super::retry::{self, Condition, Limits, Step};
use super::{Lambda, error};
use crate::error::AwsError;
use crate::sqs::Outgoing;

/// Payload of an event (AWS Lambda developer guide, "Lambda quotas": 1 MB).
pub(super) const MAX_EVENT_BYTES: usize = 1_048_576;

/// An event that was accepted and has not ended.
#[derive(Clone)]
pub(super) struct Event {
    /// Name of the function.
    pub function: String,
    pub invocation: Invocation,
    pub received: Timestamp,
    /// How often it failed already.
    pub attempts: u32,
}

/// Where an event's end is told.
#[derive(Default)]
struct Targets {
    on_failure: Option<String>,
    on_success: Option<String>,
    dead_letter: Option<String>,
}

/// How an event ended.
struct End {
    condition: Condition,
    attempts: u32,
    reply: Option<Reply>,
}

impl Lambda {
    /// Takes an event for `name`; it runs in the background, under the request id of `invocation`.
    pub(crate) fn accept(&self, name: &str, invocation: Invocation) -> Result<(), AwsError> {
        self.state().function(name)?;
        self.record(name, "AsyncEventsReceived", 1.0);
        let payload = &invocation.payload;
        self.witness(name, &invocation, Told::Accepted { payload });
        self.begin(Event {
            function: name.to_owned(),
            invocation,
            received: self.inner.parts.clock.now(),
            attempts: 0,
        });
        Ok(())
    }

    /// Sees an event through, and remembers it until then.
    pub(super) fn begin(&self, event: Event) {
        let id = event.invocation.request_id.clone();
        self.state().events.insert(id.clone(), event.clone());
        let lambda = self.clone();
        self.spawn(async move {
            lambda.see_through(&event).await;
            lambda.state().events.remove(&id);
        });
    }

    /// From the first attempt to the record of the end.
    async fn see_through(&self, event: &Event) {
        let (name, invocation) = (event.function.as_str(), &event.invocation);
        let Some(end) = self.attempt(event).await else {
            // The function was deleted: nobody is left to say where its events end.
            self.witness(name, invocation, Told::Dropped);
            self.record(name, "AsyncEventsDropped", 1.0);
            return;
        };
        let targets = self.settings(name).map(|(_, targets)| targets);
        let finished = Finished {
            function: name,
            request_id: &invocation.request_id,
            payload: &invocation.payload,
            condition: end.condition,
            attempts: end.attempts,
            reply: end.reply.as_ref(),
        };
        let targets = targets.unwrap_or_default();
        if end.condition == Condition::Success {
            self.witness(name, invocation, Told::Succeeded);
            self.tell_destination(targets.on_success.as_deref(), &finished);
            return;
        }
        self.witness(name, invocation, Told::Dropped);
        self.tell_destination(targets.on_failure.as_deref(), &finished);
        if let Some(queue) = &targets.dead_letter
            && let Err(error) = self
                .inner
                .parts
                .sqs
                .send(queue, record::dead_letter(&finished))
        {
            tracing::warn!(function = name, queue, %error, "a dead letter was lost");
            self.record(name, "DeadLetterErrors", 1.0);
        }
        self.record(name, "AsyncEventsDropped", 1.0);
    }

    /// Runs the function until it succeeds or its event is given up. `None` when there is no such function any more.
    async fn attempt(&self, event: &Event) -> Option<End> {
        let (name, invocation) = (event.function.as_str(), &event.invocation);
        let clock = &self.inner.parts.clock;
        let received = event.received;
        let age = || clock.now().duration_since(received).unsigned_abs();
        let mut attempts = event.attempts;
        let mut throttles = 0;
        let mut last = None;
        loop {
            let left = self.settings(name)?.0.event_age.saturating_sub(age());
            // What a function reserves is its own.
            let turn = self
                .shares(name)
                .then(|| self.inner.turns.clone().acquire_owned());
            let turn = tokio::select! {
                turn = OptionFuture::from(turn) => turn,
                () = clock.sleep(left) => None,
            };
            // Asked each time: an operator may change them while events wait.
            let (limits, _) = self.settings(name)?;
            let step = if age() >= limits.event_age {
                Step::GiveUp(Condition::EventAgeExceeded)
            } else if self.is_shut(name)? {
                // Reserved concurrency 0: straight to where failures end (same page).
                Step::GiveUp(Condition::RetriesExhausted)
            } else {
                let waited = age();
                let outcome = self.run(name, invocation).await;
                if outcome.is_ok() {
                    self.record(name, "AsyncEventAge", waited.as_secs_f64() * 1000.0);
                }
                match outcome {
                    Ok(reply) if !reply.failed => {
                        return Some(End {
                            condition: Condition::Success,
                            attempts: attempts + 1,
                            reply: Some(reply),
                        });
                    }
                    Ok(reply) => {
                        attempts += 1;
                        throttles = 0;
                        if let Some(event) = self.state().events.get_mut(&invocation.request_id) {
                            event.attempts = attempts;
                        }
                        last = Some(reply);
                        retry::after_failure(attempts, age(), limits)
                    }
                    Err(error) if error.code == error::THROTTLED || error.status >= 500 => {
                        throttles += 1;
                        retry::after_throttle(throttles, age(), limits)
                    }
                    Err(_) => return None,
                }
            };
            drop(turn);
            match step {
                Step::Again(wait) => clock.sleep(wait).await,
                Step::GiveUp(condition) => {
                    return Some(End {
                        condition,
                        attempts,
                        reply: last,
                    });
                }
            }
        }
    }

    fn settings(&self, name: &str) -> Option<(Limits, Targets)> {
        let state = self.state();
        let function = state.functions.get(name)?;
        let config = function.event_config.clone().unwrap_or_default();
        let limits = Limits {
            retries: config.retries.unwrap_or(DEFAULT_RETRIES),
            event_age: config.event_age.unwrap_or(DEFAULT_EVENT_AGE),
            waits: self.inner.parts.retry_waits,
        };
        let targets = Targets {
            on_failure: config.on_failure,
            on_success: config.on_success,
            dead_letter: function.configuration.dead_letter_target.clone(),
        };
        Some((limits, targets))
    }

    fn is_shut(&self, name: &str) -> Option<bool> {
        let state = self.state();
        Some(state.functions.get(name)?.reserved_concurrency == Some(0))
    }

    fn tell_destination(&self, target: Option<&str>, finished: &Finished<'_>) {
        let Some(target) = target else { return };
        if let Err(error) = self.deliver(target, finished) {
            tracing::warn!(function = finished.function, target, %error, "a destination's record was lost");
            self.record(finished.function, "DestinationDeliveryFailures", 1.0);
        }
    }

    fn deliver(&self, target: &str, finished: &Finished<'_>) -> Result<(), AwsError> {
        let now = self.inner.parts.clock.now();
        let sqs = &self.inner.parts.sqs;
        let to_function = target.starts_with("arn:aws:lambda:");
        let limit = if to_function {
            MAX_EVENT_BYTES
        } else {
            // A queue's own limit can be lower than that of SQS.
            let attributes = sqs.attributes(target)?;
            let limit = attributes.get("MaximumMessageSize");
            limit
                .and_then(|bytes| bytes.parse().ok())
                .unwrap_or(usize::MAX)
        };
        let record = record::destination(finished, now, limit).map_err(|e| error::not_json(&e))?;
        if to_function {
            let function = super::name::parse(target)?;
            let invocation = Invocation {
                request_id: uuid::Uuid::new_v4().to_string(),
                payload: Bytes::from(record),
                trace_id: super::invoke::trace_id(now.as_second()),
                client_context: None,
            };
            return self.accept(&function, invocation);
        }
        let message = Outgoing {
            body: record,
            attributes: BTreeMap::new(),
            ..Outgoing::default()
        };
        sqs.send(target, message).map(drop)
    }
}
