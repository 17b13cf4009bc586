//! The asynchronous controller: what is answered at once, and what becomes of the bookkeeping.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::bad_input::descendants;
use crate::tasks::call;
use crate::world::{World, eventually, signal};

const PATTERN: &str = "async-controller";
const CONTROLLER: &str = "async-controller-controller";
const FAILURES: &str = "async-controller-failures";
const JSON: (&str, &str) = ("content-type", "application/json");

async fn send(world: &World, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let (status, answer) = call(world, PATTERN, method, path, &[JSON], body.to_string()).await;
    (status.as_u16(), answer)
}

async fn send_once(world: &World, key: &str, path: &str, body: &Value) -> (u16, Value) {
    let headers = [JSON, ("idempotency-key", key)];
    let body = body.to_string();
    let (status, answer) = call(world, PATTERN, Method::POST, path, &headers, body).await;
    (status.as_u16(), answer)
}

async fn subscribe(world: &World, trade: &str, recipient: &str) {
    let body = json!({"trade": trade, "recipient": recipient});
    let (status, answer) = send(world, Method::POST, "/subscriptions", &body).await;
    assert_eq!(status, 201, "{answer}");
}

fn leed(place: &str) -> Value {
    json!({"trade": "Clowns", "date": "2026-12-31", "place": place, "seller": "ada@example.com"})
}

async fn offer(world: &World, place: &str) -> String {
    let (status, answer) = send(world, Method::POST, "/leeds", &leed(place)).await;
    assert_eq!(status, 201, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

/// Subscribes many at once, past the HTTP API.
async fn subscribe_many(world: &World, count: usize) {
    let dynamo = aws_sdk_dynamodb::Client::new(&world.sdk());
    for some in (0..count).collect::<Vec<_>>().chunks(25) {
        let writes = some.iter().map(|number| {
            let recipient = AttributeValue::S(format!("clown-{number:03}@example.com"));
            let put = PutRequest::builder()
                .item("pk", AttributeValue::S("TRADE#clowns".to_owned()))
                .item("recipient", recipient)
                .build();
            WriteRequest::builder().put_request(put.unwrap()).build()
        });
        let table = format!("{PATTERN}-SubscriptionsTable");
        let written = dynamo.batch_write_item();
        let written = written.request_items(table, writes.collect()).send().await;
        let left = written.unwrap().unprocessed_items.unwrap_or_default();
        assert!(left.is_empty());
    }
}

/// The events that were delivered, by the log, and how often the busiest was tried.
async fn delivered(world: &World) -> (BTreeSet<String>, u64) {
    let deliveries = world.deliveries(PATTERN).await.into_iter();
    let done: Vec<_> = deliveries
        .filter(|(_, status, _)| status == "DELIVERED")
        .collect();
    let most = done.iter().map(|(_, _, attempts)| *attempts).max();
    let ids = done.into_iter().map(|(id, ..)| id);
    (ids.collect(), most.unwrap_or(0))
}

fn told(leed: &str, recipients: &[&str]) -> BTreeSet<String> {
    let ids = recipients.iter();
    ids.map(|recipient| format!("DELIVERY#{leed}-{recipient}"))
        .collect()
}

async fn is_handed_over(world: &World) -> bool {
    let outbox = world.items(&format!("{PATTERN}-OutboxTable")).await;
    outbox.is_empty()
}

async fn ask(world: &World, request: &Value) -> (bool, Value) {
    let lambda = aws_sdk_lambda::Client::new(&world.sdk());
    let invoked = lambda.invoke().function_name(CONTROLLER);
    let invoked = invoked.payload(Blob::new(request.to_string()));
    let answer = invoked.send().await.unwrap();
    let payload = serde_json::from_slice(answer.payload().unwrap().as_ref()).unwrap();
    (answer.function_error().is_none(), payload)
}

async fn tell(world: &World, request: &Value) {
    let lambda = aws_sdk_lambda::Client::new(&world.sdk());
    let invoked = lambda.invoke().function_name(CONTROLLER);
    let invoked = invoked.invocation_type(InvocationType::Event);
    let invoked = invoked.payload(Blob::new(request.to_string()));
    assert_eq!(invoked.send().await.unwrap().status_code(), 202);
}

/// Failed events of the controller, once there are so many.
async fn failed(world: &World, count: usize) -> Vec<Value> {
    eventually("the failed events", async || {
        let list = world.command(&["failed", "list", FAILURES]).json;
        let events = list["events"].as_array()?.clone();
        (events.len() == count).then_some(events)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leed_is_offered_told_of_and_sold_once() {
    let world = World::start();
    for recipient in ["bob@example.com", "cem@example.com", "ada@example.com"] {
        subscribe(&world, " clowns ", recipient).await;
    }
    subscribe(&world, "plumbers", "dan@example.com").await;
    let twice = json!({"trade": "CLOWNS", "recipient": "bob@example.com"});
    let (status, _) = send(&world, Method::POST, "/subscriptions", &twice).await;
    assert_eq!(status, 200, "subscribing again changes nothing");

    // The same booking by several at the same time, and again in other letters.
    let booking = leed("Berlin");
    let bookings = (0..6).map(|_| send(&world, Method::POST, "/leeds", &booking));
    let answers = futures::future::join_all(bookings).await;
    let (offered, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(status, _)| *status == 201);
    assert_eq!(offered.len(), 1, "{offered:?}");
    for (status, answer) in &refused {
        assert_eq!(*status, 409, "{answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(
            message.contains("clowns on 2026-12-31 at Berlin"),
            "{message}"
        );
    }
    assert_eq!(
        send(&world, Method::POST, "/leeds", &leed(" BERLIN"))
            .await
            .0,
        409
    );
    let first = &offered[0].1;
    assert_eq!(
        (&first["status"], &first["trade"]),
        (&json!("open"), &json!("clowns"))
    );
    let id = first["id"].as_str().unwrap();
    let path = format!("/leeds/{id}");
    let (status, shown) = send(&world, Method::GET, &path, &Value::Null).await;
    assert_eq!((status, &shown), (200, first));

    let subscribers = told(id, &["bob@example.com", "cem@example.com"]);
    eventually(
        "the trade's subscribers but the seller are told",
        async || (delivered(&world).await == (subscribers.clone(), 1)).then_some(()),
    )
    .await;

    sell_to_one_of_several(&world, &format!("{path}/buy")).await;
    let mut expected = subscribers;
    expected.insert(format!("DELIVERY#leed_sold-{id}"));
    eventually("the seller is told, and nobody else", async || {
        (delivered(&world).await == (expected.clone(), 1)).then_some(())
    })
    .await;
    let audit = eventually("both are noted down", async || {
        let items = world.items(&format!("{PATTERN}-AuditTable")).await;
        (items.len() == 2 && is_handed_over(&world).await).then_some(items)
    })
    .await;
    let noted: BTreeSet<_> = audit.iter().map(|item| text(item, "pk")).collect();
    let events = ["leed_offered", "leed_sold"];
    assert_eq!(
        noted,
        events.map(|event| format!("AUDIT#{event}-{id}")).into()
    );

    let leave = "/subscriptions?trade=clowns&recipient=bob@example.com";
    assert_eq!(
        send(&world, Method::DELETE, leave, &Value::Null).await.0,
        204
    );
    assert_eq!(
        send(&world, Method::DELETE, leave, &Value::Null).await.0,
        404
    );
    let leave = json!({"trade": "clowns", "recipient": "cem@example.com"});
    let (status, _) = send(&world, Method::DELETE, "/subscriptions", &leave).await;
    assert_eq!(status, 204);
    let later = offer(&world, "Bern").await;
    eventually("the later leed is noted down", async || {
        let items = world.items(&format!("{PATTERN}-AuditTable")).await;
        (items.len() == 3 && is_handed_over(&world).await).then_some(())
    })
    .await;
    let (ids, _) = delivered(&world).await;
    assert!(
        !ids.iter().any(|id| id.contains(&later)),
        "nobody is left: {ids:?}"
    );
}

/// Several want it at the same time, and one gets it.
async fn sell_to_one_of_several(world: &World, buy: &str) {
    let buyers = ["bob@example.com", "cem@example.com", "eve@example.com"];
    let bodies = buyers.map(|buyer| json!({"buyer": buyer}));
    let attempts = bodies
        .iter()
        .map(|body| send(world, Method::POST, buy, body));
    let answers = futures::future::join_all(attempts).await;
    let sold: Vec<_> = answers
        .iter()
        .filter(|(status, _)| *status == 200)
        .collect();
    assert_eq!(sold.len(), 1, "{answers:?}");
    assert_eq!(sold[0].1["status"], "sold");
    for (status, answer) in answers.iter().filter(|(status, _)| *status != 200) {
        assert_eq!(*status, 409, "{answer}");
    }
    let (status, again) = send(world, Method::POST, buy, &bodies[0]).await;
    assert_eq!(
        (status, &again["message"]),
        (409, &json!("Leed is sold already"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_key_is_carried_out_once() {
    let world = World::start();
    let body = leed("Berlin");
    let at_once = (0..5).map(|_| send_once(&world, "offer-1", "/leeds", &body));
    let answers = futures::future::join_all(at_once).await;
    for (status, answer) in &answers {
        assert!(matches!(status, 201 | 409), "{status}: {answer}");
    }
    let (status, offered) = send_once(&world, "offer-1", "/leeds", &body).await;
    assert_eq!(
        status, 201,
        "the first answer again, not a conflict with itself"
    );
    assert_eq!(
        send_once(&world, "offer-1", "/leeds", &leed("Bern"))
            .await
            .0,
        422
    );
    let buy = format!("/leeds/{}/buy", offered["id"].as_str().unwrap());
    let body = json!({"buyer": "bob@example.com"});
    let (status, bought) = send_once(&world, "buy-1", &buy, &body).await;
    assert_eq!(status, 200, "{bought}");
    assert_eq!(send_once(&world, "buy-1", &buy, &body).await, (200, bought));
    assert_eq!(send_once(&world, "buy-2", &buy, &body).await.0, 409);
    let leeds = world.items(&format!("{PATTERN}-LeedsTable")).await;
    assert_eq!(leeds.len(), 2, "one leed and its booking");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_request_says_what_is_wrong_with_it() {
    let world = World::start();
    let id = offer(&world, "Berlin").await;
    let buy = format!("/leeds/{id}/buy");
    let long = json!({"trade": "x".repeat(51), "recipient": "y".repeat(129)}).to_string();
    let large = json!({"buyer": "bob", "more": "y".repeat(200_000)}).to_string();
    let (bob, ada) = (r#"{"buyer": "bob"}"#, r#"{"buyer": "ada@example.com"}"#);
    let subscriptions = "/subscriptions";
    for (method, path, body, status, part) in [
        ("POST", "/leeds", "", 400, "Request body is required"),
        ("POST", "/leeds", "{", 400, "Invalid JSON"),
        ("POST", "/leeds", "[]", 400, "JSON object"),
        ("POST", "/leeds", "{}", 400, "seller: is required"),
        ("POST", "/leeds", r#"{"date": 5}"#, 400, "date: "),
        ("POST", "/leeds", r#"{"date": "31."}"#, 400, "2026-12-31"),
        ("POST", subscriptions, "{}", 400, "recipient: is required"),
        ("POST", subscriptions, &long, 400, "1 to 50 characters"),
        ("DELETE", "/subscriptions?trade=x", "", 400, "recipient: "),
        ("DELETE", subscriptions, "", 400, "body is required"),
        ("POST", &buy, "{}", 400, "buyer: is required"),
        ("POST", &buy, r#"{"buyer": "a b"}"#, 400, "buyer: "),
        ("POST", &buy, ada, 400, "not be the seller"),
        ("POST", &buy, &large, 413, "131072 bytes"),
        ("POST", "/leeds/%00%FF/buy", bob, 404, "Leed not found"),
        ("POST", "/leeds/7f1e/buy", bob, 404, "Leed not found"),
        ("GET", "/leeds/7f1e", "", 404, "Leed not found"),
    ] {
        let method = method.parse().unwrap();
        refused(&world, method, path, JSON, body, status, part).await;
    }
    let form = ("content-type", "application/x-www-form-urlencoded");
    refused(
        &world,
        Method::POST,
        "/leeds",
        form,
        "{}",
        415,
        "application/json",
    )
    .await;
    let key = ("idempotency-key", "a b");
    refused(&world, Method::POST, &buy, key, bob, 400, "Idempotency-Key").await;
    let (_, shown) = send(&world, Method::GET, &format!("/leeds/{id}"), &Value::Null).await;
    assert_eq!(shown["status"], "open", "nothing was sold");
}

async fn refused(
    world: &World,
    method: Method,
    path: &str,
    header: (&str, &str),
    body: &str,
    status: u16,
    part: &str,
) {
    let (answered, answer) = call(world, PATTERN, method, path, &[header], body.to_owned()).await;
    assert_eq!(answered, status, "{path} {body:.60}: {answer}");
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains(part), "{path} {body:.60}: {message}");
    assert!(answer["correlationId"].is_string(), "{answer}");
}

/// The original answered errors as successes, so that nothing was tried again and its dead-letter queue stayed empty.
#[tokio::test(flavor = "multi_thread")]
async fn d2_a_wrong_request_fails_is_kept_and_can_be_corrected() {
    let world = World::start();
    let wrong = [
        (
            json!({"function": "fly"}),
            "UnknownFunction",
            "Unknown function request: fly",
        ),
        (
            json!({"id": "7"}),
            "InvalidRequest",
            "The request names no function",
        ),
        (
            json!({"function": "notifyUsers", "id": "7", "trade": "clowns"}),
            "InvalidArguments",
            "missing field `seller`",
        ),
        (
            json!({"function": "sendNotification", "action": "task_eaten"}),
            "InvalidArguments",
            "task_eaten",
        ),
    ];
    for (request, kind, message) in &wrong {
        let (good, error) = ask(&world, request).await;
        assert!(!good, "a caller who waits sees the failure: {error}");
        assert_eq!(error["errorType"], *kind, "{error}");
        let said = error["errorMessage"].as_str().unwrap();
        assert!(said.contains(message), "{said}");
        tell(&world, request).await;
    }
    let events = failed(&world, wrong.len()).await;
    for (_, kind, message) in &wrong {
        let kept = events.iter().any(|event| {
            event["error_type"] == *kind
                && event["error_message"].as_str().unwrap().contains(message)
                && event["receive_count"] == 3
        });
        assert!(kept, "{kind} after three attempts: {events:?}");
    }
    assert!(world.deliveries(PATTERN).await.is_empty());

    // An operator corrects one of them.
    let unknown = events
        .iter()
        .find(|event| event["error_type"] == "UnknownFunction");
    let id = unknown.unwrap()["id"].as_str().unwrap();
    let patch = tempfile::NamedTempFile::new().unwrap();
    let correction = r#"[{"op": "replace", "path": "/function", "value": "listTasks"}]"#;
    std::fs::write(patch.path(), correction).unwrap();
    let patch = patch.path().to_str().unwrap();
    let redriven = world.command(&["redrive", FAILURES, "--ids", id, "--patch", patch, "--yes"]);
    assert_eq!(redriven.code, 0, "{}", redriven.json);
    failed(&world, wrong.len() - 1).await;
}

/// With one of four unreachable, the other three are told once, however often it is tried.
#[tokio::test(flavor = "multi_thread")]
async fn one_who_cannot_be_told_costs_the_others_nothing() {
    let world = World::start();
    let all = [
        "bob@example.com",
        "cem@example.com",
        "dan@example.com",
        "eve@example.com",
    ];
    for recipient in all {
        subscribe(&world, "clowns", recipient).await;
    }
    world
        .set(CONTROLLER, &[("DELIVERY_FAIL_MATCH", "cem@")])
        .await;
    let id = offer(&world, "Berlin").await;
    let events = failed(&world, 1).await;
    assert_eq!(events[0]["error_type"], "NotAllTold");
    let message = events[0]["error_message"].as_str().unwrap();
    assert!(
        message.starts_with("1 of 4 recipients were not told"),
        "{message}"
    );
    let others = told(&id, &[all[0], all[2], all[3]]);
    assert_eq!(delivered(&world).await, (others, 1));

    world.set(CONTROLLER, &[("DELIVERY_FAIL_MATCH", "")]).await;
    let redriven = world.command(&["redrive", FAILURES, "--yes", "--all-at-once"]);
    assert_eq!(redriven.code, 0, "{}", redriven.json);
    eventually("the fourth is told", async || {
        (delivered(&world).await.0 == told(&id, &all)).then_some(())
    })
    .await;
    for (entry, _, attempts) in world.deliveries(PATTERN).await {
        let expected = if entry.contains("cem@") { 4 } else { 1 };
        assert_eq!(attempts, expected, "{entry}");
    }
}

/// Asked synchronously, it asks another function before it answers.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_told_of_by_the_controller_and_listed_through_it() {
    let world = World::start();
    let (status, task) = world.post_task(PATTERN, &json!({"title": "Paint"})).await;
    assert_eq!(status, 201, "{task}");
    let id = format!("DELIVERY#task_created-{}", task["id"].as_str().unwrap());
    eventually("the task is told of", async || {
        (delivered(&world).await == (BTreeSet::from([id.clone()]), 1)).then_some(())
    })
    .await;
    let question = json!({"function": "listTasks", "correlationId": "c-1"});
    let (good, answer) = ask(&world, &question).await;
    assert!(good, "{answer}");
    assert_eq!(answer["cd"], 1, "{answer}");
    assert_eq!(answer["msg"], "Mail handler invoked: listTasks");
    assert_eq!(answer["tasks"][0]["title"], "Paint");

    let entry = json!({"function": "audit", "id": "e-1", "event": "leed_sold", "leed": "7", "actor": "bob",
        "at": "2026-01-01T00:00:00Z"});
    assert_eq!(ask(&world, &entry).await.1["duplicate"], false);
    assert_eq!(
        ask(&world, &entry).await.1["duplicate"],
        true,
        "noted down once"
    );

    world
        .set("async-controller-list-tasks", &[("TASKS_TABLE", "gone")])
        .await;
    let (good, error) = ask(&world, &question).await;
    assert!(!good, "an error is not an answer: {error}");
    assert_eq!(error["errorType"], "FunctionUnavailable", "{error}");
    let message = error["errorMessage"].as_str().unwrap();
    assert!(message.contains("TasksUnavailable"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bookkeeping_that_cannot_be_handed_over_is_done_later() {
    let world = World::start_with(&["--admin"]);
    subscribe(&world, "clowns", "bob@example.com").await;
    let unavailable = json!({"kind": "error", "error": "unavailable"});
    let broken = json!([{"service": "lambda", "operation": "Invoke", "resource": CONTROLLER, "fault": unavailable}]);
    world.faults(broken).await;
    let id = offer(&world, "Berlin").await;
    let kept = world.items(&format!("{PATTERN}-OutboxTable")).await;
    assert_eq!(
        kept.len(),
        2,
        "the leed is offered, its bookkeeping is kept"
    );
    world.faults(json!([])).await;
    eventually("the sweep hands it over", async || {
        // Only until it is handed over: a function's time runs out by the same clock.
        if !is_handed_over(&world).await {
            world.advance(Duration::from_mins(1)).await;
            return None;
        }
        let (ids, _) = delivered(&world).await;
        let audit = world.items(&format!("{PATTERN}-AuditTable")).await;
        (ids == told(&id, &["bob@example.com"]) && audit.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_controller_tells_every_subscriber_once() {
    const SUBSCRIBERS: usize = 50;
    let world = World::start();
    subscribe_many(&world, SUBSCRIBERS).await;
    world
        .set(CONTROLLER, &[("DELIVERY_LATENCY_MS", "200")])
        .await;
    let id = offer(&world, "Berlin").await;
    let before = eventually("some are told", async || {
        let (ids, _) = delivered(&world).await;
        (!ids.is_empty()).then_some(ids)
    })
    .await;
    assert!(before.len() < SUBSCRIBERS, "it is still at work");
    let killed = controllers(world.pid());
    assert!(!killed.is_empty());
    for pid in killed {
        signal(pid, Signal::KILL);
    }
    eventually("everybody is told", async || {
        (delivered(&world).await.0.len() == SUBSCRIBERS).then_some(())
    })
    .await;
    let deliveries = world.deliveries(PATTERN).await;
    assert_eq!(deliveries.len(), SUBSCRIBERS, "one entry each");
    for (entry, _, attempts) in deliveries {
        assert!(entry.contains(&id));
        let most = if before.contains(&entry) { 1 } else { 2 };
        assert!(attempts <= most, "{entry} was tried {attempts} times");
    }
    assert!(world.command(&["failed", "list", FAILURES]).json["events"] == json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_subscribers_are_told_page_by_page() {
    const SUBSCRIBERS: usize = 250;
    let world = World::start();
    subscribe_many(&world, SUBSCRIBERS).await;
    let id = offer(&world, "Berlin").await;
    eventually("everybody is told", async || {
        let (ids, _) = delivered(&world).await;
        let all = ids.iter().all(|entry| entry.contains(&id));
        (all && ids.len() == SUBSCRIBERS).then_some(())
    })
    .await;
}

/// A controller that is nearly out of time hands the other subscribers on, page after page.
#[tokio::test(flavor = "multi_thread")]
async fn whom_there_is_no_time_for_is_told_by_another_invocation() {
    const SUBSCRIBERS: usize = 210;
    let world = World::start_with(&["--no-daemon"]);
    subscribe_many(&world, SUBSCRIBERS).await;
    // Below 15 s it begins no other page, and a page of a hundred takes more than half a second.
    world.limit(CONTROLLER, 16).await;
    world
        .set(CONTROLLER, &[("DELIVERY_LATENCY_MS", "50")])
        .await;
    let id = offer(&world, "Berlin").await;
    eventually("everybody is told", async || {
        (delivered(&world).await.0.len() == SUBSCRIBERS).then_some(())
    })
    .await;
    let deliveries = world.deliveries(PATTERN).await;
    assert_eq!(deliveries.len(), SUBSCRIBERS, "one entry each");
    let parts = eventually("the last part is handed on", async || {
        let parts = world.items(&format!("{PATTERN}-RequestsTable")).await;
        let done = |part: &Item| text(part, "status") == "HANDED_ON";
        (parts.len() == 2 && parts.iter().all(done)).then_some(parts)
    })
    .await;
    let mut names: Vec<_> = parts.iter().map(|part| text(part, "pk")).collect();
    names.sort();
    assert_eq!(names, [format!("PART#{id}-1"), format!("PART#{id}-2")]);
}

type Item = std::collections::HashMap<String, AttributeValue>;

fn text(item: &Item, name: &str) -> String {
    item[name].as_s().unwrap().clone()
}

/// Processes that run the controller.
fn controllers(pid: u32) -> Vec<u32> {
    let is_controller = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
            let words: Vec<_> = line.split(|byte| *byte == 0).collect();
            words
                .windows(2)
                .any(|pair| pair == [b"function".as_slice(), b"controller".as_slice()])
        })
    };
    descendants(pid).into_iter().filter(is_controller).collect()
}
