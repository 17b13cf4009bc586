//! Fan-out: a file of many tasks, made one by one, and a function that asks another one.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::handoff::logs;
use crate::killed::functions;
use crate::tasks::call;
use crate::world::{World, eventually, signal};

const PATTERN: &str = "fan-out";
const TASKS: &str = "fan-out-TasksTable";
const UPLOADS: &str = "fan-out-RequestsTable";
const ROWS: &str = "fan-out-rows";
const ROW_FAILURES: &str = "fan-out-rows-dlq";
const CHUNK_FAILURES: &str = "fan-out-chunks-dlq";
pub const CSV: (&str, &str) = ("content-type", "text/csv");

/// A file of so many rows.
fn file(rows: usize) -> String {
    let mut file = "title,detail,isComplete\n".to_owned();
    for row in 2..rows + 2 {
        writeln!(
            file,
            "task {row},\"of row {row},\nin \"\"two\"\" lines\",{}",
            row % 2
        )
        .unwrap();
    }
    file
}

/// What an upload is answered.
pub async fn upload(
    world: &World,
    headers: &[(&str, &str)],
    content: impl Into<reqwest::Body>,
) -> (StatusCode, Value) {
    call(
        world,
        PATTERN,
        Method::POST,
        "/tasks/upload",
        headers,
        content,
    )
    .await
}

async fn get(world: &World, path: &str) -> (StatusCode, Value) {
    call(world, PATTERN, Method::GET, path, &[], "").await
}

async fn progress(world: &World, batch_id: &str) -> Value {
    let (status, progress) = get(world, &format!("/tasks/batches/{batch_id}")).await;
    assert_eq!(status, 200, "{progress}");
    progress
}

/// Waits until nothing of a batch is under way, and checks that each row has one task.
async fn all_created(world: &World, batch_id: &str, rows: usize) {
    let wanted = json!([rows, rows, rows, 0]);
    let is = async || {
        let is = progress(world, batch_id).await;
        let figures = json!([is["total"], is["sent"], is["created"], is["failed"]]);
        (figures == wanted).then_some(())
    };
    eventually("all rows are created", is).await;
}

/// The titles of all tasks, which are as many as there are tasks if none was made twice.
async fn titles(world: &World) -> (usize, BTreeSet<String>) {
    let tasks = world.items(TASKS).await;
    let titles = tasks
        .iter()
        .map(|task| task["title"].as_s().unwrap().clone());
    (tasks.len(), titles.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_right_as_a_whole_or_refused_as_a_whole() {
    let world = World::start();
    let mut late = "title\n".to_owned();
    for row in 2..=10_001 {
        let title = if row == 9_999 { "" } else { "fine" };
        writeln!(late, "\"{title}\"").unwrap();
    }
    let large = format!(
        "title,detail\n{}",
        format!("x,{}\n", "y".repeat(900)).repeat(5_000)
    );
    let text = ("content-type", "application/json");
    let latin = ("content-type", "text/csv; charset=iso-8859-1");
    let key = ("idempotency-key", "two words");
    for (header, content, status, part) in [
        (
            CSV,
            late.into_bytes(),
            400,
            "Row 9999: title: Title is required",
        ),
        (
            CSV,
            b"title\ncaf\xe9\n".to_vec(),
            400,
            "Failed to decode file content",
        ),
        (CSV, Vec::new(), 400, "CSV content is empty"),
        (CSV, b" \n\n".to_vec(), 400, "CSV content is empty"),
        (
            CSV,
            b"Buy milk\n".to_vec(),
            400,
            "Row 1: the header has no column title",
        ),
        (
            CSV,
            b"title,isComplete\na,yes\nb,1\n".to_vec(),
            400,
            "Row 2: isComplete",
        ),
        (
            CSV,
            b"title,dueAt\na,2025-12-31\n".to_vec(),
            400,
            "Row 2: dueAt",
        ),
        (CSV, b"title\na,b\n".to_vec(), 400, "Row 2: it has 2 values"),
        (
            CSV,
            b"title,detail\na,\"b\nc,d\n".to_vec(),
            400,
            "Row 2: a quote is not closed",
        ),
        (CSV, large.into_bytes(), 413, "4400000 bytes"),
        (text, b"title\na\n".to_vec(), 415, "text/csv"),
        (latin, b"title\na\n".to_vec(), 415, "UTF-8"),
        (key, b"title\na\n".to_vec(), 400, "Idempotency-Key"),
    ] {
        let shown = String::from_utf8_lossy(&content)
            .chars()
            .take(40)
            .collect::<String>();
        let (is, answer) = upload(&world, &[header], content).await;
        assert_eq!(is, status, "{shown}: {answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(part), "{shown}: {answer}");
        assert!(answer["correlationId"].is_string(), "{answer}");
    }
    for id in ["nobody", "%00", "%FF", "a%2Fb", &"x".repeat(200)] {
        let (status, answer) = get(&world, &format!("/tasks/batches/{id}")).await;
        assert_eq!(status, 404, "{id}: {answer}");
    }

    let (status, answer) = upload(&world, &[CSV], "title,detail\r\n\r\n").await;
    assert_eq!(
        status, 202,
        "a header alone is a file without tasks: {answer}"
    );
    assert_eq!(answer["taskCount"], 0);
    all_created(&world, answer["batchId"].as_str().unwrap(), 0).await;
    assert_eq!(world.items(TASKS).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_the_same_file_is_the_same_batch_and_its_tasks_are_made_once() {
    /// More than one chunk has, and twice as many are more than one page of list-tasks' answer.
    const COUNT: usize = 600;
    let world = World::start();
    let file = file(COUNT);
    let uploads = (0..5).map(|_| upload(&world, &[CSV], file.clone()));
    let mut answers = join_all(uploads).await;
    answers.sort_by_key(|(status, _)| std::cmp::Reverse(status.as_u16()));
    let (status, first) = &answers[0];
    assert_eq!(*status, 202, "{first}");
    assert_eq!(first["message"], "CSV file uploaded successfully");
    assert_eq!(first["taskCount"], COUNT);
    assert_eq!(first["duplicate"], Value::Null);
    let batch_id = first["batchId"].as_str().unwrap();
    for (status, again) in &answers[1..] {
        assert_eq!(*status, 200, "{again}");
        assert_eq!(
            (&again["batchId"], &again["duplicate"]),
            (&json!(batch_id), &json!(true))
        );
        assert_eq!(again["taskCount"], COUNT);
    }
    all_created(&world, batch_id, COUNT).await;
    let (count, titles) = titles(&world).await;
    assert_eq!((count, titles.len()), (COUNT, COUNT));
    let listed = get(&world, "/tasks").await.1;
    let listed = listed.as_array().unwrap();
    let one = listed
        .iter()
        .find(|task| task["title"] == "task 7")
        .unwrap();
    assert_eq!(one["detail"], "of row 7,\nin \"two\" lines");
    assert_eq!(one["status"], "completed");

    // A new key makes a new batch of the same file, and stands for that file from then on.
    let keyed = [CSV, ("idempotency-key", "once-more")];
    let (status, second) = upload(&world, &keyed, file.clone()).await;
    assert_eq!(status, 202, "{second}");
    assert_ne!(second["batchId"], batch_id);
    let (status, again) = upload(&world, &keyed, file).await;
    assert_eq!(
        (status.as_u16(), &again["batchId"]),
        (200, &second["batchId"])
    );
    let (status, other) = upload(&world, &keyed, "title\nother\n").await;
    assert_eq!(status, 422, "{other}");
    all_created(&world, second["batchId"].as_str().unwrap(), COUNT).await;

    // D10: no page is missing.
    let (status, plan) = get(&world, "/planner/daily").await;
    assert_eq!(status, 200);
    assert_eq!(plan["tasks"].as_array().unwrap().len(), 2 * COUNT);
}

/// The log of uploads as it will be when `seconds` have passed.
async fn age_uploads(world: &World, seconds: i64) {
    let dynamo = aws_sdk_dynamodb::Client::new(&world.sdk());
    for item in world.items(UPLOADS).await {
        let update = dynamo.update_item().table_name(UPLOADS);
        let update = update.key("pk", item["pk"].clone());
        let by = AttributeValue::N((-seconds).to_string());
        let update = update.update_expression("ADD expiresAt :by");
        let update = update.expression_attribute_values(":by", by);
        update.send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_a_day_later_is_a_new_batch() {
    let world = World::start_with(&["--no-daemon"]);
    let (status, first) = upload(&world, &[CSV], file(2)).await;
    assert_eq!(status, 202, "{first}");
    let day = 24 * 60 * 60;
    age_uploads(&world, day - 60).await;
    let (status, again) = upload(&world, &[CSV], file(2)).await;
    assert_eq!(
        (status.as_u16(), &again["batchId"]),
        (200, &first["batchId"])
    );
    assert_eq!(again["duplicate"], true);
    age_uploads(&world, 61).await;
    let (status, later) = upload(&world, &[CSV], file(2)).await;
    assert_eq!((status.as_u16(), &later["duplicate"]), (202, &Value::Null));
    assert_ne!(later["batchId"], first["batchId"]);
    for batch in [&first, &later] {
        all_created(&world, batch["batchId"].as_str().unwrap(), 2).await;
    }
    assert_eq!(world.items(TASKS).await.len(), 4);
}

/// SQS takes only a part of many batches, and rows arrive twice.
#[tokio::test(flavor = "multi_thread")]
async fn d4_messages_that_sqs_does_not_take_are_sent_again() {
    let world = World::start_with(&["--admin"]);
    world
        .faults(json!([
            {"service": "sqs", "operation": "SendMessageBatch", "share": 0.5,
             "fault": {"kind": "entries", "error": "internal", "share": 0.3}},
            // Sent, and not known to be: the SDK sends again.
            {"service": "sqs", "operation": "SendMessageBatch", "resource": ROWS, "share": 0.1,
             "fault": {"kind": "reset"}},
        ]))
        .await;
    let (status, answer) = upload(&world, &[CSV], file(300)).await;
    assert_eq!(status, 202, "{answer}");
    all_created(&world, answer["batchId"].as_str().unwrap(), 300).await;
    let (count, titles) = titles(&world).await;
    assert_eq!((count, titles.len()), (300, 300));
    assert!(
        !logs(&world, "fan-out-expand-batch", "did not take all")
            .await
            .is_empty()
    );
}

async fn send_row(world: &World, body: &str) {
    let sqs = aws_sdk_sqs::Client::new(&world.sdk());
    let url = sqs.get_queue_url().queue_name(ROWS).send().await.unwrap();
    let message = sqs.send_message().queue_url(url.queue_url.unwrap());
    message.message_body(body).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_a_redelivery_creates_nothing_twice() {
    let world = World::start();
    let (_, answer) = upload(&world, &[CSV], file(3)).await;
    let batch_id = answer["batchId"].as_str().unwrap();
    all_created(&world, batch_id, 3).await;
    let gone = get(&world, "/tasks").await.1[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/tasks/{gone}");
    let (status, _) = call(&world, PATTERN, Method::DELETE, &path, &[], "").await;
    assert_eq!(status, 204);
    let row = |row: u32, title: &str| {
        json!({"batchId": batch_id, "chunk": 1, "correlationId": "c-1", "row": row, "task": {"title": title}})
            .to_string()
    };
    for number in [2, 3, 4, 2, 3, 4] {
        send_row(&world, &row(number, "again")).await;
    }
    // The last rows to arrive: one is no task, one is no row at all, and one is new.
    send_row(&world, &row(5, "")).await;
    send_row(&world, "{").await;
    for _ in 0..2 {
        send_row(&world, &row(6, "new")).await;
    }
    eventually("two rows are dead letters", async || {
        (world.depth(ROW_FAILURES)? == 2 && world.depth(ROWS)? == 0).then_some(())
    })
    .await;
    let is = progress(&world, batch_id).await;
    assert_eq!(
        (&is["created"], &is["failed"]),
        (&json!(4), &json!(1)),
        "{is}"
    );
    let (count, titles) = titles(&world).await;
    assert_eq!(
        count, 3,
        "two of the file and the new one; what was deleted stays deleted"
    );
    assert!(
        titles.contains("new") && !titles.contains("again"),
        "{titles:?}"
    );
}

/// An operator rehearses an outage: rows fail, are counted, and a redrive makes their tasks.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_failed_are_counted_until_a_redrive_creates_them() {
    const SUBSCRIBER: &str = "fan-out-create-task-subscriber";
    let world = World::start();
    world
        .set(SUBSCRIBER, &[("DELIVERY_FAIL_MATCH", "task 7")])
        .await;
    let headers = [CSV, ("x-correlation-id", "file-7.a_b")];
    let (_, answer) = upload(&world, &headers, file(20)).await;
    let batch_id = answer["batchId"].as_str().unwrap();
    let failed = eventually("the one row failed, and is known to have", async || {
        let is = progress(&world, batch_id).await;
        let list = world.command(&["failed", "list", ROW_FAILURES]).json;
        let event = list["events"].as_array()?.first()?.clone();
        (is["created"] == 19 && is["failed"] == 1).then_some(event)
    })
    .await;
    assert_eq!(failed["correlation_id"], "file-7.a_b", "{failed}");
    world.set(SUBSCRIBER, &[("DELIVERY_FAIL_MATCH", "")]).await;
    let redrive = ["redrive", ROW_FAILURES, "--yes", "--force", "--all-at-once"];
    let redriven = world.command(&redrive);
    assert_eq!(redriven.code, 0, "{}", redriven.json);
    all_created(&world, batch_id, 20).await;
}

/// A function that is nearly out of time hands the rest on; each row is made once all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_no_time_for_is_handed_on() {
    const EXPANDER: &str = "fan-out-expand-batch";
    let world = World::start_with(&["--admin"]);
    let lambda = aws_sdk_lambda::Client::new(&world.sdk());
    let timeout = lambda
        .update_function_configuration()
        .function_name(EXPANDER);
    timeout.timeout(12).send().await.unwrap();
    world
        .faults(json!([
            {"service": "sqs", "operation": "SendMessageBatch", "resource": ROWS, "fault": {"kind": "delay", "ms": 500}},
        ]))
        .await;
    let (_, answer) = upload(&world, &[CSV], file(480)).await;
    all_created(&world, answer["batchId"].as_str().unwrap(), 480).await;
    assert_eq!(titles(&world).await.1.len(), 480);
    let handed_on = logs(&world, EXPANDER, "is handed on").await;
    assert!(!handed_on.is_empty(), "two seconds are not enough for all");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_are_killed_midway_make_each_task_once() {
    const COUNT: usize = 300;
    let world = World::start_with(&["--admin"]);
    let over = AtomicBool::new(false);
    let (status, answer) = upload(&world, &[CSV], file(COUNT)).await;
    assert_eq!(status, 202, "{answer}");
    let batch_id = answer["batchId"].as_str().unwrap();
    let kills = async {
        let mut killed = 0;
        while !over.load(Ordering::Relaxed) {
            if killed < 20
                && let Some(pid) = fastrand::choice(&functions(world.pid()))
            {
                signal(*pid, Signal::KILL);
                killed += 1;
            }
            // Between two kills some work has to get through, or nothing ever would.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        killed
    };
    let work = async {
        eventually("all rows are created", async || {
            // What was killed half-way comes back when its visibility timeout ends.
            world.advance(Duration::from_mins(1)).await;
            for failures in [CHUNK_FAILURES, ROW_FAILURES] {
                if world.depth(failures)? > 0 {
                    world.command(&["redrive", failures, "--yes", "--force", "--all-at-once"]);
                }
            }
            let (status, is) = get(&world, &format!("/tasks/batches/{batch_id}")).await;
            (status == 200 && is["created"] == COUNT && is["sent"] == COUNT).then_some(())
        })
        .await;
        over.store(true, Ordering::Relaxed);
    };
    let (killed, ()) = tokio::join!(kills, work);
    assert!(killed > 0, "something was killed");
    let (count, titles) = titles(&world).await;
    assert_eq!((count, titles.len()), (COUNT, COUNT));
}

/// The original answered 200 with a failure's text in place of tasks.
#[tokio::test(flavor = "multi_thread")]
async fn d9_the_planner_tells_of_failures_of_the_function_it_asks() {
    const LISTER: &str = "fan-out-list-tasks";
    let world = World::start_with(&["--admin"]);
    let (status, plan) = get(&world, "/planner/daily").await;
    assert_eq!((status.as_u16(), plan), (200, json!({"tasks": []})));
    let file = "title,dueAt\nlate,2026-01-31T23:59:59Z\nearly,2026-01-31T00:00:00Z\nother,2026-02-01T00:00:00Z\nnever,\n";
    let (_, answer) = upload(&world, &[CSV], file).await;
    all_created(&world, answer["batchId"].as_str().unwrap(), 4).await;
    let due = |plan: &Value| -> BTreeSet<String> {
        let tasks = plan["tasks"].as_array().unwrap().iter();
        tasks
            .map(|task| task["title"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(due(&get(&world, "/planner/daily").await.1).len(), 4);
    let (_, plan) = get(&world, "/planner/daily?date=2026-01-31").await;
    assert_eq!(
        due(&plan),
        BTreeSet::from(["early".to_owned(), "late".to_owned()])
    );
    let (_, plan) = get(&world, "/planner/daily?date=2026-03-01").await;
    assert_eq!(plan, json!({"tasks": []}));
    for wrong in ["today", "2026-02-30", ""] {
        let (status, answer) = get(&world, &format!("/planner/daily?date={wrong}")).await;
        assert_eq!(status, 400, "{answer}");
        assert_eq!(answer["fields"][0]["field"], "date");
    }

    world
        .faults(json!([
            {"service": "lambda", "operation": "Invoke", "resource": LISTER, "times": 1, "fault": {"kind": "delay", "ms": 20_000}},
            {"service": "lambda", "operation": "Invoke", "resource": LISTER, "times": 1, "after": 1,
             "fault": {"kind": "error", "error": "throttling"}},
        ]))
        .await;
    let failures = [(504, "did not answer in time"), (502, "unavailable")];
    for (wanted, part) in failures {
        let (status, answer) = get(&world, "/planner/daily").await;
        assert_eq!(status, wanted, "{answer}");
        assert_eq!(answer["service"], "list-tasks");
        assert!(
            answer["message"].as_str().unwrap().contains(part),
            "{answer}"
        );
    }
    world.faults(json!([])).await;
    world.set(LISTER, &[("TASKS_TABLE", "nobodys")]).await;
    let (status, answer) = get(&world, "/planner/daily").await;
    assert_eq!(status, 502, "its own failure: {answer}");
}
