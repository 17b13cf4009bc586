//! One message as it was received from a dead-letter queue, with everything a redrive must carry on unaltered.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use patterns_core::failed::Attribute as Written;
use serde::{Deserialize, Serialize};

/// A received message.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// Stable inside one queue, and kept when a redrive policy moves the message.
    pub message_id: String,
    /// Of this receive; only the newest one deletes reliably.
    pub receipt_handle: String,
    /// The text.
    pub body: String,
    /// Message attributes by name.
    pub attributes: BTreeMap<String, Attribute>,
    /// System attributes by name, such as `SentTimestamp`.
    pub system: BTreeMap<String, String>,
}

/// A message attribute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Attribute {
    /// `String`, `Number` or `Binary`, perhaps with a custom part: `Number.int`.
    pub data_type: String,
    /// The value.
    pub value: AttributeValue,
}

impl From<Attribute> for Written {
    fn from(Attribute { data_type, value }: Attribute) -> Self {
        let value = match value {
            AttributeValue::Text(text) => text,
            AttributeValue::Binary(bytes) => BASE64_STANDARD.encode(bytes),
        };
        Self { data_type, value }
    }
}

impl TryFrom<Written> for Attribute {
    type Error = String;

    fn try_from(Written { data_type, value }: Written) -> Result<Self, String> {
        // `Binary` may have a custom part, too. (SQS Developer Guide, "Amazon SQS message metadata".)
        let value = match data_type.split('.').next() {
            Some("Binary") => BASE64_STANDARD
                .decode(&value)
                .map(AttributeValue::Binary)
                .map_err(|error| format!("a {data_type} value is no base64: {error}"))?,
            Some("String" | "Number") => AttributeValue::Text(value),
            _ => {
                return Err(format!(
                    "{data_type:?} is no type of SQS: String, Number or Binary"
                ));
            }
        };
        Ok(Self { data_type, value })
    }
}

/// The value of a message attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// Of a `String` or `Number`.
    Text(String),
    /// Of a `Binary`.
    Binary(Vec<u8>),
}

impl AttributeValue {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl Letter {
    /// The text of a String or Number attribute.
    pub fn text(&self, attribute: &str) -> Option<&str> {
        match &self.attributes.get(attribute)?.value {
            AttributeValue::Text(text) => Some(text),
            AttributeValue::Binary(_) => None,
        }
    }

    /// Bytes that count towards the 1 MiB of a batch: body, and names, types and values of attributes.
    /// (SQS API Reference, `SendMessageBatch`; the trace header does not count.)
    pub fn size(&self) -> usize {
        self.attributes
            .iter()
            .fold(self.body.len(), |sum, (name, attribute)| {
                sum + name.len() + attribute.data_type.len() + attribute.value.bytes().len()
            })
    }

    /// What SQS must answer as `MD5OfMessageBody`.
    pub fn body_md5(&self) -> String {
        hex(&Md5::digest(self.body.as_bytes()))
    }

    /// What SQS must answer as `MD5OfMessageAttributes`; `None` without attributes.
    /// (SQS Developer Guide, "Calculating the MD5 message digest for message attributes".)
    pub fn attributes_md5(&self) -> Option<String> {
        if self.attributes.is_empty() {
            return None;
        }
        let mut digest = Md5::new();
        let part = |digest: &mut Md5, bytes: &[u8]| {
            // An attribute is far below 4 GiB: a whole message has at most 1 MiB.
            digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            digest.update(bytes);
        };
        for (name, attribute) in &self.attributes {
            part(&mut digest, name.as_bytes());
            part(&mut digest, attribute.data_type.as_bytes());
            digest.update(match attribute.value {
                AttributeValue::Text(_) => [1],
                AttributeValue::Binary(_) => [2],
            });
            part(&mut digest, attribute.value.bytes());
        }
        Some(hex(&digest.finalize()))
    }
}

/// The id under which people and commands know a message: 12 hexadecimal digits, the same for the same message in the
/// same queue. Two of 100 000 messages share one with a chance of about 1 in 56 000.
pub fn event_id(queue_arn: &str, message_id: &str) -> String {
    let digest = Md5::new()
        .chain_update(queue_arn)
        .chain_update("/")
        .chain_update(message_id)
        .finalize();
    hex(digest.get(..6).unwrap_or_default())
}

/// Two hexadecimal digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let text = String::with_capacity(2 * bytes.len());
    bytes.iter().fold(text, |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A message with that id and body and nothing else.
    pub fn letter(message_id: &str, body: &str) -> Letter {
        Letter {
            message_id: message_id.to_owned(),
            receipt_handle: format!("handle-{message_id}"),
            body: body.to_owned(),
            attributes: BTreeMap::new(),
            system: BTreeMap::new(),
        }
    }

    /// A String attribute.
    pub fn text(value: &str) -> Attribute {
        Attribute {
            data_type: "String".to_owned(),
            value: AttributeValue::Text(value.to_owned()),
        }
    }

    #[test]
    fn digests_are_those_of_sqs() {
        let mut letter = letter("m", "hello");
        assert_eq!(letter.body_md5(), "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(letter.attributes_md5(), None);
        letter.attributes.insert("name".to_owned(), text("value"));
        letter.attributes.insert(
            "blob".to_owned(),
            Attribute {
                data_type: "Binary".to_owned(),
                value: AttributeValue::Binary(vec![0, 1, 255]),
            },
        );
        // Computed with Python's hashlib from the algorithm in the guide.
        assert_eq!(
            letter.attributes_md5().as_deref(),
            Some("dae525da95c9b15027eec460da2ea974")
        );
        assert_eq!(letter.size(), 5 + (4 + 6 + 5) + (4 + 6 + 3));
    }

    #[test]
    fn an_id_has_twelve_digits_and_depends_on_queue_and_message() {
        let id = event_id("arn:a", "m1");
        assert_eq!(id.len(), 12);
        assert_eq!(id, event_id("arn:a", "m1"));
        assert_ne!(id, event_id("arn:a", "m2"));
        assert_ne!(id, event_id("arn:b", "m1"));
    }
}
