//! Operations of earlier runs of the daemon, at a canned AWS.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use patterns_core::config::{self, Config};
use patterns_core::failed::{Origin, OriginKind};
use patterns_core::operation::{Manner, Outlook, Plan, Selection, Verification};
use patterns_core::snapshot::Snapshot;
use serde_json::{Value, json};

use super::*;
use crate::aws::canned::{Answer, aws, function, queue, throttled};
use crate::aws::metrics::{Figures, FunctionFigures};
use crate::command::Commands;
use crate::ledger::{Arrival, Met, Outcome, Step, Verdict, Wish};

/// Of the operation that has not ended.
pub const OPERATION: &str = "op-1";
const DLQ: &str = "arn:aws:sqs:eu-west-1:123456789012:dlq";

/// Of the body `{}`.
const MD5: &str = "99914b932bd37a50b983c5e7c90ae93b";

/// For what takes milliseconds.
pub const LONG: Duration = Duration::from_secs(20);

/// An account with `orders`, its empty dead-letter queue `dlq`, and nothing else.
pub fn account(operation: &str, body: &Value) -> Answer {
    match operation {
        "ListQueues" => json!({"QueueUrls": [queue("orders").url, queue("dlq").url]}).into(),
        "GetQueueAttributes" if body["QueueUrl"] == queue("dlq").url => queue("dlq").answer(),
        "GetQueueAttributes" => queue("orders").with_dead_letter_queue("dlq").answer(),
        "ReceiveMessage" => json!({}).into(),
        "GET /2015-03-31/functions" => json!({"Functions": []}).into(),
        "GET /2015-03-31/event-source-mappings" => json!({"EventSourceMappings": []}).into(),
        _ => Answer::error(404, "ResourceNotFoundException"),
    }
}

/// To send everything in `dlq` to `orders`.
pub fn plan(id: &str) -> Plan {
    Plan {
        plan_id: id.to_owned(),
        dead_letter_queue: "dlq".to_owned(),
        target: Origin {
            kind: OriginKind::Queue,
            name: "orders".to_owned(),
        },
        elsewhere: false,
        manner: Manner::default(),
        selection: Selection::Everything,
        edit: None,
        edits: Vec::new(),
        takes_back: None,
        planned: 1,
        steps: Vec::new(),
        verification: Verification::default(),
        account_id: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        expires_at: Timestamp::MAX,
        outlook: Outlook::default(),
    }
}

fn world(aws: &Aws) -> World {
    World {
        account: "123456789012".to_owned(),
        region: aws.region.clone(),
        endpoint: aws.endpoint_url.clone().unwrap(),
        instance: String::new(),
    }
}

/// A ledger with an operation that has not ended.
async fn unfinished(dir: &Path, aws: &Aws) -> Ledger {
    unfinished_of(dir, aws, plan("plan-1")).await
}

pub async fn unfinished_of(dir: &Path, aws: &Aws, plan: Plan) -> Ledger {
    let ledger = Ledger::open(dir).unwrap();
    let (world, _) = ledger.enter(world(aws)).await.unwrap();
    let task = Task {
        operation_id: OPERATION.to_owned(),
        plan,
    };
    ledger
        .begin(world, task, DLQ, Vec::new(), None)
        .await
        .unwrap();
    ledger
}

/// A daemon that looks very often what exists, until `stop`.
pub async fn daemon(dir: &Path, aws: Aws, read_only: bool, stop: &CancellationToken) -> Commands {
    let config = Config {
        read_only,
        watch: config::Watch {
            discovery_seconds: 0.02,
            ..config::Watch::default()
        },
        ..Config::default()
    };
    crate::work(&config, dir, aws, stop, &TaskTracker::new())
        .await
        .unwrap()
}

/// Waits until the dead-letter queue is known.
pub async fn knows_dlq(commands: &Commands) {
    let mut topologies = commands.state.topologies();
    let found = topologies.wait_for(|topology| topology.dead_letter_queue("dlq").is_some());
    tokio::time::timeout(LONG, found).await.unwrap().unwrap();
}

/// Waits until the operation is shown in that state.
pub async fn shown(commands: &Commands, id: &str, state: OperationState) {
    let mut snapshots = commands.state.snapshots();
    let reached = snapshots.wait_for(|snapshot| {
        snapshot
            .operation(id)
            .is_some_and(|operation| operation.state() == state)
    });
    tokio::time::timeout(LONG, reached).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_throttled_queue_does_not_end_its_redrive() {
    let dir = tempfile::tempdir().unwrap();
    let (slow, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
    let (now_slow, count) = (slow.clone(), asked.clone());
    let aws = aws(move |operation, body| {
        let dlq = operation == "GetQueueAttributes" && body["QueueUrl"] == queue("dlq").url;
        if dlq && now_slow.load(Ordering::SeqCst) {
            count.fetch_add(1, Ordering::SeqCst);
            return throttled();
        }
        account(operation, body)
    })
    .await;
    drop(unfinished(dir.path(), &aws).await);
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    shown(&commands, OPERATION, OperationState::Running).await;
    let several = async {
        while asked.load(Ordering::SeqCst) < 5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, several).await.unwrap();
    let redrive = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!(redrive.state, OperationState::Running, "{redrive:?}");
    slow.store(false, Ordering::SeqCst);
    shown(&commands, OPERATION, OperationState::Completed).await;
}

#[tokio::test]
async fn what_has_not_ended_comes_before_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let aws = aws(account).await;
    drop(unfinished(dir.path(), &aws).await);
    // It is read-only and so leaves the earlier operation as it is.
    let commands = daemon(dir.path(), aws, true, &CancellationToken::new()).await;
    knows_dlq(&commands).await;
    commands.plans.keep(Frozen {
        plan: plan("plan-2"),
        message_ids: Vec::new(),
    });
    let start = commands.engine.start(&commands.plans, "plan-2", None);
    let problem = start.await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Conflict);
    assert!(problem.why.contains(OPERATION), "{problem}");
}

#[tokio::test]
async fn what_is_on_its_way_is_not_taken_back_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let aws = aws(account).await;
    drop(unfinished(dir.path(), &aws).await);
    let commands = daemon(dir.path(), aws, true, &CancellationToken::new()).await;
    knows_dlq(&commands).await;
    let back = Plan {
        dead_letter_queue: "orders".to_owned(),
        target: Origin {
            kind: OriginKind::Queue,
            name: "dlq".to_owned(),
        },
        takes_back: Some("op-0".to_owned()),
        ..plan("plan-2")
    };
    commands.plans.keep(Frozen {
        plan: back,
        message_ids: Vec::new(),
    });
    let start = commands.engine.start(&commands.plans, "plan-2", None);
    let problem = start.await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Conflict);
    assert!(problem.what.contains("from orders to"), "{problem}");
    assert!(problem.why.contains(OPERATION), "{problem}");
}

#[tokio::test]
async fn two_that_have_not_ended_are_continued_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let aws = aws(account).await;
    let ledger = unfinished(dir.path(), &aws).await;
    let (world, _) = ledger.enter(world(&aws)).await.unwrap();
    let second = Task {
        operation_id: "op-2".to_owned(),
        plan: plan("plan-2"),
    };
    ledger
        .begin(world, second, DLQ, Vec::new(), None)
        .await
        .unwrap();
    drop(ledger);
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    shown(&commands, OPERATION, OperationState::Completed).await;
    shown(&commands, "op-2", OperationState::Completed).await;
}

#[tokio::test]
async fn a_read_only_daemon_shows_the_past_and_continues_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let aws = aws(account).await;
    let ledger = unfinished(dir.path(), &aws).await;
    ledger
        .end(OPERATION, OperationState::Failed, Some("why".to_owned()))
        .await
        .unwrap();
    let (world, _) = ledger.enter(world(&aws)).await.unwrap();
    let waits = Task {
        operation_id: "op-2".to_owned(),
        plan: plan("plan-2"),
    };
    ledger
        .begin(world, waits, DLQ, Vec::new(), None)
        .await
        .unwrap();
    drop(ledger);
    let commands = daemon(dir.path(), aws, true, &CancellationToken::new()).await;
    shown(&commands, OPERATION, OperationState::Failed).await;
    shown(&commands, "op-2", OperationState::Running).await;
    // Long enough for another daemon to continue it and, as its queue is empty, to end it.
    let mut topologies = commands.state.topologies();
    for _ in 0..10 {
        let looked = topologies.changed();
        tokio::time::timeout(LONG, looked).await.unwrap().unwrap();
    }
    let waits = commands.engine.operation("op-2").await.unwrap();
    assert_eq!(waits.state, OperationState::Running);
}

#[tokio::test]
async fn a_throttled_target_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let slow = Arc::new(AtomicBool::new(true));
    let now_slow = slow.clone();
    let sent = AtomicBool::new(false);
    let aws = aws(move |operation, body| match operation {
        "GetQueueAttributes"
            if body["QueueUrl"] == queue("orders").url && now_slow.load(Ordering::SeqCst) =>
        {
            throttled()
        }
        "ReceiveMessage" if !sent.load(Ordering::SeqCst) => json!({"Messages": [
            {"MessageId": "m", "ReceiptHandle": "h", "Body": "{}", "MD5OfBody": MD5}
        ]})
        .into(),
        "SendMessageBatch" => {
            sent.store(true, Ordering::SeqCst);
            json!({
                "Successful": [{"Id": "0", "MessageId": "new", "MD5OfMessageBody": MD5}],
                "Failed": [],
            })
            .into()
        }
        "DeleteMessageBatch" => json!({"Successful": [{"Id": "0"}], "Failed": []}).into(),
        _ => account(operation, body),
    })
    .await;
    drop(unfinished(dir.path(), &aws).await);
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    let mut snapshots = commands.state.snapshots();
    let waits = snapshots.wait_for(|snapshot| {
        matches!(snapshot.operation(OPERATION), Some(Operation::Redrive(redrive))
            if redrive.error.as_ref().is_some_and(|why| why.contains("orders cannot be read")))
    });
    tokio::time::timeout(LONG, waits).await.unwrap().unwrap();
    slow.store(false, Ordering::SeqCst);
    shown(&commands, OPERATION, OperationState::Completed).await;
    let redrive = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!((redrive.sent, redrive.deleted, redrive.skipped), (1, 1, 0));
}

/// A dead-letter queue that never runs dry, and how often something was sent from it.
fn endless(sent: Arc<AtomicU32>) -> impl Fn(&str, &Value) -> Answer {
    let received = AtomicU32::new(0);
    move |operation, body| match operation {
        "ReceiveMessage" => {
            let number = received.fetch_add(1, Ordering::SeqCst);
            json!({"Messages": [
                {"MessageId": format!("m-{number}"), "ReceiptHandle": "h", "Body": "{}", "MD5OfBody": MD5}
            ]})
            .into()
        }
        "SendMessageBatch" => {
            let number = sent.fetch_add(1, Ordering::SeqCst);
            json!({
                "Successful": [{"Id": "0", "MessageId": format!("new-{number}"), "MD5OfMessageBody": MD5}],
                "Failed": [],
            })
            .into()
        }
        "DeleteMessageBatch" => json!({"Successful": [{"Id": "0"}], "Failed": []}).into(),
        _ => account(operation, body),
    }
}

/// Waits until `sent` has grown.
async fn sends_more(sent: &AtomicU32) {
    let before = sent.load(Ordering::SeqCst);
    let more = async {
        while sent.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, more).await.unwrap();
}

/// Waits until nobody works on the operation.
async fn idle(commands: &Commands) {
    let idle = async {
        while !commands.engine.running.lock().await.operations.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, idle).await.unwrap();
}

fn large() -> Plan {
    Plan {
        planned: 1_000_000,
        ..plan("plan-1")
    }
}

#[tokio::test]
async fn a_pause_outlives_the_daemon_and_a_resumed_redrive_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let sent = Arc::new(AtomicU32::new(0));
    let aws = aws(endless(sent.clone())).await;
    drop(unfinished_of(dir.path(), &aws, large()).await);
    let stop = CancellationToken::new();
    let commands = daemon(dir.path(), aws.clone(), false, &stop).await;
    sends_more(&sent).await;
    let paused = commands.engine.steer(OPERATION, Wish::Pause, None).await;
    assert_eq!(paused.unwrap().state, OperationState::Paused);
    idle(&commands).await;
    let counted = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!(counted.sent, counted.deleted);
    assert_eq!(counted.sent, u64::from(sent.load(Ordering::SeqCst)));
    shown(&commands, OPERATION, OperationState::Paused).await;
    // The queue is spoken for.
    commands.plans.keep(Frozen {
        plan: plan("plan-2"),
        message_ids: Vec::new(),
    });
    let busy = commands.engine.start(&commands.plans, "plan-2", None).await;
    assert!(busy.unwrap_err().why.contains("is paused"));
    stop.cancel();
    drop(commands);

    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    shown(&commands, OPERATION, OperationState::Paused).await;
    knows_dlq(&commands).await;
    let before = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!(
        before.sent, counted.sent,
        "nothing is sent while it is paused"
    );
    let resumed = commands.engine.steer(OPERATION, Wish::Resume, None).await;
    assert_eq!(resumed.unwrap().state, OperationState::Running);
    sends_more(&sent).await;
    // Twice at once, as two operators may.
    for _ in 0..2 {
        commands
            .engine
            .steer(OPERATION, Wish::Pause, None)
            .await
            .unwrap();
    }
    commands
        .engine
        .steer(OPERATION, Wish::Resume, None)
        .await
        .unwrap();
    sends_more(&sent).await;
}

#[tokio::test]
async fn a_cancelled_redrive_ends_exactly_accounted_for() {
    let dir = tempfile::tempdir().unwrap();
    let sent = Arc::new(AtomicU32::new(0));
    let aws = aws(endless(sent.clone())).await;
    drop(unfinished_of(dir.path(), &aws, large()).await);
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    sends_more(&sent).await;
    commands
        .engine
        .steer(OPERATION, Wish::Cancel, None)
        .await
        .unwrap();
    shown(&commands, OPERATION, OperationState::Cancelled).await;
    let ended = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!(ended.sent, u64::from(sent.load(Ordering::SeqCst)));
    assert_eq!((ended.deleted, ended.failed), (ended.sent, 0));
    assert_eq!(ended.skipped, ended.planned - ended.sent);
    assert_eq!(ended.in_doubt_count, 0);
    for (wish, word) in [(Wish::Pause, "paused"), (Wish::Resume, "resumed")] {
        let problem = commands
            .engine
            .steer(OPERATION, wish, None)
            .await
            .unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Conflict);
        assert!(problem.what.contains(word), "{problem}");
    }
    commands
        .engine
        .steer(OPERATION, Wish::Cancel, None)
        .await
        .unwrap();
    let unknown = commands.engine.steer("none", Wish::Cancel, None).await;
    assert_eq!(unknown.unwrap_err().kind, ProblemKind::NotFound);
}

#[tokio::test]
async fn a_paused_redrive_whose_queue_is_gone_can_only_be_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let gone = Arc::new(AtomicBool::new(false));
    let now_gone = gone.clone();
    let aws = aws(move |operation, body| match operation {
        "ListQueues" if now_gone.load(Ordering::SeqCst) => {
            json!({"QueueUrls": [queue("orders").url]}).into()
        }
        _ => account(operation, body),
    })
    .await;
    let ledger = unfinished(dir.path(), &aws).await;
    ledger
        .obey(OPERATION, Standing::Paused, None)
        .await
        .unwrap();
    drop(ledger);
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    shown(&commands, OPERATION, OperationState::Paused).await;
    knows_dlq(&commands).await;
    idle(&commands).await;
    gone.store(true, Ordering::SeqCst);
    let mut topologies = commands.state.topologies();
    let lost = topologies.wait_for(|topology| !topology.queues.contains_key("dlq"));
    tokio::time::timeout(LONG, lost).await.unwrap().unwrap();
    idle(&commands).await;
    let problem = commands
        .engine
        .steer(OPERATION, Wish::Resume, None)
        .await
        .unwrap_err();
    assert!(problem.why.contains("does not exist"), "{problem}");
    let cancelled = commands
        .engine
        .steer(OPERATION, Wish::Cancel, None)
        .await
        .unwrap();
    assert_eq!(
        (cancelled.state, cancelled.skipped),
        (OperationState::Cancelled, 1)
    );
}

#[tokio::test]
async fn a_careful_redrive_asks_before_it_sends_again() {
    let dir = tempfile::tempdir().unwrap();
    let (tries, healthy) = (
        Arc::new(AtomicU32::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let (count, well) = (tries.clone(), healthy.clone());
    let gone = AtomicBool::new(false);
    let aws = aws(move |operation, body| match operation {
        "ReceiveMessage" if !gone.load(Ordering::SeqCst) => json!({"Messages": [
            {"MessageId": "m", "ReceiptHandle": "h", "Body": "{}", "MD5OfBody": MD5}
        ]})
        .into(),
        "SendMessageBatch" => {
            count.fetch_add(1, Ordering::SeqCst);
            if !well.load(Ordering::SeqCst) {
                return Answer::error(500, "InternalError");
            }
            json!({
                "Successful": [{"Id": "0", "MessageId": "new", "MD5OfMessageBody": MD5}],
                "Failed": [],
            })
            .into()
        }
        "DeleteMessageBatch" => {
            gone.store(true, Ordering::SeqCst);
            json!({"Successful": [{"Id": "0"}], "Failed": []}).into()
        }
        _ => account(operation, body),
    })
    .await;
    let careful = Plan {
        manner: Manner {
            careful: true,
            ..Manner::default()
        },
        ..plan("plan-1")
    };
    drop(unfinished_of(dir.path(), &aws, careful).await);
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    shown(&commands, OPERATION, OperationState::Paused).await;
    idle(&commands).await;
    let asks = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!((asks.in_doubt_count, asks.sent), (1, 0));
    let why = asks.error.unwrap();
    assert!(
        why.contains(&asks.in_doubt[0]) && why.contains("resume"),
        "{why}"
    );
    assert_eq!(
        tries.load(Ordering::SeqCst),
        1,
        "it was not sent a second time"
    );
    healthy.store(true, Ordering::SeqCst);
    commands
        .engine
        .steer(OPERATION, Wish::Resume, None)
        .await
        .unwrap();
    shown(&commands, OPERATION, OperationState::Completed).await;
    let ended = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!((ended.sent, ended.deleted, ended.in_doubt_count), (1, 1, 1));
    assert_eq!(tries.load(Ordering::SeqCst), 2);
}

/// What a FIFO queue did: the entries of each call that sent something.
type Calls = Arc<Mutex<Vec<Vec<Value>>>>;

/// A FIFO queue `dlq` with the events a1, a2, b1, a3 of the groups `a` and `b`, all in one receive. Of those in `refused`
/// nothing is taken.
fn fifo(calls: Calls, refused: &'static [&'static str]) -> impl Fn(&str, &Value) -> Answer {
    let received = AtomicBool::new(false);
    move |operation, body| match operation {
        "GetQueueAttributes" if body["QueueUrl"] == queue("dlq").url => {
            queue("dlq").with_fifo().answer()
        }
        "GetQueueAttributes" => queue("orders")
            .with_dead_letter_queue("dlq")
            .with_fifo()
            .answer(),
        "ReceiveMessage" if !received.swap(true, Ordering::SeqCst) => {
            let messages =
                [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")].map(|(id, group)| {
                    json!({
                        "MessageId": id, "ReceiptHandle": id, "Body": "{}", "MD5OfBody": MD5,
                        "Attributes": {"MessageGroupId": group},
                    })
                });
            json!({ "Messages": messages }).into()
        }
        "SendMessageBatch" => {
            let entries = body["Entries"].as_array().unwrap().clone();
            let (mut successful, mut failed) = (Vec::new(), Vec::new());
            for entry in &entries {
                let dedup = entry["MessageDeduplicationId"].as_str().unwrap();
                if refused.iter().any(|id| dedup.ends_with(id)) {
                    failed.push(json!({"Id": entry["Id"], "Code": "InvalidMessageContents", "SenderFault": true}));
                } else {
                    successful.push(json!({"Id": entry["Id"], "MessageId": format!("new-{dedup}"), "MD5OfMessageBody": MD5}));
                }
            }
            calls.lock().unwrap().push(entries);
            json!({"Successful": successful, "Failed": failed}).into()
        }
        "DeleteMessageBatch" => json!({"Successful": [], "Failed": []}).into(),
        _ => account(operation, body),
    }
}

/// Redrives what [`fifo`] holds; how that ended, and the ids that each call sent.
async fn redrive_fifo(refused: &'static [&'static str]) -> (Redrive, Vec<Vec<String>>) {
    let dir = tempfile::tempdir().unwrap();
    let calls = Calls::default();
    let aws = aws(fifo(calls.clone(), refused)).await;
    let four = Plan {
        planned: 4,
        ..plan("plan-1")
    };
    drop(unfinished_of(dir.path(), &aws, four).await);
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    shown(&commands, OPERATION, OperationState::Completed).await;
    let redrive = commands.engine.operation(OPERATION).await.unwrap();
    let calls = calls.lock().unwrap();
    let ids = calls.iter().map(|call| {
        let entries = call.iter().map(|entry| {
            let dedup = entry["MessageDeduplicationId"].as_str().unwrap();
            let id = dedup.strip_prefix("op-1-").unwrap();
            assert_eq!(entry["MessageGroupId"].as_str(), id.get(..1));
            id.to_owned()
        });
        entries.collect()
    });
    (redrive, ids.collect())
}

#[tokio::test]
async fn a_group_goes_in_order_and_no_call_holds_two_of_it() {
    let (redrive, calls) = redrive_fifo(&[]).await;
    assert_eq!(
        (redrive.sent, redrive.deleted, redrive.in_doubt_count),
        (4, 4, 0)
    );
    assert_eq!(calls, [vec!["a1", "b1"], vec!["a2"], vec!["a3"]]);
}

#[tokio::test]
async fn nothing_overtakes_an_event_that_cannot_be_sent() {
    let (redrive, calls) = redrive_fifo(&["a2"]).await;
    assert_eq!((redrive.sent, redrive.failed, redrive.skipped), (2, 1, 1));
    assert_eq!(calls, [vec!["a1", "b1"], vec!["a2"]]);
}

#[tokio::test]
async fn a_redrive_to_a_chosen_queue_keeps_to_its_rate() {
    let dir = tempfile::tempdir().unwrap();
    let sent = Arc::new(AtomicU32::new(0));
    let aws = aws(endless(sent.clone())).await;
    let slow = Plan {
        elsewhere: true,
        manner: Manner {
            rate: Some(0.001),
            ..Manner::default()
        },
        ..large()
    };
    drop(unfinished_of(dir.path(), &aws, slow).await);
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    sends_more(&sent).await;
    // The second event's turn comes in a quarter of an hour, and it can be cancelled all the same.
    commands
        .engine
        .steer(OPERATION, Wish::Cancel, None)
        .await
        .unwrap();
    shown(&commands, OPERATION, OperationState::Cancelled).await;
    let ended = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!((ended.sent, ended.deleted, ended.in_doubt_count), (1, 1, 0));
    assert_eq!(sent.load(Ordering::SeqCst), 1);
}

/// A plan for more events than go at once, whose events may come back for that long.
fn ramped(window_seconds: u64) -> Plan {
    Plan {
        planned: 100,
        steps: vec![1, 5, 25, 69],
        verification: Verification {
            window_seconds: Some(window_seconds),
            returns_to: vec!["dlq".to_owned()],
            ..Verification::default()
        },
        ..plan("plan-1")
    }
}

/// Waits until the operation is shown to wait for a step's verdict; in which step, and what for.
async fn waits(commands: &Commands) -> (u32, String) {
    let mut snapshots = commands.state.snapshots();
    let waiting = |snapshot: &Snapshot| match snapshot.operation(OPERATION)? {
        Operation::Redrive(redrive) => {
            let step = redrive.step.as_ref()?;
            Some((step.number, step.waits.clone()?))
        }
        Operation::Burst(_) => None,
    };
    let reached = snapshots.wait_for(|snapshot| waiting(snapshot).is_some());
    let snapshot = tokio::time::timeout(LONG, reached).await.unwrap().unwrap();
    waiting(&snapshot).unwrap()
}

#[tokio::test]
async fn a_step_waits_for_its_verdict_also_after_a_restart_and_can_be_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::holding((0..100).map(|number| format!("m-{number}")));
    let aws = shelf_aws(&shelf).await;
    drop(unfinished_of(dir.path(), &aws, ramped(3600)).await);
    let stop = CancellationToken::new();
    let commands = daemon(dir.path(), aws.clone(), false, &stop).await;
    let (number, until) = waits(&commands).await;
    assert_eq!(number, 1);
    assert!(until.contains("3600 s window"), "{until}");
    stop.cancel();
    idle(&commands).await;
    drop(commands);

    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    assert_eq!(waits(&commands).await.0, 1);
    let redrive = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!((redrive.sent, redrive.deleted), (1, 1));
    commands
        .engine
        .steer(OPERATION, Wish::Cancel, None)
        .await
        .unwrap();
    shown(&commands, OPERATION, OperationState::Cancelled).await;
    assert_eq!(shelf.lock().unwrap().sent, [1]);
}

/// What `dlq` holds, and what happened to it.
#[derive(Default)]
struct Shelf {
    visible: VecDeque<String>,
    hidden: BTreeSet<String>,
    /// How many events each call sent.
    sent: Vec<u64>,
    /// Whether what is sent comes back at once.
    broken: bool,
}

impl Shelf {
    fn holding(ids: impl IntoIterator<Item = String>) -> Arc<Mutex<Self>> {
        let visible = ids.into_iter().collect();
        Arc::new(Mutex::new(Self {
            visible,
            ..Self::default()
        }))
    }

    fn answer(&mut self, operation: &str, body: &Value) -> Option<Answer> {
        let entries = body["Entries"].as_array().cloned().unwrap_or_default();
        let handle = |entry: &Value| entry["ReceiptHandle"].as_str().unwrap().to_owned();
        let ids = entries.iter().map(|entry| json!({"Id": entry["Id"]}));
        let done = json!({"Successful": ids.collect::<Vec<_>>(), "Failed": []});
        match operation {
            "GetQueueAttributes" if body["QueueUrl"] == queue("dlq").url => Some(
                json!({"Attributes": {
                    "QueueArn": DLQ,
                    "ApproximateNumberOfMessages": self.visible.len().to_string(),
                    "ApproximateNumberOfMessagesNotVisible": self.hidden.len().to_string(),
                }})
                .into(),
            ),
            "ReceiveMessage" => {
                let most = usize::try_from(body["MaxNumberOfMessages"].as_u64().unwrap()).unwrap();
                let ids: Vec<_> = self.visible.drain(..most.min(self.visible.len())).collect();
                self.hidden.extend(ids.iter().cloned());
                let messages = ids.iter().map(|id| {
                    json!({"MessageId": id, "ReceiptHandle": id, "Body": "{}", "MD5OfBody": MD5})
                });
                Some(json!({"Messages": messages.collect::<Vec<_>>()}).into())
            }
            "ChangeMessageVisibilityBatch" => {
                let shown = entries
                    .iter()
                    .filter(|entry| entry["VisibilityTimeout"] == 0);
                let shown = shown.map(handle).filter(|id| self.hidden.remove(id));
                self.visible.extend(shown.collect::<Vec<_>>());
                Some(done.into())
            }
            "DeleteMessageBatch" => {
                for id in entries.iter().map(handle) {
                    self.hidden.remove(&id);
                }
                Some(done.into())
            }
            "SendMessageBatch" => {
                self.sent.push(u64::try_from(entries.len()).unwrap());
                let sent = entries.iter().map(|entry| {
                    let id = uuid::Uuid::new_v4().to_string();
                    if self.broken {
                        self.visible.push_back(id.clone());
                    }
                    json!({"Id": entry["Id"], "MessageId": id, "MD5OfMessageBody": MD5})
                });
                Some(json!({"Successful": sent.collect::<Vec<_>>(), "Failed": []}).into())
            }
            _ => None,
        }
    }

    /// How many were sent after each call.
    fn ends(&self) -> Vec<u64> {
        let sums = self.sent.iter().scan(0, |sum, sent| {
            *sum += sent;
            Some(*sum)
        });
        sums.collect()
    }
}

async fn shelf_aws(shelf: &Arc<Mutex<Shelf>>) -> Aws {
    let shelf = shelf.clone();
    aws(move |operation, body| {
        let answer = shelf.lock().unwrap().answer(operation, body);
        answer.unwrap_or_else(|| account(operation, body))
    })
    .await
}

#[tokio::test]
async fn steps_follow_one_another_until_everything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::holding((0..100).map(|number| format!("m-{number}")));
    let aws = shelf_aws(&shelf).await;
    drop(unfinished_of(dir.path(), &aws, ramped(0)).await);
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    shown(&commands, OPERATION, OperationState::Completed).await;
    let redrive = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!(
        (redrive.sent, redrive.deleted, redrive.skipped),
        (100, 100, 0)
    );
    let ends = shelf.lock().unwrap().ends();
    for end in [1, 6, 31, 100] {
        assert!(ends.contains(&end), "{ends:?}");
    }
}

#[tokio::test]
async fn a_step_of_chosen_events_sends_no_more_than_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let others = (0..30).flat_map(|number| [format!("other-{number}"), format!("m-{number}")]);
    let shelf = Shelf::holding(others);
    let aws = shelf_aws(&shelf).await;
    let ledger = Ledger::open(dir.path()).unwrap();
    let (world, _) = ledger.enter(world(&aws)).await.unwrap();
    let task = Task {
        operation_id: OPERATION.to_owned(),
        plan: Plan {
            selection: Selection::Chosen(Vec::new()),
            planned: 30,
            steps: vec![1, 5, 24],
            ..ramped(0)
        },
    };
    let chosen = (0..30).map(|number| format!("m-{number}")).collect();
    ledger.begin(world, task, DLQ, chosen, None).await.unwrap();
    drop(ledger);
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    shown(&commands, OPERATION, OperationState::Completed).await;
    let redrive = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!(
        (redrive.sent, redrive.deleted, redrive.skipped),
        (30, 30, 0)
    );
    let shelf = shelf.lock().unwrap();
    for end in [1, 6, 30] {
        assert!(shelf.ends().contains(&end), "{:?}", shelf.sent);
    }
    assert!(shelf.visible.iter().all(|id| id.starts_with("other")));
}

#[tokio::test]
async fn a_returned_event_stops_a_ramp_and_a_resumed_one_repeats_the_step() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::holding((0..100).map(|number| format!("m-{number}")));
    shelf.lock().unwrap().broken = true;
    let aws = shelf_aws(&shelf).await;
    drop(unfinished_of(dir.path(), &aws, ramped(0)).await);
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    shown(&commands, OPERATION, OperationState::Paused).await;
    idle(&commands).await;
    let stopped = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!((stopped.sent, stopped.returned), (1, 1));
    let why = stopped.error.unwrap();
    assert!(why.contains("1 of 1 events came back"), "{why}");
    {
        let mut shelf = shelf.lock().unwrap();
        assert!(shelf.hidden.is_empty(), "nothing stays hidden");
        shelf.broken = false;
    }
    commands
        .engine
        .steer(OPERATION, Wish::Resume, None)
        .await
        .unwrap();
    shown(&commands, OPERATION, OperationState::Completed).await;
    let ended = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!((ended.sent, ended.deleted), (100, 100));
    let ends = shelf.lock().unwrap().ends();
    for end in [1, 2, 7, 32] {
        assert!(ends.contains(&end), "{ends:?}");
    }
}

#[tokio::test]
async fn what_came_back_while_a_ramp_was_paused_stops_it() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::holding((0..100).map(|number| format!("m-{number}")));
    let aws = shelf_aws(&shelf).await;
    drop(unfinished_of(dir.path(), &aws, ramped(3600)).await);
    let commands = daemon(dir.path(), aws.clone(), false, &CancellationToken::new()).await;
    assert_eq!(waits(&commands).await.0, 1);
    let steer = |wish| commands.engine.steer(OPERATION, wish, None);
    steer(Wish::Pause).await.unwrap();
    idle(&commands).await;
    let ledger = &commands.engine.ledger;
    let sent = ledger.outcomes(OPERATION, None).await.unwrap();
    let back = Met {
        message_id: sent[0].new_id.clone().unwrap(),
        request_id: None,
        signature: "Boom".to_owned(),
    };
    let (world, _) = ledger.enter(world(&aws)).await.unwrap();
    ledger.returned(world, DLQ, vec![back]).await.unwrap();
    steer(Wish::Resume).await.unwrap();
    let stopped = async {
        loop {
            let redrive = commands.engine.operation(OPERATION).await.unwrap();
            if let Some(why) = redrive
                .error
                .filter(|_| redrive.state == OperationState::Paused)
            {
                return why;
            }
            tokio::task::yield_now().await;
        }
    };
    let why = tokio::time::timeout(LONG, stopped).await.unwrap();
    assert!(why.contains("1 of 1 events came back"), "{why}");
    // The verdict knows it now, so it may go on.
    idle(&commands).await;
    steer(Wish::Resume).await.unwrap();
    shown(&commands, OPERATION, OperationState::Running).await;
    assert_eq!(waits(&commands).await.0, 1);
    steer(Wish::Cancel).await.unwrap();
    shown(&commands, OPERATION, OperationState::Cancelled).await;
    assert_eq!(shelf.lock().unwrap().sent, [1]);
}

/// Redrives five chosen of 300 000 messages; how many of them were sent and skipped, and how many messages stayed.
async fn five_of_many(places: [u32; 5]) -> (u64, u64, usize) {
    const MANY: u32 = 300_000;
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::holding((0..MANY).map(|number| format!("m-{number}")));
    let aws = shelf_aws(&shelf).await;
    let ledger = Ledger::open(dir.path()).unwrap();
    let (world, _) = ledger.enter(world(&aws)).await.unwrap();
    let task = Task {
        operation_id: OPERATION.to_owned(),
        plan: Plan {
            selection: Selection::Chosen(Vec::new()),
            planned: 5,
            ..plan("plan-1")
        },
    };
    let chosen: Vec<_> = places.iter().map(|place| format!("m-{place}")).collect();
    let begun = ledger.begin(world, task, DLQ, chosen.clone(), None);
    begun.await.unwrap();
    drop(ledger);
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    let mut snapshots = commands.state.snapshots();
    let ended = snapshots.wait_for(|snapshot| {
        let operation = snapshot.operation(OPERATION);
        operation.is_some_and(|operation| operation.state().ended())
    });
    tokio::time::timeout(LONG * 10, ended)
        .await
        .unwrap()
        .unwrap();
    let redrive = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!(redrive.state, OperationState::Completed, "{redrive:?}");
    assert_eq!((redrive.deleted, redrive.failed), (redrive.sent, 0));
    let shelf = shelf.lock().unwrap();
    assert_eq!(shelf.sent.iter().sum::<u64>(), redrive.sent);
    assert!(shelf.hidden.is_empty(), "nothing stays hidden");
    (redrive.sent, redrive.skipped, shelf.visible.len())
}

#[tokio::test]
async fn five_chosen_events_are_found_among_many_others() {
    assert_eq!(
        five_of_many([3, 500, 1_000, 2_000, 3_000]).await,
        (5, 0, 299_995)
    );
}

/// SQS lets 120 000 messages be in flight, so not all of them can be met.
#[tokio::test]
#[ignore = "takes minutes: 100 000 messages are received"]
async fn what_lies_too_deep_is_reported_and_not_waited_for() {
    assert_eq!(
        five_of_many([3, 500, 1_000, 2_000, 299_999]).await,
        (4, 1, 299_996)
    );
}

/// Lets the ledger know of events that were sent, and of some more that may have been.
async fn earlier_run(ledger: &Ledger, sent: std::ops::Range<u32>, perhaps: std::ops::Range<u32>) {
    for (number, known) in sent
        .map(|number| (number, true))
        .chain(perhaps.map(|number| (number, false)))
    {
        let message_id = format!("m-{number}");
        let arrival = Arrival {
            message_id: message_id.clone(),
            receipt_handle: message_id.clone(),
            refused: None,
            repeat_within: None,
            request_id: None,
            signature: "Boom".to_owned(),
        };
        let intended = ledger.intend(OPERATION, DLQ, true, vec![arrival], Vec::new());
        assert_eq!(intended.await.unwrap(), [Verdict::Send]);
        if known {
            let steps = [Step::Sent(format!("new-{message_id}")), Step::Deleted];
            let outcomes = steps.map(|step| Outcome {
                message_id: message_id.clone(),
                step,
            });
            ledger.settle(OPERATION, outcomes.into()).await.unwrap();
        }
    }
}

/// What was sent as these messages came back.
async fn come_back(ledger: &Ledger, aws: &Aws, numbers: std::ops::Range<u32>) {
    let (world, _) = ledger.enter(world(aws)).await.unwrap();
    let back = numbers.map(|number| Met {
        message_id: format!("new-m-{number}"),
        request_id: None,
        signature: "Boom".to_owned(),
    });
    let returned = ledger.returned(world, DLQ, back.collect()).await;
    assert_eq!(returned.unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_killed_run_may_have_sent_belongs_to_its_step() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::holding((6..100).map(|number| format!("m-{number}")));
    let aws = shelf_aws(&shelf).await;
    let ledger = unfinished_of(dir.path(), &aws, ramped(3600)).await;
    earlier_run(&ledger, 0..6, 6..26).await;
    drop(ledger);
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    // The third step is of 25.
    assert_eq!(waits(&commands).await.0, 3);
    assert_eq!(shelf.lock().unwrap().sent.iter().sum::<u64>(), 5);
    let redrive = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!((redrive.sent, redrive.in_doubt_count), (11, 20));
}

/// Five of five come back, one of them before the redrive stops, the others while it is paused.
#[tokio::test]
async fn what_comes_back_late_stops_no_redrive_that_was_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::holding((6..100).map(|number| format!("m-{number}")));
    let aws = shelf_aws(&shelf).await;
    let ledger = unfinished_of(dir.path(), &aws, ramped(0)).await;
    earlier_run(&ledger, 0..6, 0..0).await;
    come_back(&ledger, &aws, 1..2).await;
    drop(ledger);
    let commands = daemon(dir.path(), aws.clone(), false, &CancellationToken::new()).await;
    shown(&commands, OPERATION, OperationState::Paused).await;
    idle(&commands).await;
    let stopped = async || {
        let redrive = commands.engine.operation(OPERATION).await.unwrap();
        (redrive.sent, redrive.returned, redrive.error.unwrap())
    };
    let (sent, returned, why) = stopped().await;
    assert_eq!((sent, returned), (6, 1));
    assert!(why.contains("1 of 5 events came back"), "{why}");

    come_back(&commands.engine.ledger, &aws, 2..6).await;
    shelf.lock().unwrap().broken = true;
    let resume = async || {
        commands
            .engine
            .steer(OPERATION, Wish::Resume, None)
            .await
            .unwrap();
    };
    resume().await;
    // Those that are sent from now on count.
    let mut snapshots = commands.state.snapshots();
    let again = snapshots.wait_for(|snapshot| {
        snapshot.operation(OPERATION).is_some_and(|operation| {
            let Operation::Redrive(redrive) = operation else {
                return false;
            };
            redrive.state == OperationState::Paused && redrive.sent > 6
        })
    });
    tokio::time::timeout(LONG, again).await.unwrap().unwrap();
    idle(&commands).await;
    let (sent, returned, why) = stopped().await;
    assert_eq!((sent, returned), (11, 10));
    assert!(why.contains("5 of 5 events came back"), "{why}");

    shelf.lock().unwrap().broken = false;
    resume().await;
    shown(&commands, OPERATION, OperationState::Completed).await;
    let ended = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!((ended.sent, ended.returned), (100, 10));
}

#[tokio::test]
async fn errors_of_the_consumer_stop_a_ramp() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::holding((0..100).map(|number| format!("m-{number}")));
    let aws = aws(move |operation, body| match operation {
        "GET /2015-03-31/functions" => json!({"Functions": [function("notify")]}).into(),
        "GET /2015-03-31/functions/notify" => json!({"Configuration": function("notify")}).into(),
        "GET /2015-03-31/event-source-mappings" => json!({"EventSourceMappings": [{
            "EventSourceArn": "arn:aws:sqs:eu-west-1:123456789012:orders",
            "FunctionArn": function("notify")["FunctionArn"],
        }]})
        .into(),
        _ => {
            let answer = shelf.lock().unwrap().answer(operation, body);
            answer.unwrap_or_else(|| account(operation, body))
        }
    })
    .await;
    drop(unfinished_of(dir.path(), &aws, ramped(3600)).await);
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    let mut topologies = commands.state.topologies();
    let found = topologies.wait_for(|topology| !topology.consumers.is_empty());
    tokio::time::timeout(LONG, found).await.unwrap().unwrap();
    waits(&commands).await;
    let figures = |errors| {
        let notify = FunctionFigures {
            errors,
            ..FunctionFigures::default()
        };
        Reading::Figures(Figures {
            functions: BTreeMap::from([("notify".to_owned(), notify)]),
            oldest_age_seconds: BTreeMap::new(),
            as_of: Timestamp::now(),
        })
    };
    // What it had before is none of ours.
    commands.state.report(figures(50)).await;
    let mut snapshots = commands.state.snapshots();
    let known = snapshots.wait_for(|snapshot| {
        let notify = snapshot.function("notify");
        notify.is_some_and(|notify| notify.errors == 50)
    });
    tokio::time::timeout(LONG, known).await.unwrap().unwrap();
    // Longer than between two readings of the run.
    let seen = Timestamp::now();
    let later = snapshots.wait_for(|snapshot| snapshot.as_of.duration_since(seen).as_secs() >= 3);
    tokio::time::timeout(LONG, later).await.unwrap().unwrap();
    assert_eq!(waits(&commands).await.0, 1);
    commands.state.report(figures(53)).await;
    shown(&commands, OPERATION, OperationState::Paused).await;
    let stopped = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!(stopped.sent, 1);
    let why = stopped.error.unwrap();
    assert!(
        why.contains("notify ended in an error 3 times") && why.contains("resume"),
        "{why}"
    );
}
