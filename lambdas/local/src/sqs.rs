//! SQS: standard and FIFO queues behind the AWS JSON 1.0 protocol ("Amazon SQS API Reference").
//!
//! A request goes through [`Sqs::handle`], which picks the operation (`sqs/operations.rs`); the operations check their input
//! and work on queues, each a pure state machine (`sqs/queue.rs`). The other services of the emulator use the methods
//! that take a queue ARN.

mod attributes;
mod digest;
mod direct;
mod kept;
mod life;
mod message;
mod moves;
mod operations;
mod queue;
mod queues;
mod receipt;
mod receive;
mod refusal;
mod rules;
mod send;
mod settings;
mod settle;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use uuid::Uuid;

pub use self::message::{MessageAttribute, Outgoing, Received};
use self::{moves::Tasks, queue::Queue, settings::Settings};
use crate::{
    account::{ACCOUNT_ID, queue_arn},
    clock::Clock,
    cloudwatch::Metrics,
    error::AwsError,
    witness::Witness,
};

/// How long the name of a deleted queue cannot be used for another ("`DeleteQueue`").
const NAME_IS_TAKEN_MS: i64 = 60_000;

/// All queues of the account. Cheap to clone; clones are the same queues.
#[derive(Clone)]
pub struct Sqs {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    metrics: Metrics,
    witness: Witness,
    endpoint_url: String,
    /// One short lock for all: moving into a dead-letter queue touches two queues at once.
    queues: Mutex<Queues>,
}

#[derive(Default)]
struct Queues {
    hosted: BTreeMap<String, Hosted>,
    /// Names that cannot be taken again yet, with epoch milliseconds.
    deleted_at: BTreeMap<String, i64>,
}

impl Queues {
    fn forget_deleted(&mut self, now: i64) {
        self.deleted_at
            .retain(|_, deleted_at| now - *deleted_at < NAME_IS_TAKEN_MS);
    }
}

/// A queue with what surrounds its state machine.
struct Hosted {
    queue: Queue,
    /// Wakes long polls when something may have become visible, or the queue is gone.
    changed: Arc<Notify>,
    /// Tells this queue from a later one of the same name, in receipt handles.
    incarnation: String,
    tags: BTreeMap<String, String>,
    /// Epoch seconds.
    created_at: i64,
    modified_at: i64,
    /// Epoch milliseconds of the last purge.
    purged_at: Option<i64>,
    /// Tasks that move messages out of this queue.
    moves: Tasks,
}

impl Hosted {
    fn new(queue: Queue, tags: BTreeMap<String, String>, now_seconds: i64) -> Self {
        Self {
            queue,
            changed: Arc::new(Notify::new()),
            incarnation: Uuid::new_v4().to_string(),
            tags,
            created_at: now_seconds,
            modified_at: now_seconds,
            purged_at: None,
            moves: Tasks::new(),
        }
    }

    /// Takes new settings.
    fn configure(&mut self, now: i64, settings: Settings) {
        self.queue.configure(now, settings);
        self.modified_at = now / 1000;
        // A long poll may be sleeping towards the end of a delay that is another one now.
        self.changed.notify_waiters();
    }
}

impl Sqs {
    /// No queues yet. `endpoint_url` is the start of every queue's URL.
    #[must_use]
    pub fn new(clock: Clock, metrics: Metrics, witness: Witness, endpoint_url: String) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock,
                metrics,
                witness,
                endpoint_url,
                queues: Mutex::default(),
            }),
        }
    }

    /// Records the gauges of `AWS/SQS` for every queue, as of now. Whoever owns the emulator calls this about once a second; the
    /// last of a minute counts, because SQS reports each once a minute.
    pub fn sample(&self) {
        let now = self.now();
        let depths: Vec<_> = self
            .lock()
            .hosted
            .iter_mut()
            .map(|(name, hosted)| (name.clone(), hosted.queue.depth(now)))
            .collect();
        for (name, depth) in depths {
            let age_seconds = usize::try_from(depth.oldest_age_ms.unwrap_or(0) / 1000);
            for (metric, value) in [
                ("ApproximateNumberOfMessagesVisible", depth.visible),
                ("ApproximateNumberOfMessagesNotVisible", depth.in_flight),
                ("ApproximateNumberOfMessagesDelayed", depth.delayed),
                (
                    "ApproximateAgeOfOldestMessage",
                    age_seconds.unwrap_or_default(),
                ),
            ] {
                let dimensions = [("QueueName", name.as_str())];
                let metrics = &self.shared.metrics;
                metrics.gauge("AWS/SQS", metric, &dimensions, figure(value));
            }
        }
    }

    /// Epoch milliseconds.
    fn now(&self) -> i64 {
        self.shared.clock.now().as_millisecond()
    }

    /// A panic under this lock is a bug, but the queues stay whole enough to go on.
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.shared
            .queues
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn url(&self, name: &str) -> String {
        format!("{}/{ACCOUNT_ID}/{name}", self.shared.endpoint_url)
    }

    fn measure(&self, queue: &str, metric: &'static str, value: usize) {
        let dimensions = [("QueueName", queue)];
        let metrics = &self.shared.metrics;
        metrics.record("AWS/SQS", metric, &dimensions, figure(value));
    }

    async fn sleep(&self, duration: Duration) {
        self.shared.clock.sleep(duration).await;
    }
}

/// Counts and sizes here stay far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn figure(value: usize) -> f64 {
    value as f64
}

/// The queue of that name, or the error SQS gives.
fn find<'a>(queues: &'a mut Queues, name: &str) -> Result<&'a mut Hosted, AwsError> {
    queues
        .hosted
        .get_mut(name)
        .ok_or_else(refusal::queue_does_not_exist)
}

/// The name in a queue's ARN.
fn name_in_arn(arn: &str) -> Option<&str> {
    arn.strip_prefix(queue_arn("").as_str())
}

#[cfg(test)]
mod tests;
