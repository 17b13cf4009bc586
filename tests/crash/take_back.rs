//! Taking back what a redrive sent: what is still in the queue comes back, what a consumer has does not, and what was
//! there before stays.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::QueueAttributeName;
use patterns_core::operation::{OperationState, Redrive};
use patterns_daemon::IN_HAND_MAX;
use serde_json::json;

use super::account::{Account, PATIENCE, Route, arn};
use super::daemon::Daemon;
use super::events::{self, Event};
use super::verdict::Verdict;

const EVENTS: usize = 30;
const OTHERS: usize = 5;

/// More than there are others.
const PROCESSED: usize = 6;
const IN_HAND: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_processed_comes_back() {
    let route = Route::Queue;
    let mut account = Account::start(route).await;
    let mut daemon = Daemon::of(&account);
    let (dead_letters, target) = (route.dead_letters(), route.target());
    account.fail(target, &events::make(route, 1, OTHERS)).await;
    account
        .fail(dead_letters, &events::make(route, 2, EVENTS))
        .await;
    daemon.start(None);
    let redriven = daemon.redrive(dead_letters, EVENTS).await;
    let sent = ended(&mut account, &daemon, &redriven).await;
    assert_eq!(sent.sent, EVENTS as u64);
    let missed = consume(&account, target).await;
    assert!(missed > 0);

    let plan = daemon.plan_back(&redriven, EVENTS).await;
    assert_eq!(plan.dead_letter_queue, target);
    let taking = daemon.carry_out(plan).await.unwrap();
    let taken = ended(&mut account, &daemon, &taking).await;
    assert_eq!(taken.state, OperationState::Completed);
    // The consumer has what it has.
    assert_eq!(
        (taken.sent, taken.skipped),
        (EVENTS as u64 - missed, missed)
    );
    let sent = daemon.operation(&redriven).await.unwrap();
    assert_eq!(sent.taken_back, taken.sent);
    account.uncover();
    assert_eq!(account.depth(dead_letters).await, taken.sent);
    let left = OTHERS + EVENTS - PROCESSED;
    assert_eq!(account.depth(target).await, left as u64 - taken.sent);
    daemon.stop().await;
    account.local.stop().await;
}

/// A redrive of many, which nobody has processed any of, to be taken back under blows.
pub struct TakeBack {
    pub account: Account,
    pub daemon: Daemon,
    events: Vec<Event>,
    /// Lines of the witness before the redrive.
    told: usize,
    redriven: String,
}

impl TakeBack {
    /// Redrives `count` events into a queue that holds others.
    pub async fn prepare(seed: u64, count: usize) -> Self {
        let route = Route::Queue;
        let mut account = Account::start(route).await;
        // Each life of the daemon looks at each message, and a look is a receive.
        let policy =
            json!({"deadLetterTargetArn": arn(route.dead_letters()), "maxReceiveCount": 1000});
        let attributes = HashMap::from([(QueueAttributeName::RedrivePolicy, policy.to_string())]);
        let request = account.sqs.set_queue_attributes();
        let request = request.queue_url(account.url(route.target()));
        let request = request.set_attributes(Some(attributes));
        request.send().await.unwrap();
        let others = events::make(route, seed + 1_000, OTHERS);
        account.fail(route.target(), &others).await;
        let events = events::make(route, seed, count);
        account.fail(route.dead_letters(), &events).await;
        let told = account.witnessed().await.len();
        let mut daemon = Daemon::of(&account);
        daemon.start(None);
        let redriven = daemon.redrive(route.dead_letters(), count).await;
        let sent = ended(&mut account, &daemon, &redriven).await;
        assert_eq!(sent.sent, count as u64);
        Self {
            account,
            daemon,
            events,
            told,
            redriven,
        }
    }

    /// Begins to take everything back; answers the operation's id, if the daemon lived to say it.
    pub async fn begin(&self) -> Option<String> {
        let plan = self
            .daemon
            .plan_back(&self.redriven, self.events.len())
            .await;
        self.daemon.carry_out(plan).await
    }

    /// Waits until so much more has happened in the queue that it is taken from, or the operation has ended. The daemon
    /// looks into the dead-letter queue, too, and that is no progress.
    async fn proceeds(&mut self, lines: usize, taking: &str) {
        let since = Instant::now();
        let mut read = self.account.witnessed().await.len();
        let mut seen = 0;
        while seen < lines && self.daemon.ended(taking).await.is_none() {
            assert!(since.elapsed() < PATIENCE, "{}", self.daemon.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
            let all = self.account.witnessed().await;
            let new = all[read..].iter();
            seen += new
                .filter(|line| line.queue.as_deref() == Some(Route::Queue.target()))
                .count();
            read = all.len();
        }
    }

    /// When that has ended: everything is back, and nothing else was touched. How many are in doubt.
    pub async fn conclude(mut self, taking: &str, ends: &[i64], about: &str) -> (Verdict, usize) {
        let taken = ended(&mut self.account, &self.daemon, taking).await;
        assert_eq!(taken.state, OperationState::Completed, "{about}: {taken:?}");
        let sent = self.daemon.operation(&self.redriven).await.unwrap();
        assert_eq!(sent.taken_back, taken.sent, "{about}");
        self.account.uncover();
        let (route, count) = (Route::Queue, self.events.len());
        self.daemon.stop().await;
        let doubts = self.daemon.doubts(taking);
        let lines = &self.account.witnessed().await[self.told..];
        let verdict = Verdict::back(lines, route, &self.events);
        let unlisted = verdict.unlisted(&doubts);
        println!(
            "{about}: {verdict}; in doubt {}, unlisted {unlisted}",
            doubts.len()
        );
        verdict.must_hold(&doubts, &about);
        assert_eq!((verdict.events, verdict.left), (count, 0), "{about}");
        // One life more than there were kills.
        let per_kill = verdict.by_life(ends);
        let most = per_kill.iter().max().unwrap();
        assert!(*most <= IN_HAND_MAX, "{about}: {per_kill:?}");
        let left = self.account.depth(route.target()).await;
        assert_eq!(left, OTHERS as u64, "{about}");
        let back = self.account.depth(route.dead_letters()).await;
        assert_eq!(back, (count + verdict.duplicates.len()) as u64, "{about}");
        self.account.local.stop().await;
        (verdict, doubts.len())
    }
}

/// A take-back that ends at that point for the that many'th time, and is finished by another daemon; how many events went
/// twice, and how many are in doubt.
pub async fn end_at(seed: u64, point: &str, time: u32) -> (usize, usize) {
    let about = format!("taken back, {point}:{time}");
    let mut back = TakeBack::prepare(seed, EVENTS).await;
    let known = HashSet::from([back.redriven.clone()]);
    back.daemon.stop().await;
    back.daemon.start(Some(&format!("{point}:{time}")));
    if point.ends_with("release") {
        back.account.faults(&Route::Queue.refuses_for_now()).await;
    }
    let begun = back.begin().await;
    back.daemon.dies(&about).await;
    back.account.faults(&json!([])).await;
    back.account.settle().await;
    back.account.uncover();
    back.daemon.start(None);
    let taking = match begun {
        Some(taking) => taking,
        // Nothing was written down, so nothing happened.
        None if point == "before_begin" => back.begin().await.unwrap(),
        None => {
            let daemon = &back.daemon;
            let found = async || daemon.other_than(&known).await;
            back.account.until("the operation is known", found).await
        }
    };
    let (verdict, doubts) = back.conclude(&taking, &[], &about).await;
    (verdict.duplicates.len(), doubts)
}

/// A killed daemon saw so much of what happened to messages. By the clock it would never end on a slow machine: whatever it
/// has begun to take when it is killed is looked for again.
const PROGRESS: std::ops::RangeInclusive<usize> = 20..=800;

#[tokio::test(flavor = "multi_thread")]
async fn kills_while_it_is_taken_back_lose_nothing() {
    const MANY: usize = 2_000;
    const KILLS: usize = 10;
    let (mut seed, mut killed) = (1, 0);
    while killed < KILLS {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut back = TakeBack::prepare(seed, MANY).await;
        let taking = back.begin().await.unwrap();
        let started = Instant::now();
        let mut ends = Vec::new();
        loop {
            let lines = random.usize(PROGRESS);
            back.proceeds(lines, &taking).await;
            if back.daemon.ended(&taking).await.is_some() {
                break;
            }
            back.daemon.kill().await;
            back.account.settle().await;
            ends.push(back.account.now());
            back.account.uncover();
            back.daemon.start(None);
        }
        let about = format!(
            "taken back, seed {seed}: killed {} times in {:.1} s",
            ends.len(),
            started.elapsed().as_secs_f64()
        );
        back.conclude(&taking, &ends, &about).await;
        killed += ends.len();
        seed += 1;
    }
}

async fn ended(account: &mut Account, daemon: &Daemon, id: &str) -> Redrive {
    account
        .until("it has ended", async || daemon.ended(id).await)
        .await
}

/// Processes some messages and keeps others in hand; answers how many of all these were redriven.
async fn consume(account: &Account, queue: &str) -> u64 {
    let url = account.url(queue);
    let mut redriven = 0;
    for number in 0..PROCESSED + IN_HAND {
        let receive = account.sqs.receive_message().queue_url(&url);
        let received = receive.visibility_timeout(43_200).send().await.unwrap();
        let message = &received.messages()[0];
        redriven += u64::from(message.body().unwrap().contains(r#""seed" :2"#));
        if number < PROCESSED {
            let delete = account.sqs.delete_message().queue_url(&url);
            let handle = message.receipt_handle().unwrap();
            delete.receipt_handle(handle).send().await.unwrap();
        }
    }
    redriven
}
