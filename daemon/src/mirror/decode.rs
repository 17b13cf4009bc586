//! What a message in a dead-letter queue says about the event that failed. Pure; nothing a message holds can make it fail.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use patterns_core::failed::OriginKind;
use patterns_core::json::loss;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::signature::signature;
use crate::letter::{AttributeValue, Letter};
use crate::origin::Evidence;

/// A message, understood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decoded {
    /// What it says about where it failed.
    pub evidence: Evidence,
    /// The error's type.
    pub error_type: Option<String>,
    /// The error's message.
    pub error_message: Option<String>,
    /// What it has in common with others that failed alike.
    pub signature: String,
    /// The correlation id of the event.
    pub correlation_id: Option<String>,
    /// Request id of the invocation that failed.
    pub request_id: Option<String>,
    /// When the event was first sent or invoked.
    pub sent_at: Timestamp,
    /// When the message entered a queue first: its retention counts from here, also after a redrive policy moved it
    /// between standard queues. (SQS Developer Guide, "Setting-up dead-letter queue retention".)
    pub enqueued_at: Timestamp,
    /// How often it was tried, when the message says so.
    pub attempts: Option<u32>,
}

/// The record that an on-failure destination gets. (Lambda Developer Guide, "Retain records of asynchronous invocations".)
/// `condition` is an open set; that it is there distinguishes the record from an event that looks similar.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    timestamp: Option<String>,
    #[serde(borrow)]
    request_context: RequestContext<'a>,
    #[serde(borrow)]
    request_payload: Option<&'a RawValue>,
    #[serde(borrow)]
    response_payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    request_id: Option<String>,
    function_arn: String,
    condition: String,
    #[serde(borrow)]
    approximate_invoke_count: Option<&'a RawValue>,
}

fn record(body: &str) -> Option<Record<'_>> {
    // Most bodies are something else; this spares them the parser.
    body.contains("\"requestContext\"")
        .then(|| serde_json::from_str(body).ok())?
}

/// Understands a message.
pub fn decode(letter: &Letter) -> Decoded {
    let enqueued_at = letter
        .system
        .get("SentTimestamp")
        .and_then(|millis| millis.parse().ok())
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH);
    if let Some(record) = record(&letter.body) {
        return decode_record(letter, &record, enqueued_at);
    }
    let correlation_id = correlation_id(letter, &letter.body);
    if let Some(request_id) = dead_letter_config(letter) {
        return Decoded {
            evidence: Evidence::DeadLetterConfig,
            // ErrorCode is an HTTP status and no type.
            error_type: None,
            error_message: letter.text("ErrorMessage").map(str::to_owned),
            signature: signature(None, letter.text("ErrorMessage"), &Value::Null),
            correlation_id,
            request_id: Some(request_id.to_owned()),
            sent_at: enqueued_at,
            enqueued_at,
            attempts: None,
        };
    }
    Decoded {
        evidence: letter
            .system
            .get("DeadLetterQueueSourceArn")
            .map_or(Evidence::Nothing, |arn| Evidence::SourceQueue {
                arn: arn.clone(),
            }),
        error_type: None,
        error_message: None,
        signature: signature(None, None, &Value::Null),
        correlation_id,
        request_id: None,
        sent_at: enqueued_at,
        enqueued_at,
        attempts: None,
    }
}

fn decode_record(letter: &Letter, record: &Record<'_>, enqueued_at: Timestamp) -> Decoded {
    let context = &record.request_context;
    let response: Value = record
        .response_payload
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    let text = |key: &str| response.get(key).and_then(Value::as_str).map(str::to_owned);
    let error_type = text("errorType").or_else(|| Some(context.condition.clone()));
    let error_message = text("errorMessage");
    Decoded {
        evidence: Evidence::Record {
            function: crate::aws::functions::function_name(&context.function_arn).to_owned(),
        },
        signature: signature(error_type.as_deref(), error_message.as_deref(), &response),
        error_type,
        error_message,
        correlation_id: correlation_id(letter, record.request_payload.map_or("", RawValue::get)),
        request_id: context.request_id.clone(),
        sent_at: record
            .timestamp
            .as_ref()
            .and_then(|at| at.parse().ok())
            .unwrap_or(enqueued_at),
        enqueued_at,
        attempts: context
            .approximate_invoke_count
            .and_then(|count| count.get().trim_matches('"').parse().ok()),
    }
}

/// Lambda's `DeadLetterConfig` adds `RequestID` and at least one word on the error.
/// (Lambda Developer Guide, "Dead-letter queues".)
fn dead_letter_config(letter: &Letter) -> Option<&str> {
    letter
        .text("ErrorCode")
        .or_else(|| letter.text("ErrorMessage"))?;
    letter.text("RequestID")
}

fn correlation_id(letter: &Letter, payload: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Correlated {
        correlation_id: Option<String>,
    }
    letter.text("correlationId").map(str::to_owned).or_else(|| {
        // Many payloads have none; this spares them the parser.
        payload
            .contains("\"correlationId\"")
            .then(|| serde_json::from_str::<Correlated>(payload).ok())??
            .correlation_id
    })
}

/// Whether a message is the record that an on-failure destination gets, with the original event inside.
pub fn is_record(letter: &Letter) -> bool {
    record(&letter.body).is_some()
}

/// Where in the JSON of a message's body the original event is, as SQLite writes paths.
pub fn root(letter: &Letter) -> &'static str {
    if is_record(letter) {
        "$.requestPayload"
    } else {
        "$"
    }
}

/// The original event as text, byte for byte, for a target of that kind; or why there is none.
pub fn original(letter: &Letter, target: OriginKind) -> Result<&str, &'static str> {
    match (target, record(&letter.body)) {
        (OriginKind::Function, Some(record)) => record
            .request_payload
            .map(RawValue::get)
            .ok_or("the record holds no requestPayload: Lambda leaves it out when it is too large"),
        (OriginKind::Function | OriginKind::Queue, _) => Ok(&letter.body),
    }
}

/// The version or alias whose invocation failed, when the message names one: the newest code may not be released yet.
pub fn qualifier(letter: &Letter) -> Option<String> {
    let arn = record(&letter.body)?.request_context.function_arn;
    crate::aws::functions::qualifier(&arn).map(str::to_owned)
}

/// Whoever reads the answer that a payload is in gives up at 128 levels, the answer's own included.
const DEEPEST: usize = 100;

/// The original event for people: JSON where it is JSON and not nested beyond reason, otherwise a string.
pub fn payload(letter: &Letter) -> Value {
    let text = original(letter, OriginKind::Function).unwrap_or(&letter.body);
    serde_json::from_str(text)
        .ok()
        .filter(|value| depth(value) <= DEEPEST)
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// The original event as it is, where [`payload`] does not carry all of it.
pub fn text(letter: &Letter) -> Option<String> {
    let text = original(letter, OriginKind::Function).unwrap_or(&letter.body);
    let carried = match payload(letter) {
        Value::String(carried) => carried == text,
        _ => loss(text).is_none(),
    };
    (!carried).then(|| text.to_owned())
}

/// The parser limits how deep this goes.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Message and system attributes by name; binary values as base64.
pub fn attributes(letter: &Letter) -> BTreeMap<String, String> {
    let message = letter.attributes.iter().map(|(name, attribute)| {
        let value = match &attribute.value {
            AttributeValue::Text(text) => text.clone(),
            AttributeValue::Binary(bytes) => BASE64_STANDARD.encode(bytes),
        };
        (name.clone(), value)
    });
    letter.system.clone().into_iter().chain(message).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::letter::Attribute;
    use crate::letter::tests::{letter, text};

    fn on_failure(payload: &str) -> String {
        format!(
            r#"{{"version":"1.0","timestamp":"2026-01-02T03:04:05.678Z","requestContext":{{"requestId":"r-1",
            "functionArn":"arn:aws:lambda:eu-west-1:123456789012:function:notify:$LATEST","condition":"RetriesExhausted",
            "approximateInvokeCount":3}},"requestPayload":{payload},"responseContext":{{"statusCode":200,
            "executedVersion":"$LATEST","functionError":"Unhandled"}},
            "responsePayload":{{"errorType":"DeliveryFailed","errorMessage":"no such address"}}}}"#
        )
    }

    #[test]
    fn an_on_failure_record_tells_everything() {
        let letter = letter("m", &on_failure(r#"{"correlationId":"c-1","n":1}"#));
        let decoded = decode(&letter);
        assert_eq!(
            decoded.evidence,
            Evidence::Record {
                function: "notify".to_owned()
            }
        );
        assert_eq!(decoded.error_type.as_deref(), Some("DeliveryFailed"));
        assert_eq!(decoded.error_message.as_deref(), Some("no such address"));
        assert_eq!(decoded.correlation_id.as_deref(), Some("c-1"));
        assert_eq!(decoded.request_id.as_deref(), Some("r-1"));
        assert_eq!(decoded.attempts, Some(3));
        assert_eq!(decoded.sent_at.to_string(), "2026-01-02T03:04:05.678Z");
        assert_eq!(payload(&letter), json!({"correlationId": "c-1", "n": 1}));
    }

    #[test]
    fn an_event_of_an_alias_goes_back_to_the_alias() {
        let newest = on_failure("{}");
        assert_eq!(qualifier(&letter("m", &newest)), None);
        let alias = newest.replacen("notify:$LATEST", "notify:live", 1);
        assert_eq!(qualifier(&letter("m", &alias)).as_deref(), Some("live"));
        assert_eq!(qualifier(&letter("m", "{}")), None);
    }

    #[test]
    fn a_payload_goes_back_byte_for_byte() {
        // Order, spaces, escapes and numbers beyond a double stay as they are.
        let payload = r#"{"b" :1, "a": 12345678901234567890123, "t":"\u00e4\/"}"#;
        let letter = letter("m", &on_failure(payload));
        assert_eq!(original(&letter, OriginKind::Function), Ok(payload));
        assert_eq!(
            original(&letter, OriginKind::Queue),
            Ok(letter.body.as_str())
        );
    }

    #[test]
    fn a_record_without_a_payload_cannot_go_back() {
        let body = r#"{"requestContext":{"functionArn":"f","condition":"EventAgeExceeded"}}"#;
        let letter = letter("m", body);
        assert!(original(&letter, OriginKind::Function).is_err());
        assert_eq!(
            decode(&letter).error_type.as_deref(),
            Some("EventAgeExceeded")
        );
    }

    #[test]
    fn a_dead_letter_config_message_names_no_function() {
        let mut letter = letter("m", r#"{"correlationId":"c-2"}"#);
        letter
            .attributes
            .insert("RequestID".to_owned(), text("r-2"));
        letter
            .attributes
            .insert("ErrorCode".to_owned(), text("200"));
        letter
            .attributes
            .insert("ErrorMessage".to_owned(), text("boom"));
        let decoded = decode(&letter);
        assert_eq!(decoded.evidence, Evidence::DeadLetterConfig);
        assert_eq!(decoded.error_message.as_deref(), Some("boom"));
        assert_eq!(decoded.request_id.as_deref(), Some("r-2"));
        assert_eq!(decoded.correlation_id.as_deref(), Some("c-2"));
        assert_eq!(
            original(&letter, OriginKind::Function),
            Ok(letter.body.as_str())
        );
    }

    #[test]
    fn a_moved_message_names_its_source() {
        let mut letter = letter("m", "not json");
        assert_eq!(decode(&letter).evidence, Evidence::Nothing);
        letter
            .system
            .insert("DeadLetterQueueSourceArn".to_owned(), "arn:q".to_owned());
        letter
            .system
            .insert("SentTimestamp".to_owned(), "1700000000000".to_owned());
        letter
            .attributes
            .insert("correlationId".to_owned(), text("c-3"));
        let decoded = decode(&letter);
        assert_eq!(
            decoded.evidence,
            Evidence::SourceQueue {
                arn: "arn:q".to_owned()
            }
        );
        assert_eq!(decoded.enqueued_at.as_millisecond(), 1_700_000_000_000);
        assert_eq!(decoded.correlation_id.as_deref(), Some("c-3"));
        assert_eq!(payload(&letter), json!("not json"));
    }

    #[test]
    fn a_payload_can_be_read_inside_an_answer() {
        for levels in [100, 101, 126, 127, 128] {
            let deep = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            let payload = payload(&letter("m", &deep));
            assert_eq!(payload.is_string(), levels > DEEPEST, "{levels}");
            let answer = json!({"kind": "event", "value": {"payload": payload}}).to_string();
            assert!(serde_json::from_str::<Value>(&answer).is_ok(), "{levels}");
        }
    }

    #[test]
    fn deep_nesting_is_a_string() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(payload(&letter("m", &deep)), Value::String(deep.clone()));
        let record = letter("m", &on_failure(&deep));
        assert_eq!(original(&record, OriginKind::Function), Ok(deep.as_str()));
        assert_eq!(payload(&record), Value::String(deep));
    }

    #[test]
    fn a_payload_that_is_not_carried_whole_is_there_as_text() {
        for body in [
            r#"{"n": 12345678901234567890123}"#,
            r#"{"a":1, "a":2}"#,
            r#""a string""#,
        ] {
            assert_eq!(super::text(&letter("m", body)).as_deref(), Some(body));
            let record = letter("m", &on_failure(body));
            assert_eq!(super::text(&record).as_deref(), Some(body));
        }
        for body in [r#"{"n" :1.50}"#, "not json", "", "[1e400]"] {
            assert_eq!(super::text(&letter("m", body)), None, "{body}");
        }
    }

    #[test]
    fn binary_attributes_are_shown_as_base64() {
        let mut letter = letter("m", "");
        letter.attributes.insert(
            "blob".to_owned(),
            Attribute {
                data_type: "Binary".to_owned(),
                value: AttributeValue::Binary(vec![0, 1, 255]),
            },
        );
        assert_eq!(attributes(&letter)["blob"], "AAH/");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(body in any::<String>(), attribute in any::<String>()) {
            let mut letter = letter("m", &body);
            letter.attributes.insert("RequestID".to_owned(), text(&attribute));
            letter.system.insert("SentTimestamp".to_owned(), attribute);
            decode(&letter);
            payload(&letter);
        }
    }
}
