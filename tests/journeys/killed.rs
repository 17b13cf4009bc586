//! Function processes end at any moment, with kill -9, while tasks are created: nothing is lost, and nothing is done twice.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::Notify;

use crate::bad_input::descendants;
use crate::story::{HANDOFF_CONSUMER, HANDOFF_FAILURES, QUEUE_CONSUMER, QUEUE_FAILURES};
use crate::world::{World, eventually, signal};

/// Tasks for each stack.
const TASKS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_are_killed_lose_nothing_and_do_nothing_twice() {
    let world = World::start_with(&["--admin"]);
    for consumer in [HANDOFF_CONSUMER, QUEUE_CONSUMER] {
        world.limit(consumer, 3).await;
    }
    let created = Notify::new();
    let load = async {
        for pattern in ["internal-handoff", "queue-leveling"] {
            let tasks = (0..TASKS).map(async |number| {
                create(&world, pattern, number).await;
                created.notify_one();
            });
            futures::future::join_all(tasks).await;
        }
    };
    let mut killed = 0;
    let kills = async {
        loop {
            // Between two kills a task has to get through, or on a slow machine none ever would.
            created.notified().await;
            tokio::time::sleep(Duration::from_millis(fastrand::u64(..100))).await;
            if let Some(pid) = fastrand::choice(&functions(world.pid())) {
                signal(*pid, Signal::KILL);
                killed += 1;
            }
        }
    };
    tokio::select! {
        () = load => {}
        () = kills => {}
    }
    assert!(killed > 0, "something was killed");

    for (pattern, failures) in [
        ("internal-handoff", HANDOFF_FAILURES),
        ("queue-leveling", QUEUE_FAILURES),
    ] {
        let tasks = world.items(&format!("{pattern}-TasksTable")).await;
        assert_eq!(tasks.len(), TASKS, "{pattern}: one task for each key");
        let expected: BTreeSet<_> = tasks
            .iter()
            .map(|task| format!("DELIVERY#task_created-{}", task["id"].as_s().unwrap()))
            .collect();
        eventually("every event is delivered once", async || {
            // What was killed half-way is swept, comes back when its visibility timeout ends, or failed and is redriven.
            world.advance(Duration::from_mins(1)).await;
            if world.depth(failures)? > 0 {
                world.command(&["redrive", failures, "--yes", "--force", "--all-at-once"]);
            }
            let deliveries = world.deliveries(pattern).await;
            let delivered: BTreeSet<_> = deliveries
                .into_iter()
                .filter(|(_, status, _)| status == "DELIVERED")
                .map(|(id, ..)| id)
                .collect();
            let told = world
                .items(&format!("{pattern}-OutboxTable"))
                .await
                .is_empty();
            (delivered == expected && told).then_some(())
        })
        .await;
    }
}

/// Asks until the answer is 201; the key makes asking again safe.
async fn create(world: &World, pattern: &str, number: usize) {
    let client = reqwest::Client::new();
    eventually("a task is created", async || {
        let answer = client
            .post(format!("{}/tasks", world.api(pattern)))
            .header("idempotency-key", format!("task-{number}"))
            .json(&serde_json::json!({"title": format!("task {number}")}))
            .send()
            .await
            .ok()?;
        if answer.status() != 201 {
            return None;
        }
        answer.json::<Value>().await.ok()
    })
    .await;
}

/// Processes that run a function.
pub fn functions(pid: u32) -> Vec<u32> {
    let is_function = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
            line.split(|byte| *byte == 0)
                .any(|word| word == b"function")
        })
    };
    descendants(pid).into_iter().filter(is_function).collect()
}

/// Ends the processes of one function, and says how many.
pub fn kill(pid: u32, function: &str) -> usize {
    let is_it = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        words
            .windows(2)
            .any(|two| two == [b"function".as_slice(), function.as_bytes()])
    };
    let running: Vec<_> = descendants(pid).into_iter().filter(is_it).collect();
    for pid in &running {
        signal(*pid, Signal::KILL);
    }
    running.len()
}
