//! The story that everything else serves: a task is created, its notification fails, the failed event is found, understood,
//! and brought back with one key. Driven through the real programs: HTTP, one-shot commands, and the dashboard in a terminal.

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use patterns_core::operation::OperationState;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::dashboard::Dashboard;
use crate::world::{World, eventually, find, in_time, signal};

pub const HANDOFF_FAILURES: &str = "internal-handoff-failures";
pub const HANDOFF_CONSUMER: &str = "internal-handoff-send-notification";
pub const QUEUE: &str = "queue-leveling-notifications";
pub const QUEUE_FAILURES: &str = "queue-leveling-notifications-dlq";
pub const QUEUE_CONSUMER: &str = "queue-leveling-send-notification";

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_notified_once_in_both_stacks() {
    let mut world = World::start();
    for pattern in ["internal-handoff", "queue-leveling"] {
        let (status, task) = world
            .post_task(pattern, &json!({"title": "Write the report"}))
            .await;
        assert_eq!(status, 201, "{task}");
        let id = task["id"].as_str().unwrap();
        let delivery = format!("DELIVERY#task_created-{id}");
        eventually("the delivery", async || {
            world
                .deliveries(pattern)
                .await
                .contains(&(delivery.clone(), "DELIVERED".to_owned(), 1))
                .then_some(())
        })
        .await;

        let created = world.command(&[
            "task",
            "create",
            "--pattern",
            pattern,
            "--title",
            "From the command line",
        ]);
        assert_eq!(created.code, 0, "{}", created.json);
        let listed = world.command(&["task", "list", "--pattern", pattern]).json;
        let titles: Vec<_> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|task| task["title"].as_str().unwrap())
            .collect();
        assert_eq!(
            titles,
            ["From the command line", "Write the report"],
            "newest first"
        );
        eventually("both deliveries, each once", async || {
            let deliveries = world.deliveries(pattern).await;
            (deliveries.len() == 2
                && deliveries
                    .iter()
                    .all(|(_, status, attempts)| status == "DELIVERED" && *attempts == 1))
            .then_some(())
        })
        .await;
    }
    assert!(world.stop().success());
}

/// Breaks both consumers, lets events fail, looks at them, heals the consumers and redrives: all in the dashboard.
#[tokio::test(flavor = "multi_thread")]
async fn failed_events_come_back_with_one_key() {
    let mut world = World::start();
    let mut dashboard = Dashboard::open(&world.socket, 140, 45);
    dashboard.wait_for(QUEUE_FAILURES).await;
    for consumer in [HANDOFF_CONSUMER, QUEUE_CONSUMER] {
        on_overview_row(&mut dashboard, consumer, "x", "Break").await;
        eventually("the function is broken", async || {
            (function(&world, consumer)["delivery_fail_rate"] == "1").then_some(())
        })
        .await;
    }

    // One task through the dashboard; the others over HTTP.
    show_tasks_of(&mut dashboard, "internal-handoff").await;
    dashboard.press("n");
    dashboard.wait_for("Title").await;
    dashboard.press("Typed in the dashboard\r");
    dashboard.wait_for("Typed in the dashboard").await;
    for number in 0..3 {
        for pattern in ["internal-handoff", "queue-leveling"] {
            let (status, _) = world
                .post_task(pattern, &json!({"title": format!("task {number}")}))
                .await;
            assert_eq!(status, 201, "the answer does not wait for the delivery");
        }
    }
    let failed = eventually("seven failed events in the mirror", async || {
        let list = world.command(&["failed", "list"]).json;
        (list["events"].as_array().unwrap().len() == 7).then_some(list)
    })
    .await;
    check_failed_events(&world, &failed);
    // Something failed, and a script can tell.
    assert_eq!(world.command(&["status"]).code, 4);

    dashboard.press("2");
    dashboard.wait_for("TransientDelivery").await;
    dashboard.press("1");
    for consumer in [HANDOFF_CONSUMER, QUEUE_CONSUMER] {
        on_overview_row(&mut dashboard, consumer, "x", "Heal").await;
        eventually("the function is healed", async || {
            (function(&world, consumer)["delivery_fail_rate"] == "0").then_some(())
        })
        .await;
    }
    for queue in [QUEUE_FAILURES, HANDOFF_FAILURES] {
        on_overview_row(&mut dashboard, queue, "r", "Redrive").await;
    }
    let emptied = in_time(async || {
        (world.depth(QUEUE_FAILURES) == Some(0) && world.depth(HANDOFF_FAILURES) == Some(0))
            .then_some(())
    });
    assert!(
        emptied.await.is_some(),
        "both dead-letter queues are to be empty:\n{}\n{}",
        world.status(),
        dashboard.text()
    );
    for pattern in ["internal-handoff", "queue-leveling"] {
        eventually("everything is delivered", async || {
            world
                .deliveries(pattern)
                .await
                .iter()
                .all(|(_, status, _)| status == "DELIVERED")
                .then_some(())
        })
        .await;
    }
    let deliveries = world.deliveries("internal-handoff").await.len()
        + world.deliveries("queue-leveling").await.len();
    assert_eq!(deliveries, 7, "one entry for each task");
    let operations = world.status()["operations"].clone();
    for operation in operations.as_array().unwrap() {
        assert_eq!(operation["state"], "completed", "{operation}");
        assert_eq!(operation["deleted"], operation["planned"], "{operation}");
        assert_eq!(operation["in_doubt"], json!([]), "{operation}");
    }
    dashboard.press("4");
    dashboard.wait_for("completed").await;
    dashboard.press("1");
    dashboard.wait_for("by CloudWatch").await;
    dashboard.press("q");
    assert!(dashboard.ended().await.success());
    dashboard
        .wait_until("the terminal given back", |_| {
            !dashboard.in_alternate_screen()
        })
        .await;
    assert!(world.stop().success());
    let accounted: Vec<_> = operations
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|operation| world.ledger(operation["operation_id"].as_str().unwrap()))
        .collect();
    assert_eq!(accounted.len(), 7, "the ledger knows each event");
    assert!(
        accounted
            .iter()
            .all(|(state, new_id)| state == "deleted" && new_id.is_some()),
        "{accounted:?}"
    );
}

/// Turns the dashboard's patterns until it shows the tasks of this one.
async fn show_tasks_of(dashboard: &mut Dashboard, pattern: &str) {
    let heading = |text: &str| {
        let lines = text.lines();
        lines
            .filter_map(|line| line.split_once("Tasks of "))
            .find_map(|(_, name)| name.split_whitespace().next().map(str::to_owned))
    };
    dashboard.press("3");
    let mut text = dashboard.wait_for("Tasks of ").await;
    while let Some(shown) = heading(&text).filter(|shown| shown != pattern) {
        dashboard.press("]");
        text = dashboard
            .wait_until("another pattern", |text| {
                heading(text).is_some_and(|name| name != shown)
            })
            .await;
    }
}

/// Each names its queue and its origin, tells what went wrong after how many attempts, and holds the original event.
fn check_failed_events(world: &World, failed: &Value) {
    for event in failed["events"].as_array().unwrap() {
        assert_eq!(event["receive_count"], 3, "three attempts: {event}");
        let shown = world
            .command(&["failed", "show", event["id"].as_str().unwrap()])
            .json;
        assert_eq!(
            shown["payload"]["action"], "task_created",
            "the original event: {shown}"
        );
        if event["dead_letter_queue"] == HANDOFF_FAILURES {
            assert_eq!(
                event["origin"],
                json!({"kind": "function", "name": HANDOFF_CONSUMER})
            );
            assert_eq!(event["error_type"], "TransientDelivery");
            assert!(
                event["error_message"]
                    .as_str()
                    .unwrap()
                    .contains("DELIVERY_FAIL_RATE"),
                "{event}"
            );
        } else {
            assert_eq!(event["dead_letter_queue"], QUEUE_FAILURES);
            assert_eq!(event["origin"], json!({"kind": "queue", "name": QUEUE}));
        }
    }
}

/// Kills the daemon with -9 right after it started a redrive of a thousand messages. Started again, it finishes.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_finishes_its_redrive() {
    const MESSAGES: u64 = 1_000;
    let mut world = World::start();
    let sqs = aws_sdk_sqs::Client::new(&world.sdk());
    // The consumer must not empty the source queue while it is counted.
    pause_consumer(&world).await;
    let dlq = sqs
        .get_queue_url()
        .queue_name(QUEUE_FAILURES)
        .send()
        .await
        .unwrap()
        .queue_url
        .unwrap();
    for batch in (0..MESSAGES).collect::<Vec<_>>().chunks(10) {
        let entries = batch.iter().map(|number| {
            SendMessageBatchRequestEntry::builder()
                .id(number.to_string())
                .message_body(format!("message {number}"))
                .build()
                .unwrap()
        });
        let sent = sqs
            .send_message_batch()
            .queue_url(&dlq)
            .set_entries(Some(entries.collect()))
            .send()
            .await
            .unwrap();
        assert!(sent.failed().is_empty());
    }
    eventually("the dead letters are seen", async || {
        (world.depth(QUEUE_FAILURES) == Some(MESSAGES)).then_some(())
    })
    .await;

    let started = world.command(&[
        "redrive",
        QUEUE_FAILURES,
        "--yes",
        "--force",
        "--all-at-once",
    ]);
    let daemon = daemon_pid(&world).await;
    signal(daemon, Signal::KILL);
    assert_eq!(started.code, 0, "{}", started.json);
    let id = started.json["operation_id"].as_str().unwrap().to_owned();
    assert_eq!(started.json["planned"], MESSAGES);

    let ended = eventually("the redrive after the daemon came back", async || {
        let status = world.command(&["status"]);
        let operation = find(&status.json["operations"], "operation_id", &id)?.clone();
        (operation["state"] != json!(OperationState::Running)).then_some(operation)
    })
    .await;
    assert_ne!(daemon_pid(&world).await, daemon, "it was started again");
    assert_eq!(ended["state"], "completed", "{ended}");
    assert_eq!(ended["deleted"], MESSAGES, "{ended}");

    // Every message is in the source queue, none in the dead-letter queue; what is there twice was said to be in doubt.
    let mut bodies = drain(&sqs, QUEUE).await;
    let received = bodies.len() as u64;
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len() as u64, MESSAGES, "none lost");
    assert!(
        received - MESSAGES <= ended["in_doubt_count"].as_u64().unwrap(),
        "duplicates are among those in doubt: {ended}"
    );
    assert_eq!(world.depth(QUEUE_FAILURES), Some(0));
    assert!(world.stop().success());
}

/// A burst that the operator starts in the dashboard: five consumers deliver half as fast as tasks arrive.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_makes_the_backlog_rise_and_fall() {
    let mut world = World::start();
    let mut dashboard = Dashboard::open(&world.socket, 140, 45);
    dashboard.wait_for(QUEUE).await;
    dashboard.press("b");
    dashboard.wait_for("(•) queue-leveling").await;
    dashboard.press("\r");
    dashboard.wait_for("Create 500 tasks in a burst").await;
    dashboard.wait_for("100/s").await;
    dashboard.press("\r");
    dashboard
        .wait_until("a backlog that rises", |text| {
            on_screen(text, QUEUE).is_some_and(|depth| depth >= 25)
        })
        .await;
    dashboard
        .wait_until("a backlog that has fallen to nothing", |text| {
            on_screen(text, QUEUE) == Some(0)
        })
        .await;
    let ended = eventually("the burst's end", async || {
        let status = world.status();
        let operation = find(&status["operations"], "kind", "burst")?.clone();
        (operation["state"] == "completed").then_some(operation)
    })
    .await;
    let sum: u64 = ["sent", "failed", "shortfall"]
        .iter()
        .map(|part| ended[*part].as_u64().unwrap())
        .sum();
    assert_eq!(sum, 500, "every task is accounted for: {ended}");
    // A request whose answer came too late may still store its task after the burst has ended.
    eventually("each stored task is delivered once", async || {
        let tasks = world.command(&["task", "list", "--pattern", "queue-leveling"]);
        let stored = tasks.json.as_array()?.len();
        let deliveries = world.deliveries("queue-leveling").await;
        let delivered = deliveries
            .iter()
            .filter(|(_, status, attempts)| status == "DELIVERED" && *attempts == 1);
        let enough = stored as u64 >= ended["sent"].as_u64().unwrap();
        (enough && delivered.count() == stored).then_some(())
    })
    .await;
    assert!(world.stop().success());
}

/// Visible, in flight and delayed messages of a queue, as its row on the overview shows them.
fn on_screen(text: &str, queue: &str) -> Option<u64> {
    let row = text
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == queue))?;
    let figures: Vec<u64> = row
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .take(3)
        .collect();
    (figures.len() == 3).then(|| figures.iter().sum())
}

/// Moves the cursor of the overview to the row of `name`, presses `key` there, and commits the proposal, which must hold `verb`.
async fn on_overview_row(dashboard: &mut Dashboard, name: &str, key: &str, verb: &str) {
    dashboard.press("1g");
    dashboard
        .wait_until("the overview with the cursor on its first row", |text| {
            // A frame arrives in parts, from the top: below, the last proposal may still stand.
            text.contains("by CloudWatch")
                && !text.contains("Enter do it")
                && text
                    .lines()
                    .zip(text.lines().skip(1))
                    .any(|(above, line)| line.starts_with('▸') && above.contains("visible"))
        })
        .await;
    for row in 0.. {
        let here = dashboard
            .wait_until("the cursor", |text| {
                text.lines().any(|line| line.starts_with('▸'))
            })
            .await;
        let cursor = here.lines().find(|line| line.starts_with('▸')).unwrap();
        if cursor.split_whitespace().any(|word| word == name) {
            break;
        }
        assert!(row < 200, "no row of {name}: {here}");
        dashboard.press("j");
        let cursor = cursor.split_whitespace().nth(2).unwrap().to_owned();
        dashboard
            .wait_until("the next row", |text| {
                text.lines().any(|line| {
                    line.starts_with('▸') && !line.split_whitespace().any(|word| word == cursor)
                })
            })
            .await;
    }
    dashboard.press(key);
    dashboard
        .wait_until(&format!("a proposal to {verb} {name}"), |text| {
            // While the daemon is asked for a plan, the line of keys below names Enter already.
            text.contains(verb)
                && text.contains(name)
                && text.contains("Enter do it")
                && !text.contains("Asking the daemon")
        })
        .await;
    dashboard.press("\r");
}

fn function(world: &World, name: &str) -> Value {
    find(&world.status()["functions"], "name", name)
        .cloned()
        .unwrap_or_default()
}

pub async fn daemon_pid(world: &World) -> u32 {
    eventually("the daemon answers", async || {
        let client = reqwest::Client::builder()
            .unix_socket(world.socket.as_path())
            .build()
            .unwrap();
        let hello: Value = client
            .get("http://daemon/v1/hello")
            .send()
            .await
            .ok()?
            .json()
            .await
            .ok()?;
        hello["pid"].as_u64()
    })
    .await
    .try_into()
    .unwrap()
}

/// Nothing consumes the queue any more.
pub async fn pause_consumer(world: &World) {
    consume(world, false).await;
}

/// Switches the queue's consumer on or off.
pub async fn consume(world: &World, enabled: bool) {
    let lambda = aws_sdk_lambda::Client::new(&world.sdk());
    let mappings = lambda
        .list_event_source_mappings()
        .function_name(QUEUE_CONSUMER)
        .send()
        .await
        .unwrap();
    for mapping in mappings.event_source_mappings() {
        lambda
            .update_event_source_mapping()
            .uuid(mapping.uuid().unwrap())
            .enabled(enabled)
            .send()
            .await
            .unwrap();
    }
}

/// Receives and deletes everything in a queue that nobody else uses.
pub async fn drain(sqs: &aws_sdk_sqs::Client, queue: &str) -> Vec<String> {
    let url = sqs
        .get_queue_url()
        .queue_name(queue)
        .send()
        .await
        .unwrap()
        .queue_url
        .unwrap();
    let mut bodies = Vec::new();
    loop {
        let received = sqs
            .receive_message()
            .queue_url(&url)
            .max_number_of_messages(10)
            .send()
            .await
            .unwrap();
        if received.messages().is_empty() {
            return bodies;
        }
        for message in received.messages() {
            bodies.push(message.body().unwrap().to_owned());
            sqs.delete_message()
                .queue_url(&url)
                .receipt_handle(message.receipt_handle().unwrap())
                .send()
                .await
                .unwrap();
        }
    }
}
