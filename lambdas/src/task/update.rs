//! `PUT /tasks/{taskId}`: replaces a task; what the caller leaves out is removed. A `PUT` that changes nothing stores and tells
//! nothing, so repeating one is harmless.

use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use lambda_http::http::StatusCode;
use lambda_http::request::LambdaRequest;
use lambda_http::{Error, Request};
use patterns_core::task::Task;

use super::wanted::{Shown, Wanted};
use super::{ATTEMPTS, Writer, contended, no_task, now, task_id};
use crate::aws;
use crate::envelope::{Action, Envelope};
use crate::function::Function;
use crate::http::read::json_body;
use crate::http::{self, Outcome, Refusal, answer};
use crate::settings::Settings;

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    lambda_runtime::run(function(&aws::config())?).await
}

/// What serves them.
pub fn function(config: &SdkConfig) -> Result<impl Function<LambdaRequest> + use<>, Error> {
    let writer = Writer::start(Settings::default(), config)?;
    Ok(http::function(
        writer,
        async |writer, request, correlation_id| update(&writer, &request, &correlation_id).await,
    ))
}

async fn update(writer: &Writer, request: &Request, correlation_id: &str) -> Outcome {
    let failed = "Failed to update task";
    let id = task_id(request)?;
    let wanted: Wanted = json_body(request)?;
    let is_complete = wanted.required_completion()?;
    for _ in 0..ATTEMPTS {
        let before = writer
            .store
            .get(&id)
            .await
            .map_err(|error| Refusal::failed(failed, error))?
            .ok_or_else(no_task)?;
        let after = replaced(&before, &wanted, is_complete, now());
        if same(&before, &after) {
            return answer(StatusCode::OK, &Shown::from(&before));
        }
        let envelope = Envelope::new(
            action(&before, &after),
            after.clone(),
            correlation_id.to_owned(),
            "update-task",
        );
        let pending = writer.pending(&envelope, failed)?;
        let stored = writer
            .store
            .replace(&before, &after, &writer.outbox, pending.as_ref())
            .await
            .map_err(|error| Refusal::failed(failed, error))?;
        if stored {
            writer.tell(pending).await;
            return answer(StatusCode::OK, &Shown::from(&after));
        }
    }
    Err(contended())
}

/// The task as it is wanted. Its time of change always grows, because it is what tells two changes apart.
fn replaced(before: &Task, wanted: &Wanted, is_complete: bool, now: Timestamp) -> Task {
    let later = before
        .updated_at
        .saturating_add(SignedDuration::from_millis(1))
        .unwrap_or(now);
    Task {
        id: before.id.clone(),
        title: wanted.title.clone(),
        detail: wanted.detail.clone(),
        due_at: wanted.due_at,
        is_complete,
        created_at: before.created_at,
        updated_at: now.max(later),
    }
}

fn same(before: &Task, after: &Task) -> bool {
    Task {
        updated_at: before.updated_at,
        ..after.clone()
    } == *before
}

fn action(before: &Task, after: &Task) -> Action {
    if after.is_complete && !before.is_complete {
        Action::TaskCompleted
    } else {
        Action::TaskUpdated
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn task(is_complete: bool) -> Task {
        Task {
            id: "7".to_owned(),
            title: "x".to_owned(),
            detail: Some("more".to_owned()),
            due_at: None,
            is_complete,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn only_the_edge_to_complete_completes() {
        assert_eq!(action(&task(false), &task(true)), Action::TaskCompleted);
        assert_eq!(action(&task(true), &task(true)), Action::TaskUpdated);
        assert_eq!(action(&task(true), &task(false)), Action::TaskUpdated);
    }

    #[test]
    fn a_replacement_removes_what_is_left_out_and_always_is_later() {
        let wanted: Wanted = serde_json::from_value(json!({"title": "y"})).unwrap();
        let before = task(false);
        let after = replaced(&before, &wanted, true, before.updated_at);
        assert_eq!((after.title.as_str(), &after.detail), ("y", &None));
        assert!(after.updated_at > before.updated_at);
        assert!(!same(&before, &after));
    }

    #[test]
    fn a_replacement_by_the_same_is_none() {
        let wanted = json!({"title": "x", "detail": "more"});
        let wanted: Wanted = serde_json::from_value(wanted).unwrap();
        let before = task(true);
        assert!(same(&before, &replaced(&before, &wanted, true, now())));
        assert!(!same(&before, &replaced(&before, &wanted, false, now())));
    }
}
