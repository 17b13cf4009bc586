//! Payloads and patches in the operator's editor: what is put there, and what is made of what comes back.

use patterns_core::failed::FailedDetail;
use patterns_core::json::{loss, on_one_line};
use patterns_core::operation::Edit;
use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::text::escape_json;
use serde_json::Value;

/// What an editor shows where no patch is yet.
const EXAMPLE: &str = r#"[
  { "op": "replace", "path": "/name/of/a/field", "value": "another value" }
]
"#;

/// What is edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Editing {
    /// The queue of the events.
    pub dead_letter_queue: String,
    /// The events.
    pub ids: Vec<String>,
    /// What is written.
    pub sort: Sort,
    /// What the editor showed at first.
    pub given: String,
}

/// What is written in the editor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// The payload of one event: JSON.
    Json,
    /// The payload of one event: text of any kind.
    Text,
    /// A JSON Patch for all of them.
    Patch,
}

impl Editing {
    /// A patch for all these events.
    pub fn patch(dead_letter_queue: String, ids: Vec<String>) -> Self {
        Self {
            dead_letter_queue,
            ids,
            sort: Sort::Patch,
            given: EXAMPLE.to_owned(),
        }
    }

    /// The payload of this event, which arrived exactly as it is.
    pub fn payload(detail: &FailedDetail) -> Self {
        let (sort, given) = match (&detail.text, &detail.payload) {
            // Every byte of it stays that the operator leaves.
            (Some(text), _) | (None, Value::String(text)) => (Sort::Text, text.clone()),
            (None, value) => {
                let json = serde_json::to_string_pretty(value).unwrap_or_default();
                // The same value, harmless in any editor.
                (Sort::Json, escape_json(&json) + "\n")
            }
        };
        Self {
            dead_letter_queue: detail.event.dead_letter_queue.clone(),
            ids: vec![detail.event.id.clone()],
            sort,
            given,
        }
    }

    /// How the file's name ends, by which editors know what it is.
    pub fn suffix(&self) -> &'static str {
        match self.sort {
            Sort::Json | Sort::Patch => ".json",
            Sort::Text => ".txt",
        }
    }

    /// The change that was written; `None` when nothing was changed.
    pub fn change(&self, written: &str) -> Result<Option<Edit>, Problem> {
        // Editors end the last line, whether or not it was ended before.
        if written.trim_end_matches('\n') == self.given.trim_end_matches('\n') {
            return Ok(None);
        }
        let refused = |why: String| {
            Problem::new(
                ProblemKind::Usage,
                "what was written cannot be used",
                why,
                "nothing was done; e opens it again",
            )
        };
        match self.sort {
            _ if written.trim().is_empty() => Err(refused("it is empty".to_owned())),
            Sort::Patch => patch(written)
                .map(|patch| Some(Edit::Patch(patch)))
                .map_err(refused),
            Sort::Json => {
                json(written).map_err(refused)?;
                // On one line, as programs write it: indentation counts towards the size of a message.
                let line = on_one_line(written).unwrap_or_else(|| written.to_owned());
                let same = on_one_line(&self.given).is_some_and(|given| given == line);
                Ok((!same).then(|| Edit::Payload(line)))
            }
            Sort::Text if self.given.ends_with('\n') => Ok(Some(Edit::Payload(written.to_owned()))),
            Sort::Text => {
                let text = written.strip_suffix('\n').unwrap_or(written);
                Ok(Some(Edit::Payload(text.to_owned())))
            }
        }
    }
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))
}

/// A JSON Patch as far as it can be told without the events.
pub fn patch(text: &str) -> Result<Value, String> {
    let value = json(text)?;
    if let Some(loss) = loss(text) {
        return Err(format!("it holds {loss}"));
    }
    match value.as_array() {
        None => Err(
            "a JSON Patch is a list of operations, such as [{\"op\": \"remove\", \"path\": \"/a\"}]"
                .to_owned(),
        ),
        Some(operations) if operations.is_empty() => Err("it changes nothing".to_owned()),
        Some(_) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sample;

    fn of(payload: Value) -> Editing {
        let mut detail = sample::hostile_detail();
        detail.payload = payload;
        Editing::payload(&detail)
    }

    #[test]
    fn an_unchanged_payload_is_no_change() {
        for payload in [
            json!({"b": 1, "a": "\u{202e}\u{1b}"}),
            json!("text"),
            json!("text\n"),
        ] {
            let editing = of(payload);
            assert_eq!(editing.change(&editing.given), Ok(None));
            let ended = format!("{}\n", editing.given);
            assert_eq!(editing.change(&ended), Ok(None));
        }
        let editing = of(json!({"a": 1}));
        assert_eq!(editing.change(r#"{"a":1}"#), Ok(None), "the same value");
    }

    #[test]
    fn a_payload_goes_on_one_line_and_is_harmless_before_that() {
        let editing = of(json!({"b": 1, "a": "\u{202e}"}));
        assert!(editing.given.contains("\\u202e"));
        let written = editing.given.replace('1', "2");
        let changed = Edit::Payload("{\"b\":2,\"a\":\"\u{202e}\"}".to_owned());
        assert_eq!(editing.change(&written), Ok(Some(changed)));
        let problem = editing.change("{").unwrap_err();
        assert!(problem.why.contains("not JSON"), "{problem}");
    }

    #[test]
    fn what_is_not_touched_stays_as_it_was() {
        let text = r#"{"n":12345678901234567890123,"a":1,"a":2}"#;
        let mut detail = sample::hostile_detail();
        detail.payload = json!({"n": 1e22, "a": 2});
        detail.text = Some(text.to_owned());
        let editing = Editing::payload(&detail);
        assert_eq!(editing.given, text);
        let written = text.replace("\"a\":1", "\"a\":3");
        let changed = editing.change(&format!("{written}\n"));
        assert_eq!(changed, Ok(Some(Edit::Payload(written))));
        // Nor is what the operator writes.
        let editing = of(json!({"a": 1}));
        let written = r#"{"a": 12345678901234567890123}"#;
        let changed = Edit::Payload(r#"{"a":12345678901234567890123}"#.to_owned());
        assert_eq!(editing.change(written), Ok(Some(changed)));
    }

    #[test]
    fn the_last_line_of_a_text_is_as_it_was() {
        let changed = |payload: &str, written: &str| {
            let Some(Edit::Payload(text)) = of(json!(payload)).change(written).unwrap() else {
                panic!("{written}")
            };
            text
        };
        assert_eq!(changed("a", "b\n"), "b");
        assert_eq!(changed("a\n", "b\n"), "b\n");
    }

    #[test]
    fn a_patch_is_a_list_that_changes_something() {
        let editing = Editing::patch("dlq".to_owned(), vec!["a".to_owned()]);
        assert_eq!(editing.change(EXAMPLE), Ok(None));
        for wrong in [
            "",
            "{}",
            "[]",
            "[",
            r#"[{"op":"add","path":"/n","value":12345678901234567890123}]"#,
            r#"[{"op":"remove","path":"/a","path":"/b"}]"#,
        ] {
            assert!(editing.change(wrong).is_err(), "{wrong}");
        }
        let written = r#"[{"op":"remove","path":"/a"}]"#;
        assert!(matches!(editing.change(written), Ok(Some(Edit::Patch(_)))));
    }
}
