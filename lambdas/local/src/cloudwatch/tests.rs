#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use ciborium::{Value, cbor};
use jiff::Timestamp;

use super::*;

fn ask(metrics: &Metrics, query: Value) -> Result<Value, AwsError> {
    ask_all(metrics, &[query])
}

fn ask_all(metrics: &Metrics, queries: &[Value]) -> Result<Value, AwsError> {
    let now = Timestamp::now().as_second();
    let at = |seconds: i64| Value::Tag(1, Box::new(Value::Integer(seconds.into())));
    let request = cbor!({
        "MetricDataQueries" => queries,
        "StartTime" => at(now - 600),
        "EndTime" => at(now + 60),
    })
    .unwrap();
    let mut body = Vec::new();
    ciborium::into_writer(&request, &mut body).unwrap();
    let answer = metrics.handle_cbor("GetMetricData", &body)?;
    Ok(ciborium::from_reader(answer.as_slice()).unwrap())
}

fn query(id: &str, metric: &str, dimension: Option<&str>, stat: &str, period: i64) -> Value {
    let dimensions: Vec<Value> = dimension
        .iter()
        .map(|value| cbor!({ "Name" => "QueueName", "Value" => value }).unwrap())
        .collect();
    cbor!({
        "Id" => id,
        "MetricStat" => {
            "Metric" => { "Namespace" => "AWS/SQS", "MetricName" => metric, "Dimensions" => dimensions },
            "Period" => period,
            "Stat" => stat,
        },
    })
    .unwrap()
}

fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    let found = value
        .as_map()
        .unwrap()
        .iter()
        .find(|(key, _)| key.as_text() == Some(name));
    &found.unwrap().1
}

#[test]
fn samples_come_back_as_statistics_with_tagged_times() {
    let metrics = Metrics::new(Clock::default());
    for value in [2.0, 4.0] {
        metrics.record(
            "AWS/SQS",
            "NumberOfMessagesSent",
            &[("QueueName", "jobs")],
            value,
        );
    }
    // Over two periods if the minute turned between the samples; a day's period holds both.
    let answer = ask(
        &metrics,
        query("a", "NumberOfMessagesSent", Some("jobs"), "Sum", 86_400),
    )
    .unwrap();
    let result = &field(&answer, "MetricDataResults").as_array().unwrap()[0];
    let sum: f64 = field(result, "Values")
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_float().unwrap())
        .sum();
    assert!((sum - 6.0).abs() < 1e-9);
    assert_eq!(field(result, "StatusCode").as_text(), Some("Complete"));
    assert!(matches!(
        field(result, "Timestamps").as_array().unwrap()[0],
        Value::Tag(1, _)
    ));
    assert!(
        !answer
            .as_map()
            .unwrap()
            .iter()
            .any(|(key, _)| key.as_text() == Some("NextToken"))
    );
}

#[test]
fn dimensions_tell_series_apart() {
    let metrics = Metrics::new(Clock::default());
    metrics.record(
        "AWS/SQS",
        "NumberOfMessagesSent",
        &[("QueueName", "jobs")],
        1.0,
    );
    for dimension in [None, Some("other")] {
        let answer = ask(
            &metrics,
            query("a", "NumberOfMessagesSent", dimension, "Sum", 60),
        )
        .unwrap();
        let result = &field(&answer, "MetricDataResults").as_array().unwrap()[0];
        assert_eq!(field(result, "Values").as_array().unwrap().len(), 0);
    }
}

#[test]
fn what_is_not_offered_is_refused_with_its_reason() {
    let metrics = Metrics::new(Clock::default());
    let math = cbor!({ "Id" => "m", "Expression" => "a * 2" }).unwrap();
    assert!(
        ask(&metrics, math)
            .unwrap_err()
            .message
            .contains("metric math")
    );
    for (bad, word) in [
        (query("a", "m", None, "Sum", 90), "multiple of 60"),
        (query("a", "m", None, "tm99", 60), "statistics"),
        (query("A", "m", None, "Sum", 60), "lower-case"),
    ] {
        let error = ask(&metrics, bad).unwrap_err();
        assert_eq!(error.code, "InvalidParameterValueException");
        assert!(error.message.contains(word), "{error}");
    }
    let many: Vec<_> = (0..501)
        .map(|number| query(&format!("q{number}"), "m", None, "Sum", 60))
        .collect();
    assert!(
        ask_all(&metrics, &many)
            .unwrap_err()
            .message
            .contains("500")
    );
    assert_eq!(
        metrics.handle_cbor("ListMetrics", b"").unwrap_err().code,
        "UnknownOperationException"
    );
}

#[test]
fn nonsense_is_an_error_and_not_a_panic() {
    let metrics = Metrics::new(Clock::default());
    for body in [&b""[..], b"\xff\xff", b"{}", &[0x9b; 64], &[0xa1, 0x61]] {
        assert_eq!(
            metrics.handle_cbor("GetMetricData", body).unwrap_err().code,
            "SerializationException"
        );
    }
}

#[test]
fn the_json_protocol_answers_the_same() {
    let metrics = Metrics::new(Clock::default());
    metrics.record("AWS/SQS", "NumberOfMessagesSent", &[], 2.0);
    let now = Timestamp::now().as_second();
    let request = serde_json::json!({
        "MetricDataQueries": [{
            "Id": "a",
            "MetricStat": { "Metric": { "Namespace": "AWS/SQS", "MetricName": "NumberOfMessagesSent" }, "Period": 86_400, "Stat": "Sum" },
        }],
        "StartTime": now - 600,
        "EndTime": now + 60,
    });
    let answer = metrics.handle_json("GetMetricData", request).unwrap();
    assert_eq!(
        answer["MetricDataResults"][0]["Values"],
        serde_json::json!([2.0])
    );
    assert!(answer["MetricDataResults"][0]["Timestamps"][0].is_i64());
    let error = metrics
        .handle_json("GetMetricData", serde_json::json!({ "StartTime": "now" }))
        .unwrap_err();
    assert_eq!(error.code, "SerializationException");
}
