//! The log of every message's life, and what can be counted with it.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::bench::{Steered, wait_for};

impl Steered {
    async fn witnessed(&self) -> Vec<Value> {
        let (status, text) = self.admin(Method::GET, "witness", "").await;
        assert_eq!(status, 200);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn life<'a>(lines: &'a [Value], message_id: &str) -> Vec<(&'a str, &'a str)> {
    lines
        .iter()
        .filter(|line| line["message_id"] == message_id)
        .map(|line| {
            (
                line["queue"].as_str().unwrap(),
                line["event"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_message_is_followed_from_its_send_to_its_end() {
    let Some(steered) = Steered::start().await else {
        return;
    };
    let bench = &steered.bench;
    let (source, dead) = bench.queue_with_dead_letters("q").await;
    let ids = bench.let_die(&source, &["poison"]).await;
    let kept = bench.send(&source, "good").await;
    let message = bench.receive_one(&source, 60).await;
    bench.delete(&source, &message).await;
    let start = bench.sqs.start_message_move_task().source_arn(&dead.arn);
    start.send().await.unwrap();
    wait_for("the move", || async {
        let (visible, _) = bench.depth(&source).await;
        (visible == 1).then_some(())
    })
    .await;
    steered.advance(Duration::from_hours(24 * 5)).await;
    assert_eq!(bench.depth(&source).await, (0, 0));
    let purged = bench.send(&dead, "rest").await;
    bench
        .sqs
        .purge_queue()
        .queue_url(&dead.url)
        .send()
        .await
        .unwrap();

    let lines = steered.witnessed().await;
    assert_eq!(
        life(&lines, &kept),
        [("q", "sent"), ("q", "received"), ("q", "deleted")]
    );
    assert_eq!(
        life(&lines, &ids[0]),
        [
            ("q", "sent"),
            ("q", "received"),
            ("q", "moved"),
            ("q-dlq", "moved")
        ]
    );
    assert_eq!(
        life(&lines, &purged),
        [("q-dlq", "sent"), ("q-dlq", "purged")]
    );
    let moved = lines
        .iter()
        .find(|line| !line["new_message_id"].is_null())
        .unwrap();
    assert_eq!(moved["to"], "q");
    let new_id = moved["new_message_id"].as_str().unwrap();
    assert_eq!(life(&lines, new_id), [("q", "sent"), ("q", "expired")]);
    let numbers: Vec<_> = lines
        .iter()
        .map(|line| line["n"].as_u64().unwrap())
        .collect();
    assert_eq!(
        numbers,
        (1..=u64::try_from(lines.len()).unwrap()).collect::<Vec<_>>()
    );
    // An alteration would show in the sums.
    let sums = |id: &str| {
        let sent = lines
            .iter()
            .find(|line| line["message_id"] == id && line["event"] == "sent");
        sent.unwrap()["body"].clone()
    };
    assert_eq!(sums(&ids[0]), sums(new_id));
    assert_ne!(sums(&ids[0]), sums(&kept));
    steered.local.stop().await;
}

#[tokio::test]
async fn under_faults_every_message_that_was_sent_is_deleted_once_or_still_there() {
    let Some(steered) = Steered::start().await else {
        return;
    };
    let bench = &steered.bench;
    let queue = bench.queue("stormy", &[]).await;
    steered
        .faults(json!([
            {"share": 0.1, "fault": {"kind": "error", "error": "throttling"}},
            {"operation": "SendMessage", "share": 0.1, "fault": {"kind": "reset"}},
            {"operation": "DeleteMessage", "share": 0.2, "fault": {"kind": "truncate"}},
        ]))
        .await;
    for n in 0..200 {
        // Some fail, and some of those were carried out: that is the point.
        let send = bench.sqs.send_message().queue_url(&queue.url);
        let _ = send.message_body(n.to_string()).send().await;
    }
    for _ in 0..10 {
        let receive = bench.sqs.receive_message().queue_url(&queue.url);
        let received = receive
            .max_number_of_messages(10)
            .visibility_timeout(60)
            .send()
            .await;
        for message in received
            .ok()
            .and_then(|output| output.messages)
            .unwrap_or_default()
        {
            let delete = bench.sqs.delete_message().queue_url(&queue.url);
            let _ = delete
                .receipt_handle(message.receipt_handle().unwrap())
                .send()
                .await;
        }
    }
    steered.faults(json!([])).await;
    let (visible, in_flight) = bench.depth(&queue).await;
    let mut count = BTreeMap::<String, u32>::new();
    for line in steered.witnessed().await {
        *count
            .entry(line["event"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    assert!(count["deleted"] > 0 && count["sent"] > 100, "{count:?}");
    assert_eq!(count["sent"], count["deleted"] + visible + in_flight);
    steered.local.stop().await;
}
