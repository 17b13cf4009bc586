//! Functions that answer a caller end with kill -9 in the middle of it: whoever asks again gets what it asked for, once.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::fan_out::{CSV, upload};
use crate::killed::kill;
use crate::service_communication::{STACK, Services};
use crate::tasks::call;
use crate::world::{World, eventually};

/// Kills a function as soon as it is at work and `begun`.
async fn kill_when(world: &World, function: &str, begun: impl AsyncFn() -> bool) {
    eventually("it is at work, and killed", async || {
        (begun().await && kill(world.pid(), function) > 0).then_some(())
    })
    .await;
}

async fn is_there(world: &World, table: &str) -> bool {
    !world.items(table).await.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_killed_and_repeated_makes_each_task_once() {
    const ROWS: usize = 60;
    let world = World::start_with(&["--admin", "--no-daemon"]);
    // So long is the file claimed by what was killed.
    world.limit("fan-out-upload-tasks", 5).await;
    let slow = json!([{"service": "sqs", "operation": "SendMessageBatch", "resource": "fan-out-chunks",
        "fault": {"kind": "delay", "ms": 2_000}}]);
    world.faults(slow).await;
    let lines = (0..ROWS).map(|row| format!("task {row}\n"));
    let file = format!("title\n{}", lines.collect::<String>());
    let upload = || upload(&world, &[CSV], file.clone());
    let begun = async || is_there(&world, "fan-out-BatchesTable").await;
    let ((status, answer), ()) = tokio::join!(upload(), kill_when(&world, "upload-tasks", begun));
    assert!(status.as_u16() >= 500, "{status}: {answer}");
    world.faults(json!([])).await;
    let batch_id = eventually("the repeated upload is taken", async || {
        let (status, answer) = upload().await;
        assert!(
            matches!(status.as_u16(), 200 | 202 | 409),
            "{status}: {answer}"
        );
        answer["batchId"].as_str().map(str::to_owned)
    })
    .await;
    let path = format!("/tasks/batches/{batch_id}");
    eventually("each row has its task", async || {
        let (_, is) = call(&world, "fan-out", Method::GET, &path, &[], "").await;
        (is["created"] == ROWS && is["sent"] == ROWS).then_some(())
    })
    .await;
    let tasks = world.items("fan-out-TasksTable").await;
    let titles = tasks.iter().map(|task| task["title"].as_s().unwrap());
    let titles: BTreeSet<_> = titles.collect();
    assert_eq!((tasks.len(), titles.len()), (ROWS, ROWS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leed_whose_functions_are_killed_is_offered_once_and_sold_once() {
    let world = World::start_with(&["--admin", "--no-daemon"]);
    for function in ["create-leed", "buy-leed"] {
        world
            .limit(&format!("async-controller-{function}"), 3)
            .await;
    }
    let post = async |key: &str, path: &str, body: Value| {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        let body = body.to_string();
        call(
            &world,
            "async-controller",
            Method::POST,
            path,
            &headers,
            body,
        )
        .await
    };
    let subscription = json!({"trade": "clowns", "recipient": "bob@example.com"});
    assert_eq!(post("s", "/subscriptions", subscription).await.0, 201);
    let leed = json!({"trade": "clowns", "date": "2026-12-31", "place": "Berlin", "seller": "ada@example.com"});
    let slow = json!([{"service": "dynamodb", "operation": "TransactWriteItems", "fault": {"kind": "delay", "ms": 1_500}}]);
    let requests = async || world.items("async-controller-RequestsTable").await.len();

    let killed_and_repeated = async |function: &str, path: &str, body: &Value, good: u16| {
        let before = requests().await;
        world.faults(slow.clone()).await;
        let claimed = async || requests().await > before;
        let first = post(function, path, body.clone());
        let ((status, answer), ()) = tokio::join!(first, kill_when(&world, function, claimed));
        assert!(status.as_u16() >= 500, "{status}: {answer}");
        world.faults(json!([])).await;
        eventually("the repeated request is carried out", async || {
            let (status, answer) = post(function, path, body.clone()).await;
            let meanwhile = matches!(status.as_u16(), 409 | 500..);
            assert!(status == good || meanwhile, "{status}: {answer}");
            (status == good).then_some(answer)
        })
        .await
    };
    let offered = killed_and_repeated("create-leed", "/leeds", &leed, 201).await;
    let id = offered["id"].as_str().unwrap();
    let buyer = json!({"buyer": "bob@example.com"});
    let buy = format!("/leeds/{id}/buy");
    let sold = killed_and_repeated("buy-leed", &buy, &buyer, 200).await;
    assert_eq!(sold["status"], "sold", "{sold}");
    let other = post("other", &buy, json!({"buyer": "cem@example.com"})).await;
    assert_eq!(other.0, 409, "{}", other.1);

    let told = BTreeSet::from([
        format!("DELIVERY#{id}-bob@example.com"),
        format!("DELIVERY#leed_sold-{id}"),
    ]);
    eventually("both are told, and both facts noted down", async || {
        world.advance(Duration::from_mins(1)).await;
        let deliveries = world.deliveries("async-controller").await.into_iter();
        let done: BTreeSet<_> = deliveries
            .filter(|(_, status, _)| status == "DELIVERED")
            .map(|(id, ..)| id)
            .collect();
        let audit = world.items("async-controller-AuditTable").await.len();
        let outbox = world.items("async-controller-OutboxTable").await.len();
        (done == told && audit == 2 && outbox == 0).then_some(())
    })
    .await;
    let leeds = world.items("async-controller-LeedsTable").await;
    assert_eq!(leeds.len(), 2, "one leed and its booking");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_killed_makes_one_account_with_one_welcome() {
    let services = Services::start();
    let world = &services.world;
    let accounts = format!("{STACK}-AccountsTable");
    let slow = json!([{"service": "dynamodb", "operation": "TransactWriteItems", "fault": {"kind": "delay", "ms": 1_500}}]);
    services.faults(&slow).await;
    let account = json!({"email": "ada@example.com", "name": "Ada", "password": "correct horse"});
    let register = || services.post("/auth/register", &[], &account);
    // Auth writes nothing before the transaction: it is at work when its write waits.
    let writing = async || {
        let url = format!("{}/_patterns/faults", world.endpoint_url);
        let faults: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        faults["rules"][0]["struck"].as_u64() > Some(0)
    };
    let (reply, ()) = tokio::join!(register(), kill_when(world, "auth", writing));
    assert!(reply.status >= 500, "{}", reply.json);
    services.faults(&json!([])).await;
    let again = register().await;
    assert!(matches!(again.status, 201 | 409), "{}", again.json);
    let credentials = json!({"email": "ada@example.com", "password": "correct horse"});
    let login = services.post("/auth/login", &[], &credentials).await;
    assert_eq!(login.status, 200, "{}", login.json);
    let users = world.items(&accounts).await;
    let users = users
        .iter()
        .filter(|item| item["pk"].as_s().unwrap().starts_with("USER#"));
    assert_eq!(users.count(), 1);
    let welcome = format!(
        "DELIVERY#welcome-email-{}",
        login.json["user"]["id"].as_str().unwrap()
    );
    eventually("one welcome", async || {
        services.sweep().await;
        let deliveries = world.deliveries(STACK).await;
        (deliveries == [(welcome.clone(), "DELIVERED".to_owned(), 1)]).then_some(())
    })
    .await;
}
