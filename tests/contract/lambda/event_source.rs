//! Event source mappings on queues.

use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::types::{FunctionResponseType, ScalingConfig};
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};

use super::bench::{Bench, mapping, wait_until};

/// The bodies of all messages that the function got, in order and as often as it got them.
pub fn bodies(bench: &Bench) -> Vec<String> {
    let runs = bench.runs();
    runs.iter()
        .flat_map(|run| run["event"]["Records"].as_array().unwrap())
        .map(|record| record["body"].as_str().unwrap().to_owned())
        .collect()
}

/// Sends a message for each of `bodies`, at most ten.
pub async fn send(bench: &Bench, url: &str, bodies: &[&str]) {
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

/// AWS Lambda developer guide, "Handling errors for an SQS event source in Lambda", partial batch responses.
#[tokio::test(flavor = "multi_thread")]
async fn f28_only_the_messages_that_fail_reach_the_dead_letter_queue() {
    let bench = Bench::start().await;
    let (url, arn, dead_url) = bench.source_with_dead_letters(2).await;
    bench.create("f", 1).await;
    send(&bench, &url, &["good", "poison", "good", "poison", "good"]).await;
    let mapping = bench
        .lambda
        .create_event_source_mapping()
        .function_name(bench.name("f"));
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
    bench.stop().await;
}

/// AWS Lambda developer guide, "Configuring scaling behavior for SQS event source mappings", maximum concurrency.
#[tokio::test(flavor = "multi_thread")]
async fn f28_no_more_batches_run_at_once_than_the_mapping_allows() {
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
        .function_name(bench.name("f"));
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
        .function_name(bench.name("f"))
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
    bench.stop().await;
}

/// AWS Lambda developer guide, "Creating and configuring an Amazon SQS event source mapping": the queue's visibility timeout must not be
/// below the function's timeout, which Lambda checks "when you create or update an event source mapping".
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
            .function_name(bench.name("f"));
        mapping.event_source_arn(arn).send()
    };
    let error = create(arn.clone()).await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValueException"));
    let expected = "Queue visibility timeout: 5 seconds is less than Function timeout: 6 seconds";
    assert_eq!(error.message(), Some(expected));
    let error = create(format!("{arn}-gone")).await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValueException"));

    // Checked when a mapping is created or updated, and not when its function is.
    let timeout = |seconds: i32| {
        let update = bench.lambda.update_function_configuration();
        update
            .function_name(bench.name("f"))
            .timeout(seconds)
            .send()
    };
    timeout(5).await.unwrap();
    let uuid = create(arn).await.unwrap().uuid.unwrap();
    timeout(6).await.unwrap();
    let update = bench.lambda.update_event_source_mapping().uuid(uuid);
    let error = update.batch_size(5).send().await.unwrap_err();
    assert_eq!(error.message(), Some(expected));
    bench.stop().await;
}

/// AWS Lambda developer guide, "Handling errors for an SQS event source in Lambda": without `ReportBatchItemFailures` a failure makes
/// the whole batch visible again, and what was no fault of its own reaches the dead-letter queue too.
#[tokio::test(flavor = "multi_thread")]
async fn f28_without_partial_failures_the_whole_batch_fails() {
    let bench = Bench::start().await;
    let (url, arn, dead_url) = bench.source_with_dead_letters(1).await;
    bench.create("f", 1).await;
    send(&bench, &url, &["innocent", "exit"]).await;
    let created = mapping(&bench, &arn).send().await.unwrap();
    let uuid = created.uuid().unwrap();
    let mut dead = [
        bench.take(&dead_url).await.body.unwrap(),
        bench.take(&dead_url).await.body.unwrap(),
    ];
    dead.sort();
    assert_eq!(dead, ["exit", "innocent"]);
    let seen = bench.lambda.get_event_source_mapping().uuid(uuid).send();
    assert_eq!(
        seen.await.unwrap().last_processing_result(),
        Some("PROBLEM: Function call failed")
    );
    bench.stop().await;
}

/// AWS Lambda developer guide, "Using Lambda with Amazon SQS": a message that was received for a function that is throttled has been
/// received, and counts towards `maxReceiveCount`.
#[tokio::test(flavor = "multi_thread")]
async fn f29_a_throttled_batch_uses_up_a_receive() {
    let bench = Bench::start().await;
    let (url, arn, dead_url) = bench.source_with_dead_letters(1).await;
    bench.create("f", 1).await;
    bench.reserve("f", 0).await.unwrap();
    send(&bench, &url, &["untried"]).await;
    mapping(&bench, &arn).send().await.unwrap();
    assert_eq!(bench.take(&dead_url).await.body(), Some("untried"));
    assert!(bench.runs().is_empty());
    bench.stop().await;
}

/// AWS Lambda API reference, `CreateEventSourceMapping`, `BatchSize`: a batch ends at the payload limit of a synchronous invocation.
#[tokio::test(flavor = "multi_thread")]
async fn f28_a_batch_is_cut_at_6_mb() {
    let bench = Bench::start().await;
    let (url, arn) = bench
        .queue("source", &[(QueueAttributeName::VisibilityTimeout, "60")])
        .await;
    bench.create("f", 30).await;
    let large = "x".repeat(700 * 1024);
    for _ in 0..10 {
        send(&bench, &url, &[&large]).await;
    }
    let created = mapping(&bench, &arn).batch_size(10).send().await.unwrap();
    assert_eq!(created.batch_size(), Some(10));
    wait_until("the queue is empty", || async {
        bench.depth(&url).await == (0, 0)
    })
    .await;
    let sizes: Vec<usize> = bench
        .runs()
        .iter()
        .map(|run| run["event"]["Records"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [8, 2]);
    bench.stop().await;
}

/// AWS Lambda developer guide, "Using Lambda with Amazon SQS", batching behavior: messages wait for the window. A mapping that is
/// disabled meanwhile gives them back.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_being_collected_goes_back_when_its_mapping_is_disabled() {
    let bench = Bench::start().await;
    let (url, arn) = bench
        .queue("source", &[(QueueAttributeName::VisibilityTimeout, "600")])
        .await;
    bench.create("f", 5).await;
    send(&bench, &url, &["one", "two"]).await;
    let request = mapping(&bench, &arn).batch_size(100);
    let request = request.maximum_batching_window_in_seconds(300);
    let uuid = request.send().await.unwrap().uuid.unwrap();
    wait_until("they are being collected", || async {
        bench.depth(&url).await == (0, 2)
    })
    .await;
    let update = bench.lambda.update_event_source_mapping().uuid(uuid);
    update.enabled(false).send().await.unwrap();
    wait_until("they are back", || async {
        bench.depth(&url).await == (2, 0)
    })
    .await;
    assert!(bench.runs().is_empty());
    bench.stop().await;
}

/// AWS Lambda API reference, `DeleteFunction`: event source mappings are not deleted with their function. Here the mapping says why it
/// takes no more messages, and begins again when it is enabled for a new function of the same name.
#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_whose_function_is_deleted_takes_no_more_messages() {
    let bench = Bench::start().await;
    let (url, arn) = bench
        .queue("source", &[(QueueAttributeName::VisibilityTimeout, "600")])
        .await;
    bench.create("f", 5).await;
    let created = mapping(&bench, &arn).send().await.unwrap();
    let uuid = created.uuid().unwrap();
    assert_eq!(
        created.last_processing_result(),
        Some("No records processed")
    );
    send(&bench, &url, &["one"]).await;
    let view = || async {
        let request = bench.lambda.get_event_source_mapping().uuid(uuid);
        request.send().await.unwrap()
    };
    wait_until("it was processed", || async {
        view().await.last_processing_result() == Some("OK")
    })
    .await;

    let delete = bench
        .lambda
        .delete_function()
        .function_name(bench.name("f"));
    delete.send().await.unwrap();
    let orphan = view().await;
    assert_eq!(orphan.state(), Some("Disabled"));
    assert_eq!(
        orphan.last_processing_result(),
        Some("PROBLEM: Function not found")
    );
    send(&bench, &url, &["two"]).await;
    assert_eq!(bench.depth(&url).await, (1, 0));

    bench.create("f", 5).await;
    let update = bench.lambda.update_event_source_mapping().uuid(uuid);
    update.enabled(true).send().await.unwrap();
    wait_until("the new function got it", || async {
        bench.depth(&url).await == (0, 0)
    })
    .await;
    assert_eq!(bodies(&bench), ["one", "two"]);
    bench.stop().await;
}
