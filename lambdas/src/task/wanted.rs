//! A task as a caller wants it: the body of `POST` and `PUT`. Unknown keys are ignored, as the API has always done.

use jiff::Timestamp;
use patterns_core::task::{InvalidField, Task, invalid_fields};
use serde::{Deserialize, Serialize};

use crate::http::Refusal;

/// Another view of whether a task is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is not.
    Pending,
    /// It is.
    Completed,
}

/// The body.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    /// An absent title reads as an empty one, which is named as missing.
    #[serde(default)]
    pub title: String,
    /// More about it.
    pub detail: Option<String>,
    /// When it is due.
    pub due_at: Option<Timestamp>,
    is_complete: Option<bool>,
    status: Option<Status>,
}

impl Wanted {
    /// Whether the task is to be complete; `None` if the caller does not say. `status` and `isComplete` are two views of one
    /// fact, so they may not differ. All that is wrong with the body is told at once.
    pub fn completion(&self) -> Result<Option<bool>, Refusal> {
        let mut invalid = invalid_fields(&self.title, self.detail.as_deref());
        let by_status = self.status.map(|status| status == Status::Completed);
        if let (Some(status), Some(flag)) = (by_status, self.is_complete)
            && status != flag
        {
            invalid.push(InvalidField {
                field: "status".to_owned(),
                message: "status and isComplete contradict each other".to_owned(),
            });
        }
        if invalid.is_empty() {
            Ok(self.is_complete.or(by_status))
        } else {
            Err(Refusal::Invalid(invalid))
        }
    }

    /// The same where the caller must say it, so that nothing is reset by accident.
    pub fn required_completion(&self) -> Result<bool, Refusal> {
        self.completion()?.ok_or_else(|| {
            Refusal::Invalid(vec![InvalidField {
                field: "isComplete".to_owned(),
                message: "isComplete or status is required".to_owned(),
            }])
        })
    }
}

/// A task as the API shows it: with both views.
#[derive(Serialize)]
pub struct Shown<'a> {
    #[serde(flatten)]
    task: &'a Task,
    status: Status,
}

impl<'a> From<&'a Task> for Shown<'a> {
    fn from(task: &'a Task) -> Self {
        let status = if task.is_complete {
            Status::Completed
        } else {
            Status::Pending
        };
        Self { task, status }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn wanted(body: Value) -> Wanted {
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn status_and_is_complete_are_two_views_of_one_fact() {
        for (body, completion) in [
            (json!({"title": "x"}), None),
            (json!({"title": "x", "status": "completed"}), Some(true)),
            (json!({"title": "x", "status": "pending"}), Some(false)),
            (json!({"title": "x", "isComplete": true}), Some(true)),
            (
                json!({"title": "x", "isComplete": true, "status": "completed"}),
                Some(true),
            ),
        ] {
            assert_eq!(
                wanted(body.clone()).completion().unwrap(),
                completion,
                "{body}"
            );
        }
        let both = wanted(json!({"title": "", "isComplete": false, "status": "completed"}));
        let refusal = both.completion().unwrap_err().to_string();
        assert!(
            refusal.contains("contradict") && refusal.contains("Title is required"),
            "{refusal}"
        );
        assert!(wanted(json!({"title": "x"})).required_completion().is_err());
    }
}
