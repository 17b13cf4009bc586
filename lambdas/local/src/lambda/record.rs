//! What is left of an event that is done with: a destination's record, or a dead letter
//! (AWS Lambda developer guide, "Capturing records of Lambda asynchronous invocations").

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::environment::Reply;
use super::error;
use super::retry::Condition;
use crate::account;
use crate::sqs::{MessageAttribute, Outgoing};

/// A dead letter says at most so much of what went wrong (same page, "Adding a dead-letter queue": the first 1 KB).
const MAX_ERROR_MESSAGE_BYTES: usize = 1024;

/// An event that will not be tried again.
pub struct Finished<'a> {
    /// The function it was for.
    pub function: &'a str,
    /// The same in all attempts.
    pub request_id: &'a str,
    /// The event, exactly as it was sent.
    pub payload: &'a Bytes,
    /// Why it ended.
    pub condition: Condition,
    /// How often the function was run.
    pub attempts: u32,
    /// The last run, if there was one.
    pub reply: Option<&'a Reply>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    version: &'static str,
    timestamp: String,
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_payload: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_context: Option<ResponseContext>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_payload: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    request_id: &'a str,
    function_arn: String,
    condition: &'static str,
    approximate_invoke_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext {
    status_code: u16,
    executed_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_error: Option<&'static str>,
}

/// The record a destination gets. If it would have more than `limit` bytes it comes without both payloads, so that nothing of it can be
/// invoked again: so AWS documents it of SNS (AWS Lambda API reference, `OnFailure`), and of SQS it documents nothing.
pub fn destination(
    finished: &Finished<'_>,
    now: Timestamp,
    limit: usize,
) -> serde_json::Result<String> {
    let reply = finished.reply;
    let mut record = Record {
        version: "1.0",
        timestamp: format!("{now:.3}"),
        request_context: RequestContext {
            request_id: finished.request_id,
            function_arn: format!("{}:$LATEST", account::function_arn(finished.function)),
            condition: finished.condition.as_str(),
            approximate_invoke_count: finished.attempts,
        },
        request_payload: Some(raw(finished.payload)?),
        response_context: reply.map(|reply| ResponseContext {
            status_code: 200,
            executed_version: "$LATEST",
            function_error: reply.failed.then_some("Unhandled"),
        }),
        response_payload: reply.map(|reply| raw(&reply.payload)).transpose()?,
    };
    let whole = serde_json::to_string(&record)?;
    if whole.len() <= limit {
        return Ok(whole);
    }
    record.request_payload = None;
    record.response_payload = None;
    serde_json::to_string(&record)
}

/// The message a dead-letter queue gets: the event itself, and what went wrong in attributes.
pub fn dead_letter(finished: &Finished<'_>) -> Outgoing {
    let (code, message) = match finished.reply {
        Some(reply) => (200, error_message(&reply.payload)),
        None => (error::throttled().status, error::throttled().message),
    };
    let attribute = |data_type: &str, value: String| MessageAttribute {
        data_type: data_type.to_owned(),
        string_value: Some(value),
        binary_value: None,
    };
    let mut attributes = BTreeMap::from([
        (
            "RequestID".to_owned(),
            attribute("String", finished.request_id.to_owned()),
        ),
        (
            "ErrorCode".to_owned(),
            attribute("Number", code.to_string()),
        ),
    ]);
    // SQS refuses an attribute without a value.
    if !message.is_empty() {
        attributes.insert("ErrorMessage".to_owned(), attribute("String", message));
    }
    Outgoing {
        body: String::from_utf8_lossy(finished.payload).into_owned(),
        attributes,
        ..Outgoing::default()
    }
}

/// JSON as it is, with its spelling of numbers and its order of fields; anything else as a string.
fn raw(bytes: &[u8]) -> serde_json::Result<Box<RawValue>> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    match serde_json::from_str::<Box<RawValue>>(&text) {
        Ok(raw) => Ok(raw),
        Err(_) => serde_json::value::to_raw_value(&text),
    }
}

fn error_message(payload: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Failure {
        #[serde(rename = "errorMessage")]
        message: Option<String>,
    }
    let mut message = serde_json::from_slice::<Failure>(payload)
        .ok()
        .and_then(|failure| failure.message)
        .unwrap_or_else(|| String::from_utf8_lossy(payload).into_owned());
    message.truncate(message.floor_char_boundary(MAX_ERROR_MESSAGE_BYTES));
    message
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn reply(payload: &'static str, failed: bool) -> Reply {
        Reply {
            payload: Bytes::from(payload),
            failed,
            tail: Vec::new(),
            duration: Duration::ZERO,
        }
    }

    fn finished<'a>(payload: &'a Bytes, reply: Option<&'a Reply>) -> Finished<'a> {
        Finished {
            function: "notify",
            request_id: "id-1",
            payload,
            condition: Condition::RetriesExhausted,
            attempts: 3,
            reply,
        }
    }

    #[test]
    fn a_record_is_complete_and_keeps_the_payload_to_the_letter() {
        let payload = Bytes::from(r#"{"z":1.0,"a":12345678901234567890123}"#);
        let reply = reply(r#"{"errorType":"E","errorMessage":"m"}"#, true);
        let text = destination(
            &finished(&payload, Some(&reply)),
            Timestamp::UNIX_EPOCH,
            usize::MAX,
        )
        .unwrap();
        assert!(
            text.contains(r#""requestPayload":{"z":1.0,"a":12345678901234567890123}"#),
            "{text}"
        );
        let record: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["version"], "1.0");
        assert_eq!(record["timestamp"], "1970-01-01T00:00:00.000Z");
        assert_eq!(
            record["requestContext"],
            json!({
                "requestId": "id-1",
                "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:notify:$LATEST",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            })
        );
        assert_eq!(
            record["responseContext"],
            json!({"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"})
        );
        assert_eq!(record["responsePayload"]["errorMessage"], "m");
    }

    #[test]
    fn a_success_names_no_error_and_an_event_that_never_ran_no_response() {
        let payload = Bytes::from("{}");
        let done = reply("\"ok\"", false);
        let text = destination(
            &finished(&payload, Some(&done)),
            Timestamp::UNIX_EPOCH,
            usize::MAX,
        )
        .unwrap();
        assert!(!text.contains("functionError"), "{text}");
        let text =
            destination(&finished(&payload, None), Timestamp::UNIX_EPOCH, usize::MAX).unwrap();
        assert!(!text.contains("response"), "{text}");
    }

    #[test]
    fn a_record_over_the_limit_loses_both_payloads_and_nothing_else() {
        let payload = Bytes::from(format!("\"{}\"", "x".repeat(1000)));
        let reply = reply("\"y\"", true);
        let finished = finished(&payload, Some(&reply));
        let record = |limit| -> Value {
            let text = destination(&finished, Timestamp::UNIX_EPOCH, limit).unwrap();
            serde_json::from_str(&text).unwrap()
        };
        let mut whole = record(usize::MAX);
        let cut = record(1000);
        let fields = whole.as_object_mut().unwrap();
        assert!(fields.remove("requestPayload").is_some());
        assert_eq!(fields.remove("responsePayload"), Some(json!("y")));
        assert_eq!(cut, whole);
    }

    #[test]
    fn a_dead_letter_is_the_event_itself() {
        let payload = Bytes::from(r#"{"n":1.0}"#);
        let long: &'static str =
            Box::leak(format!(r#"{{"errorMessage":"{}"}}"#, "é".repeat(1000)).into_boxed_str());
        let reply = reply(long, true);
        let letter = dead_letter(&finished(&payload, Some(&reply)));
        assert_eq!(letter.body, r#"{"n":1.0}"#);
        let of = |name: &str| {
            let attribute = &letter.attributes[name];
            (
                attribute.data_type.clone(),
                attribute.string_value.clone().unwrap(),
            )
        };
        assert_eq!(of("RequestID"), ("String".to_owned(), "id-1".to_owned()));
        assert_eq!(of("ErrorCode"), ("Number".to_owned(), "200".to_owned()));
        assert_eq!(of("ErrorMessage").1.len(), 1024);
        assert_eq!(
            dead_letter(&finished(&payload, None)).attributes["ErrorCode"]
                .string_value
                .as_deref(),
            Some("429")
        );
    }
}
