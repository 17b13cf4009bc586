//! `PutMetricData`.

use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StatisticSet};

use super::bench::{Bench, datum, metric, query, refused};

/// "Amazon CloudWatch API Reference: `PutMetricData`": namespaces that begin with `AWS/` are those of AWS services.
#[tokio::test]
async fn the_services_namespaces_are_refused() {
    let bench = Bench::new().await;
    let put = bench.cloudwatch.put_metric_data().namespace("AWS/SQS");
    let put = put.metric_data(datum("NumberOfMessagesSent").value(1.0).build());
    let (code, message) = refused(put.send().await);
    assert_eq!(code, "InvalidParameterValue");
    assert!(
        message.starts_with("The value AWS/SQS for parameter Namespace is invalid"),
        "{message}"
    );
}

/// "`MetricDatum`": `Values` with `Counts`; without counts, one of each.
#[tokio::test]
async fn values_count_as_often_as_they_say() {
    let bench = Bench::new().await;
    let values = || datum("m").set_values(Some(vec![1.0, 10.0]));
    bench
        .put(
            "Counts",
            vec![values().set_counts(Some(vec![9.0, 0.5])).build()],
        )
        .await;
    bench.put("Counts", vec![values().build()]).await;
    for (stat, expected) in [("SampleCount", 11.5), ("Sum", 25.0)] {
        let values = bench.values(query("q", metric("Counts", "m"), stat)).await;
        assert!(
            (values.iter().sum::<f64>() - expected).abs() < 1e-9,
            "{stat}: {values:?}"
        );
    }
}

/// "`PutMetricData`" and "`MetricDatum`": the limits; and of a request with one wrong metric nothing is taken in.
#[tokio::test]
async fn what_is_beyond_the_limits_is_refused_whole() {
    let bench = Bench::new().await;
    let many = |count: u32| (0..count).map(f64::from).collect::<Vec<_>>();
    let dimensions = (0..31).map(|number| {
        Dimension::builder()
            .name(format!("d{number}"))
            .value("x")
            .build()
    });
    let set = StatisticSet::builder()
        .sample_count(0.0)
        .sum(0.0)
        .minimum(0.0)
        .maximum(0.0)
        .build();
    let cases: Vec<(&str, MetricDatum)> = vec![
        (
            "InvalidParameterValue",
            datum("m").set_values(Some(many(151))).build(),
        ),
        (
            "InvalidParameterValue",
            datum("m")
                .set_values(Some(many(2)))
                .set_counts(Some(vec![1.0]))
                .build(),
        ),
        (
            "InvalidParameterValue",
            datum("m")
                .value(1.0)
                .set_dimensions(Some(dimensions.collect()))
                .build(),
        ),
        (
            "InvalidParameterValue",
            datum("m")
                .value(1.0)
                .timestamp(bench.ago(15 * 24 * 60))
                .build(),
        ),
        (
            "InvalidParameterValue",
            datum("m").value(1.0).timestamp(bench.ago(-180)).build(),
        ),
        (
            "InvalidParameterValue",
            datum("m").value(361_f64.exp2()).build(),
        ),
        (
            "InvalidParameterValue",
            datum("m").value(1.0).storage_resolution(5).build(),
        ),
        (
            "InvalidParameterValue",
            datum("m").value(1.0).unit("Parsecs".into()).build(),
        ),
        (
            "InvalidParameterValue",
            datum(&"x".repeat(256)).value(1.0).build(),
        ),
        (
            "InvalidParameterValue",
            datum("m").statistic_values(set.clone()).build(),
        ),
        (
            "InvalidParameterCombination",
            datum("m").value(1.0).statistic_values(set).build(),
        ),
        ("MissingParameter", datum("m").build()),
    ];
    for (code, wrong) in cases {
        let put = bench
            .cloudwatch
            .put_metric_data()
            .namespace("Contract/Limits");
        let right = datum("right").value(1.0).build();
        let put = put.metric_data(right).metric_data(wrong.clone());
        assert_eq!(refused(put.send().await).0, code, "{wrong:?}");
    }
    let data = vec![datum("m").value(1.0).build(); 1001];
    let put = bench
        .cloudwatch
        .put_metric_data()
        .namespace("Contract/Limits");
    let put = put.set_metric_data(Some(data)).send().await;
    assert_eq!(refused(put).0, "InvalidParameterValue");
    let list = bench.cloudwatch.list_metrics().namespace("Contract/Limits");
    assert!(list.send().await.unwrap().metrics().is_empty());
}
