//! Functions that misuse the Runtime API: each harms itself alone.

use aws_sdk_lambda::primitives::Blob;
use serde_json::json;

use super::bench::Bench;

/// AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes": 400 for a request id that is not the present one.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_the_runtime_api_does_not_know_are_refused_and_change_nothing() {
    let bench = Bench::start().await;
    bench.create("f", 10).await;
    let (statuses, error) = bench.invoke("f", json!({"do": "misuse"})).await;
    assert_eq!(error, None);
    assert_eq!(statuses, json!([400, 400, 400, 400, 404, 405]));
    bench.stop().await;
}

/// An answer that is no JSON reaches the caller as it is; a second one reaches nobody, not even the next caller.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_of_two_answers_counts() {
    let bench = Bench::start().await;
    bench.create("f", 10).await;
    let payload = Blob::new(json!({"do": "twice"}).to_string());
    let request = bench
        .lambda
        .invoke()
        .function_name(bench.name("f"))
        .payload(payload);
    let output = request.send().await.unwrap();
    assert_eq!(output.function_error(), None);
    assert_eq!(output.payload().unwrap().as_ref(), b"\xff no JSON");
    for n in 0..3 {
        let (next, error) = bench.invoke("f", json!({"n": n})).await;
        assert_eq!(error, None);
        assert_eq!(next["event"]["n"], n);
    }
    bench.stop().await;
}

/// AWS Lambda developer guide, "Lambda quotas": 6 MB for a synchronous response.
#[tokio::test(flavor = "multi_thread")]
async fn f27_a_response_of_more_than_6_mb_is_an_error_of_the_function() {
    let bench = Bench::start().await;
    bench.create("f", 20).await;
    let (payload, error) = bench.invoke("f", json!({"do": "flood"})).await;
    assert_eq!(error.as_deref(), Some("Unhandled"));
    assert_eq!(payload["errorType"], "Function.ResponseSizeTooLarge");
    let (next, error) = bench.invoke("f", json!({"n": 1})).await;
    assert_eq!(error, None);
    assert_eq!(next["event"]["n"], 1);
    bench.stop().await;
}
