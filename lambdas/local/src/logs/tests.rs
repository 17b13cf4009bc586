#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::json;

use super::*;

const GROUP: &str = "/aws/lambda/send";

fn with_lines(lines: &[&str]) -> Logs {
    let logs = Logs::new(Clock::default());
    for line in lines {
        logs.append(GROUP, "one", line);
    }
    logs
}

fn messages(answer: &Value) -> Vec<&str> {
    answer["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["message"].as_str().unwrap())
        .collect()
}

#[test]
fn a_filter_pages_through_all_that_matches() {
    let logs = with_lines(&["ERROR 1", "fine", "ERROR 2", "ERROR 3"]);
    let first = logs
        .handle(
            "FilterLogEvents",
            json!({ "logGroupName": GROUP, "filterPattern": "ERROR", "limit": 2 }),
        )
        .unwrap();
    assert_eq!(messages(&first), ["ERROR 1", "ERROR 2"]);
    let second = logs
        .handle(
            "FilterLogEvents",
            json!({ "logGroupName": GROUP, "filterPattern": "ERROR", "limit": 2, "nextToken": first["nextToken"] }),
        )
        .unwrap();
    assert_eq!(messages(&second), ["ERROR 3"]);
    assert!(second.get("nextToken").is_none());
}

#[test]
fn times_bound_what_is_found() {
    let logs = with_lines(&["now"]);
    let found = |start: i64, end: i64| {
        let answer = logs
            .handle(
                "FilterLogEvents",
                json!({ "logGroupName": GROUP, "startTime": start, "endTime": end }),
            )
            .unwrap();
        messages(&answer).len()
    };
    let now = Clock::default().now().as_millisecond();
    assert_eq!(found(now - 60_000, now), 1);
    assert_eq!(found(now + 60_000, now + 120_000), 0);
    assert_eq!(found(0, now - 60_000), 0);
}

#[test]
fn a_stream_is_read_forward_to_its_end_and_backward_to_its_start() {
    let logs = with_lines(&["1", "2", "3"]);
    let get = |extra: Value| {
        let mut request = json!({ "logGroupName": GROUP, "logStreamName": "one", "limit": 2 });
        request
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        logs.handle("GetLogEvents", request).unwrap()
    };
    let first = get(json!({ "startFromHead": true }));
    assert_eq!(messages(&first), ["1", "2"]);
    let second = get(json!({ "nextToken": first["nextForwardToken"] }));
    assert_eq!(messages(&second), ["3"]);
    let end = get(json!({ "nextToken": second["nextForwardToken"] }));
    assert_eq!(messages(&end), Vec::<&str>::new());
    assert_eq!(end["nextForwardToken"], second["nextForwardToken"]);
    assert_eq!(messages(&get(json!({}))), ["2", "3"]);
    assert_eq!(
        messages(&get(json!({ "nextToken": second["nextBackwardToken"] }))),
        ["1", "2"]
    );
}

#[test]
fn groups_and_streams_are_described_in_pages() {
    let logs = with_lines(&["x"]);
    logs.append(GROUP, "two", "y");
    logs.append("/aws/lambda/other", "one", "z");
    let groups = logs
        .handle(
            "DescribeLogGroups",
            json!({ "logGroupNamePrefix": "/aws/lambda/", "limit": 1 }),
        )
        .unwrap();
    assert_eq!(groups["logGroups"][0]["logGroupName"], "/aws/lambda/other");
    let next = logs
        .handle(
            "DescribeLogGroups",
            json!({ "nextToken": groups["nextToken"] }),
        )
        .unwrap();
    assert_eq!(next["logGroups"][0]["logGroupName"], GROUP);
    assert!(next.get("nextToken").is_none());
    let streams = logs
        .handle(
            "DescribeLogStreams",
            json!({ "logGroupName": GROUP, "descending": true, "limit": 1 }),
        )
        .unwrap();
    assert_eq!(streams["logStreams"][0]["logStreamName"], "two");
    assert_eq!(streams["nextToken"], "1");
}

#[test]
fn what_is_not_there_is_not_found() {
    let logs = with_lines(&["x"]);
    for (operation, request) in [
        ("FilterLogEvents", json!({ "logGroupName": "none" })),
        (
            "GetLogEvents",
            json!({ "logGroupName": GROUP, "logStreamName": "none" }),
        ),
        ("DescribeLogStreams", json!({ "logGroupName": "none" })),
    ] {
        assert_eq!(
            logs.handle(operation, request).unwrap_err().code,
            "ResourceNotFoundException",
            "{operation}"
        );
    }
    assert_eq!(
        logs.handle("PutLogEvents", json!({})).unwrap_err().code,
        "UnknownOperationException"
    );
}
