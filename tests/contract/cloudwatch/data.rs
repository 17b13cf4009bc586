//! Reading: `GetMetricData` and `GetMetricStatistics`.

use aws_sdk_cloudwatch::types::{
    LabelOptions, ScanBy, StandardUnit, Statistic, StatisticSet, StatusCode,
};

use super::bench::{Bench, datum, metric, query, refused};

/// "Amazon CloudWatch API Reference: `GetMetricData`", `MaxDatapoints`, `NextToken` and `StatusCode`: what does not fit is partial, and
/// the token leads to the rest, in the order asked for.
#[tokio::test]
async fn data_come_in_pages_of_max_datapoints_with_nothing_lost_or_doubled() {
    let bench = Bench::new().await;
    bench.put_minutes("Pages", "a", 5).await;
    bench.put_minutes("Pages", "b", 3).await;
    for (order, expected) in [
        (
            ScanBy::TimestampAscending,
            [vec![1.0, 2.0, 3.0, 4.0, 5.0], vec![1.0, 2.0, 3.0]],
        ),
        (
            ScanBy::TimestampDescending,
            [vec![5.0, 4.0, 3.0, 2.0, 1.0], vec![3.0, 2.0, 1.0]],
        ),
    ] {
        let mut pages = bench
            .cloudwatch
            .get_metric_data()
            .metric_data_queries(query("a", metric("Pages", "a"), "Sum"))
            .metric_data_queries(query("b", metric("Pages", "b"), "Sum"))
            .start_time(bench.ago(60))
            .end_time(bench.ago(0))
            .scan_by(order)
            .max_datapoints(2)
            .into_paginator()
            .send();
        let mut found = [Vec::new(), Vec::new()];
        let mut statuses = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            let mut points = 0;
            for result in page.metric_data_results() {
                points += result.values().len();
                assert_eq!(result.values().len(), result.timestamps().len());
                found[usize::from(result.id() == Some("b"))].extend_from_slice(result.values());
                statuses.push(result.status_code().unwrap().clone());
            }
            assert!(points <= 2);
        }
        assert_eq!(found, expected);
        assert_eq!(
            statuses
                .iter()
                .filter(|status| **status == StatusCode::Complete)
                .count(),
            2
        );
        assert!(statuses.contains(&StatusCode::PartialData));
    }
}

/// "`GetMetricData`": `StartTime` is inclusive and rounded down to its minute, `EndTime` is exclusive.
#[tokio::test]
async fn the_start_is_included_and_the_end_is_not() {
    let bench = Bench::new().await;
    bench.put_minutes("Bounds", "m", 5).await;
    let start = aws_sdk_cloudwatch::primitives::DateTime::from_secs(bench.minute - 4 * 60 + 34);
    let get = bench.cloudwatch.get_metric_data();
    let get = get.start_time(start).end_time(bench.ago(2));
    let get = get.metric_data_queries(query("q", metric("Bounds", "m"), "Sum"));
    let output = get.send().await.unwrap();
    assert_eq!(output.metric_data_results()[0].values(), [3.0, 2.0]);
}

/// "`GetMetricData`": "as many as 500" queries.
#[tokio::test]
async fn f32_five_hundred_queries_are_answered_and_one_more_is_refused() {
    let bench = Bench::new().await;
    let ask = |count| {
        let queries = (0..count).map(|at| query(&format!("q{at}"), metric("Many", "m"), "Sum"));
        let get = bench.cloudwatch.get_metric_data();
        let get = get.start_time(bench.ago(5)).end_time(bench.ago(0));
        get.set_metric_data_queries(Some(queries.collect())).send()
    };
    assert_eq!(ask(500).await.unwrap().metric_data_results().len(), 500);
    let (code, message) = refused(ask(501).await);
    assert_eq!(code, "InvalidParameterValue");
    assert!(message.contains("500"), "{message}");
}

/// "`MetricDataQuery`": `ReturnData` false returns nothing for its query, a `Label` is shown, `LabelOptions` are accepted, and an `Id` occurs once.
#[tokio::test]
async fn queries_say_what_comes_back_and_under_which_name() {
    let bench = Bench::new().await;
    bench.put_minutes("Names", "m", 1).await;
    let get = || {
        let get = bench.cloudwatch.get_metric_data();
        get.start_time(bench.ago(5)).end_time(bench.ago(0))
    };
    let plain = || query("a", metric("Names", "m"), "Sum");
    let mut labelled = query("b", metric("Names", "m"), "Sum");
    labelled.label = Some("mine".to_owned());
    let mut silent = query("c", metric("Names", "m"), "Sum");
    silent.return_data = Some(false);
    let zone = LabelOptions::builder().timezone("+0130").build();
    let output = get()
        .metric_data_queries(plain())
        .metric_data_queries(labelled)
        .metric_data_queries(silent)
        .label_options(zone);
    let output = output.send().await.unwrap();
    let labels: Vec<_> = output
        .metric_data_results()
        .iter()
        .map(|result| result.label().unwrap())
        .collect();
    assert_eq!(labels, ["m", "mine"]);
    let twice = get()
        .metric_data_queries(plain())
        .metric_data_queries(plain());
    assert_eq!(refused(twice.send().await).0, "InvalidParameterValue");
}

/// "`GetMetricData`: Errors": `InvalidNextToken`; "Common errors" for what is missing or contradicts itself.
#[tokio::test]
async fn wrong_requests_are_refused_by_their_names() {
    let bench = Bench::new().await;
    let get = || bench.cloudwatch.get_metric_data();
    let one = || query("a", metric("Wrong", "m"), "Sum");
    let between = || get().start_time(bench.ago(5)).end_time(bench.ago(0));
    for token in ["x", "0", "1/", "0/x", "99999999999999999999/"] {
        let wrong = between().metric_data_queries(one()).next_token(token);
        assert_eq!(refused(wrong.send().await).0, "InvalidNextToken", "{token}");
    }
    let backwards = get().start_time(bench.ago(0)).end_time(bench.ago(5));
    let backwards = backwards.metric_data_queries(one()).send().await;
    assert_eq!(refused(backwards).0, "InvalidParameterCombination");
    assert_eq!(
        refused(get().metric_data_queries(one()).send().await).0,
        "MissingParameter"
    );
    assert_eq!(refused(between().send().await).0, "MissingParameter");
    for most in [0, -1, i32::MIN, 100_801] {
        let wrong = between().metric_data_queries(one()).max_datapoints(most);
        assert_eq!(
            refused(wrong.send().await).0,
            "InvalidParameterValue",
            "{most}"
        );
    }
}

/// "`MetricStat`": with a `Unit`, only what was published with it comes back.
#[tokio::test]
async fn a_unit_selects_what_was_published_with_it() {
    let bench = Bench::new().await;
    let data = [(StandardUnit::Seconds, 1.0), (StandardUnit::Count, 2.0)];
    let data = data.map(|(unit, value)| datum("m").unit(unit).value(value).build());
    bench.put("Units", data.to_vec()).await;
    for (unit, expected) in [
        (None, 3.0),
        (Some(StandardUnit::Seconds), 1.0),
        (Some(StandardUnit::Bytes), 0.0),
    ] {
        let mut query = query("q", metric("Units", "m"), "Sum");
        query.metric_stat.as_mut().unwrap().unit = unit;
        assert!((bench.values(query).await.iter().sum::<f64>() - expected).abs() < 1e-9);
    }
}

/// "`GetMetricStatistics`": several statistics of each period with their unit, by `Statistics` or `ExtendedStatistics`, never both.
#[tokio::test]
async fn statistics_come_together_with_their_unit() {
    let bench = Bench::new().await;
    let data = [4.0, 8.0].map(|value| {
        let datum = datum("m").unit(StandardUnit::Milliseconds);
        datum.timestamp(bench.ago(1)).value(value).build()
    });
    bench.put("Statistics", data.to_vec()).await;
    let get = || {
        let get = bench.cloudwatch.get_metric_statistics();
        let get = get
            .namespace("Contract/Statistics")
            .metric_name("m")
            .period(60);
        get.start_time(bench.ago(5)).end_time(bench.ago(0))
    };
    let output = get()
        .statistics(Statistic::Sum)
        .statistics(Statistic::Maximum);
    let output = output.send().await.unwrap();
    assert_eq!(output.label(), Some("m"));
    let point = &output.datapoints()[0];
    assert_eq!(
        (point.sum(), point.maximum(), point.average()),
        (Some(12.0), Some(8.0), None)
    );
    assert_eq!(point.unit(), Some(&StandardUnit::Milliseconds));
    assert_eq!(point.timestamp(), Some(&bench.ago(1)));

    let output = get().extended_statistics("p100").extended_statistics("p0");
    let output = output.send().await.unwrap();
    let figures = output.datapoints()[0].extended_statistics().unwrap();
    assert!((figures["p100"] - 8.0).abs() < 0.2, "{figures:?}");
    assert!((figures["p0"] - 4.0).abs() < 0.2, "{figures:?}");

    let both = get().statistics(Statistic::Sum).extended_statistics("p50");
    assert_eq!(refused(both.send().await).0, "InvalidParameterCombination");
    assert_eq!(refused(get().send().await).0, "InvalidParameterCombination");
    let unknown = get().statistics(Statistic::from("Median"));
    assert_eq!(refused(unknown.send().await).0, "InvalidParameterValue");
}

/// "`GetMetricStatistics`": "The maximum number of data points returned from a single call is 1,440."
#[tokio::test]
async fn more_than_1440_data_points_are_refused() {
    let bench = Bench::new().await;
    let ask = |minutes| {
        let get = bench.cloudwatch.get_metric_statistics();
        let get = get.namespace("Contract/Long").metric_name("m").period(60);
        let get = get.start_time(bench.ago(minutes)).end_time(bench.ago(0));
        get.statistics(Statistic::Sum).send()
    };
    assert!(ask(1440).await.unwrap().datapoints().is_empty());
    let (code, message) = refused(ask(1441).await);
    assert_eq!(code, "InvalidParameterCombination");
    assert!(
        message.contains("1441") && message.contains("1440"),
        "{message}"
    );
}

/// "`PutMetricData`": of a statistic set, percentiles are there only if all its values are equal.
#[tokio::test]
async fn percentiles_need_raw_values() {
    let bench = Bench::new().await;
    let set = |most: f64, sum: f64| {
        StatisticSet::builder()
            .sample_count(2.0)
            .sum(sum)
            .minimum(3.0)
            .maximum(most)
            .build()
    };
    let equal = datum("equal").statistic_values(set(3.0, 6.0)).build();
    let mixed = datum("mixed").statistic_values(set(5.0, 8.0)).build();
    bench.put("Sets", vec![equal, mixed]).await;
    for (name, stat, expected) in [
        ("equal", "p50", vec![3.0]),
        ("mixed", "p50", vec![]),
        ("mixed", "Average", vec![4.0]),
    ] {
        let values = bench.values(query("q", metric("Sets", name), stat)).await;
        assert_eq!(values, expected, "{name} {stat}");
    }
}
