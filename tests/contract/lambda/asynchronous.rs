//! Events: retries, destinations, dead letters.

use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::types::{DeadLetterConfig, DestinationConfig, OnFailure, OnSuccess};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use super::bench::{Bench, wait_until};

fn on_failure(arn: &str) -> DestinationConfig {
    let target = OnFailure::builder().destination(arn).build();
    DestinationConfig::builder().on_failure(target).build()
}

/// AWS Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation" (two retries) and "Capturing records
/// of Lambda asynchronous invocations" (the record). The request id is the same in all attempts.
#[tokio::test(flavor = "multi_thread")]
async fn f21_f23_an_event_that_fails_is_tried_three_times_and_its_record_is_complete() {
    let bench = Bench::start().await;
    let (url, arn) = bench.queue("failures", &[]).await;
    bench.create("f", 10).await;
    let config = bench
        .lambda
        .put_function_event_invoke_config()
        .function_name(bench.name("f"));
    config
        .destination_config(on_failure(&arn))
        .send()
        .await
        .unwrap();
    let event = json!({"do": "fail", "n": 1.0});
    let id = bench.send_event("f", &event).await;

    let record: Value = serde_json::from_str(bench.take(&url).await.body().unwrap()).unwrap();
    let runs = bench.runs();
    assert_eq!(runs.len(), 3);
    let ids: Vec<_> = runs.iter().map(|run| &run["id"]).collect();
    assert_eq!(ids, [&id; 3]);
    assert_eq!(record["version"], "1.0");
    assert_eq!(
        record["requestContext"],
        json!({
            "requestId": id,
            "functionArn": format!("{}:$LATEST", bench.function_arn("f")),
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        })
    );
    assert_eq!(record["requestPayload"], event);
    assert_eq!(
        record["responseContext"],
        json!({"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"})
    );
    assert_eq!(
        record["responsePayload"],
        json!({"errorType": "Broken", "errorMessage": "as asked"})
    );
    assert!(bench.sum("AsyncEventsReceived", "f").await > 0.5);
    assert!(bench.sum("AsyncEventsDropped", "f").await > 0.5);
    bench.stop().await;
}

/// AWS Lambda developer guide, "Capturing records of Lambda asynchronous invocations", "Adding a dead-letter queue".
#[tokio::test(flavor = "multi_thread")]
async fn f22_a_dead_letter_holds_the_raw_event_and_three_attributes() {
    let bench = Bench::start().await;
    let (url, arn) = bench.queue("dead", &[]).await;
    bench.create("f", 10).await;
    let update = bench
        .lambda
        .update_function_configuration()
        .function_name(bench.name("f"));
    let target = DeadLetterConfig::builder().target_arn(arn).build();
    update.dead_letter_config(target).send().await.unwrap();
    let config = bench
        .lambda
        .put_function_event_invoke_config()
        .function_name(bench.name("f"));
    config.maximum_retry_attempts(0).send().await.unwrap();
    let event = json!({"do": "fail"});
    let id = bench.send_event("f", &event).await;

    let letter = bench.take(&url).await;
    assert_eq!(letter.body(), Some(event.to_string().as_str()));
    let attributes = letter.message_attributes().unwrap();
    let of = |name: &str| {
        let attribute = &attributes[name];
        (
            attribute.data_type(),
            attribute.string_value().unwrap_or_default(),
        )
    };
    assert_eq!(of("RequestID"), ("String", id.as_str()));
    assert_eq!(of("ErrorCode"), ("Number", "200"));
    assert_eq!(of("ErrorMessage"), ("String", "as asked"));
    assert_eq!(bench.runs().len(), 1);
    bench.stop().await;
}

/// AWS Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation": a throttled event goes back to the
/// internal queue, whatever its number of retries. An event that succeeds is recorded at the `OnSuccess` destination.
#[tokio::test(flavor = "multi_thread")]
async fn f21_throttles_use_up_no_attempt() {
    let bench = Bench::with_concurrency(150).await;
    let (url, arn) = bench.queue("done", &[]).await;
    bench.create("f", 20).await;
    bench.reserve("f", 1).await.unwrap();
    let success = OnSuccess::builder().destination(arn).build();
    let config = bench
        .lambda
        .put_function_event_invoke_config()
        .function_name(bench.name("f"));
    let destinations = DestinationConfig::builder().on_success(success).build();
    config
        .destination_config(destinations)
        .send()
        .await
        .unwrap();

    let holding = bench.send_event("f", &json!({"do": "hold"})).await;
    wait_until("the first one runs", || async { !bench.runs().is_empty() }).await;
    let waiting = bench.send_event("f", &json!({"second": true})).await;
    wait_until(
        "the second one was throttled more often than it may be retried",
        || async { bench.sum("Throttles", "f").await > 3.5 },
    )
    .await;
    bench.release();
    for expected in [holding, waiting] {
        let record: Value = serde_json::from_str(bench.take(&url).await.body().unwrap()).unwrap();
        let context = &record["requestContext"];
        assert_eq!(context["requestId"], expected);
        assert_eq!(context["condition"], "Success");
        assert_eq!(context["approximateInvokeCount"], 1);
    }
    bench.stop().await;
}

/// AWS Lambda developer guide, "Capturing records of Lambda asynchronous invocations": with a reserved concurrency of 0 events are not
/// tried at all.
#[tokio::test(flavor = "multi_thread")]
async fn f26_with_reserved_concurrency_0_events_go_straight_to_the_destination() {
    let bench = Bench::start().await;
    let (url, arn) = bench.queue("failures", &[]).await;
    bench.create("f", 10).await;
    let config = bench
        .lambda
        .put_function_event_invoke_config()
        .function_name(bench.name("f"));
    config
        .destination_config(on_failure(&arn))
        .send()
        .await
        .unwrap();
    bench.reserve("f", 0).await.unwrap();
    bench.send_event("f", &json!({})).await;
    let record: Value = serde_json::from_str(bench.take(&url).await.body().unwrap()).unwrap();
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 0);
    assert!(bench.runs().is_empty());
    bench.stop().await;
}

/// AWS Lambda developer guide, "Types of metrics for Lambda functions", `DestinationDeliveryFailures`.
#[tokio::test(flavor = "multi_thread")]
async fn f25_a_record_that_cannot_be_delivered_is_counted() {
    let bench = Bench::start().await;
    let (url, arn) = bench.queue("gone", &[]).await;
    bench.create("f", 10).await;
    let config = bench
        .lambda
        .put_function_event_invoke_config()
        .function_name(bench.name("f"));
    let config = config.maximum_retry_attempts(0);
    config
        .destination_config(on_failure(&arn))
        .send()
        .await
        .unwrap();
    bench
        .sqs
        .delete_queue()
        .queue_url(url)
        .send()
        .await
        .unwrap();
    bench.send_event("f", &json!({"do": "fail"})).await;
    wait_until("the failure is counted", || async {
        bench.sum("DestinationDeliveryFailures", "f").await > 0.5
    })
    .await;
    bench.stop().await;
}

/// AWS Lambda API reference, `OnFailure`: over the destination's size limit Lambda drops the payload (documented of SNS; here it is so
/// of queues too), and the record cannot be invoked again.
#[tokio::test(flavor = "multi_thread")]
async fn f24_a_record_over_the_size_limit_comes_without_its_payloads() {
    let bench = Bench::start().await;
    let small = (QueueAttributeName::MaximumMessageSize, "4096");
    let (url, arn) = bench.queue("failures", &[small]).await;
    bench.create("f", 10).await;
    let config = bench
        .lambda
        .put_function_event_invoke_config()
        .function_name(bench.name("f"))
        .maximum_retry_attempts(0);
    let config = config.destination_config(on_failure(&arn));
    config.send().await.unwrap();
    let id = bench.send_event("f", &json!({"do": "fill"})).await;

    let record: Value = serde_json::from_str(bench.take(&url).await.body().unwrap()).unwrap();
    assert_eq!(record["requestContext"]["requestId"], id);
    assert_eq!(record["responseContext"]["functionError"], "Unhandled");
    assert_eq!(record.get("requestPayload"), None);
    assert_eq!(record.get("responsePayload"), None);
    bench.stop().await;
}

/// AWS Lambda developer guide, "Types of metrics for Lambda functions", `DeadLetterErrors`: a dead letter that its queue does not take
/// is counted and gone. A dead-letter queue and a destination must be standard queues ("Capturing records of Lambda asynchronous
/// invocations").
#[tokio::test(flavor = "multi_thread")]
async fn f25_a_dead_letter_that_cannot_be_delivered_is_counted_and_fifo_is_refused() {
    let bench = Bench::start().await;
    bench.create("f", 10).await;
    let fifo = &bench.cloud.queue_arn("dead.fifo");
    let dead_letters = |arn: &str| {
        let target = DeadLetterConfig::builder().target_arn(arn).build();
        let update = bench.lambda.update_function_configuration();
        update
            .function_name(bench.name("f"))
            .dead_letter_config(target)
            .send()
    };
    let error = dead_letters(fifo).await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValueException"));
    let config = bench
        .lambda
        .put_function_event_invoke_config()
        .function_name(bench.name("f"));
    let config = config.maximum_retry_attempts(0);
    let refused = config.clone().destination_config(on_failure(fifo)).send();
    let error = refused.await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValueException"));
    config.send().await.unwrap();

    dead_letters(&bench.cloud.queue_arn("gone")).await.unwrap();
    bench.send_event("f", &json!({"do": "fail"})).await;
    wait_until("the failure is counted", || async {
        bench.sum("DeadLetterErrors", "f").await > 0.5
    })
    .await;
    bench.stop().await;
}

/// AWS Lambda developer guide, "Adding a dead-letter queue": it is for asynchronous invocation. Whoever waits for an answer has it.
#[tokio::test(flavor = "multi_thread")]
async fn f27_a_failure_that_its_caller_saw_is_no_dead_letter() {
    let bench = Bench::start().await;
    let (url, arn) = bench.queue("dead", &[]).await;
    bench.create("f", 10).await;
    let update = bench.lambda.update_function_configuration();
    let target = DeadLetterConfig::builder().target_arn(arn).build();
    let update = update
        .function_name(bench.name("f"))
        .dead_letter_config(target);
    update.send().await.unwrap();
    let config = bench.lambda.put_function_event_invoke_config();
    let config = config
        .function_name(bench.name("f"))
        .maximum_retry_attempts(0);
    config.send().await.unwrap();
    let (_, error) = bench.invoke("f", json!({"do": "fail", "seen": true})).await;
    assert_eq!(error.as_deref(), Some("Unhandled"));
    // The only one, although it failed later.
    let event = json!({"do": "fail"});
    bench.send_event("f", &event).await;
    let letter = bench.take(&url).await;
    assert_eq!(letter.body(), Some(event.to_string().as_str()));
    assert_eq!(bench.depth(&url).await, (0, 0));
    bench.stop().await;
}
