//! `kill -9` at random, again and again, until the redrive is done; and the same with SIGTERM, which doubles nothing.

use std::fmt;
use std::time::{Duration, Instant};

use patterns_core::operation::OperationState;
use patterns_daemon::IN_HAND_MAX;

use super::account::{Account, Route};
use super::daemon::Daemon;
use super::events;
use super::verdict::Verdict;

/// A killed daemon had this long, from its first call about the dead-letter queue, in milliseconds.
const LIFE: std::ops::RangeInclusive<u64> = 50..=500;

/// Or saw so many events arrive.
const PROGRESS: std::ops::RangeInclusive<usize> = 20..=100;

/// How each life of the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Kill,
    /// SIGTERM: what is in hand is finished first.
    Stop,
}

/// What came of one storm.
struct Report {
    blow: Blow,
    route: Route,
    seed: u64,
    kills: usize,
    took: Duration,
    verdict: Verdict,
    /// Duplicates of each kill, sorted.
    per_kill: Vec<usize>,
    in_doubt: usize,
    unlisted: usize,
    /// Events that were sent, and whose copy the next redrive deleted.
    swept: u64,
}

async fn storm(blow: Blow, route: Route, seed: u64, count: usize) -> Report {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut account = Account::start(route).await;
    let events = events::make(route, seed, count);
    let queue = route.dead_letters();
    account.fail(queue, &events).await;
    let mut daemon = Daemon::of(&account);
    daemon.start(None);
    let operation = daemon.redrive(queue, count).await;
    let started = Instant::now();
    let mut ends = Vec::new();
    loop {
        match route {
            // By progress and not by time: SQS recognises a repeated send for five minutes, and each kill takes half a
            // minute of the account's time, so no event may wait for its turn through ten lives of the daemon.
            Route::Fifo => {
                account
                    .proceeds(route.target(), random.usize(PROGRESS), &daemon, &operation)
                    .await;
            }
            // The storm's own beat: nothing is waited for.
            Route::Queue | Route::Function => {
                tokio::time::sleep(Duration::from_millis(random.u64(LIFE))).await;
            }
        }
        if account.depth(queue).await == 0 || daemon.ended(&operation).await.is_some() {
            break;
        }
        match blow {
            Blow::Kill => daemon.kill().await,
            Blow::Stop => daemon.stop().await,
        }
        account.settle().await;
        account.uncover();
        ends.push(account.now());
        let told = account.witnessed().await.len();
        daemon.start(None);
        // With an empty queue nothing may be left to do but to end.
        if account.depth(queue).await > 0 {
            account.something_happens(told).await;
        }
    }
    let redrive = account
        .until("the redrive ends", async || daemon.ended(&operation).await)
        .await;
    let took = started.elapsed();
    assert_eq!(redrive.state, OperationState::Completed, "{redrive:?}");
    let swept = daemon.sweep(&mut account, queue).await;
    if route == Route::Function {
        account.all_succeed().await;
    }
    daemon.stop().await;
    let doubts = daemon.doubts(&operation);
    assert_eq!(redrive.in_doubt_count, doubts.len() as u64);
    let verdict = Verdict::of(account.witnessed().await, route, &events);
    let mut per_kill = verdict.by_life(&ends);
    assert_eq!(per_kill.pop(), Some(0), "the last life was not killed");
    per_kill.sort_unstable();
    let report = Report {
        blow,
        route,
        seed,
        kills: ends.len(),
        took,
        unlisted: verdict.unlisted(&doubts),
        in_doubt: doubts.len(),
        swept,
        per_kill,
        verdict,
    };
    println!("{report}");
    report.verdict.must_hold(&doubts, &report);
    assert_eq!((report.verdict.events, report.verdict.left), (count, 0));
    assert!(report.at(100) <= IN_HAND_MAX, "{report}");
    account.local.stop().await;
    report
}

impl Report {
    /// A percentile of the duplicates of a kill.
    fn at(&self, percent: usize) -> usize {
        let last = self.per_kill.len().saturating_sub(1);
        self.per_kill
            .get(last * percent / 100)
            .copied()
            .unwrap_or(0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "storm to {}, seed {}: {} times {:?} in {:.1} s: {}; per kill p50 {}, p99 {}, max {} of {IN_HAND_MAX}; \
             in doubt {}, unlisted {}; deleted by the next redrive {}",
            self.route.target(),
            self.seed,
            self.kills,
            self.blow,
            self.took.as_secs_f64(),
            self.verdict,
            self.at(50),
            self.at(99),
            self.at(100),
            self.in_doubt,
            self.unlisted,
            self.swept,
        )
    }
}

/// Storms with one seed after the other until so many `blows` are reached.
async fn storms(blow: Blow, route: Route, count: usize, blows: usize) -> Vec<Report> {
    let (mut reports, mut struck) = (Vec::new(), 0);
    for seed in 1.. {
        if struck >= blows {
            break;
        }
        let report = storm(blow, route, seed, count).await;
        struck += report.kills;
        reports.push(report);
    }
    reports
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_nothing_on_the_way_to_a_queue() {
    storms(Blow::Kill, Route::Queue, 10_000, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifteen_kills_lose_nothing_on_the_way_to_a_function() {
    storms(Blow::Kill, Route::Function, 2_000, 15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_neither_reorder_nor_double_what_is_in_groups() {
    for report in storms(Blow::Kill, Route::Fifo, 1_000, 10).await {
        assert_eq!(report.verdict.duplicates.len(), 0, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn graceful_stops_double_nothing() {
    for (route, count) in [(Route::Queue, 5_000), (Route::Function, 1_000)] {
        for report in storms(Blow::Stop, route, count, 2).await {
            let doubled = report.verdict.duplicates.len();
            assert_eq!((doubled, report.in_doubt), (0, 0), "{report}");
        }
    }
}

async fn long(route: Route) {
    let number =
        |name: &str, usual| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (seeds, events) = (number("STORM_SEEDS", 20), number("STORM_EVENTS", 100_000));
    for seed in 1..=seeds {
        storm(Blow::Kill, route, seed as u64, events).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes hours; the short form is in the suite"]
async fn long_storms_to_a_queue() {
    long(Route::Queue).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes hours; the short form is in the suite"]
async fn long_storms_in_groups() {
    long(Route::Fifo).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes hours; the short form is in the suite"]
async fn long_storms_to_a_function() {
    long(Route::Function).await;
}
