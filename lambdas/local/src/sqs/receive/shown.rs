//! What of a received message the caller asked to see.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;

use crate::sqs::{MessageAttribute, Received, digest};

/// A received message as the protocol has it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shown {
    message_id: String,
    receipt_handle: String,
    #[serde(rename = "MD5OfBody")]
    md5_of_body: String,
    body: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'static str, String>,
    #[serde(
        rename = "MD5OfMessageAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    md5_of_attributes: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    message_attributes: BTreeMap<String, AttributeShown>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeShown {
    data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
}

/// The message with the attributes that were asked for and the sum of those.
pub fn shown(message: Received, system: &[String], named: &[String]) -> Shown {
    let all = system.iter().any(|wanted| wanted == "All");
    let mut attributes = message.attributes;
    attributes.retain(|name, _| all || system.iter().any(|wanted| wanted == name));
    let mut message_attributes = message.message_attributes;
    message_attributes.retain(|name, _| named.iter().any(|filter| matches(filter, name)));
    Shown {
        message_id: message.message_id,
        receipt_handle: message.receipt_handle,
        md5_of_body: message.md5_of_body,
        body: message.body,
        attributes,
        md5_of_attributes: digest::of_attributes(&message_attributes),
        message_attributes: message_attributes
            .into_iter()
            .map(|(name, value)| (name, attribute_shown(value)))
            .collect(),
    }
}

fn attribute_shown(value: MessageAttribute) -> AttributeShown {
    AttributeShown {
        data_type: value.data_type,
        string_value: value.string_value,
        binary_value: value.binary_value.map(|bytes| STANDARD.encode(bytes)),
    }
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
