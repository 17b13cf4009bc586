//! What groups and streams there are.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    invalid,
    page::{group, group_arn, limit, with_token},
    store::{Store, Stream},
};
use crate::error::AwsError;

/// Most groups or streams of one answer, and how many there are without `limit`.
const PAGE: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeGroups {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    limit: Option<usize>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeStreams {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    #[serde(default)]
    descending: bool,
    limit: Option<usize>,
    next_token: Option<String>,
}

/// "`DescribeLogGroups`"
pub(super) fn groups(store: &Store, request: &DescribeGroups) -> Result<Value, AwsError> {
    let most = limit(request.limit, PAGE)?;
    if request.log_group_name_prefix.is_some() && request.log_group_name_pattern.is_some() {
        return Err(invalid(
            "logGroupNamePrefix and logGroupNamePattern cannot be used together.",
        ));
    }
    let prefix = request.log_group_name_prefix.as_deref().unwrap_or_default();
    let part = request
        .log_group_name_pattern
        .as_deref()
        .unwrap_or_default();
    let after = request.next_token.as_deref().unwrap_or_default();
    let mut names = store.groups.iter().filter(|(name, _)| {
        name.starts_with(prefix) && name.contains(part) && name.as_str() > after
    });
    let page: Vec<_> = names.by_ref().take(most).collect();
    let groups: Vec<Value> = page
        .iter()
        .map(|(name, group)| {
            json!({
                "logGroupName": name,
                "arn": format!("{}:*", group_arn(name)),
                "logGroupArn": group_arn(name),
                "creationTime": group.created_at,
                "storedBytes": group.bytes,
                "metricFilterCount": 0,
            })
        })
        .collect();
    let last = page.last().map(|(name, _)| (*name).clone());
    let token = last.filter(|_| names.next().is_some());
    Ok(with_token(json!({ "logGroups": groups }), token))
}

/// "`DescribeLogStreams`"; the token is how many streams came before.
pub(super) fn streams(store: &Store, request: &DescribeStreams) -> Result<Value, AwsError> {
    let (name, group) = group(
        store,
        request.log_group_name.as_deref(),
        request.log_group_identifier.as_deref(),
    )?;
    let most = limit(request.limit, PAGE)?;
    let prefix = request
        .log_stream_name_prefix
        .as_deref()
        .unwrap_or_default();
    let skipped: usize = match &request.next_token {
        Some(token) => token
            .parse()
            .map_err(|_| invalid("The specified nextToken is invalid."))?,
        None => 0,
    };
    let mut streams: Vec<(&str, &Stream)> = group
        .streams
        .iter()
        .map(|(name, stream)| (name.as_ref(), stream))
        .filter(|(name, _)| name.starts_with(prefix))
        .collect();
    match request.order_by.as_deref() {
        None | Some("LogStreamName") => {}
        Some("LastEventTime") if request.log_stream_name_prefix.is_some() => {
            return Err(invalid(
                "Cannot order by LastEventTime with a logStreamNamePrefix.",
            ));
        }
        Some("LastEventTime") => streams.sort_by_key(|(_, stream)| stream.last_at),
        Some(other) => {
            return Err(invalid(format!(
                "orderBy must be LogStreamName or LastEventTime, not {other}."
            )));
        }
    }
    if request.descending {
        streams.reverse();
    }
    let page: Vec<Value> = streams
        .iter()
        .skip(skipped)
        .take(most)
        .map(|(stream_name, stream)| {
            json!({
                "logStreamName": stream_name,
                "arn": format!("{}:log-stream:{stream_name}", group_arn(name)),
                "creationTime": stream.created_at,
                "firstEventTimestamp": stream.created_at,
                "lastEventTimestamp": stream.last_at,
                "lastIngestionTime": stream.last_at,
                "storedBytes": 0,
            })
        })
        .collect();
    let more = streams.len().saturating_sub(skipped) > most;
    let token = more.then(|| (skipped + most).to_string());
    Ok(with_token(json!({ "logStreams": page }), token))
}
