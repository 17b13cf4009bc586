//! Reading events, by group or by stream.
//!
//! Tokens are event ids, so they stay right while lines come and go.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    filter::Filter,
    invalid,
    page::{group, limit, not_found, with_token},
    store::{Event, Store},
};
use crate::error::AwsError;

/// Most events of one answer, and how many there are without `limit`.
const MAX_EVENTS: usize = 10_000;

/// Most bytes of one answer's text, about 1 MB on AWS.
const MAX_BYTES: usize = 1_048_576;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FilterEvents {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    filter_pattern: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    limit: Option<usize>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GetEvents {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    #[serde(default)]
    log_stream_name: String,
    start_time: Option<i64>,
    end_time: Option<i64>,
    limit: Option<usize>,
    #[serde(default)]
    start_from_head: bool,
    next_token: Option<String>,
}

/// "`FilterLogEvents`"
pub(super) fn filter(store: &Store, request: &FilterEvents) -> Result<Value, AwsError> {
    let (_, group) = group(
        store,
        request.log_group_name.as_deref(),
        request.log_group_identifier.as_deref(),
    )?;
    if request.log_stream_names.is_some() && request.log_stream_name_prefix.is_some() {
        return Err(invalid(
            "logStreamNames and logStreamNamePrefix cannot be used together.",
        ));
    }
    let filter = Filter::parse(request.filter_pattern.as_deref().unwrap_or_default())?;
    let most = limit(request.limit, MAX_EVENTS)?;
    let from: u64 = match &request.next_token {
        Some(token) => token
            .parse()
            .map_err(|_| invalid("The specified nextToken is invalid."))?,
        None => 0,
    };
    let first = group.events.partition_point(|event| event.id < from);
    let wanted = group.events.range(first..).filter(|event| {
        let named = request
            .log_stream_names
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| **name == *event.stream));
        let prefixed = request
            .log_stream_name_prefix
            .as_ref()
            .is_none_or(|prefix| event.stream.starts_with(prefix));
        named
            && prefixed
            && within(event, request.start_time, request.end_time)
            && filter.matches(&event.message)
    });
    let mut events = Vec::new();
    let mut bytes = 0;
    let mut next = None;
    for event in wanted {
        bytes += event.message.len();
        if events.len() == most || (bytes > MAX_BYTES && !events.is_empty()) {
            next = Some(event.id);
            break;
        }
        let mut fields = shown(event);
        fields.insert("logStreamName".to_owned(), event.stream.as_ref().into());
        // AWS ids are 56 digits that sort like the events.
        fields.insert("eventId".to_owned(), format!("{:056}", event.id).into());
        events.push(Value::from(fields));
    }
    let answer = json!({ "events": events, "searchedLogStreams": [] });
    Ok(with_token(answer, next.map(|id| id.to_string())))
}

/// "`GetLogEvents`": a page in either direction; at an end, the token that was given comes back.
pub(super) fn get(store: &Store, request: &GetEvents) -> Result<Value, AwsError> {
    let (_, group) = group(
        store,
        request.log_group_name.as_deref(),
        request.log_group_identifier.as_deref(),
    )?;
    let stream = request.log_stream_name.as_str();
    if !group.streams.contains_key(stream) {
        return Err(not_found("The specified log stream does not exist."));
    }
    let most = limit(request.limit, MAX_EVENTS)?;
    let events: Vec<&Event> = group
        .events
        .iter()
        .filter(|event| {
            // Unlike in `FilterLogEvents`, an event at the end time is not included.
            *event.stream == *stream
                && within(event, request.start_time, None)
                && request.end_time.is_none_or(|end| event.at < end)
        })
        .collect();
    // A token is a place between events: `f/ID` reads forward from ID, `b/ID` reads backward up to before ID.
    let (forward, place) = match &request.next_token {
        None if request.start_from_head => (true, 0),
        None => (false, events.len()),
        Some(token) => {
            let (direction, id) = token
                .split_once('/')
                .ok_or_else(|| invalid("The specified nextToken is invalid."))?;
            let id: u64 = id
                .parse()
                .map_err(|_| invalid("The specified nextToken is invalid."))?;
            (
                direction == "f",
                events.partition_point(|event| event.id < id),
            )
        }
    };
    let (start, end) = if forward {
        (place, place + most)
    } else {
        (place.saturating_sub(most), place)
    };
    let end = end.min(events.len());
    let start_id = events
        .get(start)
        .map_or_else(|| after(&events), |event| event.id);
    let end_id = events
        .get(end)
        .map_or_else(|| after(&events), |event| event.id);
    let page: Vec<Value> = events
        .iter()
        .take(end)
        .skip(start)
        .map(|event| Value::from(shown(event)))
        .collect();
    Ok(json!({
        "events": page,
        "nextForwardToken": format!("f/{end_id}"),
        "nextBackwardToken": format!("b/{start_id}"),
    }))
}

fn within(event: &Event, start: Option<i64>, end: Option<i64>) -> bool {
    start.is_none_or(|start| event.at >= start) && end.is_none_or(|end| event.at <= end)
}

/// The place after the last of these events.
fn after(events: &[&Event]) -> u64 {
    events.last().map_or(0, |event| event.id + 1)
}

fn shown(event: &Event) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("timestamp".to_owned(), event.at.into());
    fields.insert("ingestionTime".to_owned(), event.at.into());
    fields.insert("message".to_owned(), event.message.as_str().into());
    fields
}
