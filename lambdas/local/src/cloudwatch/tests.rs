#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use ciborium::{Value, cbor};
use jiff::Timestamp;

use super::*;

fn ask(metrics: &Metrics, query: &Value) -> Result<Value, AwsError> {
    let now = Timestamp::now().as_second();
    let at = |seconds: i64| Value::Tag(1, Box::new(Value::Integer(seconds.into())));
    let request = cbor!({
        "MetricDataQueries" => [query],
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
        &query("a", "NumberOfMessagesSent", Some("jobs"), "Sum", 86_400),
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
            &query("a", "NumberOfMessagesSent", dimension, "Sum", 60),
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
    for (bad, word) in [
        (math, "metric math"),
        (query("a", "m", None, "Sum", 90), "multiple of 60"),
        (query("a", "m", None, "Sum", i64::MAX), "multiple of 60"),
        (query("a", "m", None, "tm99", 60), "statistics"),
        (query("A", "m", None, "Sum", 60), "lower-case"),
    ] {
        let error = ask(&metrics, &bad).unwrap_err();
        assert_eq!(error.code, "InvalidParameterValueException");
        assert!(error.message.contains(word), "{error}");
    }
    let error = metrics.handle_cbor("PutDashboard", b"").unwrap_err();
    assert_eq!(error.code, "UnknownOperationException");
}

#[test]
fn nonsense_is_an_error_and_not_a_panic() {
    let metrics = Metrics::new(Clock::default());
    for body in [
        &b"\xff\xff"[..],
        b"{}",
        &[0x9b; 64],
        &[0xa1, 0x61],
        &[0x81; 5000],
    ] {
        for operation in [
            "GetMetricData",
            "GetMetricStatistics",
            "ListMetrics",
            "PutMetricData",
        ] {
            let error = metrics.handle_cbor(operation, body).unwrap_err();
            assert_eq!(error.code, "SerializationException", "{operation} {error}");
        }
    }
    for form in [
        "MetricData.member.2.Value=1",
        "MetricData=1",
        "Namespace=%ff",
        "a.b.c.d.e.f.g.h.i.j.k.l=1&MetricData.member.x=1",
    ] {
        let error = metrics
            .handle_query("PutMetricData", form, "id")
            .unwrap_err();
        assert_eq!(error.status, 400, "{form} {error}");
    }
}

#[test]
fn numbers_that_are_none_or_too_large_are_refused() {
    let metrics = Metrics::new(Clock::default());
    for value in [f64::NAN, f64::INFINITY, -f64::INFINITY, f64::MAX, -1e109] {
        let request = cbor!({
            "Namespace" => "Own",
            "MetricData" => [{ "MetricName" => "m", "Value" => value }],
        })
        .unwrap();
        let mut body = Vec::new();
        ciborium::into_writer(&request, &mut body).unwrap();
        let error = metrics.handle_cbor("PutMetricData", &body).unwrap_err();
        assert_eq!(error.status, 400);
    }
    for value in ["NaN", "inf", "1e400", "x"] {
        let form = format!(
            "Namespace=Own&MetricData.member.1.MetricName=m&MetricData.member.1.Value={value}"
        );
        let error = metrics
            .handle_query("PutMetricData", &form, "id")
            .unwrap_err();
        assert_eq!(error.status, 400, "{value}");
    }
    let listed = metrics
        .handle_json("ListMetrics", serde_json::json!({}))
        .unwrap();
    assert_eq!(listed["Metrics"], serde_json::json!([]));
}

#[test]
fn a_million_series_stay_within_bounds_and_the_services_keep_their_place() {
    let metrics = Metrics::new(Clock::default());
    let mut refused = None;
    for request in 0..1000 {
        let data: Vec<_> = (0..1000)
            .map(|number| serde_json::json!({ "MetricName": format!("m{request}-{number}"), "Value": 1.0 }))
            .collect();
        let input = serde_json::json!({ "Namespace": "Own", "MetricData": data });
        if let Err(error) = metrics.handle_json("PutMetricData", input) {
            refused = Some(error.code);
            break;
        }
    }
    assert_eq!(refused, Some("LimitExceededException"));
    metrics.record("AWS/SQS", "NumberOfMessagesSent", &[], 1.0);
    let request = serde_json::json!({ "Namespace": "AWS/SQS" });
    let listed = metrics.handle_json("ListMetrics", request).unwrap();
    assert_eq!(listed["Metrics"].as_array().unwrap().len(), 1);
}

#[test]
fn old_figures_leave_when_the_clock_jumps() {
    let clock = Clock::default();
    let metrics = Metrics::new(clock.clone());
    let listed = || {
        let listed = metrics
            .handle_json("ListMetrics", serde_json::json!({}))
            .unwrap();
        let names = listed["Metrics"].as_array().unwrap().iter();
        names
            .map(|metric| metric["MetricName"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    metrics.record("AWS/SQS", "NumberOfMessagesSent", &[], 1.0);
    clock
        .advance(std::time::Duration::from_hours(13 * 24))
        .unwrap();
    metrics.record("AWS/SQS", "NumberOfMessagesDeleted", &[], 1.0);
    assert_eq!(
        listed(),
        ["NumberOfMessagesDeleted", "NumberOfMessagesSent"]
    );
    clock
        .advance(std::time::Duration::from_hours(3 * 24))
        .unwrap();
    assert_eq!(listed(), ["NumberOfMessagesDeleted"]);
    clock
        .advance(std::time::Duration::from_hours(90 * 365 * 24))
        .unwrap();
    metrics.record("AWS/SQS", "NumberOfMessagesReceived", &[], 1.0);
    assert_eq!(listed(), ["NumberOfMessagesReceived"]);
}

#[test]
fn a_gauge_has_one_sample_a_minute() {
    let metrics = Metrics::new(Clock::default());
    for value in [5.0, 3.0] {
        metrics.gauge("AWS/SQS", "NumberOfMessagesSent", &[], value);
    }
    let answer = ask(
        &metrics,
        &query("a", "NumberOfMessagesSent", None, "SampleCount", 60),
    )
    .unwrap();
    let result = &field(&answer, "MetricDataResults").as_array().unwrap()[0];
    for samples in field(result, "Values").as_array().unwrap() {
        assert_eq!(samples.as_float(), Some(1.0));
    }
}
