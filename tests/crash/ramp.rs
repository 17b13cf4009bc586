//! `kill -9` while a redrive goes in steps: while a step is sent, and while it waits for its verdict. Whoever goes on begins
//! in the step that was under way, and between two verdicts there is never more on its way than the step allows.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::QueueAttributeName;
use futures::future::join_all;
use patterns_core::operation::{OperationState, Redrive};
use patterns_daemon::IN_HAND_MAX;
use serde_json::json;
use tokio::task::JoinHandle;

use super::account::{Account, HIDDEN, PATIENCE, Route, arn};
use super::daemon::Daemon;
use super::events::{self, Event};
use super::verdict::Verdict;

/// The ledger's times are in milliseconds.
const ROUNDED: Duration = Duration::from_millis(5);

/// A killed daemon lived for this long after its step was shown, in milliseconds: mostly it waits then. Or for that long
/// after an event arrived.
const AT_ANY_TIME: std::ops::RangeInclusive<u64> = 50..=3_000;
const IN_A_STEP: std::ops::RangeInclusive<u64> = 0..=400;

/// A redrive is killed this often at most.
const KILLS: usize = 8;

/// Events per second, so that the larger steps take long enough to be killed in.
const RATE: f64 = 50.0;

/// A redrive in steps, as the witness and the daemon tell of it.
struct Climb {
    account: Account,
    daemon: Daemon,
    route: Route,
    events: Vec<Event>,
    operation: String,
    /// Whether it is in the ledger.
    begun: bool,
    steps: Vec<u64>,
    window: Duration,
    /// By how much the account's clock was moved.
    moved: Duration,
    /// How many lines of the witness were read.
    read: usize,
    /// Bodies and payloads that arrived, and when the newest did, in milliseconds of real time.
    arrived: HashSet<String>,
    newest: i64,
    /// Events that arrived since the last pause between arrivals that was as long as the window.
    on_their_way: u64,
    /// How many may have arrived before there is another.
    end: u64,
    /// The most of them by step.
    most: Vec<u64>,
    consumer: Option<JoinHandle<()>>,
}

impl Climb {
    /// A redrive in steps that has just begun.
    async fn begin(
        route: Route,
        seed: u64,
        count: usize,
        rate: Option<f64>,
        die_at: Option<&str>,
    ) -> Self {
        let mut account = Account::start(route).await;
        // As short as a window can be.
        let consumer = match route {
            Route::Function => {
                account.hasten().await;
                None
            }
            Route::Queue | Route::Fifo => {
                shorten(&account, route).await;
                Some(consume(&account, route))
            }
        };
        let events = events::make(route, seed, count);
        account.fail(route.dead_letters(), &events).await;
        let mut daemon = Daemon::of(&account);
        daemon.start(die_at);
        let plan = daemon.plan_steps(route.dead_letters(), count, rate).await;
        let steps = plan.steps.clone();
        let window = plan.verification.window_seconds.unwrap();
        let read = account.witnessed().await.len();
        if die_at.is_some_and(|point| point.contains("release")) {
            account.faults(&route.refuses_for_now()).await;
        }
        let started = daemon.carry_out(plan).await;
        Self {
            account,
            daemon,
            route,
            events,
            // Of one that died before it could answer it is found later.
            operation: started.unwrap_or_default(),
            begun: die_at.is_none_or(|point| !point.starts_with("before_begin")),
            most: vec![0; steps.len()],
            steps,
            window: Duration::from_secs(window),
            moved: Duration::ZERO,
            read,
            arrived: HashSet::new(),
            newest: 0,
            on_their_way: 0,
            end: 0,
            consumer,
        }
    }

    /// Takes in what the witness tells; how the daemon says that it stands.
    async fn look(&mut self) -> Option<Redrive> {
        self.read_on().await;
        self.daemon.operation(&self.operation).await
    }

    async fn read_on(&mut self) {
        let lines = self.account.witnessed().await;
        for line in &lines[self.read..] {
            let place = line.queue.as_deref().or(line.function.as_deref());
            let arrives = matches!(line.event.as_str(), "sent" | "accepted");
            if !arrives || place != Some(self.route.target()) {
                continue;
            }
            let sum = line.body.as_ref().or(line.payload.as_ref()).unwrap();
            if self.arrived.contains(sum) {
                continue;
            }
            let at = line.at - i64::try_from(self.moved.as_millis()).unwrap();
            let pause = u128::from(at.abs_diff(self.newest)) + ROUNDED.as_millis();
            let step = step_of(&self.steps, self.arrived.len() + 1);
            if pause >= self.window.as_millis() {
                self.on_their_way = 0;
                self.end = end_after(&self.steps, self.arrived.len());
            }
            self.newest = at;
            self.on_their_way += 1;
            self.most[step] = self.most[step].max(self.on_their_way);
            self.arrived.insert(sum.clone());
            assert!(
                self.arrived.len() as u64 <= self.end,
                "{} events arrived, {} of them without a verdict, in steps of {:?}\n{}",
                self.arrived.len(),
                self.on_their_way,
                self.steps,
                self.daemon.log()
            );
        }
        self.read = lines.len();
    }

    /// Looks on until it is time, or the redrive has ended: then how.
    async fn look_until(
        &mut self,
        what: &str,
        mut time: impl FnMut(&Self, &Redrive) -> bool,
    ) -> Option<Redrive> {
        let since = Instant::now();
        loop {
            if let Some(redrive) = self.look().await {
                if redrive.state != OperationState::Running {
                    return Some(redrive);
                }
                if time(self, &redrive) {
                    return None;
                }
            }
            let log = || self.daemon.log();
            assert!(since.elapsed() < PATIENCE, "in vain: {what}\n{}", log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// After the daemon's end: starts another, which must begin in the step that was under way.
    async fn go_on(&mut self) -> Option<Redrive> {
        self.account.settle().await;
        self.read_on().await;
        // Whatever arrived was intended before; and what was intended besides belongs to the same step, or to the next.
        let under_way = step_of(&self.steps, self.arrived.len()) + 1;
        let under_way = under_way..=under_way + 1;
        self.account.uncover();
        self.moved += HIDDEN;
        self.daemon.start(None);
        if self.operation.is_empty() {
            self.operation = self.find().await;
        }
        let mut number = 0;
        let ended = self
            .look_until("a step is shown", |_, redrive| {
                number = redrive.step.as_ref().map_or(0, |step| step.number as usize);
                number > 0
            })
            .await;
        assert!(
            ended.is_some() || under_way.contains(&number),
            "step {number} and not {under_way:?} after {} events of {:?}",
            self.arrived.len(),
            self.steps
        );
        ended
    }

    /// The operation that nobody could tell the id of; begins it if it had not begun.
    async fn find(&mut self) -> String {
        if self.begun {
            let daemon = &self.daemon;
            let found = async || daemon.other_than(&HashSet::new()).await;
            return self.account.until("the operation is known", found).await;
        }
        let (queue, count) = (self.route.dead_letters(), self.events.len());
        let plan = self.daemon.plan_steps(queue, count, None).await;
        self.daemon.carry_out(plan).await.unwrap()
    }

    /// When everything was sent: what became of the events.
    async fn conclude(&mut self, ended: &Redrive) -> (Verdict, HashSet<String>) {
        assert_eq!(ended.state, OperationState::Completed, "{ended:?}");
        let queue = self.route.dead_letters();
        self.daemon.sweep(&mut self.account, queue).await;
        match &self.consumer {
            Some(consumer) => consumer.abort(),
            None => self.account.all_succeed().await,
        }
        self.daemon.stop().await;
        let doubts = self.daemon.doubts(&self.operation);
        let lines = self.account.witnessed().await;
        let verdict = Verdict::of(lines, self.route, &self.events);
        assert_eq!(
            (verdict.events, verdict.left),
            (self.events.len(), 0),
            "{verdict}"
        );
        (verdict, doubts)
    }
}

/// The step, from 0, that the event of that number, from 1, belongs to.
fn step_of(steps: &[u64], number: usize) -> usize {
    let mut end = 0;
    let step = steps.iter().position(|step| {
        end += step;
        number as u64 <= end
    });
    step.unwrap_or(steps.len() - 1)
}

/// How many events may have arrived at the end of the step that follows a verdict on so many: the step behind the one that
/// these are in, for what may have been sent counts as sent.
fn end_after(steps: &[u64], arrived: usize) -> u64 {
    let next = match arrived {
        0 => 0,
        some => step_of(steps, some) + 1,
    };
    steps.iter().take(next + 1).sum()
}

/// A step of the queue waits for 2 s: its messages do not stay hidden, and its consumer says for how long they are.
async fn shorten(account: &Account, route: Route) {
    let policy = json!({"deadLetterTargetArn": arn(route.dead_letters()), "maxReceiveCount": 1});
    let attributes = HashMap::from([
        (QueueAttributeName::VisibilityTimeout, "0".to_owned()),
        (QueueAttributeName::RedrivePolicy, policy.to_string()),
    ]);
    let request = account.sqs.set_queue_attributes();
    let request = request.queue_url(account.url(route.target()));
    request
        .set_attributes(Some(attributes))
        .send()
        .await
        .unwrap();
}

/// Processes whatever is in the target.
fn consume(account: &Account, route: Route) -> JoinHandle<()> {
    let (sqs, url) = (account.sqs.clone(), account.url(route.target()));
    tokio::spawn(async move {
        loop {
            let receive = sqs.receive_message().queue_url(&url);
            let receive = receive.max_number_of_messages(10).wait_time_seconds(20);
            // The account ends before its consumer.
            let Ok(received) = receive.visibility_timeout(43_200).send().await else {
                return;
            };
            for message in received.messages() {
                let delete = sqs.delete_message().queue_url(&url);
                let delete = delete.set_receipt_handle(message.receipt_handle.clone());
                if delete.send().await.is_err() {
                    return;
                }
            }
        }
    })
}

/// What came of a redrive in steps that was killed again and again.
struct Report {
    route: Route,
    seed: u64,
    steps: Vec<u64>,
    most: Vec<u64>,
    /// Soon after an event arrived, and at any time.
    kills: [usize; 2],
    took: Duration,
    verdict: Verdict,
    in_doubt: usize,
    unlisted: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [sending, waiting] = self.kills;
        write!(
            f,
            "steps to {}, seed {}: killed {sending} times just after an event arrived and {waiting} times anywhere, in {:.1} s: {}; \
             in doubt {}, unlisted {}; steps of {:?}, most on their way at once {:?}",
            self.route.target(),
            self.seed,
            self.took.as_secs_f64(),
            self.verdict,
            self.in_doubt,
            self.unlisted,
            self.steps,
            self.most,
        )
    }
}

async fn storm(route: Route, seed: u64, count: usize) -> Report {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut climb = Climb::begin(route, seed, count, Some(RATE), None).await;
    let slow = |operation| json!({"operation": operation, "fault": {"kind": "delay", "ms": 50}});
    let slow = ["SendMessageBatch", "Invoke"].map(slow);
    climb.account.faults(&json!(slow)).await;
    let started = Instant::now();
    let mut kills = [0, 0];
    let mut ends = Vec::new();
    let ended = loop {
        let in_a_step = random.bool();
        let life =
            Duration::from_millis(random.u64(if in_a_step { IN_A_STEP } else { AT_ANY_TIME }));
        let arrived = climb.arrived.len();
        let mut since = None;
        let ended = climb
            .look_until("it is killed", |climb, _| {
                if ends.len() >= KILLS {
                    return false;
                }
                if !in_a_step || climb.arrived.len() > arrived {
                    since.get_or_insert_with(Instant::now);
                }
                since.is_some_and(|since| since.elapsed() >= life)
            })
            .await;
        if let Some(ended) = ended {
            break ended;
        }
        climb.daemon.kill().await;
        kills[usize::from(!in_a_step)] += 1;
        climb.account.settle().await;
        ends.push(climb.account.now());
        let ended = climb.go_on().await;
        if let Some(ended) = ended {
            break ended;
        }
    };
    let took = started.elapsed();
    let (verdict, doubts) = climb.conclude(&ended).await;
    assert_eq!(ended.in_doubt_count, doubts.len() as u64);
    let report = Report {
        route,
        seed,
        steps: climb.steps.clone(),
        most: climb.most.clone(),
        kills,
        took,
        in_doubt: doubts.len(),
        unlisted: verdict.unlisted(&doubts),
        verdict,
    };
    println!("{report}");
    report.verdict.must_hold(&doubts, &report);
    let per_kill = report.verdict.by_life(&ends);
    assert!(
        per_kill.iter().all(|kill| *kill <= IN_HAND_MAX),
        "{report}: {per_kill:?}"
    );
    climb.account.local.stop().await;
    report
}

/// A redrive in steps that ends at that point for the that many'th time, and is finished by another daemon; how many events
/// went twice, and how many are in doubt.
pub async fn end_at(route: Route, seed: u64, point: &str, time: u32) -> (usize, usize) {
    let about = format!("in steps to {}, {point}:{time}", route.target());
    let die_at = format!("{point}:{time}");
    let mut climb = Climb::begin(route, seed, 31, None, Some(&die_at)).await;
    climb.daemon.dies(&about).await;
    climb.account.faults(&json!([])).await;
    let ended = match climb.go_on().await {
        Some(ended) => ended,
        None => climb.look_until(&about, |_, _| false).await.unwrap(),
    };
    let (verdict, doubts) = climb.conclude(&ended).await;
    verdict.must_hold(&doubts, &about);
    assert!(
        verdict.duplicates.len() <= IN_HAND_MAX,
        "{about}: {verdict}"
    );
    climb.account.local.stop().await;
    (verdict.duplicates.len(), doubts.len())
}

/// Three redrives at once: they wait most of the time.
async fn storms(route: Route, count: usize) {
    let reports = join_all((1..=3).map(|seed| storm(route, seed, count))).await;
    let sum = |at: usize| reports.iter().map(|report| report.kills[at]).sum::<usize>();
    assert!(sum(0) > 0 && sum(1) > 0, "killed in steps and between them");
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_between_and_in_steps_to_a_queue_keep_to_the_steps() {
    storms(Route::Queue, 156).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_between_and_in_steps_to_a_function_keep_to_the_steps() {
    storms(Route::Function, 31).await;
}
