//! Event source mappings on FIFO queues.

use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::types::FunctionResponseType;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;

use super::bench::{Bench, mapping, wait_until};
use super::event_source::bodies;

/// AWS Lambda developer guide, "Using Lambda with Amazon SQS", FIFO queues: messages of a group reach the function in order, and those
/// behind one that failed wait until it was processed or moved to the dead-letter queue. Other groups go on.
#[tokio::test(flavor = "multi_thread")]
async fn f28_messages_behind_a_failed_one_of_their_group_wait_for_it() {
    let bench = Bench::start().await;
    let fifo = (QueueAttributeName::FifoQueue, "true");
    let (dead_url, dead_arn) = bench.queue("dead.fifo", std::slice::from_ref(&fifo)).await;
    let policy = json!({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2}).to_string();
    let attributes = [
        fifo,
        (QueueAttributeName::VisibilityTimeout, "1"),
        (QueueAttributeName::RedrivePolicy, policy.as_str()),
    ];
    let (url, arn) = bench.queue("source.fifo", &attributes).await;
    bench.create("f", 1).await;
    for (group, body) in [
        ("a", "a1"),
        ("a", "poison"),
        ("a", "a2"),
        ("b", "b1"),
        ("b", "b2"),
    ] {
        let request = bench.sqs.send_message().queue_url(&url).message_body(body);
        let request = request
            .message_group_id(group)
            .message_deduplication_id(body);
        request.send().await.unwrap();
    }
    let request = mapping(&bench, &arn).batch_size(1);
    let request = request.function_response_types(FunctionResponseType::ReportBatchItemFailures);
    request.send().await.unwrap();

    wait_until("the queue is empty", || async {
        bench.depth(&url).await == (0, 0)
    })
    .await;
    assert_eq!(bench.take(&dead_url).await.body(), Some("poison"));
    let delivered = bodies(&bench);
    let (a, b): (Vec<_>, Vec<_>) = delivered.iter().partition(|body| !body.starts_with('b'));
    assert_eq!(a, ["a1", "poison", "poison", "a2"]);
    assert_eq!(b, ["b1", "b2"]);
    let record = &bench.runs()[0]["event"]["Records"][0]["attributes"];
    for name in ["MessageGroupId", "MessageDeduplicationId", "SequenceNumber"] {
        assert!(record[name].is_string(), "{name} is not in {record}");
    }
    bench.stop().await;
}

/// AWS Lambda developer guide, "Using Lambda with Amazon SQS", FIFO queues, together with the payload limit: what was cut off a batch
/// waits for the message of its group that failed in it.
#[tokio::test(flavor = "multi_thread")]
async fn f28_the_rest_of_a_cut_batch_waits_for_a_failed_message_of_its_group() {
    let bench = Bench::start().await;
    let attributes = [
        (QueueAttributeName::FifoQueue, "true"),
        (QueueAttributeName::VisibilityTimeout, "5"),
    ];
    let (url, arn) = bench.queue("source.fifo", &attributes).await;
    bench.create("f", 5).await;
    let large = "x".repeat(700 * 1024);
    for id in 0..10 {
        let body = if id == 0 { "poison" } else { large.as_str() };
        let request = bench.sqs.send_message().queue_url(&url).message_body(body);
        let request = request
            .message_group_id("g")
            .message_deduplication_id(id.to_string());
        request.send().await.unwrap();
    }
    let request = mapping(&bench, &arn).batch_size(10);
    let request = request.function_response_types(FunctionResponseType::ReportBatchItemFailures);
    request.send().await.unwrap();
    wait_until("all but the failing one are done", || async {
        bodies(&bench)
            .iter()
            .filter(|body| *body != "poison")
            .count()
            == 9
    })
    .await;
    let runs: Vec<usize> = bench
        .runs()
        .iter()
        .map(|run| run["event"]["Records"].as_array().unwrap().len())
        .collect();
    assert_eq!(runs, [9, 2]);
    let again = &bench.runs()[1]["event"]["Records"][0]["body"];
    assert_eq!(again, "poison");
    bench.stop().await;
}

/// AWS Lambda API reference, `CreateEventSourceMapping`: a FIFO queue allows batches of at most 10, and no batching window.
#[tokio::test(flavor = "multi_thread")]
async fn f28_a_fifo_queue_allows_no_batch_over_10_and_no_window() {
    let bench = Bench::start().await;
    let (_, arn) = bench
        .queue("source.fifo", &[(QueueAttributeName::FifoQueue, "true")])
        .await;
    bench.create("f", 1).await;
    for request in [
        mapping(&bench, &arn).batch_size(11),
        mapping(&bench, &arn).maximum_batching_window_in_seconds(1),
    ] {
        let error = request.send().await.unwrap_err();
        assert_eq!(error.code(), Some("InvalidParameterValueException"));
    }
    bench.stop().await;
}
