//! What became of redriven events: those that were processed settle, those that fail again are recognised, and one that
//! always fails alike is not redriven for ever.

use aws_sdk_lambda::types::InvocationType;
use aws_sdk_sqs::types::QueueAttributeName;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::story::{
    HANDOFF_CONSUMER, HANDOFF_FAILURES, QUEUE, QUEUE_CONSUMER, QUEUE_FAILURES, daemon_pid,
};
use crate::world::{World, eventually, find, signal};

/// Long enough for a function that starts on a busy machine. The shorter, the sooner it is known what settled.
const FUNCTION_SECONDS: i32 = 5;

/// On both routes: three receives or attempts, for functions 3 s of waits, and the slack.
const WINDOW_SECONDS: u64 = 20;

const FAILURES: [&str; 2] = [QUEUE_FAILURES, HANDOFF_FAILURES];
const CONSUMERS: [&str; 2] = [QUEUE_CONSUMER, HANDOFF_CONSUMER];

#[tokio::test(flavor = "multi_thread")]
async fn redriven_events_settle_or_are_known_to_have_come_back() {
    let mut world = World::start();
    hasten(&world).await;
    // Three that fail while the provider is down, and two that no function can read.
    for consumer in CONSUMERS {
        deliveries(&world, consumer, true).await;
    }
    for number in 0..3 {
        for pattern in ["queue-leveling", "internal-handoff"] {
            let task = json!({"title": format!("task {number}")});
            assert_eq!(world.post_task(pattern, &task).await.0, 201);
        }
    }
    for number in 0..2 {
        poison(&world, number).await;
    }
    for queue in FAILURES {
        failed(&world, queue, 5, 0).await;
    }
    for consumer in CONSUMERS {
        deliveries(&world, consumer, false).await;
    }

    for queue in FAILURES {
        soon_judged(&world, queue).await;
        let id = redrive(&world, queue, 5).await;
        let judged = eventually("three settled, two back", async || {
            let operation = operation(&world, &id)?;
            (operation["settled"] == 3).then_some(operation)
        })
        .await;
        assert_eq!(judged["returned"], 2, "{judged}");
        // What a redrive policy moves has no error that could be the same.
        let alike = if queue == HANDOFF_FAILURES { 2 } else { 0 };
        assert_eq!(judged["returned_alike"], alike, "{judged}");
        assert_eq!(judged["unverified"], Value::Null, "{judged}");
    }

    // The second time the daemon is killed before they are back, and the third time nothing happens to it.
    for round in 2..=3 {
        for queue in FAILURES {
            failed(&world, queue, 2, round - 1).await;
            let id = redrive(&world, queue, 2).await;
            if round == 2 {
                signal(daemon_pid(&world).await, Signal::KILL);
            }
            eventually("both are back", async || {
                (operation(&world, &id)?["returned"] == 2).then_some(())
            })
            .await;
        }
    }
    for queue in FAILURES {
        let event = failed(&world, queue, 2, 3).await;
        let shown = world.command(&["failed", "show", event.as_str()]).json;
        let history = shown["history"].as_array().unwrap();
        let returned = history.iter().filter(|entry| entry["state"] == "returned");
        assert_eq!(returned.count(), 3, "{shown}");
        assert!(history[0]["note"].is_null(), "{shown}");
    }

    for (queue, consumer) in FAILURES.into_iter().zip(CONSUMERS) {
        let refused = world.command(&["redrive", queue, "--yes"]);
        assert_eq!(refused.code, 1, "{}", refused.json);
        let what = refused.json["what"].as_str().unwrap();
        assert!(what.contains("2 of the events came back 3 times"), "{what}");
        change(&world, consumer).await;
        let plan = world.command(&["redrive", queue, "--dry-run"]).json;
        let stops = plan["lint"].as_array().unwrap().iter();
        assert_eq!(
            stops.filter(|lint| lint["level"] == "stop").count(),
            0,
            "{plan}"
        );
    }
    assert!(world.stop().success());
}

/// Shortens what is waited for before an event counts as processed.
async fn hasten(world: &World) {
    let lambda = aws_sdk_lambda::Client::new(&world.sdk());
    for consumer in CONSUMERS {
        lambda
            .update_function_configuration()
            .function_name(consumer)
            .timeout(FUNCTION_SECONDS)
            .send()
            .await
            .unwrap();
    }
    let sqs = aws_sdk_sqs::Client::new(&world.sdk());
    sqs.set_queue_attributes()
        .queue_url(url(&sqs, QUEUE).await)
        .attributes(
            QueueAttributeName::VisibilityTimeout,
            (FUNCTION_SECONDS + 1).to_string(),
        )
        .send()
        .await
        .unwrap();
}

async fn url(sqs: &aws_sdk_sqs::Client, queue: &str) -> String {
    let answer = sqs.get_queue_url().queue_name(queue).send().await.unwrap();
    answer.queue_url.unwrap()
}

/// What the daemon answers to a request, unless it refuses.
async fn ask(world: &World, request: Value) -> Option<Value> {
    let client = reqwest::Client::builder()
        .unix_socket(world.socket.as_path())
        .build()
        .unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    let body = json!({"id": format!("{}", now.as_nanos()), "request": request});
    let answer = client
        .post("http://daemon/v1/requests")
        .json(&body)
        .send()
        .await
        .unwrap();
    if !answer.status().is_success() {
        return None;
    }
    Some(answer.json().await.unwrap())
}

/// Breaks or heals the provider of a function.
async fn deliveries(world: &World, function: &str, broken: bool) {
    let request = json!({"verb": "set_delivery", "function": function, "broken": broken});
    eventually("the change is accepted", async || {
        ask(world, request.clone()).await
    })
    .await;
}

/// Waits until the daemon has noticed how short the windows are.
async fn soon_judged(world: &World, queue: &str) {
    let request = json!({"verb": "plan", "dead_letter_queue": queue, "selection": "everything"});
    eventually("a plan with a short window", async || {
        let plan = ask(world, request.clone()).await?;
        (plan["value"]["window_seconds"].as_u64()? == WINDOW_SECONDS).then_some(())
    })
    .await;
}

/// Hands both consumers something that is no event.
async fn poison(world: &World, number: u64) {
    let body = json!({"poison": number}).to_string();
    let sqs = aws_sdk_sqs::Client::new(&world.sdk());
    sqs.send_message()
        .queue_url(url(&sqs, QUEUE).await)
        .message_body(&body)
        .send()
        .await
        .unwrap();
    aws_sdk_lambda::Client::new(&world.sdk())
        .invoke()
        .function_name(HANDOFF_CONSUMER)
        .invocation_type(InvocationType::Event)
        .payload(aws_sdk_lambda::primitives::Blob::new(body))
        .send()
        .await
        .unwrap();
}

/// Waits until the queue holds that many failed events, each redriven that often; the id of one.
async fn failed(world: &World, queue: &str, count: usize, redriven: u64) -> String {
    let what = format!("{count} events in {queue}, redriven {redriven} times");
    eventually(&what, async || {
        let list = world.command(&["failed", "list", queue]).json;
        let events = list["events"].as_array().unwrap();
        let all = events
            .iter()
            .all(|event| event["redrive_count"] == redriven);
        (events.len() == count && all).then(|| events[0]["id"].as_str().unwrap().to_owned())
    })
    .await
}

/// Redrives everything in the queue, and waits until that is done.
async fn redrive(world: &World, queue: &str, count: u64) -> String {
    let started = world.command(&["redrive", queue, "--yes"]);
    assert_eq!(started.code, 0, "{}", started.json);
    assert_eq!(started.json["planned"], count, "{}", started.json);
    let id = started.json["operation_id"].as_str().unwrap().to_owned();
    eventually("all are sent", async || {
        let operation = operation(world, &id)?;
        (operation["state"] == "completed").then(|| assert_eq!(operation["deleted"], count))
    })
    .await;
    id
}

fn operation(world: &World, id: &str) -> Option<Value> {
    // A daemon that was killed is away for a moment.
    let answer = world.command(&["status"]);
    find(&answer.json["operations"], "operation_id", id).cloned()
}

/// Makes another revision of a function.
async fn change(world: &World, function: &str) {
    aws_sdk_lambda::Client::new(&world.sdk())
        .update_function_configuration()
        .function_name(function)
        .description("mended")
        .send()
        .await
        .unwrap();
}
