//! `GET /tasks/{taskId}`.

use aws_config::SdkConfig;
use lambda_http::http::StatusCode;
use lambda_http::request::LambdaRequest;
use lambda_http::{Error, Request};

use super::wanted::Shown;
use super::{Reader, no_task, task_id};
use crate::aws;
use crate::function::Function;
use crate::http::{self, Outcome, Refusal, answer};

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    lambda_runtime::run(function(&aws::config())?).await
}

/// What serves them.
pub fn function(config: &SdkConfig) -> Result<impl Function<LambdaRequest> + use<>, Error> {
    let reader = Reader::start(config)?;
    Ok(http::function(reader, async |reader, request, _| {
        get(&reader, &request).await
    }))
}

async fn get(reader: &Reader, request: &Request) -> Outcome {
    let task = reader
        .store
        .get(&task_id(request)?)
        .await
        .map_err(|error| Refusal::failed("Failed to retrieve task", error))?
        .ok_or_else(no_task)?;
    answer(StatusCode::OK, &Shown::from(&task))
}
