//! A redrive that is left to SQS: it is moved, and nobody claims to know more.

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use serde_json::json;

use crate::story::{QUEUE, QUEUE_FAILURES};
use crate::world::{World, eventually, must_say};

#[tokio::test(flavor = "multi_thread")]
async fn a_move_task_of_sqs_moves_everything_and_can_be_cancelled() {
    let world = World::start();
    fail(&world, 0..3).await;
    let args = ["redrive", QUEUE_FAILURES, "--native"];
    let plan = world.command(&[&args[..], &["--dry-run"]].concat());
    assert_eq!(
        (plan.code, &plan.json["planned"], &plan.json["steps"]),
        (0, &json!(3), &json!([])),
        "{}",
        plan.json
    );
    let why = plan.json["unverified"].as_str().unwrap();
    assert!(why.contains("new ids"), "{why}");
    let moved = world.command(&[&args[..], &["--yes", "--wait"]].concat());
    let figures = ["state", "moved", "sent", "settled"].map(|name| &moved.json[name]);
    assert_eq!(
        (moved.code, figures),
        (0, [&json!("completed"), &json!(3), &json!(0), &json!(0)]),
        "{}",
        moved.json
    );
    eventually("each is delivered once", async || {
        let deliveries = world.deliveries("queue-leveling").await;
        let once = deliveries
            .iter()
            .filter(|(_, status, attempts)| status == "DELIVERED" && *attempts == 1);
        (once.count() == 3 && world.depth(QUEUE_FAILURES)? == 0).then_some(())
    })
    .await;
    let id = moved.json["operation_id"].as_str().unwrap();
    let back = ["operations", "return", id, "--yes"];
    let parts = ["cannot be taken back", "new ids"];
    must_say(&back, &world.command(&back), 1, "conflict", &parts);
    let pause = ["operations", "pause", id];
    let parts = ["cannot be paused", "it has ended"];
    must_say(&pause, &world.command(&pause), 1, "conflict", &parts);

    fail(&world, 3..33).await;
    let slowly = world.command(&[&args[..], &["--rate", "2", "--yes"]].concat());
    assert_eq!(slowly.code, 0, "{}", slowly.json);
    let id = slowly.json["operation_id"].as_str().unwrap();
    let show = ["operations", "show", id];
    eventually("some are moved", async || {
        (world.command(&show).json["moved"].as_u64()? > 0).then_some(())
    })
    .await;
    let pause = ["operations", "pause", id];
    let parts = ["cannot be paused", "move task"];
    must_say(&pause, &world.command(&pause), 1, "conflict", &parts);
    let cancelled = world.command(&["operations", "cancel", id]);
    assert_eq!(
        (cancelled.code, &cancelled.json["state"]),
        (0, &json!("cancelled")),
        "{}",
        cancelled.json
    );
    let moved = cancelled.json["moved"].as_u64().unwrap();
    eventually("the rest is where it was", async || {
        (world.depth(QUEUE_FAILURES)? == 30 - moved && world.depth(QUEUE)? == 0).then_some(())
    })
    .await;
}

/// Puts notifications into the dead-letter queue, and waits until the daemon knows them.
async fn fail(world: &World, numbers: std::ops::Range<u32>) {
    let sqs = aws_sdk_sqs::Client::new(&world.sdk());
    let url = sqs.get_queue_url().queue_name(QUEUE_FAILURES).send().await;
    let url = url.unwrap().queue_url.unwrap();
    let at = "2026-01-01T00:00:00Z";
    let count = u64::from(numbers.end - numbers.start);
    for batch in numbers.collect::<Vec<_>>().chunks(10) {
        let entries = batch.iter().map(|number| {
            let task = json!({"task": {
                "id": format!("t{number}"), "title": "x", "isComplete": false, "createdAt": at, "updatedAt": at,
            }});
            let event = aws_sdk_sqs::types::MessageAttributeValue::builder()
                .data_type("String")
                .string_value("task_created");
            SendMessageBatchRequestEntry::builder()
                .id(number.to_string())
                .message_body(task.to_string())
                .message_attributes("event", event.build().unwrap())
                .build()
                .unwrap()
        });
        let send = sqs.send_message_batch().queue_url(&url);
        let answer = send.set_entries(Some(entries.collect())).send().await;
        assert!(answer.unwrap().failed().is_empty());
    }
    eventually("the failed events are known", async || {
        let list = world.command(&["failed", "list", QUEUE_FAILURES]);
        (list.json["mirrored"] == count).then_some(())
    })
    .await;
}
