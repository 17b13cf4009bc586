//! What functions print, in CloudWatch Logs ("Amazon CloudWatch Logs API Reference").

use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata as _;
use aws_sdk_cloudwatchlogs::types::OrderBy;
use serde_json::json;

use super::bench::{Bench, wait_until};

/// An emulator with a function that ran once, and the names of its log group and stream.
async fn after_a_run() -> (Bench, aws_sdk_cloudwatchlogs::Client, String, String) {
    let bench = Bench::start().await;
    bench.create("f", 10).await;
    bench.invoke("f", json!({})).await;
    let group = format!("/aws/lambda/{}", bench.name("f"));
    let logs = aws_sdk_cloudwatchlogs::Client::new(&bench.cloud.config);
    wait_until("the report is there", async || {
        let filter = logs.filter_log_events().log_group_name(&group);
        let filter = filter.filter_pattern("\"REPORT RequestId\"").send().await;
        filter.is_ok_and(|output| !output.events().is_empty())
    })
    .await;
    let streams = logs.describe_log_streams().log_group_name(&group);
    let streams = streams
        .order_by(OrderBy::LastEventTime)
        .send()
        .await
        .unwrap();
    let stream = streams.log_streams()[0]
        .log_stream_name()
        .unwrap()
        .to_owned();
    (bench, logs, group, stream)
}

/// AWS Lambda developer guide, "Viewing CloudWatch logs for Lambda functions": START, END and REPORT around each invocation.
#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_is_marked_by_start_end_and_report() {
    let (bench, logs, group, stream) = after_a_run().await;
    let get = logs
        .get_log_events()
        .log_group_name(&group)
        .log_stream_name(&stream);
    let events = get.start_from_head(true).send().await.unwrap();
    let lines: Vec<_> = events
        .events()
        .iter()
        .map(|event| event.message().unwrap())
        .collect();
    let start = lines
        .iter()
        .find(|line| line.starts_with("START "))
        .unwrap();
    let id = start
        .strip_prefix("START RequestId: ")
        .unwrap()
        .strip_suffix(" Version: $LATEST")
        .unwrap();
    assert!(
        lines.contains(&format!("END RequestId: {id}").as_str()),
        "{lines:?}"
    );
    let report = lines
        .iter()
        .find(|line| line.starts_with("REPORT "))
        .unwrap();
    let fields: Vec<_> = report.trim_end().split('\t').collect();
    assert_eq!(fields[0], format!("REPORT RequestId: {id}"));
    for (field, name) in
        fields[1..]
            .iter()
            .zip(["Duration: ", "Billed Duration: ", "Memory Size: "])
    {
        assert!(field.starts_with(name), "{report:?}");
    }
    assert!(
        fields.last().unwrap().starts_with("Init Duration: "),
        "{report:?}"
    );
    bench.stop().await;
}

/// "`GetLogEvents`": at either end, the token that was passed comes back; events at `endTime` are not included, those at `startTime` are.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_repeat_at_the_ends_and_the_end_time_is_excluded() {
    let (bench, logs, group, stream) = after_a_run().await;
    let get = || {
        logs.get_log_events()
            .log_group_name(&group)
            .log_stream_name(&stream)
    };
    let all = get().start_from_head(true).send().await.unwrap();
    let forward = all.next_forward_token().unwrap();
    let end = get()
        .start_from_head(true)
        .next_token(forward)
        .send()
        .await
        .unwrap();
    assert!(end.events().is_empty());
    assert_eq!(end.next_forward_token(), Some(forward));
    let backward = all.next_backward_token().unwrap();
    let head = get().next_token(backward).send().await.unwrap();
    assert!(head.events().is_empty());
    assert_eq!(head.next_backward_token(), Some(backward));

    let last = all.events().last().unwrap().timestamp().unwrap();
    let before = get().end_time(last).send().await.unwrap();
    assert!(
        before
            .events()
            .iter()
            .all(|event| event.timestamp().unwrap() < last)
    );
    let from = get().start_time(last).send().await.unwrap();
    assert!(!from.events().is_empty());
    // "`FilterLogEvents`" leaves out only what is later.
    let filter = logs
        .filter_log_events()
        .log_group_name(&group)
        .end_time(last);
    let found = filter.send().await.unwrap();
    assert_eq!(found.events().last().unwrap().timestamp(), Some(last));
    bench.stop().await;
}

/// "`DescribeLogGroups`", "`DescribeLogStreams`", "`FilterLogEvents`": what cannot be asked together.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_contradict_themselves_are_refused() {
    let (bench, logs, group, stream) = after_a_run().await;
    let arn = bench.cloud.arn("logs", &format!("log-group:{group}"));
    let by_arn = logs.describe_log_streams().log_group_identifier(&arn);
    assert_eq!(by_arn.clone().send().await.unwrap().log_streams().len(), 1);
    let codes = [
        by_arn
            .log_group_name(&group)
            .send()
            .await
            .err()
            .unwrap()
            .code()
            .map(str::to_owned),
        logs.describe_log_streams()
            .send()
            .await
            .err()
            .unwrap()
            .code()
            .map(str::to_owned),
        logs.describe_log_streams()
            .log_group_name(&group)
            .log_stream_name_prefix("2")
            .order_by(OrderBy::LastEventTime)
            .send()
            .await
            .err()
            .unwrap()
            .code()
            .map(str::to_owned),
        logs.filter_log_events()
            .log_group_name(&group)
            .log_stream_names(&stream)
            .log_stream_name_prefix("2")
            .send()
            .await
            .err()
            .unwrap()
            .code()
            .map(str::to_owned),
    ];
    for code in codes {
        assert_eq!(code.as_deref(), Some("InvalidParameterException"));
    }
    let groups = logs
        .describe_log_groups()
        .log_group_name_pattern(&group[1..]);
    assert_eq!(groups.send().await.unwrap().log_groups().len(), 1);
    bench.stop().await;
}
