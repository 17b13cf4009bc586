//! Failed events, each unique, as they lie in a dead-letter queue.

use std::collections::HashMap;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;
use md5::{Digest, Md5};
use patterns_core::operation::Edit;
use serde_json::{Value, json};

use super::account::Route;

#[derive(Debug)]
pub struct Event {
    pub body: String,
    pub attributes: HashMap<String, MessageAttributeValue>,
    pub trace: Option<String>,
    /// Its message group, in a FIFO queue.
    pub group: Option<String>,
    /// What must arrive.
    pub payload: String,
}

impl Event {
    /// MD5 of its body, as the witness tells it.
    pub fn sum(&self) -> String {
        sum(&self.body)
    }
}

/// MD5, as the witness tells bodies and payloads.
pub fn sum(text: &str) -> String {
    format!("{:x}", Md5::digest(text.as_bytes()))
}

/// Message groups in a FIFO queue.
const GROUPS: usize = 100;

/// One to four bytes each.
const LETTERS: [char; 8] = ['a', 'b', 'c', ' ', 'ä', 'ß', '☃', '\u{1F600}'];

/// `count` events that no other seed makes.
pub fn make(route: Route, seed: u64, count: usize) -> Vec<Event> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count)
        .map(|number| match route {
            Route::Queue => message(seed, number, &mut random),
            Route::Fifo => Event {
                group: Some(format!("group-{}", random.usize(..GROUPS))),
                ..message(seed, number, &mut random)
            },
            Route::Function if number % 2 == 0 => dead_letter(seed, number, &mut random),
            Route::Function => record(seed, number, &mut random),
        })
        .collect()
}

/// Marks each event.
pub fn marking() -> Edit {
    Edit::Patch(json!([{"op": "add", "path": "/edited", "value": true}]))
}

/// From now on what [`marking`] makes of the events must arrive.
pub fn edit(events: &mut [Event]) {
    for event in events {
        let mut payload: Value = serde_json::from_str(&event.payload).unwrap();
        payload["edited"] = true.into();
        event.payload = payload.to_string();
    }
}

/// JSON as no serializer writes it: whoever parses and prints it again alters it.
fn payload(seed: u64, number: usize, random: &mut fastrand::Rng) -> String {
    let length = random.usize(0..200);
    let text: String = (0..length)
        .map(|_| random.choice(LETTERS).unwrap())
        .collect();
    format!(r#"{{"seed" :{seed}, "n":{number},"e":1.0e2 ,"t":"{text}\u00e4\/"}}"#)
}

fn message(seed: u64, number: usize, random: &mut fastrand::Rng) -> Event {
    let body = payload(seed, number, random);
    let mut attributes = HashMap::new();
    if random.bool() {
        attributes.insert("name".to_owned(), text("String", &format!("n {number} ä")));
    }
    if random.bool() {
        // Trailing zeros count.
        attributes.insert(
            "price".to_owned(),
            text("Number.eur", &format!("{number}.50")),
        );
    }
    if random.bool() {
        let bytes: Vec<u8> = (0..random.usize(1..40)).map(|_| random.u8(..)).collect();
        let value = MessageAttributeValue::builder().data_type("Binary.raw");
        let value = value.binary_value(Blob::new(bytes)).build().unwrap();
        attributes.insert("blob".to_owned(), value);
    }
    let trace = number.is_multiple_of(3).then(|| {
        format!(
            "Root=1-5759e988-{number:024x};Parent={:016x};Sampled=0",
            random.u64(..)
        )
    });
    Event {
        payload: body.clone(),
        body,
        attributes,
        trace,
        group: None,
    }
}

/// As Lambda's `DeadLetterConfig` makes it.
fn dead_letter(seed: u64, number: usize, random: &mut fastrand::Rng) -> Event {
    let body = payload(seed, number, random);
    Event {
        payload: body.clone(),
        body,
        attributes: HashMap::from([
            (
                "RequestID".to_owned(),
                text("String", &format!("{seed}-{number}")),
            ),
            ("ErrorCode".to_owned(), text("Number", "200")),
            ("ErrorMessage".to_owned(), text("String", "no such address")),
        ]),
        trace: None,
        group: None,
    }
}

/// As an on-failure destination gets it.
fn record(seed: u64, number: usize, random: &mut fastrand::Rng) -> Event {
    let payload = payload(seed, number, random);
    let context = json!({
        "requestId": format!("{seed}-{number}"), "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:notify:$LATEST",
        "condition": "RetriesExhausted", "approximateInvokeCount": 3,
    });
    Event {
        body: format!(
            r#"{{"version":"1.0","timestamp":"2026-01-02T03:04:05.678Z","requestContext":{context},"requestPayload":{payload},"responseContext":{{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"}},"responsePayload":{{"errorType":"Broken"}}}}"#
        ),
        attributes: HashMap::new(),
        trace: None,
        group: None,
        payload,
    }
}

fn text(data_type: &str, value: &str) -> MessageAttributeValue {
    let attribute = MessageAttributeValue::builder().data_type(data_type);
    attribute.string_value(value).build().unwrap()
}
