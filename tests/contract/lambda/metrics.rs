//! Metrics of `AWS/Lambda` (AWS Lambda developer guide, "Types of metrics for Lambda functions").

use std::time::Duration;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Statistic};
use serde_json::json;

use super::bench::{Bench, wait_until};
use super::cloud;

/// A statistic of a metric with these dimensions over the last hour and the next; 0 where there are no figures.
async fn figure(
    bench: &Bench,
    metric: &str,
    dimensions: &[(&str, &str)],
    statistic: Statistic,
) -> f64 {
    let dimensions = dimensions
        .iter()
        .map(|(name, value)| Dimension::builder().name(*name).value(*value).build());
    let now = std::time::SystemTime::now();
    let output = bench
        .cloudwatch
        .get_metric_statistics()
        .namespace("AWS/Lambda")
        .metric_name(metric)
        .set_dimensions(Some(dimensions.collect()))
        .start_time(DateTime::from(now - Duration::from_hours(1)))
        .end_time(DateTime::from(now + Duration::from_hours(1)))
        .period(60)
        .statistics(statistic)
        .send()
        .await
        .unwrap();
    let points = output.datapoints().iter();
    points
        .map(|point| {
            point
                .sum()
                .or(point.maximum())
                .or(point.sample_count())
                .unwrap()
        })
        .sum()
}

/// AWS Lambda developer guide, "Viewing metrics for Lambda functions": by function name, by resource, and across all functions.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_come_by_function_by_resource_and_for_the_account() {
    if cloud::leaves_out("it reads figures of the whole account") {
        return;
    }
    let bench = Bench::start().await;
    bench.create("f", 10).await;
    bench.create("g", 10).await;
    bench.invoke("f", json!({})).await;
    bench.invoke("f", json!({"do": "fail"})).await;
    bench.invoke("g", json!({})).await;
    let (name, function) = ("FunctionName", bench.name("f"));
    let name = (name, function.as_str());
    for (dimensions, invocations) in [
        (vec![name], 2.0),
        (vec![name, ("Resource", name.1)], 2.0),
        (vec![], 3.0),
    ] {
        for (metric, statistic, expected) in [
            ("Invocations", Statistic::Sum, invocations),
            ("Errors", Statistic::Sum, 1.0),
            ("Duration", Statistic::SampleCount, invocations),
        ] {
            let found = figure(&bench, metric, &dimensions, statistic).await;
            assert!(
                (found - expected).abs() < 1e-9,
                "{metric} {dimensions:?}: {found}"
            );
        }
        assert!(
            figure(
                &bench,
                "ConcurrentExecutions",
                &dimensions,
                Statistic::Maximum
            )
            .await
                > 0.5
        );
    }
    bench.stop().await;
}

/// `UnreservedConcurrentExecutions`: what runs in functions without reserved concurrency, for the account.
#[tokio::test(flavor = "multi_thread")]
async fn unreserved_concurrency_leaves_out_functions_with_a_reservation() {
    if cloud::leaves_out("it reads figures of the whole account") {
        return;
    }
    let bench = Bench::start().await;
    bench.create("f", 10).await;
    let reserve = bench.lambda.put_function_concurrency();
    let reserve = reserve.function_name(bench.name("f"));
    reserve
        .reserved_concurrent_executions(2)
        .send()
        .await
        .unwrap();
    bench.invoke("f", json!({})).await;
    let most = async |metric| figure(&bench, metric, &[], Statistic::Maximum).await;
    assert!(most("ConcurrentExecutions").await > 0.5);
    assert!(most("UnreservedConcurrentExecutions").await < 0.5);
    bench.create("g", 10).await;
    bench.invoke("g", json!({})).await;
    assert!(most("UnreservedConcurrentExecutions").await > 0.5);
    bench.stop().await;
}

/// `AsyncEventAge`: the time between the acceptance of an event and each of its runs; it grows with retries.
#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_an_event_is_taken_at_each_attempt() {
    let bench = Bench::start().await;
    bench.create("f", 10).await;
    bench.send_event("f", &json!({"do": "fail"})).await;
    wait_until("the event is dropped", async || {
        bench.sum("AsyncEventsDropped", "f").await > 0.5
    })
    .await;
    let name = bench.name("f");
    let name = [("FunctionName", name.as_str())];
    let attempts = figure(&bench, "AsyncEventAge", &name, Statistic::SampleCount).await;
    assert!((attempts - 3.0).abs() < 1e-9, "{attempts}");
    // The waits between the attempts of this bench are 20 ms and 40 ms.
    assert!(figure(&bench, "AsyncEventAge", &name, Statistic::Maximum).await >= 60.0);
    bench.stop().await;
}
