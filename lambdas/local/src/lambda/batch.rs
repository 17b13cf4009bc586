//! A batch of messages as an SQS event, and what its function's answer means for each of them
//! (AWS Lambda developer guide, "Using Lambda with Amazon SQS" and "Handling errors for an SQS event source in Lambda").

use std::collections::BTreeSet;

use base64::Engine as _;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::environment::Reply;
use crate::account;
use crate::sqs::{MessageAttribute, Received};

/// A batch is cut at the payload limit of a synchronous invocation, 6 MB (AWS Lambda API reference, `CreateEventSourceMapping`,
/// `BatchSize`).
pub const MAX_BYTES: usize = 6 * 1024 * 1024;

/// The event for the first of `messages` of the queue `queue_arn`, and how many it holds: as many as fit, and at least one.
pub fn event(queue_arn: &str, messages: &[Received]) -> (Bytes, usize) {
    event_within(MAX_BYTES, queue_arn, messages)
}

fn event_within(limit: usize, queue_arn: &str, messages: &[Received]) -> (Bytes, usize) {
    let mut event = String::from("{\"Records\":[");
    let mut count = 0;
    for message in messages {
        let record = record(queue_arn, message).to_string();
        // With a comma before it and the end after it.
        if count > 0 && event.len() + record.len() + 3 > limit {
            break;
        }
        if count > 0 {
            event.push(',');
        }
        event.push_str(&record);
        count += 1;
    }
    event.push_str("]}");
    (Bytes::from(event), count)
}

fn record(queue_arn: &str, message: &Received) -> Value {
    let attributes: Map<String, Value> = message
        .message_attributes
        .iter()
        .map(|(name, attribute)| (name.clone(), attribute_view(attribute)))
        .collect();
    json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": message.attributes,
        "messageAttributes": attributes,
        "md5OfBody": message.md5_of_body,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": account::REGION,
    })
}

fn attribute_view(attribute: &MessageAttribute) -> Value {
    let mut view = Map::new();
    if let Some(value) = &attribute.string_value {
        view.insert("stringValue".to_owned(), json!(value));
    }
    if let Some(value) = &attribute.binary_value {
        let encoded = base64::engine::general_purpose::STANDARD.encode(value);
        view.insert("binaryValue".to_owned(), json!(encoded));
    }
    view.insert("stringListValues".to_owned(), json!([]));
    view.insert("binaryListValues".to_owned(), json!([]));
    view.insert("dataType".to_owned(), json!(attribute.data_type));
    Value::Object(view)
}

/// The messages that were processed and are to be deleted; the others come back when their visibility timeout ends.
/// `partial`: the mapping asks for `ReportBatchItemFailures`.
pub fn processed<'a>(messages: &'a [Received], reply: &Reply, partial: bool) -> Vec<&'a Received> {
    if reply.failed {
        return Vec::new();
    }
    if !partial {
        return messages.iter().collect();
    }
    let Some(failed) = failures(&reply.payload) else {
        return Vec::new();
    };
    let known: BTreeSet<&str> = messages
        .iter()
        .map(|message| message.message_id.as_str())
        .collect();
    if failed.iter().any(|id| !known.contains(id.as_str())) {
        return Vec::new();
    }
    messages
        .iter()
        .filter(|message| !failed.contains(&message.message_id))
        .collect()
}

/// The ids in `batchItemFailures`; an empty answer, `null` or no list means none. `None` if the answer is malformed, which counts
/// as the failure of the whole batch.
fn failures(payload: &[u8]) -> Option<BTreeSet<String>> {
    if payload.is_empty() {
        return Some(BTreeSet::new());
    }
    let list = match serde_json::from_slice(payload).ok()? {
        Value::Null => Value::Null,
        Value::Object(mut answer) => answer.remove("batchItemFailures").unwrap_or(Value::Null),
        _ => return None,
    };
    match list {
        Value::Null => Some(BTreeSet::new()),
        Value::Array(items) => items
            .iter()
            .map(|item| match item.get("itemIdentifier") {
                Some(Value::String(id)) if !id.is_empty() => Some(id.clone()),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    fn message(id: &str) -> Received {
        let text = MessageAttribute {
            data_type: "String".to_owned(),
            string_value: Some("v".to_owned()),
            binary_value: None,
        };
        let bytes = MessageAttribute {
            data_type: "Binary".to_owned(),
            string_value: None,
            binary_value: Some(vec![1, 2, 3]),
        };
        Received {
            message_id: id.to_owned(),
            receipt_handle: format!("handle-{id}"),
            body: "{}".to_owned(),
            md5_of_body: "md5".to_owned(),
            attributes: BTreeMap::from([("ApproximateReceiveCount", "1".to_owned())]),
            message_attributes: BTreeMap::from([("b".to_owned(), bytes), ("s".to_owned(), text)]),
        }
    }

    fn deleted(payload: &str, failed: bool, partial: bool) -> Vec<String> {
        let messages = [message("a"), message("b"), message("c")];
        let reply = Reply {
            payload: Bytes::from(payload.to_owned()),
            failed,
            tail: Vec::new(),
            duration: Duration::ZERO,
        };
        processed(&messages, &reply, partial)
            .into_iter()
            .map(|message| message.message_id.clone())
            .collect()
    }

    #[test]
    fn the_event_has_the_shape_that_functions_on_aws_get() {
        let (event, _) = event("arn:q", &[message("a")]);
        let event: Value = serde_json::from_slice(&event).unwrap();
        assert_eq!(
            event,
            json!({"Records": [{
                "messageId": "a",
                "receiptHandle": "handle-a",
                "body": "{}",
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {
                    "b": {"binaryValue": "AQID", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
                    "s": {"stringValue": "v", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
                },
                "md5OfBody": "md5",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:q",
                "awsRegion": "us-east-1",
            }]})
        );
    }

    #[test]
    fn a_batch_is_cut_at_the_limit_and_holds_at_least_one() {
        let messages = [message("a"), message("b"), message("c")];
        let (two, _) = event("arn:q", &messages[..2]);
        let cut = |limit: usize| {
            let (event, count) = event_within(limit, "arn:q", &messages);
            let event: Value = serde_json::from_slice(&event).unwrap();
            assert_eq!(event["Records"].as_array().unwrap().len(), count);
            count
        };
        assert_eq!(cut(two.len()), 2);
        assert_eq!(cut(two.len() - 1), 1);
        assert_eq!(cut(1), 1);
    }

    #[test]
    fn success_deletes_all() {
        for answer in [
            "",
            "null",
            "{}",
            r#"{"batchItemFailures":[]}"#,
            r#"{"batchItemFailures":null}"#,
        ] {
            assert_eq!(deleted(answer, false, true), ["a", "b", "c"], "{answer}");
        }
        assert_eq!(deleted("\"anything\"", false, false), ["a", "b", "c"]);
    }

    #[test]
    fn named_messages_stay() {
        let answer = r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#;
        assert_eq!(deleted(answer, false, true), ["a", "c"]);
        // Without ReportBatchItemFailures nobody reads the answer.
        assert_eq!(deleted(answer, false, false), ["a", "b", "c"]);
    }

    #[test]
    fn a_failure_or_a_malformed_answer_keeps_the_whole_batch() {
        assert!(deleted("{}", true, true).is_empty());
        assert!(deleted("{}", true, false).is_empty());
        for answer in [
            "not json",
            "[]",
            r#"{"batchItemFailures":"b"}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"id":"b"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"unknown"}]}"#,
        ] {
            assert!(deleted(answer, false, true).is_empty(), "{answer}");
        }
    }
}
