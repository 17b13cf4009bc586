//! What AWS and the network do wrong: each fault during a redrive that must end, or say why it cannot, and go on afterwards.

use std::collections::HashSet;

use patterns_core::operation::{OperationState, Redrive};
use serde_json::{Value, json};

use super::account::{Account, Route};
use super::daemon::Daemon;
use super::events::{self, Event};
use super::verdict::Verdict;

const EVENTS: usize = 200;

/// A redrive may leave events whose sending had no answer three times; so may the next.
const REDRIVES_MAX: usize = 10;

struct Case {
    name: &'static str,
    rules: Value,
    /// Words of the reason, where the redrive fails while the fault is there.
    fails: Option<&'static str>,
}

fn case(name: &'static str, rules: Value) -> Case {
    Case {
        name,
        rules,
        fails: None,
    }
}

fn failing(name: &'static str, rules: Value, why: &'static str) -> Case {
    Case {
        name,
        rules,
        fails: Some(why),
    }
}

/// One fault in each of these operations.
fn each(operations: &[&str], times: u32, fault: &Value) -> Value {
    operations
        .iter()
        .map(|operation| json!({"operation": operation, "times": times, "share": 0.5, "fault": fault}))
        .collect()
}

fn error(error: &str) -> Value {
    json!({"kind": "error", "error": error})
}

/// One account with one daemon for several cases, one after the other.
struct Trial {
    account: Account,
    daemon: Daemon,
    route: Route,
    seed: u64,
    /// Of the case.
    events: Vec<Event>,
    told: usize,
    operations: Vec<String>,
}

impl Trial {
    async fn start(route: Route) -> Self {
        let account = Account::start(route).await;
        Self {
            daemon: Daemon::of(&account),
            account,
            route,
            seed: 0,
            events: Vec::new(),
            told: 0,
            operations: Vec::new(),
        }
    }

    /// New events, and a redrive of them that begins under these faults.
    async fn begin(&mut self, rules: &Value) {
        self.seed += 1;
        self.events = events::make(self.route, self.seed, EVENTS);
        self.told = self.account.witnessed().await.len();
        self.operations.clear();
        let queue = self.route.dead_letters();
        self.account.fail(queue, &self.events).await;
        self.daemon.start(None);
        let plan = self.daemon.plan(queue, EVENTS, None).await;
        self.account.faults(rules).await;
        let operation = self.daemon.carry_out(plan).await.unwrap();
        self.operations.push(operation);
    }

    /// The redrive, when it has ended.
    async fn end(&mut self) -> Redrive {
        let (daemon, operation) = (&self.daemon, self.operations.last().unwrap());
        let ended = async || daemon.ended(operation).await;
        self.account.until("the redrive ends", ended).await
    }

    /// Without faults, what is left goes back; then the witness counts.
    async fn conclude(&mut self, name: &str) {
        self.account.faults(&json!([])).await;
        let queue = self.route.dead_letters();
        while self.account.depth(queue).await > 0 {
            assert!(self.operations.len() < REDRIVES_MAX, "{name} never ends");
            self.account.uncover();
            let left = usize::try_from(self.account.depth(queue).await).unwrap();
            let operation = self.daemon.redrive(queue, left).await;
            self.operations.push(operation);
            let redrive = self.end().await;
            assert_eq!(
                redrive.state,
                OperationState::Completed,
                "{name}: {redrive:?}"
            );
        }
        self.daemon.stop().await;
        let mut doubts = HashSet::new();
        for operation in &self.operations {
            doubts.extend(self.daemon.doubts(operation));
        }
        let lines = &self.account.witnessed().await[self.told..];
        let verdict = Verdict::of(lines, self.route, &self.events);
        println!(
            "{name}, to {}: {verdict}; in doubt {}, unlisted {}; redrives {}",
            self.route.target(),
            doubts.len(),
            verdict.unlisted(&doubts),
            self.operations.len()
        );
        verdict.must_hold(&doubts, &name);
        assert_eq!((verdict.events, verdict.left), (EVENTS, 0), "{name}");
    }
}

async fn all_hold(route: Route, cases: Vec<Case>) {
    let mut trial = Trial::start(route).await;
    for Case { name, rules, fails } in cases {
        trial.begin(&rules).await;
        let redrive = trial.end().await;
        match fails {
            None => assert_eq!(
                redrive.state,
                OperationState::Completed,
                "{name}: {redrive:?}"
            ),
            Some(why) => {
                assert_eq!(redrive.state, OperationState::Failed, "{name}: {redrive:?}");
                let error = redrive.error.unwrap();
                assert!(error.contains(why), "{name}: {error}");
            }
        }
        assert!(trial.account.struck().await > 0, "{name} never happened");
        trial.conclude(name).await;
    }
    trial.account.local.stop().await;
}

/// The calls of a redrive to a queue.
const CALLS: [&str; 4] = [
    "ReceiveMessage",
    "SendMessageBatch",
    "DeleteMessageBatch",
    "ChangeMessageVisibilityBatch",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_loses_an_event_on_the_way_to_a_queue() {
    let entries = |operation, error| {
        json!({"operation": operation, "times": 20,
            "fault": {"kind": "entries", "error": error, "share": 0.5}})
    };
    let stall = json!({"kind": "delay", "ms": 15_000});
    let cases = vec![
        case(
            "half of all calls throttled",
            json!([{"service": "sqs", "share": 0.5, "times": 100, "fault": error("throttling")}]),
        ),
        case("500", each(&CALLS, 10, &error("internal"))),
        case("503", each(&CALLS, 10, &error("unavailable"))),
        case(
            "half of the entries fail",
            json!([
                entries("SendMessageBatch", "internal"),
                entries("DeleteMessageBatch", "receipt_expired"),
                entries("ChangeMessageVisibilityBatch", "throttling"),
            ]),
        ),
        case(
            "reset after it was done",
            each(&CALLS, 5, &json!({"kind": "reset"})),
        ),
        case(
            "answers cut off",
            each(&CALLS, 5, &json!({"kind": "truncate"})),
        ),
        case("stalls of 15 s", each(&CALLS[..3], 1, &stall)),
        case(
            "token expired for a while",
            json!([{"service": "sqs", "after": 10, "times": 60, "fault": error("expired_token")}]),
        ),
        failing(
            "sending denied",
            json!([{"operation": "SendMessageBatch", "after": 3, "fault": error("access_denied")}]),
            "AccessDenied",
        ),
    ];
    all_hold(Route::Queue, cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_loses_an_event_on_the_way_to_a_function() {
    let invoke = |share: f64, times: u32, fault: Value| json!([{"operation": "Invoke", "share": share, "times": times, "fault": fault}]);
    let cases = vec![
        case(
            "half of all invocations throttled",
            invoke(0.5, 200, error("throttling")),
        ),
        case("500", invoke(0.3, 50, error("internal"))),
        case("503", invoke(0.3, 50, error("unavailable"))),
        case(
            "reset after it was done",
            invoke(0.3, 20, json!({"kind": "reset"})),
        ),
        case(
            "stalls of 15 s",
            invoke(0.1, 3, json!({"kind": "delay", "ms": 15_000})),
        ),
        case(
            "token expired for a while",
            invoke(1.0, 100, error("expired_token")),
        ),
        failing(
            "invoking denied",
            json!([{"operation": "Invoke", "after": 25, "fault": error("access_denied")}]),
            "AccessDenied",
        ),
    ];
    all_hold(Route::Function, cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_deleted_ends_the_redrive_and_loses_nothing() {
    let mut trial = Trial::start(Route::Queue).await;
    // Slow enough that there is a midway.
    let slow = json!([{"operation": "SendMessageBatch", "fault": {"kind": "delay", "ms": 300}}]);
    trial.begin(&slow).await;
    while trial.account.depth("orders").await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let url = trial.account.url("orders");
    let delete = trial.account.sqs.delete_queue().queue_url(&url);
    delete.send().await.unwrap();
    let redrive = trial.end().await;
    assert_eq!(redrive.state, OperationState::Failed, "{redrive:?}");
    let error = redrive.error.unwrap();
    assert!(
        error.contains("nothing can be sent to queue orders"),
        "{error}"
    );
    // A name is free again a minute after its queue was deleted.
    trial.account.uncover();
    trial.account.uncover();
    trial.account.create_target(Route::Queue).await;
    trial.conclude("target deleted midway").await;
    trial.account.local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_queue_that_is_deleted_ends_the_redrive() {
    let mut trial = Trial::start(Route::Queue).await;
    // Each receive waits, so that the queue goes while there is still something to receive.
    let slow = json!([
        {"operation": "ReceiveMessage", "resource": "orders-dlq", "fault": {"kind": "delay", "ms": 1000}},
    ]);
    trial.begin(&slow).await;
    while trial.account.depth("orders").await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let url = trial.account.url("orders-dlq");
    let delete = trial.account.sqs.delete_queue().queue_url(&url);
    delete.send().await.unwrap();
    trial.account.faults(&json!([])).await;
    let redrive = trial.end().await;
    assert_eq!(redrive.state, OperationState::Failed, "{redrive:?}");
    let error = redrive.error.unwrap();
    assert!(error.contains("does not exist any more"), "{error}");
    trial.daemon.stop().await;
    let doubts = trial.daemon.doubts(&trial.operations[0]);
    let lines = &trial.account.witnessed().await[trial.told..];
    let verdict = Verdict::of(lines, trial.route, &trial.events);
    // What was in the queue went with it, and that was not the redrive's doing.
    verdict.must_hold(&doubts, &"dead-letter queue deleted midway");
    println!(
        "dead-letter queue deleted midway: {verdict}; {}",
        redrive.state.word()
    );
    trial.account.local.stop().await;
}

/// A process that inherits a connection keeps it open when the emulator has closed it, and its client waits for ever.
#[tokio::test(flavor = "multi_thread")]
async fn no_process_inherits_a_connection() {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    let account = Account::start(Route::Queue).await;
    account.depth(Route::Queue.target()).await;
    let mut sockets = 0;
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let path = entry.unwrap().path();
        // Others come and go meanwhile.
        let Ok(target) = std::fs::read_link(&path) else {
            continue;
        };
        let info = path.to_str().unwrap().replace("/fd/", "/fdinfo/");
        let Ok(info) = std::fs::read_to_string(info) else {
            continue;
        };
        if target.to_str().unwrap().starts_with("socket:") {
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
            let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
            assert_ne!(flags & CLOSE_ON_EXEC, 0, "{target:?}: {info}");
            sockets += 1;
        }
    }
    assert!(sockets > 0, "there is a connection");
    account.local.stop().await;
}
