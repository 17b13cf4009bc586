//! AWS Lambda on one machine: functions are real processes that speak the Lambda Runtime API.
//!
//! [`Lambda`] owns all functions and event source mappings. What arrives over HTTP is taken apart in `rest`; the other services of
//! the emulator call it directly.

mod batch;
mod code;
mod concurrency;
pub(crate) mod configure;
mod declare;
mod ending;
mod environment;
mod error;
mod event;
pub(crate) mod event_config;
pub(crate) mod filter;
mod function;
mod invoke;
mod kept;
mod life;
pub(crate) mod mapping;
mod name;
mod output;
mod poller;
mod record;
mod rest;
mod retry;
mod runtime_api;
mod schedule;
mod start;
mod turn;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::cloudwatch::Metrics;
use crate::error::AwsError;
use crate::logs::Logs;
use crate::sqs::Sqs;
use crate::witness::Witness;
pub(crate) use code::{Code, PREFIX as CODE_PREFIX};
pub(crate) use configure::Changes as FunctionChanges;
pub(crate) use declare::Declaration;
pub(crate) use environment::{Invocation, Reply};
pub(crate) use error::THROTTLED;
use event::Event;
pub(crate) use event_config::Changes as EventConfigChanges;
use function::Function;
pub(crate) use invoke::trace_id;
pub(crate) use mapping::Changes as MappingChanges;
use mapping::Mapping;
pub(crate) use schedule::Schedule;
use start::Starts;

/// Idle environments end after this time. AWS keeps them for some minutes and promises no number.
const IDLE_LIMIT: SignedDuration = SignedDuration::from_mins(5);

/// How often idle environments are looked at.
const REAP_EVERY: Duration = Duration::from_secs(30);

/// What the Lambda host is made of.
pub struct LambdaParts {
    /// The emulator's time.
    pub clock: Clock,
    /// Event sources, destinations and dead-letter queues.
    pub sqs: Sqs,
    /// Takes the metrics of `AWS/Lambda`.
    pub metrics: Metrics,
    /// Takes what functions write.
    pub logs: Logs,
    /// Is told what becomes of events.
    pub witness: Witness,
    /// Where functions reach the emulator.
    pub endpoint_url: String,
    /// Invocations that may run at the same time in the account.
    pub concurrency: u32,
    /// Waits before the second and the third attempt of an asynchronous invocation, on the emulator's clock.
    pub retry_waits: [Duration; 2],
    /// Starts a child through the exec step; see [`crate::process`].
    pub exec_command: Vec<OsString>,
    /// Runs the function named by a template's `Handler`, which is appended.
    pub function_command: Vec<OsString>,
    /// Zips are unpacked here.
    pub work_dir: PathBuf,
    /// Zips are kept here for a later run, if anywhere.
    pub zips: Option<PathBuf>,
}

/// All functions and event source mappings. Cheap to clone.
#[derive(Clone)]
pub struct Lambda {
    inner: Arc<Inner>,
}

struct Inner {
    parts: LambdaParts,
    state: Mutex<State>,
    starts: Starts,
    /// Turns of events: they leave half of the account's concurrency to callers who wait for an answer.
    turns: Arc<Semaphore>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Default)]
struct State {
    functions: BTreeMap<String, Function>,
    /// By UUID.
    mappings: BTreeMap<String, Mapping>,
    /// Accepted and not ended, by request id.
    events: BTreeMap<String, Event>,
}

impl State {
    fn function(&self, name: &str) -> Result<&Function, AwsError> {
        self.functions
            .get(name)
            .ok_or_else(|| error::function_not_found(name))
    }

    fn function_mut(&mut self, name: &str) -> Result<&mut Function, AwsError> {
        self.functions
            .get_mut(name)
            .ok_or_else(|| error::function_not_found(name))
    }
}

impl Lambda {
    /// A host without functions. Must be called inside a tokio runtime.
    #[must_use]
    pub fn new(parts: LambdaParts) -> Self {
        let turns = parts.concurrency.div_ceil(2) as usize;
        let lambda = Self {
            inner: Arc::new(Inner {
                parts,
                state: Mutex::default(),
                starts: Starts::new(),
                turns: Arc::new(Semaphore::new(turns)),
                stopping: CancellationToken::new(),
                tasks: TaskTracker::new(),
            }),
        };
        let reaper = lambda.clone();
        lambda.spawn(async move {
            loop {
                reaper.inner.parts.clock.sleep(REAP_EVERY).await;
                reaper.reap();
            }
        });
        lambda
    }

    /// Ends all work and kills all processes. Functions, mappings and events that wait stay to be kept.
    pub async fn stop(&self) {
        self.inner.stopping.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        for function in self.state().functions.values_mut() {
            function.idle.clear();
        }
    }

    /// Runs `work` until it is done or the host stops.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.inner.stopping.clone();
        self.inner
            .tasks
            .spawn(async move { stopping.run_until_cancelled(work).await });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// ISO 8601 with milliseconds, as in `LastModified` of a function.
    fn timestamp(&self) -> String {
        format!("{:.3}", self.inner.parts.clock.now()).replace('Z', "+0000")
    }

    /// Seconds since 1970, as in `LastModified` of everything else.
    fn seconds(&self) -> f64 {
        self.inner.parts.clock.now().as_duration().as_secs_f64()
    }

    /// Records one value of `AWS/Lambda` by function name, by resource (the function's name again where no version or alias was
    /// asked for) and across all functions ("Viewing metrics for Lambda functions").
    fn record(&self, function: &str, metric: &'static str, value: f64) {
        self.record_of(function, metric, value);
        self.inner
            .parts
            .metrics
            .record("AWS/Lambda", metric, &[], value);
    }

    fn record_of(&self, function: &str, metric: &'static str, value: f64) {
        let name = ("FunctionName", function);
        let metrics = &self.inner.parts.metrics;
        metrics.record("AWS/Lambda", metric, &[name], value);
        metrics.record("AWS/Lambda", metric, &[name, ("Resource", function)], value);
    }
}

/// Whether a queue's name or ARN is that of a FIFO queue.
fn is_fifo(queue: &str) -> bool {
    queue
        .rsplit_once('.')
        .is_some_and(|(_, suffix)| suffix == "fifo")
}
