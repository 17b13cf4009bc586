//! Redrives of many events go in steps: they stop early where nothing got better, and keep to what the consumer can take.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_lambda::types::{FunctionCode, Runtime};
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use serde_json::{Value, json};

use crate::world::{World, eventually, find};

const QUEUE: &str = "orders";
const FAILURES: &str = "orders-dlq";
const CONSUMER: &str = "ship-order";

/// Timeout of the function and of the queue's messages; three receives, and some slack, make a window of 8 s.
const SECONDS: i32 = 2;

/// How long the function works on a batch.
const WORK: Duration = Duration::from_millis(500);

/// The test below, as its program knows it.
const PROCESS: &str = "ramp::process";

/// A function that works slowly through whatever it gets. It fails while a file `broken` lies in its folder, and writes
/// down the bodies that it processed.
#[tokio::test]
#[ignore = "the body of a function's process, started by the emulator"]
async fn process() {
    // Also reached by `--ignored` without a name.
    let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") else {
        return;
    };
    let folder = PathBuf::from(std::env::var("FOLDER").unwrap());
    let base = format!("http://{api}/2018-06-01/runtime/invocation");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    loop {
        let next = client.get(format!("{base}/next")).send().await.unwrap();
        let id = next.headers()["lambda-runtime-aws-request-id"].clone();
        let event: Value = next.json().await.unwrap();
        tokio::time::sleep(WORK).await;
        let (end, answer) = if folder.join("broken").exists() {
            let error = json!({"errorType": "Broken", "errorMessage": "on purpose"});
            ("error", error)
        } else {
            let records = event["Records"].as_array().unwrap().iter();
            let bodies = records.map(|record| format!("{}\n", record["body"].as_str().unwrap()));
            let mut log = std::fs::File::options();
            let mut log = log
                .create(true)
                .append(true)
                .open(folder.join("log"))
                .unwrap();
            log.write_all(bodies.collect::<String>().as_bytes())
                .unwrap();
            ("response", Value::Null)
        };
        let url = format!("{base}/{}/{end}", id.to_str().unwrap());
        client.post(url).json(&answer).send().await.unwrap();
    }
}

/// A queue with dead letters and the function that consumes it.
struct Orders {
    world: World,
    folder: tempfile::TempDir,
}

impl Orders {
    async fn start() -> Self {
        let orders = Self {
            world: World::start(),
            folder: tempfile::tempdir().unwrap(),
        };
        let program = orders.path("bootstrap");
        let test = std::env::current_exe().unwrap();
        let script = format!(
            "#!/bin/sh\nexec '{}' {PROCESS} --ignored --exact --nocapture\n",
            test.display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let sqs = orders.sqs();
        let failures = queue(&sqs, FAILURES, []).await;
        let policy = json!({"deadLetterTargetArn": failures, "maxReceiveCount": 3}).to_string();
        let attributes = [
            (QueueAttributeName::RedrivePolicy, policy),
            (QueueAttributeName::VisibilityTimeout, SECONDS.to_string()),
        ];
        let source = queue(&sqs, QUEUE, attributes).await;
        let lambda = orders.lambda();
        let code = FunctionCode::builder()
            .s3_bucket("hot-reload")
            .s3_key(orders.folder.path().to_str().unwrap());
        let variables = aws_sdk_lambda::types::Environment::builder()
            .variables("FOLDER", orders.folder.path().to_str().unwrap());
        lambda
            .create_function()
            .function_name(CONSUMER)
            .runtime(Runtime::Providedal2023)
            .role("arn:aws:iam::000000000000:role/any")
            .handler("any")
            .timeout(SECONDS)
            .code(code.build())
            .environment(variables.build())
            .send()
            .await
            .unwrap();
        lambda
            .create_event_source_mapping()
            .function_name(CONSUMER)
            .event_source_arn(source)
            .batch_size(10)
            .send()
            .await
            .unwrap();
        orders
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.world.sdk())
    }

    fn lambda(&self) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.world.sdk())
    }

    /// Puts failed events into the dead-letter queue, and waits until the daemon knows them and the consumer.
    async fn fail(&self, count: u64) {
        let sqs = self.sqs();
        let url = sqs.get_queue_url().queue_name(FAILURES).send().await;
        let url = url.unwrap().queue_url.unwrap();
        for batch in (0..count).collect::<Vec<_>>().chunks(10) {
            let entries = batch.iter().map(|number| {
                let entry = SendMessageBatchRequestEntry::builder().id(number.to_string());
                entry
                    .message_body(format!("order {number}"))
                    .build()
                    .unwrap()
            });
            let request = sqs.send_message_batch().queue_url(&url);
            let sent = request.set_entries(Some(entries.collect())).send().await;
            assert!(sent.unwrap().failed().is_empty());
        }
        eventually("the failed events and their route are known", async || {
            let plan = self.world.command(&["redrive", FAILURES, "--dry-run"]);
            (plan.json["planned"] == count).then_some(())
        })
        .await;
    }

    fn redrive(&self, args: &[&str]) -> String {
        let args = [&["redrive", FAILURES, "--yes"], args].concat();
        let started = self.world.command(&args);
        assert_eq!(started.code, 0, "{}", started.json);
        started.json["operation_id"].as_str().unwrap().to_owned()
    }

    fn operation(&self, id: &str) -> Value {
        let status = self.world.status();
        let operation = find(&status["operations"], "operation_id", id);
        operation.cloned().unwrap_or_default()
    }

    /// The operation in one of these states.
    async fn reaches(&self, id: &str, states: &[&str]) -> Value {
        let what = format!("the redrive is {states:?}");
        eventually(&what, async || {
            let operation = self.operation(id);
            let state = operation["state"].as_str().unwrap_or_default();
            states.contains(&state).then_some(operation)
        })
        .await
    }

    /// What the function has processed.
    fn processed(&self) -> BTreeSet<String> {
        processed(&self.path("log"))
    }
}

fn processed(log: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

async fn queue(
    sqs: &aws_sdk_sqs::Client,
    name: &str,
    attributes: impl IntoIterator<Item = (QueueAttributeName, String)>,
) -> String {
    let created = sqs.create_queue().queue_name(name);
    let created = created.set_attributes(Some(attributes.into_iter().collect()));
    created.send().await.unwrap();
    format!("arn:aws:sqs:us-east-1:000000000000:{name}")
}

/// Of 100 events few are sent while the consumer is broken; healed and resumed, all of them are.
#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_into_a_broken_consumer_stops_after_its_first_steps() {
    const EVENTS: u64 = 100;
    let orders = Orders::start().await;
    let broken = orders.path("broken");
    std::fs::write(&broken, "").unwrap();
    orders.fail(EVENTS).await;
    let plan = orders.world.command(&["redrive", FAILURES, "--dry-run"]);
    assert_eq!(plan.code, 0, "{}", plan.json);
    let id = orders.redrive(&[]);
    eventually("it says what it waits for", async || {
        let operation = orders.operation(&id);
        let waits = operation["step"]["waits"].as_str()?;
        assert!(waits.contains("8 s window"), "{operation}");
        Some(())
    })
    .await;
    let stopped = orders.reaches(&id, &["paused", "completed"]).await;
    assert_eq!(stopped["state"], "paused", "{stopped}");
    let sent = stopped["sent"].as_u64().unwrap();
    assert!((1..=6).contains(&sent), "{stopped}");
    assert_eq!(stopped["deleted"], sent, "{stopped}");
    let why = stopped["error"].as_str().unwrap();
    // Whichever is known first.
    let failing = why.contains("came back") || why.contains("ended in an error");
    assert!(failing && why.contains("resume"), "{why}");
    // All others are where they were, and nothing is hidden.
    eventually(
        "what was not sent is in the dead-letter queue",
        async || {
            let status = orders.world.status();
            let queue = find(&status["queues"], "name", FAILURES)?;
            (queue["visible"] == EVENTS && queue["in_flight"] == 0).then_some(())
        },
    )
    .await;
    assert_eq!(orders.processed(), BTreeSet::new());

    std::fs::remove_file(&broken).unwrap();
    let resumed = orders.world.command(&["operations", "resume", &id]);
    assert_eq!(resumed.code, 0, "{}", resumed.json);
    let ended = orders.reaches(&id, &["completed", "paused"]).await;
    assert_eq!(ended["state"], "completed", "{ended}");
    assert_eq!(
        (&ended["sent"], &ended["failed"]),
        (&json!(EVENTS), &json!(0))
    );
    // Those that came back stay where they are: this redrive does not take them twice.
    let settled = EVENTS - sent;
    eventually("all others are processed and settled", async || {
        let operation = orders.operation(&id);
        let all = operation["settled"] == settled && operation["returned"] == sent;
        (all && orders.processed().len() as u64 == settled).then_some(())
    })
    .await;
}

/// One batch at a time is all that the consumer takes, and a delivery that it is refused counts as a receive.
async fn reserved() -> Orders {
    let orders = Orders::start().await;
    let reserve = orders.lambda().put_function_concurrency();
    let reserve = reserve.function_name(CONSUMER);
    let reserve = reserve.reserved_concurrent_executions(1).send();
    reserve.await.unwrap();
    orders.fail(EVENTS).await;
    orders
}

/// For a consumer that takes ten at once.
const EVENTS: u64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn all_at_once_sends_events_back_untried() {
    let orders = reserved().await;
    let id = orders.redrive(&["--all-at-once"]);
    orders.reaches(&id, &["completed"]).await;
    eventually("events come back without a try", async || {
        let empty = orders.world.depth(QUEUE) == Some(0);
        let back = orders.world.depth(FAILURES)?;
        let tried = orders.processed().len() as u64;
        (empty && back > 0 && back + tried == EVENTS).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_keep_to_what_the_consumer_can_take() {
    let orders = reserved().await;
    let id = orders.redrive(&[]);
    eventually("half of them are on their way", async || {
        (orders.operation(&id)["sent"].as_u64()? >= EVENTS / 2).then_some(())
    })
    .await;
    let ended = orders.reaches(&id, &["completed", "paused"]).await;
    assert_eq!(ended["state"], "completed", "{ended}");
    assert_eq!(ended["sent"], EVENTS, "{ended}");
    eventually("all are processed", async || {
        (orders.processed().len() as u64 == EVENTS && orders.world.depth(QUEUE)? == 0).then_some(())
    })
    .await;
    assert_eq!(orders.world.depth(FAILURES), Some(0));
}
