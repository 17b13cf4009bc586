//! What may be in a message.

use super::{MessageAttribute, Outgoing, refusal::invalid_value};
use crate::error::AwsError;

/// Most user-defined attributes of one message ("Amazon SQS message quotas").
const MAX_ATTRIBUTES: usize = 10;

/// Longest delay in seconds.
pub(super) const MAX_DELAY: u32 = 900;

pub(super) fn invalid_delay(delay: i64) -> AwsError {
    invalid_value(format!(
        "Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= {MAX_DELAY}."
    ))
}

/// A message group id, deduplication id or receive request attempt id: 1 to 128 letters, digits and punctuation ("`SendMessage`").
pub(super) fn check_token(parameter: &str, token: &str) -> Result<(), AwsError> {
    if (1..=128).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(invalid_value(format!(
        "Value {token} for parameter {parameter} is invalid. Reason: {parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length."
    )))
}

/// The characters of XML 1.0, which is what SQS allows in bodies.
pub(super) fn allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// What holds for every message, whoever sends it.
pub(super) fn check(message: &Outgoing) -> Result<(), AwsError> {
    if let Some(delay) = message.delay_seconds.filter(|delay| *delay > MAX_DELAY) {
        return Err(invalid_delay(delay.into()));
    }
    let count = message.attributes.len();
    if count > MAX_ATTRIBUTES {
        return Err(invalid_value(format!(
            "Number of message attributes [{count}] exceeds the allowed maximum [{MAX_ATTRIBUTES}]."
        )));
    }
    for (name, value) in &message.attributes {
        check_attribute(name, value)?;
    }
    Ok(())
}

/// The rules of "Amazon SQS message metadata: Message attribute components" and "Message attribute data types".
fn check_attribute(name: &str, value: &MessageAttribute) -> Result<(), AwsError> {
    let lower = name.to_ascii_lowercase();
    let well_formed = !name.is_empty()
        && name.len() <= 256
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.");
    if !well_formed {
        return Err(invalid_value(format!(
            "Message (user) attribute name '{name}' is invalid."
        )));
    }
    let present = match value.data_type.split('.').next() {
        Some("String") => value
            .string_value
            .as_ref()
            .is_some_and(|text| !text.is_empty()),
        Some("Number") => {
            let text = value.string_value.as_deref().unwrap_or_default();
            if text.parse::<f64>().is_err() && !text.is_empty() {
                return Err(invalid_value(format!(
                    "Can't cast the value of message (user) attribute '{name}' to a number."
                )));
            }
            !text.is_empty()
        }
        Some("Binary") => value
            .binary_value
            .as_ref()
            .is_some_and(|bytes| !bytes.is_empty()),
        _ => {
            return Err(invalid_value(format!(
                "The type of message (user) attribute '{name}' is invalid. You must use only the following supported type prefixes: Binary, Number, String."
            )));
        }
    };
    if !present {
        return Err(invalid_value(format!(
            "The message (user) attribute '{name}' must contain a non-empty value for its type '{}'.",
            value.data_type
        )));
    }
    Ok(())
}
