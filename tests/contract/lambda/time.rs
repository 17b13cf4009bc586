//! What AWS does after minutes and hours, on the emulator's clock. The clock is moved in steps, because nobody outside can tell when
//! exactly a wait begins; what must not happen early is read from the clock.

use std::time::Duration;

use aws_sdk_lambda::types::{DeadLetterConfig, DestinationConfig, OnFailure};
use aws_sdk_sqs::types::QueueAttributeName;
use patterns_local::clock::Clock;
use serde_json::{Value, json};

use super::bench::{Bench, mapping, wait_until};
use super::event_source::{bodies, send};
use super::synchronous::is_running;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// Moves the clock by `step` until `condition` holds, and answers how much time has passed on it.
async fn passes<F: Future<Output = bool>>(
    clock: &Clock,
    step: Duration,
    mut condition: impl FnMut() -> F,
) -> Duration {
    let before = clock.now();
    wait_until("the time has come", || {
        let holds = condition();
        async {
            let holds = holds.await;
            if !holds {
                clock.advance(step).unwrap();
            }
            holds
        }
    })
    .await;
    clock.now().duration_since(before).unsigned_abs()
}

/// A queue that gets the records of the function `f`, which has that maximum event age. Answers its URL.
async fn failures(bench: &Bench, event_age: i32) -> String {
    let (url, arn) = bench.queue("failures", &[]).await;
    let target = OnFailure::builder().destination(arn).build();
    let config = bench.lambda.put_function_event_invoke_config();
    let config = config
        .function_name(bench.name("f"))
        .maximum_event_age_in_seconds(event_age);
    let destinations = DestinationConfig::builder().on_failure(target).build();
    let config = config.destination_config(destinations);
    config.send().await.unwrap();
    url
}

async fn record(bench: &Bench, url: &str) -> Value {
    serde_json::from_str(bench.take(url).await.body().unwrap()).unwrap()
}

/// AWS Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation": one minute before the second
/// attempt, two before the third.
#[tokio::test(flavor = "multi_thread")]
async fn f21_retries_wait_for_one_minute_and_then_for_two() {
    let Some((bench, clock)) = Bench::with_clock(50).await else {
        return;
    };
    bench.create("f", 10).await;
    let url = failures(&bench, 21_600).await;
    bench.send_event("f", &json!({"do": "fail"})).await;
    wait_until("it ran", || async { bench.runs().len() == 1 }).await;
    for (runs, least) in [(2, 59 * SECOND), (3, 119 * SECOND)] {
        let waited = passes(&clock, 5 * SECOND, || async { bench.runs().len() == runs }).await;
        assert!(waited >= least, "{waited:?}");
    }
    let record = record(&bench, &url).await;
    assert_eq!(record["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 3);
    bench.stop().await;
}

/// AWS Lambda API reference, `PutFunctionEventInvokeConfig`, `MaximumEventAgeInSeconds` (60 to 21 600); AWS Lambda developer guide,
/// "Capturing records of Lambda asynchronous invocations": both targets hear of an event that grew too old between its attempts.
#[tokio::test(flavor = "multi_thread")]
async fn f21_an_event_that_fails_is_not_tried_again_after_its_maximum_age() {
    let Some((bench, clock)) = Bench::with_clock(50).await else {
        return;
    };
    bench.create("f", 10).await;
    let url = failures(&bench, 90).await;
    let (dead_url, dead_arn) = bench.queue("dead", &[]).await;
    let target = DeadLetterConfig::builder().target_arn(dead_arn).build();
    let update = bench.lambda.update_function_configuration();
    let update = update
        .function_name(bench.name("f"))
        .dead_letter_config(target);
    update.send().await.unwrap();
    let event = json!({"do": "fail"});
    let id = bench.send_event("f", &event).await;
    wait_until("it ran", || async { bench.runs().len() == 1 }).await;
    let waited = passes(&clock, SECOND, || async {
        bench.depth(&url).await.0 == 1 && bench.depth(&dead_url).await.0 == 1
    })
    .await;
    assert!(waited >= 89 * SECOND, "{waited:?}");
    assert_eq!(bench.runs().len(), 2);
    let record = record(&bench, &url).await;
    let context = &record["requestContext"];
    assert_eq!(context["condition"], "EventAgeExceeded");
    assert_eq!(context["approximateInvokeCount"], 2);
    assert_eq!(record["responsePayload"]["errorType"], "Broken");
    let letter = bench.take(&dead_url).await;
    assert_eq!(letter.body(), Some(event.to_string().as_str()));
    let attributes = letter.message_attributes().unwrap();
    assert_eq!(attributes["RequestID"].string_value(), Some(id.as_str()));
    bench.stop().await;
}

/// AWS Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation": a throttled event is tried again
/// for up to six hours, up to five minutes apart.
#[tokio::test(flavor = "multi_thread")]
async fn f21_a_throttled_event_is_given_up_after_six_hours() {
    let Some((bench, clock)) = Bench::with_clock(1).await else {
        return;
    };
    bench.create("f", 10).await;
    bench.create("busy", 900).await;
    let url = failures(&bench, 21_600).await;
    bench.send_event("busy", &json!({"do": "hold"})).await;
    wait_until("it runs", || async { bench.runs().len() == 1 }).await;
    bench.send_event("f", &json!({})).await;
    let waited = passes(&clock, 5 * MINUTE, || async {
        bench.depth(&url).await.0 == 1
    })
    .await;
    assert!(waited >= 359 * MINUTE, "{waited:?}");
    let record = record(&bench, &url).await;
    let context = &record["requestContext"];
    assert_eq!(context["condition"], "EventAgeExceeded");
    assert_eq!(context["approximateInvokeCount"], 0);
    assert_eq!(bench.runs().len(), 1);
    bench.stop().await;
}

/// AWS Lambda developer guide, "Understanding the Lambda execution environment lifecycle": an environment that is not used ends. The
/// function's deadline counts the time that the function itself sees.
#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_was_idle_for_minutes_ends() {
    let Some((bench, clock)) = Bench::with_clock(50).await else {
        return;
    };
    bench.create("f", 10).await;
    let (first, _) = bench.invoke("f", json!({})).await;
    clock.advance(4 * MINUTE).unwrap();
    let (second, _) = bench.invoke("f", json!({})).await;
    assert_eq!(second["pid"], first["pid"]);
    let deadline: i64 = second["deadline"].as_str().unwrap().parse().unwrap();
    let now = jiff::Timestamp::now().as_millisecond();
    assert!(deadline <= now + 10_000, "{deadline} {now}");
    clock.advance(6 * MINUTE).unwrap();
    let pid = first["pid"].as_u64().unwrap();
    wait_until("it has ended", || async move { !is_running(pid) }).await;
    bench.stop().await;
}

/// AWS Lambda developer guide, "Using Lambda with Amazon SQS", batching behavior: a batch that is not full is delivered at the end of
/// its window.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_waits_for_the_end_of_its_window() {
    let Some((bench, clock)) = Bench::with_clock(50).await else {
        return;
    };
    let hidden = (QueueAttributeName::VisibilityTimeout, "6000");
    let (url, arn) = bench.queue("source", &[hidden]).await;
    bench.create("f", 5).await;
    send(&bench, &url, &["one", "two"]).await;
    let request = mapping(&bench, &arn).batch_size(100);
    let request = request.maximum_batching_window_in_seconds(300);
    request.send().await.unwrap();
    wait_until("they are being collected", || async {
        bench.depth(&url).await == (0, 2)
    })
    .await;
    let waited = passes(&clock, 20 * SECOND, || async { !bench.runs().is_empty() }).await;
    assert!(waited >= 295 * SECOND, "{waited:?}");
    assert_eq!(bodies(&bench), ["one", "two"]);
    assert_eq!(bench.runs().len(), 1);
    bench.stop().await;
}
