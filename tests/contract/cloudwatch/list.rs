//! `ListMetrics`.

use aws_sdk_cloudwatch::types::{Dimension, DimensionFilter, RecentlyActive};

use super::bench::{Bench, datum, refused};

/// "Amazon CloudWatch API Reference: `ListMetrics`": "Up to 500 results are returned for any one call."
#[tokio::test]
async fn metrics_are_listed_in_pages_of_500() {
    let bench = Bench::new().await;
    let data = (0..1000).map(|number| datum(&format!("m{number}")).value(1.0).build());
    bench.put("Pages of many", data.collect()).await;
    bench
        .put("Pages of many", vec![datum("one more").value(1.0).build()])
        .await;
    let mut pages = bench
        .cloudwatch
        .list_metrics()
        .namespace("Contract/Pages of many")
        .into_paginator()
        .send();
    let mut sizes = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        sizes.push(page.metrics().len());
        names.extend(
            page.metrics()
                .iter()
                .map(|metric| metric.metric_name().unwrap().to_owned()),
        );
    }
    assert_eq!(sizes, [500, 500, 1]);
    assert_eq!(names.len(), 1001);
    let wrong = bench.cloudwatch.list_metrics().next_token("x");
    assert_eq!(refused(wrong.send().await).0, "InvalidParameterValue");
}

/// "`ListMetrics`": filters match exactly; a metric with more dimensions than are asked for is listed; a filter without a value asks for the name.
#[tokio::test]
async fn metrics_are_listed_by_name_and_dimensions() {
    let bench = Bench::new().await;
    let of = |values: &[(&str, &str)]| {
        let dimensions = values
            .iter()
            .map(|(name, value)| Dimension::builder().name(*name).value(*value).build());
        datum("m")
            .set_dimensions(Some(dimensions.collect()))
            .value(1.0)
            .build()
    };
    let data = vec![of(&[]), of(&[("a", "1")]), of(&[("a", "2"), ("b", "1")])];
    bench.put("Filters", data).await;
    let count = async |name: &str, filters: &[(&str, Option<&str>)]| {
        let filters = filters.iter().map(|(name, value)| {
            DimensionFilter::builder()
                .name(*name)
                .set_value(value.map(str::to_owned))
                .build()
        });
        let list = bench
            .cloudwatch
            .list_metrics()
            .namespace("Contract/Filters");
        let list = list
            .metric_name(name)
            .set_dimensions(Some(filters.collect()));
        list.send().await.unwrap().metrics().len()
    };
    assert_eq!(count("m", &[]).await, 3);
    assert_eq!(count("M", &[]).await, 0);
    assert_eq!(count("m", &[("a", None)]).await, 2);
    assert_eq!(count("m", &[("a", Some("2"))]).await, 1);
    assert_eq!(count("m", &[("a", Some("1")), ("b", None)]).await, 0);
}

/// "`ListMetrics`": `RecentlyActive` shows metrics with data in the last three hours.
#[tokio::test]
async fn only_recently_active_metrics_are_listed_if_asked() {
    let bench = Bench::new().await;
    let old = datum("old").timestamp(bench.ago(300)).value(1.0).build();
    bench
        .put("Activity", vec![old, datum("new").value(1.0).build()])
        .await;
    let list = || {
        bench
            .cloudwatch
            .list_metrics()
            .namespace("Contract/Activity")
    };
    assert_eq!(list().send().await.unwrap().metrics().len(), 2);
    let recent = list()
        .recently_active(RecentlyActive::Pt3H)
        .send()
        .await
        .unwrap();
    assert_eq!(recent.metrics().len(), 1);
    assert_eq!(recent.metrics()[0].metric_name(), Some("new"));
}
