//! Metrics of `AWS/SQS` ("Amazon SQS Developer Guide: Available CloudWatch metrics for Amazon SQS").

use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use serde_json::json;

use super::bench::{Bench, wait_until};

/// A queue, and another whose messages go there after one receive; their URLs.
async fn with_dead_letters(bench: &Bench, name: &str) -> (String, String) {
    let dead = format!("{name}-dlq");
    let dead_url = queue(bench, &dead, &[]).await;
    let policy =
        json!({ "deadLetterTargetArn": bench.cloud.queue_arn(&dead), "maxReceiveCount": 1 })
            .to_string();
    let url = queue(bench, name, &[(QueueAttributeName::RedrivePolicy, &policy)]).await;
    (url, dead_url)
}

async fn queue(bench: &Bench, name: &str, attributes: &[(QueueAttributeName, &str)]) -> String {
    let create = bench.sqs.create_queue();
    let mut create = create.queue_name(bench.cloud.name(name));
    for (attribute, value) in attributes {
        create = create.attributes(attribute.clone(), *value);
    }
    create.send().await.unwrap().queue_url.unwrap()
}

/// Receives one message for no time at all; its receipt handle, if there was one.
async fn receive(bench: &Bench, url: &str) -> Option<String> {
    let receive = bench
        .sqs
        .receive_message()
        .queue_url(url)
        .visibility_timeout(0);
    let output = receive.send().await.unwrap();
    output.messages().first()?.receipt_handle.clone()
}

async fn assert_sums(bench: &Bench, queue: &str, expected: &[(&str, f64)]) {
    for (metric, expected) in expected {
        let sum = bench.queue_sum(queue, metric).await;
        assert!(
            (sum - expected).abs() < 1e-9,
            "{queue} {metric}: {sum}, expected {expected}"
        );
    }
}

/// Sends, their sizes, receives, empty receives and deletes are counted.
#[tokio::test]
async fn calls_are_counted_by_queue() {
    let bench = Bench::new().await;
    let url = queue(&bench, "counted", &[]).await;
    let attribute = MessageAttributeValue::builder()
        .data_type("String")
        .string_value("value");
    let send = bench
        .sqs
        .send_message()
        .queue_url(&url)
        .message_body("12345");
    let send = send.message_attributes("name", attribute.build().unwrap());
    send.send().await.unwrap();
    let handle = receive(&bench, &url).await.unwrap();
    let delete = bench
        .sqs
        .delete_message()
        .queue_url(&url)
        .receipt_handle(handle);
    delete.send().await.unwrap();
    assert_eq!(receive(&bench, &url).await, None);
    assert_sums(
        &bench,
        "counted",
        &[
            ("NumberOfMessagesSent", 1.0),
            ("SentMessageSize", 20.0),
            ("NumberOfMessagesReceived", 1.0),
            ("NumberOfEmptyReceives", 1.0),
            ("NumberOfMessagesDeleted", 1.0),
        ],
    )
    .await;
}

/// `NumberOfDeduplicatedSentMessages`: what was accepted and not added is no message sent.
#[tokio::test]
async fn duplicates_are_counted_apart() {
    let bench = Bench::new().await;
    let url = queue(
        &bench,
        "twice.fifo",
        &[(QueueAttributeName::FifoQueue, "true")],
    )
    .await;
    for _ in 0..2 {
        let send = bench.sqs.send_message().queue_url(&url).message_body("x");
        let send = send.message_group_id("g").message_deduplication_id("d");
        send.send().await.unwrap();
    }
    assert_sums(
        &bench,
        "twice.fifo",
        &[
            ("NumberOfMessagesSent", 1.0),
            ("NumberOfDeduplicatedSentMessages", 1.0),
        ],
    )
    .await;
}

/// "Troubleshoot dead-letter queue and DLQ redrive issues": what failed processing moves is not captured as sent.
#[tokio::test]
async fn f8_a_move_by_the_redrive_policy_is_no_message_sent() {
    let bench = Bench::new().await;
    let (url, dead_url) = with_dead_letters(&bench, "moved").await;
    bench
        .sqs
        .send_message()
        .queue_url(&url)
        .message_body("x")
        .send()
        .await
        .unwrap();
    assert!(receive(&bench, &url).await.is_some());
    assert_eq!(receive(&bench, &url).await, None);
    assert!(receive(&bench, &dead_url).await.is_some());
    assert_sums(&bench, "moved-dlq", &[("NumberOfMessagesSent", 0.0)]).await;
    // By hand it is.
    bench
        .sqs
        .send_message()
        .queue_url(&dead_url)
        .message_body("x")
        .send()
        .await
        .unwrap();
    assert_sums(&bench, "moved-dlq", &[("NumberOfMessagesSent", 1.0)]).await;
}

/// "Learn how to configure a dead-letter queue redrive in Amazon SQS": redriven messages are new messages.
#[tokio::test]
async fn f11_what_a_move_task_moves_is_sent_again() {
    let bench = Bench::new().await;
    let (url, _) = with_dead_letters(&bench, "redriven").await;
    bench
        .sqs
        .send_message()
        .queue_url(&url)
        .message_body("x")
        .send()
        .await
        .unwrap();
    assert!(receive(&bench, &url).await.is_some());
    assert_eq!(receive(&bench, &url).await, None);
    let start = bench
        .sqs
        .start_message_move_task()
        .source_arn(bench.cloud.queue_arn("redriven-dlq"));
    start.send().await.unwrap();
    wait_until("the task has sent", async || {
        bench.queue_sum("redriven", "NumberOfMessagesSent").await > 1.5
    })
    .await;
    assert_sums(&bench, "redriven-dlq", &[("NumberOfMessagesDeleted", 1.0)]).await;
}

/// Depths and ages are figures of the present, one sample a minute.
#[tokio::test]
async fn depths_show_where_messages_are() {
    let bench = Bench::new().await;
    let url = queue(&bench, "deep", &[]).await;
    for delay in [0, 0, 0, 900] {
        let send = bench.sqs.send_message().queue_url(&url).message_body("x");
        send.delay_seconds(delay).send().await.unwrap();
    }
    bench
        .sqs
        .receive_message()
        .queue_url(&url)
        .send()
        .await
        .unwrap();
    wait_until("the depths show", async || {
        let newest = async |metric: &str| {
            use aws_sdk_cloudwatch::types::{Dimension, Metric};
            let queue = Dimension::builder().name("QueueName");
            let queue = queue.value(bench.cloud.name("deep")).build();
            let metric = Metric::builder()
                .namespace("AWS/SQS")
                .metric_name(metric)
                .dimensions(queue)
                .build();
            let values = bench.values(super::bench::query("q", metric, "Sum")).await;
            values.first().copied()
        };
        newest("ApproximateNumberOfMessagesVisible").await == Some(2.0)
            && newest("ApproximateNumberOfMessagesNotVisible").await == Some(1.0)
            && newest("ApproximateNumberOfMessagesDelayed").await == Some(1.0)
            && newest("ApproximateAgeOfOldestMessage")
                .await
                .is_some_and(|age| age < 60.0)
    })
    .await;
}
