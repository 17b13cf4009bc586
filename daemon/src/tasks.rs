//! Creating and listing tasks through a pattern's API.

use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::task::{NewTask, Task};
use reqwest::StatusCode;
use serde::Deserialize;

use crate::pattern::Patterns;

/// Creates a task.
pub async fn create(
    patterns: &Patterns,
    pattern: Option<&str>,
    task: &NewTask,
) -> Result<Task, Problem> {
    let (name, url) = patterns.tasks_url(pattern)?;
    let answer = patterns.http.post(&url).json(task).send().await;
    read(&name, answer, StatusCode::CREATED).await
}

/// All tasks, newest first.
pub async fn list(patterns: &Patterns, pattern: Option<&str>) -> Result<Vec<Task>, Problem> {
    let (name, url) = patterns.tasks_url(pattern)?;
    let answer = patterns.http.get(&url).send().await;
    let mut tasks: Vec<Task> = read(&name, answer, StatusCode::OK).await?;
    tasks.sort_by_key(|task| std::cmp::Reverse(task.created_at));
    Ok(tasks)
}

async fn read<T: serde::de::DeserializeOwned>(
    pattern: &str,
    answer: reqwest::Result<reqwest::Response>,
    expected: StatusCode,
) -> Result<T, Problem> {
    let upstream = |why: String, fix: &str| {
        Problem::new(
            ProblemKind::Upstream,
            format!("the API of {pattern} could not do it"),
            why,
            fix,
        )
    };
    let answer = answer.map_err(|error| {
        upstream(
            chain(&error),
            "check the pattern's url in the daemon's configuration, and the network",
        )
    })?;
    let status = answer.status();
    let body = answer
        .bytes()
        .await
        .map_err(|error| upstream(chain(&error), "try again"))?;
    if status == expected {
        return serde_json::from_slice(&body).map_err(|error| {
            upstream(
                format!("its answer cannot be understood: {error}"),
                "check the pattern's url in the daemon's configuration",
            )
        });
    }
    let said = message(&body).unwrap_or_else(|| "it does not say why".to_owned());
    if status == StatusCode::BAD_REQUEST {
        return Err(Problem::new(
            ProblemKind::Usage,
            "the task is not valid",
            said,
            "correct the field and try again",
        ));
    }
    Err(upstream(
        format!("status {}: {said}", status.as_u16()),
        "try again",
    ))
}

/// What an API says in its own words: the `message` of its JSON, and what it says of single `fields`.
fn message(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
        #[serde(default)]
        fields: Vec<Field>,
    }
    #[derive(Deserialize)]
    struct Field {
        field: String,
        message: String,
    }
    let refusal: Refusal = serde_json::from_slice(body).ok()?;
    if refusal.fields.is_empty() {
        return Some(refusal.message);
    }
    let fields: Vec<_> = refusal
        .fields
        .iter()
        .map(|field| format!("{}: {}", field.field, field.message))
        .collect();
    Some(fields.join("; "))
}

/// An error with what caused it; reqwest's own words alone say only that it failed.
fn chain(error: &reqwest::Error) -> String {
    let mut why = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        why.push_str(": ");
        why.push_str(&inner.to_string());
        source = inner.source();
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apis_own_words_are_kept() {
        let body = br#"{"message":"Invalid task","fields":[{"field":"title","message":"Title is required"}]}"#;
        assert_eq!(message(body).unwrap(), "title: Title is required");
        assert_eq!(message(br#"{"message":"Not Found"}"#).unwrap(), "Not Found");
        assert_eq!(message(b"<html>"), None);
    }
}
