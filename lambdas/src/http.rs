//! Answers of the HTTP functions: JSON, the caller's correlation id, and errors that name the field.

use lambda_http::http::{StatusCode, header};
use lambda_http::{Body, Response};
use patterns_core::task::InvalidField;
use serde::Serialize;
use serde_json::json;

use crate::correlation;

/// Why a request is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// 400: the request holds no usable body.
    #[error("{0}")]
    BadBody(String),
    /// 400: fields of the body do not hold what they must.
    #[error("Validation failed: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Invalid(Vec<InvalidField>),
    /// 404: no such task.
    #[error("Task not found")]
    NotFound,
    /// 500: what was tried, for the caller; the cause is for the log only.
    #[error("{what}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Refusal {
    /// A failure of ours or of AWS. Keeps the cause for the log.
    pub fn failed(
        what: &'static str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Failed {
            what,
            cause: cause.into(),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadBody(_) | Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Failed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// What a handler found out: a status with a body, or a refusal.
pub type Outcome = Result<(StatusCode, Option<serde_json::Value>), Refusal>;

/// `body` as JSON with `status`.
pub fn answer(status: StatusCode, body: &impl Serialize) -> Outcome {
    serde_json::to_value(body)
        .map(|body| (status, Some(body)))
        .map_err(|error| Refusal::failed("Failed to write the answer", error))
}

/// The response that an outcome becomes. Causes of failures go to the log here and nowhere else.
pub fn respond(
    outcome: Outcome,
    correlation_id: &str,
) -> Result<Response<Body>, lambda_http::Error> {
    let (status, body) = match outcome {
        Ok(answer) => answer,
        Err(refusal) => {
            if let Refusal::Failed { what, cause } = &refusal {
                tracing::error!(cause = format!("{cause:?}"), "{what}");
            }
            let mut body = json!({"message": refusal.to_string(), "correlationId": correlation_id});
            if let (Refusal::Invalid(fields), Some(body)) = (&refusal, body.as_object_mut()) {
                let fields = fields
                    .iter()
                    .map(|invalid| json!({"field": invalid.field, "message": invalid.message}));
                body.insert("fields".to_owned(), fields.collect());
            }
            (refusal.status(), Some(body))
        }
    };
    let response = Response::builder()
        .status(status)
        .header(correlation::HEADER, correlation_id)
        .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    let response = match body {
        Some(body) => response
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::Text(body.to_string())),
        None => response.body(Body::Empty),
    };
    Ok(response?)
}
