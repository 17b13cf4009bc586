//! Tasks: what the pattern stacks store and notify about.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A title has 1 to this many characters.
pub const TITLE_MAX: usize = 100;

/// A detail has at most this many characters.
pub const DETAIL_MAX: usize = 1000;

/// A stored task. Times are UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// UUID v4.
    pub id: String,
    /// 1 to [`TITLE_MAX`] characters.
    pub title: String,
    /// At most [`DETAIL_MAX`] characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// Whether it is done.
    pub is_complete: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A task to create. Unknown keys are ignored, as the API has always done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewTask {
    /// 1 to [`TITLE_MAX`] characters. An absent title reads as an empty one, which [`invalid_fields`] names.
    #[serde(default)]
    pub title: String,
    /// At most [`DETAIL_MAX`] characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// Whether it is done already.
    #[serde(default)]
    pub is_complete: bool,
}

/// One field that does not hold what it must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidField {
    /// The field's name in JSON.
    pub field: String,
    /// What is wrong with it, as a sentence.
    pub message: String,
}

/// What is wrong with a title and a detail; empty when nothing is.
#[must_use]
pub fn invalid_fields(title: &str, detail: Option<&str>) -> Vec<InvalidField> {
    let mut invalid = Vec::new();
    if title.is_empty() {
        invalid.push(InvalidField {
            field: "title".to_owned(),
            message: "Title is required".to_owned(),
        });
    }
    if title.chars().count() > TITLE_MAX {
        invalid.push(InvalidField {
            field: "title".to_owned(),
            message: format!("Title must not exceed {TITLE_MAX} characters"),
        });
    }
    if detail.is_some_and(|detail| detail.chars().count() > DETAIL_MAX) {
        invalid.push(InvalidField {
            field: "detail".to_owned(),
            message: format!("Detail must not exceed {DETAIL_MAX} characters"),
        });
    }
    invalid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_of_one_to_a_hundred_characters_is_valid() {
        assert_eq!(invalid_fields("x", None), []);
        assert_eq!(invalid_fields(&"ü".repeat(100), None), []);
    }

    #[test]
    fn each_invalid_field_is_named() {
        let fields = |title: &str, detail: Option<&str>| {
            invalid_fields(title, detail)
                .into_iter()
                .map(|invalid| invalid.field)
                .collect::<Vec<_>>()
        };
        assert_eq!(fields("", None), ["title"]);
        assert_eq!(fields(&"x".repeat(101), None), ["title"]);
        assert_eq!(fields("", Some(&"x".repeat(1001))), ["title", "detail"]);
    }
}
