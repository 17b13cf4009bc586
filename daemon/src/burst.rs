//! Load bursts: tasks created at a fixed rate, whether or not the system keeps up.
//!
//! The model is open: the k-th request is due at `start + k / rate`, and its latency counts from then. A system that
//! stalls makes the following requests late, and that shows.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};
use jiff::Timestamp;
use patterns_core::operation::{Burst, LatencyMs, Operation, OperationState};
use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::protocol::{BURST_COUNT_MAX, BURST_RATE_MAX};
use patterns_core::task::NewTask;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::pattern::Patterns;
use crate::state::{Reading, State};

/// Requests without an answer at once. One that is due beyond them is not sent and counts as shortfall.
const UNANSWERED_MAX: usize = 512;

/// Between two reports of progress.
const REPORT: Duration = Duration::from_millis(250);

/// Starts bursts.
#[derive(Clone)]
pub struct Bursts {
    /// The APIs.
    pub patterns: Patterns,
    /// Is told the progress.
    pub state: State,
    /// Ends bursts.
    pub stop: CancellationToken,
    /// Bursts are its tasks.
    pub tracker: TaskTracker,
    /// Patterns that have a burst under way.
    pub busy: Arc<Mutex<HashSet<String>>>,
}

/// What came of the requests so far.
struct Tally {
    sent: u64,
    failed: u64,
    shortfall: u64,
    errors: BTreeMap<String, u64>,
    latency_us: Histogram<u64>,
}

impl Tally {
    fn new() -> Result<Self, CreationError> {
        Ok(Self {
            sent: 0,
            failed: 0,
            shortfall: 0,
            errors: BTreeMap::new(),
            // Up to a minute, far above the client's timeout, in three digits.
            latency_us: Histogram::new_with_max(60_000_000, 3)?,
        })
    }

    fn answered(&mut self, latency: Duration, failure: Option<String>) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_us.saturating_record(micros);
        match failure {
            None => self.sent += 1,
            Some(kind) => {
                self.failed += 1;
                *self.errors.entry(kind).or_default() += 1;
            }
        }
    }
}

impl Bursts {
    /// Starts a burst of `count` tasks at `rate` per second.
    pub async fn start(
        &self,
        pattern: Option<&str>,
        rate: f64,
        count: u64,
    ) -> Result<Burst, Problem> {
        check(rate, count)?;
        let (pattern, url) = self.patterns.tasks_url(pattern)?;
        if !self.lock_busy().insert(pattern.clone()) {
            return Err(Problem::new(
                ProblemKind::Conflict,
                format!("a burst on {pattern} is under way"),
                "two at once could not be told apart",
                "wait until it has ended",
            ));
        }
        let id = uuid::Uuid::new_v4().simple().to_string();
        let burst = Burst {
            operation_id: id.get(..12).unwrap_or(&id).to_owned(),
            state: OperationState::Running,
            pattern,
            count,
            requested_rate: rate,
            achieved_rate: 0.0,
            sent: 0,
            failed: 0,
            shortfall: 0,
            latency_ms: LatencyMs::default(),
            errors: BTreeMap::new(),
            started_at: Timestamp::now(),
            ended_at: None,
        };
        self.publish(&burst).await;
        let (bursts, started) = (self.clone(), burst.clone());
        self.tracker.spawn(async move {
            let pattern = started.pattern.clone();
            bursts.run(started, url).await;
            bursts.lock_busy().remove(&pattern);
        });
        Ok(burst)
    }

    fn lock_busy(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn publish(&self, burst: &Burst) {
        self.state
            .report(Reading::Operation(Operation::Burst(burst.clone())))
            .await;
    }

    async fn run(&self, mut burst: Burst, url: String) {
        let Ok(tally) = Tally::new() else {
            return;
        };
        let tally = Arc::new(Mutex::new(tally));
        let start = Instant::now();
        let fire = self.fire(burst.count, burst.requested_rate, &url, start, &tally);
        tokio::pin!(fire);
        loop {
            let done = tokio::select! {
                () = &mut fire => true,
                () = tokio::time::sleep(REPORT) => false,
            };
            fill(&mut burst, &tally, start.elapsed());
            if done {
                break;
            }
            self.publish(&burst).await;
        }
        burst.state = OperationState::Completed;
        burst.ended_at = Some(Timestamp::now());
        self.publish(&burst).await;
        tracing::info!(
            operation = burst.operation_id,
            sent = burst.sent,
            failed = burst.failed,
            shortfall = burst.shortfall,
            "burst ended"
        );
    }

    /// Sends each request when it is due; returns when all are answered.
    async fn fire(
        &self,
        count: u64,
        rate: f64,
        url: &str,
        start: Instant,
        tally: &Arc<Mutex<Tally>>,
    ) {
        let slots = Arc::new(Semaphore::new(UNANSWERED_MAX));
        let requests = TaskTracker::new();
        for number in 0..count {
            let due = start + due(number, rate);
            let on_time = tokio::time::sleep_until(due);
            if self.stop.run_until_cancelled(on_time).await.is_none() {
                break;
            }
            let Ok(slot) = slots.clone().try_acquire_owned() else {
                lock(tally).shortfall += 1;
                continue;
            };
            let task = NewTask {
                title: format!("burst {}", number + 1),
                ..NewTask::default()
            };
            let request = self.patterns.http.post(url).json(&task);
            let tally = tally.clone();
            requests.spawn(async move {
                let answer = async {
                    let answer = request.send().await?;
                    let status = answer.status();
                    // Read to its end, so that the connection serves the next request, too.
                    answer.bytes().await?;
                    Ok::<_, reqwest::Error>(status)
                };
                let failure = match answer.await {
                    Ok(status) if status.is_success() => None,
                    Ok(status) => Some(status.as_u16().to_string()),
                    Err(error) if error.is_timeout() => Some("timeout".to_owned()),
                    Err(_) => Some("connection".to_owned()),
                };
                drop(slot);
                lock(&tally).answered(due.elapsed(), failure);
            });
        }
        requests.close();
        requests.wait().await;
    }
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check(rate: f64, count: u64) -> Result<(), Problem> {
    let usage = |what: &str, limits: String| {
        Problem::new(
            ProblemKind::Usage,
            format!("the burst's {what} is not possible"),
            limits,
            "choose another",
        )
    };
    // The comparison is written so that NaN fails it.
    if !(rate > 0.0 && rate <= BURST_RATE_MAX) {
        return Err(usage(
            "rate",
            format!("{rate} is not above 0 and at most {BURST_RATE_MAX} tasks per second"),
        ));
    }
    if !(1..=BURST_COUNT_MAX).contains(&count) {
        return Err(usage(
            "count",
            format!("{count} is not between 1 and {BURST_COUNT_MAX} tasks"),
        ));
    }
    // The slowest rate with many tasks would run for years, and its last time could not be told.
    if precise(count) / rate > 86_400.0 {
        return Err(usage(
            "length",
            format!("{count} tasks at {rate} per second take longer than a day"),
        ));
    }
    Ok(())
}

/// When the request of that number is due, from the start. Computed anew for each, so that errors do not add up.
fn due(number: u64, rate: f64) -> Duration {
    Duration::from_secs_f64(precise(number) / rate)
}

/// Exact up to 2^53, far beyond [`BURST_COUNT_MAX`] and the microseconds of any burst.
#[allow(clippy::cast_precision_loss)]
fn precise(number: u64) -> f64 {
    number as f64
}

fn fill(burst: &mut Burst, tally: &Mutex<Tally>, elapsed: Duration) {
    let tally = lock(tally);
    burst.sent = tally.sent;
    burst.failed = tally.failed;
    burst.shortfall = tally.shortfall;
    burst.errors.clone_from(&tally.errors);
    // The last task stands for its share of the time, too: 5 tasks at 5/s take 1 s, though the fifth starts after 0.8 s.
    let span = elapsed.max(due(tally.sent, burst.requested_rate));
    burst.achieved_rate = precise(tally.sent) / span.as_secs_f64().max(0.001);
    let latency = &tally.latency_us;
    let at = |quantile| precise(latency.value_at_quantile(quantile)) / 1000.0;
    burst.latency_ms = LatencyMs {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: precise(latency.max()) / 1000.0,
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn impossible_bursts_are_usage_errors() {
        for (rate, count) in [
            (f64::NAN, 1),
            (f64::INFINITY, 1),
            (0.0, 1),
            (-1.0, 1),
            (BURST_RATE_MAX * 2.0, 1),
            (1.0, 0),
            (1000.0, BURST_COUNT_MAX + 1),
            (1e-300, 2),
        ] {
            let problem = check(rate, count).unwrap_err();
            assert_eq!(problem.kind, ProblemKind::Usage, "{rate} {count}");
        }
        assert!(check(100.0, 500).is_ok());
        assert!(check(BURST_RATE_MAX, BURST_COUNT_MAX).is_ok());
    }

    #[test]
    fn requests_are_due_evenly() {
        assert_eq!(due(0, 100.0), Duration::ZERO);
        assert_eq!(due(1, 100.0), Duration::from_millis(10));
        assert_eq!(due(500, 100.0), Duration::from_secs(5));
    }

    #[test]
    fn percentiles_are_in_milliseconds() {
        let mut tally = Tally::new().unwrap();
        for millis in 1..=100 {
            tally.answered(Duration::from_millis(millis), None);
        }
        tally.answered(Duration::MAX, Some("timeout".to_owned()));
        let tally = Mutex::new(tally);
        let mut burst: Burst = serde_json::from_value(serde_json::json!({
            "operation_id": "b", "state": "running", "pattern": "p", "count": 100, "requested_rate": 50.0,
            "achieved_rate": 0.0, "sent": 0, "failed": 0, "shortfall": 0,
            "latency_ms": {"p50": 0.0, "p90": 0.0, "p99": 0.0, "p999": 0.0, "max": 0.0}, "errors": {},
            "started_at": "2026-01-01T00:00:00Z", "ended_at": null
        }))
        .unwrap();
        fill(&mut burst, &tally, Duration::from_secs(2));
        assert!((burst.achieved_rate - 50.0).abs() < 0.01);
        assert!((burst.latency_ms.p50 - 51.0).abs() < 0.5);
        assert!((burst.latency_ms.p99 - 100.0).abs() < 0.5);
        assert!((burst.latency_ms.max - 60_000.0).abs() < 60.0);
        assert_eq!((burst.sent, burst.errors["timeout"]), (100, 1));
    }

    proptest! {
        #[test]
        fn every_possible_burst_has_a_time_for_its_last_request(
            rate in prop_oneof![1e-6..1.0, 1.0..BURST_RATE_MAX],
            count in 1..=BURST_COUNT_MAX,
        ) {
            if check(rate, count).is_ok() {
                prop_assert!(due(count - 1, rate) <= Duration::from_hours(24));
            }
        }
    }
}
