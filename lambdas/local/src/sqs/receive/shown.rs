//! What of a received message the caller asked to see.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::sqs::{MessageAttribute, Received, digest};

/// A received message with the attributes that were asked for and the sum of those, as the protocol has it.
pub fn shown(message: Received, system: &[String], named: &[String]) -> Value {
    let mut fields = Map::new();
    fields.insert("MessageId".to_owned(), message.message_id.into());
    fields.insert("ReceiptHandle".to_owned(), message.receipt_handle.into());
    fields.insert("MD5OfBody".to_owned(), message.md5_of_body.into());
    fields.insert("Body".to_owned(), message.body.into());
    let all = system.iter().any(|wanted| wanted == "All");
    let mut attributes = message.attributes;
    attributes.retain(|name, _| all || system.contains(name));
    if !attributes.is_empty() {
        fields.insert("Attributes".to_owned(), json!(attributes));
    }
    let mut message_attributes = message.message_attributes;
    message_attributes.retain(|name, _| named.iter().any(|filter| matches(filter, name)));
    if let Some(sum) = digest::of_attributes(&message_attributes) {
        let values: Map<_, _> = message_attributes
            .into_iter()
            .map(|(name, value)| (name, attribute_shown(value)))
            .collect();
        fields.insert("MD5OfMessageAttributes".to_owned(), sum.into());
        fields.insert("MessageAttributes".to_owned(), values.into());
    }
    fields.into()
}

fn attribute_shown(value: MessageAttribute) -> Value {
    let mut fields = Map::new();
    fields.insert("DataType".to_owned(), value.data_type.into());
    if let Some(text) = value.string_value {
        fields.insert("StringValue".to_owned(), text.into());
    }
    if let Some(bytes) = value.binary_value {
        fields.insert("BinaryValue".to_owned(), STANDARD.encode(bytes).into());
    }
    fields.into()
}

/// `All`, `.*`, a prefix followed by `.*`, or the name itself ("`ReceiveMessage`: `MessageAttributeNames`").
fn matches(filter: &str, name: &str) -> bool {
    filter == "All"
        || filter == name
        || filter
            .strip_suffix(".*")
            .is_some_and(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_name_all_a_prefix_or_one() {
        for (filter, name, expected) in [
            ("All", "x", true),
            (".*", "x", true),
            ("trace.*", "trace.id", true),
            ("trace.*", "other", false),
            ("id", "id", true),
            ("id", "id2", false),
        ] {
            assert_eq!(matches(filter, name), expected, "{filter} {name}");
        }
    }
}
