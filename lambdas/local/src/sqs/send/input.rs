//! A message as a client sends it, read from the protocol.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::{
    error::AwsError,
    sqs::{
        MessageAttribute, Outgoing,
        refusal::{self, invalid_value},
        rules::{MAX_DELAY, allowed, invalid_delay},
    },
};

/// A message with what orders it in a FIFO queue.
pub struct Sending {
    pub message: Outgoing,
    pub group_id: Option<String>,
    pub deduplication_id: Option<String>,
}

/// The request of `SendMessage`, and an entry of `SendMessageBatch`. One struct with the fields of both, because one inside another
/// (`serde(flatten)`) is read twice.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Input {
    /// Of `SendMessage`.
    pub queue_url: Option<String>,
    /// Of an entry.
    #[serde(default)]
    pub id: String,
    message_body: Option<String>,
    delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: BTreeMap<String, AttributeInput>,
    #[serde(default)]
    message_system_attributes: BTreeMap<String, AttributeInput>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeInput {
    data_type: Option<String>,
    string_value: Option<String>,
    binary_value: Option<String>,
}

/// Reads a client's message. Only the protocol is checked here; [`check`](crate::sqs::rules::check) holds for senders inside the emulator too.
pub fn sending(input: Input) -> Result<Sending, AwsError> {
    let body = input.message_body.filter(|body| !body.is_empty());
    let body = body.ok_or_else(|| refusal::missing("MessageBody"))?;
    if let Some(character) = body.chars().find(|&character| !allowed(character)) {
        return Err(AwsError::new(
            400,
            "InvalidMessageContents",
            format!(
                "Invalid binary character '#x{:X}' was found in the message body, the set of allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
                u32::from(character)
            ),
        ));
    }
    let delay_seconds = input
        .delay_seconds
        .map(|delay| {
            u32::try_from(delay)
                .ok()
                .filter(|delay| *delay <= MAX_DELAY)
                .ok_or_else(|| invalid_delay(delay))
        })
        .transpose()?;
    let mut attributes = BTreeMap::new();
    for (name, value) in input.message_attributes {
        let value = attribute(&name, value)?;
        attributes.insert(name, value);
    }
    let mut trace_header = None;
    for (name, value) in input.message_system_attributes {
        if name != "AWSTraceHeader" {
            return Err(invalid_value(format!(
                "Message system attribute name '{name}' is invalid, the only one that can be sent is AWSTraceHeader."
            )));
        }
        trace_header = attribute(&name, value)?.string_value;
    }
    Ok(Sending {
        message: Outgoing {
            body,
            attributes,
            trace_header,
            delay_seconds,
        },
        group_id: input.message_group_id,
        deduplication_id: input.message_deduplication_id,
    })
}

fn attribute(name: &str, input: AttributeInput) -> Result<MessageAttribute, AwsError> {
    let data_type = input.data_type.unwrap_or_default();
    let binary = data_type.split('.').next() == Some("Binary");
    let binary_value = match &input.binary_value {
        Some(text) if binary => Some(STANDARD.decode(text).map_err(|_| {
            AwsError::new(
                400,
                "SerializationException",
                format!("The BinaryValue of the message attribute '{name}' is not Base64."),
            )
        })?),
        _ => None,
    };
    let string_value = input.string_value.filter(|_| !binary);
    Ok(MessageAttribute {
        data_type,
        string_value,
        binary_value,
    })
}
