//! JSON that other functions and operators send, and why it cannot be read, without what it holds: bodies are not logged, and what
//! serde says of a wrong value begins with the value.

use serde::de::DeserializeOwned;

/// More than this of what is said of a name is the name's.
const SHORT: usize = 200;

/// Where a body is not what it must be, and what it must be there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl Unreadable {
    /// What is wrong, in words of ours.
    #[must_use]
    pub fn of(what: &'static str) -> Self {
        Self(what.to_owned())
    }

    /// Something that must be there is not.
    #[must_use]
    pub fn lacks(field: &str) -> Self {
        Self(format!("missing field `{field}`"))
    }
}

/// Reads an object.
pub fn object<T: DeserializeOwned>(json: &[u8]) -> Result<T, Unreadable> {
    // serde reads a list as a struct, field by field.
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(Unreadable("it is not a JSON object".to_owned()));
    }
    let mut json = serde_json::Deserializer::from_slice(json);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let at = error.path().to_string();
        let why = without_value(error.inner());
        Unreadable(if at == "." {
            why
        } else {
            format!("{at}: {why}")
        })
    })?;
    json.end()
        .map_err(|_| Unreadable("more follows the JSON object".to_owned()))?;
    Ok(read)
}

/// What serde says, without the value that it says it of. Names are told: of fields, and of what is none of a list.
fn without_value(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(text, _)| text);
    if error.classify() != serde_json::error::Category::Data {
        return format!("not JSON at line {line} column {column}: {text}");
    }
    match text.rsplit_once(", expected ") {
        Some((what, expected)) if what.starts_with("invalid ") => {
            // `invalid type: string "…"`: what kind of value it is may be told.
            let kind: Vec<_> = what.split(' ').take(3).collect();
            format!("{}, expected {expected}", kind.join(" "))
        }
        _ if is_about_a_name(text) => short(text),
        // What others say of a value quotes it.
        _ if text.contains(['"', '`']) => "the value cannot be read".to_owned(),
        _ => short(text),
    }
}

fn is_about_a_name(text: &str) -> bool {
    ["missing field", "duplicate field", "unknown "]
        .iter()
        .any(|begin| text.starts_with(begin))
}

/// The beginning of a name, or of what is said of one.
#[must_use]
pub fn short(text: &str) -> String {
    text.chars().take(SHORT).collect()
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self(without_value(&error))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use patterns_core::task::NewTask;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[serde(rename = "task")]
        _task: NewTask,
    }

    #[test]
    fn an_error_tells_where_and_what_is_expected_and_no_value() {
        for (json, said) in [
            ("\"marker\"", "it is not a JSON object"),
            ("[\"marker\"]", "it is not a JSON object"),
            ("marker", "it is not a JSON object"),
            (
                "{\"task\": \"marker\"}",
                "task: invalid type: string, expected ",
            ),
            (
                "{\"task\": {\"title\": [\"marker\"]}}",
                "task.title: invalid type: sequence, expected a string",
            ),
            (
                "{\"task\": {\"title\": \"x\", \"dueAt\": \"marker\"}}",
                "task.dueAt: ",
            ),
            (
                "{\"task\": {\"title\": \"x\", \"isComplete\": \"a, expected marker\"}}",
                "task.isComplete: invalid type: string, expected ",
            ),
            ("{\"marker\": 1}", "missing field `task`"),
            (
                "{\"task\": {\"title\": \"x\"}} \"marker\"",
                "more follows the JSON object",
            ),
            (
                "{\"task\": marker",
                "task: not JSON at line 1 column 10: expected value",
            ),
        ] {
            let error = object::<Outer>(json.as_bytes()).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(error.to_string().starts_with(said), "{json}: {error}");
            assert!(!shown.contains("marker"), "{json}: {shown}");
        }
    }
}
