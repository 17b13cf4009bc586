//! Which messages of a queue a function gets: the filter criteria of an event source mapping
//! (AWS Lambda developer guide, "Control which events Lambda sends to your function" and "Using event filtering with an Amazon SQS
//! event source").

mod rule;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::invalid_parameter;
use crate::error::AwsError;
use crate::sqs::Received;
use rule::Pattern;

/// A mapping has at most so many filters (same guide, "Filter criteria basics"; a higher quota can be asked for there).
const MAX_FILTERS: usize = 5;

/// Characters of one pattern (AWS Lambda API reference, `Filter`).
const MAX_PATTERN: usize = 4096;

/// `FilterCriteria`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Criteria {
    /// A message passes if one of them matches; without any, all messages pass.
    pub filters: Vec<Filter>,
}

/// `Filter`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Filter {
    /// JSON.
    pub pattern: Option<String>,
}

/// Checked criteria.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters(Vec<Checked>);

#[derive(Clone, Debug, PartialEq)]
struct Checked {
    /// As it was given, to show.
    text: String,
    pattern: Pattern,
}

impl Filters {
    /// Reads and checks `criteria`.
    pub fn read(criteria: Criteria) -> Result<Self, AwsError> {
        if criteria.filters.len() > MAX_FILTERS {
            return Err(invalid_parameter(format!(
                "FilterCriteria has {} filters; at most {MAX_FILTERS} are allowed",
                criteria.filters.len()
            )));
        }
        let read = |filter: Filter| {
            let text = filter.pattern.unwrap_or_default();
            let pattern = pattern(&text).map_err(|why| {
                invalid_parameter(format!(
                    "Invalid filter pattern definition. ({why}: {text})"
                ))
            })?;
            Ok(Checked { text, pattern })
        };
        let filters: Result<_, AwsError> = criteria.filters.into_iter().map(read).collect();
        filters.map(Self)
    }

    /// Whether there are none, so that every message passes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `FilterCriteria` of the AWS Lambda API reference.
    pub fn view(&self) -> Value {
        let filters: Vec<Value> = self
            .0
            .iter()
            .map(|filter| json!({"Pattern": filter.text}))
            .collect();
        json!({"Filters": filters})
    }

    /// Whether the function gets `message`. A body that is a JSON object is looked into by patterns that are objects; a pattern and a
    /// body of different kinds do not match.
    pub fn pass(&self, message: &Received) -> bool {
        if self.is_empty() {
            return true;
        }
        let body = match serde_json::from_str(&message.body) {
            Ok(Value::Object(fields)) => Value::Object(fields),
            _ => Value::String(message.body.clone()),
        };
        let mut record = Map::new();
        record.insert("messageId".to_owned(), json!(message.message_id));
        record.insert("body".to_owned(), body);
        record.insert("attributes".to_owned(), json!(message.attributes));
        let attributes: Map<String, Value> = message
            .message_attributes
            .iter()
            .map(|(name, attribute)| {
                let value =
                    json!({"stringValue": attribute.string_value, "dataType": attribute.data_type});
                (name.clone(), value)
            })
            .collect();
        record.insert("messageAttributes".to_owned(), Value::Object(attributes));
        self.0.iter().any(|filter| filter.pattern.matches(&record))
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    if text.chars().count() > MAX_PATTERN {
        return Err(format!("it is longer than {MAX_PATTERN} characters"));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Pattern::read(&fields),
        Ok(_) => Err("it is not a JSON object".to_owned()),
        Err(error) => Err(format!("it is not JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;

    fn message(body: &str) -> Received {
        Received {
            message_id: "m".to_owned(),
            receipt_handle: "h".to_owned(),
            body: body.to_owned(),
            md5_of_body: "md5".to_owned(),
            attributes: BTreeMap::from([("SenderId", "s".to_owned())]),
            message_attributes: BTreeMap::new(),
        }
    }

    fn filters(patterns: &[Value]) -> Result<Filters, AwsError> {
        let filters = patterns
            .iter()
            .map(|pattern| Filter {
                pattern: Some(pattern.to_string()),
            })
            .collect();
        Filters::read(Criteria { filters })
    }

    #[test]
    fn without_filters_everything_passes() {
        assert!(filters(&[]).unwrap().pass(&message("anything")));
    }

    #[test]
    fn one_filter_that_matches_is_enough() {
        let filters = filters(&[
            json!({"body": {"kind": ["a"]}}),
            json!({"body": {"kind": ["b"]}}),
        ])
        .unwrap();
        assert!(filters.pass(&message(r#"{"kind":"b"}"#)));
        assert!(!filters.pass(&message(r#"{"kind":"c"}"#)));
    }

    #[test]
    fn body_and_pattern_must_be_of_one_kind() {
        let of_json = filters(&[json!({"body": {"kind": ["a"]}})]).unwrap();
        assert!(!of_json.pass(&message("a")));
        let of_text = filters(&[json!({"body": [{"prefix": "order"}]})]).unwrap();
        assert!(of_text.pass(&message("order 7")));
        assert!(!of_text.pass(&message(r#"{"kind":"order"}"#)));
        let of_neither = filters(&[json!({"attributes": {"SenderId": ["s"]}})]).unwrap();
        assert!(of_neither.pass(&message("a")) && of_neither.pass(&message("{}")));
    }

    #[test]
    fn refuses_too_many_and_what_is_no_pattern() {
        let one = json!({"body": {"kind": ["a"]}});
        assert!(filters(&vec![one; 6]).is_err());
        for given in [json!([]), json!({"body": "a"}), json!({"body": {"a": []}})] {
            let error = filters(std::slice::from_ref(&given)).unwrap_err();
            assert!(error.message.starts_with("Invalid filter"), "{given}");
        }
        let text = "not json".to_owned();
        let filters = vec![Filter {
            pattern: Some(text),
        }];
        assert!(Filters::read(Criteria { filters }).is_err());
    }
}
