//! Event source mappings on queues.

use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::types::{FunctionResponseType, ScalingConfig};
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use serde_json::json;

use super::bench::{Bench, wait_until};

async fn send(bench: &Bench, url: &str, bodies: &[&str]) {
    let entries: Vec<_> = bodies
        .iter()
        .enumerate()
        .map(|(index, body)| {
            let entry = SendMessageBatchRequestEntry::builder();
            entry
                .id(index.to_string())
                .message_body(*body)
                .build()
                .unwrap()
        })
        .collect();
    let request = bench.sqs.send_message_batch().queue_url(url);
    let output = request.set_entries(Some(entries)).send().await.unwrap();
    assert_eq!(output.successful().len(), bodies.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_messages_that_fail_reach_the_dead_letter_queue() {
    let bench = Bench::start().await;
    let (dead_url, dead_arn) = bench.queue("dead", &[]).await;
    let policy = json!({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2}).to_string();
    let attributes = [
        (QueueAttributeName::VisibilityTimeout, "1"),
        (QueueAttributeName::RedrivePolicy, policy.as_str()),
    ];
    let (url, arn) = bench.queue("source", &attributes).await;
    bench.create("f", 1).await;
    send(&bench, &url, &["good", "poison", "good", "poison", "good"]).await;
    let mapping = bench
        .lambda
        .create_event_source_mapping()
        .function_name("f");
    let mapping = mapping.event_source_arn(&arn).batch_size(10);
    let mapping = mapping.function_response_types(FunctionResponseType::ReportBatchItemFailures);
    mapping.send().await.unwrap();

    for _ in 0..2 {
        assert_eq!(bench.take(&dead_url).await.body(), Some("poison"));
    }
    assert_eq!(bench.depth(&url).await, (0, 0));
    assert_eq!(bench.depth(&dead_url).await, (0, 0));
    let delivered = bench
        .runs()
        .iter()
        .flat_map(|run| run["event"]["Records"].as_array().unwrap().clone())
        .filter(|record| record["body"] == "good")
        .count();
    assert_eq!(delivered, 3);
    bench.local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_batches_run_at_once_than_the_mapping_allows() {
    let bench = Bench::start().await;
    let (url, arn) = bench
        .queue("source", &[(QueueAttributeName::VisibilityTimeout, "60")])
        .await;
    bench.create("f", 60).await;
    for _ in 0..2 {
        send(&bench, &url, &["hold"; 10]).await;
    }
    let scaling = ScalingConfig::builder().maximum_concurrency(2).build();
    let mapping = bench
        .lambda
        .create_event_source_mapping()
        .function_name("f");
    let mapping = mapping
        .event_source_arn(&arn)
        .batch_size(2)
        .scaling_config(scaling);
    let uuid = mapping.send().await.unwrap().uuid.unwrap();

    wait_until("two batches run", || async { bench.runs().len() == 2 }).await;
    // What is in flight is in a batch that runs: a third would have taken two more.
    assert_eq!(bench.depth(&url).await, (16, 4));
    bench.release();
    wait_until("the queue is empty", || async {
        bench.depth(&url).await == (0, 0)
    })
    .await;
    assert_eq!(bench.runs().len(), 10);
    let processes: std::collections::BTreeSet<u64> = bench
        .runs()
        .iter()
        .map(|run| run["pid"].as_u64().unwrap())
        .collect();
    assert_eq!(processes.len(), 2);

    let update = bench.lambda.update_event_source_mapping().uuid(&uuid);
    let updated = update.enabled(false).send().await.unwrap();
    assert_eq!(updated.batch_size(), Some(2));
    let listed = bench
        .lambda
        .list_event_source_mappings()
        .function_name("f")
        .send()
        .await
        .unwrap();
    assert_eq!(listed.event_source_mappings()[0].state(), Some("Disabled"));
    bench
        .lambda
        .delete_event_source_mapping()
        .uuid(&uuid)
        .send()
        .await
        .unwrap();
    let listed = bench
        .lambda
        .list_event_source_mappings()
        .event_source_arn(arn)
        .send()
        .await
        .unwrap();
    assert!(listed.event_source_mappings().is_empty());
    bench.local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_shows_messages_too_early_or_is_not_there_is_refused() {
    let bench = Bench::start().await;
    let (_, arn) = bench
        .queue("source", &[(QueueAttributeName::VisibilityTimeout, "5")])
        .await;
    bench.create("f", 6).await;
    let create = |arn: String| {
        let mapping = bench
            .lambda
            .create_event_source_mapping()
            .function_name("f");
        mapping.event_source_arn(arn).send()
    };
    let error = create(arn.clone()).await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValueException"));
    let expected = "Queue visibility timeout: 5 seconds is less than Function timeout: 6 seconds";
    assert_eq!(error.message(), Some(expected));
    let error = create(format!("{arn}-gone")).await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValueException"));
    bench.local.stop().await;
}
