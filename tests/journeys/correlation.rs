//! What the logs say: the id of the request in every line that follows from it, and nothing of what bodies hold.

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;
use reqwest::Method;
use serde_json::{Value, json};

use crate::handoff::logs;
use crate::story::{HANDOFF_CONSUMER, HANDOFF_FAILURES, QUEUE};
use crate::tasks::call;
use crate::world::{World, eventually};

const JSON: (&str, &str) = ("content-type", "application/json");

/// The failed event of a queue, once it is there.
async fn failed(world: &World, queue: &str) -> Value {
    eventually("a failed event", async || {
        let list = world.command(&["failed", "list", queue]).json;
        list["events"].as_array()?.first().cloned()
    })
    .await
}

fn all_name(lines: &[String], id: &str) {
    let named = format!("\"correlationId\":\"{id}\"");
    assert!(!lines.is_empty(), "no line names {id}");
    for line in lines {
        assert!(line.contains(&named), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d12_a_handed_over_event_keeps_its_correlation_id_through_a_redrive() {
    let world = World::start();
    world
        .set(HANDOFF_CONSUMER, &[("DELIVERY_FAIL_MATCH", "task_deleted")])
        .await;
    let headers = [JSON, ("x-correlation-id", "order-7.a_b")];
    let send = async |method, path: &str, body: &'static str| {
        call(&world, "internal-handoff", method, path, &headers, body).await
    };
    let (_, task) = send(Method::POST, "/tasks", r#"{"title": "Keep me"}"#).await;
    let path = format!("/tasks/{}", task["id"].as_str().unwrap());
    assert_eq!(send(Method::DELETE, &path, "").await.0, 204);
    let event = failed(&world, HANDOFF_FAILURES).await;
    assert_eq!(event["correlation_id"], "order-7.a_b");
    // Who is told of a deletion gets the task, which is nowhere else any more.
    let shown = world.command(&["failed", "show", event["id"].as_str().unwrap()]);
    let payload = &shown.json["payload"];
    assert_eq!(payload["action"], "task_deleted", "{}", shown.json);
    assert_eq!(
        payload["payload"]["task"]["id"], task["id"],
        "{}",
        shown.json
    );
    assert_eq!(payload["payload"]["task"]["title"], "Keep me");
    all_name(
        &logs(&world, HANDOFF_CONSUMER, "task_deleted").await,
        "order-7.a_b",
    );

    world
        .set(HANDOFF_CONSUMER, &[("DELIVERY_FAIL_MATCH", "")])
        .await;
    let redrive = [
        "redrive",
        HANDOFF_FAILURES,
        "--yes",
        "--force",
        "--all-at-once",
    ];
    let redriven = world.command(&redrive);
    assert_eq!(redriven.code, 0, "{}", redriven.json);
    eventually("both are delivered under their id", async || {
        let lines = logs(&world, HANDOFF_CONSUMER, "notification delivered").await;
        (lines.len() == 2).then(|| all_name(&lines, "order-7.a_b"))
    })
    .await;
    // An entry outlives every dead letter that could bring its event again.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    for entry in world.items("internal-handoff-DeliveriesTable").await {
        let expires: u64 = entry["expiresAt"].as_n().unwrap().parse().unwrap();
        assert!(expires > now + 14 * 24 * 3600 - 600, "{entry:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d12_the_controller_and_whom_it_asks_know_the_correlation_id() {
    const CONTROLLER: &str = "async-controller-controller";
    const LISTER: &str = "async-controller-list-tasks";
    let world = World::start();
    world
        .set(CONTROLLER, &[("DELIVERY_FAIL_MATCH", "bob@")])
        .await;
    let headers = [JSON, ("x-correlation-id", "leed-7.a_b")];
    let post = |path: &'static str, body: &'static str| {
        call(
            &world,
            "async-controller",
            Method::POST,
            path,
            &headers,
            body,
        )
    };
    let (status, answer) = post(
        "/subscriptions",
        r#"{"trade": "clowns", "recipient": "bob@example.com"}"#,
    )
    .await;
    assert_eq!(status, 201, "{answer}");
    let (status, answer) = post(
        "/leeds",
        r#"{"trade": "clowns", "date": "2026-12-31", "place": "Berlin", "seller": "ada"}"#,
    )
    .await;
    assert_eq!(status, 201, "{answer}");
    let event = failed(&world, "async-controller-failures").await;
    assert_eq!(event["correlation_id"], "leed-7.a_b");
    all_name(
        &logs(&world, CONTROLLER, "were not told").await,
        "leed-7.a_b",
    );

    world.set(LISTER, &[("TASKS_TABLE", "gone")]).await;
    let question = json!({"function": "listTasks", "correlationId": "list-7.a_b"});
    let lambda = aws_sdk_lambda::Client::new(&world.sdk());
    let asked = lambda.invoke().function_name(CONTROLLER);
    let asked = asked.payload(Blob::new(question.to_string())).send().await;
    assert!(asked.unwrap().function_error().is_some());
    all_name(&logs(&world, LISTER, "ERROR").await, "list-7.a_b");
}

/// What cannot be read is told of, but not what it holds: a body may hold anybody's secrets, wherever its sender put them.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_cannot_be_read_are_in_no_log() {
    const MARKER: &str = "hunter2-5f3a";
    let world = World::start_with(&["--no-daemon"]);
    let wrong = [
        json!(MARKER),
        json!([MARKER]),
        json!({"task": MARKER, "payload": MARKER, "rows": MARKER, "orderId": [MARKER]}),
        json!({"action": "task_created", "payload": {"task": {"id": "7", "title": [MARKER], "createdAt": MARKER}}}),
        json!({"function": "audit", "id": "7", "event": {"secret": MARKER}, "at": MARKER}),
        json!({"batchId": "b", "chunk": MARKER, "correlationId": "c", "row": 2, "task": MARKER}),
    ];
    let sqs = aws_sdk_sqs::Client::new(&world.sdk());
    let lambda = aws_sdk_lambda::Client::new(&world.sdk());
    let queues = [
        (QUEUE, "queue-leveling-send-notification"),
        ("fan-out-chunks", "fan-out-expand-batch"),
        ("fan-out-rows", "fan-out-create-task-subscriber"),
        (
            "service-communication-checkout",
            "service-communication-fulfil-orders",
        ),
        (
            "service-communication-notifications",
            "service-communication-send-notification",
        ),
    ];
    let correlation = MessageAttributeValue::builder()
        .data_type("String")
        .string_value("wrong-7.a_b");
    let correlation = correlation.build().unwrap();
    for (queue, _) in queues {
        let url = sqs.get_queue_url().queue_name(queue).send().await.unwrap();
        let url = url.queue_url.unwrap();
        for body in &wrong {
            let message = sqs.send_message().queue_url(&url);
            let message = message.message_attributes("correlationId", correlation.clone());
            message.message_body(body.to_string()).send().await.unwrap();
        }
    }
    let invoked = [
        HANDOFF_CONSUMER,
        "async-controller-controller",
        "fan-out-list-tasks",
    ];
    for function in invoked {
        for body in &wrong {
            let invoked = lambda.invoke().function_name(function);
            let invoked = invoked.payload(Blob::new(body.to_string())).send().await;
            invoked.unwrap();
        }
    }
    for body in &wrong {
        for (path, headers) in [
            ("/tasks", [JSON]),
            ("/tasks/upload", [("content-type", "text/csv")]),
        ] {
            let (status, _) = call(
                &world,
                "fan-out",
                Method::POST,
                path,
                &headers,
                body.to_string(),
            )
            .await;
            assert_eq!(status, 400);
        }
    }
    for (_, function) in queues {
        eventually("each is told of with its correlation id", async || {
            let lines = logs(&world, function, "ERROR").await;
            let named = lines.iter().filter(|line| line.contains("wrong-7.a_b"));
            (named.count() >= wrong.len()).then_some(())
        })
        .await;
    }
    let groups = aws_sdk_cloudwatchlogs::Client::new(&world.sdk());
    let groups = groups.describe_log_groups().into_paginator().items().send();
    let groups: Vec<_> = groups.collect::<Result<Vec<_>, _>>().await.unwrap();
    assert!(groups.len() >= queues.len() + invoked.len());
    for group in groups {
        let function = group.log_group_name().unwrap();
        let function = function.strip_prefix("/aws/lambda/").unwrap();
        let found = logs(&world, function, MARKER).await;
        assert!(found.is_empty(), "{found:?}");
    }
}

/// Whoever configures a function wrongly learns of all that is wrong at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_configured_wrongly_names_every_problem() {
    let world = World::start_with(&["--no-daemon"]);
    let lambda = aws_sdk_lambda::Client::new(&world.sdk());
    let invoke = async |function: &str, payload: &str| {
        let invoked = lambda.invoke().function_name(function);
        invoked.payload(Blob::new(payload)).send().await.unwrap()
    };
    let nothing = invoke("queue-leveling-send-notification", r#"{"Records": []}"#).await;
    assert_eq!(nothing.function_error(), None, "no records are no failure");
    let wrong = [
        ("DELIVERIES_TABLE", ""),
        ("DELIVERY_FAIL_RATE", "2"),
        ("LOGGING_LEVEL", "loud"),
        ("LOGGING_FORMAT", "xml"),
    ];
    world.set(HANDOFF_CONSUMER, &wrong).await;
    let answer = invoke(HANDOFF_CONSUMER, "{}").await;
    assert!(answer.function_error().is_some());
    let lines = eventually("it says why it does not start", async || {
        let lines = logs(&world, HANDOFF_CONSUMER, "environment variables are wrong").await;
        (!lines.is_empty()).then_some(lines)
    })
    .await;
    for (name, _) in wrong {
        assert!(
            lines.iter().all(|line| line.contains(name)),
            "{name}: {lines:?}"
        );
    }
}
