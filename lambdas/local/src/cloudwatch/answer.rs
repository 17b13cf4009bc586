//! Answers, and how each protocol writes them.

use ciborium::Value as Cbor;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{error::AwsError, xml::escaped};

/// CBOR's tag for epoch time (RFC 8949, 3.4.2).
const EPOCH: u64 = 1;

/// A part of an answer.
#[derive(Debug, PartialEq)]
pub(super) enum Field {
    Text(String),
    Number(f64),
    /// Epoch seconds.
    Moment(i64),
    List(Vec<Field>),
    Record(Vec<(&'static str, Field)>),
    /// Figures by names that are not fixed.
    Figures(Vec<(String, f64)>),
}

/// Times are tagged epoch seconds ("Smithy RPC v2 CBOR protocol").
pub(super) fn cbor(answer: Field) -> Result<Vec<u8>, AwsError> {
    encode(&as_cbor(answer))
}

fn as_cbor(field: Field) -> Cbor {
    match field {
        Field::Text(text) => Cbor::Text(text),
        Field::Number(number) => Cbor::Float(number),
        Field::Moment(at) => Cbor::Tag(EPOCH, Box::new(Cbor::Integer(at.into()))),
        Field::List(items) => Cbor::Array(items.into_iter().map(as_cbor).collect()),
        Field::Record(fields) => map(fields
            .into_iter()
            .map(|(name, field)| (name, as_cbor(field)))),
        Field::Figures(figures) => map(figures
            .into_iter()
            .map(|(name, value)| (name, Cbor::Float(value)))),
    }
}

fn map<Name: Into<String>>(fields: impl IntoIterator<Item = (Name, Cbor)>) -> Cbor {
    let fields = fields.into_iter();
    Cbor::Map(
        fields
            .map(|(name, value)| (Cbor::Text(name.into()), value))
            .collect(),
    )
}

fn encode(value: &Cbor) -> Result<Vec<u8>, AwsError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes)
        .map_err(|error| AwsError::new(500, "InternalServiceFault", error.to_string()))?;
    Ok(bytes)
}

/// An error's body in CBOR.
pub(crate) fn error_body(error: &AwsError) -> Vec<u8> {
    let kind = format!("com.amazonaws.cloudwatch#{}", error.code);
    let message = error.message.clone();
    encode(&map([
        ("__type", Cbor::Text(kind)),
        ("message", Cbor::Text(message)),
    ]))
    .unwrap_or_default()
}

/// Times are epoch seconds ("AWS JSON 1.0 protocol").
pub(super) fn json(answer: Field) -> Value {
    match answer {
        Field::Text(text) => text.into(),
        Field::Number(number) => number.into(),
        Field::Moment(at) => at.into(),
        Field::List(items) => items.into_iter().map(json).collect(),
        Field::Record(fields) => {
            let fields = fields.into_iter();
            Value::Object(
                fields
                    .map(|(name, field)| (name.to_owned(), json(field)))
                    .collect(),
            )
        }
        Field::Figures(figures) => Value::Object(
            figures
                .into_iter()
                .map(|(name, value)| (name, value.into()))
                .collect::<Map<_, _>>(),
        ),
    }
}

/// Times are ISO 8601, lists have members, and maps have entries ("AWS Query protocol").
pub(super) fn xml(field: &Field) -> String {
    match field {
        Field::Text(text) => escaped(text),
        Field::Number(number) => number.to_string(),
        Field::Moment(at) => Timestamp::from_second(*at).unwrap_or_default().to_string(),
        Field::List(items) => items
            .iter()
            .map(|item| element("member", &xml(item)))
            .collect(),
        Field::Record(fields) => fields
            .iter()
            .map(|(name, field)| element(name, &xml(field)))
            .collect(),
        Field::Figures(figures) => figures
            .iter()
            .map(|(name, value)| {
                let value = element("value", &value.to_string());
                element("entry", &(element("key", &escaped(name)) + &value))
            })
            .collect(),
    }
}

fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_writes_times_and_lists_in_its_way() {
        let answer = || {
            Field::Record(vec![
                ("At", Field::List(vec![Field::Moment(60)])),
                ("Of", Field::Figures(vec![("p90".to_owned(), 1.5)])),
                ("Label", Field::Text("<b>".to_owned())),
            ])
        };
        assert_eq!(
            xml(&answer()),
            "<At><member>1970-01-01T00:01:00Z</member></At><Of><entry><key>p90</key><value>1.5</value></entry></Of><Label>&lt;b&gt;</Label>"
        );
        assert_eq!(
            json(answer()),
            serde_json::json!({ "At": [60], "Of": { "p90": 1.5 }, "Label": "<b>" })
        );
    }
}
