//! `POST /tasks`: stores a task, hands its notification over, and answers 201 without waiting for the delivery.

use aws_config::SdkConfig;
use lambda_http::http::StatusCode;
use lambda_http::request::LambdaRequest;
use lambda_http::{Error, Request};
use patterns_core::task::Task;
use uuid::Uuid;

use super::wanted::{Shown, Wanted};
use super::{Writer, now};
use crate::aws;
use crate::envelope::{Action, Envelope};
use crate::function::Function;
use crate::http::read::{idempotency_key, json_body};
use crate::http::{self, Outcome, Refusal, answer, usable};
use crate::idempotency::{Log, REQUEST, answer::once};
use crate::settings::Settings;

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    lambda_runtime::run(function(&aws::config())?).await
}

/// What serves them.
pub fn function(config: &SdkConfig) -> Result<impl Function<LambdaRequest> + use<>, Error> {
    let mut settings = Settings::default();
    let requests = settings.required("REQUESTS_TABLE");
    let writer = Writer::start(settings, config)?;
    let requests = Log::new(config, requests, REQUEST);
    Ok(http::function(
        (writer, requests),
        async |shared, request, correlation_id| {
            let (writer, requests) = &*shared;
            create(writer, requests, &request, &correlation_id).await
        },
    ))
}

async fn create(
    writer: &Writer,
    requests: &Log,
    request: &Request,
    correlation_id: &str,
) -> Outcome {
    let wanted: Wanted = json_body(request)?;
    let is_complete = wanted.completion()?.unwrap_or(false);
    let now = now();
    let new = |id| Task {
        id,
        title: wanted.title,
        detail: wanted.detail,
        due_at: wanted.due_at,
        is_complete,
        created_at: now,
        updated_at: now,
    };
    let Some(key) = idempotency_key(request)? else {
        return store(writer, new(Uuid::new_v4().to_string()), correlation_id).await;
    };
    once(requests, &key, request.body(), usable(request), |id| {
        store(writer, new(id), correlation_id)
    })
    .await
}

async fn store(writer: &Writer, task: Task, correlation_id: &str) -> Outcome {
    let failed = "Failed to create task";
    let envelope = Envelope::new(
        Action::TaskCreated,
        task.clone(),
        correlation_id.to_owned(),
        "create-task",
    );
    let pending = writer.pending(&envelope, failed)?;
    let stored = writer
        .store
        .create(&task, &writer.outbox, pending.as_ref())
        .await
        .map_err(|error| Refusal::failed(failed, error))?;
    if !stored {
        // An earlier attempt of the same request stored it, and its event with it.
        let first = writer
            .store
            .get(&task.id)
            .await
            .map_err(|error| Refusal::failed(failed, error))?
            .ok_or_else(|| Refusal::failed(failed, "the task was deleted meanwhile"))?;
        return answer(StatusCode::CREATED, &Shown::from(&first));
    }
    writer.tell(pending).await;
    answer(StatusCode::CREATED, &Shown::from(&task))
}
