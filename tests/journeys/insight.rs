//! From many failed events to those that matter: groups, search, a plan that says what speaks against it, and copies.

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use serde_json::{Value, json};

use crate::story::{QUEUE, QUEUE_FAILURES, drain, pause_consumer};
use crate::world::{World, eventually, find};

const ORDERS: u64 = 30;

#[tokio::test(flavor = "multi_thread")]
async fn failed_events_are_found_judged_and_copied() {
    let world = World::start();
    let sqs = aws_sdk_sqs::Client::new(&world.sdk());
    let files = tempfile::tempdir().unwrap();
    send_orders(&sqs).await;
    mirrored(&world, ORDERS).await;

    let groups = world.command(&["failed", "groups", QUEUE_FAILURES]).json;
    assert_eq!(groups["groups"][0]["count"], ORDERS, "{groups}");
    assert_eq!(groups["groups"][0]["origin"]["name"], QUEUE);
    let signature = groups["groups"][0]["signature"].as_str().unwrap();
    let list = |args: &[&str]| {
        let args: Vec<_> = [&["failed", "list"], args].concat();
        let list = world.command(&args).json;
        list["events"].as_array().unwrap().len()
    };
    assert_eq!(list(&["--group", signature]), 30);
    assert_eq!(list(&["--query", "body.order.id:7"]), 1);
    assert_eq!(list(&["--query", "attribute.kind:7 body.order.id:2*"]), 11);
    assert_eq!(list(&["--until", "2020-01-01T00:00:00Z"]), 0);
    let bad = world.command(&["failed", "list", "--query", "body.a..b:1"]);
    assert_eq!(bad.code, 2, "{}", bad.json);

    // Nothing would process them: that is said, and refused until it is forced.
    pause_consumer(&world).await;
    let args = ["redrive", QUEUE_FAILURES, "--query", "body.order.id:1*"];
    let plan = world.command(&[&args[..], &["--dry-run"]].concat());
    assert_eq!((plan.code, &plan.json["planned"]), (0, &json!(11)));
    assert_eq!(plan.json["lint"][0]["level"], "stop", "{}", plan.json);
    let refused = world.command(&[&args[..], &["--yes"]].concat());
    assert_eq!(
        (refused.code, &refused.json["kind"]),
        (1, &json!("conflict"))
    );
    let forced = world.command(&[&args[..], &["--yes", "--force"]].concat());
    assert_eq!(forced.code, 0, "{}", forced.json);
    // Whether they were processed is known only minutes later.
    let id = forced.json["operation_id"].as_str().unwrap();
    let ended = eventually("all of them are sent", async || {
        let status = world.status();
        let operation = find(&status["operations"], "operation_id", id)?.clone();
        (operation["state"] == "completed").then_some(operation)
    })
    .await;
    assert_eq!(ended["deleted"], 11, "{ended}");
    let mut sent = drain(&sqs, QUEUE).await;
    sent.sort();
    let mut expected: Vec<_> = (0..ORDERS)
        .filter(|number| number.to_string().starts_with('1'))
        .map(body)
        .collect();
    expected.sort();
    assert_eq!(sent, expected, "exactly those that matched");

    mirrored(&world, 19).await;
    let first = files.path().join("first.jsonl");
    let export = |path: &std::path::Path| {
        let path = path.to_str().unwrap();
        world.command(&["failed", "export", QUEUE_FAILURES, "--output", path])
    };
    assert_eq!(export(&first).json["exported"], 19);
    let path = first.to_str().unwrap();
    let imported = world.command(&["failed", "import", path, "--to", QUEUE_FAILURES]);
    assert_eq!((imported.code, &imported.json["sent"]), (0, &json!(19)));
    mirrored(&world, 38).await;
    let both = files.path().join("both.jsonl");
    assert_eq!(export(&both).json["exported"], 38);
    let mut twice = [kept(&first), kept(&first)].concat();
    twice.sort();
    assert_eq!(kept(&both), twice, "nothing is lost on the way out and in");
}

fn body(number: u64) -> String {
    json!({"order": {"id": number, "note": "ä \u{1f600}"}}).to_string()
}

async fn send_orders(sqs: &aws_sdk_sqs::Client) {
    let url = sqs
        .get_queue_url()
        .queue_name(QUEUE_FAILURES)
        .send()
        .await
        .unwrap();
    let value = |data_type: &str| MessageAttributeValue::builder().data_type(data_type);
    let number = value("Number.int").string_value("7").build().unwrap();
    let bytes = value("Binary")
        .binary_value(Blob::new([0, 1, 255]))
        .build()
        .unwrap();
    for batch in 0..ORDERS / 10 {
        let entry = |index: u64| {
            SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(body(batch * 10 + index))
                .message_attributes("kind", number.clone())
                .message_attributes("blob", bytes.clone())
                .build()
                .unwrap()
        };
        sqs.send_message_batch()
            .queue_url(url.queue_url().unwrap())
            .set_entries(Some((0..10).map(entry).collect()))
            .send()
            .await
            .unwrap();
    }
}

async fn mirrored(world: &World, count: u64) {
    eventually("all of them are mirrored", async || {
        let list = world.command(&["failed", "list", QUEUE_FAILURES]).json;
        (list["mirrored"] == count).then_some(())
    })
    .await;
}

/// What an export and an import keep.
fn kept(path: &std::path::Path) -> Vec<String> {
    lines(path, |line| {
        format!("{} {}", line["body"], line["attributes"])
    })
}

fn lines(path: &std::path::Path, of: impl Fn(&Value) -> String) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut lines: Vec<_> = lines.map(|line: Value| of(&line)).collect();
    lines.sort();
    lines
}
