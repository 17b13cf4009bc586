//! AWS itself fails, is slow, or does not let us: what callers are told, and what becomes of their work.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::fan_out::{CSV, upload};
use crate::handoff::logs;
use crate::leveling::{depth, oldest};
use crate::story::{HANDOFF_CONSUMER, QUEUE, QUEUE_CONSUMER, QUEUE_FAILURES};
use crate::tasks::call;
use crate::world::{World, eventually};

const JSON: (&str, &str) = ("content-type", "application/json");

/// What is handed over meets this, in both stacks.
async fn handing_over(world: &World, fault: &Value) {
    let rules = json!([
        {"service": "lambda", "operation": "Invoke", "resource": HANDOFF_CONSUMER, "fault": fault},
        {"service": "sqs", "operation": "SendMessage", "resource": QUEUE, "fault": fault},
    ]);
    world.faults(rules).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_stored_in_time_whatever_keeps_its_event_from_leaving() {
    let world = World::start_with(&["--admin", "--no-daemon"]);
    let patterns = ["internal-handoff", "queue-leveling"];
    let faults = [
        json!({"kind": "error", "error": "throttling"}),
        json!({"kind": "error", "error": "access_denied"}),
        json!({"kind": "delay", "ms": 8_000}),
    ];
    // The processes start, so that the times below are those of the requests.
    for pattern in patterns {
        assert_eq!(
            world.post_task(pattern, &json!({"title": "first"})).await.0,
            201
        );
    }
    for fault in &faults {
        handing_over(&world, fault).await;
        for pattern in patterns {
            let began = Instant::now();
            let (status, task) = world.post_task(pattern, &json!({"title": "x"})).await;
            assert_eq!(status, 201, "{fault}: {task}");
            assert!(
                began.elapsed() < Duration::from_secs(6),
                "{fault}: nobody waits for it"
            );
            let kept = world.items(&format!("{pattern}-OutboxTable")).await;
            let id = task["id"].as_str().unwrap();
            let mut ids = kept.iter().map(|item| item["pk"].as_s().unwrap());
            assert!(ids.any(|kept| kept.contains(id)), "{fault}: it is kept");
        }
    }
    world.faults(json!([])).await;
    for pattern in patterns {
        eventually("the sweep tells of each once", async || {
            world.advance(Duration::from_mins(1)).await;
            let outbox = world.items(&format!("{pattern}-OutboxTable")).await;
            let deliveries = world.deliveries(pattern).await;
            let once = deliveries
                .iter()
                .filter(|(_, status, attempts)| status == "DELIVERED" && *attempts == 1);
            (outbox.is_empty() && once.count() == 1 + faults.len()).then_some(())
        })
        .await;
        let denied = logs(&world, &format!("{pattern}-create-task"), "HandoffFailed: ").await;
        assert!(
            denied
                .iter()
                .all(|line| line.contains("\"correlationId\":"))
                && !denied.is_empty(),
            "{denied:?}"
        );
    }
}

/// Every route, with its answer when DynamoDB refuses.
const ROUTES: [(&str, &str, &str, &str, u16); 17] = [
    (
        "internal-handoff",
        "POST",
        "/tasks",
        r#"{"title": "x"}"#,
        500,
    ),
    ("internal-handoff", "GET", "/tasks", "", 500),
    ("internal-handoff", "GET", "/tasks/7", "", 500),
    (
        "internal-handoff",
        "PUT",
        "/tasks/7",
        r#"{"title": "x", "isComplete": true}"#,
        500,
    ),
    ("internal-handoff", "DELETE", "/tasks/7", "", 500),
    (
        "async-controller",
        "POST",
        "/leeds",
        r#"{"trade": "clowns", "date": "2026-12-31", "place": "Berlin", "seller": "ada"}"#,
        500,
    ),
    ("async-controller", "GET", "/leeds/7", "", 500),
    (
        "async-controller",
        "POST",
        "/leeds/7/buy",
        r#"{"buyer": "bob"}"#,
        500,
    ),
    (
        "async-controller",
        "POST",
        "/subscriptions",
        r#"{"trade": "x", "recipient": "y"}"#,
        500,
    ),
    (
        "async-controller",
        "DELETE",
        "/subscriptions?trade=x&recipient=y",
        "",
        500,
    ),
    ("fan-out", "POST", "/tasks/upload", "title\nx\n", 500),
    ("fan-out", "GET", "/tasks/batches/7", "", 500),
    ("fan-out", "GET", "/planner/daily", "", 502),
    (
        "service-communication",
        "POST",
        "/auth/register",
        r#"{"email": "ada@example.com", "name": "Ada", "password": "correct horse"}"#,
        500,
    ),
    (
        "service-communication",
        "POST",
        "/auth/login",
        r#"{"email": "ada@example.com", "password": "correct horse"}"#,
        500,
    ),
    (
        "service-communication",
        "GET",
        "/notifications/status/7",
        "",
        500,
    ),
    (
        "service-communication",
        "GET",
        "/notifications/stats",
        "",
        500,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_refuses_is_a_500_without_the_cause_on_every_route() {
    let world = World::start_with(&["--admin", "--no-daemon"]);
    let denied =
        json!([{"service": "dynamodb", "fault": {"kind": "error", "error": "access_denied"}}]);
    world.faults(denied).await;
    for (pattern, method, path, body, expected) in ROUTES {
        let kind = if path.ends_with("upload") { CSV } else { JSON };
        let headers = [kind, ("x-correlation-id", "c-500")];
        let method = method.parse().unwrap();
        let (status, answer) = call(&world, pattern, method, path, &headers, body).await;
        assert_eq!(status, expected, "{path}: {answer}");
        assert_eq!(answer["correlationId"], "c-500", "{path}: {answer}");
        let said = answer.to_string();
        for cause in ["AccessDenied", "not authorized", "Dynamo"] {
            assert!(!said.contains(cause), "{path}: {said}");
        }
    }
    let told = logs(&world, "internal-handoff-get-task", "AccessDenied").await;
    assert!(told.iter().any(|line| line.contains("c-500")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_does_not_answer_is_not_waited_for() {
    let world = World::start_with(&["--admin", "--no-daemon"]);
    let hangs = json!([{"service": "dynamodb", "fault": {"kind": "delay", "ms": 20_000}}]);
    world.faults(hangs).await;
    let headers = [JSON, ("x-correlation-id", "c-504")];
    let ask = |method, path: &'static str, body: &'static str| {
        call(&world, "internal-handoff", method, path, &headers, body)
    };
    let began = Instant::now();
    let answers = tokio::join!(
        ask(Method::GET, "/tasks", ""),
        ask(Method::GET, "/tasks/7", ""),
        ask(Method::POST, "/tasks", r#"{"title": "x"}"#),
    );
    assert!(began.elapsed() < Duration::from_secs(10), "{answers:?}");
    for (status, answer) in [answers.0, answers.1, answers.2] {
        assert!(matches!(status.as_u16(), 500 | 504), "{status}: {answer}");
        assert_eq!(answer["correlationId"], "c-504");
    }
}

/// The original answered 500 in the middle of a file, and whoever tried again had its rows twice.
#[tokio::test(flavor = "multi_thread")]
async fn d4_an_upload_that_fails_midway_is_the_same_batch_when_it_is_repeated() {
    const ROWS: usize = 1_000;
    let world = World::start_with(&["--admin", "--no-daemon"]);
    let refused = json!([{"service": "sqs", "operation": "SendMessageBatch", "resource": "fan-out-chunks", "after": 1,
        "fault": {"kind": "error", "error": "access_denied"}}]);
    world.faults(refused).await;
    let lines = (0..ROWS).map(|row| format!("task {row}\n"));
    let file = format!("title\n{}", lines.collect::<String>());
    let upload = || upload(&world, &[CSV], file.clone());
    let (status, answer) = upload().await;
    assert_eq!(status, 500, "one of two parts is on its way: {answer}");
    world.faults(json!([])).await;
    let (status, answer) = upload().await;
    assert_eq!(status, 202, "{answer}");
    let path = format!("/tasks/batches/{}", answer["batchId"].as_str().unwrap());
    eventually("each row has its task", async || {
        let (_, is) = call(&world, "fan-out", Method::GET, &path, &[], "").await;
        (is["created"] == ROWS && is["sent"] == ROWS).then_some(())
    })
    .await;
    let tasks = world.items("fan-out-TasksTable").await;
    let titles = tasks.iter().map(|task| task["title"].as_s().unwrap());
    let titles: std::collections::BTreeSet<_> = titles.collect();
    assert_eq!((tasks.len(), titles.len()), (ROWS, ROWS));
    let batches = world.items("fan-out-BatchesTable").await;
    let ids: std::collections::BTreeSet<_> = batches
        .iter()
        .map(|item| item["pk"].as_s().unwrap())
        .collect();
    assert_eq!(ids.len(), 1, "one batch: {ids:?}");
}

/// Reserved concurrency of 0 is the other way to stop a consumer: its pollers receive all the same, which uses up attempts.
#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_without_concurrency_keeps_no_producer_waiting_and_loses_nothing() {
    const TASKS: u64 = 5;
    let world = World::start_with(&["--admin", "--no-daemon"]);
    let lambda = aws_sdk_lambda::Client::new(&world.sdk());
    let stop = lambda
        .put_function_concurrency()
        .function_name(QUEUE_CONSUMER);
    stop.reserved_concurrent_executions(0).send().await.unwrap();
    for number in 0..TASKS {
        let task = json!({"title": format!("task {number}")});
        assert_eq!(world.post_task("queue-leveling", &task).await.0, 201);
    }
    assert_eq!(depth(&world, QUEUE).await, TASKS, "the backlog waits");
    world.advance(Duration::from_mins(1)).await;
    eventually("the oldest grows older", async || {
        (oldest(&world, QUEUE).await >= 60.0).then_some(())
    })
    .await;
    eventually("every attempt is used up, and all are kept", async || {
        world.advance(Duration::from_mins(1)).await;
        (depth(&world, QUEUE_FAILURES).await == TASKS).then_some(())
    })
    .await;
    assert!(world.deliveries("queue-leveling").await.is_empty());
    let start = lambda.delete_function_concurrency();
    start.function_name(QUEUE_CONSUMER).send().await.unwrap();
    let source = format!("arn:aws:sqs:us-east-1:000000000000:{QUEUE_FAILURES}");
    let sqs = aws_sdk_sqs::Client::new(&world.sdk());
    let redrive = sqs.start_message_move_task().source_arn(source);
    redrive.send().await.unwrap();
    eventually("each is delivered once", async || {
        let deliveries = world.deliveries("queue-leveling").await;
        let once = deliveries
            .iter()
            .filter(|(_, status, attempts)| status == "DELIVERED" && *attempts == 1);
        let left = depth(&world, QUEUE).await + depth(&world, QUEUE_FAILURES).await;
        (once.count() as u64 == TASKS && left == 0).then_some(())
    })
    .await;
}

/// A provider that takes two seconds for each is slow, not broken: ten at once come through, none is tried twice or given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_provider_costs_no_message_an_attempt() {
    const TASKS: usize = 10;
    let world = World::start_with(&["--no-daemon"]);
    crate::story::consume(&world, false).await;
    world
        .set(QUEUE_CONSUMER, &[("DELIVERY_LATENCY_MS", "2000")])
        .await;
    for number in 0..TASKS {
        let task = json!({"title": format!("task {number}")});
        assert_eq!(world.post_task("queue-leveling", &task).await.0, 201);
    }
    crate::story::consume(&world, true).await;
    eventually("each is delivered at the first attempt", async || {
        let deliveries = world.deliveries("queue-leveling").await;
        let once = deliveries
            .iter()
            .filter(|(_, status, attempts)| status == "DELIVERED" && *attempts == 1);
        (once.count() == TASKS).then_some(())
    })
    .await;
    let lost = logs(&world, QUEUE_CONSUMER, "time is used up").await;
    assert!(lost.is_empty(), "{lost:?}");
}
