//! Nothing that a function starts outlives its environment, however it was started and whatever ends the environment
//! (AWS Lambda developer guide, "Understanding the Lambda execution environment lifecycle": the shutdown ends all its processes).

use serde_json::json;

use super::bench::{Bench, bootstrap_after, wait_until};
use super::cloud;
use super::emulator::Emulator;
use super::synchronous::is_running;

/// A child, a child in a session of its own, a child that lost its parent, and one that did both; all deaf to polite signals. Their
/// process ids are in the file `started`.
const STARTS: &str = r#"trap '' TERM HUP
note() { echo "$1" >> "$MARKS/started"; }
sleep 600 &
note $!
setsid sleep 600 &
note $!
(sleep 600 & note $!)
setsid /bin/sh -c 'sleep 600 & echo $! >> "$MARKS/started"'"#;

fn started(marks: &str) -> Vec<u64> {
    marks.lines().map(|line| line.parse().unwrap()).collect()
}

fn leaves_out() -> bool {
    cloud::leaves_out("what it starts may stay on this machine")
}

async fn all_end(processes: &[u64]) {
    wait_until("all it started has ended", || async {
        !processes.iter().any(|pid| is_running(*pid))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_leaves_nothing_behind_and_disturbs_no_other_function() {
    if leaves_out() {
        return;
    }
    let bench = Bench::start().await;
    let zip = bootstrap_after(STARTS, 0o755);
    bench.create_from("forking", 2, zip).await;
    bench.create("other", 10).await;
    let (other, _) = bench.invoke("other", json!({})).await;
    let (payload, _) = bench.invoke("forking", json!({"do": "hang"})).await;
    assert_eq!(payload["errorType"], "Sandbox.Timedout");
    let mut family = started(&bench.mark("started"));
    family.push(bench.runs().pop().unwrap()["pid"].as_u64().unwrap());
    assert_eq!(family.len(), 5);
    all_end(&family).await;
    let (again, _) = bench.invoke("other", json!({})).await;
    assert_eq!(again["pid"], other["pid"]);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_function_ends_what_it_started() {
    if leaves_out() {
        return;
    }
    let bench = Bench::start().await;
    let zip = bootstrap_after(STARTS, 0o755);
    bench.create_from("forking", 20, zip).await;
    let (_, error) = bench.invoke("forking", json!({})).await;
    assert_eq!(error, None);
    let family = started(&bench.mark("started"));
    assert!(family.iter().all(|pid| is_running(*pid)));
    let delete = bench
        .lambda
        .delete_function()
        .function_name(bench.name("forking"));
    delete.send().await.unwrap();
    all_end(&family).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_children_end_with_a_stop() {
    if leaves_out() {
        return;
    }
    let bench = Bench::start().await;
    let before = "i=0; while [ $i -lt 1000 ]; do sleep 600 & echo $! >> \"$MARKS/started\"; i=$((i+1)); done";
    bench
        .create_from("many", 60, bootstrap_after(before, 0o755))
        .await;
    bench.create("other", 10).await;
    let (_, error) = bench.invoke("many", json!({})).await;
    assert_eq!(error, None);
    let (_, error) = bench.invoke("other", json!({})).await;
    assert_eq!(error, None);
    let family = started(&bench.mark("started"));
    assert_eq!(family.len(), 1000);
    bench.stop().await;
    all_end(&family).await;
}

/// A bootstrap that ends by itself ends what it started too, and Lambda tells how it ended.
#[tokio::test(flavor = "multi_thread")]
async fn an_exit_is_told_by_code_or_signal_and_leaves_nothing_behind() {
    if leaves_out() {
        return;
    }
    let bench = Bench::start().await;
    for (index, (how, told)) in [
        ("exit 0", "Runtime exited without providing a reason"),
        ("exit 3", "Runtime exited with error: exit status 3"),
        ("kill -KILL $$", "Runtime exited with error: signal: killed"),
        (
            "kill -SEGV $$",
            "Runtime exited with error: signal: segmentation fault",
        ),
        (
            "trap - TERM; kill -TERM 0",
            "Runtime exited with error: signal: terminated",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("ending-{index}");
        let zip = bootstrap_after(&format!("{STARTS}\n{how}"), 0o755);
        bench.create_from(&name, 20, zip).await;
        let (payload, error) = bench.invoke(&name, json!({})).await;
        assert_eq!(error.as_deref(), Some("Unhandled"));
        assert_eq!(payload["errorType"], "Runtime.ExitError", "{how}");
        let message = payload["errorMessage"].as_str().unwrap();
        assert!(message.ends_with(told), "{how}: {message}");
    }
    all_end(&started(&bench.mark("started"))).await;
    bench.stop().await;
}

/// It cannot see to anything when it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn an_emulator_that_is_killed_leaves_nothing_behind() {
    if leaves_out() {
        return;
    }
    let emulator = Emulator::start();
    let dir = tempfile::tempdir().unwrap();
    let marks = dir.path().display();
    let script = format!("#!/bin/sh\nexport MARKS='{marks}'\n{STARTS}\nexec sleep 600\n");
    emulator.create("f", dir.path(), &script).await;
    assert_eq!(emulator.invoke("f", "Event").await.status(), 202);
    let marks = || std::fs::read_to_string(dir.path().join("started")).unwrap_or_default();
    wait_until("it has started all", || async {
        marks().lines().count() == 4
    })
    .await;
    emulator.kill().await;
    all_end(&started(&marks())).await;
}
