//! Internal handoff: what becomes of an event that one function hands to another.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use reqwest::Method;
use serde_json::{Value, json};

use crate::story::{HANDOFF_CONSUMER, HANDOFF_FAILURES, QUEUE, QUEUE_CONSUMER};
use crate::tasks::call;
use crate::world::{World, eventually};

const JSON: (&str, &str) = ("content-type", "application/json");

/// The actions that were delivered for a task, each exactly once at the first attempt.
async fn delivered(world: &World, pattern: &str, task_id: &str) -> BTreeSet<String> {
    let deliveries = world.deliveries(pattern).await.into_iter();
    deliveries
        .filter(|(id, status, attempts)| {
            id.contains(task_id) && status == "DELIVERED" && *attempts == 1
        })
        .map(|(id, ..)| {
            let (action, _) = id.split_once('-').unwrap();
            action.strip_prefix("DELIVERY#").unwrap().to_owned()
        })
        .collect()
}

fn set(actions: &[&str]) -> BTreeSet<String> {
    actions.iter().map(|action| (*action).to_owned()).collect()
}

/// The two requests that people copy, and the rest of a task's life.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_told_of_at_each_turn_of_its_life_and_no_more() {
    let world = World::start();
    for pattern in ["internal-handoff", "queue-leveling"] {
        let send = async |method, path: &str, body: &'static str| {
            call(&world, pattern, method, path, &[JSON], body).await
        };
        let new = r#"{"title":"Implement feature X"}"#;
        let (status, task) = send(Method::POST, "/tasks", new).await;
        assert_eq!((status.as_u16(), &task["status"]), (201, &json!("pending")));
        let id = task["id"].as_str().unwrap();
        let path = format!("/tasks/{id}");

        let completed = r#"{"title":"Updated title","status":"completed"}"#;
        let (status, first) = send(Method::PUT, &path, completed).await;
        assert_eq!(status, 200, "{first}");
        assert_eq!(first["title"], "Updated title");
        assert_eq!(first["isComplete"], true);
        assert_eq!(first["createdAt"], task["createdAt"]);
        let (status, again) = send(Method::PUT, &path, completed).await;
        assert_eq!(
            (status.as_u16(), &again),
            (200, &first),
            "nothing to change, nothing to tell"
        );

        let renamed = r#"{"title":"Another title","isComplete":true}"#;
        assert_eq!(send(Method::PUT, &path, renamed).await.0, 200);
        assert_eq!(send(Method::DELETE, &path, "").await.0, 204);
        assert_eq!(send(Method::DELETE, &path, "").await.0, 404);
        assert_eq!(send(Method::PUT, &path, renamed).await.0, 404);

        let expected = if pattern == "queue-leveling" {
            set(&[
                "task_created",
                "task_completed",
                "task_updated",
                "task_deleted",
            ])
        } else {
            set(&["task_created", "task_completed", "task_deleted"])
        };
        eventually("every event is delivered once", async || {
            (delivered(&world, pattern, id).await == expected).then_some(())
        })
        .await;
        assert_eq!(world.deliveries(pattern).await.len(), expected.len());
        assert!(
            world
                .items(&format!("{pattern}-OutboxTable"))
                .await
                .is_empty()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_task_is_stored_once_and_told_of_later_when_the_handoff_fails() {
    let world = World::start_with(&["--admin"]);
    let unavailable = json!({"kind": "error", "error": "unavailable"});
    world
        .faults(json!([
            {"service": "lambda", "operation": "Invoke", "resource": HANDOFF_CONSUMER, "fault": unavailable},
            {"service": "sqs", "operation": "SendMessage", "resource": QUEUE, "fault": unavailable},
        ]))
        .await;
    let mut ids = Vec::new();
    for pattern in ["internal-handoff", "queue-leveling"] {
        let (status, task) = world.post_task(pattern, &json!({"title": "x"})).await;
        assert_eq!(status, 201, "{task}");
        ids.push((pattern, task["id"].as_str().unwrap().to_owned()));
        let kept = world.items(&format!("{pattern}-OutboxTable")).await;
        assert_eq!(kept.len(), 1, "the event is kept");
        assert!(world.deliveries(pattern).await.is_empty());
        let counted = logs(&world, &format!("{pattern}-create-task"), "HandoffFailed").await;
        assert!(
            counted
                .iter()
                .any(|line| line.contains("\"HandoffFailed\":1")),
            "{counted:?}"
        );
    }
    world.faults(json!([])).await;
    for (pattern, id) in ids {
        eventually("the sweep tells of it", async || {
            world.advance(Duration::from_mins(1)).await;
            let told = delivered(&world, pattern, &id).await == set(&["task_created"]);
            let empty = world
                .items(&format!("{pattern}-OutboxTable"))
                .await
                .is_empty();
            (told && empty).then_some(())
        })
        .await;
        assert_eq!(world.items(&format!("{pattern}-TasksTable")).await.len(), 1);
    }
}

/// Lines of a function's log that hold a text.
pub async fn logs(world: &World, function: &str, text: &str) -> Vec<String> {
    let logs = aws_sdk_cloudwatchlogs::Client::new(&world.sdk());
    let found = logs
        .filter_log_events()
        .log_group_name(format!("/aws/lambda/{function}"))
        .filter_pattern(format!("\"{text}\""))
        .send()
        .await
        .unwrap();
    let lines = found.events().iter();
    lines
        .map(|line| line.message().unwrap().to_owned())
        .collect()
}

async fn invoke(world: &World, function: &str, payload: &Value) -> (bool, Value) {
    let lambda = aws_sdk_lambda::Client::new(&world.sdk());
    let answer = lambda
        .invoke()
        .function_name(function)
        .payload(Blob::new(payload.to_string()))
        .send()
        .await
        .unwrap();
    let payload = serde_json::from_slice(answer.payload().unwrap().as_ref()).unwrap();
    (answer.function_error().is_none(), payload)
}

fn event(id: &str) -> Value {
    let at = "2026-01-01T00:00:00Z";
    let task =
        json!({"id": id, "title": "x", "isComplete": false, "createdAt": at, "updatedAt": at});
    json!({"action": "task_created", "payload": {"task": task}})
}

#[tokio::test(flavor = "multi_thread")]
async fn d13_an_event_that_arrives_twice_is_delivered_once() {
    let world = World::start();
    world
        .set(HANDOFF_CONSUMER, &[("DELIVERY_LATENCY_MS", "300")])
        .await;
    let once = event("twice");
    let at_once = (0..8).map(|_| invoke(&world, HANDOFF_CONSUMER, &once));
    let answers = futures::future::join_all(at_once).await;
    let sent = |(good, answer): &&(bool, Value)| *good && answer["duplicate"] == false;
    assert_eq!(answers.iter().filter(sent).count(), 1, "{answers:?}");
    for (good, answer) in &answers {
        let waits = answer["errorType"] == "TransientDelivery";
        assert!(
            *good || waits,
            "the others are duplicates or come again: {answer}"
        );
    }
    let (good, later) = invoke(&world, HANDOFF_CONSUMER, &once).await;
    assert!(good && later["duplicate"] == true, "{later}");
    assert_eq!(
        delivered(&world, "internal-handoff", "twice").await.len(),
        1
    );
}

/// The original answered errors as successes, so that nothing was ever tried again.
#[tokio::test(flavor = "multi_thread")]
async fn d2_an_event_that_cannot_be_read_fails_and_is_kept() {
    let world = World::start();
    let lambda = aws_sdk_lambda::Client::new(&world.sdk());
    let mut odd = event("odd");
    odd["action"] = json!("task_eaten");
    for wrong in [
        odd,
        json!({"action": 5}),
        json!({"payload": {}}),
        json!("text"),
    ] {
        let (good, error) = invoke(&world, HANDOFF_CONSUMER, &wrong).await;
        assert!(
            !good && error["errorType"] == "PermanentDelivery",
            "{wrong}: {error}"
        );
        lambda
            .invoke()
            .function_name(HANDOFF_CONSUMER)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(wrong.to_string()))
            .send()
            .await
            .unwrap();
    }
    let failed = eventually("four failure records", async || {
        let list = world.command(&["failed", "list", HANDOFF_FAILURES]).json;
        (list["events"].as_array()?.len() == 4).then_some(list)
    })
    .await;
    for event in failed["events"].as_array().unwrap() {
        assert_eq!(event["receive_count"], 3, "three attempts: {event}");
        assert_eq!(event["error_type"], "PermanentDelivery");
    }
    assert!(world.deliveries("internal-handoff").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_fails_once_is_made_at_the_second_attempt() {
    let world = World::start();
    for (pattern, consumer) in [
        ("internal-handoff", HANDOFF_CONSUMER),
        ("queue-leveling", QUEUE_CONSUMER),
    ] {
        world
            .set(consumer, &[("DELIVERY_FAIL_MATCH", "flaky")])
            .await;
        for title in ["flaky", "steady"] {
            assert_eq!(
                world.post_task(pattern, &json!({"title": title})).await.0,
                201
            );
        }
        eventually("one is delivered, the other failed", async || {
            let mut deliveries = world.deliveries(pattern).await;
            deliveries.sort_by(|a, b| a.1.cmp(&b.1));
            let states: Vec<_> = deliveries
                .iter()
                .map(|(_, status, _)| status.as_str())
                .collect();
            (states == ["DELIVERED", "FAILED"]).then_some(())
        })
        .await;
        world.set(consumer, &[("DELIVERY_FAIL_MATCH", "")]).await;
        eventually("both are delivered", async || {
            let deliveries = world.deliveries(pattern).await;
            let both = deliveries
                .iter()
                .all(|(_, status, _)| status == "DELIVERED");
            let retried = deliveries.iter().any(|(_, _, attempts)| *attempts > 1);
            (both && retried && deliveries.len() == 2).then_some(())
        })
        .await;
    }
}
