//! Redrives and imports that cannot be meant, or not now: each is answered with what is wrong, why, and what to do, and
//! nothing is sent.

use serde_json::{Value, json};

use crate::story::{HANDOFF_FAILURES, QUEUE, QUEUE_FAILURES, pause_consumer};
use crate::world::{World, eventually, must_say};

async fn send(sqs: &aws_sdk_sqs::Client, queue: &str, body: &str) {
    let url = sqs.get_queue_url().queue_name(queue).send().await;
    let url = url.unwrap().queue_url.unwrap();
    let send = sqs.send_message().queue_url(url).message_body(body);
    send.send().await.unwrap();
}

async fn mirrored(world: &World, queue: &str, count: u64) -> Value {
    eventually("the events are known", async || {
        let list = world.command(&["failed", "list", queue]).json;
        (list["mirrored"] == count).then(|| list["events"].clone())
    })
    .await
}

/// That command is refused: the exit code, the kind, parts of what is said; and it says what to do.
fn refused(world: &World, args: &[&str], code: i32, kind: &str, parts: &[&str]) {
    let answer = world.command(args);
    must_say(args, &answer, code, kind, parts);
    for what in ["what", "why", "fix"] {
        let text = answer.json[what].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{args:?} has a {what}: {}", answer.json);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redrives_that_cannot_be_meant_are_refused_with_the_reason() {
    let world = World::start();
    let sqs = aws_sdk_sqs::Client::new(&world.sdk());
    pause_consumer(&world).await;
    sqs.create_queue()
        .queue_name("lonely")
        .send()
        .await
        .unwrap();
    for number in 0..2 {
        send(&sqs, QUEUE_FAILURES, &json!({"order": number}).to_string()).await;
    }
    // As Lambda writes it for a function that has been deleted since.
    let record = json!({
        "version": "1.0",
        "requestContext": {
            "requestId": "r-1", "condition": "RetriesExhausted", "approximateInvokeCount": 3,
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:deleted:$LATEST",
        },
        "requestPayload": {"order": 1},
    });
    send(&sqs, HANDOFF_FAILURES, &record.to_string()).await;
    let events = mirrored(&world, QUEUE_FAILURES, 2).await;
    let id = events[0]["id"].as_str().unwrap();
    let of_deleted = mirrored(&world, HANDOFF_FAILURES, 1).await;
    let of_deleted = of_deleted[0]["id"].as_str().unwrap();
    eventually("the queue is known", async || world.depth("lonely")).await;

    let redrive = |args: &[&str], code, kind: &str, parts: &[&str]| {
        let args = [&["redrive"], args, &["--yes", "--force"]].concat();
        refused(&world, &args, code, kind, parts);
    };
    for rate in ["0", "-1", "1000000000", "NaN", "inf"] {
        let parts = ["events per second are not above 0 and at most 100000"];
        redrive(&[QUEUE_FAILURES, "--rate", rate], 2, "usage", &parts);
    }
    for rate in ["501", "0.5"] {
        let parts = ["a whole number of messages per second, from 1 to 500"];
        let args = [QUEUE_FAILURES, "--native", "--rate", rate];
        redrive(&args, 2, "usage", &parts);
    }
    let parts = ["no queue sends its failures here"];
    redrive(&[HANDOFF_FAILURES, "--native"], 1, "conflict", &parts);
    let there = ["cannot go to", "they are there already"];
    redrive(
        &[QUEUE_FAILURES, "--to", QUEUE_FAILURES],
        1,
        "conflict",
        &there,
    );
    let none = ["did not fail there", "no queue has that name", QUEUE];
    redrive(&[QUEUE_FAILURES, "--to", "nowhere"], 1, "conflict", &none);
    let nobodys = [
        "no dead-letter queue lonely",
        "sends its failures to it",
        QUEUE_FAILURES,
    ];
    redrive(&["lonely"], 1, "not_found", &nobodys);
    redrive(&["nowhere"], 1, "not_found", &["no queue of that name"]);
    let gone = ["1 of the events", "0123456789ab", "list the events again"];
    let ids = format!("{id},0123456789ab");
    redrive(&[QUEUE_FAILURES, "--ids", &ids], 1, "not_found", &gone);
    let deleted = ["cannot go back to function deleted", "does not exist"];
    redrive(
        &[HANDOFF_FAILURES, "--ids", of_deleted],
        1,
        "conflict",
        &deleted,
    );
    let nothing = ["nothing to redrive", "refused"];
    let query = [QUEUE_FAILURES, "--query", "refused"];
    let answer = world.command(&[&["redrive"], &query[..], &["--yes"]].concat());
    assert_eq!(answer.code, 1, "{}", answer.json);
    let said = answer.json.to_string();
    assert!(nothing.iter().all(|part| said.contains(part)), "{said}");

    one_at_a_time(&world);
}

/// While one redrive has a queue there is no other, and an operation that is not there or has ended is left alone.
fn one_at_a_time(world: &World) {
    let slow = [
        "redrive",
        QUEUE_FAILURES,
        "--rate",
        "0.01",
        "--all-at-once",
        "--yes",
        "--force",
    ];
    let slow = world.command(&slow);
    assert_eq!(slow.code, 0, "{}", slow.json);
    let slow = slow.json["operation_id"].as_str().unwrap();
    let busy = ["is being redriven already", slow];
    let again = ["redrive", QUEUE_FAILURES, "--yes", "--force"];
    refused(world, &again, 1, "conflict", &busy);
    let runs = ["has not ended", "cancel it first"];
    refused(
        world,
        &["operations", "return", slow, "--yes"],
        1,
        "conflict",
        &runs,
    );
    let cancelled = world.command(&["operations", "cancel", slow]);
    assert_eq!(cancelled.json["state"], "cancelled", "{}", cancelled.json);
    let ended = ["cannot be paused", "it has ended"];
    refused(world, &["operations", "pause", slow], 1, "conflict", &ended);
    let unknown = ["there is no operation none", "patterns-tui operations"];
    for verb in ["show", "pause", "resume", "cancel"] {
        refused(
            world,
            &["operations", verb, "none"],
            1,
            "not_found",
            &unknown,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_cut_off_or_forged_import_nothing() {
    let world = World::start();
    let sqs = aws_sdk_sqs::Client::new(&world.sdk());
    let files = tempfile::tempdir().unwrap();
    for number in 0..3 {
        send(&sqs, QUEUE_FAILURES, &json!({"order": number}).to_string()).await;
    }
    mirrored(&world, QUEUE_FAILURES, 3).await;
    let path = files.path().join("events.jsonl");
    let file = path.to_str().unwrap();
    let exported = world.command(&["failed", "export", QUEUE_FAILURES, "--output", file]);
    assert_eq!(exported.json["exported"], 3, "{}", exported.json);
    let text = std::fs::read_to_string(&path).unwrap();
    let (whole, last) = text.trim_end().rsplit_once('\n').unwrap();
    for (content, part) in [
        (
            format!("{whole}\n{}", &last[..last.len() / 2]),
            "line 3: it is cut off",
        ),
        (format!("{whole}\n{last}"), "line 3: it is cut off"),
        (
            format!("{whole}\n{}\n", last.replacen('{', r#"{"admin":true,"#, 1)),
            "unknown field `admin`",
        ),
        (
            format!("{whole}\nhello\n"),
            "line 3: it is no exported event",
        ),
        (String::new(), "no event"),
    ] {
        std::fs::write(&path, content).unwrap();
        let import = ["failed", "import", file, "--to", QUEUE_FAILURES];
        refused(&world, &import, 2, "usage", &[part, "nothing was sent"]);
    }
    std::fs::write(&path, &text).unwrap();
    for (queue, part) in [
        (QUEUE, "no dead-letter queue"),
        ("nowhere", "no queue of that name"),
    ] {
        refused(
            &world,
            &["failed", "import", file, "--to", queue],
            1,
            "not_found",
            &[part],
        );
    }
    assert_eq!(world.depth(QUEUE_FAILURES), Some(3));
}
