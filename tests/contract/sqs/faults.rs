//! Calls that go wrong on request: what the client sees, and what became of the queue.

use std::time::{Duration, Instant};

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry};
use reqwest::Method;
use serde_json::{Value, json};

use super::bench::{Steered, emulator, refused};
use super::cloud;

#[tokio::test]
async fn without_the_flag_the_path_is_not_there() {
    if cloud::leaves_out("the path is not AWS's") {
        return;
    }
    for path in ["faults", "clock", "witness"] {
        let url = format!("{}/_patterns/{path}", emulator());
        let answer = reqwest::get(url).await.unwrap();
        assert_eq!(answer.status(), 403, "{path}");
    }
}

#[tokio::test]
async fn each_error_is_the_one_that_sqs_gives_and_nothing_is_carried_out() {
    let Some(steered) = Steered::start().await else {
        return;
    };
    let bench = &steered.bench;
    let queue = bench.queue("struck", &[]).await;
    for (error, status, code) in [
        ("throttling", 400, "Throttling"),
        ("internal", 500, "InternalFailure"),
        ("unavailable", 503, "ServiceUnavailable"),
        ("access_denied", 403, "AccessDenied"),
        ("expired_token", 403, "ExpiredToken"),
    ] {
        let rule = json!({
            "service": "sqs", "operation": "SendMessage", "resource": "struck",
            "times": 1, "fault": {"kind": "error", "error": error},
        });
        steered.faults(json!([rule])).await;
        let send = bench.sqs.send_message().queue_url(&queue.url);
        let failed = send.message_body("x").send().await.unwrap_err();
        let raw = failed.raw_response().unwrap().status().as_u16();
        assert_eq!(
            (raw, refused(Err::<(), _>(failed)).0.as_str()),
            (status, code)
        );
        assert_eq!(bench.depth(&queue).await, (0, 0), "{error}");
    }
    // The rule was for one call.
    bench.send(&queue, "x").await;
    assert_eq!(bench.depth(&queue).await, (1, 0));
    steered.local.stop().await;
}

#[tokio::test]
async fn entries_of_a_batch_fail_and_the_others_are_carried_out() {
    let Some(steered) = Steered::start().await else {
        return;
    };
    let bench = &steered.bench;
    let queue = bench.queue("batch", &[]).await;
    let rule = json!({
        "operation": "SendMessageBatch",
        "fault": {"kind": "entries", "error": "internal", "share": 0.5},
    });
    steered.faults(json!([rule])).await;
    let mut accepted = Vec::new();
    for batch in 0..5 {
        let mut request = bench.sqs.send_message_batch().queue_url(&queue.url);
        for entry in 0..10 {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(entry.to_string())
                .message_body(format!("{batch}-{entry}"));
            request = request.entries(entry.build().unwrap());
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.successful().len() + answer.failed().len(), 10);
        for failed in answer.failed() {
            assert_eq!(
                (failed.code(), failed.sender_fault()),
                ("InternalFailure", false)
            );
        }
        accepted.extend(
            answer
                .successful()
                .iter()
                .map(|entry| format!("{batch}-{}", entry.id())),
        );
    }
    assert!((5..45).contains(&accepted.len()), "{}", accepted.len());
    let mut present = Vec::new();
    while present.len() < accepted.len() {
        let messages = bench.receive(&queue, 60).await;
        present.extend(
            messages
                .iter()
                .map(|message| message.body().unwrap().to_owned()),
        );
    }
    accepted.sort();
    present.sort();
    assert_eq!(accepted, present);
    assert!(bench.receive(&queue, 60).await.is_empty());
    steered.local.stop().await;
}

#[tokio::test]
async fn an_expired_receipt_handle_deletes_nothing() {
    let Some(steered) = Steered::start().await else {
        return;
    };
    let bench = &steered.bench;
    let queue = bench.queue("expired", &[]).await;
    bench.send(&queue, "x").await;
    let message = bench.receive_one(&queue, 60).await;
    let rule = json!({
        "operation": "DeleteMessageBatch",
        "fault": {"kind": "entries", "error": "receipt_expired"},
    });
    steered.faults(json!([rule])).await;
    let entry = DeleteMessageBatchRequestEntry::builder()
        .id("a")
        .receipt_handle(message.receipt_handle().unwrap());
    let request = bench.sqs.delete_message_batch().queue_url(&queue.url);
    let answer = request
        .entries(entry.build().unwrap())
        .send()
        .await
        .unwrap();
    assert!(answer.successful().is_empty());
    assert_eq!(answer.failed()[0].code(), "InvalidParameterValue");
    assert!(answer.failed()[0].message().unwrap().contains("expired"));
    assert_eq!(bench.depth(&queue).await, (0, 1));
    steered.local.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_or_cut_off_was_carried_out_all_the_same() {
    let Some(steered) = Steered::start().await else {
        return;
    };
    let bench = &steered.bench;
    for kind in ["reset", "truncate"] {
        let queue = bench.queue(kind, &[]).await;
        let rule = json!({"operation": "SendMessage", "times": 1, "fault": {"kind": kind}});
        steered.faults(json!([rule])).await;
        let send = bench.sqs.send_message().queue_url(&queue.url);
        let failed = send.message_body("x").send().await.unwrap_err();
        assert!(failed.as_service_error().is_none(), "{kind}: {failed:?}");
        assert_eq!(bench.depth(&queue).await, (1, 0), "{kind}");
    }
    steered.local.stop().await;
}

#[tokio::test]
async fn a_delayed_call_waits_and_the_others_do_not() {
    let Some(steered) = Steered::start().await else {
        return;
    };
    let bench = &steered.bench;
    let (slow, fast) = (
        bench.queue("slow", &[]).await,
        bench.queue("fast", &[]).await,
    );
    let rule = json!({"resource": "slow", "fault": {"kind": "delay", "ms": 600_000}});
    steered.faults(json!([rule])).await;
    let waiting = tokio::spawn({
        let send = bench
            .sqs
            .send_message()
            .queue_url(&slow.url)
            .message_body("x");
        async move { send.send().await.is_ok() }
    });
    let since = Instant::now();
    bench.send(&fast, "x").await;
    assert!(since.elapsed() < Duration::from_mins(5));
    assert!(!waiting.is_finished());
    waiting.abort();
    steered.local.stop().await;
}

#[tokio::test]
async fn rules_are_shown_with_their_counts_and_nonsense_is_refused() {
    let Some(steered) = Steered::start().await else {
        return;
    };
    let queue = steered.bench.queue("counted", &[]).await;
    let rule = json!({"operation": "SendMessage", "after": 1, "fault": {"kind": "error", "error": "internal"}});
    steered.faults(json!([rule])).await;
    steered.bench.send(&queue, "x").await;
    let send = steered.bench.sqs.send_message().queue_url(&queue.url);
    send.message_body("x").send().await.unwrap_err();
    for bad in [
        "",
        "{",
        "[]",
        r#"{"rules": [{"fault": {"kind": "explode"}}]}"#,
        r#"{"rules": [{"servise": "sqs", "fault": {"kind": "reset"}}]}"#,
        r#"{"rules": [{"share": 2, "fault": {"kind": "reset"}}]}"#,
    ] {
        let (status, text) = steered.admin(Method::PUT, "faults", bad).await;
        assert_eq!(status, 400, "{bad}: {text}");
    }
    for (method, path, body) in [
        (Method::POST, "clock", r#"{"advance_ms": -1}"#),
        (
            Method::POST,
            "clock",
            r#"{"advance_ms": 18446744073709551615}"#,
        ),
        (Method::GET, "witness?from=x", ""),
        (Method::GET, "nothing", ""),
    ] {
        let (status, text) = steered.admin(method, path, body).await;
        assert_eq!(status, 400, "{path}: {text}");
        assert!(serde_json::from_str::<Value>(&text).unwrap()["message"].is_string());
    }
    let (_, text) = steered.admin(Method::GET, "faults", "").await;
    let rules: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(rules["rules"][0]["seen"], 2);
    assert_eq!(rules["rules"][0]["struck"], 1);
    steered.local.stop().await;
}

#[tokio::test]
async fn a_request_from_a_web_page_steers_nothing() {
    let Some(steered) = Steered::start().await else {
        return;
    };
    let url = format!("{}/_patterns/clock", steered.local.endpoint_url);
    let request = reqwest::Client::new().post(url);
    let request = request.header("origin", "http://evil.example");
    let answer = request.body(r#"{"advance_ms": 1}"#).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    assert!(steered.local.clock.ahead().is_zero());
    steered.local.stop().await;
}
